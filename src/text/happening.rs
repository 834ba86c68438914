//! Entries of the log in words.

use super::Text;
use brow_model::log::{Entry, Happening};

impl Text {
    /// An entry of the log as one line, without its time.
    pub fn entry(&self, entry: &Entry) -> String {
        let (thing, detail) = (entry.thing.as_str(), entry.detail.as_str());
        let plain = |key| self.fill(key, &[("thing", thing), ("detail", detail)]);
        let counted = |key| self.fill(key, &[("count", thing), ("detail", detail)]);
        let line = match &entry.what {
            Happening::ClusterReady => plain("log.cluster-ready"),
            Happening::ClusterLetGo => plain("log.cluster-let-go"),
            Happening::ScopeNarrowed => plain("log.scope-narrowed"),
            Happening::PluginSaid => plain("log.plugin-said"),
            Happening::PodAsked => plain("log.pod-asked"),
            Happening::PodCreated => plain("log.pod-created"),
            Happening::CpuLimited => plain("log.cpu-limited"),
            Happening::PodReady => plain("log.pod-ready"),
            Happening::PodKilled => plain("log.pod-killed"),
            Happening::PodsCleaned => counted("log.pods-cleaned"),
            Happening::NothingToClean => plain("log.nothing-to-clean"),
            Happening::PodGone => plain("log.pod-gone"),
            Happening::PodExpired => plain("log.pod-expired"),
            Happening::ForwardOpened => plain("log.forward-opened"),
            Happening::ForwardElsewhere => plain("log.forward-elsewhere"),
            Happening::ForwardMoved => plain("log.forward-moved"),
            Happening::ForwardBack => plain("log.forward-back"),
            Happening::ForwardClosed => plain("log.forward-closed"),
            Happening::ForwardRests => plain("log.forward-rests"),
            Happening::OnDemandNow => plain("log.on-demand-now"),
            Happening::AlwaysNow => plain("log.always-now"),
            Happening::OpenToOthers => plain("log.open-to-others"),
            Happening::WentDown => plain("log.went-down"),
            Happening::WentUp => plain("log.went-up"),
            Happening::RenewalAsked => plain("log.renewal-asked"),
            Happening::PodUsedElsewhere => plain("log.pod-used-elsewhere"),
            Happening::Renewed => plain("log.renewed"),
            Happening::NotRenewable => plain("log.not-renewable"),
            Happening::AddressTaken => plain("log.address-taken"),
            Happening::TargetSaved => plain("log.target-saved"),
            Happening::TargetRenamed => plain("log.target-renamed"),
            Happening::TargetDeleted => plain("log.target-deleted"),
            Happening::TargetRestored => plain("log.target-restored"),
            Happening::NothingToUndo => plain("log.nothing-to-undo"),
            Happening::Imported => counted("log.imported"),
            Happening::ThemeChosen => plain("log.theme-chosen"),
            Happening::Taken(tally) => {
                let [added, skipped, replaced] =
                    [tally.added, tally.skipped, tally.replaced].map(|count| count.to_string());
                let with = [
                    ("added", added.as_str()),
                    ("skipped", skipped.as_str()),
                    ("replaced", replaced.as_str()),
                    ("detail", detail),
                ];
                self.fill(if detail.is_empty() { "log.taken-none" } else { "log.taken" }, &with)
            }
            Happening::NothingOffered if thing.is_empty() => plain("log.nothing-offered-pasted"),
            Happening::NothingOffered => plain("log.nothing-offered"),
            Happening::NothingMissing => plain("log.nothing-missing"),
            Happening::Exported => counted("log.exported"),
            Happening::ConfigRead => plain("log.config-read"),
            Happening::KubeconfigRead => counted("log.kubeconfig-read"),
            // Of the log's entries only their number is told; an address is never just a number.
            Happening::Copied if thing.bytes().all(|b| b.is_ascii_digit()) => counted("log.copied-entries"),
            Happening::Copied => plain("log.copied"),
            Happening::Failed(fault) => {
                let words = self.fault(fault);
                let both = [words.what, words.detail];
                both.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" — ")
            }
            Happening::NotHere => self.fill("log.not-here", &[("command", self.get(&format!("hint.{detail}")))]),
            Happening::NothingSelected => plain("log.nothing-selected"),
            Happening::NothingWrong => plain("log.nothing-wrong"),
            Happening::NotForwarded => plain("log.not-forwarded"),
            Happening::AlreadyForwarded => plain("log.already-forwarded"),
            Happening::ForwardedElsewhere => plain("log.forwarded-elsewhere"),
            Happening::StoppedElsewhere => plain("log.stopped-elsewhere"),
            Happening::OfAnother => plain("log.of-another"),
            Happening::NoOtherPod => plain("log.no-other-pod"),
            Happening::NeedsNoPod => plain("log.needs-no-pod"),
        };
        // A server's words may have several lines; an entry has one.
        if line.contains(['\n', '\r']) { line.split_whitespace().collect::<Vec<_>>().join(" ") } else { line }
    }
}
