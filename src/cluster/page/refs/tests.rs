//! Relations by table.

use serde_json::json;

use super::*;

/// The relations of an object in short: `uses Secret/login (env PASSWORD)?`.
fn told(object: &Value, way: Way) -> Vec<String> {
    let of = |edge: Edge| match edge {
        Edge::To(to) => {
            let via = if to.via.is_empty() { String::new() } else { format!(" ({})", to.via) };
            let sign = if to.optional { "?" } else { "" };
            let place = if to.namespace == "shop" { String::new() } else { format!("{}/", to.namespace) };
            format!("{} {} {place}{}{via}{sign}", to.relation.name(), to.kind, to.name)
        }
        Edge::Those(those) => {
            format!("{} {}s {}{}", those.relation.name(), those.kind, those.labels, those.fields).trim_end().to_owned()
        }
    };
    edges(object, way).into_iter().map(of).collect()
}

fn object(version: &str, kind: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": version, "kind": kind, "metadata": { "namespace": "shop", "name": "web", "uid": "u" },
    });
    if let (Some(into), Value::Object(rest)) = (object.as_object_mut(), rest) {
        into.extend(rest);
    }
    object
}

/// Objects, and what each of them names and owns.
type Cases = Vec<(Value, Vec<&'static str>)>;

fn container() -> Value {
    json!({
        "name": "web",
        "env": [{ "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "login", "key": "p" } } }],
        "envFrom": [{ "configMapRef": { "name": "flags", "optional": true } }],
    })
}

fn match_labels() -> Value {
    json!({ "selector": { "matchLabels": { "app": "web" } } })
}

fn pods_and_workloads() -> Cases {
    let projected = json!([
        { "configMap": { "name": "kube-root-ca.crt" } }, { "secret": { "name": "login", "optional": true } },
    ]);
    let pod = json!({
        "nodeName": "one", "serviceAccountName": "web", "containers": [container()],
        "imagePullSecrets": [{ "name": "registry" }],
        "volumes": [
            { "name": "disk", "persistentVolumeClaim": { "claimName": "disk-0" } },
            { "name": "certs", "secret": { "secretName": "certs" } },
            { "name": "all", "projected": { "sources": projected } },
        ],
    });
    let mut set = match_labels();
    set["serviceName"] = "web-all".into();
    vec![
        (
            object("v1", "Pod", json!({ "spec": pod })),
            vec![
                "runs-on Node one",
                "uses ServiceAccount web",
                "uses PersistentVolumeClaim disk-0 (volume disk)",
                "uses Secret certs (volume certs)",
                "uses ConfigMap kube-root-ca.crt (volume all)",
                // One reference to it does not go without.
                "uses Secret login (volume all)",
                "uses ConfigMap flags (envFrom)?",
                "uses Secret registry (imagePullSecrets)?",
            ],
        ),
        (object("apps/v1", "Deployment", json!({ "spec": match_labels() })), vec!["owned ReplicaSets app=web"]),
        (object("apps/v1", "StatefulSet", json!({ "spec": set })), vec!["owned Pods app=web", "uses Service web-all"]),
        (object("batch/v1", "CronJob", json!({ "spec": {} })), vec!["owned Jobs"]),
        (object("v1", "Node", json!({})), vec!["runs Pods spec.nodeName=web"]),
    ]
}

fn routes_and_services() -> Cases {
    let backend = |name: &str| json!({ "service": { "name": name, "port": { "number": 80 } } });
    let paths = json!([{ "path": "/", "backend": backend("web") }, { "path": "/admin", "backend": backend("admin") }]);
    let ingress = json!({
        "ingressClassName": "nginx", "rules": [{ "host": "shop.example", "http": { "paths": paths } }],
        "tls": [{ "secretName": "cert" }], "defaultBackend": backend("web"),
    });
    let route = json!({
        "match": "Host(`a`)", "middlewares": [{ "name": "zip" }, { "name": "auth@file" }],
        "services": [{ "name": "web", "namespace": "other", "port": 80 }, { "name": "api@internal" },
                     { "name": "mix", "kind": "TraefikService" }],
    });
    let traefik = json!({ "routes": [route], "tls": { "secretName": "cert", "options": { "name": "strict" } } });
    let gateway = json!({
        "parentRefs": [{ "name": "edge", "namespace": "infra" }],
        "rules": [{ "backendRefs": [{ "name": "web", "port": 80 }] }],
    });
    vec![
        (
            object("v1", "Service", json!({ "spec": { "selector": { "app": "web" } } })),
            vec!["endpoints EndpointSlices kubernetes.io/service-name=web"],
        ),
        (
            object("networking.k8s.io/v1", "Ingress", json!({ "spec": ingress })),
            vec![
                "routes-to Service web (default)",
                "routes-to Service admin (shop.example/admin)",
                "uses Secret cert (tls)",
                "uses IngressClass nginx",
            ],
        ),
        (
            object("traefik.io/v1alpha1", "IngressRoute", json!({ "spec": traefik })),
            vec![
                "owned s",
                "routes-to Service other/web (Host(`a`))",
                "routes-to TraefikService mix (Host(`a`))",
                "uses Middleware zip",
                "uses Secret cert (tls)",
                "uses TLSOption strict (tls)",
            ],
        ),
        (
            object("gateway.networking.k8s.io/v1", "HTTPRoute", json!({ "spec": gateway })),
            vec!["owned s", "routes-to Service web (backendRefs)", "uses Gateway infra/edge (parentRefs)"],
        ),
    ]
}

fn others() -> Cases {
    let endpoints = json!([
        { "targetRef": { "kind": "Pod", "name": "web-1", "namespace": "shop" } }, { "addresses": ["10.0.0.1"] },
    ]);
    let subsets = json!([{
        "addresses": [{ "targetRef": { "kind": "Pod", "name": "web-1" } }],
        "notReadyAddresses": [{ "targetRef": { "kind": "Pod", "name": "web-2" } }],
    }]);
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
    let claim = json!({ "volumeName": "pv", "storageClassName": "fast" });
    let database = json!({
        "auth": { "secretRef": { "name": "login" } }, "template": { "spec": { "containers": [container()] } },
    });
    vec![
        (
            object("discovery.k8s.io/v1", "EndpointSlice", json!({ "endpoints": endpoints })),
            vec!["endpoints Pod web-1"],
        ),
        (object("v1", "Endpoints", json!({ "subsets": subsets })), vec!["endpoints Pod web-1", "endpoints Pod web-2"]),
        (
            object("autoscaling/v2", "HorizontalPodAutoscaler", json!({ "spec": { "scaleTargetRef": target } })),
            vec!["scales Deployment web"],
        ),
        (object("policy/v1", "PodDisruptionBudget", json!({ "spec": match_labels() })), vec!["selects Pods app=web"]),
        (
            object("networking.k8s.io/v1", "NetworkPolicy", json!({ "spec": { "podSelector": {} } })),
            vec!["selects Pods"],
        ),
        (
            object("v1", "PersistentVolumeClaim", json!({ "spec": claim })),
            vec!["bound PersistentVolume pv", "uses StorageClass fast"],
        ),
        (
            object("example.com/v1", "Database", json!({ "spec": database })),
            vec!["owned s", "uses Secret login (env PASSWORD)", "uses ConfigMap flags (envFrom)?"],
        ),
        (object("v1", "ConfigMap", json!({ "data": { "secretRef": "x" } })), Vec::new()),
    ]
}

#[test]
fn what_an_object_names_and_owns_is_found() {
    for (object, relations) in pods_and_workloads().into_iter().chain(routes_and_services()).chain(others()) {
        let above = told(&object, Way::Up);
        let own: Vec<String> = told(&object, Way::Both).into_iter().filter(|one| !above.contains(one)).collect();
        assert_eq!(own, relations, "{object}");
    }
    let node = object("v1", "Node", json!({}));
    assert_eq!(told(&node, Way::Down), [""; 0], "only the page of a node lists what runs on it");
}

#[test]
fn what_stands_above_an_object_is_looked_for() {
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d", "uid": "r" }]);
    let mut pod = object("v1", "Pod", json!({}));
    (pod["metadata"]["labels"], pod["metadata"]["ownerReferences"]) = (json!({ "app": "web" }), owner);
    let template = json!({ "template": { "metadata": { "labels": { "app": "web" } } } });
    let selecting = ["selected-by Services", "protected-by PodDisruptionBudgets", "restricted-by NetworkPolicys"];
    let with = |first: &[&'static str], rest: &[&'static str]| [first, &selecting[..], rest].concat();
    for (object, relations) in [
        (pod, with(&["owner ReplicaSet web-7d"], &[])),
        (
            object("apps/v1", "Deployment", json!({ "spec": template })),
            with(&[], &["scaled-by HorizontalPodAutoscalers"]),
        ),
        (object("v1", "ConfigMap", json!({})), vec!["used-by Pods", "used-by CronJobs"]),
        (object("batch/v1", "Job", json!({ "spec": template })), Vec::new()),
    ] {
        assert_eq!(told(&object, Way::Up), relations, "{object}");
    }
    let service = told(&object("v1", "Service", json!({})), Way::Up);
    assert!(service.contains(&"routed-by IngressRoutes".to_owned()), "{service:?}");
    let secret = told(&object("v1", "Secret", json!({})), Way::Up);
    assert!(secret.contains(&"used-by Ingresss".to_owned()) && secret.contains(&"used-by Pods".to_owned()));
}

#[test]
fn joins_tell_the_related_from_the_others() {
    let labels = json!({ "app": "web" });
    let service = |selector: Value| object("v1", "Service", json!({ "spec": { "selector": selector } }));
    let owned = |uid: &str| json!({ "metadata": { "ownerReferences": [{ "uid": "a" }, { "uid": uid }] } });
    let hpa = |name: &str| {
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
        object("autoscaling/v2", "HorizontalPodAutoscaler", json!({ "spec": { "scaleTargetRef": target } }))
    };
    let refers = || Join::RefersTo { kind: "Deployment".to_owned(), name: "web".to_owned() };
    let route = |namespace: &str| {
        let services = json!([{ "name": "web", "namespace": namespace }]);
        object("traefik.io/v1alpha1", "IngressRoute", json!({ "spec": { "routes": [{ "services": services }] } }))
    };
    let policy = |selector: Value| {
        object("networking.k8s.io/v1", "NetworkPolicy", json!({ "spec": { "podSelector": selector } }))
    };
    for (join, object, holds) in [
        (Join::All, json!({}), true),
        (Join::OwnedBy("u".to_owned()), owned("u"), true),
        (Join::OwnedBy("u".to_owned()), owned("b"), false),
        (Join::Selects(labels.clone()), service(json!({ "app": "web" })), true),
        (Join::Selects(labels.clone()), service(json!({ "app": "db" })), false),
        // A Service without a selector selects nothing, a policy with an empty one everything.
        (Join::Selects(labels.clone()), service(json!({})), false),
        (Join::Selects(labels.clone()), policy(json!({})), true),
        (Join::Selects(labels), policy(json!({ "matchLabels": { "app": "db" } })), false),
        (refers(), hpa("web"), true),
        (refers(), hpa("db"), false),
        (Join::RefersTo { kind: "Service".to_owned(), name: "web".to_owned() }, route("shop"), true),
        (Join::RefersTo { kind: "Service".to_owned(), name: "web".to_owned() }, route("other"), false),
    ] {
        assert_eq!(join.holds(&object), holds, "{join:?} {object}");
    }
}
