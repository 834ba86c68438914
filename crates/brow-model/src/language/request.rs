//! Requests by subcommands and other instances. They name their objects, while keys act on the selection.

use crate::types::forward::ForwardId;
use crate::types::offer::{Offer, OnConflict};
use crate::types::proxy::PodKey;
use crate::types::target::Target;
use crate::types::ttl::Ttl;

/// One thing asked for by name.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Save a target: a new one, or what another becomes.
    Save {
        /// The target before; `None` for a new one.
        was: Option<Box<Target>>,
        /// The target after the edit.
        target: Box<Target>,
    },
    /// Give a target another name.
    Rename {
        /// The name so far.
        name: String,
        new: String,
    },
    /// Delete targets.
    Remove(Vec<String>),
    /// Take targets over, except those whose name is taken.
    Import(Vec<Target>),
    /// Make targets of what another tool's file offers.
    ImportOffers {
        offers: Vec<Offer>,
        /// The treatment of offers whose target exists.
        on_conflict: OnConflict,
    },
    /// Have targets that are not saved, until the program ends.
    AddTemporary(Vec<Target>),
    /// Forward targets, creating pods where there are none.
    Connect(Vec<String>),
    /// Create a pod for each target.
    Create {
        targets: Vec<String>,
        /// The TTL of the pods; `None`: as in the target or the config.
        ttl: Option<Ttl>,
    },
    /// Connect clusters and watch their pods.
    Watch(Vec<String>),
    /// Index the connected clusters, or only this namespace of them.
    Index { namespace: Option<String> },
    /// Describe a pod, in a dialog.
    Describe(PodKey),
    /// Delete pods.
    Kill(Vec<PodKey>),
    /// Close a forward.
    Stop(ForwardId),
    /// End.
    Quit {
        /// True if the pods of this run are deleted too.
        delete_pods: bool,
    },
}
