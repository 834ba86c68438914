//! The counters of one forward, written by its connections and read by the loop once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brow_model::traffic::{Counts, Datagrams};
use kube_tunnel::Counters;

/// Datagrams, of a flow or of all flows of a forward.
#[derive(Debug, Default)]
pub(super) struct DatagramMeter {
    up: AtomicU64,
    down: AtomicU64,
    dropped: AtomicU64,
    /// The meter of the forward, where they count, too.
    whole: Option<Arc<Self>>,
}

impl DatagramMeter {
    pub(super) fn part_of(whole: Arc<Self>) -> Self {
        Self { whole: Some(whole), ..Self::default() }
    }

    fn add(&self, count: u64, of: fn(&Self) -> &AtomicU64) {
        for meter in std::iter::once(self).chain(self.whole.as_deref()) {
            of(meter).fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn sent(&self) {
        self.add(1, |meter| &meter.up);
    }

    pub(super) fn received(&self) {
        self.add(1, |meter| &meter.down);
    }

    pub(super) fn dropped(&self, count: u64) {
        self.add(count, |meter| &meter.dropped);
    }

    pub(super) fn totals(&self) -> Datagrams {
        let [up, down, dropped] = [&self.up, &self.down, &self.dropped].map(|count| count.load(Ordering::Relaxed));
        Datagrams { up, down, dropped }
    }
}

/// Running totals since the forward was opened.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Bytes, counted where they are moved.
    pub counters: Arc<Counters>,
    pub datagrams: Arc<DatagramMeter>,
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
            datagrams: self.datagrams.totals(),
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
