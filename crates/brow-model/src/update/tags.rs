//! Tags: named groups of targets, opened and closed as one.

use std::collections::BTreeSet;

use crate::language::action::Command;
use crate::language::effect::Effect;
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::forward::ForwardId;
use crate::types::target::Target;
use crate::update::dialog::Input;

impl Model {
    /// Returns the tags of all targets, in order.
    pub fn tags(&self) -> Vec<&str> {
        let all: BTreeSet<&str> = self.targets.all().iter().flat_map(|of| &of.tags).map(String::as_str).collect();
        all.into_iter().collect()
    }

    pub fn targets_with<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Target> {
        self.targets.all().iter().filter(move |target| target.tags.iter().any(|own| own == tag))
    }

    /// Returns how many targets have a tag, and how many of them are connected.
    pub fn connected_with(&self, tag: &str) -> (usize, usize) {
        let open = self.targets_with(tag).filter(|target| self.is_connected(&target.name)).count();
        (self.targets_with(tag).count(), open)
    }

    /// Returns true if choosing the tag of a row closes its targets: all of them are open.
    pub fn disconnects_tag(&self, row: usize) -> bool {
        self.tags().get(row).is_some_and(|tag| {
            let (count, open) = self.connected_with(tag);
            count == open
        })
    }

    pub(crate) fn open_tags(&mut self) {
        if self.has_tags().is_ok() {
            self.screen.dialogs.push(Dialog::Tags { cursor: 0 });
        } else {
            self.note(Level::Info, Message::NoTags, "", "");
        }
    }

    pub(crate) fn in_tags(&mut self, cursor: usize, input: &Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        let tags: Vec<String> = self.tags().into_iter().map(str::to_owned).collect();
        let last = tags.len().saturating_sub(1);
        let by = input.moves(self.screen.page).unwrap_or(0);
        let cursor = if let Input::Item(at) = input { *at } else { cursor.saturating_add_signed(by) }.min(last);
        let tag = tags.get(cursor)?;
        match input {
            Input::Do(Command::Cancel | Command::Quit) => return None,
            Input::Do(Command::Accept) | Input::Item(_) => self.connect_or_disconnect_tag(tag, out),
            Input::Do(Command::Stop) => self.close_tag(tag, out),
            Input::Do(Command::Mark) => {
                let names = self.targets_with(tag).map(|target| target.name.clone()).collect();
                self.screen.targets.filter.reset();
                self.screen.targets.marks = names;
                self.screen.focus.pane = Pane::Targets;
                self.screen.focus.in_log = false;
                return None;
            }
            Input::Do(_) | Input::Type(_) | Input::Wheel(_) => {}
        }
        Some(Dialog::Tags { cursor })
    }

    /// Opens those targets of a tag that are not connected; closes all where all are.
    fn connect_or_disconnect_tag(&mut self, tag: &str, out: &mut Vec<Effect>) {
        let missing = self.targets_with(tag).filter(|target| !self.is_connected(&target.name));
        let missing: Vec<Target> = missing.cloned().collect();
        if missing.is_empty() { self.close_tag(tag, out) } else { self.open_all(&missing, out) }
    }

    fn close_tag(&mut self, tag: &str, out: &mut Vec<Effect>) {
        let names = self.targets_with(tag).map(|target| &target.name);
        let forwards: Vec<ForwardId> = names.flat_map(|name| self.all_forwards_of(name)).collect();
        if forwards.is_empty() {
            return self.note(Level::Info, Message::NotForwarded, tag, "");
        }
        self.close_all(&forwards, out);
    }
}
