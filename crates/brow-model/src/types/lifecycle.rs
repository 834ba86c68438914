//! The lifecycle of pods that are created on demand or renewed: their users, draining, deletion.

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

use crate::types::forward::{Forward, ForwardId};
use crate::types::proxy::{PodKey, PodRequestId, PodSelector};

/// The replacement of one pod. Kubernetes cannot extend a running pod's deadline: new connections go to another pod,
/// and the old one is deleted once it has drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The time at which the replacement was requested.
    pub asked: DateTime<Utc>,
    /// The request, until it is answered.
    pub request: Option<PodRequestId>,
    /// The pod that takes over, until it is ready or lost.
    pub pod: Option<PodKey>,
}

impl Renewal {
    pub(crate) fn is_under_way(&self) -> bool {
        self.request.is_some() || self.pod.is_some()
    }
}

/// Pods on demand, the users of pods, draining pods and renewals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lifecycle {
    /// Pods that were created on demand, with their selectors, which outlive the connection to their cluster. They are
    /// deleted after their last use.
    on_demand: BTreeMap<PodKey, PodSelector>,
    /// The forwards that may carry connections through a pod: those routed there, and those that have not reported
    /// since that it drained.
    users: BTreeMap<PodKey, BTreeSet<ForwardId>>,
    /// Pods that are deleted once they have no users; true once it was logged that another instance uses it.
    draining: BTreeMap<PodKey, bool>,
    /// Pods that are being replaced.
    renewals: BTreeMap<PodKey, Renewal>,
    /// The creation of the first of a chain of pods that replaced each other, by the last of them.
    first_created: BTreeMap<PodKey, DateTime<Utc>>,
    /// Pods of whose end a person was warned.
    warned: BTreeSet<PodKey>,
}

impl Lifecycle {
    pub(crate) fn add_on_demand(&mut self, pod: PodKey, selector: PodSelector) {
        self.on_demand.insert(pod, selector);
    }

    pub(crate) fn is_on_demand(&self, pod: &PodKey) -> bool {
        self.on_demand.contains_key(pod)
    }

    pub(crate) fn on_demand(&self) -> &BTreeMap<PodKey, PodSelector> {
        &self.on_demand
    }

    /// Gives the pods on demand with a label in a cluster another label.
    pub(crate) fn relabel(&mut self, cluster: &str, old: &str, new: &str) {
        let labelled = |selector: &&mut PodSelector| selector.cluster == cluster && selector.label == old;
        for selector in self.on_demand.values_mut().filter(labelled) {
            new.clone_into(&mut selector.label);
        }
    }

    /// Adds a user to a pod, which ends its draining.
    pub(crate) fn acquire(&mut self, id: ForwardId, pod: &PodKey) {
        self.users.entry(pod.clone()).or_default().insert(id);
        self.draining.remove(pod);
    }

    /// Removes a user from a pod.
    pub(crate) fn release(&mut self, id: ForwardId, pod: &PodKey) {
        if let Some(users) = self.users.get_mut(pod) {
            users.remove(&id);
        }
        self.users.retain(|_, users| !users.is_empty());
    }

    /// Returns the pods that have users.
    pub(crate) fn used(&self) -> Vec<PodKey> {
        self.users.keys().cloned().collect()
    }

    /// Returns the pods that a forward is no longer routed to, but may still carry connections through.
    pub(crate) fn draining_of(&self, forward: &Forward) -> impl Iterator<Item = &PodKey> {
        let holds =
            |(pod, by): &(&PodKey, &BTreeSet<ForwardId>)| by.contains(&forward.spec.id) && !forward.is_through(pod);
        self.users.iter().filter(holds).map(|(pod, _)| pod)
    }

    /// Deletes a pod once it has no users.
    pub(crate) fn drain(&mut self, pod: &PodKey) {
        self.draining.entry(pod.clone()).or_insert(false);
    }

    pub(crate) fn is_draining(&self, pod: &PodKey) -> bool {
        self.draining.contains_key(pod)
    }

    pub(crate) fn draining(&self) -> Vec<PodKey> {
        self.draining.keys().cloned().collect()
    }

    /// Returns true if a pod is draining and has no users left.
    pub(crate) fn is_drained(&self, pod: &PodKey) -> bool {
        self.draining.contains_key(pod) && !self.users.contains_key(pod)
    }

    /// Notes that another instance uses a draining pod. Returns true if that is news.
    pub(crate) fn note_used_elsewhere(&mut self, pod: &PodKey) -> bool {
        self.draining.get_mut(pod).is_some_and(|told| !std::mem::replace(told, true))
    }

    /// Removes a pod that is about to be deleted from those that are to be.
    pub(crate) fn discard(&mut self, pod: &PodKey) {
        self.on_demand.remove(pod);
        self.draining.remove(pod);
    }

    /// Removes all that is kept about a pod.
    pub(crate) fn forget(&mut self, pod: &PodKey) {
        self.discard(pod);
        self.users.remove(pod);
        self.warned.remove(pod);
        self.first_created.remove(pod);
        self.renewals.remove(pod);
        for renewal in self.renewals.values_mut().filter(|renewal| renewal.pod.as_ref() == Some(pod)) {
            renewal.pod = None;
        }
    }

    /// Notes that a person is warned of a pod's end; false if that was done.
    pub(crate) fn begin_warning(&mut self, pod: PodKey) -> bool {
        self.warned.insert(pod)
    }

    pub(crate) fn renewal(&self, pod: &PodKey) -> Option<&Renewal> {
        self.renewals.get(pod)
    }

    pub(crate) fn begin_renewal(&mut self, pod: PodKey, asked: DateTime<Utc>, request: Option<PodRequestId>) {
        self.renewals.insert(pod, Renewal { asked, request, pod: None });
    }

    /// Takes the answer to a request that may have been for a replacement. Returns the pod to be replaced, if it was.
    pub(crate) fn answer_renewal(&mut self, request: PodRequestId, new: Option<&PodKey>) -> Option<PodKey> {
        let (old, renewal) = self.renewals.iter_mut().find(|(_, renewal)| renewal.request == Some(request))?;
        renewal.request = None;
        renewal.pod = new.cloned();
        Some(old.clone())
    }

    pub(crate) fn replaced_by(&self, new: &PodKey) -> impl Iterator<Item = &PodKey> {
        self.renewals.iter().filter(move |(_, renewal)| renewal.pod.as_ref() == Some(new)).map(|(old, _)| old)
    }

    pub(crate) fn end_renewal(&mut self, old: &PodKey) {
        self.renewals.remove(old);
    }

    /// Returns the creation of the first of the pods that replaced each other up to this one.
    pub(crate) fn first_created(&self, pod: &PodKey) -> Option<DateTime<Utc>> {
        self.first_created.get(pod).copied()
    }

    pub(crate) fn set_first_created(&mut self, pod: &PodKey, first: DateTime<Utc>) {
        self.first_created.insert(pod.clone(), first);
    }
}
