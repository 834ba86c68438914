//! Connections: dialing them, the task that drives each, and moving bytes between a local socket and a stream.

pub(crate) mod dial;
mod peer;
pub(crate) mod pump;
mod sending;
pub(crate) mod session;
pub(crate) mod splice;
pub(crate) mod stream;
mod transport;
mod witness;
