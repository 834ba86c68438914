//! The event log: what happened, when, to what.

use chrono::TimeDelta;

use crate::language::fault::Fault;
use crate::language::log::{Entry, Level, Message};
use crate::sanitize;
use crate::state::Model;

/// The time for which the bottom line shows an entry.
const NOTICE: TimeDelta = TimeDelta::seconds(6);

impl Model {
    /// Puts an entry into the log and, for a while, into the bottom line.
    pub(crate) fn note(&mut self, level: Level, message: Message, thing: impl Into<String>, detail: impl Into<String>) {
        let (thing, detail) = (thing.into(), detail.into());
        let (thing, detail) = (sanitize::line(&thing).into_owned(), sanitize::lines(&detail).into_owned());
        let entry = Entry { at: self.now, level, message, thing, detail, words: String::new() };
        // An event does not replace a more severe message, or the answer to a key.
        let more_severe =
            self.screen.notice.as_ref().is_some_and(|(shown, _)| shown.level > level && level == Level::Info)
                && !entry.message.is_feedback();
        // Nor does a message about one row replace the one about the whole batch.
        let shows_several =
            self.screen.notice.as_ref().is_some_and(|(shown, _)| matches!(shown.message, Message::Several(_)));
        let of_one = shows_several && entry.message.is_of_one();
        if !more_severe && !of_one {
            self.screen.notice = Some((entry.clone(), self.now + NOTICE));
        }
        self.screen.log.push(entry);
    }

    /// Shows where a forward listens that works from now on, in place of how its pod came about.
    pub(crate) fn show_address(&mut self, target: &str, local: String) {
        let progress = [Message::PodAsked, Message::PodCreated, Message::PodReady];
        if self.screen.notice.as_ref().is_none_or(|(shown, _)| progress.contains(&shown.message)) {
            let (level, message) = (Level::Success, Message::ForwardOpened);
            let (thing, words) = (target.to_owned(), String::new());
            let entry = Entry { at: self.now, level, message, thing, detail: local, words };
            self.screen.notice = Some((entry, self.now + NOTICE));
        }
    }

    /// Puts a fault into the log and the bottom line.
    pub(crate) fn fail(&mut self, fault: Fault) {
        let thing = fault.thing.clone();
        self.note(Level::Error, Message::Failed(Box::new(fault)), thing, "");
    }
}
