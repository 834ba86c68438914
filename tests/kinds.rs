//! The browser of kinds from the keyboard: every kind of a real cluster, and its objects as the server prints them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::fs;

use common::arrange::{Kubeconfig, clipboard, practice, quit, wait_dialog, wait_says};
use common::kube::{Namespace, kubeconfig, kubectl, try_kubectl, until};
use common::through::{get, live};
use common::{Home, Screen, Start};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A custom kind, which goes with the test.
struct Custom(String);

impl Custom {
    fn new(home: &Home, group: &str, version: &str, (plural, kind): (&str, &str), columns: &Value) -> Self {
        let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
        let mut subresources = json!({ "status": {} });
        if group == "apps.kruise.io" {
            subresources["scale"] = json!({
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.labelSelector",
            });
        }
        let version = json!({
            "name": version, "served": true, "storage": true, "schema": schema, "subresources": subresources,
            "additionalPrinterColumns": columns,
        });
        let short = match kind {
            _ if group != "apps.kruise.io" => json!([]),
            "CloneSet" => json!(["clone"]),
            _ => json!(["asts"]),
        };
        let names = json!({ "plural": plural, "singular": kind.to_lowercase(), "kind": kind, "shortNames": short });
        let name = format!("{plural}.{group}");
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": name },
            "spec": { "group": group, "scope": "Namespaced", "names": names, "versions": [version] },
        });
        apply(home, &definition);
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{name}")]);
        Self(name)
    }
}

impl Drop for Custom {
    fn drop(&mut self) {
        let _gone = try_kubectl(&["delete", &format!("crd/{}", self.0), "--wait=false"]);
    }
}

/// Applies an object. A kind is established a moment before it is served.
fn apply(home: &Home, object: &Value) {
    let path = home.path().join("object.json");
    fs::write(&path, object.to_string()).unwrap();
    until("the object is there", || try_kubectl(&["apply", "-f", path.to_str().unwrap()]).is_ok());
}

/// The dashboard with its one context connected, and the browser of kinds open.
fn open(home: &Home, kubeconfig: std::path::PathBuf) -> Screen {
    let mut screen = Start::new(home).kubeconfig(kubeconfig).size(160, 40).run();
    screen.wait_for("brow-");
    screen.press("1");
    screen.wait("a row", |text| text.contains("● ready") || text.contains("○"));
    if !screen.text().contains("● ready") {
        screen.press("\r");
    }
    screen.wait_for("● ready");
    screen.press("K");
    screen.wait_for("─ Kinds of ");
    screen.wait_for("ConfigMap");
    screen
}

fn admin(home: &Home) -> std::path::PathBuf {
    let all = Kubeconfig::of_cluster(&kubeconfig()).context("brow-kinds", "brow", "admin", "brow-dev");
    all.write(&home.path().join("kc"))
}

/// Opens the table of the kind that a filter leaves first.
fn list(screen: &mut Screen, kind: &str) {
    screen.press(kind);
    screen.wait("the kind first", |text| {
        text.lines().any(|line| line.contains('▌') && line.to_lowercase().contains(kind))
    });
    screen.press("\r");
    screen.wait("its objects", |text| text.contains(" of brow-kinds: ") && !text.contains("Kinds of brow-kinds: "));
}

/// Leaves the browser, one step at a time, and the program.
#[track_caller]
fn leave(mut screen: Screen) {
    screen.press("\x1b[27u\x1b[27u\x1b[27u\x1b[27u");
    screen.wait("no browser", |text| !text.contains("─ Kinds of ") && !text.contains(" of brow-kinds"));
    quit(screen);
}

fn route(namespace: &str, name: &str) -> Value {
    let service = json!({ "name": "web", "namespace": "brow-dev", "port": 80 });
    json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "entryPoints": ["websecure"], "tls": { "secretName": "lamp-cert" },
            "routes": [{ "kind": "Rule", "match": format!("Host(`{name}.example`)"), "services": [service] }],
        },
    })
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn known_kinds_come_first_and_a_route_leads_to_its_service() {
    let (home, space) = (Home::new(""), Namespace::new("kinds"));
    let name = space.0.as_str();
    let columns = json!([{ "name": "Image", "type": "string", "jsonPath": ".spec.upgrade.image" }]);
    let kinds = [
        Custom::new(&home, "traefik.io", "v1alpha1", ("ingressroutes", "IngressRoute"), &json!([])),
        Custom::new(&home, "upgrade.cattle.io", "v1", ("plans", "Plan"), &columns),
    ];
    apply(&home, &route(name, "lamp"));
    let plan = json!({
        "apiVersion": "upgrade.cattle.io/v1", "kind": "Plan", "metadata": { "name": "server", "namespace": name },
        "spec": { "concurrency": 1, "version": "v1.30.1+k3s1", "upgrade": { "image": "rancher/k3s-upgrade" } },
    });
    apply(&home, &plan);
    let mut screen = open(&home, admin(&home));
    let shown = screen.wait("both", |text| text.contains("Traefik") && text.contains("K3s upgrade"));
    let line = |what: &str| shown.lines().position(|line| line.contains(what)).unwrap();
    assert!(line("IngressRoute") < line("Plan") && line("Plan") < line("ConfigMap"), "{shown}");
    list(&mut screen, "plans.upgrade");
    let shown = screen.wait_for("rancher/k3s-upgrade");
    assert!(shown.contains("v1.30.1+k3s1") && shown.contains("Pending") && shown.contains("IMAGE"), "{shown}");
    screen.press("\x1b[27u");
    screen.wait_for("─ Kinds of ");
    screen.press("\x15");
    list(&mut screen, "ingressroutes.traefik");
    screen.wait_for("Host(`lamp.example`)");
    let shown = screen.wait_for("ENTRY POINTS");
    assert!(shown.contains("brow-dev/web:80") && shown.contains("lamp-cert"), "{shown}");
    // Live: what comes, changes and goes does so by itself.
    apply(&home, &route(name, "mizzen"));
    screen.wait_for("Host(`mizzen.example`)");
    kubectl(&["-n", name, "delete", "ingressroutes.traefik.io", "mizzen"]);
    screen.wait_gone("mizzen");
    screen.press("\r");
    screen.wait_for("4 YAML");
    screen.press("4");
    screen.wait("the object", |text| text.contains("entryPoints:") && text.contains("kind: IngressRoute"));
    screen.press("\x1b[27u");
    screen.wait_gone("entryPoints:");
    screen.press(&format!("lamp {name}"));
    screen.wait_for("Host(`lamp.example`)");
    // To bytes.
    screen.press("\x12");
    let shown = screen.wait("a live forward", |text| live(text).is_some());
    assert!(!get(&live(&shown).unwrap(), "/").unwrap().is_empty());
    until("the target is saved", || home.read_config().contains("workload = \"service/web:80\""));
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
    drop(kinds);
}

/// A workload of `OpenKruise` and the pod that its controller would have made.
fn kruise(home: &Home, namespace: &str, (version, kind, name): (&str, &str, &str)) {
    let labels = json!({ "app": name });
    let script = format!("mkdir -p /tmp/w && echo {name} > /tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w");
    let spec = json!({ "terminationGracePeriodSeconds": 0, "containers": [{
        "name": "main", "image": "busybox:latest", "imagePullPolicy": "Never", "command": ["sh", "-c", script],
        "ports": [{ "name": "http", "containerPort": 8080 }],
    }] });
    let api = format!("apps.kruise.io/{version}");
    let template = json!({ "metadata": { "labels": labels }, "spec": spec });
    let set = json!({
        "apiVersion": api, "kind": kind, "metadata": { "name": name, "namespace": namespace },
        "spec": { "replicas": 1, "selector": { "matchLabels": labels }, "template": template },
    });
    apply(home, &set);
    let resource = format!("{}.{version}.apps.kruise.io/{name}", kind.to_lowercase());
    let uid = kubectl(&["-n", namespace, "get", &resource, "-o", "jsonpath={.metadata.uid}"]);
    let owner = json!({
        "apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true,
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": spec,
        "metadata": { "name": format!("{name}-0"), "namespace": namespace, "labels": labels, "ownerReferences": [owner] },
    });
    apply(home, &pod);
    kubectl(&["-n", namespace, "wait", "--for=condition=Ready", "--timeout=60s", &format!("pod/{name}-0")]);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn clone_sets_and_advanced_stateful_sets_are_targets() {
    let (home, space) = (Home::new(""), Namespace::new("kruise"));
    let kinds = [
        Custom::new(&home, "apps.kruise.io", "v1alpha1", ("clonesets", "CloneSet"), &json!([])),
        Custom::new(&home, "apps.kruise.io", "v1beta1", ("statefulsets", "StatefulSet"), &json!([])),
    ];
    kruise(&home, &space.0, ("v1alpha1", "CloneSet", "lantern"));
    kruise(&home, &space.0, ("v1beta1", "StatefulSet", "beacon"));
    // By their names, their short names, and with their group; a StatefulSet without it is that of Kubernetes.
    let all = [
        ("one", "cloneset/lantern:http", "lantern"),
        ("two", "clone/lantern:8080", "lantern"),
        ("three", "asts/beacon:http", "beacon"),
        ("four", "statefulset.apps.kruise.io/beacon:8080", "beacon"),
    ];
    let target = |(name, workload, _): (&str, &str, &str)| {
        let place = format!("cluster = \"brow-kinds\"\nnamespace = \"{}\"\n", space.0);
        format!("[[target]]\nname = \"{name}\"\n{place}workload = \"{workload}\"\n")
    };
    home.write_config(&all.map(target).concat());
    let mut screen = Start::new(&home).kubeconfig(admin(&home)).size(160, 40).run();
    screen.wait_for("three");
    for (name, _, says) in all {
        screen.press(&format!("2\x1b[27u/{name}\r"));
        screen.wait("the target alone", |text| text.lines().any(|line| line.contains('▌') && line.contains(name)));
        screen.press("\r");
        let shown = screen.wait("a live forward", |text| live(text).is_some());
        assert_eq!(get(&live(&shown).unwrap(), "/").unwrap(), format!("{says}\n").into_bytes(), "{name}");
        screen.press("x");
        screen.wait("no forward", |text| live(text).is_none());
    }
    // The page of one shows its pod, and the events of the pod.
    screen.press("F");
    screen.press(&format!("lantern kind:cloneset ns:{}", space.0));
    screen.wait_for("─ Search: 1 ");
    screen.press("\r3");
    screen.wait("its pod", |text| text.lines().any(|line| line.contains("Pod lantern-0")));
    screen.press("2");
    screen.wait("its pod's events", |text| {
        text.lines().any(|line| line.contains("Started") && line.contains("lantern-0"))
    });
    screen.press("\x1b[27u\x1b[27u\x1b[27u");
    screen.wait_gone("─ Search: ");
    quit(screen);
    drop(kinds);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn columns_are_the_servers_and_one_namespace_can_be_shown() {
    let (home, space) = (Home::new(""), Namespace::new("kindcolumns"));
    kubectl(&["-n", &space.0, "create", "configmap", "lighthouse"]);
    let mut screen = open(&home, admin(&home));
    // A system that is not installed is not listed; its name finds the CRD that is missing.
    screen.press("tailscale");
    screen.wait_for("connectors.tailscale.com is missing");
    screen.press("\x15");
    list(&mut screen, "deployments.apps");
    let shown = screen.wait("the deployment", |text| text.contains("UP-TO-DATE") && text.contains("web"));
    assert!(!shown.contains("SELECTOR"), "{shown}");
    screen.press("\t");
    screen.wait_for("SELECTOR");
    screen.press("\x1b[27u");
    screen.wait_for("─ Kinds of ");
    screen.press("\x15");
    list(&mut screen, "configmaps");
    screen.press(&format!("lighthouse {}", space.0));
    // The row, not only the filter.
    screen.wait("the row", |text| text.lines().any(|line| line.contains('▌') && line.contains("lighthouse")));
    screen.press("\x1b[Z");
    // The filter stays.
    screen.wait_for(&format!("of brow-kinds, namespace {}: 1", space.0));
    let before = screen.raw().len();
    screen.press("\x18");
    screen.wait_until("it is copied", |screen| clipboard(&screen.raw()[before..]).is_some());
    let copied = clipboard(&screen.raw()[before..]).unwrap();
    assert_eq!(copied, format!("kubectl --context brow-kinds -n {} get configmaps/lighthouse -o yaml", space.0));
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn missing_rights_are_named_with_a_role() {
    let (home, space) = (Home::new(""), Namespace::new("kindrights"));
    let mut screen = open(&home, space.kubeconfig(&home));
    screen.press("configmaps");
    screen.wait("the kind first", |text| text.lines().any(|line| line.contains('▌') && line.contains("configmaps")));
    screen.press("\r");
    wait_says(&mut screen, &["no right to list configmaps", &format!("in namespace {} (403)", space.0)]);
    screen.press("\x05");
    wait_dialog(&mut screen, &["configmaps", "kind: Role"]);
    screen.press("\x1b[27u");
    screen.wait_gone("kind: Role");
    screen.press("\x1b[27u\x1b[27u\x1b[27u");
    screen.wait_gone("─ Kinds of ");
    quit(screen);
}

#[test]
fn practice_has_kinds_to_browse() {
    let (home, temp) = (Home::new(""), TempDir::new().unwrap());
    let mut screen = practice(Start::new(&home).size(80, 24), &temp);
    screen.press("K");
    screen.wait("Traefik first", |text| text.lines().any(|line| line.contains('▌') && line.contains("IngressRoute")));
    screen.press("\r");
    screen.wait_for("web:80");
    screen.press("\x12");
    screen.wait("a live forward", |text| text.contains("web.shop") && text.contains("1 live"));
    screen.press("q");
    screen.wait_for("Quit?");
    screen.press("y");
    assert!(screen.wait_end().success());
}
