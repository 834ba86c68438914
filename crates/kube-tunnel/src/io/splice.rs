//! Moves bytes between a local socket and a stream, and keeps the rules for ends.
//!
//! The node (containerd, and most of its kind) knows no half-closed forwards: a second after either side has ended its
//! direction, it tears the whole forward down. So what the local program's end-of-file means has to be found out here,
//! and the pod is told as late as possible. What is guaranteed:
//!
//! - *The pod ends first*: the local program gets all bytes at once, then end-of-file as soon as the node says so. A
//!   containerd says so a second later, as long as it was not told that the local side has ended: nothing on the wire
//!   tells the pod's end before. To tell it of the local end early would save that second, and cost every answer its
//!   tail that takes longer than one; so `printf x | socat -t5 - TCP:…` gets its answer at once and whole, and its
//!   end-of-file a second later.
//! - *The local program closes its socket*: the forward on the node ends at once. (On Linux and macOS, for
//!   programs on this machine, the kernel tells a closed socket from a half-closed one.)
//! - *The local program half-closes and reads on*: it gets the whole answer, however slow, as long as it begins within
//!   [`ANSWER_TIMEOUT`]. A server that answers only once it has read end-of-file never begins: port-forward has no
//!   end-of-file that leaves the way back open. The forward is then ended, with all that was sent, and the local
//!   program gets a reset: nobody knows what the answer would have been.
//! - *Where a closed socket cannot be told from a half-closed one*, a silence longer than [`SILENCE_TIMEOUT`] ends the
//!   connection, by a reset too.
//! - *A reset stays a reset*, in both directions; a refused connection and a lost tunnel also reach the local program
//!   as a reset, never as an orderly end. (But for one: port-forward has no reset either, so the pod's side of a
//!   connection that the local program reset is closed in order.)

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use socket2::SockRef;
use tokio::{net::TcpStream, time::Sleep};

use super::{
    now,
    peer::{self, Peer},
    stream::Stream,
};
use crate::{
    contain::lock,
    error::Error,
    meter::{Counters, Summary},
    proto::{connection::MAX_FRAME_PAYLOAD, frame::HEAD},
};

/// The longest silence of the pod after the local program has half-closed, before its answer begins.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// The longest silence of the pod if it is unknown whether the local program still reads.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval at which it is checked whether a half-closed program has closed its socket.
const CLOSE_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The time, after the pod has ended, for which bytes of the local program are still read and thrown away: closing a
/// socket with unread bytes would reset it, and the tail of the answer might be lost with it.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The most sent bytes that are kept until the pod answers, to be sent elsewhere if it refuses.
const MAX_REPLAY: usize = 16 * 1024;

/// The first size of the buffer for what the local program sends; it grows to [`MAX_FRAME_PAYLOAD`] while it is filled.
const MIN_BUFFER: usize = 4 * 1024;

/// Moves bytes both ways between `local` and `stream` until both directions have ended.
///
/// Port-forwarding has no half-closed connections: the node ends a forward a second after either side has ended its
/// direction. So the pod is told of the local program's end as late as possible:
///
/// - The pod ends first: the local program gets all bytes, then end-of-file.
/// - The local program closes its socket: the forward ends at once. On Linux and macOS the kernel tells a closed socket
///   from a half-closed one, for programs on this machine.
/// - The local program half-closes and reads on: it gets the whole answer, however slow, if it begins within a minute,
///   else a reset ([`Error::HalfClosed`]). Where a closed socket cannot be told from a half-closed one, 10 s of silence
///   are enough for the reset.
/// - A reset, a refusal and a lost tunnel reach the local program as a reset, never as an orderly end.
///
/// `local` is a [`TcpStream`], or an [`Arc`] of one that the caller keeps, too. `first_line` is sent as it is ahead of
/// the local program's bytes and is not counted: the request to a relay in the pod, for example. If such a relay ends
/// without sending a byte, `local` is left open, so that a caller who holds it too can find out why, and end or reset
/// it.
///
/// # Errors
/// The pod's refusal ([`Error::is_refusal`], [`Error::Pod`]), [`Error::Reset`], [`Error::TunnelLost`],
/// [`Error::Stalled`], [`Error::HalfClosed`], [`Error::Closed`] once the lease is dropped, or [`Error::Local`] for the
/// local socket, which is reset then.
///
/// # Cancel safety
/// Not cancel safe: bytes that were read from `local` and not yet sent, or received and not yet written to it, are lost
/// with the stream. Dropping the future resets the stream; `local` is closed with its last handle.
pub async fn splice(
    local: impl Into<Arc<TcpStream>>,
    stream: Stream,
    first_line: Option<Bytes>,
    counters: &Arc<Counters>,
) -> Result<Summary, Error> {
    let (local, relayed) = (local.into(), first_line.is_some());
    let (summary, result) = splice_with_summary(Arc::clone(&local), stream, first_line, counters).await;
    if result.is_ok() && !(relayed && summary.down == 0) {
        end_in_order(&local).await;
    }
    result.map(|()| summary)
}

/// Sends end-of-file on a local socket, and for up to a second reads and throws away what the local program still
/// sends: closing a socket with unread bytes would reset it.
///
/// # Cancel safety
/// Cancel safe: end-of-file is sent at the first poll, and only the wait is cut short.
pub async fn end_in_order(local: &TcpStream) {
    // The local program may have closed already.
    let _ = SockRef::from(local).shutdown(Shutdown::Write);
    discard_input(local).await;
}

/// Moves bytes as [`splice`] does, and returns the totals also where it fails. On success the local socket is left
/// open: call [`end_in_order`] to end it, or reset it where a relay in the pod turns out to have failed.
///
/// # Errors
/// Those of [`splice`], beside the totals up to the failure.
///
/// # Cancel safety
/// Not cancel safe, as [`splice`].
pub async fn splice_with_summary(
    local: impl Into<Arc<TcpStream>>,
    stream: Stream,
    first_line: Option<Bytes>,
    counters: &Arc<Counters>,
) -> (Summary, Result<(), Error>) {
    let local = local.into();
    let _open = counters.enter();
    // What the local program is sent is never held back to be sent with more. A socket without the option still works.
    let _ = local.set_nodelay(true);
    lock(&stream.shared().incoming).attach(Arc::clone(&local), Arc::clone(counters));
    let mut splice = Splice {
        local: Arc::clone(&local),
        stream,
        counters,
        first_line,
        size: MIN_BUFFER,
        up: 0,
        sent: Some(BytesMut::new()),
        local_end: None,
        stopped: false,
        look: None,
        started: now().steady,
    };
    let result = std::future::poll_fn(|cx| splice.poll(cx)).await;
    let summary = splice.summary();
    drop(splice);
    if result.is_err() {
        // Failing to set it only makes the reset an orderly end.
        let _ = SockRef::from(&*local).set_linger(Some(Duration::ZERO));
    }
    (summary, result)
}

struct Splice<'a> {
    local: Arc<TcpStream>,
    stream: Stream,
    counters: &'a Arc<Counters>,
    first_line: Option<Bytes>,
    size: usize,
    up: u64,
    /// The bytes sent, until they are too many or the pod has answered.
    sent: Option<BytesMut>,
    /// The time at which the local program ended its direction.
    local_end: Option<Instant>,
    /// True once nothing more is sent to the pod.
    stopped: bool,
    look: Option<Pin<Box<Sleep>>>,
    started: Instant,
}

impl Splice<'_> {
    fn summary(&self) -> Summary {
        let (down, first) = lock(&self.stream.shared().incoming).written();
        let sent = self.sent.as_ref().filter(|_| down == 0).map(|sent| Bytes::copy_from_slice(sent));
        Summary {
            up: self.up,
            down,
            first_byte: first.map(|first| first.saturating_duration_since(self.started)),
            sent,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_up(cx)?;
        if self.poll_down(cx)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self.local_end.is_some() {
            return self.poll_half_closed(cx);
        }
        Poll::Pending
    }

    /// Sends the bytes of the local program.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while self.local_end.is_none() && !self.stopped {
            match self.stream.poll_room(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.stop_sending(error);
                    return Ok(());
                }
                Poll::Pending => return Ok(()),
            }
            let ready = match self.local.poll_read_ready(cx) {
                Poll::Ready(ready) => ready.map(|()| true).map_err(Error::from_io)?,
                Poll::Pending => false,
            };
            let mut buffer = BytesMut::with_capacity(HEAD + self.size + self.first_line.as_ref().map_or(0, Bytes::len));
            buffer.put_bytes(0, HEAD);
            if let Some(line) = self.first_line.take() {
                buffer.extend_from_slice(&line);
            }
            let ahead = buffer.len();
            let mut end = false;
            let mut blocked = !ready;
            if ready {
                match self.local.try_read_buf(&mut buffer) {
                    Ok(0) => end = true,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => blocked = true,
                    Err(error) => return Err(Error::from_io(error)),
                }
            }
            let count = buffer.len() - ahead;
            if buffer.len() > HEAD {
                self.keep(&buffer[HEAD..]);
                if let Err(error) = self.stream.send(buffer) {
                    self.stop_sending(error);
                    return Ok(());
                }
                self.up += count as u64;
                self.counters.add_up(count);
            } else if let Err(error) = self.stream.open() {
                self.stop_sending(error);
            }
            if count > 0 {
                self.size = if count >= self.size {
                    (self.size * 4).min(MAX_FRAME_PAYLOAD)
                } else {
                    self.size.min(count * 4).max(MIN_BUFFER)
                };
            }
            if end {
                self.local_end = Some(now().steady);
            } else if blocked && !ready {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Keeps sent bytes for a replay.
    fn keep(&mut self, bytes: &[u8]) {
        self.sent.take_if(|sent| sent.len() + bytes.len() > MAX_REPLAY);
        if let Some(sent) = &mut self.sent {
            sent.extend_from_slice(bytes);
        }
    }

    /// Stops sending on a stream that takes nothing more.
    fn stop_sending(&mut self, error: Error) {
        self.stopped = true;
        // A stream that was opened learns its end from the tunnel, after what has come for it. One that was not opened
        // is unknown there.
        if self.stream.shared().ids.get().is_none() {
            lock(&self.stream.shared().incoming).receive.fail(error);
        }
    }

    /// Delivers the bytes of the pod. Ready when the pod's side has ended in order.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Error> {
        loop {
            match self.stream.poll_bytes(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(false)) => return Ok(Poll::Ready(())),
                // Whoever answers has not refused.
                Poll::Ready(Ok(true)) => self.sent = None,
            }
            let delivered = lock(&self.stream.shared().incoming).deliver();
            self.stream.resume();
            delivered.map_err(Error::from_io)?;
            if self.local.poll_write_ready(cx).is_pending() {
                return Ok(Poll::Pending);
            }
        }
    }

    /// The local program has ended its direction: decides when the node is told.
    fn poll_half_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if let Some(look) = &mut self.look {
                ready!(look.as_mut().poll(cx));
            }
            let peer = peer::look(&self.local);
            if peer == Peer::Closed {
                // A reset stops what is flowing to nobody; an end would let it flow for another second. Either way the
                // pod gets all that was sent.
                if !lock(&self.stream.shared().incoming).receive.is_flowing(now().steady) {
                    self.stream.finish();
                }
                return Poll::Ready(Ok(()));
            }
            let Some(ended) = self.local_end else { return Poll::Pending };
            let (active, answers) = {
                let receive = &lock(&self.stream.shared().incoming).receive;
                (receive.active().unwrap_or(ended), receive.answers())
            };
            let silence = now().steady.saturating_duration_since(active.max(ended));
            if limit(peer, answers).is_some_and(|limit| silence >= limit) {
                // The pod gets all that was sent, and its end.
                self.stream.finish();
                // Most likely the program has closed its socket after an answer that was whole: no failure to tell of.
                let closed = peer == Peer::Unknown && answers;
                return Poll::Ready(Err(if closed { Error::Closed } else { Error::HalfClosed { silence } }));
            }
            self.look = Some(Box::pin(tokio::time::sleep(CLOSE_CHECK_INTERVAL)));
        }
    }
}

/// Returns the longest silence of the pod after the local program has half-closed. `answers`: the pod has sent
/// something since it was last sent anything.
fn limit(peer: Peer, answers: bool) -> Option<Duration> {
    match peer {
        Peer::Closed => Some(Duration::ZERO),
        Peer::Unknown => Some(SILENCE_TIMEOUT),
        Peer::Open if answers => None,
        Peer::Open => Some(ANSWER_TIMEOUT),
    }
}

/// Reads and discards the bytes that the local program still sends.
async fn discard_input(local: &TcpStream) {
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, async {
        let mut scrap = BytesMut::with_capacity(MIN_BUFFER);
        while local.readable().await.is_ok() {
            scrap.clear();
            match local.try_read_buf(&mut scrap) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests;
