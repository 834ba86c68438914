//! Carries out requests by subcommands and other instances.

use crate::language::effect::Effect;
use crate::language::fault::{Fault, What};
use crate::language::wish::Wish;
use crate::screen::dialog::Dialog;
use crate::state::Model;
use crate::types::target::Target;

impl Model {
    pub(crate) fn on_wish(&mut self, wish: Wish, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match wish {
            Wish::Save { was, target } => self.save_target(was.map(|was| *was), &target, out),
            Wish::Rename { name, new } => self.save_name(&name, &new, out),
            Wish::Remove(names) => self.delete_targets(&names, out),
            Wish::Import(targets) => self.import(targets, out),
            Wish::Take { offers, clash } => self.take_offers(offers, clash, out),
            Wish::Connect(names) => {
                self.targets.wants.extend(names.iter().cloned());
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
                self.screen.dialogs.push(Dialog::Describe { key, text: None, scroll: 0 });
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
