//! The local address of each port of a target: a forward of ours, or of another instance.

use std::net::SocketAddr;

use serde_json::json;

use super::Snapshot;
use crate::text::Text;
use brow_model::cluster::Link;
use brow_model::forward::{Forward, ForwardState, port_name};
use brow_model::gateway::GatewayState;
use brow_model::instance::{RemoteForward, RemoteState};
use brow_model::proxy::Phase;
use brow_model::target::Target;
use brow_model::workload::Destination;
use brow_model::{GatewayRow, Model};

/// The state of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// No instance has a forward to it.
    Missing,
    /// A forward is opening.
    Opening,
    /// The forward has no route, and the cluster does not tell at the moment whether there is one.
    Unknown,
    /// It can be used.
    Live,
    /// The forward has failed or was closed.
    Closed,
}

/// One port of a target, and the forward that serves it.
pub(super) struct Endpoint {
    /// The target's name, with the port where that is not the first of several.
    pub name: String,
    pub target: String,
    /// The local address.
    pub local: Option<SocketAddr>,
    /// The path of the Unix socket.
    pub socket: Option<String>,
    /// The state.
    pub status: Status,
    /// The instance that has the forward, if it is another one.
    pub instance: Option<String>,
    /// True if its clients name their destinations.
    pub is_proxy: bool,
    cluster: String,
    /// True if its target is not saved.
    is_temporary: bool,
    pod: Option<String>,
    pid: Option<u32>,
    /// The name of the gateway that has it, which goes on by itself.
    gateway: Option<String>,
}

/// Finds the forwards of all ports of these targets.
pub(super) fn of(model: &Model, targets: &[Target]) -> Vec<Endpoint> {
    let ports = targets.iter().flat_map(|target| {
        target.address.singles().into_iter().map(move |address| {
            let endpoint = Endpoint {
                name: port_name(target, &address),
                target: target.name.clone(),
                local: None,
                socket: None,
                status: Status::Missing,
                instance: None,
                is_proxy: address.is_proxy(),
                cluster: target.cluster.clone(),
                is_temporary: model.targets.is_temporary(&target.name),
                pod: None,
                pid: None,
                gateway: None,
            };
            if model.persists(target) {
                return endpoint.by_gateway(model, target, &address);
            }
            let own = model.forwards_of(&target.name).find(|forward| forward.spec.address == address);
            let mut all = model.all_elsewhere(target, &address).map(|(_, other)| other);
            let other = model.elsewhere(target, &address).map(|(_, other)| other).or_else(|| all.next());
            // Whoever was faster has it: what could not be opened beside that is of no use.
            match (own.filter(|own| !own.has_failed()), other, own) {
                (Some(own), _, _) | (None, None, Some(own)) => endpoint.ours(own),
                (None, Some(other), _) => endpoint.anothers(other),
                (None, None, None) => endpoint,
            }
        })
    });
    ports.collect()
}

/// Describes what is waited for, and for how long so far: `mysql-dev ↓ pulling, redis ◌ connecting · 12s`.
pub(super) fn progress(snapshot: &Snapshot<'_>, targets: &[Target], endpoints: &[Endpoint]) -> String {
    let (model, text) = (snapshot.model, snapshot.text);
    let waits = |target: &&Target| {
        endpoints.iter().any(|endpoint| endpoint.target == target.name && endpoint.status != Status::Live)
    };
    let state = |target: &Target| {
        let link = model.cluster(&target.cluster).map(|cluster| cluster.link).filter(|link| *link != Link::Ready);
        let asked = model.pods.requests().values().any(|request| request.target == target.name);
        let coming = model.pod_of(target).map(|pod| pod.phase).filter(|phase| *phase != Phase::Ready);
        let forward = model.forwards_of(&target.name).find(|forward| forward.state() != ForwardState::Live);
        match (link, coming.or_else(|| asked.then_some(Phase::Creating)), forward) {
            (Some(link), _, _) => text.link(link),
            (None, Some(phase), _) => text.phase(phase),
            (None, None, Some(forward)) => text.forward_state(forward.state()),
            (None, None, None) => text.forward_state(ForwardState::Opening),
        }
    };
    let all: Vec<String> =
        targets.iter().filter(waits).map(|target| format!("{} {}", target.name, state(target))).collect();
    format!("{} · {}s", all.join(", "), snapshot.age.as_secs())
}

impl Endpoint {
    fn by_gateway(self, model: &Model, target: &Target, address: &Destination) -> Self {
        let rows = model.gateways_of(target).into_iter().filter_map(|id| model.gateways.rows().get(&id));
        let leads = |row: &&GatewayRow| matches!(address, Destination::Node(ports) if ports.port == row.port.port);
        match rows.filter(leads).find(|row| row.gateway.state == GatewayState::Running) {
            _ if model.gateways.is_ordered(&target.cluster) => Self { status: Status::Opening, ..self },
            Some(row) => Self {
                status: Status::Live,
                local: Some(row.port.local),
                gateway: Some(row.gateway.name.clone()),
                ..self
            },
            None => Self { status: Status::Closed, ..self },
        }
    }

    /// Returns true if it goes on without this program.
    pub(super) fn is_kept(&self) -> bool {
        self.status == Status::Live && self.gateway.is_some()
    }

    fn ours(self, forward: &Forward) -> Self {
        let status = match forward.state() {
            // One at rest is woken by whoever connects.
            ForwardState::Live | ForwardState::Resting => Status::Live,
            ForwardState::Failed => Status::Closed,
            ForwardState::Broken if forward.lookup_fault.is_some() && forward.demand.is_none() => Status::Unknown,
            ForwardState::Broken if forward.demand.is_none() => Status::Closed,
            // One on demand tries afresh with the next connection.
            ForwardState::Broken
            | ForwardState::Opening
            | ForwardState::Waiting
            | ForwardState::Dialing
            | ForwardState::Reconnecting => Status::Opening,
        };
        let pod = forward.via().map(|via| via.pod.name.clone());
        Self { local: forward.bound.first().copied(), socket: forward.socket.clone(), status, pod, ..self }
    }

    fn anothers(self, other: &RemoteForward) -> Self {
        let forward = &other.forward;
        let status = if forward.state == RemoteState::Live { Status::Live } else { Status::Opening };
        Self {
            local: forward.local.parse().ok(),
            socket: forward.socket.clone(),
            status,
            pod: forward.pod.clone(),
            instance: Some(other.instance.clone()),
            pid: Some(other.pid),
            ..self
        }
    }

    /// Returns its local address, without one the path of its socket.
    pub(super) fn place(&self) -> Option<String> {
        self.local.map(|local| local.to_string()).or_else(|| self.socket.clone())
    }

    /// The line that says where it is.
    pub(super) fn line(&self, text: &Text) -> String {
        let local = self.place().unwrap_or_default();
        let context =
            if self.is_temporary { text.fill("cli.in-context", &[("thing", &self.cluster)]) } else { String::new() };
        let gateway = self.gateway.as_ref().map(|name| text.fill("cli.by-gateway", &[("thing", name)]));
        format!("{} → {local}{context}{}", self.name, gateway.unwrap_or_default())
    }

    /// The same for programs. `own`: the process that has what no other instance has, if it outlives this line.
    pub(super) fn json(&self, own: Option<u32>) -> String {
        let local = self.local;
        let all = json!({
            "name": self.name,
            "target": self.target,
            "address": local.map(|local| local.to_string()),
            "host": local.map(|local| local.ip().to_string()),
            "port": local.map(|local| local.port()),
            "socket": self.socket,
            "cluster": self.cluster,
            "pod": self.pod,
            // The instance that has it, where it is not this one in the foreground.
            "pid": self.pid.or(own.filter(|_| self.gateway.is_none())),
            "gateway": self.gateway,
        });
        brow_model::sanitize::json(&all.to_string()).into_owned()
    }
}
