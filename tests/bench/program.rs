//! The whole program in a pseudo-terminal: how soon it draws, what it costs while nobody touches it, and a search over
//! many objects. `cargo bench --bench program`; all but the first need `BROW_TEST_KUBECONFIG` and Linux's `/proc`.
//! `BROW_BENCH=index` runs one case.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should say where")]

#[path = "../common/mod.rs"]
mod common;

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::arrange::Kubeconfig;
use common::front::{PlainApi, resident};
use common::kube::{Namespace, kubeconfig, kubectl};
use common::{Home, Screen, Start};
use serde_json::json;

/// The number of starts of the program.
const STARTS: usize = 21;
/// The number of pods on the screen, and the time for which it is watched.
const PODS: usize = 200;
const WATCHED: Duration = Duration::from_secs(30);
/// The number of objects that are searched.
const OBJECTS: usize = 20_000;

/// A context whose server drops every packet: a reserved address (RFC 5737).
const UNREACHABLE: &str = "
apiVersion: v1
kind: Config
clusters: [{ name: far, cluster: { server: 'https://192.0.2.1:6443' } }]
users: [{ name: me, user: { token: none } }]
contexts: [{ name: far, context: { cluster: far, user: me } }]
current-context: far
";

fn main() {
    let only = std::env::var("BROW_BENCH").unwrap_or_default();
    let cases: [(&str, fn()); 3] = [("start", start), ("idle", idle), ("index", index)];
    cases
        .iter()
        .filter(|(name, _)| only.is_empty() || only.split(',').any(|only| only == *name))
        .for_each(|(_, run)| run());
}

/// From `exec` to the first frame, with an unreachable cluster that is to be connected at once.
fn start() {
    let home = Home::new("[cluster.far]\nconnect = true\n");
    let contexts = home.path().join("kubeconfig");
    fs::write(&contexts, UNREACHABLE).unwrap();
    let mut times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let began = Instant::now();
            let mut screen = Start::new(&home).kubeconfig(&contexts).size(200, 50).run();
            screen.wait_for("Clusters 1");
            let time = began.elapsed();
            screen.press("q");
            screen.wait_end();
            time
        })
        .collect();
    times.sort();
    println!(
        "start to first frame, cluster unreachable: median {:?}, slowest {:?}",
        times[STARTS / 2],
        times[STARTS - 1]
    );
}

/// CPU time and memory with three clusters and many ready pods on the screen.
fn idle() {
    if std::env::var_os("BROW_TEST_KUBECONFIG").is_none() {
        return;
    }
    let home = Home::new("");
    let namespace = Namespace::new("idle");
    let contexts = namespace.kubeconfig(&home);
    // The same server under three names: three clients, three watches.
    for name in ["second", "third"] {
        let args = ["config", "set-context", name, "--cluster=brow", "--user=person"];
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(&contexts).args(args).arg(format!("--namespace={}", namespace.0));
        assert!(kubectl.stdout(Stdio::null()).status().unwrap().success());
    }
    pods(&home, &namespace);
    let mut screen = Start::new(&home).kubeconfig(&contexts).size(200, 50).run();
    screen.wait_for("Clusters 3");
    screen.press("1a\r");
    screen.wait_for(&format!("Proxy pods {PODS}"));
    screen.press("3z");
    screen.wait("countdowns", |text| text.matches("● ready").count() > 30);
    let before = cpu(&screen);
    let end = Instant::now() + WATCHED;
    while Instant::now() < end {
        screen.look(Duration::from_millis(100));
    }
    let used = cpu(&screen).saturating_sub(before);
    let share = 100.0 * used.as_secs_f64() / WATCHED.as_secs_f64();
    println!(
        "idle with 3 clusters and {PODS} pods: {share:.2} % of one core, {} MB resident",
        resident(screen.pid()) / 1024
    );
}

/// Pods that no node will ever run, and that say of themselves that they are ready: they cost the cluster nothing.
fn pods(home: &Home, namespace: &Namespace) {
    let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
    let mut all = String::new();
    for n in 0..PODS {
        write!(
            all,
            "---
apiVersion: v1
kind: Pod
metadata:
  name: brow-idle-{n:03}
  labels: {{ app.kubernetes.io/managed-by: brow-tui, brow/target: idle }}
  annotations: {{ brow/created-at: '{now}', brow/ttl: 30m, brow/owner: ann@vm, brow/target: idle }}
spec:
  activeDeadlineSeconds: 1800
  schedulerName: none
  containers: [{{ name: relay, image: 'alpine/socat:latest' }}]
"
        )
        .unwrap();
    }
    let manifest = home.path().join("pods.yaml");
    fs::write(&manifest, all).unwrap();
    kubectl(&["-n", &namespace.0, "apply", "-f", manifest.to_str().unwrap()]);

    let api = PlainApi::new();
    let running = json!({ "startedAt": now.to_string() });
    let container = json!({
        "name": "relay", "image": "alpine/socat:latest", "imageID": "", "ready": true, "restartCount": 0,
        "state": { "running": running },
    });
    let status = json!({
        "phase": "Running", "startTime": now.to_string(), "conditions": [{ "type": "Ready", "status": "True" }],
        "containerStatuses": [container],
    });
    for n in 0..PODS {
        let path = format!("/api/v1/namespaces/{}/pods/brow-idle-{n:03}/status", namespace.0);
        api.send("PATCH", &path, &json!({ "status": status }));
    }
}

/// The first search over many config maps of the test cluster, beside kubectl, which prints their names.
fn index() {
    if std::env::var_os("BROW_TEST_KUBECONFIG").is_none() {
        return;
    }
    let (home, namespace, api) = (Home::new("prometheus = \"off\"\n"), Namespace::new("index"), PlainApi::new());
    api.create_config_maps(&namespace.0, "lantern", OBJECTS);
    let admin = Kubeconfig::of_cluster(&kubeconfig()).context("admin", "brow", "admin", "default");
    let mut screen = Start::new(&home).kubeconfig(admin.write(&home.path().join("kc"))).size(200, 50).run();
    screen.wait_for("admin");
    screen.press("1\r");
    screen.wait_for("● ready");
    let before = resident(screen.pid());
    let began = Instant::now();
    screen.press(&format!("Flantern ns:{}", namespace.0));
    screen.wait_for("lantern-0");
    let first = began.elapsed();
    screen.wait_gone("kinds read");
    let complete = began.elapsed();
    screen.wait("all of them", |text| text.contains(&format!("50, and {} more", OBJECTS - 50)));
    let added = resident(screen.pid()) - before;
    println!(
        "search, {OBJECTS} config maps: first results {first:?}, complete {complete:?}, {:.1} MB added to {:.1}",
        added as f64 / 1_024.0,
        before as f64 / 1_024.0
    );
    let began = Instant::now();
    let mut peer = Command::new("kubectl");
    peer.arg("--kubeconfig").arg(kubeconfig()).args(["--context", "brow-admin"]);
    let mut peer = peer.args(["get", "configmaps", "-A", "-o", "name"]).stdout(Stdio::null()).spawn().unwrap();
    let mut memory = 0;
    while peer.try_wait().unwrap().is_none() {
        // Its memory is gone with it.
        let status = fs::read_to_string(format!("/proc/{}/status", peer.id())).unwrap_or_default();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        memory = most.map_or(memory, |most| most.trim().trim_end_matches(" kB").parse::<u64>().unwrap());
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    println!("kubectl get configmaps -A -o name: {took:?}, {:.1} MB at most", memory as f64 / 1_024.0);
}

/// CPU time used so far; the kernel counts in hundredths of a second (proc(5), `utime` and `stime`).
fn cpu(screen: &Screen) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", screen.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
