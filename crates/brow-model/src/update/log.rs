//! The event log: what happened, when, to what.

use chrono::TimeDelta;

use crate::language::fault::Fault;
use crate::language::log::{Entry, Grade, Happening};
use crate::plain;
use crate::state::Model;

/// The time for which the bottom line shows an entry.
const NOTICE: TimeDelta = TimeDelta::seconds(6);

impl Model {
    /// Puts an entry into the log and, for a while, into the bottom line.
    pub(crate) fn note(&mut self, grade: Grade, what: Happening, thing: impl Into<String>, detail: impl Into<String>) {
        let (thing, detail) = (thing.into(), detail.into());
        let (thing, detail) = (plain::line(&thing).into_owned(), plain::lines(&detail).into_owned());
        let entry = Entry { at: self.now, grade, what, thing, detail };
        // What a person is being told is not pushed aside by what merely happened.
        let graver = self.screen.notice.as_ref().is_some_and(|(shown, _)| shown.grade > grade && grade == Grade::Info)
            && !entry.what.answers();
        if !graver {
            self.screen.notice = Some((entry.clone(), self.now + NOTICE));
        }
        self.screen.log.push(entry);
    }

    /// Puts a fault into the log and the bottom line.
    pub(crate) fn fail(&mut self, fault: Fault) {
        let thing = fault.thing.clone();
        self.note(Grade::Error, Happening::Failed(Box::new(fault)), thing, "");
    }
}
