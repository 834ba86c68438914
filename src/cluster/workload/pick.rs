//! One pod of a workload, looked up once.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};

use super::discovery::{self, DiscoveredKind};
use super::object::{self, built_in, not_found};
use super::pods;
use super::query::Query;
use super::selection::{self, PodSelector};
use crate::cluster::{Clusters, fault, grant};
use brow_model::fault::{Fault, What};
use brow_model::workload::{Installer, is_dns_name};

/// The most pods that one is chosen among.
pub(super) const MAX_PODS: u32 = 500;

/// Returns the pod of that name, or the best of a workload: one that is ready before others, the newest first. The port
/// of the workload means nothing here.
///
/// # Errors
/// Nothing of that name, no pod that runs, a missing right, or no answer.
pub async fn pick(clusters: &Clusters, query: &Query) -> Result<Pod, Fault> {
    let client = clusters.client(&query.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client.clone(), &query.namespace);
    let labels = match selector(&client, query).await? {
        PodSelector::Labels(labels) => labels,
        PodSelector::Named(name) => {
            let found = api.get_opt(&name).await.map_err(|error| failed(query, "get", "pods", &error))?;
            return match found {
                Some(pod) => Ok(pod),
                None => Err(missing(&api, query).await),
            };
        }
    };
    let listed = api.list(&ListParams::default().labels(&labels).limit(MAX_PODS)).await;
    let listed = listed.map_err(|error| failed(query, "list", "pods", &error))?.items;
    best(listed).map_err(|idle| pods::none_runs(query, &idle))
}

/// Returns the best pod, else all.
fn best(pods: Vec<Pod>) -> Result<Pod, Vec<Pod>> {
    let runs = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Running") && pod.metadata.deletion_timestamp.is_none() && is_dns_name(&pods::name(pod))
    };
    let rank = |pod: &&Pod| (pods::is_ready(pod), pod.metadata.creation_timestamp.clone());
    pods.iter().filter(runs).max_by_key(rank).cloned().ok_or(pods)
}

pub(super) async fn missing(api: &Api<Pod>, query: &Query) -> Fault {
    let listed = api.list_metadata(&ListParams::default().limit(MAX_PODS)).await;
    let names = listed.map(|list| list.items.into_iter().filter_map(|pod| pod.metadata.name).collect());
    not_found(query, &names.unwrap_or_else(|_| Vec::new()))
}

/// Returns the selector of a workload's pods.
async fn selector(client: &Client, query: &Query) -> Result<PodSelector, Fault> {
    if let Some(selector) = selection::of_pods(&query.workload) {
        return Ok(selector);
    }
    let (found, api, object) = object(client, query).await?;
    selector_of(query, &found, &api, &object).await
}

/// Returns a workload's object, and its kind.
pub(super) async fn object(
    client: &Client,
    query: &Query,
) -> Result<(DiscoveredKind, Api<DynamicObject>, DynamicObject), Fault> {
    let found = match built_in(&query.workload.kind) {
        Some(found) => found,
        None => discovered(client, query).await?,
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &query.namespace, &found.api);
    // Whoever may watch it may list it, and need not have the right to get it.
    let named = ListParams::default().fields(&format!("metadata.name={}", query.workload.name));
    let listed = api.list(&named).await.map_err(|error| failed(query, "list", &found.resource(), &error))?;
    match listed.items.into_iter().next() {
        Some(object) => Ok((found, api, object)),
        None => Err(object::missing(&api, query).await),
    }
}

/// Returns the selector of an object, else of its scale.
pub(super) async fn selector_of(
    query: &Query,
    found: &DiscoveredKind,
    api: &Api<DynamicObject>,
    object: &DynamicObject,
) -> Result<PodSelector, Fault> {
    let workload = &query.workload;
    match selection::by_labels(workload, selection::labels_of(object)) {
        Err(fault) if found.scale && fault.what == What::NoSelector => {
            let scale = api.get_scale(&workload.name).await;
            let scale = scale.map_err(|error| failed(query, "get", &found.subresource("scale"), &error))?;
            selection::by_labels(workload, scale.status.and_then(|status| status.selector))
        }
        found => found,
    }
}

fn failed(query: &Query, verb: &str, resource: &str, error: &kube::Error) -> Fault {
    fault(&query.cluster, error, Some(grant(verb, resource, Some(&query.namespace)))).1
}

async fn discovered(client: &Client, query: &Query) -> Result<DiscoveredKind, Fault> {
    let name = query.workload.kind.to_string();
    let found = discovery::find(client, &name).await.map_err(|error| fault(&query.cluster, &error, None).1)?;
    found.map_err(|near| {
        let installer = Installer::of(&name).map(|known| known.crd.to_owned());
        let detail = installer.unwrap_or_else(|| near.join(", "));
        Fault::new(What::KindMissing, format!("{name} ({})", query.cluster), detail)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ready_pod_is_better_than_a_new_one_and_one_that_ends_is_none() {
        let pod = |name: &str, second: u8, phase: &str, ready: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "name": name, "creationTimestamp": format!("2026-01-02T03:04:{second:02}Z") },
                "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] },
            }))
            .unwrap()
        };
        let mut ending = pod("ending", 9, "Running", "True");
        ending.metadata.deletion_timestamp = ending.metadata.creation_timestamp.clone();
        let name = |pods: &[&Pod]| best(pods.iter().copied().cloned().collect()).map(|pod| pods::name(&pod)).ok();
        let (old, new) = (pod("old", 1, "Running", "True"), pod("new", 2, "Running", "True"));
        let (unready, pending) = (pod("unready", 3, "Running", "False"), pod("pending", 4, "Pending", "False"));
        assert_eq!(name(&[&old, &new, &unready, &pending, &ending]).as_deref(), Some("new"));
        assert_eq!(name(&[&unready, &pending]).as_deref(), Some("unready"));
        assert_eq!(name(&[&pending, &ending]), None);
    }
}
