//! The events about the object of a page and about its pods, watched.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::runtime::watcher;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::time::sleep;

use super::super::{Clusters, Watch, watch_fault};
use super::cache::{Known, PageCache};
use super::select::selector_text;
use super::walk::REPEAT_INTERVAL;
use super::watch::pods_change;
use crate::events::EventSender;
use brow_model::event::PageEvent;
use brow_model::fault::Fault;
use brow_model::index::ObjectRef;
use brow_model::page::EventRow;
use brow_model::sanitize;
use kube_tunnel::Login;

/// The events that are shown, and the most that are kept of all pods of a namespace.
const MAX_EVENTS: usize = 500;
const MAX_KEPT: usize = 10_000;

/// Watches the events about an object, and about its pods if it stands for some, until the future is dropped.
pub async fn show_events(
    clusters: Clusters,
    cache: Arc<PageCache>,
    at: ObjectRef,
    uid: String,
    events: EventSender<PageEvent>,
) {
    let context = at.cluster.clone();
    let mut about = About { clusters: clusters.clone(), cache, at, uid, events, seen: Mutex::default() };
    let showing = clusters.with_logins(&context, &mut about, |about, login| {
        let showing = async move {
            match login {
                Ok(login) => {
                    tokio::join!(about.follow_own(&login), about.follow_pods(&login));
                }
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
    cache: Arc<PageCache>,
    at: ObjectRef,
    uid: String,
    events: EventSender<PageEvent>,
    seen: Mutex<Seen>,
}

/// Events, by their uids.
type Rows = BTreeMap<String, EventRow>;

#[derive(Default)]
struct Seen {
    own: Rows,
    /// Those about any pod of the namespace.
    of_pods: Rows,
    /// The names of the object's pods, also of those that are gone by now.
    pods: BTreeSet<String>,
    /// The reason why its pods are not known.
    fault: Option<Fault>,
}

impl Seen {
    /// Returns the events to show, the newest first.
    fn rows(&self) -> Vec<EventRow> {
        let of_pods = self.of_pods.values().filter(|row| self.pods.contains(&row.pod));
        let mut rows: Vec<EventRow> = self.own.values().chain(of_pods).cloned().collect();
        rows.sort_by_key(|row| Reverse(row.at));
        rows.truncate(MAX_EVENTS);
        rows
    }
}

impl About {
    async fn follow_own(&self, login: &Login) {
        let of = format!("involvedObject.kind={},involvedObject.name={}", self.at.kind.kind, self.at.name);
        // The kubelet names a node in the place of its uid.
        let of = if self.at.kind.kind == "Node" { of } else { format!("{of},involvedObject.uid={}", self.uid) };
        self.follow(login, &of, |seen| &mut seen.own, |_| String::new()).await;
    }

    /// Follows the events about the object's pods, if it stands for some.
    async fn follow_pods(&self, login: &Login) {
        let Ok(Known::Found(value)) = self.cache.get(&self.at).await else { return };
        if !stands_for_pods(&value) {
            return;
        }
        let pod = |event: &Event| event.involved_object.name.clone().unwrap_or_default();
        let following = self.follow(login, "involvedObject.kind=Pod", |seen| &mut seen.of_pods, pod);
        tokio::join!(following, self.find_pods());
    }

    /// Finds the object's pods, again whenever pods of the namespace change.
    async fn find_pods(&self) {
        loop {
            let found = super::find_pods(&self.clusters, Arc::clone(&self.cache), &self.at).await;
            {
                let mut seen = self.seen();
                match found {
                    Ok(pods) => {
                        seen.pods.extend(pods.into_iter().map(|pod| pod.key.name));
                        seen.fault = None;
                    }
                    Err(fault) => seen.fault = Some(fault),
                }
            }
            self.tell().await;
            pods_change(&self.clusters, &self.at.cluster, &self.at.namespace).await;
            // Changes come in bursts.
            sleep(REPEAT_INTERVAL).await;
            self.cache.forget_pods();
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    /// Watches the events that a field selector finds.
    async fn follow(&self, login: &Login, fields: &str, of: fn(&mut Seen) -> &mut Rows, pod: fn(&Event) -> String) {
        // Those about what belongs to no namespace are in this one.
        let namespace = if self.at.kind.namespaced { self.at.namespace.as_str() } else { "default" };
        let api: Api<Event> = Api::namespaced(login.client.clone(), namespace);
        let config = watcher::Config::default().fields(fields);
        let mut watch = Watch::new(&self.clusters, &self.at.cluster, login, api, config);
        let mut listed = false;
        loop {
            match watch.next().await {
                Ok(watcher::Event::Init) => {
                    of(&mut self.seen()).clear();
                    listed = false;
                }
                Ok(watcher::Event::InitApply(event) | watcher::Event::Apply(event)) => {
                    let key = event.metadata.uid.clone().unwrap_or_default();
                    let row = row(&event, &pod(&event));
                    {
                        let mut seen = self.seen();
                        let rows = of(&mut seen);
                        if rows.len() < MAX_KEPT || rows.contains_key(&key) {
                            rows.insert(key, row);
                        }
                    }
                    if listed {
                        self.tell().await;
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    listed = true;
                    self.tell().await;
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

    async fn tell(&self) {
        let (rows, fault) = {
            let seen = self.seen();
            (seen.rows(), seen.fault.clone())
        };
        self.events.send(PageEvent::Events(rows)).await;
        if let Some(fault) = fault {
            self.events.send(PageEvent::EventsFailed(fault)).await;
        }
    }
}

/// Returns true if an object stands for pods: it selects some, or has a template of them. A claim selects volumes.
fn stands_for_pods(object: &Value) -> bool {
    let spec = &object["spec"];
    let has_template = spec["template"].is_object() || spec["jobTemplate"].is_object();
    has_template || object["kind"] != "PersistentVolumeClaim" && !selector_text(&spec["selector"]).is_empty()
}

fn row(event: &Event, pod: &str) -> EventRow {
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
        pod: sanitize::line(pod).into_owned(),
        source: line(component.filter(|name| !name.is_empty()).or(event.reporting_component.as_ref())),
        count: u64::try_from(count).unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_selects_pods_or_has_a_template_of_them_stands_for_pods() {
        for (object, wanted) in [
            (json!({ "kind": "Deployment", "spec": { "selector": { "matchLabels": { "app": "web" } } } }), true),
            (json!({ "kind": "Service", "spec": { "selector": { "app": "web" } } }), true),
            (json!({ "kind": "Service", "spec": { "externalName": "db.example" } }), false),
            (json!({ "kind": "CronJob", "spec": { "jobTemplate": { "spec": {} } } }), true),
            (json!({ "kind": "CloneSet", "spec": { "template": { "spec": {} } } }), true),
            (
                json!({ "kind": "PersistentVolumeClaim", "spec": { "selector": { "matchLabels": { "a": "b" } } } }),
                false,
            ),
            (json!({ "kind": "Pod", "spec": { "containers": [] } }), false),
            (json!({ "kind": "ConfigMap" }), false),
        ] {
            assert_eq!(stands_for_pods(&object), wanted, "{object}");
        }
    }

    #[test]
    fn events_of_its_own_pods_stand_among_its_own_by_time() {
        let event = |name: &str, pod: &str, at: i64| {
            let event = Event { reason: Some(name.to_owned()), ..Event::default() };
            let row = row(&event, pod);
            (name.to_owned(), EventRow { at: DateTime::<Utc>::from_timestamp(at, 0), ..row })
        };
        let seen = Seen {
            own: [event("Scaled", "", 3)].into(),
            of_pods: [event("Pulled", "web-1", 1), event("Killed", "web-0", 4), event("Other", "db-0", 5)].into(),
            pods: ["web-0", "web-1"].map(str::to_owned).into(),
            fault: None,
        };
        let rows: Vec<String> = seen.rows().iter().map(|row| format!("{} {}", row.reason, row.pod)).collect();
        assert_eq!(rows, ["Killed web-0", "Scaled ", "Pulled web-1"]);
    }
}
