//! An object's page from the keyboard: what it shows of objects of a real cluster, and where it leads.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::fs;

use common::arrange::{Kubeconfig, clipboard, quit, wait_dialog, wait_says};
use common::kube::{Namespace, kubeconfig, kubectl};
use common::{Home, Screen, Start};

/// A deployment whose pod needs a Secret that does not exist, a Service for it, and an Ingress to that and another one.
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
      containers:
        - name: lamp
          image: busybox:latest
          imagePullPolicy: Never
          command: [sh, -c, 'echo the lamp is lit; echo it is dark; sleep 1d']
          env:
            - name: OIL
              valueFrom: { secretKeyRef: { name: lamp-oil, key: oil } }
---
apiVersion: v1
kind: Service
metadata: { name: lamp }
spec:
  selector: { app: lamp }
  ports: [{ port: 80 }]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: lamp }
spec:
  rules:
    - host: lamp.example
      http:
        paths:
          - { path: /, pathType: Prefix, backend: { service: { name: lamp, port: { number: 80 } } } }
          - { path: /old, pathType: Prefix, backend: { service: { name: lantern, port: { number: 80 } } } }
";

fn apply(home: &Home, namespace: &Namespace, manifest: &str) {
    let path = home.path().join("manifest.yaml");
    fs::write(&path, manifest).unwrap();
    kubectl(&["-n", &namespace.0, "apply", "-f", path.to_str().unwrap()]);
}

/// The dashboard with the cluster connected, and the page of what is searched for.
fn open(home: &Home, search: &str) -> Screen {
    let all = Kubeconfig::of_cluster(&kubeconfig()).context("brow-page", "brow", "admin", "brow-dev");
    let path = all.write(&home.path().join("kc"));
    let mut screen = Start::new(home).kubeconfig(path).size(150, 45).run();
    screen.wait_for("brow-page");
    screen.press("1\r");
    screen.wait_for("● ready");
    find(&mut screen, search);
    screen
}

fn find(screen: &mut Screen, search: &str) {
    screen.press("F");
    screen.wait_for("─ Search: ");
    screen.press(search);
    screen.wait_for("─ Search: 1 ");
    screen.press("\r");
    screen.wait_for("1 Summary");
}

/// Moves down to the row that contains a text.
fn select(screen: &mut Screen, row: &str) {
    // Not the row of the cluster behind the dialog, whose numbers change by themselves.
    let selected = |text: &str| {
        let rows = text.lines().filter(|line| line.contains('▌') && !line.contains("● ready"));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..40 {
        let before = selected(&screen.text());
        if before.iter().any(|line| line.contains(row)) {
            return;
        }
        screen.press("j");
        screen.wait("the selection moves", |text| selected(text) != before);
    }
    panic!("no row {row}:\n{}", screen.text());
}

fn leave(mut screen: Screen) {
    screen.press("\x1b[27u\x1b[27u\x1b[27u\x1b[27u\x1b[27u");
    screen.wait("no dialog", |text| !text.contains("─ Search: ") && !text.contains("1 Summary"));
    quit(screen);
}

/// Returns true if one line has all of these.
fn line(text: &str, words: &[&str]) -> bool {
    text.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_broken_reference_is_shown_and_each_row_leads_to_its_page() {
    let (namespace, home) = (Namespace::new("page"), Home::new(""));
    apply(&home, &namespace, LAMP);
    let mut screen = open(&home, &format!("lamp kind:deploy ns:{}", namespace.0));
    screen.wait("the replicas", |text| line(text, &["replicas", "0/1"]));
    // Its events, and those of its pods, each with the name of the pod.
    screen.press("2");
    screen.wait("why its pod does not run", |text| {
        line(text, &["ScalingReplicaSet"])
            && line(text, &["! ", "Failed", "  lamp-", "kubelet"])
            && line(text, &["Scheduled", "  lamp-"])
    });
    screen.press("3");
    screen.wait("the Secret is missing", |text| line(text, &["Secret lamp-oil", "does not exist", "env OIL"]));
    screen.wait("what it owns", |text| line(text, &["owns ReplicaSet lamp-"]) && line(text, &["owns Pod lamp-"]));
    screen.wait("what selects it", |text| line(text, &["selected by Service lamp"]) && line(text, &["Ingress lamp"]));
    select(&mut screen, "Pod lamp-");
    screen.press("\r");
    screen.wait("the pod's page", |text| line(text, &["─ Pod lamp-"]));
    screen.press("3");
    screen.wait("its owners", |text| {
        line(text, &["owned by ReplicaSet lamp-"]) && line(text, &["owned by Deployment lamp"])
    });
    screen.wait("its node", |text| line(text, &["runs on Node"]));
    screen.press("2");
    screen.wait("why it does not run", |text| line(text, &["lamp-oil", "not found"]));
    // Live: it runs once the Secret is there.
    kubectl(&["-n", &namespace.0, "create", "secret", "generic", "lamp-oil", "--from-literal=oil=whale"]);
    screen.press("1");
    screen.wait("it runs", |text| line(text, &["● lamp", "Running"]));
    screen.press("5");
    screen.wait("its log", |text| line(text, &["the lamp is lit"]) && line(text, &["it is dark"]));
    screen.press("/lit\r");
    screen.wait("the lines that match", |text| text.contains("the lamp is lit") && !text.contains("it is dark"));
    // The filter first, then the page.
    screen.press("\x1b[27u");
    screen.wait_for("it is dark");
    screen.press("\x7f");
    screen.wait("the deployment's page", |text| line(text, &["─ Deployment lamp"]) && line(text, &["owns Pod lamp-"]));
    screen.press("r");
    screen.wait("nothing is missing", |text| line(text, &["Secret lamp-oil"]) && !text.contains("does not exist"));
    // Live: a pod that goes makes room for another.
    let shown = screen.text();
    let pods =
        |text: &str| text.lines().filter(|line| line.contains("owns Pod lamp-")).map(str::to_owned).collect::<Vec<_>>();
    let before = pods(&shown);
    kubectl(&["-n", &namespace.0, "delete", "pod", "-l", "app=lamp", "--wait=false"]);
    let shown = screen.wait("another pod", |text| pods(text).iter().any(|pod| !before.contains(pod)));
    let new = pods(&shown).into_iter().find(|pod| !before.contains(pod)).unwrap();
    let new = new.split_whitespace().find(|word| word.starts_with("lamp-")).unwrap().to_owned();
    screen.press("2");
    screen.wait("the events of the new pod", |text| line(text, &["Started", &new]));
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_service_leads_to_its_pods_and_a_route_to_its_services() {
    let (namespace, home) = (Namespace::new("pageroute"), Home::new(""));
    apply(&home, &namespace, LAMP);
    let mut screen = open(&home, "web kind:service ns:brow-dev");
    screen.wait("its ports", |text| line(text, &["ports", "80 → http/TCP"]));
    screen.press("3");
    screen.wait("its pods", |text| {
        line(text, &["endpoints EndpointSlice web-"]) && text.matches("endpoints Pod web-").count() >= 2
    });
    let before = screen.raw().len();
    screen.press("Y");
    screen.wait_until("it is copied", |screen| clipboard(&screen.raw()[before..]).is_some());
    let copied = clipboard(&screen.raw()[before..]).unwrap();
    assert_eq!(copied, "kubectl --context brow-page -n brow-dev get services/web -o yaml");
    screen.press("\x1b[27u\x1b[27u\x1b[27u");
    screen.wait("no dialog", |text| !text.contains("─ Search: ") && !text.contains("1 Summary"));
    find(&mut screen, &format!("lamp kind:ingress ns:{}", namespace.0));
    screen.press("3");
    screen.wait("its Services", |text| {
        line(text, &["routes to Service lamp", "lamp.example/"])
            && line(text, &["routes to Service lantern", "does not exist", "lamp.example/old"])
    });
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_browser_of_services_and_workloads_leads_to_pages() {
    let home = Home::new("");
    let all = Kubeconfig::of_cluster(&kubeconfig()).context("brow-page", "brow", "admin", "brow-dev");
    let path = all.write(&home.path().join("kc"));
    let mut screen = Start::new(&home).kubeconfig(path).size(150, 45).run();
    screen.wait_for("brow-page");
    screen.press("1\r");
    screen.wait_for("● ready");
    screen.press("b");
    screen.wait_for("─ Services and workloads: ");
    // The namespaces of other tests come later.
    screen.press("web");
    screen.wait("the service first", |text| line(text, &["▌", "svc/web"]));
    screen.wait_for("Alt-v page");
    screen.press("\x1bv");
    screen.wait("its page", |text| line(text, &["─ Service web"]) && line(text, &["ports", "80 → http/TCP"]));
    screen.press("3");
    screen.wait("its pods", |text| line(text, &["endpoints EndpointSlice web-"]));
    screen.press("\x1b[27u");
    screen.wait("the browser as it was left", |text| line(text, &["▌", "svc/web"]));
    for _ in 0..10 {
        if !line(&screen.text(), &["▌", "deploy/web"]) {
            let before = screen.text();
            screen.press("\x1b[B");
            screen.wait("the selection moves", |text| text != before);
        }
    }
    // The other key, which a terminal without Alt sends.
    screen.press("\x0f");
    screen.wait("its page", |text| line(text, &["─ Deployment web"]));
    screen.press("\x1b[27u\x1b[27u\x1b[27u");
    screen.wait("no dialog", |text| !text.contains("─ Services and workloads: ") && !text.contains("1 Summary"));
    quit(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_values_of_a_secret_are_shown_by_a_key_alone() {
    let (namespace, home) = (Namespace::new("pagesecret"), Home::new(""));
    kubectl(&["-n", &namespace.0, "create", "secret", "generic", "oil", "--from-literal=password=hunter2"]);
    let mut screen = open(&home, &format!("oil kind:secret ns:{}", namespace.0));
    screen.wait("the names alone", |text| line(text, &["data", "password"]));
    screen.press("4");
    let shown = screen.wait_for("password: ");
    assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
    screen.press("v");
    screen.wait_for("password: hunter2");
    screen.press("v");
    screen.wait_gone("hunter2");
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn files_are_copied_out_of_a_pod_by_a_key_of_its_page() {
    let (namespace, home) = (Namespace::new("pagecopy"), Home::new(""));
    let run = ["run", "jar", "--image=alpine/socat:latest", "--image-pull-policy=Never", "--command", "--"];
    kubectl(&[&["-n", &namespace.0], &run[..], &["sleep", "1d"]].concat());
    kubectl(&["-n", &namespace.0, "wait", "--for=condition=Ready", "--timeout=60s", "pod/jar"]);
    let mut screen = open(&home, &format!("jar kind:pod ns:{}", namespace.0));
    let copy = home.path().join("copied");
    let tries = [(":/tmp/copied", "One of the two paths must begin"), (copy.to_str().unwrap(), "sha256 compared")];
    for ((to, said), round) in tries.into_iter().zip(1..) {
        screen.press("C");
        // The questions of earlier rounds stay on the terminal's primary screen, so they are counted.
        let asked = |text: &str, what: &str| text.matches(what).count() == round;
        screen.wait("the question", |text| asked(text, "Copying out of pods/jar") && asked(text, "From:"));
        screen.press(":/etc/hostname\r");
        screen.wait("the other question", |text| asked(text, "To:"));
        screen.press(&format!("{to}\r"));
        wait_says(&mut screen, &[said, "Press Enter to continue"]);
        screen.press("\r");
        screen.wait_for("1 Summary");
    }
    assert_eq!(fs::read_to_string(copy).unwrap(), "jar\n");
    leave(screen);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn missing_rights_are_named_once_with_a_role() {
    let (namespace, home) = (Namespace::new("pagerights"), Home::new(""));
    apply(&home, &namespace, LAMP);
    let mut screen = Start::new(&home).kubeconfig(namespace.kubeconfig(&home)).size(150, 45).run();
    screen.wait_for("story");
    // The only context is connected by the welcome.
    screen.press("1");
    screen.wait_for("● ready");
    find(&mut screen, "lamp kind:pod");
    screen.press("3");
    let shown = screen.wait("what may be seen", |text| {
        line(text, &["owned by ReplicaSet", "may not be read"]) && line(text, &["no right to"])
    });
    assert_eq!(shown.matches("no right to").count(), 1, "{shown}");
    screen.press("i");
    wait_dialog(&mut screen, &["kind: Role"]);
    screen.press("\x1b[27u");
    screen.wait_gone("kind: Role");
    leave(screen);
}
