//! The object of a page, watched.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::pending;
use kube::Api;
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use serde_json::Value;

use super::super::{Clusters, Watch, object, watch_fault};
use super::cache::{Known, PageCache};
use super::summary;
use crate::events::EventSender;
use brow_model::event::PageEvent;
use brow_model::fault::{Fault, What};
use brow_model::index::ObjectRef;
use brow_model::page::ObjectDetails;
use kube_tunnel::Login;

/// The pause before a refused request is tried again: rights are granted while people wait for them.
const REFUSED_RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// Watches an object until the future is dropped. It is fetched first, which needs the least rights.
pub async fn show_object(clusters: Clusters, cache: Arc<PageCache>, at: ObjectRef, events: EventSender<PageEvent>) {
    let context = at.cluster.clone();
    let mut page = Page { clusters: clusters.clone(), cache, at, events };
    let showing = clusters.with_logins(&context, &mut page, |page, login| {
        let showing = async move {
            match login {
                Ok(login) => page.follow(&login).await,
                Err(fault) => page.fail(fault).await,
            }
            false
        };
        showing.boxed()
    });
    showing.await;
}

struct Page {
    clusters: Clusters,
    cache: Arc<PageCache>,
    at: ObjectRef,
    events: EventSender<PageEvent>,
}

impl Page {
    async fn fail(&self, fault: Fault) {
        self.events.send(PageEvent::Failed(fault)).await;
    }

    async fn follow(&self, login: &Login) {
        let found: Result<DynamicObject, Fault> = object::get(&self.clusters, &self.at).await;
        match found {
            Ok(found) => self.found(&found).await,
            Err(fault) if fault.what == What::PodDeleted => {
                self.gone().await;
            }
            Err(fault) => {
                let waits = fault.what == What::Forbidden;
                if fault.what == What::Unauthorized {
                    self.clusters.refused(&self.at.cluster, login.generation);
                }
                self.fail(fault).await;
                if waits {
                    self.clusters.pause(&self.at.cluster, REFUSED_RETRY_INTERVAL).await;
                }
                return;
            }
        }
        self.watch(login).await;
    }

    async fn watch(&self, login: &Login) {
        let kind = &self.at.kind;
        let (resource, place) = (object::resource(kind), Some(self.at.namespace.as_str()).filter(|_| kind.namespaced));
        let api: Api<DynamicObject> = match place {
            Some(namespace) => Api::namespaced_with(login.client.clone(), namespace, &resource),
            None => Api::all_with(login.client.clone(), &resource),
        };
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.at.name));
        let mut watch = Watch::new(&self.clusters, &self.at.cluster, login, api, config);
        let mut there = false;
        loop {
            match watch.next().await {
                Ok(watcher::Event::Init) => there = false,
                Ok(watcher::Event::InitApply(found) | watcher::Event::Apply(found)) => {
                    there = true;
                    self.found(&found).await;
                }
                Ok(watcher::Event::InitDone) if there => {}
                Ok(watcher::Event::InitDone | watcher::Event::Delete(_)) => self.gone().await,
                Err(error) => {
                    let (_, fault) = watch_fault(&self.at.cluster, &error, &kind.resource(), place);
                    self.fail(fault).await;
                }
            }
        }
    }

    async fn found(&self, found: &DynamicObject) {
        let value = match object::value(&self.at.kind, found) {
            Ok(value) => value,
            Err(fault) => return self.fail(fault).await,
        };
        let details = details(value.clone());
        self.cache.put(self.at.clone(), Known::Found(Arc::new(value)));
        self.events.send(PageEvent::Found(Box::new(details))).await;
    }

    async fn gone(&self) {
        self.cache.put(self.at.clone(), Known::Missing);
        self.events.send(PageEvent::Gone).await;
    }
}

/// Makes of an object what its page shows of it.
fn details(mut value: Value) -> ObjectDetails {
    let uid = value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let hidden = value["kind"] == "Secret" && ["data", "stringData"].iter().any(|field| value[*field].is_object());
    let summary = summary::of(&value);
    let managed = object::fold(&mut value);
    ObjectDetails { uid, summary, yaml: object::lines(value), managed, hidden }
}

/// Waits until a pod of a namespace comes, changes or goes. Where that cannot be watched, for ever.
pub(super) async fn pods_change(clusters: &Clusters, cluster: &str, namespace: &str) {
    let Ok(login) = clusters.login(cluster).await else { return pending().await };
    let resource = object::resource(&super::pods());
    let api: Api<PartialObjectMeta> = Api::namespaced_with(login.client.clone(), namespace, &resource);
    let mut watch = Watch::new(clusters, cluster, &login, api, watcher::Config::default());
    let mut listed = false;
    loop {
        match watch.next().await {
            Ok(watcher::Event::InitDone) => listed = true,
            Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_)) if listed => return,
            Ok(_) | Err(_) => {}
        }
    }
}
