//! Effects: orders that [`Model::update`](crate::Model::update) returns, by domain. `effects` carries them out, and the
//! loop those of the terminal.

use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

pub use crate::language::edit::EditEffect;
use crate::language::fault::{Fault, What};
use crate::language::gateway::GatewayEffect;
use crate::language::log::Entry;
use crate::language::metrics::MetricsEffect;
pub use crate::language::page::PageEffect;
use crate::screen::first_run::Tip;
use crate::types::agent::Consent;
use crate::types::connection::ConnectionId;
use crate::types::edit::Draft;
use crate::types::epoch::Epoch;
use crate::types::forward::{ForwardId, ForwardSpec};
use crate::types::forward_settings::LocalUsers;
use crate::types::health::ProbePlan;
use crate::types::index::{ObjectRef, ServedKind};
use crate::types::inventory::ObjectKey;
use crate::types::metrics::Prometheus;
use crate::types::ownership::Claim;
use crate::types::proxy::{PodKey, PodRequest};
use crate::types::restore::OpenForward;
use crate::types::route::Via;
use crate::types::shell::{ShellPlace, ShellRecord};
use crate::types::target::Target;
use crate::types::why::Question;

/// One order, for the handler of its domain.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// For the connections to clusters.
    Cluster(ClusterEffect),
    /// For proxy pods.
    Pod(PodEffect),
    Forward(ForwardEffect),
    /// For the container engine.
    Gateway(GatewayEffect),
    /// For the measuring of clusters.
    Metrics(MetricsEffect),
    /// For the editing of objects.
    Edit(EditEffect),
    /// For the writer of files.
    Store(StoreEffect),
    /// For the owner of the terminal.
    Terminal(TerminalEffect),
}

/// An order about a cluster or the kubeconfig.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterEffect {
    /// Read the kubeconfig again.
    ReadKubeconfig,
    /// Connect to a cluster and watch its proxy pods, replacing an older connection.
    Connect {
        /// The context.
        cluster: String,
        /// The connection's epoch.
        epoch: Epoch,
        /// The namespaces to watch where a cluster-wide watch is not allowed.
        namespaces: BTreeSet<String>,
    },
    /// Watch these namespaces too, where a cluster-wide watch is not allowed.
    Widen {
        /// The context.
        cluster: String,
        /// All namespaces to watch.
        namespaces: BTreeSet<String>,
    },
    /// Ask what we may do in a namespace.
    AskRights {
        /// The context.
        cluster: String,
        /// The connection's epoch, echoed in the answer.
        epoch: Epoch,
        namespace: String,
    },
    /// Let a cluster go, by its context.
    Disconnect { cluster: String },
    /// Look for services and workloads in a cluster, and go on looking.
    Browse {
        /// The context.
        cluster: String,
        /// Echoed in what is found.
        epoch: Epoch,
        /// The namespaces to look into where not all may be looked into at once.
        namespaces: BTreeSet<String>,
    },
    /// Stop looking, everywhere.
    StopBrowsing,
    /// Index a cluster, and keep the index up to date.
    Index {
        /// The context.
        cluster: String,
        /// Echoed in what is found.
        epoch: Epoch,
        /// The namespaces to look into where not all may be looked into at once.
        namespaces: BTreeSet<String>,
        /// True if only these are looked into.
        only: bool,
    },
    StopIndexing {
        /// The context.
        cluster: String,
    },
    /// About an object's page.
    Page(PageEffect),
    /// Look up the kind of an object as the cluster serves it.
    FindObject {
        key: ObjectKey,
        /// Echoed in the answer.
        epoch: Epoch,
    },
    /// Fetch the ports of an object.
    ReadPorts(ObjectRef),
    /// List the ports of a cluster's nodes by the services that have them.
    ListNodePorts {
        /// The context.
        cluster: String,
        /// The namespaces to look into where not all may be looked into at once.
        namespaces: BTreeSet<String>,
    },
    /// Take the steps to something, instead of those that are being taken.
    TakeSteps {
        question: Box<Question>,
        /// Echoed in the answer.
        epoch: Epoch,
    },
    /// Take no more steps, and delete the proxy pod that was created for them.
    StopSteps,
    /// Fetch one port of an object, by its number or name.
    ReadPort { object: ObjectRef, port: String },
    /// Ask which kinds a cluster serves.
    ListKinds {
        /// The context.
        cluster: String,
        /// Echoed in the answer.
        epoch: Epoch,
    },
    /// Watch the objects of a kind, and no other kind's.
    ShowKind {
        /// The context.
        cluster: String,
        /// Echoed in what is found.
        epoch: Epoch,
        kind: Arc<ServedKind>,
        /// The namespaces to look into where not all may be looked into at once.
        namespaces: BTreeSet<String>,
        /// True if only these are looked into.
        only: bool,
    },
    /// Stop asking for kinds and watching objects.
    HideKind,
}

/// An order about a proxy pod in a cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum PodEffect {
    /// Create a proxy pod.
    Create(Box<PodRequest>),
    /// Delete a pod, if it still has this uid.
    Delete { key: PodKey, uid: String },
    /// Fetch a pod's description.
    Describe(PodKey),
    FollowLog {
        key: PodKey,
        /// Echoed in the answers.
        epoch: Epoch,
    },
    /// Stop following the log.
    StopLog,
}

/// An order about a forward.
#[derive(Debug, Clone, PartialEq)]
pub enum ForwardEffect {
    /// Open a forward: listen, and go through `via` once there is one.
    Open {
        spec: Box<ForwardSpec>,
        /// The pod, where one is ready.
        via: Option<Via>,
    },
    /// Send a forward's new connections another way; with `None` they wait (`waiting`) or fail.
    Point {
        id: ForwardId,
        /// The pod.
        via: Option<Via>,
        /// Without a pod: whether one is coming.
        waiting: bool,
        /// True if the model limits the waiting. Else each connection has one of its own.
        on_demand: bool,
    },
    /// Spread a forward's new connections over these pods, beside the one that it is pointed at.
    Spread { id: ForwardId, pods: Vec<Via> },
    /// Have a forward rest: nothing behind its listener until a connection asks for it.
    Rest {
        id: ForwardId,
        /// Tells this rest from others of this opening.
        round: u64,
        /// The reason for which waiting connections fail; without one they ask again.
        failed: Option<Fault>,
    },
    /// Probe a forward's target this way from now on, or not at all.
    Probe {
        id: ForwardId,
        /// The probe, or none.
        plan: Option<ProbePlan>,
    },
    /// Let these users of this machine connect from now on.
    Admit { id: ForwardId, users: LocalUsers },
    /// List a forward's open connections.
    ListConnections { id: ForwardId },
    /// Reset one of a forward's connections.
    EndConnection { id: ForwardId, connection: ConnectionId },
    /// Close a forward and all its connections.
    Close { id: ForwardId },
    /// Have another instance close a forward of its own.
    StopElsewhere {
        instance: String,
        /// The forward's number there.
        id: u64,
    },
    /// Answer the question of an agent that another instance has asked.
    AnswerElsewhere {
        instance: String,
        /// The question's number there.
        question: u64,
        consent: Consent,
    },
}

/// An order about files: the config, the state, the audit log.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreEffect {
    /// Read the config again and tell, changed or not.
    Reload,
    /// Write changes of targets to the config.
    Save(Vec<TargetEdit>),
    /// Have what is remembered of targets follow changes that somebody else made to the config.
    Follow(Vec<TargetEdit>),
    /// Look for targets in a text, or in the file that it names.
    ReadOffers {
        /// The text, or a file's path (`~` is the home).
        text: String,
        /// The context for whatever names none.
        cluster: String,
    },
    /// Write targets as the config has them, to be copied.
    Export(Vec<Target>),
    /// Remember the local port a target got.
    RememberPort {
        /// The target's name.
        target: String,
        port: u16,
    },
    /// Remember that pods of ours may live in a cluster.
    PodsUntil {
        /// The context.
        cluster: String,
        /// The end of the last TTL.
        until: DateTime<Utc>,
    },
    /// Remember that no pod of ours is left in a cluster, unless another instance has made one since.
    PodsGone {
        /// The context.
        cluster: String,
        /// The time of that finding.
        at: DateTime<Utc>,
    },
    /// Look up whether this installation made a pod that says so.
    Recognise(Claim),
    /// Forget a pod of ours that is gone, by its uid.
    ForgetPod(String),
    /// Remember the result of the pod proxy in a namespace.
    PodProxy {
        /// The context.
        cluster: String,
        namespace: String,
        /// The reason if it does not work.
        failure: Option<String>,
    },
    /// Remember the Prometheus of a cluster, or that there is none any more.
    Prometheus {
        /// The context.
        cluster: String,
        found: Option<Box<Prometheus>>,
    },
    /// Remember the theme that a person chose by key.
    RememberTheme(&'static str),
    /// Remember that a key needs not be taught any more.
    Learned(Tip),
    /// Make the open forwards of all other instances, but those that run, this instance's, and tell them.
    ClaimOpen {
        instance: String,
        running: BTreeSet<String>,
    },
    RememberOpen {
        instance: String,
        open: Vec<OpenForward>,
    },
    /// Remember that the older tool's targets were offered.
    LegacyOffered,
    /// Write a line of the audit log.
    Audit(AuditEntry),
}

/// An order that only the owner of the terminal can carry out.
#[derive(Debug, Clone, PartialEq)]
pub enum TerminalEffect {
    /// Have the terminal call a person's attention to this, as the settings say.
    Notify(Entry),
    /// Put this on the clipboard, and tell how that went ([`Event::Clipped`](crate::event::Event)).
    Copy(Clip),
    /// Open a session in a container.
    Shell(ShellPlace),
    /// Open a text in the person's editor. With a fault, the reason why it was refused stands above it as a comment.
    EditText {
        draft: Box<Draft>,
        fault: Option<Fault>,
        /// Echoed in the answer.
        epoch: Epoch,
    },
    /// End the program.
    Quit,
}

/// Something for the clipboard.
#[derive(Debug, Clone, PartialEq)]
pub enum Clip {
    Text(String),
    /// So many targets, in a form to keep.
    Targets {
        count: usize,
        text: String,
    },
    /// A fault's words, and the Role that its remedy asks for.
    Fault(Box<Fault>),
    /// Log entries, as they are worded on the screen.
    Entries(Vec<Entry>),
}

/// One change of the saved targets.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetEdit {
    /// A new target.
    Add(Target),
    /// A target of the older tool.
    Import(Target),
    /// A target becomes another (perhaps under another name). Only what differs between the two is changed in the
    /// file, so that what somebody else changed meanwhile stays.
    Replace {
        /// The target as it was when the person began to edit it.
        was: Box<Target>,
        /// The target after the edit.
        target: Target,
    },
    /// A target goes, if it is still this one.
    Remove(Target),
    /// A removed target comes back, with the comments it had where they are still known.
    Restore(Target),
}

/// One line of the audit log. It holds no address and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    pub at: DateTime<Utc>,
    /// The action: `create-pod`, `delete-pod`; `open-forward`, `restart-forward`, `close-forward`; `add-target`,
    /// `edit-target`, `rename-target`, `delete-target`, `restore-target`, `import-targets`; `connect-cluster`,
    /// `disconnect-cluster`; `open-shell`, `close-shell`; `open-copy`, `close-copy`; `create-gateway`, `start-gateway`,
    /// `stop-gateway`, `delete-gateway`; `edit-object`, `create-object`, `delete-object`;
    /// `agent-connect`, `agent-renew`, `agent-stop`, `agent-refused`,
    /// `agent-expired`, `agent-withdrawn`.
    pub action: &'static str,
    /// To what: a pod's, target's or context's name; for a renaming, both names.
    pub thing: String,
    /// The person, as in proxy pods (`user@host`), where it is about an object that was edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The context, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The namespace, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the agent's program, where it is about what one asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The fault's kind, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<What>,
    /// The details of a session in a container.
    #[serde(flatten)]
    pub shell: Option<Box<ShellRecord>>,
}
