//! The command palette: every command, found by its name or description.

use crate::language::command::Command;
use crate::screen::text_field::Field;

/// The dialog.
#[derive(Debug, Clone, Default)]
pub struct Palette {
    pub field: Field,
    /// The commands that match, those that have an effect now first.
    pub order: Vec<Command>,
    /// The one that Enter runs.
    pub cursor: usize,
}
