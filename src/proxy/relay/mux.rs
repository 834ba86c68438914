//! The client of our own relay: many connections over one stream to the pod, each with its own errors and ends.
//!
//! One task reads the stream and hands out what comes; whoever sends writes to it at once, as far as it takes bytes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brow_relay::{Connection, Event, KEY, Kind, Limits, Reason, Side};
use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::RelayError;
use super::stream::{Deliver, RelayStream, Slot};
use brow_model::address::{Address, Host};
use kube_tunnel::Error;

/// A stream takes this much unread; the relay opens none here.
const LIMITS: Limits = Limits { streams: 0, window: 512 * 1024, most: 512 * 1024, extra: 0 };

/// The interval of pings.
const PING: Duration = Duration::from_secs(5);

/// The longest silence of a relay, after which it counts as lost.
const SILENCE: Duration = Duration::from_secs(20);

/// The most reads in a row, before other tasks get their turn.
const READS: usize = 16;

/// The stream to the relay.
trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Carrier for S {}

/// A relay that runs, and the stream to it. Dropping it, and all streams through it, ends both.
pub struct Mux {
    shared: Arc<Shared>,
    ended: CancellationToken,
    driver: Arc<AbortOnDropHandle<()>>,
}

/// The state that the driver and the streams share.
pub(super) struct Shared(Mutex<State>);

pub(super) struct State {
    pub connection: Connection,
    pub slots: HashMap<u32, Slot>,
    /// The reason why nothing more comes.
    pub dead: Option<Error>,
    carrier: Box<dyn Carrier>,
    driver: Waker,
    /// True while a stream waits for room.
    crowded: bool,
    /// The time at which it last said something, or took what it had not taken for a while.
    alive: Instant,
    /// True if it does not take more at the moment.
    stalled: bool,
    /// True once the other side has ended the stream.
    hung_up: bool,
}

impl Mux {
    /// Begins to speak to a relay that knows the key, and waits until it has proved that.
    ///
    /// # Errors
    /// [`RelayError::Unable`] if the program ends or does not know the key, else the error of the stream.
    pub async fn start<S>(carrier: S, key: &[u8; KEY]) -> Result<Self, RelayError<Error>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let state = State {
            connection: Connection::new(Side::Client, key, rand::random(), LIMITS),
            slots: HashMap::new(),
            dead: None,
            carrier: Box::new(carrier),
            driver: Waker::noop().clone(),
            crowded: false,
            alive: Instant::now(),
            stalled: false,
            hung_up: false,
        };
        let (shared, ended) = (Arc::new(Shared(Mutex::new(state))), CancellationToken::new());
        let (state, end) = (Arc::clone(&shared), ended.clone().drop_guard());
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            let _end = end;
            drive(&state).await;
        }));
        let mux = Self { shared, ended, driver: Arc::new(driver) };
        let Err(error) = poll_fn(|cx| mux.shared.lock().poll_up(cx)).await else { return Ok(mux) };
        let its_own = mux.shared.lock().hung_up
            || matches!(
                error,
                Error::Protocol { .. } | Error::Reset | Error::Pod { .. } | Error::Refused { .. } | Error::Local(_)
            );
        Err(if its_own { RelayError::Unable(error.to_string()) } else { RelayError::Unconfirmed(error) })
    }

    /// Opens a stream to an address. The stream reports whether that is reached.
    ///
    /// # Errors
    /// The relay is gone, or carries as many streams as it can.
    pub fn open(&self, address: &Address) -> Result<RelayStream, Error> {
        self.begin(Kind::Tcp, &host_of(address), address.port, Slot::default())
    }

    /// Opens a flow of datagrams to an address, which may be sent at once. What comes is given to `deliver`, which must
    /// not block.
    ///
    /// # Errors
    /// The relay is gone, or carries as many streams as it can.
    pub fn open_flow(&self, address: &Address, deliver: Deliver) -> Result<RelayStream, Error> {
        self.begin(Kind::Udp, &host_of(address), address.port, Slot::of_flow(deliver))
    }

    /// Returns the domain of the cluster's names, as the pod's resolver has it; `None` if that is not known there.
    pub async fn cluster_domain(&self) -> Option<String> {
        let asked = self.begin(Kind::Tcp, brow_relay::DOMAIN.0, brow_relay::DOMAIN.1, Slot::default()).ok()?;
        let domain = asked.answer().await?;
        // It comes from the pod, which may be of any image.
        let address = format!("{domain}:1").parse::<Address>().ok()?;
        matches!(address.host, Host::Name(_)).then_some(domain)
    }

    fn begin(&self, kind: Kind, host: &str, port: u16, slot: Slot) -> Result<RelayStream, Error> {
        let mut state = self.shared.lock();
        if let Some(error) = &state.dead {
            return Err(error.clone());
        }
        let full = || Error::Pod { text: "the pod's relay carries as many connections as it can".to_owned() };
        let id = state.connection.open(kind, host, port).ok_or_else(full)?;
        state.slots.insert(id, slot);
        drop(state);
        Ok(RelayStream::new(Arc::clone(&self.shared), id, Arc::clone(&self.driver)))
    }

    /// Returns false once the relay is known to be gone.
    pub fn is_alive(&self) -> bool {
        self.shared.lock().dead.is_none()
    }

    /// Waits until the relay is gone.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

fn host_of(address: &Address) -> String {
    address.host.to_string().trim_start_matches('[').trim_end_matches(']').to_owned()
}

impl Shared {
    /// Nothing that holds this lock panics.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(error) = &self.dead {
            return Poll::Ready(Err(error.clone()));
        }
        if self.connection.is_up() {
            return Poll::Ready(Ok(()));
        }
        // The slot 0, which no stream has, waits for that.
        self.slots.entry(0).or_default().waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Writes what waits, as far as the stream takes it.
    pub(super) fn flush(&mut self) {
        let driver = self.driver.clone();
        let mut cx = Context::from_waker(&driver);
        while self.dead.is_none() && !self.connection.output().is_empty() {
            match std::pin::Pin::new(&mut *self.carrier).poll_write(&mut cx, self.connection.output()) {
                Poll::Ready(Ok(count)) => {
                    self.connection.sent(count);
                    if std::mem::take(&mut self.stalled) {
                        // A ping that waits behind a slow upload cannot be answered yet.
                        self.alive = Instant::now();
                    }
                }
                Poll::Ready(Err(error)) => self.die(Error::from_io(error)),
                Poll::Pending => {
                    self.stalled = true;
                    break;
                }
            }
        }
        // What TLS has taken may not have left yet; the driver tries again.
        if self.dead.is_none()
            && let Poll::Ready(Err(error)) = std::pin::Pin::new(&mut *self.carrier).poll_flush(&mut cx)
        {
            self.die(Error::from_io(error));
        }
        if self.crowded && self.connection.has_room() {
            self.crowded = false;
            self.slots.values_mut().for_each(Slot::wake);
        }
    }

    /// Returns whether data may be sent; else the streams are woken when it may.
    pub(super) fn has_room(&mut self) -> bool {
        self.crowded |= !self.connection.has_room();
        !self.crowded
    }

    fn die(&mut self, error: Error) {
        self.dead.get_or_insert(error);
        self.slots.values_mut().for_each(Slot::wake);
        // The driver does not notice by itself that a stream's write has failed.
        self.driver.wake_by_ref();
    }

    /// Reads what has come.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.driver.clone_from(cx.waker());
        self.flush();
        for _ in 0..READS {
            if let Some(error) = &self.dead {
                return Poll::Ready(Err(error.clone()));
            }
            let mut space = ReadBuf::new(self.connection.space());
            match std::pin::Pin::new(&mut *self.carrier).poll_read(cx, &mut space) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Error::from_io(error))),
                Poll::Pending => return Poll::Pending,
            }
            let count = space.filled().len();
            if count == 0 {
                self.hung_up = true;
                return Poll::Ready(Err(Error::TunnelLost { text: "the pod's program ended".to_owned() }));
            }
            self.connection.received(count);
            self.alive = Instant::now();
            while self.step()? {}
            self.flush();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes in one frame; `false` where there is none.
    fn step(&mut self) -> Result<bool, Error> {
        let event = self.connection.next().map_err(|violation| Error::Protocol { text: violation.to_string() })?;
        let Some(event) = event else { return Ok(false) };
        match event {
            Event::Up => {
                if let Some(mut waits) = self.slots.remove(&0) {
                    waits.wake();
                }
            }
            Event::Connected { id, took } => self.at(id, |slot| slot.connected = Some(took)),
            Event::Credit { id } => self.at(id, |_| {}),
            Event::End { id } => self.at(id, |slot| slot.ended = true),
            Event::Reset { id, reason, words } => {
                let broke = (reason, words.to_owned());
                self.at(id, |slot| slot.broke = Some(broke));
            }
            Event::Data { id, bytes } => {
                if let Some(slot) = self.slots.get_mut(&id) {
                    let delivered = slot.deliver(bytes);
                    self.connection.consume(id, delivered);
                }
            }
            Event::Datagram { id, bytes } => {
                if let Some(slot) = self.slots.get(&id) {
                    slot.take(Ok(bytes));
                }
            }
            Event::Dropped { id, count } => {
                if let Some(slot) = self.slots.get(&id) {
                    slot.take(Err(count));
                }
            }
            Event::Open { .. } | Event::Pong { .. } | Event::Handled => {}
        }
        Ok(true)
    }

    fn at(&mut self, id: u32, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.get_mut(&id) {
            change(slot);
            slot.wake();
        }
    }

    /// A stream is given up by its owner.
    pub(super) fn release(&mut self, id: u32, reason: Reason) {
        self.slots.remove(&id);
        self.connection.reset(id, reason, "");
        self.flush();
    }
}

/// Reads until the relay is gone, and asks whether it is.
async fn drive(shared: &Shared) {
    let mut pings = interval(PING);
    let mut token = 0;
    loop {
        let error = tokio::select! {
            read = poll_fn(|cx| shared.lock().poll_read(cx)) => read.err(),
            _ = pings.tick() => {
                let mut state = shared.lock();
                token += 1;
                state.connection.ping(token);
                state.flush();
                let silent = state.alive.elapsed() > SILENCE;
                silent.then(|| Error::TunnelLost { text: "the pod's program does not answer".to_owned() })
            }
        };
        if let Some(error) = error {
            return shared.lock().die(error);
        }
    }
}
