//! Reports about the pods of a workload to the loop.

use super::query::Query;
use crate::events::EventSender;
use brow_model::address::Address;
use brow_model::backend::{Backend, rank};
use brow_model::event::ForwardEvent;
use brow_model::fault::Fault;

/// A watch's error that concerns the forward. Outages are reported by the cluster's probe.
pub(super) enum WatchProblem {
    /// It stays until somebody changes the workload.
    Permanent(Fault),
    /// The state of the workload is unknown.
    Unknown(Fault),
}

/// Reports to the loop, each state once.
pub(super) struct BackendReporter {
    pub query: Query,
    events: EventSender<ForwardEvent>,
    reported: Option<ForwardEvent>,
    /// True if the last report contained running pods.
    pub had: bool,
}

impl BackendReporter {
    pub(super) fn new(query: Query, events: EventSender<ForwardEvent>) -> Self {
        Self { query, events, reported: None, had: false }
    }

    pub(super) async fn pods(&mut self, mut backends: Vec<Backend>) {
        self.had = !backends.is_empty();
        rank(&mut backends);
        self.tell(ForwardEvent::Backends(backends)).await;
    }

    pub(super) async fn relay(&mut self, address: Address) {
        self.tell(ForwardEvent::Relay(address)).await;
    }

    pub(super) async fn no_backend(&mut self, fault: Fault) {
        self.had = false;
        self.tell(ForwardEvent::NoBackend(fault)).await;
    }

    pub(super) async fn unknown(&mut self, fault: Fault) {
        self.tell(ForwardEvent::LookupFailed(fault)).await;
    }

    pub(super) async fn problem(&mut self, problem: WatchProblem) {
        match problem {
            WatchProblem::Permanent(fault) => self.no_backend(fault).await,
            WatchProblem::Unknown(fault) => self.unknown(fault).await,
        }
    }

    async fn tell(&mut self, event: ForwardEvent) {
        if self.reported.as_ref() == Some(&event) {
            return;
        }
        self.reported = Some(event.clone());
        self.events.send(event).await;
    }
}
