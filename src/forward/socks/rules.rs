//! The rules of one proxy target: the destinations that its clients may name, and how many flows they may open.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use brow_model::address::Address;
use brow_model::allow::AllowList;

/// The most refused destinations that are reported; a browser may name thousands.
const MAX_REPORTED: usize = 32;

/// The most flows of all clients together: each may hold datagrams back until there is a pod.
const MAX_FLOWS: usize = 500;

/// The rules of one forward.
pub(in crate::forward) struct Rules {
    pub(super) allow: AllowList,
    /// The destinations that were refused and reported.
    reported: Mutex<BTreeSet<Address>>,
    /// The flows that all clients together may still open.
    pub(super) flows: Arc<Semaphore>,
    /// The domain of the cluster's names, once it is known.
    pub(super) domain: OnceLock<String>,
}

impl Rules {
    pub(in crate::forward) fn new(allow: AllowList) -> Self {
        let flows = Arc::new(Semaphore::new(MAX_FLOWS));
        Self { allow, reported: Mutex::default(), flows, domain: OnceLock::new() }
    }

    /// Returns true if clients may reach an address.
    pub(in crate::forward) fn allows(&self, to: &Address) -> bool {
        self.allow.allows(to)
    }

    /// Returns true for the first refusal of an address.
    pub(in crate::forward) fn is_news(&self, to: &Address) -> bool {
        let mut reported = self.reported.lock();
        reported.len() < MAX_REPORTED && reported.insert(to.clone())
    }
}
