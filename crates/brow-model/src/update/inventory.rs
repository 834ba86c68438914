//! Updates of the inventory of clusters.

use crate::language::effect::{ClusterEffect, Effect};
use crate::language::event::BrowseEvent;
use crate::screen::dialog::Dialog;
use crate::state::Model;
use crate::types::cluster::Link;
use crate::types::epoch::Epoch;
use crate::types::inventory::{Inventory, MAX_OBJECTS, Object, ObjectPort};
use crate::types::target::Target;
use crate::types::workload::{Destination, Port};

impl Inventory {
    /// Takes in what was found; false where it was more than is kept.
    pub(crate) fn take(&mut self, cluster: &str, event: BrowseEvent) -> bool {
        let mut room = true;
        match event {
            BrowseEvent::Kinds(kinds) => drop(self.kinds.insert(cluster.to_owned(), kinds)),
            BrowseEvent::Listed { scope, all } => {
                self.all.retain(|key, _| !key.is_in(cluster, &scope));
                let free = MAX_OBJECTS.saturating_sub(self.all.len());
                room = all.len() <= free;
                self.all.extend(all.into_iter().take(free).map(|found| (found.key.clone(), found)));
                let at = (cluster.to_owned(), scope);
                self.missing.remove(&at);
                self.listed.insert(at);
            }
            BrowseEvent::Applied(found) if found.ports.is_empty() => drop(self.all.remove(&found.key)),
            BrowseEvent::Applied(found) if self.all.len() >= MAX_OBJECTS && !self.all.contains_key(&found.key) => {
                room = false;
            }
            BrowseEvent::Applied(found) => drop(self.all.insert(found.key.clone(), found)),
            BrowseEvent::Gone(key) => drop(self.all.remove(&key)),
            BrowseEvent::Missing { scope, fault } => {
                self.all.retain(|key, _| !key.is_in(cluster, &scope));
                let at = (cluster.to_owned(), scope);
                self.listed.remove(&at);
                self.missing.insert(at, fault);
            }
        }
        room
    }
}

impl Model {
    /// Something was found, or could not be looked into.
    pub(crate) fn on_browse(&mut self, cluster: &str, epoch: Epoch, event: BrowseEvent) {
        for dialog in &mut self.screen.dialogs {
            if let Dialog::Browser(browser) = dialog
                && browser.epoch == epoch
            {
                let room = browser.inventory.take(cluster, event);
                browser.stale = true;
                self.screen.unarranged = true;
                if !room {
                    self.report_too_many(cluster, MAX_OBJECTS);
                }
                return;
            }
        }
    }

    /// Begins to look into a cluster, where a browser is open that has not yet.
    pub(crate) fn browse_cluster(&mut self, cluster: &str, out: &mut Vec<Effect>) {
        let namespaces = self.namespaces(cluster);
        let answers = self.cluster(cluster).is_some_and(|at| matches!(at.link, Link::Ready | Link::Forbidden));
        for dialog in &mut self.screen.dialogs {
            if let Dialog::Browser(browser) = dialog
                && browser.clusters.insert(cluster.to_owned(), answers) != Some(true)
                && answers
            {
                out.push(Effect::Cluster(ClusterEffect::Browse {
                    cluster: cluster.to_owned(),
                    epoch: browser.epoch,
                    namespaces,
                }));
                return;
            }
        }
    }

    /// The saved target that a row is, by the same cluster, namespace, object and port.
    pub fn saved(&self, found: &Object, port: &ObjectPort) -> Option<&Target> {
        let ports = [Some(Port::Number(port.number)), port.name.clone().map(Port::Name)];
        self.targets.all().iter().find(|target| {
            let Destination::Workload(workload) = &target.address else { return false };
            let mut own = std::iter::once(&workload.port).chain(&workload.more);
            workload.name == found.key.name
                && workload.kind.is_same(&found.key.kind)
                && target.cluster == found.key.cluster
                && own.any(|port| ports.iter().flatten().any(|other| other == port))
                && self.namespace_of(target) == found.key.namespace
        })
    }
}
