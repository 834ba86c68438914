//! The connections that are open through a forward.

use chrono::{DateTime, Utc};
use std::fmt;
use std::net::SocketAddr;

use crate::types::traffic::Datagrams;

/// Names one connection of a forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// An open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub id: ConnectionId,
    /// The address that it comes from; `None`: it comes through the Unix socket.
    pub from: Option<SocketAddr>,
    /// The local program, if the system tells us which one it is.
    pub program: Option<Program>,
    /// The time at which it was accepted.
    pub since: DateTime<Utc>,
    /// Bytes from the client to the target.
    pub up: u64,
    /// Bytes from the target to the client.
    pub down: u64,
    pub state: ConnectionState,
    /// Its datagrams, if it is a flow of UDP.
    pub datagrams: Option<Datagrams>,
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
