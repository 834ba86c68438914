//! The watch on all proxy pods of a cluster: of all namespaces if that is allowed, else one watch for each relevant
//! namespace. It never polls, and recovers by itself: kube's watcher lists and watches again after every end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch as channel;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::lifecycle::with_timeout;
use super::{MANAGED_BY, project};
use crate::cluster::{Clusters, Watch, fault, grant, watch_fault};
use crate::events::EventSender;
use brow_model::cluster::{Link, Scope};
use brow_model::event::ClusterEvent;
use brow_model::fault::{Fault, What};
use brow_model::proxy::{MAX_PODS, PodKey, ProxyPod};
use kube_tunnel::{Backoff, Login};

/// The pause before a refused namespace is tried again.
const REFUSED_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Reads the namespaces and names of the pods that this installation has requested.
pub type RequestedPods = Arc<dyn Fn() -> BoxFuture<'static, BTreeSet<(String, String)>> + Send + Sync>;

/// Watches the proxy pods of a cluster until `token` is cancelled. `namespaces` are watched if watching all of them is
/// not allowed; the set may grow. Of a list that is too long, pods under a name in `requested` are kept.
pub async fn watch(
    clusters: Clusters,
    cluster: String,
    namespaces: channel::Receiver<BTreeSet<String>>,
    requested: RequestedPods,
    events: EventSender<ClusterEvent>,
    token: CancellationToken,
) {
    let watching = async {
        let mut watcher =
            Watcher { clusters: clusters.clone(), cluster: cluster.clone(), requested, events, namespaces };
        let watching = clusters.with_logins(&cluster, &mut watcher, |watcher, login| {
            let watching = async move {
                let Ok(login) = login else { return false };
                watcher.watch_as(&login).await;
                watcher.events.is_closed() || watcher.namespaces.has_changed().is_err()
            };
            watching.boxed()
        });
        watching.await;
    };
    tokio::select! {
        () = token.cancelled() => {}
        () = watching => {}
    }
}

struct Watcher {
    clusters: Clusters,
    cluster: String,
    requested: RequestedPods,
    events: EventSender<ClusterEvent>,
    namespaces: channel::Receiver<BTreeSet<String>>,
}

impl Watcher {
    /// Watches with one login. Returns when rights have changed and the watch has to start over.
    async fn watch_as(&mut self, login: &Login) {
        let mut backoff = Backoff::default();
        let mut told = None;
        loop {
            match may_list(&login.client, &self.cluster, None).await {
                Ok(()) => {
                    if self.events.send(ClusterEvent::Watching { scope: Scope::All, refused: None }).await {
                        self.follow(login, None).await;
                    }
                    return;
                }
                Err((Link::Forbidden, refused)) => return self.by_namespace(login, refused).await,
                Err((link, fault)) => {
                    if !self.tell_once(&mut told, link, fault).await {
                        return;
                    }
                    if link == Link::Unauthorized {
                        self.clusters.refused(&self.cluster, login.generation);
                        // Whoever gets a newer one has it told, and this ends.
                        let _told = self.clusters.login(&self.cluster).await;
                    }
                    self.clusters.pause(&self.cluster, backoff.next_pause()).await;
                }
            }
        }
    }

    fn follow(&self, login: &Login, namespace: Option<String>) -> impl Future<Output = ()> + use<> {
        let (clusters, cluster, requested) = (self.clusters.clone(), self.cluster.clone(), Arc::clone(&self.requested));
        follow(clusters, cluster, login.clone(), namespace, requested, self.events.clone())
    }

    /// Reports a list that failed for another reason than a missing right, once for each. Returns false once the loop
    /// has ended.
    async fn tell_once(&self, told: &mut Option<What>, link: Link, fault: Fault) -> bool {
        // An outage is the probe's to report.
        if link == Link::Unreachable || told.replace(fault.what) == Some(fault.what) {
            return true;
        }
        self.events.send(ClusterEvent::Failed { link, fault }).await
    }

    /// Watches each namespace that allows it. Refused ones are tried again when the set changes or after a pause:
    /// rights are granted while people wait for them.
    async fn by_namespace(&mut self, login: &Login, refused: Fault) {
        let mut watching = BTreeSet::new();
        let mut tasks = JoinSet::new();
        let mut backoff = Backoff::default();
        let mut told = None;
        loop {
            let wanted = self.namespaces.borrow_and_update().clone();
            let mut denied = BTreeMap::new();
            let mut unsure = None;
            for name in wanted {
                if watching.contains(&name) {
                    continue;
                }
                match may_list(&login.client, &self.cluster, Some(&name)).await {
                    Ok(()) => {
                        watching.insert(name.clone());
                        let (cluster, events) = (self.cluster.clone(), self.events.clone());
                        let following = self.follow(login, Some(name));
                        let broken = |fault| ClusterEvent::Failed { link: Link::Unreachable, fault };
                        tasks.spawn(async move { events.contain(&cluster, following, broken).await });
                    }
                    Err((Link::Forbidden, fault)) => drop(denied.insert(name, fault)),
                    Err(failed) => unsure = Some(failed),
                }
            }
            if let Some((link, fault)) = unsure {
                // Whether it is allowed is not known yet.
                if !self.tell_once(&mut told, link, fault).await {
                    return;
                }
                self.clusters.pause(&self.cluster, backoff.next_pause()).await;
                continue;
            }
            backoff.reset();
            let again = !denied.is_empty();
            let event = if let (true, Some(fault)) = (watching.is_empty(), denied.values().next()) {
                ClusterEvent::Failed { link: Link::Forbidden, fault: fault.clone() }
            } else {
                let scope = Scope::Namespaces(watching.clone());
                ClusterEvent::Watching { scope, refused: Some(refused.clone()) }
            };
            if !(self.events.send(event).await && self.events.send(ClusterEvent::Denied(denied)).await) {
                return;
            }
            tokio::select! {
                changed = self.namespaces.changed() => if changed.is_err() { return },
                () = sleep(REFUSED_RETRY_INTERVAL), if again => {}
            }
        }
    }
}

/// Checks whether pods may be listed, by listing one.
async fn may_list(client: &Client, cluster: &str, namespace: Option<&str>) -> Result<(), (Link, Fault)> {
    let api: Api<Pod> = api(client.clone(), namespace);
    let params = kube::api::ListParams::default().labels(&selector()).limit(1);
    let listed = with_timeout(cluster, api.list_metadata(&params)).await.map_err(|fault| (Link::Unreachable, fault))?;
    listed.map(|_| ()).map_err(|error| fault(cluster, &error, Some(grant("list", "pods", namespace))))
}

fn api(client: Client, namespace: Option<&str>) -> Api<Pod> {
    match namespace {
        Some(name) => Api::namespaced(client, name),
        None => Api::all(client),
    }
}

fn selector() -> String {
    format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)
}

/// Follows the pods of one namespace, or of all as long as that is allowed. A list is reported as one event.
async fn follow(
    clusters: Clusters,
    cluster: String,
    login: Login,
    namespace: Option<String>,
    requested: RequestedPods,
    events: EventSender<ClusterEvent>,
) {
    let config = watcher::Config::default().labels(&selector());
    let api = api(login.client.clone(), namespace.as_deref());
    let mut watch = Watch::new(&clusters, &cluster, &login, api, config);
    let mut listing = Listing::default();
    let mut told: Option<What> = None;
    let row = |pod: &Pod| project(&cluster, pod);
    loop {
        let event = match watch.next().await {
            Ok(watcher::Event::Init) => {
                listing = Listing::default();
                continue;
            }
            Ok(watcher::Event::InitApply(pod)) => {
                if let Some(row) = row(&pod) {
                    listing.take(row, &requested).await;
                }
                continue;
            }
            Ok(watcher::Event::InitDone) => {
                told = None;
                ClusterEvent::Listed { namespace: namespace.clone(), pods: std::mem::take(&mut listing).pods }
            }
            Ok(watcher::Event::Apply(pod)) => match row(&pod) {
                Some(row) => ClusterEvent::Applied(Box::new(row)),
                None => continue,
            },
            Ok(watcher::Event::Delete(pod)) => deleted(&cluster, &pod),
            Err(error) => {
                // An outage is the probe's to report, once; a right that was taken away is ours.
                let (link, fault) = watch_fault(&cluster, &error, "pods", namespace.as_deref());
                let ours = matches!(link, Link::Forbidden | Link::Unauthorized) || fault.what == What::AnswerTooLarge;
                if !ours || told == Some(fault.what) {
                    continue;
                }
                told = Some(fault.what);
                let narrower = link == Link::Forbidden && namespace.is_none();
                let goes_on = events.send(ClusterEvent::Failed { link, fault }).await;
                if narrower || !goes_on {
                    // What is allowed in single namespaces has to be found out.
                    return;
                }
                continue;
            }
        };
        if !events.send(event).await {
            return;
        }
    }
}

/// A list as it arrives, by namespace and name: as many pods as are kept and one more, to show that there are more, and
/// all of ours besides.
#[derive(Default)]
struct Listing {
    pods: Vec<ProxyPod>,
    /// The names of our pods, read when first needed.
    requested: Option<BTreeSet<(String, String)>>,
}

impl Listing {
    /// Adds the next pod, if it is to be kept.
    async fn take(&mut self, pod: ProxyPod, requested: &RequestedPods) {
        if self.pods.len() > MAX_PODS {
            if self.requested.is_none() {
                self.requested = Some(requested().await);
            }
            // Names and not what the pods say of themselves: each stands for one pod at most.
            let name = (pod.key.namespace.clone(), pod.key.name.clone());
            if !self.requested.as_ref().is_some_and(|names| names.contains(&name)) {
                return;
            }
        }
        self.pods.push(pod);
    }
}

fn deleted(cluster: &str, pod: &Pod) -> ClusterEvent {
    let meta = &pod.metadata;
    let key = PodKey {
        cluster: cluster.to_owned(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    };
    ClusterEvent::Gone { key, uid: meta.uid.clone().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn ours_are_kept_of_a_list_that_is_too_long() {
        let mut listing = Listing::default();
        let read = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&read);
        let requested: RequestedPods = Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let names = ["brow-ours", "brow-ours-too"].map(|name| ("team".to_owned(), name.to_owned()));
            std::future::ready(names.into()).boxed()
        });
        let more = ["brow-ours", "brow-foreign", "brow-ours-too"].map(str::to_owned);
        for name in (0..=MAX_PODS).map(|number| format!("aaa-{number}")).chain(more) {
            let pod = serde_json::from_value(serde_json::json!({
                "metadata": { "name": name, "namespace": "team", "labels": { MANAGED_BY.0: MANAGED_BY.1 } },
            }));
            listing.take(project("dev", &pod.unwrap()).unwrap(), &requested).await;
        }
        let last: Vec<&str> = listing.pods[MAX_PODS..].iter().map(|pod| pod.key.name.as_str()).collect();
        assert_eq!(last, ["aaa-5000", "brow-ours", "brow-ours-too"]);
        assert_eq!(read.load(Ordering::Relaxed), 1, "once for a list");
    }
}
