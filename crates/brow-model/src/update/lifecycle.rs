//! The lifecycle of pods that are created on demand or renewed: draining and deletion.

use std::collections::BTreeSet;

use crate::language::effect::{Effect, PodEffect};
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::forward::{Forward, ForwardId};
use crate::types::proxy::{Phase, PodKey, PodSelector};

impl Model {
    /// Drains the pods of a selector that were created on demand and that no forward is routed to or waits for. Those
    /// that still carry connections are deleted when these have ended.
    pub(crate) fn drain_idle_pods(&mut self, selector: &PodSelector, out: &mut Vec<Effect>) {
        if self.forwards.all().values().any(|forward| forward.waits_at(selector)) {
            return;
        }
        let idle = |key: &&PodKey| {
            let lives = self.pods.all().get(*key).is_none_or(|pod| pod.phase <= Phase::Ready);
            lives && !self.is_used(key) && !self.takes_over(key)
        };
        let matching = self.pods.lifecycle.on_demand().iter().filter(|(_, at)| *at == selector).map(|(key, _)| key);
        let idle: Vec<PodKey> = matching.filter(idle).cloned().collect();
        for key in idle {
            self.drain_pod(&key, out);
        }
    }

    /// Deletes a pod once it has no users.
    pub(crate) fn drain_pod(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        self.pods.lifecycle.drain(key);
        self.delete_if_drained(key, out);
    }

    /// Returns true if a forward of ours uses a pod.
    fn is_used(&self, key: &PodKey) -> bool {
        self.forwards.all().values().any(|forward| forward.is_through(key))
    }

    /// Returns true if a pod is to replace one that is in use.
    fn takes_over(&self, key: &PodKey) -> bool {
        self.pods.lifecycle.replaced_by(key).any(|old| self.is_used(old))
    }

    /// Deletes a draining pod if it has no users any more, here or in another instance. One that another instance uses
    /// goes when that releases it, or with its TTL.
    fn delete_if_drained(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        if !self.pods.lifecycle.is_drained(key) {
            return;
        }
        if self.pods.created().contains_key(key) && self.is_used_elsewhere(key) {
            if self.pods.lifecycle.note_used_elsewhere(key) {
                self.note(Level::Info, Message::PodUsedElsewhere, &key.name, &key.cluster);
            }
            return;
        }
        self.discard(key, out);
    }

    /// Handles the report of a forward that its connections through a former pod have ended.
    pub(crate) fn on_drained(&mut self, id: ForwardId, pod: &PodKey, out: &mut Vec<Effect>) {
        // It may have come back to it meanwhile.
        if self.forwards.all().get(&id).is_none_or(|forward| !forward.is_through(pod)) {
            self.pods.lifecycle.release(id, pod);
            self.delete_if_drained(pod, out);
        }
    }

    /// Releases the pods of a forward that was closed or is reopened; `forward` is its state before.
    pub(crate) fn on_forward_closed(&mut self, forward: &Forward, out: &mut Vec<Effect>) {
        let id = forward.spec.id;
        for pod in self.pods.lifecycle.used() {
            self.on_drained(id, &pod, out);
        }
        self.drain_idle_pods(&forward.spec.selector, out);
    }

    /// Deletes draining pods that other instances no longer use.
    pub(crate) fn delete_drained_pods(&mut self, out: &mut Vec<Effect>) {
        for pod in self.pods.lifecycle.draining() {
            self.delete_if_drained(&pod, out);
        }
    }

    /// Drains pods without users again: a deletion may have failed.
    pub(crate) fn delete_unneeded_pods(&mut self, out: &mut Vec<Effect>) {
        let selectors: BTreeSet<PodSelector> = self.pods.lifecycle.on_demand().values().cloned().collect();
        for selector in selectors {
            self.drain_idle_pods(&selector, out);
        }
    }

    /// Deletes a pod that we no longer need. One of another run is left to its TTL.
    fn discard(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        self.pods.lifecycle.discard(key);
        let Some(uid) = self.pods.created().get(key).cloned() else { return };
        if !self.kill(key, out) && !self.pods.all().contains_key(key) {
            // Its cluster was disconnected meanwhile, or has not been listed yet.
            out.push(Effect::Pod(PodEffect::Delete { key: key.clone(), uid }));
        }
    }
}
