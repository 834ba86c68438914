//! The first run: the welcome of somebody who has neither a config nor targets, and tips, each the next key that is of
//! use, until it was used once.

use crate::language::action::Command;
use crate::screen::focus::Pane;

/// The welcome, while it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Welcome {
    /// True once the current context was connected for it, so that it is not connected again after the user
    /// disconnects.
    pub connected: bool,
}

macro_rules! tips {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $command:ident in $panes:expr;)+) => {
        /// A key worth knowing. The order is that in which they are taught; a name is what the state file and the text
        /// tables (`tip.<name>`) use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Tip { $($(#[doc = $doc])+ $variant,)+ }

        impl Tip {
            /// All of them, in the order in which they are taught.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in the state file and the text tables.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The command that it teaches.
            pub fn command(self) -> Command {
                match self { $(Self::$variant => Command::$command,)+ }
            }

            /// The panes in which the command means this, the one to go to first; none: it means so everywhere.
            pub fn panes(self) -> &'static [Pane] {
                match self { $(Self::$variant => $panes,)+ }
            }
        }
    };
}

tips! {
    /// A first target.
    Add = "add", New in &[];
    /// From a target to a forward.
    Connect = "connect", Connect in &[Pane::Targets];
    /// Using a forward's address.
    Copy = "copy", Copy in &[Pane::Forwards, Pane::Targets];
    /// The log, with the reason of a failure.
    Log = "log", ToggleLog in &[];
    /// Closing a forward.
    Stop = "stop", Stop in &[Pane::Forwards, Pane::Targets];
    /// Working on several rows at once.
    Mark = "mark", Mark in &[Pane::Targets];
    /// Finding one among many.
    Filter = "filter", Filter in &[Pane::Targets];
    /// Everything else.
    Help = "help", Help in &[];
}
