//! The counters of one forward, written by its connections and read by the loop once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brow_model::traffic::Counts;
use kube_tunnel::Counters;

/// Running totals since the forward was opened.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Bytes, counted where they are moved.
    pub counters: Arc<Counters>,
    open: AtomicU64,
    total: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl Meter {
    /// Returns the totals. Each is exact, but they are not read at the same instant.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            open: self.open.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            up: self.counters.up.load(Ordering::Relaxed),
            down: self.counters.down.load(Ordering::Relaxed),
        }
    }

    /// Counts an accepted connection as open until the guard is dropped, also while it waits for a pod.
    pub(super) fn enter(self: &Arc<Self>) -> OpenGuard {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenGuard(Arc::clone(self))
    }

    /// Counts a connection of another local user.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that failed.
    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(super) struct OpenGuard(Arc<Meter>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
