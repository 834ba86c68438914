//! The receiving side of a stream, shared by its tunnel's pump and its reader.

use std::{
    io::{self, IoSlice},
    sync::{Arc, Mutex, OnceLock},
    task::Waker,
    time::Instant,
};

use tokio::{io::ReadBuf, net::TcpStream};

use super::now;
use crate::{
    meter::Counters,
    proto::{connection::Ids, receive::Receive},
};

#[derive(Debug, Default)]
pub(crate) struct StreamState {
    /// Set when the opening was sent.
    pub ids: OnceLock<Ids>,
    /// Never held while a [`super::session::Link`] is being locked.
    pub incoming: Mutex<Incoming>,
}

/// The bytes that a stream has received, with the reader or socket that takes them.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub receive: Receive,
    reader: Option<Waker>,
    sink: Option<Sink>,
}

/// A local socket that the pump writes to directly: a received chunk then reaches the local program without waking
/// another task.
#[derive(Debug)]
struct Sink {
    socket: Arc<TcpStream>,
    counters: Arc<Counters>,
    written: u64,
    started: Instant,
    first: Option<Instant>,
}

impl Incoming {
    /// Wakes `waker` at the next change.
    pub(crate) fn register(&mut self, waker: &Waker) {
        if self.reader.as_ref().is_none_or(|reader| !reader.will_wake(waker)) {
            self.reader = Some(waker.clone());
        }
    }

    /// Removes and returns the reader, to be woken after the lock is released.
    pub(crate) fn reader(&mut self) -> Option<Waker> {
        self.reader.take()
    }

    /// Discards waiting bytes and all that are still to come.
    pub(crate) fn abandon(&mut self) {
        self.receive.abandon();
        self.sink = None;
        self.reader = None;
    }

    /// Moves waiting bytes to a reader's buffer.
    pub(crate) fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let now = now().steady;
        while let Some(front) = self.receive.front()
            && buf.remaining() > 0
        {
            let count = front.len().min(buf.remaining());
            buf.put_slice(&front[..count]);
            self.receive.consume(count, now);
        }
    }

    /// From now on the pump writes to `socket` and counts in `counters`.
    pub(crate) fn attach(&mut self, socket: Arc<TcpStream>, counters: Arc<Counters>) {
        self.sink = Some(Sink { socket, counters, written: 0, started: now().steady, first: None });
    }

    /// Returns the bytes written to the attached socket, and when the first was.
    pub(crate) fn written(&self) -> (u64, Option<Instant>) {
        self.sink.as_ref().map_or((0, None), |sink| (sink.written, sink.first))
    }

    /// Writes to the attached socket what it takes without waiting.
    pub(crate) fn deliver(&mut self) -> io::Result<()> {
        while self.receive.front().is_some()
            && let Some(sink) = &mut self.sink
        {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.receive.slices(&mut slices);
            let written = match sink.socket.try_write_vectored(&slices[..count]) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let now = now().steady;
            sink.written += written as u64;
            if sink.first.is_none() {
                sink.first = Some(now);
                sink.counters.note_first_byte(now.saturating_duration_since(sink.started));
            }
            sink.counters.add_down(written);
            self.receive.consume(written, now);
        }
        Ok(())
    }
}
