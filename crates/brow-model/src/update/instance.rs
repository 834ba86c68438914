//! Other running instances of this program, and what they forward.

use std::net::SocketAddr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::language::effect::{Effect, ForwardEffect};
use crate::language::event::InstanceEvent;
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::forward::{Forward, ForwardId, ForwardState, port_name};
use crate::types::instance::{ForwardReport, RemoteForward, RemoteState, Report, Role, StateDetail};
use crate::types::proxy::PodKey;
use crate::types::target::Target;
use crate::types::workload::Destination;

impl Model {
    /// Returns the report for other instances.
    pub fn report(&self, pid: u32, role: Role) -> Report {
        // One that is being opened, or opened anew, is ours already.
        let listens = |forward: &&Forward| forward.listens() || forward.state() == ForwardState::Opening;
        let forwards = self.forwards.all().values().filter(listens).map(|forward| {
            let spec = &forward.spec;
            let target = self.target(&spec.target);
            ForwardReport {
                id: spec.id.0,
                agent: forward.agent.as_ref().map(|mark| mark.client.clone()),
                name: target.map_or_else(|| spec.target.clone(), |target| port_name(target, &spec.address)),
                cluster: spec.selector.cluster.clone(),
                namespace: spec.selector.namespace.clone(),
                server: self.server_of(&spec.selector.cluster),
                destination: spec.address.to_string(),
                local: forward.local(),
                socket: forward.socket.clone(),
                state: RemoteState::of(forward.state()),
                detail: StateDetail::of(forward),
                ends: self.end_of(forward),
                pod: forward.via().map(|via| via.pod.name.clone()),
                draining: self.pods.lifecycle.draining_of(forward).map(|pod| pod.name.clone()).collect(),
            }
        });
        // What has failed was stopped by nobody, either: whoever waits for it may have it.
        let failed = self.forwards.all().values().filter(|forward| forward.state() == ForwardState::Failed);
        let ended = self.forwards.ended().into_iter().flatten().copied().chain(failed.map(|forward| forward.spec.id.0));
        let (ended, wants) = (ended.collect(), self.targets.wants().iter().cloned().collect());
        let by_dashboards = self.agents.questions().filter(|question| !question.by_client);
        let asks = by_dashboards.map(|question| question.approval.clone()).collect();
        let (leaving, shells) = (self.forwards.ended().is_some(), Vec::new());
        Report { pid, role, forwards: forwards.collect(), leaving, ended, wants, asks, shells }
    }

    /// Returns the time at which the pod of a forward ends, unless it is renewed in time.
    fn end_of(&self, forward: &Forward) -> Option<DateTime<Utc>> {
        let pod = self.pods.all().get(&forward.via()?.pod)?;
        let skew = self.cluster(&pod.key.cluster)?.skew;
        let renews = self.forward_policy(&forward.spec.target).auto_renew;
        // Whole seconds: what changes with each probe would be news to all.
        pod.deadline().filter(|_| !renews).map(|deadline| deadline - TimeDelta::seconds(skew.num_seconds()))
    }

    pub(crate) fn on_instance(&mut self, event: InstanceEvent, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match event {
            InstanceEvent::Heard { instance, report } => {
                if report.leaving {
                    self.remember_ports_of(&instance);
                }
                self.note_stopped(&instance, &report);
                self.hear_questions(&instance, &report.asks, out);
                let counter = &mut self.counter;
                self.instances.replace(&instance, report, || {
                    *counter += 1;
                    *counter
                });
                self.ask_without_dashboard();
                self.delete_drained_pods(out);
            }
            InstanceEvent::Gone { instance } => {
                self.remember_ports_of(&instance);
                self.hear_questions(&instance, &[], out);
                self.instances.remove(&instance);
                self.ask_without_dashboard();
                self.delete_drained_pods(out);
            }
            InstanceEvent::Unheard { instance, pid } => {
                self.instances.mark_silent(instance, pid);
                self.ask_without_dashboard();
                self.fail(Fault::new(What::InstanceUnheard, pid.to_string(), ""));
            }
            InstanceEvent::Known => {
                self.instances.mark_known();
                self.autostart(out);
            }
            InstanceEvent::Silent(fault) => self.fail(fault),
        }
        self.close_empty_list();
    }

    /// The forward of another instance that leads where this one would, and works or will.
    pub fn elsewhere(&self, target: &Target, address: &Destination) -> Option<(ForwardId, &RemoteForward)> {
        self.all_elsewhere(target, address).find(|(_, other)| other.forward.state != RemoteState::Broken)
    }

    /// The forwards of other instances that lead where this one would, however they stand.
    pub fn all_elsewhere(
        &self,
        target: &Target,
        address: &Destination,
    ) -> impl Iterator<Item = (ForwardId, &RemoteForward)> {
        let (name, namespace) = (port_name(target, address), self.namespace_of(target));
        let (server, destination) = (self.server_of(&target.cluster), address.to_string());
        let cluster = target.cluster.clone();
        self.instances.forwards().iter().map(|(id, other)| (*id, other)).filter(move |(_, other)| {
            let forward = &other.forward;
            (&forward.name, &forward.cluster, &forward.namespace) == (&name, &cluster, &namespace)
                && (&forward.server, &forward.destination) == (&server, &destination)
        })
    }

    /// Of forwards that an instance has no longer those count as stopped that do not end with it.
    fn note_stopped(&mut self, instance: &str, report: &Report) {
        // The screen shows it; a subcommand waits for it.
        if !self.unattended() {
            return;
        }
        let Report { forwards: now, ended, .. } = report;
        let before = self.instances.forwards().values().filter(|other| other.instance == instance);
        // One that has another name now is there all the same.
        let is_gone = |id: u64| !ended.contains(&id) && now.iter().all(|there| there.id != id);
        let gone = before.filter(|other| is_gone(other.forward.id)).map(|other| &other.forward.name);
        let has = |name: &str| now.iter().any(|forward| forward.name == name);
        self.forwards.note_stopped(instance, gone, has);
    }

    /// Whoever opens a forward that an instance had opens it where it was.
    fn remember_ports_of(&mut self, instance: &str) {
        let singles = |target: &Target| target.address.singles();
        let all = self.targets.all().iter().flat_map(|target| singles(target).into_iter().map(move |at| (target, at)));
        let had = all.filter_map(|(target, address)| {
            let (_, other) = self.all_elsewhere(target, &address).find(|(_, other)| other.instance == instance)?;
            let local: SocketAddr = other.forward.local.parse().ok()?;
            (local.port() != 0).then(|| (other.forward.name.clone(), local.port()))
        });
        let had: Vec<(String, u16)> = if self.instances.forwards().is_empty() { Vec::new() } else { had.collect() };
        self.targets.remember_ports(had);
    }

    fn server_of(&self, cluster: &str) -> String {
        self.cluster(cluster).map(|at| at.server.clone()).unwrap_or_default()
    }

    /// Returns true if another instance has connections through a pod, or would send new ones there. It may know the
    /// cluster by another name.
    pub fn is_used_elsewhere(&self, key: &PodKey) -> bool {
        let server = self.server_of(&key.cluster);
        self.instances.forwards().values().any(|other| {
            let forward = &other.forward;
            let same = forward.cluster == key.cluster || (!server.is_empty() && forward.server == server);
            same && forward.namespace == key.namespace
                && forward.pod.iter().chain(&forward.draining).any(|name| *name == key.name)
        })
    }

    /// Asks another instance to close one of its forwards.
    pub(crate) fn stop_elsewhere(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        if let Some(other) = self.instances.forwards().get(&id).cloned() {
            self.note(Level::Info, Message::StoppedElsewhere, &other.forward.name, other.pid.to_string());
            out.push(Effect::Forward(ForwardEffect::StopElsewhere { instance: other.instance, id: other.forward.id }));
        }
    }

    /// Says whose a forward is that only its own instance can do more with.
    pub(crate) fn report_owner(&mut self, id: ForwardId) {
        if let Some(other) = self.instances.forwards().get(&id) {
            let (name, pid) = (other.forward.name.clone(), other.pid.to_string());
            self.note(Level::Info, Message::OfAnother, name, pid);
        }
    }
}
