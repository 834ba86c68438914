//! What a person can ask for. Keys become [`Action`]s in `keymap`; mouse events in `app`.

use tui_input::InputRequest;

use crate::screen::focus::Pane;

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
    pub(crate) fn only_moves(&self) -> bool {
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
    pub(crate) fn chooses(&self) -> bool {
        matches!(
            self,
            Self::Wheel { .. }
                | Self::ClickItem(_)
                | Self::Do(Command::Up | Command::Down | Command::PageUp | Command::PageDown | Command::Mark)
        )
    }
}
