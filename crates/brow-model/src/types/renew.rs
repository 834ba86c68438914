//! Renewal: Kubernetes cannot extend a running pod's deadline, so another pod replaces it. New connections go there;
//! the old pod is deleted once it has drained.

use chrono::{DateTime, Utc};

use crate::types::proxy::{PodKey, PodRequestId};

/// The replacement of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The time at which the replacement was requested.
    pub asked: DateTime<Utc>,
    /// The request, until it is answered.
    pub request: Option<PodRequestId>,
    /// The pod that takes over, until it is ready or lost.
    pub pod: Option<PodKey>,
}

impl Renewal {
    pub(crate) fn is_under_way(&self) -> bool {
        self.request.is_some() || self.pod.is_some()
    }
}
