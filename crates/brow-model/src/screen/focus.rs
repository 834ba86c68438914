//! The focus: panes and the strip.

use crate::language::command::Section;

/// The four panes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pane {
    /// Kubeconfig contexts.
    Clusters,
    /// Saved targets.
    #[default]
    Targets,
    /// Proxy pods.
    Pods,
    Forwards,
}

/// The contents of the strip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strip {
    /// The selected row's details.
    #[default]
    Details,
    /// The event log.
    Log,
}

/// The focus when no dialog is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Focus {
    /// The pane that the keys act on, unless the log has them.
    pub pane: Pane,
    /// True if the strip's log receives keys (scrolling, filtering, copying).
    pub in_log: bool,
    /// True if the pane fills the screen.
    pub zoomed: bool,
    /// The contents of the strip.
    pub strip: Strip,
}

impl Pane {
    /// All panes, in the order of the keys 1 to 4.
    pub const ALL: [Self; 4] = [Self::Clusters, Self::Targets, Self::Pods, Self::Forwards];

    /// Returns the section of the keys that hold in it.
    pub fn section(self) -> Section {
        match self {
            Self::Clusters => Section::Clusters,
            Self::Targets => Section::Targets,
            Self::Pods => Section::Pods,
            Self::Forwards => Section::Forwards,
        }
    }

    /// The pane `by` steps on, around.
    #[must_use]
    pub fn step(self, by: isize) -> Self {
        let at = Self::ALL.iter().position(|p| *p == self).unwrap_or_default();
        let at = at.cast_signed() + by;
        Self::ALL[at.rem_euclid(4).unsigned_abs()]
    }
}
