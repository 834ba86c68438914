//! Warnings before the TTL of a pod is up.

use chrono::TimeDelta;
use std::collections::BTreeSet;

use crate::language::effect::{Effect, TerminalEffect};
use crate::language::log::{Entry, Level, Message};
use crate::state::Model;
use crate::types::attention::Attention;
use crate::types::forward::Forward;
use crate::types::lifecycle::Renewal;
use crate::types::proxy::{Phase, PodKey, ProxyPod};
use crate::types::ttl::Ttl;
use crate::update::demand::span;

/// Returns the time before its end at which a person is warned of a pod: less of one that lives for minutes only.
fn warning_time(ttl: Ttl) -> TimeDelta {
    Attention::SOON.min(span(ttl.duration()) / 5)
}

impl Model {
    /// Returns the time left of a pod of ours that is about to end and that nobody renews; `None` for others.
    pub fn ends_soon(&self, pod: &ProxyPod) -> Option<TimeDelta> {
        let left = pod.left(self.time_at(&pod.key.cluster)).filter(|left| *left > TimeDelta::zero())?;
        let is_near = pod.started.is_some() && left <= warning_time(pod.ttl?);
        let is_replaced = self.pods.lifecycle.is_draining(&pod.key)
            || self.pods.lifecycle.renewal(&pod.key).is_some_and(Renewal::is_under_way)
            || self.forwards.all().values().any(|at| at.is_through(&pod.key) && self.is_renewed(at));
        let ends = is_near && self.phase_of(pod) == Phase::Ready && self.is_ours(pod) && !is_replaced;
        ends.then_some(left)
    }

    /// Returns true if the pod that a forward goes through is about to end, and nobody renews it.
    pub fn loses_pod_soon(&self, forward: &Forward) -> bool {
        let pod = forward.via().and_then(|via| self.pods.all().get(&via.pod));
        pod.is_some_and(|pod| self.ends_soon(pod).is_some())
    }

    /// Warns, once each, of pods that are about to end: those of this run, and those that its forwards go through.
    /// Another instance warns of its own.
    pub(crate) fn warn_of_ends(&mut self, out: &mut Vec<Effect>) {
        if self.unattended() {
            return;
        }
        let used = self.forwards.all().values().filter_map(|forward| Some(&forward.via()?.pod));
        let concerned: BTreeSet<PodKey> = used.chain(self.pods.created().keys()).cloned().collect();
        for key in concerned {
            let Some(pod) = self.pods.all().get(&key) else { continue };
            let Some(left) = self.ends_soon(pod) else { continue };
            let target = pod.target.clone();
            if !self.pods.lifecycle.begin_warning(key) {
                continue;
            }
            // In whole seconds, the last one begun counting as one.
            let secs = u64::try_from((left.num_milliseconds() + 999) / 1_000).unwrap_or_default();
            let detail = Ttl::from_secs(secs).map(|left| left.to_string()).unwrap_or_default();
            out.push(Effect::Terminal(TerminalEffect::Notify(Entry {
                at: self.now,
                level: Level::Warning,
                message: Message::PodEnds,
                thing: target.clone(),
                detail: detail.clone(),
                words: String::new(),
            })));
            self.note(Level::Warning, Message::PodEnds, target, detail);
        }
    }
}
