//! Targets under a new name: their forwards, ports and pods stay theirs.
//!
//! A pod's label comes from the name its target had when it was made, and stays. So it is read anew: a pod counts as
//! one of the target that its label's owner is called now.

use std::collections::BTreeMap;

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
            for forward in self.forwards.all.values_mut().filter(|forward| forward.spec.target == was.name) {
                forward.spec.target.clone_from(&target.name);
                if carried {
                    forward.spec.selector.label.clone_from(&new);
                }
            }
            for asked in self.pods.requests.values_mut().filter(|asked| asked.target == was.name) {
                asked.target.clone_from(&target.name);
                asked.label.clone_from(&new);
            }
            for name in self.pods.renamed.values_mut().filter(|name| **name == was.name) {
                name.clone_from(&target.name);
            }
            if let Some(port) = self.targets.ports.remove(&was.name) {
                self.targets.ports.insert(target.name.clone(), port);
            }
            if let Some(fault) = self.targets.refused.remove(&was.name) {
                self.targets.refused.insert(target.name.clone(), fault);
            }
        }
        if carried {
            for selector in self.pods.lifecycle.on_demand.values_mut() {
                if (&selector.cluster, &selector.label) == (&target.cluster, &old) {
                    selector.label.clone_from(&new);
                }
            }
            self.pods.renamed.insert((target.cluster.clone(), old.clone()), target.name.clone());
            let carriers = self.pods.all.values_mut().filter(|pod| pod.key.cluster == target.cluster);
            for pod in carriers.filter(|pod| pod.target_label == old) {
                pod.target_label.clone_from(&new);
                if self.pods.ownership.has(&pod.uid) {
                    pod.target.clone_from(&target.name);
                }
            }
        }
    }

    /// Targets read from the file again: one that went while one to the same place came has another name now. Of one
    /// that merely went nothing is kept.
    pub(crate) fn find_renamed(&mut self, before: &[Target], out: &mut Vec<Effect>) {
        let gone: Vec<&Target> = before.iter().filter(|was| self.target(&was.name).is_none()).collect();
        let known = |name: &str| before.iter().any(|was| was.name == name);
        let new: Vec<Target> = self.targets.all.iter().filter(|target| !known(&target.name)).cloned().collect();
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
                self.targets.refused.remove(&was.name);
                edits.push(TargetEdit::Remove((*was).clone()));
            }
        }
        if !edits.is_empty() {
            out.push(Effect::Store(StoreEffect::Follow(edits)));
        }
    }

    /// Has a pod's label say which target it is one of now. A target that bears the label itself comes first. Of the
    /// labels that were made without a salt, which anybody can make, only our own pods' are read.
    pub(crate) fn read_label(&self, pod: &mut ProxyPod) {
        if self.target_of_pod(pod).is_some() {
            return;
        }
        let ours = self.is_ours(pod);
        let key = (pod.key.cluster.clone(), pod.target_label.clone());
        let renamed = self.pods.renamed.get(&key).and_then(|name| self.target(name));
        let unsalted =
            |target: &&Target| ours && target.cluster == pod.key.cluster && target.unsalted_label() == pod.target_label;
        if let Some(target) = renamed.or_else(|| self.targets.all.iter().find(unsalted)) {
            pod.target_label = target.label(&self.installation);
            if ours {
                pod.target.clone_from(&target.name);
            }
        }
    }

    /// Takes what earlier runs renamed.
    pub(crate) fn remember_renamed(&mut self, earlier: BTreeMap<(String, String), String>) {
        for (label, name) in earlier {
            self.pods.renamed.entry(label).or_insert(name);
        }
    }
}
