//! Workloads: what stands for pods in a cluster, which are looked up there.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::near::edit_distance;
pub use crate::types::destination::{Destination, DestinationError};
use crate::types::ttl::Ttl;

/// Something in the cluster that stands for pods, and a port of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    pub kind: Kind,
    /// Its name; of [`Kind::Selector`] the selector.
    pub name: String,
    /// The port; of a forward's workload the only one.
    pub port: Port,
    /// Further ports, each forwarded as well.
    pub more: Vec<Port>,
    /// The longest wait for a running pod; `None`: [`Workload::WAIT`].
    pub wait: Option<Ttl>,
    /// True if a service is reached through a proxy pod and its cluster IP, which the cluster's network balances.
    pub proxy: bool,
    /// True if connections are spread over its ready pods, where they go straight to pods.
    pub spread: bool,
}

/// A kind of workload, by the name that `kubectl` has for it; in the order in which a person looks for what they want.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A service: its port is mapped to the target port.
    Service,
    Deployment,
    StatefulSet,
    DaemonSet,
    /// A kind that something else brings to the cluster: its resource, kind or short name, perhaps with its group
    /// (`cloneset.apps.kruise.io`).
    Custom(String),
    ReplicaSet,
    Job,
    Pod,
    /// All pods that a label selector finds.
    Selector,
}

/// A port by number or name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// A number, never 0.
    Number(u16),
    /// A name: a service's port's, else a container's port's.
    Name(String),
}

/// The error of a text that is no workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// Not of the form `kind/name:port`.
    #[error("write kind/name:port, for example service/web:http")]
    Form,
    /// No port, or none that Kubernetes could know.
    #[error("end it with a port's number or name, such as :8080 or :http")]
    Port,
    /// Nothing that can be a kind, or one that is misspelled.
    #[error(
        "a kind is pod, service, deployment, statefulset, daemonset, replicaset, job, selector, or one that the cluster \
         has besides"
    )]
    Kind,
    /// No name that Kubernetes would take.
    #[error("a name has lower-case letters, digits, '-' and '.' only")]
    Name,
    /// No label selector.
    #[error("a selector is written selector/app=web,tier!=db:8080")]
    Selector,
}

/// The operator that brings a custom kind to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installer {
    /// The kind, in lower case.
    pub kind: &'static str,
    /// Its custom resource definition.
    pub crd: &'static str,
    pub product: &'static str,
    /// The command that installs it.
    pub how: &'static str,
}

/// The command that installs `OpenKruise`, by its chart.
const KRUISE: &str =
    "helm repo add openkruise https://openkruise.github.io/charts/ && helm install kruise openkruise/kruise";

/// The custom kinds of workloads that are met most.
pub const INSTALLERS: [Installer; 7] = [
    Installer { kind: "cloneset", crd: "clonesets.apps.kruise.io", product: "OpenKruise", how: KRUISE },
    Installer { kind: "statefulset", crd: "statefulsets.apps.kruise.io", product: "OpenKruise", how: KRUISE },
    Installer { kind: "daemonset", crd: "daemonsets.apps.kruise.io", product: "OpenKruise", how: KRUISE },
    Installer { kind: "broadcastjob", crd: "broadcastjobs.apps.kruise.io", product: "OpenKruise", how: KRUISE },
    Installer {
        kind: "rollout",
        crd: "rollouts.argoproj.io",
        product: "Argo Rollouts",
        how: "kubectl apply -n argo-rollouts -f \
              https://github.com/argoproj/argo-rollouts/releases/latest/download/install.yaml",
    },
    Installer {
        kind: "leaderworkerset",
        crd: "leaderworkersets.leaderworkerset.x-k8s.io",
        product: "LeaderWorkerSet",
        how: "https://lws.sigs.k8s.io/docs/installation",
    },
    Installer {
        kind: "deploymentconfig",
        crd: "deploymentconfigs.apps.openshift.io",
        product: "OpenShift",
        how: "https://docs.openshift.com",
    },
];

impl Installer {
    /// Returns the operator of a kind, which may be named with or without its group, in the singular or plural.
    pub fn of(name: &str) -> Option<&'static Self> {
        let (kind, group) = name.split_once('.').unwrap_or((name, ""));
        INSTALLERS.iter().find(|known| {
            let (plural, of) = known.crd.split_once('.').unwrap_or_default();
            (kind == known.kind || kind == plural) && (group.is_empty() || group == of)
        })
    }
}

/// Every kind with the names that kubectl takes for it, the one that is shown first.
const KINDS: [(Kind, &[&str]); 8] = [
    (Kind::Pod, &["pod", "pods", "po"]),
    (Kind::Service, &["service", "services", "svc"]),
    (Kind::Deployment, &["deployment", "deployments", "deploy", "deployment.apps", "deployments.apps"]),
    (Kind::StatefulSet, &["statefulset", "statefulsets", "sts", "statefulset.apps", "statefulsets.apps"]),
    (Kind::DaemonSet, &["daemonset", "daemonsets", "ds", "daemonset.apps", "daemonsets.apps"]),
    (Kind::ReplicaSet, &["replicaset", "replicasets", "rs", "replicaset.apps", "replicasets.apps"]),
    (Kind::Job, &["job", "jobs", "job.batch", "jobs.batch"]),
    (Kind::Selector, &["selector"]),
];

impl Kind {
    /// Returns true if two names mean the same kind, as far as can be told without asking: a custom one may go without
    /// its group.
    pub fn is_same(&self, other: &Self) -> bool {
        let (Self::Custom(one), Self::Custom(other)) = (self, other) else { return self == other };
        let bare = |name: &str, whole: &str| whole.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        one == other || bare(one, other) || bare(other, one)
    }
}

impl Workload {
    /// The longest wait for a first running pod, unless the target sets another.
    pub const WAIT: Duration = Duration::from_mins(1);

    /// Returns the longest wait for a running pod.
    pub fn patience(&self) -> Duration {
        self.wait.map_or(Self::WAIT, Ttl::duration)
    }
}

impl FromStr for Workload {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        let (kind, rest) = text.trim().split_once('/').ok_or(WorkloadError::Form)?;
        let kind: Kind = kind.parse()?;
        let (name, port) = rest.rsplit_once(':').ok_or(WorkloadError::Port)?;
        let mut ports = Vec::new();
        for port in port.split(',') {
            let port: Port = port.parse()?;
            if ports.contains(&port) {
                return Err(WorkloadError::Port);
            }
            ports.push(port);
        }
        let port = ports.remove(0);
        if name.is_empty() {
            return Err(WorkloadError::Form);
        }
        if kind == Kind::Selector {
            if !is_selector(name) {
                return Err(WorkloadError::Selector);
            }
        } else if !is_dns_name(name) {
            return Err(WorkloadError::Name);
        }
        Ok(Self { kind, name: name.to_owned(), port, more: ports, wait: None, proxy: false, spread: false })
    }
}

impl FromStr for Kind {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        let text = text.to_ascii_lowercase();
        let known = KINDS.iter().find(|(_, names)| names.contains(&text.as_str()));
        if let Some((kind, _)) = known {
            return Ok(kind.clone());
        }
        // A slip in a name that everybody knows is more likely than a kind that looks like it.
        let mut names = KINDS.iter().flat_map(|(_, names)| *names).filter(|name| name.len() > 3);
        let slip = names.any(|name| edit_distance(name, &text) == 1);
        if slip || !is_dns_name(&text) { Err(WorkloadError::Kind) } else { Ok(Self::Custom(text)) }
    }
}

impl FromStr for Port {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| *number != 0);
            return number.map(Self::Number).ok_or(WorkloadError::Port);
        }
        // A container's port: an IANA service name of 15 characters; a service's: a DNS label
        // (`k8s.io/apimachinery/pkg/util/validation`).
        let fits = text.len() <= 63
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.bytes().any(|b| b.is_ascii_lowercase())
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits { Ok(Self::Name(text.to_owned())) } else { Err(WorkloadError::Port) }
    }
}

/// Returns true if a text is a DNS label (RFC 1123), as a namespace must be.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Returns true if a text is a DNS subdomain (RFC 1123), as names of objects are.
///
/// Whatever becomes a part of the API's paths is asked this first: the API server takes `%2F` for a slash, so that
/// quoting does not help.
pub fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Returns true if a text may be a label selector, in kubectl's syntax: `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`,
/// `a notin (b)`. The server has the last word.
fn is_selector(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./=!,() ".contains(c);
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if !(0..=1).contains(&depth) || !fits(c) {
            return false;
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    depth == 0 && parts.iter().all(|part| part.chars().any(|c| c.is_ascii_alphanumeric()))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Custom(name) = self {
            return f.write_str(name);
        }
        let names = KINDS.iter().find(|(kind, _)| kind == self).map(|(_, names)| *names);
        f.write_str(names.and_then(|names| names.first().copied()).unwrap_or_default())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.kind, self.name, self.port)?;
        self.more.iter().try_for_each(|port| write!(f, ",{port}"))
    }
}

#[cfg(test)]
mod tests;
