//! The index of connected clusters: what the search finds in them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::screen::find::Hit;
use crate::types::epoch::Epoch;
use crate::types::index::ClusterIndex;

/// The time after the last search at which the index goes.
const KEPT: TimeDelta = TimeDelta::minutes(5);

/// The number of results that are remembered as used.
const MAX_RECENT: usize = 20;

/// The index, which exists from the first search until some time after the last.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Tells events of this index from those of an earlier one.
    pub epoch: Epoch,
    /// By context. Shared, so that a copy of the model costs nothing.
    clusters: BTreeMap<String, Arc<ClusterIndex>>,
    /// The time of the last search.
    used: Option<DateTime<Utc>>,
    /// The only namespace that is looked into, where a subcommand names one.
    pub(crate) only: Option<String>,
    /// Results that were gone to, the last first.
    recent: VecDeque<Hit>,
}

impl Index {
    /// Returns the index of each cluster that is looked into.
    pub fn clusters(&self) -> &BTreeMap<String, Arc<ClusterIndex>> {
        &self.clusters
    }

    /// Returns true if the cluster's index is complete, as far as rights allow.
    pub fn is_done(&self, cluster: &str) -> bool {
        self.clusters.get(cluster).is_some_and(|at| at.is_done())
    }

    /// Notes a search.
    pub(crate) fn touch(&mut self, now: DateTime<Utc>) {
        self.used = Some(now);
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used.is_some()
    }

    /// Adds a cluster; false if it is there.
    pub(crate) fn begin(&mut self, cluster: &str) -> bool {
        let new = !self.clusters.contains_key(cluster);
        if new {
            self.clusters.insert(cluster.to_owned(), Arc::default());
        }
        new
    }

    pub(crate) fn get_mut(&mut self, cluster: &str) -> Option<&mut ClusterIndex> {
        self.clusters.get_mut(cluster).map(Arc::make_mut)
    }

    /// Drops a cluster's part; false if there is none.
    pub(crate) fn forget(&mut self, cluster: &str) -> bool {
        self.clusters.remove(cluster).is_some()
    }

    /// Drops everything that was found if the last search is long ago. Returns the clusters that had been looked into.
    pub(crate) fn expire(&mut self, now: DateTime<Utc>) -> Vec<String> {
        if self.used.is_none_or(|used| now - used < KEPT) {
            return Vec::new();
        }
        self.used = None;
        std::mem::take(&mut self.clusters).into_keys().collect()
    }

    pub(crate) fn remember(&mut self, hit: &Hit) {
        self.recent.retain(|other| other != hit);
        self.recent.push_front(hit.clone());
        self.recent.truncate(MAX_RECENT);
    }

    pub(crate) fn recent(&self) -> &VecDeque<Hit> {
        &self.recent
    }
}
