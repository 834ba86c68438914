//! Events: everything that reaches [`Model::update`](crate::Model::update).

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::language::action::Action;
pub use crate::language::edit::EditEvent;
use crate::language::effect::Clip;
use crate::language::fault::Fault;
use crate::language::gateway::GatewayEvent;
pub use crate::language::lookup::{BrowseEvent, IndexEvent, KindEvent, ObjectEvent};
pub use crate::language::metrics::MetricsEvent;
pub use crate::language::page::{PageEvent, Related};
use crate::language::request::Request;
pub use crate::language::session::{AgentEvent, InstanceEvent};
use crate::types::address::Address;
use crate::types::backend::Backend;
use crate::types::cluster::{Context, Link, Scope};
use crate::types::connection::Connection;
use crate::types::epoch::Epoch;
use crate::types::forward::ForwardId;
use crate::types::health::Health;
use crate::types::index::ObjectRef;
use crate::types::metrics::Prometheus;
use crate::types::offer::{LeftOut, Offer};
use crate::types::proxy::{DescriptionLine, PodKey, PodRequestId, ProxyPod};
use crate::types::restore::OpenForward;
use crate::types::route::Via;
use crate::types::settings::Settings;
use crate::types::shell::ShellEvent;
use crate::types::target::Target;
use crate::types::traffic::{Counts, PodLoad, TunnelInfo};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A person asked for something.
    Act(Action),
    /// Something was given to the clipboard.
    Clipped {
        clip: Clip,
        text: String,
        /// True if it is known to be there: a program took it, or a terminal that does.
        taken: bool,
    },
    /// Something was asked for by name.
    Request(Request),
    /// A second has passed, or the loop woke after a longer sleep.
    Tick {
        now: DateTime<Utc>,
        /// The counters of every open forward.
        samples: Vec<Sample>,
    },
    /// The kubeconfig was read.
    Contexts(Result<Vec<Context>, Fault>),
    /// Something about a cluster.
    Cluster {
        /// The context.
        cluster: String,
        /// The epoch of the connection.
        epoch: Epoch,
        /// The change.
        event: ClusterEvent,
    },
    /// Something about what a cluster has.
    Browse {
        /// The context.
        cluster: String,
        /// The epoch of the browser.
        epoch: Epoch,
        /// The change.
        event: BrowseEvent,
    },
    /// Something about the index of a cluster.
    Index {
        /// The context.
        cluster: String,
        /// The epoch of the index.
        epoch: Epoch,
        /// The change.
        event: IndexEvent,
    },
    /// Something about the kinds of a cluster, or the objects of one.
    Kinds {
        /// The epoch of the list or table.
        epoch: Epoch,
        /// The change.
        event: KindEvent,
    },
    /// An answer to something asked about measurements.
    Metrics(MetricsEvent),
    /// Something about the object of a page.
    Page {
        /// The epoch of the page.
        epoch: Epoch,
        event: PageEvent,
    },
    /// An answer to something asked about an object.
    Object(ObjectEvent),
    /// Something about the edit of an object.
    Edit {
        /// The epoch of the edit.
        epoch: Epoch,
        /// The change.
        event: EditEvent,
    },
    /// An answer to the deletion of an object; one that was gone already counts as deleted.
    ObjectDeleted { object: ObjectRef, result: Result<(), Fault> },
    /// An answer to something asked about a pod.
    Pod(PodEvent),
    /// Something about a forward.
    Forward {
        id: ForwardId,
        /// The epoch of the forward.
        epoch: Epoch,
        /// The change.
        event: ForwardEvent,
    },
    /// Something about the container engine.
    Gateway(GatewayEvent),
    /// Something about other instances.
    Instance(InstanceEvent),
    /// Something about a session of an agent.
    Agent(AgentEvent),
    /// Something about a session in a container.
    Shell(ShellEvent),
    /// Something about files.
    Store(StoreEvent),
    /// The system asks the program to end (SIGTERM, SIGHUP): no questions.
    Terminate,
}

/// A forward's counters, read by the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub id: ForwardId,
    pub counts: Counts,
    /// The slowest first byte since the last reading.
    pub first_byte: Option<Duration>,
    /// Its tunnel, where one is open.
    pub tunnel: Option<TunnelInfo>,
    /// The pods that its connections are spread over.
    pub spread: Vec<PodLoad>,
}

/// Changes of a connection to a cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterEvent {
    /// The server answered a probe.
    Answered {
        version: String,
        /// Round trip of the probe.
        rtt: Duration,
        /// The server's clock minus ours.
        skew: TimeDelta,
    },
    /// The connection does not work (any more); it is tried again by itself.
    Failed {
        /// The state to show.
        link: Link,
        /// The reason.
        fault: Fault,
    },
    /// The scope of the watch is known. A narrower scope than all comes with the refusal that narrowed it.
    Watching {
        scope: Scope,
        /// The 403 that made it narrow.
        refused: Option<Fault>,
    },
    /// Namespaces that matter to us and whose pods may not be listed, all of them, with what the server said.
    Denied(BTreeMap<String, Fault>),
    /// One namespace (or, `None`, all) was listed: these are all proxy pods there.
    Listed {
        namespace: Option<String>,
        pods: Vec<ProxyPod>,
    },
    /// A pod is new or changed.
    Applied(Box<ProxyPod>),
    Gone {
        key: PodKey,
        uid: String,
    },
    /// The user's rights in the context's namespace, in the order of
    /// [`Right::ALL`](crate::types::cluster::Right::ALL).
    Rights(Result<[bool; 3], Fault>),
    /// An exec plugin wrote this on stderr.
    PluginSaid(String),
}

/// Answers about pods.
#[derive(Debug, Clone, PartialEq)]
pub enum PodEvent {
    /// A request to create was answered.
    Created {
        request: PodRequestId,
        /// The pod as stored, or the refusal.
        result: Result<Box<ProxyPod>, Fault>,
    },
    /// A deletion was answered; a pod that was gone already counts as deleted.
    Deleted {
        key: PodKey,
        /// Success, or the refusal.
        result: Result<(), Fault>,
    },
    Described {
        key: PodKey,
        /// Its lines.
        result: Result<Vec<DescriptionLine>, Fault>,
    },
    /// More of a pod's log.
    Logged {
        key: PodKey,
        /// The epoch of the followed log.
        epoch: Epoch,
        /// New lines.
        lines: Vec<String>,
    },
    LogEnded {
        key: PodKey,
        /// The epoch of the followed log.
        epoch: Epoch,
        /// The reason, unless the log simply ended.
        fault: Option<Fault>,
    },
}

/// Changes of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardEvent {
    /// It listens on this Unix socket; [`Self::Bound`] follows.
    BoundSocket(String),
    /// It listens.
    Bound(Vec<SocketAddr>),
    /// It cannot listen; for a taken port the fault names the holder and the remedy the next free port.
    NotBound(Fault),
    /// A tunnel through this pod is open.
    Up(Via),
    /// The tunnel broke and is being opened again.
    Down(Fault),
    /// These are the running pods of its workload, the best first.
    Backends(Vec<Backend>),
    /// Its workload leads nowhere; looking for it goes on.
    NoBackend(Fault),
    /// The lookup of its workload's pods was refused or failed. It says nothing of the pods; looking for them goes on.
    LookupFailed(Fault),
    /// Its workload has no pods to go to, but this address stands for it: a proxy pod reaches it.
    Relay(Address),
    /// A pod of its workload runs but takes no connections.
    Refused(Via),
    /// A proxy pod does not run our own relay, for this reason: its connections go by socat.
    WithoutRelay(Via, String),
    /// New connections go through the pod proxy.
    ByPodProxy(Via),
    /// New connections use port-forward; the pod proxy does not work. `news`: not reported yet for this namespace.
    NotByPodProxy { via: Via, why: String, news: bool },
    /// A connection arrived while it rests; carries the number of that rest.
    Wanted(u64),
    /// Every connection through a former pod has ended.
    Drained(Via),
    /// Its target was probed.
    Probed(Health),
    /// A user of this machine who may not connect was refused, for the first time. No id: it is not known whose the
    /// connection was.
    UserRefused { uid: Option<u32>, name: String },
    /// The system does not tell whose a connection is.
    UsersUntold,
    /// A client of a proxy target named a destination that is not allowed, for the first time.
    NotAllowed(Address),
    /// These are its open connections, in the order of their beginning.
    Connections(Vec<Connection>),
    /// One connection failed; the forward goes on.
    ConnectionFailed(Fault),
    /// The listener is closed and everything of it is gone.
    Closed,
}

/// Results of reading and writing files.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreEvent {
    /// The config was read, at start or after a change on disk.
    Loaded(Box<Loaded>),
    /// The config cannot be used as it is; the last good one stays.
    Broken(Fault),
    /// Edits were written.
    Saved,
    /// Edits could not be written. Where the file contradicts one of them (`EditConflict`, `NameTaken`, `TtlTooLong`)
    /// it is over, and a `Loaded` follows with the targets as they are; else they can be tried again.
    NotSaved(Fault),
    /// Targets of the older `brow` tool were found and not yet offered.
    Legacy {
        /// The file.
        path: String,
        targets: Vec<Target>,
        /// Entries that cannot be taken over, each with the reason.
        left_out: Vec<String>,
    },
    /// A text or file was looked through for targets.
    Offers {
        /// The file; empty for a text.
        from: String,
        offers: Vec<Offer>,
        /// Parts that cannot be taken over.
        left_out: Vec<LeftOut>,
    },
    /// Targets as the config has them.
    Exported {
        /// The number of targets.
        count: usize,
        /// As TOML.
        text: String,
    },
    /// These forwards were open in instances that have ended.
    Claimed(Vec<OpenForward>),
    /// A pod that claims to be ours was looked up.
    Recognised {
        uid: String,
        /// True if this installation made it; `None` where that cannot be read.
        is_ours: Option<bool>,
    },
    /// Another file of ours (state, audit) failed; told once.
    Trouble(Fault),
}

/// A config as read, with the ports remembered from earlier runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// All but the targets.
    pub settings: Settings,
    /// The targets, in the file's order.
    pub targets: Vec<Target>,
    /// Local ports that targets without one of their own had last.
    pub ports: Vec<(String, u16)>,
    /// The current names of renamed targets, by cluster and the label that their pods still have.
    pub renamed: BTreeMap<(String, String), String>,
    /// Clusters in which pods of earlier runs may live, with when the last TTL is up.
    pub pods_until: BTreeMap<String, DateTime<Utc>>,
    /// The uids of the pods that this installation made, as far as they may still be there.
    pub own: BTreeSet<String>,
    /// The result of the pod proxy when it was tried last, by cluster and namespace: `None` if it worked, else the
    /// reason.
    pub pod_proxies: BTreeMap<(String, String), Option<String>>,
    /// The Prometheuses that were found, by context.
    pub prometheus: BTreeMap<String, Prometheus>,
    /// The tips that were learned, by name.
    pub learned: BTreeSet<String>,
    /// The path of the config, for messages.
    pub path: String,
    /// True if the file exists.
    pub exists: bool,
    /// The targets whose address is a URL with a login in it, which nobody needs.
    pub logins: Vec<String>,
    /// An environment variable that makes no sense and was passed over.
    pub ignored: Option<Fault>,
}
