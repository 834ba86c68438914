//! The dialog over the edit of an object, from the editor to the server.

use crate::language::fault::Fault;
use crate::types::edit::{Draft, EditSubject, Proposal};
use crate::types::epoch::Epoch;

/// The edit of an object.
#[derive(Debug, Clone)]
pub struct ObjectEdit {
    pub subject: EditSubject,
    /// The epoch of the edit: answers to an earlier one are dropped.
    pub epoch: Epoch,
    pub stage: Stage,
    /// The button that Enter presses; 0 is the harmless one.
    pub button: usize,
    /// Lines scrolled down.
    pub scroll: usize,
}

/// The progress of an edit.
#[derive(Debug, Clone)]
pub enum Stage {
    /// The object is being read.
    Opening,
    /// A person has it in the editor.
    InEditor(Box<Draft>),
    /// The server is trying the text.
    Trying(Box<Draft>),
    /// The server would take it. Buttons: leave, apply, edit again.
    Proposed(Box<Proposal>),
    /// The server is doing it.
    Applying(Box<Proposal>),
    /// The text was refused, and is kept. Buttons: leave, edit again.
    Refused { draft: Box<Draft>, fault: Fault },
    /// There is nothing to edit, for this reason.
    Failed(Fault),
}

impl Stage {
    /// The number of buttons.
    pub fn buttons(&self) -> usize {
        match self {
            Self::Opening | Self::InEditor(_) | Self::Trying(_) | Self::Applying(_) => 0,
            Self::Failed(_) => 1,
            Self::Refused { .. } => 2,
            Self::Proposed(_) => 3,
        }
    }

    /// The text that it is about.
    pub fn draft(&self) -> Option<&Draft> {
        match self {
            Self::Opening | Self::Failed(_) => None,
            Self::InEditor(draft) | Self::Trying(draft) | Self::Refused { draft, .. } => Some(draft),
            Self::Proposed(proposal) | Self::Applying(proposal) => Some(&proposal.draft),
        }
    }

    /// The fault that it shows.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Refused { fault, .. } | Self::Failed(fault) => Some(fault),
            Self::Opening | Self::InEditor(_) | Self::Trying(_) | Self::Proposed(_) | Self::Applying(_) => None,
        }
    }
}
