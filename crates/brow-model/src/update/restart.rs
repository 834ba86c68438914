//! Forwards that are opened anew: on a person's order, or since their target was edited.

use crate::language::effect::Effect;
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::forward::{ForwardId, ForwardSpec};
use crate::types::route::{Demand, Route};
use crate::types::target::Target;
use crate::types::traffic::Traffic;
use crate::types::workload::Where;
use crate::update::open::bind_of;

impl Model {
    /// Closes a forward and opens it again on the same port, or on another.
    pub(crate) fn restart_forward(&mut self, id: ForwardId, port: Option<u16>, out: &mut Vec<Effect>) {
        let epoch = Epoch(self.count());
        let Some(forward) = self.forwards.all.get(&id) else {
            return;
        };
        let spec = ForwardSpec { epoch, ..self.spec_of_now(&forward.spec) };
        let Some(forward) = self.forwards.all.get_mut(&id) else {
            return;
        };
        let before = forward.clone();
        let mut via = forward.via().cloned().filter(|_| spec.place == forward.spec.place && forward.demand.is_none());
        let workload = spec.address.workload().or(forward.spec.address.workload()).is_some();
        if forward.demand.is_some() || workload && spec.address != forward.spec.address {
            // What it went through was for something else, or it goes through nothing from now on.
            (via, forward.relay) = (None, None);
            forward.backends.clear();
        }
        forward.spec = spec;
        forward.spec.port = port.unwrap_or(forward.spec.port);
        forward.bound.clear();
        forward.fault = None;
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
        let spec = forward.spec.clone();
        let cluster = spec.place.cluster.clone();
        self.screen.unarranged = true;
        let place = Some((spec.place.cluster.as_str(), spec.place.namespace.as_str()));
        self.audit("restart-forward", &spec.target, place, None, out);
        out.push(Effect::OpenForward { spec, via });
        // What it carried is cut off.
        self.on_stopped(&before, out);
        if !resting && self.need(&cluster, out) {
            self.settle_forwards(&cluster, out);
        }
    }

    /// What a forward would be if it were opened now: its target may have been edited.
    fn spec_of_now(&self, spec: &ForwardSpec) -> ForwardSpec {
        let Some(target) = self.target(&spec.target) else {
            return spec.clone();
        };
        // Of several ports each forward keeps its own.
        let singles = target.address.singles();
        let port = |of: &Where| of.workload().map(|workload| workload.port.clone());
        let same = singles.iter().find(|single| port(single) == port(&spec.address)).or(singles.first());
        ForwardSpec {
            place: self.place_of(target),
            address: same.unwrap_or(&target.address).clone(),
            bind: bind_of(target),
            probe: self.probe_of(target),
            tunnel: self.config.settings.clusters.get(&target.cluster).and_then(|at| at.tunnel.clone()),
            ..spec.clone()
        }
    }

    /// Opens the forwards anew whose targets were edited: what the screen says of a target is where its forward leads.
    pub(crate) fn follow_targets(&mut self, before: &[Target], out: &mut Vec<Effect>) {
        let mut turned: Vec<ForwardId> = Vec::new();
        let mut moved: Vec<(ForwardId, Option<u16>)> = Vec::new();
        for forward in self.forwards.all.values() {
            let is_its = |target: &&Target| target.name == forward.spec.target;
            let (Some(was), Some(now)) = (before.iter().find(is_its), self.targets.all.iter().find(is_its)) else {
                continue;
            };
            // One that has a port beside its target's, since that was taken, keeps it.
            let had_it = was.local_port == forward.spec.port || was.local_port == 0;
            let port = Some(now.local_port).filter(|port| *port != 0 && *port != was.local_port && had_it);
            let led = (&was.address, &was.cluster, &was.namespace);
            let elsewhere = led != (&now.address, &now.cluster, &now.namespace);
            if port.is_some() || elsewhere || was.keep.local_address != now.keep.local_address {
                moved.push((forward.spec.id, port));
            }
            if was.keep.on_demand != now.keep.on_demand {
                turned.push(forward.spec.id);
            }
        }
        self.follow_probes(out);
        for id in turned {
            if self.keep(&self.target_of(id)).on_demand {
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
