//! The first run: what somebody sees who has neither a config nor targets, and what of the clusters is asked for it.

/// The welcome, while it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Welcome {
    /// Whether the current context was connected for it: once, so that whoever lets it go is not overruled.
    pub connected: bool,
}
