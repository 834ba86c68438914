//! The browser: a dialog over what the connected clusters have, filtered as one types.

use std::collections::BTreeMap;

use super::Model;
use super::action::{Action, Command};
use super::cluster::Link;
use super::dialog::{Dialog, Field};
use super::effect::Effect;
use super::event::Epoch;
use super::filter::Filter;
use super::found::{Finds, Spot};
use super::list::List;
use super::log::{Grade, Happening};

/// The dialog.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Which opening of it: what an earlier one asked for is dropped.
    pub epoch: Epoch,
    /// The clusters, and whether each is being looked into: one that does not answer yet is once it does.
    pub clusters: BTreeMap<String, bool>,
    /// What was found.
    pub finds: Finds,
    /// The rows.
    pub list: List<Spot, ()>,
    /// Whether the rows have to be arranged anew.
    pub stale: bool,
    /// Whether a person has chosen a row: until then the first one is, whatever comes in.
    pub chosen: bool,
}

impl Browser {
    /// Whether everything that can be looked into has been.
    pub fn is_done(&self) -> bool {
        let mut looking = self.clusters.iter().filter(|(_, looking)| **looking).map(|(name, _)| name).peekable();
        looking.peek().is_some() && looking.all(|name| self.finds.is_done(name))
    }

    /// Makes the visible rows: by cluster, namespace, kind and name, as far as they pass the filter.
    fn arrange(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let text = self.list.filter.value();
        let mut filter = (!text.trim().is_empty()).then(|| Filter::new(text));
        let (mut order, mut of, mut best) = (Vec::new(), 0, None::<(u32, Spot)>);
        for found in self.finds.shown() {
            let (key, kind) = (&found.key, found.key.kind.to_string());
            for port in &found.ports {
                of += 1;
                let spot = || Spot { key: key.clone(), port: port.number };
                let Some(filter) = &mut filter else {
                    order.push(spot());
                    continue;
                };
                let number = port.number.to_string();
                let service = port.service.map_or("", super::service::Service::name);
                let name = port.name.as_deref().unwrap_or_default();
                let fields = [key.name.as_str(), service, &key.namespace, name, &number, &kind, &key.cluster];
                if let Some(score) = filter.score(&fields) {
                    // Of equals the first stays.
                    if best.as_ref().is_none_or(|(most, _)| score > *most) {
                        best = Some((score, spot()));
                    }
                    order.push(spot());
                }
            }
        }
        if std::mem::take(&mut self.list.seeking) {
            self.list.wanted = best.map(|(_, spot)| spot);
        }
        let finds = &self.finds;
        self.list.arrange(order, of, |spot| finds.at(spot).is_some());
        if !self.chosen {
            self.list.cursor = 0;
        }
    }

    fn filter(&mut self, action: Action) {
        let mut field = Field { input: std::mem::take(&mut self.list.filter), error: None };
        let before = field.input.value().to_owned();
        field.edit(action);
        if field.input.value() != before {
            self.stale = true;
            self.list.seeking = true;
            self.chosen = true;
        }
        self.list.filter = field.input;
    }
}

impl Model {
    /// Opens the browser over the connected clusters; where none is, the selected one is connected.
    pub(super) fn open_browser(&mut self, out: &mut Vec<Effect>) {
        let connected = self.clusters.iter().filter(|at| at.link != Link::Idle).map(|at| at.name.clone());
        let mut names: Vec<String> = connected.collect();
        if names.is_empty() {
            let name = self.cluster_in_view();
            if name.is_empty() {
                return match self.kubeconfig_fault.clone() {
                    Some(fault) => self.fail(fault),
                    None => self.note(Grade::Info, Happening::NothingSelected, "", ""),
                };
            }
            if !self.need(&name, out) {
                return;
            }
            names.push(name);
        }
        let browser = Browser {
            epoch: Epoch(self.count()),
            clusters: BTreeMap::new(),
            finds: Finds::default(),
            list: List::default(),
            stale: true,
            chosen: false,
        };
        self.dialogs.push(Dialog::Browser(Box::new(browser)));
        for name in names {
            self.look_into(&name, out);
        }
    }

    pub(super) fn in_browser(
        &mut self,
        mut browser: Box<Browser>,
        action: Action,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        let rows = self.page.cast_signed();
        browser.chosen |= action.chooses();
        let list = &mut browser.list;
        match action {
            Action::Do(Command::Cancel) if !list.marks.is_empty() => list.marks.clear(),
            Action::Do(Command::Cancel) if !list.filter.value().is_empty() => {
                list.filter.reset();
                browser.stale = true;
            }
            Action::Do(Command::Cancel) => {
                out.push(Effect::StopBrowsing);
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
                self.take_spots(&browser.finds, &chosen, out);
            }
            Action::Do(Command::TakeKnown) => {
                list.marks.clear();
                self.take_spots(&browser.finds, &browser.finds.recognised(), out);
            }
            Action::Do(Command::Help) => self.dialogs.push(Dialog::Help { scroll: 0 }),
            Action::Do(Command::Describe) => {
                let of_cluster = |name: &String| self.cluster(name).and_then(|at| at.fault.clone());
                let fault = browser
                    .finds
                    .reason()
                    .map(|(fault, _)| fault)
                    .or_else(|| browser.clusters.keys().find_map(of_cluster));
                match fault {
                    Some(fault) => self.dialogs.push(Dialog::Fault(fault)),
                    None => self.note(Grade::Info, Happening::NothingMissing, "", ""),
                }
            }
            Action::Edit(_) | Action::Paste(_) => browser.filter(action),
            Action::Do(_) | Action::Click { .. } | Action::ClickColumn { .. } | Action::Page { .. } => {}
        }
        Some(Dialog::Browser(browser))
    }

    /// Makes targets of rows.
    fn take_spots(&mut self, finds: &Finds, spots: &[Spot], out: &mut Vec<Effect>) {
        if spots.is_empty() {
            self.nothing_selected();
        } else {
            self.consider(None, finds.offers(spots), Vec::new(), out);
        }
    }

    /// Arranges the rows of an open browser, where something changed.
    pub(super) fn arrange_browser(&mut self) {
        for dialog in &mut self.dialogs {
            if let Dialog::Browser(browser) = dialog {
                browser.arrange();
            }
        }
    }

    /// The context that a new target most likely is for: the selected one in the clusters pane, else the current one,
    /// else that of the selected target.
    pub(super) fn cluster_in_view(&self) -> String {
        let selected = self.cluster_list.selected().cloned();
        let current = self.clusters.iter().find(|cluster| cluster.current).map(|cluster| cluster.name.clone());
        let beside =
            self.target_list.selected().and_then(|name| self.target(name)).map(|target| target.cluster.clone());
        let cluster = match self.focus.pane {
            super::focus::Pane::Clusters => selected.or(current),
            super::focus::Pane::Targets | super::focus::Pane::Pods | super::focus::Pane::Forwards => {
                current.or(beside).or(selected)
            }
        };
        cluster.unwrap_or_default()
    }
}
