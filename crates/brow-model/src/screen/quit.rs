//! The pods that remain after quitting.

use chrono::{DateTime, Utc};

use crate::types::proxy::PodRequest;
use crate::types::ttl::Ttl;

/// A pod that was to be deleted at exit, and may still exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainingPod {
    /// The pod, `cluster/namespace/name`; of one that may still come into being `cluster/namespace/target`.
    pub thing: String,
    /// True if it is known to have been created.
    pub is_made: bool,
    /// The time at which Kubernetes ends it, by our clock; `None`: a TTL after it starts.
    pub until: Option<DateTime<Utc>>,
    pub ttl: Ttl,
}

impl RemainingPod {
    pub(crate) fn of(request: &PodRequest) -> Self {
        let thing = format!("{}/{}/{}", request.cluster, request.namespace, request.target);
        Self { thing, is_made: false, until: None, ttl: request.ttl }
    }
}
