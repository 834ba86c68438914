//! Services and workloads with their ports, which can become targets. They are watched, not polled: in all namespaces
//! if that is allowed, else in each namespace that matters.

mod thing;

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
use brow_model::inventory::{MAX_OBJECTS, Object, ObjectKey, SearchScope};
use brow_model::workload::Kind;
use kube_tunnel::Login;

use thing::Thing;

/// Between two tries to look into a place that was refused: rights are granted while people wait for them.
const REFUSED: Duration = Duration::from_secs(15);
/// Between two tries to learn which kinds there are.
const PAUSE: Duration = Duration::from_secs(5);

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

/// Looks for everything that has ports, and goes on looking until it is dropped. `namespaces` are those to look into
/// where not all may be looked into at once.
pub async fn browse(
    clusters: Clusters,
    cluster: String,
    namespaces: BTreeSet<String>,
    events: EventSender<BrowseEvent>,
) {
    let mut looker = Looker { clusters: clusters.clone(), cluster: cluster.clone(), namespaces, events };
    let looking = clusters.with_logins(&cluster, &mut looker, |looker, login| {
        let looking = async move {
            let Ok(login) = login else { return false };
            looker.look_everywhere(&login).await;
            true
        };
        looking.boxed()
    });
    looking.await;
}

struct Looker {
    clusters: Clusters,
    cluster: String,
    namespaces: BTreeSet<String>,
    events: EventSender<BrowseEvent>,
}

impl Looker {
    async fn look_everywhere(&self, login: &Login) {
        let everywhere = KINDS.iter().map(|(kind, group, name, plural)| {
            let api = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", name), plural);
            self.look(login, kind.clone(), discovery::Found { api, scale: false })
        });
        tokio::join!(join_all(everywhere), self.look_further(login));
    }

    /// Looks for the kinds that something else brought to the cluster. Which there are is asked once: nothing tells of
    /// new ones but asking.
    async fn look_further(&self, login: &Login) {
        let found = loop {
            match discovery::workloads(&login.client).await {
                Ok(found) => break found,
                Err(error) => {
                    let (_, fault) = fault(&self.cluster, &error, None);
                    if fault.what == What::Forbidden {
                        break Vec::new();
                    }
                    sleep(PAUSE).await;
                }
            }
        };
        let all: Vec<(Kind, discovery::Found)> =
            found.into_iter().map(|found| (thing::kind(&found.api.group, &found.api.kind), found)).collect();
        let kinds = KINDS.iter().map(|(kind, ..)| kind).chain(all.iter().map(|(kind, _)| kind));
        self.events.send(BrowseEvent::Kinds(kinds.cloned().collect())).await;
        join_all(all.into_iter().map(|(kind, found)| self.look(login, kind, found))).await;
    }

    /// Looks for one kind of object.
    async fn look(&self, login: &Login, kind: Kind, of: discovery::Found) {
        let everywhere = SearchScope { kind: kind.clone(), namespace: None };
        let refused = self.follow(login, Api::all_with(login.client.clone(), &of.api), &everywhere, &of).await;
        self.events.send(BrowseEvent::Missing { scope: everywhere, fault: refused }).await;
        let looking = self.namespaces.iter().map(|name| {
            let scope = SearchScope { kind: kind.clone(), namespace: Some(name.clone()) };
            let of = &of;
            async move {
                loop {
                    let api = Api::namespaced_with(login.client.clone(), name, &of.api);
                    let refused = self.follow(login, api, &scope, of).await;
                    self.events.send(BrowseEvent::Missing { scope: scope.clone(), fault: refused }).await;
                    sleep(REFUSED).await;
                }
            }
        });
        join_all(looking).await;
    }

    /// Follows a place until it is refused. What fails otherwise is tried again.
    async fn follow(&self, login: &Login, api: Api<Thing>, scope: &SearchScope, of: &discovery::Found) -> Fault {
        let mut stream = Watch::new(&self.clusters, &self.cluster, login, api, watcher::Config::default());
        let mut listing = Vec::new();
        let found = |thing: &Thing| {
            let (ports, labels) = thing.ports(&scope.kind);
            Object { key: self.key(&scope.kind, thing), ports, labels, owner: thing.owner() }
        };
        loop {
            let event = match stream.next().await {
                Ok(watcher::Event::Init) => {
                    listing.clear();
                    continue;
                }
                Ok(watcher::Event::InitApply(thing)) => {
                    // One more than is kept, so that it shows that there are more.
                    if listing.len() <= MAX_OBJECTS {
                        listing.extend(Some(found(&thing)).filter(|found| !found.ports.is_empty()));
                    }
                    continue;
                }
                Ok(watcher::Event::InitDone) => {
                    BrowseEvent::Listed { scope: scope.clone(), all: std::mem::take(&mut listing) }
                }
                Ok(watcher::Event::Apply(thing)) => BrowseEvent::Applied(found(&thing)),
                Ok(watcher::Event::Delete(thing)) => BrowseEvent::Gone(self.key(&scope.kind, &thing)),
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

    fn key(&self, kind: &Kind, thing: &Thing) -> ObjectKey {
        ObjectKey {
            cluster: self.cluster.clone(),
            namespace: thing.metadata.namespace.clone().unwrap_or_default(),
            kind: kind.clone(),
            name: thing.metadata.name.clone().unwrap_or_default(),
        }
    }
}
