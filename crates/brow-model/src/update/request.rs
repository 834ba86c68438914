//! Carries out requests by subcommands and other instances.

use crate::language::effect::{Effect, PodEffect};
use crate::language::fault::{Fault, What};
use crate::language::request::Request;
use crate::screen::dialog::Dialog;
use crate::state::Model;
use crate::types::target::Target;

impl Model {
    pub(crate) fn on_request(&mut self, request: Request, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match request {
            Request::Save { was, target } => self.save_target(was.map(|was| *was), &target, out),
            Request::Rename { name, new } => self.save_name(&name, &new, out),
            Request::Remove(names) => self.delete_targets(&names, out),
            Request::Import(targets) => self.import(targets, out),
            Request::ImportOffers { offers, on_conflict } => self.import_offers(offers, on_conflict, out),
            Request::AddTemporary(targets) => {
                for target in targets {
                    self.targets.add_temporary(target);
                }
            }
            Request::Connect(names) => {
                self.targets.want(&names);
                for target in self.named(&names) {
                    self.open_forward(&target, out);
                }
            }
            Request::Create { targets, ttl } => {
                let targets = self.named(&targets);
                self.create_pods(&targets, ttl, out);
            }
            Request::Watch(clusters) => {
                for name in clusters {
                    self.ensure_connected(&name, out);
                }
            }
            Request::Index { namespace } => {
                self.index.only = namespace;
                self.begin_index(out);
            }
            Request::Describe(key) => {
                out.push(Effect::Pod(PodEffect::Describe(key.clone())));
                self.screen.dialogs.push(Dialog::Describe { key, text: None, scroll: 0 });
            }
            Request::Kill(keys) => {
                for key in keys {
                    self.kill(&key, out);
                }
            }
            Request::Stop(id) => self.stop_for_person(id, out),
            Request::Quit { delete_pods } => self.quit(delete_pods, out),
        }
    }

    /// Returns the targets of these names. Logs a fault for each that is missing.
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
