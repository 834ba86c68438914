//! Proxy pods: short-lived pods of ours, as the watch reports them.

use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;
use std::time::Duration;

use crate::language::fault::Fault;
use crate::types::settings::PodSettings;
use crate::types::ttl::Ttl;
use crate::types::workload::Where;

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
