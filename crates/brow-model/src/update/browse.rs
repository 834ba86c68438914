//! Navigation: panes, rows, marks, filters, sorting.

use tui_input::Input;

use crate::language::action::{Action, Command};
use crate::language::effect::{Clip, Effect};
use crate::language::fault::Fault;
use crate::language::log::Message;
use crate::screen::dialog::Dialog;
use crate::screen::focus::{Pane, Strip};
use crate::screen::list::{ClusterColumn, ForwardColumn, ListStatus, PodColumn, TargetColumn};
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::types::forward::ForwardId;
use crate::types::proxy::PodKey;

/// Calls a method on the list of a pane.
macro_rules! on_list {
    ($model:expr, $pane:expr, $list:ident => $do:expr) => {
        match $pane {
            Pane::Clusters => {
                let $list = &mut $model.screen.clusters;
                $do
            }
            Pane::Targets => {
                let $list = &mut $model.screen.targets;
                $do
            }
            Pane::Pods => {
                let $list = &mut $model.screen.pods;
                $do
            }
            Pane::Forwards => {
                let $list = &mut $model.screen.forwards;
                $do
            }
        }
    };
}

impl Model {
    /// Moves the selection, or the log where that has the keys.
    pub(crate) fn scroll(&mut self, by: isize) {
        if self.screen.focus.in_log { self.scroll_log(by) } else { self.scroll_pane(self.screen.focus.pane, by) }
    }

    /// Gives the keys to a pane; whoever goes elsewhere leaves the welcome.
    pub(crate) fn focus_pane(&mut self, pane: Pane) {
        self.screen.welcome = None;
        self.go_to(pane);
    }

    pub(crate) fn zoom(&mut self) {
        self.screen.welcome = None;
        self.screen.focus.zoomed = !self.screen.focus.zoomed;
    }

    /// Shows the log in the strip and gives it the keys, or takes both back.
    pub(crate) fn toggle_log(&mut self) {
        self.screen.welcome = None;
        self.screen.focus.in_log = !self.screen.focus.in_log;
        self.screen.focus.strip = if self.screen.focus.in_log { Strip::Log } else { Strip::Details };
        self.screen.log.back = 0;
    }

    pub(crate) fn mark(&mut self) {
        on_list!(self, self.screen.focus.pane, list => list.mark());
    }

    pub(crate) fn mark_all(&mut self) {
        on_list!(self, self.screen.focus.pane, list => list.mark_all());
    }

    /// Marks the visible rows with which something is wrong, and no others.
    pub(crate) fn mark_trouble(&mut self) {
        match self.screen.focus.pane {
            Pane::Clusters => {
                let wrong = |name: &&String| self.cluster(name).is_some_and(|cluster| cluster.fault.is_some());
                self.screen.clusters.marks = self.screen.clusters.rows().iter().filter(wrong).cloned().collect();
            }
            Pane::Targets => {
                let fault = |name: &String| self.fault_of_target(self.target(name)?);
                let wrong = |name: &&String| fault(name).is_some();
                self.screen.targets.marks = self.screen.targets.rows().iter().filter(wrong).cloned().collect();
            }
            Pane::Pods => {
                let wrong = |key: &&PodKey| self.pods.all().get(key).is_some_and(|pod| pod.fault.is_some());
                self.screen.pods.marks = self.screen.pods.rows().iter().filter(wrong).cloned().collect();
            }
            Pane::Forwards => {
                let fault = |id: &ForwardId| self.trouble_of(self.forwards.all().get(id)?);
                let wrong = |id: &&ForwardId| fault(id).is_some();
                self.screen.forwards.marks = self.screen.forwards.rows().iter().filter(wrong).copied().collect();
            }
        }
    }

    pub(crate) fn filter(&mut self) {
        on_list!(self, self.screen.focus.pane, list => list.filtering = true);
    }

    pub(crate) fn sort_by_next(&mut self) {
        on_list!(self, self.screen.focus.pane, list => list.column = list.column.next());
    }

    pub(crate) fn reverse_order(&mut self) {
        on_list!(self, self.screen.focus.pane, list => list.descending = !list.descending);
    }

    /// The pane's standing.
    pub fn list_status(&self) -> ListStatus {
        match self.screen.focus.pane {
            Pane::Clusters => self.screen.clusters.status(),
            Pane::Targets => self.screen.targets.status(),
            Pane::Pods => self.screen.pods.status(),
            Pane::Forwards => self.screen.forwards.status(),
        }
    }

    fn go_to(&mut self, pane: Pane) {
        self.screen.focus.pane = pane;
        self.screen.focus.in_log = false;
    }

    pub(crate) fn clear_marks(&mut self) {
        on_list!(self, self.screen.focus.pane, list => list.marks.clear());
    }

    /// One step back: marks, then the filter, then the welcome or the zoom.
    pub(crate) fn step_back(&mut self) {
        let pane = self.screen.focus.pane;
        let ListStatus { marked, filtered, .. } = self.list_status();
        if marked {
            self.clear_marks();
        } else if filtered {
            on_list!(self, pane, list => list.filter.reset());
        } else if self.screen.welcome.is_some() {
            self.end_welcome();
        } else {
            self.screen.focus.zoomed = false;
        }
    }

    /// Moves the selection of a pane.
    pub(crate) fn scroll_pane(&mut self, pane: Pane, by: isize) {
        on_list!(self, pane, list => list.step(by));
    }

    /// Selects a row of a pane by its place in the visible order.
    pub(crate) fn select_row(&mut self, pane: Pane, row: usize) {
        on_list!(self, pane, list => list.select(row));
    }

    /// Sorts a pane by its nth column, or turns the order round where it is sorted by it.
    pub(crate) fn sort_by(&mut self, pane: Pane, column: usize) {
        macro_rules! sort {
            ($list:expr, $all:expr) => {
                if let Some(column) = $all.get(column).copied() {
                    $list.descending = $list.column == column && !$list.descending;
                    $list.column = column;
                }
            };
        }
        self.go_to(pane);
        match pane {
            Pane::Clusters => sort!(self.screen.clusters, ClusterColumn::ALL),
            Pane::Targets => sort!(self.screen.targets, TargetColumn::ALL),
            Pane::Pods => sort!(self.screen.pods, PodColumn::ALL),
            Pane::Forwards => sort!(self.screen.forwards, ForwardColumn::ALL),
        }
    }

    /// Returns true while a filter's field has the keys.
    pub fn filtering(&self) -> bool {
        if self.screen.focus.in_log {
            return self.screen.log.filtering;
        }
        match self.screen.focus.pane {
            Pane::Clusters => self.screen.clusters.filtering,
            Pane::Targets => self.screen.targets.filtering,
            Pane::Pods => self.screen.pods.filtering,
            Pane::Forwards => self.screen.forwards.filtering,
        }
    }

    /// Gives an action to the filter's field.
    pub(crate) fn in_filter(&mut self, action: Action) {
        let pane = self.screen.focus.pane;
        match action {
            Action::Do(Command::Up) if !self.screen.focus.in_log => self.scroll_pane(pane, -1),
            Action::Do(Command::Down) if !self.screen.focus.in_log => self.scroll_pane(pane, 1),
            Action::Do(Command::Accept | Command::Next | Command::Previous) => self.end_filter(false),
            Action::Do(Command::Cancel) => self.end_filter(true),
            Action::Click { pane, row, .. } => {
                self.end_filter(false);
                self.go_to(pane);
                if let Some(row) = row {
                    self.select_row(pane, row);
                }
            }
            Action::Type(typed) => {
                let mut field = Field { input: std::mem::take(self.filter_mut()), error: None };
                let before = field.input.value().to_owned();
                field.edit(typed);
                let changed = field.input.value() != before;
                *self.filter_mut() = field.input;
                if self.screen.focus.in_log {
                    self.screen.log.back = 0;
                } else {
                    on_list!(self, pane, list => list.seeking |= changed);
                }
            }
            Action::Wheel { pane: Some(pane), by } => self.scroll_pane(pane, by),
            Action::Do(_)
            | Action::Misplaced(_)
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { pane: None, .. }
            | Action::Page { .. }
            | Action::Words(_) => {}
        }
    }

    fn end_filter(&mut self, clear: bool) {
        if clear {
            self.filter_mut().reset();
        }
        if self.screen.focus.in_log {
            self.screen.log.filtering = false;
        } else {
            on_list!(self, self.screen.focus.pane, list => list.filtering = false);
        }
    }

    fn filter_mut(&mut self) -> &mut Input {
        if self.screen.focus.in_log {
            return &mut self.screen.log.filter;
        }
        on_list!(self, self.screen.focus.pane, list => &mut list.filter)
    }

    /// Scrolls the log, lines down (negative: up).
    pub(crate) fn scroll_log(&mut self, by: isize) {
        self.screen.log.step(by);
    }

    /// One step back in the log: its filter, then the log itself.
    pub(crate) fn leave_log(&mut self) {
        if !self.screen.log.filter.value().is_empty() {
            return self.screen.log.filter.reset();
        }
        self.screen.focus.in_log = false;
        self.screen.focus.strip = Strip::Details;
    }

    /// Copies the selected entry of the log, or all down to that one.
    pub(crate) fn copy_log(&self, all: bool, out: &mut Vec<Effect>) {
        let shown = self.screen.log.shown();
        let mut entries: Vec<_> = shown.rev().take(if all { usize::MAX } else { 1 }).cloned().collect();
        entries.reverse();
        Self::copy(Clip::Entries(entries), out);
    }

    /// The fault that the log's last shown entry tells of.
    pub(crate) fn logged_fault(&self) -> Option<&Fault> {
        let last = &self.screen.log.shown().next_back()?.message;
        if let Message::Failed(fault) = last { Some(fault) } else { None }
    }

    pub(crate) fn show_logged_fault(&mut self) {
        if let Some(fault) = self.logged_fault().cloned() {
            self.screen.dialogs.push(Dialog::Fault(fault));
        }
    }
}
