//! The ways on from the welcome: the commands that bring a first target, as far as this program has them.

use super::{Keymap, Place};
use crate::model::action::Command;
use crate::text::{Hint, Text};

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
}
