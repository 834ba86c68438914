//! Targets under a new name: their forwards, ports and pods stay theirs.
//!
//! A pod's label comes from the name its target had when it was made, and stays. So it is read anew: a pod counts as
//! one of the target that its label's owner is called now.

use crate::language::effect::{Effect, StoreEffect, TargetEdit};
use crate::state::Model;
use crate::types::proxy::ProxyPod;
use crate::types::target::Target;

impl Model {
    /// A target becomes another: what is kept under its name goes along.
    pub(crate) fn follow_rename(&mut self, was: &Target, target: &Target) {
        let (old, new) = (was.label(&self.installation), target.label(&self.installation));
        let carried = was.cluster == target.cluster && old != new;
        if was.name != target.name {
            for forward in self.forwards.iter_mut().filter(|forward| forward.spec.target == was.name) {
                forward.spec.target.clone_from(&target.name);
                if carried {
                    forward.spec.selector.label.clone_from(&new);
                }
            }
            self.pods.rename(&was.name, &target.name, &new);
            self.targets.rename(&was.name, &target.name);
        }
        if carried {
            self.pods.relabel(&target.cluster, &old, &new, &target.name);
        }
    }

    /// Targets read from the file again: one that went while one to the same place came has another name now. Of one
    /// that merely went nothing is kept.
    pub(crate) fn find_renamed(&mut self, before: &[Target], out: &mut Vec<Effect>) {
        let gone: Vec<&Target> = before.iter().filter(|was| self.target(&was.name).is_none()).collect();
        let known = |name: &str| before.iter().any(|was| was.name == name);
        let new: Vec<Target> = self.targets.all().iter().filter(|target| !known(&target.name)).cloned().collect();
        let same = |was: &Target, target: &Target| {
            (&was.cluster, &was.namespace, &was.address) == (&target.cluster, &target.namespace, &target.address)
        };
        let mut edits = Vec::new();
        for was in &gone {
            let mut here = new.iter().filter(|target| same(was, target));
            // Of two that could be it, neither is taken for it.
            if let (Some(target), None) = (here.next(), here.next())
                && gone.iter().filter(|other| same(other, target)).count() == 1
            {
                self.follow_rename(was, target);
                edits.push(TargetEdit::Replace { was: Box::new((*was).clone()), target: target.clone() });
            } else {
                self.targets.clear_refusal(&was.name);
                edits.push(TargetEdit::Remove((*was).clone()));
            }
        }
        if !edits.is_empty() {
            out.push(Effect::Store(StoreEffect::Follow(edits)));
        }
    }

    /// Finds the target that a pod's label stands for now. A target that bears the label itself comes first. Of the
    /// labels that were made without a salt, which anybody can make, only our own pods' are read.
    pub(crate) fn read_label(&self, pod: &mut ProxyPod) {
        if self.target_of_pod(pod).is_some() {
            return;
        }
        let ours = self.is_ours(pod);
        let key = (pod.key.cluster.clone(), pod.target_label.clone());
        let renamed = self.pods.renamed().get(&key).and_then(|name| self.target(name));
        let unsalted =
            |target: &&Target| ours && target.cluster == pod.key.cluster && target.unsalted_label() == pod.target_label;
        if let Some(target) = renamed.or_else(|| self.targets.all().iter().find(unsalted)) {
            pod.target_label = target.label(&self.installation);
            if ours {
                pod.target.clone_from(&target.name);
            }
        }
    }
}
