//! Other running instances of this program, and their forwards.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::forward::ForwardId;
use crate::types::instance::{ForwardReport, RemoteForward, RemoteInstance, Report, Role};
use crate::types::shell::RemoteShell;

/// Other instances and their forwards.
#[derive(Debug, Clone, Default)]
pub struct Instances {
    all: BTreeMap<String, RemoteInstance>,
    forwards: BTreeMap<ForwardId, RemoteForward>,
    /// The name of this instance among the others, if it has one.
    own_name: Option<String>,
    /// True once the instances that were there at the start have reported.
    are_known: bool,
    /// The pods of sessions on nodes of whose end a person was warned.
    warned: BTreeSet<String>,
}

impl Instances {
    /// Returns every other instance, by its name.
    pub fn all(&self) -> &BTreeMap<String, RemoteInstance> {
        &self.all
    }

    /// Returns the forwards of other instances, by the row that each has here.
    pub fn forwards(&self) -> &BTreeMap<ForwardId, RemoteForward> {
        &self.forwards
    }

    /// Returns the sessions in containers, the oldest first.
    pub fn shells(&self) -> Vec<RemoteShell> {
        let of = |(instance, other): (&String, &RemoteInstance)| {
            let (instance, pid) = (instance.clone(), other.pid);
            let shells = other.shells.clone().into_iter();
            shells.map(move |shell| RemoteShell { instance: instance.clone(), pid, shell }).collect::<Vec<_>>()
        };
        let mut all: Vec<RemoteShell> = self.all.iter().flat_map(of).collect();
        all.sort_by_key(|one| (one.shell.began, one.pid));
        all
    }

    /// Notes that a person is warned of the end of a session's pod. Returns true if that was not so.
    pub(crate) fn begin_warning(&mut self, pod: &str) -> bool {
        self.warned.insert(pod.to_owned())
    }

    /// Replaces what is known of an instance by its report. A forward that was known keeps its row; `next` numbers new
    /// ones. Returns the forwards before.
    pub(crate) fn replace(
        &mut self,
        instance: &str,
        report: Report,
        mut next: impl FnMut() -> u64,
    ) -> BTreeMap<ForwardId, ForwardReport> {
        let Report { pid, role, forwards, leaving, ended: _, wants, asks, shells } = report;
        let asks = asks.iter().map(|approval| approval.question).collect();
        self.all.insert(instance.to_owned(), RemoteInstance { pid, role, leaving, silent: false, wants, asks, shells });
        let its = self.forwards.extract_if(.., |_, other| other.instance == instance);
        let before: BTreeMap<ForwardId, ForwardReport> = its.map(|(id, other)| (id, other.forward)).collect();
        for forward in forwards {
            let known = before.iter().find(|(_, old)| old.id == forward.id).map(|(id, _)| *id);
            let id = known.unwrap_or_else(|| ForwardId(next()));
            self.forwards.insert(id, RemoteForward { instance: instance.to_owned(), pid, role, forward });
        }
        before
    }

    /// Removes an instance that has ended, and its forwards.
    pub(crate) fn remove(&mut self, instance: &str) {
        self.all.remove(instance);
        self.forwards.retain(|_, other| other.instance != instance);
    }

    /// Notes that an instance does not answer. It may still have the forwards that it reported last.
    pub(crate) fn mark_silent(&mut self, instance: String, pid: u32) {
        let (wants, asks, shells) = (Vec::new(), Vec::new(), Vec::new());
        let unknown = RemoteInstance { pid, role: Role::Unknown, leaving: false, silent: true, wants, asks, shells };
        self.all.entry(instance).or_insert(unknown).silent = true;
    }

    /// Returns true if a dashboard runs and answers.
    pub(crate) fn has_dashboard(&self) -> bool {
        self.all.values().any(|at| at.role == Role::Dashboard && !at.leaving && !at.silent)
    }

    /// Names this instance, as the others know it.
    pub fn set_own_name(&mut self, name: Option<String>) {
        self.own_name = name;
    }

    pub(crate) fn own_name(&self) -> Option<&str> {
        self.own_name.as_deref()
    }

    pub(crate) fn are_known(&self) -> bool {
        self.are_known
    }

    pub(crate) fn mark_known(&mut self) {
        self.are_known = true;
    }
}

/// Access for tests that put a part together by hand.
#[cfg(any(test, feature = "fixtures"))]
impl Instances {
    pub fn forwards_mut(&mut self) -> &mut BTreeMap<ForwardId, RemoteForward> {
        &mut self.forwards
    }
}
