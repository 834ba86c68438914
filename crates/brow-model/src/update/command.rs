//! Carries out commands: finds the row that holds where the keys go, and runs its handler.

use crate::language::command::{Command, ROWS, Section, command_table};
use crate::language::effect::{ClusterEffect, Effect, StoreEffect};
use crate::language::fault::Fault;
use crate::language::log::{Entry, Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::cluster::Link;
use crate::types::forward::Forward;
use crate::types::proxy::ProxyPod;

/// Nothing where a command has an effect, else the reason why it has none.
pub(crate) type Enabled = Result<(), Message>;

pub(crate) fn enabled(holds: bool, reason: Message) -> Enabled {
    if holds { Ok(()) } else { Err(reason) }
}

/// A row of the table with its handler.
struct Handler {
    section: Section,
    /// The command and its aliases.
    commands: &'static [Command],
    enabled: fn(&Model) -> Enabled,
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
        let log = self.screen.focus.in_log.then_some(Section::Log);
        let rows = |section| HANDLERS.iter().filter(move |row| row.section == section);
        let mut near = log.into_iter().chain([self.screen.focus.pane.section(), Section::Anywhere]).flat_map(rows);
        near.find(|row| row.commands.contains(&command))
    }

    /// Returns true if a command has an effect in the current pane; hints leave out those that have none.
    pub fn is_enabled(&self, command: Command) -> bool {
        self.refusal(command).is_none()
    }

    /// Returns the reason why a command has no effect in the current pane, if it has none.
    pub fn refusal(&self, command: Command) -> Option<Entry> {
        let reason = match self.handler(command) {
            Some(row) => (row.enabled)(self).err()?,
            None => misplaced(command),
        };
        let thing = self.chosen_names().join(", ");
        let (detail, words) = (String::new(), String::new());
        Some(Entry { at: self.now, level: Level::Info, message: reason, thing, detail, words })
    }

    pub(crate) fn on_command(&mut self, command: Command, out: &mut Vec<Effect>) {
        self.note_use(command, out);
        match self.handler(command) {
            // A filter may be typed before the first row is there.
            Some(row) if command != Command::Filter && (row.enabled)(self) == Err(Message::NothingSelected) => {
                self.nothing_selected();
            }
            Some(row) => (row.run)(self, out),
            None => self.note_misplaced(command),
        }
    }

    /// Says where a command works that does not work here.
    pub(crate) fn note_misplaced(&mut self, command: Command) {
        self.note(Level::Info, misplaced(command), "", "");
    }

    #[expect(clippy::unnecessary_wraps, reason = "the table asks all alike")]
    fn always(_: &Self) -> Enabled {
        Ok(())
    }

    /// As [`enabled`], of a command about what is chosen: where nothing is, that is the reason.
    pub(crate) fn enabled_for_chosen(&self, holds: bool, reason: Message) -> Enabled {
        enabled(holds, if self.chosen_names().is_empty() { Message::NothingSelected } else { reason })
    }

    fn has_row(&self) -> Enabled {
        enabled(self.list_status().rows, Message::NothingSelected)
    }

    fn has_trouble(&self) -> Enabled {
        self.enabled_for_chosen(self.trouble().1.is_some(), Message::NothingWrong)
    }

    fn has_link(&self) -> Enabled {
        let chosen = self.screen.clusters.chosen();
        let linked = |name: &String| self.cluster(name).is_some_and(|cluster| cluster.link != Link::Idle);
        self.enabled_for_chosen(chosen.iter().any(linked), Message::NotConnected)
    }

    /// Forwards are behind what is chosen, here or in other instances.
    fn has_forward(&self) -> Enabled {
        self.enabled_for_chosen(!self.chosen_forwards().is_empty(), Message::NotForwarded)
    }

    /// Proxy pods of ours are behind what is chosen.
    fn has_pod(&self) -> Enabled {
        self.enabled_for_chosen(!self.chosen_pods().is_empty(), Message::NotRenewable)
    }

    fn has_backends(&self) -> Enabled {
        let selected = self.screen.forwards.selected().and_then(|id| self.forwards.all().get(id));
        if selected.is_some_and(Forward::is_spread) {
            return Err(Message::Spreads);
        }
        self.enabled_for_chosen(selected.is_some_and(|forward| forward.backends.len() > 1), Message::NoOtherPod)
    }

    fn has_undo(&self) -> Enabled {
        enabled(!self.screen.undo.is_empty(), Message::NothingToUndo)
    }

    pub(crate) fn has_tags(&self) -> Enabled {
        enabled(!self.tags().is_empty(), Message::NoTags)
    }

    fn has_over(&self) -> Enabled {
        let over = |pod: &ProxyPod| self.is_ours(pod) && pod.is_over(self.time_at(&pod.key.cluster));
        enabled(self.pods.all().values().any(over), Message::NothingToClean)
    }

    fn can_filter(&self) -> Enabled {
        let standing = self.list_status();
        enabled(standing.rows || standing.filtered, Message::NothingSelected)
    }

    fn can_step_back(&self) -> Enabled {
        let standing = self.list_status();
        let back = standing.marked || standing.filtered || self.screen.welcome.is_some();
        enabled(back, Message::NothingToLeave)
    }

    fn log_ends_with_fault(&self) -> Enabled {
        enabled(self.logged_fault().is_some(), Message::NothingSelected)
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
                let selected = self.screen.forwards.selected();
                if let Some(row) = selected.and_then(|id| self.gateways.rows().get(id)) {
                    return (Some(row.gateway.name.clone()), row.fault());
                }
                let forward = selected.and_then(|id| self.forwards.all().get(id));
                let name = selected.map(|id| self.name_of_row(*id));
                (name, forward.and_then(|forward| self.trouble_of(forward)))
            }
        }
    }
}

/// Returns the message that names where a command works.
fn misplaced(command: Command) -> Message {
    let places = Section::ALL.iter().filter(|section| ROWS.iter().any(|row| row.is(**section, command)));
    Message::NotHere { command, places: places.copied().collect() }
}
