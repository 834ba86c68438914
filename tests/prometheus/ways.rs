//! Several ways to one Prometheus: of those that answer the best is taken.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::common::Home;
use super::common::arrange::{clipboard, quit, wait_says};
use super::common::front::PlainApi;
use super::common::kube::{ClusterRight, Namespace, kubectl, until};
use super::{apply, let_list, open, ready, service};

/// A pod that says it is a Prometheus, and its service.
fn stand_in(home: &Home, namespace: &str) {
    let answer = r#"{"status":"success","data":{"version":"2.45.0"}}"#;
    let script = format!(
        "mkdir -p /www/api/v1/status && echo '{answer}' > /www/api/v1/status/buildinfo && httpd -f -p 8080 -h /www"
    );
    let container = json!({
        "name": "web", "image": "busybox:latest", "imagePullPolicy": "Never", "command": ["sh", "-c", script],
        "ports": [{ "name": "web", "containerPort": 8080 }],
    });
    let meta = json!({ "name": "prometheus", "namespace": namespace, "labels": { "app": "prometheus" } });
    let spec = json!({ "terminationGracePeriodSeconds": 0, "containers": [container] });
    apply(home, &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec }));
    service(home, namespace, "prometheus-server", "prometheus");
    ready(namespace, "prometheus");
}

/// Gives a service the addresses of load balancers. The network of the test cluster leads to any of them.
fn balance(api: &PlainApi, namespace: &str, service: &str, at: &[Value]) {
    let path = format!("/api/v1/namespaces/{namespace}/services/{service}/status");
    api.send("PATCH", &path, &json!({ "status": { "loadBalancer": { "ingress": at } } }));
}

/// An Ingress, and an address where its controller would be. Kubernetes takes the host for a name, which every resolver
/// takes for that address.
fn ingress(home: &Home, api: &PlainApi, namespace: &str, last: u16) {
    let ports = json!([{ "name": "http", "port": 80, "targetPort": "web" }]);
    let spec = json!({ "type": "LoadBalancer", "selector": { "app": "prometheus" }, "ports": ports });
    let meta = |name: &str| json!({ "name": name, "namespace": namespace });
    apply(home, &json!({ "apiVersion": "v1", "kind": "Service", "metadata": meta("controller"), "spec": spec }));
    balance(api, namespace, "controller", &[json!({ "ip": format!("10.99.77.{last}") })]);
    let backend = json!({ "service": { "name": "prometheus-server", "port": { "number": 80 } } });
    let http = json!({ "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] });
    let spec = json!({ "rules": [{ "host": host(last), "http": http }] });
    let (version, meta) = ("networking.k8s.io/v1", meta("prometheus"));
    apply(home, &json!({ "apiVersion": version, "kind": "Ingress", "metadata": meta, "spec": spec }));
}

fn host(last: u16) -> String {
    format!("10.99.{}", 77 * 256 + last)
}

/// Waits until something listens: the rules of the cluster's network follow its objects.
fn wait_open(address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    until("it is open", || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok());
}

/// Lets the namespace's person list its Ingresses.
fn let_list_ingresses(name: &str) {
    let rule = ["--verb=list", "--resource=ingresses.networking.k8s.io"];
    kubectl(&[&["-n", name, "create", "role", "ingresses"], &rule[..]].concat());
    let account = format!("--serviceaccount={name}:person");
    kubectl(&["-n", name, "create", "rolebinding", "ingresses", "--role=ingresses", &account]);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_best_way_that_answers_is_taken() {
    let (home, space, api) = (Home::new(""), Namespace::new("promways"), PlainApi::new());
    let name = space.0.as_str();
    let path = space.kubeconfig(&home);
    let _nodes = ClusterRight::new(format!("{name}-nodes"), &["--verb=list", "--resource=nodes"], name, "person");
    let_list(name);
    let_list_ingresses(name);
    stand_in(&home, name);
    let mut screen = open(&home, path);
    let place = |way: &str| format!("Prometheus {name}/prometheus-server:80 (by {way})");
    let alter = |spec: &str| kubectl(&["-n", name, "patch", "service", "prometheus-server", "-p", spec]);
    // A slow machine may miss a way that has just been opened.
    let mut again = |way: &str| {
        until(way, || {
            screen.press("m");
            screen.look(Duration::from_secs(3));
            screen.text().contains(&place(way))
        });
    };
    again("tunnel");
    alter(r#"{"spec":{"type":"NodePort"}}"#);
    let port = ["-n", name, "get", "service", "prometheus-server", "-o", "jsonpath={.spec.ports[0].nodePort}"];
    wait_open(&format!("10.99.0.1:{}", kubectl(&port)));
    again("its node port");
    let last = 1 + rand::random::<u16>() % 254;
    ingress(&home, &api, name, last);
    wait_open(&format!("10.99.77.{last}:80"));
    again("its Ingress");
    // The first name is none, and nobody is at the address that the second one means.
    let nowhere = [json!({ "hostname": "nobody.invalid" }), json!({ "hostname": "10.99.200" })];
    let balancers = |at: &[Value]| balance(&api, name, "prometheus-server", at);
    alter(r#"{"spec":{"type":"LoadBalancer"}}"#);
    balancers(&[json!({ "ip": format!("10.99.78.{last}") })]);
    wait_open(&format!("10.99.78.{last}:80"));
    again("its load balancer");
    balancers(&nowhere);
    again("its Ingress");
    kubectl(&["-n", name, "delete", "ingress", "prometheus"]);
    again("its node port");
    kubectl(&["-n", name, "delete", "pod", "prometheus", "--wait"]);
    ingress(&home, &api, name, last);
    screen.press("m");
    wait_says(&mut screen, &["no Prometheus found; tried"]);
    screen.press("L");
    screen.wait_for("filter");
    let before = screen.raw().len();
    screen.press("y");
    screen.wait_until("it is copied", |screen| clipboard(&screen.raw()[before..]).is_some());
    let copied = clipboard(&screen.raw()[before..]).unwrap();
    let ingress = format!("(ingress http://{})", host(last));
    for way in [
        "(load-balancer http://nobody.invalid): its name does not resolve here",
        "(load-balancer http://10.99.200)",
        &ingress,
        "(node-port http://10.99.0.1:",
        "(tunnel): none of its pods is ready",
    ] {
        assert!(copied.contains(way), "{way}: {copied}");
    }
    screen.press("L");
    quit(screen);
}
