//! Leaving: what is asked, and what is left behind.

use chrono::{DateTime, Utc};

use crate::types::proxy::PodRequest;
use crate::types::ttl::Ttl;

/// A pod that was to go with the program, and may be there still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remainder {
    /// The pod, `cluster/namespace/name`; of one that may still come into being `cluster/namespace/target`.
    pub thing: String,
    /// Whether it is known to have been made.
    pub is_made: bool,
    /// When Kubernetes ends it, by our clock; absent: a TTL after it starts.
    pub until: Option<DateTime<Utc>>,
    /// Its TTL.
    pub ttl: Ttl,
}

impl Remainder {
    pub(crate) fn of(request: &PodRequest) -> Self {
        let thing = format!("{}/{}/{}", request.cluster, request.namespace, request.target);
        Self { thing, is_made: false, until: None, ttl: request.ttl }
    }
}
