//! Pods that come and go without a person's asking for each: which of them are needed still, and which go.

use std::collections::BTreeSet;

use crate::language::effect::Effect;
use crate::language::log::{Grade, Happening};
use crate::state::Model;
use crate::types::forward::{Forward, ForwardId};
use crate::types::proxy::{Phase, PodKey, PodPlace};

impl Model {
    /// Lets go of the pods at a place that were made on demand and that no forward is pointed at or waits for. Those
    /// that still carry connections go when these have ended.
    pub(crate) fn let_pods_go(&mut self, place: &PodPlace, out: &mut Vec<Effect>) {
        if self.forwards.all.values().any(|forward| forward.waits_at(place)) {
            return;
        }
        let idle = |key: &&PodKey| {
            let lives = self.pods.all.get(*key).is_none_or(|pod| pod.phase <= Phase::Ready);
            lives && !self.is_used(key) && !self.takes_over(key)
        };
        let at_place = self.pods.upkeep.pods.iter().filter(|(_, at)| *at == place).map(|(key, _)| key);
        let idle: Vec<PodKey> = at_place.filter(idle).cloned().collect();
        for key in idle {
            self.let_go_of_pod(&key, out);
        }
    }

    /// Deletes a pod as soon as nothing goes through it.
    pub(crate) fn let_go_of_pod(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        self.pods.upkeep.leaving.entry(key.clone()).or_insert(false);
        self.end_if_free(key, out);
    }

    /// Returns true if a forward of ours uses a pod.
    fn is_used(&self, key: &PodKey) -> bool {
        self.forwards.all.values().any(|forward| forward.is_through(key))
    }

    /// Returns true if a pod is to replace one that is in use.
    fn takes_over(&self, key: &PodKey) -> bool {
        let mut renewals = self.pods.upkeep.renewals.iter();
        renewals.any(|(old, renewal)| renewal.pod.as_ref() == Some(key) && self.is_used(old))
    }

    /// Deletes a pod that is to go if nothing goes through it any more, here or in another instance. Where another one
    /// keeps it, it goes when that leaves it, or with its TTL.
    fn end_if_free(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        let Some(told) = self.pods.upkeep.leaving.get(key).copied() else {
            return;
        };
        if self.pods.upkeep.held.contains_key(key) {
            return;
        }
        if self.pods.created.contains_key(key) && self.is_used_elsewhere(key) {
            if !told {
                self.pods.upkeep.leaving.insert(key.clone(), true);
                self.note(Grade::Info, Happening::PodUsedElsewhere, &key.name, &key.cluster);
            }
            return;
        }
        self.discard(key, out);
    }

    /// A forward has no connection any more through a pod that new ones do not take.
    pub(crate) fn on_left(&mut self, id: ForwardId, pod: &PodKey, out: &mut Vec<Effect>) {
        // It may have come back to it meanwhile.
        if self.forwards.all.get(&id).is_none_or(|forward| !forward.is_through(pod)) {
            self.pods.upkeep.release(id, pod);
            self.end_if_free(pod, out);
        }
    }

    /// A forward is closed, or opened anew, and what it carried is cut off; `forward` is what it was.
    pub(crate) fn on_stopped(&mut self, forward: &Forward, out: &mut Vec<Effect>) {
        let id = forward.spec.id;
        let held: Vec<PodKey> = self.pods.upkeep.held.keys().cloned().collect();
        for pod in held {
            self.on_left(id, &pod, out);
        }
        self.let_pods_go(&forward.spec.place, out);
    }

    /// Deletes pods that were kept for other instances only, and that these no longer use.
    pub(crate) fn end_what_others_left(&mut self, out: &mut Vec<Effect>) {
        let leaving: Vec<PodKey> = self.pods.upkeep.leaving.keys().cloned().collect();
        for pod in leaving {
            self.end_if_free(&pod, out);
        }
    }

    /// Looks again for pods that nobody needs: a deletion may have failed.
    pub(crate) fn tend_pods(&mut self, out: &mut Vec<Effect>) {
        let places: BTreeSet<PodPlace> = self.pods.upkeep.pods.values().cloned().collect();
        for place in places {
            self.let_pods_go(&place, out);
        }
    }

    /// Deletes a pod that we no longer need. One of another run is left to its TTL.
    fn discard(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        self.pods.upkeep.pods.remove(key);
        self.pods.upkeep.leaving.remove(key);
        let Some(uid) = self.pods.created.get(key).cloned() else {
            return;
        };
        if !self.kill(key, out) && !self.pods.all.contains_key(key) {
            // Its cluster was let go of meanwhile, or has not been listed yet.
            out.push(Effect::DeletePod { key: key.clone(), uid });
        }
    }
}
