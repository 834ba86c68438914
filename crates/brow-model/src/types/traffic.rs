//! The traffic of a forward, and the state of its tunnel.

use std::collections::VecDeque;
use std::time::Duration;

/// The state of a tunnel, for the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelInfo {
    /// The protocol's name.
    pub protocol: String,
    /// Round trip of the tunnel itself, where the protocol can measure it.
    pub rtt: Option<Duration>,
    /// From a connection's start to the target's first byte, as it was the last time.
    pub first_byte: Option<Duration>,
}

/// The connections of one pod, of those that a forward's connections are spread over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLoad {
    /// The pod's name.
    pub pod: String,
    /// Connections open now.
    pub open: usize,
    /// Connections so far, since the pod became one of them.
    pub total: u64,
}

/// Counters as read once a second; all since the forward was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted so far.
    pub total: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Connections of other local users that were refused; not among the accepted ones.
    pub refused: u64,
    /// Bytes from the client to the target.
    pub up: u64,
    /// Bytes from the target to the client.
    pub down: u64,
    pub datagrams: Datagrams,
}

/// The datagrams of flows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Datagrams {
    /// From the client to the target.
    pub up: u64,
    /// From the target to the client.
    pub down: u64,
    /// Dropped on either way, by us or in the pod.
    pub dropped: u64,
}

/// A value a second, of the last minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series(VecDeque<u64>);

impl Series {
    /// The number of seconds kept.
    pub const SPAN: usize = 300;
    /// The number of seconds that the table shows.
    pub const MINUTE: usize = 60;

    pub(crate) fn push(&mut self, value: u64) {
        if self.0.len() == Self::SPAN {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// Returns the values of the last seconds, newest first.
    pub fn newest_first(&self, seconds: usize) -> impl Iterator<Item = u64> {
        self.0.iter().rev().take(seconds).copied()
    }

    /// Returns the highest value of the last seconds; 0 if nothing happened in them.
    pub fn max(&self, seconds: usize) -> u64 {
        self.newest_first(seconds).max().unwrap_or_default()
    }
}

impl FromIterator<u64> for Series {
    fn from_iter<T: IntoIterator<Item = u64>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Counters and what they did in the last minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    pub counts: Counts,
    /// Bytes in the last second, client to target.
    pub up_rate: u64,
    /// Bytes in the last second, target to client.
    pub down_rate: u64,
    /// Bytes in both directions.
    pub bytes: Series,
    /// Connections that were open at some time of a second.
    pub connections: Series,
    /// The slowest first byte of a second, in microseconds; 0 if none came.
    pub first_bytes: Series,
}

impl Traffic {
    /// Takes the counters of a new second, and its slowest first byte.
    pub fn sample(&mut self, counts: Counts, first_byte: Option<Duration>) {
        self.connections.push(self.counts.open + counts.total.saturating_sub(self.counts.total));
        self.first_bytes.push(first_byte.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)));
        self.up_rate = counts.up.saturating_sub(self.counts.up);
        self.down_rate = counts.down.saturating_sub(self.counts.down);
        self.counts = counts;
        self.bytes.push(self.up_rate + self.down_rate);
    }
}
