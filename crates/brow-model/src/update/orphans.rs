//! Orphans: pods that a run left behind, by a crash or on purpose. The clusters that may have some are remembered, so
//! that the next start looks there and nowhere else.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

use crate::language::effect::{Effect, StoreEffect};
use crate::state::Model;
use crate::types::ttl::Ttl;

/// The time after the last TTL for which a cluster that could not be checked is checked again.
const WORTH_A_LOOK: TimeDelta = TimeDelta::days(7);

impl Model {
    /// Remembers that pods in a cluster may outlive this run.
    pub(crate) fn record_pods_until(&mut self, cluster: &str, ttl: Ttl, out: &mut Vec<Effect>) {
        let until = self.now + TimeDelta::seconds(ttl.secs().into());
        let until = self.clusters.extend_pods(cluster.to_owned(), until);
        out.push(Effect::Store(StoreEffect::PodsUntil { cluster: cluster.to_owned(), until }));
    }

    /// Adds the clusters that earlier runs and other instances remember.
    pub(crate) fn remember_orphaned(&mut self, left: BTreeMap<String, DateTime<Utc>>, out: &mut Vec<Effect>) {
        for (cluster, until) in left {
            if until + WORTH_A_LOOK <= self.now {
                out.push(Effect::Store(StoreEffect::PodsGone { cluster, at: self.now }));
            } else {
                self.clusters.extend_pods(cluster, until);
            }
        }
    }

    /// Connects the clusters in which earlier runs may have left pods. Also where the TTL is up by now: Kubernetes
    /// ends a pod, and we clear it away.
    pub(crate) fn connect_orphaned(&mut self, out: &mut Vec<Effect>) {
        if self.unattended() {
            return;
        }
        let left: Vec<String> =
            self.clusters.pods_until().keys().filter(|name| self.cluster(name).is_some()).cloned().collect();
        for name in left {
            self.ensure_connected(&name, out);
        }
    }

    /// Forgets clusters whose last TTL is up and in which no pod of ours is left.
    pub(crate) fn forget_orphaned(&mut self, out: &mut Vec<Effect>) {
        let past =
            self.clusters.pods_until().iter().filter(|(name, until)| **until <= self.now && self.has_no_pods(name));
        let past: Vec<String> = past.map(|(name, _)| name.clone()).collect();
        for cluster in past {
            self.clusters.forget_pods(&cluster);
            out.push(Effect::Store(StoreEffect::PodsGone { cluster, at: self.now }));
        }
    }

    /// Returns true if the pods of a cluster are known, as far as they may be listed.
    pub fn has_listed_pods(&self, name: &str) -> bool {
        !self.is_recognising(name)
            && self.cluster(name).is_some_and(|at| {
                !at.listed.is_empty()
                    && self.namespaces(name).iter().all(|space| at.knows(space) || at.denied.contains_key(space))
            })
    }

    /// Returns true if a cluster's pods are known and none is ours.
    fn has_no_pods(&self, name: &str) -> bool {
        self.has_listed_pods(name)
            && !self.pods.requests().values().any(|asked| asked.cluster == name)
            && !self.pods.all().values().any(|pod| pod.key.cluster == name && self.is_ours(pod))
    }
}
