//! The event log: what happened, when, to what.

use chrono::{DateTime, Utc};

use crate::language::command::{Command, Section};
use crate::language::fault::Fault;
use crate::screen::batch::Batch;
use crate::types::offer::OutcomeCounts;

/// The severity of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For the record.
    Info,
    /// Something worked.
    Success,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// An event in the log; one sentence each in the text tables (`log.<name>`), with `{thing}` and `{detail}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A cluster answers. Detail: its version.
    ClusterReady,
    /// A cluster was let go.
    ClusterDisconnected,
    /// The watch covers some namespaces only. Detail: which.
    ScopeNarrowed,
    /// An exec plugin's stderr. Detail: its words.
    PluginSaid,
    /// A pod is asked for. Detail: the place.
    PodAsked,
    /// A pod was stored.
    PodCreated,
    /// A pod has a limit of CPU that nobody here asked for. Detail: the limit.
    CpuLimited,
    /// A proxy pod cannot run our own relay. Detail: why.
    RelayedBySocat,
    /// A pod carries datagrams with socat, which does less.
    UdpBySocat,
    /// Connections to a pod do not go through the pod proxy. Detail: why.
    NoPodProxy,
    PodReady,
    /// A pod is being deleted on our order.
    PodKilled,
    /// Finished and expired pods are being deleted. Thing: how many.
    PodsCleaned,
    /// There was nothing to clean.
    NothingToClean,
    /// A form was about to be left with what was typed in it.
    FormUnsaved,
    /// A pod went away without our doing.
    PodGone,
    /// A pod's TTL is nearly up. Thing: the target. Detail: the time left.
    PodEnds,
    /// Kubernetes ends the pod of a session on a node soon. Detail: the time left.
    ShellEnds,
    /// A pod's TTL is up.
    PodExpired,
    /// A forward listens. Detail: where.
    ForwardOpened,
    /// A forward asked for a taken port and got another. Detail: which.
    ForwardElsewhere,
    /// A forward goes through another pod now. Detail: which.
    ForwardMoved,
    /// A forward's tunnel is open again.
    ForwardBack,
    ForwardClosed,
    /// A forward on demand was not used for so long that it rests now.
    ForwardRests,
    /// A forward has lost its pod; the next connection gets it another. Detail: the pod.
    ForwardListens,
    /// A forward is one on demand from now on. Detail: where it listens.
    OnDemandNow,
    /// A forward is no longer one on demand. Detail: where it listens.
    AlwaysNow,
    /// A forward listens where others than this machine reach it. Detail: where.
    OpenToOthers,
    /// Another user of this machine was refused. Detail: who, if that is known.
    UserRefused,
    /// A client of a proxy target named a destination that is not allowed. Detail: which.
    NotAllowed,
    /// A probe found a forward's target down.
    WentDown,
    /// A probe found it up again.
    WentUp,
    /// An agent asks for a target. Detail: its program.
    AgentAsks,
    /// An agent connected to a target. Detail: its program.
    AgentConnected,
    /// Nobody answered an agent's question about a target in time. Detail: its program.
    AgentUnanswered,
    /// The forward of an agent was closed, since the config no longer lets it. Detail: its program.
    AgentWithdrawn,
    /// A pod is to be replaced by another with a new TTL.
    RenewalAsked,
    /// A pod was replaced. Detail: the pod that takes over.
    Renewed,
    /// A pod of ours is to go, but another instance goes through it: it does when that leaves it, or with its TTL.
    PodUsedElsewhere,
    /// A pod cannot be renewed: it is not a ready one of our own with a saved target.
    NotRenewable,
    /// A URL was taken apart. Thing: the address in it.
    AddressTaken,
    /// The config holds logins in URLs, which nothing needs. Thing: the targets.
    LoginInAddress,
    TargetSaved,
    /// A target was renamed. Detail: the new name.
    TargetRenamed,
    /// A target was deleted; `u` brings it back.
    TargetDeleted,
    /// A deleted target is back.
    TargetRestored,
    /// Something happened to several at once. Thing: how many.
    Several(Batch),
    /// No target has a tag.
    NoTags,
    /// There is nothing to undo.
    NothingToUndo,
    /// Targets were imported. Thing: how many.
    Imported,
    /// Offers became targets. Detail: their names.
    Taken(OutcomeCounts),
    /// A file or a text offers no targets. Thing: which file.
    NothingOffered,
    /// Targets went to the clipboard. Thing: how many.
    Exported,
    /// Nothing is hidden from a browser.
    NothingMissing,
    /// An object that is referred to does not exist. Detail: its kind.
    ObjectMissing,
    /// An object is of a kind that Kubernetes brings. Thing: the kind.
    KindBuiltIn,
    /// An object was edited. Detail: the cluster.
    ObjectEdited,
    /// An object was created. Detail: the cluster.
    ObjectCreated,
    /// An object was deleted. Detail: the cluster.
    ObjectDeleted,
    /// An edited text says what is there already.
    ObjectUnchanged,
    /// An edit was left. Detail: the file that keeps its text.
    TextKept,
    /// An object has no port that could be forwarded.
    NoPorts,
    /// A result of the search cannot be forwarded.
    NotForwardable,
    /// The config was read again, because it changed on disk or a person asked for it.
    ConfigRead,
    /// A Prometheus was found. Detail: its service, and the URL of a direct way.
    PrometheusFound,
    /// No Prometheus was found. Detail: what was tried.
    NoPrometheus,
    /// A Prometheus is being looked for.
    PrometheusSought,
    /// The config lets no Prometheus be looked for.
    PrometheusOff,
    /// The config says where the Prometheus is. Detail: its URL.
    PrometheusFixed,
    /// No Prometheus of a cluster is known.
    PrometheusUnknown,
    /// Another theme: its name.
    ThemeChosen,
    /// The kubeconfig was read again. Thing: how many contexts it has.
    KubeconfigRead,
    /// A text went to the clipboard. Thing: the text.
    Copied,
    /// Entries of the log went to the clipboard. Thing: how many.
    CopiedEntries,
    /// The terminal was asked to put a text on the clipboard, and may not have. Thing: the text.
    NotCopied,
    /// Something failed: the fault says what.
    Failed(Box<Fault>),
    /// A command works in other places only.
    NotHere {
        command: Command,
        /// Those places.
        places: Vec<Section>,
    },
    NothingSelected,
    /// There is no fault to show or to copy.
    NothingWrong,
    /// A cluster is not connected.
    NotConnected,
    /// There is no dialog, filter or mark to leave.
    NothingToLeave,
    /// A target has no forward.
    NotForwarded,
    /// No gateway is among the chosen rows.
    NoGatewayChosen,
    /// Nothing behind a row is a pod.
    NoPodBehind,
    /// There are no sessions in containers.
    NoShells,
    /// A session in a container is asked to end. Detail: its process.
    ShellEnding,
    /// A session in a container has ended well.
    ShellEnded,
    /// One has ended. Detail: its exit code.
    ShellEndedWith,
    /// One was killed. Detail: the number of the signal.
    ShellKilled,
    /// The program that makes panes has made none. Detail: its exit code.
    ShellNoPane,
    /// A session in a container was opened in another pane.
    ShellInPane,
    /// A session in a container could not be opened. Detail: the reason.
    ShellFailed,
    /// A target is forwarded already. Detail: where.
    AlreadyForwarded,
    /// Another instance forwards a target. Detail: where.
    ForwardedElsewhere,
    /// Another instance is asked to close a forward. Detail: its process.
    StoppedElsewhere,
    /// A forward is another instance's. Detail: its process.
    OfAnother,
    /// A gateway is being made for a target. Detail: the cluster.
    GatewayAsked,
    /// A gateway was created. Detail: what its ports lead to.
    GatewayCreated,
    GatewayStarted,
    /// A gateway is stopped, until somebody starts it.
    GatewayStopped,
    GatewayDeleted,
    /// A target can have no gateway. Detail: its cluster.
    NotPersistable,
    /// There is no other pod to go through.
    NoOtherPod,
    /// Connections are spread over all pods: there is none to switch to.
    Spreads,
    /// A target is reached without a proxy pod. Detail: the workload.
    NeedsNoPod,
}

impl Message {
    /// Returns true if the entry tells of one what may have been asked for several at once.
    pub(crate) fn is_of_one(&self) -> bool {
        matches!(
            self,
            Self::ForwardOpened
                | Self::ForwardElsewhere
                | Self::OpenToOthers
                | Self::ForwardClosed
                | Self::PodAsked
                | Self::PodCreated
                | Self::PodReady
                | Self::PodKilled
                | Self::RenewalAsked
                | Self::Renewed
        )
    }

    /// Returns true if the entry answers a key press that would have no visible effect otherwise.
    pub(crate) fn is_feedback(&self) -> bool {
        matches!(
            self,
            Self::NothingToClean
                | Self::FormUnsaved
                | Self::NothingToUndo
                | Self::Several(_)
                | Self::NoTags
                | Self::Copied
                | Self::CopiedEntries
                | Self::NotCopied
                | Self::AddressTaken
                | Self::NotHere { .. }
                | Self::NothingSelected
                | Self::NothingWrong
                | Self::Taken(_)
                | Self::NothingOffered
                | Self::Exported
                | Self::NothingMissing
                | Self::ObjectMissing
                | Self::KindBuiltIn
                | Self::ObjectUnchanged
                | Self::TextKept
                | Self::NotConnected
                | Self::NothingToLeave
                | Self::NotForwarded
                | Self::NoGatewayChosen
                | Self::NoPodBehind
                | Self::NoShells
                | Self::ShellEnding
                | Self::ShellEnded
                | Self::ShellEndedWith
                | Self::ShellKilled
                | Self::ShellNoPane
                | Self::ShellInPane
                | Self::ShellFailed
                | Self::AlreadyForwarded
                | Self::ForwardedElsewhere
                | Self::StoppedElsewhere
                | Self::OfAnother
                | Self::GatewayAsked
                | Self::NotPersistable
                | Self::NeedsNoPod
                | Self::NotRenewable
                | Self::NoOtherPod
                | Self::PrometheusSought
                | Self::PrometheusOff
                | Self::PrometheusFixed
                | Self::PrometheusUnknown
                | Self::Spreads
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub at: DateTime<Utc>,
    /// The severity.
    pub level: Level,
    /// The event.
    pub message: Message,
    /// To what.
    pub thing: String,
    /// More, where there is more to say.
    pub detail: String,
    /// Its text as the screen shows it; empty until that has been written.
    pub words: String,
}

impl Entry {
    /// Returns true if the entry contains a filter's text, ignoring case.
    pub fn is_like(&self, text: &str) -> bool {
        let text = text.trim().to_lowercase();
        let has = |words: &str| words.to_lowercase().contains(&text);
        let fault = match &self.message {
            Message::Failed(fault) => has(&fault.detail),
            _ => false,
        };
        text.is_empty() || has(&self.words) || has(&self.thing) || has(&self.detail) || fault
    }
}
