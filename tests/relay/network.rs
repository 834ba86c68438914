//! The pod proxy and the network between the API server and pods: who listens there, and who drops packets there.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::proxied::{NOT_BY_POD_PROXY, kill};
use super::stage::BY_POD_PROXY;
use super::*;
use crate::common::kube::until;

/// The relay's port for the pod proxy.
const PORT: &str = "10250";

fn pod_ip(space: &Namespace) -> String {
    kubectl(&["-n", &space.0, "get", "pods", "-o", "go-template={{(index .items 0).status.podIP}}"])
}

/// A firewall on the way to a pod, as a network policy makes one, until it is dropped.
struct Firewall {
    rule: [String; 9],
}

impl Firewall {
    fn new(ip: &str) -> Self {
        let rule = ["OUTPUT", "-d", ip, "-p", "tcp", "--dport", PORT, "-j", "DROP"].map(ToOwned::to_owned);
        let firewall = Self { rule };
        assert!(firewall.run("-I"), "iptables, which needs root");
        firewall
    }

    fn run(&self, operation: &str) -> bool {
        Command::new("iptables").args(["-w", operation]).args(&self.rule).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        let removed = self.run("-D");
        assert!(removed || thread::panicking(), "the rule is removed");
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_network_policy_leaves_it_to_port_forward() {
    let stage = Stage::with("proxied-policy", "", true);
    until("the pod proxy carries", || stage.logged(BY_POD_PROXY) == 1);
    let (mut early, mut served) = stage.connect();
    is_open(&mut early, &mut served);
    let firewall = Firewall::new(&pod_ip(&stage.space));
    kill(&stage.space, true);
    sees_a_reset(&mut early);
    stage.converses();
    until("it was tried", || stage.logged(NOT_BY_POD_PROXY) > 0);
    stage.converses();
    drop(firewall);
    until("the pod proxy is back", || stage.logged(BY_POD_PROXY) == 2);
    stage.converses();
    stage.end();
}

/// Packets to and from a port of a pod, from here on.
struct Capture {
    tcpdump: std::process::Child,
    file: PathBuf,
}

impl Capture {
    fn new(home: &Home, ip: &str) -> Self {
        let file = home.path().join("packets");
        let mut tcpdump = Command::new("tcpdump")
            .args(["-i", "any", "-U", "-s", "0", "--immediate-mode", "-Z", "root", "-w"])
            .arg(&file)
            .args(["host", ip, "and", "tcp", "port", PORT])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let first = BufReader::new(tcpdump.stderr.take().unwrap())
            .lines()
            .find(|line| line.as_ref().unwrap().contains("listening on"));
        assert!(first.is_some(), "tcpdump, which needs root");
        Self { tcpdump, file }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        std::fs::File::open(&self.file).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ended = (self.tcpdump.kill(), self.tcpdump.wait());
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_crosses_the_pod_network_cannot_be_read() {
    let stage = Stage::with("proxied-wire", "carrier = \"pod-proxy\"\n", true);
    stage.converses();
    until("the pod proxy carries", || stage.logged(BY_POD_PROXY) == 1);
    let capture = Capture::new(&stage.home, &pod_ip(&stage.space));
    // A new connection between API server and pod, from its first byte.
    kill(&stage.space, true);
    until("the pod proxy is back", || stage.logged(BY_POD_PROXY) == 2);
    let (mut client, mut server) = stage.connect();
    let secret = "the password is swordfish ".repeat(1_000);
    client.write_all(secret.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut server), secret);
    drop(server);
    assert_eq!(rest(&mut client), "");
    until("it was captured", || capture.bytes().len() > secret.len());
    let bytes = capture.bytes();
    let holds = |words: &[u8]| bytes.windows(words.len()).any(|window| window == words);
    assert!(holds(brow_tui::proxy::relay::UPGRADE.as_bytes()), "the request is seen");
    let address = stage.server.local_addr().unwrap();
    for words in ["swordfish".to_owned(), address.to_string(), address.port().to_string()] {
        assert!(!holds(words.as_bytes()), "{words} is seen");
    }
    drop(capture);
    stage.end();
}

/// A pod elsewhere that opens connections to the relay's port and says anything, over and over.
fn rage(space: &Namespace, ip: &str) {
    let rage = format!(
        "while :; do for i in $(seq 40); do head -c 90000 /dev/urandom | nc -w 1 {ip} {PORT} >>/tmp/heard &
         done; wait; done"
    );
    let args = ["-n", &space.0, "run", "stranger", "--restart=Never", "--image-pull-policy=IfNotPresent"];
    let image = "--image=docker.io/library/busybox:latest";
    kubectl(&[&args[..], &[image, "--command", "--", "sh", "-c", &rage]].concat());
    kubectl(&["-n", &space.0, "wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s"]);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn another_pod_at_the_relays_port_gets_nothing_and_stops_nobody() {
    let stage = Stage::with("proxied-rage", "", true);
    until("the pod proxy carries", || stage.logged(BY_POD_PROXY) == 1);
    let (mut client, mut server) = stage.connect();
    is_open(&mut client, &mut server);
    let elsewhere = Namespace::new("stranger");
    rage(&elsewhere, &pod_ip(&stage.space));
    for _ in 0..20 {
        stage.converses();
    }
    is_open(&mut client, &mut server);
    // A new connection of the API server comes in between them.
    kill(&stage.space, true);
    until("the pod proxy is back", || stage.logged(BY_POD_PROXY) == 2);
    stage.converses();
    // Nothing but that it asks for something else.
    let heard = super::pods::in_pod(&elsewhere, r"tr -d '\r' </tmp/heard | sort -u");
    let known = String::from_utf8_lossy(brow_relay::upgrade::REQUIRED);
    assert!(heard.lines().all(|line| known.lines().any(|known| known == line)), "{heard}");
    stage.end();
}
