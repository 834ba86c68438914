//! The audit log: a line for each thing done, written once its outcome is known.

use crate::language::effect::{AuditEntry, Effect, StoreEffect, TargetEdit};
use crate::language::fault::{Fault, What};
use crate::state::Model;
use crate::types::forward::Forward;
use crate::types::gateway::GatewayChange;
use crate::types::proxy::PodSelector;
use crate::types::target::Target;

impl Model {
    /// Writes what became of a forward.
    pub(crate) fn audit_forward(
        &self,
        action: &'static str,
        forward: &Forward,
        fault: Option<What>,
        out: &mut Vec<Effect>,
    ) {
        let PodSelector { cluster, namespace, .. } = &forward.spec.selector;
        let agent = forward.agent.as_ref().map(|mark| mark.client.clone());
        self.write(action, forward.spec.target.clone(), (Some(cluster), Some(namespace)), (agent, fault), out);
    }

    /// Writes what became of a pod, for an agent's forward or a person's.
    pub(crate) fn audit_pod(
        &self,
        (action, thing): (&'static str, &str),
        (cluster, namespace): (&str, &str),
        agent: Option<String>,
        fault: Option<What>,
        out: &mut Vec<Effect>,
    ) {
        self.write(action, thing.to_owned(), (Some(cluster), Some(namespace)), (agent, fault), out);
    }

    /// Writes what an agent asked for, by the name of its program.
    pub(crate) fn audit_agent(&self, action: &'static str, target: &str, agent: &str, out: &mut Vec<Effect>) {
        let cluster = self.target(target).map(|target| target.cluster.as_str());
        self.write(action, target.to_owned(), (cluster, None), (Some(agent.to_owned()), None), out);
    }

    /// Writes what became of a connection.
    pub(crate) fn audit_cluster(&self, action: &'static str, name: &str, fault: Option<What>, out: &mut Vec<Effect>) {
        self.write(action, name.to_owned(), (Some(name), None), (None, fault), out);
    }

    /// Writes what became of a change of a gateway.
    pub(crate) fn audit_gateway(
        &self,
        change: GatewayChange,
        name: &str,
        cluster: &str,
        fault: Option<What>,
        out: &mut Vec<Effect>,
    ) {
        self.write(change.action(), name.to_owned(), (Some(cluster), None), (None, fault), out);
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
            let location = (Some(&*target.cluster), target.namespace.as_deref());
            let fault = fault.filter(|fault| refused(fault, edit)).map(|fault| fault.what);
            self.write(edit.action(), edit.thing(), location, (None, fault), out);
        }
    }

    /// Writes what a person did to an object of a cluster, and who that is.
    pub(crate) fn audit_thing(
        &self,
        action: &'static str,
        thing: String,
        (cluster, namespace): (&str, Option<&str>),
        fault: Option<What>,
        out: &mut Vec<Effect>,
    ) {
        let (cluster, namespace) = (Some(cluster.to_owned()), namespace.map(str::to_owned));
        let by = Some(self.me.clone());
        let entry = AuditEntry { at: self.now, action, thing, by, cluster, namespace, agent: None, fault, shell: None };
        out.push(Effect::Store(StoreEffect::Audit(entry)));
    }

    fn write(
        &self,
        action: &'static str,
        thing: String,
        (cluster, namespace): (Option<&str>, Option<&str>),
        (agent, fault): (Option<String>, Option<What>),
        out: &mut Vec<Effect>,
    ) {
        let (cluster, namespace) = (cluster.map(str::to_owned), namespace.map(str::to_owned));
        let entry = AuditEntry { at: self.now, action, thing, by: None, cluster, namespace, agent, fault, shell: None };
        out.push(Effect::Store(StoreEffect::Audit(entry)));
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
