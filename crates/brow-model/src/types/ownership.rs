//! Ownership of pods: ours are those that this installation created, by their uids. Labels and annotations, which
//! anybody can write, only select candidates.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::proxy::{MAX_PODS, ProxyPod};

/// The uids of our pods.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ownership {
    /// Pods that this installation created. A uid is never used again, so none is removed while the program runs.
    uids: BTreeSet<String>,
    /// Candidates that were looked up, or are being.
    looked_up: BTreeSet<String>,
    /// Candidates without an answer, as they were last seen, since ours are kept even where there is room for no other.
    pending: BTreeMap<String, ProxyPod>,
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

    /// Takes a pod as it is seen now. Returns true if it has to be looked up: it claims to be ours, is not known as
    /// such and was not looked up before.
    pub(crate) fn see(&mut self, pod: &ProxyPod, claims: bool) -> bool {
        // Of a list that is too long ours come last: those before them, whatever they claim, leave them room.
        let is_full = self.pending.len() > 2 * MAX_PODS;
        let is_new = claims && !self.has(&pod.uid) && !is_full && self.looked_up.insert(pod.uid.clone());
        if is_new || self.pending.contains_key(&pod.uid) {
            self.pending.insert(pod.uid.clone(), pod.clone());
        }
        is_new
    }

    /// Ends looking a pod up; after `None` it is looked up again when it is next seen. Returns it as last seen.
    pub(crate) fn answer(&mut self, uid: &str, is_ours: Option<bool>) -> Option<ProxyPod> {
        match is_ours {
            Some(true) => self.extend([uid.to_owned()]),
            Some(false) => {}
            None => drop(self.looked_up.remove(uid)),
        }
        self.pending.remove(uid)
    }

    /// Forgets a pod that is gone.
    pub(crate) fn forget(&mut self, uid: &str) {
        self.looked_up.remove(uid);
        self.pending.remove(uid);
    }

    /// Returns the pods that are being looked up, by uid.
    pub(crate) fn pending(&self) -> &BTreeMap<String, ProxyPod> {
        &self.pending
    }

    /// Returns true if a pod of this uid is ours.
    pub fn has(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }
}
