//! The tree of relations: found step by step from the object of the page, each object once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::sleep;

use super::cache::{Known, ListQuery, PageCache};
use super::refs::{Edge, Reference, Search, Way, edges, text};
use super::summary;
use super::watch::pods_change;
use crate::events::EventSender;
use brow_model::event::{PageEvent, Related};
use brow_model::fault::{Fault, What};
use brow_model::index::{ObjectRef, ServedKind};
use brow_model::page::{Relation, RelationRow, RelationState};

/// The objects of one search that are shown.
const MAX_FOUND: usize = 100;

/// The pause between a change and the next search.
pub(super) const REPEAT_INTERVAL: Duration = Duration::from_secs(2);

/// The objects of a tree.
const MAX_NODES: usize = 2_000;

/// The kinds whose objects change without meaning anything, and are not looked through for what an object owns.
const NOISE: [&str; 4] = ["events", "leases", "endpoints", "componentstatuses"];

/// Finds what an object is related to, so many steps away, and tells it as it is found; then again whenever pods in
/// its namespace change, until it is dropped.
pub async fn relate(cache: Arc<PageCache>, object: ObjectRef, depth: usize, events: EventSender<PageEvent>) {
    let mut first = true;
    loop {
        let mut walk = Walk::new(Arc::clone(&cache));
        let (mut level, mut step) = (walk.begin(object.clone()).await, 0);
        while step < depth && !level.is_empty() {
            if first {
                events.send(PageEvent::Related(Box::new(walk.tell(false)))).await;
            }
            level = walk.step(&level).await;
            step += 1;
        }
        first = false;
        events.send(PageEvent::Related(Box::new(walk.tell(true)))).await;
        if object.namespace.is_empty() {
            return;
        }
        pods_change(&cache.clusters, &cache.cluster, &object.namespace).await;
        // Changes come in bursts.
        sleep(REPEAT_INTERVAL).await;
        cache.forget_pods();
    }
}

/// Returns the pods that an object stands for, by way of its relations.
pub(super) async fn pods_below(
    cache: Arc<PageCache>,
    object: ObjectRef,
    depth: usize,
) -> (Vec<Arc<Value>>, Vec<Fault>) {
    let mut walk = Walk::new(cache);
    let mut level = walk.begin(object).await;
    for _ in 0..depth {
        // Neither what lies above nor what a pod refers to leads to further pods.
        let leads_on = |node: &Node| node.way != Way::Up && node.row.object.kind.resource() != "pods";
        level.retain(|at| leads_on(&walk.nodes[*at]));
        level = walk.step(&level).await;
    }
    let is_pod = |node: &&Node| {
        let below = !matches!(node.row.relation, Relation::SelectedBy | Relation::UsedBy);
        below && node.row.object.kind.resource() == "pods"
    };
    let pods = walk.nodes.iter().filter(is_pod).filter_map(|node| node.value.clone()).collect();
    (pods, walk.faults.into_inner())
}

struct Walk {
    cache: Arc<PageCache>,
    nodes: Vec<Node>,
    /// The uids of the objects in the tree, or the names of those that have none.
    seen: HashSet<String>,
    faults: Mutex<Vec<Fault>>,
}

struct Node {
    row: RelationRow,
    value: Option<Arc<Value>>,
    way: Way,
    children: Vec<usize>,
}

/// An object that was found from another.
struct RelatedObject {
    relation: Relation,
    object: ObjectRef,
    via: String,
    state: RelationState,
    value: Option<Arc<Value>>,
}

impl Walk {
    fn new(cache: Arc<PageCache>) -> Self {
        Self { cache, nodes: Vec::new(), seen: HashSet::new(), faults: Mutex::default() }
    }

    /// Begins with the object of the page.
    async fn begin(&mut self, object: ObjectRef) -> Vec<usize> {
        let (state, value) = self.look(&object, None, false).await;
        self.seen.insert(key(&object, value.as_deref()));
        let uid = uid(value.as_deref());
        let row = RelationRow { depth: 0, relation: Relation::Root, object, via: String::new(), state, uid };
        self.nodes.push(Node { row, value, way: Way::Both, children: Vec::new() });
        vec![0]
    }

    /// Goes one step on from all objects of a level. Returns the next level.
    async fn step(&mut self, level: &[usize]) -> Vec<usize> {
        let found = join_all(level.iter().map(|at| self.expand(&self.nodes[*at]))).await;
        let mut next = Vec::new();
        for (from, all) in level.iter().zip(found) {
            for one in all {
                if self.nodes.len() < MAX_NODES {
                    next.extend(self.add(*from, one));
                }
            }
        }
        next
    }

    /// Adds what was found from an object. Returns its number if it is to be followed further.
    fn add(&mut self, from: usize, found: RelatedObject) -> Option<usize> {
        let depth = self.nodes[from].row.depth + 1;
        let new = self.seen.insert(key(&found.object, found.value.as_deref()));
        // Each pod of a workload needs the same: it is shown once.
        let repeats = matches!(found.relation, Relation::Uses | Relation::RunsOn) && depth > 1;
        if !new && (repeats || self.nodes[from].row.object == found.object) {
            return None;
        }
        let state = if new { found.state } else { RelationState::Again };
        let RelatedObject { relation, object, via, value, .. } = found;
        let uid = uid(value.as_deref());
        let at = self.nodes.len();
        self.nodes[from].children.push(at);
        let follow = new && value.is_some();
        self.nodes.push(Node {
            row: RelationRow { depth, relation, object, via, state, uid },
            value,
            way: way_of(relation),
            children: Vec::new(),
        });
        follow.then_some(at)
    }

    /// Finds all that an object is related to.
    async fn expand(&self, node: &Node) -> Vec<RelatedObject> {
        let Some(value) = &node.value else { return Vec::new() };
        let following = edges(value, node.way).into_iter().map(async |edge| match edge {
            Edge::To(reference) => self.follow(reference).await.into_iter().collect(),
            Edge::Those(search) => self.search(search).await,
        });
        join_all(following).await.into_iter().flatten().collect()
    }

    async fn follow(&self, reference: Reference) -> Option<RelatedObject> {
        let kinds = self.kinds().await?;
        let known = kinds.iter().find(|kind| kind.group == reference.group && kind.kind == reference.kind);
        // A kind of Kubernetes that is not served cannot be looked up; another one is missing with all its objects.
        let custom = reference.group.contains('.') && !reference.group.ends_with("k8s.io");
        let kind = known.cloned().or_else(|| custom.then(|| Arc::new(guess(&reference))))?;
        let namespace = if kind.namespaced { reference.namespace.clone() } else { String::new() };
        let object = ObjectRef { cluster: self.cache.cluster.clone(), kind, namespace, name: reference.name };
        let (state, value) = match known {
            Some(_) => self.look(&object, reference.uid.as_deref(), reference.optional).await,
            None => (RelationState::Missing { optional: reference.optional }, None),
        };
        Some(RelatedObject { relation: reference.relation, object, via: reference.via, state, value })
    }

    /// Returns the state of an object, and the object itself. One of another uid is not meant.
    async fn look(&self, at: &ObjectRef, uid: Option<&str>, optional: bool) -> (RelationState, Option<Arc<Value>>) {
        match self.cache.get(at).await {
            Ok(Known::Found(value)) if uid.is_none_or(|uid| value["metadata"]["uid"] == uid) => {
                let (status, tone) = summary::status(&value);
                (RelationState::Found { status, tone }, Some(value))
            }
            Ok(Known::Found(_) | Known::Missing) => (RelationState::Missing { optional }, None),
            Ok(Known::Refused(fault)) | Err(fault) => {
                self.note(fault);
                (RelationState::Unknown, None)
            }
        }
    }

    async fn search(&self, search: Search) -> Vec<RelatedObject> {
        let Some(kinds) = self.kinds().await else { return Vec::new() };
        let is_meant = |kind: &&Arc<ServedKind>| match search.kind {
            "" => kind.namespaced && !NOISE.contains(&kind.plural.as_str()),
            name => kind.kind == name && kind.group == search.group,
        };
        let meant: Vec<&Arc<ServedKind>> = kinds.iter().filter(is_meant).collect();
        if meant.is_empty() && search.kind == "EndpointSlice" {
            return self.endpoints(&search).await;
        }
        let every = search.kind.is_empty();
        let listing = meant.into_iter().map(async |kind| {
            let query = ListQuery {
                kind: Arc::clone(kind),
                namespace: search.namespace.clone(),
                labels: search.labels.clone(),
                fields: search.fields.clone(),
                metadata: every,
            };
            let listed = match self.cache.list(query).await {
                Ok(listed) => listed,
                Err(fault) => {
                    self.note(fault);
                    return Vec::new();
                }
            };
            listed.fault.into_iter().for_each(|fault| self.note(fault));
            let related = listed.objects.into_iter().filter(|object| search.join.holds(object));
            let found = related.take(MAX_FOUND).map(async |value| self.found(&search, kind, value).await);
            join_all(found).await
        });
        join_all(listing).await.into_iter().flatten().collect()
    }

    /// Makes an object that was listed a part of the tree. Of one whose metadata alone was, the rest is fetched.
    async fn found(&self, search: &Search, kind: &Arc<ServedKind>, value: Arc<Value>) -> RelatedObject {
        let meta = &value["metadata"];
        let [namespace, name] = ["namespace", "name"].map(|field| text(&meta[field]).to_owned());
        let object = ObjectRef { cluster: self.cache.cluster.clone(), kind: Arc::clone(kind), namespace, name };
        let (state, value) = if search.kind.is_empty() {
            self.look(&object, None, false).await
        } else {
            let (status, tone) = summary::status(&value);
            (RelationState::Found { status, tone }, Some(value))
        };
        RelatedObject { relation: search.relation, object, via: String::new(), state, value }
    }

    /// Finds the endpoints of a Service on a server that has no slices of them.
    async fn endpoints(&self, search: &Search) -> Vec<RelatedObject> {
        let name = search.labels.split_once('=').map_or("", |(_, name)| name).to_owned();
        let reference = Reference {
            relation: Relation::Endpoints,
            group: String::new(),
            kind: "Endpoints".to_owned(),
            namespace: search.namespace.clone(),
            name,
            uid: None,
            via: String::new(),
            optional: true,
        };
        self.follow(reference).await.into_iter().collect()
    }

    async fn kinds(&self) -> Option<&[Arc<ServedKind>]> {
        match self.cache.kinds().await {
            Ok(kinds) => Some(kinds),
            Err(fault) => {
                self.note(fault);
                None
            }
        }
    }

    fn note(&self, fault: Fault) {
        let mut faults = self.faults.lock();
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }

    /// Returns the tree so far, in its order.
    fn tell(&self, done: bool) -> Related {
        let (mut rows, mut stack) = (Vec::new(), vec![0]);
        while let Some(node) = stack.pop().and_then(|at| self.nodes.get(at)) {
            rows.push(node.row.clone());
            stack.extend(node.children.iter().rev());
        }
        let mut faults = self.faults.lock().clone();
        // A missing right comes before what passes.
        faults.sort_by_key(|fault| fault.what != What::Forbidden);
        Related { rows, done, faults }
    }
}

fn uid(value: Option<&Value>) -> String {
    value.map_or("", |value| text(&value["metadata"]["uid"])).to_owned()
}

/// Returns the name by which an object is known to be in the tree.
fn key(object: &ObjectRef, value: Option<&Value>) -> String {
    let uid = uid(value);
    if uid.is_empty() { format!("{}/{}/{}", object.kind.resource(), object.namespace, object.name) } else { uid }
}

/// Returns the direction in which the relations of a related object are followed.
fn way_of(relation: Relation) -> Way {
    match relation {
        Relation::Root => Way::Both,
        Relation::Owner
        | Relation::SelectedBy
        | Relation::RoutedBy
        | Relation::UsedBy
        | Relation::ScaledBy
        | Relation::ProtectedBy
        | Relation::RestrictedBy => Way::Up,
        Relation::Owned
        | Relation::Selects
        | Relation::Endpoints
        | Relation::RoutesTo
        | Relation::RunsOn
        | Relation::Runs
        | Relation::Uses
        | Relation::Bound
        | Relation::Scales => Way::Down,
    }
}

/// Makes a kind of a reference to one that is not served.
fn guess(reference: &Reference) -> ServedKind {
    ServedKind {
        group: reference.group.clone(),
        version: "v1".to_owned(),
        kind: reference.kind.clone(),
        plural: format!("{}s", reference.kind.to_lowercase()),
        shorts: Vec::new(),
        namespaced: !reference.namespace.is_empty(),
    }
}

#[cfg(test)]
mod tests;
