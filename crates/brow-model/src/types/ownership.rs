//! Which pods are ours: those that this installation made, by their uids. Labels and annotations, which anybody can
//! write, only say which pods are worth a look.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::proxy::ProxyPod;

/// The uids of our pods.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ownership {
    /// Those that this installation made. A uid is never used again, so none is taken out while the program runs.
    uids: BTreeSet<String>,
    /// Those that say so and were looked up, or are being.
    pub(crate) looked_up: BTreeSet<String>,
    /// Of these, the ones without an answer, as they were last seen: what is ours is taken even where no other fits.
    pub(crate) pending: BTreeMap<String, ProxyPod>,
}

/// What a pod says of how it came to be, to be compared with what was written down before it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its `brow/nonce` annotation.
    pub nonce: String,
}

impl Ownership {
    /// Takes uids of pods that this installation is known to have made.
    pub fn extend(&mut self, uids: impl IntoIterator<Item = String>) {
        self.uids.extend(uids.into_iter().filter(|uid| !uid.is_empty()));
    }

    /// Whether a pod of this uid is ours.
    pub fn has(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }
}
