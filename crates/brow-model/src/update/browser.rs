//! The browser: a dialog over what the connected clusters have, filtered as one types.

use std::collections::BTreeMap;

use crate::language::action::{Action, Command};
use crate::language::effect::{ClusterEffect, Effect};
use crate::language::log::{Level, Message};
use crate::screen::browser::Browser;
use crate::screen::dialog::Dialog;
use crate::screen::list::List;
use crate::state::Model;
use crate::types::cluster::Link;
use crate::types::epoch::Epoch;
use crate::types::inventory::{Inventory, PortKey};

impl Model {
    /// Opens the browser over the connected clusters; where none is, the selected one is connected.
    pub(crate) fn open_browser(&mut self, out: &mut Vec<Effect>) {
        let connected = self.clusters.all.iter().filter(|at| at.link != Link::Idle).map(|at| at.name.clone());
        let mut names: Vec<String> = connected.collect();
        if names.is_empty() {
            let name = self.cluster_in_view();
            if name.is_empty() {
                return match self.clusters.fault.clone() {
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
        action: Action,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        let rows = self.screen.page.cast_signed();
        browser.chosen |= action.chooses();
        let list = &mut browser.list;
        match action {
            Action::Do(Command::Cancel) if !list.marks.is_empty() => list.marks.clear(),
            Action::Do(Command::Cancel) if !list.filter.value().is_empty() => {
                list.filter.reset();
                browser.stale = true;
            }
            Action::Do(Command::Cancel) => {
                out.push(Effect::Cluster(ClusterEffect::StopBrowsing));
                return None;
            }
            Action::Do(Command::Up) => list.step(-1),
            Action::Do(Command::Down) => list.step(1),
            Action::Do(Command::PageUp) => list.step(-rows),
            Action::Do(Command::PageDown) => list.step(rows),
            Action::Do(Command::Mark) => list.mark(),
            Action::Do(Command::MarkAll) => list.mark_all(),
            Action::Wheel { by, .. } => list.step(by),
            Action::ClickItem(row) => list.select(row),
            Action::Do(Command::Accept) => {
                let chosen = list.chosen();
                list.marks.clear();
                self.import_ports(&browser.inventory, &chosen, out);
            }
            Action::Do(Command::TakeKnown) => {
                list.marks.clear();
                self.import_ports(&browser.inventory, &browser.inventory.recognised(), out);
            }
            Action::Do(Command::Help) => self.screen.dialogs.push(Dialog::Help { scroll: 0 }),
            Action::Do(Command::Describe) => {
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
            Action::Edit(_) | Action::Paste(_) => browser.filter(action),
            Action::Do(_) | Action::Click { .. } | Action::ClickColumn { .. } | Action::Page { .. } => {}
        }
        Some(Dialog::Browser(browser))
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
        let current = self.clusters.all.iter().find(|cluster| cluster.current).map(|cluster| cluster.name.clone());
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
