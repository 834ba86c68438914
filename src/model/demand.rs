//! Forwards on demand: a listener that costs nothing until somebody connects, and nothing again some time after the
//! last use.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::Model;
use super::effect::Effect;
use super::fault::{Fault, What};
use super::forward::{Counts, Forward, ForwardId, ForwardState};
use super::log::{Grade, Happening};
use super::proxy::{Phase, PodKey, PodPlace, RequestId};
use super::renew::Renewal;
use super::target::Target;
use super::ttl::Ttl;

/// Where a forward on demand stands between two uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Tells the last rest from the earlier ones of the same opening.
    pub round: u64,
    /// What it does.
    pub stage: Stage,
}

/// What a forward on demand does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It listens, and nothing else.
    Resting,
    /// A connection waits for a way, which is given up at this time.
    Asked(DateTime<Utc>),
    /// There is a way. Without a connection it rests from this time on.
    Used(DateTime<Utc>),
}

impl Demand {
    /// A forward that was just opened.
    pub const FRESH: Self = Self { round: 0, stage: Stage::Resting };
}

/// Pods that come and go without a person's asking for each.
#[derive(Debug, Clone, Default)]
pub struct Upkeep {
    /// Requests made for a connection on demand.
    pub requests: BTreeSet<RequestId>,
    /// The pods that came of them; they go with their last use.
    pub pods: BTreeSet<PodKey>,
    /// Pods to be deleted as soon as none of these forwards carries a connection through them.
    pub leaving: BTreeMap<PodKey, BTreeSet<ForwardId>>,
    /// Pods that are being replaced.
    pub renewals: BTreeMap<PodKey, Renewal>,
    /// When the first of a row of pods was created that have replaced each other, by the last.
    pub first: BTreeMap<PodKey, DateTime<Utc>>,
    /// Whether the forwards that open by themselves have been opened.
    pub started: bool,
    /// Whether the other instances that were there at the start have been heard.
    pub others_known: bool,
}

impl Forward {
    /// Whether nothing is behind its listener until somebody connects.
    pub fn is_resting(&self) -> bool {
        self.demand.is_some_and(|demand| demand.stage == Stage::Resting)
    }

    /// For one on demand that has a way and no connection: what is left until it rests.
    pub fn idle_left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        match self.demand?.stage {
            Stage::Used(until) if self.traffic.counts.open == 0 => Some((until - now).max(TimeDelta::zero())),
            Stage::Used(_) | Stage::Resting | Stage::Asked(_) => None,
        }
    }

    /// Takes the counters of a new second; whether they tell of a use.
    pub(super) fn sample(&mut self, counts: Counts, now: DateTime<Utc>) {
        let used = counts.open > 0 || counts.total != self.traffic.counts.total;
        if used {
            self.used = Some(now);
        }
        self.traffic.sample(counts);
    }

    /// Whether it waits for a proxy pod.
    fn waits_at(&self, place: &PodPlace) -> bool {
        self.via.is_none() && (self.waiting || self.wants_pod) && !self.is_direct() && self.spec.place == *place
    }
}

/// A configured time, as it is counted with.
pub(super) fn span(time: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

impl Model {
    /// A connection has come to a forward that rests.
    pub(super) fn on_wanted(&mut self, id: ForwardId, round: u64, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get(&id).filter(|forward| forward.is_resting()) else {
            return;
        };
        if forward.demand.is_none_or(|demand| demand.round != round) {
            return;
        }
        let keep = self.keep(&forward.spec.target);
        // The watch on a workload's pods gives up by itself.
        let patience = forward.spec.address.workload().map(super::workload::Workload::patience);
        let until = self.now + span(keep.create + patience.unwrap_or_default());
        if let Some(forward) = self.forwards.get_mut(&id) {
            forward.demand = Some(Demand { round, stage: Stage::Asked(until) });
            forward.used = Some(self.now);
        }
        self.seek(id, out);
    }

    /// Has a forward look for a way: a pod that is there, one that is asked for, or those of its workload.
    fn seek(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(spec) = self.forwards.get(&id).map(|forward| forward.spec.clone()) else {
            return;
        };
        if !self.need(&spec.place.cluster, out) {
            let fault = self.kubeconfig_fault.clone();
            let fault = fault.unwrap_or_else(|| Fault::new(What::UnknownContext, &spec.place.cluster, ""));
            return self.point(id, None, false, Some(fault), out);
        }
        self.want_pod(id);
        if self.forwards.get(&id).is_some_and(Forward::is_direct) {
            self.point(id, None, true, None, out);
        } else {
            self.settle_forward(id, out);
        }
    }

    /// What becomes of a forward on demand that is pointed somewhere.
    pub(super) fn demand_follows(&mut self, id: ForwardId) {
        let Some(forward) = self.forwards.get(&id).filter(|forward| forward.demand.is_some()) else {
            return;
        };
        let keep = self.keep(&forward.spec.target);
        let patience = forward.spec.address.workload().map(super::workload::Workload::patience);
        let create = self.now + span(keep.create + patience.unwrap_or_default());
        let idle = self.now + span(keep.idle);
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        let there = forward.via.is_some();
        if let Some(demand) = &mut forward.demand {
            demand.stage = match demand.stage {
                Stage::Asked(until) if !there => Stage::Asked(until),
                Stage::Resting | Stage::Used(_) if !there => Stage::Asked(create),
                Stage::Resting | Stage::Asked(_) | Stage::Used(_) => Stage::Used(idle),
            };
        }
    }

    /// Has a forward on demand rest. Connections that wait for it fail where it was `asked` for a way, else they ask.
    pub(super) fn rest(&mut self, id: ForwardId, fault: Option<Fault>, out: &mut Vec<Effect>) {
        let round = self.count();
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        let asked = forward.demand.is_some_and(|demand| matches!(demand.stage, Stage::Asked(_)));
        let failed = asked.then(|| fault.clone().unwrap_or_else(|| Fault::new(What::NoPod, &forward.spec.target, "")));
        forward.demand = Some(Demand { round, stage: Stage::Resting });
        forward.fault = fault;
        (forward.via, forward.relay, forward.tunnel, forward.health) = (None, None, None, None);
        (forward.waiting, forward.wants_pod) = (false, false);
        forward.backends.clear();
        if !forward.bound.is_empty() {
            forward.state = ForwardState::Resting;
        }
        let place = forward.spec.place.clone();
        self.unarranged = true;
        out.push(Effect::Rest { id, round, failed });
        self.let_pods_go(&place, Some(id), out);
    }

    /// Lets go of pods at a place that were made on demand and that nobody uses now. One that `after` may still carry
    /// connections through goes when that says so.
    pub(super) fn let_pods_go(&mut self, place: &PodPlace, after: Option<ForwardId>, out: &mut Vec<Effect>) {
        let used = |key: &PodKey| self.forwards.values().any(|at| at.via.as_ref().is_some_and(|via| via.pod == *key));
        let waited_for = self.forwards.values().any(|forward| forward.waits_at(place));
        let idle: Vec<(PodKey, Phase)> = self
            .pods_at(place)
            .filter(|pod| self.upkeep.pods.contains(&pod.key) && pod.phase <= Phase::Ready)
            .filter(|pod| !waited_for && !used(&pod.key))
            .map(|pod| (pod.key.clone(), pod.phase))
            .collect();
        for (key, phase) in idle {
            match after {
                Some(id) if phase == Phase::Ready => drop(self.upkeep.leaving.entry(key).or_default().insert(id)),
                Some(_) | None => self.discard(&key, out),
            }
        }
    }

    /// The last connection that a forward carried through a pod has ended.
    pub(super) fn on_left(&mut self, id: ForwardId, pod: &PodKey, out: &mut Vec<Effect>) {
        let Some(carriers) = self.upkeep.leaving.get_mut(pod) else {
            return;
        };
        carriers.remove(&id);
        if carriers.is_empty() {
            self.discard(pod, out);
        }
    }

    /// A forward is closed, and with it what it carried.
    pub(super) fn on_stopped(&mut self, forward: &Forward, out: &mut Vec<Effect>) {
        let id = forward.spec.id;
        let leaving: Vec<PodKey> = self.upkeep.leaving.keys().cloned().collect();
        for pod in leaving {
            self.on_left(id, &pod, out);
        }
        self.let_pods_go(&forward.spec.place, None, out);
    }

    /// Deletes a pod that we no longer need. One of another run, or that another
    /// instance goes through, is left to its TTL.
    pub(super) fn discard(&mut self, key: &PodKey, out: &mut Vec<Effect>) {
        self.upkeep.pods.remove(key);
        self.upkeep.leaving.remove(key);
        if !self.created.contains_key(key) || self.is_used_elsewhere(key) {
            return;
        }
        if !self.kill(key, out)
            && !self.pods.contains_key(key)
            && let Some(uid) = self.created.get(key).cloned()
        {
            // Its cluster was let go of meanwhile.
            out.push(Effect::DeletePod { key: key.clone(), uid });
        }
    }

    /// A pod that was asked for on demand is there; without anybody waiting for it any more it goes again.
    pub(super) fn on_demanded(&mut self, request: RequestId, key: &PodKey, out: &mut Vec<Effect>) {
        if !self.upkeep.requests.remove(&request) {
            return;
        }
        self.upkeep.pods.insert(key.clone());
        let place = self.pods.get(key).map(|pod| PodPlace {
            cluster: key.cluster.clone(),
            namespace: key.namespace.clone(),
            label: pod.target_label.clone(),
        });
        if let Some(place) = place {
            self.let_pods_go(&place, None, out);
        }
    }

    /// A second has passed: forwards on demand rest that are not used, or whose way takes too long.
    pub(super) fn tend_demand(&mut self, out: &mut Vec<Effect>) {
        let (mut late, mut idle) = (Vec::new(), Vec::new());
        for forward in self.forwards.values_mut() {
            let open = forward.traffic.counts.open > 0 || forward.used == Some(self.now);
            match forward.demand.map(|demand| demand.stage) {
                Some(Stage::Asked(until)) if until <= self.now => late.push(forward.spec.id),
                Some(Stage::Used(until)) if until <= self.now && !open => idle.push(forward.spec.id),
                Some(Stage::Resting | Stage::Asked(_) | Stage::Used(_)) | None => {}
            }
        }
        for id in late {
            let known = self.forwards.get(&id).and_then(|forward| forward.fault.clone());
            let target = self.target_of(id);
            let limit = Ttl::from_secs(self.keep(&target).create.as_secs()).map(|limit| limit.to_string());
            let fault = known.unwrap_or_else(|| Fault::new(What::PodLate, target, limit.unwrap_or_default()));
            self.rest(id, Some(fault), out);
        }
        for id in idle {
            let target = self.target_of(id);
            self.rest(id, None, out);
            self.note(Grade::Info, Happening::ForwardRests, target, "");
        }
    }

    /// A forward that carries connections is in use for that long again.
    pub(super) fn renew_use(&mut self, id: ForwardId) {
        let used = |forward: &&Forward| {
            forward.used == Some(self.now) && forward.demand.is_some_and(|at| matches!(at.stage, Stage::Used(_)))
        };
        if let Some(target) = self.forwards.get(&id).filter(used).map(|forward| forward.spec.target.clone()) {
            let until = self.now + span(self.keep(&target).idle);
            if let Some(demand) = self.forwards.get_mut(&id).and_then(|forward| forward.demand.as_mut()) {
                demand.stage = Stage::Used(until);
            }
        }
    }

    /// Opens the chosen targets' forwards on demand; those that are open become so, or where all are, cease to be.
    pub(super) fn toggle_demand(&mut self, out: &mut Vec<Effect>) {
        let targets = self.chosen_targets();
        if targets.is_empty() {
            return self.nothing_selected();
        }
        for target in targets {
            let open: Vec<(ForwardId, bool)> = self
                .forwards_of(&target.name)
                .filter(|forward| forward.state != ForwardState::Failed)
                .map(|forward| (forward.spec.id, forward.demand.is_some()))
                .collect();
            let all = open.iter().all(|(_, on_demand)| *on_demand);
            match open.first() {
                None => self.open_forward_as(&target, true, out),
                Some(_) if all => open.iter().for_each(|(id, _)| self.serve_always(*id, out)),
                Some(_) => open.iter().for_each(|(id, _)| self.serve_on_demand(*id, out)),
            }
        }
        self.target_list.marks.clear();
    }

    /// Makes an open forward one on demand; what it carries goes on.
    pub(super) fn serve_on_demand(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(&id).filter(|forward| forward.demand.is_none()) else {
            return;
        };
        forward.spec.on_demand = true;
        forward.demand = Some(Demand { stage: Stage::Used(self.now), ..Demand::FRESH });
        let (target, local) = (forward.spec.target.clone(), forward.local());
        let lasts = forward.via.is_some() || forward.waiting || forward.wants_pod;
        if lasts {
            self.demand_follows(id);
        } else {
            self.rest(id, None, out);
        }
        self.unarranged = true;
        self.note(Grade::Info, Happening::OnDemandNow, target, local);
    }

    /// Makes a forward on demand an ordinary one, with a pod from now on.
    pub(super) fn serve_always(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(&id).filter(|forward| forward.demand.is_some()) else {
            return;
        };
        let rested = forward.is_resting();
        forward.spec.on_demand = false;
        forward.demand = None;
        let (target, local) = (forward.spec.target.clone(), forward.local());
        self.unarranged = true;
        self.note(Grade::Info, Happening::AlwaysNow, target, local);
        if rested {
            self.seek(id, out);
        }
    }

    /// Opens, once, the forwards that open with the dashboard. Those on demand need no cluster for that.
    pub(super) fn autostart(&mut self, out: &mut Vec<Effect>) {
        // What another instance forwards is not opened twice: those have to be heard first.
        let known = !self.config_path.is_empty() && !self.clusters.is_empty() && self.upkeep.others_known;
        if !known || self.unattended() || std::mem::replace(&mut self.upkeep.started, known) {
            return;
        }
        let targets: Vec<Target> = self.targets.iter().filter(|target| target.keep.autostart).cloned().collect();
        for target in targets {
            self.open_forward(&target, out);
            for forward in self.forwards.values_mut().filter(|forward| forward.spec.target == target.name) {
                forward.unasked = true;
            }
        }
    }
}
