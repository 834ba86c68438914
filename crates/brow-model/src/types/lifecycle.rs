//! The lifecycle of pods that are created on demand or renewed: their users, draining, deletion.

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

use crate::types::forward::{Forward, ForwardId};
use crate::types::proxy::{PodKey, PodSelector};
use crate::types::renew::Renewal;

/// Pods on demand, the users of pods, draining pods and renewals.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Pods that were created on demand, with their selectors, which outlive the connection to their cluster. They are
    /// deleted after their last use.
    pub on_demand: BTreeMap<PodKey, PodSelector>,
    /// The forwards that may carry connections through a pod: those routed there, and those that have not reported
    /// since that it drained.
    pub users: BTreeMap<PodKey, BTreeSet<ForwardId>>,
    /// Pods that are deleted once they have no users; true once it was logged that another instance uses it.
    pub draining: BTreeMap<PodKey, bool>,
    /// Pods that are being replaced.
    pub renewals: BTreeMap<PodKey, Renewal>,
    /// The creation of the first of a chain of pods that replaced each other, by the last of them.
    pub first_created: BTreeMap<PodKey, DateTime<Utc>>,
    /// True once the forwards that open at start were opened.
    pub started: bool,
    /// True once the other instances that were there at the start have reported.
    pub others_known: bool,
}

impl Lifecycle {
    /// Adds a user to a pod, which ends its draining.
    pub(crate) fn acquire(&mut self, id: ForwardId, pod: &PodKey) {
        self.users.entry(pod.clone()).or_default().insert(id);
        self.draining.remove(pod);
    }

    /// Returns the pods that a forward is no longer routed to, but may still carry connections through.
    pub(crate) fn draining_of(&self, forward: &Forward) -> impl Iterator<Item = &PodKey> {
        let holds =
            |(pod, by): &(&PodKey, &BTreeSet<ForwardId>)| by.contains(&forward.spec.id) && !forward.is_through(pod);
        self.users.iter().filter(holds).map(|(pod, _)| pod)
    }

    /// Removes a user from a pod.
    pub(crate) fn release(&mut self, id: ForwardId, pod: &PodKey) {
        if let Some(holders) = self.users.get_mut(pod) {
            holders.remove(&id);
        }
        self.users.retain(|_, holders| !holders.is_empty());
    }
}
