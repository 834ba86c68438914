//! The whole program in a pseudo-terminal: how soon it draws, and what it costs while nobody touches it.
//! `cargo bench --bench program`; the idle part needs `BROW_TEST_KUBECONFIG` and Linux's `/proc`.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should say where")]

#[path = "../common/mod.rs"]
mod common;

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::kube::{Namespace, kubectl};
use common::{Home, Screen, Start};

/// The number of starts of the program.
const STARTS: usize = 21;
/// The number of pods on the screen, and the time for which it is watched.
const PODS: usize = 200;
const WATCHED: Duration = Duration::from_secs(30);

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
    start();
    idle();
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
        resident(&screen) / 1024
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

    // kubectl of that age has no `--subresource`: the API itself, through its proxy.
    let config = std::env::var("BROW_TEST_KUBECONFIG").unwrap();
    let mut proxy = Command::new("kubectl")
        .args(["--kubeconfig", &config, "--context", "brow-admin", "proxy", "--port=0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(proxy.stdout.take().unwrap()), &mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    let status = format!(
        r#"{{"status":{{"phase":"Running","startTime":"{now}","conditions":[{{"type":"Ready","status":"True"}}],"containerStatuses":[{{"name":"relay","image":"alpine/socat:latest","imageID":"","ready":true,"restartCount":0,"state":{{"running":{{"startedAt":"{now}"}}}}}}]}}}}"#
    );
    for n in 0..PODS {
        let path = format!("/api/v1/namespaces/{}/pods/brow-idle-{n:03}/status", namespace.0);
        patch(&address, &path, &status);
    }
    proxy.kill().unwrap();
    proxy.wait().unwrap();
}

fn patch(address: &str, path: &str, body: &str) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "PATCH {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/merge-patch+json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 "), "{answer}");
}

/// CPU time used so far; the kernel counts in hundredths of a second (proc(5), `utime` and `stime`).
fn cpu(screen: &Screen) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", screen.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Resident memory in KiB.
fn resident(screen: &Screen) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", screen.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
