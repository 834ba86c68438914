//! The workloads of the practice cluster, and the controllers that keep them running: a deleted pod of a deployment is
//! replaced, and a new template rolls out.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::kinds::{KINDS, Kind};
use super::pods::{self, FULL_NAMESPACE};
use super::servers::NODE_IP;
use super::slices;
use super::store::Key;
use super::world::{NODE, World, hex, now, uid, words};

/// The hash of the upgrade plan that the node has been through.
const PLAN_HASH: &str = "0dad2a9ec1c7d3a4b5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718";

/// Changes within this time are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// The kinds that own pods.
const POD_OWNERS: [&str; 3] = ["replicasets", "statefulsets", "daemonsets"];

/// Fills an empty cluster.
pub(super) fn seed(world: &Arc<World>) {
    let add = |plural: &str, namespace: &str, name: &str, mut object: Value| {
        let Some(kind) = KINDS.iter().find(|kind| kind.plural == plural) else { return };
        (object["kind"], object["apiVersion"]) = (kind.kind.into(), kind.api_version().into());
        keep(world, kind, namespace, name, object);
    };
    for name in ["default", FULL_NAMESPACE, "harbor", "kube-system", "monitoring", "shop"] {
        let meta = json!({ "labels": { "kubernetes.io/metadata.name": name } });
        add("namespaces", "", name, json!({ "metadata": meta, "status": { "phase": "Active" } }));
    }
    let labels = node_labels();
    let ready = json!([{ "type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": now() }]);
    let info = json!({ "kubeletVersion": super::kinds::VERSION, "containerRuntimeVersion": "containerd://practice" });
    add(
        "nodes",
        "",
        NODE,
        json!({
            "metadata": { "labels": labels },
            "status": { "conditions": ready, "nodeInfo": info, "addresses": [{ "type": "InternalIP", "address": NODE_IP }] },
        }),
    );
    seed_services(&add);
    for (plural, namespace, name, image, port, replicas) in [
        ("deployments", "shop", "web", "practice/page:1", 8080, 2),
        ("statefulsets", "shop", "redis", "practice/redis:7", 6379, 1),
        ("daemonsets", "harbor", "echo", "practice/echo:1", 7, 1),
        ("deployments", "default", "hello", "practice/page:1", 8080, 1),
    ] {
        let container =
            json!({ "name": name, "image": image, "ports": [{ "containerPort": port, "protocol": "TCP" }] });
        let template = json!({ "metadata": { "labels": { "app": name } }, "spec": { "containers": [container] } });
        let selector = json!({ "matchLabels": { "app": name } });
        let mut spec = json!({ "selector": selector, "template": template });
        if plural != "daemonsets" {
            spec["replicas"] = replicas.into();
        }
        let meta = json!({ "labels": { "app": name }, "generation": 1 });
        add(plural, namespace, name, json!({ "metadata": meta, "spec": spec, "status": {} }));
    }
    seed_more(&add);
    let ballast = json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "ballast", "namespace": FULL_NAMESPACE },
        "spec": { "containers": [{ "name": "ballast", "image": "practice/echo:1" }] },
    });
    // The first of its name.
    let _kept = pods::admit(world, ballast, true);
    // The second time statuses tell of what the first one brought about.
    (0..2).for_each(|_| reconcile(world, true));
}

/// The services; the page is at a port of the node, too.
fn seed_services(add: &impl Fn(&str, &str, &str, Value)) {
    for (namespace, name, port, inner, ip) in [
        ("shop", "web", 80, 8080, "10.96.0.80"),
        ("shop", "redis", 6379, 6379, "10.96.0.63"),
        ("harbor", "echo", 7, 7, "10.96.0.7"),
    ] {
        let mut ports = json!([{ "name": "main", "port": port, "targetPort": inner, "protocol": "TCP" }]);
        let kind = if name == "web" { "NodePort" } else { "ClusterIP" };
        if name == "web" {
            ports[0]["nodePort"] = 30_080.into();
        }
        add(
            "services",
            namespace,
            name,
            json!({
                "spec": { "type": kind, "clusterIP": ip, "clusterIPs": [ip], "selector": { "app": name }, "ports": ports },
            }),
        );
    }
}

/// The labels of the node, with the plan that has upgraded it.
fn node_labels() -> Value {
    json!({
        "kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "plan.upgrade.cattle.io/server": PLAN_HASH,
    })
}

/// Things to find. Two of them refer to what does not exist: the Service of `/admin`, the Secret of the certificate. A
/// policy keeps proxy pods from redis.
fn seed_more(add: &impl Fn(&str, &str, &str, Value)) {
    seed_prometheus(add);
    let labels = json!({ "labels": { "app": "web" } });
    add("configmaps", "shop", "web-settings", json!({ "metadata": labels, "data": { "greeting": "Welcome aboard" } }));
    let password = STANDARD.encode(super::world::hex(16));
    let secret = json!({ "type": "Opaque", "data": { "password": password } });
    add("secrets", "shop", "redis-password", secret);
    // It lets no proxy pod in; a port-forward to redis goes past it.
    let clients = json!([{ "podSelector": { "matchLabels": { "app": "web" } } }]);
    let redis = json!({ "matchLabels": { "app": "redis" } });
    let spec = json!({ "podSelector": redis, "policyTypes": ["Ingress"], "ingress": [{ "from": clients }] });
    add("networkpolicies", "shop", "redis-clients", json!({ "spec": spec }));
    let path = |path: &str, service: &str| {
        let backend = json!({ "service": { "name": service, "port": { "number": 80 } } });
        json!({ "path": path, "pathType": "Prefix", "backend": backend })
    };
    let rule = json!({ "host": "shop.example", "http": { "paths": [path("/", "web"), path("/admin", "web-admin")] } });
    add("ingresses", "shop", "storefront", json!({ "metadata": labels, "spec": { "rules": [rule] } }));
    let service = json!({ "name": "web", "port": 80 });
    let route = json!({ "kind": "Rule", "match": "Host(`shop.example`)", "services": [service], "middlewares": [{ "name": "compress" }] });
    let spec =
        json!({ "entryPoints": ["websecure"], "routes": [route], "tls": { "secretName": "storefront-certificate" } });
    add("ingressroutes", "shop", "storefront", json!({ "metadata": labels, "spec": spec }));
    add("middlewares", "shop", "compress", json!({ "spec": { "compress": {} } }));
    seed_plan(add);
}

/// A plan that has upgraded the node.
fn seed_plan(add: &impl Fn(&str, &str, &str, Value)) {
    let image = json!({ "image": "rancher/k3s-upgrade" });
    let selects = json!({ "matchLabels": { "kubernetes.io/os": "linux" } });
    let spec = json!({
        "concurrency": 1, "cordon": true, "nodeSelector": selects, "serviceAccountName": "system-upgrade",
        "upgrade": image, "version": "v1.35.0+k3s1",
    });
    let conditions = json!([
        { "type": "LatestResolved", "status": "True", "reason": "Version" },
        { "type": "Complete", "status": "True", "reason": "Complete" },
    ]);
    let status = json!({ "latestVersion": "v1.35.0+k3s1", "latestHash": PLAN_HASH, "conditions": conditions });
    add("plans", "kube-system", "server", json!({ "spec": spec, "status": status }));
}

/// A Prometheus, as its chart installs it.
fn seed_prometheus(add: &impl Fn(&str, &str, &str, Value)) {
    let (space, name) = ("monitoring", "prometheus-server");
    let labels = json!({ "app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server" });
    let ports = json!([{ "name": "http", "port": 80, "targetPort": 9090, "protocol": "TCP" }]);
    let ip = "10.96.0.90";
    let spec = json!({ "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "selector": labels, "ports": ports });
    add("services", space, name, json!({ "metadata": { "labels": labels }, "spec": spec }));
    let port = json!({ "containerPort": 9090, "protocol": "TCP" });
    let container = json!({ "name": "prometheus-server", "image": "practice/prometheus:3", "ports": [port] });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    let spec = json!({ "replicas": 1, "selector": { "matchLabels": labels }, "template": template });
    let meta = json!({ "labels": labels, "generation": 1 });
    add("deployments", space, name, json!({ "metadata": meta, "spec": spec, "status": {} }));
}

pub(super) fn keep(world: &World, kind: &Kind, namespace: &str, name: &str, mut object: Value) {
    let meta = &mut object["metadata"];
    meta["name"] = name.into();
    if kind.namespaced {
        meta["namespace"] = namespace.into();
    }
    meta["uid"] = uid().into();
    meta["creationTimestamp"] = now().into();
    // What is there already is as it should be.
    let _kept = world.store.insert(Key::new(kind.plural, namespace, name), object);
}

/// Keeps workloads as they should be, for ever.
pub(super) async fn control(world: Arc<World>) {
    let mut changed = world.store.subscribe();
    while changed.changed().await.is_ok() {
        sleep(DEBOUNCE).await;
        changed.mark_unchanged();
        reconcile(&world, false);
    }
}

/// Brings about what workloads ask for; their statuses say how far that is.
fn reconcile(world: &Arc<World>, at_once: bool) {
    for deployment in world.store.list("deployments", None).0 {
        roll(world, &deployment);
    }
    for plural in POD_OWNERS {
        for set in world.store.list(plural, None).0 {
            fill(world, plural, &set, at_once);
        }
    }
    for deployment in world.store.list("deployments", None).0 {
        let sets = owned(world, "replicasets", &deployment);
        let sum = |field: &str| sets.iter().filter_map(|set| set["status"][field].as_u64()).sum::<u64>();
        let (all, ready) = (sum("replicas"), sum("readyReplicas"));
        let template = hash(&deployment["spec"]["template"]);
        let newest = sets.iter().find(|set| set["metadata"]["labels"]["pod-template-hash"] == template.as_str());
        let updated = newest.and_then(|set| set["status"]["replicas"].as_u64()).unwrap_or_default();
        let status = json!({
            "observedGeneration": deployment["metadata"]["generation"], "replicas": all, "updatedReplicas": updated,
            "readyReplicas": ready, "availableReplicas": ready,
            "conditions": [{ "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable" }],
        });
        world.store.update(&key("deployments", &deployment), |object| object["status"] = status);
    }
    slices::reconcile(world);
}

fn key(plural: &'static str, object: &Value) -> Key {
    Key::new(plural, words(&object["metadata"]["namespace"]), words(&object["metadata"]["name"]))
}

/// The objects that belong to an owner.
fn owned(world: &World, plural: &'static str, owner: &Value) -> Vec<Arc<Value>> {
    let (all, _) = world.store.list(plural, owner["metadata"]["namespace"].as_str());
    let belongs = |object: &Arc<Value>| object["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"];
    all.into_iter().filter(belongs).collect()
}

fn reference(owner: &Value) -> Value {
    json!([{
        "kind": owner["kind"], "apiVersion": owner["apiVersion"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }])
}

/// A template's number, as replica sets are named after.
fn hash(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    format!("{:x}", hasher.finish())[..9].to_owned()
}

/// Gives a deployment's template a replica set of its own; the older ones give way once that is ready.
fn roll(world: &World, deployment: &Value) {
    let spec = &deployment["spec"];
    let hash = hash(&spec["template"]);
    let name = format!("{}-{hash}", words(&deployment["metadata"]["name"]));
    let namespace = words(&deployment["metadata"]["namespace"]);
    let newest = Key::new("replicasets", namespace, &name);
    if world.store.get(&newest).is_none()
        && let Some(kind) = Kind::find("apps", "replicasets")
    {
        let (mut template, mut selector) = (spec["template"].clone(), spec["selector"].clone());
        template["metadata"]["labels"]["pod-template-hash"] = hash.as_str().into();
        selector["matchLabels"]["pod-template-hash"] = hash.as_str().into();
        let set = json!({
            "kind": kind.kind, "apiVersion": kind.api_version(),
            "metadata": { "labels": template["metadata"]["labels"], "ownerReferences": reference(deployment) },
            "spec": { "replicas": spec["replicas"], "selector": selector, "template": template }, "status": {},
        });
        keep(world, kind, namespace, &name, set);
    }
    let ready = world.store.update(&newest, |set| set["spec"]["replicas"] = spec["replicas"].clone());
    if ready.is_some_and(|set| set["status"]["readyReplicas"] == spec["replicas"]) {
        for old in owned(world, "replicasets", deployment) {
            if old["metadata"]["name"] != name.as_str() {
                world.store.update(&key("replicasets", &old), |set| set["spec"]["replicas"] = 0.into());
            }
        }
    }
}

/// Creates the pods that a set lacks, and deletes those that it has too many of.
fn fill(world: &Arc<World>, plural: &'static str, set: &Value, at_once: bool) {
    let wanted = set["spec"]["replicas"].as_u64().unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or_default().min(50);
    let all = owned(world, "pods", set);
    // A stateful set waits until the name is free again.
    let counts = |pod: &&Arc<Value>| plural == "statefulsets" || pod["metadata"]["deletionTimestamp"].is_null();
    let live: Vec<_> = all.iter().filter(counts).collect();
    if let Some(kind) = Kind::find("", "pods") {
        for pod in live.iter().skip(wanted) {
            // Gone already is as good.
            let _gone = pods::delete(world, kind, &key("pods", pod), &Value::Null, None);
        }
    }
    for number in live.len()..wanted {
        let name = words(&set["metadata"]["name"]);
        let name = if plural == "statefulsets" { format!("{name}-{number}") } else { format!("{name}-{}", hex(5)) };
        let mut pod = set["spec"]["template"].clone();
        (pod["kind"], pod["apiVersion"]) = ("Pod".into(), "v1".into());
        let meta = &mut pod["metadata"];
        (meta["name"], meta["namespace"]) = (name.into(), set["metadata"]["namespace"].clone());
        meta["ownerReferences"] = reference(set);
        // A name that is taken is tried again with the next change.
        let _kept = pods::admit(world, pod, at_once);
    }
    let ready = live.iter().filter(|pod| pod["status"]["containerStatuses"][0]["ready"] == true).count();
    world.store.update(&key(plural, set), |set| {
        set["status"] = if plural == "daemonsets" {
            json!({
                "desiredNumberScheduled": wanted, "currentNumberScheduled": live.len(), "numberReady": ready,
                "numberAvailable": ready, "numberMisscheduled": 0, "updatedNumberScheduled": live.len(),
            })
        } else {
            json!({ "replicas": live.len(), "readyReplicas": ready, "availableReplicas": ready })
        };
    });
}

/// Changes a deployment by a merge patch; lists of named things are merged by name, as in a strategic one.
pub(super) fn patch(world: &World, key: &Key, patch: &Value) -> Option<Arc<Value>> {
    world.store.update(key, |object| {
        let before = object["spec"].clone();
        for field in ["spec", "metadata"] {
            if !patch[field].is_null() {
                let (name, uid) = (object["metadata"]["name"].clone(), object["metadata"]["uid"].clone());
                merge(&mut object[field], &patch[field]);
                (object["metadata"]["name"], object["metadata"]["uid"]) = (name, uid);
            }
        }
        if before != object["spec"] {
            object["metadata"]["generation"] = (object["metadata"]["generation"].as_u64().unwrap_or(1) + 1).into();
        }
    })
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    into.remove(name);
                } else {
                    merge(into.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(into), Value::Array(patch)) if patch.iter().all(|item| item["name"].is_string()) => {
            for item in patch {
                match into.iter_mut().find(|own| own["name"] == item["name"]) {
                    Some(own) => merge(own, item),
                    None => into.push(item.clone()),
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}
