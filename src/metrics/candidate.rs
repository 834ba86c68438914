//! Services that look like a Prometheus, by label, name and port.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Service, ServicePort};
use k8s_openapi::api::networking::v1::{Ingress, IngressTLS};

use brow_model::metrics::{Endpoint, ServiceRef, Way};

/// The label selectors that find such services.
pub(super) const SELECTORS: [&str; 3] = [
    "operated-prometheus=true",
    "app.kubernetes.io/name in (prometheus,thanos,thanos-query,thanos-query-frontend,vmsingle,victoria-metrics-single,\
     vmselect,victoria-metrics-cluster,mimir)",
    "app in (prometheus,kube-prometheus-stack-prometheus,prometheus-operator-prometheus,vmsingle,vmselect)",
];

/// Their names, where they have no labels.
pub(super) const NAMES: [&str; 6] =
    ["prometheus-server", "prometheus-operated", "prometheus-k8s", "prometheus", "thanos-query", "thanos-querier"];

/// The namespaces in which they are, where not all may be looked into.
pub(super) const NAMESPACES: [&str; 4] = ["monitoring", "prometheus", "kube-system", "observability"];

/// Words in the names of services beside a Prometheus that are none.
const OTHERS: [&str; 9] = [
    "alertmanager",
    "node-exporter",
    "state-metrics",
    "pushgateway",
    "operator",
    "adapter",
    "blackbox",
    "grafana",
    "sidecar",
];

/// A service that looks like a Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub service: ServiceRef,
    /// The less, the more it looks like one.
    pub rank: usize,
    /// The path of its API.
    pub path: &'static str,
    /// True if its pods expect TLS.
    pub tls: bool,
}

/// A kind of server that has the API of a Prometheus: its ports, the best first, and the path of the API.
struct Product {
    ports: &'static [i32],
    path: &'static str,
    fits: fn(&Looks<'_>) -> bool,
}

/// The looks of a service.
struct Looks<'a> {
    name: &'a str,
    labels: &'a BTreeMap<String, String>,
}

impl Looks<'_> {
    fn has(&self, key: &str, values: &[&str]) -> bool {
        self.labels.get(key).is_some_and(|value| values.contains(&value.as_str()))
    }

    fn is(&self, names: &[&str]) -> bool {
        self.has("app.kubernetes.io/name", names) || self.has("app", names)
    }

    fn component(&self, components: &[&str]) -> bool {
        self.has("app.kubernetes.io/component", components) || self.has("component", components)
    }
}

/// The products, and with them the signs of one, the best first.
const PRODUCTS: [Product; 8] = [
    Product {
        ports: &[9090, 80],
        path: "",
        fits: |looks| looks.is(&["prometheus"]) && looks.component(&["server", "prometheus"]),
    },
    Product {
        ports: &[9090, 80],
        path: "",
        fits: |looks| looks.has("app", &["kube-prometheus-stack-prometheus", "prometheus-operator-prometheus"]),
    },
    Product { ports: &[9090], path: "", fits: |looks| looks.has("operated-prometheus", &["true"]) },
    Product { ports: &[9090, 80], path: "", fits: |looks| looks.is(&["prometheus"]) },
    Product {
        ports: &[9090, 80],
        path: "",
        fits: |looks| {
            let known = ["prometheus-server", "prometheus-operated", "prometheus-k8s", "prometheus"];
            known.contains(&looks.name) || looks.name.ends_with("-prometheus-server")
        },
    },
    Product {
        ports: &[9090, 10902, 80],
        path: "",
        fits: |looks| {
            let parts = ["query", "query-frontend", "query-layer"];
            let known = looks.is(&["thanos-query", "thanos-query-frontend"]);
            let named = ["thanos-query", "thanos-querier"].contains(&looks.name);
            known || named || (looks.is(&["thanos"]) && looks.component(&parts))
        },
    },
    Product { ports: &[8428], path: "", fits: |looks| looks.is(&["vmsingle", "victoria-metrics-single"]) },
    Product {
        ports: &[8481],
        path: "/select/0/prometheus",
        fits: |looks| {
            looks.is(&["vmselect"]) || (looks.is(&["victoria-metrics-cluster"]) && looks.name.contains("vmselect"))
        },
    },
];

/// Mimir, whose API is below a path.
const MIMIR: Product = Product {
    ports: &[8080, 80],
    path: "/prometheus",
    fits: |looks| looks.is(&["mimir"]) && looks.component(&["query-frontend", "gateway", "nginx"]),
};

/// Returns the candidate that a service is.
pub(super) fn candidate(service: &Service) -> Option<Candidate> {
    let none = BTreeMap::new();
    let (name, namespace) = (service.metadata.name.as_deref()?, service.metadata.namespace.as_deref()?);
    let looks = Looks { name, labels: service.metadata.labels.as_ref().unwrap_or(&none) };
    if OTHERS.iter().any(|other| name.contains(other)) {
        return None;
    }
    let mut products = PRODUCTS.iter().chain([&MIMIR]).enumerate();
    let (rank, product) = products.find(|(_, product)| (product.fits)(&looks))?;
    let (number, tls) = port(service, product.ports)?;
    // Its names become parts of paths and of what is shown.
    let service = ServiceRef::new(namespace, name, number)?;
    Some(Candidate { service, rank, path: product.path, tls })
}

/// Returns the port of a service that is most likely the API's, and whether it expects TLS.
fn port(service: &Service, wanted: &[i32]) -> Option<(u16, bool)> {
    let ports: Vec<&ServicePort> = service.spec.as_ref()?.ports.iter().flatten().filter(|port| is_tcp(port)).collect();
    let numbered = wanted.iter().find_map(|number| ports.iter().find(|port| port.port == *number));
    let named = || ports.iter().find(|port| matches!(port.name.as_deref(), Some("web" | "http-web" | "http")));
    let found = numbered.or_else(named).or_else(|| ports.first())?;
    Some((u16::try_from(found.port).ok().filter(|port| *port != 0)?, is_tls(found)))
}

fn is_tcp(port: &ServicePort) -> bool {
    port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP")
}

fn is_tls(port: &ServicePort) -> bool {
    port.port == 443 || port.port == 8443 || port.name.as_deref().is_some_and(|name| name.contains("https"))
}

/// The most addresses that are tried of one kind.
const MAX_ADDRESSES: usize = 2;

/// Returns the ways to a candidate that its service has by itself: load balancers, and its port on these nodes.
pub(super) fn ways(candidate: &Candidate, service: &Service, nodes: &[Node]) -> Vec<Way> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let port = spec.ports.iter().flatten().find(|port| port.port == i32::from(candidate.service.port));
    let balancers = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let hosts = balancers.into_iter().flatten().filter_map(|at| at.ip.clone().or_else(|| at.hostname.clone()));
    let endpoint = |host: String, port| Endpoint::new(candidate.tls, host, port, candidate.path);
    let direct = hosts.filter_map(|host| endpoint(host, candidate.service.port)).map(Way::LoadBalancer);
    let node_port = port.and_then(|port| u16::try_from(port.node_port?).ok());
    let on_nodes =
        node_port.into_iter().flat_map(|port| nodes.iter().filter_map(move |node| Some((address(node)?, port))));
    let on_nodes = on_nodes.filter_map(|(host, port)| endpoint(host, port)).map(Way::NodePort);
    let tunnel = (!candidate.tls).then(|| Way::Tunnel(candidate.path.to_owned()));
    direct.take(MAX_ADDRESSES).chain(on_nodes.take(MAX_ADDRESSES)).chain(tunnel).collect()
}

/// Returns the address of a node, an outer one before an inner one.
fn address(node: &Node) -> Option<String> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let of = |kind: &str| addresses.iter().find(|address| address.type_ == kind).map(|address| address.address.clone());
    of("ExternalIP").or_else(|| of("InternalIP"))
}

/// Returns the way to a candidate through an Ingress.
pub(super) fn through(candidate: &Candidate, ingress: &Ingress) -> Option<Way> {
    let spec =
        ingress.spec.as_ref().filter(|_| ingress.metadata.namespace == Some(candidate.service.namespace.clone()))?;
    let rules = spec.rules.iter().flatten();
    let (host, path) = rules.into_iter().find_map(|rule| {
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        let ours = |service: &str| service == candidate.service.name;
        let mut ours = paths.filter(|path| path.backend.service.as_ref().is_some_and(|service| ours(&service.name)));
        Some((rule.host.clone()?, ours.next()?.path.clone().unwrap_or_default()))
    })?;
    let tls = spec.tls.iter().flatten().any(|tls| covers(tls, &host));
    // A pattern is refused as no path.
    let path = format!("{}{}", path.trim_end_matches('/'), candidate.path);
    Endpoint::new(tls, host, if tls { 443 } else { 80 }, &path).map(Way::Ingress)
}

/// Returns true if a host's traffic is encrypted: without hosts, all of it is.
fn covers(tls: &IngressTLS, host: &str) -> bool {
    let mut hosts = tls.hosts.iter().flatten().peekable();
    let parent = || host.split_once('.').map(|(_, parent)| parent);
    hosts.peek().is_none()
        || hosts.any(|known| known == host || known.strip_prefix("*.").is_some_and(|known| parent() == Some(known)))
}

#[cfg(test)]
mod tests;
