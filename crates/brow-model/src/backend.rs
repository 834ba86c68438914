//! The pods of a workload: which of them a forward goes through.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use super::Model;
use super::address::Address;
use super::effect::Effect;
use super::fault::Fault;
use super::forward::{ForwardId, ForwardState, Via};
use super::log::{Grade, Happening};

/// A running pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The pod, and the port in it.
    pub via: Via,
    /// Whether it is ready.
    pub ready: bool,
    /// When it was created.
    pub created: DateTime<Utc>,
}

/// Puts the pods in the order in which they are taken: ready ones first, then the newest.
pub fn rank(backends: &mut [Backend]) {
    let key = |backend: &Backend| (!backend.ready, Reverse(backend.created), backend.via.pod.name.clone());
    backends.sort_by_key(key);
}

/// The pod that a forward goes through: the one it goes through now as long as that is as good as any, else the first.
/// `backends` are in the order of [`rank`].
pub fn pick<'a>(backends: &'a [Backend], now: Option<&Via>) -> Option<&'a Backend> {
    let first = backends.first()?;
    let same = backends.iter().find(|backend| now == Some(&backend.via));
    same.filter(|same| same.ready || !first.ready).or(Some(first))
}

impl Model {
    /// The pods of a forward's workload, all that run: it goes through the best of them, or waits for one.
    pub(super) fn on_backends(&mut self, id: ForwardId, backends: Vec<Backend>, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        // Pods have come in the place of an address: whoever goes through a proxy pod goes straight now.
        let relayed = forward.relay.take().is_some();
        forward.unseen = None;
        let before = forward.via.clone().filter(|_| !relayed);
        let via = pick(&backends, before.as_ref()).map(|backend| backend.via.clone());
        // The reason of a connection that failed stays to be read; why there was no pod is over.
        let fault = forward.fault.take().filter(|_| before.is_some() && via.is_some());
        forward.backends = backends;
        let target = forward.spec.target.clone();
        if before.is_some() && before == via {
            forward.fault = fault;
            return;
        }
        let waiting = via.is_none();
        self.point(id, via.clone(), waiting, None, out);
        if let (Some(_), Some(via)) = (before, via) {
            self.note(Grade::Info, Happening::ForwardMoved, target, via.pod.name);
        }
    }

    /// A forward's workload is an address: it takes a proxy pod, which is asked for where there is none.
    pub(super) fn on_relay(&mut self, id: ForwardId, address: Address, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        forward.backends.clear();
        forward.unseen = None;
        let cluster = forward.spec.place.cluster.clone();
        let through = forward.via.clone().filter(|via| via.to.is_some());
        forward.relay = Some(address);
        if through.is_some() {
            // The same pod reaches the new address as well.
            return self.point(id, through, false, None, out);
        }
        self.point(id, None, true, None, out);
        self.want_pod(id);
        self.settle_forwards(&cluster, out);
    }

    /// A pod takes no connections although it runs: they go to the next one that is ready, where there is one.
    pub(super) fn on_refused(&mut self, id: ForwardId, by: &Via, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get(&id).filter(|forward| forward.via.as_ref() == Some(by)) else {
            return;
        };
        let at = forward.backends.iter().position(|backend| backend.via == *by).map_or(0, |at| at + 1);
        let (before, after) = forward.backends.split_at(at.min(forward.backends.len()));
        let others = after.iter().chain(before).filter(|other| other.ready && other.via != *by);
        if let Some(via) = others.map(|other| other.via.clone()).next() {
            let (target, pod) = (forward.spec.target.clone(), via.pod.name.clone());
            self.point(id, Some(via), false, None, out);
            self.note(Grade::Warning, Happening::ForwardMoved, target, pod);
        }
    }

    /// Sends a forward's new connections through the next pod of its workload.
    pub(super) fn next_backend(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get(&id) else {
            return;
        };
        let target = forward.spec.target.clone();
        let at = forward.backends.iter().position(|backend| forward.via.as_ref() == Some(&backend.via));
        let next = at.map_or(0, |at| (at + 1) % forward.backends.len());
        let next = forward.backends.get(next).map(|backend| backend.via.clone());
        match next {
            Some(via) if forward.via.as_ref() != Some(&via) && forward.state != ForwardState::Failed => {
                let pod = via.pod.name.clone();
                self.point(id, Some(via), false, None, out);
                self.note(Grade::Info, Happening::ForwardMoved, target, pod);
            }
            Some(_) | None => self.note(Grade::Info, Happening::NoOtherPod, target, ""),
        }
    }

    /// A forward's workload leads nowhere: connections fail with the reason until it does.
    pub(super) fn on_no_backend(&mut self, id: ForwardId, fault: Fault, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        forward.backends.clear();
        forward.unseen = None;
        forward.relay = None;
        forward.wants_pod = false;
        self.point(id, None, false, Some(fault.clone()), out);
        self.fail(fault);
    }
}

impl Model {
    /// Where a forward's workload leads cannot be seen at the moment. A way that it has may be as good as ever, and is
    /// kept; without one, connections fail with the reason until it can be seen again.
    pub(super) fn on_unseen(&mut self, id: ForwardId, fault: Fault, out: &mut Vec<Effect>) {
        let fault = self.with_login(fault);
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        forward.unseen = Some(fault.clone());
        let (has_way, is_relayed) = (forward.via.is_some(), forward.relay.is_some());
        if !has_way && !is_relayed && forward.state != ForwardState::Failed {
            self.point(id, None, false, Some(fault.clone()), out);
        }
        self.fail(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::PodKey;

    fn backend(name: &str, ready: bool, second: i64) -> Backend {
        let pod = PodKey { cluster: "dev".into(), namespace: "default".into(), name: name.into() };
        let created = DateTime::from_timestamp(second, 0).unwrap();
        Backend { via: Via { pod, uid: name.into(), port: 80, to: None }, ready, created }
    }

    #[test]
    fn ready_comes_before_new_and_a_good_pod_is_kept() {
        let mut all = [backend("old", true, 1), backend("new", true, 3), backend("newest", false, 9)];
        rank(&mut all);
        let names: Vec<&str> = all.iter().map(|backend| backend.via.pod.name.as_str()).collect();
        assert_eq!(names, ["new", "old", "newest"]);
        let through = |now: Option<&Backend>| pick(&all, now.map(|now| &now.via)).map(|picked| picked.via.uid.clone());
        assert_eq!(through(None).as_deref(), Some("new"));
        assert_eq!(through(Some(&all[1])).as_deref(), Some("old"), "kept");
        assert_eq!(through(Some(&all[2])).as_deref(), Some("new"), "not ready, and others are");
        assert_eq!(through(Some(&backend("gone", true, 5))).as_deref(), Some("new"));
        assert_eq!(pick(&[], Some(&all[0].via)), None);
        let unready = [backend("a", false, 2), backend("b", false, 1)];
        assert_eq!(pick(&unready, Some(&unready[1].via)).map(|b| b.via.uid.as_str()), Some("b"), "as good as any");
    }
}
