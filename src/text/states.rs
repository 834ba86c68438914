//! The states of clusters, pods and forwards: a symbol and a word each.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use unicode_width::UnicodeWidthStr;

use super::Text;
use brow_model::cluster::Link;
use brow_model::forward::{Forward, ForwardState};
use brow_model::instance::{ForwardReport, Role};
use brow_model::proxy::{DescriptionLine, Phase};
use brow_model::why::{Check, Step, Verdict};

impl Text {
    /// Describes a step on the way to something, as it should be, and what was found.
    pub fn why_step(&self, check: &Check) -> String {
        let (step, bare) = match (check.step, &check.verdict) {
            (Step::Exists, _) => ("why.exists", "why.exists"),
            (Step::Name, _) => ("why.name", "why.name"),
            (Step::Port, _) => ("why.port", "why.port-bare"),
            (Step::Endpoints, _) => ("why.endpoints", "why.endpoints-bare"),
            (Step::Listens, _) => ("why.listens", "why.listens-bare"),
            (Step::Policies, Verdict::Passed) => ("why.policies", "why.policies-none"),
            (Step::Policies, Verdict::Failed(_) | Verdict::Unknown(_)) => ("why.policies", "why.policies-bare"),
            (Step::Connection, _) => ("why.connection", "why.connection"),
        };
        let found = check.found.as_str();
        let step = self.fill(if found.is_empty() { bare } else { step }, &[("found", found)]);
        match check.took {
            Some(took) => self.fill("why.took", &[("step", &step), ("time", &self.rtt(took))]),
            None => step,
        }
    }

    /// Words a pod's description, with its values in one column.
    pub fn description(&self, lines: &[DescriptionLine]) -> Vec<String> {
        let label = |label: &str| self.get(&format!("describe.{label}"));
        let labels = lines.iter().filter_map(|line| match line {
            DescriptionLine::Row(name, value) if !value.is_empty() => Some(label(name).width()),
            DescriptionLine::Row(..) | DescriptionLine::More(_) | DescriptionLine::Text(_) => None,
        });
        let column = labels.max().unwrap_or_default() + 2;
        let row = |label: &str, value: &str| {
            let gap = column.saturating_sub(label.width());
            format!("{label}{:gap$}{value}", "").trim_end().to_owned()
        };
        let word = |line: &DescriptionLine| match line {
            DescriptionLine::Row("deadline", seconds) => {
                row(label("deadline"), &self.fill("describe.after-start", &[("seconds", seconds)]))
            }
            DescriptionLine::Row(name, value) => row(label(name), value),
            DescriptionLine::More(value) => row("", value),
            DescriptionLine::Text(text) => text.clone(),
        };
        lines.iter().map(word).collect()
    }

    /// Names the state of the connection to a cluster.
    pub fn link(&self, link: Link) -> &str {
        self.get(match link {
            Link::Idle => "link.idle",
            Link::Connecting => "link.connecting",
            Link::Ready => "link.ready",
            Link::Unauthorized => "link.unauthorized",
            Link::Forbidden => "link.forbidden",
            Link::Unreachable => "link.unreachable",
        })
    }

    /// Names a pod's phase.
    pub fn phase(&self, phase: Phase) -> &str {
        self.get(match phase {
            Phase::Creating => "phase.creating",
            Phase::Pending => "phase.pending",
            Phase::Pulling => "phase.pulling",
            Phase::Starting => "phase.starting",
            Phase::Ready => "phase.ready",
            Phase::Terminating => "phase.terminating",
            Phase::Expired => "phase.expired",
            Phase::Succeeded => "phase.succeeded",
            Phase::Failed => "phase.failed",
        })
    }

    /// Names a forward's state.
    pub fn forward_state(&self, state: ForwardState) -> &str {
        self.get(match state {
            ForwardState::Opening => "forward-state.opening",
            ForwardState::Resting => "forward-state.resting",
            ForwardState::Waiting => "forward-state.waiting",
            ForwardState::Dialing => "forward-state.dialing",
            ForwardState::Live => "forward-state.live",
            ForwardState::Reconnecting => "forward-state.reconnecting",
            ForwardState::Broken => "forward-state.broken",
            ForwardState::Failed => "forward-state.failed",
        })
    }

    /// Names the state of another instance's forward.
    pub fn reported_state(&self, forward: &ForwardReport) -> &str {
        if forward.is_down() { self.get("forward-state.down") } else { self.forward_state(forward.shown()) }
    }

    /// Describes another instance by its role and process id.
    pub fn instance(&self, role: Role, pid: u32) -> String {
        let key = match role {
            Role::Dashboard => "instance.dashboard",
            Role::Connect => "instance.connect",
            Role::Background => "instance.background",
            Role::Agents => "instance.agents",
            Role::Shell => "instance.shell",
            Role::Unknown => "instance.unknown",
        };
        self.fill(key, &[("pid", &pid.to_string())])
    }

    /// Describes a forward's state with its latency, or with the time until an unused one rests.
    pub fn forward(&self, forward: &Forward, now: DateTime<Utc>) -> Cow<'_, str> {
        let latency = forward.health().and_then(|health| health.latency);
        match (forward.state(), forward.idle_left(now)) {
            (ForwardState::Live, _) if forward.is_down() => self.get("forward-state.down").into(),
            (ForwardState::Live, Some(left)) => {
                self.fill("forward-state.idle", &[("left", self.age(left).as_str())]).into()
            }
            (ForwardState::Live, None) if latency.is_some() => {
                let latency = self.rtt(latency.unwrap_or_default());
                self.fill("forward-state.live-latency", &[("latency", latency.as_str())]).into()
            }
            (ForwardState::Waiting, _) if forward.demand.is_some() => self.get("forward-state.starting").into(),
            (state, _) => self.forward_state(state).into(),
        }
    }
}
