//! The index of a cluster: the metadata of its objects, listed once and then watched.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use kube::Api;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::workload::discovery;
use super::{Clusters, Watch, fault, watch_fault};
use crate::events::EventSender;
use brow_model::event::IndexEvent;
use brow_model::fault::{Fault, What};
use brow_model::index::{Entry, Indexed, ServedKind};
use kube_tunnel::Login;

/// The number of kinds that are listed at a time.
const MAX_CONCURRENT: usize = 8;

/// The number of watches at a time: each is a connection of its own. What comes after them is listed in turn.
const MAX_WATCHES: usize = 32;

/// The pause before what is not watched is listed again.
const LIST_INTERVAL: Duration = Duration::from_mins(1);

/// Objects in an event: as many as in a page of a list.
const PAGE: usize = 500;

/// Indexes a cluster until it is dropped. `namespaces` are listed where not all may be at once, or `only` they.
pub async fn index(
    clusters: Clusters,
    cluster: String,
    namespaces: BTreeSet<String>,
    only: bool,
    events: EventSender<IndexEvent>,
) {
    let mut indexer = Indexer {
        clusters: clusters.clone(),
        cluster: cluster.clone(),
        namespaces: namespaces.into_iter().map(Arc::from).collect(),
        only,
        events,
        permits: Semaphore::new(MAX_CONCURRENT),
        watches: Semaphore::new(MAX_WATCHES),
        list_interval: LIST_INTERVAL,
        names: Mutex::default(),
    };
    let indexing = clusters.with_logins(&cluster, &mut indexer, |indexer, login| {
        let indexing = async move {
            let Ok(login) = login else { return false };
            indexer.run(&login).await
        };
        indexing.boxed()
    });
    indexing.await;
}

struct Indexer {
    clusters: Clusters,
    cluster: String,
    namespaces: Vec<Arc<str>>,
    only: bool,
    events: EventSender<IndexEvent>,
    permits: Semaphore,
    watches: Semaphore,
    /// The pause before what is not watched is listed again.
    list_interval: Duration,
    /// Names of namespaces, each of which all objects in it share.
    names: Mutex<BTreeSet<Arc<str>>>,
}

/// One kind in one namespace, or all.
struct Scope<'a> {
    number: usize,
    kind: &'a ServedKind,
    namespace: Option<&'a Arc<str>>,
}

impl Indexer {
    /// Indexes everything; false if the kinds are not known.
    async fn run(&self, login: &Login) -> bool {
        let mut kinds = match discovery::served(&login.client).await {
            Ok(kinds) => kinds,
            Err(error) => {
                self.events.send(IndexEvent::Unknown(fault(&self.cluster, &error, None).1)).await;
                return false;
            }
        };
        kinds.retain(|kind| discovery::is_indexed(kind) && (kind.namespaced || !self.only));
        let kinds: Vec<Arc<ServedKind>> = kinds.into_iter().map(Arc::new).collect();
        self.events.send(IndexEvent::Kinds(kinds.clone())).await;
        join_all(kinds.iter().enumerate().map(|(number, kind)| self.follow_kind(login, number, kind))).await;
        true
    }

    async fn follow_kind(&self, login: &Login, number: usize, kind: &ServedKind) {
        if !self.only {
            let refused = self.follow(login, &Scope { number, kind, namespace: None }).await;
            let namespaces = if kind.namespaced { self.namespaces.len() } else { 0 };
            self.events.send(IndexEvent::Narrowed { kind: number, fault: refused, namespaces }).await;
            if !kind.namespaced {
                return;
            }
        }
        let following = self.namespaces.iter().map(async |namespace| {
            let refused = self.follow(login, &Scope { number, kind, namespace: Some(namespace) }).await;
            self.events.send(IndexEvent::Missing { kind: number, fault: refused }).await;
        });
        join_all(following).await;
    }

    /// Follows a scope until it is refused. Other failures are retried; one before the first list is reported too.
    async fn follow(&self, login: &Login, scope: &Scope<'_>) -> Fault {
        let Scope { number, kind, namespace } = *scope;
        let resource = super::object::resource(kind);
        let api: Api<PartialObjectMeta> = match namespace {
            Some(namespace) => Api::namespaced_with(login.client.clone(), namespace, &resource),
            None => Api::all_with(login.client.clone(), &resource),
        };
        let new = || Watch::new(&self.clusters, &self.cluster, login, api.clone(), watcher::Config::default());
        // Kubernetes' own kinds come before others: they change most.
        let own = !kind.is_custom();
        let (mut watch, mut watched) = (new(), own.then(|| self.watches.try_acquire().ok()).flatten());
        // It is never closed.
        let mut permit = self.permits.acquire().await.ok();
        let (mut rows, mut first, mut listed) = (Vec::new(), true, false);
        loop {
            match watch.next().await {
                Ok(watcher::Event::Init) => {
                    rows.clear();
                    first = true;
                }
                Ok(watcher::Event::InitApply(object)) => {
                    rows.push(self.row(object));
                    if rows.len() >= PAGE {
                        self.send_page(scope, std::mem::take(&mut rows), std::mem::take(&mut first), false).await;
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    permit = None;
                    listed = true;
                    self.send_page(scope, std::mem::take(&mut rows), first, true).await;
                    watched = watched.or_else(|| self.watches.try_acquire().ok());
                    if watched.is_none() {
                        // It would open its connection when it is asked for more.
                        watch = new();
                        sleep(self.list_interval).await;
                        permit = self.permits.acquire().await.ok();
                    }
                }
                Ok(watcher::Event::Apply(object)) => {
                    self.events.send(IndexEvent::Applied { kind: number, row: self.row(object) }).await;
                }
                Ok(watcher::Event::Delete(object)) => {
                    let Indexed { namespace, name, .. } = self.row(object);
                    self.events.send(IndexEvent::Gone { kind: number, namespace, name }).await;
                }
                Err(error) => {
                    let place = namespace.map(AsRef::as_ref);
                    let (_, fault) = watch_fault(&self.cluster, &error, &kind.resource(), place);
                    if matches!(fault.what, What::Forbidden | What::AnswerTooLarge) {
                        return fault;
                    }
                    if permit.take().is_some() && !listed {
                        // Others go on meanwhile, and the search does not wait for it.
                        self.events.send(IndexEvent::Missing { kind: number, fault }).await;
                    }
                }
            }
        }
    }

    async fn send_page(&self, scope: &Scope<'_>, rows: Vec<Indexed>, first: bool, last: bool) {
        let (kind, namespace) = (scope.number, scope.namespace.cloned());
        self.events.send(IndexEvent::Page { kind, namespace, rows, first, last }).await;
    }

    /// Keeps what the index needs of an object.
    fn row(&self, object: PartialObjectMeta) -> Indexed {
        let meta = object.metadata;
        let namespace = meta.namespace.unwrap_or_default();
        let mut names = self.names.lock();
        let namespace = names.get(namespace.as_str()).cloned().unwrap_or_else(|| {
            let namespace: Arc<str> = namespace.into();
            names.insert(Arc::clone(&namespace));
            namespace
        });
        let created = meta.creation_timestamp.map_or(0, |time| time.0.as_second());
        let entry = Entry::new(&meta.labels.unwrap_or_default(), created);
        Indexed { namespace, name: meta.name.unwrap_or_default().into(), entry }
    }
}

#[cfg(test)]
mod tests;
