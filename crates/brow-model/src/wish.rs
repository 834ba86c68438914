//! What is asked for by name, by a subcommand or another instance, where keys act on what is selected.

use super::Model;
use super::dialog::Dialog;
use super::effect::Effect;
use super::fault::{Fault, What};
use super::forward::ForwardId;
use super::offer::{Clash, Offer};
use super::proxy::{PodKey, Whose};
use super::target::Target;
use super::ttl::Ttl;

/// One thing asked for by name.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// Save a target: a new one, or what another becomes.
    Save {
        /// What it was; absent: a new one.
        was: Option<Box<Target>>,
        /// What it is to be.
        target: Box<Target>,
    },
    /// Give a target another name.
    Rename {
        /// The name so far.
        name: String,
        /// The new one.
        new: String,
    },
    /// Delete targets.
    Remove(Vec<String>),
    /// Take targets over, except those whose name is taken.
    Import(Vec<Target>),
    /// Make targets of what another tool's file offers.
    Take {
        /// What it offers.
        offers: Vec<Offer>,
        /// What becomes of those that are there already.
        clash: Clash,
    },
    /// Forward targets, creating pods where there are none.
    Connect(Vec<String>),
    /// Create a pod for each target.
    Create {
        /// The targets.
        targets: Vec<String>,
        /// How long the pods may live; absent: as the targets or the config say.
        ttl: Option<Ttl>,
    },
    /// Connect clusters and watch their pods.
    Look(Vec<String>),
    /// Describe a pod, in a dialog.
    Describe(PodKey),
    /// Delete pods.
    Kill(Vec<PodKey>),
    /// Delete finished and expired pods.
    Clean(Whose),
    /// Close a forward.
    Stop(ForwardId),
    /// End.
    Leave {
        /// Whether the pods of this run go too.
        delete_pods: bool,
    },
}

impl Model {
    pub(super) fn on_wish(&mut self, wish: Wish, out: &mut Vec<Effect>) {
        self.unarranged = true;
        match wish {
            Wish::Save { was, target } => self.save_target(was.map(|was| *was), &target, out),
            Wish::Rename { name, new } => self.save_name(&name, &new, out),
            Wish::Remove(names) => self.delete_targets(&names, out),
            Wish::Import(targets) => self.import(targets, out),
            Wish::Take { offers, clash } => self.take_offers(offers, clash, out),
            Wish::Connect(names) => {
                self.wants.extend(names.iter().cloned());
                for target in self.named(&names) {
                    self.open_forward(&target, out);
                }
            }
            Wish::Create { targets, ttl } => {
                let targets = self.named(&targets);
                self.create_pods(&targets, ttl, out);
            }
            Wish::Look(clusters) => {
                for name in clusters {
                    self.need(&name, out);
                }
            }
            Wish::Describe(key) => {
                out.push(Effect::Describe(key.clone()));
                self.dialogs.push(Dialog::Describe { key, text: None, scroll: 0 });
            }
            Wish::Kill(keys) => {
                for key in keys {
                    self.kill(&key, out);
                }
            }
            Wish::Clean(whose) => _ = self.clean(whose, out),
            Wish::Stop(id) => self.stop_forward(id, out),
            Wish::Leave { delete_pods } => self.leave(delete_pods, out),
        }
    }

    /// The targets of these names; one that is not there is told.
    fn named(&mut self, names: &[String]) -> Vec<Target> {
        let mut found = Vec::new();
        for name in names {
            match self.target(name).cloned() {
                Some(target) => found.push(target),
                None => self.fail(Fault::new(What::TargetMissing, name, "")),
            }
        }
        found
    }
}
