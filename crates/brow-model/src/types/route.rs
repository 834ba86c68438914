//! The route of a forward: the pod it goes through, or what it waits for.

use std::fmt;
use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::types::address::Address;
use crate::types::proxy::PodKey;

/// The pod a forward goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    pub pod: PodKey,
    /// The pod's uid: another pod may take its name.
    pub uid: String,
    /// The port in the pod.
    pub port: u16,
    /// The destination that the relay there connects to; `None`: the pod is the target itself.
    pub to: Option<Relayed>,
    /// The address of a node, if this machine reaches it by itself. There is no pod then: `pod` names the node.
    pub node: Option<SocketAddr>,
}

/// The destination of what goes through a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relayed {
    To(Address),
    /// Whatever address a client names.
    Named,
}

impl Relayed {
    /// Returns the address, where it is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::To(address) => Some(address),
            Self::Named => None,
        }
    }
}

impl fmt::Display for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(address) => address.fmt(f),
            Self::Named => f.write_str("proxy"),
        }
    }
}

/// The current route of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// On demand: nothing is behind the listener until somebody connects.
    Resting,
    /// Connections wait: a pod is looked for and, once the cluster's pods are known, asked for if there is none.
    Wanted,
    /// Connections wait for a pod that is coming: nothing more is asked for.
    Waiting,
    /// Connections go through a pod.
    Through(Via, Tunnel),
    /// There is no pod and none is coming: connections fail, with the forward's fault as the reason.
    Unreachable,
    /// The listener could not be opened.
    Failed,
}

/// The state of the tunnel to a forward's pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// None has been up yet.
    Dialing,
    /// A stream opens.
    Up,
    /// It was lost and is being opened again.
    Lost,
}

impl Route {
    /// Returns the route through a pod to which no tunnel has been up yet.
    pub fn through(via: Via) -> Self {
        Self::Through(via, Tunnel::Dialing)
    }

    /// Returns the pod, where connections go through one.
    pub fn via(&self) -> Option<&Via> {
        match self {
            Self::Through(via, _) => Some(via),
            Self::Resting | Self::Wanted | Self::Waiting | Self::Unreachable | Self::Failed => None,
        }
    }

    /// Returns true if connections wait for a pod.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Self::Wanted | Self::Waiting)
    }
}

/// The limits of a forward on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The number of the last rest, which tells it from earlier ones of the same opening.
    pub round: u64,
    /// The time at which it rests again: an awaited pod is late then, one that it goes through is unused.
    pub until: DateTime<Utc>,
    /// True if a connection asked for the awaited pod; else a pod was lost, and another may come.
    pub wanted: bool,
    /// The number of times in a row that connections got no pod.
    pub failures: u32,
    /// The time from which a connection asks for a pod; those before fail as the last one did.
    pub not_before: DateTime<Utc>,
}

impl Demand {
    /// The limits of a forward that was just opened and rests.
    pub const FRESH: Self = Self {
        round: 0,
        until: DateTime::<Utc>::MIN_UTC,
        wanted: false,
        failures: 0,
        not_before: DateTime::<Utc>::MIN_UTC,
    };

    /// The limits after connections got no pod at `now`. Clients that connect again at once must not ask the cluster
    /// each time, so the pause before the next attempt doubles from 1 s up to a minute.
    #[must_use]
    pub fn failed(self, now: DateTime<Utc>) -> Self {
        let pause = TimeDelta::seconds((1 << self.failures.min(6)).min(60));
        Self { failures: self.failures.saturating_add(1), not_before: now + pause, ..Self::FRESH }
    }
}
