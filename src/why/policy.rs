//! Network policies: which select a pod, and whether they let another pod in.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::network::{self, Network};
use brow_model::address::Transport;

/// Labels, by their keys.
pub(super) type Labels = BTreeMap<String, String>;

/// A pod that connects to another one.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub labels: &'a Labels,
    /// The labels of its namespace; `None` if they may not be read.
    pub namespace: Option<&'a Labels>,
    /// True if that is the namespace of the policies.
    pub is_near: bool,
    /// The networks of which one has its address.
    pub networks: &'a [Network],
    /// True if it comes by a port of a node, and with the address of that node.
    pub by_node: bool,
}

/// The pod and port that are connected to.
pub(super) struct Server<'a> {
    pub labels: &'a Labels,
    pub port: u16,
    pub transport: Transport,
    /// The name of the port, if the pod declares one.
    pub port_name: Option<&'a str>,
}

/// The decision of policies together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// None selects the pod.
    Open,
    /// These select it, and the first lets the client in.
    Allowed(Vec<String>),
    /// These select it, and none lets the client in.
    Denied(Vec<String>),
    /// These select it, and it takes more than can be read to tell: the client's address, or a namespace's labels.
    Unknown(Vec<String>),
}

/// The outcome of a match; `None` if it cannot be told.
pub(super) type Match = Option<bool>;

/// Decides as the cluster's network does: a pod that no policy selects is open; else one rule of one has to fit.
pub(super) fn decide(policies: &[NetworkPolicy], client: &Client<'_>, server: &Server<'_>) -> Decision {
    let selecting = policies.iter().filter(|policy| selects_ingress(policy, server.labels));
    let mut names = Vec::new();
    let mut unsure = false;
    let mut allowed = None;
    for policy in selecting {
        let name = policy.metadata.name.clone().unwrap_or_default();
        let rules = policy.spec.iter().flat_map(|spec| spec.ingress.iter().flatten());
        match any(rules.map(|rule| fits(rule, client, server))) {
            Some(true) => allowed = allowed.or(Some(name.clone())),
            Some(false) => {}
            None => unsure = true,
        }
        names.push(name);
    }
    match allowed {
        Some(name) => {
            names.sort_by_key(|other| *other != name);
            Decision::Allowed(names)
        }
        None if names.is_empty() => Decision::Open,
        // A node always reaches the pods that it runs.
        None if unsure || client.by_node => Decision::Unknown(names),
        None => Decision::Denied(names),
    }
}

/// Returns true if a rule of some policy names addresses.
pub(super) fn names_addresses(policies: &[NetworkPolicy]) -> bool {
    let specs = policies.iter().filter_map(|policy| policy.spec.as_ref());
    let peers = specs.flat_map(|spec| spec.ingress.iter().flatten()).flat_map(|rule| rule.from.iter().flatten());
    peers.into_iter().any(|peer| peer.ip_block.is_some())
}

fn selects_ingress(policy: &NetworkPolicy, labels: &Labels) -> bool {
    let Some(spec) = &policy.spec else { return false };
    // Absent, it is Ingress, and Egress where there are such rules (`NetworkPolicySpec` in `networking/v1`).
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let is_ingress = types.is_empty() || types.iter().any(|name| name == "Ingress");
    is_ingress && spec.pod_selector.as_ref().is_none_or(|selector| matches(selector, labels))
}

fn fits(rule: &NetworkPolicyIngressRule, client: &Client<'_>, server: &Server<'_>) -> Match {
    let ports = rule.ports.as_deref().unwrap_or_default();
    let is_port = ports.is_empty()
        || ports.iter().any(|known| {
            let protocol = known.protocol.as_deref().unwrap_or("TCP");
            let is_meant = match server.transport {
                Transport::Tcp => protocol == "TCP",
                Transport::Udp => protocol == "UDP",
            };
            let port = i32::from(server.port);
            is_meant
                && match (&known.port, known.end_port) {
                    (None, _) => true,
                    (Some(IntOrString::Int(first)), Some(last)) => (*first..=last).contains(&port),
                    (Some(IntOrString::Int(number)), None) => *number == port,
                    (Some(IntOrString::String(name)), _) => server.port_name == Some(name),
                }
        });
    if !is_port {
        return Some(false);
    }
    let peers = rule.from.as_deref().unwrap_or_default();
    if peers.is_empty() { Some(true) } else { any(peers.iter().map(|peer| is_peer(peer, client))) }
}

fn is_peer(peer: &NetworkPolicyPeer, client: &Client<'_>) -> Match {
    if let Some(block) = &peer.ip_block {
        return network::is_in(block, client.networks);
    }
    if client.by_node {
        return Some(false);
    }
    if !peer.pod_selector.as_ref().is_none_or(|selector| matches(selector, client.labels)) {
        return Some(false);
    }
    match (&peer.namespace_selector, client.namespace) {
        (None, _) => Some(client.is_near),
        (Some(selector), _) if is_empty(selector) => Some(true),
        (Some(selector), Some(labels)) => Some(matches(selector, labels)),
        (Some(_), None) => None,
    }
}

/// Joins several outcomes: one that holds is enough.
fn any(all: impl Iterator<Item = Match>) -> Match {
    let mut unsure = false;
    for one in all {
        match one {
            Some(true) => return Some(true),
            Some(false) => {}
            None => unsure = true,
        }
    }
    (!unsure).then_some(false)
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

/// Returns true if a selector matches labels (`k8s.io/apimachinery/pkg/labels/selector.go`).
fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().flatten().all(|wanted| {
            let value = labels.get(&wanted.key);
            let among = value.is_some_and(|value| wanted.values.iter().flatten().any(|one| one == value));
            match wanted.operator.as_str() {
                "In" => among,
                "NotIn" => !among,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde_json::{Value, json};

    use super::*;

    const POD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 244, 0, 9));

    fn labels(all: &[(&str, &str)]) -> Labels {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn policy(name: &str, spec: &Value) -> NetworkPolicy {
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
    }

    fn decided(specs: &[Value]) -> Decided {
        let names = ["one", "two", "three"];
        let policies: Vec<NetworkPolicy> = names.iter().zip(specs).map(|(name, spec)| policy(name, spec)).collect();
        let (ours, theirs) = (labels(&[("by", "brow"), ("tier", "tool")]), labels(&[("app", "db")]));
        let (namespace, networks) = (labels(&[("team", "shop")]), [Network::all_of(POD)]);
        let namespace = Some(&namespace);
        let client = Client { labels: &ours, namespace, is_near: true, networks: &networks, by_node: false };
        let one = |client: &Client<'_>, transport| {
            decide(&policies, client, &Server { labels: &theirs, port: 5432, transport, port_name: Some("sql") })
        };
        Decided {
            near: one(&client, Transport::Tcp),
            far: one(&Client { is_near: false, ..client }, Transport::Tcp),
            by_node: one(&Client { by_node: true, ..client }, Transport::Tcp),
            udp: one(&client, Transport::Udp),
        }
    }

    /// The decisions for a client in the namespace, in another one, through a node's port, and by UDP.
    struct Decided {
        near: Decision,
        far: Decision,
        by_node: Decision,
        udp: Decision,
    }

    #[test]
    fn a_rule_of_a_policy_that_selects_the_pod_has_to_fit() {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (allowed, denied) = (Decision::Allowed(named(&["one"])), Decision::Denied(named(&["one"])));
        let unknown = Decision::Unknown(named(&["one"]));
        let of = |ingress: &Value| decided(&[json!({ "podSelector": {}, "ingress": ingress })]);
        let from = |peer: &Value| of(&json!([{ "from": [peer] }]));
        let port = |port: &Value| of(&json!([{ "ports": [port] }]));
        assert_eq!(decided(&[]).near, Decision::Open);
        assert_eq!(decided(&[json!({ "podSelector": { "matchLabels": { "app": "web" } } })]).near, Decision::Open);
        assert_eq!(decided(&[json!({ "podSelector": {}, "policyTypes": ["Egress"] })]).near, Decision::Open);
        // For a client in the same namespace, in another one, through a port of a node, and by UDP.
        for (found, near, far, by_node, udp) in [
            (of(&json!([])), &denied, &denied, &unknown, &denied),
            (of(&json!([{}])), &allowed, &allowed, &allowed, &allowed),
            (from(&json!({ "podSelector": {} })), &allowed, &denied, &unknown, &allowed),
            (
                from(&json!({ "podSelector": { "matchLabels": { "by": "brow" } } })),
                &allowed,
                &denied,
                &unknown,
                &allowed,
            ),
            (from(&json!({ "podSelector": { "matchLabels": { "by": "web" } } })), &denied, &denied, &unknown, &denied),
            (from(&json!({ "namespaceSelector": {} })), &allowed, &allowed, &unknown, &allowed),
            (
                from(&json!({ "namespaceSelector": { "matchLabels": { "team": "shop" } } })),
                &allowed,
                &allowed,
                &unknown,
                &allowed,
            ),
            (
                from(&json!({ "namespaceSelector": { "matchLabels": { "team": "ops" } } })),
                &denied,
                &denied,
                &unknown,
                &denied,
            ),
            (from(&json!({ "ipBlock": { "cidr": "10.0.0.0/8" } })), &unknown, &unknown, &unknown, &unknown),
            (from(&json!({ "ipBlock": { "cidr": "0.0.0.0/0" } })), &allowed, &allowed, &allowed, &allowed),
            (
                from(&json!({ "ipBlock": { "cidr": "0.0.0.0/0", "except": ["10.9.0.0/16"] } })),
                &unknown,
                &unknown,
                &unknown,
                &unknown,
            ),
            (port(&json!({ "port": 5432 })), &allowed, &allowed, &allowed, &denied),
            (port(&json!({ "port": 5000, "endPort": 6000 })), &allowed, &allowed, &allowed, &denied),
            (port(&json!({ "port": "sql" })), &allowed, &allowed, &allowed, &denied),
            (port(&json!({ "port": 80 })), &denied, &denied, &unknown, &denied),
            (port(&json!({ "port": 5432, "protocol": "UDP" })), &denied, &denied, &unknown, &allowed),
            (port(&json!({ "protocol": "UDP" })), &denied, &denied, &unknown, &allowed),
        ] {
            assert_eq!([&found.near, &found.far, &found.by_node, &found.udp], [near, far, by_node, udp]);
        }
    }

    #[test]
    fn one_that_allows_is_enough_and_comes_first() {
        let closed = json!({ "podSelector": {} });
        let open = json!({ "podSelector": { "matchLabels": { "app": "db" } }, "ingress": [{}] });
        let block = json!({ "podSelector": {}, "ingress": [{ "from": [{ "ipBlock": { "cidr": "10.0.0.0/8" } }] }] });
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(decided(&[closed.clone(), open]).near, Decision::Allowed(named(&["two", "one"])));
        assert_eq!(decided(&[closed.clone(), closed.clone()]).near, Decision::Denied(named(&["one", "two"])));
        assert_eq!(decided(&[closed, block]).near, Decision::Unknown(named(&["one", "two"])));
    }

    #[test]
    fn selectors_match_as_kubernetes_does() {
        let has = labels(&[("app", "web"), ("track", "a")]);
        for (selector, wanted) in [
            (json!({}), true),
            (json!({ "matchLabels": { "app": "web" } }), true),
            (json!({ "matchLabels": { "app": "web", "zone": "x" } }), false),
            (json!({ "matchExpressions": [{ "key": "track", "operator": "In", "values": ["a", "b"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "track", "operator": "NotIn", "values": ["a"] }] }), false),
            (json!({ "matchExpressions": [{ "key": "zone", "operator": "NotIn", "values": ["x"] }] }), true),
            (json!({ "matchExpressions": [{ "key": "zone", "operator": "Exists" }] }), false),
            (json!({ "matchExpressions": [{ "key": "zone", "operator": "DoesNotExist" }] }), true),
            (json!({ "matchExpressions": [{ "key": "app", "operator": "Near" }] }), false),
        ] {
            let parsed: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(matches(&parsed, &has), wanted, "{selector}");
        }
    }
}
