//! Connections: dialing them, the task that drives each, moving bytes between a local socket and a stream, processes in
//! containers.

pub(crate) mod dial;
pub mod exec;
mod incoming;
mod liveness_check;
pub(crate) mod peer;
pub(crate) mod pump;
pub(crate) mod session;
pub(crate) mod splice;
pub(crate) mod stream;
mod transport;
mod upgrade;

use std::time::SystemTime;

use crate::proto::health::Now;

/// Returns the time; in tests the steady clock may be tokio's that is paused.
pub(crate) fn now() -> Now {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { steady: tokio::time::Instant::now().into_std(), wall }
}
