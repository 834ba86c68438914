//! The watch on the workload itself: its selector, and a service's ports.

use futures::StreamExt as _;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use super::{Query, Sight, near, resource_of, selection};
use crate::cluster::{fault, grant};
use crate::model::fault::{Fault, What};
use crate::model::workload::Kind;

/// How many names are looked through for one that is near.
const NAMES: u32 = 500;

/// Watches the object for ever.
pub(super) async fn follow(client: Client, query: Query, out: watch::Sender<Sight>) {
    let Some(resource) = api_resource(&query.workload.kind) else {
        return;
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client, &query.namespace, &resource);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", query.workload.name));
    let mut stream = watcher(api.clone(), config).default_backoff().boxed();
    let mut seen: Option<DynamicObject> = None;
    while let Some(next) = stream.next().await {
        let sight = match next {
            Ok(watcher::Event::Init) => {
                seen = None;
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                seen = Some(object);
                continue;
            }
            Ok(watcher::Event::InitDone) => match seen.take() {
                Some(object) => selection::of(&query.workload, &query.namespace, &object),
                None => Err(missing(&api, &query).await),
            },
            Ok(watcher::Event::Apply(object)) => selection::of(&query.workload, &query.namespace, &object),
            Ok(watcher::Event::Delete(_)) => Err(missing(&api, &query).await),
            Err(error) => match refusal(&query, resource_of(&query.workload.kind), &error) {
                // Its name will do, perhaps.
                Some(fault) => selection::by_name(&query.workload, &query.namespace).ok_or(fault),
                None => continue,
            },
        };
        out.send_if_modified(|known| {
            let differs = known.as_ref() != Some(&sight);
            *known = Some(sight);
            differs
        });
    }
}

fn api_resource(kind: &Kind) -> Option<ApiResource> {
    let (group, name) = match kind {
        Kind::Pod | Kind::Selector => return None,
        Kind::Service => ("", "Service"),
        Kind::Deployment => ("apps", "Deployment"),
        Kind::StatefulSet => ("apps", "StatefulSet"),
        Kind::DaemonSet => ("apps", "DaemonSet"),
        Kind::ReplicaSet => ("apps", "ReplicaSet"),
        Kind::Job => ("batch", "Job"),
    };
    let plural = resource_of(kind).split('.').next().unwrap_or_default();
    Some(ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", name), plural))
}

/// There is no object of that name; there may be others that were meant.
async fn missing(api: &Api<DynamicObject>, query: &Query) -> Fault {
    let listed = api.list_metadata(&ListParams::default().limit(NAMES)).await;
    let names = listed.map(|list| list.items.into_iter().filter_map(|object| object.metadata.name).collect());
    let names: Vec<String> = names.unwrap_or_default();
    not_found(query, &names)
}

/// The fault for a name that is not among `names`.
pub(super) fn not_found(query: &Query, names: &[String]) -> Fault {
    let workload = &query.workload;
    let thing = format!("{}/{} ({}/{})", workload.kind, workload.name, query.cluster, query.namespace);
    Fault::new(What::WorkloadMissing, thing, near(&workload.name, names).join(", "))
}

/// What a watch's error says that waiting will not mend; an outage is the cluster's probe's to report.
pub(super) fn refusal(query: &Query, resource: &str, error: &watcher::Error) -> Option<Fault> {
    let of = |error: &kube::Error, verb| {
        let asked = grant(verb, resource, Some(&query.namespace));
        fault(&query.cluster, error, Some(asked)).1
    };
    let fault = match error {
        watcher::Error::InitialListFailed(error) => of(error, "list"),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => of(error, "watch"),
        watcher::Error::WatchError(status) => of(&kube::Error::Api(status.clone()), "watch"),
        watcher::Error::NoResourceVersion => return None,
    };
    match fault.what {
        What::Forbidden | What::Unauthorized | What::Invalid | What::PluginFailed | What::PluginMissing => Some(fault),
        // 400: a selector that the server does not take.
        What::Server if fault.detail.contains("selector") => {
            Some(Fault { what: What::Invalid, thing: query.workload.to_string(), ..fault })
        }
        _ => None,
    }
}
