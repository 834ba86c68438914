//! Proxy pods: short-lived pods of ours, as the watch reports them.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Model;
use super::effect::Effect;
use super::fault::{Fault, What};
use super::log::{Grade, Happening};
use super::settings::PodSettings;
use super::target::Target;
use super::ttl::Ttl;
use super::workload::Where;

/// The most proxy pods that are kept of a cluster. A person has a few dozen; a server may send any number.
pub const MOST_PODS: usize = 5_000;

/// The label that marks our pods, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "brow-tui");

/// Names one pod among all clusters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    /// The kubeconfig context.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
}

/// One proxy pod.
#[derive(Debug, Clone, PartialEq)]
pub struct ProxyPod {
    /// Where it is and what it is called.
    pub key: PodKey,
    /// Its uid: a pod of the same name may follow it.
    pub uid: String,
    /// The value of its `brow/target` label, to match with the targets; for one of a renamed target, what the label
    /// would be now.
    pub target_label: String,
    /// The target's name as a person wrote it (annotation), else the label.
    pub target: String,
    /// Who made it, `user@host`, as it says itself.
    pub owner: String,
    /// The id of the installation that made it, as it says itself.
    pub installation: String,
    /// What its maker wrote down before asking for it, as it says itself.
    pub nonce: String,
    /// How far it has come, or how it ended.
    pub phase: Phase,
    /// Why it waits or how it failed, with the cluster's own words.
    pub fault: Option<Fault>,
    /// When the API server stored it.
    pub created: DateTime<Utc>,
    /// When the kubelet took it on: the moment from which `activeDeadlineSeconds` counts.
    pub started: Option<DateTime<Utc>>,
    /// Its `activeDeadlineSeconds`.
    pub ttl: Option<Ttl>,
    /// The port its relay listens on.
    pub port: u16,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its image.
    pub image: String,
    /// Its limit of CPU, if it has one.
    pub cpu_limit: Option<String>,
    /// Whether it was made on demand: whoever made it deletes it when they no longer use it.
    pub on_demand: bool,
}

/// How far a proxy pod has come. The order is the order of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Asked for; the server has not answered yet.
    Creating,
    /// Stored; no node yet.
    Pending,
    /// On a node; the image is being pulled and the sandbox made.
    Pulling,
    /// The container runs; not ready yet.
    Starting,
    /// Ready: forwards go through it.
    Ready,
    /// Being deleted.
    Terminating,
    /// Its deadline passed (`DeadlineExceeded`).
    Expired,
    /// It ended by itself with success.
    Succeeded,
    /// It failed.
    Failed,
}

/// What is to be created for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRequest {
    /// Names this request in the events that answer it.
    pub id: RequestId,
    /// The target's name.
    pub target: String,
    /// The kubeconfig context.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The value of its `brow/target` label, and the middle of its name.
    pub label: String,
    /// Where the target is: not for the pod, only to keep it out of what is written into it.
    pub address: Where,
    /// How long the pod may live.
    pub ttl: Ttl,
    /// How it is made, all levels merged.
    pub settings: PodSettings,
    /// Whether it is made on demand, to be deleted when we no longer use it.
    pub on_demand: bool,
    /// For how long it is asked for again while the server is busy.
    pub patience: Duration,
}

/// Where the pods of one target are found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodPlace {
    /// The kubeconfig context.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The value of their `brow/target` label.
    pub label: String,
}

impl PodRequest {
    /// Where the pod will be found.
    pub fn place(&self) -> PodPlace {
        PodPlace { cluster: self.cluster.clone(), namespace: self.namespace.clone(), label: self.label.clone() }
    }
}

/// Names one request to create a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl ProxyPod {
    /// Where it belongs.
    pub fn place(&self) -> PodPlace {
        let (cluster, namespace) = (self.key.cluster.clone(), self.key.namespace.clone());
        PodPlace { cluster, namespace, label: self.target_label.clone() }
    }

    /// When Kubernetes ends it, by the server's clock; `None` until a node has taken it on.
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        Some(self.started? + TimeDelta::seconds(self.ttl?.secs().into()))
    }

    /// What is left of its TTL at `now` (the server's clock), never below zero; the whole TTL before it started.
    pub fn left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        match self.deadline() {
            Some(deadline) => Some((deadline - now).max(TimeDelta::zero())),
            None => self.ttl.map(|ttl| TimeDelta::seconds(ttl.secs().into())),
        }
    }

    /// Whether it has come to its end, or past its deadline, at `now` (the server's clock).
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.phase.is_over() || self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

impl Phase {
    /// Whether the pod has ended.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Succeeded | Self::Failed)
    }

    /// Whether the pod is on its way to ready.
    pub fn is_coming(self) -> bool {
        self < Self::Ready
    }
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.namespace, self.name)
    }
}

/// Whose pods are cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Our own.
    Mine,
    /// Everybody's.
    All,
}

impl Model {
    /// Asks for a proxy pod for a target; `None` where that cannot even be asked, which is then told.
    pub(super) fn ask_pod(
        &mut self,
        target: &Target,
        ttl: Option<Ttl>,
        on_demand: bool,
        out: &mut Vec<Effect>,
    ) -> Option<RequestId> {
        if !self.need_for(target, out) {
            return None;
        }
        let ttl = ttl.or(target.ttl).unwrap_or(self.settings.ttl);
        if ttl > self.settings.max_ttl {
            let ceiling = self.settings.max_ttl.to_string();
            let fault = Fault::new(What::TtlTooLong, &target.name, ceiling);
            self.refused.insert(target.name.clone(), fault.clone());
            self.fail(fault);
            return None;
        }
        let request = PodRequest {
            id: RequestId(self.count()),
            target: target.name.clone(),
            cluster: target.cluster.clone(),
            namespace: self.namespace_of(target),
            label: target.label(&self.installation),
            address: target.address.clone(),
            ttl,
            settings: self.settings.pod_for(&target.cluster, &target.pod),
            on_demand,
            patience: self.keep(&target.name).create,
        };
        let place = format!("{}/{}", request.cluster, request.namespace);
        self.note(Grade::Info, Happening::PodAsked, &target.name, place);
        self.refused.remove(&target.name);
        let id = request.id;
        self.requests.insert(id, request.clone());
        out.push(Effect::CreatePod(request));
        Some(id)
    }

    /// The namespace a target's pods live in.
    pub fn namespace_of(&self, target: &Target) -> String {
        let own = || self.cluster(&target.cluster).map(|cluster| cluster.namespace.clone());
        target.namespace.clone().or_else(own).unwrap_or_else(|| "default".to_owned())
    }

    /// The pod of ours that Kubernetes ends first, and how long it has left.
    pub fn ends_first(&self) -> Option<(&ProxyPod, TimeDelta)> {
        let ours = self.pods.values().filter(|pod| self.is_ours(pod) && self.phase_of(pod) <= Phase::Ready);
        let left = |pod: &ProxyPod| pod.left(self.time_at(&pod.key.cluster)).filter(|left| *left > TimeDelta::zero());
        ours.filter_map(|pod| Some((pod, left(pod)?))).min_by_key(|(_, left)| *left)
    }

    /// The phase to show: what we ordered and what the clock says come before what the watch has told so far.
    pub fn phase_of(&self, pod: &ProxyPod) -> Phase {
        if pod.phase.is_over() {
            pod.phase
        } else if self.killing.contains_key(&pod.key) {
            Phase::Terminating
        } else if pod.is_over(self.time_at(&pod.key.cluster)) {
            Phase::Expired
        } else {
            pod.phase
        }
    }

    /// The best ready pod of ours at a place: the one with the most time left.
    pub(super) fn ready_pod<'a>(&'a self, at: &'a PodPlace) -> Option<&'a ProxyPod> {
        let now = self.time_at(&at.cluster);
        let ready = |pod: &&ProxyPod| pod.phase == Phase::Ready && !pod.is_over(now) && self.may_use(pod);
        self.pods_at(at).filter(ready).max_by_key(|pod| (pod.deadline(), pod.created))
    }

    /// Whether a pod of ours for a place is on its way.
    pub(super) fn pod_coming(&self, at: &PodPlace) -> bool {
        self.pods_at(at).any(|pod| pod.phase.is_coming() && self.may_use(pod))
            || self.requests.values().any(|asked| asked.place() == *at)
    }

    /// Whether a pod is not one that another run made on demand, and will delete under us.
    pub(super) fn may_use(&self, pod: &ProxyPod) -> bool {
        !pod.on_demand || self.created.contains_key(&pod.key)
    }

    /// Our own pods at a place.
    pub fn pods_at<'a>(&'a self, at: &'a PodPlace) -> impl Iterator<Item = &'a ProxyPod> {
        self.pods.values().filter(move |pod| self.is_at(pod, at))
    }

    /// Whether a pod is one of our own at a place.
    pub(super) fn is_at(&self, pod: &ProxyPod, at: &PodPlace) -> bool {
        pod.target_label == at.label
            && pod.key.cluster == at.cluster
            && pod.key.namespace == at.namespace
            && self.is_ours(pod)
    }

    /// Where a target's pods are found.
    pub fn place_of(&self, target: &Target) -> PodPlace {
        let label = target.label(&self.installation);
        PodPlace { cluster: target.cluster.clone(), namespace: self.namespace_of(target), label }
    }

    /// Whether a pod is one that another context of the same cluster shows already: the same uid, seen through the
    /// context of its target (else through the context that comes first).
    pub fn is_twin(&self, pod: &ProxyPod) -> bool {
        let mut same = self.clusters.iter().filter(|at| at.name != pod.key.cluster).filter_map(|at| {
            let key = PodKey { cluster: at.name.clone(), ..pod.key.clone() };
            self.pods.get(&key).filter(|other| other.uid == pod.uid)
        });
        let rank = |pod: &ProxyPod| {
            let place = self.clusters.iter().position(|at| at.name == pod.key.cluster);
            (self.target_of_pod(pod).is_none(), place)
        };
        same.any(|other| rank(other) < rank(pod))
    }

    /// Deletes a pod, which shows as terminating from now on.
    pub(super) fn kill(&mut self, key: &PodKey, out: &mut Vec<Effect>) -> bool {
        let Some(pod) = self.pods.get_mut(key).filter(|pod| pod.phase != Phase::Terminating) else {
            return false;
        };
        out.push(Effect::DeletePod { key: key.clone(), uid: pod.uid.clone() });
        self.killing.insert(key.clone(), pod.phase);
        pod.phase = Phase::Terminating;
        self.unarranged = true;
        self.leave_pod(key, None, out);
        true
    }

    /// Deletes finished and expired pods in all clusters; how many.
    pub(super) fn clean(&mut self, whose: Whose, out: &mut Vec<Effect>) -> usize {
        let clusters: Vec<String> = self.clusters.iter().map(|cluster| cluster.name.clone()).collect();
        clusters.iter().map(|cluster| self.clean_in(cluster, whose, out)).sum()
    }

    /// Deletes finished and expired pods in one cluster; how many.
    pub(super) fn clean_in(&mut self, cluster: &str, whose: Whose, out: &mut Vec<Effect>) -> usize {
        let over = self.over(cluster, whose);
        for key in &over {
            self.kill(key, out);
        }
        if !over.is_empty() {
            self.note(Grade::Info, Happening::PodsCleaned, over.len().to_string(), cluster);
        }
        over.len()
    }

    /// Finished and expired pods in one cluster that are not being deleted yet.
    pub fn over(&self, cluster: &str, whose: Whose) -> Vec<PodKey> {
        let now = self.time_at(cluster);
        self.pods
            .values()
            .filter(|pod| pod.key.cluster == cluster && pod.phase != Phase::Terminating && pod.is_over(now))
            .filter(|pod| whose == Whose::All || self.is_ours(pod))
            .filter(|pod| !self.is_twin(pod))
            .map(|pod| pod.key.clone())
            .collect()
    }
}
