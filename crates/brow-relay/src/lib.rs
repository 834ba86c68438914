//! The protocol between brow-tui and the relay that it puts into a proxy pod: many TCP connections and
//! flows of UDP datagrams over one stream of bytes, encrypted and authenticated with a key that only those two know.
//! `docs/relay-protocol.md` describes it.
//!
//! [`Connection`] is either end of it. It does no I/O, so that both sides and the tests share it; the program
//! `brow-relay` around it runs in the pod, the client is in brow-tui.

mod buffer;
mod connection;
mod event;
mod frame;
mod seal;
pub mod upgrade;

pub use connection::Connection;
pub use event::{Event, Limits, Side};
pub use frame::{DATAGRAM, DOMAIN, Frame, Kind, Reason, Violation};
pub use seal::KEY;
