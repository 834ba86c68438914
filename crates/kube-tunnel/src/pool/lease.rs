//! Leases: handles that keep tunnels open.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use super::{
    Pool,
    manager::{self, DIAL_BACKOFF, pause_after},
};
use crate::{
    contain::lock,
    error::Error,
    io::{
        dial::{Dialer, Route},
        stream::Stream,
    },
    login::{Fixed, Login, Logins},
    meter::Stats,
    protocol::Protocol,
};

/// The time for which opening a stream is retried while the API server does not answer; the last attempt may take a
/// little longer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(25);

/// The tunnels of one cluster.
///
/// Cheap to clone. It remembers which protocol worked: for ten minutes, so that a better one is tried again.
#[derive(Clone)]
pub struct Tunnels {
    dialer: Arc<Dialer>,
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnels").field("protocol", &self.dialer.settled()).finish_non_exhaustive()
    }
}

impl Tunnels {
    /// Creates tunnels through `client`. Its connections must have no read timeout (`kube::Config::read_timeout`,
    /// `None` by default), and should have `TCP_NODELAY`, which kube's own connector does not set: without it small
    /// writes may wait for an acknowledgement. With `forced`, only that protocol is used; else they are tried in the
    /// order of [`Protocol::ALL`].
    ///
    /// Nothing is opened before [`Tunnels::lease`].
    pub fn new(client: kube::Client, forced: Option<Protocol>) -> Self {
        Self::following(Arc::new(Fixed::new(client)), forced)
    }

    /// Creates tunnels through the newest of several clients, each as for [`Tunnels::new`]. A tunnel that was opened
    /// with an earlier client is used until there is one of the newest, and stays until its streams have ended.
    pub fn following(logins: Arc<dyn Logins>, forced: Option<Protocol>) -> Self {
        Self { dialer: Arc::new(Dialer::new(logins, forced)) }
    }

    /// Opens a tunnel for `route` in the background, and keeps tunnels open until the lease is dropped.
    ///
    /// Returns at once; failures show in [`Lease::open`] and in [`Stats::last_error`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn lease(&self, route: Route, opts: LeaseOptions) -> Lease {
        let pool = Arc::new(Pool::new(Arc::clone(&self.dialer), route, opts.tunnels.max(1)));
        tokio::spawn(manager::manage(Arc::clone(&pool)));
        let guard = pool.cancel.clone().drop_guard();
        Lease { pool, _guard: guard }
    }

    /// Returns a channel with the newest login to the cluster, which changes with each new one.
    pub fn logins(&self) -> watch::Receiver<Login> {
        self.dialer.newest.clone()
    }

    /// Connects to a port of a pod without its node: the API server itself connects to the pod's address
    /// (`pods/proxy`), asks the HTTP server there to switch to the protocol `token` (`Upgrade`), and passes bytes both
    /// ways. Both directions end as soon as one does. The user needs the right to `get` or `create` `pods/proxy`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without that right; [`Error::NoUpgrade`] if nobody in the pod accepts the connection or
    /// the upgrade, or something on the way does not pass it on; [`Error::NoSuchPod`], [`Error::Unreachable`],
    /// [`Error::Unauthorized`], [`Error::Protocol`].
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future gives up the attempt. It has no time limit of its own.
    pub async fn pod_proxy(
        &self,
        route: &Route,
        token: &'static str,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>, Error> {
        self.dialer.pod_proxy(route, token).await
    }
}

/// Options of [`Tunnels::lease`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOptions {
    /// The most tunnels to open, 8 by default; 0 counts as 1. Each stream has a tunnel to itself while there are
    /// enough; then streams share them.
    pub tunnels: usize,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self { tunnels: 8 }
    }
}

/// Keeps tunnels to one [`Route`] open. Dropping it ends its tunnels and tasks; its streams fail with
/// [`Error::Closed`].
///
/// Lost tunnels are opened again with increasing pauses of 0.2 to 30 s. Tunnels that are not needed are closed after
/// half a minute; one stays open, so that the next stream opens at once.
pub struct Lease {
    pool: Arc<Pool>,
    _guard: DropGuard,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("route", &self.pool.route).finish_non_exhaustive()
    }
}

impl Lease {
    /// Opens a stream. Where a tunnel is open, this does not wait (but for up to 250 ms where many streams are opened
    /// at once and more tunnels are being opened), and the first bytes written travel with the opening. A refusal by
    /// the pod is therefore an error of the stream, not of this function.
    ///
    /// While the API server does not answer, new attempts are made for some 25 s.
    ///
    /// # Errors
    /// No tunnel can be opened. Errors that a person has to mend ([`Error::Forbidden`], [`Error::Unauthorized`],
    /// [`Error::NoSuchPod`], [`Error::Protocol`], [`Error::Upgrade`] with a status below 500 other than 429) are
    /// returned at once; after some 25 s it is the last failure: [`Error::Unreachable`], [`Error::TunnelLost`] or
    /// [`Error::Upgrade`].
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future gives up the attempt, and a tunnel that was opened by then stays with the
    /// lease.
    pub async fn open(&self) -> Result<Stream, Error> {
        let pool = &self.pool;
        let began = Instant::now();
        let mut backoff = DIAL_BACKOFF;
        pool.wait_if_crowded(false).await;
        loop {
            if let Some(stream) = pool.take() {
                pool.counts.count_opened();
                return Ok(stream);
            }
            let result = tokio::select! {
                biased;
                () = pool.cancel.cancelled() => Err(Error::Closed),
                result = pool.connect() => result,
            };
            let error = match result {
                Ok(stream) => {
                    pool.counts.count_opened();
                    return Ok(stream);
                }
                Err(error) => error,
            };
            if !error.is_transient() || began.elapsed() > OPEN_TIMEOUT {
                pool.counts.count_failed();
                return Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep(pause_after(&error, &mut backoff)) => {}
                stream = pool.arrival() => {
                    pool.counts.count_opened();
                    return Ok(stream);
                }
            }
        }
    }

    /// Opens a stream to another port of the pod on a tunnel that is open already. Returns `None` where there is none,
    /// or none that carries more than one stream ([`Protocol::V4`] does not).
    ///
    /// Waits for up to 250 ms as [`Lease::open`] does, and for nothing else.
    ///
    /// # Cancel safety
    /// Cancel safe: a stream that was not returned is not opened.
    pub async fn open_at(&self, port: u16) -> Option<Stream> {
        self.pool.wait_if_crowded(true).await;
        let stream = self.pool.take_at(port)?;
        self.pool.counts.count_opened();
        Some(stream)
    }

    /// Keeps `count` streams opened ahead of need from now on, 0 by default. Use it only for servers that wait for a
    /// request before they do anything costly: the pod sees an idle connection for each.
    pub fn hold_spares(&self, count: usize) {
        self.pool.hold_spares(0, count);
    }

    /// Keeps `count` streams to another port of the pod opened ahead of need, in place of those of
    /// [`Lease::hold_spares`]. [`Lease::open_at`] takes them.
    pub fn hold_spares_at(&self, port: u16, count: usize) {
        self.pool.hold_spares(port, count);
    }

    /// Returns the generation of the login whose tunnel the next stream uses; `None` while no tunnel is open. In
    /// [`Protocol::V4`] each stream opens its own tunnel, with the newest login.
    pub fn generation(&self) -> Option<u64> {
        if self.protocol() == Some(Protocol::V4) {
            return Some(self.pool.dialer.newest.borrow().generation);
        }
        let held = lock(&self.pool.held);
        held.tunnels.iter().filter(|tunnel| tunnel.session.is_usable()).map(|tunnel| tunnel.generation).max()
    }

    /// Waits until streams are opened with a later login than that of `generation`, as [`Lease::generation`] returned
    /// it.
    pub async fn renewed(&self, generation: Option<u64>) {
        let mut newest = self.pool.dialer.newest.clone();
        loop {
            let arrived = self.pool.arrived.notified();
            newest.mark_unchanged();
            if self.generation() > generation {
                return;
            }
            tokio::select! {
                () = arrived => {}
                Ok(()) = newest.changed() => {}
            }
        }
    }

    /// Returns a snapshot of the lease's state.
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }

    /// Returns the protocol in use: the forced one, else the one that has worked. `None` until a tunnel was opened.
    pub fn protocol(&self) -> Option<Protocol> {
        self.pool.dialer.settled()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn streams_of_tunnels_of_their_own_are_renewed_by_a_new_login_alone() {
        let client = kube::Config::new("http://127.0.0.1:1".parse().unwrap()).try_into().unwrap();
        let route = Route { namespace: "team".into(), pod: "web".into(), port: 80 };
        let lease = Tunnels::new(client, Some(Protocol::V4)).lease(route, LeaseOptions::default());
        let renewed = timeout(Duration::from_mins(1), lease.renewed(lease.generation()));
        renewed.await.expect_err("there is no other login");
    }
}
