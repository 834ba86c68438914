//! Counters of one forward: written by its connections, read by the loop once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brow_model::traffic::Counts;
use kube_tunnel::Counters;

/// Running totals since the forward was opened.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Bytes: counted where they are moved.
    pub counters: Arc<Counters>,
    open: AtomicU64,
    total: AtomicU64,
    failed: AtomicU64,
}

impl Meter {
    /// The totals now. Each is exact; together they may be a moment apart.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            open: self.open.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            up: self.counters.up.load(Ordering::Relaxed),
            down: self.counters.down.load(Ordering::Relaxed),
        }
    }

    /// Counts an accepted connection, as open until the guard is dropped: also while it waits for a pod.
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Entered(Arc::clone(self))
    }

    /// Counts a connection that failed.
    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection that is counted as open.
#[derive(Debug)]
pub(super) struct Entered(Arc<Meter>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
