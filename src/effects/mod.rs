//! Turns effects into tasks: the one place that starts long-lived tasks, owns their tokens, and joins them at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cluster::{self, Clusters};
use crate::events::EventSender;
use crate::forward;
use crate::instance::{self, Instance};
use crate::proxy;
use crate::store::{self, Order, Paths, PodLedger, Store};
use brow_model::Model;
use brow_model::cluster::Link;
use brow_model::effect::Effect;
use brow_model::epoch::Epoch;
use brow_model::event::BrowseEvent;
use brow_model::event::InstanceEvent;
use brow_model::event::{ClusterEvent, Event, PodEvent, Sample, StoreEvent};
use brow_model::fault::{Fault, What};
use brow_model::forward::ForwardId;
use brow_model::installation::Identity;
use brow_model::instance::Role;
use brow_model::inventory::SearchScope;
use brow_model::proxy::{PodKey, PodRequest};
use brow_model::workload::Kind;
use kube_tunnel::contain::contain;

mod create;
mod dialer;
mod forwards;
mod kubeconfig;

use dialer::ClusterTunnels;
pub use dialer::{LANE_PARSER, ask_relay};
use forwards::OpenForward;

/// The timeout for orders under way (deletions, closings, files) at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// The timeout for writing files after that: a disk that hangs must not block the shell.
const FILES_TIMEOUT: Duration = Duration::from_secs(2);

/// The tasks that run on behalf of the model.
pub struct Effects {
    clusters: Clusters,
    tunnels: Arc<ClusterTunnels>,
    store: Store,
    me: Identity,
    ledger: PodLedger,
    events: EventSender,
    /// Ends everything but the writing of files.
    token: CancellationToken,
    /// Ends the store, last of all.
    files: CancellationToken,
    /// The store's task.
    writing: JoinHandle<()>,
    /// Tasks that end by themselves or with the token.
    tasks: JoinSet<()>,
    /// Orders that are carried out even while the program ends.
    orders: JoinSet<()>,
    connections: BTreeMap<String, Connection>,
    forwards: BTreeMap<ForwardId, OpenForward>,
    log: Option<AbortHandle>,
    /// This instance among the others, and the directory of their sockets.
    instance: Option<(Instance, PathBuf)>,
    /// The tasks that look for services and workloads.
    browsing: Vec<AbortHandle>,
}

/// A connection to a cluster: its probe and its watch.
struct Connection {
    token: CancellationToken,
    namespaces: watch::Sender<BTreeSet<String>>,
}

impl Effects {
    /// Starts the store. Must be called within a tokio runtime.
    pub fn start(clusters: Clusters, paths: Paths, me: Identity, events: EventSender) -> Self {
        let token = CancellationToken::new();
        // The store outlives everything else: closing and deleting are audited too.
        let files = CancellationToken::new();
        let ledger = PodLedger::new(paths.state_dir.clone());
        let (store, writing) = store::start(paths, me.installation.clone(), &events, files.clone());
        Self {
            tunnels: Arc::new(ClusterTunnels::new(clusters.clone(), me.installation.clone())),
            clusters,
            store,
            me,
            ledger,
            events,
            token,
            files,
            writing: tokio::spawn(writing),
            tasks: JoinSet::new(),
            orders: JoinSet::new(),
            connections: BTreeMap::new(),
            forwards: BTreeMap::new(),
            log: None,
            instance: None,
            browsing: Vec::new(),
        }
    }

    /// Carries out an effect. Effects for the terminal are ignored here.
    pub fn run(&mut self, effect: Effect) {
        self.reap();
        match effect {
            Effect::Connect { cluster, epoch, namespaces } => self.connect(cluster, epoch, namespaces),
            Effect::Widen { cluster, namespaces } => self.widen(&cluster, namespaces),
            Effect::AskRights { cluster, epoch, namespace } => self.ask_rights(cluster, epoch, namespace),
            Effect::Disconnect { cluster } => {
                if let Some(connection) = self.connections.remove(&cluster) {
                    connection.token.cancel();
                }
            }
            Effect::Browse { cluster, epoch, namespaces } => self.browse(cluster, epoch, namespaces),
            Effect::StopBrowsing => self.browsing.drain(..).for_each(|browsing| browsing.abort()),
            Effect::CreatePod(request) => self.create(request),
            Effect::Recognise(claim) => self.store.send(Order::Recognise(claim)),
            Effect::ForgetPod(uid) => self.store.send(Order::ForgetPod(uid)),
            Effect::DeletePod { key, uid } => self.delete(key, uid),
            Effect::Describe(key) => self.describe(key),
            Effect::FollowLog { key, epoch } => {
                self.stop_log();
                let context = key.cluster.clone();
                let following = proxy::follow_log(self.clusters.clone(), key.clone(), epoch, self.events.clone());
                let broken = move |fault| Event::Pod(PodEvent::LogEnded { key, epoch, fault: Some(fault) });
                self.log = Some(self.spawn_for(context, following, broken));
            }
            Effect::StopLog => self.stop_log(),
            Effect::OpenForward { spec, via } => self.open(spec, via),
            Effect::Point { id, via: None, waiting: true, on_demand: true } => {
                self.direct(id, true, forward::Handle::wait_for_pod);
            }
            Effect::Point { id, via, waiting, .. } => self.direct(id, true, |handle| handle.set_pod(via, waiting)),
            Effect::Rest { id, round, failed } => self.direct(id, false, |handle| handle.rest(round, failed)),
            Effect::Probe { id, plan } => {
                if let Some(open) = self.forwards.get(&id) {
                    open.handle.set_probe(plan);
                }
            }
            Effect::CloseForward { id } => {
                if let Some(open) = self.forwards.get(&id) {
                    open.token.cancel();
                }
            }
            Effect::StopElsewhere { instance, id } => self.stop_elsewhere(instance, id),
            Effect::Save(edits) => self.store.send(Order::Save(edits)),
            Effect::Follow(edits) => self.store.send(Order::Follow(edits)),
            Effect::Reload => {
                self.store.send(Order::Reload);
                self.read_kubeconfig();
            }
            Effect::ReadOffers { text, cluster } => self.store.send(Order::ReadOffers { text, cluster }),
            Effect::Export(targets) => self.store.send(Order::Export(targets)),
            Effect::Remember { target, port } => self.store.send(Order::Remember { target, port }),
            Effect::PodsUntil { cluster, until } => self.store.send(Order::PodsUntil { cluster, until }),
            Effect::PodsGone { cluster, at } => self.store.send(Order::PodsGone { cluster, at }),
            Effect::RememberTheme(name) => self.store.send(Order::Theme(name)),
            Effect::Learned(tip) => self.store.send(Order::Learned(tip.name())),
            Effect::LegacyOffered => self.store.send(Order::LegacyOffered),
            Effect::Audit(entry) => self.store.send(Order::Audit(entry)),
            Effect::Notify(_) | Effect::Copy(_) | Effect::CopyFault(_) | Effect::CopyEntries(_) | Effect::Quit => {}
        }
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

    /// Joins the other instances, whose sockets are in `dir`. A failure is reported, and everything else works.
    pub fn join(&mut self, dir: PathBuf, role: Role) {
        match instance::join(&dir, role, self.events.clone(), self.token.clone()) {
            Ok((instance, running)) => {
                self.tasks.spawn(running);
                self.instance = Some((instance, dir));
            }
            Err(fault) => {
                let events = self.events.clone();
                self.spawn(async move {
                    events.send(Event::Store(StoreEvent::Trouble(fault))).await;
                    events.send(Event::Instance(InstanceEvent::Known)).await;
                });
            }
        }
    }

    /// Publishes the forwards to the other instances, if they changed.
    pub fn publish(&self, model: &Model) {
        if let Some((instance, _)) = &self.instance {
            instance.publish(|pid, role| model.report(pid, role));
        }
    }

    fn stop_elsewhere(&mut self, name: String, id: u64) {
        let Some((_, dir)) = &self.instance else { return };
        let (dir, events) = (dir.clone(), self.events.clone());
        self.spawn(async move {
            if let Err(fault) = instance::stop(&dir, &name, id).await {
                events.send(Event::Instance(InstanceEvent::Silent(fault))).await;
            }
        });
    }

    /// Returns the counters of every open forward.
    pub fn samples(&self) -> Vec<Sample> {
        self.forwards.values().map(|open| open.handle.sample()).collect()
    }

    /// Waits until no order is under way.
    pub async fn settle(&mut self) {
        while self.orders.join_next().await.is_some() {}
    }

    /// Ends everything but the writing of files: orders under way are carried out, forwards are closed. Tasks that have
    /// not ended after `SHUTDOWN_TIMEOUT` are aborted.
    pub async fn finish(&mut self) {
        let ending = async {
            while self.orders.join_next().await.is_some() {}
            self.forwards.values().for_each(|open| open.token.cancel());
            for open in self.forwards.values() {
                open.ended.cancelled().await;
            }
            // Last our place among the instances: whoever takes a forward over finds its port free.
            self.token.cancel();
            while self.tasks.join_next().await.is_some() {}
        };
        if timeout(SHUTDOWN_TIMEOUT, ending).await.is_err() {
            self.tasks.abort_all();
            self.orders.abort_all();
        }
    }

    /// Waits until all files are written. Nothing is written after that.
    pub async fn write_files(&mut self) {
        self.files.cancel();
        if timeout(FILES_TIMEOUT, &mut self.writing).await.is_err() {
            self.writing.abort();
        }
    }

    /// Removes ended tasks from the sets. A panic in one has been reported by the hook.
    fn reap(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        while self.orders.try_join_next().is_some() {}
        self.forwards.retain(|_, open| !open.ended.is_cancelled());
    }

    /// Starts a task that ends with the program.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let token = self.token.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = task => {}
            }
        })
    }

    /// Starts such a task for a context. Its panic is reported by the event of `broken`, and ends nothing else.
    fn spawn_for(
        &mut self,
        context: String,
        task: impl Future<Output = ()> + Send + 'static,
        broken: impl FnOnce(Fault) -> Event + Send + 'static,
    ) -> AbortHandle {
        let events = self.events.clone();
        self.spawn(async move { events.contain(&context, task, broken).await })
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

    fn browse(&mut self, cluster: String, epoch: Epoch, namespaces: BTreeSet<String>) {
        let context = cluster.clone();
        let events = self.events.about(move |event| Event::Browse { cluster: context.clone(), epoch, event });
        let browsing = cluster::browse(self.clusters.clone(), cluster.clone(), namespaces, events.clone());
        let scope = SearchScope { kind: Kind::Service, namespace: None };
        let broken = |fault| BrowseEvent::Missing { scope, fault };
        let handle = self.spawn(async move { events.contain(&cluster, browsing, broken).await });
        self.browsing.push(handle);
    }

    fn stop_log(&mut self) {
        if let Some(log) = self.log.take() {
            log.abort();
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
        let asked: proxy::RequestedPods = Arc::new(move || create::asked(ledger.clone(), trouble.clone()).boxed());
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

    fn create(&mut self, request: PodRequest) {
        let (clusters, me, events) = (self.clusters.clone(), self.me.clone(), self.events.clone());
        let ledger = self.ledger.clone();
        self.orders.spawn(async move {
            let creating = contain(create::create(&clusters, &request, &me, ledger)).await;
            let (result, trouble) = creating.unwrap_or_else(|words| (Err(internal(&request.cluster, words)), None));
            if let Some(fault) = trouble {
                events.send(Event::Store(StoreEvent::Trouble(fault))).await;
            }
            let result = result.map(Box::new);
            events.send(Event::Pod(PodEvent::Created { request: request.id, result })).await;
        });
    }

    fn describe(&mut self, key: PodKey) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.spawn(async move {
            let describing = contain(proxy::describe(&clusters, &key)).await;
            let result = describing.unwrap_or_else(|words| Err(internal(&key.cluster, words)));
            events.send(Event::Pod(PodEvent::Described { key, result })).await;
        });
    }

    fn delete(&mut self, key: PodKey, uid: String) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.orders.spawn(async move {
            let deleting = contain(proxy::delete(&clusters, &key, &uid)).await;
            let result = deleting.unwrap_or_else(|words| Err(internal(&key.cluster, words)));
            events.send(Event::Pod(PodEvent::Deleted { key, result })).await;
        });
    }
}

/// Returns the fault of a panic in a task for a context.
fn internal(context: &str, words: String) -> Fault {
    Fault::new(What::Internal, context, words)
}

#[cfg(test)]
mod tests;
