//! The urgency of rows.

use chrono::{DateTime, TimeDelta, Utc};

/// The urgency of a row; the most urgent is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attention {
    /// Something failed and stays so until somebody acts.
    Failed,
    /// The last probe found the target down, or the tunnel is lost.
    Down,
    /// The pod ends soon, at this time, and nothing renews it.
    Ending(DateTime<Utc>),
    /// In use, or on its way there.
    Active,
    /// Listening on demand, with no pod.
    Listening,
    /// Not in use.
    Idle,
    /// Somebody else's.
    Foreign,
}

impl Attention {
    /// A pod ends soon when it has at most this long to live.
    pub const SOON: TimeDelta = TimeDelta::minutes(5);
}
