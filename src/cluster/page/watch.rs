//! The object of a page and the events about it, watched.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::pending;
use k8s_openapi::api::core::v1::Event;
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
use brow_model::page::{EventRow, ObjectDetails};
use brow_model::sanitize;
use kube_tunnel::Login;

/// The events that are kept of an object.
const MAX_EVENTS: usize = 500;

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
fn details(value: Value) -> ObjectDetails {
    let uid = value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let hidden = value["kind"] == "Secret" && ["data", "stringData"].iter().any(|field| value[*field].is_object());
    let summary = summary::of(&value);
    ObjectDetails { uid, summary, yaml: object::lines(value), hidden }
}

/// Watches the events about an object until the future is dropped.
pub async fn show_events(clusters: Clusters, at: ObjectRef, uid: String, events: EventSender<PageEvent>) {
    let context = at.cluster.clone();
    let mut about = About { clusters: clusters.clone(), at, uid, events };
    let showing = clusters.with_logins(&context, &mut about, |about, login| {
        let showing = async move {
            match login {
                Ok(login) => about.follow(&login).await,
                Err(fault) => {
                    about.events.send(PageEvent::EventsFailed(fault)).await;
                }
            }
            false
        };
        showing.boxed()
    });
    showing.await;
}

struct About {
    clusters: Clusters,
    at: ObjectRef,
    uid: String,
    events: EventSender<PageEvent>,
}

impl About {
    async fn follow(&self, login: &Login) {
        // Those about what belongs to no namespace are in this one.
        let namespace = if self.at.kind.namespaced { self.at.namespace.as_str() } else { "default" };
        let api: Api<Event> = Api::namespaced(login.client.clone(), namespace);
        let of = format!("involvedObject.kind={},involvedObject.name={}", self.at.kind.kind, self.at.name);
        // The kubelet names a node in the place of its uid.
        let of = if self.at.kind.kind == "Node" { of } else { format!("{of},involvedObject.uid={}", self.uid) };
        let config = watcher::Config::default().fields(&of);
        let mut watch = Watch::new(&self.clusters, &self.at.cluster, login, api, config);
        let mut all: BTreeMap<String, Event> = BTreeMap::new();
        loop {
            let key = |event: &Event| event.metadata.uid.clone().unwrap_or_default();
            match watch.next().await {
                Ok(watcher::Event::Init) => all.clear(),
                Ok(watcher::Event::InitApply(event)) => {
                    all.insert(key(&event), event);
                }
                Ok(watcher::Event::InitDone) => self.tell(&all).await,
                Ok(watcher::Event::Apply(event)) => {
                    all.insert(key(&event), event);
                    self.tell(&all).await;
                }
                // One that has expired has happened nevertheless.
                Ok(watcher::Event::Delete(_)) => {}
                Err(error) => {
                    let (_, fault) = watch_fault(&self.at.cluster, &error, "events", Some(namespace));
                    self.events.send(PageEvent::EventsFailed(fault)).await;
                }
            }
        }
    }

    async fn tell(&self, all: &BTreeMap<String, Event>) {
        let mut rows: Vec<EventRow> = all.values().map(row).collect();
        rows.sort_by_key(|row| Reverse(row.at));
        rows.truncate(MAX_EVENTS);
        self.events.send(PageEvent::Events(rows)).await;
    }
}

fn row(event: &Event) -> EventRow {
    let line = |text: Option<&String>| sanitize::line(text.map_or("", String::as_str)).into_owned();
    let at = |time: k8s_openapi::jiff::Timestamp| DateTime::<Utc>::from_timestamp(time.as_second(), 0);
    let series = event.series.as_ref();
    let last = series.and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = last.or(event.last_timestamp.as_ref().map(|time| time.0));
    let last = last.or(event.event_time.as_ref().map(|time| time.0));
    let last = last.or(event.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let count = series.and_then(|series| series.count).or(event.count).unwrap_or(1);
    let component = event.source.as_ref().and_then(|source| source.component.as_ref());
    EventRow {
        at: last.and_then(at),
        warning: event.type_.as_deref() == Some("Warning"),
        reason: line(event.reason.as_ref()),
        message: line(event.message.as_ref()),
        source: line(component.filter(|name| !name.is_empty()).or(event.reporting_component.as_ref())),
        count: u64::try_from(count).unwrap_or(1),
    }
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
