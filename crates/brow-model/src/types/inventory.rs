//! The inventory of clusters: services and workloads with their ports. Each port can become a target.

use std::collections::{BTreeMap, BTreeSet};

use crate::language::fault::Fault;
use crate::types::forward_settings::ForwardSettings;
use crate::types::offer::Offer;
use crate::types::service::{Service, is_aside};
use crate::types::settings::PodSettings;
use crate::types::target::Target;
use crate::types::workload::{Destination, Kind, Port, Workload};

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The context.
    pub cluster: String,
    pub namespace: String,
    pub kind: Kind,
    pub name: String,
}

/// An object that has ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub key: ObjectKey,
    /// Its TCP ports, in its own order.
    pub ports: Vec<ObjectPort>,
    /// Of a service the labels that it selects pods by; of a workload those of its pods.
    pub labels: BTreeMap<String, String>,
    /// The kind of what controls it, where something does.
    pub owner: Option<Kind>,
}

/// A TCP port of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPort {
    pub number: u16,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// The service behind the port, if it is recognised.
    pub service: Option<Service>,
}

/// A port of an object: a row of the browser.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    pub key: ObjectKey,
    /// The port's number.
    pub port: u16,
}

/// The scope of a search: one kind of object, in one namespace or (`None`) in all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchScope {
    pub kind: Kind,
    pub namespace: Option<String>,
}

impl ObjectKey {
    /// Returns true if the object is within a scope.
    pub(crate) fn is_in(&self, cluster: &str, scope: &SearchScope) -> bool {
        self.cluster == cluster
            && self.kind == scope.kind
            && scope.namespace.as_ref().is_none_or(|namespace| *namespace == self.namespace)
    }
}

impl Object {
    pub fn port(&self, number: u16) -> Option<&ObjectPort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// Returns true if its labels are among those of another, so that it selects the same pods.
    fn has_pod(&self, other: &Self) -> bool {
        let has = |(key, value): (&String, &String)| other.labels.get(key) == Some(value);
        !self.labels.is_empty() && self.labels.iter().all(has)
    }

    /// The target that a port of it becomes.
    fn offer(&self, port: &ObjectPort) -> Offer {
        let ObjectKey { cluster, namespace, kind, name } = &self.key;
        let workload = Workload {
            kind: kind.clone(),
            name: name.clone(),
            port: Port::Number(port.number),
            more: Vec::new(),
            wait: None,
            proxy: false,
            spread: false,
        };
        let which = port.name.clone().unwrap_or_else(|| port.number.to_string());
        let plain = format!("{name}.{namespace}");
        // The first port has the plain name; what else the object has says which one it is.
        let first = self.ports.first().is_none_or(|first| first.number == port.number);
        let with_port = format!("{name}-{which}.{namespace}");
        let mut names = if first { vec![plain, with_port] } else { vec![with_port] };
        names.push(format!("{name}-{which}.{namespace}@{cluster}"));
        Offer {
            target: Target {
                name: names[0].clone(),
                cluster: cluster.clone(),
                namespace: Some(namespace.clone()),
                address: Destination::Workload(workload),
                local_port: 0,
                ttl: None,
                tags: port.service.map(|service| service.name().to_owned()).into_iter().collect(),
                pod: PodSettings::default(),
                forward: ForwardSettings::default(),
            },
            names,
            also: port.name.clone().map(Port::Name),
            group: port.service.map(Service::group),
        }
    }
}

/// The most that is kept of what was found in all clusters.
pub const MAX_OBJECTS: usize = 50_000;

/// The objects that were found; the browser's rows are made of them.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The kinds that are looked for, by context, once that is known.
    pub kinds: BTreeMap<String, BTreeSet<Kind>>,
    /// Everything that was found.
    pub all: BTreeMap<ObjectKey, Object>,
    /// Places that were listed, by context.
    pub listed: BTreeSet<(String, SearchScope)>,
    /// Places that cannot be looked into, by context, each with the reason.
    pub missing: BTreeMap<(String, SearchScope), Fault>,
}

impl Inventory {
    /// The objects that are shown: those without a controller that was searched for. The pods of a deployment would be
    /// noise beside it, but are shown if deployments may not be listed.
    pub fn shown(&self) -> impl Iterator<Item = &Object> {
        self.all.values().filter(|found| self.is_shown(found))
    }

    fn is_shown(&self, found: &Object) -> bool {
        let (Some(owner), ObjectKey { cluster, namespace, .. }) = (&found.owner, &found.key) else { return true };
        // There may be ten thousand pods: where all may be seen, as mostly, each costs a look.
        let unknown = self.kinds.get(cluster).is_some_and(|kinds| !kinds.contains(owner));
        if unknown || self.missing.is_empty() {
            return unknown;
        }
        let scope = |kind: &Kind, namespace: Option<&String>| {
            (cluster.clone(), SearchScope { kind: kind.clone(), namespace: namespace.cloned() })
        };
        let here = scope(owner, Some(namespace));
        // Who is seen everywhere may have an owner where nobody looks for it.
        let wide =
            self.listed.contains(&scope(&found.key.kind, None)) && self.missing.contains_key(&scope(owner, None));
        let unseen = self.missing.contains_key(&here) || wide && !self.listed.contains(&here);
        // A deployment is seen also where the replica sets between it and its pods are not.
        unseen && !(*owner == Kind::ReplicaSet && self.beside(found, Kind::Deployment).any(|of| of.has_pod(found)))
    }

    /// Everything of a kind in the namespace of an object.
    fn beside<'a>(&'a self, found: &'a Object, kind: Kind) -> impl Iterator<Item = &'a Object> {
        let first = ObjectKey { kind, name: String::new(), ..found.key.clone() };
        let near = self.all.range(first.clone()..).map(|(_, found)| found);
        near.take_while(move |found| {
            let ObjectKey { cluster, namespace, kind, name: _ } = &found.key;
            (cluster, namespace, kind) == (&first.cluster, &first.namespace, &first.kind)
        })
    }

    /// Returns true if every kind of a cluster was listed or refused.
    pub(crate) fn is_done(&self, cluster: &str) -> bool {
        let scopes = || self.listed.iter().chain(self.missing.keys()).filter(|(of, _)| of == cluster);
        let heard = |kind: &Kind| scopes().any(|(_, scope)| scope.kind == *kind);
        self.kinds.get(cluster).is_some_and(|kinds| kinds.iter().all(heard))
    }

    /// The object and the port of a row.
    pub fn at(&self, spot: &PortKey) -> Option<(&Object, &ObjectPort)> {
        let found = self.all.get(&spot.key).filter(|found| self.is_shown(found))?;
        Some((found, found.port(spot.port)?))
    }

    /// The targets that rows become.
    pub(crate) fn offers(&self, spots: &[PortKey]) -> Vec<Offer> {
        spots.iter().filter_map(|spot| self.at(spot)).map(|(found, port)| found.offer(port)).collect()
    }

    /// Every port that is recognised and not only there for measurements; of a workload only where no service leads to
    /// the same.
    pub(crate) fn recognised(&self) -> Vec<PortKey> {
        let mut spots = Vec::new();
        for found in self.shown() {
            let useful = |port: &&ObjectPort| port.service.is_some() && !port.name.as_deref().is_some_and(is_aside);
            for port in found.ports.iter().filter(useful) {
                if found.key.kind == Kind::Service || !self.is_served(found, port) {
                    spots.push(PortKey { key: found.key.clone(), port: port.number });
                }
            }
        }
        spots
    }

    /// Returns true if a service selects a workload's pods and has a port of the same kind.
    fn is_served(&self, workload: &Object, port: &ObjectPort) -> bool {
        let same = |other: &ObjectPort| other.service == port.service;
        self.beside(workload, Kind::Service).any(|service| service.has_pod(workload) && service.ports.iter().any(same))
    }

    /// The most telling reason why not all is seen, and how many places it leaves out: a namespace that stays dark
    /// before a view that is narrow. All that is missing there is one right, by the names of its kinds.
    pub fn reason(&self) -> Option<(Fault, usize)> {
        let is_dark = |scope: &SearchScope| scope.namespace.is_some();
        let any_dark = self.missing.keys().any(|(_, scope)| is_dark(scope));
        let mut missing = self.missing.iter().filter(|((_, scope), _)| is_dark(scope) == any_dark).peekable();
        let ((of, first), _) = missing.peek()?;
        let (same, others): (Vec<_>, Vec<_>) =
            missing.partition(|((cluster, scope), _)| cluster == of && scope.namespace == first.namespace);
        Some((Fault::merged(same.into_iter().map(|(_, fault)| fault))?, others.len()))
    }
}
