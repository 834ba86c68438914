//! The tunnels of one lease, and the choice of one for a new stream.
//!
//! Streams on one tunnel can hold each other up (see [`crate::proto::health::WORKERS`], and a local program that does
//! not read), so a stream has a tunnel to itself as long as there are enough; a tunnel whose stream has ended serves
//! the next.

pub(crate) mod lease;
mod manager;

use std::{
    cmp::Reverse,
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    contain::lock,
    error::Error,
    io::{
        dial::{Dialed, Dialer, Route},
        pump::pump,
        session::Session,
        stream::Stream,
    },
    meter::Stats,
    protocol::Protocol,
};

/// The tunnels and spare streams of one lease.
pub(crate) struct Pool {
    pub dialer: Arc<Dialer>,
    pub route: Route,
    /// The most tunnels to open.
    max_tunnels: usize,
    /// The number of streams to hold opened ahead, and their port: 0 is the route's own.
    spares: AtomicUsize,
    spare_port: AtomicU16,
    pub cancel: CancellationToken,
    /// Notifies the manager of changes.
    pub changed: Arc<Notify>,
    /// Notifies tasks that wait for a new tunnel.
    arrived: Notify,
    pub counts: Counts,
    held: Mutex<PoolState>,
    /// Held by the one task that dials when there is no tunnel at all; the others wait for its outcome.
    dialing: tokio::sync::Mutex<()>,
}

/// Counts of a lease.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    opened: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    pub(crate) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct PoolState {
    tunnels: Vec<Tunnel>,
    spares: VecDeque<Stream>,
    /// The time at which a spare stream was last taken.
    spared: Option<Instant>,
    last_error: Option<(Instant, Error)>,
}

struct Tunnel {
    session: Arc<Session>,
    /// The generation of the login that opened it.
    generation: u64,
    idle_since: Option<Instant>,
}

/// The most tunnels in all, as a multiple of the wanted number: blocked ones are replaced.
const MAX_EXCESS: usize = 2;

/// The number of streams on a tunnel above which a new one waits a moment for another tunnel, if more may be opened:
/// connections that come all at once would all be put on the first tunnel, and the last of them would have the last
/// tunnel for themselves. As many as a browser opens at once do not wait.
const CROWDED_STREAMS: usize = 6;
const CROWDED_WAIT: Duration = Duration::from_millis(250);

/// The pause after a spare stream was taken before the next is opened, if there are others: the connection that took it
/// goes first, here and in the pod.
const REFILL_DELAY: Duration = Duration::from_millis(5);

/// The time for which a tunnel is kept that no new stream will use: the last one may have sent something right before.
const RETIRE_DELAY: Duration = Duration::from_secs(5);

/// The time for which an idle tunnel is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

impl Pool {
    pub(crate) fn new(dialer: Arc<Dialer>, route: Route, max_tunnels: usize) -> Self {
        Self {
            dialer,
            route,
            max_tunnels,
            spares: AtomicUsize::new(0),
            spare_port: AtomicU16::new(0),
            cancel: CancellationToken::new(),
            changed: Arc::default(),
            arrived: Notify::new(),
            counts: Counts::default(),
            held: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
        }
    }

    /// Waits a moment if tunnels are crowded and more are being opened. With `new_stream`, the caller takes no spare
    /// stream.
    pub(crate) async fn wait_if_crowded(&self, new_stream: bool) {
        if !self.is_crowded(new_stream) {
            return;
        }
        self.changed.notify_one();
        let less = async {
            loop {
                let arrived = self.arrived.notified();
                if !self.is_crowded(new_stream) {
                    return;
                }
                arrived.await;
            }
        };
        // Late, a crowded one is better than none.
        let _ = tokio::time::timeout(CROWDED_WAIT, less).await;
    }

    fn is_crowded(&self, new_stream: bool) -> bool {
        let held = lock(&self.held);
        (new_stream || held.spares.is_empty())
            && held.tunnels.len() < self.max_tunnels
            && held.best(self.max_tunnels).is_some_and(|session| session.live() >= CROWDED_STREAMS)
    }

    /// Takes a spare stream, or opens one on the best tunnel. `None` if no tunnel is good.
    pub(crate) fn take(&self) -> Option<Stream> {
        self.take_at(0)
    }

    /// Takes a stream to a port; 0 is the route's own. Only a tunnel that carries several streams has others.
    pub(crate) fn take_at(&self, port: u16) -> Option<Stream> {
        let mut held = lock(&self.held);
        let is_spared = self.spare_port.load(Ordering::Relaxed) == port;
        let (fresh, stale): (VecDeque<_>, VecDeque<_>) = held.spares.drain(..).partition(Stream::is_fresh);
        held.spares = fresh;
        // One whose tunnel waits for another stream would have to wait, too.
        let ready = held.spares.iter().position(|spare| !spare.is_held_up()).filter(|_| is_spared);
        let found = match ready.and_then(|at| held.spares.remove(at)) {
            Some(spare) => {
                held.spared = Some(Instant::now());
                spare.set_aside(false);
                Some(spare)
            }
            None => held
                .best(self.max_tunnels)
                .filter(|session| port == 0 || session.protocol != Protocol::V4)
                .map(|session| session.stream(if port == 0 { self.route.port } else { port })),
        };
        drop(held);
        // A stream tells its tunnel when it is dropped: not under the lock.
        drop(stale);
        self.changed.notify_one();
        found
    }

    /// Keeps this many spare streams to a port (0: the route's own), and none to another.
    pub(crate) fn hold_spares(&self, port: u16, count: usize) {
        let mut held = lock(&self.held);
        let moved = self.spare_port.swap(port, Ordering::Relaxed) != port;
        let others = if moved { std::mem::take(&mut held.spares) } else { VecDeque::new() };
        let changed = self.spares.swap(count, Ordering::Relaxed) != count || moved;
        drop(held);
        // A stream tells its tunnel when it is dropped: not under the lock.
        drop(others);
        if changed {
            self.changed.notify_one();
        }
    }

    /// Dials, unless another task does already, and returns a stream on the new tunnel.
    pub(crate) async fn connect(&self) -> Result<Stream, Error> {
        if self.dialer.settled() == Some(Protocol::V4) {
            // A better protocol may have come up: then the stream is on its tunnel.
            return self.dial(false).await?.or_else(|| self.take()).ok_or(Error::Closed);
        }
        let asked = Instant::now();
        let _turn = self.dialing.lock().await;
        if let Some(stream) = self.take() {
            return Ok(stream);
        }
        if let Some((at, error)) = &lock(&self.held).last_error
            && *at > asked
        {
            return Err(error.clone());
        }
        // A tunnel that was being opened ahead may come first.
        let dialed = tokio::select! {
            biased;
            dialed = self.dial(false) => dialed?,
            stream = self.arrival() => Some(stream),
        };
        dialed.or_else(|| self.take()).ok_or(Error::Closed)
    }

    /// Opens a tunnel. Returns its stream if it carries only one.
    pub(crate) async fn dial(&self, ahead: bool) -> Result<Option<Stream>, Error> {
        let dialed = self.dialer.dial(&self.route, ahead).await;
        let outcome = dialed.as_ref().map(|dialed| (dialed.protocol, dialed.generation));
        tracing::debug!(pod = self.route.pod, port = self.route.port, ahead, ?outcome, "a tunnel was dialed");
        match dialed {
            Ok(dialed) => {
                lock(&self.held).last_error = None;
                Ok(self.adopt(dialed))
            }
            Err(Error::Closed) => {
                // Only a protocol of one connection for each stream is left, which changes what is waited for.
                self.arrived.notify_waiters();
                Err(Error::Closed)
            }
            Err(error) => {
                self.fail(error.clone());
                Err(error)
            }
        }
    }

    /// Records the reason why there is no tunnel.
    pub(crate) fn fail(&self, error: Error) {
        lock(&self.held).last_error = Some((Instant::now(), error));
    }

    fn adopt(&self, dialed: Dialed) -> Option<Stream> {
        let Dialed { protocol, transport, generation } = dialed;
        let token = self.cancel.child_token();
        let liveness_check = self.dialer.liveness_check(transport.ends);
        let session = Arc::new(Session::new(protocol, transport, liveness_check, Arc::clone(&self.changed), token));
        let stream = (protocol == Protocol::V4).then(|| session.stream(self.route.port));
        if let Some(stream) = &stream {
            // The node connects to the pod as soon as the connection is there: its bytes must find the stream.
            let _ = stream.open();
        }
        tokio::spawn(pump(Arc::clone(&session)));
        let mut held = lock(&self.held);
        let newest = held.tunnels.iter().all(|tunnel| tunnel.generation < generation);
        held.tunnels.push(Tunnel { session, generation, idle_since: None });
        // Streams opened ahead would keep the tunnels of an earlier login, and take what comes there.
        let outdated = if newest { std::mem::take(&mut held.spares) } else { VecDeque::new() };
        drop(held);
        drop(outdated);
        self.arrived.notify_waiters();
        stream
    }

    /// Waits for a stream on a tunnel that another task dials.
    pub(crate) async fn arrival(&self) -> Stream {
        loop {
            let arrived = self.arrived.notified();
            if let Some(stream) = self.take() {
                return stream;
            }
            arrived.await;
        }
    }

    /// Removes ended tunnels and closes surplus ones. Returns the tunnels to dial and the spare streams to open.
    pub(crate) fn reconcile(&self) -> Shortfall {
        let mut held = lock(&self.held);
        let live: usize = held.tunnels.iter().map(|tunnel| tunnel.session.live()).sum();
        let spares = self.spares.load(Ordering::Relaxed);
        let ahead = usize::from(spares == 0);
        let wanted = (live + ahead).clamp(1, self.max_tunnels);
        // Those of an earlier login are used as long as there are no others, but not counted upon.
        let newest = self.dialer.newest.borrow().generation;
        let is_newest = |tunnel: &Tunnel| tunnel.generation >= newest && tunnel.session.is_usable();
        let mut usable = held.tunnels.iter().filter(|tunnel| is_newest(tunnel)).count();
        let renewed = usable > 0;
        let mut surplus = false;
        for tunnel in &mut held.tunnels {
            let idle = tunnel.session.live() == 0;
            if !idle {
                tunnel.idle_since = None;
            } else if tunnel.session.is_leaving() {
                // It ends by itself.
            } else if !tunnel.session.is_open() || (renewed && tunnel.generation < newest) {
                surplus = true;
                if tunnel.idle_since.get_or_insert_with(Instant::now).elapsed() >= RETIRE_DELAY {
                    tunnel.session.cancel.cancel();
                }
            } else if usable > wanted {
                surplus = true;
                if tunnel.idle_since.get_or_insert_with(Instant::now).elapsed() >= IDLE_TIMEOUT {
                    tunnel.session.cancel.cancel();
                    usable -= 1;
                }
            }
        }
        held.tunnels.retain(|tunnel| !tunnel.session.is_closed() && !tunnel.session.cancel.is_cancelled());
        let (fresh, stale): (VecDeque<_>, VecDeque<_>) = held.spares.drain(..).partition(Stream::is_fresh);
        held.spares = fresh;
        let too_many = held.spares.len().saturating_sub(spares);
        let dropped: Vec<Stream> = held.spares.drain(..too_many).collect();
        let missing = spares.saturating_sub(held.spares.len());
        let refill =
            held.spared.map(|at| at + REFILL_DELAY).filter(|at| !held.spares.is_empty() && *at > Instant::now());
        let room = (self.max_tunnels * MAX_EXCESS).saturating_sub(held.tunnels.len());
        let need = Shortfall {
            tunnels: wanted.saturating_sub(usable).min(room),
            spares: if refill.is_some() { 0 } else { missing },
            refill: refill.filter(|_| missing > 0),
            lost_spares: !stale.is_empty(),
            surplus,
        };
        drop(held);
        drop((stale, dropped));
        need
    }

    /// Opens a spare stream on the best tunnel, if there is one.
    pub(crate) fn add_spare(&self) -> bool {
        let port = Some(self.spare_port.load(Ordering::Relaxed)).filter(|port| *port != 0);
        let session = lock(&self.held).best(self.max_tunnels);
        let stream = session.map(|session| session.stream(port.unwrap_or(self.route.port)));
        stream.is_some_and(|stream| self.keep_spare(stream))
    }

    pub(crate) fn keep_spare(&self, stream: Stream) -> bool {
        if stream.open().is_err() {
            return false;
        }
        stream.set_aside(true);
        lock(&self.held).spares.push_back(stream);
        true
    }

    /// Drops all tunnels and streams.
    pub(crate) fn clear(&self) {
        let held = std::mem::take(&mut *lock(&self.held));
        drop(held);
    }

    pub(crate) fn stats(&self) -> Stats {
        let held = lock(&self.held);
        let live: usize = held.tunnels.iter().map(|tunnel| tunnel.session.live()).sum();
        let spares = held.spares.len();
        Stats {
            protocol: held.tunnels.last().map(|tunnel| tunnel.session.protocol).or_else(|| self.dialer.settled()),
            rtt: held.tunnels.iter().filter_map(|tunnel| tunnel.session.rtt()).min(),
            tunnels: held.tunnels.iter().filter(|tunnel| !tunnel.session.is_closed()).count(),
            streams: live.saturating_sub(spares),
            spares,
            opened: self.counts.opened.load(Ordering::Relaxed),
            failed: self.counts.failed.load(Ordering::Relaxed),
            last_error: held.last_error.as_ref().map(|(_, error)| error.clone()),
        }
    }
}

impl PoolState {
    /// Returns the tunnel with the fewest streams among the usable ones of the newest login. When there are as many as
    /// there may be, an unusable one is better than none.
    fn best(&self, tunnels: usize) -> Option<Arc<Session>> {
        let mut order: Vec<_> = self.tunnels.iter().collect();
        order.sort_by_key(|tunnel| (Reverse(tunnel.generation), tunnel.session.live()));
        // In order, so that few are asked: each is locked for that.
        let usable = order.iter().find(|tunnel| tunnel.session.is_usable());
        let many = self.tunnels.len() >= tunnels * MAX_EXCESS;
        let best = usable.or_else(|| order.iter().find(|tunnel| many && tunnel.session.is_open()));
        best.map(|tunnel| Arc::clone(&tunnel.session))
    }
}

/// The result of [`Pool::reconcile`]: what is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shortfall {
    pub tunnels: usize,
    pub spares: usize,
    /// The time before which missing spare streams must not be opened.
    pub refill: Option<Instant>,
    /// Spare streams have ended while they waited.
    pub lost_spares: bool,
    /// True if there are more tunnels than needed, which are checked again later.
    pub surplus: bool,
}
