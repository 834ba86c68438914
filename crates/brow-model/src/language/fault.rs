//! Faults: errors that reach a person, as data. Their words are in `text`.

use serde::Serialize;

pub use crate::language::logins::without_logins;
use crate::sanitize;

/// An error for the user: its kind, the object that has it, and the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind of fault; it chooses the sentence.
    pub what: What,
    /// The thing it happened to: a context, a pod, a file, a port.
    pub thing: String,
    /// The words of whoever refused (the server, the kernel, a parser), where there are any.
    pub detail: String,
    /// The next step for the user.
    pub remedy: Remedy,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident,)+) => {
        /// Kinds of fault, one sentence each in the text tables (`fault.<name>`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum What { $($(#[doc = $doc])+ $variant,)+ }

        /// Phrases in refusals by admission webhooks and admission policies, which may have any status
        /// (`apiserver/pkg/admission/plugin/webhook/errors`, `…/plugin/policy/validating/dispatcher.go`).
const ADMISSION: [&str; 3] = ["admission webhook", "denied the request", " denied request: "];

/// Phrases of an API server that cannot reach a kubelet (`apimachinery/pkg/util/proxy/dial.go`, `…/rest/proxy.go`).
const KUBELET: [&str; 4] = ["error dialing backend", "error trying to reach service", ":10250", "/containerLogs/"];

/// Phrases of a kubelet that cannot reach its container runtime (gRPC, and the kubelet's own `runtime.go`).
const RUNTIME: [&str; 6] = [
    "containerd.sock",
    "crio.sock",
    "cri-dockerd.sock",
    "container runtime is down",
    "container runtime not ready",
    "rpc error: code = DeadlineExceeded",
];

/// Phrases about a relay that has as many connections as it takes.
const FULL: [&str; 1] = ["the pod's relay has no room"];

/// Phrases about a relay that does not know its secret (`crate::types::proxy::relay`).
const RELAY: [&str; 1] = ["the pod's relay"];

impl What {
    /// Recognises a fault by the text of a server's refusal, whatever its status.
    pub fn by_words(words: &str) -> Option<Self> {
        let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
        if says(&ADMISSION) {
            Some(Self::Admission)
        } else if says(&RUNTIME) {
            Some(Self::Runtime)
        } else if says(&KUBELET) {
            Some(Self::Kubelet)
        } else if says(&FULL) {
            Some(Self::RelayFull)
        } else if says(&RELAY) {
            Some(Self::Relay)
        } else {
            None
        }
    }

            /// Every kind, for tables that must name all.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
        }
    };
}

kinds! {
    /// No kubeconfig where one was looked for.
    NoKubeconfig,
    /// A kubeconfig that cannot be read or parsed.
    KubeconfigBroken,
    /// A context that cannot be used: it is incomplete, or names a file or user that is not there.
    ContextBroken,
    /// An entry that is there more than once, not always alike. Detail: the file that counts, and one that does not.
    EntryTwice,
    /// A context that no kubeconfig has.
    UnknownContext,
    /// An exec plugin that could not be run or failed.
    PluginFailed,
    /// An exec plugin that is not installed.
    PluginMissing,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// The server cannot be reached: refused, no route, no such host.
    Unreachable,
    /// The server did not answer in time.
    TimedOut,
    /// The server takes no more requests for now (429).
    Busy,
    /// TLS: unknown authority, wrong name, expired certificate.
    Tls,
    /// The proxy on the way to the API server failed.
    ApiProxy,
    /// The namespace does not exist.
    NamespaceMissing,
    /// A quota is used up.
    Quota,
    /// Pod Security admission refused the pod.
    PodSecurity,
    /// Another admission plugin or webhook refused the pod.
    Admission,
    /// The server found the request invalid.
    Invalid,
    /// Any other answer of the API server that is an error.
    Server,
    /// A refusal that Kubernetes did not write: something on the way to the API server answers in its place.
    NotKubernetes,
    /// An answer that is larger than we take. Detail: what is, and how much is taken.
    AnswerTooLarge,
    /// There are more things than we keep. Detail: how many are kept.
    TooMany,
    /// 401 or 403, and the login was not sent because the server is reached over plain HTTP.
    LoginWithheld,
    /// The image cannot be pulled.
    ImagePull,
    /// The container cannot be made from its config.
    ContainerConfig,
    /// No node takes the pod.
    Unschedulable,
    /// The node is not ready, by its own report or for want of one.
    NodeNotReady,
    /// The API server answers, and the node does not: its kubelet, its container runtime or the way to it.
    NodeSilent,
    /// The API server cannot reach the node's kubelet.
    Kubelet,
    /// The kubelet answers, and the node's container runtime does not.
    Runtime,
    /// The kubelet evicted the pod.
    Evicted,
    /// The pod was deleted, by someone else or elsewhere.
    PodDeleted,
    /// The pod's TTL is up.
    PodExpired,
    /// The pod ended by itself.
    PodFailed,
    /// A pod's relay does not take us for who made the pod: another installation did, or an older version.
    Relay,
    /// A pod's relay has as many connections as its memory allows.
    RelayFull,
    /// A pod does not run our own relay, and no other carries UDP. Detail: why it does not, if that is known.
    NoUdp,
    /// A pod does not run our own relay, and no other serves proxy targets. Detail: why it does not, if that is known.
    NoProxy,
    /// A forward has no pod to go through.
    NoPod,
    /// A pod that took longer than a forward on demand waits. Detail: how long that is.
    PodLate,
    /// A workload that the cluster does not have.
    WorkloadMissing,
    /// A kind of workload that the cluster does not know. Detail: the CRD that is missing, else kinds that are near.
    KindMissing,
    /// A workload that selects no pods.
    NoSelector,
    /// A port that a workload or its pods don't have.
    PortMissing,
    /// No pod of a workload runs, and it was waited for.
    NoPodRuns,
    /// No pod of a workload is ready, though some run. Detail: those.
    NotReady,
    /// A service that selects no pods has no endpoint that is ready.
    NoEndpoints,
    /// Nothing in a pod listens on a port.
    NotListening,
    /// Network policies let no proxy pod in. Detail: their names.
    PolicyBlocks,
    /// Nobody can tell whether network policies let a proxy pod in. Detail: their names.
    PolicyUnclear,
    /// Nothing tells whether something listens to datagrams.
    UdpSilent,
    /// No service has a node port. Detail: those that there are.
    NodePortMissing,
    /// Only a proxy pod could tell, and none was to be created.
    NeedsPod,
    /// The local port is taken.
    PortInUse,
    /// The local port needs privileges.
    PortPrivileged,
    /// The local address cannot be listened on for another reason.
    ListenFailed,
    /// The target refused the connection.
    TargetRefused,
    /// The target did not answer the relay in time.
    TargetTimedOut,
    /// The target's name does not resolve in the cluster.
    TargetUnresolved,
    /// The target's network or host is not reachable from the pod.
    TargetUnreachable,
    /// The target does not answer a probe as it should. Detail: what it says.
    ProbeFailed,
    /// A Prometheus does not answer, or refuses a query. Detail: its words.
    Prometheus,
    /// The target cut the connection.
    TargetReset,
    /// The tunnel to the pod broke or could not be opened.
    Tunnel,
    /// The config (or another file of ours) does not parse or says something impossible.
    ConfigBroken,
    /// An environment variable says something impossible; it is ignored.
    VariableBroken,
    /// A file cannot be read.
    FileUnreadable,
    /// A file cannot be written (read-only home, full disk).
    FileUnwritable,
    /// A file changed in a way that an edit cannot be merged with.
    EditConflict,
    /// The editor could not be run or failed. Detail: its status.
    EditorFailed,
    /// An object's text is no manifest of that object. Detail: why.
    TextInvalid,
    /// The server refused an object as invalid. Detail: its words.
    ObjectInvalid,
    /// The cluster's admission control refused an object. Detail: its words.
    ObjectRefused,
    /// Somebody else changed an object while it was edited. Detail: the changed lines.
    ObjectChanged,
    /// An object that was edited is no longer there.
    ObjectGone,
    /// There is an object of the name that a new one was to have.
    ObjectExists,
    /// An object is of a kind that Kubernetes itself brings, which is not edited here.
    KindBuiltIn,
    /// A TTL above the ceiling.
    TtlTooLong,
    /// A target that no longer exists was to be used.
    TargetMissing,
    /// A name that another target has.
    NameTaken,
    /// Another instance is there and does not answer.
    InstanceUnheard,
    /// Another instance does not do what it was asked for.
    InstanceSilent,
    /// The dashboard was started where there is no terminal.
    NoTerminal,
    /// No container engine is at the sockets where one may be.
    NoEngine,
    /// The user has no right to the engine's socket.
    EngineForbidden,
    /// The engine does not answer in time.
    EngineSilent,
    /// The engine is on another machine.
    EngineRemote,
    /// The engine refused a request, or its answer makes no sense.
    Engine,
    /// The engine runs no such local cluster. Detail: those that it runs.
    NoLocalCluster,
    /// A cluster has no node with an address.
    NoNodes,
    /// A local cluster has no such node. Detail: those that it has.
    NodeUnknown,
    /// The container of a node does not run.
    NodeStopped,
    /// A node and a gateway have no network in common on which names resolve. Detail: the gateway and its network.
    NodeNetwork,
    /// The image of gateways cannot be had.
    GatewayImage,
    /// A gateway does not run. Detail: its state, or the end of its log.
    GatewayDown,
    /// There is no such gateway. Detail: those that there are.
    GatewayMissing,
    /// A local port that a gateway is to have is taken, or all of the range are. Detail: the holder.
    GatewayPortTaken,
    /// A gateway was made by another installation. Detail: its owner.
    GatewayForeign,
    /// Nothing listens on a node's port.
    NodePortRefused,
    /// Nothing takes datagrams on a node's port.
    NodePortUdpRefused,
    /// A mistake of ours: a part of the program panicked. Detail: its words.
    Internal,
}

/// The next step for the user; one sentence each in the text tables (`remedy.<name>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing needs doing: it is tried again by itself.
    Retrying,
    /// Ask for a right; the Role that grants it can be copied.
    Grant(Grant),
    /// Take another local port: this one is free.
    OtherPort(u16),
    /// Log in again, as this login plugin wants it; the rest goes on by itself.
    Login(String),
    /// The step that belongs to the kind of fault (`remedy.<what>`).
    ByKind,
}

/// A right in the cluster that was missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `list`, `watch`, `create`, `delete`, `get`.
    pub verb: String,
    /// `pods`, `pods/portforward`, `deployments.apps`: with its group behind a dot, as `kubectl auth can-i` takes it.
    /// Several stand between commas.
    pub resource: String,
    /// The namespace; `None`: cluster-wide.
    pub namespace: Option<String>,
}

impl Grant {
    /// Returns true for the right to read a service or a workload, which is not needed in every case.
    pub fn is_of_workload(&self) -> bool {
        let reads = matches!(self.verb.as_str(), "get" | "list" | "watch");
        let is_group = self.resource.contains('.') && !self.resource.starts_with("endpoint");
        self.resource == "services" || (reads && is_group)
    }
}

impl Fault {
    /// Returns the first of several faults, whose remedy grants the resources of all.
    pub(crate) fn merged<'a>(faults: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut faults = faults.into_iter();
        let mut merged = faults.next()?.clone();
        let Remedy::Grant(grant) = &mut merged.remedy else { return Some(merged) };
        for fault in faults {
            if let Remedy::Grant(other) = &fault.remedy {
                grant.resource.push_str(", ");
                grant.resource.push_str(&other.resource);
            }
        }
        Some(merged)
    }

    /// A fault whose remedy follows from its kind. What others say in it is made fit to be shown, and no URL keeps a
    /// login.
    pub fn new(what: What, thing: impl Into<String>, detail: impl Into<String>) -> Self {
        let (thing, detail) = (without_logins(&thing.into()), without_logins(&detail.into()));
        let (thing, detail) = (sanitize::line(&thing).into_owned(), sanitize::lines(&detail).into_owned());
        Self { what, thing, detail, remedy: Remedy::ByKind }
    }

    /// The same fault with another remedy.
    #[must_use]
    pub fn with(self, remedy: Remedy) -> Self {
        Self { remedy, ..self }
    }
}

impl Fault {
    /// A fault of a login with the command of the plugin that logs in.
    #[must_use]
    pub fn with_plugin(self, plugin: Option<&str>) -> Self {
        let is_of_login = matches!(self.what, What::Unauthorized | What::PluginFailed);
        match plugin.filter(|_| is_of_login && self.remedy == Remedy::ByKind) {
            Some(command) => self.with(Remedy::Login(command.to_owned())),
            None => self,
        }
    }
}

impl What {
    /// Returns true if an edit is in conflict with the file and is dropped. After other faults of a save its edits are
    /// kept and retried.
    pub fn ends_an_edit(self) -> bool {
        matches!(self, Self::EditConflict | Self::NameTaken | Self::TtlTooLong)
    }
}
