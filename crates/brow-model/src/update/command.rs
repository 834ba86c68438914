//! Carries out commands: finds the row that holds where the keys go, and runs its handler.

use crate::language::command::{Command, Section, command_table};
use crate::language::effect::{ClusterEffect, Effect, StoreEffect};
use crate::language::fault::Fault;
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::cluster::Link;

/// A row of the table with its handler.
struct Handler {
    section: Section,
    /// The command and its aliases.
    commands: &'static [Command],
    enabled: fn(&Model) -> bool,
    run: fn(&mut Model, &mut Vec<Effect>),
}

macro_rules! handlers {
    ($($section:ident $label:literal hints [$($hint:ident)*] empty [$($empty:ident)*] {
        $(
            $($(#[doc = $doc:literal])+ $name:literal)? $command:ident [$($key:literal),*]
            $($(($($also:ident)+))? $enabled:ident => $run:expr)?;
        )*
    })*) => {
        const HANDLERS: &[Handler] = &[$($($(
            Handler {
                section: Section::$section,
                commands: &[Command::$command, $($(Command::$also,)+)?],
                enabled: Model::$enabled,
                run: $run,
            },
        )?)*)*];
    };
}

command_table!(handlers);

impl Model {
    /// The nearest row of a command: in the log, then in the pane, then anywhere.
    fn handler(&self, command: Command) -> Option<&'static Handler> {
        let pane = match self.screen.focus.pane {
            Pane::Clusters => Section::Clusters,
            Pane::Targets => Section::Targets,
            Pane::Pods => Section::Pods,
            Pane::Forwards => Section::Forwards,
        };
        let log = self.screen.focus.in_log.then_some(Section::Log);
        let rows = |section| HANDLERS.iter().filter(move |row| row.section == section);
        let mut near = log.into_iter().chain([pane, Section::Anywhere]).flat_map(rows);
        near.find(|row| row.commands.contains(&command))
    }

    /// Returns true if a command has an effect in the current pane; hints leave out those that have none.
    pub fn is_enabled(&self, command: Command) -> bool {
        self.handler(command).is_some_and(|row| (row.enabled)(self))
    }

    pub(crate) fn on_command(&mut self, command: Command, out: &mut Vec<Effect>) {
        self.note_use(command, out);
        match self.handler(command) {
            Some(row) => (row.run)(self, out),
            None => self.note(Level::Info, Message::NotHere, "", command.name()),
        }
    }

    fn always(_: &Self) -> bool {
        true
    }

    /// Returns true if the pane has rows.
    pub fn has_row(&self) -> bool {
        self.list_status().rows
    }

    fn has_trouble(&self) -> bool {
        self.trouble().1.is_some()
    }

    fn has_link(&self) -> bool {
        let selected = self.screen.clusters.selected().and_then(|name| self.cluster(name));
        selected.is_some_and(|cluster| cluster.link != Link::Idle)
    }

    fn has_backends(&self) -> bool {
        let selected = self.screen.forwards.selected().and_then(|id| self.forwards.all().get(id));
        selected.is_some_and(|forward| forward.backends.len() > 1)
    }

    fn has_deleted(&self) -> bool {
        self.targets.has_deleted()
    }

    fn has_over(&self) -> bool {
        self.pods.all().values().any(|pod| self.is_ours(pod) && pod.is_over(self.time_at(&pod.key.cluster)))
    }

    fn can_filter(&self) -> bool {
        let standing = self.list_status();
        standing.rows || standing.filtered
    }

    fn can_step_back(&self) -> bool {
        let standing = self.list_status();
        standing.marked || standing.filtered || self.screen.welcome.is_some()
    }

    fn log_ends_with_fault(&self) -> bool {
        self.logged_fault().is_some()
    }

    /// The name of the selected row of a pane, and what is wrong with it.
    pub(crate) fn trouble(&self) -> (Option<String>, Option<&Fault>) {
        match self.screen.focus.pane {
            Pane::Clusters => {
                let name = self.screen.clusters.selected();
                (name.cloned(), name.and_then(|name| self.cluster(name)?.fault.as_ref()))
            }
            Pane::Targets => {
                let target = self.screen.targets.selected().and_then(|name| self.target(name));
                (target.map(|target| target.name.clone()), target.and_then(|target| self.fault_of_target(target)))
            }
            Pane::Pods => (None, None),
            Pane::Forwards => {
                let forward = self.screen.forwards.selected().and_then(|id| self.forwards.all().get(id));
                let name = forward.map(|forward| forward.spec.target.clone());
                (name, forward.and_then(|forward| self.trouble_of(forward)))
            }
        }
    }
}
