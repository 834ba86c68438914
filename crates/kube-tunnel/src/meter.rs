//! Measurements: bytes moved, time to first byte, round trips.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;

use crate::{error::Error, protocol::Protocol};

/// Running totals of a forward. [`splice()`](crate::splice()) adds to them; read them at any time, from any thread.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes that the local program sent and the tunnel took, without `first_line`.
    pub up: AtomicU64,
    /// Bytes from the pod that the local program's socket took.
    pub down: AtomicU64,
    /// Connections being spliced now.
    pub open: AtomicU64,
    /// Microseconds from a connection's start to the pod's first byte, the last time; 0 until then.
    first_byte: AtomicU64,
}

impl Counters {
    /// Returns the time from the call of [`splice()`](crate::splice()) to the pod's first byte, of the connection that
    /// got its first byte last. `None` until a pod has sent something.
    pub fn first_byte(&self) -> Option<Duration> {
        let micros = self.first_byte.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    pub(crate) fn note_first_byte(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.first_byte.store(micros.max(1), Ordering::Relaxed);
    }

    pub(crate) fn add_up(&self, bytes: usize) {
        self.up.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_down(&self, bytes: usize) {
        self.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a connection as open until the guard is dropped.
    pub(crate) fn enter(&self) -> OpenGuard<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenGuard(&self.open)
    }
}

pub(crate) struct OpenGuard<'a>(&'a AtomicU64);

impl Drop for OpenGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The totals of one spliced connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes from the local program to the pod, without `first_line`.
    pub up: u64,
    /// Bytes from the pod to the local program.
    pub down: u64,
    /// The time from the start of the splice to the pod's first byte; absent if none came.
    pub first_byte: Option<Duration>,
    /// All bytes sent to the pod, `first_line` too, if they are at most 16 KiB and the pod has sent nothing: where the
    /// pod refused the connection, they can be sent to another.
    pub sent: Option<Bytes>,
}

/// A snapshot of a [`Lease`](crate::Lease)'s state.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// The protocol that works; absent until a tunnel was opened.
    pub protocol: Option<Protocol>,
    /// The last round trip to the node and back, by PING; absent until one was answered.
    pub rtt: Option<Duration>,
    /// Tunnels open now.
    pub tunnels: usize,
    /// Streams in use now, without the spare ones.
    pub streams: usize,
    /// Streams opened ahead, waiting.
    pub spares: usize,
    /// Streams handed out so far.
    pub opened: u64,
    /// Calls of [`Lease::open`](crate::Lease::open) that failed so far.
    pub failed: u64,
    /// The reason why the last attempt to open a tunnel failed; `None` once one has succeeded.
    pub last_error: Option<Error>,
}
