//! Forwards: a listener on this machine and the way from it to a target.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::address::Address;
use super::event::Epoch;
use super::fault::Fault;
use super::proxy::PodKey;

/// Names one forward for as long as the program runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForwardId(pub u64);

/// What a forward is asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardSpec {
    /// Its name in events and effects.
    pub id: ForwardId,
    /// Which opening of it: a restart has a new one.
    pub epoch: Epoch,
    /// The target's name.
    pub target: String,
    /// The kubeconfig context.
    pub cluster: String,
    /// Where the relay connects to.
    pub address: Address,
    /// Where to listen; loopback unless somebody asked for more.
    pub bind: Vec<IpAddr>,
    /// The local port; 0: any free one.
    pub port: u16,
    /// Whether another free port will do when this one is taken (a remembered port is a wish, a configured one an
    /// order).
    pub any_port: bool,
}

/// The pod a forward goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The pod.
    pub pod: PodKey,
    /// The port in the pod.
    pub port: u16,
}

/// One forward.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// What it was asked to be.
    pub spec: ForwardSpec,
    /// Where it listens.
    pub bound: Vec<SocketAddr>,
    /// How it stands.
    pub state: ForwardState,
    /// The pod it goes through now.
    pub via: Option<Via>,
    /// What moved through it.
    pub traffic: Traffic,
    /// Whether it asks for a pod: one is found or created once the cluster's pods are known.
    pub wants_pod: bool,
    /// The tunnel's protocol and round trip, once one is open.
    pub tunnel: Option<TunnelInfo>,
    /// What went wrong last: a connection's reason or the forward's.
    pub fault: Option<Fault>,
    /// When it was opened.
    pub since: DateTime<Utc>,
}

/// How a forward stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardState {
    /// The listener is being opened.
    Opening,
    /// Listening; its pod is not ready yet, connections wait.
    Waiting,
    /// Listening, with a pod to go through.
    Live,
    /// Listening, the tunnel is being opened again.
    Reconnecting,
    /// Listening, but its pod is gone and there is no other.
    Broken,
    /// Not listening: it could not be opened.
    Failed,
}

/// What a person is told of the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelInfo {
    /// The protocol's name.
    pub protocol: String,
    /// Round trip of the tunnel itself, where the protocol can measure it.
    pub rtt: Option<Duration>,
}

/// Counters as read once a second; all since the forward was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections open now.
    pub open: u64,
    /// Connections accepted so far.
    pub total: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Bytes from the client to the target.
    pub up: u64,
    /// Bytes from the target to the client.
    pub down: u64,
}

/// Counters and what they did in the last minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The counters.
    pub counts: Counts,
    /// Bytes in the last second, client to target.
    pub up_rate: u64,
    /// Bytes in the last second, target to client.
    pub down_rate: u64,
    /// Bytes in both directions, a value a second, oldest first, at most [`Traffic::SPAN`].
    pub history: VecDeque<u64>,
}

impl Traffic {
    /// Seconds of history kept.
    pub const SPAN: usize = 60;

    /// Takes the counters of a new second.
    pub fn sample(&mut self, counts: Counts) {
        self.up_rate = counts.up.saturating_sub(self.counts.up);
        self.down_rate = counts.down.saturating_sub(self.counts.down);
        self.counts = counts;
        if self.history.len() == Self::SPAN {
            self.history.pop_front();
        }
        self.history.push_back(self.up_rate + self.down_rate);
    }
}

impl Forward {
    /// A forward that is about to be opened.
    pub fn opening(spec: ForwardSpec, now: DateTime<Utc>) -> Self {
        Self {
            spec,
            bound: Vec::new(),
            state: ForwardState::Opening,
            via: None,
            traffic: Traffic::default(),
            wants_pod: false,
            tunnel: None,
            fault: None,
            since: now,
        }
    }

    /// The address to give to a client: the first bound one, else what was asked for.
    pub fn local(&self) -> String {
        match (self.bound.first(), self.spec.bind.first()) {
            (Some(address), _) => address.to_string(),
            (None, Some(ip)) => SocketAddr::new(*ip, self.spec.port).to_string(),
            (None, None) => format!("127.0.0.1:{}", self.spec.port),
        }
    }
}
