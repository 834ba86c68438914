//! Orders and news about objects that a person edits.

use crate::language::fault::Fault;
use crate::types::edit::{Draft, EditSubject, Proposal, Trial};
use crate::types::epoch::Epoch;
use crate::types::index::ObjectRef;

/// An order about an object that a person edits.
#[derive(Debug, Clone, PartialEq)]
pub enum EditEffect {
    /// Fetch an object, or make a skeleton of a new one, and write it to a file.
    Open {
        subject: EditSubject,
        /// Echoed in the answers.
        epoch: Epoch,
    },
    /// Read the text again, and have the server try it.
    Try {
        draft: Box<Draft>,
        /// Echoed in the answers.
        epoch: Epoch,
    },
    /// Have the server do what it has tried.
    Apply {
        proposal: Box<Proposal>,
        /// Echoed in the answers.
        epoch: Epoch,
    },
    /// Delete the file of a text that nobody needs any more.
    Discard { path: String },
    /// Delete an object, if it still has this uid.
    Delete { object: ObjectRef, uid: String },
}

/// News of the edit of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum EditEvent {
    /// Its text is in a file, or the object could not be read.
    Opened(Result<Box<Draft>, Fault>),
    /// The editor was left, or failed.
    Left(Result<(), Fault>),
    /// The server tried the text. The draft is the one that was tried, with its new base where others have changed the
    /// object meanwhile.
    Tried { draft: Box<Draft>, result: Result<Trial, Fault> },
    /// The server did it, or refused.
    Applied(Result<(), Fault>),
}
