//! Forwards: a listener on this machine and the way from it to a target.

use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, Utc};

use super::Model;
use super::address::Address;
use super::backend::Backend;
use super::dialog::{Dialog, Question};
use super::effect::Effect;
use super::event::{Epoch, ForwardEvent};
use super::fault::{Fault, Remedy, What};
use super::health::{Health, ProbePlan, Told};
use super::log::{Grade, Happening};
use super::proxy::{PodKey, PodPlace, ProxyPod};
use super::target::Target;
use super::workload::Where;

pub use super::demand::Demand;
pub use super::open::port_name;
pub use super::traffic::{Counts, Traffic, TunnelInfo};

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
    /// Where its pods are found.
    pub place: PodPlace,
    /// Where to: what the relay connects to, or the workload whose pods it goes through.
    pub address: Where,
    /// The tunnel protocol that the config asks for, instead of trying.
    pub tunnel: Option<String>,
    /// Where to listen; loopback unless somebody asked for more.
    pub bind: Vec<IpAddr>,
    /// The local port; 0: any free one.
    pub port: u16,
    /// Whether another free port will do when this one is taken (a remembered port is a wish, a configured one an
    /// order).
    pub any_port: bool,
    /// Whether it begins at rest: nothing behind the listener until somebody connects.
    pub on_demand: bool,
    /// How its target is probed, if it is.
    pub probe: Option<ProbePlan>,
}

/// The pod a forward goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// The pod.
    pub pod: PodKey,
    /// Its uid: another pod may take its name.
    pub uid: String,
    /// The port in the pod.
    pub port: u16,
    /// What the relay there is to connect to; absent: the pod is the target itself.
    pub to: Option<Address>,
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
    /// The running pods of its workload, the best first.
    pub backends: Vec<Backend>,
    /// What stands for its workload where that has no pods: an address, which takes a proxy pod to reach.
    pub relay: Option<Address>,
    /// What moved through it.
    pub traffic: Traffic,
    /// Whether it asks for a pod: one is found or created once the cluster's pods are known.
    pub wants_pod: bool,
    /// Without a pod: whether one is coming, so that connections wait.
    pub waiting: bool,
    /// The tunnel's protocol and round trip, once one is open.
    pub tunnel: Option<TunnelInfo>,
    /// What went wrong last: a connection's reason or the forward's.
    pub fault: Option<Fault>,
    /// Why it cannot be seen at the moment where its workload leads; it goes on with what is known.
    pub unseen: Option<Fault>,
    /// When it was opened.
    pub since: DateTime<Utc>,
    /// When it was last seen carrying a connection.
    pub used: Option<DateTime<Utc>>,
    /// Where it stands between two uses, if it is one on demand.
    pub demand: Option<Demand>,
    /// What the last probe found.
    pub health: Option<Health>,
    /// What was told of that last.
    pub told: Option<Told>,
    /// Opened by itself: nobody is there to be asked about it.
    pub unasked: bool,
}

/// How a forward stands.
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
            state: ForwardState::Opening,
            via: None,
            backends: Vec::new(),
            relay: None,
            traffic: Traffic::default(),
            wants_pod: false,
            waiting: false,
            tunnel: None,
            fault: None,
            unseen: None,
            since: now,
            used: None,
            demand: None,
            health: None,
            told: None,
            unasked: false,
        }
    }

    /// What its proxy pods' relays connect to; `None` where it goes straight to the pods of a workload, or does not
    /// know yet.
    pub fn relayed_to(&self) -> Option<&Address> {
        match &self.spec.address {
            Where::Address(address) => Some(address),
            Where::Workload(_) => self.relay.as_ref(),
        }
    }

    /// A way with what the relay at its end connects to, where there is one.
    pub(super) fn relayed(&self, via: Via) -> Via {
        Via { to: self.relayed_to().cloned(), ..via }
    }

    /// Whether it goes straight to pods, as far as is known.
    pub fn is_direct(&self) -> bool {
        self.relayed_to().is_none()
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

impl ProxyPod {
    /// The way to this pod's relay; where that connects to, a forward knows.
    pub fn via(&self) -> Via {
        Via { pod: self.key.clone(), uid: self.uid.clone(), port: self.port, to: None }
    }
}

impl Model {
    /// Forwards of a target.
    pub fn forwards_of<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a Forward> {
        self.forwards.values().filter(move |forward| forward.spec.target == target)
    }

    /// What is wrong with a target now: its forward's fault, its pod's, or why there is no pod.
    pub fn fault_of_target(&self, target: &Target) -> Option<&Fault> {
        let of_target = |forward: &&Forward| forward.spec.target == target.name;
        let forwards = self.forwards.values().filter(of_target).find_map(Forward::trouble);
        let place = self.place_of(target);
        if forwards.is_some() || self.ready_pod(&place).is_some() {
            return forwards;
        }
        let mut coming = self.pods.values().filter(|pod| pod.phase.is_coming() && self.is_at(pod, &place));
        coming.find_map(|pod| pod.fault.as_ref()).or_else(|| self.refused.get(&target.name))
    }

    pub(super) fn target_of(&self, id: ForwardId) -> String {
        self.forwards.get(&id).map(|forward| forward.spec.target.clone()).unwrap_or_default()
    }

    pub(super) fn on_forward(&mut self, id: ForwardId, epoch: Epoch, event: ForwardEvent, out: &mut Vec<Effect>) {
        let cluster = self.forwards.get(&id).and_then(|forward| self.cluster(&forward.spec.place.cluster));
        let plugin = cluster.and_then(|cluster| cluster.plugin.clone());
        let Some(forward) = self.forwards.get_mut(&id).filter(|forward| forward.spec.epoch == epoch) else {
            return;
        };
        self.unarranged = true;
        let target = forward.spec.target.clone();
        match event {
            ForwardEvent::Bound(bound) => self.on_bound(id, bound, out),
            ForwardEvent::NotBound(fault) => self.on_not_bound(id, fault, out),
            ForwardEvent::Up(via) => {
                if forward.via.as_ref() == Some(&via) {
                    let back = forward.state == ForwardState::Reconnecting;
                    forward.state = ForwardState::Live;
                    if back {
                        forward.fault = None;
                        self.note(Grade::Good, Happening::ForwardBack, target, via.pod.name);
                    }
                }
            }
            ForwardEvent::Down(fault) => {
                let fault = fault.with_plugin(plugin.as_deref());
                if forward.via.is_some() {
                    forward.state = ForwardState::Reconnecting;
                }
                forward.fault = Some(fault.clone());
                self.fail(fault);
            }
            // News of a watch that has been ended since.
            ForwardEvent::Backends(_)
            | ForwardEvent::NoBackend(_)
            | ForwardEvent::Unseen(_)
            | ForwardEvent::Relay(_)
                if forward.is_resting() => {}
            ForwardEvent::Probed(found) => self.on_probed(id, found, out),
            ForwardEvent::Wanted(round) => self.on_wanted(id, round, out),
            ForwardEvent::Left(via) => self.on_left(id, &via.pod, out),
            ForwardEvent::Backends(backends) => self.on_backends(id, backends, out),
            ForwardEvent::NoBackend(fault) => self.on_no_backend(id, fault, out),
            ForwardEvent::Unseen(fault) => self.on_unseen(id, fault, out),
            ForwardEvent::Relay(address) => self.on_relay(id, address, out),
            ForwardEvent::Refused(via) => self.on_refused(id, &via, out),
            ForwardEvent::ConnectionFailed(fault) => {
                let fault = fault.with_plugin(plugin.as_deref());
                // That there is no pod is what follows; why there is none says more.
                if fault.what != What::NoPod || forward.fault.is_none() {
                    forward.fault = Some(fault.clone());
                }
                // Why there is no way for one on demand may have been told just now.
                let rests = forward.is_resting();
                let last = self.log.entries.back().filter(|last| rests && last.at == self.now);
                if !last.is_some_and(|last| matches!(&last.what, Happening::Failed(told) if **told == fault)) {
                    self.fail(fault);
                }
            }
            ForwardEvent::Closed => {
                self.forwards.remove(&id);
            }
        }
    }

    /// It listens.
    fn on_bound(&mut self, id: ForwardId, bound: Vec<SocketAddr>, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        let target = forward.spec.target.clone();
        let others = bound.iter().any(|local| !local.ip().is_loopback());
        forward.state = match (&forward.via, forward.waiting || forward.wants_pod) {
            (Some(_), _) => ForwardState::Dialing,
            (None, _) if forward.is_resting() => ForwardState::Resting,
            (None, true) => ForwardState::Waiting,
            (None, false) => ForwardState::Broken,
        };
        let port = bound.first().map_or(0, SocketAddr::port);
        let asked = forward.spec.port;
        let (any, local) = (forward.spec.any_port, bound.first().map(ToString::to_string).unwrap_or_default());
        forward.bound = bound;
        // A restart takes the same port again.
        forward.spec.port = port;
        if any && port != 0 {
            let address = &forward.spec.address;
            let of = self.targets.iter().find(|of| of.name == target);
            let name = of.map_or_else(|| target.clone(), |of| port_name(of, address));
            self.ports.insert(name.clone(), port);
            out.push(Effect::Remember { target: name, port });
        }
        if asked != 0 && asked != port {
            self.note(Grade::Warning, Happening::ForwardElsewhere, &target, &local);
        } else {
            self.note(Grade::Good, Happening::ForwardOpened, &target, &local);
        }
        if others {
            self.note(Grade::Warning, Happening::OpenToOthers, target, local);
        }
    }

    /// It cannot listen.
    fn on_not_bound(&mut self, id: ForwardId, fault: Fault, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        let target = forward.spec.target.clone();
        forward.state = ForwardState::Failed;
        forward.fault = Some(fault.clone());
        // It carries nothing: it keeps no pod.
        forward.via = None;
        let (failed, unasked) = (forward.clone(), forward.unasked);
        let spec = Box::new(forward.spec.clone());
        self.on_stopped(&failed, out);
        if let Remedy::OtherPort(port) = fault.remedy
            && !unasked
        {
            let question = Question::OtherPort { spec, port, fault: Box::new(fault.clone()) };
            self.ask(question);
        }
        self.audit("open-forward", &target, None, Some(fault.what), out);
        self.fail(fault);
    }

    /// Closes a forward.
    pub(super) fn stop_forward(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        if let Some(forward) = self.forwards.remove(&id) {
            self.unarranged = true;
            let spec = forward.spec.clone();
            let place = Some((spec.place.cluster.as_str(), spec.place.namespace.as_str()));
            self.audit("close-forward", &spec.target, place, None, out);
            out.push(Effect::CloseForward { id });
            self.on_stopped(&forward, out);
            self.note(Grade::Info, Happening::ForwardClosed, spec.target, "");
        }
    }

    /// Asks a question in a dialog. What somebody is in the middle of comes first.
    pub(super) fn ask(&mut self, question: Question) {
        if self.unattended() {
            return;
        }
        let dialog = Dialog::Confirm { question, button: 0 };
        if self.dialogs.is_empty() { self.dialogs.push(dialog) } else { self.dialogs.insert(0, dialog) }
    }
}
