//! What a person can ask for. Keys become [`Action`]s in `keymap`; mouse events in `app`.

use crate::language::action::{Action, Command};
use crate::language::effect::Effect;
use crate::language::log::{Grade, Happening};
use crate::screen::dialog::{Dialog, Question};
use crate::screen::focus::{Pane, Strip};
use crate::state::Model;
use crate::types::proxy::Whose;

impl Model {
    pub(crate) fn on_action(&mut self, action: Action, out: &mut Vec<Effect>) {
        self.screen.unarranged |= !action.only_moves();
        // Leaving at once works from everywhere.
        let anywhere = matches!(action, Action::Page { .. } | Action::Do(Command::QuitNow));
        if !anywhere && !self.screen.dialogs.is_empty() {
            return self.in_dialog(action, out);
        }
        if !anywhere && self.filtering() {
            return self.in_filter(action);
        }
        match action {
            Action::Page { rows, reach } => {
                self.screen.page = rows.max(1);
                self.screen.reach = reach;
            }
            Action::Do(Command::QuitNow) => self.leave_unasked(out),
            Action::Do(command) => self.on_command(command, out),
            Action::Click { pane, row, double } => self.on_click(pane, row, double, out),
            // The welcome has columns of its own.
            Action::ClickColumn { .. } if self.screen.welcome.is_some() => {}
            Action::ClickColumn { pane, column } => self.sort_by(pane, column),
            Action::Wheel { pane: Some(pane), by } => self.scroll_pane(pane, by),
            Action::Wheel { pane: None, by } => self.scroll_log(&Action::Wheel { pane: None, by }),
            Action::Edit(_) | Action::Paste(_) | Action::ClickItem(_) => {}
        }
    }

    fn on_command(&mut self, command: Command, out: &mut Vec<Effect>) {
        self.learn(command, out);
        if self.screen.focus.in_log && self.in_log(command, out) {
            return;
        }
        if self.leaves_welcome(command) {
            return;
        }
        match command {
            Command::Up
            | Command::Down
            | Command::Left
            | Command::Right
            | Command::Top
            | Command::Bottom
            | Command::PageUp
            | Command::PageDown
            | Command::Next
            | Command::Previous
            | Command::Clusters
            | Command::Targets
            | Command::Pods
            | Command::Forwards
            | Command::Zoom
            | Command::Mark
            | Command::MarkAll
            | Command::Filter
            | Command::Sort
            | Command::SortReverse
            | Command::ToggleLog
            | Command::Cancel => self.browse(command),
            Command::Theme => self.next_theme(out),
            Command::Help => self.screen.dialogs.push(Dialog::Help { scroll: 0 }),
            Command::Clean => {
                if self.clean(Whose::Mine, out) == 0 {
                    self.note(Grade::Info, Happening::NothingToClean, "", "");
                }
            }
            Command::CleanAll => self.ask_clean_all(),
            Command::Undo => self.undo(out),
            Command::Reload => out.push(Effect::Reload),
            Command::Quit => self.ask_quit(out),
            Command::QuitNow => self.leave_unasked(out),
            Command::New => self.new_target(),
            Command::Browse => self.open_browser(out),
            Command::Import => self.open_import(),
            Command::Accept
            | Command::ConnectCluster
            | Command::DisconnectCluster
            | Command::Create
            | Command::CreateWithTtl
            | Command::Forward
            | Command::Connect
            | Command::OnDemand
            | Command::Edit
            | Command::Rename
            | Command::Duplicate
            | Command::Delete
            | Command::Kill
            | Command::KillNow
            | Command::Renew
            | Command::Describe
            | Command::PodLog
            | Command::Stop
            | Command::Restart
            | Command::NextPod
            | Command::TakeKnown
            | Command::Export
            | Command::Strings
            | Command::Copy => {
                let known = match self.screen.focus.pane {
                    Pane::Clusters => self.on_clusters_pane(command, out),
                    Pane::Targets => self.on_targets_pane(command, out),
                    Pane::Pods => self.on_pods_pane(command, out),
                    Pane::Forwards => self.on_forwards_pane(command, out),
                };
                if !known {
                    self.note(Grade::Info, Happening::NotHere, "", command.name());
                }
            }
        }
    }

    fn ask_clean_all(&mut self) {
        let pods: usize = self.clusters.all.iter().map(|cluster| self.over(&cluster.name, Whose::All).len()).sum();
        if pods == 0 {
            self.note(Grade::Info, Happening::NothingToClean, "", "");
        } else {
            self.ask(Question::CleanAll { pods });
        }
    }

    fn on_click(&mut self, pane: Pane, row: Option<usize>, double: bool, out: &mut Vec<Effect>) {
        self.screen.focus.pane = pane;
        self.screen.focus.in_log = false;
        if let Some(row) = row {
            self.select_row(pane, row);
            if double {
                self.on_command(Command::Accept, out);
            }
        }
    }

    /// A command for the log, while it has the keys; false: not one for it.
    fn in_log(&mut self, command: Command, out: &mut Vec<Effect>) -> bool {
        match command {
            Command::Up | Command::Down | Command::PageUp | Command::PageDown | Command::Top | Command::Bottom => {
                self.scroll_log(&Action::Do(command));
            }
            Command::Filter => self.screen.log.filtering = true,
            Command::Copy => {
                let entries = self.screen.log.shown().cloned().collect::<Vec<_>>();
                self.note(Grade::Info, Happening::Copied, entries.len().to_string(), "");
                out.push(Effect::CopyEntries(entries));
            }
            Command::Describe | Command::Accept => {
                let read = self.screen.log.shown().next_back().map(|entry| entry.what.clone());
                if let Some(Happening::Failed(fault)) = read {
                    self.screen.dialogs.push(Dialog::Fault(*fault));
                }
            }
            Command::Cancel if !self.screen.log.filter.value().is_empty() => self.screen.log.filter.reset(),
            Command::Cancel => {
                self.screen.focus.in_log = false;
                self.screen.focus.strip = Strip::Details;
            }
            _ => return false,
        }
        true
    }
}
