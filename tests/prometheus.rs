//! A cluster's Prometheus: found and asked through the tunnel, and told from what only looks like one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "prometheus/config.rs"]
mod config;
#[path = "prometheus/present.rs"]
mod present;
#[path = "prometheus/ways.rs"]
mod ways;

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use common::arrange::{Kubeconfig, practice, quit, says, wait_dialog, wait_says};
use common::kube::{ClusterRight, Namespace, kubeconfig, kubectl, until};
use common::through::{get, live};
use common::{Home, Screen, Start};
use serde_json::{Value, json};
use tempfile::TempDir;

fn apply(home: &Home, object: &Value) {
    let path = home.path().join("object.json");
    fs::write(&path, object.to_string()).unwrap();
    kubectl(&["apply", "-f", path.to_str().unwrap()]);
}

/// A service with the labels of a Prometheus.
fn service(home: &Home, namespace: &str, name: &str, app: &str) {
    let labels = json!({ "app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server" });
    let ports = json!([{ "name": "http", "port": 80, "targetPort": "web" }]);
    apply(
        home,
        &json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": name, "namespace": namespace, "labels": labels },
            "spec": { "selector": { "app": app }, "ports": ports },
        }),
    );
}

fn ready(namespace: &str, pod: &str) {
    kubectl(&["-n", namespace, "wait", "--for=condition=Ready", "--timeout=120s", &format!("pod/{pod}")]);
}

/// A web server whose service looks like a Prometheus.
fn decoy(home: &Home, namespace: &str) {
    let command = json!(["sh", "-c", "mkdir /www && echo '{}' > /www/index.html && httpd -f -p 8080 -h /www"]);
    let container = json!({
        "name": "web", "image": "busybox:latest", "imagePullPolicy": "Never", "command": command,
        "ports": [{ "name": "web", "containerPort": 8080 }],
    });
    let meta = json!({ "name": "decoy", "namespace": namespace, "labels": { "app": "decoy" } });
    let spec = json!({ "terminationGracePeriodSeconds": 0, "containers": [container] });
    apply(home, &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec }));
    // By its name it comes before the other.
    service(home, namespace, "a-decoy", "decoy");
    ready(namespace, "decoy");
}

/// A job that scrapes the API server at a path.
fn job(name: &str, server: &str, path: &str) -> Value {
    json!({
        "job_name": name, "scheme": "https", "metrics_path": path, "honor_timestamps": false,
        "tls_config": { "ca_file": "/login/ca.crt" }, "bearer_token_file": "/login/token",
        "static_configs": [{ "targets": [server] }],
    })
}

/// A Prometheus that scrapes the API server, and through it the node.
fn prometheus(home: &Home, namespace: &str) -> ClusterRight {
    let rules = ["--verb=get", "--resource=nodes/proxy", "--non-resource-url=/metrics"];
    let rights = ClusterRight::new(format!("{namespace}-scrape"), &rules, namespace, "prometheus");
    let server = Kubeconfig::of_cluster(&kubeconfig()).server().replace("https://", "");
    let nodes = kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]);
    let cadvisor = |node: &str| job(node, &server, &format!("/api/v1/nodes/{node}/proxy/metrics/cadvisor"));
    let jobs: Vec<Value> = nodes.split(' ').map(cadvisor).chain([job("apiserver", &server, "/metrics")]).collect();
    let config = json!({ "global": { "scrape_interval": "1s" }, "scrape_configs": jobs });
    let meta = |name: &str| json!({ "name": name, "namespace": namespace });
    apply(home, &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("prometheus") }));
    let mut login = meta("login");
    login["annotations"] = json!({ "kubernetes.io/service-account.name": "prometheus" });
    let kind = "kubernetes.io/service-account-token";
    apply(home, &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": login, "type": kind }));
    let data = json!({ "prometheus.yml": config.to_string() });
    apply(home, &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("config"), "data": data }));
    // The API server may listen on the node's loopback alone.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let args = [
        "--config.file=/etc/prometheus/prometheus.yml".to_owned(),
        "--storage.tsdb.path=/data".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path });
    let container = json!({
        "name": "prometheus", "image": "prom/prometheus:latest", "imagePullPolicy": "Never", "args": args,
        "ports": [{ "name": "web", "containerPort": port }],
        "readinessProbe": {
            "httpGet": { "path": "/-/ready", "port": port, "host": "127.0.0.1" }, "periodSeconds": 1,
        },
        "volumeMounts": [mount("config", "/etc/prometheus"), mount("data", "/data"), mount("login", "/login")],
    });
    let volumes = json!([
        { "name": "config", "configMap": { "name": "config" } }, { "name": "data", "emptyDir": {} },
        { "name": "login", "secret": { "secretName": "login" } },
    ]);
    let mut pod = meta("prometheus");
    pod["labels"] = json!({ "app": "prometheus" });
    let spec = json!({
        "hostNetwork": true, "terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes,
    });
    apply(home, &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec }));
    service(home, namespace, "prometheus-server", "prometheus");
    ready(namespace, "prometheus");
    rights
}

/// The dashboard with its one context connected and selected.
fn open(home: &Home, kubeconfig: std::path::PathBuf) -> Screen {
    let mut screen = Start::new(home).kubeconfig(kubeconfig).size(140, 40).run();
    screen.wait_for("Clusters 1");
    screen.press("1");
    screen.wait("a row", |text| text.contains("● ready") || text.contains("○ disconnected"));
    if !screen.text().contains("● ready") {
        screen.press("\r");
    }
    screen.wait_for("● ready");
    screen
}

/// Lets somebody list the services of a namespace, and nothing more.
fn let_list(namespace: &str) {
    kubectl(&["-n", namespace, "create", "role", "services", "--verb=list", "--resource=services"]);
    let account = format!("--serviceaccount={namespace}:person");
    kubectl(&["-n", namespace, "create", "rolebinding", "services", "--role=services", &account]);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn it_is_found_asked_through_the_tunnel_kept_and_forwarded() {
    let (home, space) = (Home::new(""), Namespace::new("prom"));
    let name = space.0.as_str();
    decoy(&home, name);
    let _rights = prometheus(&home, name);
    let path = space.kubeconfig(&home);
    let_list(name);
    let mut screen = open(&home, path.clone());
    // A slow machine may miss it once. The values come with the first scrapes; the key asks before it is time again.
    until("the values", || {
        screen.press("m");
        screen.look(Duration::from_secs(1));
        screen.text().contains(" cores") && screen.text().contains("memory")
    });
    let shown = screen.text();
    assert!(shown.contains(&format!("Prometheus {name}/prometheus-server:80 (by tunnel)")), "{shown}");
    assert!(shown.contains("query sum(rate(container_cpu_usage_seconds_total{id=\"/\"}[5m]))"), "{shown}");
    let cpu = shown.lines().find(|line| line.contains(" cores")).unwrap();
    assert!(cpu.contains(['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']) && cpu.contains('/'), "{cpu}");
    let state = || fs::read_to_string(home.path().join(".local/state/brow/state.json")).unwrap_or_default();
    until("it is kept", || state().contains("\"way\": \"tunnel\"") && state().contains("prometheus-server"));
    screen.press("f");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let answer = get(&live(&shown).unwrap(), "/api/v1/status/buildinfo").unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("\"status\":\"success\""));
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
    // The next run asks it without a search.
    let mut screen = open(&home, path);
    screen.wait("the values", |text| text.contains(" cores") && text.contains("by tunnel"));
    screen.press("L");
    let log = screen.wait_for("is connected");
    assert!(!log.contains("Prometheus found"), "{log}");
    screen.press("L");
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_only_looks_like_one_is_left_out_and_a_missing_right_is_named() {
    let (home, space) = (Home::new(""), Namespace::new("promdecoy"));
    let name = space.0.as_str();
    decoy(&home, name);
    let path = space.kubeconfig(&home);
    let mut screen = open(&home, path);
    screen.press("L");
    screen.wait_for("no Prometheus found");
    screen.press("L");
    screen.wait_gone("no Prometheus found");
    screen.press("m");
    wait_says(&mut screen, &["no right to list services"]);
    screen.press("L");
    screen.wait_for("filter");
    screen.press("\r");
    wait_dialog(&mut screen, &["services", "kind: ClusterRole"]);
    screen.press("\x1b[27u");
    screen.wait_gone("kind: ClusterRole");
    screen.press("L");
    let_list(name);
    let found = ["no Prometheus found; tried", &format!("{name}/a-decoy:80 (tunnel)"), "it answers 404"];
    // The API server knows of the right a moment later, and a slow machine may miss the answer once.
    until("it has asked the decoy", || {
        screen.press("m");
        screen.look(Duration::from_secs(3));
        found.iter().all(|words| says(&screen.text(), words))
    });
    assert!(!screen.text().contains(" cores"));
    quit(screen);
}

#[test]
fn practice_has_one_to_see() {
    let (home, temp) = (Home::new(""), TempDir::new().unwrap());
    let mut screen = practice(Start::new(&home).size(120, 40), &temp);
    screen.wait_for("monitoring/prometheus-server:80 (by tunnel)");
    let shown = screen.wait("the values", |text| text.contains("/8.0 cores") && text.contains("/34.4 GB"));
    assert!(shown.contains("query sum(rate(node_cpu_seconds_total"), "{shown}");
    screen.press("f");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    let answer = get(&live(&shown).unwrap(), "/api/v1/status/buildinfo").unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("practice"));
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
}
