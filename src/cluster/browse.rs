//! Services and workloads with their ports, which can become targets. They are watched, not polled: in all namespaces
//! if that is allowed, else in each namespace that matters.

mod raw;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use kube::Api;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use tokio::time::sleep;

use super::workload::discovery;
use super::{Clusters, Watch, fault, watch_fault};
use crate::events::EventSender;
use brow_model::event::BrowseEvent;
use brow_model::fault::{Fault, What};
use brow_model::index::ObjectRef;
use brow_model::inventory::{MAX_OBJECTS, Object, ObjectKey, SearchScope};
use brow_model::workload::Kind;
use kube_tunnel::Login;

use raw::RawObject;

/// The pause before a refused watch is tried again: rights are granted while people wait for them.
const REFUSED_RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// The pause before the discovery of kinds is tried again.
const DISCOVERY_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The kinds that every cluster has, each with its group and its resource.
const KINDS: [(Kind, &str, &str, &str); 7] = [
    (Kind::Service, "", "Service", "services"),
    (Kind::Deployment, "apps", "Deployment", "deployments"),
    (Kind::StatefulSet, "apps", "StatefulSet", "statefulsets"),
    (Kind::DaemonSet, "apps", "DaemonSet", "daemonsets"),
    (Kind::ReplicaSet, "apps", "ReplicaSet", "replicasets"),
    (Kind::Job, "batch", "Job", "jobs"),
    (Kind::Pod, "", "Pod", "pods"),
];

/// Watches everything that has ports until it is dropped. `namespaces` are watched if watching all namespaces at once
/// is not allowed.
pub async fn browse(
    clusters: Clusters,
    cluster: String,
    namespaces: BTreeSet<String>,
    events: EventSender<BrowseEvent>,
) {
    let mut browser = Browser { clusters: clusters.clone(), cluster: cluster.clone(), namespaces, events };
    let browsing = clusters.with_logins(&cluster, &mut browser, |browser, login| {
        let browsing = async move {
            let Ok(login) = login else { return false };
            browser.browse_all(&login).await;
            true
        };
        browsing.boxed()
    });
    browsing.await;
}

/// Reads the ports of one object, as the browser would find them.
///
/// # Errors
/// The server's refusal.
pub async fn read_ports(clusters: &Clusters, object: &ObjectRef) -> Result<Object, Fault> {
    let found: RawObject = super::object::get(clusters, object).await?;
    let kind = raw::kind(&object.kind.group, &object.kind.kind);
    let (ports, labels) = found.ports(&kind);
    let ObjectRef { cluster, namespace, name, .. } = object.clone();
    Ok(Object { key: ObjectKey { cluster, namespace, kind, name }, ports, labels, owner: found.owner() })
}

struct Browser {
    clusters: Clusters,
    cluster: String,
    namespaces: BTreeSet<String>,
    events: EventSender<BrowseEvent>,
}

impl Browser {
    async fn browse_all(&self, login: &Login) {
        let everywhere = KINDS.iter().map(|(kind, group, name, plural)| {
            let api = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", name), plural);
            self.browse_kind(login, kind.clone(), discovery::DiscoveredKind { api, scale: false })
        });
        tokio::join!(join_all(everywhere), self.browse_custom(login));
    }

    /// Watches custom kinds. They are discovered once: finding new ones would need polling.
    async fn browse_custom(&self, login: &Login) {
        let found = loop {
            match discovery::workloads(&login.client).await {
                Ok(found) => break found,
                Err(error) => {
                    let (_, fault) = fault(&self.cluster, &error, None);
                    if fault.what == What::Forbidden {
                        break Vec::new();
                    }
                    sleep(DISCOVERY_RETRY_INTERVAL).await;
                }
            }
        };
        let all: Vec<(Kind, discovery::DiscoveredKind)> =
            found.into_iter().map(|found| (raw::kind(&found.api.group, &found.api.kind), found)).collect();
        let kinds = KINDS.iter().map(|(kind, ..)| kind).chain(all.iter().map(|(kind, _)| kind));
        self.events.send(BrowseEvent::Kinds(kinds.cloned().collect())).await;
        join_all(all.into_iter().map(|(kind, found)| self.browse_kind(login, kind, found))).await;
    }

    /// Watches one kind of object.
    async fn browse_kind(&self, login: &Login, kind: Kind, of: discovery::DiscoveredKind) {
        let everywhere = SearchScope { kind: kind.clone(), namespace: None };
        let refused = self.follow(login, Api::all_with(login.client.clone(), &of.api), &everywhere, &of).await;
        self.events.send(BrowseEvent::Missing { scope: everywhere, fault: refused }).await;
        let browsing = self.namespaces.iter().map(|name| {
            let scope = SearchScope { kind: kind.clone(), namespace: Some(name.clone()) };
            let of = &of;
            async move {
                loop {
                    let api = Api::namespaced_with(login.client.clone(), name, &of.api);
                    let refused = self.follow(login, api, &scope, of).await;
                    self.events.send(BrowseEvent::Missing { scope: scope.clone(), fault: refused }).await;
                    sleep(REFUSED_RETRY_INTERVAL).await;
                }
            }
        });
        join_all(browsing).await;
    }

    /// Follows a place until it is refused. Other failures are retried.
    async fn follow(
        &self,
        login: &Login,
        api: Api<RawObject>,
        scope: &SearchScope,
        of: &discovery::DiscoveredKind,
    ) -> Fault {
        let mut stream = Watch::new(&self.clusters, &self.cluster, login, api, watcher::Config::default());
        let mut listing = Vec::new();
        let found = |object: &RawObject| {
            let (ports, labels) = object.ports(&scope.kind);
            Object { key: self.key(&scope.kind, object), ports, labels, owner: object.owner() }
        };
        loop {
            let event = match stream.next().await {
                Ok(watcher::Event::Init) => {
                    listing.clear();
                    continue;
                }
                Ok(watcher::Event::InitApply(object)) => {
                    // One more than is kept, so that it shows that there are more.
                    if listing.len() <= MAX_OBJECTS {
                        listing.extend(Some(found(&object)).filter(|found| !found.ports.is_empty()));
                    }
                    continue;
                }
                Ok(watcher::Event::InitDone) => {
                    BrowseEvent::Listed { scope: scope.clone(), all: std::mem::take(&mut listing) }
                }
                Ok(watcher::Event::Apply(object)) => BrowseEvent::Applied(found(&object)),
                Ok(watcher::Event::Delete(object)) => BrowseEvent::Gone(self.key(&scope.kind, &object)),
                Err(error) => {
                    let (_, fault) = watch_fault(&self.cluster, &error, &of.resource(), scope.namespace.as_deref());
                    if matches!(fault.what, What::Forbidden | What::AnswerTooLarge) {
                        return fault;
                    }
                    continue;
                }
            };
            self.events.send(event).await;
        }
    }

    fn key(&self, kind: &Kind, object: &RawObject) -> ObjectKey {
        ObjectKey {
            cluster: self.cluster.clone(),
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            kind: kind.clone(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}
