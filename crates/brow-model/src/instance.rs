//! Other running instances of this program, and what they forward.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Model;
use super::effect::Effect;
use super::fault::{Fault, What};
use super::forward::{Forward, ForwardId, ForwardState, port_name};
use super::log::{Grade, Happening};
use super::proxy::PodKey;
use super::target::Target;
use super::workload::Where;

/// What an instance tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its process.
    pub pid: u32,
    /// What it is.
    pub role: Role,
    /// Its forwards, in the order of opening.
    pub forwards: Vec<Shared>,
    /// Whether it ends.
    #[serde(default)]
    pub leaving: bool,
    /// The numbers of those that end with it, and of those that have failed. Others that it names no longer were
    /// stopped by somebody.
    #[serde(default)]
    pub left: Vec<u64>,
    /// The targets that it was asked to forward: where another instance has them, it takes them over when that ends.
    #[serde(default)]
    pub wants: Vec<String>,
}

/// What an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The dashboard, on somebody's screen.
    Dashboard,
    /// A subcommand in the foreground.
    Connect,
    /// A subcommand that left its terminal.
    Background,
    /// Something that a newer version knows.
    #[serde(other)]
    Unknown,
}

/// A forward as other instances see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Its number in its instance.
    pub id: u64,
    /// The target's name, with the port where that is not the first of several.
    pub name: String,
    /// The kubeconfig context.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The API server behind the context: two kubeconfigs may call different clusters the same.
    #[serde(default)]
    pub server: String,
    /// What it leads to: two configs may call different places the same.
    #[serde(default)]
    pub place: String,
    /// Where it listens.
    pub local: String,
    /// How it stands.
    pub state: Standing,
    /// The name of the pod that it goes through.
    pub pod: Option<String>,
    /// The names of others that connections of its own still go through.
    #[serde(default)]
    pub left: Vec<String>,
}

/// How a forward stands, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It can be used.
    Live,
    /// It waits for something.
    Waiting,
    /// It does not work.
    Broken,
}

/// Another instance, whether it forwards something or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its process.
    pub pid: u32,
    /// What it is.
    pub role: Role,
    /// Whether it ends.
    pub leaving: bool,
    /// Whether it is there and has never answered: nobody knows what it forwards.
    pub silent: bool,
    /// The targets that it was asked to forward.
    pub wants: Vec<String>,
}

/// A forward of another instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// The instance's name among the others.
    pub instance: String,
    /// Its process.
    pub pid: u32,
    /// What it is.
    pub role: Role,
    /// The forward.
    pub forward: Shared,
}

/// What happens to other instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceEvent {
    /// An instance told what it forwards.
    Heard {
        /// Its name.
        instance: String,
        /// What it told.
        report: Report,
    },
    /// An instance has ended.
    Gone {
        /// Its name.
        instance: String,
    },
    /// An instance is there and does not answer: it hangs, or is suspended.
    Unheard {
        /// Its name.
        instance: String,
        /// Its process.
        pid: u32,
    },
    /// Every instance that was there at our start has been heard, or been given up waiting for.
    Known,
    /// An instance did not do what it was asked for.
    Silent(Fault),
}

impl Standing {
    /// The state of our own that is most like it.
    pub fn state(self) -> ForwardState {
        match self {
            Self::Live => ForwardState::Live,
            Self::Waiting => ForwardState::Waiting,
            Self::Broken => ForwardState::Broken,
        }
    }

    fn of(state: ForwardState) -> Self {
        match state {
            // One at rest is woken by whoever connects.
            ForwardState::Live | ForwardState::Resting => Self::Live,
            ForwardState::Opening | ForwardState::Waiting | ForwardState::Dialing | ForwardState::Reconnecting => {
                Self::Waiting
            }
            ForwardState::Broken | ForwardState::Failed => Self::Broken,
        }
    }
}

impl Report {
    /// Every text in it: what a screen shows.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.forwards.iter().flat_map(|forward| {
            let Shared { name, cluster, namespace, local, pod, left, .. } = forward;
            [name, cluster, namespace, local].into_iter().chain(pod).chain(left).map(String::as_str)
        })
    }
}

impl Model {
    /// What other instances are told.
    pub fn report(&self, pid: u32, role: Role) -> Report {
        // One that is being opened, or opened anew, is ours already.
        let listens = |forward: &&Forward| !forward.bound.is_empty() || forward.state == ForwardState::Opening;
        let forwards = self.forwards.values().filter(listens).map(|forward| {
            let spec = &forward.spec;
            let target = self.target(&spec.target);
            Shared {
                id: spec.id.0,
                name: target.map_or_else(|| spec.target.clone(), |target| port_name(target, &spec.address)),
                cluster: spec.place.cluster.clone(),
                namespace: spec.place.namespace.clone(),
                server: self.server_of(&spec.place.cluster),
                place: spec.address.to_string(),
                local: forward.local(),
                state: Standing::of(forward.state),
                pod: forward.via.as_ref().map(|via| via.pod.name.clone()),
                left: self.upkeep.left_by(forward).map(|pod| pod.name.clone()).collect(),
            }
        });
        // What has failed was stopped by nobody, either: whoever waits for it may have it.
        let failed = self.forwards.values().filter(|forward| forward.state == ForwardState::Failed);
        let ended = self.left.iter().flatten().copied().chain(failed.map(|forward| forward.spec.id.0));
        let (left, wants) = (ended.collect(), self.wants.iter().cloned().collect());
        Report { pid, role, forwards: forwards.collect(), leaving: self.left.is_some(), left, wants }
    }

    pub(super) fn on_instance(&mut self, event: InstanceEvent, out: &mut Vec<Effect>) {
        self.unarranged = true;
        match event {
            InstanceEvent::Heard { instance, report } => {
                let Report { pid, role, forwards, leaving, left, wants } = report;
                self.instances.insert(instance.clone(), Known { pid, role, leaving, silent: false, wants });
                if leaving {
                    self.remember_ports_of(&instance);
                }
                // What was known keeps its row.
                let known: BTreeMap<u64, ForwardId> = self
                    .others
                    .iter()
                    .filter(|(_, other)| other.instance == instance)
                    .map(|(id, other)| (other.forward.id, *id))
                    .collect();
                let its = self.others.extract_if(.., |_, other| other.instance == instance);
                let before: Vec<Shared> = its.map(|(_, other)| other.forward).collect();
                self.stopped_there(&instance, &before, &forwards, &left);
                for forward in forwards {
                    let id = known.get(&forward.id).copied().unwrap_or_else(|| ForwardId(self.count()));
                    self.others.insert(id, Other { instance: instance.clone(), pid, role, forward });
                }
                self.end_what_others_left(out);
            }
            InstanceEvent::Gone { instance } => {
                self.remember_ports_of(&instance);
                self.instances.remove(&instance);
                self.others.retain(|_, other| other.instance != instance);
                self.end_what_others_left(out);
            }
            InstanceEvent::Unheard { instance, pid } => {
                // What it had when it was heard last it may have still.
                let unknown = Known { pid, role: Role::Unknown, leaving: false, silent: true, wants: Vec::new() };
                self.instances.entry(instance).or_insert(unknown).silent = true;
                self.fail(Fault::new(What::InstanceUnheard, pid.to_string(), ""));
            }
            InstanceEvent::Known => {
                self.upkeep.others_known = true;
                self.autostart(out);
            }
            InstanceEvent::Silent(fault) => self.fail(fault),
        }
    }

    /// The forward of another instance that leads where this one would, and works or will.
    pub fn elsewhere(&self, target: &Target, address: &Where) -> Option<(ForwardId, &Other)> {
        self.all_elsewhere(target, address).find(|(_, other)| other.forward.state != Standing::Broken)
    }

    /// The forwards of other instances that lead where this one would, however they stand.
    pub fn all_elsewhere(&self, target: &Target, address: &Where) -> impl Iterator<Item = (ForwardId, &Other)> {
        let (name, namespace) = (port_name(target, address), self.namespace_of(target));
        let (server, place) = (self.server_of(&target.cluster), address.to_string());
        let cluster = target.cluster.clone();
        self.others.iter().map(|(id, other)| (*id, other)).filter(move |(_, other)| {
            let forward = &other.forward;
            (&forward.name, &forward.cluster, &forward.namespace) == (&name, &cluster, &namespace)
                && (&forward.server, &forward.place) == (&server, &place)
        })
    }

    /// Of forwards that an instance has no longer those count as stopped that do not end with it.
    fn stopped_there(&mut self, instance: &str, before: &[Shared], now: &[Shared], left: &[u64]) {
        // On a screen that is seen; a verb waits for it.
        if !self.unattended() {
            return;
        }
        // One that has another name now is there all the same.
        let gone = |forward: &&Shared| !left.contains(&forward.id) && now.iter().all(|there| there.id != forward.id);
        for forward in before.iter().filter(gone) {
            self.stopped.insert((instance.to_owned(), forward.name.clone()));
        }
        self.stopped.retain(|(of, name)| of != instance || now.iter().all(|forward| forward.name != *name));
    }

    /// Whoever opens a forward that an instance had opens it where it was.
    fn remember_ports_of(&mut self, instance: &str) {
        let singles = |target: &Target| target.address.singles();
        let all = self.targets.iter().flat_map(|target| singles(target).into_iter().map(move |at| (target, at)));
        let had = all.filter_map(|(target, address)| {
            let (_, other) = self.all_elsewhere(target, &address).find(|(_, other)| other.instance == instance)?;
            let local: SocketAddr = other.forward.local.parse().ok()?;
            (local.port() != 0).then(|| (other.forward.name.clone(), local.port()))
        });
        let had: Vec<(String, u16)> = if self.others.is_empty() { Vec::new() } else { had.collect() };
        self.ports.extend(had);
    }

    fn server_of(&self, cluster: &str) -> String {
        self.cluster(cluster).map(|at| at.server.clone()).unwrap_or_default()
    }

    /// Whether another instance has connections through a pod, or would send new ones there. It may know the cluster by
    /// another name.
    pub fn is_used_elsewhere(&self, key: &PodKey) -> bool {
        let server = self.server_of(&key.cluster);
        self.others.values().any(|other| {
            let forward = &other.forward;
            let same = forward.cluster == key.cluster || (!server.is_empty() && forward.server == server);
            same && forward.namespace == key.namespace
                && forward.pod.iter().chain(&forward.left).any(|name| *name == key.name)
        })
    }

    /// Has another instance close a forward of its own.
    pub(super) fn stop_elsewhere(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        if let Some(other) = self.others.get(&id).cloned() {
            self.note(Grade::Info, Happening::StoppedElsewhere, &other.forward.name, other.pid.to_string());
            out.push(Effect::StopElsewhere { instance: other.instance, id: other.forward.id });
        }
    }

    /// Says whose a forward is that only its own instance can do more with.
    pub(super) fn tell_whose(&mut self, id: ForwardId) {
        if let Some(other) = self.others.get(&id) {
            let (name, pid) = (other.forward.name.clone(), other.pid.to_string());
            self.note(Grade::Info, Happening::OfAnother, name, pid);
        }
    }
}
