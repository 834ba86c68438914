//! Watches: what changes, told as it changes, from the version on that a list ended with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::kinds::Kind;
use super::response::{Refusal, Response, stream};
use super::select::Selector;
use super::store::Change;
use super::table;
use super::world::World;

/// Between two bookmarks (`apiserver/pkg/storage/cacher`).
const BOOKMARK_INTERVAL: Duration = Duration::from_mins(1);

/// The duration of a watch without `timeoutSeconds`.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(30);

/// Events that wait for a client that reads slowly.
const EVENT_CAPACITY: usize = 64;

/// The form of the objects in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// `PartialObjectMetadata`
    Metadata,
    /// `Table`, with the objects in its rows whole or not.
    Table {
        pods: bool,
        whole: bool,
    },
}

impl Form {
    /// The first that the Accept header names, and that there is.
    pub(super) fn wanted(headers: &HeaderMap, kind: &Kind, include: &str) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let first = accept.split(',').find(|part| part.contains("json")).unwrap_or_default();
        if first.contains("as=PartialObjectMetadata") {
            Self::Metadata
        } else if first.contains("as=Table") {
            Self::Table { pods: kind.plural == "pods", whole: include == "Object" }
        } else {
            Self::Whole
        }
    }

    /// An object by itself.
    pub(super) fn of(self, object: &Value) -> Value {
        match self {
            Self::Whole => object.clone(),
            Self::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
            }),
            Self::Table { pods, whole } => table::of(
                std::iter::once(object),
                (pods, whole),
                &json!({ "resourceVersion": object["metadata"]["resourceVersion"] }),
            ),
        }
    }

    /// An object in a list, which has the kind for all.
    pub(super) fn item(self, object: &Value) -> Value {
        let mut item = self.of(object);
        if let (Self::Whole, Some(fields)) = (self, item.as_object_mut()) {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        item
    }

    /// The kind and version of a list.
    pub(super) fn list(self, kind: &Kind) -> (String, String) {
        match self {
            Self::Whole | Self::Table { .. } => (format!("{}List", kind.kind), kind.api_version()),
            Self::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        }
    }
}

struct Watch {
    world: Arc<World>,
    kind: &'static Kind,
    place: Option<String>,
    selector: Selector,
    form: Form,
    /// The version up to which the client has received changes.
    version: u64,
    bookmarks: bool,
    events: mpsc::Sender<Bytes>,
}

/// The client has gone, or cannot be served on.
struct Over;

pub(super) fn answer(
    world: &Arc<World>,
    kind: &'static Kind,
    place: Option<String>,
    selector: Selector,
    form: Form,
    query: &HashMap<String, String>,
) -> Result<Response, Refusal> {
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let flag = |name: &str| matches!(text(name), "true" | "1");
    let from = match text("resourceVersion") {
        "" => 0,
        version => version.parse().map_err(|_| Refusal::bad(format!("Invalid value: \"{version}\"")))?,
    };
    let lasts = text("timeoutSeconds").parse().map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let (events, queue) = mpsc::channel(EVENT_CAPACITY);
    let bookmarks = flag("allowWatchBookmarks");
    let mut watch = Watch { world: Arc::clone(world), kind, place, selector, form, version: from, bookmarks, events };
    let marked = flag("sendInitialEvents");
    let initial = from == 0 || marked;
    world.spawn(async move {
        let end = Instant::now() + lasts;
        let told = async {
            if initial {
                watch.state(marked).await?;
            }
            watch.follow(end).await
        };
        // The stream ends with its sender, however that came.
        let _over = told.await;
    });
    Ok(stream("application/json", queue))
}

impl Watch {
    async fn send(&self, event: &str, object: &Value) -> Result<(), Over> {
        let line = format!("{}\n", json!({ "type": event, "object": object }));
        self.events.send(line.into()).await.map_err(|_| Over)
    }

    /// Tells all there is.
    async fn state(&mut self, mark: bool) -> Result<(), Over> {
        let (all, version) = self.world.store.list(self.kind.plural, self.place.as_deref());
        for object in all.iter().filter(|object| self.selector.takes(object)) {
            self.send("ADDED", &self.form.of(object)).await?;
        }
        self.version = version;
        if mark { self.mark(true).await } else { Ok(()) }
    }

    async fn mark(&self, initial: bool) -> Result<(), Over> {
        let mut meta = json!({ "resourceVersion": self.version.to_string(), "creationTimestamp": null });
        if initial {
            meta["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let bookmark = json!({ "kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": meta });
        self.send("BOOKMARK", &self.form.of(&bookmark)).await
    }

    async fn follow(&mut self, end: Instant) -> Result<(), Over> {
        let mut versions = self.world.store.subscribe();
        let mut bookmark = Instant::now() + BOOKMARK_INTERVAL;
        loop {
            versions.mark_unchanged();
            let (changes, version) = match self.world.store.since(self.kind.plural, self.version) {
                Ok(news) => news,
                Err(expired) => {
                    return self.send("ERROR", &Refusal::expired(self.version, expired.oldest).status()).await;
                }
            };
            for change in changes {
                if let Some((event, object)) = self.news(&change) {
                    self.send(event, &object).await?;
                }
            }
            self.version = self.version.max(version);
            tokio::select! {
                _ = versions.changed() => {}
                () = self.events.closed() => return Err(Over),
                () = sleep_until(bookmark), if self.bookmarks => {
                    self.mark(false).await?;
                    bookmark += BOOKMARK_INTERVAL;
                }
                () = sleep_until(end) => {
                    return if self.bookmarks { self.mark(false).await } else { Ok(()) };
                }
            }
        }
    }

    /// Translates a change into an event of this watch: an object may enter its selection, or leave it.
    fn news(&self, change: &Change) -> Option<(&'static str, Value)> {
        if self.place.as_ref().is_some_and(|place| *place != change.key.namespace) {
            return None;
        }
        let ours = |object: &Option<Arc<Value>>| object.clone().filter(|object| self.selector.takes(object));
        let (event, object) = match (ours(&change.before), ours(&change.after)) {
            (None, None) => return None,
            (None, Some(now)) => ("ADDED", now),
            (Some(_), Some(now)) => ("MODIFIED", now),
            (Some(was), None) => {
                let mut last = Value::clone(&was);
                last["metadata"]["resourceVersion"] = change.version.to_string().into();
                return Some(("DELETED", self.form.of(&last)));
            }
        };
        Some((event, self.form.of(&object)))
    }
}
