//! Rights that are missing: which verb, where, and a role that grants it when it is applied as it was copied. And the
//! manifest that is shipped: whoever has just those rights can do the whole of the main job.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::arrange::{Kubeconfig, clipboard, quit, wait_dialog, wait_says};
use common::kube::{Namespace, kubeconfig, kubectl, until};
use common::through::{live, local, works};
use common::{Home, Screen, Start};
use serde_json::json;

/// A service account without any right, in a namespace of its own, and a kubeconfig for it.
struct Nobody {
    namespace: Namespace,
    home: Home,
    kubeconfig: PathBuf,
}

impl Nobody {
    fn new(stem: &str, admin: &std::path::Path) -> Self {
        let namespace = Namespace::new(stem);
        let name = &namespace.0;
        kubectl(&["-n", name, "create", "serviceaccount", "robot"]);
        let token = kubectl(&["-n", name, "create", "token", "robot", "--duration", "1h"]);
        let home = Home::new(
            "[[target]]\nname = \"web\"\ncluster = \"robots\"\naddress = \"10.99.0.10:8080\"\nttl = \"5m\"\n",
        );
        let all = Kubeconfig::of_cluster(admin)
            .user("robot", json!({ "token": token.trim() }))
            .context("robots", "brow", "robot", name);
        let kubeconfig = all.write(&home.path().join("kc"));
        Self { namespace, home, kubeconfig }
    }

    fn start(&self) -> Screen {
        let start = Start::new(&self.home).kubeconfig(&self.kubeconfig).env("USER", &self.namespace.0);
        start.size(120, 40).run()
    }
}

/// Hands a text to kubectl; its standard output.
#[track_caller]
fn apply(text: &str, args: &[&str]) -> String {
    let config = std::env::var("BROW_TEST_KUBECONFIG").unwrap();
    let mut child = Command::new("kubectl")
        .args(["--kubeconfig", &config, "--context", "brow-admin", "apply", "-f", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\nfor\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// With the fault's dialog open: copies the role, checks that it names the right, leaves the dialog, applies it.
#[track_caller]
fn grant(screen: &mut Screen, nobody: &Nobody, verb: &str, resource: &str) {
    let namespace = &nobody.namespace.0;
    let right = format!("no right to {verb} {resource} in namespace {namespace} (403)");
    wait_dialog(screen, &[&right, "Ask an administrator", "can be copied", "kind: Role"]);
    let before = screen.raw().len();
    screen.press("y\x1b");
    screen.wait_gone(" Error ");
    let copied = clipboard(&screen.raw()[before..]).expect("a role in the clipboard");
    assert!(copied.starts_with("# "), "the words are comments:\n{copied}");
    assert!(copied.contains("cannot "), "the server's own words are among them:\n{copied}");
    let dry = apply(&copied, &["--dry-run=client"]);
    assert_eq!(dry.lines().count(), 2, "a role and its binding: {dry}");
    assert!(!copied.contains("ClusterRole"), "no more than is needed:\n{copied}");
    assert!(copied.contains(&format!("resources: [\"{resource}\"]")), "{copied}");
    apply(&copied, &[]);
    let who = format!("--as=system:serviceaccount:{namespace}:robot");
    until("the right is granted", || {
        common::kube::try_kubectl(&["-n", namespace, "auth", "can-i", verb, resource, &who]).is_ok()
    });
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn each_missing_right_is_named_and_the_role_that_is_copied_grants_it() {
    let kubeconfig = kubeconfig();
    let nobody = Nobody::new("rights", &kubeconfig);
    let namespace = nobody.namespace.0.clone();
    let mut screen = nobody.start();
    screen.wait_for("robots");

    // Listing: nothing of the cluster can be seen.
    screen.press("1\r");
    screen.wait("forbidden", |text| text.lines().any(|line| line.contains("robots") && line.contains("forbidden")));
    screen.press("i");
    grant(&mut screen, &nobody, "list", "pods");
    screen.press("R");
    screen.wait("ready", |text| text.lines().any(|line| line.contains("robots") && line.contains("● ready")));

    // Creating: the target keeps the refusal.
    screen.press("2c");
    screen.wait_for("✗ web");
    wait_says(&mut screen, &[&format!("web: no right to create pods in namespace {namespace} (403)")]);
    screen.press("i");
    grant(&mut screen, &nobody, "create", "pods");

    // Forwarding: the pod is there, the way to it is not.
    screen.press("\r");
    screen.wait("the forward says why", |text| text.contains("no right to create pods/portforward"));
    screen.press("4i");
    grant(&mut screen, &nobody, "create", "pods/portforward");
    let address = local(&screen.text()).unwrap();
    until("bytes go through", || works(&address));
    screen.wait_for("● live");

    // The log and the description.
    for (key, right) in [("l", "pods/log"), ("i", "pods")] {
        screen.press("3");
        screen.press(key);
        wait_says(&mut screen, &[&format!("no right to get {right} in namespace {namespace}")]);
        screen.press("y\x1b");
        screen.wait_gone(&format!("no right to get {right} in"));
        let copied = clipboard(screen.raw()).unwrap();
        assert!(
            copied.contains(&format!("resources: [\"{right}\"]")) && copied.contains("verbs: [\"get\"]"),
            "{copied}"
        );
    }

    // Killing: the log of events has it in full.
    screen.press("X");
    screen.wait("the refusal", |text| text.contains("no right to delete pods"));
    screen.press("L");
    screen.press("/delete resource\r\r");
    grant(&mut screen, &nobody, "delete", "pods");
    until("the forward is back on the pod that stayed", || works(&address));
    screen.press("\x1b");
    screen.wait_gone("delete resource");
    screen.press("L3X");
    until("the pod is gone", || nobody.namespace.pods().is_empty());
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_manifest_is_all_that_the_main_job_needs() {
    let kubeconfig = kubeconfig();
    let nobody = Nobody::new("manifest", &kubeconfig);
    let namespace = nobody.namespace.0.clone();
    let manifest = include_str!("../assets/rbac.yaml");
    assert!(manifest.contains("name: USER") && manifest.contains("namespace: NAMESPACE"));
    let user = format!("system:serviceaccount:{namespace}:robot");
    // A name of its own: another test may be at it in the same cluster.
    let mine = manifest.replace("NAMESPACE", &namespace).replace("name: USER", &format!("name: \"{user}\""));
    let mine = mine.replace("name: brow-tui\n", &format!("name: {namespace}\n"));
    apply(&mine, &[]);
    let _role = Role(namespace.clone());

    let mut screen = nobody.start();
    screen.wait_for("robots");
    screen.press("2\r");
    let shown = screen.wait("live", |text| live(text).is_some());
    assert!(works(&live(&shown).unwrap()));
    screen.press("3i");
    screen.wait_for("Conditions:");
    screen.press("G");
    screen.wait("its events", |text| text.contains("Scheduled") || text.contains("Started"));
    assert!(!screen.text().contains("(403)"), "{}", screen.text());
    screen.press("\x1b");
    screen.wait_gone("Esc close");
    screen.press("l");
    screen.wait_for("Esc close");
    screen.wait("the log, and that it goes on", |text| text.contains("follow") || text.contains("empty"));
    assert!(!screen.text().contains("(403)"), "{}", screen.text());
    screen.press("\x1b");
    screen.wait_gone("Esc close");
    screen.press("X");
    until("the pod is gone", || nobody.namespace.pods().is_empty());
    screen.press("4x");
    screen.wait_for("No forwards");

    // The WebSocket's verb is another.
    let config = nobody.home.read_config() + "[cluster.robots]\ntunnel = \"v4-websocket\"\n";
    std::fs::write(nobody.home.config(), config).unwrap();
    screen.press("L");
    screen.wait_for("was reloaded");
    screen.press("L2\r");
    let shown = screen.wait("live", |text| live(text).is_some());
    assert!(works(&live(&shown).unwrap()));
    // A node may take a minute over the first pod, which stays chosen as long: the youngest stands first.
    screen.press("3gX");
    until("the pod is gone", || nobody.namespace.pods().is_empty());
    screen.press("4x");
    screen.wait_for("No forwards");
    quit(screen);
}

/// Returns the rules of an optional part of the manifest, which begins with these words.
fn optional(part: &str) -> String {
    let manifest = include_str!("../assets/rbac.yaml");
    let at = manifest.find(part).unwrap_or_else(|| panic!("no part {part}"));
    let lines = manifest[at..].lines().take_while(|line| *line != "#");
    lines.filter_map(|line| line.strip_prefix("#   ")).flat_map(|line| ["  ", line, "\n"]).collect()
}

/// A deployment, and a Service for it.
const LAMP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: lamp }
spec:
  selector: { matchLabels: { app: lamp } }
  template:
    metadata: { labels: { app: lamp } }
    spec:
      terminationGracePeriodSeconds: 0
      automountServiceAccountToken: false
      containers:
        - { name: lamp, image: busybox:latest, imagePullPolicy: Never, command: [sh, -c, 'echo lit; sleep 1d'] }
---
apiVersion: v1
kind: Service
metadata: { name: lamp }
spec: { selector: { app: lamp }, ports: [{ port: 80 }] }
";

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_optional_part_for_pages_is_all_that_a_page_needs() {
    let kubeconfig = kubeconfig();
    let nobody = Nobody::new("page", &kubeconfig);
    let namespace = nobody.namespace.0.clone();
    let user = format!("system:serviceaccount:{namespace}:robot");
    let rules = [optional("# For the search, of the kinds"), optional("# For the page of an object")].concat();
    assert!(rules.contains("watch") && rules.contains("replicasets"), "{rules}");
    let (first, rest) = include_str!("../assets/rbac.yaml").split_once("---\n").unwrap();
    let mine = format!("{first}{rules}---\n{rest}").replace("NAMESPACE", &namespace);
    let mine = mine
        .replace("name: USER", &format!("name: \"{user}\""))
        .replace("name: brow-tui\n", &format!("name: {namespace}\n"));
    apply(&mine, &[]);
    let _role = Role(namespace.clone());
    apply(LAMP, &["-n", &namespace]);
    kubectl(&["-n", &namespace, "wait", "--for=condition=Available", "--timeout=60s", "deployment/lamp"]);

    let mut screen = nobody.start();
    screen.wait_for("robots");
    screen.press("1\r");
    screen.wait_for("● ready");
    screen.press("F");
    screen.press("lamp kind:deploy");
    screen.wait("the deployment", |text| text.lines().any(|line| line.contains('▌') && line.contains("Deployment")));
    screen.press("\r");
    screen.wait_for("1 Summary");
    screen.wait("its replicas", |text| text.lines().any(|line| line.contains("replicas") && line.contains("1/1")));
    assert!(!screen.text().contains("no right to"), "{}", screen.text());
    screen.press("2");
    let pods_too = |text: &str| text.contains("ScalingReplicaSet") && text.contains("Started  lamp-");
    let shown = screen.wait("its events, and those of its pod", pods_too);
    assert!(!shown.contains("no right to"), "{shown}");
    screen.press("4");
    let shown = screen.wait_for("kind: Deployment");
    assert!(!shown.contains("no right to"), "{shown}");
    screen.press("5");
    let shown = screen.wait("its log", |text| text.lines().any(|line| line.contains("lit")));
    assert!(!shown.contains("no right to"), "{shown}");
    // Nodes, which belong to no namespace, are all that is not shown of its relations.
    screen.press("3");
    let shown = screen.wait("its relations", |text| {
        ["owns ReplicaSet lamp-", "owns Pod lamp-", "selected by Service lamp"].iter().all(|row| text.contains(row))
            && text.contains("related objects, ")
    });
    assert!(shown.contains("no right to get nodes"), "{shown}");
    assert_eq!((shown.matches("no right to").count(), shown.matches("may not be read").count()), (1, 1), "{shown}");
    screen.press("\x1b[27u\x1b[27u\x1b[27u");
    screen.wait_gone("─ Search: ");
    quit(screen);
}

/// A cluster role, deleted when the test ends.
struct Role(String);

impl Drop for Role {
    fn drop(&mut self) {
        let _gone = common::kube::try_kubectl(&["delete", "clusterrole", &self.0, "--wait=false"]);
    }
}
