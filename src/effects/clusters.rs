//! Connections to clusters: probes, watches on proxy pods, rights, the search for workloads; and the kubeconfig.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::watch;

use super::tasks::Connection;
use super::{Effects, internal, kubeconfig, pods};
use crate::cluster;
use crate::events::EventSender;
use crate::proxy;
use crate::why;
use brow_model::cluster::Link;
use brow_model::effect::ClusterEffect;
use brow_model::epoch::Epoch;
use brow_model::event::{BrowseEvent, ClusterEvent, Event, IndexEvent, KindEvent, ObjectEvent, StoreEvent};
use brow_model::index::ObjectRef;
use brow_model::inventory::{ObjectKey, ObjectPort, SearchScope};
use brow_model::why::Question;
use brow_model::workload::Kind;
use kube_tunnel::contain::contain;

impl Effects {
    /// Carries out an order about a cluster.
    pub(super) fn on_cluster(&mut self, effect: ClusterEffect) {
        match effect {
            ClusterEffect::ReadKubeconfig => self.read_kubeconfig(),
            ClusterEffect::Connect { cluster, epoch, namespaces } => self.connect(cluster, epoch, namespaces),
            ClusterEffect::Widen { cluster, namespaces } => self.widen(&cluster, namespaces),
            ClusterEffect::AskRights { cluster, epoch, namespace } => self.ask_rights(cluster, epoch, namespace),
            ClusterEffect::Disconnect { cluster } => {
                if let Some(connection) = self.connections.remove(&cluster) {
                    connection.token.cancel();
                }
            }
            ClusterEffect::Browse { cluster, epoch, namespaces } => self.browse(cluster, epoch, namespaces),
            ClusterEffect::StopBrowsing => self.browsing.drain(..).for_each(|browsing| browsing.abort()),
            ClusterEffect::Index { cluster, epoch, namespaces, only } => self.index(cluster, epoch, namespaces, only),
            ClusterEffect::StopIndexing { cluster } => {
                self.indexing.remove(&cluster).into_iter().for_each(|indexing| indexing.abort());
            }
            ClusterEffect::Page(effect) => self.on_page(effect),
            ClusterEffect::ListNodePorts { cluster, namespaces } => self.list_node_ports(cluster, namespaces),
            ClusterEffect::TakeSteps { question, epoch } => self.take_steps(question, epoch),
            ClusterEffect::StopSteps => self.steps.cancel(),
            ClusterEffect::FindObject { key, epoch } => self.find_object(key, epoch),
            ClusterEffect::ReadPorts(object) => self.read_ports(object, None),
            ClusterEffect::ReadPort { object, port } => self.read_ports(object, Some(port)),
            ClusterEffect::ListKinds { cluster, epoch } => {
                let events = self.kind_events(epoch);
                let listing = cluster::list_kinds(self.clusters.clone(), cluster.clone(), events.clone());
                self.keep_kind(async move { events.contain(&cluster, listing, KindEvent::Unknown).await });
            }
            ClusterEffect::ShowKind { cluster, epoch, kind, namespaces, only } => {
                let events = self.kind_events(epoch);
                let (clusters, places) = (self.clusters.clone(), (namespaces, only));
                let showing = cluster::show_kind(clusters, cluster.clone(), kind, places, events.clone());
                let broken = |fault| KindEvent::Missing { fault };
                self.keep_kind(async move { events.contain(&cluster, showing, broken).await });
            }
            ClusterEffect::HideKind => self.kind.take().into_iter().for_each(|task| task.abort()),
        }
    }

    fn connect(&mut self, cluster: String, epoch: Epoch, namespaces: BTreeSet<String>) {
        if let Some(old) = self.connections.remove(&cluster) {
            old.token.cancel();
        }
        let token = self.token.child_token();
        let (sender, receiver) = watch::channel(namespaces);
        self.connections.insert(cluster.clone(), Connection { token: token.clone(), namespaces: sender });
        let (clusters, context) = (self.clusters.clone(), cluster.clone());
        let (ledger, trouble) = (self.ledger.clone(), self.events.about(Event::Store));
        let asked: proxy::RequestedPods = Arc::new(move || pods::asked(ledger.clone(), trouble.clone()).boxed());
        let events = self.events.about(move |event| Event::Cluster { cluster: context.clone(), epoch, event });
        self.tasks.spawn(async move {
            // A login that has run out, a server that moved: connecting again starts from nothing.
            clusters.forget(&cluster);
            let probing = cluster::run_probe(clusters.clone(), cluster.clone(), events.clone(), token.clone());
            let watching = proxy::watch(clusters, cluster.clone(), receiver, asked, events.clone(), token);
            let working = async {
                let ((), ()) = tokio::join!(probing, watching);
            };
            let broken = |fault| ClusterEvent::Failed { link: Link::Unreachable, fault };
            events.contain(&cluster, working, broken).await;
        });
    }

    /// Changes the namespaces that a cluster's watch covers.
    fn widen(&self, cluster: &str, namespaces: BTreeSet<String>) {
        if let Some(connection) = self.connections.get(cluster) {
            connection.namespaces.send_if_modified(|known| {
                let new = *known != namespaces;
                *known = namespaces;
                new
            });
        }
    }

    fn ask_rights(&mut self, cluster: String, epoch: Epoch, namespace: String) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.spawn(async move {
            let asking = contain(cluster::rights(&clusters, &cluster, &namespace)).await;
            let answer = asking.unwrap_or_else(|words| Err(internal(&cluster, words)));
            events.send(Event::Cluster { cluster, epoch, event: ClusterEvent::Rights(answer) }).await;
        });
    }

    /// Starts to follow changes of the kubeconfig.
    pub fn follow_kubeconfig(&mut self) {
        let following = kubeconfig::follow(self.clusters.clone(), self.events.clone());
        let broken = |fault| Event::Store(StoreEvent::Trouble(fault));
        self.spawn_for(kubeconfig::NAME.to_owned(), following, broken);
    }

    fn read_kubeconfig(&mut self) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.spawn(async move {
            let found = kubeconfig::read(move || clusters.reload()).await;
            events.send(Event::Contexts(found)).await;
        });
    }

    fn index(&mut self, cluster: String, epoch: Epoch, namespaces: BTreeSet<String>, only: bool) {
        let context = cluster.clone();
        let events = self.events.about(move |event| Event::Index { cluster: context.clone(), epoch, event });
        let indexing = cluster::index(self.clusters.clone(), cluster.clone(), namespaces, only, events.clone());
        let context = cluster.clone();
        let handle = self.spawn(async move { events.contain(&context, indexing, IndexEvent::Unknown).await });
        if let Some(old) = self.indexing.insert(cluster, handle) {
            old.abort();
        }
    }

    fn kind_events(&self, epoch: Epoch) -> EventSender<KindEvent> {
        self.events.about(move |event| Event::Kinds { epoch, event })
    }

    /// Starts the one task of the browser of kinds, in place of the one before.
    fn keep_kind(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.spawn(task);
        if let Some(old) = self.kind.replace(handle) {
            old.abort();
        }
    }

    /// Finds the object of a row of the browser.
    fn find_object(&mut self, key: ObjectKey, epoch: Epoch) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.spawn(async move {
            let asking = contain(cluster::workload::find_object(&clusters, &key)).await;
            let result = asking.unwrap_or_else(|words| Err(internal(&key.cluster, words)));
            events.send(Event::Object(ObjectEvent::Found { epoch, result })).await;
        });
    }

    /// Reads the ports of an object, or one of them by its number or name.
    fn read_ports(&mut self, object: ObjectRef, only: Option<String>) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.spawn(async move {
            let asking = contain(cluster::read_ports(&clusters, &object)).await;
            let result = asking.unwrap_or_else(|words| Err(internal(&object.cluster, words))).map(|mut found| {
                let wanted = |port: &ObjectPort| {
                    only.as_ref()
                        .is_none_or(|only| port.number.to_string() == *only || port.name.as_ref() == Some(only))
                };
                found.ports.retain(wanted);
                Box::new(found)
            });
            events.send(Event::Object(ObjectEvent::Ports { object, result })).await;
        });
    }

    fn list_node_ports(&mut self, cluster: String, namespaces: BTreeSet<String>) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.spawn(async move {
            let asking = contain(cluster::node_ports(&clusters, &cluster, &namespaces)).await;
            let result = asking.unwrap_or_else(|words| Err(internal(&cluster, words)));
            events.send(Event::Object(ObjectEvent::NodePorts { cluster, result })).await;
        });
    }

    fn take_steps(&mut self, question: Box<Question>, epoch: Epoch) {
        self.steps.cancel();
        self.steps = self.token.child_token();
        let (clusters, events, stop) = (self.clusters.clone(), self.events.clone(), self.steps.clone());
        // It is not aborted: it deletes its pod first.
        self.tasks.spawn(async move {
            let taking = contain(why::run(&clusters, &question, &stop)).await;
            let checks = taking.unwrap_or_else(|words| vec![why::broken(internal(&question.cluster, words))]);
            events.send(Event::Object(ObjectEvent::Steps { epoch, checks })).await;
        });
    }

    fn browse(&mut self, cluster: String, epoch: Epoch, namespaces: BTreeSet<String>) {
        let context = cluster.clone();
        let events = self.events.about(move |event| Event::Browse { cluster: context.clone(), epoch, event });
        let browsing = cluster::browse(self.clusters.clone(), cluster.clone(), namespaces, events.clone());
        let scope = SearchScope { kind: Kind::Service, namespace: None };
        let broken = |fault| BrowseEvent::Missing { scope, fault };
        let handle = self.spawn(async move { events.contain(&cluster, browsing, broken).await });
        self.browsing.push(handle);
    }
}
