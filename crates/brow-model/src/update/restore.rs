//! Forwards of earlier runs: what was open is remembered as it changes, and offered again at the next start.

use std::collections::BTreeSet;

use crate::language::effect::{Effect, StoreEffect};
use crate::language::log::{Level, Message};
use crate::screen::batch::{Batch, Undo};
use crate::screen::dialog::Question;
use crate::state::Model;
use crate::types::forward::port_name;
use crate::types::restore::OpenForward;
use crate::types::settings::Restore;
use crate::types::target::Target;
use crate::types::workload::Destination;
use crate::update::open::OpenOptions;

impl Model {
    /// Asks for the forwards of instances that have ended. They are this instance's from then on, so that no other
    /// offers them, too.
    pub(crate) fn claim_open(&mut self, out: &mut Vec<Effect>) {
        if let Some(instance) = self.instances.own_name().map(str::to_owned) {
            let running = self.instances.all().keys().cloned().collect();
            out.push(Effect::Store(StoreEffect::ClaimOpen { instance, running }));
        }
    }

    /// Offers the forwards of earlier runs, or opens them, as the settings say.
    pub(crate) fn on_claimed(&mut self, claimed: Vec<OpenForward>, out: &mut Vec<Effect>) {
        let mut seen = BTreeSet::new();
        let closed = claimed.iter().filter(|open| self.closed_target(open).is_some() && seen.insert(&open.name));
        let closed: Vec<OpenForward> = closed.cloned().collect();
        self.forwards.remember(claimed);
        match self.config.settings().restore {
            Restore::Ask if !closed.is_empty() => {
                self.forwards.offer(closed.clone());
                self.ask(Question::Restore(closed));
            }
            Restore::Always => self.restore(&closed, out),
            Restore::Ask | Restore::Never => {}
        }
    }

    /// Opens forwards of earlier runs, or no longer offers them.
    pub(crate) fn answer_restore(&mut self, open: &[OpenForward], yes: bool, out: &mut Vec<Effect>) {
        self.forwards.offer(Vec::new());
        if yes {
            self.restore(open, out);
        } else {
            // A key pressed too early loses nothing.
            self.note(Level::Info, Message::Several(Batch::NotRestored), open.len().to_string(), "");
            self.screen.undo.push(Undo::NotRestored(open.to_vec()));
        }
    }

    pub(crate) fn restore(&mut self, open: &[OpenForward], out: &mut Vec<Effect>) {
        for open in open {
            if let Some((target, address)) = self.closed_target(open) {
                let manner = OpenOptions { on_demand: open.on_demand, had: Some(open.port), agent: None };
                self.open_forward_to(&target, &address, manner, out);
            }
        }
    }

    /// Returns the target of a forward of an earlier run, and the part of it, if nobody forwards that.
    fn closed_target(&self, open: &OpenForward) -> Option<(Target, Destination)> {
        let target = self.target(&open.target)?;
        let address = target.address.singles().into_iter().find(|single| port_name(target, single) == open.name)?;
        let is_open = self.forwards_of(&target.name).any(|forward| forward.spec.address == address);
        (!is_open && self.elsewhere(target, &address).is_none()).then(|| (target.clone(), address))
    }

    /// Records the open forwards if they changed, with those still offered.
    pub(crate) fn remember_open(&mut self, out: &mut Vec<Effect>) {
        // Forwards close one by one while the program ends: the list from before is kept.
        let Some(before) = self.forwards.remembered().filter(|_| self.forwards.ended().is_none()) else { return };
        let Some(instance) = self.instances.own_name() else { return };
        let mut open = Vec::new();
        if self.config.settings().restore != Restore::Never {
            open.extend_from_slice(self.forwards.offered());
            for forward in
                self.forwards.all().values().filter(|forward| !forward.has_failed() && forward.agent.is_none())
            {
                let spec = &forward.spec;
                // It is gone at the next start, and its name is an address.
                if self.targets.is_temporary(&spec.target) {
                    continue;
                }
                let name = self.target(&spec.target).map(|target| port_name(target, &spec.address));
                open.extend(name.map(|name| OpenForward {
                    target: spec.target.clone(),
                    name,
                    port: spec.port,
                    on_demand: spec.on_demand,
                }));
            }
        }
        if open != before {
            out.push(Effect::Store(StoreEffect::RememberOpen { instance: instance.to_owned(), open: open.clone() }));
            self.forwards.remember(open);
        }
    }
}
