//! The smallest forward there can be: a listener, and a splice for each connection.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use brow_tui::forward::{Ended, keep_lane};
use brow_tui::model::address::Address;
use brow_tui::proxy::relay;
use brow_tui::tunnel::{Counters, Error, Lease, LeaseOptions, Route, Stats, Summary, Tunnels, splice};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How one connection ended.
pub type Outcome = Result<Summary, Error>;

/// Listens on a free port of 127.0.0.1 until it is dropped.
pub struct Forward {
    pub address: SocketAddr,
    pub counters: Arc<Counters>,
    /// How each connection ended, in the order of their ends.
    pub outcomes: mpsc::UnboundedReceiver<Outcome>,
    lease: Arc<Lease>,
    /// The port of the lane, if there is one.
    way: Arc<AtomicU16>,
    keeper: Option<JoinHandle<()>>,
    _guard: DropGuard,
}

impl Forward {
    /// A forward to a port of a pod.
    pub async fn new(tunnels: &Tunnels, route: Route) -> Self {
        Self::with(tunnels, route, None).await
    }

    /// A forward through a relay to `target`.
    pub async fn relayed(tunnels: &Tunnels, route: Route, target: &str) -> Self {
        let target: Address = target.parse().expect("an address");
        let mut forward = Self::with(tunnels, route, Some(relay::first_line(&target))).await;
        let (lease, port) = (Arc::clone(&forward.lease), Arc::clone(&forward.way));
        forward.keeper = Some(tokio::spawn(async move {
            let asked = relay::lane_line(&target);
            while keep_lane(&lease, &asked, relay::read_lane, &port).await != Ended::Never {
                tokio::task::yield_now().await;
            }
        }));
        forward
    }

    async fn with(tunnels: &Tunnels, route: Route, line: Option<Bytes>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let lease = Arc::new(tunnels.lease(route, LeaseOptions::default()));
        let way = Arc::new(AtomicU16::new(0));
        let counters = Arc::new(Counters::default());
        let (report, outcomes) = mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let (for_lease, for_counters, for_way) = (Arc::clone(&lease), Arc::clone(&counters), Arc::clone(&way));
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = cancel.cancelled() => break,
                    accepted = listener.accept() => accepted,
                };
                let Ok((local, _)) = accepted else { continue };
                let (lease, counters) = (Arc::clone(&for_lease), Arc::clone(&for_counters));
                let (line, report, cancel) = (line.clone(), report.clone(), cancel.clone());
                let port = for_way.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    let work = async {
                        if port != 0
                            && let Some(stream) = lease.open_at(port).await
                        {
                            return splice(local, stream, None, &counters).await;
                        }
                        let stream = lease.open().await?;
                        splice(local, stream, line, &counters).await
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
        Self { address, counters, outcomes, lease, way, keeper: None, _guard: guard }
    }

    /// Whether connections go by a lane.
    pub fn has_lane(&self) -> bool {
        self.way.load(Ordering::Relaxed) != 0
    }

    /// Gives the lane up, and asks for no other.
    pub fn give_lane_up(&mut self) {
        self.keeper.take().expect("a keeper").abort();
        self.way.store(0, Ordering::Relaxed);
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
