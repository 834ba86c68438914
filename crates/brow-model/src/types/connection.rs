//! The connections that are open through a forward.

use chrono::{DateTime, Utc};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::types::traffic::Datagrams;

/// Names one connection of a forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// An open connection; of a proxy target, all connections to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub id: ConnectionId,
    /// The address that it comes from; `None`: it comes through the Unix socket.
    pub from: Option<SocketAddr>,
    /// The local program, if the system tells us which one it is.
    pub program: Option<Program>,
    /// The time at which it was accepted, the last one to a destination.
    pub since: DateTime<Utc>,
    /// Bytes from the client to the target.
    pub up: u64,
    /// Bytes from the target to the client.
    pub down: u64,
    pub state: ConnectionState,
    /// Its datagrams, if it is a flow of UDP.
    pub datagrams: Option<Datagrams>,
    /// The destination, if it is one of a proxy target.
    pub to: Option<NamedDestination>,
}

/// A destination that clients of a proxy target named, and what became of their connections to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDestination {
    pub address: String,
    /// Connections that are open.
    pub open: usize,
    /// Connections so far.
    pub total: u64,
    /// Those of them that could not be opened or broke.
    pub failed: u64,
    /// The time that connecting took the last time; UDP has none.
    pub latency: Option<Duration>,
}

/// A program of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub pid: u32,
    /// Its command's name, as the system shortens it.
    pub name: String,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() { write!(f, "pid {}", self.pid) } else { write!(f, "pid {} ({})", self.pid, self.name) }
    }
}

/// The state of an open connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConnectionState {
    /// It waits for a pod, or for a stream to it.
    #[default]
    Waiting,
    /// It has a stream to the target.
    Open,
}
