//! Forwards that are opened anew: on a person's order, or since their target was edited.

use crate::language::effect::{Effect, ForwardEffect};
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::forward::{ForwardId, ForwardSpec};
use crate::types::route::{Demand, Route};
use crate::types::target::Target;
use crate::types::traffic::Traffic;
use crate::update::open::places_of;

impl Model {
    /// Closes a forward and opens it again on the same port, or on another.
    pub(crate) fn restart_forward(&mut self, id: ForwardId, port: Option<u16>, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.next_number());
        let Some(forward) = self.forwards.all().get(&id) else { return };
        let spec = ForwardSpec { epoch, ..self.current_spec(&forward.spec) };
        let Some(forward) = self.forwards.get_mut(id) else { return };
        let before = forward.clone();
        forward.demand.take_if(|_| !spec.on_demand);
        let mut via =
            forward.via().cloned().filter(|_| spec.selector == forward.spec.selector && forward.demand.is_none());
        let looked_up = spec.address.is_looked_up() || forward.spec.address.is_looked_up();
        if forward.demand.is_some() || looked_up && spec.address != forward.spec.address {
            // What it went through was for something else, or it goes through nothing from now on.
            (via, forward.relay) = (None, None);
            forward.backends.clear();
        }
        forward.spec = spec;
        forward.spec.port = port.unwrap_or(forward.spec.port);
        forward.bound.clear();
        forward.socket = None;
        (forward.fault, forward.no_pod_proxy) = (None, None);
        forward.traffic = Traffic::default();
        forward.health = None;
        let via = via.map(|via| forward.relayed(via));
        forward.route = match &via {
            Some(via) => Route::through(via.clone()),
            None if forward.demand.is_some() => Route::Resting,
            None if forward.is_direct() => Route::Waiting,
            None => Route::Wanted,
        };
        forward.demand = forward.demand.map(|_| Demand::FRESH);
        let resting = forward.is_resting();
        let (spec, restarted) = (forward.spec.clone(), forward.clone());
        let cluster = spec.selector.cluster.clone();
        self.screen.unarranged = true;
        self.audit_forward("restart-forward", &restarted, None, out);
        out.push(Effect::Forward(ForwardEffect::Open { spec: Box::new(spec), via }));
        // What it carried is cut off.
        self.on_forward_closed(&before, out);
        if !resting && self.ensure_connected(&cluster, out) {
            self.route_forwards(&cluster, out);
        }
    }

    /// Returns the specification that a forward would have if it were opened now: its target may have been edited.
    fn current_spec(&self, spec: &ForwardSpec) -> ForwardSpec {
        let Some(target) = self.target(&spec.target) else { return spec.clone() };
        // Of several ports each forward keeps its own.
        let singles = target.address.singles();
        let same = singles.iter().find(|single| single.has_port_of(&spec.address)).or(singles.first());
        let address = same.unwrap_or(&target.address).clone();
        let (bind, local_socket) = places_of(target, &address);
        let pod = self.pod_settings_of(target);
        ForwardSpec {
            selector: self.selector_of(target),
            address,
            bind,
            local_socket,
            probe: self.probe_of(target),
            local_users: self.forward_policy(&target.name).local_users,
            tunnel: self.config.settings().clusters.get(&target.cluster).and_then(|at| at.tunnel.clone()),
            relay: pod.relay.unwrap_or_default(),
            carrier: pod.carrier.unwrap_or_default(),
            pod_proxy_worked: self.clusters.pod_proxy_works(&self.selector_of(target)),
            allow: target.forward.allow.clone(),
            ..spec.clone()
        }
    }

    /// Opens the forwards anew whose targets were edited: what the screen says of a target is where its forward leads.
    pub(crate) fn apply_target_edits(&mut self, before: &[Target], out: &mut Vec<Effect>) {
        let mut turned: Vec<ForwardId> = Vec::new();
        let mut moved: Vec<(ForwardId, Option<u16>)> = Vec::new();
        self.withdraw_from_agents(before, out);
        for forward in self.forwards.all().values() {
            let is_its = |target: &&Target| target.name == forward.spec.target;
            let (Some(was), Some(now)) = (before.iter().find(is_its), self.targets.all().iter().find(is_its)) else {
                continue;
            };
            // One that has a port beside its target's, since that was taken, keeps it.
            let had_it = was.local_port == forward.spec.port || was.local_port == 0;
            let port = Some(now.local_port).filter(|port| *port != 0 && *port != was.local_port && had_it);
            let led = (&was.address, &was.cluster, &was.namespace);
            let elsewhere = led != (&now.address, &now.cluster, &now.namespace);
            let places = |target: &Target| places_of(target, &target.address);
            // Connections to what is no longer allowed are closed.
            let allows = was.forward.allow != now.forward.allow;
            if port.is_some() || elsewhere || allows || places(was) != places(now) {
                moved.push((forward.spec.id, port));
            }
            if was.forward.on_demand != now.forward.on_demand {
                turned.push(forward.spec.id);
            }
        }
        self.update_probes(out);
        self.update_local_users(out);
        for id in turned {
            if self.forward_policy(&self.target_of(id)).on_demand {
                self.serve_on_demand(id, out);
            } else {
                self.serve_always(id, out);
            }
        }
        for (id, port) in moved {
            self.restart_forward(id, port, out);
        }
    }
}
