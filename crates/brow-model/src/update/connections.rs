//! The list of a forward's open connections. It is asked for while it is shown, and only then.

use crate::language::action::Command;
use crate::language::effect::{Effect, ForwardEffect};
use crate::language::log::Message;
use crate::screen::dialog::{ConnectionList, Dialog};
use crate::state::Model;
use crate::types::connection::Connection;
use crate::types::forward::ForwardId;
use crate::update::command::Enabled;
use crate::update::dialog::Input;

impl Model {
    /// Returns the forward behind what is chosen whose connections can be listed: one of this instance.
    fn listable_forward(&self) -> Option<ForwardId> {
        self.chosen_forwards().into_iter().find(|id| self.forwards.all().contains_key(id))
    }

    pub(crate) fn lists_connections(&self) -> Enabled {
        self.enabled_for_chosen(self.listable_forward().is_some(), Message::NotForwarded)
    }

    /// Shows the open connections of the chosen forward.
    pub(crate) fn show_connections(&mut self, out: &mut Vec<Effect>) {
        match (self.listable_forward(), self.chosen_forwards().first().copied()) {
            (Some(forward), _) => {
                self.screen.dialogs.push(Dialog::Connections(ConnectionList { forward, rows: None, cursor: 0 }));
                out.push(Effect::Forward(ForwardEffect::ListConnections { id: forward }));
            }
            (None, Some(other)) => self.report_owner(other),
            (None, None) => self.note_chosen(Message::NotForwarded),
        }
    }

    pub(crate) fn shown_connections(&self) -> Option<ForwardId> {
        self.screen.dialogs.iter().find_map(|dialog| match dialog {
            Dialog::Connections(list) => Some(list.forward),
            _ => None,
        })
    }

    /// Asks for the connections again while they are shown; they go with their forward.
    pub(crate) fn refresh_connections(&mut self, out: &mut Vec<Effect>) {
        let Some(id) = self.shown_connections() else { return };
        if self.forwards.all().contains_key(&id) {
            out.push(Effect::Forward(ForwardEffect::ListConnections { id }));
        } else {
            self.screen.dialogs.retain(|dialog| !matches!(dialog, Dialog::Connections(_)));
        }
    }

    /// Takes a new list; the cursor stays on its connection.
    pub(crate) fn on_connections(&mut self, id: ForwardId, new: Vec<Connection>) {
        for dialog in &mut self.screen.dialogs {
            if let Dialog::Connections(list) = dialog
                && list.forward == id
            {
                let chosen = list.selected().map(|connection| connection.id);
                let place = new.iter().position(|connection| Some(connection.id) == chosen);
                list.cursor = place.unwrap_or(list.cursor).min(new.len().saturating_sub(1));
                list.rows = Some(new);
                return;
            }
        }
    }

    pub(crate) fn in_connections(
        &self,
        mut list: ConnectionList,
        input: &Input,
        out: &mut Vec<Effect>,
    ) -> Option<Dialog> {
        if input.leaves() {
            return None;
        }
        let end = list.rows.as_ref().map_or(0, Vec::len).saturating_sub(1);
        match input {
            Input::Do(Command::EndConnection) => {
                if let Some(connection) = list.selected().map(|connection| connection.id) {
                    let id = list.forward;
                    out.push(Effect::Forward(ForwardEffect::EndConnection { id, connection }));
                    out.push(Effect::Forward(ForwardEffect::ListConnections { id }));
                }
            }
            Input::Item(at) => list.cursor = (*at).min(end),
            _ => {
                let by = input.moves(self.screen.page).unwrap_or(0);
                list.cursor = list.cursor.saturating_add_signed(by).min(end);
            }
        }
        Some(Dialog::Connections(list))
    }
}
