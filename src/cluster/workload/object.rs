//! The watch on the workload itself: its selector, and a service's ports.

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use tokio::sync::watch;

use super::discovery::{self, Found};
use super::selection;
use super::{Query, Reach, Sight, Trouble, near};
use crate::cluster::{fault, grant, watch_fault};
use brow_model::fault::{Fault, What};
use brow_model::workload::{Installer, Kind};
use kube_tunnel::Backoff;

/// The number of names that are searched for a similar one.
const NAMES: u32 = 500;

/// Watches the object for ever.
pub(super) async fn follow(reach: &Reach, query: Query, out: watch::Sender<Sight>) {
    let client = reach.client();
    let found = match built_in(&query.workload.kind) {
        Some(found) => found,
        None => discovered(reach, &query, &out).await,
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client, &query.namespace, &found.api);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", query.workload.name));
    let mut stream = reach.watch(&query, api.clone(), config);
    let mut seen: Option<DynamicObject> = None;
    loop {
        let sight = match stream.next().await {
            Ok(watcher::Event::Init) => {
                seen = None;
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                seen = Some(object);
                continue;
            }
            Ok(watcher::Event::InitDone) => match seen.take() {
                Some(object) => aim(&api, &query, &found, &object).await,
                None => Sight::Wrong(missing(&api, &query).await),
            },
            Ok(watcher::Event::Apply(object)) => aim(&api, &query, &found, &object).await,
            Ok(watcher::Event::Delete(_)) => Sight::Wrong(missing(&api, &query).await),
            Err(error) => match trouble(&query, &found.resource(), &error) {
                // Its name will do, perhaps.
                Some(trouble) => match (selection::by_name(&query.workload, &query.namespace), trouble) {
                    (Some(aim), _) => Sight::Aim(aim),
                    (None, Trouble::Wrong(fault)) => Sight::Wrong(fault),
                    (None, Trouble::Unknown(fault)) => Sight::Unknown(fault),
                },
                None => continue,
            },
        };
        tell(&out, sight);
    }
}

fn tell(out: &watch::Sender<Sight>, sight: Sight) {
    out.send_if_modified(|known| {
        // Where it led before it may lead still, and its pods are watched by themselves.
        let stays = *known == sight || (matches!(sight, Sight::Unknown(_)) && matches!(known, Sight::Aim(_)));
        if !stays {
            *known = sight;
        }
        !stays
    });
}

/// The resource of a kind that every cluster has.
fn built_in(kind: &Kind) -> Option<Found> {
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
    Some(Found { api, scale: false })
}

/// The resource of a custom kind, looked for until it is found. A kind that the cluster lacks is looked for again when
/// somebody forwards again, not before: nothing tells of new kinds but asking.
async fn discovered(reach: &Reach, query: &Query, out: &watch::Sender<Sight>) -> Found {
    let name = query.workload.kind.to_string();
    let mut backoff = Backoff::default();
    loop {
        match discovery::find(&reach.login.client, &name).await {
            Ok(Ok(found)) => return found,
            Ok(Err(near)) => {
                let installer = Installer::of(&name).map(|known| known.crd.to_owned());
                let detail = installer.unwrap_or_else(|| near.join(", "));
                let thing = format!("{name} ({})", query.cluster);
                tell(out, Sight::Wrong(Fault::new(What::KindMissing, thing, detail)));
                return std::future::pending().await;
            }
            // An outage is the cluster's probe's to report.
            Err(_) => reach.clusters.pause(&query.cluster, backoff.next_pause()).await,
        }
    }
}

/// Resolves an object by its selector, else by that of its scale.
async fn aim(api: &Api<DynamicObject>, query: &Query, found: &Found, object: &DynamicObject) -> Sight {
    let own = selection::of(&query.workload, &query.namespace, object);
    if !found.scale || !matches!(&own, Err(fault) if fault.what == What::NoSelector) {
        return own.map_or_else(Sight::Wrong, Sight::Aim);
    }
    match api.get_scale(&query.workload.name).await {
        Ok(scale) => selection::by_labels(&query.workload, scale.status.and_then(|status| status.selector))
            .map_or_else(Sight::Wrong, Sight::Aim),
        Err(error) => {
            let asked = grant("get", &found.subresource("scale"), Some(&query.namespace));
            Sight::Unknown(fault(&query.cluster, &error, Some(asked)).1)
        }
    }
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

/// Translates a watch's error for a forward.
pub(super) fn trouble(query: &Query, resource: &str, error: &watcher::Error) -> Option<Trouble> {
    let (_, fault) = watch_fault(&query.cluster, error, resource, Some(&query.namespace));
    match fault.what {
        What::Forbidden | What::Unauthorized | What::AnswerTooLarge | What::PluginFailed | What::PluginMissing => {
            Some(Trouble::Unknown(fault))
        }
        What::Invalid => Some(Trouble::Wrong(fault)),
        // 400: a selector that the server does not take.
        What::Server if fault.detail.contains("selector") => {
            Some(Trouble::Wrong(Fault { what: What::Invalid, thing: query.workload.to_string(), ..fault }))
        }
        _ => None,
    }
}
