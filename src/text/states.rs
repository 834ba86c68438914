//! The states of clusters, pods and forwards: a symbol and a word each.

use super::Text;
use crate::model::cluster::Link;
use crate::model::forward::ForwardState;
use crate::model::instance::Role;
use crate::model::proxy::Phase;

impl Text {
    /// How things stand with a cluster.
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

    /// How far a pod has come.
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

    /// How a forward stands.
    pub fn forward_state(&self, state: ForwardState) -> &str {
        self.get(match state {
            ForwardState::Opening => "forward-state.opening",
            ForwardState::Waiting => "forward-state.waiting",
            ForwardState::Live => "forward-state.live",
            ForwardState::Reconnecting => "forward-state.reconnecting",
            ForwardState::Broken => "forward-state.broken",
            ForwardState::Failed => "forward-state.failed",
        })
    }

    /// What another instance is, with its process.
    pub fn instance(&self, role: Role, pid: u32) -> String {
        let key = match role {
            Role::Dashboard => "instance.dashboard",
            Role::Connect => "instance.connect",
            Role::Background => "instance.background",
            Role::Unknown => "instance.unknown",
        };
        self.fill(key, &[("pid", &pid.to_string())])
    }
}
