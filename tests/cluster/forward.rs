//! The smallest forward there can be: a listener, and a splice for each connection.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;

use brow_model::address::Address;
use brow_tui::effects::{LANE_PARSER, ask_relay};
use brow_tui::forward::{Lane, LaneEnd, keep_lane};
use brow_tui::proxy::relay::{self, Mux, RelayRequest, Secret};
use bytes::Bytes;
use kube_tunnel::{Counters, Error, Lease, LeaseOptions, Route, Stats, Summary, Tunnels, splice};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The result of one connection.
pub type Outcome = Result<Summary, Error>;

/// The first bytes of a stream.
#[derive(Clone)]
enum Ahead {
    Nothing,
    Line(Bytes),
    Asked(Secret, Address),
    Ours(Arc<Mux>, Address),
}

/// Keeps a lane of a relay until it ends.
pub async fn keep(lease: &Lease, secret: &Secret, target: &Address, lane: &Lane) -> LaneEnd {
    let word = relay::new_word();
    let asked = ask_relay(lease, secret, RelayRequest::Lane(target, &word), async { Ok(()) });
    keep_lane(lease, asked, word.clone(), LANE_PARSER, lane).await
}

/// Listens on a free port of 127.0.0.1 until it is dropped.
pub struct Forward {
    pub address: SocketAddr,
    pub counters: Arc<Counters>,
    /// The results of the connections, in the order of their ends.
    pub outcomes: mpsc::UnboundedReceiver<Outcome>,
    lease: Arc<Lease>,
    lane: Arc<Lane>,
    keeper: Option<JoinHandle<()>>,
    _guard: DropGuard,
}

impl Forward {
    /// A forward to a port of a pod.
    pub async fn new(tunnels: &Tunnels, route: Route) -> Self {
        Self::with(tunnels.lease(route, LeaseOptions::default()), Ahead::Nothing).await
    }

    /// The same with a choice of tunnels.
    pub async fn wide(tunnels: &Tunnels, route: Route, options: LeaseOptions) -> Self {
        Self::with(tunnels.lease(route, options), Ahead::Nothing).await
    }

    /// A forward through a socat that takes the address as a stream's first line, with streams held ready for it.
    pub async fn by_line(tunnels: &Tunnels, route: Route, target: &str) -> Self {
        let lease = tunnels.lease(route, LeaseOptions::default());
        let forward = Self::with(lease, Ahead::Line(format!("{target}\n").into())).await;
        forward.lease.hold_spares(2);
        forward
    }

    /// A forward through a proxy pod's relay to `target`.
    pub async fn relayed(tunnels: &Tunnels, route: Route, secret: Secret, target: &str) -> Self {
        let target: Address = target.parse().expect("an address");
        let ahead = Ahead::Asked(secret.clone(), target.clone());
        let mut forward = Self::with(tunnels.lease(route, LeaseOptions::default()), ahead).await;
        let (lease, lane) = (Arc::clone(&forward.lease), Arc::clone(&forward.lane));
        forward.keeper =
            Some(tokio::spawn(
                async move { while keep(&lease, &secret, &target, &lane).await != LaneEnd::Unsupported {} },
            ));
        forward
    }

    /// A forward through our own relay in a proxy pod to `target`.
    pub async fn by_ours(tunnels: &Tunnels, route: Route, secret: Secret, target: &str) -> Self {
        let lease = tunnels.lease(route, LeaseOptions { tunnels: 1 });
        let mut stream =
            ask_relay(&lease, &secret, RelayRequest::Start, async { Ok(()) }).await.expect("a relay that answers");
        relay::load::<_, Error>(&mut stream).await.expect("a pod that runs it");
        let mux = Mux::start(stream, &secret.key()).await.expect("a relay that runs");
        let ahead = Ahead::Ours(Arc::new(mux), target.parse().expect("an address"));
        Self::with(lease, ahead).await
    }

    /// The same through the pod proxy.
    pub async fn by_pod_proxy(tunnels: &Tunnels, route: Route, secret: Secret, target: &str) -> Self {
        let lease = tunnels.lease(route.clone(), LeaseOptions { tunnels: 1 });
        let mut stream =
            ask_relay(&lease, &secret, RelayRequest::Listen, async { Ok(()) }).await.expect("a relay that answers");
        let port = relay::listen::<_, Error>(&mut stream).await.expect("a pod that runs it");
        let proxied = Route { port, ..route.clone() };
        let stream = tunnels.pod_proxy(&proxied, relay::UPGRADE).await.expect("an API server that reaches the pod");
        let mux = Mux::start(stream, &secret.key()).await.expect("a relay that runs");
        let ahead = Ahead::Ours(Arc::new(mux), target.parse().expect("an address"));
        Self::with(lease, ahead).await
    }

    async fn with(lease: Lease, ahead: Ahead) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let lease = Arc::new(lease);
        let lane = Arc::new(Lane::default());
        let counters = Arc::new(Counters::default());
        let (report, outcomes) = mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let (for_lease, for_counters, for_lane) = (Arc::clone(&lease), Arc::clone(&counters), Arc::clone(&lane));
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = cancel.cancelled() => break,
                    accepted = listener.accept() => accepted,
                };
                let Ok((local, _)) = accepted else { continue };
                let (lease, counters) = (Arc::clone(&for_lease), Arc::clone(&for_counters));
                let (ahead, report, cancel) = (ahead.clone(), report.clone(), cancel.clone());
                let visit = for_lane.connection();
                tokio::spawn(async move {
                    let work = async {
                        if let Some(visit) = visit
                            && let Some(stream) = lease.open_at(visit.port()).await
                        {
                            return splice(local, stream, Some(visit.first_line()), &counters).await;
                        }
                        match ahead {
                            Ahead::Nothing => splice(local, lease.open().await?, None, &counters).await,
                            Ahead::Line(address) => splice(local, lease.open().await?, Some(address), &counters).await,
                            Ahead::Ours(mux, target) => {
                                let local = Arc::new(local);
                                let stream = mux.open(&target)?;
                                let (summary, result) = stream.splice(Arc::clone(&local), &counters).await;
                                result?;
                                kube_tunnel::end_in_order(&local).await;
                                Ok(summary)
                            }
                            Ahead::Asked(secret, target) => {
                                let stream =
                                    ask_relay(&lease, &secret, RelayRequest::Connect(&target), async { Ok(()) })
                                        .await?;
                                splice(local, stream, None, &counters).await
                            }
                        }
                    };
                    tokio::select! {
                        () = cancel.cancelled() => {}
                        outcome = work => {
                            let _ = report.send(outcome);
                        }
                    }
                });
            }
        });
        Self { address, counters, outcomes, lease, lane, keeper: None, _guard: guard }
    }

    /// The lane that connections go by.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Gives the lane up, and asks for no other.
    pub fn give_lane_up(&mut self) {
        self.keeper.take().expect("a keeper").abort();
        self.lane.port().into_iter().for_each(|port| self.lane.discard(port));
    }

    /// The lease's figures.
    pub fn stats(&self) -> Stats {
        self.lease.stats()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}
