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

/// Counters as read once a second; all since the forward was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted so far.
    pub total: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Bytes from the client to the target.
    pub up: u64,
    /// Bytes from the target to the client.
    pub down: u64,
}

/// Counters and what they did in the last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    pub counts: Counts,
    /// Bytes in the last second, client to target.
    pub up_rate: u64,
    /// Bytes in the last second, target to client.
    pub down_rate: u64,
    /// Bytes in both directions, a value a second, oldest first, at most [`Traffic::SPAN`].
    pub history: VecDeque<u64>,
}

impl Traffic {
    /// Seconds of history kept.
    pub const SPAN: usize = 60;

    /// Takes the counters of a new second.
    pub fn sample(&mut self, counts: Counts) {
        self.up_rate = counts.up.saturating_sub(self.counts.up);
        self.down_rate = counts.down.saturating_sub(self.counts.down);
        self.counts = counts;
        if self.history.len() == Self::SPAN {
            self.history.pop_front();
        }
        self.history.push_back(self.up_rate + self.down_rate);
    }
}
