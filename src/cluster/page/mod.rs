//! The page of an object: the object itself and the events about it, watched; what it is related to; the pods whose
//! logs it shows.

mod cache;
mod events;
mod refs;
mod select;
mod summary;
mod walk;
mod watch;

use std::sync::Arc;

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use super::{Clusters, fault, grant, object};
use brow_model::fault::Fault;
use brow_model::index::{ObjectRef, ServedKind};
use brow_model::page::{LogPod, SecretLines};
use brow_model::proxy::PodKey;
use brow_model::sanitize;

pub use cache::PageCache;
pub use events::show_events;
pub use walk::relate;
pub use watch::show_object;

use refs::{items, kind_of, text};

/// The pods whose logs are offered.
const MAX_PODS: u32 = 200;

/// The steps from an object without a selector to its pods: those of a cron job are two away.
const STEPS_TO_PODS: usize = 3;

/// Fetches an object as YAML, with the values of a Secret as they are.
///
/// # Errors
/// The server's refusal.
pub async fn reveal(clusters: &Clusters, at: &ObjectRef) -> Result<SecretLines, Fault> {
    let found: DynamicObject = object::get(clusters, at).await?;
    let mut value = object::value(&at.kind, &found)?;
    object::fold(&mut value);
    Ok(SecretLines(object::plain_lines(value)))
}

/// Finds the pods behind an object: itself, those that its selector selects, or those that it owns.
///
/// # Errors
/// The server's refusal.
pub async fn find_pods(clusters: &Clusters, cache: Arc<PageCache>, at: &ObjectRef) -> Result<Vec<LogPod>, Fault> {
    let found: DynamicObject = object::get(clusters, at).await?;
    let mut value = object::value(&at.kind, &found)?;
    let pods = if kind_of(&value) == ("", "Pod") {
        vec![Arc::new(value)]
    } else {
        let selector = select::selector_text(&value["spec"]["selector"]);
        if selector.is_empty() {
            // The whole is not needed any more.
            value.take();
            let (pods, faults) = walk::pods_below(cache, at.clone(), STEPS_TO_PODS).await;
            match faults.into_iter().next() {
                Some(fault) if pods.is_empty() => return Err(fault),
                Some(_) | None => pods,
            }
        } else {
            list_pods(clusters, at, &selector).await?
        }
    };
    let mut pods: Vec<LogPod> = pods.iter().map(|pod| log_pod(at, pod)).collect();
    pods.sort_by(|one, other| one.key.name.cmp(&other.key.name));
    Ok(pods)
}

/// Returns the kind of pods.
pub(super) fn pods() -> ServedKind {
    let [group, version, kind, plural] = ["", "v1", "Pod", "pods"].map(str::to_owned);
    ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true }
}

async fn list_pods(clusters: &Clusters, at: &ObjectRef, selector: &str) -> Result<Vec<Arc<Value>>, Fault> {
    let client = clusters.client(&at.cluster).await?;
    let kind = pods();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &at.namespace, &object::resource(&kind));
    let params = ListParams::default().labels(selector).limit(MAX_PODS);
    let right = grant("list", "pods", Some(&at.namespace));
    let listed = api.list(&params).await.map_err(|error| fault(&at.cluster, &error, Some(right)).1)?;
    listed.items.iter().map(|pod| object::value(&kind, pod).map(Arc::new)).collect()
}

fn log_pod(at: &ObjectRef, pod: &Value) -> LogPod {
    let meta = &pod["metadata"];
    let [namespace, name] = ["namespace", "name"].map(|field| text(&meta[field]).to_owned());
    let named = |field: &str| items(&pod["spec"][field]).map(|at| sanitize::line(text(&at["name"])).into_owned());
    let containers = named("containers").chain(named("initContainers")).chain(named("ephemeralContainers"));
    LogPod { key: PodKey { cluster: at.cluster.clone(), namespace, name }, containers: containers.collect() }
}
