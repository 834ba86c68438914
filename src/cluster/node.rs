//! Finds the cause if the API server answers and a pod's node does not.

use std::time::Duration;

use http::Request;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::client::Body;
use kube::{Api, Client, Error};
use tokio::time::timeout;

use super::Clusters;
use brow_model::fault::{Fault, What};
use brow_model::proxy::PodKey;
use brow_model::workload::is_dns_name;

/// The timeout of each request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the fault of a pod's node: it is not ready, its kubelet does not answer, or its container runtime does not;
/// without the rights to tell, that it is the node. `None` if the API server does not answer either, or the pod has no
/// node.
pub async fn node_fault(clusters: &Clusters, key: &PodKey) -> Option<Fault> {
    let client = timeout(REQUEST_TIMEOUT, clusters.client(&key.cluster)).await.ok()?.ok()?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &key.namespace);
    let pod = match timeout(REQUEST_TIMEOUT, pods.get(&key.name)).await.ok()? {
        Ok(pod) => pod,
        Err(Error::Api(status)) if status.code == 403 => return Some(Fault::new(What::NodeSilent, &key.name, "")),
        Err(_) => return None,
    };
    let node = pod.spec.and_then(|spec| spec.node_name).filter(|name| is_dns_name(name))?;
    if let Some(words) = not_ready(&client, &node).await {
        return Some(Fault::new(What::NodeNotReady, node, words));
    }
    Some(Fault::new(kubelet(&client, &node).await, &key.name, node))
}

/// Returns the reason why a node is not ready; `None` if it is, or if we may not know.
async fn not_ready(client: &Client, name: &str) -> Option<String> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = timeout(REQUEST_TIMEOUT, nodes.get(name)).await.ok()?.ok()?;
    let ready = node.status?.conditions?.into_iter().find(|condition| condition.type_ == "Ready")?;
    let words = [ready.reason, ready.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
    (ready.status != "True").then_some(words)
}

/// Returns the part of a node that does not answer. Users who may ask the kubelet for its health (`nodes/proxy`) learn
/// more.
async fn kubelet(client: &Client, node: &str) -> What {
    let Ok(request) = Request::get(format!("/api/v1/nodes/{node}/proxy/healthz")).body(Body::empty()) else {
        return What::NodeSilent;
    };
    match timeout(REQUEST_TIMEOUT, client.send(request)).await {
        Err(_) => What::Kubelet,
        Ok(Ok(answer)) if answer.status().is_success() => What::Runtime,
        Ok(Ok(answer)) if answer.status().is_server_error() => What::Kubelet,
        // 403: we may not ask. Whether that is so here or at the kubelet makes no difference.
        Ok(Ok(_) | Err(_)) => What::NodeSilent,
    }
}
