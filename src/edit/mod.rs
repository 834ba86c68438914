//! Custom objects in a person's editor: their text in a file, a trial on the server, what it would change, and the
//! change.
//!
//! A text is never lost: its file stays until the server has taken it, or it says what is there already.

mod diff;
mod editor;
mod file;
mod reach;
mod request;
mod skeleton;
mod text;
mod trial;

pub use diff::lines as diff;
pub use editor::Editor;
pub use file::{annotate, discard, keep_private};
pub use trial::{adopt, apply, delete, open, try_text};

/// The name under which the server remembers who set a field.
pub const FIELD_MANAGER: &str = "brow-tui";
