//! Services that look like a Prometheus, and others.

use serde_json::{Value, json};

use super::*;

fn service(name: &str, labels: &Value, ports: &Value) -> Service {
    let meta = json!({ "name": name, "namespace": "monitoring", "labels": labels });
    serde_json::from_value(json!({ "metadata": meta, "spec": { "ports": ports } })).unwrap()
}

fn web(port: i32) -> Value {
    json!([{ "name": "web", "port": port }])
}

#[test]
fn the_usual_installations_are_known() {
    let label = |name: &str, component: &str| json!({ "app.kubernetes.io/name": name, "app.kubernetes.io/component": component });
    for (name, labels, ports, found) in [
        ("mon-prometheus-server", label("prometheus", "server"), json!([{ "name": "http", "port": 80 }]), "80"),
        (
            "prometheus-k8s",
            label("prometheus", "prometheus"),
            json!([
                { "name": "web", "port": 9090 }, { "name": "reloader-web", "port": 8080 }
            ]),
            "9090",
        ),
        (
            "stack-prometheus",
            json!({ "app": "kube-prometheus-stack-prometheus" }),
            json!([
                { "name": "reloader-web", "port": 8080 }, { "name": "http-web", "port": 9090 }
            ]),
            "9090",
        ),
        ("prometheus-operated", json!({ "operated-prometheus": "true" }), web(9090), "9090"),
        ("old", json!({ "app": "prometheus", "component": "server" }), web(80), "80"),
        ("prometheus", json!({}), web(9090), "9090"),
        ("prometheus", json!({}), json!([{ "name": "grpc", "port": 1 }, { "name": "http", "port": 7 }]), "7"),
        ("prometheus", json!({}), json!([{ "name": "x", "port": 1, "protocol": "UDP" }, { "port": 3 }]), "3"),
        ("acme-prometheus-server", json!({}), web(80), "80"),
        (
            "thanos-query",
            json!({}),
            json!([{ "name": "grpc", "port": 10901 }, { "name": "http", "port": 10902 }]),
            "10902",
        ),
        ("query", label("thanos", "query"), web(9090), "9090"),
        ("vmsingle-main", label("vmsingle", ""), web(8428), "8428"),
        ("vmselect-main", label("vmselect", ""), web(8481), "8481/select/0/prometheus"),
        ("mimir-gateway", label("mimir", "gateway"), web(80), "80/prometheus"),
    ] {
        let known = candidate(&service(name, &labels, &ports)).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(format!("{}{}", known.service.port, known.path), found, "{name}");
        assert!(!known.tls);
    }
}

#[test]
fn what_stands_beside_one_is_none() {
    let prometheus = json!({ "app.kubernetes.io/name": "prometheus", "app": "prometheus" });
    for name in [
        "prometheus-alertmanager",
        "prometheus-node-exporter",
        "prometheus-kube-state-metrics",
        "prometheus-pushgateway",
        "prometheus-operator",
        "prometheus-adapter",
        "prometheus-blackbox-exporter",
        "Prometheus/../x",
    ] {
        assert_eq!(candidate(&service(name, &prometheus, &web(9090))), None, "{name}");
    }
    for (name, labels) in
        [("web", json!({ "app": "web" })), ("mimir-ingester", json!({ "app.kubernetes.io/name": "mimir" }))]
    {
        assert_eq!(candidate(&service(name, &labels, &web(9090))), None, "{name}");
    }
    for ports in
        [json!([]), json!([{ "port": 0 }]), json!([{ "port": 70_000 }]), json!([{ "port": 1, "protocol": "UDP" }])]
    {
        assert_eq!(candidate(&service("prometheus", &prometheus, &ports)), None, "{ports}");
    }
}

#[test]
fn the_better_sign_comes_first() {
    let rank = |labels: Value, name: &str| candidate(&service(name, &labels, &web(9090))).unwrap().rank;
    let server = rank(json!({ "app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server" }), "x");
    let operated = rank(json!({ "operated-prometheus": "true" }), "prometheus-operated");
    let named = rank(json!({}), "prometheus");
    let thanos = rank(json!({}), "thanos-query");
    assert!(server < operated && operated < named && named < thanos);
}

#[test]
fn the_ways_are_those_that_the_service_has() {
    let labels = json!({ "operated-prometheus": "true" });
    let ports = json!([{ "name": "web", "port": 9090, "nodePort": 30_900 }]);
    let mut found = service("prometheus-operated", &labels, &ports);
    let known = candidate(&found).unwrap();
    let node: Node = serde_json::from_value(json!({
        "metadata": { "name": "n" },
        "status": { "addresses": [
            { "type": "Hostname", "address": "n" }, { "type": "InternalIP", "address": "10.0.0.2" }
        ] },
    }))
    .unwrap();
    let shown =
        |ways: Vec<Way>| -> Vec<String> { ways.iter().map(|way| format!("{} {}", way.name(), way.place())).collect() };
    assert_eq!(
        shown(ways(&known, &found, std::slice::from_ref(&node))),
        ["node-port http://10.0.0.2:30900", "tunnel "]
    );
    let balancer =
        json!([{ "ip": "192.0.2.7" }, { "hostname": "lb.example" }, { "ip": "192.0.2.8" }, { "hostname": "a b" }]);
    found.status = serde_json::from_value(json!({ "loadBalancer": { "ingress": balancer } })).unwrap();
    assert_eq!(
        shown(ways(&known, &found, &[])),
        ["load-balancer http://192.0.2.7:9090", "load-balancer http://lb.example:9090", "tunnel "]
    );
    let secure = service("prometheus-k8s", &labels, &json!([{ "name": "https", "port": 8443 }]));
    let known = candidate(&secure).unwrap();
    assert!(known.tls && ways(&known, &secure, &[node]).is_empty(), "no certificate of a pod can be checked");
}

#[test]
fn an_ingress_leads_to_it_by_host_and_path() {
    let known = candidate(&service("prometheus", &json!({}), &web(9090))).unwrap();
    let ingress = |host: Value, path: &str, service: &str, namespace: &str, tls: bool| -> Ingress {
        let backend = json!({ "service": { "name": service, "port": { "number": 9090 } } });
        let http = json!({ "paths": [{ "path": path, "pathType": "Prefix", "backend": backend }] });
        let hosts = if tls { json!([{ "hosts": [host] }]) } else { json!([]) };
        let spec = json!({ "rules": [{ "host": host, "http": http }], "tls": hosts });
        serde_json::from_value(json!({ "metadata": { "name": "i", "namespace": namespace }, "spec": spec })).unwrap()
    };
    let host = || json!("prom.example");
    let way = |ingress: &Ingress| through(&known, ingress).map(|way| way.place());
    assert_eq!(way(&ingress(host(), "/", "prometheus", "monitoring", false)).as_deref(), Some("http://prom.example"));
    let base = way(&ingress(host(), "/prometheus/", "prometheus", "monitoring", true));
    assert_eq!(base.as_deref(), Some("https://prom.example/prometheus"));
    for (hosts, tls) in [
        (json!([{ "hosts": ["*.example"] }]), true),
        (json!([{}]), true),
        (json!([{ "hosts": ["other.example"] }, { "hosts": ["*.prom.example", "example"] }]), false),
    ] {
        let mut found = ingress(host(), "/", "prometheus", "monitoring", false);
        found.spec.as_mut().unwrap().tls = serde_json::from_value(hosts.clone()).unwrap();
        assert_eq!(way(&found).unwrap().starts_with("https:"), tls, "{hosts}");
    }
    for other in [
        ingress(host(), "/", "web", "monitoring", false),
        ingress(host(), "/", "prometheus", "shop", false),
        ingress(host(), "/p(/|$)(.*)", "prometheus", "monitoring", false),
        ingress(json!("*.example"), "/", "prometheus", "monitoring", false),
        ingress(json!(null), "/", "prometheus", "monitoring", false),
        ingress(json!("x@127.0.0.1"), "/", "prometheus", "monitoring", false),
    ] {
        assert_eq!(way(&other), None);
    }
}
