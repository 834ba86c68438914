//! Clusters: one row per kubeconfig context.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;

use crate::language::effect::{ClusterEffect, Effect};
use crate::language::event::ClusterEvent;
use crate::language::fault::Fault;
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::cluster::{Cluster, Context, Link, Rights, Scope};
use crate::types::epoch::Epoch;
use crate::types::proxy::CleanupScope;
use crate::types::target::Target;

impl Model {
    /// The cluster behind a context.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.all().iter().find(|cluster| cluster.name == name)
    }

    /// The time by a cluster's clock.
    pub fn time_at(&self, cluster: &str) -> chrono::DateTime<chrono::Utc> {
        self.now + self.cluster(cluster).map_or(TimeDelta::zero(), |cluster| cluster.skew)
    }

    /// The name to show for a cluster: its alias, else what is short and tells it apart, else the context's.
    pub fn cluster_name<'a>(&'a self, cluster: &'a str) -> &'a str {
        let alias = self.config.settings().clusters.get(cluster).and_then(|at| at.alias.as_deref());
        alias.or_else(|| self.clusters.short(cluster)).unwrap_or(cluster)
    }

    /// Returns true if the config marks the cluster as production.
    pub fn is_production(&self, cluster: &str) -> bool {
        self.config.settings().clusters.get(cluster).is_some_and(|at| at.production)
    }

    /// Namespaces of a cluster that matter to us: the context's own and those of its targets.
    pub(crate) fn namespaces(&self, cluster: &str) -> BTreeSet<String> {
        let own = self.cluster(cluster).map(|cluster| cluster.namespace.clone());
        let targets = self.targets.all().iter().filter(|target| target.cluster == cluster);
        own.into_iter().chain(targets.filter_map(|target| target.namespace.clone())).collect()
    }

    pub(crate) fn on_contexts(&mut self, found: Result<Vec<Context>, Fault>, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match found {
            Ok(contexts) => {
                let again = self.clusters.fault().is_some() || !self.clusters.all().is_empty();
                let count = contexts.len();
                self.take_contexts(contexts, out);
                if !again {
                    self.screen.clusters.wanted = self.clusters.current();
                }
                if again {
                    self.note(Level::Info, Message::KubeconfigRead, count.to_string(), "");
                }
                self.watch_gateways(out);
                self.connect_configured(out);
                self.connect_orphaned(out);
                self.autostart(out);
            }
            Err(fault) => {
                self.clusters.keep_despite(fault.clone());
                self.fail(fault);
            }
        }
    }

    /// Replaces the contexts. Clusters whose context has changed are connected anew, those that are gone are
    /// disconnected.
    fn take_contexts(&mut self, contexts: Vec<Context>, out: &mut Vec<Effect>) {
        let is_gone = |name: &String| contexts.iter().all(|context| context.name != *name);
        for name in self.clusters.names().into_iter().filter(is_gone) {
            self.disconnect(&name, out);
        }
        let told: Vec<Fault> = self.clusters.all().iter().flat_map(|cluster| cluster.twice.clone()).collect();
        let mut news: Vec<Fault> = Vec::new();
        for fault in contexts.iter().flat_map(|context| &context.twice) {
            if !told.contains(fault) && !news.contains(fault) {
                news.push(fault.clone());
            }
        }
        for fault in news {
            let thing = fault.thing.clone();
            self.note(Level::Warning, Message::Failed(Box::new(fault)), thing, "");
        }
        let forwards = self.forwards.all();
        let has_forwards = |name: &str| forwards.values().any(|forward| forward.spec.selector.cluster == name);
        for name in self.clusters.replace(contexts, has_forwards) {
            self.connect(&name, out);
        }
    }

    /// Connects the clusters that the config wants connected from the start.
    pub(crate) fn connect_configured(&mut self, out: &mut Vec<Effect>) {
        if self.unattended() {
            return;
        }
        let configured: Vec<String> =
            self.config.settings().clusters.iter().filter(|(_, at)| at.connect).map(|(name, _)| name.clone()).collect();
        for name in configured {
            // A context that this machine's kubeconfig lacks is no fault until somebody wants it.
            if self.cluster(&name).is_some() {
                self.ensure_connected(&name, out);
            }
        }
    }

    /// Connects a cluster unless it is connected. Returns false, and logs the fault, if its context is unknown.
    pub(crate) fn ensure_connected(&mut self, name: &str, out: &mut Vec<Effect>) -> bool {
        match self.cluster(name).map(|cluster| (cluster.link, cluster.epoch)) {
            None => {
                self.fail(self.clusters.unknown(name));
                false
            }
            // One that the kubeconfig has wrong was never tried: trying it tells those who wait for it.
            Some((Link::Idle, _) | (Link::Unreachable, Epoch(0))) => {
                self.connect(name, out);
                true
            }
            Some(_) => true,
        }
    }

    /// Sees to it that a target's cluster is connected; where its context is unknown the target keeps that too.
    pub(crate) fn ensure_connected_for(&mut self, target: &Target, out: &mut Vec<Effect>) -> bool {
        let known = self.ensure_connected(&target.cluster, out);
        if !known {
            self.targets.refuse(&target.name, self.clusters.unknown(&target.cluster));
        }
        known
    }

    /// Connects a cluster, anew where it is connected.
    pub(crate) fn connect(&mut self, name: &str, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.next_number());
        let namespaces = self.namespaces(name);
        self.screen.unarranged = true;
        if let Some(cluster) = self.clusters.get_mut(name) {
            cluster.begin(Link::Connecting, epoch);
            out.push(Effect::Cluster(ClusterEffect::Connect { cluster: name.to_owned(), epoch, namespaces }));
        }
    }

    /// Disconnects a cluster: its pods leave the screen, its forwards stay.
    pub(crate) fn disconnect(&mut self, name: &str, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.next_number());
        self.screen.unarranged = true;
        if let Some(cluster) = self.clusters.get_mut(name)
            && cluster.link != Link::Idle
        {
            cluster.begin(Link::Idle, epoch);
            cluster.rtt = None;
            self.pods.remove_cluster(name);
            out.push(Effect::Cluster(ClusterEffect::Disconnect { cluster: name.to_owned() }));
            self.forget_index(name, out);
            self.audit_cluster("disconnect-cluster", name, None, out);
            self.note(Level::Info, Message::ClusterDisconnected, name, "");
        }
    }

    /// A fault with its cluster's login plugin, where that has to do with it.
    pub(crate) fn with_login(&self, fault: Fault) -> Fault {
        let plugin = self.cluster(&fault.thing).and_then(|cluster| cluster.plugin.as_deref());
        fault.with_plugin(plugin)
    }

    /// A list says that what was refused, if it was, is not any more.
    fn allowed_again(&mut self, name: &str) {
        let Some(cluster) = self.clusters.get_mut(name).filter(|cluster| cluster.link == Link::Forbidden) else {
            return;
        };
        cluster.link = Link::Ready;
        cluster.fault = None;
        let version = cluster.version.clone().unwrap_or_default();
        self.note(Level::Success, Message::ClusterReady, name, version);
        self.end_pauses(Some(name));
    }

    pub(crate) fn on_cluster(&mut self, name: &str, epoch: Epoch, event: ClusterEvent, out: &mut Vec<Effect>) {
        let Some(cluster) = self.clusters.get_mut(name).filter(|cluster| cluster.epoch == epoch) else { return };
        match event {
            ClusterEvent::Answered { version, rtt, skew } => self.on_answered(name, version, (rtt, skew), out),
            ClusterEvent::Failed { link, fault } => {
                let fault = fault.with_plugin(cluster.plugin.as_deref());
                let first = cluster.link == Link::Connecting && cluster.fault.is_none();
                cluster.link = link;
                let new = cluster.fault.as_ref().map(|old| old.what) != Some(fault.what);
                cluster.fault = Some(fault.clone());
                if link != Link::Ready {
                    cluster.rtt = None;
                }
                if first {
                    self.audit_cluster("connect-cluster", name, Some(fault.what), out);
                }
                if new {
                    self.fail(fault);
                }
                self.route_forwards(name, out);
            }
            ClusterEvent::Watching { scope, refused } => {
                let narrowed = cluster.scope != scope && matches!(scope, Scope::Namespaces(_)) && refused.is_some();
                let first = cluster.scope == Scope::None;
                let names = match &scope {
                    Scope::Namespaces(names) => names.iter().cloned().collect::<Vec<_>>().join(", "),
                    Scope::None | Scope::All => String::new(),
                };
                cluster.scope = scope;
                if matches!(cluster.link, Link::Forbidden | Link::Ready) {
                    cluster.link = Link::Ready;
                    cluster.fault = None;
                }
                if narrowed && first {
                    self.note(Level::Warning, Message::ScopeNarrowed, name, names);
                }
            }
            ClusterEvent::Denied(denied) => self.on_denied(name, denied, out),
            ClusterEvent::Listed { namespace, pods } => {
                cluster.listed.insert(namespace.clone());
                self.allowed_again(name);
                self.on_listed(name, namespace.as_deref(), pods, out);
                if !self.unattended() {
                    self.clean_in(name, CleanupScope::Own, out);
                }
                self.forget_orphaned(out);
                self.route_forwards(name, out);
            }
            ClusterEvent::Applied(pod) => self.on_applied(*pod, out),
            ClusterEvent::Gone { key, uid } => self.on_gone(&key, &uid, out),
            ClusterEvent::Rights(answer) => cluster.rights = answer.map_or_else(Rights::Failed, Rights::Known),
            ClusterEvent::PluginSaid(words) => self.note(Level::Info, Message::PluginSaid, name, words),
        }
        self.screen.unarranged = true;
    }

    /// Takes up the answer to a probe.
    fn on_answered(&mut self, name: &str, version: String, (rtt, skew): (Duration, TimeDelta), out: &mut Vec<Effect>) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        cluster.rtt = Some(rtt);
        cluster.skew = skew;
        cluster.version = Some(version.clone());
        let first = cluster.link == Link::Connecting;
        if matches!(cluster.link, Link::Connecting | Link::Unauthorized | Link::Unreachable) {
            cluster.link = Link::Ready;
            cluster.fault = None;
            self.note(Level::Success, Message::ClusterReady, name, version);
            self.end_pauses(Some(name));
        }
        if first {
            self.audit_cluster("connect-cluster", name, None, out);
        }
        self.browse_cluster(name, out);
        self.index_cluster(name, out);
        self.find_prometheus_once(name, out);
    }

    /// Namespaces in which pods may not be listed.
    fn on_denied(&mut self, name: &str, denied: BTreeMap<String, Fault>, out: &mut Vec<Effect>) {
        let Some(cluster) = self.clusters.get_mut(name) else { return };
        let before = std::mem::replace(&mut cluster.denied, denied.clone());
        // The context's own namespace is looked into in passing: only what a target needs is missed.
        let needed: BTreeSet<String> = self
            .targets
            .all()
            .iter()
            .filter(|target| target.cluster == name)
            .map(|target| self.namespace_of(target))
            .collect();
        let news = denied.into_iter().filter(|(at, _)| !before.contains_key(at) && needed.contains(at));
        for (_, fault) in news {
            self.fail(fault);
        }
        self.route_forwards(name, out);
    }
}
