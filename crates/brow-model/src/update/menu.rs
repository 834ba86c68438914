//! A menu of texts, one of which goes to the clipboard.

use crate::language::action::Command;
use crate::language::effect::{Clip, Effect, StoreEffect};
use crate::screen::dialog::Dialog;
use crate::screen::menu::{Menu, MenuContent, MenuOf};
use crate::state::Model;
use crate::update::dialog::Input;

impl Model {
    pub(crate) fn in_menu(mut menu: Menu, input: &Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        let last = menu.items.len().saturating_sub(1);
        match input {
            Input::Do(Command::Cancel | Command::Quit) => return None,
            Input::Do(Command::Up) => menu.cursor = menu.cursor.checked_sub(1).unwrap_or(last),
            Input::Do(Command::Down) => menu.cursor = if menu.cursor >= last { 0 } else { menu.cursor + 1 },
            Input::Do(Command::Top | Command::PageUp) => menu.cursor = 0,
            Input::Do(Command::Bottom | Command::PageDown) => menu.cursor = last,
            Input::Do(Command::Accept | Command::Copy) => {
                Self::copy_item(&menu, menu.cursor, out);
                return None;
            }
            Input::Item(at) if *at <= last => {
                Self::copy_item(&menu, *at, out);
                return None;
            }
            Input::Wheel(by) => menu.cursor = menu.cursor.saturating_add_signed(by.signum()).min(last),
            Input::Do(_) | Input::Type(_) | Input::Item(_) => {}
        }
        Some(Dialog::Menu(menu))
    }

    fn copy_item(menu: &Menu, at: usize, out: &mut Vec<Effect>) {
        match (menu.items.get(at).map(|item| &item.content), &menu.of) {
            (Some(MenuContent::Text(text)), MenuOf::Strings(_)) => {
                Self::copy(Clip::Text(text.clone()), out);
            }
            (Some(MenuContent::Text(text)), MenuOf::Export(count)) => {
                Self::copy(Clip::Targets { count: *count, text: text.clone() }, out);
            }
            (Some(MenuContent::Toml(targets)), _) => out.push(Effect::Store(StoreEffect::Export(targets.clone()))),
            (None, _) => {}
        }
    }
}
