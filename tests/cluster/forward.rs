//! The smallest forward there can be: a listener, and a splice for each connection.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;

use brow_tui::tunnel::{Counters, Error, Lease, LeaseOptions, Route, Stats, Summary, Tunnels, splice};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
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
    _guard: DropGuard,
}

impl Forward {
    /// A forward to a port of a pod.
    pub async fn new(tunnels: &Tunnels, route: Route) -> Self {
        Self::with(tunnels, route, LeaseOptions::default(), None).await
    }

    /// A forward through a relay to `target`.
    pub async fn relayed(tunnels: &Tunnels, route: Route, target: &str) -> Self {
        let line = Bytes::from(format!("{target}\n"));
        Self::with(tunnels, route, LeaseOptions { spares: 2, ..LeaseOptions::default() }, Some(line)).await
    }

    async fn with(tunnels: &Tunnels, route: Route, options: LeaseOptions, line: Option<Bytes>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let lease = Arc::new(tunnels.lease(route, options));
        let counters = Arc::new(Counters::default());
        let (report, outcomes) = mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let (for_lease, for_counters) = (Arc::clone(&lease), Arc::clone(&counters));
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = cancel.cancelled() => break,
                    accepted = listener.accept() => accepted,
                };
                let Ok((local, _)) = accepted else { continue };
                let (lease, counters) = (Arc::clone(&for_lease), Arc::clone(&for_counters));
                let (line, report, cancel) = (line.clone(), report.clone(), cancel.clone());
                tokio::spawn(async move {
                    let work = async {
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
        Self { address, counters, outcomes, lease, _guard: guard }
    }

    /// The lease's figures.
    pub fn stats(&self) -> Stats {
        self.lease.stats()
    }
}
