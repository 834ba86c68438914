//! Clusters: one row per kubeconfig context.

use chrono::TimeDelta;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::language::fault::Fault;
use crate::types::epoch::Epoch;
use crate::types::local_cluster::LocalKind;

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
    /// True for the kubeconfig's current context.
    pub current: bool,
    /// All that the kubeconfig says of it, in one number (see [`Context::entries`]).
    pub entries: u64,
    /// Faults of its entries that the kubeconfig has more than once (see [`Context::twice`]).
    pub twice: Vec<Fault>,
    /// The command of its login plugin, as it may be shown.
    pub plugin: Option<String>,
    /// The state of the connection.
    pub link: Link,
    /// The server's version, as `v1.33.1`.
    pub version: Option<String>,
    /// Round trip of the last probe.
    pub rtt: Option<Duration>,
    /// The server's clock minus ours.
    pub skew: TimeDelta,
    /// The namespaces that the pods watch covers.
    pub scope: Scope,
    /// Namespaces whose pods are known; `None` stands for all.
    pub listed: BTreeSet<Option<String>>,
    /// Namespaces whose pods we may not list.
    pub denied: BTreeMap<String, Fault>,
    /// Our rights in the context's namespace, if they were asked for.
    pub rights: Rights,
    /// The current fault.
    pub fault: Option<Fault>,
    /// The connection's epoch: events of an older one are dropped.
    pub epoch: Epoch,
}

/// The state of the connection to a cluster.
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

/// The namespaces that the watch on our pods covers.
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

/// A right that the daily work needs. The order is that in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To list pods: without it nothing shows.
    List,
    /// To create pods: proxy pods.
    Create,
    /// To create `pods/portforward`.
    Forward,
}

impl Right {
    pub const ALL: [Self; 3] = [Self::List, Self::Create, Self::Forward];

    /// Verb and resource, as the API server asks for them.
    pub fn needs(self) -> (&'static str, &'static str) {
        match self {
            Self::List => ("list", "pods"),
            Self::Create => ("create", "pods"),
            Self::Forward => ("create", "pods/portforward"),
        }
    }
}

/// Our rights in a cluster, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Rights {
    /// Nobody asked.
    #[default]
    NotAsked,
    /// Asked, not yet answered.
    Asking,
    /// The answers, in the order of [`Right::ALL`].
    Known([bool; 3]),
    /// The server did not say.
    Failed(Fault),
}

/// A context as the kubeconfig has it, before anything is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub name: String,
    /// The API server's URL.
    pub server: String,
    /// The user's name.
    pub user: String,
    /// The namespace, `default` where the context names none.
    pub namespace: String,
    /// True for the current context.
    pub current: bool,
    /// All that the kubeconfig says of it, in one number: differs where any of that does (another CA, another token).
    pub entries: u64,
    /// The error in the kubeconfig that keeps it from being used.
    pub fault: Option<Fault>,
    /// Faults of its entries that the kubeconfig has more than once, with different contents.
    pub twice: Vec<Fault>,
    /// The command of the login plugin that it has, as it may be shown.
    pub plugin: Option<String>,
}

impl From<Context> for Cluster {
    fn from(context: Context) -> Self {
        let Context { name, server, user, namespace, current, entries, fault, twice, plugin } = context;
        Self {
            name,
            server,
            user,
            namespace,
            current,
            entries,
            twice,
            plugin,
            link: if fault.is_some() { Link::Unreachable } else { Link::Idle },
            version: None,
            rtt: None,
            skew: TimeDelta::zero(),
            scope: Scope::None,
            listed: BTreeSet::new(),
            denied: BTreeMap::new(),
            rights: Rights::NotAsked,
            fault,
            epoch: Epoch::default(),
        }
    }
}

impl Cluster {
    /// Begins a new epoch of its connection, in which nothing has been listed or asked yet.
    pub(crate) fn begin(&mut self, link: Link, epoch: Epoch) {
        (self.link, self.epoch, self.scope) = (link, epoch, Scope::None);
        self.listed.clear();
        self.denied.clear();
        self.rights = Rights::NotAsked;
        self.fault = None;
    }

    /// Tells a local cluster by its context.
    pub fn local(&self) -> Option<LocalKind> {
        LocalKind::of(&self.name, &self.server)
    }

    /// Returns true if all our pods in this namespace are known, or cannot be.
    pub fn knows(&self, namespace: &str) -> bool {
        self.link == Link::Forbidden || self.listed.contains(&None) || self.listed.contains(&Some(namespace.to_owned()))
    }
}
