//! The protocol of one tunnel: its streams, what waits to be sent, and whether its peer still answers.
//!
//! A [`Connection`] does no I/O and reads no clock. Its owner passes in the bytes that arrived ([`Connection::handle`])
//! and the time ([`Connection::handle_timeout`], when [`Connection::poll_timeout`] says so), sends what waits in
//! [`Connection::transmit`], and applies what [`Connection::poll_event`] returns to the streams.
//!
//! `transmit` is a buffer rather than a `poll_transmit` that returns one frame at a time, because a byte stream takes
//! parts of frames and one vectored write takes many of them.

mod input;
mod timeout;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};

use super::{
    frame::{self, Decoder, HEAD},
    headers::Blocks,
    health::{Health, Now, WORKERS},
    outgoing::Outgoing,
};
use crate::error::Error;

pub(crate) use timeout::Liveness;

/// The longest payload of a frame that we send, in bytes. Servers take a frame apart in pieces of 32 KiB and pay for
/// each frame anew.
pub(crate) const MAX_FRAME_PAYLOAD: usize = 64 * 1024;

/// Openings carry first bytes up to this many in the same piece.
const MAX_JOINED: usize = 4 * 1024;

/// The number of queued bytes above which streams wait.
const HIGH_WATER: usize = 256 * 1024;

/// The number of queued bytes below which they continue.
const LOW_WATER: usize = 64 * 1024;

/// The numbers of a stream's two SPDY streams, or `v4` channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Carries the node's error text; we end our direction of it with the opening.
    pub error: u32,
    /// Carries the bytes.
    pub data: u32,
}

/// Something that happened to a stream or to the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event<S> {
    /// Bytes of the pod arrived; with `fin`, its side has ended. Our own side has then been ended, too.
    Data { stream: S, bytes: Bytes, fin: bool },
    /// Text of the node's error stream arrived; with `fin`, all of it has.
    Words { stream: S, text: Bytes, fin: bool },
    /// The node has reset the stream's data or (`is_error`) its error stream.
    Reset { stream: S, is_error: bool },
    /// The tunnel takes no more streams.
    Retired,
}

/// One half of a stream, as the peer numbers it.
#[derive(Debug)]
struct Half<S> {
    stream: S,
    is_error: bool,
    /// Nothing more may be sent on it.
    finished: bool,
}

#[derive(Debug)]
enum Framing {
    /// SPDY/3.1.
    Spdy { decoder: Decoder, blocks: Blocks },
    /// Each message begins with the number of its channel. Whether the first message of each has come.
    Channels { begun: [bool; 2] },
}

/// The state of a tunnel's protocol. `S` is the owner's handle for a stream.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    framing: Framing,
    halves: HashMap<u32, Half<S>>,
    /// The next number for a SPDY stream.
    next: u32,
    /// Streams opened so far.
    opened: u64,
    out: Outgoing,
    /// Data frames sent so far.
    frames: u64,
    health: Health,
    events: VecDeque<Event<S>>,
    /// The data numbers of the streams that are full.
    full: Vec<u32>,
    paused_since: Option<Instant>,
    suspect_since: Option<Instant>,
    timeout: Instant,
    web_socket_ping: Option<u32>,
    going_away: bool,
    leaving: bool,
    closed: Option<Error>,
}

impl<S: Clone> Connection<S> {
    /// Creates a connection that speaks SPDY/3.1, or (`single`) the one stream of `v4.channel.k8s.io`.
    pub(crate) fn new(single: bool, now: Now) -> Self {
        Self {
            framing: if single {
                Framing::Channels { begun: [false; 2] }
            } else {
                Framing::Spdy { decoder: Decoder::default(), blocks: Blocks::default() }
            },
            halves: HashMap::new(),
            next: 1,
            opened: 0,
            out: Outgoing::default(),
            frames: 0,
            health: Health::new(single, now),
            events: VecDeque::new(),
            full: Vec::new(),
            paused_since: None,
            suspect_since: None,
            timeout: now.steady,
            web_socket_ping: None,
            going_away: false,
            leaving: false,
            closed: None,
        }
    }

    fn is_single(&self) -> bool {
        matches!(self.framing, Framing::Channels { .. })
    }

    /// Returns whether another stream can be opened. A `v4` connection ends with the one that it was opened with.
    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none() && !self.going_away && !self.is_single() && self.next < u32::MAX / 4
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Returns whether a ping is overdue or the machine has slept: see [`Health::is_suspect`].
    pub(crate) fn is_suspect(&self, now: Now) -> bool {
        self.health.is_suspect(now)
    }

    /// Returns the last round trip to the node, by PING.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.health.rtt()
    }

    /// Opens a stream: both of its SPDY streams and its first bytes are queued in one piece, and nothing waits for an
    /// answer. `first` has [`HEAD`] bytes of room in front.
    ///
    /// # Errors
    /// The reason why the connection was closed.
    pub(crate) fn open(&mut self, stream: S, port: u16, first: Option<BytesMut>) -> Result<Ids, Error> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        let ids = self.number()?;
        self.halves.insert(ids.data, Half { stream: stream.clone(), is_error: false, finished: false });
        self.halves.insert(ids.error, Half { stream, is_error: true, finished: true });
        let mut opening = BytesMut::new();
        if let Framing::Spdy { blocks, .. } = &mut self.framing {
            opening.reserve(512);
            let (port, request) = (port.to_string(), self.opened.to_string());
            for (id, kind) in [(ids.error, "error"), (ids.data, "data")] {
                let block = blocks.encode(&[("streamtype", kind), ("port", &port), ("requestid", &request)]);
                frame::syn_stream(&mut opening, id, kind == "error", &block);
            }
        }
        let first = first.map(|first| self.seal(ids.data, first)).unwrap_or_default();
        if first.len() <= MAX_JOINED && !opening.is_empty() {
            opening.extend_from_slice(&first);
            self.out.push(opening.freeze());
        } else {
            self.out.push(opening.freeze());
            self.out.push(first);
        }
        Ok(ids)
    }

    /// Chooses a stream's numbers: odd, rising, and the data's such that its worker has the fewest others.
    fn number(&mut self) -> Result<Ids, Error> {
        self.opened += 1;
        if self.is_single() {
            return if self.opened == 1 { Ok(Ids { error: 1, data: 0 }) } else { Err(Error::Closed) };
        }
        let error = self.next;
        let mut load = [0_usize; WORKERS as usize];
        for (id, _) in self.halves.iter().filter(|(_, half)| !half.is_error) {
            load[(id % WORKERS) as usize] += 1;
        }
        let candidates = (1..=WORKERS).map(|step| error + 2 * step);
        let data = candidates.min_by_key(|id| load[(id % WORKERS) as usize]).unwrap_or(error + 2);
        self.next = data + 2;
        Ok(Ids { error, data })
    }

    /// Builds a frame from `payload`, which has [`HEAD`] bytes of room in front.
    fn seal(&mut self, data: u32, mut payload: BytesMut) -> Bytes {
        self.frames += 1;
        if self.is_single() {
            // One byte, the channel's number.
            payload[HEAD - 1] = 0;
            return payload.freeze().slice(HEAD - 1..);
        }
        let head = frame::data_head(data, payload.len() - HEAD, false);
        payload[..HEAD].copy_from_slice(&head);
        payload.freeze()
    }

    /// Queues bytes of a stream. `payload` has [`HEAD`] bytes of room in front. Ask [`Connection::has_room`] first.
    ///
    /// # Errors
    /// [`Error::Closed`] where our side of the stream has ended, else the reason why the connection was closed.
    pub(crate) fn send(&mut self, ids: Ids, payload: BytesMut) -> Result<(), Error> {
        if self.halves.get(&ids.data).is_none_or(|half| half.finished) {
            return Err(self.closed.clone().unwrap_or(Error::Closed));
        }
        let piece = self.seal(ids.data, payload);
        self.out.push(piece);
        Ok(())
    }

    /// Ends our side of a stream. The node then tears the whole forward down, within a second.
    pub(crate) fn finish(&mut self, ids: Ids) {
        if let Some(half) = self.halves.get_mut(&ids.data)
            && !std::mem::replace(&mut half.finished, true)
            && !self.is_single()
        {
            self.out.push(Bytes::copy_from_slice(&frame::data_head(ids.data, 0, true)));
        }
    }

    /// Forgets a stream that is over on the node, and ends our side of it. It no longer keeps the tunnel from being
    /// read: nothing more comes for it.
    pub(crate) fn forget(&mut self, ids: Ids, now: Now) {
        self.finish(ids);
        self.halves.remove(&ids.data);
        self.halves.remove(&ids.error);
        self.resume(ids, now);
    }

    /// Forgets a stream that nobody uses any more. Unless it is `over` on the node or our side has ended, it is reset.
    pub(crate) fn release(&mut self, ids: Ids, over: bool, now: Now) {
        self.halves.remove(&ids.error);
        self.resume(ids, now);
        let Some(Half { finished: false, .. }) = self.halves.remove(&ids.data) else { return };
        if !self.is_single() {
            if !over {
                self.control(|out| frame::reset(out, ids.data, frame::Status::Cancel));
            }
            // Bytes may have been on their way to a node that no longer takes them: its worker would hang.
            self.probe(now.steady);
        }
    }

    fn control(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let mut frames = BytesMut::with_capacity(64);
        write(&mut frames);
        self.out.push(frames.freeze());
    }

    /// Pings every worker of the server.
    fn probe(&mut self, now: Instant) {
        let ids = self.health.probe(self.frames, now);
        self.control(|out| ids.for_each(|id| frame::ping(out, id)));
    }

    /// Returns the queue of bytes to send, which the owner writes and advances.
    pub(crate) fn transmit(&mut self) -> &mut Outgoing {
        &mut self.out
    }

    /// Returns the number of a ping that is to be sent as a WebSocket's own, once. `v4` has no other.
    pub(crate) fn take_web_socket_ping(&mut self) -> Option<u32> {
        self.web_socket_ping.take()
    }

    pub(crate) fn is_all_sent(&self) -> bool {
        !self.out.has_remaining()
    }

    /// Returns whether streams may queue bytes now.
    pub(crate) fn has_room(&self) -> bool {
        self.out.remaining() <= HIGH_WATER
    }

    /// Returns whether so little waits to be sent that streams that wait for room may go on.
    pub(crate) fn is_drained(&self) -> bool {
        self.out.remaining() < LOW_WATER
    }

    /// Returns the next event.
    pub(crate) fn poll_event(&mut self) -> Option<Event<S>> {
        self.events.pop_front()
    }

    /// Returns every stream, once, and whether it is one that keeps the tunnel from being read.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&S, bool)> {
        let data = self.halves.iter().filter(|(_, half)| !half.is_error);
        data.map(|(id, half)| (&half.stream, self.full.contains(id)))
    }

    /// Ends a `v4` connection, whose stream is no longer used, once all queued bytes are sent.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Ends the connection; returns its streams, which end with it.
    pub(crate) fn close(&mut self, error: &Error) -> Vec<S> {
        self.closed.get_or_insert_with(|| error.clone());
        self.out = Outgoing::default();
        self.full.clear();
        self.paused_since = None;
        let halves = std::mem::take(&mut self.halves);
        halves.into_values().filter(|half| !half.is_error).map(|half| half.stream).collect()
    }
}

#[cfg(test)]
mod tests;
