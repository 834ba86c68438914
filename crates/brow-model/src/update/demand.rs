//! Forwards on demand: a listener that costs nothing until somebody connects, and nothing again some time after the
//! last use.

use chrono::TimeDelta;

use crate::language::effect::{Effect, ForwardEffect};
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::forward::{Forward, ForwardId};
use crate::types::route::{Demand, Route};
use crate::types::target::Target;
use crate::types::ttl::Ttl;

/// A configured time, as it is counted with.
pub(crate) fn span(time: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

impl Model {
    /// Handles a connection to a forward that rests.
    pub(crate) fn on_wanted(&mut self, id: ForwardId, round: u64, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.all().get(&id).filter(|forward| forward.is_resting()) else { return };
        let Some(demand) = forward.demand.filter(|demand| demand.round == round) else { return };
        if demand.not_before > self.now && self.needs_new_pod(forward) {
            self.refuse_at_once(id, out);
        } else {
            self.wake(id, demand, out);
        }
    }

    /// Returns true if a forward can only go through a pod that is not asked for yet.
    fn needs_new_pod(&self, forward: &Forward) -> bool {
        let at = &forward.spec.selector;
        !forward.is_direct() && self.ready_pod(at).is_none() && !self.pod_coming(at)
    }

    /// Fails the connections to a forward that rests as the last attempt failed.
    fn refuse_at_once(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let round = self.next_number();
        let Some(forward) = self.forwards.get_mut(id) else { return };
        let failed = Some(forward.fault.clone().unwrap_or_else(|| Fault::new(What::NoPod, &forward.spec.target, "")));
        if let Some(demand) = &mut forward.demand {
            demand.round = round;
        }
        out.push(Effect::Forward(ForwardEffect::Rest { id, round, failed }));
    }

    /// Ends the pauses between attempts, in a cluster or everywhere: the next connections ask for pods at once.
    pub(crate) fn end_pauses(&mut self, cluster: Option<&str>) {
        for forward in self.forwards.iter_mut() {
            if cluster.is_none_or(|cluster| forward.spec.selector.cluster == cluster)
                && let Some(demand) = &mut forward.demand
            {
                (demand.failures, demand.not_before) = (0, Demand::FRESH.not_before);
            }
        }
    }

    /// Wakes a resting forward for a connection that waits.
    fn wake(&mut self, id: ForwardId, demand: Demand, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.all().get(&id) else { return };
        let until = self.now + self.route_timeout(forward);
        if let Some(forward) = self.forwards.get_mut(id) {
            forward.demand = Some(Demand { until, wanted: true, ..demand });
            forward.used = Some(self.now);
        }
        self.await_pod(id);
        self.find_route(id, out);
    }

    /// For how long a way is looked for. The watch on a workload's pods has a time of its own before.
    fn route_timeout(&self, forward: &Forward) -> TimeDelta {
        let patience = forward.spec.address.workload().map(crate::types::workload::Workload::patience);
        span(self.forward_policy(&forward.spec.target).create + patience.unwrap_or_default())
    }

    /// Looks for a route: a pod that exists, one already requested, or one of its workload.
    fn find_route(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(spec) = self.forwards.all().get(&id).map(|forward| forward.spec.clone()) else { return };
        if !self.ensure_connected(&spec.selector.cluster, out) {
            let fault = self.clusters.unknown(&spec.selector.cluster);
            return self.set_route(id, Route::Unreachable, Some(fault), out);
        }
        self.await_pod(id);
        if self.forwards.all().get(&id).is_some_and(Forward::is_direct) {
            self.set_route(id, Route::Waiting, None, out);
        } else {
            self.route_forward(id, out);
        }
    }

    /// Sets the limits of a forward on demand whose route has changed.
    pub(crate) fn update_demand(&mut self, id: ForwardId, was_awaited: bool) {
        let Some(forward) = self.forwards.all().get(&id).filter(|forward| forward.demand.is_some()) else { return };
        let create = self.now + self.route_timeout(forward);
        let idle = self.now + span(self.forward_policy(&forward.spec.target).idle);
        let Some(forward) = self.forwards.get_mut(id) else { return };
        let there = forward.via().is_some();
        if there && !forward.spec.on_demand {
            forward.demand = None;
        } else if let Some(demand) = &mut forward.demand {
            if there {
                *demand = Demand { round: demand.round, until: idle, ..Demand::FRESH };
            } else if !was_awaited {
                demand.until = create;
            }
        }
    }

    /// Lets a forward that lost its pod get another with the next connection, as one on demand does, if its target
    /// allows that. Returns whether it does.
    pub(crate) fn keeps_listening(&mut self, id: ForwardId) -> bool {
        let recreate = self.forward_policy(&self.target_of(id)).recreate;
        let Some(forward) = self.forwards.get_mut(id) else { return false };
        if recreate {
            forward.demand.get_or_insert(Demand::FRESH);
        }
        forward.demand.is_some()
    }

    /// Requests another pod at once for a forward that lost its own, as if a connection had come.
    pub(crate) fn replace_lost_pod(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let lost = self.forwards.all().get(&id).filter(|forward| forward.has_lost_pod());
        if let Some(demand) = lost.and_then(|forward| forward.demand) {
            self.wake(id, demand, out);
        }
    }

    /// Puts a forward on demand to rest. Connections that wait fail; later ones ask for a pod.
    pub(crate) fn rest(&mut self, id: ForwardId, fault: Option<Fault>, out: &mut Vec<Effect>) {
        let round = self.next_number();
        let Some(forward) = self.forwards.get_mut(id).filter(|forward| !forward.has_failed()) else { return };
        let reason = || fault.clone().unwrap_or_else(|| Fault::new(What::NoPod, &forward.spec.target, ""));
        let failed = forward.is_waited_for().then(reason);
        let demand = forward.demand.filter(|_| failed.is_some()).map_or(Demand::FRESH, |last| last.failed(self.now));
        forward.demand = Some(Demand { round, ..demand });
        forward.fault = fault;
        forward.lookup_fault = None;
        (forward.relay, forward.tunnel, forward.health) = (None, None, None);
        forward.route = Route::Resting;
        forward.backends.clear();
        let selector = forward.spec.selector.clone();
        self.screen.unarranged = true;
        out.push(Effect::Forward(ForwardEffect::Rest { id, round, failed }));
        self.drain_idle_pods(&selector, out);
    }

    /// Puts forwards on demand to rest that are idle, or whose pod is late.
    pub(crate) fn check_demand(&mut self, out: &mut Vec<Effect>) {
        let (mut late, mut idle) = (Vec::new(), Vec::new());
        for forward in self.forwards.iter_mut() {
            let open = forward.traffic.counts.open > 0 || forward.used == Some(self.now);
            let is_due = forward.demand.is_some_and(|demand| demand.until <= self.now);
            if is_due && forward.route.is_awaited() {
                late.push(forward.spec.id);
            } else if is_due && forward.via().is_some() && !open {
                idle.push(forward.spec.id);
            }
        }
        for id in late {
            let Some(forward) = self.forwards.all().get(&id) else { continue };
            let limit = || {
                Ttl::from_secs(self.route_timeout(forward).num_seconds().unsigned_abs()).map(|limit| limit.to_string())
            };
            let late = || Fault::new(What::PodLate, &forward.spec.target, limit().unwrap_or_default());
            // Nobody's connection has failed where nobody waits.
            let fault = forward.is_waited_for().then(|| forward.fault.clone().unwrap_or_else(late));
            self.rest(id, fault, out);
        }
        for id in idle {
            let target = self.target_of(id);
            self.rest(id, None, out);
            self.note(Level::Info, Message::ForwardRests, target, "");
        }
    }

    /// A forward that carries connections is in use for that long again.
    pub(crate) fn extend_idle_limit(&mut self, id: ForwardId) {
        let used = |forward: &&Forward| forward.used == Some(self.now) && forward.via().is_some();
        if let Some(target) = self.forwards.all().get(&id).filter(used).map(|forward| forward.spec.target.clone()) {
            let until = self.now + span(self.forward_policy(&target).idle);
            if let Some(demand) = self.forwards.get_mut(id).and_then(|forward| forward.demand.as_mut()) {
                demand.until = until;
            }
        }
    }

    /// Opens the chosen targets' forwards on demand; those that are open become so, or where all are, cease to be.
    pub(crate) fn toggle_demand(&mut self, out: &mut Vec<Effect>) {
        let targets = self.chosen_targets();
        if targets.is_empty() {
            return self.nothing_selected();
        }
        for target in targets {
            let open: Vec<(ForwardId, bool)> = self
                .forwards_of(&target.name)
                .filter(|forward| !forward.has_failed())
                .map(|forward| (forward.spec.id, forward.spec.on_demand))
                .collect();
            let all = open.iter().all(|(_, on_demand)| *on_demand);
            match open.first() {
                None => self.open_forward_as(&target, true, out),
                Some(_) if all => open.iter().for_each(|(id, _)| self.serve_always(*id, out)),
                Some(_) => open.iter().for_each(|(id, _)| self.serve_on_demand(*id, out)),
            }
        }
        self.screen.targets.marks.clear();
    }

    /// Makes an open forward one on demand; what it carries goes on.
    pub(crate) fn serve_on_demand(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(id).filter(|forward| !forward.spec.on_demand) else { return };
        forward.spec.on_demand = true;
        forward.demand = Some(Demand { until: self.now, ..Demand::FRESH });
        let (target, local) = (forward.spec.target.clone(), forward.local());
        let waits = forward.route.is_awaited();
        if waits {
            out.push(Effect::Forward(ForwardEffect::Point { id, via: None, waiting: true, on_demand: true }));
        }
        if waits || forward.via().is_some() {
            self.update_demand(id, false);
        } else {
            self.rest(id, None, out);
        }
        self.screen.unarranged = true;
        self.note(Level::Info, Message::OnDemandNow, target, local);
    }

    /// Makes a forward on demand an ordinary one, with a pod from now on.
    pub(crate) fn serve_always(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(id).filter(|forward| forward.spec.on_demand) else { return };
        let rested = forward.is_resting();
        if !rested && forward.via().is_none() {
            // Whoever waits has a limit of their own from here on.
            out.push(Effect::Forward(ForwardEffect::Point { id, via: None, waiting: true, on_demand: false }));
        }
        forward.spec.on_demand = false;
        forward.demand = None;
        let (target, local) = (forward.spec.target.clone(), forward.local());
        self.screen.unarranged = true;
        self.note(Level::Info, Message::AlwaysNow, target, local);
        if rested {
            self.find_route(id, out);
        }
    }

    /// Opens, once, the forwards that open with the dashboard. Those on demand need no cluster for that.
    pub(crate) fn autostart(&mut self, out: &mut Vec<Effect>) {
        // What another instance forwards is not opened twice: those have to be heard first.
        let known = self.config.is_loaded() && !self.clusters.all().is_empty() && self.instances.are_known();
        if !known || self.unattended() || !self.forwards.begin_autostart() {
            return;
        }
        let targets: Vec<Target> =
            self.targets.all().iter().filter(|target| target.forward.autostart).cloned().collect();
        for target in targets {
            self.open_forward(&target, out);
            for forward in self.forwards.iter_mut().filter(|forward| forward.spec.target == target.name) {
                forward.autostarted = true;
            }
        }
        self.claim_open(out);
    }
}
