//! The dialog that asks where to import targets from: a file, a line, or a text that is pasted.

use crate::language::action::{Action, Command};
use crate::language::effect::{Effect, StoreEffect};
use crate::screen::dialog::Dialog;
use crate::screen::text_field::Field;
use crate::state::Model;
use crate::update::dialog::FieldOutcome;

impl Model {
    /// Opens the dialog.
    pub(crate) fn open_import(&mut self) {
        let cluster = self.cluster_in_view();
        self.screen.dialogs.push(Dialog::Import { cluster, field: Field::default(), pasted: None });
    }
}

/// Gives an action to the dialog.
pub(crate) fn in_import(
    cluster: String,
    mut field: Field,
    mut pasted: Option<String>,
    action: Action,
    out: &mut Vec<Effect>,
) -> Option<Dialog> {
    match action {
        // A field has one line: what has more is kept beside it, whole.
        Action::Paste(text) if text.trim().contains(['\n', '\r']) => {
            field = Field::default();
            pasted = Some(text.replace("\r\n", "\n").replace('\r', "\n"));
        }
        Action::Do(Command::Accept) if pasted.is_some() => {
            out.push(Effect::Store(StoreEffect::ReadOffers { text: pasted.unwrap_or_default(), cluster }));
            return None;
        }
        action => {
            if matches!(action, Action::Edit(_) | Action::Paste(_)) {
                pasted = None;
            }
            let empty = |text: &str| text.is_empty().then_some("required");
            match field.take(action, empty) {
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
