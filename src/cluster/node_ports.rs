//! The ports of a cluster's nodes by the services that have them.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort as RawPort};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use tokio::time::timeout;

use super::{Clusters, grant, object_fault};
use brow_model::address::Transport;
use brow_model::fault::{Fault, What};
use brow_model::node::{NodePort, ServicePort};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The most services that are looked at in one list.
const MAX_SERVICES: u32 = 5_000;

/// Lists the ports of a cluster's nodes: in all namespaces, else in those of `namespaces` that may be listed.
///
/// # Errors
/// The server's refusal, if no namespace may be listed.
pub async fn node_ports(
    clusters: &Clusters,
    cluster: &str,
    namespaces: &BTreeSet<String>,
) -> Result<Vec<ServicePort>, Fault> {
    let client = clusters.client(cluster).await?;
    let refused = match list(&client, cluster, None).await {
        Err(fault) if fault.what == What::Forbidden => fault,
        listed => return listed,
    };
    let (mut ports, mut is_listed) = (Vec::new(), false);
    for namespace in namespaces {
        match list(&client, cluster, Some(namespace)).await {
            Ok(listed) => {
                ports.extend(listed);
                is_listed = true;
            }
            Err(fault) if fault.what == What::Forbidden => {}
            Err(fault) => return Err(fault),
        }
    }
    if is_listed { Ok(ports) } else { Err(refused) }
}

async fn list(client: &Client, cluster: &str, namespace: Option<&str>) -> Result<Vec<ServicePort>, Fault> {
    let api: Api<Service> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let listed = timeout(REQUEST_TIMEOUT, api.list(&ListParams::default().limit(MAX_SERVICES))).await;
    let words = || format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
    let listed = listed.map_err(|_| Fault::new(What::TimedOut, cluster, words()))?;
    let asked = || Some(grant("list", "services", namespace));
    let listed = listed.map_err(|error| object_fault(cluster, "services", &error, asked()))?;
    Ok(listed.items.iter().flat_map(ports).collect())
}

/// Returns the ports of nodes that a service has.
fn ports(service: &Service) -> impl Iterator<Item = ServicePort> {
    let all = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    all.filter_map(|port: &RawPort| {
        let number = u16::try_from(port.node_port?).ok().filter(|number| *number != 0)?;
        let transport = match port.protocol.as_deref() {
            None | Some("TCP") => Transport::Tcp,
            Some("UDP") => Transport::Udp,
            Some(_) => return None,
        };
        Some(ServicePort {
            namespace: service.namespace().unwrap_or_default(),
            service: service.name_any(),
            name: port.name.clone().unwrap_or_else(|| port.port.to_string()),
            port: NodePort { number, transport },
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ports_that_the_nodes_have_are_listed() {
        let service = json!({
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "type": "NodePort", "ports": [
                { "name": "http", "port": 80, "nodePort": 30_080 },
                { "port": 53, "nodePort": 30_053, "protocol": "UDP" },
                { "port": 132, "nodePort": 30_132, "protocol": "SCTP" },
                { "name": "inside", "port": 81 },
            ] },
        });
        let service: Service = serde_json::from_value(service).unwrap();
        let listed: Vec<String> = ports(&service).map(|at| format!("{} {at}", at.port)).collect();
        assert_eq!(listed, ["30080 shop/web:http", "30053/udp shop/web:53"]);
    }
}
