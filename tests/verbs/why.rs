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

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn ports_of_nodes_and_udp_are_followed_to_their_pods() {
    let (home, space) = (Home::new(""), Namespace::new("whynode"));
    space.echo();
    let [tcp, udp] = space.echo_ports();
    let ip = kubectl(&["-n", &space.0, "get", "pod/echo", "-o", "jsonpath={.status.podIP}"]);
    // The node has a new port a moment later, and that of UDP with that of TCP.
    until("the node has the port", || std::net::TcpStream::connect(format!("10.99.0.1:{tcp}")).is_ok());
    let targets = format!(
        "[[target]]\nname = \"it\"\ncluster = \"brow-admin\"\nnamespace = \"{}\"\nnode = \"{tcp},{udp}/udp\"\n",
        space.0
    );
    home.write_config(&targets);
    let shell = Shell { home: &home, kubeconfig: Some(kubeconfig()) };
    let why = |context: &str, args: &[&str], code: i32| {
        let done = shell.run(&[&["why"], args, &["-n", &space.0, "--context", context, "--json"]].concat());
        assert_eq!(done.code, code, "{args:?}: {} {}", done.out, done.err);
        steps(&done)
    };
    let passed = ["exists passed", "port passed", "endpoints passed", "listens passed", "policies passed"];
    let saved = why("brow-admin", &["it", "--pod"], 0);
    assert_eq!(saved, [&passed[..], &["connection passed"]].concat());
    let (tcp, udp) = (format!("node/{tcp}"), format!("node/{udp}/udp"));
    assert_eq!(why("brow-admin", &[&tcp], 0), [&passed[..], &["connection unknown needs-pod"]].concat());
    let by_udp = ["exists passed", "port passed", "endpoints passed", "listens unknown udp-silent", "policies passed"];
    // It echoes what comes.
    assert_eq!(why("brow-admin", &[&udp, "--pod"], 0), [&by_udp[..], &["connection passed"]].concat());
    // A port that nobody has, and one that may not be looked up.
    let other = why("brow-admin", &["node/29999"], 1);
    assert_eq!(other, ["exists unknown node-port-missing", "connection unknown needs-pod"]);
    let hidden = why("brow-developer", &[&tcp], 1);
    assert_eq!(hidden[0], "exists unknown forbidden");
    // By UDP alone, to a pod: one that answers, and a port that nobody listens on.
    let address = |port: u16| format!("{ip}:{port}/udp");
    assert_eq!(why("brow-admin", &[&address(7), "--pod"], 0), ["connection passed"]);
    assert_eq!(why("brow-admin", &[&address(9), "--pod"], 1), ["connection failed target-refused"]);
    until("no proxy pod is left", || space.pods() == ["echo"]);
    policies_of_protocols_and_addresses(&home, &space.0, &shell);
}

/// A policy for TCP does not let UDP in; one that names the addresses of a whole family lets every pod in.
fn policies_of_protocols_and_addresses(home: &Home, space: &str, shell: &Shell<'_>) {
    let policy = |rule: &Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "tcp" },
            "spec": { "podSelector": { "matchLabels": { "app": "echo" } }, "ingress": [rule] },
        })
    };
    let policies = |port: &str| {
        let place = format!("echo.{space}.svc:{port}");
        let done = shell.run(&["why", &place, "-n", space, "--context", "brow-admin", "--json"]);
        steps(&done).into_iter().find(|step| step.starts_with("policies")).unwrap()
    };
    apply(home, space, &policy(&json!({ "ports": [{ "port": 7 }] })));
    assert_eq!([policies("7"), policies("7/udp")], ["policies passed", "policies failed policy-blocks"]);
    let block = json!({ "ipBlock": { "cidr": "0.0.0.0/0" } });
    apply(home, space, &policy(&json!({ "ports": [{ "port": 7 }], "from": [block] })));
    assert_eq!(policies("7"), "policies passed");
    // These nodes tell no networks of pods, so that a part of all addresses stays unclear.
    let block = json!({ "ipBlock": { "cidr": "0.0.0.0/0", "except": ["10.244.0.0/17"] } });
    apply(home, space, &policy(&json!({ "ports": [{ "port": 7 }], "from": [block] })));
    assert_eq!(policies("7"), "policies unknown policy-unclear");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn all_policies_are_read_and_the_labels_are_those_of_the_config() {
    let (home, space) = (Home::new("[defaults]\nlabels = { team = \"shop\" }\n"), Namespace::new("whymany"));
    let name = space.0.as_str();
    apply(&home, name, &server("/bin/sh"));
    kubectl(&["-n", name, "wait", "--for=condition=Ready", "--timeout=60s", "pod/server"]);
    let policy = |name: &str, ingress: &Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": name },
            "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress },
        })
    };
    let mut all: Vec<Value> = (0..520).map(|number| policy(&format!("closed-{number:03}"), &json!([]))).collect();
    // The last one, on the second page, lets in those who have the label that the config gives to proxy pods.
    let open = json!([{ "from": [{ "podSelector": { "matchLabels": { "team": "shop" } } }] }]);
    all.push(policy("open", &open));
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": all });
    let path = home.path().join("policies.json");
    std::fs::write(&path, list.to_string()).unwrap();
    kubectl(&["-n", name, "create", "-f", path.to_str().unwrap()]);
    let shell = Shell { home: &home, kubeconfig: Some(kubeconfig()) };
    let policies = |code: i32| {
        let done = shell.run(&["why", "pod/server", "-n", name, "--context", "brow-admin", "--json"]);
        assert_eq!(done.code, code, "{} {}", done.out, done.err);
        steps(&done).into_iter().find(|step| step.starts_with("policies")).unwrap()
    };
    assert_eq!(policies(0), "policies passed");
    home.write_config("[defaults]\nlabels = { team = \"bank\" }\n");
    assert_eq!(policies(1), "policies failed policy-blocks");
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
