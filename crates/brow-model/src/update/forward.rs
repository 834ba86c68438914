//! Forwards: a listener on this machine and the way from it to a target.

use std::net::SocketAddr;

use crate::language::effect::{Effect, ForwardEffect, StoreEffect};
use crate::language::event::ForwardEvent;
use crate::language::fault::{Fault, Remedy, What};
use crate::language::log::{Level, Message};
use crate::screen::dialog::{Dialog, Question};
use crate::state::Model;
use crate::types::epoch::Epoch;
use crate::types::forward::{Forward, ForwardId, port_name};
use crate::types::proxy::PodKey;
use crate::types::route::{Route, Tunnel, Via};
use crate::types::target::Target;

impl Model {
    pub fn forwards_of<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a Forward> {
        self.forwards.all().values().filter(move |forward| forward.spec.target == target)
    }

    /// Returns the current fault of a target: its forward's fault, its pod's, or why there is no pod.
    pub fn fault_of_target(&self, target: &Target) -> Option<&Fault> {
        let of_target = |forward: &&Forward| forward.spec.target == target.name;
        let forwards = self.forwards.all().values().filter(of_target).find_map(Forward::trouble);
        let selector = self.selector_of(target);
        if forwards.is_some() || self.ready_pod(&selector).is_some() {
            return forwards;
        }
        let mut coming = self.pods.all().values().filter(|pod| pod.phase.is_coming() && self.is_at(pod, &selector));
        coming.find_map(|pod| pod.fault.as_ref()).or_else(|| self.targets.refusal(&target.name))
    }

    pub(crate) fn target_of(&self, id: ForwardId) -> String {
        self.forwards.all().get(&id).map(|forward| forward.spec.target.clone()).unwrap_or_default()
    }

    pub(crate) fn on_forward(&mut self, id: ForwardId, epoch: Epoch, event: ForwardEvent, out: &mut Vec<Effect>) {
        let cluster = self.forwards.all().get(&id).and_then(|forward| self.cluster(&forward.spec.selector.cluster));
        let plugin = cluster.and_then(|cluster| cluster.plugin.clone());
        let Some(forward) = self.forwards.get_mut(id).filter(|forward| forward.spec.epoch == epoch) else { return };
        self.screen.unarranged = true;
        let target = forward.spec.target.clone();
        match event {
            ForwardEvent::BoundSocket(path) => forward.socket = Some(path),
            ForwardEvent::Bound(bound) => self.on_bound(id, bound, out),
            ForwardEvent::NotBound(fault) => self.on_not_bound(id, fault, out),
            ForwardEvent::Up(via) => self.on_up(id, via),
            ForwardEvent::Down(fault) => {
                let fault = fault.with_plugin(plugin.as_deref());
                if let Route::Through(_, tunnel) = &mut forward.route {
                    *tunnel = Tunnel::Lost;
                }
                forward.fault = Some(fault.clone());
                self.fail(fault);
            }
            // News of a watch that has been ended since.
            ForwardEvent::Backends(_)
            | ForwardEvent::NoBackend(_)
            | ForwardEvent::LookupFailed(_)
            | ForwardEvent::Relay(_)
                if forward.is_resting() => {}
            ForwardEvent::UserRefused { uid, name } => self.on_user_refused(target, uid, &name),
            ForwardEvent::NotAllowed(to) => self.note(Level::Warning, Message::NotAllowed, target, to.to_string()),
            ForwardEvent::Connections(list) => self.on_connections(id, list),
            ForwardEvent::UsersUntold => forward.users_untold = true,
            ForwardEvent::Probed(found) => self.on_probed(id, found, out),
            ForwardEvent::WithoutRelay(via, why) => {
                let message = if forward.is_udp() { Message::UdpBySocat } else { Message::RelayedBySocat };
                self.note(Level::Warning, message, via.pod.name, why);
            }
            // Connections that remain with a former pod have their own.
            ForwardEvent::ByPodProxy(via) | ForwardEvent::NotByPodProxy { via, .. } if forward.via() != Some(&via) => {}
            ForwardEvent::ByPodProxy(via) => {
                forward.no_pod_proxy = None;
                self.on_pod_proxy(&via.pod, None, out);
            }
            ForwardEvent::NotByPodProxy { via, why, news } => {
                forward.no_pod_proxy = Some((via.clone(), why.clone()));
                // An earlier run has told the same.
                if news && self.on_pod_proxy(&via.pod, Some(why.clone()), out) {
                    self.note(Level::Info, Message::NoPodProxy, via.pod.name, why);
                }
            }
            ForwardEvent::Wanted(round) => self.on_wanted(id, round, out),
            ForwardEvent::Drained(via) => self.on_drained(id, &via.pod, out),
            ForwardEvent::Backends(backends) => self.on_backends(id, backends, out),
            ForwardEvent::NoBackend(fault) => self.on_no_backend(id, fault, out),
            ForwardEvent::LookupFailed(fault) => self.on_lookup_failed(id, fault, out),
            ForwardEvent::Relay(address) => self.on_relay(id, address, out),
            ForwardEvent::Refused(via) => self.on_refused(id, &via, out),
            ForwardEvent::ConnectionFailed(fault) => {
                self.on_connection_failed(id, fault.with_plugin(plugin.as_deref()));
            }
            ForwardEvent::Closed => {
                self.forwards.remove(id);
            }
        }
    }

    fn on_connection_failed(&mut self, id: ForwardId, fault: Fault) {
        let Some(forward) = self.forwards.get_mut(id) else { return };
        // That there is no pod is what follows; why there is none says more.
        if fault.what != What::NoPod || forward.fault.is_none() {
            forward.fault = Some(fault.clone());
        }
        // Why there is no way for one on demand may have been told just now.
        let rests = forward.is_resting();
        let last = self.screen.log.entries.back().filter(|last| rests && last.at == self.now);
        if !last.is_some_and(|last| matches!(&last.message, Message::Failed(told) if **told == fault)) {
            self.fail(fault);
        }
    }

    /// A tunnel to its pod is open.
    fn on_up(&mut self, id: ForwardId, via: Via) {
        let Some(forward) = self.forwards.get_mut(id) else { return };
        let Route::Through(through, tunnel) = &mut forward.route else { return };
        if *through != via {
            return;
        }
        let was = std::mem::replace(tunnel, Tunnel::Up);
        let (target, local) = (forward.spec.target.clone(), forward.local());
        match was {
            Tunnel::Lost => {
                forward.fault = None;
                self.note(Level::Success, Message::ForwardBack, target, via.pod.name);
            }
            Tunnel::Dialing => self.show_address(&target, local),
            Tunnel::Up => {}
        }
    }

    /// It listens.
    fn on_bound(&mut self, id: ForwardId, bound: Vec<SocketAddr>, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(id) else { return };
        let target = forward.spec.target.clone();
        let others = bound.iter().any(|local| !local.ip().is_loopback());
        let port = bound.first().map_or(0, SocketAddr::port);
        let asked = forward.spec.port;
        let any = forward.spec.any_port;
        forward.bound = bound;
        let local = forward.local();
        // A restart takes the same port again.
        forward.spec.port = port;
        if any && port != 0 {
            let address = &forward.spec.address;
            let of = self.targets.all().iter().find(|of| of.name == target);
            let name = of.map_or_else(|| target.clone(), |of| port_name(of, address));
            self.targets.remember_ports([(name.clone(), port)]);
            // The name of one that is not saved is an address, which no file holds.
            if !self.targets.is_temporary(&target) {
                out.push(Effect::Store(StoreEffect::RememberPort { target: name, port }));
            }
        }
        if asked != 0 && asked != port {
            self.note(Level::Warning, Message::ForwardElsewhere, &target, &local);
        } else {
            self.note(Level::Success, Message::ForwardOpened, &target, &local);
        }
        if others {
            self.note(Level::Warning, Message::OpenToOthers, target, local);
        }
        self.count_opened(id, true);
    }

    /// It cannot listen.
    fn on_not_bound(&mut self, id: ForwardId, fault: Fault, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(id) else { return };
        // It carries nothing: it keeps no pod.
        forward.route = Route::Failed;
        forward.fault = Some(fault.clone());
        let (failed, unasked) = (forward.clone(), forward.autostarted || forward.agent.is_some());
        let spec = Box::new(forward.spec.clone());
        self.on_forward_closed(&failed, out);
        if let Remedy::OtherPort(port) = fault.remedy
            && !unasked
        {
            let question = Question::OtherPort { spec, port, fault: Box::new(fault.clone()) };
            self.ask(question);
        }
        self.audit_forward("open-forward", &failed, Some(fault.what), out);
        self.fail(fault);
        self.count_opened(id, false);
    }

    /// Another user of this machine was refused.
    fn on_user_refused(&mut self, target: String, uid: Option<u32>, name: &str) {
        let user = match uid {
            Some(uid) if name.is_empty() => format!("uid {uid}"),
            Some(uid) => format!("{name} (uid {uid})"),
            None => String::new(),
        };
        self.note(Level::Warning, Message::UserRefused, target, user);
    }

    /// Updates the local users of open forwards to the config; open connections stay.
    pub(crate) fn update_local_users(&mut self, out: &mut Vec<Effect>) {
        let users = |forward: &Forward| self.forward_policy(&forward.spec.target).local_users;
        let all = self.forwards.all().values();
        let changed: Vec<_> = all.map(|forward| (forward.spec.id, users(forward))).collect();
        for (id, users) in changed {
            if let Some(forward) = self.forwards.get_mut(id).filter(|forward| forward.spec.local_users != users) {
                forward.spec.local_users = users;
                out.push(Effect::Forward(ForwardEffect::Admit { id, users }));
            }
        }
    }

    /// Closes a forward.
    pub(crate) fn stop_forward(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        if let Some(forward) = self.forwards.remove(id) {
            self.screen.unarranged = true;
            self.audit_forward("close-forward", &forward, None, out);
            out.push(Effect::Forward(ForwardEffect::Close { id }));
            self.on_forward_closed(&forward, out);
            self.note(Level::Info, Message::ForwardClosed, forward.spec.target, "");
        }
    }

    /// Asks a question in a dialog. What somebody is in the middle of comes first.
    pub(crate) fn ask(&mut self, question: Question) {
        if self.unattended() {
            return;
        }
        // The offer to restore preselects yes: people usually continue where they stopped.
        let button = usize::from(matches!(question, Question::Restore(_)));
        let dialog = Dialog::Confirm { question, button };
        if self.screen.dialogs.is_empty() {
            self.screen.dialogs.push(dialog);
        } else {
            self.screen.dialogs.insert(0, dialog);
        }
    }

    /// Remembers a result of the pod proxy: `None` if it works, else the reason. Returns whether it is new.
    fn on_pod_proxy(&mut self, pod: &PodKey, failure: Option<String>, out: &mut Vec<Effect>) -> bool {
        let new = self.clusters.note_pod_proxy(pod, failure.as_deref());
        if new {
            let (cluster, namespace) = (pod.cluster.clone(), pod.namespace.clone());
            out.push(Effect::Store(StoreEffect::PodProxy { cluster, namespace, failure }));
        }
        new
    }
}
