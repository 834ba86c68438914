//! The search: a dialog over targets, forwards, pods, commands and the objects of connected clusters.

use crate::language::action::Command;
use crate::language::effect::{Clip, ClusterEffect, Effect};
use crate::language::event::ObjectEvent;
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::screen::find::{Finder, Hit, MAX_SHOWN};
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::cluster::{Cluster, Link};
use crate::types::index::ObjectRef;
use crate::types::inventory::{Inventory, Object, PortKey};
use crate::types::offer::OnConflict;
use crate::types::target::Target;
use crate::update::dialog::Input;

impl Model {
    pub(crate) fn open_find(&mut self, out: &mut Vec<Effect>) {
        self.begin_index(out);
        self.screen.dialogs.push(Dialog::Find(Box::new(Finder { stale: true, ..Finder::default() })));
    }

    /// The open search.
    pub(crate) fn finder(&self) -> Option<&Finder> {
        self.screen
            .dialogs
            .iter()
            .find_map(|dialog| if let Dialog::Find(finder) = dialog { Some(&**finder) } else { None })
    }

    /// Finds the results of an open search, where something changed.
    pub(crate) fn arrange_find(&mut self) {
        let Some(text) = self.finder().filter(|finder| finder.stale).map(|finder| finder.field.text().to_owned())
        else {
            return;
        };
        let results = self.search(&text, MAX_SHOWN);
        for dialog in &mut self.screen.dialogs {
            if let Dialog::Find(finder) = dialog {
                finder.stale = false;
                finder.take(results);
                return;
            }
        }
    }

    pub(crate) fn in_find(&mut self, mut finder: Box<Finder>, input: Input, out: &mut Vec<Effect>) -> Option<Dialog> {
        self.begin_index(out);
        if let Some(by) = input.moves(self.screen.page) {
            finder.chosen = true;
            let last = finder.results.rows.len().saturating_sub(1);
            finder.cursor = finder.cursor.saturating_add_signed(by).min(last);
        }
        let stays = match input {
            Input::Do(Command::Cancel) if !finder.field.input.value().is_empty() => {
                finder.field.input.reset();
                (finder.stale, finder.chosen) = (true, false);
                true
            }
            Input::Do(Command::Cancel) => false,
            Input::Do(Command::Accept | Command::ShowPage) => self.go_to_hit(&finder, out),
            Input::Item(at) => {
                (finder.cursor, finder.chosen) = (at.min(finder.results.rows.len().saturating_sub(1)), true);
                self.go_to_hit(&finder, out)
            }
            Input::Do(Command::Forward) => self.forward_hit(&finder, out),
            Input::Do(Command::Why) => {
                match finder.selected() {
                    Some(Hit::Object(object)) => self.why_object(object, out),
                    Some(Hit::Target(name)) => self.why_target_named(name, out),
                    Some(Hit::Forward(_) | Hit::Pod(_) | Hit::Command(_)) | None => {
                        self.note(Level::Info, Message::NotForwardable, "", "");
                    }
                }
                true
            }
            Input::Do(Command::PodLog) => {
                self.show_log_of(&finder, out);
                true
            }
            Input::Do(Command::Shell) => self.open_shell_of(&finder, out),
            Input::Do(Command::Copy | Command::Strings) => {
                Self::copy_hit(&finder, input == Input::Do(Command::Strings), out);
                true
            }
            Input::Do(Command::Describe) => {
                let reason = self.index.clusters().values().find_map(|index| index.reason());
                match reason.or_else(|| self.silent().find_map(|at| at.fault.clone())) {
                    Some(fault) => self.screen.dialogs.push(Dialog::Fault(fault)),
                    None => self.note(Level::Info, Message::NothingMissing, "", ""),
                }
                true
            }
            Input::Type(typed) => {
                let before = finder.field.input.value().to_owned();
                finder.field.edit(typed);
                if finder.field.input.value() != before {
                    (finder.stale, finder.chosen) = (true, false);
                }
                true
            }
            Input::Do(_) | Input::Wheel(_) => true,
        };
        stays.then_some(Dialog::Find(finder))
    }

    /// Returns the connected clusters that nothing is known of: they have not answered, or not yet.
    pub fn silent(&self) -> impl Iterator<Item = &Cluster> {
        let known = |name: &str| self.index.clusters().get(name).is_some_and(|index| !index.kinds.is_empty());
        self.clusters.all().iter().filter(move |at| at.link != Link::Idle && !known(&at.name))
    }

    /// Goes where the selected result is. Returns true if the search stays open.
    fn go_to_hit(&mut self, finder: &Finder, out: &mut Vec<Effect>) -> bool {
        let Some(hit) = finder.selected() else { return true };
        if let Hit::Command(command) = hit
            && let Some(reason) = self.refusal(*command)
        {
            self.note(reason.level, reason.message, reason.thing, reason.detail);
            return true;
        }
        self.index.remember(hit);
        match hit {
            Hit::Target(name) => {
                self.screen.targets.show(name.clone());
                self.focus_pane(Pane::Targets);
            }
            Hit::Forward(id) => {
                self.screen.forwards.show(*id);
                self.focus_pane(Pane::Forwards);
            }
            Hit::Pod(key) => {
                self.screen.pods.show(key.clone());
                self.focus_pane(Pane::Pods);
            }
            Hit::Command(command) => self.on_command(*command, out),
            Hit::Object(object) => {
                self.open_page(object.clone(), out);
                return true;
            }
        }
        false
    }

    /// Shows the logs of the selected result.
    fn show_log_of(&mut self, finder: &Finder, out: &mut Vec<Effect>) {
        match finder.selected() {
            Some(Hit::Object(object)) => self.open_logs(object.clone(), out),
            Some(Hit::Pod(key)) => self.follow_log_of(key.clone(), out),
            Some(Hit::Target(_) | Hit::Forward(_) | Hit::Command(_)) => {
                let name = finder.results.rows.get(finder.cursor).map(|row| row.name.clone());
                self.note(Level::Info, Message::NoPodBehind, name.unwrap_or_default(), "");
            }
            None => {}
        }
    }

    /// Forwards the selected result. Returns true if the search stays open.
    fn forward_hit(&mut self, finder: &Finder, out: &mut Vec<Effect>) -> bool {
        match finder.selected() {
            None => return true,
            Some(Hit::Target(name)) => {
                let target: Vec<Target> = self.target(name).cloned().into_iter().collect();
                self.open_all(&target, out);
            }
            Some(Hit::Pod(key)) => self.forward_pods(vec![key.clone()], out),
            Some(Hit::Object(object)) => out.push(Effect::Cluster(ClusterEffect::ReadPorts(object.clone()))),
            Some(Hit::Forward(_) | Hit::Command(_)) => {
                self.note(Level::Info, Message::NotForwardable, "", "");
                return true;
            }
        }
        finder.selected().into_iter().for_each(|hit| self.index.remember(hit));
        false
    }

    /// Copies the name of the selected result, or the command by which kubectl prints it.
    fn copy_hit(finder: &Finder, command: bool, out: &mut Vec<Effect>) {
        let Some(row) = finder.results.rows.get(finder.cursor) else { return };
        let text = match &row.hit {
            Hit::Object(object) if command => object.kubectl(),
            Hit::Target(_) | Hit::Forward(_) | Hit::Pod(_) | Hit::Command(_) | Hit::Object(_) => row.name.clone(),
        };
        Self::copy(Clip::Text(text), out);
    }

    /// Takes in an answer about an object.
    pub(crate) fn on_object(&mut self, event: ObjectEvent, out: &mut Vec<Effect>) {
        match event {
            ObjectEvent::Steps { epoch, checks } => self.on_steps(epoch, checks),
            ObjectEvent::NodePorts { cluster, result } => self.on_node_ports(&cluster, result),
            ObjectEvent::Found { epoch, result } => self.on_looked_up(epoch, result, out),
            ObjectEvent::Ports { result: Err(fault), .. } => self.fail(fault),
            ObjectEvent::Ports { object, result: Ok(found) } => self.forward_object(&object, &found, out),
        }
    }

    /// Makes a target of the port of an object that is most likely meant, and connects it: a saved one, else the first
    /// that is recognised, else the first.
    fn forward_object(&mut self, object: &ObjectRef, found: &Object, out: &mut Vec<Effect>) {
        let saved = found.ports.iter().find_map(|port| self.saved(found, port)).cloned();
        let port = found.ports.iter().find(|port| port.service.is_some()).or(found.ports.first());
        let target = match (saved, port) {
            (Some(target), _) => Some(target),
            (None, None) => return self.note(Level::Warning, Message::NoPorts, &object.name, ""),
            (None, Some(port)) => {
                let at = PortKey { key: found.key.clone(), port: port.number };
                let mut inventory = Inventory::default();
                inventory.all.insert(found.key.clone(), Object { owner: None, ..found.clone() });
                self.screen.targets.wanted = None;
                self.import_offers(inventory.offers(&[at]), OnConflict::Skip, out);
                self.screen.targets.wanted.as_ref().and_then(|name| self.target(name)).cloned()
            }
        };
        self.focus_pane(Pane::Targets);
        self.open_all(&target.into_iter().collect::<Vec<_>>(), out);
    }
}
