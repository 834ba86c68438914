//! Epochs, which tell a task from its successors.

/// Counts the openings of something replaceable. Events carry the epoch they belong to; those of an older one are
/// dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);
