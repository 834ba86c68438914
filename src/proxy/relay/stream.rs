//! One connection through our own relay.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brow_relay::Reason;
use bytes::{Buf as _, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::mux::{Shared, State};
use brow_model::fault::What;
use kube_tunnel::{Counters, Error, Summary};

/// The bytes that have come for a stream, and the task that waits for them.
#[derive(Default)]
pub(super) struct Slot {
    /// The time that connecting took, once it is connected.
    pub connected: Option<Duration>,
    /// True once the target sends no more.
    pub ended: bool,
    /// The reason why it is over.
    pub broke: Option<(Reason, String)>,
    /// The task that reads and writes it: one for both.
    pub waker: Option<Waker>,
    incoming: BytesMut,
    /// The taker of a flow's datagrams.
    datagrams: Option<Deliver>,
    /// The socket that the bytes are written to, and their counters.
    local: Option<(Arc<TcpStream>, Arc<Counters>)>,
    /// The bytes that it took, and the time of the first.
    down: u64,
    first: Option<Instant>,
}

impl Slot {
    pub(super) fn of_flow(deliver: Deliver) -> Self {
        Self { datagrams: Some(deliver), ..Self::default() }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes what came for a flow.
    pub(super) fn take(&self, datagram: Result<&[u8], u32>) {
        if let Some(deliver) = &self.datagrams {
            deliver(datagram);
        }
    }

    /// Takes bytes of the target, and returns the number of those that the socket took.
    pub(super) fn deliver(&mut self, bytes: &[u8]) -> usize {
        let mut wrote = 0;
        if self.incoming.is_empty() {
            wrote = self.write(bytes).unwrap_or(0);
        }
        if wrote < bytes.len() {
            self.incoming.extend_from_slice(&bytes[wrote..]);
            self.wake();
        }
        wrote
    }

    /// Writes what came to the local socket, and returns the number of bytes that it took.
    fn flush(&mut self) -> io::Result<usize> {
        let incoming = std::mem::take(&mut self.incoming);
        let wrote = self.write(&incoming);
        self.incoming = incoming;
        self.incoming.advance(*wrote.as_ref().unwrap_or(&0));
        wrote
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some((local, counters)) = &self.local else { return Ok(0) };
        let mut wrote = 0;
        while wrote < bytes.len() {
            match local.try_write(&bytes[wrote..]) {
                Ok(count) => wrote += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if wrote > 0 {
            self.first.get_or_insert_with(Instant::now);
            self.down += wrote as u64;
            counters.add_down(wrote);
        }
        Ok(wrote)
    }
}

/// Takes what comes for a flow: a datagram, or the number of those that were dropped in the pod.
pub type Deliver = Box<dyn Fn(Result<&[u8], u32>) + Send>;

/// A connection to a target. Dropping it ends it; [`RelayStream::splice`] carries a local connection over it.
pub struct RelayStream {
    shared: Arc<Shared>,
    id: u32,
    failure: TargetFailure,
    /// The reason for the relay if the stream is dropped before its end.
    last_word: Reason,
    /// The task that reads for all streams: it ends with the last of them.
    _driver: Arc<AbortOnDropHandle<()>>,
}

/// The failure of a stream's target and its words, once it has failed.
type TargetFailure = Arc<OnceLock<(What, String)>>;

impl Drop for RelayStream {
    fn drop(&mut self) {
        self.shared.lock().release(self.id, self.last_word);
    }
}

/// Translates the reason of a reset.
fn what(reason: Reason) -> What {
    match reason {
        Reason::Refused => What::TargetRefused,
        Reason::TimedOut => What::TargetTimedOut,
        Reason::Unresolved => What::TargetUnresolved,
        Reason::Reset => What::TargetReset,
        Reason::Unreachable | Reason::Failed | Reason::TooMany | Reason::Cancelled => What::TargetUnreachable,
    }
}

impl RelayStream {
    pub(super) fn new(shared: Arc<Shared>, id: u32, driver: Arc<AbortOnDropHandle<()>>) -> Self {
        Self { shared, id, failure: TargetFailure::default(), last_word: Reason::Cancelled, _driver: driver }
    }

    /// Returns the place where a failure of the target is reported.
    pub fn failure(&self) -> TargetFailure {
        Arc::clone(&self.failure)
    }

    /// Waits until the relay has connected to the target, and returns the time that this took. If it fails,
    /// [`RelayStream::failure`] has the reason.
    ///
    /// # Errors
    /// The relay could not connect, or is gone.
    pub async fn connected(&mut self) -> Result<Duration, Error> {
        std::future::poll_fn(|cx| {
            let mut state = self.shared.lock();
            state.flush();
            if let Some(took) = state.slots.get(&self.id).and_then(|slot| slot.connected) {
                return Poll::Ready(Ok(took));
            }
            self.check(&mut state, cx)?;
            Poll::Pending
        })
        .await
    }

    /// Waits for the words with which the relay answers a question, and ends it.
    pub(super) async fn answer(&self) -> Option<String> {
        std::future::poll_fn(|cx| {
            let state = &mut self.shared.lock();
            state.flush();
            match state.slots.get(&self.id).and_then(|slot| slot.broke.as_ref()) {
                Some((Reason::Cancelled, words)) => return Poll::Ready(Some(words.clone())),
                Some(_) => return Poll::Ready(None),
                None => {}
            }
            self.check(state, cx).map_or(Poll::Ready(None), |()| Poll::Pending)
        })
        .await
    }

    /// Fails if the stream has failed; else `cx` is woken when something happens to it.
    fn check(&self, state: &mut State, cx: &Context<'_>) -> Result<(), Error> {
        if let Some(slot) = state.slots.get_mut(&self.id) {
            if let Some((reason, words)) = &slot.broke {
                self.failure.get_or_init(|| (what(*reason), words.clone()));
                return Err(Error::Reset);
            }
            slot.waker = Some(cx.waker().clone());
        }
        state.dead.clone().map_or(Ok(()), Err)
    }

    /// Sends a datagram of a flow; `false` if it was dropped, for want of room or because the flow is over.
    pub fn send_datagram(&self, datagram: &[u8]) -> bool {
        let mut state = self.shared.lock();
        let went = state.dead.is_none() && state.connection.send_datagram(self.id, datagram);
        state.flush();
        went
    }

    /// Waits until a flow is over by itself. If its target is the reason, [`RelayStream::failure`] has it.
    pub async fn ended(&self) -> Error {
        std::future::poll_fn(|cx| {
            let state = &mut self.shared.lock();
            self.check(state, cx).map_or_else(Poll::Ready, |()| Poll::Pending)
        })
        .await
    }

    /// Moves bytes both ways until both sides have ended. Each end is passed on at once. If it fails, `local` is left
    /// open for the caller. Dropped before it is done, it resets the connection to the target: what was on its way is
    /// lost.
    pub async fn splice(mut self, local: Arc<TcpStream>, counters: &Arc<Counters>) -> (Summary, Result<(), Error>) {
        let began = Instant::now();
        let _open = counters.enter();
        if let Some(slot) = self.shared.lock().slots.get_mut(&self.id) {
            slot.local = Some((Arc::clone(&local), Arc::clone(counters)));
        }
        self.last_word = Reason::Reset;
        let mut moving = Moving { up: 0, up_ended: false, down_ended: false };
        let result = std::future::poll_fn(|cx| self.poll_splice(&mut moving, &local, counters, cx)).await;
        let mut state = self.shared.lock();
        let (down, first) = state.slots.get(&self.id).map_or((0, None), |slot| (slot.down, slot.first));
        let first_byte = first.map(|first| first.duration_since(began));
        if let Some(time) = first_byte {
            counters.note_first_byte(time);
        }
        if let Some(slot) = state.slots.get_mut(&self.id) {
            slot.local = None;
        }
        drop(state);
        if result.is_ok() {
            self.last_word = Reason::Cancelled;
        }
        (Summary { up: moving.up, down, first_byte, sent: None }, result)
    }

    fn poll_splice(
        &self,
        moving: &mut Moving,
        local: &TcpStream,
        counters: &Counters,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut state = self.shared.lock();
        // Register the waiter before reading the state, so that no change in between is missed.
        let failed = self.check(&mut state, cx);
        self.poll_down(&mut state, moving, local, cx)?;
        failed?;
        self.poll_up(&mut state, moving, local, counters, cx)?;
        state.flush();
        if moving.up_ended && moving.down_ended { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Sends what the local program does.
    fn poll_up(
        &self,
        state: &mut State,
        moving: &mut Moving,
        local: &TcpStream,
        counters: &Counters,
        cx: &mut Context<'_>,
    ) -> Result<(), Error> {
        while !moving.up_ended && state.connection.credit(self.id) > 0 && state.has_room() {
            match local.poll_read_ready(cx) {
                Poll::Ready(ready) => ready.map_err(Error::from_io)?,
                Poll::Pending => return Ok(()),
            }
            match state.connection.send_with(self.id, |space| local.try_read(space)) {
                Ok(0) => {
                    moving.up_ended = true;
                    state.connection.end(self.id);
                }
                Ok(count) => {
                    moving.up += count as u64;
                    counters.add_up(count);
                    state.flush();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Error::from_io(error)),
            }
        }
        Ok(())
    }

    /// Passes on what waits for the local program.
    fn poll_down(
        &self,
        state: &mut State,
        moving: &mut Moving,
        local: &TcpStream,
        cx: &mut Context<'_>,
    ) -> Result<(), Error> {
        let Some(slot) = state.slots.get_mut(&self.id) else { return Ok(()) };
        while !slot.incoming.is_empty() {
            match local.poll_write_ready(cx) {
                Poll::Ready(ready) => ready.map_err(Error::from_io)?,
                Poll::Pending => return Ok(()),
            }
            let wrote = slot.flush().map_err(Error::from_io)?;
            state.connection.consume(self.id, wrote);
        }
        if slot.ended && !std::mem::replace(&mut moving.down_ended, true) {
            // The local program may have closed already.
            let _ = SockRef::from(local).shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

/// The progress of a splice.
struct Moving {
    up: u64,
    up_ended: bool,
    down_ended: bool,
}

impl AsyncRead for RelayStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        state.flush();
        if let Some(slot) = state.slots.get_mut(&self.id) {
            let count = slot.incoming.len().min(buf.remaining());
            if count > 0 {
                buf.put_slice(&slot.incoming.split_to(count));
                state.connection.consume(self.id, count);
                state.flush();
                return Poll::Ready(Ok(()));
            }
            if slot.ended {
                return Poll::Ready(Ok(()));
            }
        }
        match self.check(&mut state, cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into_io())),
        }
    }
}

impl AsyncWrite for RelayStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.shared.lock();
        self.check(&mut state, cx).map_err(Error::into_io)?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if state.connection.credit(self.id) == 0 || !state.has_room() {
            return Poll::Pending;
        }
        let sent = state.connection.send_with(self.id, |space| {
            let count = space.len().min(buf.len());
            space[..count].copy_from_slice(&buf[..count]);
            Ok::<_, io::Error>(count)
        });
        state.flush();
        Poll::Ready(sent)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().flush();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        state.connection.end(self.id);
        state.flush();
        Poll::Ready(Ok(()))
    }
}
