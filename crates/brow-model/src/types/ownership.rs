//! Ownership of pods: ours are those that this installation created, by their uids. Labels and annotations, which
//! anybody can write, only select candidates.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::proxy::ProxyPod;

/// The uids of our pods.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ownership {
    /// Pods that this installation created. A uid is never used again, so none is removed while the program runs.
    uids: BTreeSet<String>,
    /// Candidates that were looked up, or are being.
    pub(crate) looked_up: BTreeSet<String>,
    /// Candidates without an answer, as they were last seen, since ours are kept even where there is room for no other.
    pub(crate) pending: BTreeMap<String, ProxyPod>,
}

/// A pod's own statement of its origin, to be compared with the record that was made before the pod was requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// Its `brow/nonce` annotation.
    pub nonce: String,
}

impl Ownership {
    /// Adds uids of pods that this installation created.
    pub fn extend(&mut self, uids: impl IntoIterator<Item = String>) {
        self.uids.extend(uids.into_iter().filter(|uid| !uid.is_empty()));
    }

    /// Returns true if a pod of this uid is ours.
    pub fn has(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }
}
