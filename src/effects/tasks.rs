//! Handles of the tasks of connected clusters, open forwards, and the page in view.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::PageCache;
use crate::forward;

/// A connection to a cluster: its probe and its watch.
pub(super) struct Connection {
    pub token: CancellationToken,
    pub namespaces: watch::Sender<BTreeSet<String>>,
}

/// The handle of an open forward, and the tokens of its task.
pub(super) struct OpenForward {
    pub handle: forward::Handle,
    /// The state of the watch on the workload's pods, which is off while the forward has no pod on demand.
    pub watching: watch::Sender<WatchState>,
    /// Closes the forward.
    pub token: CancellationToken,
    /// Cancelled once nothing of it is left.
    pub ended: CancellationToken,
}

/// Says whether a workload's pods are watched, and counts how often that has ended. A watch that is ended and requested
/// again before its task has run starts anew and reports everything once more, since the forward has forgotten it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WatchState {
    pub on: bool,
    pub ends: u64,
}

impl WatchState {
    pub(super) fn set(&mut self, on: bool) {
        self.ends += u64::from(self.on && !on);
        self.on = on;
    }
}

/// The tasks of the page in view. A new page takes the place of the one before; the answers stay until the last one
/// is left.
#[derive(Default)]
pub(super) struct PageTasks {
    pub cache: Option<Arc<PageCache>>,
    pub object: Option<AbortHandle>,
    pub events: Option<AbortHandle>,
    pub relations: Option<AbortHandle>,
    /// A single request: for hidden values, or for the pods behind an object.
    pub lookup: Option<AbortHandle>,
}

impl PageTasks {
    /// Stops the tasks. The answers stay.
    pub(super) fn stop(&mut self) {
        let tasks = [&mut self.object, &mut self.events, &mut self.relations, &mut self.lookup];
        tasks.into_iter().filter_map(Option::take).for_each(|task| task.abort());
    }
}
