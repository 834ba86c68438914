//! The meaning of "ready": a stream through the forward would open. If it would not, the reason is reported in time.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::common::arrange::{FakeApi, Kubeconfig, status, wait_says};
use crate::common::kube::{Namespace, kubeconfig, kubectl, try_kubectl};
use crate::common::{Home, Start};
use crate::shell::{Done, Shell};

/// Runs a command through a forward to `target` that never comes to be ready.
#[track_caller]
fn never_ready(shell: &Shell<'_>, target: &str, timeout: &str) -> Done {
    let done = shell.run(&["connect", target, "-q", "--timeout", timeout, "--exec", "echo", "ran"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""), "{target}: {}", done.err);
    done
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn without_the_right_to_forward_nothing_is_run() {
    let path = kubeconfig();
    let target = |name: &str, cluster: &str| {
        let place = "namespace = \"brow-dev\"\nworkload = \"selector/app=web:http\"\n";
        format!("[[target]]\nname = \"{name}\"\ncluster = \"{cluster}\"\n{place}")
    };
    let config = target("any", "brow-viewer") + &target("single", "again");
    // Where each stream is a connection of its own, nothing is known before one has opened.
    let home = Home::new(&(config + "[cluster.again]\ntunnel = \"v4-websocket\"\n"));
    let viewer = |all: Kubeconfig, name| all.context(name, "brow", "viewer", "brow-dev");
    let all = viewer(viewer(Kubeconfig::of_cluster(&path), "brow-viewer"), "again");
    let shell = Shell { home: &home, kubeconfig: Some(all.write(&home.path().join("kc"))) };
    for target in ["any", "single"] {
        // Nothing that comes by itself is waited for.
        let done = never_ready(&shell, target, "3m");
        assert!(done.err.contains("pods/portforward in namespace brow-dev (403)"), "{target}: {}", done.err);
        assert!(!done.err.contains("Not ready after"), "{target}: {}", done.err);
        assert!(done.err.contains("kind: RoleBinding"), "with the Role that would allow it: {}", done.err);
    }
    let running = ["connect", "any", "--timeout", "3m"];
    let plain = shell.run(&running);
    assert_eq!((plain.code, plain.out.as_str()), (1, ""), "no line says that it listens: {}", plain.err);
}

/// A node that only the API server believes in, and a pod on it. Nobody is scheduled there.
struct Ghost {
    name: String,
    space: Namespace,
}

impl Ghost {
    /// `port`: where its kubelet is said to listen. `ready`: its report on itself.
    fn new(stem: &str, port: u16, ready: &Value) -> Self {
        let name = format!("brow-ghost-{:08x}", rand::random::<u32>());
        let ghost = Self { space: Namespace::new(stem), name };
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": ghost.name },
            "spec": { "unschedulable": true, "taints": [{ "key": "brow-test", "value": "ghost", "effect": "NoSchedule" }] },
            "status": {
                "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
                "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
                "conditions": [ready],
            },
        });
        ghost.send("create", "/api/v1/nodes", &node);
        let container = json!({ "name": "web", "image": "none", "ports": [{ "name": "http", "containerPort": 80 }] });
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "idle", "namespace": ghost.space.0 },
            "spec": { "nodeName": ghost.name, "containers": [container], "automountServiceAccountToken": false },
        });
        let pods = format!("/api/v1/namespaces/{}/pods", ghost.space.0);
        ghost.send("create", &pods, &pod);
        let runs = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
        pod["status"] = runs;
        ghost.send("replace", &format!("{pods}/idle/status"), &pod);
        ghost
    }

    fn send(&self, verb: &str, path: &str, object: &Value) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), object.to_string()).unwrap();
        kubectl(&["-n", &self.space.0, verb, "--raw", path, "-f", file.path().to_str().unwrap()]);
    }

    /// A home whose target `idle` is the pod there.
    fn home(&self) -> Home {
        let place = format!("namespace = \"{}\"\nworkload = \"pod/idle:http\"\n", self.space.0);
        Home::new(&format!("[[target]]\nname = \"idle\"\ncluster = \"brow-admin\"\n{place}"))
    }
}

impl Drop for Ghost {
    fn drop(&mut self) {
        let _gone = try_kubectl(&["delete", "node", &self.name, "--wait=false"]);
    }
}

fn condition(status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": "Ready", "status": status, "reason": reason, "message": message })
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_of_a_node_does_not_answer_is_told() {
    let path = kubeconfig();
    let well = condition("True", "KubeletReady", "kubelet is posting ready status");
    let lame = condition("False", "KubeletNotReady", "container runtime is down");
    // Bound, so that nobody else is there, and then not listened on; and one that takes connections and says nothing.
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (closed, silent) = (free().local_addr().unwrap().port(), free());
    let silent_port = silent.local_addr().unwrap().port();
    for (stem, port, ready, words) in [
        ("refused", closed, &well, &["cannot reach the kubelet on the node of idle", "error dialing backend"][..]),
        ("frozen", silent_port, &well, &["cannot reach the kubelet on the node of idle"]),
        ("lame", closed, &lame, &["is not ready", "container runtime is down"]),
    ] {
        let ghost = Ghost::new(stem, port, ready);
        let home = ghost.home();
        let shell = Shell { home: &home, kubeconfig: Some(path.clone()) };
        let done = never_ready(&shell, "idle", "20s");
        assert!(words.iter().all(|words| done.err.contains(words)), "{stem}: {}", done.err);
        assert!(done.err.contains("Not ready after 20s"), "{stem}: it may come right by itself: {}", done.err);
        assert!(!done.err.contains("cannot be reached"), "{stem}: the cluster answers: {}", done.err);
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_forward_is_not_live_before_a_stream_would_open() {
    let path = kubeconfig();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ghost = Ghost::new("unlive", closed, &condition("True", "KubeletReady", ""));
    let home = ghost.home();
    let mut screen = Start::new(&home).kubeconfig(&path).size(200, 50).run();
    screen.wait_for("idle");
    screen.press("2f");
    let shown = wait_says(&mut screen, &["cannot reach the kubelet on the node of idle"]);
    assert!(shown.contains("↻ retrying") && !String::from_utf8_lossy(screen.raw()).contains("● live"), "{shown}");
}

/// An API server with one pod, whose node does as `answer` says where it is asked for.
fn with_a_pod(answer: impl Fn(&str, &str) -> Option<(u16, Value)> + Send + Sync + 'static) -> FakeApi {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "idle", "namespace": "team", "uid": "1", "resourceVersion": "1" },
        "spec": { "nodeName": "one", "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": 80 }] }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    FakeApi::new(move |method, path| {
        let path = path.split('?').next().unwrap_or(path);
        answer(method, path).or_else(|| match path {
            "/api/v1/namespaces/team/pods" => {
                let list = json!({ "resourceVersion": "1" });
                Some((200, json!({ "kind": "PodList", "apiVersion": "v1", "metadata": list, "items": [pod] })))
            }
            "/api/v1/namespaces/team/pods/idle" => Some((200, pod.clone())),
            _ => None,
        })
    })
}

/// A home whose target `idle` is the pod of that server, and one whose address a proxy pod would reach.
fn home_of(server: &FakeApi, more: &str) -> (Home, std::path::PathBuf) {
    let target = |name: &str, place: &str| format!("[[target]]\nname = \"{name}\"\ncluster = \"fake\"\n{place}\n");
    let targets = target("idle", "workload = \"pod/idle:http\"") + &target("far", "address = \"10.99.0.10:80\"");
    let home = Home::new(&(targets + more));
    let all = Kubeconfig::empty().cluster("c", &json!({ "server": server.url }));
    let all = all.user("u", json!({ "token": "t" })).context("fake", "c", "u", "team");
    let path = all.write(&home.path().join("kc"));
    (home, path)
}

#[test]
fn a_runtime_that_hangs_is_told_from_a_kubelet_that_does() {
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "one" },
        "status": { "conditions": [condition("True", "KubeletReady", "")] },
    });
    let secret = status(403, "Forbidden", "nodes is forbidden: User \"ann\" cannot get resource \"nodes\"");
    for (health, node, words) in [
        ((200, json!("ok")), (200, node), "The container runtime on the node of idle does not answer"),
        // Whoever may ask for nothing but pods learns that it is the node.
        (secret.clone(), secret, "The API server answers, but the node of idle does not"),
    ] {
        let server = with_a_pod(move |_, path| match path {
            "/api/v1/namespaces/team/pods/idle/portforward" => loop {
                std::thread::park();
            },
            "/api/v1/nodes/one" => Some(node.clone()),
            "/api/v1/nodes/one/proxy/healthz" => Some(health.clone()),
            _ => None,
        });
        let (home, path) = home_of(&server, "");
        let shell = Shell { home: &home, kubeconfig: Some(path) };
        let done = never_ready(&shell, "idle", "12s");
        assert!(done.err.contains(words), "{}", done.err);
    }
}

/// Counts requests.
fn count(asked: &Mutex<Vec<String>>, wanted: &str) -> usize {
    asked.lock().unwrap().iter().filter(|line| line.starts_with(wanted)).count()
}

#[test]
fn a_busy_server_is_asked_again_for_a_pod_as_long_as_the_config_says() {
    let busy = status(429, "TooManyRequests", "Too many requests, please try again later.");
    let (tries, first) = (Arc::new(AtomicUsize::new(0)), busy.clone());
    let made = Arc::clone(&tries);
    // Busy, then failing, then with another answer: that is the last word.
    let server = with_a_pod(move |method, path| match (method, path) {
        ("POST", "/api/v1/namespaces/team/pods") => Some(match made.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => first.clone(),
            2 => status(500, "InternalError", "etcdserver: leader changed"),
            _ => status(403, "Forbidden", "pods is forbidden: User \"ann\" cannot create resource \"pods\""),
        }),
        ("GET", path) if path.starts_with("/api/v1/namespaces/team/pods/brow-") => Some(status(404, "NotFound", "")),
        _ => None,
    });
    let (home, path) = home_of(&server, "");
    let shell = Shell { home: &home, kubeconfig: Some(path) };
    let done = shell.run(&["pod", "create", "far", "--timeout", "40s"]);
    assert!(done.code == 1 && done.err.contains("no right to create pods"), "{}", done.err);
    assert_eq!(tries.load(Ordering::SeqCst), 4);
    assert_eq!(count(&server.asked, "GET /api/v1/namespaces/team/pods/brow-"), 1, "what failed may have been made");

    let server = with_a_pod(move |method, _| (method == "POST").then(|| busy.clone()));
    let (home, path) = home_of(&server, "[defaults]\ncreate_timeout = \"3s\"\n");
    let shell = Shell { home: &home, kubeconfig: Some(path) };
    let done = shell.run(&["pod", "create", "far", "--timeout", "3m"]);
    assert!(done.code == 1 && done.err.contains("is overloaded for far (429)"), "{}", done.err);
    assert!(count(&server.asked, "POST /api/v1/namespaces/team/pods") > 1);
}

#[test]
fn a_busy_server_is_asked_again_for_what_it_has() {
    let lists = AtomicUsize::new(0);
    let busy = status(429, "TooManyRequests", "Too many requests, please try again later.");
    let server = with_a_pod(move |_, path| {
        let first = path == "/api/v1/pods" && lists.fetch_add(1, Ordering::SeqCst) < 2;
        first.then(|| busy.clone())
    });
    let (home, path) = home_of(&server, "");
    let shell = Shell { home: &home, kubeconfig: Some(path) };
    let done = shell.run(&["pod", "list", "--cluster", "fake", "--json"]);
    assert_eq!((done.code, done.out.trim(), done.err.as_str()), (0, "[]", ""));
}
