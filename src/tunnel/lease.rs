//! Who holds tunnels, and for how long.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio_util::sync::CancellationToken;

use super::{Error, Protocol, Route, Stats, Stream};

/// The tunnels of one cluster. Cheap to clone; remembers which protocol worked.
#[derive(Clone)]
pub struct Tunnels {
    client: kube::Client,
    forced: Option<Protocol>,
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnels").field("forced", &self.forced).finish_non_exhaustive()
    }
}

impl Tunnels {
    /// Tunnels through `client`, whose connections must have `TCP_NODELAY`. With `forced`, only that protocol is used.
    pub fn new(client: kube::Client, forced: Option<Protocol>) -> Self {
        Self { client, forced }
    }

    /// Opens tunnels for `route` in the background and keeps them until the lease is dropped. Must be called within a
    /// tokio runtime.
    pub fn lease(&self, route: Route, opts: LeaseOptions) -> Lease {
        Lease { tunnels: self.clone(), route, opts, cancel: CancellationToken::new(), figures: Arc::default() }
    }
}

/// How a lease prepares for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaseOptions {
    /// How many streams to hold opened ahead. Only for relays, which wait for an address line before they connect
    /// anywhere: any other pod would see idle connections.
    pub spares: usize,
}

#[derive(Debug, Default)]
struct Figures {
    opened: AtomicU64,
    failed: AtomicU64,
}

/// Holds tunnels to one route. Dropping it ends its tunnels, streams and tasks.
pub struct Lease {
    tunnels: Tunnels,
    route: Route,
    opts: LeaseOptions,
    cancel: CancellationToken,
    figures: Arc<Figures>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("route", &self.route).field("opts", &self.opts).finish_non_exhaustive()
    }
}

impl Lease {
    /// A new stream. What is written to it travels with its opening: there is no round trip to wait for. That the pod
    /// refuses is told by the stream itself.
    ///
    /// # Errors
    /// When no tunnel can be had: see [`Error`].
    pub async fn open(&self) -> Result<Stream, Error> {
        let api: Api<Pod> = Api::namespaced(self.tunnels.client.clone(), &self.route.namespace);
        let opened = api.portforward(&self.route.pod, &[self.route.port]).await;
        let mut forwarder = opened.map_err(|error| {
            self.figures.failed.fetch_add(1, Ordering::Relaxed);
            Error::from_kube(&error, Protocol::V4)
        })?;
        let inner = forwarder.take_stream(self.route.port).ok_or(Error::Closed)?;
        self.figures.opened.fetch_add(1, Ordering::Relaxed);
        let token = self.cancel.child_token();
        let guard = token.clone().drop_guard();
        tokio::spawn(async move {
            token.cancelled().await;
            forwarder.abort();
        });
        Ok(Stream { inner, _guard: guard })
    }

    /// The figures of this lease now.
    pub fn stats(&self) -> Stats {
        Stats {
            protocol: Some(self.tunnels.forced.unwrap_or(Protocol::V4)),
            opened: self.figures.opened.load(Ordering::Relaxed),
            failed: self.figures.failed.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
