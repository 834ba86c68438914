//! Targets: saved places to reach.

use super::Model;
use super::dialog::{Dialog, Field, Question};
use super::effect::{Effect, TargetEdit};
use super::form::TargetForm;
use super::forward::ForwardId;
use super::installation::Installation;
use super::keep::KeepSettings;
use super::log::{Grade, Happening};
use super::settings::PodSettings;
use super::ttl::Ttl;
use super::workload::Where;

/// A saved place to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, unique, in any script.
    pub name: String,
    /// The kubeconfig context it is reached through.
    pub cluster: String,
    /// Where its proxy pods live; absent: the context's own namespace.
    pub namespace: Option<String>,
    /// Where to, as the cluster sees it: an address or a workload.
    pub address: Where,
    /// The local port; 0: any free one, remembered.
    pub local_port: u16,
    /// How long its proxy pods live; absent: the default.
    pub ttl: Option<Ttl>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// How its proxy pods are made, where it differs.
    pub pod: PodSettings,
    /// How its forwards are kept, where it differs.
    pub keep: KeepSettings,
}

impl Target {
    /// The value of the `brow/target` label on this target's pods, and the middle of their names.
    pub fn label(&self, installation: &Installation) -> String {
        label(&self.name, &self.address, installation)
    }

    /// What the label was when names were hashed without a salt: pods that were made then may still live.
    pub fn unsalted_label(&self) -> String {
        with_hash(&self.name, &self.address, fnv1a)
    }
}

/// The most bytes a label of ours has: `brow-` + label + `-` + 6 stays a DNS label of 63 (RFC 1123).
const LABEL_LEN: usize = 51;

/// Whether a name spells the address, so that it must not show in the cluster's objects. A workload is one of those
/// objects itself.
pub fn hides(name: &str, address: &Where) -> bool {
    match address {
        Where::Address(address) => plain(name).contains(&plain(&address.host.to_string())),
        Where::Workload(_) => false,
    }
}

/// The letters and digits of a text, lower case, with single dashes between.
fn plain(text: &str) -> String {
    let dashed: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// A DNS label for a target's name, always the same for the same name and address in one installation.
///
/// What a DNS label cannot hold (other scripts, case, length) is replaced by a hash of the name, so that two names
/// never share a label by being alike. A name that spells the address is hashed whole: the address must not show in
/// the cluster's objects. The hash is made with the installation's key, since addresses are few enough to be tried.
pub fn label(name: &str, address: &Where, installation: &Installation) -> String {
    with_hash(name, address, |name| {
        installation.derive("label", name).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    })
}

fn with_hash(name: &str, address: &Where, hash: impl Fn(&str) -> u64) -> String {
    let slug = plain(name);
    if hides(name, address) {
        return format!("t-{:016x}", hash(name));
    }
    if slug == name && slug.len() <= LABEL_LEN {
        return slug;
    }
    let hash = format!("{:08x}", hash(name) & 0xffff_ffff);
    let room = LABEL_LEN - hash.len() - 1;
    let kept = slug.get(..room).unwrap_or(&slug).trim_end_matches('-');
    if kept.is_empty() { format!("t-{hash}") } else { format!("{kept}-{hash}") }
}

/// FNV-1a, 64 bits: stable between versions and machines, which the standard library's hasher does not promise.
pub(super) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Model {
    /// The target of that name.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// The local port that forwards of a target are to have: its own, else the one it had last; `None`: any.
    pub fn port_of(&self, target: &Target) -> Option<u16> {
        match target.local_port {
            0 => self.ports.get(&target.name).copied(),
            port => Some(port),
        }
    }

    /// The marked targets, else the selected one.
    pub(super) fn chosen_targets(&self) -> Vec<Target> {
        self.target_list.chosen().iter().filter_map(|name| self.target(name)).cloned().collect()
    }

    /// The target a pod was made for, where it is saved here.
    pub fn target_of_pod(&self, pod: &super::proxy::ProxyPod) -> Option<&Target> {
        self.targets.iter().find(|target| self.is_labelled(target, pod))
    }

    /// Whether a pod bears a target's label, in its cluster.
    pub(super) fn is_labelled(&self, target: &Target, pod: &super::proxy::ProxyPod) -> bool {
        target.cluster == pod.key.cluster && target.label(&self.installation) == pod.target_label
    }

    /// Creates a pod for each chosen target.
    pub(super) fn create_pods(&mut self, targets: &[Target], ttl: Option<Ttl>, out: &mut Vec<Effect>) {
        for target in targets {
            let relayed = self.forwards_of(&target.name).any(|forward| !forward.is_direct());
            if target.address.is_direct() && !relayed {
                self.note(Grade::Info, Happening::NeedsNoPod, &target.name, target.address.to_string());
                continue;
            }
            self.ask_pod(target, ttl, false, out);
        }
        self.target_list.marks.clear();
    }

    /// Forwards each chosen target.
    pub(super) fn forward_targets(&mut self, out: &mut Vec<Effect>) {
        for target in self.chosen_targets() {
            self.open_forward(&target, out);
        }
        self.target_list.marks.clear();
    }

    /// Opens the dialog that asks for the TTL of pods about to be created.
    pub(super) fn ask_ttl(&mut self) {
        let targets = self.chosen_targets();
        let Some(first) = targets.first() else {
            return self.nothing_selected();
        };
        let field = Field::new(first.ttl.unwrap_or(self.settings.ttl).to_string());
        let targets = targets.into_iter().map(|target| target.name).collect();
        self.dialogs.push(Dialog::AskTtl { targets, field });
    }

    /// Opens the form for a new target, on the cluster that is in view.
    pub(super) fn new_target(&mut self) {
        let form = TargetForm::empty(&self.cluster_in_view());
        self.dialogs.push(Dialog::TargetForm(Box::new(form)));
    }

    /// Opens the form for the selected target, or for a copy of it.
    pub(super) fn edit_target(&mut self, copy: bool) {
        let Some(target) = self.target_list.selected().and_then(|name| self.target(name)) else {
            return self.nothing_selected();
        };
        let mut form =
            if copy { TargetForm::copy(target, &self.free_name(&target.name)) } else { TargetForm::editing(target) };
        form.check(self);
        self.dialogs.push(Dialog::TargetForm(Box::new(form)));
    }

    /// Opens the dialog for a new name.
    pub(super) fn rename_target(&mut self) {
        let Some(name) = self.target_list.selected().cloned() else {
            return self.nothing_selected();
        };
        let field = Field::new(name.clone());
        self.dialogs.push(Dialog::Rename { name, field });
    }

    /// `name-2`, or the first number that is free.
    pub(super) fn free_name(&self, name: &str) -> String {
        let stem = match name.rsplit_once('-') {
            Some((stem, number)) if !stem.is_empty() && number.parse::<u32>().is_ok() => stem,
            Some(_) | None => name,
        };
        let taken = |name: &String| self.target(name).is_some();
        (2u32..=u32::MAX).map(|number| format!("{stem}-{number}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Asks whether the chosen targets are to go.
    pub(super) fn ask_delete(&mut self) {
        let names: Vec<String> = self.chosen_targets().into_iter().map(|target| target.name).collect();
        if names.is_empty() {
            return self.nothing_selected();
        }
        self.ask(Question::DeleteTargets(names));
    }

    /// Saves what a form says.
    pub(super) fn save_target(&mut self, was: Option<Target>, target: &Target, out: &mut Vec<Effect>) {
        let before = self.targets.clone();
        let edit = match was {
            Some(was) => TargetEdit::Replace { was: Box::new(was), target: target.clone() },
            None => TargetEdit::Add(target.clone()),
        };
        self.apply(&edit);
        self.save(vec![edit], out);
        self.note(Grade::Good, Happening::TargetSaved, &target.name, "");
        self.select_target(&target.name);
        self.widen(&target.cluster, out);
        self.follow_targets(&before, out);
    }

    /// Gives a target another name. Its open forwards take the name over.
    pub(super) fn save_name(&mut self, name: &str, new: &str, out: &mut Vec<Effect>) {
        let Some(was) = self.target(name).cloned() else {
            return;
        };
        let target = Target { name: new.to_owned(), ..was.clone() };
        let edit = TargetEdit::Replace { was: Box::new(was), target };
        self.apply(&edit);
        self.save(vec![edit], out);
        self.note(Grade::Good, Happening::TargetRenamed, name, new);
        self.select_target(new);
    }

    /// Deletes targets; their forwards are closed, their pods left to their TTL.
    pub(super) fn delete_targets(&mut self, names: &[String], out: &mut Vec<Effect>) {
        let gone: Vec<Target> = names.iter().filter_map(|name| self.target(name)).cloned().collect();
        let edits: Vec<TargetEdit> = gone.iter().cloned().map(TargetEdit::Remove).collect();
        for (edit, target) in edits.iter().zip(&gone) {
            let open: Vec<ForwardId> = self.forwards_of(&target.name).map(|forward| forward.spec.id).collect();
            for id in open {
                self.stop_forward(id, out);
            }
            self.apply(edit);
            self.note(Grade::Warning, Happening::TargetDeleted, &target.name, "");
        }
        self.target_list.marks.clear();
        if !gone.is_empty() {
            self.deleted.push(gone);
            self.save(edits, out);
        }
    }

    /// Brings the targets of the last deletion back.
    pub(super) fn undo(&mut self, out: &mut Vec<Effect>) {
        let Some(back) = self.deleted.pop() else {
            return self.note(Grade::Info, Happening::NothingToUndo, "", "");
        };
        let mut edits = Vec::new();
        // The last one that was taken out goes in first: each stands again where it stood.
        for mut target in back.into_iter().rev() {
            if self.target(&target.name).is_some() {
                target.name = self.free_name(&target.name);
            }
            self.note(Grade::Good, Happening::TargetRestored, &target.name, "");
            self.select_target(&target.name);
            let edit = TargetEdit::Restore(target);
            self.apply(&edit);
            edits.push(edit);
        }
        self.save(edits, out);
    }

    /// Applies an edit to the targets in memory.
    pub(super) fn apply(&mut self, edit: &TargetEdit) {
        self.unarranged = true;
        match edit {
            TargetEdit::Add(target) | TargetEdit::Import(target) | TargetEdit::Restore(target) => {
                if self.target(&target.name).is_none() {
                    self.targets.push(target.clone());
                }
            }
            TargetEdit::Replace { was, target } => {
                let name = &was.name;
                self.take_over(was, target);
                if let Some(old) = self.targets.iter_mut().find(|old| old.name == *name) {
                    old.clone_from(target);
                } else {
                    self.targets.push(target.clone());
                }
            }
            TargetEdit::Remove(was) => {
                self.targets.retain(|target| target.name != was.name);
                self.refused.remove(&was.name);
            }
        }
    }

    /// Sends edits to the store. The audit log hears of them with the answer.
    pub(super) fn save(&mut self, edits: Vec<TargetEdit>, out: &mut Vec<Effect>) {
        self.saving.push_back(edits.clone());
        out.push(Effect::Save(edits));
    }

    fn select_target(&mut self, name: &str) {
        self.target_list.wanted = Some(name.to_owned());
        self.unarranged = true;
    }

    /// Has the watch of a connected cluster cover its targets' namespaces.
    pub(super) fn widen(&mut self, cluster: &str, out: &mut Vec<Effect>) {
        if self.cluster(cluster).is_some_and(|at| at.link != super::cluster::Link::Idle) {
            let namespaces = self.namespaces(cluster);
            out.push(Effect::Widen { cluster: cluster.to_owned(), namespaces });
        }
    }

    pub(super) fn nothing_selected(&mut self) {
        self.note(Grade::Info, Happening::NothingSelected, "", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, address: &Where) -> String {
        super::label(name, address, &Installation::new("0badcafe", [7; 32]))
    }

    #[test]
    fn any_name_becomes_a_dns_label() {
        let address: Where = "10.0.0.1:3306".parse().unwrap();
        let long = "x".repeat(300);
        for name in ["mysql-dev", "MySQL dev", "数据库", "--", "a.b", "é", &long, "🤦🏼‍♂️", "-lead", "trail-"]
        {
            let label = label(name, &address);
            assert!((1..=LABEL_LEN).contains(&label.len()), "{name}: {label}");
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{label}");
            assert!(!label.starts_with('-') && !label.ends_with('-'), "{label}");
        }
        assert_eq!(label("mysql-dev", &address), "mysql-dev");
        assert_ne!(label("a.b", &address), label("a-b", &address));
        assert_ne!(label("数据库", &address), label("缓存", &address));
    }

    #[test]
    fn a_name_that_spells_the_address_is_hidden() {
        let address: Where = "10.0.0.1:3306".parse().unwrap();
        for name in ["10.0.0.1", "mysql 10.0.0.1:3306", "db-10-0-0-1"] {
            let label = label(name, &address);
            assert!(label.starts_with("t-") && !label.contains("10-0-0-1"), "{name}: {label}");
        }
        let named: Where = "db.corp.internal:5432".parse().unwrap();
        assert!(!label("DB.corp.internal", &named).contains("corp"));
    }

    #[test]
    fn a_hash_tells_nothing_to_whoever_has_not_the_key() {
        let address: Where = "10.0.0.1:3306".parse().unwrap();
        let other = Installation::new("0badcafe", [8; 32]);
        for name in ["10.0.0.1", "数据库", "MySQL dev"] {
            let ours = label(name, &address);
            assert_eq!(label(name, &address), ours);
            assert_ne!(super::label(name, &address, &other), ours, "{name}");
            assert_ne!(with_hash(name, &address, fnv1a), ours, "{name}");
        }
    }
}
