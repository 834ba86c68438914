//! The first run: what somebody sees who has neither a config nor targets, and what of the clusters is asked for it.

/// The welcome, while it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Welcome {
    /// True once the current context was connected for it, so that it is not connected again after the user
    /// disconnects.
    pub connected: bool,
}
