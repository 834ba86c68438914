//! Where each port of a target is to be found: at a forward of ours, or of another instance.

use std::net::SocketAddr;

use serde_json::json;

use brow_model::Model;
use brow_model::forward::{Forward, ForwardState, port_name};
use brow_model::instance::{Other, Standing};
use brow_model::target::Target;

/// How a place stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Nobody has a forward to it.
    Nowhere,
    /// It is waited for.
    Coming,
    /// It has no way, and it cannot be seen at the moment whether there is one.
    Unseen,
    /// It can be used.
    Live,
    /// Nothing more comes of it.
    Over,
}

/// Where one port of a target is to be found.
pub(super) struct Place {
    /// The target's name, with the port where that is not the first of several.
    pub name: String,
    /// The target.
    pub target: String,
    /// Where it listens.
    pub local: Option<SocketAddr>,
    /// How it stands.
    pub at: At,
    /// The instance that has it, where that is another.
    pub instance: Option<String>,
    cluster: String,
    pod: Option<String>,
    pid: Option<u32>,
}

/// Where everything is that leads to these targets.
pub(super) fn of(model: &Model, targets: &[Target]) -> Vec<Place> {
    let ports = targets.iter().flat_map(|target| {
        target.address.singles().into_iter().map(move |address| {
            let place = Place {
                name: port_name(target, &address),
                target: target.name.clone(),
                local: None,
                at: At::Nowhere,
                instance: None,
                cluster: target.cluster.clone(),
                pod: None,
                pid: None,
            };
            let own = model.forwards_of(&target.name).find(|forward| forward.spec.address == address);
            let mut all = model.all_elsewhere(target, &address).map(|(_, other)| other);
            let other = model.elsewhere(target, &address).map(|(_, other)| other).or_else(|| all.next());
            // Whoever was faster has it: what could not be opened beside that is of no use.
            match (own.filter(|own| own.state != ForwardState::Failed), other, own) {
                (Some(own), _, _) | (None, None, Some(own)) => place.ours(own),
                (None, Some(other), _) => place.anothers(other),
                (None, None, None) => place,
            }
        })
    });
    ports.collect()
}

impl Place {
    fn ours(self, forward: &Forward) -> Self {
        let at = match forward.state {
            // One at rest is woken by whoever connects.
            ForwardState::Live | ForwardState::Resting => At::Live,
            ForwardState::Failed => At::Over,
            ForwardState::Broken if forward.unseen.is_some() && forward.demand.is_none() => At::Unseen,
            ForwardState::Broken if forward.demand.is_none() => At::Over,
            // One on demand tries afresh with the next connection.
            ForwardState::Broken
            | ForwardState::Opening
            | ForwardState::Waiting
            | ForwardState::Dialing
            | ForwardState::Reconnecting => At::Coming,
        };
        let pod = forward.via.as_ref().map(|via| via.pod.name.clone());
        Self { local: forward.bound.first().copied(), at, pod, ..self }
    }

    fn anothers(self, other: &Other) -> Self {
        let forward = &other.forward;
        let at = if forward.state == Standing::Live { At::Live } else { At::Coming };
        Self {
            local: forward.local.parse().ok(),
            at,
            pod: forward.pod.clone(),
            instance: Some(other.instance.clone()),
            pid: Some(other.pid),
            ..self
        }
    }

    /// The line that says where it is.
    pub(super) fn line(&self, as_json: bool) -> String {
        let local = self.local;
        if !as_json {
            return format!("{}\t{}", local.map(|local| local.to_string()).unwrap_or_default(), self.name);
        }
        let all = json!({
            "name": self.name,
            "target": self.target,
            "address": local.map(|local| local.to_string()),
            "host": local.map(|local| local.ip().to_string()),
            "port": local.map(|local| local.port()),
            "cluster": self.cluster,
            "pod": self.pod,
            // The instance that has it, where it is not this one.
            "pid": self.pid,
        });
        brow_model::plain::json(&all.to_string()).into_owned()
    }
}
