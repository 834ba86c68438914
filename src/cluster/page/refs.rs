//! The relations of an object, read from its JSON: those to objects that it names, and the searches that find the
//! others. Nothing is requested here.

use serde_json::Value;

use super::select::{selector_text, selects};
use brow_model::page::Relation;

mod named;

/// The direction in which relations are followed: those of what is above an object lead further up, the others down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Way {
    Both,
    Up,
    Down,
}

/// An object that another one names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub relation: Relation,
    pub group: String,
    pub kind: String,
    /// The namespace, for a kind that has some.
    pub namespace: String,
    pub name: String,
    /// The uid, where it is named too: another object of that name is not meant.
    pub uid: Option<String>,
    /// The place of the reference.
    pub via: String,
    /// True if the object need not exist.
    pub optional: bool,
}

/// A search for objects of a kind in a namespace, or in all where it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    pub relation: Relation,
    /// The group and the kind; an empty kind stands for all.
    pub group: &'static str,
    pub kind: &'static str,
    pub namespace: String,
    pub labels: String,
    pub fields: String,
    pub join: Join,
}

/// The condition for an object that was listed to be related.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Join {
    All,
    /// One of its owners has this uid.
    OwnedBy(String),
    /// Its selector selects these labels.
    Selects(Value),
    /// It names this object.
    RefersTo {
        kind: String,
        name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edge {
    To(Reference),
    Those(Search),
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Returns the group and the kind of an object.
pub(super) fn kind_of(object: &Value) -> (&str, &str) {
    let version = text(&object["apiVersion"]);
    (version.split_once('/').map_or("", |(group, _)| group), text(&object["kind"]))
}

/// Returns the relations of an object.
pub(super) fn edges(object: &Value, way: Way) -> Vec<Edge> {
    let mut all = Vec::new();
    if way != Way::Down {
        all.extend(owners(object).into_iter().map(Edge::To));
        all.extend(above(object).into_iter().map(Edge::Those));
    }
    if way != Way::Up {
        all.extend(below(object, way).into_iter().map(Edge::Those));
        all.extend(named::references(object).into_iter().map(Edge::To));
    }
    all
}

impl Join {
    /// Returns true if an object that was listed is related.
    pub(super) fn holds(&self, object: &Value) -> bool {
        match self {
            Self::All => true,
            Self::OwnedBy(uid) => {
                items(&object["metadata"]["ownerReferences"]).any(|owner| owner["uid"] == uid.as_str())
            }
            Self::Selects(labels) => selector(object).is_some_and(|selector| selects(selector, labels)),
            Self::RefersTo { kind, name } => {
                // It is searched for in the namespace of what it names.
                let own = text(&object["metadata"]["namespace"]);
                let named = named::references(object);
                named.iter().any(|at| at.kind == *kind && at.name == *name && at.namespace == own)
            }
        }
    }
}

/// Returns the selector of pods in an object's spec.
fn selector(object: &Value) -> Option<&Value> {
    let spec = &object["spec"];
    match kind_of(object).1 {
        "NetworkPolicy" => spec.get("podSelector"),
        _ => spec.get("selector").filter(|selector| selector.as_object().is_some_and(|fields| !fields.is_empty())),
    }
}

fn owners(object: &Value) -> Vec<Reference> {
    let owner = |owner: &Value| Reference {
        relation: Relation::Owner,
        group: kind_of(owner).0.to_owned(),
        kind: kind_of(owner).1.to_owned(),
        namespace: text(&object["metadata"]["namespace"]).to_owned(),
        name: text(&owner["name"]).to_owned(),
        uid: owner["uid"].as_str().map(str::to_owned),
        via: String::new(),
        optional: false,
    };
    items(&object["metadata"]["ownerReferences"]).map(owner).collect()
}

/// Makes a search in the object's namespace.
fn search(object: &Value, relation: Relation, (group, kind): (&'static str, &'static str), join: Join) -> Search {
    let namespace = text(&object["metadata"]["namespace"]).to_owned();
    Search { relation, group, kind, namespace, labels: String::new(), fields: String::new(), join }
}

/// The kinds that route to Services.
const ROUTES: [(&str, &str); 8] = [
    ("networking.k8s.io", "Ingress"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("gateway.networking.k8s.io", "GRPCRoute"),
    ("gateway.networking.k8s.io", "TLSRoute"),
    ("traefik.io", "IngressRoute"),
    ("traefik.io", "IngressRouteTCP"),
    ("traefik.io", "IngressRouteUDP"),
    ("traefik.containo.us", "IngressRoute"),
];

/// The kinds whose selectors select pods, and the relation of the pods to them.
const SELECTORS: [(Relation, (&str, &str)); 3] = [
    (Relation::SelectedBy, ("", "Service")),
    (Relation::ProtectedBy, ("policy", "PodDisruptionBudget")),
    (Relation::RestrictedBy, ("networking.k8s.io", "NetworkPolicy")),
];

/// Returns searches for what stands above an object, beside its owners.
fn above(object: &Value) -> Vec<Search> {
    let (group, kind) = kind_of(object);
    let refers = || Join::RefersTo { kind: kind.to_owned(), name: text(&object["metadata"]["name"]).to_owned() };
    let mut all = Vec::new();
    let labels = match kind {
        "Pod" => &object["metadata"]["labels"],
        _ => &object["spec"]["template"]["metadata"]["labels"],
    };
    if labels.is_object() && kind != "Job" {
        let selecting = |(relation, kind)| search(object, relation, kind, Join::Selects(labels.clone()));
        all.extend(SELECTORS.map(selecting));
    }
    if labels.is_object() && kind != "Pod" && kind != "Job" {
        all.push(search(object, Relation::ScaledBy, ("autoscaling", "HorizontalPodAutoscaler"), refers()));
    }
    match (group, kind) {
        ("", "Service") => all.extend(ROUTES.map(|kind| search(object, Relation::RoutedBy, kind, refers()))),
        ("", "ConfigMap" | "ServiceAccount" | "PersistentVolumeClaim") => {
            all.push(search(object, Relation::UsedBy, ("", "Pod"), refers()));
            all.push(search(object, Relation::UsedBy, ("batch", "CronJob"), refers()));
        }
        ("", "Secret") => {
            let users = [("", "Pod"), ("batch", "CronJob"), ("", "ServiceAccount")];
            all.extend(users.map(|kind| search(object, Relation::UsedBy, kind, refers())));
            all.extend(ROUTES.map(|kind| search(object, Relation::UsedBy, kind, refers())));
        }
        _ => {}
    }
    all
}

/// Returns searches for what an object owns, selects or runs.
fn below(object: &Value, way: Way) -> Vec<Search> {
    let (group, kind) = kind_of(object);
    let meta = &object["metadata"];
    let owned = || Join::OwnedBy(text(&meta["uid"]).to_owned());
    let spec = &object["spec"];
    let own = |kind: (&'static str, &'static str)| {
        let labels = selector_text(&spec["selector"]);
        vec![Search { labels, ..search(object, Relation::Owned, kind, owned()) }]
    };
    let selected = |selector: &Value| {
        let pods = search(object, Relation::Selects, ("", "Pod"), Join::All);
        vec![Search { labels: selector_text(selector), ..pods }]
    };
    match (group, kind) {
        ("apps", "Deployment") => own(("apps", "ReplicaSet")),
        ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet") | ("batch", "Job") => own(("", "Pod")),
        ("batch", "CronJob") => vec![search(object, Relation::Owned, ("batch", "Job"), owned())],
        ("", "Service") => {
            let labels = format!("kubernetes.io/service-name={}", text(&meta["name"]));
            let slices = search(object, Relation::Endpoints, ("discovery.k8s.io", "EndpointSlice"), Join::All);
            vec![Search { labels, ..slices }]
        }
        ("policy", "PodDisruptionBudget") => selected(&spec["selector"]),
        ("networking.k8s.io", "NetworkPolicy") => selected(&spec["podSelector"]),
        ("", "Node") if way == Way::Both => {
            let fields = format!("spec.nodeName={}", text(&meta["name"]));
            vec![Search { fields, ..search(object, Relation::Runs, ("", "Pod"), Join::All) }]
        }
        // Other built-in kinds own no objects.
        _ if is_built_in(group) => Vec::new(),
        _ => vec![search(object, Relation::Owned, ("", ""), owned())],
    }
}

/// Returns true for a group of Kubernetes itself.
fn is_built_in(group: &str) -> bool {
    !group.contains('.') || (group.ends_with(".k8s.io") && group != "gateway.networking.k8s.io")
}

#[cfg(test)]
mod tests;
