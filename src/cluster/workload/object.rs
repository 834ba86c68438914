//! The watch on the workload itself: its selector, and a service's ports.

use std::sync::Arc;

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use tokio::sync::watch;

use super::discovery::{self, DiscoveredKind, near};
use super::query::{ClusterAccess, Query};
use super::report::WatchProblem;
use super::selection::{self, BackendSource};
use crate::cluster::{Clusters, fault, grant, watch_fault};
use brow_model::fault::{Fault, What};
use brow_model::index::{ObjectRef, ServedKind};
use brow_model::inventory::ObjectKey;
use brow_model::workload::{Installer, Kind};
use kube_tunnel::Backoff;

/// The number of names that are searched for a similar one.
const MAX_NAMES: u32 = 500;

/// The state of the watch on the workload itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SourceState {
    /// The server has not answered yet.
    Pending,
    /// The workload has this source of backends.
    Known(BackendSource),
    /// The workload cannot have backends as it is.
    Invalid(Fault),
    /// The watch was refused or has failed. A source that was known before stays in use.
    Unknown(Fault),
}

/// Watches the object. Never completes.
pub(super) async fn follow(access: &ClusterAccess, query: Query, out: watch::Sender<SourceState>) {
    let client = access.client();
    let found = match built_in(&query.workload.kind) {
        Some(found) => found,
        None => discovered(access, &query, &out).await,
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client, &query.namespace, &found.api);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", query.workload.name));
    let mut stream = access.watch(&query, api.clone(), config);
    let mut seen: Option<DynamicObject> = None;
    loop {
        let state = match stream.next().await {
            Ok(watcher::Event::Init) => {
                seen = None;
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                seen = Some(object);
                continue;
            }
            Ok(watcher::Event::InitDone) => match seen.take() {
                Some(object) => resolve(&api, &query, &found, &object).await,
                None => SourceState::Invalid(missing(&api, &query).await),
            },
            Ok(watcher::Event::Apply(object)) => resolve(&api, &query, &found, &object).await,
            Ok(watcher::Event::Delete(_)) => SourceState::Invalid(missing(&api, &query).await),
            Err(error) => match problem(&query, &found.resource(), &error) {
                // Its name will do, perhaps.
                Some(problem) => match (selection::by_name(&query.workload, &query.namespace), problem) {
                    (Some(source), _) => SourceState::Known(source),
                    (None, WatchProblem::Permanent(fault)) => SourceState::Invalid(fault),
                    (None, WatchProblem::Unknown(fault)) => SourceState::Unknown(fault),
                },
                None => continue,
            },
        };
        tell(&out, state);
    }
}

fn tell(out: &watch::Sender<SourceState>, state: SourceState) {
    out.send_if_modified(|known| {
        // Where it led before it may lead still, and its pods are watched by themselves.
        let stays =
            *known == state || (matches!(state, SourceState::Unknown(_)) && matches!(known, SourceState::Known(_)));
        if !stays {
            *known = state;
        }
        !stays
    });
}

/// Finds an object's kind as the cluster serves it. Built-in ones are known.
///
/// # Errors
/// The cluster cannot be asked, or has no such kind.
pub async fn find_object(clusters: &Clusters, key: &ObjectKey) -> Result<ObjectRef, Fault> {
    let DiscoveredKind { api, .. } = if let Some(known) = built_in(&key.kind) {
        known
    } else {
        let client = clusters.client(&key.cluster).await?;
        let found = discovery::find(&client, &key.kind.to_string()).await;
        let missing = |near: Vec<String>| {
            Fault::new(What::KindMissing, format!("{} ({})", key.kind, key.cluster), near.join(", "))
        };
        found.map_err(|error| fault(&key.cluster, &error, None).1)?.map_err(missing)?
    };
    let ApiResource { group, version, kind, plural, .. } = api;
    let kind = ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true };
    let (cluster, namespace, name) = (key.cluster.clone(), key.namespace.clone(), key.name.clone());
    Ok(ObjectRef { cluster, kind: Arc::new(kind), namespace, name })
}

/// Returns the resource of a built-in kind.
pub(super) fn built_in(kind: &Kind) -> Option<DiscoveredKind> {
    let (group, name, plural) = match kind {
        Kind::Pod | Kind::Selector => ("", "Pod", "pods"),
        Kind::Service => ("", "Service", "services"),
        Kind::Deployment => ("apps", "Deployment", "deployments"),
        Kind::StatefulSet => ("apps", "StatefulSet", "statefulsets"),
        Kind::DaemonSet => ("apps", "DaemonSet", "daemonsets"),
        Kind::ReplicaSet => ("apps", "ReplicaSet", "replicasets"),
        Kind::Job => ("batch", "Job", "jobs"),
        Kind::Custom(_) => return None,
    };
    let api = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", name), plural);
    Some(DiscoveredKind { api, scale: false })
}

/// Looks for the resource of a custom kind until it is found. A kind that the cluster lacks is looked for again when
/// the forward is opened again: finding new kinds would need polling.
async fn discovered(access: &ClusterAccess, query: &Query, out: &watch::Sender<SourceState>) -> DiscoveredKind {
    let name = query.workload.kind.to_string();
    let mut backoff = Backoff::default();
    loop {
        match discovery::find(&access.login.client, &name).await {
            Ok(Ok(found)) => return found,
            Ok(Err(near)) => {
                let installer = Installer::of(&name).map(|known| known.crd.to_owned());
                let detail = installer.unwrap_or_else(|| near.join(", "));
                let thing = format!("{name} ({})", query.cluster);
                tell(out, SourceState::Invalid(Fault::new(What::KindMissing, thing, detail)));
                return std::future::pending().await;
            }
            // An outage is the cluster's probe's to report.
            Err(_) => access.clusters.pause(&query.cluster, backoff.next_pause()).await,
        }
    }
}

/// Resolves an object by its selector, else by that of its scale.
async fn resolve(
    api: &Api<DynamicObject>,
    query: &Query,
    found: &DiscoveredKind,
    object: &DynamicObject,
) -> SourceState {
    let own = selection::of(&query.workload, &query.namespace, object);
    if !found.scale || !matches!(&own, Err(fault) if fault.what == What::NoSelector) {
        return own.map_or_else(SourceState::Invalid, SourceState::Known);
    }
    match api.get_scale(&query.workload.name).await {
        Ok(scale) => selection::of_labels(&query.workload, scale.status.and_then(|status| status.selector))
            .map_or_else(SourceState::Invalid, SourceState::Known),
        Err(error) => {
            let asked = grant("get", &found.subresource("scale"), Some(&query.namespace));
            SourceState::Unknown(fault(&query.cluster, &error, Some(asked)).1)
        }
    }
}

/// Returns the fault for a missing object, with similar names.
pub(super) async fn missing(api: &Api<DynamicObject>, query: &Query) -> Fault {
    let listed = api.list_metadata(&ListParams::default().limit(MAX_NAMES)).await;
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

/// Translates a watch's error for a forward.
pub(super) fn problem(query: &Query, resource: &str, error: &watcher::Error) -> Option<WatchProblem> {
    let (_, fault) = watch_fault(&query.cluster, error, resource, Some(&query.namespace));
    match fault.what {
        What::Forbidden | What::Unauthorized | What::AnswerTooLarge | What::PluginFailed | What::PluginMissing => {
            Some(WatchProblem::Unknown(fault))
        }
        What::Invalid => Some(WatchProblem::Permanent(fault)),
        // 400: a selector that the server does not take.
        What::Server if fault.detail.contains("selector") => {
            Some(WatchProblem::Permanent(Fault { what: What::Invalid, thing: query.workload.to_string(), ..fault }))
        }
        _ => None,
    }
}
