//! The reasons why something in a cluster cannot be reached, found step by step.

use std::time::Duration;

use crate::language::fault::Fault;
use crate::types::address::{Address, Host, Transport};
use crate::types::node::NodePort;
use crate::types::settings::PodSettings;
use crate::types::ttl::Ttl;
use crate::types::workload::{Destination, Kind, Port};

/// The destination whose reachability is in question.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The context.
    pub cluster: String,
    pub namespace: String,
    pub destination: CheckedDestination,
    /// The proxy pod from which it is reached.
    pub pod: Prober,
}

/// The proxy pod from which a destination is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Prober {
    pub namespace: String,
    pub settings: Box<PodSettings>,
    /// The longest TTL that the config allows.
    pub max_ttl: Ttl,
    /// True if it may be created.
    pub creates: bool,
}

/// A destination in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckedDestination {
    /// Something that stands for pods. Without a port its first one is meant.
    Workload { kind: Kind, name: String, port: Option<Port>, transport: Transport },
    /// An address that is reached from a proxy pod.
    Address(Address),
    /// A port of all nodes, which a service has.
    Node(NodePort),
}

/// A step on the way to a destination, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The object exists.
    Exists,
    /// Its name resolves in the cluster.
    Name,
    Port,
    /// Pods behind it are ready.
    Endpoints,
    /// A container listens on the port.
    Listens,
    /// Network policies let a proxy pod in.
    Policies,
    /// A proxy pod connects to it.
    Connection,
}

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed(Fault),
    /// It cannot be judged.
    Unknown(Fault),
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub step: Step,
    pub verdict: Verdict,
    /// The names, numbers and addresses that were found, in any language.
    pub found: String,
    /// The time that a connection took.
    pub took: Option<Duration>,
}

impl Step {
    /// Returns the name in JSON and in the text tables (`why.<name>`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Name => "name",
            Self::Port => "port",
            Self::Endpoints => "endpoints",
            Self::Listens => "listens",
            Self::Policies => "policies",
            Self::Connection => "connection",
        }
    }
}

impl Check {
    /// Returns the fault of a step that failed or cannot be judged.
    pub fn fault(&self) -> Option<&Fault> {
        match &self.verdict {
            Verdict::Passed => None,
            Verdict::Failed(fault) | Verdict::Unknown(fault) => Some(fault),
        }
    }

    /// Returns true if the step failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }
}

/// Returns the fault that is worth most: that of the first step that failed, else of the first that is unknown.
pub fn first_fault(checks: &[Check]) -> Option<&Fault> {
    let failed = checks.iter().find(|check| check.has_failed());
    failed.and_then(Check::fault).or_else(|| checks.iter().find_map(Check::fault))
}

impl CheckedDestination {
    /// Returns a target's destination as one that can be checked, and its namespace if its name says it. The name of a
    /// service in the cluster's DNS means the service. Of several ports the first is meant. `None` for a proxy target.
    pub fn of(destination: &Destination) -> Option<(Self, Option<String>)> {
        match destination {
            Destination::Proxy => None,
            Destination::Node(ports) => Some((Self::Node(ports.port), None)),
            Destination::Workload(workload) => {
                let (kind, name) = (workload.kind.clone(), workload.name.clone());
                let port = Some(workload.port.clone());
                Some((Self::Workload { kind, name, port, transport: Transport::Tcp }, None))
            }
            Destination::Address(address) => Some(match service_of(address) {
                Some((name, namespace)) => {
                    let port = Some(Port::Number(address.port));
                    let transport = address.transport;
                    (Self::Workload { kind: Kind::Service, name, port, transport }, Some(namespace))
                }
                None => (Self::Address(address.clone()), None),
            }),
        }
    }
}

/// Reads `web.shop.svc` and `web.shop.svc.cluster.local` as a service and its namespace.
fn service_of(address: &Address) -> Option<(String, String)> {
    let Host::Name(name) = &address.host else { return None };
    let mut parts = name.trim_end_matches('.').split('.');
    let (service, namespace, svc) = (parts.next()?, parts.next()?, parts.next()?);
    (svc == "svc").then(|| (service.to_owned(), namespace.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::fault::What;

    #[test]
    fn names_of_services_mean_the_services() {
        let service = |name: &str, namespace: &str| {
            let (port, transport) = (Some(Port::Number(80)), Transport::Tcp);
            let place = CheckedDestination::Workload { kind: Kind::Service, name: name.to_owned(), port, transport };
            Some((place, Some(namespace.to_owned())))
        };
        let of = |text: &str| CheckedDestination::of(&text.parse().unwrap());
        assert_eq!(of("web.shop.svc:80"), service("web", "shop"));
        assert_eq!(of("web.shop.svc.cluster.local:80"), service("web", "shop"));
        let by_udp = of("dns.kube-system.svc:53/udp");
        assert!(
            matches!(by_udp, Some((CheckedDestination::Workload { transport: Transport::Udp, .. }, Some(_)))),
            "{by_udp:?}"
        );
        for address in ["web.shop:80", "10.0.0.1:80", "db.example.com:80", "10.0.0.1:53/udp"] {
            assert!(matches!(of(address), Some((CheckedDestination::Address(_), None))), "{address}");
        }
        assert!(matches!(
            of("deploy/web:http"),
            Some((CheckedDestination::Workload { kind: Kind::Deployment, .. }, None))
        ));
        let port = NodePort { number: 30_999, transport: Transport::Udp };
        assert_eq!(of("node/30999/udp,30998"), Some((CheckedDestination::Node(port), None)));
        assert_eq!(of("proxy"), None);
    }

    #[test]
    fn a_failure_is_worth_more_than_what_is_unknown() {
        let fault = |what| Fault::new(what, "web", "");
        let check = |verdict| Check { step: Step::Port, verdict, found: String::new(), took: None };
        let unknown = check(Verdict::Unknown(fault(What::Forbidden)));
        let failed = check(Verdict::Failed(fault(What::PortMissing)));
        let all = [check(Verdict::Passed), unknown.clone(), failed];
        assert_eq!(first_fault(&all).map(|fault| fault.what), Some(What::PortMissing));
        assert_eq!(first_fault(&[unknown]).map(|fault| fault.what), Some(What::Forbidden));
        assert_eq!(first_fault(&all[..1]), None);
    }
}
