//! Updates of the index of connected clusters.

use std::collections::BTreeSet;

use crate::language::effect::{ClusterEffect, Effect};
use crate::language::event::IndexEvent;
use crate::screen::dialog::Dialog;
use crate::state::Model;
use crate::types::cluster::Link;
use crate::types::epoch::Epoch;
use crate::types::index::{ClusterIndex, KindIndex};

/// The most that is kept of one cluster.
const MAX_OBJECTS: usize = 200_000;

impl ClusterIndex {
    /// Takes in news; false if there are more objects than are kept.
    pub(crate) fn take(&mut self, event: IndexEvent) -> bool {
        let room = MAX_OBJECTS.saturating_sub(self.count());
        match event {
            IndexEvent::Kinds(kinds) => {
                self.fault = None;
                self.kinds = kinds.into_iter().map(KindIndex::new).collect();
            }
            IndexEvent::Unknown(fault) => self.fault = Some(fault),
            IndexEvent::Page { kind, namespace, rows, first, last } => {
                let Some(at) = self.kinds.get_mut(kind) else { return true };
                if first {
                    at.rows.retain(|(own, _), _| namespace.as_ref().is_some_and(|namespace| namespace != own));
                }
                if last {
                    at.awaited = at.awaited.saturating_sub(1);
                }
                let fits = rows.len() <= room;
                at.rows.extend(rows.into_iter().take(room).map(|row| ((row.namespace, row.name), row.entry)));
                return fits;
            }
            IndexEvent::Applied { kind, row } => {
                if let Some(at) = self.kinds.get_mut(kind).filter(|_| room > 0) {
                    at.rows.insert((row.namespace, row.name), row.entry);
                }
            }
            IndexEvent::Gone { kind, namespace, name } => {
                if let Some(at) = self.kinds.get_mut(kind) {
                    at.rows.remove(&(namespace, name));
                }
            }
            IndexEvent::Narrowed { kind, fault, namespaces } => {
                if let Some(at) = self.kinds.get_mut(kind) {
                    at.rows.clear();
                    (at.awaited, at.fault) = (namespaces, Some(fault));
                }
            }
            IndexEvent::Missing { kind, fault } => {
                if let Some(at) = self.kinds.get_mut(kind) {
                    at.awaited = at.awaited.saturating_sub(1);
                    at.fault = Some(fault);
                }
            }
        }
        true
    }
}

impl Model {
    /// Begins to index the connected clusters, or goes on with it.
    pub(crate) fn begin_index(&mut self, out: &mut Vec<Effect>) {
        if !self.index.is_used() {
            self.index.epoch = Epoch(self.next_number());
        }
        self.index.touch(self.now);
        for name in self.clusters.names() {
            self.index_cluster(&name, out);
        }
    }

    /// Begins to index a cluster that answers, if there is an index and it has none of it.
    pub(crate) fn index_cluster(&mut self, name: &str, out: &mut Vec<Effect>) {
        let answers = self.cluster(name).is_some_and(|at| matches!(at.link, Link::Ready | Link::Forbidden));
        if !answers || !self.index.is_used() || !self.index.begin(name) {
            return;
        }
        let only = self.index.only.clone();
        let namespaces = only.as_ref().map_or_else(|| self.namespaces(name), |only| BTreeSet::from([only.clone()]));
        let (cluster, epoch) = (name.to_owned(), self.index.epoch);
        out.push(Effect::Cluster(ClusterEffect::Index { cluster, epoch, namespaces, only: only.is_some() }));
    }

    /// Stops indexing a cluster that is let go.
    pub(crate) fn forget_index(&mut self, name: &str, out: &mut Vec<Effect>) {
        if self.index.forget(name) {
            out.push(Effect::Cluster(ClusterEffect::StopIndexing { cluster: name.to_owned() }));
            self.renew_search();
        }
    }

    /// Takes in news of an index.
    pub(crate) fn on_index(&mut self, cluster: &str, epoch: Epoch, event: IndexEvent) {
        if epoch != self.index.epoch {
            return;
        }
        let Some(at) = self.index.get_mut(cluster) else { return };
        let room = at.take(event);
        self.renew_search();
        if !room {
            self.report_too_many(cluster, MAX_OBJECTS);
        }
    }

    /// Drops the index some time after the last search; while the search is open it is in use.
    pub(crate) fn check_index(&mut self, out: &mut Vec<Effect>) {
        if self.finder().is_some() {
            self.index.touch(self.now);
        }
        for cluster in self.index.expire(self.now) {
            out.push(Effect::Cluster(ClusterEffect::StopIndexing { cluster }));
        }
    }

    /// Repeats an open search before the next frame.
    fn renew_search(&mut self) {
        for dialog in &mut self.screen.dialogs {
            if let Dialog::Find(finder) = dialog {
                finder.stale = true;
                self.screen.unarranged = true;
            }
        }
    }
}
