//! Forwards of earlier runs, to be opened again.

use serde::{Deserialize, Serialize};

/// A forward that was open. It holds no address and no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenForward {
    /// The target's name.
    pub target: String,
    /// The same, followed by the port unless it is the first of several.
    pub name: String,
    /// The local port; 0: it had none yet.
    pub port: u16,
    /// True if it was on demand.
    pub on_demand: bool,
}
