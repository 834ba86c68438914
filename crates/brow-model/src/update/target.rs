//! Targets: saved destinations.

use crate::language::effect::{ClusterEffect, Effect, StoreEffect, TargetEdit};
use crate::language::log::{Level, Message};
use crate::screen::batch::{Batch, Undo};
use crate::screen::dialog::{Dialog, Question};
use crate::screen::focus::Pane;
use crate::screen::form::TargetForm;
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::types::target::Target;
use crate::types::ttl::Ttl;
use crate::update::proxy::PodOrder;

impl Model {
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.all().iter().find(|target| target.name == name)
    }

    /// The local port that forwards of a target are to have: its own, else the one it had last; `None`: any.
    pub fn port_of(&self, target: &Target) -> Option<u16> {
        match target.local_port {
            0 => self.targets.ports().get(&target.name).copied(),
            port => Some(port),
        }
    }

    /// The marked targets, else the selected one.
    pub(crate) fn chosen_targets(&self) -> Vec<Target> {
        self.screen.targets.chosen().iter().filter_map(|name| self.target(name)).cloned().collect()
    }

    /// The target a pod was made for, where it is saved here.
    pub fn target_of_pod(&self, pod: &crate::types::proxy::ProxyPod) -> Option<&Target> {
        self.targets.all().iter().find(|target| self.is_labelled(target, pod))
    }

    /// Returns true if a pod bears a target's label, in its cluster.
    pub(crate) fn is_labelled(&self, target: &Target, pod: &crate::types::proxy::ProxyPod) -> bool {
        target.cluster == pod.key.cluster && target.label(&self.installation) == pod.target_label
    }

    /// Creates a pod for each chosen target.
    pub(crate) fn create_pods(&mut self, targets: &[Target], ttl: Option<Ttl>, out: &mut Vec<Effect>) {
        let mut asked = 0;
        for target in targets {
            let relayed = self.forwards_of(&target.name).any(|forward| !forward.is_direct());
            if target.address.is_direct() && !relayed {
                self.note(Level::Info, Message::NeedsNoPod, &target.name, target.address.to_string());
                continue;
            }
            asked += usize::from(self.request_pod(target, PodOrder { ttl, ..PodOrder::default() }, out).is_some());
        }
        self.note_batch(Batch::Created, asked);
        self.screen.targets.marks.clear();
    }

    /// Forwards each chosen target.
    pub(crate) fn forward_chosen(&mut self, out: &mut Vec<Effect>) {
        if self.screen.targets.selected().is_none() {
            self.nothing_selected();
        }
        self.open_all(&self.chosen_targets(), out);
        self.screen.targets.marks.clear();
    }

    /// Opens the dialog that asks for the TTL of pods about to be created.
    pub(crate) fn ask_ttl(&mut self) {
        let targets = self.chosen_targets();
        let Some(first) = targets.first() else { return self.nothing_selected() };
        let field = Field::new(first.ttl.unwrap_or(self.config.settings().ttl).to_string());
        let targets = targets.into_iter().map(|target| target.name).collect();
        self.screen.dialogs.push(Dialog::AskTtl { targets, field });
    }

    /// Opens the form for a new target, on the cluster that is in view. One of production is only taken from the
    /// clusters pane, where it was selected: elsewhere nobody has named it.
    pub(crate) fn new_target(&mut self) {
        let mut cluster = self.cluster_in_view();
        if self.screen.focus.pane != Pane::Clusters && self.is_production(&cluster) {
            cluster.clear();
        }
        let form = TargetForm::empty(&cluster);
        self.screen.dialogs.push(Dialog::TargetForm(Box::new(form)));
    }

    /// Opens the form for the selected target, or for a copy of it.
    pub(crate) fn edit_target(&mut self, copy: bool) {
        let Some(target) = self.screen.targets.selected().and_then(|name| self.target(name)) else {
            return self.nothing_selected();
        };
        let mut form =
            if copy { TargetForm::copy(target, &self.free_name(&target.name)) } else { TargetForm::editing(target) };
        form.check(self);
        self.screen.dialogs.push(Dialog::TargetForm(Box::new(form)));
    }

    /// Opens the dialog for a new name.
    pub(crate) fn rename_target(&mut self) {
        let Some(name) = self.screen.targets.selected().cloned() else { return self.nothing_selected() };
        let field = Field::new(name.clone());
        self.screen.dialogs.push(Dialog::Rename { name, field });
    }

    /// `name-2`, or the first number that is free.
    pub(crate) fn free_name(&self, name: &str) -> String {
        let stem = match name.rsplit_once('-') {
            Some((stem, number)) if !stem.is_empty() && number.parse::<u32>().is_ok() => stem,
            Some(_) | None => name,
        };
        let taken = |name: &String| self.target(name).is_some();
        (2u32..=u32::MAX).map(|number| format!("{stem}-{number}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Asks whether the chosen targets are to go.
    pub(crate) fn ask_delete(&mut self) {
        let names: Vec<String> = self.chosen_targets().into_iter().map(|target| target.name).collect();
        if names.is_empty() {
            return self.nothing_selected();
        }
        self.ask(Question::DeleteTargets(names));
    }

    /// Saves what a form says.
    pub(crate) fn save_target(&mut self, was: Option<Target>, target: &Target, out: &mut Vec<Effect>) {
        let before = self.targets.all().to_vec();
        let edit = match was {
            Some(was) => TargetEdit::Replace { was: Box::new(was), target: target.clone() },
            None => TargetEdit::Add(target.clone()),
        };
        self.apply(&edit);
        self.save(vec![edit], out);
        self.note(Level::Success, Message::TargetSaved, &target.name, "");
        self.select_target(&target.name);
        self.widen(&target.cluster, out);
        self.apply_target_edits(&before, out);
    }

    /// Gives a target another name. Its open forwards take the name over.
    pub(crate) fn save_name(&mut self, name: &str, new: &str, out: &mut Vec<Effect>) {
        let Some(was) = self.target(name).cloned() else { return };
        let target = Target { name: new.to_owned(), ..was.clone() };
        let edit = TargetEdit::Replace { was: Box::new(was), target };
        self.apply(&edit);
        self.save(vec![edit], out);
        self.note(Level::Success, Message::TargetRenamed, name, new);
        self.select_target(new);
    }

    /// Deletes targets; their forwards are closed, their pods left to their TTL.
    pub(crate) fn delete_targets(&mut self, names: &[String], out: &mut Vec<Effect>) {
        let mut gone: Vec<Target> = names.iter().filter_map(|name| self.target(name)).cloned().collect();
        let edits: Vec<TargetEdit> = gone.iter().cloned().map(TargetEdit::Remove).collect();
        for (edit, target) in edits.iter().zip(&gone) {
            for id in self.forwards.ids(|forward| forward.spec.target == target.name) {
                self.stop_forward(id, out);
            }
            self.apply(edit);
            if !self.targets.is_temporary(&target.name) {
                self.note(Level::Warning, Message::TargetDeleted, &target.name, "");
            }
        }
        self.screen.targets.marks.clear();
        gone.retain(|target| !self.targets.is_temporary(&target.name));
        self.note_batch(Batch::Deleted, gone.len());
        if !gone.is_empty() {
            self.screen.undo.push(Undo::Deleted(gone));
        }
        self.save(edits, out);
    }

    /// Applies an edit to the targets in memory.
    pub(crate) fn apply(&mut self, edit: &TargetEdit) {
        self.screen.unarranged = true;
        if let TargetEdit::Replace { was, target } = edit {
            self.follow_rename(was, target);
        }
        self.targets.apply(edit);
    }

    /// Sends edits to the store. The audit log hears of them with the answer.
    pub(crate) fn save(&mut self, edits: Vec<TargetEdit>, out: &mut Vec<Effect>) {
        let edits = self.targets.edits_of_file(edits);
        if !edits.is_empty() {
            self.targets.begin_save(edits.clone());
            out.push(Effect::Store(StoreEffect::Save(edits)));
        }
    }

    pub(crate) fn select_target(&mut self, name: &str) {
        self.screen.targets.wanted = Some(name.to_owned());
        self.screen.unarranged = true;
    }

    /// Extends the watch of a connected cluster to its targets' namespaces.
    pub(crate) fn widen(&mut self, cluster: &str, out: &mut Vec<Effect>) {
        if self.cluster(cluster).is_some_and(|at| at.link != crate::types::cluster::Link::Idle) {
            let namespaces = self.namespaces(cluster);
            out.push(Effect::Cluster(ClusterEffect::Widen { cluster: cluster.to_owned(), namespaces }));
        }
    }

    pub(crate) fn nothing_selected(&mut self) {
        self.note(Level::Info, Message::NothingSelected, "", "");
    }
}
