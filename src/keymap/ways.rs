//! Keys for somebody new: the ways on from the welcome, as far as this program has commands for them, and the key to
//! teach next.

use super::{Keymap, Place};
use crate::text::{Hint, Text};
use brow_model::Model;
use brow_model::action::Command;
use brow_model::focus::Pane;

/// By name, so that a way is offered from the day on which there is a command for it, and not before.
const WAYS: [&str; 5] = ["new", "browse", "import", "help", "cancel"];

impl Keymap {
    /// The keys that lead on from the welcome, the first way first; a command that has lost its keys leads nowhere.
    pub fn ways(&self, text: &Text) -> Vec<Hint> {
        let words = |command: Command| match command {
            Command::New => "welcome.way-new".to_owned(),
            Command::Cancel => "welcome.way-dashboard".to_owned(),
            other => format!("command.{}", other.name()),
        };
        let way = |command: Command| {
            let keys = self.table.keys(Place::Clusters, command).into_iter().next()?;
            Some(Hint { keys, label: text.get(&words(command)).to_owned() })
        };
        WAYS.into_iter().filter_map(Command::named).filter_map(way).collect()
    }

    /// The key to teach now, behind the key of its pane where that is another; nothing where it has lost its keys.
    pub fn tip(&self, model: &Model, text: &Text) -> Option<Hint> {
        let lesson = model.lesson()?;
        let here = Self::place(model);
        let there = lesson.panes().first().filter(|_| !lesson.panes().contains(&model.screen.focus.pane));
        let first = |place, command| self.table.keys(place, command).into_iter().next();
        let keys = match there {
            None => first(here, lesson.command())?,
            Some(pane) => {
                let (place, go) = match pane {
                    Pane::Clusters => (Place::Clusters, Command::Clusters),
                    Pane::Targets => (Place::Targets, Command::Targets),
                    Pane::Pods => (Place::Pods, Command::Pods),
                    Pane::Forwards => (Place::Forwards, Command::Forwards),
                };
                format!("{} {}", first(here, go)?, first(place, lesson.command())?)
            }
        };
        Some(Hint { keys, label: text.get(&format!("tip.{}", lesson.name())).to_owned() })
    }
}
