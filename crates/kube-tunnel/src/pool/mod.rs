//! The tunnels of one lease: which one a new stream gets.
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
    most: usize,
    /// The number of streams to hold opened ahead, and their port: 0 is the route's own.
    spares: AtomicUsize,
    spare_port: AtomicU16,
    pub cancel: CancellationToken,
    /// Tells the manager that something changed.
    pub changed: Arc<Notify>,
    /// Tells those who wait for a tunnel that there is a new one.
    arrived: Notify,
    pub figures: Figures,
    held: Mutex<Held>,
    /// One dials when there is no tunnel at all; the others wait for its outcome.
    dialing: tokio::sync::Mutex<()>,
}

/// Counts of a lease.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    opened: AtomicU64,
    failed: AtomicU64,
}

impl Figures {
    pub(crate) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Held {
    tunnels: Vec<Tunnel>,
    spares: VecDeque<Stream>,
    /// The time at which a spare was last taken.
    spared: Option<Instant>,
    trouble: Option<(Instant, Error)>,
}

struct Tunnel {
    session: Arc<Session>,
    /// The generation of the login that opened it.
    generation: u64,
    idle_since: Option<Instant>,
}

/// The most tunnels in all, for each that there should be: held-up ones are replaced.
const EXCESS: usize = 2;

/// A stream that would be one of more than this many on its tunnel, while there are to be more tunnels, waits a moment
/// for one: connections that come all at once would all be put on the first, and the last of them would have the last
/// tunnel for themselves. What a browser opens at once does not wait.
const CROWDED: usize = 6;
const MOMENT: Duration = Duration::from_millis(250);

/// The pause after a spare was taken before the next is opened, while there are others: the connection that took it
/// goes first, here and in the relay's pod.
const REFILL: Duration = Duration::from_millis(5);

/// The time that a tunnel stays which no stream will use again: the last one may have sent something right before.
const LAST: Duration = Duration::from_secs(5);

/// The time that a tunnel stays which is not needed.
const IDLE: Duration = Duration::from_secs(30);

impl Pool {
    pub(crate) fn new(dialer: Arc<Dialer>, route: Route, most: usize) -> Self {
        Self {
            dialer,
            route,
            most,
            spares: AtomicUsize::new(0),
            spare_port: AtomicU16::new(0),
            cancel: CancellationToken::new(),
            changed: Arc::default(),
            arrived: Notify::new(),
            figures: Figures::default(),
            held: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
        }
    }

    /// Waits a moment where tunnels are crowded and more are being opened. `past`: for a stream that takes no spare.
    pub(crate) async fn spread(&self, past: bool) {
        if !self.is_crowded(past) {
            return;
        }
        self.changed.notify_one();
        let less = async {
            loop {
                let arrived = self.arrived.notified();
                if !self.is_crowded(past) {
                    return;
                }
                arrived.await;
            }
        };
        // Late, a crowded one is better than none.
        let _ = tokio::time::timeout(MOMENT, less).await;
    }

    fn is_crowded(&self, past: bool) -> bool {
        let held = lock(&self.held);
        (past || held.spares.is_empty())
            && held.tunnels.len() < self.most
            && held.best(self.most).is_some_and(|session| session.live() >= CROWDED)
    }

    /// A spare stream, or a new one on the best tunnel there is. None if there is no good one.
    pub(crate) fn take(&self) -> Option<Stream> {
        self.take_from(0)
    }

    /// The same for a port, 0 being the route's own. Only a tunnel that carries several streams has others.
    fn take_from(&self, port: u16) -> Option<Stream> {
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
                .best(self.most)
                .filter(|session| port == 0 || session.protocol != Protocol::V4)
                .map(|session| session.stream(if port == 0 { self.route.port } else { port })),
        };
        drop(held);
        // A stream tells its tunnel when it is dropped: not under the lock.
        drop(stale);
        self.changed.notify_one();
        found
    }

    /// A spare stream to another port, or a new one on the best tunnel there is. None if there is no good one.
    pub(crate) fn take_at(&self, port: u16) -> Option<Stream> {
        self.take_from(port)
    }

    /// Holds so many spare streams to a port (0: the route's own) from now on, and none to another.
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

    /// Dials, unless another does already, and gives a stream on the new tunnel.
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
        if let Some((at, error)) = &lock(&self.held).trouble
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

    /// Opens a tunnel. One that carries a single stream comes with it.
    pub(crate) async fn dial(&self, ahead: bool) -> Result<Option<Stream>, Error> {
        let dialed = self.dialer.dial(&self.route, ahead).await;
        let outcome = dialed.as_ref().map(|dialed| (dialed.protocol, dialed.generation));
        tracing::debug!(pod = self.route.pod, port = self.route.port, ahead, ?outcome, "a tunnel was dialed");
        match dialed {
            Ok(dialed) => {
                lock(&self.held).trouble = None;
                Ok(self.adopt(dialed))
            }
            Err(Error::Closed) => Err(Error::Closed),
            Err(error) => {
                self.fail(error.clone());
                Err(error)
            }
        }
    }

    /// Notes why there is no tunnel.
    pub(crate) fn fail(&self, error: Error) {
        lock(&self.held).trouble = Some((Instant::now(), error));
    }

    fn adopt(&self, dialed: Dialed) -> Option<Stream> {
        let Dialed { protocol, transport, generation } = dialed;
        let token = self.cancel.child_token();
        let witness = self.dialer.witness(transport.ends);
        let session = Arc::new(Session::new(protocol, transport, witness, Arc::clone(&self.changed), token));
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

    /// A stream on a tunnel that another has dialed.
    pub(crate) async fn arrival(&self) -> Stream {
        loop {
            let arrived = self.arrived.notified();
            if let Some(stream) = self.take() {
                return stream;
            }
            arrived.await;
        }
    }

    /// Forgets what has ended, closes what is not needed. How many tunnels to dial, and how many spares are missing.
    pub(crate) fn tidy(&self) -> Need {
        let mut held = lock(&self.held);
        let live: usize = held.tunnels.iter().map(|tunnel| tunnel.session.live()).sum();
        let spares = self.spares.load(Ordering::Relaxed);
        let ahead = usize::from(spares == 0);
        let wanted = (live + ahead).clamp(1, self.most.max(1));
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
                if tunnel.idle_since.get_or_insert_with(Instant::now).elapsed() >= LAST {
                    tunnel.session.cancel.cancel();
                }
            } else if usable > wanted {
                surplus = true;
                if tunnel.idle_since.get_or_insert_with(Instant::now).elapsed() >= IDLE {
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
        let refill = held.spared.map(|at| at + REFILL).filter(|at| !held.spares.is_empty() && *at > Instant::now());
        let room = (self.most * EXCESS).saturating_sub(held.tunnels.len());
        let need = Need {
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
        let session = lock(&self.held).best(self.most);
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

    /// Lets go of everything.
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
            opened: self.figures.opened.load(Ordering::Relaxed),
            failed: self.figures.failed.load(Ordering::Relaxed),
            trouble: held.trouble.as_ref().map(|(_, error)| error.clone()),
        }
    }
}

impl Held {
    /// The tunnel with the fewest streams among those that are well, of the newest login that there is. When there are
    /// as many as there may be, an unwell one is better than none.
    fn best(&self, tunnels: usize) -> Option<Arc<Session>> {
        let mut order: Vec<_> = self.tunnels.iter().collect();
        order.sort_by_key(|tunnel| (Reverse(tunnel.generation), tunnel.session.live()));
        // In order, so that few are asked: each is locked for that.
        let usable = order.iter().find(|tunnel| tunnel.session.is_usable());
        let many = self.tunnels.len() >= tunnels * EXCESS;
        let best = usable.or_else(|| order.iter().find(|tunnel| many && tunnel.session.is_open()));
        best.map(|tunnel| Arc::clone(&tunnel.session))
    }
}

/// The result of [`Pool::tidy`]: what is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    pub tunnels: usize,
    pub spares: usize,
    /// Spare streams are missing, but are to be opened only then.
    pub refill: Option<Instant>,
    /// Spare streams have ended while they waited.
    pub lost_spares: bool,
    /// There are more tunnels than needed: look again later.
    pub surplus: bool,
}
