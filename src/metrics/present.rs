//! The numbers of metrics-server: the present, and no history.

use http::Request;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::core::Status;
use kube::{Api, Client, Error};
use serde_json::Value;

use super::quantity::quantity;
use crate::cluster::{self, Clusters, grant};
use brow_model::fault::{Fault, What};
use brow_model::metrics::{Measure, Pods, Reading, Subject};

/// The API of metrics-server.
const API: &str = "/apis/metrics.k8s.io/v1beta1";

/// The most nodes whose capacity is read.
const MAX_NODES: u32 = 500;

/// Measures something once.
///
/// # Errors
/// There is no metrics-server ([`What::KindMissing`]), a right is missing, or there is no answer.
pub(super) async fn measure(clusters: &Clusters, cluster: &str, subject: &Subject) -> Result<Vec<Reading>, Fault> {
    let client = clusters.client(cluster).await?;
    let (used, limits) = match subject {
        Subject::Cluster => {
            let (used, limits) = tokio::join!(nodes(&client, cluster), allocatable(&client));
            (used?, limits)
        }
        Subject::Pods(pods) => (of_pods(&client, cluster, pods).await?, [None, None]),
    };
    let Some(used) = used else { return Ok(Vec::new()) };
    let readings = [Measure::Cpu, Measure::Memory].into_iter().zip(used).zip(limits);
    Ok(readings.map(|((measure, now), limit)| Reading { measure, now, limit, hour: None }).collect())
}

/// Cores and bytes.
type Used = [f64; 2];

async fn nodes(client: &Client, cluster: &str) -> Result<Option<Used>, Fault> {
    let list = get(client, &format!("{API}/nodes")).await;
    let list = list.map_err(|error| failed(cluster, &error, "nodes.metrics.k8s.io", None))?;
    Ok(sum(list["items"].as_array().into_iter().flatten().map(|node| &node["usage"])))
}

async fn of_pods(client: &Client, cluster: &str, pods: &Pods) -> Result<Option<Used>, Fault> {
    let namespace = pods.namespace();
    let place = format!("{API}/namespaces/{namespace}/pods");
    let refused = |error: &Error| failed(cluster, error, "pods.metrics.k8s.io", Some(namespace));
    let found = if let Some(name) = pods.single() {
        match get(client, &format!("{place}/{name}")).await {
            Err(Error::Api(status)) if is_unknown(&status, name) => Vec::new(),
            found => vec![found.map_err(|error| refused(&error))?],
        }
    } else {
        let mut list = get(client, &place).await.map_err(|error| refused(&error))?;
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let is_ours = |pod: &Value| pod["metadata"]["name"].as_str().is_some_and(|name| pods.has(name));
        items.into_iter().filter(is_ours).collect()
    };
    Ok(sum(found.iter().flat_map(|pod| pod["containers"].as_array().into_iter().flatten()).map(|one| &one["usage"])))
}

/// Returns true if metrics-server has no numbers of a pod, as in its first seconds.
fn is_unknown(status: &Status, pod: &str) -> bool {
    status.code == 404 && status.details.as_ref().is_some_and(|details| details.name == pod)
}

/// Adds up usages; `None` if there are none. What is no quantity counts as nothing.
fn sum<'a>(usages: impl Iterator<Item = &'a Value>) -> Option<Used> {
    let of = |usage: &Value, key: &str| usage[key].as_str().and_then(quantity).unwrap_or_default();
    let used = usages.map(|usage| [of(usage, "cpu"), of(usage, "memory")]);
    used.reduce(|[cpu, memory], [more, bytes]| [cpu + more, memory + bytes])
}

/// Returns the cores and bytes that pods may use, if all nodes may be listed.
async fn allocatable(client: &Client) -> [Option<f64>; 2] {
    let nodes: Api<Node> = Api::all(client.clone());
    let Ok(list) = nodes.list(&ListParams::default().limit(MAX_NODES)).await else { return [None, None] };
    if list.metadata.continue_.is_some_and(|rest| !rest.is_empty()) {
        return [None, None];
    }
    ["cpu", "memory"].map(|key| {
        let of = |node: &Node| quantity(&node.status.as_ref()?.allocatable.as_ref()?.get(key)?.0);
        let total: f64 = list.items.iter().filter_map(of).sum();
        (total > 0.0).then_some(total)
    })
}

async fn get(client: &Client, path: &str) -> Result<Value, Error> {
    let request = Request::get(path).body(Vec::new()).map_err(Error::HttpError)?;
    client.request(request).await
}

fn failed(cluster: &str, error: &Error, resource: &str, namespace: Option<&str>) -> Fault {
    match error {
        // 503: it is installed and does not run.
        Error::Api(status) if status.code == 404 => Fault::new(What::KindMissing, resource, ""),
        _ => cluster::fault(cluster, error, Some(grant("list", resource, namespace))).1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usages_are_added_up_and_nonsense_counts_as_nothing() {
        let usages = [
            json!({ "cpu": "250m", "memory": "64Mi" }),
            json!({ "cpu": "1500000n", "memory": "1024Ki" }),
            json!({ "cpu": "NaN", "memory": -5 }),
            json!(null),
        ];
        let [cpu, memory] = sum(usages.iter()).unwrap();
        assert!((cpu - 0.2515).abs() < 1e-9 && (memory - 65.0 * 1_048_576.0).abs() < 1.0, "{cpu} {memory}");
        assert_eq!(sum([].iter()), None, "a pod of the last seconds has none");
    }
}
