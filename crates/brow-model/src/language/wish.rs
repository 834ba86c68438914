//! What is asked for by name, by a subcommand or another instance, where keys act on what is selected.

use crate::types::forward::ForwardId;
use crate::types::offer::{Clash, Offer};
use crate::types::proxy::{PodKey, Whose};
use crate::types::target::Target;
use crate::types::ttl::Ttl;

/// One thing asked for by name.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// Save a target: a new one, or what another becomes.
    Save {
        /// What it was; absent: a new one.
        was: Option<Box<Target>>,
        /// What it is to be.
        target: Box<Target>,
    },
    /// Give a target another name.
    Rename {
        /// The name so far.
        name: String,
        /// The new one.
        new: String,
    },
    /// Delete targets.
    Remove(Vec<String>),
    /// Take targets over, except those whose name is taken.
    Import(Vec<Target>),
    /// Make targets of what another tool's file offers.
    Take {
        /// What it offers.
        offers: Vec<Offer>,
        /// What becomes of those that are there already.
        clash: Clash,
    },
    /// Forward targets, creating pods where there are none.
    Connect(Vec<String>),
    /// Create a pod for each target.
    Create {
        /// The targets.
        targets: Vec<String>,
        /// How long the pods may live; absent: as the targets or the config say.
        ttl: Option<Ttl>,
    },
    /// Connect clusters and watch their pods.
    Look(Vec<String>),
    /// Describe a pod, in a dialog.
    Describe(PodKey),
    /// Delete pods.
    Kill(Vec<PodKey>),
    /// Delete finished and expired pods.
    Clean(Whose),
    /// Close a forward.
    Stop(ForwardId),
    /// End.
    Leave {
        /// Whether the pods of this run go too.
        delete_pods: bool,
    },
}
