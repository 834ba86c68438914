//! Trees of relations, from answers that are there already.

use serde_json::json;

use super::*;
use crate::cluster::Clusters;

const CLUSTER: &str = "dev";

fn kind(group: &str, name: &str) -> Arc<ServedKind> {
    let (group, version, kind) = (group.to_owned(), "v1".to_owned(), name.to_owned());
    let plural = format!("{}s", name.to_lowercase());
    Arc::new(ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true })
}

fn at(kind: &Arc<ServedKind>, name: &str) -> ObjectRef {
    let (cluster, namespace) = (CLUSTER.to_owned(), "shop".to_owned());
    ObjectRef { cluster, kind: Arc::clone(kind), namespace, name: name.to_owned() }
}

/// An object with an owner: kind, name and uid.
fn object(kind: &ServedKind, name: &str, uid: &str, owner: (&ServedKind, &str, &str), spec: &Value) -> Value {
    let version =
        |kind: &ServedKind| if kind.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", kind.group) };
    let (of, owner, owner_uid) = owner;
    let owners = json!([{ "apiVersion": version(of), "kind": of.kind, "name": owner, "uid": owner_uid }]);
    json!({
        "apiVersion": version(kind), "kind": kind.kind, "spec": spec,
        "metadata": { "namespace": "shop", "name": name, "uid": uid, "ownerReferences": owners },
    })
}

/// The rows of a tree: `2 owner Deployment/web`, and how those stand that were not found.
async fn tree(cache: PageCache, from: ObjectRef, depth: usize) -> Vec<String> {
    let mut walk = Walk::new(Arc::new(cache));
    let mut level = walk.begin(from).await;
    for _ in 0..depth {
        level = walk.step(&level).await;
    }
    let told = |row: RelationRow| {
        let state = match row.state {
            RelationState::Found { .. } => "",
            RelationState::Missing { optional: false } => " missing",
            RelationState::Missing { optional: true } => " optional",
            RelationState::Unknown => " unknown",
            RelationState::Again => " again",
        };
        format!("{} {} {}/{}{state}", row.depth, row.relation.name(), row.object.kind.kind, row.object.name)
    };
    walk.tell(true).rows.into_iter().map(told).collect()
}

#[tokio::test]
async fn each_object_stands_once_and_what_is_missing_is_told() {
    let (pod, set, deployment, secret) =
        (kind("", "Pod"), kind("apps", "ReplicaSet"), kind("apps", "Deployment"), kind("", "Secret"));
    let kinds = [&pod, &set, &deployment, &secret].map(Arc::clone).to_vec();
    let spec = json!({
        "volumes": [{ "name": "a", "secret": { "secretName": "login" } }],
        "containers": [{ "name": "c", "envFrom": [{ "secretRef": { "name": "flags", "optional": true } }] }],
    });
    let filled = || {
        let cache = PageCache::filled(Clusters::empty(None), CLUSTER, kinds.clone());
        // They own each other in a circle.
        let all = [
            (&pod, "web-1", object(&pod, "web-1", "p", (&set, "web-7d", "r"), &spec)),
            (&set, "web-7d", object(&set, "web-7d", "r", (&deployment, "web", "d"), &json!({}))),
            (&deployment, "web", object(&deployment, "web", "d", (&set, "web-7d", "r"), &json!({}))),
        ];
        for (kind, name, value) in all {
            cache.put(at(kind, name), Known::Found(Arc::new(value)));
        }
        for name in ["login", "flags"] {
            cache.put(at(&secret, name), Known::Missing);
        }
        cache
    };
    let up = ["0 root Pod/web-1", "1 owner ReplicaSet/web-7d"];
    let needs = ["1 uses Secret/login missing", "1 uses Secret/flags optional"];
    let owners = ["2 owner Deployment/web", "3 owner ReplicaSet/web-7d again"];
    for (depth, between) in [(1, 0), (2, 1), (8, 2)] {
        let wanted: Vec<&str> = [&up[..], &owners[..between], &needs].concat();
        assert_eq!(tree(filled(), at(&pod, "web-1"), depth).await, wanted, "{depth}");
    }
    // An object of the owner's name that was made anew is not the owner.
    let cache = filled();
    let other = object(&set, "web-7d", "another", (&deployment, "web", "d"), &json!({}));
    cache.put(at(&set, "web-7d"), Known::Found(Arc::new(other)));
    let found = tree(cache, at(&pod, "web-1"), 3).await;
    assert_eq!(found[1], "1 owner ReplicaSet/web-7d missing");
}

#[tokio::test]
async fn what_several_pods_need_is_shown_once() {
    let (pod, set, secret) = (kind("", "Pod"), kind("apps", "ReplicaSet"), kind("", "Secret"));
    let cache = PageCache::filled(Clusters::empty(None), CLUSTER, [&pod, &set, &secret].map(Arc::clone).to_vec());
    let spec = json!({ "volumes": [{ "name": "a", "secret": { "secretName": "login" } }] });
    let owner =
        object(&set, "web", "r", (&set, "gone", "g"), &json!({ "selector": { "matchLabels": { "app": "web" } } }));
    cache.put(at(&set, "web"), Known::Found(Arc::new(owner)));
    cache.put(at(&set, "gone"), Known::Missing);
    cache.put(at(&secret, "login"), Known::Missing);
    let pods = ["web-1", "web-2"].map(|name| Arc::new(object(&pod, name, name, (&set, "web", "r"), &spec)));
    let other = Arc::new(object(&pod, "other", "o", (&set, "other", "x"), &spec));
    cache.put_list("shop", &pod, "app=web", [&pods[..], &[other]].concat());
    let wanted = [
        "0 root ReplicaSet/web",
        "1 owner ReplicaSet/gone missing",
        "1 owned Pod/web-1",
        "2 uses Secret/login missing",
        "1 owned Pod/web-2",
    ];
    assert_eq!(tree(cache, at(&set, "web"), 3).await, wanted);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_unknown_and_told_once() {
    let (pod, secret) = (kind("", "Pod"), kind("", "Secret"));
    let cache = PageCache::filled(Clusters::empty(None), CLUSTER, vec![Arc::clone(&pod), Arc::clone(&secret)]);
    let spec = json!({ "volumes": [
        { "name": "a", "secret": { "secretName": "login" } }, { "name": "b", "secret": { "secretName": "cert" } },
    ] });
    let value = object(&pod, "web", "p", (&pod, "gone", "g"), &spec);
    cache.put(at(&pod, "web"), Known::Found(Arc::new(value)));
    cache.put(at(&pod, "gone"), Known::Missing);
    let mut walk = Walk::new(Arc::new(cache));
    let level = walk.begin(at(&pod, "web")).await;
    walk.step(&level).await;
    let told = walk.tell(true);
    let unknown = told.rows.iter().filter(|row| row.state == RelationState::Unknown).count();
    assert_eq!((unknown, told.faults.len()), (2, 1), "{told:?}");
}
