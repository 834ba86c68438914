//! Clusters: one row per kubeconfig context.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;

use super::event::Epoch;
use super::fault::Fault;

/// One kubeconfig context and what is known of the cluster behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The context's name.
    pub name: String,
    /// The API server's URL, for the details.
    pub server: String,
    /// The kubeconfig user's name, for the details.
    pub user: String,
    /// The namespace that the context names, else `default`.
    pub namespace: String,
    /// Whether it is the kubeconfig's current context.
    pub current: bool,
    /// How things stand.
    pub link: Link,
    /// The server's version, as `v1.33.1`.
    pub version: Option<String>,
    /// Round trip of the last probe.
    pub rtt: Option<Duration>,
    /// How far the server's clock is ahead of ours.
    pub skew: TimeDelta,
    /// What the pods watch covers.
    pub scope: Scope,
    /// Namespaces whose pods are known; `None` stands for all.
    pub listed: BTreeSet<Option<String>>,
    /// What went wrong last, while it lasts.
    pub fault: Option<Fault>,
    /// The connection's epoch: events of an older one are dropped.
    pub epoch: Epoch,
}

/// How things stand with a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// Not connected, because nobody needed it yet.
    #[default]
    Idle,
    /// Being connected, or connected again after a fault.
    Connecting,
    /// Answering.
    Ready,
    /// 401: the server does not know us.
    Unauthorized,
    /// 403: the server knows us and lets us see no pods at all.
    Forbidden,
    /// No answer.
    Unreachable,
}

/// What the watch on our pods covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// Nothing yet.
    #[default]
    None,
    /// Every namespace.
    All,
    /// These only, because a cluster-wide list is not allowed.
    Namespaces(BTreeSet<String>),
}

/// A context as the kubeconfig has it, before anything is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The context's name.
    pub name: String,
    /// The API server's URL.
    pub server: String,
    /// The user's name.
    pub user: String,
    /// The namespace, `default` where the context names none.
    pub namespace: String,
    /// Whether it is the current context.
    pub current: bool,
}

impl From<Context> for Cluster {
    fn from(context: Context) -> Self {
        let Context { name, server, user, namespace, current } = context;
        Self {
            name,
            server,
            user,
            namespace,
            current,
            link: Link::Idle,
            version: None,
            rtt: None,
            skew: TimeDelta::zero(),
            scope: Scope::None,
            listed: BTreeSet::new(),
            fault: None,
            epoch: Epoch::default(),
        }
    }
}
