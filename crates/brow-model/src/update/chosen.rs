//! Commands on what is chosen in a pane: its marked rows, else the selected one. They mean the same in every pane.

use crate::language::effect::{Clip, Effect};
use crate::language::log::{Level, Message};
use crate::screen::batch::Batch;
use crate::screen::focus::Pane;
use crate::state::Model;
use crate::types::cluster::Link;
use crate::types::forward::{Forward, ForwardId, ForwardState};
use crate::types::gateway::GatewayChange;
use crate::types::proxy::PodKey;

impl Forward {
    /// Returns true if it listens, or is about to, and has not lost its way.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state(), ForwardState::Broken | ForwardState::Failed) && !self.has_lost_pod()
    }
}

impl Model {
    /// Returns the forwards of what is chosen: of targets, of pods, or forwards themselves. Those of other instances
    /// count where there is none here.
    pub(crate) fn chosen_forwards(&self) -> Vec<ForwardId> {
        match self.screen.focus.pane {
            Pane::Clusters => Vec::new(),
            Pane::Targets => self.screen.targets.chosen().iter().flat_map(|name| self.all_forwards_of(name)).collect(),
            Pane::Pods => {
                let chosen = self.screen.pods.chosen();
                self.forwards.ids(|forward| chosen.iter().any(|pod| forward.is_through(pod)))
            }
            Pane::Forwards => self.screen.forwards.chosen(),
        }
    }

    /// Returns the forwards of a target, those of other instances where there is none here.
    pub(crate) fn all_forwards_of(&self, name: &str) -> Vec<ForwardId> {
        let own = self.forwards.ids(|forward| forward.spec.target == name);
        let Some(target) = self.target(name).filter(|_| own.is_empty()) else { return own };
        let gateways = self.gateways_of(target);
        if !gateways.is_empty() {
            return gateways;
        }
        let elsewhere = |address| self.all_elsewhere(target, &address).map(|(id, _)| id).collect::<Vec<_>>();
        target.address.singles().into_iter().flat_map(elsewhere).collect()
    }

    /// Returns our proxy pods behind what is chosen.
    pub(crate) fn chosen_pods(&self) -> Vec<PodKey> {
        let through = |id: &ForwardId| self.forwards.all().get(id)?.via().map(|via| via.pod.clone());
        let mut pods: Vec<PodKey> = match self.screen.focus.pane {
            Pane::Clusters => Vec::new(),
            Pane::Pods => self.screen.pods.chosen(),
            Pane::Targets | Pane::Forwards => self.chosen_forwards().iter().filter_map(through).collect(),
        };
        if pods.is_empty() && self.screen.focus.pane == Pane::Targets {
            let ready = |target| self.ready_pod(&self.selector_of(target)).map(|pod| pod.key.clone());
            pods = self.chosen_targets().iter().filter_map(ready).collect();
        }
        pods.retain(|key| self.pods.all().get(key).is_some_and(|pod| self.is_ours(pod)));
        pods.sort();
        pods.dedup();
        pods
    }

    /// Returns true if all forwards of a target are open, and there is one.
    pub(crate) fn is_connected(&self, target: &str) -> bool {
        let mut forwards = self.forwards_of(target).peekable();
        forwards.peek().is_some() && forwards.all(Forward::is_open)
    }

    /// Returns true if a cluster is connected, or about to be.
    fn is_linked(&self, cluster: &str) -> bool {
        self.cluster(cluster).is_some_and(|at| matches!(at.link, Link::Connecting | Link::Ready))
    }

    /// Returns true if a forward of ours goes through a pod.
    fn carries(&self, pod: &PodKey) -> bool {
        self.forwards.all().values().any(|forward| forward.is_through(pod))
    }

    /// Returns true if a forward is ours and open.
    fn is_own_and_open(&self, id: ForwardId) -> bool {
        self.forwards.all().get(&id).is_some_and(Forward::is_open) || self.is_gateway_up(id)
    }

    /// Returns true if everything chosen is connected, so that the key which connects would disconnect it.
    pub fn disconnects(&self) -> bool {
        let screen = &self.screen;
        match screen.focus.pane {
            Pane::Clusters => every(&screen.clusters.chosen(), |name| self.is_linked(name)),
            Pane::Targets => every(&screen.targets.chosen(), |name| self.is_connected(name)),
            Pane::Pods => every(&screen.pods.chosen(), |pod| self.carries(pod)),
            Pane::Forwards => every(&screen.forwards.chosen(), |id| self.is_own_and_open(*id)),
        }
    }

    /// Connects what is chosen and not connected; where all of it is, disconnects it.
    pub(crate) fn connect_or_disconnect(&mut self, out: &mut Vec<Effect>) {
        let off = self.disconnects();
        match self.screen.focus.pane {
            Pane::Clusters if off => self.disconnect_chosen(out),
            Pane::Targets | Pane::Pods | Pane::Forwards if off => self.stop_chosen(out),
            Pane::Clusters => {
                for name in self.screen.clusters.chosen() {
                    if !self.is_linked(&name) {
                        self.connect(&name, out);
                    }
                }
            }
            Pane::Targets => {
                let mut targets = self.chosen_targets();
                targets.retain(|target| !self.is_connected(&target.name));
                self.open_all(&targets, out);
            }
            Pane::Pods => {
                let pods = self.screen.pods.chosen().into_iter().filter(|pod| !self.carries(pod)).collect();
                self.forward_pods(pods, out);
            }
            Pane::Forwards => self.for_own_forwards(
                |m, id, out| {
                    if !m.is_own_and_open(id) && !m.change_gateway(id, GatewayChange::Start, out) {
                        m.restart_forward(id, None, out);
                    }
                },
                out,
            ),
        }
        self.clear_marks();
    }

    /// Connects to the chosen clusters, again where they are connected.
    pub(crate) fn connect_chosen(&mut self, out: &mut Vec<Effect>) {
        for name in self.screen.clusters.chosen() {
            self.connect(&name, out);
        }
    }

    pub(crate) fn disconnect_chosen(&mut self, out: &mut Vec<Effect>) {
        for name in self.screen.clusters.chosen() {
            self.disconnect(&name, out);
        }
    }

    /// Closes the forwards of what is chosen, wherever they are.
    pub(crate) fn stop_chosen(&mut self, out: &mut Vec<Effect>) {
        let Some(forwards) = self.forwards_to_act_on() else { return };
        self.close_all(&forwards, out);
        self.clear_marks();
    }

    /// Closes the forwards of what is chosen and opens them again.
    pub(crate) fn restart_chosen(&mut self, out: &mut Vec<Effect>) {
        if let Some(forwards) = self.forwards_to_act_on() {
            let restart = |m: &mut Self, id, out: &mut Vec<Effect>| {
                if !m.change_gateway(id, GatewayChange::Restart, out) {
                    m.restart_forward(id, None, out);
                }
            };
            self.for_own_forwards(restart, out);
            self.note_batch(Batch::Restarted, forwards.len());
            self.clear_marks();
        }
    }

    /// Renews the pods behind what is chosen.
    pub(crate) fn renew_chosen(&mut self, out: &mut Vec<Effect>) {
        // Those of others are named as what cannot be renewed.
        let pods = if self.screen.focus.pane == Pane::Pods { self.screen.pods.chosen() } else { self.chosen_pods() };
        let names = self.chosen_names();
        if pods.is_empty() && !names.is_empty() {
            return self.note(Level::Info, Message::NotRenewable, names.join(", "), "");
        }
        self.renew_pods(&pods, out);
        self.note_batch(Batch::Renewed, pods.len());
        self.clear_marks();
    }

    /// Returns the forwards of what is chosen; where there are none, says so.
    fn forwards_to_act_on(&mut self) -> Option<Vec<ForwardId>> {
        let forwards = self.chosen_forwards();
        if !forwards.is_empty() {
            return Some(forwards);
        }
        self.note_chosen(Message::NotForwarded);
        None
    }

    /// Notes something about what is chosen; where nothing is, notes that.
    pub(crate) fn note_chosen(&mut self, message: Message) {
        match self.chosen_names() {
            names if names.is_empty() => self.nothing_selected(),
            names => self.note(Level::Info, message, names.join(", "), ""),
        }
    }

    /// Returns the names of what is chosen.
    pub(crate) fn chosen_names(&self) -> Vec<String> {
        match self.screen.focus.pane {
            Pane::Clusters => self.screen.clusters.chosen(),
            Pane::Targets => self.screen.targets.chosen(),
            Pane::Pods => self.screen.pods.chosen().into_iter().map(|pod| pod.name).collect(),
            Pane::Forwards => self.screen.forwards.chosen().into_iter().map(|id| self.name_of_row(id)).collect(),
        }
    }

    /// Returns the target's name of a forward, also of another instance's, or the name of a gateway.
    pub(crate) fn name_of_row(&self, id: ForwardId) -> String {
        let gateway = self.gateways.rows().get(&id).map(|row| row.gateway.name.clone());
        let other = || self.instances.forwards().get(&id).map(|other| other.forward.name.clone());
        gateway.or_else(other).unwrap_or_else(|| self.target_of(id))
    }

    /// Copies the local addresses of the forwards of what is chosen, a line each.
    pub(crate) fn copy_locals(&mut self, out: &mut Vec<Effect>) {
        let Some(forwards) = self.forwards_to_act_on() else { return };
        let local = |id: &ForwardId| {
            let own = self.forwards.all().get(id).map(Forward::local);
            let gateway = || self.gateways.rows().get(id).map(|row| row.port.local.to_string());
            let other = || self.instances.forwards().get(id).map(|other| other.forward.local.clone());
            own.or_else(other).or_else(gateway)
        };
        let locals: Vec<String> = forwards.iter().filter_map(local).collect();
        Self::copy(Clip::Text(locals.join("\n")), out);
    }

    /// Copies what is wrong with the selected row, else the names of what is chosen, a line each.
    pub(crate) fn copy_names(&mut self, out: &mut Vec<Effect>) {
        if let (_, Some(fault)) = self.trouble() {
            return Self::copy(Clip::Fault(Box::new(fault.clone())), out);
        }
        match self.chosen_names() {
            names if names.is_empty() => self.nothing_selected(),
            names => Self::copy(Clip::Text(names.join("\n")), out),
        }
    }
}

/// Returns true if something is chosen, and all of it is connected.
fn every<K>(chosen: &[K], connected: impl Fn(&K) -> bool) -> bool {
    !chosen.is_empty() && chosen.iter().all(connected)
}
