//! The clipboard: what is said once a text was given to it.

use crate::language::effect::{Clip, Effect, TerminalEffect};
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::state::Model;

impl Model {
    pub(crate) fn copy(clip: Clip, out: &mut Vec<Effect>) {
        out.push(Effect::Terminal(TerminalEffect::Copy(clip)));
    }

    /// Says that a text was copied; where that is not known, shows it.
    pub(crate) fn on_clipped(&mut self, clip: Clip, text: String, taken: bool) {
        if taken {
            let (message, thing) = match clip {
                Clip::Text(text) => (Message::Copied, text.lines().collect::<Vec<_>>().join(", ")),
                Clip::Targets { count, .. } => (Message::Exported, count.to_string()),
                Clip::Fault(fault) => (Message::Copied, fault.thing),
                Clip::Entries(entries) => (Message::CopiedEntries, entries.len().to_string()),
            };
            self.note(Level::Info, message, thing, "");
        } else if text.lines().count() == 1 {
            self.note(Level::Warning, Message::NotCopied, text, "");
        } else {
            self.screen.dialogs.push(Dialog::NotCopied { text, scroll: 0 });
        }
    }
}
