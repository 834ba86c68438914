//! The protocol without I/O: frames, header blocks, the state of a stream, the health of a tunnel.

pub mod frame;
pub mod headers;
pub(crate) mod health;
pub(crate) mod receive;
