//! Measurements: bytes moved, time to first byte, round trips.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
    /// The most of these since they were taken last.
    slowest: AtomicU64,
    /// The counters of the whole of which these count a part.
    whole: Option<Arc<Self>>,
}

impl Counters {
    /// Returns counters of a part, such as one connection. What is added to them is added to those of the whole, too.
    pub fn part_of(whole: Arc<Self>) -> Self {
        Self { whole: Some(whole), ..Self::default() }
    }

    /// Returns the slowest first byte since the last call; `None` if none came. For one caller only.
    pub fn take_slowest_first_byte(&self) -> Option<Duration> {
        let micros = self.slowest.swap(0, Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Returns the time from the call of [`splice()`](crate::splice()) to the pod's first byte, of the connection that
    /// got its first byte last. `None` until a pod has sent something.
    pub fn first_byte(&self) -> Option<Duration> {
        let micros = self.first_byte.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Sets the time to the first byte of the last connection.
    pub fn note_first_byte(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        for counters in self.all() {
            counters.first_byte.store(micros, Ordering::Relaxed);
            counters.slowest.fetch_max(micros, Ordering::Relaxed);
        }
    }

    /// Adds bytes that the local program sent.
    pub fn add_up(&self, bytes: usize) {
        self.all().for_each(|counters| _ = counters.up.fetch_add(bytes as u64, Ordering::Relaxed));
    }

    /// Adds bytes that the local program's socket took.
    pub fn add_down(&self, bytes: usize) {
        self.all().for_each(|counters| _ = counters.down.fetch_add(bytes as u64, Ordering::Relaxed));
    }

    /// Returns these counters and those of the whole.
    fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |counters| counters.whole.as_deref())
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn enter(&self) -> OpenGuard<'_> {
        self.all().for_each(|counters| _ = counters.open.fetch_add(1, Ordering::Relaxed));
        OpenGuard(self)
    }
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub struct OpenGuard<'a>(&'a Counters);

impl Drop for OpenGuard<'_> {
    fn drop(&mut self) {
        self.0.all().for_each(|counters| _ = counters.open.fetch_sub(1, Ordering::Relaxed));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_in_the_whole() {
        let whole = Arc::new(Counters::default());
        let parts = [Counters::part_of(Arc::clone(&whole)), Counters::part_of(Arc::clone(&whole))];
        let [first, second] = &parts;
        let read = |counters: &Counters| {
            [&counters.up, &counters.down, &counters.open].map(|count| count.load(Ordering::Relaxed))
        };
        let entered = first.enter();
        first.add_up(3);
        second.add_up(4);
        second.add_down(5);
        assert_eq!((read(first), read(second), read(&whole)), ([3, 0, 1], [4, 5, 0], [7, 5, 1]));
        drop(entered);
        assert_eq!((read(first), read(&whole)), ([3, 0, 0], [7, 5, 0]));
        assert_eq!(whole.take_slowest_first_byte(), None);
        for (part, millis) in [(first, 20), (second, 30), (first, 10)] {
            part.note_first_byte(Duration::from_millis(millis));
        }
        assert_eq!(whole.first_byte(), Some(Duration::from_millis(10)));
        assert_eq!(whole.take_slowest_first_byte(), Some(Duration::from_millis(30)));
        assert_eq!(whole.take_slowest_first_byte(), None, "taken");
    }
}
