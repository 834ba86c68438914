//! The route of new connections: the destination that the handle sets, and what has become of it.

use std::sync::Arc;

use super::pod_ref::{PodRef, PodRefs};
use super::upstream::Upstream;
use brow_model::fault::Fault;
use brow_model::forward::ForwardSpec;
use brow_model::route::Via;

/// The destination of new connections, as the handle sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    Through(Via, Arc<PodRef>),
    /// No pod is known.
    NoPod(Wait),
    /// No pod is used until a connection needs one.
    Rest(Rest),
}

impl Destination {
    /// Returns the pod of `via` as the destination, with a reference to it.
    pub(super) fn through(via: Via, pod_refs: &PodRefs) -> Self {
        let pod_ref = pod_refs.on(via.clone());
        Self::Through(via, pod_ref)
    }

    /// Returns the destination that a forward begins with.
    pub(super) fn first(spec: &ForwardSpec, via: Option<Via>, pod_refs: &PodRefs) -> Self {
        match via {
            Some(via) => Self::through(via, pod_refs),
            None if spec.on_demand => Self::Rest(Rest { round: 0, failed: None }),
            None => Self::NoPod(Wait::Limited),
        }
    }
}

/// The behavior of connections while there is no pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// They fail at once: none is coming.
    Never,
    /// Each waits up to a timeout.
    Limited,
    /// They wait for the next destination; the caller of [`super::Handle::wait_for_pod`] has a timeout.
    Unlimited,
}

/// A period in which an on-demand forward has no pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rest {
    /// The number of the period.
    pub round: u64,
    /// The fault with which connections that waited before fail; without it they request a pod again.
    pub failed: Option<Fault>,
}

/// The route of new connections, which the supervisor derives from the destination.
#[derive(Debug)]
pub(super) enum Route<L> {
    /// No pod is known.
    NoPod(Wait),
    /// A lease is being acquired.
    Preparing,
    /// No lease could be acquired. It is retried, at once when a connection needs it.
    Failed(Fault),
    /// No pod is used until a connection needs one.
    Resting(Rest),
    /// Through this pod.
    Through(Arc<Upstream<L>>),
}

impl<L> Clone for Route<L> {
    fn clone(&self) -> Self {
        match self {
            Self::NoPod(wait) => Self::NoPod(*wait),
            Self::Preparing => Self::Preparing,
            Self::Failed(fault) => Self::Failed(fault.clone()),
            Self::Resting(rest) => Self::Resting(rest.clone()),
            Self::Through(upstream) => Self::Through(Arc::clone(upstream)),
        }
    }
}
