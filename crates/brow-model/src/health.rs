//! Health: what a probe through a forward finds, and when a person is told of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Model;
use super::demand::span;
use super::effect::Effect;
use super::fault::Fault;
use super::forward::{Forward, ForwardId};
use super::log::{Entry, Grade, Happening};

/// How a forward's target is probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Whether it takes connections.
    Tcp,
    /// Whether a GET of this path is answered with 2xx or 3xx.
    Http(String),
    /// Whether it greets as `MySQL` does.
    Mysql,
    /// Whether it answers `PostgreSQL`'s question for TLS.
    Postgres,
    /// Whether it answers Redis' PING.
    Redis,
}

/// Why a text is no probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write tcp, http, http:/path, mysql, postgres or redis")]
pub struct ProbeError;

impl FromStr for Probe {
    type Err = ProbeError;

    fn from_str(text: &str) -> Result<Self, ProbeError> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "http" => Ok(Self::Http("/".to_owned())),
            "mysql" => Ok(Self::Mysql),
            "postgres" => Ok(Self::Postgres),
            "redis" => Ok(Self::Redis),
            _ => match text.strip_prefix("http:") {
                // What stands in a request line must not end it.
                Some(path) if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) => {
                    Ok(Self::Http(path.to_owned()))
                }
                Some(_) | None => Err(ProbeError),
            },
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Http(path) => write!(f, "http:{path}"),
            Self::Mysql => f.write_str("mysql"),
            Self::Postgres => f.write_str("postgres"),
            Self::Redis => f.write_str("redis"),
        }
    }
}

/// A probe and how often it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePlan {
    /// What is asked.
    pub probe: Probe,
    /// The time between two.
    pub every: Duration,
}

/// What the last probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why the target is down; `None`: it is up.
    pub down: Option<Fault>,
    /// From asking to the first byte of the answer, where the probe has one.
    pub latency: Option<Duration>,
}

/// What a person was told last: whether it is up, and when that was.
pub type Told = (bool, DateTime<Utc>);

impl Forward {
    /// What the last probe found, while there is a way to what was probed.
    pub fn health(&self) -> Option<&Health> {
        self.health.as_ref().filter(|_| self.via.is_some())
    }

    /// Whether the last probe found its target down.
    pub fn is_down(&self) -> bool {
        self.health().is_some_and(|health| health.down.is_some())
    }

    /// What is wrong with it: what a connection or the forward itself met, else why it cannot be seen where it leads,
    /// else what the last probe did.
    pub fn trouble(&self) -> Option<&Fault> {
        self.fault.as_ref().or(self.unseen.as_ref()).or_else(|| self.health()?.down.as_ref())
    }
}

impl Model {
    /// What is wrong with a forward, or with the cluster that it leads to: while that does not answer, or refuses us,
    /// it is not known what becomes of the forward's pod.
    pub fn trouble_of<'a>(&'a self, forward: &'a Forward) -> Option<&'a Fault> {
        let of_cluster = || self.cluster(&forward.spec.place.cluster)?.fault.as_ref();
        forward.trouble().or_else(|| of_cluster().filter(|_| forward.via.is_some()))
    }

    /// A probe was answered, or not.
    pub(super) fn on_probed(&mut self, id: ForwardId, found: Health, out: &mut Vec<Effect>) {
        if let Some(forward) = self.forwards.get_mut(&id).filter(|at| at.via.is_some() && at.spec.probe.is_some()) {
            forward.health = Some(found);
            self.tell_health(id, out);
        }
    }

    /// Has open forwards probed as the config says now: what was found before says nothing of another question.
    pub(super) fn follow_probes(&mut self, out: &mut Vec<Effect>) {
        let plan = |forward: &Forward| {
            let plan = self.probe_of(self.target(&forward.spec.target)?);
            (plan != forward.spec.probe).then_some((forward.spec.id, plan))
        };
        let turned: Vec<(ForwardId, Option<ProbePlan>)> = self.forwards.values().filter_map(plan).collect();
        for (id, plan) in turned {
            if let Some(forward) = self.forwards.get_mut(&id) {
                let asked = |plan: &Option<ProbePlan>| plan.as_ref().map(|plan| plan.probe.clone());
                if asked(&plan) != asked(&forward.spec.probe) {
                    (forward.health, forward.told) = (None, None);
                }
                forward.spec.probe.clone_from(&plan);
                self.unarranged = true;
                out.push(Effect::Probe { id, plan });
            }
        }
    }

    /// A second has passed: what changed within the quiet time is told when that is over, if it is still so.
    pub(super) fn tend_health(&mut self, out: &mut Vec<Effect>) {
        let probed: Vec<ForwardId> =
            self.forwards.iter().filter(|(_, forward)| forward.health().is_some()).map(|(id, _)| *id).collect();
        for id in probed {
            self.tell_health(id, out);
        }
    }

    /// Tells whether a forward's target is up or down, where that is news and not too soon after the last.
    fn tell_health(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let quiet = span(self.settings.notify_quiet.duration());
        let now = self.now;
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        let Some(down) = forward.health().map(|health| health.down.clone()) else {
            return;
        };
        let up = down.is_none();
        // That it is up is no news before it was down.
        if forward.told.map_or(up, |(told, at)| told == up || now - at < quiet) {
            return;
        }
        forward.told = Some((up, now));
        let target = forward.spec.target.clone();
        let (grade, what) = if up { (Grade::Good, Happening::WentUp) } else { (Grade::Warning, Happening::WentDown) };
        if let Some(fault) = down {
            self.fail(fault);
        }
        out.push(Effect::Notify(Entry {
            at: now,
            grade,
            what: what.clone(),
            thing: target.clone(),
            detail: String::new(),
        }));
        self.note(grade, what, target, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_read_as_they_are_written() {
        for text in ["tcp", "mysql", "postgres", "redis", "http:/", "http:/health?full=1"] {
            assert_eq!(text.parse::<Probe>().map(|probe| probe.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("http".parse(), Ok(Probe::Http("/".to_owned())));
        for wrong in ["", "udp", "http:", "http:health", "http:/a b", "http:/a\r\nX: y", "HTTP"] {
            assert_eq!(wrong.parse::<Probe>(), Err(ProbeError), "{wrong:?}");
        }
    }
}
