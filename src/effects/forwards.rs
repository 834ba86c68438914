//! The tasks of open forwards.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Effects;
use super::dialer::ForwardDialer;
use super::node_route::RouteDialer;
use super::tasks::{OpenForward, WatchState};
use crate::cluster::{Clusters, NodeQuery, follow_nodes, workload};
use crate::events::EventSender;
use crate::forward;
use crate::instance;
use brow_model::effect::ForwardEffect;
use brow_model::event::{Event, ForwardEvent, InstanceEvent};
use brow_model::fault::Fault;
use brow_model::forward::{ForwardId, ForwardSpec};
use brow_model::local_cluster::LocalKind;
use brow_model::route::Via;
use brow_model::workload::Destination;

impl Effects {
    /// Carries out an order about a forward.
    pub(super) fn on_forward(&mut self, effect: ForwardEffect) {
        match effect {
            ForwardEffect::Open { spec, via } => self.open(*spec, via),
            ForwardEffect::Point { id, via: None, waiting: true, on_demand: true } => {
                self.direct(id, true, forward::Handle::wait_for_pod);
            }
            ForwardEffect::Point { id, via, waiting, .. } => {
                self.direct(id, true, |handle| handle.set_pod(via, waiting));
            }
            ForwardEffect::Spread { id, pods } => {
                if let Some(open) = self.forwards.get(&id) {
                    open.handle.set_spread(pods);
                }
            }
            ForwardEffect::Rest { id, round, failed } => self.direct(id, false, |handle| handle.rest(round, failed)),
            ForwardEffect::Probe { id, plan } => {
                if let Some(open) = self.forwards.get(&id) {
                    open.handle.set_probe(plan);
                }
            }
            ForwardEffect::Admit { id, users } => {
                if let Some(open) = self.forwards.get(&id) {
                    open.handle.set_local_users(users);
                }
            }
            ForwardEffect::ListConnections { id } => {
                if let Some(open) = self.forwards.get(&id) {
                    open.handle.list_connections();
                }
            }
            ForwardEffect::EndConnection { id, connection } => {
                if let Some(open) = self.forwards.get(&id) {
                    open.handle.end_connection(connection);
                }
            }
            ForwardEffect::Close { id } => {
                if let Some(open) = self.forwards.get(&id) {
                    open.token.cancel();
                }
            }
            ForwardEffect::StopElsewhere { instance: name, id } => {
                self.order_elsewhere(|dir| async move { instance::stop(&dir, &name, id).await });
            }
            ForwardEffect::AnswerElsewhere { instance: name, question, consent } => {
                self.order_elsewhere(|dir| async move { instance::answer(&dir, &name, question, consent).await });
            }
        }
    }

    /// Opens a forward. An earlier instance of the same forward ends first, so that the port is free.
    fn open(&mut self, spec: ForwardSpec, via: Option<Via>) {
        let before = self.forwards.remove(&spec.id).map(|open| {
            open.token.cancel();
            open.ended
        });
        let (id, token, ended) = (spec.id, self.token.child_token(), CancellationToken::new());
        let route = ForwardDialer::new(Arc::clone(&self.tunnels), &spec, self.about_forward(&spec));
        let route = RouteDialer::new(route);
        let (watching, wanted) = watch::channel(WatchState { on: !spec.on_demand, ends: 0 });
        let watch_pods = self.watch_pods(&spec, wanted);
        let (cluster, events) = (spec.selector.cluster.clone(), self.about_forward(&spec));
        let (handle, forwarding) = forward::start(spec, via, route, self.events.clone(), &token);
        self.forwards.insert(id, OpenForward { handle, watching, token, ended: ended.clone() });
        self.tasks.spawn(async move {
            // Whatever becomes of the task, its end is known.
            let _ended = ended.drop_guard();
            if let Some(before) = before {
                before.cancelled().await;
            }
            let working = async {
                tokio::select! {
                    () = forwarding => {}
                    () = watch_pods => {}
                }
            };
            events.contain(&cluster, working, ForwardEvent::NotBound).await;
        });
    }

    fn about_forward(&self, spec: &ForwardSpec) -> EventSender<ForwardEvent> {
        let (id, epoch) = (spec.id, spec.epoch);
        self.events.about(move |event| Event::Forward { id, epoch, event })
    }

    /// Calls `tell` with a forward's handle, and switches the watch on its workload's pods.
    fn direct(&self, id: ForwardId, watching: bool, tell: impl FnOnce(&forward::Handle)) {
        if let Some(open) = self.forwards.get(&id) {
            open.watching.send_modify(|state| state.set(watching));
            tell(&open.handle);
        }
    }

    /// Sends an order to another instance and reports a failure.
    fn order_elsewhere<F: Future<Output = Result<(), Fault>> + Send + 'static>(
        &mut self,
        order: impl FnOnce(PathBuf) -> F,
    ) {
        let Some((_, dir)) = &self.instance else { return };
        let (order, events) = (order(dir.clone()), self.events.clone());
        self.spawn(async move {
            if let Err(fault) = order.await {
                events.send(Event::Instance(InstanceEvent::Silent(fault))).await;
            }
        });
    }

    /// Returns what the cluster is asked for while a forward is open; `None` for an address.
    fn lookup(&self, spec: &ForwardSpec) -> Option<Lookup> {
        let cluster = spec.selector.cluster.clone();
        match &spec.address {
            Destination::Address(_) | Destination::Proxy => None,
            Destination::Workload(workload) => {
                let (namespace, workload) = (spec.selector.namespace.clone(), workload.clone());
                Some(Lookup::Workload(workload::Query { cluster, namespace, workload }))
            }
            Destination::Node(ports) => {
                let server = self.clusters.contexts().into_iter().find(|context| context.name == cluster);
                let is_local = server.is_some_and(|context| LocalKind::of(&cluster, &context.server).is_some());
                Some(Lookup::Nodes(NodeQuery { cluster, port: ports.port, is_local }))
            }
        }
    }

    /// Watches a workload's pods, or the nodes, while that is `wanted`; never completes. For an address there is
    /// nothing to watch.
    fn watch_pods(
        &self,
        spec: &ForwardSpec,
        mut wanted: watch::Receiver<WatchState>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let lookup = self.lookup(spec);
        let (clusters, events) = (self.clusters.clone(), self.about_forward(spec));
        async move {
            let Some(lookup) = lookup else {
                return std::future::pending().await;
            };
            loop {
                let now = *wanted.borrow_and_update();
                if !now.on {
                    if wanted.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                    continue;
                }
                let following = async {
                    let watching = lookup.clone().follow(clusters.clone(), events.clone());
                    events.contain(lookup.cluster(), watching, ForwardEvent::LookupFailed).await;
                    // It has said all that there is to say.
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = following => {}
                    () = until_ended(&mut wanted, now) => {}
                }
            }
        }
    }
}

/// A watch that tells where a forward leads.
#[derive(Debug, Clone)]
enum Lookup {
    Workload(workload::Query),
    Nodes(NodeQuery),
}

impl Lookup {
    fn cluster(&self) -> &str {
        match self {
            Self::Workload(query) => &query.cluster,
            Self::Nodes(query) => &query.cluster,
        }
    }

    async fn follow(self, clusters: Clusters, events: EventSender<ForwardEvent>) {
        match self {
            Self::Workload(query) => workload::follow(clusters, query, events).await,
            Self::Nodes(query) => follow_nodes(clusters, query, events).await,
        }
    }
}

/// Waits until the watch of `since` is no longer wanted. Never completes once the sender is gone.
async fn until_ended(wanted: &mut watch::Receiver<WatchState>, since: WatchState) {
    if wanted.wait_for(|now| now.ends != since.ends).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_watch_that_is_ended_and_wanted_again_at_once_begins_anew() {
        let (watching, mut wanted) = watch::channel(WatchState { on: true, ends: 0 });
        let since = *wanted.borrow();
        watching.send_modify(|state| state.set(true));
        assert_eq!(until_ended(&mut wanted, since).now_or_never(), None, "it goes on");
        watching.send_modify(|state| state.set(false));
        watching.send_modify(|state| state.set(true));
        assert_eq!(until_ended(&mut wanted, since).now_or_never(), Some(()));
        assert!(wanted.borrow().on);
    }
}
