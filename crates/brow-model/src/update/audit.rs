//! The audit log: a line for each thing done, written once its outcome is known.

use crate::language::effect::{AuditEntry, Effect, StoreEffect, TargetEdit};
use crate::language::fault::{Fault, What};
use crate::state::Model;
use crate::types::target::Target;

impl Model {
    /// Writes a line of the audit log.
    pub(crate) fn audit(
        &self,
        action: &'static str,
        thing: &str,
        location: Option<(&str, &str)>,
        fault: Option<What>,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Store(StoreEffect::Audit(AuditEntry {
            at: self.now,
            action,
            thing: thing.to_owned(),
            cluster: location.map(|(cluster, _)| cluster.to_owned()),
            namespace: location.map(|(_, namespace)| namespace.to_owned()),
            fault,
        })));
    }

    /// Writes what became of a connection.
    pub(crate) fn audit_cluster(&self, action: &'static str, name: &str, fault: Option<What>, out: &mut Vec<Effect>) {
        out.push(Effect::Store(StoreEffect::Audit(AuditEntry {
            at: self.now,
            action,
            thing: name.to_owned(),
            cluster: Some(name.to_owned()),
            namespace: None,
            fault,
        })));
    }

    /// Writes what became of edits: all made, or with the fault of a save. A file that contradicts an edit refuses
    /// only the one that the fault names; the others were made.
    pub(crate) fn audit_edits(&self, edits: &[TargetEdit], fault: Option<&Fault>, out: &mut Vec<Effect>) {
        let refused = |fault: &&Fault, edit: &TargetEdit| {
            let of_edit = |fault: &Fault, edit: &TargetEdit| edit.targets().iter().any(|one| one.name == fault.thing);
            !fault.what.ends_an_edit() || of_edit(fault, edit) || !edits.iter().any(|other| of_edit(fault, other))
        };
        for edit in edits {
            let target = edit.targets()[0];
            out.push(Effect::Store(StoreEffect::Audit(AuditEntry {
                at: self.now,
                action: edit.action(),
                thing: edit.thing(),
                cluster: Some(target.cluster.clone()),
                namespace: target.namespace.clone(),
                fault: fault.filter(|fault| refused(fault, edit)).map(|fault| fault.what),
            })));
        }
    }
}

impl TargetEdit {
    /// The target as it is after the edit, and for a replacement as it was before.
    fn targets(&self) -> [&Target; 2] {
        match self {
            Self::Add(target) | Self::Import(target) | Self::Remove(target) | Self::Restore(target) => [target, target],
            Self::Replace { was, target } => [target, was],
        }
    }

    /// Its word in the audit log.
    fn action(&self) -> &'static str {
        match self {
            Self::Add(_) => "add-target",
            Self::Import(_) => "import-targets",
            Self::Replace { was, target } if was.name != target.name => "rename-target",
            Self::Replace { .. } => "edit-target",
            Self::Remove(_) => "delete-target",
            Self::Restore(_) => "restore-target",
        }
    }

    /// The name of the edited object in the audit log.
    fn thing(&self) -> String {
        match self.targets() {
            [target, was] if was.name != target.name => format!("{} -> {}", was.name, target.name),
            [target, _] => target.name.clone(),
        }
    }
}
