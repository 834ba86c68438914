//! A menu of texts, one of which goes to the clipboard.

use super::Model;
use super::action::{Action, Command};
use super::dialog::Dialog;
use super::effect::Effect;
use super::log::{Grade, Happening};
use super::target::Target;

/// The dialog.
#[derive(Debug, Clone)]
pub struct Menu {
    /// What it is about.
    pub of: MenuOf,
    /// What can be chosen; never empty.
    pub items: Vec<MenuItem>,
    /// The one that Enter takes.
    pub cursor: usize,
}

/// What a menu is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuOf {
    /// Connection strings of a target's forwards.
    Strings(String),
    /// Forms in which so many targets can be exported.
    Export(usize),
}

/// One thing that can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct MenuItem {
    /// What it is called.
    pub label: Label,
    /// What is shown of it.
    pub shown: String,
    /// What is copied.
    pub give: Give,
}

/// What an item of a menu is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Label {
    /// A name: of a tool, of a kind of URL.
    Name(String),
    /// The plain address.
    Address,
    /// The config's own form.
    Toml,
    /// Commands for kubectl.
    Kubectl,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq)]
pub enum Give {
    /// This text.
    Text(String),
    /// These targets, as the config has them.
    Toml(Vec<Target>),
}

impl Model {
    pub(super) fn in_menu(&mut self, mut menu: Menu, action: &Action, out: &mut Vec<Effect>) -> Option<Dialog> {
        let last = menu.items.len().saturating_sub(1);
        match action {
            Action::Do(Command::Cancel | Command::Quit) => return None,
            Action::Do(Command::Up) => menu.cursor = menu.cursor.checked_sub(1).unwrap_or(last),
            Action::Do(Command::Down) => menu.cursor = if menu.cursor >= last { 0 } else { menu.cursor + 1 },
            Action::Do(Command::Top | Command::PageUp) => menu.cursor = 0,
            Action::Do(Command::Bottom | Command::PageDown) => menu.cursor = last,
            Action::Do(Command::Accept | Command::Copy) => {
                self.give(&menu, menu.cursor, out);
                return None;
            }
            Action::ClickItem(at) if *at <= last => {
                self.give(&menu, *at, out);
                return None;
            }
            Action::Wheel { by, .. } => menu.cursor = menu.cursor.saturating_add_signed(by.signum()).min(last),
            Action::Do(_)
            | Action::Edit(_)
            | Action::Paste(_)
            | Action::Click { .. }
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Page { .. } => {}
        }
        Some(Dialog::Menu(menu))
    }

    fn give(&mut self, menu: &Menu, at: usize, out: &mut Vec<Effect>) {
        match (menu.items.get(at).map(|item| &item.give), &menu.of) {
            (Some(Give::Text(text)), MenuOf::Strings(_)) => {
                self.note(Grade::Info, Happening::Copied, text, "");
                out.push(Effect::Copy(text.clone()));
            }
            (Some(Give::Text(text)), MenuOf::Export(count)) => {
                self.note(Grade::Info, Happening::Exported, count.to_string(), "");
                out.push(Effect::Copy(text.clone()));
            }
            (Some(Give::Toml(targets)), _) => out.push(Effect::Export(targets.clone())),
            (None, _) => {}
        }
    }
}
