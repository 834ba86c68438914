//! What a stream has received and its reader has not yet taken.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::Waker,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{io::ReadBuf, net::TcpStream};

use crate::{Counters, Error};

/// Above this many waiting bytes the tunnel stops reading.
pub(crate) const FULL: usize = 256 * 1024;

/// Below this many it reads again.
const DRAINED: usize = 64 * 1024;

/// More pieces than this are merged when they are small. A piece keeps the whole chunk alive that it was read in: so a
/// stream keeps at most some thirty chunks, whatever the peer sends.
const PIECES: usize = 16;
const SMALL: usize = 8 * 1024;

/// How much of the error stream's text is kept.
const TEXT: usize = 4 * 1024;

/// More than this in all, and the last less than [`LULL`] ago, is a flow.
const FLOW: u64 = 64 * 1024;
const LULL: Duration = Duration::from_millis(100);

/// How long the end of the data waits for the verdict of the error stream. The node sends both at once.
const VERDICT: Duration = Duration::from_millis(500);

/// Locks a mutex. Nothing here leaves its data half changed in a panic, so that poisoning says nothing.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The numbers of a stream's two SPDY streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Carries the node's words when it fails; we end our direction of it with the opening.
    pub error: u32,
    /// Carries the bytes.
    pub data: u32,
}

/// The half of a stream that its tunnel's pump and its reader share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Set when the opening was sent.
    pub ids: OnceLock<Ids>,
    pub state: Mutex<Receive>,
}

/// See the module.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one direction, and most combine")]
pub(crate) struct Receive {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// The pod's side of the data has ended.
    fin: Option<Instant>,
    /// The node has reset one of the two SPDY streams.
    cut: Option<Instant>,
    /// The error stream has ended, and with it the whole forward on the node.
    judged: bool,
    text: BytesMut,
    failure: Option<Error>,
    reader: Option<Waker>,
    sink: Option<Sink>,
    /// We have ended our direction or reset the stream: nothing more may be sent.
    pub sent_fin: bool,
    /// The tunnel waits until this stream is drained.
    pub clogged: bool,
    /// The handle was dropped: whatever comes is thrown away.
    pub abandoned: bool,
    /// Nobody waits for what comes on it: see [`crate::Stream::set_aside`].
    pub aside: bool,
    /// When bytes were last sent, the opening included.
    pub sent: Option<Instant>,
    /// When bytes were last received.
    received: Option<Instant>,
    /// When the reader last took bytes.
    pub taken: Option<Instant>,
    /// All bytes received.
    pub total: u64,
}

/// A local socket that the pump writes to by itself: a received chunk then reaches the local program without another
/// task being woken.
#[derive(Debug)]
struct Sink {
    socket: Arc<TcpStream>,
    counters: Arc<Counters>,
    written: u64,
    started: Instant,
    first: Option<Instant>,
}

/// What a reader finds at the end of the queue.
#[derive(Debug)]
pub(crate) enum Outlook {
    /// Bytes wait.
    Bytes,
    /// None now; more may come.
    Nothing,
    /// None now, the data has ended, and the verdict is due by then.
    VerdictBy(Instant),
    /// The pod's side ended in order.
    End,
    /// It did not.
    Failed(Error),
}

impl Receive {
    /// Takes bytes from the tunnel.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.total += bytes.len() as u64;
        self.received = Some(Instant::now());
        if !self.abandoned && self.fin.is_none() && self.cut.is_none() && !bytes.is_empty() {
            self.bytes += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    /// When bytes were last exchanged, either way.
    pub(crate) fn active(&self) -> Option<Instant> {
        self.sent.max(self.received)
    }

    /// Whether the pod has sent something since it was last sent anything.
    pub(crate) fn answers(&self) -> bool {
        self.received > self.sent
    }

    /// Whether much is on its way that has not arrived yet: in a download that is given up.
    pub(crate) fn is_flowing(&self) -> bool {
        !self.is_over() && self.total > FLOW && self.received.is_some_and(|at| at.elapsed() < LULL)
    }

    /// Whether somebody waits for bytes, as far as that shows: what was sent last has no answer, or bytes were flowing
    /// at `then`.
    pub(crate) fn is_waiting(&self, then: Instant) -> bool {
        let waits = self.sent > self.received || self.received.is_some_and(|at| at >= then);
        waits && !self.aside && !self.abandoned && !self.is_over()
    }

    /// The pod's side of the data has ended.
    pub(crate) fn end(&mut self) {
        self.fin.get_or_insert_with(Instant::now);
    }

    /// Words on the error stream.
    pub(crate) fn complain(&mut self, words: &[u8]) {
        let room = TEXT.saturating_sub(self.text.len());
        self.text.extend_from_slice(&words[..words.len().min(room)]);
    }

    /// The error stream has ended: what it said is the verdict.
    pub(crate) fn judge(&mut self) {
        self.judged = true;
        if let Some(error) = self.complaint() {
            self.failure.get_or_insert(error);
        }
    }

    /// What the node has said on the error stream. That is the reason, whatever follows it: an end, a reset of both
    /// streams (containerd from 2.1 on, Kubernetes from 1.32 on), or nothing at all.
    fn complaint(&self) -> Option<Error> {
        (!self.text.is_empty()).then(|| Error::from_error_stream(&String::from_utf8_lossy(&self.text)))
    }

    /// The node has reset the data or (`is_error`) the error stream. Its words, where they are not there yet, have as
    /// long as after an end in order.
    pub(crate) fn reset(&mut self, is_error: bool) {
        if self.is_over() {
            return;
        }
        self.cut.get_or_insert_with(Instant::now);
        if is_error {
            self.judge();
        } else if self.judged {
            self.fail(Error::Reset);
        }
    }

    /// Ends the stream with `error`, unless it has ended already or the node has told another reason.
    pub(crate) fn fail(&mut self, error: Error) {
        if !self.is_over() {
            self.failure = Some(self.complaint().unwrap_or(error));
        }
    }

    /// Whether the node has nothing more to say about this stream.
    pub(crate) fn is_over(&self) -> bool {
        self.failure.is_some() || (self.judged && (self.fin.is_some() || self.cut.is_some()))
    }

    /// Whether the pod's side of the data has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.fin.is_some() || self.cut.is_some() || self.failure.is_some()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes > FULL
    }

    /// Whether the tunnel should go on reading now; says so once.
    pub(crate) fn unclog(&mut self) -> bool {
        self.clogged && (self.bytes < DRAINED || self.abandoned) && {
            self.clogged = false;
            true
        }
    }

    /// Throws away what waits.
    pub(crate) fn abandon(&mut self) {
        self.abandoned = true;
        self.queue = VecDeque::new();
        self.bytes = 0;
        self.sink = None;
        self.reader = None;
    }

    /// Merges small pieces: see [`PIECES`].
    pub(crate) fn compact(&mut self) {
        if self.queue.len() > PIECES && self.bytes / self.queue.len() < SMALL {
            let mut merged = BytesMut::with_capacity(self.bytes);
            for piece in self.queue.drain(..) {
                merged.extend_from_slice(&piece);
            }
            self.queue.push_back(merged.freeze());
        }
    }

    pub(crate) fn outlook(&self) -> Outlook {
        if self.bytes > 0 {
            return Outlook::Bytes;
        }
        if let Some(error) = &self.failure {
            return Outlook::Failed(error.clone());
        }
        let Some(since) = self.cut.into_iter().chain(self.fin).min() else { return Outlook::Nothing };
        if !self.judged && since.elapsed() < VERDICT {
            return Outlook::VerdictBy(since + VERDICT);
        }
        match self.complaint() {
            Some(error) => Outlook::Failed(error),
            None if self.cut.is_some() => Outlook::Failed(Error::Reset),
            None => Outlook::End,
        }
    }

    /// Moves waiting bytes to a reader's buffer.
    pub(crate) fn take(&mut self, buf: &mut ReadBuf<'_>) {
        while let Some(front) = self.queue.front_mut()
            && buf.remaining() > 0
        {
            let count = front.len().min(buf.remaining());
            buf.put_slice(&front[..count]);
            self.consume(count);
        }
    }

    fn consume(&mut self, mut count: usize) {
        self.bytes -= count;
        self.taken = Some(Instant::now());
        while count > 0
            && let Some(front) = self.queue.front_mut()
        {
            let step = count.min(front.len());
            front.advance(step);
            count -= step;
            if front.is_empty() {
                self.queue.pop_front();
            }
        }
    }

    /// Wakes `waker` at the next change.
    pub(crate) fn register(&mut self, waker: &Waker) {
        if self.reader.as_ref().is_none_or(|reader| !reader.will_wake(waker)) {
            self.reader = Some(waker.clone());
        }
    }

    /// The reader, to be woken after the lock is released.
    pub(crate) fn reader(&mut self) -> Option<Waker> {
        self.reader.take()
    }

    /// From now on the pump writes to `socket` and counts in `counters`.
    pub(crate) fn attach(&mut self, socket: Arc<TcpStream>, counters: Arc<Counters>) {
        self.sink = Some(Sink { socket, counters, written: 0, started: Instant::now(), first: None });
    }

    /// Bytes written to the attached socket, and when the first was.
    pub(crate) fn written(&self) -> (u64, Option<Instant>) {
        self.sink.as_ref().map_or((0, None), |sink| (sink.written, sink.first))
    }

    /// Writes to the attached socket what it takes without waiting.
    pub(crate) fn deliver(&mut self) -> io::Result<()> {
        while self.bytes > 0
            && let Some(sink) = &mut self.sink
        {
            let mut slices = [IoSlice::new(&[]); 16];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let written = match sink.socket.try_write_vectored(&slices[..count]) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            sink.written += written as u64;
            if sink.first.is_none() {
                sink.first = Some(Instant::now());
                sink.counters.note_first_byte(sink.started.elapsed());
            }
            sink.counters.add_down(written);
            self.consume(written);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
