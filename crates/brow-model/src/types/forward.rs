//! Forwards: a listener on this machine and the way from it to a target.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::language::fault::Fault;
use crate::types::address::Address;
use crate::types::agent::AgentMark;
use crate::types::allow::AllowList;
use crate::types::backend::Backend;
use crate::types::epoch::Epoch;
use crate::types::forward_settings::LocalUsers;
use crate::types::health::{Health, HealthReport, ProbePlan};
use crate::types::proxy::{PodKey, PodSelector, ProxyPod};
use crate::types::route::{Demand, Relayed, Route, Tunnel, Via};
use crate::types::settings::{Carrier, Relay};
use crate::types::target::Target;
use crate::types::traffic::{Counts, PodLoad, Traffic, TunnelInfo};
use crate::types::workload::Destination;

/// Names one forward for as long as the program runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ForwardId(pub u64);

/// The specification of a forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardSpec {
    /// Its name in events and effects.
    pub id: ForwardId,
    /// The epoch of its opening; a restart begins a new one.
    pub epoch: Epoch,
    /// The target's name.
    pub target: String,
    /// The cluster, namespace and label of its pods.
    pub selector: PodSelector,
    /// The destination: the address that the relay connects to, or the workload whose pods it goes through.
    pub address: Destination,
    /// The tunnel protocol that the config asks for, instead of trying.
    pub tunnel: Option<String>,
    /// The relay in its proxy pods.
    pub relay: Relay,
    /// The carriers of connections to our own relay there.
    pub carrier: Carrier,
    /// True if the pod proxy worked in the namespace when it was tried last.
    pub pod_proxy_worked: bool,
    /// The local addresses; loopback unless the config names others.
    pub bind: Vec<IpAddr>,
    /// The local port; 0: any free one.
    pub port: u16,
    /// True if any free port will do when this one is taken: a remembered port may change, a configured one may not.
    pub any_port: bool,
    /// True if it begins at rest, with nothing behind the listener until the first connection.
    pub on_demand: bool,
    /// The probe of its target, if it has one.
    pub probe: Option<ProbePlan>,
    /// The users of this machine who may connect.
    pub local_users: LocalUsers,
    /// The path of a Unix socket to listen on, as the config has it.
    pub local_socket: Option<String>,
    /// The destinations that clients of a proxy target may name.
    pub allow: AllowList,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    pub spec: ForwardSpec,
    /// The local addresses it listens on.
    pub bound: Vec<SocketAddr>,
    /// The path of the Unix socket it listens on.
    pub socket: Option<String>,
    /// The route to its target.
    pub route: Route,
    /// The running pods of its workload, the best first.
    pub backends: Vec<Backend>,
    /// The connections of each pod, where they are spread.
    pub spread: Vec<PodLoad>,
    /// The address of its workload if that has no pods, or of a node; reaching it takes a proxy pod.
    pub relay: Option<Address>,
    /// The traffic through it.
    pub traffic: Traffic,
    /// The tunnel's protocol and round trip, once one is open.
    pub tunnel: Option<TunnelInfo>,
    /// The last fault, of a connection or of the forward.
    pub fault: Option<Fault>,
    /// The fault that keeps its workload's pods from being looked up; it goes on with those that are known.
    pub lookup_fault: Option<Fault>,
    /// The time of opening.
    pub since: DateTime<Utc>,
    /// The last time at which it carried a connection.
    pub used: Option<DateTime<Utc>>,
    /// The limits between two uses, if it is one on demand, or until its next pod, after it has lost one.
    pub demand: Option<Demand>,
    /// The result of the last probe.
    pub health: Option<Health>,
    /// The last report of that to the user.
    pub told: Option<HealthReport>,
    /// True if it opened at start, so that there is nobody to ask about it.
    pub autostarted: bool,
    /// The reason why connections do not go through the pod proxy, once that was tried with this pod.
    pub no_pod_proxy: Option<(Via, String)>,
    /// The agent that opened it, if one did.
    pub agent: Option<AgentMark>,
    /// True if the system does not tell whose a connection is, so that all local users may connect.
    pub users_untold: bool,
}

/// The state of a forward, for the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardState {
    /// The listener is being opened.
    Opening,
    /// Listening on demand; the next connection gets it a pod.
    Resting,
    /// Listening; its pod is not ready yet, connections wait.
    Waiting,
    /// Listening, with a pod to go through; no tunnel to it has been up yet.
    Dialing,
    /// Listening, and a stream through its pod opens.
    Live,
    /// Listening, the tunnel is being opened again.
    Reconnecting,
    /// Listening, but its pod is gone and there is no other.
    Broken,
    /// Not listening: it could not be opened.
    Failed,
}

impl Forward {
    /// A forward that is about to be opened.
    pub fn opening(spec: ForwardSpec, now: DateTime<Utc>) -> Self {
        Self {
            spec,
            bound: Vec::new(),
            socket: None,
            route: Route::Wanted,
            backends: Vec::new(),
            spread: Vec::new(),
            relay: None,
            no_pod_proxy: None,
            traffic: Traffic::default(),
            tunnel: None,
            fault: None,
            lookup_fault: None,
            since: now,
            used: None,
            demand: None,
            health: None,
            told: None,
            autostarted: false,
            agent: None,
            users_untold: false,
        }
    }

    /// Returns what its relays connect to; `None` if it goes straight to pods of a workload, or that is not known yet.
    pub fn relayed_to(&self) -> Option<Relayed> {
        match &self.spec.address {
            Destination::Address(address) => Some(Relayed::To(address.clone())),
            Destination::Workload(_) | Destination::Node(_) => self.relay.clone().map(Relayed::To),
            Destination::Proxy => Some(Relayed::Named),
        }
    }

    /// Adds what the relay connects to, if it goes through one.
    pub(crate) fn relayed(&self, via: Via) -> Via {
        if via.node.is_some() {
            return via;
        }
        Via { to: self.relayed_to(), ..via }
    }

    /// Returns true if it goes straight to pods, as far as is known.
    pub fn is_direct(&self) -> bool {
        self.relayed_to().is_none()
    }

    /// Returns true if its connections are spread over pods.
    pub fn is_spread(&self) -> bool {
        self.is_direct() && self.spec.address.workload().is_some_and(|workload| workload.spread)
    }

    /// Returns true if it carries datagrams.
    pub fn is_udp(&self) -> bool {
        self.spec.address.is_udp()
    }

    /// Returns the address to give to a client: the first bound one, else the requested one; without any the path of
    /// the socket.
    pub fn local(&self) -> String {
        match (self.bound.first(), self.spec.bind.first()) {
            (Some(address), _) => address.to_string(),
            (None, Some(ip)) => SocketAddr::new(*ip, self.spec.port).to_string(),
            (None, None) => self.socket.clone().or_else(|| self.spec.local_socket.clone()).unwrap_or_default(),
        }
    }

    /// Returns true if it listens somewhere.
    pub fn listens(&self) -> bool {
        !self.bound.is_empty() || self.socket.is_some()
    }

    pub fn state(&self) -> ForwardState {
        match &self.route {
            Route::Failed => ForwardState::Failed,
            _ if !self.listens() => ForwardState::Opening,
            Route::Resting => ForwardState::Resting,
            Route::Wanted | Route::Waiting => ForwardState::Waiting,
            Route::Through(_, Tunnel::Dialing) => ForwardState::Dialing,
            Route::Through(_, Tunnel::Up) => ForwardState::Live,
            Route::Through(_, Tunnel::Lost) => ForwardState::Reconnecting,
            Route::Unreachable => ForwardState::Broken,
        }
    }

    /// Returns the pod it goes through now.
    pub fn via(&self) -> Option<&Via> {
        self.route.via()
    }

    /// Returns the reason why connections to its current pod do not go through the pod proxy.
    pub fn no_pod_proxy(&self) -> Option<&str> {
        let (_, why) = self.no_pod_proxy.as_ref().filter(|(via, _)| self.via() == Some(via))?;
        Some(why)
    }

    /// Returns whether nothing is behind its listener until somebody connects.
    pub fn is_resting(&self) -> bool {
        self.route == Route::Resting
    }

    /// Returns whether it rests only because its pod is gone.
    pub(crate) fn has_lost_pod(&self) -> bool {
        self.is_resting() && !self.spec.on_demand
    }

    /// Returns whether a proxy pod that becomes ready is of use to it.
    pub(crate) fn is_open_to_pods(&self) -> bool {
        let lacks_one = matches!(self.route, Route::Wanted | Route::Waiting | Route::Unreachable);
        !self.is_direct() && (lacks_one || self.has_lost_pod())
    }

    /// Returns whether its listener could not be opened.
    pub fn has_failed(&self) -> bool {
        self.route == Route::Failed
    }

    /// Returns the time until one on demand rests that has a pod and no connection.
    pub fn idle_left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let demand = self.demand.filter(|_| self.is_idle())?;
        Some((demand.until - now).max(TimeDelta::zero()))
    }

    /// Takes in the counters of a new second, which may tell of a use, and its slowest first byte.
    pub(crate) fn sample(&mut self, counts: Counts, first_byte: Option<Duration>, now: DateTime<Utc>) {
        let used = counts.open > 0 || counts.total != self.traffic.counts.total;
        if used {
            self.used = Some(now);
        }
        self.traffic.sample(counts, first_byte);
    }

    /// Returns whether it is one on demand that has a pod and, as far as is known, carries nothing: without the pod it
    /// rests, and a connection that has just come asks by itself.
    pub(crate) fn is_idle(&self) -> bool {
        self.spec.on_demand && self.via().is_some() && self.traffic.counts.open == 0
    }

    /// Returns whether connections wait for the pod of one on demand.
    pub(crate) fn is_waited_for(&self) -> bool {
        let asked = self.demand.filter(|_| self.route.is_awaited());
        asked.is_some_and(|demand| demand.wanted || self.traffic.counts.open > 0)
    }

    /// Returns the result of the last probe, while there is a route to the target.
    pub fn health(&self) -> Option<&Health> {
        self.health.as_ref().filter(|_| self.via().is_some())
    }

    /// Returns true if the last probe found its target down.
    pub fn is_down(&self) -> bool {
        self.health().is_some_and(|health| health.down.is_some())
    }

    /// Returns its fault: that of a connection or of the forward, else of the lookup of its pods, else of the last
    /// probe.
    pub fn trouble(&self) -> Option<&Fault> {
        self.fault.as_ref().or(self.lookup_fault.as_ref()).or_else(|| self.health()?.down.as_ref())
    }

    /// Returns whether it waits for a proxy pod.
    pub(crate) fn waits_at(&self, selector: &PodSelector) -> bool {
        self.route.is_awaited() && !self.is_direct() && self.spec.selector == *selector
    }

    /// Returns whether its new connections go through a pod.
    pub(crate) fn is_through(&self, pod: &PodKey) -> bool {
        self.via().is_some_and(|via| via.pod == *pod)
    }
}

impl ProxyPod {
    /// Returns the way to this pod's relay. The forward adds the address that the relay connects to.
    pub fn via(&self) -> Via {
        Via { pod: self.key.clone(), uid: self.uid.clone(), port: self.port, to: None, node: None }
    }
}

/// Returns the name under which the local port of a target's forward is remembered: the target's name, followed by the
/// port unless it is the first of several.
pub fn port_name(target: &Target, address: &Destination) -> String {
    match target.address.further_port(address) {
        Some(port) => format!("{}:{port}", target.name),
        None => target.name.clone(),
    }
}
