//! Actions of a person. Keys become [`Action`]s in `keymap`; mouse events in `app`.

use crate::language::action::{Action, Command};
use crate::language::effect::Effect;
use crate::language::log::{Level, Message};
use crate::screen::dialog::Question;
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::proxy::CleanupScope;
use crate::update::dialog::Input;

impl Model {
    pub(crate) fn on_action(&mut self, action: Action, out: &mut Vec<Effect>) {
        self.screen.unarranged |= !action.only_moves();
        // Leaving at once works from everywhere.
        let anywhere = matches!(action, Action::Page { .. } | Action::Words(_) | Action::Do(Command::QuitNow));
        if !anywhere && !self.screen.dialogs.is_empty() {
            return Input::of(action).into_iter().for_each(|input| self.on_dialog(input, out));
        }
        if !anywhere && self.filtering() {
            return self.in_filter(action);
        }
        match action {
            Action::Page { rows, max_scroll } => {
                self.screen.page = rows.max(1);
                self.screen.max_scroll = max_scroll;
            }
            Action::Words(words) => self.screen.words = words,
            Action::Do(Command::QuitNow) => self.quit_unasked(out),
            Action::Do(command) => self.on_command(command, out),
            Action::Misplaced(command) => self.note_misplaced(command),
            Action::Click { pane, row, double } => self.on_click(pane, row, double, out),
            // The welcome has columns of its own.
            Action::ClickColumn { .. } if self.screen.welcome.is_some() => {}
            Action::ClickColumn { pane, column } => self.sort_by(pane, column),
            Action::Wheel { pane: Some(pane), by } => self.scroll_pane(pane, by),
            Action::Wheel { pane: None, by } => self.scroll_log(by),
            Action::Type(_) | Action::ClickItem(_) => {}
        }
    }

    /// Deletes this installation's finished and expired pods.
    pub(crate) fn clean_own(&mut self, out: &mut Vec<Effect>) {
        if self.clean(CleanupScope::Own, out) == 0 {
            self.note(Level::Info, Message::NothingToClean, "", "");
        }
    }

    pub(crate) fn ask_clean_all(&mut self) {
        let pods: usize =
            self.clusters.all().iter().map(|cluster| self.finished_pods(&cluster.name, CleanupScope::All).len()).sum();
        if pods == 0 {
            self.note(Level::Info, Message::NothingToClean, "", "");
        } else {
            self.ask(Question::CleanAll { pods });
        }
    }

    fn on_click(&mut self, pane: Pane, row: Option<usize>, double: bool, out: &mut Vec<Effect>) {
        self.screen.focus.pane = pane;
        self.screen.focus.in_log = false;
        if let Some(row) = row {
            self.select_row(pane, row);
            if double {
                self.on_command(Command::Accept, out);
            }
        }
    }
}
