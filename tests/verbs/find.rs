//! `find`: objects of real clusters and of the practice one.

use serde_json::{Value, json};

use crate::common::Home;
use crate::common::arrange::Kubeconfig;
use crate::common::kube::{Namespace, kubeconfig, kubectl, try_kubectl, until};
use crate::shell::{Done, Shell};

/// The results of a search as `kind namespace/name`, best first.
fn results(done: &Done) -> Vec<String> {
    let found: Value =
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {} {}", done.out, done.err));
    let rows = found["results"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.map(|row| format!("{} {}/{}", text(&row["kind"]), text(&row["namespace"]), text(&row["name"]))).collect()
}

/// A custom kind of its own, which goes with the test.
struct Custom(String);

impl Custom {
    fn new(home: &Home) -> Self {
        let group = format!("t{:08x}.example.com", rand::random::<u32>());
        let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
        let version =
            |name: &str, storage: bool| json!({ "name": name, "served": true, "storage": storage, "schema": schema });
        let names = json!({ "plural": "gadgets", "singular": "gadget", "kind": "Gadget", "shortNames": ["gad"] });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("gadgets.{group}") },
            "spec": { "group": group, "scope": "Namespaced", "names": names, "versions": [version("v1alpha1", true)] },
        });
        let path = home.path().join("crd.json");
        std::fs::write(&path, definition.to_string()).unwrap();
        kubectl(&["apply", "-f", path.to_str().unwrap()]);
        let custom = Self(group);
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &custom.definition()]);
        custom
    }

    fn definition(&self) -> String {
        format!("crd/gadgets.{}", self.0)
    }
}

impl Drop for Custom {
    fn drop(&mut self) {
        let _gone = try_kubectl(&["delete", &self.definition(), "--wait=false"]);
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn everything_with_a_name_is_found_custom_kinds_too() {
    let (home, space) = (Home::new(""), Namespace::new("find"));
    let custom = Custom::new(&home);
    let name = space.0.as_str();
    let gadget = json!({
        "apiVersion": format!("{}/v1alpha1", custom.0), "kind": "Gadget",
        "metadata": { "name": "lighthouse", "namespace": name, "labels": { "tier": "Front" } },
    });
    let path = home.path().join("gadget.json");
    std::fs::write(&path, gadget.to_string()).unwrap();
    // It is established a moment before it is served.
    until("the gadget is there", || crate::common::kube::try_kubectl(&["apply", "-f", path.to_str().unwrap()]).is_ok());
    kubectl(&["-n", name, "create", "configmap", "lighthouse-lamp"]);
    kubectl(&["-n", name, "create", "secret", "generic", "old-lighthouse", "--from-literal=key=hidden"]);
    let shell = Shell { home: &home, kubeconfig: Some(kubeconfig()) };
    let admin = ["--context", "brow-admin", "--json"];
    let find = |args: &[&str]| {
        let done = shell.run(&[&["find"], args, &admin].concat());
        assert!([0, 3].contains(&done.code), "{args:?}: {}", done.err);
        results(&done)
    };
    let at = |kind: &str, object: &str| format!("{kind} {name}/{object}");
    let in_it = format!("ns:{name}");
    assert_eq!(
        find(&["lighthouse", &in_it]),
        [at("Gadget", "lighthouse"), at("ConfigMap", "lighthouse-lamp"), at("Secret", "old-lighthouse")]
    );
    assert_eq!(find(&["lighthouse", "-n", name, "kind:gad"]), [at("Gadget", "lighthouse")]);
    assert_eq!(find(&["label:tier=Front", &in_it]), [at("Gadget", "lighthouse")]);
    assert_eq!(find(&[&format!("kind:namespace {name}")]), [format!("Namespace /{name}")]);
    let lines = shell.ok(&["find", "lighthouse", "-n", name, "--context", "brow-admin", "--limit", "1"]);
    assert_eq!((lines.lines().count(), lines.contains("gadgets.")), (2, true), "{lines}");
    assert!(!lines.contains("hidden"));
    let none = shell.run(&["find", "no-such-thing-anywhere", "--context", "brow-admin"]);
    assert_eq!((none.code, none.out.as_str()), (3, ""), "{}", none.err);
    assert_eq!(shell.run(&["find", "x", "--context", "none"]).code, 3);
    let down = shell.run(&["find", "lighthouse", "--context", "brow-admin", "--context", "brow-down", "--json"]);
    assert_eq!((down.code, results(&down).len() >= 3), (1, true), "a cluster that was named is down: {}", down.err);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_may_not_be_listed_is_said_once() {
    let (home, space) = (Home::new(""), Namespace::new("findrights"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let image = "--image=docker.io/library/busybox:latest";
    kubectl(&["-n", &space.0, "run", "lighthouse", image, "--image-pull-policy=IfNotPresent", "--", "sleep", "60"]);
    let done = shell.run(&["find", "lighthouse", "--json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(results(&done), [format!("Pod {}/lighthouse", space.0)]);
    let told: Vec<&str> = done.err.lines().filter(|line| line.contains("secrets")).collect();
    assert_eq!(told.len(), 1, "{}", done.err);
    let all = Kubeconfig::of_cluster(&kubeconfig()).context("viewer", "brow", "viewer", "default");
    let shell = Shell { home: &home, kubeconfig: Some(all.write(&home.path().join("viewer"))) };
    let done = shell.run(&["find", "kind:namespace", &space.0, "--json", "--context", "viewer"]);
    assert_eq!((done.code, results(&done)), (0, vec![format!("Namespace /{}", space.0)]), "{}", done.err);
}

#[test]
fn practice_has_something_to_find() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: None };
    let done = shell.run(&["--practice", "find", "storefront", "--context", "practice", "--json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(results(&done), ["Ingress shop/storefront", "IngressRoute shop/storefront"]);
    let done = shell.run(&["--practice", "find", "kind:secret", "password", "--context", "practice"]);
    assert!(done.code == 0 && done.out.contains("redis-password"), "{} {}", done.out, done.err);
}
