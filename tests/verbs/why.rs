//! `why`: the steps to things of real clusters and of the practice one.

use serde_json::{Value, json};

use crate::common::Home;
use crate::common::kube::{Namespace, kubeconfig, kubectl, until};
use crate::shell::{Done, Shell};

/// The steps as `step state`, with the kind of fault where there is one.
fn steps(done: &Done) -> Vec<String> {
    let found: Value =
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {} {}", done.out, done.err));
    let step = |step: &Value| {
        let words = ["step", "state", "fault"].map(|key| step[key].as_str().unwrap_or_default());
        words.join(" ").trim().to_owned()
    };
    found["steps"].as_array().unwrap().iter().map(step).collect()
}

fn apply(home: &Home, namespace: &str, object: &Value) {
    let path = home.path().join("object.json");
    std::fs::write(&path, object.to_string()).unwrap();
    kubectl(&["-n", namespace, "apply", "-f", path.to_str().unwrap()]);
}

/// A pod that answers on 8080, and is ready once its file is there.
fn server(ready_file: &str) -> Value {
    let serve = "while true; do nc -l -p 8080 -e true; done";
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "server", "labels": { "app": "server" } },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [{
            "name": "main", "image": "busybox:latest", "imagePullPolicy": "Never", "command": ["sh", "-c", serve],
            "ports": [{ "name": "http", "containerPort": 8080 }],
            "readinessProbe": { "exec": { "command": ["test", "-e", ready_file] }, "periodSeconds": 1 },
        }] },
    })
}

fn service(name: &str, app: &str, target: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": app }, "ports": [{ "name": "web", "port": 80, "targetPort": target }] },
    })
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn each_broken_step_is_named() {
    let (home, space) = (Home::new(""), Namespace::new("why"));
    let name = space.0.as_str();
    apply(&home, name, &server("/tmp/ready"));
    apply(&home, name, &service("server", "server", &json!("http")));
    apply(&home, name, &service("wrong", "server", &json!(9)));
    apply(&home, name, &service("empty", "nobody", &json!(80)));
    kubectl(&["-n", name, "wait", "--for=jsonpath={.status.phase}=Running", "pod/server", "--timeout=60s"]);
    let shell = Shell { home: &home, kubeconfig: Some(kubeconfig()) };
    let why = |args: &[&str], code: i32| {
        let done = shell.run(&[&["why"], args, &["-n", name, "--context", "brow-admin", "--json"]].concat());
        assert_eq!(done.code, code, "{args:?}: {} {}", done.out, done.err);
        steps(&done)
    };
    let none = ["name unknown needs-pod", "connection unknown needs-pod"];
    let missing = ["exists failed workload-missing"];
    assert_eq!(why(&["svc/servr"], 3), missing);
    let with_port = why(&["svc/server:81"], 1);
    assert!(with_port.contains(&"port failed port-missing".to_owned()), "{with_port:?}");
    // Running, not ready: the rest goes on.
    let unready = why(&["svc/server"], 1);
    let passed =
        ["exists passed", none[0], "port passed", "endpoints failed not-ready", "listens passed", "policies passed"];
    assert_eq!(unready, [&passed[..], &none[1..]].concat());
    let empty = why(&["svc/empty"], 1);
    assert!(empty.contains(&"endpoints failed no-pod-runs".to_owned()), "{empty:?}");
    kubectl(&["-n", name, "exec", "server", "--", "touch", "/tmp/ready"]);
    until("it is ready", || why_is_ready(&shell, name));
    let wrong = why(&["svc/wrong"], 1);
    assert!(wrong.contains(&"listens failed not-listening".to_owned()), "{wrong:?}");
    // A policy that lets nobody in.
    let deny = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "closed" },
        "spec": { "podSelector": { "matchLabels": { "app": "server" } }, "policyTypes": ["Ingress"] },
    });
    apply(&home, name, &deny);
    let blocked = why(&["pod/server:http"], 1);
    let direct =
        ["exists passed", "port passed", "endpoints passed", "listens passed", "policies failed policy-blocks"];
    assert_eq!(blocked, [&direct[..], &none[1..]].concat());
    kubectl(&["-n", name, "delete", "networkpolicy", "closed"]);
    // From a pod: the name is not known in this cluster's DNS, the pod's address is reached. No pod stays.
    let unresolved = why(&["svc/server", "--pod"], 1);
    assert!(unresolved.contains(&"name failed target-unresolved".to_owned()), "{unresolved:?}");
    let reached = why(&["pod/server", "--pod"], 0);
    assert_eq!(reached.last().unwrap(), "connection passed");
    until("no proxy pod is left", || space.pods() == ["server"]);
}

fn why_is_ready(shell: &Shell<'_>, namespace: &str) -> bool {
    let done = shell.run(&["why", "svc/server", "-n", namespace, "--context", "brow-admin", "--json"]);
    steps(&done).contains(&"endpoints passed".to_owned())
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_rights_and_outages_hide_is_said() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: Some(kubeconfig()) };
    let why = |context: &str, place: &str, code: i32| {
        let done = shell.run(&["why", place, "-n", "brow-dev", "--context", context, "--json"]);
        assert_eq!(done.code, code, "{context} {place}: {} {}", done.out, done.err);
        steps(&done)
    };
    // It may read pods and not services: by its name the service could still be reached from a pod.
    let service = why("brow-developer", "svc/web:80", 1);
    assert_eq!(service, ["exists unknown forbidden", "name unknown needs-pod", "connection unknown needs-pod"]);
    let pods = why("brow-developer", "selector/app=web:8080", 0);
    let expected = ["exists passed", "port passed", "endpoints passed", "listens passed", "policies unknown forbidden"];
    assert_eq!(pods[..5], expected);
    let viewer = why("brow-viewer", "selector/app=web:8080", 0);
    assert_eq!(viewer[3], "listens unknown forbidden");
    assert_eq!(why("brow-down", "svc/web:80", 1)[0], "exists unknown unreachable");
    assert_eq!(why("brow-badtoken", "svc/web:80", 1)[0], "exists unknown unauthorized");
    let text = shell.run(&["why", "svc/web", "-n", "brow-dev", "--context", "brow-developer"]);
    assert!(text.out.starts_with("? service/web exists\n") && text.out.contains("    → "), "{}", text.out);
    assert_eq!(shell.run(&["why", "nothing"]).code, 3);
    assert_eq!(shell.run(&["why", "svc/web", "--context", "none"]).code, 3);
}

#[test]
fn the_practice_cluster_has_something_to_find() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: None };
    let why = |args: &[&str], code: i32| {
        let done = shell.run(&[&["--practice", "why"], args, &["-n", "shop", "--json"]].concat());
        assert_eq!(done.code, code, "{args:?}: {} {}", done.out, done.err);
        steps(&done)
    };
    assert_eq!(why(&["svc/web-admin"], 3), ["exists failed workload-missing"]);
    let redis = why(&["svc/redis"], 1);
    assert!(redis.contains(&"policies failed policy-blocks".to_owned()), "{redis:?}");
    let web = why(&["deploy/web"], 0);
    assert_eq!(web[..5], ["exists passed", "port passed", "endpoints passed", "listens passed", "policies passed"]);
}
