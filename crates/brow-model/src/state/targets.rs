//! Saved targets, their edits on the way to the file, and what is remembered by their names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::language::effect::TargetEdit;
use crate::language::fault::Fault;
use crate::types::target::Target;

/// Saved targets and the edits of them.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    all: Vec<Target>,
    /// Names of targets that are in no file: they last until the program ends, unless they are saved.
    temporary: BTreeSet<String>,
    /// Edits on their way to the file, oldest first.
    saving: VecDeque<Vec<TargetEdit>>,
    /// Edits that could not be written; they are tried again when the config is read again.
    unsaved: Vec<TargetEdit>,
    /// The fault of the last refused pod by target, until the next request.
    refusals: BTreeMap<String, Fault>,
    /// Ports that targets without one of their own had last.
    ports: BTreeMap<String, u16>,
    /// The targets that a subcommand was asked to forward.
    wants: BTreeSet<String>,
    /// Names of targets that are reachable now, as of the last arrangement.
    live: BTreeSet<String>,
}

impl Targets {
    /// Returns the targets, in the file's order.
    pub fn all(&self) -> &[Target] {
        &self.all
    }

    /// Replaces the targets by those of the file; temporary ones stay. Returns the targets before, and the edits that
    /// could not be written, to be applied and saved again.
    pub(crate) fn replace(&mut self, targets: Vec<Target>) -> (Vec<Target>, Vec<TargetEdit>) {
        let before = std::mem::replace(&mut self.all, targets);
        self.temporary.retain(|name| self.all.iter().all(|target| target.name != *name));
        self.all.extend(before.iter().filter(|target| self.temporary.contains(&target.name)).cloned());
        (before, std::mem::take(&mut self.unsaved))
    }

    /// Adds a target that is not saved, unless there is one of its name.
    pub(crate) fn add_temporary(&mut self, target: Target) {
        if self.all.iter().all(|known| known.name != target.name) {
            self.temporary.insert(target.name.clone());
            self.all.push(target);
        }
    }

    /// Returns true if a target is not saved.
    pub fn is_temporary(&self, name: &str) -> bool {
        self.temporary.contains(name)
    }

    /// Turns edits of targets into those of the file, which has no temporary ones: whoever changes one saves it.
    pub(crate) fn edits_of_file(&mut self, edits: Vec<TargetEdit>) -> Vec<TargetEdit> {
        let of_file = |edit| match edit {
            TargetEdit::Replace { was, target } if self.temporary.remove(&was.name) => Some(TargetEdit::Add(target)),
            TargetEdit::Remove(was) if self.temporary.remove(&was.name) => None,
            edit => Some(edit),
        };
        edits.into_iter().filter_map(of_file).collect()
    }

    /// Applies an edit. What is remembered by the name of a renamed target goes along.
    pub(crate) fn apply(&mut self, edit: &TargetEdit) {
        match edit {
            TargetEdit::Add(target) | TargetEdit::Import(target) | TargetEdit::Restore(target) => {
                if self.all.iter().all(|old| old.name != target.name) {
                    self.all.push(target.clone());
                }
            }
            TargetEdit::Replace { was, target } => match self.all.iter_mut().find(|old| old.name == was.name) {
                Some(old) => old.clone_from(target),
                None => self.all.push(target.clone()),
            },
            TargetEdit::Remove(was) => {
                self.all.retain(|target| target.name != was.name);
                self.refusals.remove(&was.name);
            }
        }
    }

    /// Moves what is remembered by a target's name to its new name.
    pub(crate) fn rename(&mut self, name: &str, new: &str) {
        if let Some(port) = self.ports.remove(name) {
            self.ports.insert(new.to_owned(), port);
        }
        if let Some(fault) = self.refusals.remove(name) {
            self.refusals.insert(new.to_owned(), fault);
        }
    }

    /// Returns the edits on their way to the file, oldest first.
    pub fn saving(&self) -> impl Iterator<Item = &TargetEdit> {
        self.saving.iter().flatten()
    }

    pub(crate) fn begin_save(&mut self, edits: Vec<TargetEdit>) {
        self.saving.push_back(edits);
    }

    /// Ends the oldest save. Returns its edits.
    pub(crate) fn end_save(&mut self) -> Vec<TargetEdit> {
        self.saving.pop_front().unwrap_or_default()
    }

    /// Returns the edits that could not be written.
    pub fn unsaved(&self) -> &[TargetEdit] {
        &self.unsaved
    }

    pub(crate) fn keep_unsaved(&mut self, edits: Vec<TargetEdit>) {
        self.unsaved.extend(edits);
    }

    /// Returns the fault of a target's last refused pod, until the next request.
    pub fn refusal(&self, name: &str) -> Option<&Fault> {
        self.refusals.get(name)
    }

    pub(crate) fn refuse(&mut self, name: &str, fault: Fault) {
        self.refusals.insert(name.to_owned(), fault);
    }

    pub(crate) fn clear_refusal(&mut self, name: &str) {
        self.refusals.remove(name);
    }

    /// Returns the remembered ports, by the names of [`port_name`](crate::types::forward::port_name).
    pub(crate) fn ports(&self) -> &BTreeMap<String, u16> {
        &self.ports
    }

    pub(crate) fn remember_ports(&mut self, ports: impl IntoIterator<Item = (String, u16)>) {
        self.ports.extend(ports);
    }

    pub(crate) fn wants(&self) -> &BTreeSet<String> {
        &self.wants
    }

    pub(crate) fn want(&mut self, names: &[String]) {
        self.wants.extend(names.iter().cloned());
    }

    pub(crate) fn is_live(&self, name: &str) -> bool {
        self.live.contains(name)
    }

    pub(crate) fn set_live(&mut self, names: BTreeSet<String>) {
        self.live = names;
    }
}

/// Access for tests that put a part together by hand.
#[cfg(any(test, feature = "fixtures"))]
impl Targets {
    pub fn all_mut(&mut self) -> &mut Vec<Target> {
        &mut self.all
    }

    pub fn ports_mut(&mut self) -> &mut BTreeMap<String, u16> {
        &mut self.ports
    }

    pub fn unsaved_mut(&mut self) -> &mut Vec<TargetEdit> {
        &mut self.unsaved
    }
}
