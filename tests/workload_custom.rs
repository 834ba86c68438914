//! Custom kinds: found by any of their names, and their pods by selector or scale.
//!
//! Against a stand-in, which has a scale and near names; `tests/kinds.rs` has those of a real cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "workload/program.rs"]
#[allow(dead_code, reason = "no bytes are moved here")]
mod program;
#[path = "workload/stand_in.rs"]
mod stand_in;

use brow_model::action::Command;
use brow_model::fault::What;
use brow_model::settings::Language;
use brow_tui::text::Text;
use common::{Home, Start};
use program::Program;
use serde_json::{Value, json};
use stand_in::StandIn;

fn list(items: &[Value]) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items })
}

fn group(name: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/v1alpha1"), "version": "v1alpha1" });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

fn resources(group: &str, all: &[(&str, &str, &str, bool)]) -> Value {
    let entries = all.iter().flat_map(|(plural, kind, short, scale)| {
        let singular = kind.to_lowercase();
        let own = json!({
            "name": plural, "singularName": singular, "kind": kind, "shortNames": [short], "namespaced": true,
            "verbs": ["get", "list", "watch"],
        });
        let sub = json!({
            "name": format!("{plural}/scale"), "singularName": "", "kind": "Scale", "namespaced": true, "verbs": ["get"],
        });
        [Some(own), scale.then_some(sub)].into_iter().flatten()
    });
    let entries: Vec<Value> = entries.collect();
    json!({ "kind": "APIResourceList", "groupVersion": format!("{group}/v1alpha1"), "resources": entries })
}

fn object(api: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{api}/v1alpha1"), "kind": kind,
        "metadata": { "name": name, "namespace": "team", "resourceVersion": "1" }, "spec": spec,
    })
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "team", "uid": name, "creationTimestamp": "2026-01-02T03:04:05Z" },
        // The second is a native sidecar, which the test cluster's server does not know.
        "spec": {
            "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": 8080 }] }],
            "initContainers": [{
                "name": "s", "restartPolicy": "Always", "ports": [{ "name": "stats", "containerPort": 15090 }],
            }],
        },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

/// A cluster with a `CloneSet` (by selector), a `Rollout` (by scale) and a `Window` (neither).
fn cluster() -> StandIn {
    let server = StandIn::start();
    let (kruise, argo) = ("apps.kruise.io", "argoproj.io");
    server.answer("/version", json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.1" }));
    server.answer("/api/v1", json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [] }));
    server.answer("/apis", json!({ "kind": "APIGroupList", "groups": [group(kruise), group(argo)] }));
    let kinds = [("clonesets", "CloneSet", "clone", true), ("windows", "Window", "win", false)];
    server.answer("/apis/apps.kruise.io/v1alpha1", resources(kruise, &kinds));
    server.answer("/apis/argoproj.io/v1alpha1", resources(argo, &[("rollouts", "Rollout", "ro", true)]));
    let at = |group: &str, plural: &str| format!("/apis/{group}/v1alpha1/namespaces/team/{plural}");
    let named =
        |group: &str, plural: &str, name: &str| format!("{}?fieldSelector=metadata.name%3D{name}", at(group, plural));
    let selector = json!({ "selector": { "matchLabels": { "app": "one" } } });
    server.answer(&named(kruise, "clonesets", "one"), list(&[object(kruise, "CloneSet", "one", &selector)]));
    server.answer(&named(argo, "rollouts", "two"), list(&[object(argo, "Rollout", "two", &json!({ "replicas": 1 }))]));
    let glass = object(kruise, "Window", "glass", &json!({ "panes": 2 }));
    server.answer(&named(kruise, "windows", "glass"), list(&[glass]));
    // Of the lists of names, what is near is taken.
    let one = object(kruise, "CloneSet", "one", &json!({}));
    server.answer(&named(kruise, "clonesets", "onne"), list(&[]));
    server.answer(&at(kruise, "clonesets"), list(&[one]));
    let scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": { "name": "two", "namespace": "team" },
        "spec": { "replicas": 1 }, "status": { "replicas": 1, "selector": "app=two" },
    });
    server.answer(&format!("{}/two/scale", at(argo, "rollouts")), scale);
    for name in ["one", "two"] {
        let path = format!("/api/v1/namespaces/team/pods?labelSelector=app%3D{name}");
        server.answer(&path, list(&[pod(&format!("{name}-1"))]));
    }
    server
}

#[test]
fn the_browser_finds_custom_kinds() {
    let server = cluster();
    let home = Home::new("");
    let port = json!([{ "name": "http", "containerPort": 8080 }]);
    let template = json!({ "metadata": { "labels": { "app": "one" } }, "spec": { "containers": [{ "ports": port }] } });
    let spec = json!({ "selector": { "matchLabels": { "app": "one" } }, "template": template });
    let clones = [object("apps.kruise.io", "CloneSet", "one", &spec)];
    server.answer("/apis/apps.kruise.io/v1alpha1/clonesets", list(&clones));
    // Whatever it writes, it holds nothing up.
    let odd = object("argoproj.io", "Rollout", "odd", &json!({ "template": "none" }));
    server.answer("/apis/argoproj.io/v1alpha1/rollouts", list(&[odd]));
    let glass = object("apps.kruise.io", "Window", "glass", &spec);
    server.answer("/apis/apps.kruise.io/v1alpha1/windows", list(&[glass]));
    let mut owned = pod("one-1");
    let controller = json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "one", "uid": "1", "controller": true,
    });
    owned["metadata"]["ownerReferences"] = json!([controller]);
    server.answer("/api/v1/pods", list(&[owned, pod("alone")]));
    let mut screen = Start::new(&home).kubeconfig(server.kubeconfig(home.path())).size(100, 30).run();
    screen.wait_for("custom");
    screen.press("b");
    let shown = screen.wait("the custom kind", |text| text.contains("cloneset/one") && text.contains("po/alone"));
    assert!(!shown.contains("po/one-1") && !shown.contains("glass") && !shown.contains("odd"), "{shown}");
    screen.press("cloneset\r");
    let saved = "workload = \"cloneset.apps.kruise.io/one:8080\"";
    screen.wait_until("it is taken over", |_| home.read_config().contains(saved));
    screen.wait("it is seen to be there", |text| text.contains("one.team"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_kinds_lead_to_their_pods() {
    let server = cluster();
    let home = Home::new("");
    let cases = [
        ("kind", "CloneSet/one:http", "one-1", 8080),
        ("plural", "clonesets/one:http", "one-1", 8080),
        ("short", "clone/one:http", "one-1", 8080),
        ("group", "cloneset.apps.kruise.io/one:http", "one-1", 8080),
        ("version", "rollouts.v1alpha1.argoproj.io/two:http", "two-1", 8080),
        ("scale", "rollout/two:8080", "two-1", 8080),
        ("sidecar", "CloneSet/one:stats", "one-1", 15090),
    ];
    let faulty = [("glass", "window/glass:80"), ("onne", "clone/onne:80"), ("else", "cloneset.example.com/one:80")];
    let all = cases.iter().map(|(name, workload, ..)| (*name, *workload)).chain(faulty);
    let target =
        |(name, workload)| format!("[[target]]\nname = \"{name}\"\ncluster = \"custom\"\nworkload = \"{workload}\"\n");
    let config = all.map(target).collect::<Vec<_>>().concat();
    let program = Program::start(&config, &server.kubeconfig(home.path()));
    for (name, workload, pod, port) in cases {
        program.press(name, Command::Forward);
        let via = program.wait_for(name, workload, |forward| forward.via().is_some());
        let via = via.via().unwrap();
        assert_eq!((via.pod.name.as_str(), via.port), (pod, port), "{workload}");
    }
    let text = Text::new(Language::En);
    assert_eq!(text.fault(&program.refused("glass")).what, "window/glass:80 selects no pods");
    let missing = text.fault(&program.refused("onne"));
    assert_eq!(
        (missing.what.as_str(), missing.detail.as_str()),
        ("clone/onne (custom/team) not found", "similar: one")
    );
    assert_eq!(program.refused("else").what, What::KindMissing);
}
