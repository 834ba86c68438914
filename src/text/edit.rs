//! The words about objects that are edited.

use super::Text;
use brow_model::edit::{Method, Proposal, Reach, Rollout};
use brow_model::fault::Fault;
use brow_model::index::ObjectRef;
use brow_model::object_edit::Stage;

/// Fields that are listed before the rest is only counted.
const MAX_FIELDS: usize = 12;

impl Text {
    /// Returns the words that stand above a text in the editor: how to go on, or why it was refused.
    pub fn edit_header(&self, fault: Option<&Fault>) -> String {
        match fault {
            None => self.get("edit.intro").to_owned(),
            Some(fault) => format!("{}\n{}", self.fault_once(fault).in_full(), self.get("edit.intro-again")),
        }
    }

    /// Returns the buttons of an edit, the harmless one first.
    pub fn edit_buttons(&self, stage: &Stage) -> Vec<String> {
        let keys: &[&str] = match stage {
            Stage::Opening | Stage::InEditor(_) | Stage::Trying(_) | Stage::Applying(_) => &[],
            Stage::Failed(_) => &["edit.close"],
            Stage::Refused { .. } => &["edit.leave", "edit.again"],
            Stage::Proposed(proposal) => match proposal.method {
                Method::Create => &["edit.leave", "edit.create", "edit.again"],
                _ if !proposal.managed.is_empty() => &["edit.leave", "edit.take-over", "edit.again"],
                _ => &["edit.leave", "edit.apply", "edit.again"],
            },
        };
        keys.iter().map(|key| self.get(key).to_owned()).collect()
    }

    /// Returns the consequences of a change, one in each line.
    pub fn edit_warnings(&self, proposal: &Proposal) -> Vec<String> {
        let mut all: Vec<String> = proposal.reach.iter().map(|reach| self.reach(reach)).collect();
        if !proposal.managed.is_empty() {
            let shown = proposal.managed.iter().take(MAX_FIELDS).cloned().collect::<Vec<_>>().join(", ");
            let more = proposal.managed.len().saturating_sub(MAX_FIELDS);
            let more = if more > 0 { self.fill("edit.more", &[("count", &more.to_string())]) } else { String::new() };
            all.push(self.fill("edit.managed", &[("names", &format!("{shown}{more}"))]));
        }
        all
    }

    /// Returns the consequence for the cluster's nodes.
    fn reach(&self, reach: &Reach) -> String {
        let nodes = match reach.nodes {
            Some(count) => self.fill("edit.nodes", &[("count", &count.to_string())]),
            None => self.get("edit.nodes-unknown").to_owned(),
        };
        let key = match reach.action {
            Rollout::Upgrade => "edit.reach-upgrade",
            Rollout::Pods => "edit.reach-pods",
            Rollout::Jobs => "edit.reach-jobs",
            Rollout::Images => "edit.reach-images",
        };
        let mut parts = vec![self.fill(key, &[("nodes", &nodes)])];
        parts.extend(reach.at_once.map(|count| self.fill("edit.reach-at-once", &[("count", &count.to_string())])));
        if reach.drains {
            parts.push(self.get("edit.reach-drains").to_owned());
        } else if reach.cordons {
            parts.push(self.get("edit.reach-cordons").to_owned());
        }
        parts.join(" ")
    }

    /// The question whether to delete an object.
    pub(super) fn delete_object(&self, object: &ObjectRef, production: bool) -> (String, String, Vec<String>) {
        let place = if object.namespace.is_empty() {
            object.cluster.clone()
        } else {
            format!("{} / {}", object.cluster, object.namespace)
        };
        let (name, kind) = (object.name.as_str(), object.kind.kind.as_str());
        let parts = [("name", name), ("kind", kind), ("where", &place), ("cluster", object.cluster.as_str())];
        let mut says = vec![self.fill("edit.deletes-says", &parts)];
        says.extend(self.deletion(object).map(str::to_owned));
        says.extend(production.then(|| self.fill("question.agent-production", &parts)));
        let buttons = ["button.cancel", "button.delete"].map(|key| self.get(key).to_owned()).to_vec();
        (self.fill("edit.deletes", &parts), says.join("\n"), buttons)
    }

    /// Returns what the deletion of an object does beyond it, if that is known.
    fn deletion(&self, object: &ObjectRef) -> Option<&str> {
        Some(self.get(match Rollout::of(&object.kind)? {
            Rollout::Upgrade => "edit.deletes-plan",
            Rollout::Pods | Rollout::Jobs | Rollout::Images => "edit.deletes-pods",
        }))
    }
}
