//! A line of text that is being typed.

use tui_input::Input;

use crate::language::action::Typed;
use crate::sanitize::is_unseen;

/// A text field and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// The text and the cursor.
    pub input: Input,
    /// The error of the text, as a key of the text tables (`field.<key>`).
    pub error: Option<&'static str>,
}

impl Field {
    /// Takes an edit or a paste. Pasted line ends become spaces, as a field has one line; what cannot be seen is left
    /// out.
    pub(crate) fn edit(&mut self, typed: Typed) {
        match typed {
            Typed::Edit(request) => {
                self.input.handle(request);
            }
            Typed::Paste(text) => {
                let words = text.split(char::is_control).filter(|part| !part.is_empty());
                let line = words.collect::<Vec<_>>().join(" ");
                for c in line.chars().filter(|c| !is_unseen(*c)) {
                    self.input.handle(tui_input::InputRequest::InsertChar(c));
                }
            }
        }
    }
}
