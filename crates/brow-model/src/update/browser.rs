//! The browser: a dialog over what the connected clusters have, filtered as one types.

use std::collections::BTreeMap;

use crate::language::action::Command;
use crate::language::effect::{ClusterEffect, Effect};
use crate::language::fault::Fault;
use crate::language::log::{Level, Message};
use crate::screen::browser::Browser;
use crate::screen::dialog::Dialog;
use crate::screen::list::List;
use crate::state::Model;
use crate::types::cluster::Link;
use crate::types::epoch::Epoch;
use crate::types::index::ObjectRef;
use crate::types::inventory::{Inventory, PortKey};
use crate::update::dialog::Input;

impl Model {
    /// Opens the browser over the connected clusters; where none is, the selected one is connected.
    pub(crate) fn open_browser(&mut self, out: &mut Vec<Effect>) {
        let connected = self.clusters.all().iter().filter(|at| at.link != Link::Idle).map(|at| at.name.clone());
        let mut names: Vec<String> = connected.collect();
        if names.is_empty() {
            let name = self.cluster_in_view();
            if name.is_empty() {
                return match self.clusters.fault().cloned() {
                    Some(fault) => self.fail(fault),
                    None => self.note(Level::Info, Message::NothingSelected, "", ""),
                };
            }
            if !self.ensure_connected(&name, out) {
                return;
            }
            names.push(name);
        }
        let browser = Browser {
            epoch: Epoch(self.next_number()),
            clusters: BTreeMap::new(),
            inventory: Inventory::default(),
            list: List::default(),
            stale: true,
            chosen: false,
        };
        self.screen.dialogs.push(Dialog::Browser(Box::new(browser)));
        for name in names {
            self.browse_cluster(&name, out);
        }
    }

    pub(crate) fn in_browser(
        &mut self,
        mut browser: Box<Browser>,
        input: Input,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        let (list, by) = (&mut browser.list, input.moves(self.screen.page));
        browser.chosen |= by.is_some() || matches!(input, Input::Item(_) | Input::Do(Command::Mark));
        list.step(by.unwrap_or(0));
        match input {
            Input::Do(Command::Cancel) if !list.marks.is_empty() => list.marks.clear(),
            Input::Do(Command::Cancel) if !list.filter.value().is_empty() => {
                list.filter.reset();
                browser.stale = true;
            }
            Input::Do(Command::Cancel) => {
                out.push(Effect::Cluster(ClusterEffect::StopBrowsing));
                return None;
            }
            Input::Do(Command::Mark) => list.mark(),
            Input::Item(row) => list.select(row),
            Input::Do(Command::MarkAll) => list.mark_all(),
            Input::Do(Command::Accept) => {
                let chosen = list.chosen();
                list.marks.clear();
                self.import_ports(&browser.inventory, &chosen, out);
            }
            Input::Do(Command::TakeKnown) => {
                list.marks.clear();
                self.import_ports(&browser.inventory, &browser.inventory.recognised(), out);
            }
            Input::Do(Command::Why) => {
                if let Some(at) = list.selected() {
                    self.why_port(at, out);
                }
            }
            Input::Do(Command::ShowPage) => match list.selected() {
                Some(at) => {
                    let (key, epoch) = (at.key.clone(), browser.epoch);
                    out.push(Effect::Cluster(ClusterEffect::FindObject { key, epoch }));
                }
                None => self.nothing_selected(),
            },
            Input::Do(Command::Help) => self.screen.dialogs.push(Dialog::help()),
            Input::Do(Command::Describe) => {
                let of_cluster = |name: &String| self.cluster(name).and_then(|at| at.fault.clone());
                let fault = browser
                    .inventory
                    .reason()
                    .map(|(fault, _)| fault)
                    .or_else(|| browser.clusters.keys().find_map(of_cluster));
                match fault {
                    Some(fault) => self.screen.dialogs.push(Dialog::Fault(fault)),
                    None => self.note(Level::Info, Message::NothingMissing, "", ""),
                }
            }
            Input::Type(typed) => browser.filter(typed),
            Input::Do(_) | Input::Wheel(_) => {}
        }
        Some(Dialog::Browser(browser))
    }

    /// Opens the page of an object that was looked up for the browser, if that is still in view.
    pub(crate) fn on_looked_up(&mut self, of: Epoch, result: Result<ObjectRef, Fault>, out: &mut Vec<Effect>) {
        if matches!(self.screen.dialogs.last(), Some(Dialog::Browser(browser)) if browser.epoch == of) {
            match result {
                Ok(object) => self.open_page(object, out),
                Err(fault) => self.screen.dialogs.push(Dialog::Fault(fault)),
            }
        }
    }

    /// Makes targets of rows.
    fn import_ports(&mut self, inventory: &Inventory, ports: &[PortKey], out: &mut Vec<Effect>) {
        if ports.is_empty() {
            self.nothing_selected();
        } else {
            self.review_offers(None, inventory.offers(ports), Vec::new(), out);
        }
    }

    /// Arranges the rows of an open browser, where something changed.
    pub(crate) fn arrange_browser(&mut self) {
        for dialog in &mut self.screen.dialogs {
            if let Dialog::Browser(browser) = dialog {
                browser.arrange();
            }
        }
    }

    /// The context that a new target most likely is for: the selected one in the clusters pane, else the current one,
    /// else that of the selected target.
    pub(crate) fn cluster_in_view(&self) -> String {
        let selected = self.screen.clusters.selected().cloned();
        let current = self.clusters.current();
        let beside =
            self.screen.targets.selected().and_then(|name| self.target(name)).map(|target| target.cluster.clone());
        let cluster = match self.screen.focus.pane {
            crate::screen::focus::Pane::Clusters => selected.or(current),
            crate::screen::focus::Pane::Targets
            | crate::screen::focus::Pane::Pods
            | crate::screen::focus::Pane::Forwards => current.or(beside).or(selected),
        };
        cluster.unwrap_or_default()
    }
}
