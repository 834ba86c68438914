//! The objects that are read for a step: policies, the networks of pods, the service of a node port.

use std::fmt::Debug;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::{Api, Error};
use serde::de::DeserializeOwned;

use super::network::Network;
use super::policy::Labels;
use crate::cluster::{Clusters, fault, grant};
use brow_model::address::{Address, Host, Transport};
use brow_model::fault::{Fault, What};
use brow_model::node::NodePort;
use brow_model::why::Question;

/// The most objects of one answer.
const PAGE: u32 = 500;

/// Lists all objects, page by page.
async fn all<K: Clone + DeserializeOwned + Debug>(api: &Api<K>) -> Result<Vec<K>, Error> {
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let mut page = api.list(&params).await?;
        found.append(&mut page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// Reads the policies of a namespace, and the labels of the namespace of the proxy pod, if that is allowed.
pub(super) async fn policies(
    clusters: &Clusters,
    question: &Question,
    namespace: &str,
) -> Result<(Vec<NetworkPolicy>, Option<Labels>), Fault> {
    let client = clusters.client(&question.cluster).await?;
    let right = || grant("list", "networkpolicies.networking.k8s.io", Some(namespace));
    let listed = all(&Api::<NetworkPolicy>::namespaced(client.clone(), namespace)).await;
    let listed = listed.map_err(|error| fault(&question.cluster, &error, Some(right())).1)?;
    let namespaces: Api<Namespace> = Api::all(client);
    // Without it, policies about namespaces stay unclear.
    let own = namespaces.get(&question.pod.namespace).await.ok();
    Ok((listed, own.map(|namespace| namespace.metadata.labels.unwrap_or_default())))
}

/// Reads the networks that nodes have for their pods. `None` if they may not be read, or are not those of this pod:
/// some network plugins keep their own.
pub(super) async fn pod_networks(clusters: &Clusters, cluster: &str, pod: &Pod) -> Option<Vec<Network>> {
    let client = clusters.client(cluster).await.ok()?;
    let nodes = all(&Api::<Node>::all(client)).await.ok()?;
    let texts = nodes.iter().filter_map(|node| node.spec.as_ref()?.pod_cidrs.as_ref()).flatten();
    let networks: Vec<Network> = texts.filter_map(|text| Network::read(text)).collect();
    let ip = ip_of(pod)?;
    let of_family = Network::all_of(ip);
    let own = networks.iter().filter(|network| network.has(ip)).count();
    (own > 0).then(|| networks.into_iter().filter(|network| of_family.covers(network)).collect())
}

/// Returns the address of a pod in its cluster's network.
pub(super) fn ip_of(pod: &Pod) -> Option<IpAddr> {
    let is_on_host = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
    pod.status.as_ref()?.pod_ip.as_ref().filter(|_| !is_on_host)?.parse().ok()
}

/// A port of a service that has a node port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeService {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

/// Finds the service that has a node port, in one namespace where not all may be read.
pub(super) async fn node_service(
    clusters: &Clusters,
    question: &Question,
    port: NodePort,
) -> Result<NodeService, Fault> {
    let client = clusters.client(&question.cluster).await?;
    let refused = |error: &Error| fault(&question.cluster, error, Some(grant("list", "services", None))).1;
    let everywhere = all(&Api::<Service>::all(client.clone())).await.map_err(|error| refused(&error));
    match everywhere {
        Ok(services) => with_node_port(&services, port),
        Err(fault) if fault.what == What::Forbidden => {
            let near =
                all(&Api::<Service>::namespaced(client, &question.namespace)).await.map_err(|_| fault.clone())?;
            // It may be the port of a service elsewhere.
            with_node_port(&near, port).map_err(|_| fault)
        }
        Err(fault) => Err(fault),
    }
}

fn with_node_port(services: &[Service], wanted: NodePort) -> Result<NodeService, Fault> {
    let protocol = match wanted.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    let mut known = Vec::new();
    for service in services {
        for port in service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()) {
            let Some(number) = port.node_port.and_then(|number| u16::try_from(number).ok()) else { continue };
            let is_protocol = port.protocol.as_deref().unwrap_or("TCP") == protocol;
            if number == wanted.number && is_protocol {
                let [namespace, name] = [&service.metadata.namespace, &service.metadata.name];
                let [namespace, name] = [namespace, name].map(|text| text.clone().unwrap_or_default());
                return Ok(NodeService { namespace, name, port: u16::try_from(port.port).unwrap_or_default() });
            }
            let transport = if port.protocol.as_deref() == Some("UDP") { Transport::Udp } else { Transport::Tcp };
            known.push(NodePort { number, transport }.to_string());
        }
    }
    known.sort();
    known.truncate(10);
    Err(Fault::new(What::NodePortMissing, wanted.to_string(), known.join(", ")))
}

/// Returns a port of a node as an address: of one that is ready and not cordoned, if there is one.
pub(super) async fn node_address(clusters: &Clusters, cluster: &str, port: NodePort) -> Result<Address, Fault> {
    let client = clusters.client(cluster).await?;
    let nodes = all(&Api::<Node>::all(client)).await;
    let nodes = nodes.map_err(|error| fault(cluster, &error, Some(grant("list", "nodes", None))).1)?;
    let is_fit = |node: &&Node| {
        let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let is_cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        !is_cordoned && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let address = |node: &Node| -> Option<Host> {
        let mut all = node.status.as_ref()?.addresses.iter().flatten();
        super::host(&all.find(|address| address.type_ == "InternalIP")?.address)
    };
    let host = nodes.iter().filter(is_fit).chain(&nodes).find_map(address);
    let host = host.ok_or_else(|| Fault::new(What::NoNodes, cluster, ""))?;
    Ok(Address { host, port: port.number, transport: port.transport })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_service_of_a_node_port_has_it_by_that_protocol() {
        let service = |name: &str, ports: &Value| -> Service {
            let object = json!({ "metadata": { "name": name, "namespace": "shop" }, "spec": { "ports": ports } });
            serde_json::from_value(object).unwrap()
        };
        let services = [
            service("plain", &json!([{ "port": 80 }])),
            service("dns", &json!([{ "port": 53, "nodePort": 30_053, "protocol": "UDP" }])),
            service("web", &json!([{ "port": 443 }, { "port": 80, "nodePort": 30_080 }])),
        ];
        for (port, wanted) in [
            ("30080", Ok(("web", 80))),
            ("30053/udp", Ok(("dns", 53))),
            ("30053", Err("30053/udp, 30080")),
            ("30999", Err("30053/udp, 30080")),
        ] {
            let found = with_node_port(&services, port.parse().unwrap());
            let wanted = wanted.map(|(name, port)| (name.to_owned(), port)).map_err(str::to_owned);
            let found = found.map(|found| (found.name, found.port)).map_err(|fault| fault.detail);
            assert_eq!(found, wanted, "{port}");
        }
    }

    #[test]
    fn a_pod_on_the_hosts_network_has_none_of_its_own() {
        let pod = |on_host: bool| -> Pod {
            let spec = json!({ "containers": [], "hostNetwork": on_host });
            serde_json::from_value(json!({ "spec": spec, "status": { "podIP": "10.244.0.9" } })).unwrap()
        };
        assert_eq!(ip_of(&pod(false)).map(|ip| ip.to_string()).as_deref(), Some("10.244.0.9"));
        assert_eq!(ip_of(&pod(true)), None);
    }
}
