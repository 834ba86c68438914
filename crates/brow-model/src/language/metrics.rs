//! Orders and events about measurements of clusters and of what is in them.

use std::collections::BTreeSet;

use crate::language::fault::Fault;
use crate::types::epoch::Epoch;
use crate::types::metrics::{Prometheus, Reading, Source, Subject};

/// An order about measurements.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsEffect {
    /// Look for a Prometheus in a cluster, in place of an earlier search there.
    Find {
        /// The context.
        cluster: String,
        /// Echoed in the answer.
        epoch: Epoch,
        /// The namespaces to look into where not all may be looked into at once.
        namespaces: BTreeSet<String>,
    },
    /// Measure something once.
    Measure {
        /// The context.
        cluster: String,
        /// Echoed in the answer.
        epoch: Epoch,
        source: Source,
        subject: Subject,
    },
}

/// An answer to such an order.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsEvent {
    /// The search for a Prometheus has ended.
    Found {
        /// The context.
        cluster: String,
        /// The epoch of the search.
        epoch: Epoch,
        result: Result<Prometheus, NotFound>,
    },
    /// Something was measured.
    Measured {
        /// The context.
        cluster: String,
        /// The epoch of the measurement.
        epoch: Epoch,
        subject: Subject,
        result: Result<Vec<Reading>, Fault>,
    },
}

/// The end of a search that found nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// Each place that was tried, with the reason why it is not one.
    pub tried: String,
    /// The refusal that kept places from being found.
    pub refused: Option<Fault>,
}
