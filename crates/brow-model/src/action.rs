//! What a person can ask for. Keys become [`Action`]s in `keymap`; mouse events in `app`.

use tui_input::InputRequest;

use super::Model;
use super::dialog::{Dialog, Question};
use super::effect::Effect;
use super::focus::{Pane, Strip};
use super::log::{Grade, Happening};
use super::proxy::Whose;

/// One thing a person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A command that has a name and can be bound to keys.
    Do(Command),
    /// An edit of the text field that has the focus.
    Edit(InputRequest),
    /// Pasted text, for the text field that has the focus.
    Paste(String),
    /// A click on a row of a pane; the index is into that pane's visible order. `double` asks for its main action.
    Click {
        /// The pane.
        pane: Pane,
        /// Index into its visible order; `None`: the pane's frame or empty space.
        row: Option<usize>,
        /// Second click on the same row in short order.
        double: bool,
    },
    /// A click on a column's head: sort by the nth column shown in the table (index into the pane's column enum's
    /// `ALL`).
    ClickColumn {
        /// The pane.
        pane: Pane,
        /// Index into the pane's columns.
        column: usize,
    },
    /// A click into a dialog: the nth button or form field.
    ClickItem(usize),
    /// The wheel over a pane, lines down (negative: up).
    Wheel {
        /// The pane; `None`: the strip or the topmost dialog.
        pane: Option<Pane>,
        /// Lines.
        by: isize,
    },
    /// A frame was drawn in which something scrolls by another measure (a resize, say).
    Page {
        /// Visible rows of what has the keys: how far a page is.
        rows: usize,
        /// How far the topmost dialog's text can be scrolled; `usize::MAX` where nobody knows.
        reach: usize,
    },
}

macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A bindable command. Its name is what the config's `[keys]` and the text tables (`command.<name>`) use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Command { $($(#[doc = $doc])+ $variant,)+ }

        impl Command {
            /// Every command, in the order of the help.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The command's name in the config and the text tables.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

commands! {
    /// One row up (or one line, in a dialog that scrolls).
    Up = "up",
    /// One row down.
    Down = "down",
    /// The pane (or button) to the left.
    Left = "left",
    /// The pane (or button) to the right.
    Right = "right",
    /// The first row.
    Top = "top",
    /// The last row.
    Bottom = "bottom",
    /// A page up.
    PageUp = "page-up",
    /// A page down.
    PageDown = "page-down",
    /// The next pane; in a form the next field.
    Next = "next",
    /// The previous pane; in a form the previous field.
    Previous = "previous",
    /// The clusters pane.
    Clusters = "clusters",
    /// The targets pane.
    Targets = "targets",
    /// The proxy pods pane.
    Pods = "pods",
    /// The forwards pane.
    Forwards = "forwards",
    /// The pane to full screen and back.
    Zoom = "zoom",
    /// Mark or unmark the row and go on to the next.
    Mark = "mark",
    /// Mark all visible rows, or none where all are.
    MarkAll = "mark-all",
    /// Filter the pane.
    Filter = "filter",
    /// Sort by the next column.
    Sort = "sort",
    /// Turn the order round.
    SortReverse = "sort-reverse",
    /// Show the log in the strip, or the details again.
    ToggleLog = "log",
    /// The next theme.
    Theme = "theme",
    /// Help.
    Help = "help",
    /// Close the dialog, leave the filter, clear the marks: one step back.
    Cancel = "cancel",
    /// Say yes: submit the form, press the chosen button, accept the filter.
    Accept = "accept",
    /// Clusters: connect, or connect again.
    ConnectCluster = "connect-cluster",
    /// Clusters: let go of the connection.
    DisconnectCluster = "disconnect-cluster",
    /// Targets: create a proxy pod.
    Create = "create",
    /// Targets: create a proxy pod with a TTL asked for.
    CreateWithTtl = "create-with-ttl",
    /// Targets and pods: forward.
    Forward = "forward",
    /// Targets: create and forward.
    Connect = "connect",
    /// Targets: open the forward on demand, make it one, or an ordinary one again.
    OnDemand = "on-demand",
    /// Targets: a new one.
    New = "new",
    /// Targets: edit.
    Edit = "edit",
    /// Targets: rename.
    Rename = "rename",
    /// Targets: duplicate.
    Duplicate = "duplicate",
    /// Targets: delete.
    Delete = "delete",
    /// Targets: take the last deletion back.
    Undo = "undo",
    /// Pods: delete after a question.
    Kill = "kill",
    /// Pods: delete at once.
    KillNow = "kill-now",
    /// Pods: have another with a new TTL take over.
    Renew = "renew",
    /// Pods: describe.
    Describe = "describe",
    /// Pods: the relay's log.
    PodLog = "pod-log",
    /// Forwards: stop.
    Stop = "stop",
    /// Forwards: close and open again.
    Restart = "restart",
    /// Forwards: take the next pod of the workload.
    NextPod = "next-pod",
    /// Copy: a forward's address, a log line, a fault's remedy.
    Copy = "copy",
    /// Delete our finished and expired pods.
    Clean = "clean",
    /// Delete everybody's finished and expired proxy pods, after a question.
    CleanAll = "clean-all",
    /// Read config and kubeconfig again.
    Reload = "reload",
    /// Look what the connected clusters have.
    Browse = "browse",
    /// Browser: make targets of all that is recognised.
    TakeKnown = "take-known",
    /// Import targets from a file or a pasted text.
    Import = "import",
    /// Targets: export.
    Export = "export",
    /// Targets and forwards: connection strings.
    Strings = "strings",
    /// Quit, asking where something is open.
    Quit = "quit",
    /// Quit at once.
    QuitNow = "quit-now",
}

impl Command {
    /// The command of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.name() == name)
    }
}

impl Action {
    /// Whether it leaves every row where it stands, whatever has the focus: those come in bursts, and a large list is
    /// not arranged anew for each.
    fn only_moves(&self) -> bool {
        matches!(
            self,
            Self::Page { .. }
                | Self::Wheel { .. }
                | Self::Do(
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
                        | Command::Mark
                        | Command::MarkAll
                )
        )
    }
}

impl Action {
    /// Whether it chooses a row among several.
    pub(super) fn chooses(&self) -> bool {
        matches!(
            self,
            Self::Wheel { .. }
                | Self::ClickItem(_)
                | Self::Do(Command::Up | Command::Down | Command::PageUp | Command::PageDown | Command::Mark)
        )
    }
}

impl Model {
    pub(super) fn on_action(&mut self, action: Action, out: &mut Vec<Effect>) {
        self.unarranged |= !action.only_moves();
        // Leaving at once works from everywhere.
        let anywhere = matches!(action, Action::Page { .. } | Action::Do(Command::QuitNow));
        if !anywhere && !self.dialogs.is_empty() {
            return self.in_dialog(action, out);
        }
        if !anywhere && self.filtering() {
            return self.in_filter(action);
        }
        match action {
            Action::Page { rows, reach } => {
                self.page = rows.max(1);
                self.reach = reach;
            }
            Action::Do(Command::QuitNow) => self.leave_unasked(out),
            Action::Do(command) => self.on_command(command, out),
            Action::Click { pane, row, double } => self.on_click(pane, row, double, out),
            // The welcome has columns of its own.
            Action::ClickColumn { .. } if self.welcome.is_some() => {}
            Action::ClickColumn { pane, column } => self.sort_by(pane, column),
            Action::Wheel { pane: Some(pane), by } => self.scroll_pane(pane, by),
            Action::Wheel { pane: None, by } => self.scroll_log(&Action::Wheel { pane: None, by }),
            Action::Edit(_) | Action::Paste(_) | Action::ClickItem(_) => {}
        }
    }

    fn on_command(&mut self, command: Command, out: &mut Vec<Effect>) {
        self.learn(command, out);
        if self.focus.in_log && self.in_log(command, out) {
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
            Command::Help => self.dialogs.push(Dialog::Help { scroll: 0 }),
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
                let known = match self.focus.pane {
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
        let pods: usize = self.clusters.iter().map(|cluster| self.over(&cluster.name, Whose::All).len()).sum();
        if pods == 0 {
            self.note(Grade::Info, Happening::NothingToClean, "", "");
        } else {
            self.ask(Question::CleanAll { pods });
        }
    }

    fn on_click(&mut self, pane: Pane, row: Option<usize>, double: bool, out: &mut Vec<Effect>) {
        self.focus.pane = pane;
        self.focus.in_log = false;
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
            Command::Filter => self.log.filtering = true,
            Command::Copy => {
                let entries = self.log.shown().cloned().collect::<Vec<_>>();
                self.note(Grade::Info, Happening::Copied, entries.len().to_string(), "");
                out.push(Effect::CopyEntries(entries));
            }
            Command::Describe | Command::Accept => {
                let read = self.log.shown().next_back().map(|entry| entry.what.clone());
                if let Some(Happening::Failed(fault)) = read {
                    self.dialogs.push(Dialog::Fault(*fault));
                }
            }
            Command::Cancel if !self.log.filter.value().is_empty() => self.log.filter.reset(),
            Command::Cancel => {
                self.focus.in_log = false;
                self.focus.strip = Strip::Details;
            }
            _ => return false,
        }
        true
    }
}
