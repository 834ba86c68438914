//! The life of proxy pods, as Kubernetes has them: what they are called and made of, what the config adds, and who
//! clears them away.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use common::arrange::{quit, wait_deleted};
use common::kube::{Namespace, kubeconfig, kubectl, try_kubectl, until};
use common::{Home, Screen, Start};
use serde_json::{Value, json};

use brow_model::proxy::PodKey;
use brow_tui::cluster::Clusters;

/// A user name that no label could hold.
const ANN: &str = "安娜 O'Neil (ops)";

fn pods(namespace: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(&kubectl(&["-n", namespace, "get", "pods", "-o", "json"])).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Starts the program in the namespace and creates a pod for every target.
fn create_all(namespace: &Namespace, config: &str, count: usize) -> Vec<Value> {
    let home = Home::new(config);
    let path = namespace.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).env("USER", ANN).size(120, 40).run();
    screen.wait_for("story");
    screen.press("2ac");
    until("the pods are stored", || pods(&namespace.0).len() == count);
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
    pods(&namespace.0)
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn whatever_a_target_is_called_its_pod_is_valid_ours_and_harmless() {
    let space = Namespace::new("names");
    let long = "x".repeat(100);
    let names = ["MySQL Dev!", "数据库", "-dash-", "a/b:c", "10.0.0.1", "db.corp.internal", &long];
    let target = |name: &&str| {
        format!("[[target]]\nname = \"{name}\"\ncluster = \"story\"\naddress = \"10.0.0.1:3306\"\nttl = \"90s\"\n")
    };
    let made = create_all(&space, &names.iter().map(target).collect::<String>(), names.len());
    let mut targets = Vec::new();
    for pod in &made {
        let (meta, spec) = (&pod["metadata"], &pod["spec"]);
        let name = meta["name"].as_str().unwrap();
        let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        assert!(letters && name.len() <= 63 && name.starts_with("brow-") && !name.contains("10-0-0-1"), "{name}");
        let (stem, end) = name.rsplit_once('-').unwrap();
        assert!(end.len() == 6 && !stem.ends_with('-'), "{name}");
        assert_eq!(meta["labels"]["app.kubernetes.io/managed-by"], "brow-tui");
        assert_eq!(format!("brow-{}", meta["labels"]["brow/target"].as_str().unwrap()), stem);
        let notes = &meta["annotations"];
        assert_eq!(notes["brow/owner"], format!("{ANN}@{}", host()));
        assert_eq!(notes["brow/ttl"], "1m30s");
        let created = chrono::DateTime::parse_from_rfc3339(notes["brow/created-at"].as_str().unwrap()).unwrap();
        assert!((chrono::Utc::now() - created.to_utc()).num_seconds().abs() < 120);
        targets.extend(notes["brow/target"].as_str().map(str::to_owned));

        assert_eq!((&spec["restartPolicy"], &spec["activeDeadlineSeconds"]), (&json!("Never"), &json!(90)));
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["enableServiceLinks"], false);
        let inside = json!({ "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534,
            "seccompProfile": { "type": "RuntimeDefault" } });
        assert_eq!(spec["securityContext"], inside);
        let relay = &spec["containers"][0];
        let closed = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] } });
        assert_eq!(relay["securityContext"], closed);
        let resources = &relay["resources"];
        assert!(resources["requests"]["cpu"].is_string() && resources["requests"]["memory"].is_string(), "{resources}");
        assert!(resources["limits"]["cpu"].is_null() && resources["limits"]["memory"].is_string(), "{resources}");
        assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
        let memory = json!([{ "name": "relay", "emptyDir": { "medium": "Memory", "sizeLimit": "4Mi" } }]);
        assert_eq!(spec["volumes"], memory, "for the program of our own relay");
        assert!(spec["hostNetwork"].is_null(), "{spec}");
    }
    // A name that gives the address away is not written.
    let mut wanted: Vec<&str> = names.iter().copied().filter(|name| *name != "10.0.0.1").collect();
    targets.sort();
    wanted.sort_unstable();
    assert_eq!(targets, wanted);
}

/// Settings of pods in the defaults, of a cluster and of a target.
const LEVELS: &str = r#"
[defaults]
ttl = "20m"
image = "defaults.invalid/socat:1"
pull_policy = "Always"
pull_secrets = ["from-defaults"]
node_selector = { level = "defaults", defaults = "yes" }
tolerations = [{ key = "defaults", operator = "Exists" }]
resources = { cpu_request = "1m", memory_limit = "11Mi", memory_request = "8Mi" }
labels = { level = "defaults", defaults = "yes" }
annotations = { "example.com/level" = "defaults", "example.com/defaults" = "yes" }

[cluster.story]
image = "cluster.invalid/socat:2"
node_selector = { level = "cluster", cluster = "yes" }
resources = { cpu_limit = "222m" }
labels = { level = "cluster", cluster = "yes" }
annotations = { "example.com/level" = "cluster" }

[[target]]
name = "plain"
cluster = "story"
address = "10.0.0.1:1"

[[target]]
name = "own"
cluster = "story"
address = "10.0.0.1:1"
ttl = "3m"
image = "target.invalid/socat:3"
pull_policy = "Never"
pull_secrets = ["from-target"]
node_selector = { level = "target" }
tolerations = [{ key = "target", operator = "Equal", value = "x", effect = "NoSchedule" }]
resources = { memory_limit = "33Mi" }
labels = { level = "target", "app.kubernetes.io/managed-by" = "nobody" }
annotations = { "example.com/level" = "target", "brow/owner" = "nobody" }
"#;

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_the_config_says_of_pods_reaches_them_from_every_level() {
    let space = Namespace::new("levels");
    let made = create_all(&space, LEVELS, 2);
    let of = |name: &str| made.iter().find(|pod| pod["metadata"]["labels"]["brow/target"] == name).unwrap();
    for (name, ttl, image, policy, secret, level) in [
        ("plain", 1200, "cluster.invalid/socat:2", "Always", "from-defaults", "cluster"),
        ("own", 180, "target.invalid/socat:3", "Never", "from-target", "target"),
    ] {
        let (meta, spec) = (&of(name)["metadata"], &of(name)["spec"]);
        let relay = &spec["containers"][0];
        assert_eq!(spec["activeDeadlineSeconds"], ttl, "{name}");
        assert_eq!((&relay["image"], &relay["imagePullPolicy"]), (&json!(image), &json!(policy)));
        assert_eq!(spec["imagePullSecrets"], json!([{ "name": secret }]));
        // Tables are merged, the nearest level first.
        assert_eq!(spec["nodeSelector"], json!({ "level": level, "defaults": "yes", "cluster": "yes" }));
        let labels = &meta["labels"];
        assert_eq!(
            (&labels["level"], &labels["defaults"], &labels["cluster"]),
            (&json!(level), &json!("yes"), &json!("yes"))
        );
        let notes = &meta["annotations"];
        assert_eq!((&notes["example.com/level"], &notes["example.com/defaults"]), (&json!(level), &json!("yes")));
        // What marks a pod as ours is not to be had otherwise.
        assert_eq!(labels["app.kubernetes.io/managed-by"], "brow-tui");
        assert_eq!(notes["brow/owner"], format!("{ANN}@{}", host()));
        let (least, most) = (&relay["resources"]["requests"], &relay["resources"]["limits"]);
        assert_eq!((&least["cpu"], &least["memory"], &most["cpu"]), (&json!("1m"), &json!("8Mi"), &json!("222m")));
        assert_eq!(most["memory"], if name == "own" { "33Mi" } else { "11Mi" });
        // Kubernetes adds two of its own.
        let tolerated = spec["tolerations"].as_array().unwrap();
        let mine = match name {
            "own" => json!({ "key": "target", "operator": "Equal", "value": "x", "effect": "NoSchedule" }),
            _ => json!({ "key": "defaults", "operator": "Exists" }),
        };
        assert!(tolerated.contains(&mine), "{name}: {tolerated:?}");
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn where_a_quota_demands_a_limit_of_cpu_it_is_one_core() {
    let space = Namespace::new("cpu");
    kubectl(&["-n", &space.0, "create", "quota", "compute", "--hard=limits.cpu=3,limits.memory=2Gi"]);
    until("the quota is counted", || {
        kubectl(&["-n", &space.0, "get", "quota", "compute", "-o", "jsonpath={.status.hard}"]).contains("limits.cpu")
    });
    let target = |name: &str, more: &str| {
        format!("[[target]]\nname = \"{name}\"\ncluster = \"story\"\naddress = \"10.0.0.1:1\"\n{more}")
    };
    let config = target("plain", "") + &target("own", "resources = { cpu_limit = \"200m\" }\n");
    let home = Home::new(&config);
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).env("USER", "ann").size(200, 50).run();
    screen.wait_for("story");
    screen.press("2ac");
    until("the pods are stored", || pods(&space.0).len() == 2);
    screen.wait_for("has a CPU limit of 1,");
    assert!(!screen.text().contains("has a CPU limit of 200m"), "who asked for it knows");
    let mut limits: Vec<_> = pods(&space.0)
        .iter()
        .map(|pod| pod["spec"]["containers"][0]["resources"]["limits"]["cpu"].as_str().unwrap().to_owned())
        .collect();
    limits.sort();
    assert_eq!(limits, ["1", "200m"]);
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
}

/// A file of the state.
fn state(home: &Home, name: &str) -> String {
    std::fs::read_to_string(home.path().join(".local/state/brow").join(name)).unwrap_or_else(|_| "{}".to_owned())
}

/// Writes down that a pod was made.
fn remembered(home: &Home, nonce: &str, mut pod: Value) {
    let mut state: Value = serde_json::from_str(&state(home, "state.json")).unwrap();
    pod["until"] = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339().into();
    state["pods"][nonce] = pod;
    let dir = home.path().join(".local/state/brow");
    std::fs::create_dir_all(&dir).unwrap();
    // In one step: the program may be reading.
    std::fs::write(dir.join("new"), state.to_string()).unwrap();
    std::fs::rename(dir.join("new"), dir.join("state.json")).unwrap();
}

fn ours() -> Value {
    json!({ "app.kubernetes.io/managed-by": "brow-tui", "brow/target": "t" })
}

/// A pod that has done its work, marked as somebody's.
fn finished(namespace: &str, name: &str, owner: Option<&str>) {
    match owner {
        Some(owner) => done(namespace, name, &ours(), &json!({ "brow/owner": owner })),
        None => done(namespace, name, &json!({ "app": "not-ours" }), &json!({})),
    }
}

fn done(namespace: &str, name: &str, labels: &Value, notes: &Value) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": labels, "annotations": notes },
        "spec": { "restartPolicy": "Never", "containers": [{
            "name": "relay", "image": "busybox:latest", "imagePullPolicy": "IfNotPresent", "command": ["true"] }] },
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pod.json");
    std::fs::write(&path, pod.to_string()).unwrap();
    kubectl(&["-n", namespace, "apply", "-f", path.to_str().unwrap()]);
    let phase = || kubectl(&["-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}"]);
    until("it has done its work", || phase() == "Succeeded");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn only_our_own_are_cleaned_up_unless_all_are_asked_for() {
    let space = Namespace::new("clean");
    let name = space.0.as_str();
    let me = format!("{ANN}@{}", host());
    let home = Home::new("");
    finished(name, "mine-1", Some(&me));
    let uid = kubectl(&["-n", name, "get", "pod", "mine-1", "-o", "jsonpath={.metadata.uid}"]);
    remembered(&home, "nonce-1", json!({ "namespace": name, "name": "mine-1", "uid": uid }));
    finished(name, "bobs", Some("bob@elsewhere"));
    // Another machine with the same user and host, or somebody who copies.
    finished(name, "similar", Some(&me));
    finished(name, "foreign", None);
    let left = |wanted: &[&str]| {
        let mut pods = space.pods();
        pods.sort();
        pods == wanted
    };
    let path = space.kubeconfig(&home);
    let mut screen: Screen = Start::new(&home).kubeconfig(path).env("USER", ANN).size(120, 40).run();
    screen.wait_for("story");
    // When the cluster is connected.
    screen.press("1R");
    until("ours is cleaned up", || left(&["bobs", "foreign", "similar"]));
    wait_deleted(&mut screen, |text| text.contains("Proxy pods 2"));

    // By the key. Where the program was faster by itself, the key has nothing to do. Another instance made it, or its
    // answer was lost: it is known by what was written down before it was asked for.
    remembered(&home, "nonce-2", json!({ "namespace": name, "name": "mine-2" }));
    let kept: Value = serde_json::from_str(&state(&home, "installation.json")).unwrap();
    let notes = json!({ "brow/owner": me, "brow/installation": kept["id"], "brow/nonce": "nonce-2" });
    done(name, "mine-2", &ours(), &notes);
    screen.wait_for("mine-2");
    screen.press("C");
    until("ours is cleaned up again", || left(&["bobs", "foreign", "similar"]));
    wait_deleted(&mut screen, |text| !text.contains("mine-2"));
    screen.press("C");
    screen.wait_for("Nothing to clean up");

    // Everybody's: asked first, and what is not ours in any sense stays.
    screen.press("A");
    screen.wait_for("Enter");
    screen.press("\x1b[C\r");
    until("all of brow-tui's are cleaned up", || left(&["foreign"]));
    wait_deleted(&mut screen, |text| text.contains("Proxy pods 0"));
    quit(screen);
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_deletion_ends_well_where_there_is_nothing_to_delete() {
    let path = kubeconfig();
    let space = Namespace::new("gone");
    let (clusters, _) = Clusters::read(Some(&path)).unwrap();
    let key = |name: &str| PodKey { cluster: "brow-admin".into(), namespace: space.0.clone(), name: name.into() };
    brow_tui::proxy::delete(&clusters, &key("never-was"), "some-uid").await.unwrap();
    // Another pod of the same name has been made since: ours is gone, and that one is left alone.
    finished(&space.0, "another", Some("bob@elsewhere"));
    brow_tui::proxy::delete(&clusters, &key("another"), "5f0c3b1e-0000-4000-8000-000000000000").await.unwrap();
    assert_eq!(space.pods(), ["another"]);
    let uid = kubectl(&["-n", &space.0, "get", "pod", "another", "-o", "jsonpath={.metadata.uid}"]);
    brow_tui::proxy::delete(&clusters, &key("another"), &uid).await.unwrap();
    until("it is gone", || try_kubectl(&["-n", &space.0, "get", "pod", "another"]).is_err());
    brow_tui::proxy::delete(&clusters, &key("another"), &uid).await.unwrap();
}
