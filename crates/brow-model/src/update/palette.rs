//! The command palette.

use std::cmp::Reverse;

use crate::language::action::{Action, Command};
use crate::language::effect::Effect;
use crate::screen::dialog::Dialog;
use crate::screen::filter::Filter;
use crate::screen::palette::Palette;
use crate::state::Model;
use crate::update::dialog::Input;

impl Model {
    pub(crate) fn open_palette(&mut self) {
        let mut palette = Palette::default();
        self.seek(&mut palette);
        self.screen.dialogs.push(Dialog::Palette(palette));
    }

    pub(crate) fn in_palette(&mut self, mut palette: Palette, input: Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        let last = palette.order.len().saturating_sub(1);
        if let Some(by) = input.moves(self.screen.page) {
            palette.cursor = palette.cursor.saturating_add_signed(by).min(last);
        }
        match input {
            Input::Do(Command::Cancel) => return None,
            Input::Do(Command::Accept) => return self.run_from(palette, out),
            Input::Item(at) => {
                palette.cursor = at.min(last);
                return self.run_from(palette, out);
            }
            Input::Type(typed) => {
                palette.field.edit(typed);
                self.seek(&mut palette);
            }
            Input::Do(_) | Input::Wheel(_) => {}
        }
        Some(Dialog::Palette(palette))
    }

    /// Finds the commands that match the field's text, and selects the best.
    fn seek(&self, palette: &mut Palette) {
        let mut filter = Filter::new(palette.field.input.value());
        let others = Command::ALL.iter().copied().filter(|command| *command != Command::Palette);
        let found = others.filter_map(|command| {
            let words = self.screen.words.get(&command).map_or("", String::as_str);
            let score = filter.score(&[command.name(), words])?;
            let unnamed = palette.field.text() != command.name();
            Some((!self.is_enabled(command), unnamed, Reverse(score), Action::Do(command).only_moves(), command))
        });
        let mut found: Vec<_> = found.collect();
        // Of equal matches, those that only move the cursor come last; the stable sort keeps the order of the help.
        found.sort_by_key(|(disabled, unnamed, score, moves, _)| (*disabled, *unnamed, *score, *moves));
        palette.order = found.into_iter().map(|(.., command)| command).collect();
        palette.cursor = 0;
    }

    /// Runs the selected command and closes the palette; one without effect only says why.
    fn run_from(&mut self, palette: Palette, out: &mut Vec<Effect>) -> Option<Dialog> {
        let command = palette.order.get(palette.cursor).copied();
        match command.map(|command| (command, self.refusal(command))) {
            Some((command, None)) => {
                self.on_command(command, out);
                return None;
            }
            Some((_, Some(reason))) => self.note(reason.level, reason.message, reason.thing, reason.detail),
            None => {}
        }
        Some(Dialog::Palette(palette))
    }
}
