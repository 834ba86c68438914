//! Getting about: panes, rows, marks, filters, sorting.

use tui_input::Input;

use crate::language::action::{Action, Command};
use crate::screen::focus::{Pane, Strip};
use crate::screen::list::{ClusterColumn, ForwardColumn, PodColumn, TargetColumn};
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::update::answer::scrolled_back;

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
    /// Carries out a command that only moves about.
    pub(crate) fn browse(&mut self, command: Command) {
        let pane = self.screen.focus.pane;
        let rows = self.screen.page.cast_signed();
        match command {
            Command::Up => self.scroll_pane(pane, -1),
            Command::Down => self.scroll_pane(pane, 1),
            Command::PageUp => self.scroll_pane(pane, -rows),
            Command::PageDown => self.scroll_pane(pane, rows),
            Command::Top => self.scroll_pane(pane, isize::MIN),
            Command::Bottom => self.scroll_pane(pane, isize::MAX),
            Command::Left | Command::Previous => self.go_to(pane.step(-1)),
            Command::Right | Command::Next => self.go_to(pane.step(1)),
            Command::Clusters => self.go_to(Pane::Clusters),
            Command::Targets => self.go_to(Pane::Targets),
            Command::Pods => self.go_to(Pane::Pods),
            Command::Forwards => self.go_to(Pane::Forwards),
            Command::Zoom => self.screen.focus.zoomed = !self.screen.focus.zoomed,
            Command::Mark => on_list!(self, pane, list => list.mark()),
            Command::MarkAll => on_list!(self, pane, list => list.mark_all()),
            Command::Filter => on_list!(self, pane, list => list.filtering = true),
            Command::Sort => on_list!(self, pane, list => list.column = list.column.next()),
            Command::SortReverse => on_list!(self, pane, list => list.descending = !list.descending),
            Command::ToggleLog => {
                self.screen.focus.in_log = !self.screen.focus.in_log;
                self.screen.focus.strip = if self.screen.focus.in_log { Strip::Log } else { Strip::Details };
                self.screen.log.back = 0;
            }
            Command::Cancel => self.step_back(),
            _ => {}
        }
    }

    fn go_to(&mut self, pane: Pane) {
        self.screen.focus.pane = pane;
        self.screen.focus.in_log = false;
    }

    /// One step back: marks, then the filter, then the zoom.
    fn step_back(&mut self) {
        let pane = self.screen.focus.pane;
        let (marked, filtered) =
            on_list!(self, pane, list => (!list.marks.is_empty(), !list.filter.value().is_empty()));
        if marked {
            on_list!(self, pane, list => list.marks.clear());
        } else if filtered {
            on_list!(self, pane, list => list.filter.reset());
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

    /// Whether a filter's field has the keys.
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
            Action::Edit(_) | Action::Paste(_) => {
                let mut field = Field { input: std::mem::take(self.filter_mut()), error: None };
                let before = field.input.value().to_owned();
                field.edit(action);
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
            | Action::ClickColumn { .. }
            | Action::ClickItem(_)
            | Action::Wheel { pane: None, .. }
            | Action::Page { .. } => {}
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

    /// Scrolls the log.
    pub(crate) fn scroll_log(&mut self, action: &Action) {
        let most = self.screen.log.entries.len().saturating_sub(1);
        if let Some(back) = scrolled_back(self.screen.log.back, self.screen.page, action) {
            self.screen.log.back = back.min(most);
        }
    }
}
