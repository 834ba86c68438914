//! Opening forwards, unless they are open already.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::language::effect::{Effect, ForwardEffect};
use crate::language::log::{Level, Message};
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::agent::AgentMark;
use crate::types::epoch::Epoch;
use crate::types::forward::{Forward, ForwardId, ForwardSpec, ForwardState, port_name};
use crate::types::proxy::{Phase, PodKey, ProxyPod};
use crate::types::route::{Demand, Route};
use crate::types::target::Target;
use crate::types::workload::Destination;

/// Loopback in both families: nothing beyond this machine unless somebody asks.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Returns the local addresses for a target's forward to one of its ports, and its socket, which is for the first of
/// several. A target with a socket listens on a port besides if it names one.
pub(crate) fn places_of(target: &Target, address: &Destination) -> (Vec<IpAddr>, Option<String>) {
    let socket = target.forward.local_socket.clone().filter(|_| port_name(target, address) == target.name);
    if socket.is_some() && target.local_port == 0 {
        return (Vec::new(), socket);
    }
    (target.forward.local_address.map_or_else(|| LOOPBACK.to_vec(), |ip| vec![ip]), socket)
}

/// Returns true if a forward is that to one port of a target.
pub(crate) fn leads_to(forward: &Forward, target: &Target, address: &Destination) -> bool {
    let several = target.address.is_several();
    forward.spec.target == target.name && (!several || forward.spec.address == *address)
}

/// The manner in which a forward is opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenOptions {
    pub on_demand: bool,
    /// The local port that an earlier run had.
    pub had: Option<u16>,
    pub agent: Option<AgentMark>,
}

impl Model {
    /// Opens a forward to each port of a target, through a pod of its own which is asked for where there is none; on
    /// demand where the config wants it so.
    pub(crate) fn open_forward(&mut self, target: &Target, out: &mut Vec<Effect>) {
        self.open_forward_as(target, self.forward_policy(&target.name).on_demand, out);
    }

    /// The same, on demand or not.
    pub(crate) fn open_forward_as(&mut self, target: &Target, on_demand: bool, out: &mut Vec<Effect>) {
        if self.open_gateway(target, out) {
            return;
        }
        for address in &target.address.singles() {
            self.open_forward_to(target, address, OpenOptions { on_demand, ..OpenOptions::default() }, out);
        }
    }

    /// Opens a forward to one port of a target.
    pub(crate) fn open_forward_to(
        &mut self,
        target: &Target,
        address: &Destination,
        manner: OpenOptions,
        out: &mut Vec<Effect>,
    ) {
        let same = |forward: &Forward| leads_to(forward, target, address);
        let open = self.forwards.all().values().find(|forward| same(forward) && !forward.has_failed());
        if let Some(forward) = open {
            let (id, local, broken) = (forward.spec.id, forward.local(), forward.state() == ForwardState::Broken);
            let lost = forward.has_lost_pod();
            self.keep_forward(id);
            if lost {
                self.replace_lost_pod(id, out);
            } else if broken && target.address.is_looked_up() {
                self.restart_forward(id, None, out);
            } else if broken {
                self.await_pod(id);
                self.route_forwards(&target.cluster, out);
            } else {
                self.note(Level::Info, Message::AlreadyForwarded, &target.name, local);
                self.show_forward(id);
            }
            return;
        }
        if let Some((id, other)) = self.elsewhere(target, address) {
            let (name, local) = (other.forward.name.clone(), other.forward.local.clone());
            self.note(Level::Info, Message::ForwardedElsewhere, name, local);
            return self.show_forward(id);
        }
        if !manner.on_demand && !self.ensure_connected_for(target, out) {
            return;
        }
        for id in self.forwards.ids(same) {
            self.forwards.remove(id);
        }
        let name = port_name(target, address);
        let remembered = self.targets.ports().get(&name).copied().unwrap_or(0);
        // The local port that the target names is for the first of several.
        let any_port = target.local_port == 0 || name != target.name;
        let port = match places_of(target, address) {
            (bind, _) if bind.is_empty() => 0,
            _ => manner.had.unwrap_or(if any_port { remembered } else { target.local_port }),
        };
        let any_port = any_port || port != target.local_port;
        let on_demand = manner.on_demand;
        let route = if on_demand { Route::Resting } else { Route::Wanted };
        let id = self.listen(target, address, (port, any_port), (route, manner.agent), out);
        if !on_demand {
            self.await_pod(id);
            self.route_forwards(&target.cluster, out);
        }
    }

    /// Returns the proxy target of a cluster: one that exists, else a new one.
    pub fn proxy_of(&self, cluster: &str) -> Target {
        let mut known = self.targets.all().iter().filter(|target| target.cluster == cluster);
        known.find(|target| target.address.is_proxy()).cloned().unwrap_or_else(|| {
            let name = format!("proxy-{}", self.cluster_name(cluster));
            let name = if self.target(&name).is_some() { self.free_name(&name) } else { name };
            Target { name, cluster: cluster.to_owned(), address: Destination::Proxy, ..Target::blank() }
        })
    }

    /// Opens proxies into the chosen clusters, without saving those that are new.
    pub(crate) fn open_proxies(&mut self, out: &mut Vec<Effect>) {
        for cluster in self.screen.clusters.chosen() {
            let target = self.proxy_of(&cluster);
            if self.target(&target.name).is_none() {
                self.targets.add_temporary(target.clone());
            }
            self.screen.targets.wanted = Some(target.name.clone());
            self.screen.focus.pane = Pane::Targets;
            self.open_forward(&target, out);
        }
    }

    /// Opens one more forward to a target, through a given pod.
    pub(crate) fn open_forward_via(&mut self, target: &Target, pod: &PodKey, out: &mut Vec<Effect>) {
        let through = |forward: &&Forward| forward.is_through(pod);
        let taken = self.forwards.all().values().any(|forward| {
            !forward.has_failed()
                && (forward.spec.port == target.local_port
                    || forward.bound.iter().any(|local| local.port() == target.local_port))
        });
        let open = self.forwards_of(&target.name).find(through).map(|forward| (forward.spec.id, forward.local()));
        if let Some((id, local)) = open {
            self.note(Level::Info, Message::AlreadyForwarded, &target.name, local);
            self.show_forward(id);
            return;
        }
        let other = self.elsewhere(target, &target.address).map(|(id, other)| (id, other.forward.clone()));
        if let Some((id, other)) = other.filter(|(_, other)| other.pod.as_ref() == Some(&pod.name)) {
            self.note(Level::Info, Message::ForwardedElsewhere, other.name, other.local);
            return self.show_forward(id);
        }
        if target.address.is_looked_up() {
            // Where a relay would be sent is not known yet; the forward finds out, and finds this pod then.
            return self.open_forward(target, out);
        }
        let port = if taken { 0 } else { target.local_port };
        let via = self.pods.all().get(pod).filter(|pod| pod.phase == Phase::Ready).map(ProxyPod::via);
        let route = via.map_or(Route::Wanted, Route::through);
        let waits = route.is_awaited();
        let id = self.listen(target, &target.address, (port, port == 0), (route, None), out);
        if waits {
            self.await_pod(id);
            self.route_forwards(&target.cluster, out);
        }
    }

    fn listen(
        &mut self,
        target: &Target,
        address: &Destination,
        (port, any_port): (u16, bool),
        (route, agent): (Route, Option<AgentMark>),
        out: &mut Vec<Effect>,
    ) -> ForwardId {
        let on_demand = route == Route::Resting;
        let (mut bind, mut local_socket) = places_of(target, address);
        let others = self.forwards.all().values().filter(|forward| !forward.has_failed());
        if local_socket.is_some() && others.into_iter().any(|forward| forward.spec.local_socket == local_socket) {
            // One more forward to the same target listens on a port of its own.
            (bind, local_socket) = (LOOPBACK.to_vec(), None);
        }
        let pod = self.pod_settings_of(target);
        let spec = ForwardSpec {
            id: ForwardId(self.next_number()),
            epoch: Epoch(self.next_number()),
            target: target.name.clone(),
            selector: self.selector_of(target),
            address: address.clone(),
            tunnel: self.config.settings().clusters.get(&target.cluster).and_then(|at| at.tunnel.clone()),
            bind,
            relay: pod.relay.unwrap_or_default(),
            carrier: pod.carrier.unwrap_or_default(),
            pod_proxy_worked: self.clusters.pod_proxy_works(&self.selector_of(target)),
            port,
            any_port,
            on_demand,
            probe: self.probe_of(target),
            local_users: self.forward_policy(&target.name).local_users,
            local_socket,
            allow: target.forward.allow.clone(),
        };
        let id = spec.id;
        let mut forward = Forward::opening(spec.clone(), self.now);
        let via = route.via().cloned().map(|via| forward.relayed(via));
        if let Some(via) = &via {
            self.pods.lifecycle.acquire(id, &via.pod);
        }
        forward.route = via.clone().map_or(route, Route::through);
        forward.demand = on_demand.then_some(Demand::FRESH);
        forward.agent = agent;
        self.audit_forward("open-forward", &forward, None, out);
        self.forwards.insert(forward);
        self.screen.unarranged = true;
        out.push(Effect::Forward(ForwardEffect::Open { spec: Box::new(spec), via }));
        id
    }

    /// Keeps a forward that an agent opened when the agent ends: a person wants it, too.
    fn keep_forward(&mut self, id: ForwardId) {
        if let Some(forward) = self.forwards.get_mut(id) {
            forward.agent = None;
        }
    }

    /// Selects a forward's row, as soon as there is one.
    fn show_forward(&mut self, id: ForwardId) {
        if let Some(row) = self.screen.forwards.rows().iter().position(|other| *other == id) {
            self.screen.forwards.select(row);
            self.screen.focus.pane = Pane::Forwards;
        }
    }
}
