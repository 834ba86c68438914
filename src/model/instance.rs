//! Other running instances of this program, and what they forward.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Model;
use super::effect::Effect;
use super::fault::Fault;
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
    /// Every instance that was there at our start has been heard.
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
            ForwardState::Opening | ForwardState::Waiting | ForwardState::Reconnecting => Self::Waiting,
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
        let listens = |forward: &&Forward| !forward.bound.is_empty();
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
        Report { pid, role, forwards: forwards.collect() }
    }

    pub(super) fn on_instance(&mut self, event: InstanceEvent, out: &mut Vec<Effect>) {
        self.unarranged = true;
        match event {
            InstanceEvent::Heard { instance, report } => {
                let Report { pid, role, forwards } = report;
                // What was known keeps its row.
                let known: BTreeMap<u64, ForwardId> = self
                    .others
                    .iter()
                    .filter(|(_, other)| other.instance == instance)
                    .map(|(id, other)| (other.forward.id, *id))
                    .collect();
                self.others.retain(|_, other| other.instance != instance);
                for forward in forwards {
                    let id = known.get(&forward.id).copied().unwrap_or_else(|| ForwardId(self.count()));
                    self.others.insert(id, Other { instance: instance.clone(), pid, role, forward });
                }
                self.end_what_others_left(out);
            }
            InstanceEvent::Gone { instance } => {
                self.others.retain(|_, other| other.instance != instance);
                self.end_what_others_left(out);
            }
            InstanceEvent::Known => {
                self.upkeep.others_known = true;
                self.autostart(out);
            }
            InstanceEvent::Silent(fault) => self.fail(fault),
        }
    }

    /// The forward of another instance that leads where this one would.
    pub fn elsewhere(&self, target: &Target, address: &Where) -> Option<(ForwardId, &Other)> {
        let (name, namespace) = (port_name(target, address), self.namespace_of(target));
        let (server, place) = (self.server_of(&target.cluster), address.to_string());
        self.others.iter().map(|(id, other)| (*id, other)).find(|(_, other)| {
            let forward = &other.forward;
            forward.state != Standing::Broken
                && (&forward.name, &forward.cluster, &forward.namespace) == (&name, &target.cluster, &namespace)
                && (&forward.server, &forward.place) == (&server, &place)
        })
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
