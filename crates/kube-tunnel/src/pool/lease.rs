//! Who holds tunnels, and for how long.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::DropGuard;

use super::{PAUSES, Pool, manager, pause_after};
use crate::{
    error::Error,
    io::{
        dial::{Dialer, Route},
        stream::Stream,
    },
    login::{Fixed, Logins},
    meter::Stats,
    protocol::Protocol,
};

/// How long a connection waits for an API server that does not answer; the last attempt may take a little longer.
const PATIENCE: Duration = Duration::from_secs(25);

/// The tunnels of one cluster. Cheap to clone; remembers which protocol worked.
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
    /// Tunnels through `client`, whose connections must have `TCP_NODELAY` and no time-out for reading. With `forced`,
    /// only that protocol is used; else they are tried in the order of [`Protocol::ALL`].
    pub fn new(client: kube::Client, forced: Option<Protocol>) -> Self {
        Self::following(Arc::new(Fixed::new(client)), forced)
    }

    /// Tunnels through the newest of several clients, each as for [`Tunnels::new`]. A tunnel that was opened with an
    /// earlier one is used until there is one of the newest, and stays until its streams have ended.
    pub fn following(logins: Arc<dyn Logins>, forced: Option<Protocol>) -> Self {
        Self { dialer: Arc::new(Dialer::new(logins, forced)) }
    }

    /// Opens a tunnel for `route` in the background and keeps tunnels until the lease is dropped. Must be called within
    /// a tokio runtime.
    pub fn lease(&self, route: Route, opts: LeaseOptions) -> Lease {
        let pool = Arc::new(Pool::new(Arc::clone(&self.dialer), route, opts.tunnels));
        tokio::spawn(manager::manage(Arc::clone(&pool)));
        let guard = pool.cancel.clone().drop_guard();
        Lease { pool, _guard: guard }
    }
}

/// How a lease prepares for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOptions {
    /// How many tunnels to open at most. Streams get one each as far as it reaches, then share.
    pub tunnels: usize,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self { tunnels: 8 }
    }
}

/// Holds tunnels to one route. Dropping it ends its tunnels, streams and tasks.
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
    /// A new stream. Where a tunnel is open, this waits for nothing (but some milliseconds where many are opened at
    /// once and more tunnels are on their way); what is written to the stream travels with its opening. That the pod
    /// refuses is told by the stream itself, not here.
    ///
    /// While the API server does not answer, new attempts are made for some 25 s.
    ///
    /// # Errors
    /// When no tunnel can be had: see [`Error`].
    pub async fn open(&self) -> Result<Stream, Error> {
        let pool = &self.pool;
        let began = Instant::now();
        let mut backoff = PAUSES;
        pool.spread(false).await;
        loop {
            if let Some(stream) = pool.take() {
                pool.figures.count_opened();
                return Ok(stream);
            }
            let result = tokio::select! {
                biased;
                () = pool.cancel.cancelled() => Err(Error::Closed),
                result = pool.connect() => result,
            };
            let error = match result {
                Ok(stream) => {
                    pool.figures.count_opened();
                    return Ok(stream);
                }
                Err(error) => error,
            };
            if !error.is_transient() || began.elapsed() > PATIENCE {
                pool.figures.count_failed();
                return Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep(pause_after(&error, &mut backoff)) => {}
                stream = pool.arrival() => {
                    pool.figures.count_opened();
                    return Ok(stream);
                }
            }
        }
    }

    /// A new stream to another port of the pod, without waiting for a tunnel: `None` where none is open, or none that
    /// carries more than one stream.
    pub async fn open_at(&self, port: u16) -> Option<Stream> {
        self.pool.spread(true).await;
        let stream = self.pool.take_at(port)?;
        self.pool.figures.count_opened();
        Some(stream)
    }

    /// Holds so many streams opened ahead from now on; none, until this is called. Only for relays, which wait for a
    /// request before they connect anywhere: any other pod would see idle connections.
    pub fn hold_spares(&self, count: usize) {
        self.pool.hold_spares(0, count);
    }

    /// The same to another port of the pod, a relay's too, in place of its own.
    pub fn hold_spares_at(&self, port: u16, count: usize) {
        self.pool.hold_spares(port, count);
    }

    /// The figures of this lease now.
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }

    /// The protocol in use, as far as that is settled.
    pub fn protocol(&self) -> Option<Protocol> {
        self.pool.dialer.settled()
    }
}
