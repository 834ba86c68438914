//! Turns effects into tasks: the one place that starts long-lived tasks, owns their tokens, and joins them at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cluster::Clusters;
use crate::events::EventSender;
use crate::instance::{self, Instance};
use crate::store::{self, Paths, PodLedger, Store};
use brow_model::Model;
use brow_model::effect::{Effect, TerminalEffect};
use brow_model::event::{Event, InstanceEvent, Sample, StoreEvent};
use brow_model::fault::{Fault, What};
use brow_model::forward::ForwardId;
use brow_model::installation::Identity;
use brow_model::instance::Role;

mod carrier;
mod clusters;
mod dialer;
mod edit;
mod forwards;
mod gateways;
mod kubeconfig;
mod metrics;
mod node_route;
mod page;
mod pod_lease;
mod pods;
mod tasks;

use dialer::ClusterTunnels;
pub use dialer::{LANE_PARSER, ask_relay};
use tasks::{Connection, OpenForward, PageTasks};

/// The timeout for orders under way (deletions, closings, files) at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// The timeout for writing files after that: a disk that hangs must not block the shell.
const FILES_TIMEOUT: Duration = Duration::from_secs(2);

/// The tasks that run on behalf of the model.
pub struct Effects {
    clusters: Clusters,
    tunnels: Arc<ClusterTunnels>,
    store: Store,
    paths: Arc<Paths>,
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
    /// The task that reads the bytes of a gateway.
    meter: Option<AbortHandle>,
    /// The tasks that probe what is behind gateways.
    gateway_probes: Vec<AbortHandle>,
    /// This instance among the others, and the directory of their sockets.
    instance: Option<(Instance, PathBuf)>,
    /// The tasks that look for services and workloads.
    browsing: Vec<AbortHandle>,
    /// The tasks that index clusters.
    indexing: BTreeMap<String, AbortHandle>,
    /// The tasks that look for a Prometheus.
    finding: BTreeMap<String, AbortHandle>,
    /// Stops the steps that are being taken.
    steps: CancellationToken,
    /// The task that lists kinds, or watches the objects of one.
    kind: Option<AbortHandle>,
    /// The tasks of the page in view.
    page: Box<PageTasks>,
}

impl Effects {
    /// Starts the store. Must be called within a tokio runtime.
    pub fn start(clusters: Clusters, paths: Paths, me: Identity, events: EventSender) -> Self {
        let token = CancellationToken::new();
        // The store outlives everything else: closing and deleting are audited too.
        let files = CancellationToken::new();
        let ledger = PodLedger::new(paths.state_dir.clone());
        let kept = Arc::new(paths.clone());
        let (store, writing) = store::start(paths, me.installation.clone(), &events, files.clone());
        Self {
            tunnels: Arc::new(ClusterTunnels::new(clusters.clone(), me.installation.clone())),
            clusters,
            store,
            paths: kept,
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
            meter: None,
            gateway_probes: Vec::new(),
            instance: None,
            browsing: Vec::new(),
            indexing: BTreeMap::new(),
            finding: BTreeMap::new(),
            steps: CancellationToken::new(),
            kind: None,
            page: Box::default(),
        }
    }

    /// Carries out an effect. One that only the owner of the terminal can carry out is handed back.
    pub fn run(&mut self, effect: Effect) -> Option<TerminalEffect> {
        self.reap();
        match effect {
            Effect::Cluster(effect) => self.on_cluster(effect),
            Effect::Pod(effect) => self.on_pod(effect),
            Effect::Forward(effect) => self.on_forward(effect),
            Effect::Gateway(effect) => self.on_gateway(effect),
            Effect::Metrics(effect) => self.on_metrics(effect),
            Effect::Edit(effect) => self.on_edit(effect),
            Effect::Store(effect) => self.store.send(effect),
            Effect::Terminal(effect) => return Some(effect),
        }
        None
    }

    /// Joins the other instances, whose sockets are in `dir`, and returns the name that they know this one by. A
    /// failure is reported, and everything else works.
    pub fn join(&mut self, dir: PathBuf, role: Role) -> Option<String> {
        match instance::join(&dir, role, self.events.clone(), self.token.clone()) {
            Ok((instance, running)) => {
                self.tasks.spawn(running);
                let name = instance.name.clone();
                self.instance = Some((instance, dir));
                Some(name)
            }
            Err(fault) => {
                let events = self.events.clone();
                self.spawn(async move {
                    events.send(Event::Store(StoreEvent::Trouble(fault))).await;
                    events.send(Event::Instance(InstanceEvent::Known)).await;
                });
                None
            }
        }
    }

    /// Publishes the forwards to the other instances, and the state to agents, if they changed.
    pub fn publish(&self, model: &Model) {
        if let Some((instance, _)) = &self.instance {
            instance.publish(|pid, role| model.report(pid, role));
            instance.show(model);
        }
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
}

/// Returns the fault of a panic in a task for a context.
fn internal(context: &str, words: String) -> Fault {
    Fault::new(What::Internal, context, words)
}

#[cfg(test)]
mod tests;
