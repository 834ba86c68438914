//! The dialog that asks where to import targets from: a file, a line, or a text that is pasted.

use crate::language::action::{Command, Typed};
use crate::language::effect::{Effect, StoreEffect};
use crate::screen::dialog::Dialog;
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::update::dialog::{FieldOutcome, Input};

impl Model {
    /// Opens the dialog.
    pub(crate) fn open_import(&mut self) {
        let cluster = self.cluster_in_view();
        self.screen.dialogs.push(Dialog::Import { cluster, field: Field::default(), pasted: None });
    }
}

/// Gives input to the dialog.
pub(crate) fn in_import(
    cluster: String,
    mut field: Field,
    mut pasted: Option<String>,
    input: Input,
    out: &mut Vec<Effect>,
) -> Option<Dialog> {
    match input {
        // A field has one line: what has more is kept beside it, whole.
        Input::Type(Typed::Paste(text)) if text.trim().contains(['\n', '\r']) => {
            field = Field::default();
            pasted = Some(text.replace("\r\n", "\n").replace('\r', "\n"));
        }
        Input::Do(Command::Accept) if pasted.is_some() => {
            out.push(Effect::Store(StoreEffect::ReadOffers { text: pasted.unwrap_or_default(), cluster }));
            return None;
        }
        input => {
            if matches!(input, Input::Type(_)) {
                pasted = None;
            }
            let empty = |text: &str| text.is_empty().then_some("required");
            match field.take(input, empty) {
                FieldOutcome::Cancelled => return None,
                FieldOutcome::Editing => {}
                FieldOutcome::Submitted => {
                    out.push(Effect::Store(StoreEffect::ReadOffers { text: field.text().to_owned(), cluster }));
                    return None;
                }
            }
        }
    }
    Some(Dialog::Import { cluster, field, pasted })
}
