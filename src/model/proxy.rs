//! Proxy pods: short-lived pods of ours, as the watch reports them.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::address::Address;
use super::fault::Fault;
use super::settings::PodSettings;
use super::ttl::Ttl;

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
    /// The value of its `brow/target` label, to match with [`Target`](super::target::Target)s.
    pub target_label: String,
    /// The target's name as a person wrote it (annotation), else the label.
    pub target: String,
    /// Who made it, `user@host`.
    pub owner: String,
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
    /// Where the target is: not for the pod, only to keep it out of the pod's name and labels.
    pub address: Address,
    /// How long the pod may live.
    pub ttl: Ttl,
    /// How it is made, all levels merged.
    pub settings: PodSettings,
}

/// Names one request to create a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl ProxyPod {
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
