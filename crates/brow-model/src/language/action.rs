//! A person's requests. Keys become [`Action`]s in `keymap`; mouse events in `app`.

use std::collections::BTreeMap;

use tui_input::InputRequest;

pub use super::command::Command;
use crate::screen::focus::Pane;

/// One thing a person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A command that has a name and can be bound to keys.
    Do(Command),
    /// A key that runs this command in other panes only.
    Misplaced(Command),
    /// Something typed or pasted into the text field that has the focus.
    Type(Typed),
    /// A click on a row of a pane; the index is into that pane's visible order. `double` asks for its main action.
    Click {
        pane: Pane,
        /// Index into its visible order; `None`: the pane's frame or empty space.
        row: Option<usize>,
        /// Second click on the same row in short order.
        double: bool,
    },
    /// A click on a column's head: sort by the nth column shown in the table (index into the pane's column enum's
    /// `ALL`).
    ClickColumn {
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
        /// The last line to which the topmost dialog's text can be scrolled; `usize::MAX` before it is drawn.
        max_scroll: usize,
    },
    /// The descriptions of commands, in the language that is in use from now on: what the palette searches.
    Words(BTreeMap<Command, String>),
}

/// Input for a text field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Edit(InputRequest),
    /// Pasted text.
    Paste(String),
}

impl Action {
    /// Returns whether it leaves the order of every list alone, whatever has the focus: such actions come in bursts,
    /// and a large list is not arranged anew for each.
    pub(crate) fn only_moves(&self) -> bool {
        matches!(
            self,
            Self::Page { .. }
                | Self::Words(_)
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
