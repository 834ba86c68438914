//! The requests of a page: at most eight at a time, their answers kept as long as the page is open.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, ListParams};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use super::super::workload::discovery;
use super::super::{Clusters, fault, grant, object};
use brow_model::fault::{Fault, What};
use brow_model::index::{ObjectRef, ServedKind};

/// The requests at a time.
const MAX_CONCURRENT: usize = 8;

/// The objects of a list that are read.
const MAX_LISTED: u32 = 500;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The knowledge of an object.
#[derive(Debug, Clone)]
pub(super) enum Known {
    Found(Arc<Value>),
    Missing,
    /// It may not be read.
    Refused(Fault),
}

/// Objects that were listed.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed {
    pub objects: Vec<Arc<Value>>,
    /// The reason why there are none, or not all.
    pub fault: Option<Fault>,
}

/// A list that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ListQuery {
    pub kind: Arc<ServedKind>,
    /// Empty for all.
    pub namespace: String,
    pub labels: String,
    pub fields: String,
    /// True if only the metadata is wanted.
    pub metadata: bool,
}

/// The answers for the pages of one cluster.
pub struct PageCache {
    pub(super) clusters: Clusters,
    pub(super) cluster: String,
    kinds: OnceCell<Vec<Arc<ServedKind>>>,
    objects: Answers<ObjectRef, Known>,
    lists: Answers<ListQuery, Listed>,
    permits: Semaphore,
}

/// Answers by what was asked; of several who ask for the same, one requests it.
struct Answers<K, V>(Mutex<HashMap<K, Arc<OnceCell<V>>>>);

impl<K: Hash + Eq, V> Answers<K, V> {
    fn cell(&self, key: K) -> Arc<OnceCell<V>> {
        Arc::clone(self.0.lock().entry(key).or_default())
    }

    fn retain(&self, stays: impl Fn(&K) -> bool) {
        self.0.lock().retain(|key, _| stays(key));
    }

    fn put(&self, key: K, value: V) {
        let cell = Arc::new(OnceCell::new_with(Some(value)));
        self.0.lock().insert(key, cell);
    }
}

impl PageCache {
    pub fn new(clusters: Clusters, cluster: String) -> Self {
        Self {
            clusters,
            cluster,
            kinds: OnceCell::new(),
            objects: Answers(Mutex::default()),
            lists: Answers(Mutex::default()),
            permits: Semaphore::new(MAX_CONCURRENT),
        }
    }

    /// Returns true if it is for this cluster.
    pub fn is_of(&self, cluster: &str) -> bool {
        self.cluster == cluster
    }

    /// Keeps an object as it is now.
    pub(super) fn put(&self, at: ObjectRef, known: Known) {
        self.objects.put(at, known);
    }

    /// Forgets what is known of pods and of what changes with them.
    pub(super) fn forget_pods(&self) {
        const CHANGING: [&str; 5] = ["pods", "replicasets", "endpointslices", "endpoints", "jobs"];
        let stays = |kind: &ServedKind| !CHANGING.contains(&kind.plural.as_str());
        self.objects.retain(|at| stays(&at.kind));
        self.lists.retain(|query| stays(&query.kind));
    }

    /// Returns every kind that the cluster serves.
    pub(super) async fn kinds(&self) -> Result<&[Arc<ServedKind>], Fault> {
        let asking = async || {
            let client = self.clusters.client(&self.cluster).await?;
            let served = discovery::served(&client).await.map_err(|error| fault(&self.cluster, &error, None).1)?;
            Ok(served.into_iter().map(Arc::new).collect())
        };
        self.kinds.get_or_try_init(asking).await.map(Vec::as_slice)
    }

    /// Returns an object.
    pub(super) async fn get(&self, at: &ObjectRef) -> Result<Known, Fault> {
        let asking = async || {
            // It is never closed.
            let _permit = self.permits.acquire().await.ok();
            match object::get::<DynamicObject>(&self.clusters, at).await {
                Ok(found) => Ok(Known::Found(Arc::new(object::value(&at.kind, &found)?))),
                Err(fault) => match fault.what {
                    What::PodDeleted => Ok(Known::Missing),
                    What::Forbidden => Ok(Known::Refused(fault)),
                    _ => Err(fault),
                },
            }
        };
        self.objects.cell(at.clone()).get_or_try_init(asking).await.cloned()
    }

    /// Lists objects.
    pub(super) async fn list(&self, query: ListQuery) -> Result<Listed, Fault> {
        let asking = async || {
            let _permit = self.permits.acquire().await.ok();
            self.ask_for_list(&query).await
        };
        self.lists.cell(query.clone()).get_or_try_init(asking).await.cloned()
    }

    async fn ask_for_list(&self, query: &ListQuery) -> Result<Listed, Fault> {
        let ListQuery { kind, namespace, labels, fields, metadata } = query;
        let client = self.clusters.client(&self.cluster).await?;
        let resource = object::resource(kind);
        let place = Some(namespace.as_str()).filter(|namespace| kind.namespaced && !namespace.is_empty());
        let api: Api<DynamicObject> = match place {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let params = ListParams::default().labels(labels).fields(fields).limit(MAX_LISTED);
        let asking = async {
            if *metadata {
                let list = api.list_metadata(&params).await?;
                Ok((values(kind, &list.items), list.metadata.continue_))
            } else {
                let list = api.list(&params).await?;
                Ok::<_, kube::Error>((values(kind, &list.items), list.metadata.continue_))
            }
        };
        let words = || format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
        let answer = timeout(REQUEST_TIMEOUT, asking).await;
        match answer.map_err(|_| Fault::new(What::TimedOut, &self.cluster, words()))? {
            Ok((objects, rest)) => {
                let objects = objects?;
                let more = rest.is_some_and(|token| !token.is_empty());
                let fault = more.then(|| Fault::new(What::TooMany, kind.resource(), MAX_LISTED.to_string()));
                Ok(Listed { objects, fault })
            }
            Err(error) => {
                let (_, fault) = fault(&self.cluster, &error, Some(grant("list", &kind.resource(), place)));
                let lasts = matches!(fault.what, What::Forbidden | What::AnswerTooLarge | What::PodDeleted);
                if lasts { Ok(Listed { objects: Vec::new(), fault: Some(fault) }) } else { Err(fault) }
            }
        }
    }
}

fn values(kind: &ServedKind, items: &[impl serde::Serialize]) -> Result<Vec<Arc<Value>>, Fault> {
    items.iter().map(|item| object::value(kind, item).map(Arc::new)).collect()
}

#[cfg(test)]
impl PageCache {
    /// A cache for a cluster that serves these kinds.
    pub(super) fn filled(clusters: Clusters, cluster: &str, kinds: Vec<Arc<ServedKind>>) -> Self {
        Self { kinds: OnceCell::new_with(Some(kinds)), ..Self::new(clusters, cluster.to_owned()) }
    }

    /// Keeps a list of objects.
    pub(super) fn put_list(&self, namespace: &str, kind: &Arc<ServedKind>, labels: &str, objects: Vec<Arc<Value>>) {
        let query = ListQuery {
            kind: Arc::clone(kind),
            namespace: namespace.to_owned(),
            labels: labels.to_owned(),
            fields: String::new(),
            metadata: false,
        };
        self.lists.put(query, Listed { objects, fault: None });
    }
}
