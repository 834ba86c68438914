//! Events of a workload's pods, and the choice among them.

use crate::language::effect::{Effect, ForwardEffect};
use crate::language::fault::Fault;
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::address::Address;
use crate::types::backend::{Backend, pick};
use crate::types::forward::ForwardId;
use crate::types::route::{Route, Via};

/// The most pods that connections are spread over: each has tunnels of its own.
const MAX_SPREAD: usize = 32;

impl Model {
    /// The pods of a forward's workload, all that run: it goes through the best of them, or waits for one.
    pub(crate) fn on_backends(&mut self, id: ForwardId, backends: Vec<Backend>, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(id) else { return };
        // Pods have come in the place of an address: whoever goes through a proxy pod goes straight now.
        let relayed = forward.relay.take().is_some();
        forward.lookup_fault = None;
        let before = forward.via().cloned().filter(|_| !relayed);
        let via = pick(&backends, before.as_ref()).map(|backend| backend.via.clone());
        // The reason of a connection that failed stays to be read; why there was no pod is over.
        let fault = forward.fault.take().filter(|_| before.is_some() && via.is_some());
        forward.backends = backends;
        let (target, spread) = (forward.spec.target.clone(), forward.is_spread());
        if before.is_some() && before == via {
            forward.fault = fault;
            return self.spread(id, out);
        }
        self.set_route(id, via.clone().map_or(Route::Waiting, Route::through), None, out);
        self.spread(id, out);
        if let (Some(_), Some(via), false) = (before, via, spread) {
            self.note(Level::Info, Message::ForwardMoved, target, via.pod.name);
        }
    }

    /// Spreads a forward's connections over the pods that are ready, if that is wanted.
    fn spread(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.all().get(&id).filter(|forward| forward.is_spread()) else { return };
        let ready = forward.backends.iter().filter(|backend| backend.ready).take(MAX_SPREAD);
        let pods = ready.map(|backend| backend.via.clone()).collect();
        out.push(Effect::Forward(ForwardEffect::Spread { id, pods }));
    }

    /// A forward's workload is an address: it takes a proxy pod, which is asked for where there is none.
    pub(crate) fn on_relay(&mut self, id: ForwardId, address: Address, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(id) else { return };
        forward.backends.clear();
        self.spread(id, out);
        let Some(forward) = self.forwards.get_mut(id) else { return };
        forward.lookup_fault = None;
        let cluster = forward.spec.selector.cluster.clone();
        let through = forward.via().cloned().filter(|via| via.to.is_some());
        forward.relay = Some(address);
        if let Some(via) = through {
            // The same pod reaches the new address as well.
            return self.set_route(id, Route::through(via), None, out);
        }
        self.set_route(id, Route::Wanted, None, out);
        self.route_forwards(&cluster, out);
    }

    /// A pod takes no connections although it runs: they go to the next one that is ready, where there is one.
    pub(crate) fn on_refused(&mut self, id: ForwardId, by: &Via, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.all().get(&id).filter(|forward| forward.via() == Some(by)) else { return };
        let at = forward.backends.iter().position(|backend| backend.via == *by).map_or(0, |at| at + 1);
        let (before, after) = forward.backends.split_at(at.min(forward.backends.len()));
        let others = after.iter().chain(before).filter(|other| other.ready && other.via != *by);
        if let Some(via) = others.map(|other| other.via.clone()).next() {
            let (target, pod, spread) = (forward.spec.target.clone(), via.pod.name.clone(), forward.is_spread());
            self.set_route(id, Route::through(via), None, out);
            if spread {
                return;
            }
            self.note(Level::Warning, Message::ForwardMoved, target, pod);
        }
    }

    /// Sends a forward's new connections through the next pod of its workload.
    pub(crate) fn next_backend(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.all().get(&id) else { return };
        let target = forward.spec.target.clone();
        if forward.is_spread() {
            return self.note(Level::Info, Message::Spreads, target, "");
        }
        let at = forward.backends.iter().position(|backend| forward.via() == Some(&backend.via));
        let next = at.map_or(0, |at| (at + 1) % forward.backends.len());
        let next = forward.backends.get(next).map(|backend| backend.via.clone());
        match next {
            Some(via) if forward.via() != Some(&via) && !forward.has_failed() => {
                let pod = via.pod.name.clone();
                self.set_route(id, Route::through(via), None, out);
                self.note(Level::Info, Message::ForwardMoved, target, pod);
            }
            Some(_) | None => self.note(Level::Info, Message::NoOtherPod, target, ""),
        }
    }

    /// A forward's workload leads nowhere: connections fail with the reason until it does.
    pub(crate) fn on_no_backend(&mut self, id: ForwardId, fault: Fault, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(id) else { return };
        forward.backends.clear();
        forward.lookup_fault = None;
        forward.relay = None;
        self.spread(id, out);
        self.set_route(id, Route::Unreachable, Some(fault.clone()), out);
        self.fail(fault);
    }

    /// Handles a failed lookup of a forward's workload. A way that it has may be as good as ever, and is kept; without
    /// one, connections fail with the reason until it can be seen again.
    pub(crate) fn on_lookup_failed(&mut self, id: ForwardId, fault: Fault, out: &mut Vec<Effect>) {
        let fault = self.with_login(fault);
        let Some(forward) = self.forwards.get_mut(id) else { return };
        forward.lookup_fault = Some(fault.clone());
        if forward.via().is_none() && forward.relay.is_none() {
            self.set_route(id, Route::Unreachable, Some(fault.clone()), out);
        }
        self.fail(fault);
    }
}
