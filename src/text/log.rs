//! The text of the log's entries.

use super::Text;
use brow_model::log::{Entry, Happening};

impl Text {
    /// Formats an entry of the log as one line, without its time.
    pub fn entry(&self, entry: &Entry) -> String {
        let (thing, detail) = (entry.thing.as_str(), entry.detail.as_str());
        let plain = [("thing", thing), ("count", thing), ("detail", detail)];
        let line = match &entry.what {
            Happening::Failed(fault) => {
                let words = self.fault(fault);
                let both = [words.what, words.detail];
                both.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" — ")
            }
            Happening::Taken(tally) => {
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
            Happening::NotHere => self.fill(key(entry), &[("command", self.get(&format!("hint.{detail}")))]),
            _ => self.fill(key(entry), &plain),
        };
        // A server's words may have several lines; an entry has one.
        if line.contains(['\n', '\r']) { line.split_whitespace().collect::<Vec<_>>().join(" ") } else { line }
    }
}

/// The key of an entry's sentence; empty for a failure, which has the words of its fault.
fn key(entry: &Entry) -> &'static str {
    match &entry.what {
        Happening::ClusterReady => "log.cluster-ready",
        Happening::ClusterLetGo => "log.cluster-let-go",
        Happening::ScopeNarrowed => "log.scope-narrowed",
        Happening::PluginSaid => "log.plugin-said",
        Happening::PodAsked => "log.pod-asked",
        Happening::PodCreated => "log.pod-created",
        Happening::CpuLimited => "log.cpu-limited",
        Happening::PodReady => "log.pod-ready",
        Happening::PodKilled => "log.pod-killed",
        Happening::PodsCleaned => "log.pods-cleaned",
        Happening::NothingToClean => "log.nothing-to-clean",
        Happening::PodGone => "log.pod-gone",
        Happening::PodExpired => "log.pod-expired",
        Happening::ForwardOpened => "log.forward-opened",
        Happening::ForwardElsewhere => "log.forward-elsewhere",
        Happening::ForwardMoved => "log.forward-moved",
        Happening::ForwardBack => "log.forward-back",
        Happening::ForwardClosed => "log.forward-closed",
        Happening::ForwardRests => "log.forward-rests",
        Happening::OnDemandNow => "log.on-demand-now",
        Happening::AlwaysNow => "log.always-now",
        Happening::OpenToOthers => "log.open-to-others",
        Happening::WentDown => "log.went-down",
        Happening::WentUp => "log.went-up",
        Happening::RenewalAsked => "log.renewal-asked",
        Happening::PodUsedElsewhere => "log.pod-used-elsewhere",
        Happening::Renewed => "log.renewed",
        Happening::NotRenewable => "log.not-renewable",
        Happening::AddressTaken => "log.address-taken",
        Happening::LoginInAddress => "log.login-in-address",
        Happening::TargetSaved => "log.target-saved",
        Happening::TargetRenamed => "log.target-renamed",
        Happening::TargetDeleted => "log.target-deleted",
        Happening::TargetRestored => "log.target-restored",
        Happening::NothingToUndo => "log.nothing-to-undo",
        Happening::Imported => "log.imported",
        Happening::ThemeChosen => "log.theme-chosen",
        Happening::Taken(_) if entry.detail.is_empty() => "log.taken-none",
        Happening::Taken(_) => "log.taken",
        Happening::NothingOffered if entry.thing.is_empty() => "log.nothing-offered-pasted",
        Happening::NothingOffered => "log.nothing-offered",
        Happening::NothingMissing => "log.nothing-missing",
        Happening::Exported => "log.exported",
        Happening::ConfigRead => "log.config-read",
        Happening::KubeconfigRead => "log.kubeconfig-read",
        // Of the log's entries only their number is told; an address is never just a number.
        Happening::Copied if entry.thing.bytes().all(|b| b.is_ascii_digit()) => "log.copied-entries",
        Happening::Copied => "log.copied",
        Happening::Failed(_) => "",
        Happening::NotHere => "log.not-here",
        Happening::NothingSelected => "log.nothing-selected",
        Happening::NothingWrong => "log.nothing-wrong",
        Happening::NotForwarded => "log.not-forwarded",
        Happening::AlreadyForwarded => "log.already-forwarded",
        Happening::ForwardedElsewhere => "log.forwarded-elsewhere",
        Happening::StoppedElsewhere => "log.stopped-elsewhere",
        Happening::OfAnother => "log.of-another",
        Happening::NoOtherPod => "log.no-other-pod",
        Happening::NeedsNoPod => "log.needs-no-pod",
    }
}
