//! Commands on several rows at once: what is said of all of them, and how they are taken back.

use std::collections::BTreeSet;

use crate::types::forward::ForwardId;
use crate::types::restore::OpenForward;
use crate::types::target::Target;

/// An outcome of several at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Forwards are being opened.
    Opening,
    /// They are open, but for those that failed. `back`: undo closes them.
    Opened { failed: usize, back: bool },
    /// Forwards were closed. `back`: undo opens them again.
    Closed { back: bool },
    /// Forwards were closed and are opened again.
    Restarted,
    /// Targets were deleted.
    Deleted,
    /// Deleted targets are back.
    Restored,
    /// Forwards of an earlier run were not opened again; undo opens them.
    NotRestored,
    /// Pods are asked for.
    Created,
    /// Pods are being renewed.
    Renewed,
    /// Pods are being deleted.
    Killed,
}

/// Something that `undo` takes back.
#[derive(Debug, Clone, PartialEq)]
pub enum Undo {
    /// These targets were deleted.
    Deleted(Vec<Target>),
    /// The forwards of these targets were opened.
    Opened(Vec<String>),
    /// The forwards of these targets were closed.
    Closed(Vec<String>),
    /// The forwards of an earlier run were not opened again.
    NotRestored(Vec<OpenForward>),
}

/// Forwards that are being opened at once.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    pub waiting: BTreeSet<ForwardId>,
    pub opened: usize,
    pub failed: usize,
    /// True if undo closes them.
    pub back: bool,
}
