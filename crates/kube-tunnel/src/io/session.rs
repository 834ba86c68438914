//! One tunnel: an upgraded connection and the streams on it.
//!
//! Senders write to the connection themselves, under a lock, as long as it takes their bytes; what it does not take
//! waits in a queue that the [pump](super::pump) empties. So a byte on its way up crosses no task.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{sending::Io, stream::Stream, transport::Transport, witness::Witness};
use crate::{
    Error, Protocol,
    proto::{
        frame::{self, HEAD},
        headers::Blocks,
        health::{Health, Now, now},
        receive::{Ids, Receive, Shared, lock},
    },
};

/// The payload of a frame that we send. Servers take a frame apart in pieces of 32 KiB and pay for each frame anew.
pub(crate) const PAYLOAD: usize = 64 * 1024;

/// Servers (all are built on spdystream) hand the frames of a stream to one of this many workers, by its number. A
/// worker waits while the pod does not take its stream's bytes, and every other stream of that worker with it.
pub(crate) const WORKERS: u32 = 5;

/// One upgraded connection. See the module.
pub(crate) struct Session {
    pub protocol: Protocol,
    io: Mutex<Io>,
    streams: Mutex<Streams>,
    pub health: Mutex<Health>,
    /// Data frames sent so far.
    frames: AtomicU64,
    /// Says what else tells of the connection's life.
    pub witness: Witness,
    /// Handles given out and not yet dropped.
    live: AtomicUsize,
    /// A stream whose reader does not read keeps the tunnel from being read.
    pub clogged: AtomicBool,
    /// How often that has begun.
    pub clogs: AtomicUsize,
    /// Tells those who wait for it that `clogged` was set.
    pub held_up: Notify,
    /// The one stream of a V4 connection was dropped: what was sent is still to leave, then the connection is closed.
    pub leaving: AtomicBool,
    /// Told when a stream or the tunnel ends.
    pub changed: Arc<Notify>,
    /// Ends the pump, and with it the connection.
    pub cancel: CancellationToken,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("protocol", &self.protocol).field("live", &self.live).finish_non_exhaustive()
    }
}

struct Streams {
    slots: HashMap<u32, Slot>,
    next: u32,
    requests: u64,
    blocks: Blocks,
    closed: Option<Error>,
    going_away: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub shared: Arc<Shared>,
    pub is_error: bool,
}

impl Session {
    pub(crate) fn new(
        protocol: Protocol,
        transport: Transport,
        witness: Witness,
        changed: Arc<Notify>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            protocol,
            io: Mutex::new(Io::new(transport)),
            streams: Mutex::new(Streams {
                slots: HashMap::new(),
                next: 1,
                requests: 0,
                blocks: Blocks::default(),
                closed: None,
                going_away: false,
            }),
            health: Mutex::new(Health::new(protocol == Protocol::V4, Now::get())),
            frames: AtomicU64::new(0),
            witness,
            live: AtomicUsize::new(0),
            clogged: AtomicBool::new(false),
            clogs: AtomicUsize::new(0),
            held_up: Notify::new(),
            leaving: AtomicBool::new(false),
            changed,
            cancel,
        }
    }

    /// A handle for a new stream. Nothing is sent before [`Session::start`].
    pub(crate) fn stream(self: &Arc<Self>, port: u16) -> Stream {
        self.live.fetch_add(1, Ordering::Relaxed);
        Stream::new(Arc::clone(self), port)
    }

    /// How many streams are in use.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether the tunnel takes another stream.
    pub(crate) fn is_open(&self) -> bool {
        let streams = lock(&self.streams);
        // It carries the one stream that it was opened with, and ends with it.
        let single = self.protocol == Protocol::V4;
        // A tunnel that is being ended closes only when its task gets its turn.
        let ending = self.cancel.is_cancelled();
        streams.closed.is_none() && !ending && !streams.going_away && !single && streams.next < u32::MAX / 4
    }

    /// Whether a new stream would do well here.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_open() && !self.clogged.load(Ordering::Relaxed) && !lock(&self.health).is_suspect(Now::get())
    }

    /// Whether the tunnel has ended.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.streams).closed.is_some()
    }

    pub(crate) fn lock_io(&self) -> std::sync::MutexGuard<'_, Io> {
        lock(&self.io)
    }

    /// Opens the stream: both of its SPDY streams and its first bytes leave in one write, without waiting for an
    /// answer. `first` has [`HEAD`] bytes of room in front.
    pub(crate) fn start(&self, shared: &Arc<Shared>, port: u16, first: Option<BytesMut>) -> Result<(), Error> {
        let mut streams = lock(&self.streams);
        if let Some(error) = &streams.closed {
            return Err(error.clone());
        }
        lock(&shared.state).sent = Some(Instant::now());
        if self.protocol == Protocol::V4 {
            let _ = shared.ids.set(Ids { error: 1, data: 0 });
            streams.slots.insert(0, Slot { shared: Arc::clone(shared), is_error: false });
            streams.slots.insert(1, Slot { shared: Arc::clone(shared), is_error: true });
            let mut io = lock(&self.io);
            if let Some(first) = first {
                io.out.push(self.seal(0, first));
            }
            io.flush();
            return Ok(());
        }
        let ids = streams.number();
        let _ = shared.ids.set(ids);
        let (port, request) = (port.to_string(), streams.requests.to_string());
        let mut opening = BytesMut::with_capacity(512);
        for (id, kind) in [(ids.error, "error"), (ids.data, "data")] {
            let is_error = kind == "error";
            let block = streams.blocks.encode(&[("streamtype", kind), ("port", &port), ("requestid", &request)]);
            frame::syn_stream(&mut opening, id, is_error, &block);
            streams.slots.insert(id, Slot { shared: Arc::clone(shared), is_error });
        }
        let mut io = lock(&self.io);
        let first = first.map(|first| self.seal(ids.data, first));
        match first {
            Some(first) if first.len() <= 4096 => {
                opening.extend_from_slice(&first);
                io.out.push(opening.freeze());
            }
            first => {
                io.out.push(opening.freeze());
                if let Some(first) = first {
                    io.out.push(first);
                }
            }
        }
        io.flush();
        Ok(())
    }

    /// Makes a frame of `payload`, which has [`HEAD`] bytes of room in front.
    fn seal(&self, data: u32, mut payload: BytesMut) -> Bytes {
        self.frames.fetch_add(1, Ordering::Relaxed);
        if self.protocol == Protocol::V4 {
            // One byte, the channel's number.
            payload[HEAD - 1] = 0;
            return payload.freeze().slice(HEAD - 1..);
        }
        let head = frame::data_head(data, payload.len() - HEAD, false);
        payload[..HEAD].copy_from_slice(&head);
        payload.freeze()
    }

    /// Whether bytes of a stream may be sent now; else wakes `cx` when they may.
    pub(crate) fn poll_room(&self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        lock(&self.io).poll_room(shared, cx)
    }

    /// Sends bytes of an opened stream. `payload` has [`HEAD`] bytes of room in front. Call [`Session::poll_room`]
    /// first: this never waits.
    pub(crate) fn send(&self, shared: &Shared, payload: BytesMut) {
        let Some(ids) = shared.ids.get() else { return };
        let mut io = lock(&self.io);
        let piece = self.seal(ids.data, payload);
        io.out.push(piece);
        io.flush();
    }

    /// Sends a frame of our own making.
    pub(crate) fn control(&self, write: impl FnOnce(&mut BytesMut)) {
        if self.protocol == Protocol::V4 {
            return;
        }
        let mut frames = BytesMut::with_capacity(64);
        write(&mut frames);
        let mut io = lock(&self.io);
        io.out.push(frames.freeze());
        io.flush();
    }

    /// Sends a frame that answers one of the peer's.
    pub(crate) fn answer(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut frame = BytesMut::with_capacity(16);
        write(&mut frame);
        lock(&self.io).answer(frame.freeze());
    }

    /// Ends our direction of a stream. The node then tears the whole forward down, within a second.
    pub(crate) fn finish(&self, shared: &Shared) {
        let mut state = lock(&shared.state);
        let first = !std::mem::replace(&mut state.sent_fin, true);
        drop(state);
        if let (true, Some(ids)) = (first, shared.ids.get()) {
            let head = frame::data_head(ids.data, 0, true);
            self.control(|out| out.extend_from_slice(&head));
        }
    }

    /// The handle of a stream was dropped: whatever is not over yet is cut off.
    pub(crate) fn release(&self, shared: &Arc<Shared>) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        lock(&self.io).forget(shared);
        let mut state = lock(&shared.state);
        let (over, sent_fin) = (state.is_over(), state.sent_fin);
        // Much that nobody reads is on its way: an own tunnel is closed rather than emptied.
        let flowing = state.is_flowing();
        state.abandon();
        let unclog = state.unclog();
        state.sent_fin = true;
        drop(state);
        if let Some(ids) = shared.ids.get() {
            lock(&self.streams).remove(shared, *ids);
            if !over && !sent_fin {
                self.control(|out| frame::reset(out, ids.data, frame::Status::Cancel));
            }
            if !sent_fin && self.protocol != Protocol::V4 {
                // Bytes may have been on their way to a node that no longer takes them: its worker would hang.
                self.probe();
            }
        }
        let alone = self.live() == 0;
        // The local program may have closed right after its last bytes.
        let leaves = alone && self.protocol == Protocol::V4;
        if leaves {
            self.leaving.store(true, Ordering::Relaxed);
        } else if alone && flowing {
            self.cancel.cancel();
        }
        if unclog || leaves {
            self.wake_pump();
        }
        self.changed.notify_one();
    }

    /// How many data frames were sent so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Asks every worker of the server for a sign of life.
    pub(crate) fn probe(&self) {
        let ids = lock(&self.health).probe(self.frames(), now());
        self.control(|out| ids.for_each(|id| frame::ping(out, id)));
    }

    pub(crate) fn wake_pump(&self) {
        if let Some(pump) = &lock(&self.io).pump {
            pump.wake_by_ref();
        }
    }

    /// The stream of that number.
    pub(crate) fn slot(&self, id: u32) -> Option<Slot> {
        lock(&self.streams).slots.get(&id).cloned()
    }

    /// Forgets a stream that is over on the node, and ends our direction of it.
    pub(crate) fn forget(&self, shared: &Shared) {
        self.finish(shared);
        if let Some(ids) = shared.ids.get() {
            lock(&self.streams).remove(shared, *ids);
        }
        self.changed.notify_one();
    }

    /// No new streams here.
    pub(crate) fn retire(&self) {
        lock(&self.streams).going_away = true;
        self.changed.notify_one();
    }

    /// Every stream on the tunnel, once.
    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        let streams = lock(&self.streams);
        streams.slots.values().filter(|slot| !slot.is_error).map(|slot| Arc::clone(&slot.shared)).collect()
    }

    /// The tunnel has ended: so have all its streams.
    pub(crate) fn close(&self, error: &Error) {
        let mut streams = lock(&self.streams);
        streams.closed.get_or_insert_with(|| error.clone());
        let slots = std::mem::take(&mut streams.slots);
        drop(streams);
        for slot in slots.into_values().filter(|slot| !slot.is_error) {
            let reader = {
                let mut state: std::sync::MutexGuard<'_, Receive> = lock(&slot.shared.state);
                state.fail(error.clone());
                state.reader()
            };
            reader.into_iter().for_each(Waker::wake);
        }
        lock(&self.io).close(error);
        self.changed.notify_one();
    }
}

impl Streams {
    /// Removes the slots of a stream, and of no other: a stream that is removed by another's end would wait for ever.
    fn remove(&mut self, shared: &Shared, ids: Ids) {
        for id in [ids.error, ids.data] {
            if self.slots.get(&id).is_some_and(|slot| std::ptr::eq(&raw const *slot.shared, shared)) {
                self.slots.remove(&id);
            }
        }
    }

    /// Numbers for a stream's two SPDY streams: odd, rising, and the data's such that its worker has the fewest others.
    fn number(&mut self) -> Ids {
        let error = self.next;
        let mut load = [0_usize; WORKERS as usize];
        for (id, _) in self.slots.iter().filter(|(_, slot)| !slot.is_error) {
            load[(id % WORKERS) as usize] += 1;
        }
        let candidates = (1..=WORKERS).map(|step| error + 2 * step);
        let data = candidates.min_by_key(|id| load[(id % WORKERS) as usize]).unwrap_or(error + 2);
        self.next = data + 2;
        self.requests += 1;
        Ids { error, data }
    }
}

#[cfg(test)]
mod tests;
