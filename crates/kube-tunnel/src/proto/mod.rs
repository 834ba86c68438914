//! The protocol without I/O: frames, header blocks, the state of a stream, the health of a tunnel. No module here reads
//! a clock, opens a socket or waits: bytes and the time are passed in.

pub(crate) mod connection;
pub mod frame;
pub mod headers;
pub(crate) mod health;
pub(crate) mod outgoing;
pub(crate) mod receive;
