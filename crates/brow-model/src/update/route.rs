//! Routes of forwards: through a pod that is ready, the next when that ends, or one that is requested.

use crate::language::effect::{Effect, ForwardEffect};
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::forward::{Forward, ForwardId, ForwardState};
use crate::types::proxy::{PodKey, PodRequest, ProxyPod};
use crate::types::route::Route;
use crate::update::proxy::PodOrder;

impl Model {
    /// Makes a forward wait for a pod. The pods of a workload are found by the forward's own watch.
    pub(crate) fn await_pod(&mut self, id: ForwardId) {
        if let Some(forward) = self.forwards.get_mut(id) {
            forward.route = if forward.is_direct() { Route::Waiting } else { Route::Wanted };
        }
    }

    /// Routes every forward of a cluster that has no pod through one that is ready, or requests one.
    pub(crate) fn route_forwards(&mut self, cluster: &str, out: &mut Vec<Effect>) {
        let is_without = |forward: &Forward| forward.spec.selector.cluster == cluster && forward.is_open_to_pods();
        for id in self.forwards.ids(is_without) {
            self.route_forward(id, out);
        }
    }

    pub(crate) fn route_forward(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.all().get(&id) else { return };
        let (spec, wants) = (forward.spec.clone(), forward.route == Route::Wanted);
        let agent = forward.agent.clone();
        if let Some(via) = self.ready_pod(&spec.selector).map(ProxyPod::via) {
            return self.set_route(id, Route::through(via), None, out);
        }
        let cluster = self.cluster(&spec.selector.cluster);
        let known = cluster.is_some_and(|cluster| cluster.knows(&spec.selector.namespace));
        let fault = cluster.and_then(|cluster| cluster.fault.clone());
        let denied = cluster.and_then(|cluster| cluster.denied.get(&spec.selector.namespace)).cloned();
        if let Some(denied) = denied.filter(|_| wants) {
            // A pod could be created perhaps, but nobody would learn that it is ready.
            return self.set_route(id, Route::Unreachable, Some(denied), out);
        }
        let known = known && !self.is_recognising(&spec.selector.cluster);
        if !known || self.pod_coming(&spec.selector) {
            if wants {
                self.set_route(id, Route::Wanted, fault, out);
            }
            return;
        }
        if !wants {
            return;
        }
        let target = self.target(&spec.target).cloned();
        let asked = if let Some(target) = target {
            // A pod for an agent lasts no longer than its forward.
            let ttl = agent.as_ref().and_then(|mark| mark.left(self.now));
            let agent = agent.map(|mark| mark.client);
            self.request_pod(&target, PodOrder { ttl, on_demand: spec.on_demand, agent }, out).is_some()
        } else {
            self.fail(Fault::new(What::TargetMissing, &spec.target, ""));
            false
        };
        // Asked for once: a second refusal would be no wiser.
        if asked {
            self.set_route(id, Route::Waiting, None, out);
        } else {
            self.set_route(id, Route::Unreachable, Some(Fault::new(What::NoPod, &spec.target, "")), out);
        }
    }

    /// Sets the route of a forward's new connections: through a pod, waiting for one, or failing with `fault`.
    pub(crate) fn set_route(&mut self, id: ForwardId, route: Route, fault: Option<Fault>, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(id).filter(|forward| !forward.has_failed()) else { return };
        if forward.demand.is_some() && route.via().is_none() && (!route.is_awaited() || forward.is_idle()) {
            return self.rest(id, fault, out);
        }
        self.screen.unarranged = true;
        let was_awaited = forward.route.is_awaited();
        let route = match route {
            Route::Through(via, tunnel) => Route::Through(forward.relayed(via), tunnel),
            Route::Resting | Route::Wanted | Route::Waiting | Route::Unreachable | Route::Failed => route,
        };
        if let Some(via) = route.via() {
            self.pods.lifecycle.acquire(id, &via.pod);
        }
        forward.fault = fault;
        if route.via().is_none() || route.via() != forward.via() {
            // Of another pod nothing has been found yet. The tunnel to the same one stays as it is.
            forward.health = None;
            forward.route = route;
        }
        let (via, waiting) = (forward.via().cloned(), forward.route.is_awaited());
        let on_demand = forward.demand.is_some();
        self.update_demand(id, was_awaited);
        out.push(Effect::Forward(ForwardEffect::Point { id, via, waiting, on_demand }));
    }

    /// A pod is ready: forwards without one that match it go through it.
    pub(crate) fn on_pod_ready(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        self.hand_over(key, out);
        let Some(pod) = self.pods.all().get(key).filter(|pod| self.is_ours(pod) && self.may_use(pod)) else { return };
        let via = pod.via();
        let selector = pod.selector();
        for id in self.forwards.ids(|forward| forward.is_open_to_pods() && forward.spec.selector == selector) {
            self.set_route(id, Route::through(via.clone()), None, out);
        }
    }

    /// Shows a starting pod's fault on the forwards that wait for it.
    pub(crate) fn show_on_waiting(&mut self, key: &PodKey, fault: Option<&Fault>) {
        let Some(selector) = self.pods.all().get(key).map(ProxyPod::selector) else { return };
        for forward in self.forwards.iter_mut() {
            let waits = forward.state() == ForwardState::Waiting && !forward.is_direct();
            if waits && forward.spec.selector == selector {
                forward.fault = fault.cloned();
            }
        }
    }

    /// Moves the forwards of a pod that ended to another, or has them wait for one, or fail. With a `fault` it was not
    /// ended by us: they go on listening, unless their targets say otherwise.
    pub(crate) fn leave_pod(&mut self, key: &PodKey, fault: Option<&Fault>, out: &mut Vec<Effect>) {
        for id in self.forwards.ids(|forward| forward.is_through(key) && !forward.is_direct()) {
            let Some(selector) = self.forwards.all().get(&id).map(|forward| forward.spec.selector.clone()) else {
                continue;
            };
            let other = self.ready_pod(&selector).filter(|pod| pod.key != *key).map(ProxyPod::via);
            if let Some(via) = other {
                let (target, pod) = (self.target_of(id), via.pod.name.clone());
                self.set_route(id, Route::through(via), None, out);
                self.note(Level::Warning, Message::ForwardMoved, target, pod);
                continue;
            }
            let coming = self.pod_coming(&selector);
            if fault.is_some() && self.keeps_listening(id) && !coming {
                let target = self.target_of(id);
                // An expired or deleted pod is no error to show; other reasons are.
                let ends = |fault: &&Fault| matches!(fault.what, What::PodExpired | What::PodDeleted);
                self.rest(id, fault.filter(|fault| !ends(fault)).cloned(), out);
                self.note(Level::Info, Message::ForwardListens, target, &key.name);
                continue;
            }
            let fault = fault.cloned().unwrap_or_else(|| Fault::new(What::PodDeleted, &key.name, ""));
            let route = if coming { Route::Waiting } else { Route::Unreachable };
            self.set_route(id, route, Some(fault), out);
        }
        // Those that waited for exactly this pod wait for nothing now.
        let waits = |forward: &Forward| forward.route == Route::Waiting && !forward.is_direct();
        for id in self.forwards.ids(|forward| waits(forward) && forward.spec.selector.cluster == key.cluster) {
            let Some(selector) = self.forwards.all().get(&id).map(|forward| forward.spec.selector.clone()) else {
                continue;
            };
            if !self.pod_coming(&selector) {
                let fault = fault.cloned().unwrap_or_else(|| Fault::new(What::PodDeleted, &key.name, ""));
                self.set_route(id, Route::Unreachable, Some(fault), out);
            }
        }
    }

    /// Fails the forwards that wait for a pod whose request was refused.
    pub(crate) fn fail_waiting(&mut self, request: &PodRequest, fault: &Fault) -> Vec<Effect> {
        let mut out = Vec::new();
        let selector = request.selector();
        if self.pod_coming(&selector) {
            return out;
        }
        let waits = |forward: &Forward| matches!(forward.route, Route::Waiting | Route::Unreachable);
        for id in self.forwards.ids(|forward| waits(forward) && forward.spec.selector == selector) {
            self.set_route(id, Route::Unreachable, Some(fault.clone()), &mut out);
        }
        out
    }
}
