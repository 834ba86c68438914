//! Forwards of this instance.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::forward::{Forward, ForwardId};
use crate::types::restore::OpenForward;

/// Forwards of this instance.
#[derive(Debug, Clone, Default)]
pub struct Forwards {
    all: BTreeMap<ForwardId, Forward>,
    /// Forwards that somebody stopped in another instance: the instance, and the forward's name there.
    stopped: BTreeSet<(String, String)>,
    /// The numbers of the forwards that end with the program, once it ends.
    ended: Option<Vec<u64>>,
    /// True once the forwards that open at start were opened.
    autostarted: bool,
    /// The forwards that are remembered as open; `None` until those of earlier runs are known.
    remembered: Option<Vec<OpenForward>>,
    /// The forwards of earlier runs that are offered and not yet answered for.
    offered: Vec<OpenForward>,
}

impl Forwards {
    /// Returns the forwards, in the order of opening.
    pub fn all(&self) -> &BTreeMap<ForwardId, Forward> {
        &self.all
    }

    /// Returns the ids of the forwards that a condition holds for.
    pub(crate) fn ids(&self, holds: impl Fn(&Forward) -> bool) -> Vec<ForwardId> {
        self.all.values().filter(|forward| holds(forward)).map(|forward| forward.spec.id).collect()
    }

    pub(crate) fn get_mut(&mut self, id: ForwardId) -> Option<&mut Forward> {
        self.all.get_mut(&id)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Forward> {
        self.all.values_mut()
    }

    pub(crate) fn insert(&mut self, forward: Forward) {
        self.all.insert(forward.spec.id, forward);
    }

    pub(crate) fn remove(&mut self, id: ForwardId) -> Option<Forward> {
        self.all.remove(&id)
    }

    /// Notes that the program ends, and the forwards with it.
    pub(crate) fn end(&mut self) {
        self.autostarted = true;
        self.ended.get_or_insert_default().extend(self.all.keys().map(|id| id.0));
    }

    /// Returns the numbers of the forwards that end with the program, once it ends.
    pub(crate) fn ended(&self) -> Option<&[u64]> {
        self.ended.as_deref()
    }

    /// Begins to open the forwards that open at start; false if that was done.
    pub(crate) fn begin_autostart(&mut self) -> bool {
        !std::mem::replace(&mut self.autostarted, true)
    }

    /// Returns the forwards that are remembered as open; `None` until those of earlier runs are known.
    pub(crate) fn remembered(&self) -> Option<&[OpenForward]> {
        self.remembered.as_deref()
    }

    pub(crate) fn remember(&mut self, open: Vec<OpenForward>) {
        self.remembered = Some(open);
    }

    /// Returns the forwards of earlier runs that are offered and not yet answered for.
    pub(crate) fn offered(&self) -> &[OpenForward] {
        &self.offered
    }

    pub(crate) fn offer(&mut self, open: Vec<OpenForward>) {
        self.offered = open;
    }

    /// Returns the forwards that were stopped in other instances: the instance, and the forward's name there.
    pub fn stopped(&self) -> &BTreeSet<(String, String)> {
        &self.stopped
    }

    /// Notes forwards that were stopped in another instance. Those that it has again are not stopped any more.
    pub(crate) fn note_stopped<'a>(
        &mut self,
        instance: &str,
        stopped: impl Iterator<Item = &'a String>,
        has: impl Fn(&str) -> bool,
    ) {
        self.stopped.extend(stopped.map(|name| (instance.to_owned(), name.clone())));
        self.stopped.retain(|(of, name)| of != instance || !has(name));
    }
}

/// Access for tests that put a part together by hand.
#[cfg(any(test, feature = "fixtures"))]
impl Forwards {
    pub fn all_mut(&mut self) -> &mut BTreeMap<ForwardId, Forward> {
        &mut self.all
    }
}
