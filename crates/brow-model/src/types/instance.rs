//! Other running instances of this program, and what they forward.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::types::agent::ApprovalRequest;
use crate::types::forward::{Forward, ForwardState};
use crate::types::shell::ShellReport;

/// The report of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its process.
    pub pid: u32,
    /// The kind of instance.
    pub role: Role,
    /// Its forwards, in the order of opening.
    pub forwards: Vec<ForwardReport>,
    /// True while it ends.
    #[serde(default)]
    pub leaving: bool,
    /// The numbers of those that end with it, and of those that have failed. Others that it names no longer were
    /// stopped by somebody.
    #[serde(rename = "left", default)]
    pub ended: Vec<u64>,
    /// The targets that it was asked to forward: where another instance has them, it takes them over when that ends.
    #[serde(default)]
    pub wants: Vec<String>,
    /// The questions of agents that dashboards are to ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<ApprovalRequest>,
    /// Its sessions in containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shells: Vec<ShellReport>,
}

/// The kind of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The dashboard, on somebody's screen.
    Dashboard,
    /// A subcommand in the foreground.
    Connect,
    /// A subcommand that left its terminal.
    Background,
    /// One that forwards for agents while there is no dashboard.
    Agents,
    /// A session in a container.
    Shell,
    /// Something that a newer version knows.
    #[serde(other)]
    Unknown,
}

/// A forward as other instances see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardReport {
    /// Its number in its instance.
    pub id: u64,
    /// The name of the agent's program that opened it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The target's name, with the port where that is not the first of several.
    pub name: String,
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    /// The API server behind the context: two kubeconfigs may call different clusters the same.
    #[serde(default)]
    pub server: String,
    /// The destination: two configs may use one name for different destinations.
    #[serde(rename = "place", default)]
    pub destination: String,
    /// The local address; without one the path of the socket.
    pub local: String,
    /// The path of its Unix socket.
    #[serde(default)]
    pub socket: Option<String>,
    pub state: RemoteState,
    /// More about that, which earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<StateDetail>,
    /// The time at which its pod ends, by this machine's clock; `None` if there is none, or another takes over.
    #[serde(default)]
    pub ends: Option<DateTime<Utc>>,
    /// The name of the pod that it goes through.
    pub pod: Option<String>,
    /// The names of others that connections of its own still go through.
    #[serde(rename = "left", default)]
    pub draining: Vec<String>,
}

/// The state of a forward of another instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteState {
    /// It can be used.
    Live,
    /// It waits for something.
    Waiting,
    /// It does not work.
    Broken,
}

/// The state of a forward of another instance, where its [`RemoteState`] says too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateDetail {
    /// It listens; the next connection gets it a pod.
    Listening,
    /// Its last probe found the target down.
    Down,
    /// Its tunnel is being opened again.
    Reconnecting,
    /// Something that a newer version knows.
    #[serde(other)]
    Unknown,
}

/// Another instance, whether it forwards something or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteInstance {
    /// Its process.
    pub pid: u32,
    /// The kind of instance.
    pub role: Role,
    /// True while it ends.
    pub leaving: bool,
    /// True if it exists but has never answered, so that its forwards are unknown.
    pub silent: bool,
    /// The targets that it was asked to forward.
    pub wants: Vec<String>,
    /// The numbers of the questions that it has had asked, as it reported last.
    pub asks: Vec<u64>,
    /// Its sessions in containers.
    pub shells: Vec<ShellReport>,
}

/// A forward of another instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteForward {
    /// The instance's name among the others.
    pub instance: String,
    /// Its process.
    pub pid: u32,
    /// The kind of instance.
    pub role: Role,
    pub forward: ForwardReport,
}

impl ForwardReport {
    /// Returns the state of our own that is most like its state.
    pub fn shown(&self) -> ForwardState {
        match self.detail {
            Some(StateDetail::Listening) => ForwardState::Resting,
            Some(StateDetail::Reconnecting) => ForwardState::Reconnecting,
            Some(StateDetail::Down | StateDetail::Unknown) | None => match self.state {
                RemoteState::Live => ForwardState::Live,
                RemoteState::Waiting => ForwardState::Waiting,
                RemoteState::Broken => ForwardState::Broken,
            },
        }
    }

    /// Returns true if its last probe found the target down.
    pub fn is_down(&self) -> bool {
        self.detail == Some(StateDetail::Down)
    }
}

impl StateDetail {
    pub(crate) fn of(forward: &Forward) -> Option<Self> {
        match forward.state() {
            ForwardState::Resting => Some(Self::Listening),
            ForwardState::Reconnecting => Some(Self::Reconnecting),
            ForwardState::Live => forward.is_down().then_some(Self::Down),
            ForwardState::Opening
            | ForwardState::Waiting
            | ForwardState::Dialing
            | ForwardState::Broken
            | ForwardState::Failed => None,
        }
    }
}

impl RemoteState {
    pub(crate) fn of(state: ForwardState) -> Self {
        match state {
            // One at rest is woken by whoever connects.
            ForwardState::Live | ForwardState::Resting => Self::Live,
            ForwardState::Opening | ForwardState::Waiting | ForwardState::Dialing | ForwardState::Reconnecting => {
                Self::Waiting
            }
            ForwardState::Broken | ForwardState::Failed => Self::Broken,
        }
    }
}

impl Report {
    /// The report of an instance that has nothing yet.
    pub fn empty(pid: u32, role: Role) -> Self {
        Self {
            pid,
            role,
            forwards: Vec::new(),
            leaving: false,
            ended: Vec::new(),
            wants: Vec::new(),
            asks: Vec::new(),
            shells: Vec::new(),
        }
    }

    /// Returns true if it has a forward or session of that number.
    pub fn has(&self, id: u64) -> bool {
        self.forwards.iter().any(|forward| forward.id == id) || self.shells.iter().any(|shell| shell.id == id)
    }

    /// Every text in it: what a screen shows.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let asked = self.asks.iter().flat_map(ApprovalRequest::texts);
        let shells = self.shells.iter().flat_map(|shell| {
            let ShellReport { cluster, namespace, pod, container, node, .. } = shell;
            let node = node.as_ref().map(|node| &node.name);
            [cluster, namespace, pod, container].into_iter().chain(node).map(String::as_str)
        });
        let forwards = self.forwards.iter().flat_map(|forward| {
            let ForwardReport { name, cluster, namespace, local, socket, pod, draining, agent, .. } = forward;
            let given = socket.iter().chain(pod).chain(agent).chain(draining);
            [name, cluster, namespace, local].into_iter().chain(given).map(String::as_str)
        });
        forwards.chain(asked).chain(shells)
    }
}
