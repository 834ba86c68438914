//! The sides of a connection, their limits, and the events that they get.

use std::time::Duration;

use crate::frame::{Kind, Reason};

/// An end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Opens streams.
    Client,
    /// Connects them to targets.
    Relay,
}

/// The limits of what a side takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most streams at once.
    pub streams: u32,
    /// Unconsumed bytes that a new stream may have.
    pub window: u32,
    /// The same for one whose bytes are consumed as they come.
    pub most: u32,
    /// The memory of all streams together beyond their first windows.
    pub extra: u32,
}

/// An event of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The other side knows the key; streams may be opened.
    Up,
    /// A stream is to be connected ([`Connection::connected`](crate::Connection::connected)) or reset.
    Open { id: u32, kind: Kind, host: &'a str, port: u16 },
    /// A stream is connected to its target, which took this long.
    Connected { id: u32, took: Duration },
    /// Bytes of a stream; tell [`Connection::consume`](crate::Connection::consume) when they are out of hand.
    Data { id: u32, bytes: &'a [u8] },
    /// A datagram of a flow. On the relay's side it may come before the flow is connected.
    Datagram { id: u32, bytes: &'a [u8] },
    /// So many datagrams of a flow were dropped on the other side.
    Dropped { id: u32, count: u32 },
    /// More of a stream may be sent.
    Credit { id: u32 },
    /// No more bytes of a stream will come.
    End { id: u32 },
    /// A stream is over at once.
    Reset { id: u32, reason: Reason, words: &'a str },
    /// A ping was answered.
    Pong { token: u64 },
    /// Nothing that concerns the caller.
    Handled,
}
