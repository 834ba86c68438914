//! The receiving half of a stream: bytes that its reader has not taken yet, and how the stream ended.

use std::{
    collections::VecDeque,
    io::IoSlice,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};

use crate::error::Error;

/// The number of waiting bytes above which the tunnel is not read.
pub(crate) const MAX_UNREAD: usize = 256 * 1024;

/// The number below which it is read again.
const RESUME_BELOW: usize = 64 * 1024;

/// More pieces than this are merged when they are small. A piece keeps the whole chunk alive that it was read in: so a
/// stream keeps at most some thirty chunks, whatever the peer sends.
const MAX_PIECES: usize = 16;
const SMALL_PIECE: usize = 8 * 1024;

/// The most text of the error stream that is kept, in bytes.
const MAX_TEXT: usize = 4 * 1024;

/// More than this in all, and the last less than [`FLOW_TIMEOUT`] ago, is a flow.
const MIN_FLOW: u64 = 64 * 1024;
const FLOW_TIMEOUT: Duration = Duration::from_millis(100);

/// The time for which the end of the data waits for the end of the error stream. The node sends both at once.
const VERDICT_TIMEOUT: Duration = Duration::from_millis(500);

/// The state of one stream's receiving half.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about one direction, and most combine")]
pub(crate) struct Receive {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// The time at which the data ended.
    fin: Option<Instant>,
    /// The node has reset one of the two SPDY streams.
    cut: Option<Instant>,
    /// The error stream has ended, and with it the whole forward on the node.
    judged: bool,
    text: BytesMut,
    failure: Option<Error>,
    /// The tunnel is not read until this stream is drained.
    pub paused: bool,
    /// The handle was dropped: whatever comes is thrown away.
    pub abandoned: bool,
    /// Nobody waits for what comes on it: see [`crate::Stream::set_aside`].
    pub aside: bool,
    /// The time at which bytes were last sent, the opening included.
    pub sent: Option<Instant>,
    /// The time at which bytes were last received.
    received: Option<Instant>,
    /// The time at which the reader last took bytes.
    pub taken: Option<Instant>,
    /// All bytes received.
    pub total: u64,
}

/// The state in which a reader finds the stream.
#[derive(Debug)]
pub(crate) enum ReadState {
    /// Bytes wait.
    Bytes,
    /// No bytes now; more may come.
    Nothing,
    /// No bytes now; the data has ended, and the error stream has to end by then.
    VerdictBy(Instant),
    /// The pod's side ended in order.
    End,
    /// It did not.
    Failed(Error),
}

impl Receive {
    /// Takes bytes from the tunnel.
    pub(crate) fn push(&mut self, bytes: Bytes, now: Instant) {
        self.total += bytes.len() as u64;
        self.received = Some(now);
        if !self.abandoned && self.fin.is_none() && self.cut.is_none() && !bytes.is_empty() {
            self.bytes += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    /// Returns when bytes were last exchanged, either way.
    pub(crate) fn active(&self) -> Option<Instant> {
        self.sent.max(self.received)
    }

    /// Returns whether the pod has sent something since it was last sent anything.
    pub(crate) fn answers(&self) -> bool {
        self.received > self.sent
    }

    /// Returns whether much is on its way that has not arrived yet: in a download that is given up.
    pub(crate) fn is_flowing(&self, now: Instant) -> bool {
        let lull = |at| now.saturating_duration_since(at) >= FLOW_TIMEOUT;
        !self.is_over() && self.total > MIN_FLOW && self.received.is_some_and(|at| !lull(at))
    }

    /// Returns whether somebody waits for bytes, as far as that shows: what was sent last has no answer, or bytes were
    /// flowing at `then`.
    pub(crate) fn is_waiting(&self, then: Instant) -> bool {
        let waits = self.sent > self.received || self.received.is_some_and(|at| at >= then);
        waits && !self.aside && !self.abandoned && !self.is_over()
    }

    /// Takes the end of the data.
    pub(crate) fn end(&mut self, now: Instant) {
        self.fin.get_or_insert(now);
    }

    /// Takes text of the error stream.
    pub(crate) fn complain(&mut self, words: &[u8]) {
        let room = MAX_TEXT.saturating_sub(self.text.len());
        self.text.extend_from_slice(&words[..words.len().min(room)]);
    }

    /// Takes the end of the error stream: its text is the reason.
    pub(crate) fn judge(&mut self) {
        self.judged = true;
        if let Some(error) = self.complaint() {
            self.failure.get_or_insert(error);
        }
    }

    /// Returns the error that the node wrote. That is the reason, whatever follows it: an end, a reset of both
    /// streams (containerd from 2.1 on, Kubernetes from 1.32 on), or nothing at all.
    fn complaint(&self) -> Option<Error> {
        (!self.text.is_empty()).then(|| Error::from_error_stream(&String::from_utf8_lossy(&self.text)))
    }

    /// Takes a reset of the data or (`is_error`) the error stream. The node's text may still arrive, for as long as
    /// after an end in order.
    pub(crate) fn reset(&mut self, is_error: bool, now: Instant) {
        if self.is_over() {
            return;
        }
        self.cut.get_or_insert(now);
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

    /// Returns whether the node has nothing more to say about this stream.
    pub(crate) fn is_over(&self) -> bool {
        self.failure.is_some() || (self.judged && (self.fin.is_some() || self.cut.is_some()))
    }

    /// Returns whether the pod's side of the data has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.fin.is_some() || self.cut.is_some() || self.failure.is_some()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes > MAX_UNREAD
    }

    /// Returns, once, that the tunnel may be read again because enough of this stream was taken.
    pub(crate) fn resume(&mut self) -> bool {
        self.paused && (self.bytes < RESUME_BELOW || self.abandoned) && {
            self.paused = false;
            true
        }
    }

    /// Discards waiting bytes.
    pub(crate) fn abandon(&mut self) {
        self.abandoned = true;
        self.queue = VecDeque::new();
        self.bytes = 0;
    }

    /// Merges small pieces: see [`MAX_PIECES`].
    pub(crate) fn compact(&mut self) {
        if self.queue.len() > MAX_PIECES && self.bytes / self.queue.len() < SMALL_PIECE {
            let mut merged = BytesMut::with_capacity(self.bytes);
            for piece in self.queue.drain(..) {
                merged.extend_from_slice(&piece);
            }
            self.queue.push_back(merged.freeze());
        }
    }

    pub(crate) fn read_state(&self, now: Instant) -> ReadState {
        if self.bytes > 0 {
            return ReadState::Bytes;
        }
        if let Some(error) = &self.failure {
            return ReadState::Failed(error.clone());
        }
        let Some(since) = self.cut.into_iter().chain(self.fin).min() else { return ReadState::Nothing };
        if !self.judged && now.saturating_duration_since(since) < VERDICT_TIMEOUT {
            return ReadState::VerdictBy(since + VERDICT_TIMEOUT);
        }
        match self.complaint() {
            Some(error) => ReadState::Failed(error),
            None if self.cut.is_some() => ReadState::Failed(Error::Reset),
            None => ReadState::End,
        }
    }

    /// The first piece that waits.
    pub(crate) fn front(&self) -> Option<&Bytes> {
        self.queue.front()
    }

    /// Fills `slices` with the pieces that wait; returns how many there are.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(&self.queue).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    /// Removes bytes that the reader has taken.
    pub(crate) fn consume(&mut self, mut count: usize, now: Instant) {
        self.bytes -= count;
        self.taken = Some(now);
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
}

#[cfg(test)]
mod tests;
