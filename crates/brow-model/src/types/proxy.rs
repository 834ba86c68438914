//! Proxy pods: short-lived pods of ours, as the watch reports them.

use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;
use std::time::Duration;

use crate::language::fault::Fault;
use crate::types::settings::PodSettings;
use crate::types::ttl::Ttl;
use crate::types::workload::Destination;

/// The most proxy pods that are kept of a cluster. A person has a few dozen; a server may send any number.
pub const MAX_PODS: usize = 5_000;

/// The label that marks our pods, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "brow-tui");

/// A line of a pod's description, before its label is worded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DescriptionLine {
    /// A label of [`DESCRIPTION_LABELS`], and its value.
    Row(&'static str, String),
    /// Another value of the row above.
    More(String),
    /// A text across both columns.
    Text(String),
}

/// The labels of all rows of descriptions, for the test that each has its words.
pub const DESCRIPTION_LABELS: [&str; 20] = [
    "annotations",
    "cluster",
    "conditions",
    "created",
    "deadline",
    "events",
    "image",
    "ip",
    "labels",
    "limits",
    "message",
    "name",
    "namespace",
    "no-events",
    "node",
    "phase",
    "reason",
    "requests",
    "restarts",
    "waiting",
];

/// Names one pod among all clusters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ProxyPod {
    /// Its cluster, namespace and name.
    pub key: PodKey,
    /// Its uid: a pod of the same name may follow it.
    pub uid: String,
    /// The value of its `brow/target` label, to match with the targets; for one of a renamed target, what the label
    /// would be now.
    pub target_label: String,
    /// The target's name as a person wrote it (annotation), else the label.
    pub target: String,
    /// Its owner, `user@host`, by its own annotation.
    pub owner: String,
    /// The id of the installation that made it, as it says itself.
    pub installation: String,
    /// The nonce that its creator recorded before the request, by its own annotation.
    pub nonce: String,
    pub phase: Phase,
    /// The fault because of which it waits or failed, with the cluster's own message.
    pub fault: Option<Fault>,
    /// The time at which the API server stored it.
    pub created: DateTime<Utc>,
    /// The time at which the kubelet accepted it, from which `activeDeadlineSeconds` counts.
    pub started: Option<DateTime<Utc>>,
    /// Its `activeDeadlineSeconds`.
    pub ttl: Option<Ttl>,
    /// The port its relay listens on.
    pub port: u16,
    /// The node it runs on.
    pub node: Option<String>,
    pub image: String,
    /// Its limit of CPU, if it has one.
    pub cpu_limit: Option<String>,
    /// True if it was created on demand: its creator deletes it once it is unused.
    pub on_demand: bool,
}

/// The phase of a proxy pod, in the order of its life.
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
    Failed,
}

/// The request for a target's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRequest {
    /// Names this request in the events that answer it.
    pub id: PodRequestId,
    /// The target's name.
    pub target: String,
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    /// The value of its `brow/target` label, and the middle of its name.
    pub label: String,
    /// The target's address: not for the pod, only to keep it out of the pod's metadata.
    pub address: Destination,
    pub ttl: Ttl,
    /// Its settings, all levels merged.
    pub settings: PodSettings,
    /// True if it is created on demand, and deleted once it is unused.
    pub on_demand: bool,
    /// The name of the agent's program that it is for, which is not for the pod either.
    pub agent: Option<String>,
    /// For how long it is asked for again while the server is busy.
    pub patience: Duration,
}

/// The cluster, namespace and label of a target's pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodSelector {
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    /// The value of their `brow/target` label.
    pub label: String,
}

impl PodRequest {
    /// The cluster, namespace and label of the pod.
    pub fn selector(&self) -> PodSelector {
        PodSelector { cluster: self.cluster.clone(), namespace: self.namespace.clone(), label: self.label.clone() }
    }
}

/// Names one request to create a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodRequestId(pub u64);

impl ProxyPod {
    /// The cluster, namespace and label of the pod.
    pub fn selector(&self) -> PodSelector {
        let (cluster, namespace) = (self.key.cluster.clone(), self.key.namespace.clone());
        PodSelector { cluster, namespace, label: self.target_label.clone() }
    }

    /// The time at which Kubernetes ends it, by the server's clock; `None` until a node has accepted it.
    pub fn deadline(&self) -> Option<DateTime<Utc>> {
        Some(self.started? + TimeDelta::seconds(self.ttl?.secs().into()))
    }

    /// The remaining TTL at `now` (the server's clock), never below zero; the whole TTL before it started.
    pub fn left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        match self.deadline() {
            Some(deadline) => Some((deadline - now).max(TimeDelta::zero())),
            None => self.ttl.map(|ttl| TimeDelta::seconds(ttl.secs().into())),
        }
    }

    /// Returns true if it has ended, or is past its deadline at `now` (the server's clock).
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.phase.is_over() || self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

impl Phase {
    /// Returns its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Pending => "pending",
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Terminating => "terminating",
            Self::Expired => "expired",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// Returns true if the pod has ended.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Succeeded | Self::Failed)
    }

    /// Returns true if the pod is starting.
    pub fn is_coming(self) -> bool {
        self < Self::Ready
    }
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.namespace, self.name)
    }
}

/// The owners whose pods are cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanupScope {
    Own,
    /// Everybody's.
    All,
}

/// A pod that was to be deleted at exit, and may still exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainingPod {
    /// The pod, `cluster/namespace/name`; of one that may still come into being `cluster/namespace/target`.
    pub thing: String,
    /// True if it is known to have been created.
    pub is_made: bool,
    /// The time at which Kubernetes ends it, by our clock; `None`: a TTL after it starts.
    pub until: Option<DateTime<Utc>>,
    pub ttl: Ttl,
}

impl RemainingPod {
    pub(crate) fn of(request: &PodRequest) -> Self {
        let thing = format!("{}/{}/{}", request.cluster, request.namespace, request.target);
        Self { thing, is_made: false, until: None, ttl: request.ttl }
    }
}
