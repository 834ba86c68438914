//! The text of the log's entries.

use super::Text;
use brow_model::batch::Batch;
use brow_model::log::{Entry, Message};

impl Text {
    /// Formats an entry of the log as one line, without its time.
    pub fn entry(&self, entry: &Entry) -> String {
        let (thing, detail) = (entry.thing.as_str(), entry.detail.as_str());
        let plain = [("thing", thing), ("count", thing), ("detail", detail)];
        let line = match &entry.message {
            Message::Failed(fault) => {
                let words = self.fault(fault);
                let both = [words.what, words.detail];
                both.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" — ")
            }
            Message::Taken(tally) => {
                let [added, skipped, replaced] =
                    [tally.added, tally.skipped, tally.replaced].map(|count| count.to_string());
                let with = [
                    ("added", added.as_str()),
                    ("skipped", skipped.as_str()),
                    ("replaced", replaced.as_str()),
                    ("detail", detail),
                ];
                self.fill(key(entry), &with)
            }
            Message::Several(Batch::Opened { failed, .. }) => {
                let failed = failed.to_string();
                self.fill(key(entry), &[("count", thing), ("failed", &failed)])
            }
            Message::NotHere { command, places } => {
                let places: Vec<&str> =
                    places.iter().map(|place| self.get(&format!("place.{}", place.name()))).collect();
                let command = self.get(&format!("hint.{}", command.name()));
                self.fill(key(entry), &[("command", command), ("places", &places.join(self.get("view.comma")))])
            }
            _ => self.fill(key(entry), &plain),
        };
        // A server's words may have several lines; an entry has one.
        if line.contains(['\n', '\r']) { line.split_whitespace().collect::<Vec<_>>().join(" ") } else { line }
    }
}

/// The key of an entry's sentence; empty for a failure, which has the words of its fault.
fn key(entry: &Entry) -> &'static str {
    match &entry.message {
        Message::ClusterReady => "log.cluster-ready",
        Message::ClusterDisconnected => "log.cluster-let-go",
        Message::ScopeNarrowed => "log.scope-narrowed",
        Message::PluginSaid => "log.plugin-said",
        Message::PodAsked => "log.pod-asked",
        Message::PodCreated => "log.pod-created",
        Message::CpuLimited => "log.cpu-limited",
        Message::RelayedBySocat => "log.relayed-by-socat",
        Message::UdpBySocat => "log.udp-by-socat",
        Message::NoPodProxy => "log.no-pod-proxy",
        Message::PodReady => "log.pod-ready",
        Message::PodKilled => "log.pod-killed",
        Message::PodsCleaned => "log.pods-cleaned",
        Message::PodGone => "log.pod-gone",
        Message::PodEnds => "log.pod-ends",
        Message::ShellEnds => "log.shell-ends",
        Message::PodExpired => "log.pod-expired",
        Message::ForwardOpened => "log.forward-opened",
        Message::ForwardElsewhere => "log.forward-elsewhere",
        Message::ForwardMoved => "log.forward-moved",
        Message::ForwardBack => "log.forward-back",
        Message::ForwardClosed => "log.forward-closed",
        Message::ForwardRests => "log.forward-rests",
        Message::ForwardListens => "log.forward-listens",
        Message::OnDemandNow => "log.on-demand-now",
        Message::AlwaysNow => "log.always-now",
        Message::OpenToOthers => "log.open-to-others",
        Message::UserRefused => unless_empty(&entry.detail, "log.user-refused", "log.unknown-user-refused"),
        Message::NotAllowed => "log.not-allowed",
        Message::WentDown => "log.went-down",
        Message::WentUp => "log.went-up",
        Message::AgentAsks => "log.agent-asks",
        Message::AgentConnected => "log.agent-connected",
        Message::AgentUnanswered => "log.agent-unanswered",
        Message::AgentWithdrawn => "log.agent-withdrawn",
        Message::RenewalAsked => "log.renewal-asked",
        Message::PodUsedElsewhere => "log.pod-used-elsewhere",
        Message::Renewed => "log.renewed",
        Message::LoginInAddress => "log.login-in-address",
        Message::TargetSaved => "log.target-saved",
        Message::TargetRenamed => "log.target-renamed",
        Message::TargetDeleted => "log.target-deleted",
        Message::TargetRestored => "log.target-restored",
        Message::Imported => "log.imported",
        Message::PrometheusFound => "log.prometheus-found",
        Message::NoPrometheus => unless_empty(&entry.detail, "log.no-prometheus", "log.no-prometheus-service"),
        Message::ThemeChosen => "log.theme-chosen",
        Message::Taken(_) => unless_empty(&entry.detail, "log.taken", "log.taken-none"),
        Message::NothingOffered => unless_empty(&entry.thing, "log.nothing-offered", "log.nothing-offered-pasted"),
        Message::Exported => "log.exported",
        Message::ConfigRead => "log.config-read",
        Message::KubeconfigRead => "log.kubeconfig-read",
        Message::Copied => "log.copied",
        Message::CopiedEntries => "log.copied-entries",
        Message::NotCopied => "log.not-copied",
        Message::Failed(_) => "",
        other => answer(other),
    }
}

/// The key of the sentence that answers a key press.
fn answer(message: &Message) -> &'static str {
    match message {
        Message::NothingToClean => "log.nothing-to-clean",
        Message::FormUnsaved => "log.form-unsaved",
        Message::Several(batch) => several(*batch),
        Message::NoTags => "log.no-tags",
        Message::NothingToUndo => "log.nothing-to-undo",
        Message::NothingMissing => "log.nothing-missing",
        Message::ObjectMissing => "log.object-missing",
        Message::NoPorts => "log.no-ports",
        Message::NotForwardable => "log.not-forwardable",
        Message::NotRenewable => "log.not-renewable",
        Message::AddressTaken => "log.address-taken",
        Message::NotHere { .. } => "log.not-here",
        Message::NothingSelected => "log.nothing-selected",
        Message::NothingWrong => "log.nothing-wrong",
        Message::NotConnected => "log.not-connected",
        Message::NothingToLeave => "log.nothing-to-leave",
        Message::NoGatewayChosen => "log.no-gateway-chosen",
        Message::NotForwarded => "log.not-forwarded",
        Message::NoPodBehind => "log.no-pod-behind",
        Message::KindBuiltIn => "log.kind-built-in",
        Message::ObjectEdited => "log.object-edited",
        Message::ObjectCreated => "log.object-created",
        Message::ObjectDeleted => "log.object-deleted",
        Message::ObjectUnchanged => "log.object-unchanged",
        Message::TextKept => "log.text-kept",
        Message::NoShells => "log.no-shells",
        Message::ShellEnding => "log.shell-ending",
        Message::ShellEnded => "log.shell-ended",
        Message::ShellEndedWith => "log.shell-ended-with",
        Message::ShellKilled => "log.shell-killed",
        Message::ShellNoPane => "log.shell-no-pane",
        Message::ShellInPane => "log.shell-in-pane",
        Message::ShellFailed => "log.shell-failed",
        Message::AlreadyForwarded => "log.already-forwarded",
        Message::ForwardedElsewhere => "log.forwarded-elsewhere",
        Message::StoppedElsewhere => "log.stopped-elsewhere",
        Message::OfAnother => "log.of-another",
        Message::GatewayAsked => "log.gateway-asked",
        Message::GatewayCreated => "log.gateway-created",
        Message::GatewayStarted => "log.gateway-started",
        Message::GatewayStopped => "log.gateway-stopped",
        Message::GatewayDeleted => "log.gateway-deleted",
        Message::NotPersistable => "log.not-persistable",
        Message::NoOtherPod => "log.no-other-pod",
        Message::Spreads => "log.spreads",
        Message::PrometheusSought => "log.prometheus-sought",
        Message::PrometheusOff => "log.prometheus-off",
        Message::PrometheusFixed => "log.prometheus-fixed",
        Message::PrometheusUnknown => "log.prometheus-unknown",
        Message::NeedsNoPod => "log.needs-no-pod",
        _ => "",
    }
}

/// Returns the first key, or the second where there is nothing to name.
fn unless_empty(name: &str, key: &'static str, otherwise: &'static str) -> &'static str {
    if name.is_empty() { otherwise } else { key }
}

/// The key of what is said of several at once.
fn several(batch: Batch) -> &'static str {
    match batch {
        Batch::Opening => "log.several-opening",
        Batch::Opened { failed: 0, back: true } => "log.several-opened",
        Batch::Opened { back: true, .. } => "log.several-opened-some",
        Batch::Opened { back: false, .. } => "log.several-reopened",
        Batch::Closed { back: true } => "log.several-closed",
        Batch::Closed { back: false } => "log.several-closed-again",
        Batch::Restarted => "log.several-restarted",
        Batch::Deleted => "log.several-deleted",
        Batch::Restored => "log.several-restored",
        Batch::NotRestored => "log.several-not-restored",
        Batch::Created => "log.several-created",
        Batch::Renewed => "log.several-renewed",
        Batch::Killed => "log.several-killed",
    }
}
