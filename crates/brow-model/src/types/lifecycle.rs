//! Pods that come and go without a person's asking for each: which of them are needed still, and which go.

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

use crate::types::forward::{Forward, ForwardId};
use crate::types::proxy::{PodKey, PodSelector};
use crate::types::renew::Renewal;

/// What is known of them.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Pods that were made on demand, and where they belong: their cluster may be let go of. They go with their last
    /// use.
    pub on_demand: BTreeMap<PodKey, PodSelector>,
    /// The forwards that may carry connections through a pod: those that are pointed there, and those that have not
    /// said since that they left it.
    pub users: BTreeMap<PodKey, BTreeSet<ForwardId>>,
    /// Pods that go as soon as nobody holds them; whether it was told that another instance does.
    pub draining: BTreeMap<PodKey, bool>,
    /// Pods that are being replaced.
    pub renewals: BTreeMap<PodKey, Renewal>,
    /// When the first of a row of pods was created that have replaced each other, by the last.
    pub first_created: BTreeMap<PodKey, DateTime<Utc>>,
    /// Whether the forwards that open by themselves have been opened.
    pub started: bool,
    /// Whether the other instances that were there at the start have been heard.
    pub others_known: bool,
}

impl Lifecycle {
    /// A forward is pointed at a pod: that is of use, whatever was to become of it.
    pub(crate) fn acquire(&mut self, id: ForwardId, pod: &PodKey) {
        self.users.entry(pod.clone()).or_default().insert(id);
        self.draining.remove(pod);
    }

    /// The pods that a forward is no longer pointed at, but may still carry connections through.
    pub(crate) fn draining_of(&self, forward: &Forward) -> impl Iterator<Item = &PodKey> {
        let holds =
            |(pod, by): &(&PodKey, &BTreeSet<ForwardId>)| by.contains(&forward.spec.id) && !forward.is_through(pod);
        self.users.iter().filter(holds).map(|(pod, _)| pod)
    }

    /// A forward has no connection through a pod any more.
    pub(crate) fn release(&mut self, id: ForwardId, pod: &PodKey) {
        if let Some(holders) = self.users.get_mut(pod) {
            holders.remove(&id);
        }
        self.users.retain(|_, holders| !holders.is_empty());
    }
}
