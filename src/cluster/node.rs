//! Who is at fault where the API server answers and a pod's node does not: told apart by what each still answers.

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

/// How long each of the questions may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a pod's node does not do what the API server asks of it: it is not ready, its kubelet does not answer, or its
/// container runtime does not; where we may not look that closely, that it is the node. `None`: the API server does not
/// answer either, or the pod is on no node.
pub async fn node_fault(clusters: &Clusters, key: &PodKey) -> Option<Fault> {
    let client = timeout(PATIENCE, clusters.client(&key.cluster)).await.ok()?.ok()?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &key.namespace);
    let pod = match timeout(PATIENCE, pods.get(&key.name)).await.ok()? {
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

/// Why a node is not ready, if it is not and we may know.
async fn not_ready(client: &Client, name: &str) -> Option<String> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = timeout(PATIENCE, nodes.get(name)).await.ok()?.ok()?;
    let ready = node.status?.conditions?.into_iter().find(|condition| condition.type_ == "Ready")?;
    let words = [ready.reason, ready.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
    (ready.status != "True").then_some(words)
}

/// What of a node does not answer: whoever may ask the kubelet for its health (`nodes/proxy`) learns more.
async fn kubelet(client: &Client, node: &str) -> What {
    let Ok(request) = Request::get(format!("/api/v1/nodes/{node}/proxy/healthz")).body(Body::empty()) else {
        return What::NodeSilent;
    };
    match timeout(PATIENCE, client.send(request)).await {
        Err(_) => What::Kubelet,
        Ok(Ok(answer)) if answer.status().is_success() => What::Runtime,
        Ok(Ok(answer)) if answer.status().is_server_error() => What::Kubelet,
        // 403: we may not ask. Whether that is so here or at the kubelet makes no difference.
        Ok(Ok(_) | Err(_)) => What::NodeSilent,
    }
}
