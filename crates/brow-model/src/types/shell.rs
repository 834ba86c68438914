//! Sessions in containers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::types::ttl::Ttl;

/// The place of a session that is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellPlace {
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    /// The pod, workload or node, as the command line takes it: `pod/web-0`, `deployment/web`, `node/worker-1`.
    pub thing: String,
    /// It is the node of that pod that is meant.
    pub on_node: bool,
    /// Files are to be copied out of it or into it, instead of a session.
    pub copies: bool,
}

/// A session as other instances see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellReport {
    /// Its number in its instance.
    pub id: u64,
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    pub pod: String,
    pub container: String,
    /// The time at which it began.
    pub began: DateTime<Utc>,
    /// The time of the last byte either way.
    pub active: DateTime<Utc>,
    /// The node, and the end of its pod, if it is a session on a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeSession>,
}

/// A session on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSession {
    /// The node's name.
    pub name: String,
    /// The time at which Kubernetes ends its pod.
    pub ends: DateTime<Utc>,
}

/// A session of another instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteShell {
    /// The instance's name among the others.
    pub instance: String,
    /// Its process.
    pub pid: u32,
    pub shell: ShellReport,
}

/// News of a session in a container, by the pod or workload that it was opened for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellEvent {
    /// It has ended, and the terminal is ours again.
    Ended { thing: String, end: ShellEnd },
    /// It has a pane of its own.
    InPane { thing: String },
    /// The program that makes panes made none.
    NoPane { thing: String, end: ShellEnd },
    /// It could not be opened.
    Failed { thing: String, why: String },
}

/// The end of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellEnd {
    /// By itself, with an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// The details of a session in the audit log. What is typed and printed is not among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShellRecord {
    /// The owner, as in proxy pods: `user@host`.
    pub by: String,
    /// The user of the kubeconfig's context.
    pub user: String,
    pub container: String,
    /// The program and its arguments; absent: the container's shell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The time at which it began.
    pub began: DateTime<Utc>,
    /// The exit code, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// The place where the dashboard opens a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShellOpen {
    /// In its own terminal, which it has again afterwards.
    #[default]
    Here,
    /// In a new pane of tmux or zellij; without them in its own terminal.
    Pane,
}

/// The settings of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellSettings {
    pub open: ShellOpen,
    /// The shell; absent: bash, else sh.
    pub program: Option<String>,
    /// The namespace of the pods of shells on nodes; absent: the context's own.
    pub node_namespace: Option<String>,
    /// The time in which nothing is typed or printed after which a shell on a node ends.
    pub node_idle: Ttl,
    /// The image of debug containers; absent: that of proxy pods.
    pub debug_image: Option<String>,
    /// The character with which chords begin; `None`: there are none.
    pub escape: Option<char>,
}

impl Default for ShellSettings {
    fn default() -> Self {
        Self {
            open: ShellOpen::default(),
            program: None,
            node_namespace: None,
            node_idle: Ttl::DEFAULT,
            debug_image: None,
            escape: Some('~'),
        }
    }
}
