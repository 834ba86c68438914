//! Which pod each forward goes through: one that is ready, the next when it dies, one that is asked for.

use crate::language::effect::Effect;
use crate::language::fault::{Fault, What};
use crate::language::log::{Grade, Happening};
use crate::state::Model;
use crate::types::forward::{ForwardId, ForwardState, Via};
use crate::types::proxy::{PodKey, PodRequest, ProxyPod};

impl Model {
    /// Has a forward look for a pod; the pods of a workload are looked for by the forward's own watch.
    pub(crate) fn want_pod(&mut self, id: ForwardId) {
        if let Some(forward) = self.forwards.all.get_mut(&id) {
            let direct = forward.is_direct();
            (forward.wants_pod, forward.waiting) = (!direct, direct);
        }
    }

    /// Gives every forward of a cluster that has no pod one that is ready, or asks for one.
    pub(crate) fn settle_forwards(&mut self, cluster: &str, out: &mut Vec<Effect>) {
        let without: Vec<ForwardId> = self
            .forwards
            .all
            .values()
            .filter(|forward| forward.spec.place.cluster == cluster && forward.via.is_none())
            .filter(|forward| !forward.is_direct() && !forward.is_resting())
            .filter(|forward| forward.state != ForwardState::Failed)
            .map(|forward| forward.spec.id)
            .collect();
        for id in without {
            self.settle_forward(id, out);
        }
    }

    pub(crate) fn settle_forward(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.all.get(&id) else {
            return;
        };
        let (spec, wants) = (forward.spec.clone(), forward.wants_pod);
        if let Some(via) = self.ready_pod(&spec.place).map(ProxyPod::via) {
            self.point(id, Some(via), false, None, out);
            return;
        }
        let cluster = self.cluster(&spec.place.cluster);
        let known = cluster.is_some_and(|cluster| cluster.knows(&spec.place.namespace));
        let fault = cluster.and_then(|cluster| cluster.fault.clone());
        let denied = cluster.and_then(|cluster| cluster.denied.get(&spec.place.namespace)).cloned();
        if let Some(denied) = denied.filter(|_| wants) {
            // A pod could be created perhaps, but nobody would learn that it is ready.
            if let Some(forward) = self.forwards.all.get_mut(&id) {
                forward.wants_pod = false;
            }
            self.point(id, None, false, Some(denied), out);
            return;
        }
        let known = known && !self.is_recognising(&spec.place.cluster);
        if !known || self.pod_coming(&spec.place) {
            if wants {
                self.point(id, None, true, fault, out);
            }
            return;
        }
        if !wants {
            return;
        }
        let target = self.targets.all.iter().find(|target| target.name == spec.target).cloned();
        // Asked for once: a second refusal would be no wiser.
        if let Some(forward) = self.forwards.all.get_mut(&id) {
            forward.wants_pod = false;
        }
        let asked = if let Some(target) = target {
            let on_demand = self.forwards.all.get(&id).is_some_and(|forward| forward.demand.is_some());
            self.ask_pod(&target, None, on_demand, out).is_some()
        } else {
            self.fail(Fault::new(What::TargetMissing, &spec.target, ""));
            false
        };
        let fault = (!asked).then(|| Fault::new(What::NoPod, &spec.target, ""));
        self.point(id, None, asked, fault, out);
    }

    /// Sends a forward's new connections through `via`; without it they wait, or fail with `fault`.
    pub(crate) fn point(
        &mut self,
        id: ForwardId,
        via: Option<Via>,
        waiting: bool,
        fault: Option<Fault>,
        out: &mut Vec<Effect>,
    ) {
        let Some(forward) = self.forwards.all.get_mut(&id) else {
            return;
        };
        if forward.demand.is_some() && via.is_none() && (!waiting || forward.is_idle()) {
            return self.rest(id, fault, out);
        }
        self.screen.unarranged = true;
        let via = via.map(|via| forward.relayed(via));
        if let Some(via) = &via {
            self.pods.upkeep.hold(id, &via.pod);
        }
        if via.is_some() {
            forward.wants_pod = false;
            forward.fault = None;
        } else {
            forward.fault = fault;
        }
        let state = match (&via, waiting) {
            // It stays where it is: nobody tells again how the way stands.
            (Some(_), _) if via == forward.via => forward.state,
            (Some(_), _) => ForwardState::Dialing,
            (None, true) => ForwardState::Waiting,
            (None, false) => ForwardState::Broken,
        };
        if !forward.bound.is_empty() {
            forward.state = state;
        }
        forward.waiting = waiting;
        // Of another pod nothing has been found yet.
        forward.health.take_if(|_| forward.via != via);
        forward.via.clone_from(&via);
        let on_demand = forward.demand.is_some();
        self.demand_follows(id);
        out.push(Effect::Point { id, via, waiting, on_demand });
    }

    /// A pod is ready: forwards without one that match it go through it.
    pub(crate) fn serve(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        self.hand_over(key, out);
        let Some(pod) = self.pods.all.get(key).filter(|pod| self.is_ours(pod) && self.may_use(pod)) else {
            return;
        };
        let via = pod.via();
        let matching: Vec<ForwardId> = self
            .forwards
            .all
            .values()
            .filter(|forward| forward.via.is_none() && forward.state != ForwardState::Failed)
            .filter(|forward| !forward.is_resting())
            .filter(|forward| forward.spec.place.label == pod.target_label && !forward.is_direct())
            .filter(|forward| forward.spec.place.cluster == key.cluster)
            .filter(|forward| forward.spec.place.namespace == key.namespace)
            .map(|forward| forward.spec.id)
            .collect();
        for id in matching {
            self.point(id, Some(via.clone()), false, None, out);
        }
    }

    /// A pod on its way has something to say: forwards that wait for it show it.
    pub(crate) fn tell_waiting(&mut self, key: &PodKey, fault: Option<&Fault>) {
        let Some(pod) = self.pods.all.get(key) else {
            return;
        };
        for forward in self.forwards.all.values_mut() {
            let place = &forward.spec.place;
            if forward.via.is_none()
                && !forward.is_direct()
                && forward.state == ForwardState::Waiting
                && place.label == pod.target_label
                && (&place.cluster, &place.namespace) == (&key.cluster, &key.namespace)
            {
                forward.fault = fault.cloned();
            }
        }
    }

    /// A pod is no longer to be used: its forwards move to another, wait for one, or say why they can't.
    pub(crate) fn leave_pod(&mut self, key: &PodKey, fault: Option<&Fault>, out: &mut Vec<Effect>) {
        let through: Vec<ForwardId> = self
            .forwards
            .all
            .values()
            .filter(|forward| forward.is_through(key))
            .filter(|forward| !forward.is_direct())
            .map(|forward| forward.spec.id)
            .collect();
        for id in through {
            let Some(place) = self.forwards.all.get(&id).map(|forward| forward.spec.place.clone()) else {
                continue;
            };
            let other = self.ready_pod(&place).filter(|pod| pod.key != *key).map(ProxyPod::via);
            if let Some(via) = other {
                let (target, pod) = (self.target_of(id), via.pod.name.clone());
                self.point(id, Some(via), false, None, out);
                self.note(Grade::Warning, Happening::ForwardMoved, target, pod);
                continue;
            }
            let coming = self.pod_coming(&place);
            let fault = fault.cloned().unwrap_or_else(|| Fault::new(What::PodDeleted, &key.name, ""));
            self.point(id, None, coming, Some(fault), out);
        }
        // Those that waited for exactly this pod wait for nothing now.
        let waiting: Vec<ForwardId> = self
            .forwards
            .all
            .values()
            .filter(|forward| forward.via.is_none() && forward.waiting && !forward.wants_pod)
            .filter(|forward| forward.state != ForwardState::Failed)
            .filter(|forward| !forward.is_direct())
            .filter(|forward| forward.spec.place.cluster == key.cluster)
            .map(|forward| forward.spec.id)
            .collect();
        for id in waiting {
            let Some(place) = self.forwards.all.get(&id).map(|forward| forward.spec.place.clone()) else {
                continue;
            };
            if !self.pod_coming(&place) {
                let fault = fault.cloned().unwrap_or_else(|| Fault::new(What::PodDeleted, &key.name, ""));
                self.point(id, None, false, Some(fault), out);
            }
        }
    }

    /// A pod that was asked for was refused: what waited for it is told.
    pub(crate) fn give_up_waiting(&mut self, request: &PodRequest, fault: &Fault) -> Vec<Effect> {
        let mut out = Vec::new();
        let place = request.place();
        if self.pod_coming(&place) {
            return out;
        }
        let waiting: Vec<ForwardId> = self
            .forwards
            .all
            .values()
            .filter(|forward| forward.via.is_none() && !forward.wants_pod && forward.spec.place == place)
            .filter(|forward| !forward.is_resting())
            // One that could not listen has a reason of its own.
            .filter(|forward| forward.state != ForwardState::Failed)
            .map(|forward| forward.spec.id)
            .collect();
        for id in waiting {
            self.point(id, None, false, Some(fault.clone()), &mut out);
        }
        out
    }
}
