//! Targets that are ports of nodes, on a real cluster: by this machine itself, and through the cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "verbs/shell.rs"]
#[allow(dead_code, reason = "only the part that runs the program is needed")]
mod shell;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use common::arrange::Kubeconfig;
use common::kube::{Namespace, kubeconfig, kubectl, until};
use common::{Home, Start, TIMEOUT};
use shell::{Running, Shell, address};

/// The node's address and the API server's port, as the cluster knows them. The server itself listens on loopback.
const NODE: &str = "10.99.0.1:16443";

/// A namespace with the echo, and a target `it` with both ports.
struct Stage {
    home: Home,
    space: Namespace,
}

impl Stage {
    /// `context` is the context's name: that of k3d means a local cluster.
    fn new(stem: &str, context: &str, user: &str) -> Self {
        let (home, space) = (Home::new(""), Namespace::new(stem));
        space.echo();
        let [tcp, udp] = space.echo_ports();
        // The node has a new port a moment later.
        until("the node's port is open", || TcpStream::connect(format!("10.99.0.1:{tcp}")).is_ok());
        let config = format!(
            "[[target]]\nname = \"it\"\ncluster = \"{context}\"\nnamespace = \"{}\"\nnode = \"{tcp},{udp}/udp\"\n",
            space.0
        );
        home.write_config(&config);
        let contexts = Kubeconfig::of_cluster(&kubeconfig()).context(context, "brow", user, &space.0);
        contexts.write(&home.path().join("kubeconfig"));
        Self { home, space }
    }

    fn shell(&self) -> Shell<'_> {
        Shell { home: &self.home, kubeconfig: Some(self.home.path().join("kubeconfig")) }
    }

    /// Connects, and returns the local addresses of both ports.
    fn connect(&self) -> (Running, [String; 2]) {
        let mut running = self.shell().spawn(&["connect", "it", "--on-quit", "delete"]);
        let mut lines = [running.line(), running.line()];
        lines.sort_by_key(|line| line.contains("/udp"));
        (running, lines.map(|line| address(&line).replace("/udp", "")))
    }

    /// The pods of the program there.
    fn proxy_pods(&self) -> usize {
        self.space.pods().iter().filter(|name| name.starts_with("brow-")).count()
    }
}

/// Bytes come back whole, and the end of what was sent is passed on.
fn tcp_echoes(local: &str) {
    let mut stream = TcpStream::connect(local).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let sent: Vec<u8> = (0..200_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    let mut reading = stream.try_clone().unwrap();
    let expected = sent.len();
    let answer = std::thread::spawn(move || {
        let mut back = vec![0; expected];
        reading.read_exact(&mut back).unwrap();
        back
    });
    stream.write_all(&sent).unwrap();
    assert!(answer.join().unwrap() == sent, "what comes back is what was sent");
}

fn udp_echoes(local: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket.connect(local).unwrap();
    let mut space = [0; 2_048];
    for size in [1, 511, 1_200] {
        let sent = vec![b'x'; size];
        until("a datagram comes back", || {
            let _refused = socket.send(&sent);
            socket.recv(&mut space).is_ok_and(|length| space[..length] == sent)
        });
    }
}

/// The API server at the node's address, where that of a k3d or kind cluster is.
struct AtNode(TcpListener);

impl AtNode {
    fn new() -> Self {
        let listener = TcpListener::bind(NODE).unwrap();
        let accepting = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            for client in accepting.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect("127.0.0.1:16443") else { continue };
                let pump = |mut from: TcpStream, mut to: TcpStream| {
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to).map(drop))
                };
                let (c, s) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                drop((pump(client, server), pump(s, c)));
            }
        });
        Self(listener)
    }
}

impl Drop for AtNode {
    fn drop(&mut self) {
        // Wakes the thread that accepts.
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn ports_of_a_clusters_nodes_are_reached_through_it() {
    let stage = Stage::new("node-far", "far", "admin");
    let (running, [tcp, udp]) = stage.connect();
    tcp_echoes(&tcp);
    udp_echoes(&udp);
    assert_eq!(stage.proxy_pods(), 1);
    drop(running);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_local_clusters_are_reached_by_this_machine_itself_if_its_server_proves_to_be_there() {
    let stage = Stage::new("node-near", "k3d-lab", "admin");
    {
        // Somebody else has the node's address, as far as can be told.
        let (running, [tcp, udp]) = stage.connect();
        tcp_echoes(&tcp);
        udp_echoes(&udp);
        assert_eq!(stage.proxy_pods(), 1);
        drop(running);
    }
    kubectl(&["-n", &stage.space.0, "delete", "pods", "-l", "app.kubernetes.io/managed-by", "--wait=false"]);
    until("the proxy pod is gone", || stage.proxy_pods() == 0);
    let _server = AtNode::new();
    let (running, [tcp, udp]) = stage.connect();
    tcp_echoes(&tcp);
    udp_echoes(&udp);
    assert_eq!(stage.proxy_pods(), 0, "no pod is needed");
    let list = stage.shell().ok(&["forward", "list", "--json"]);
    assert_eq!(list.matches("\"pod\": \"brow-node\"").count(), 2, "{list}");
    drop(running);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn without_the_right_to_list_nodes_the_role_is_named() {
    let stage = Stage::new("node-role", "far", "developer");
    let done = stage.shell().run(&["connect", "it", "--timeout", "20s"]);
    assert_ne!(done.code, 0);
    assert!(done.err.contains("list nodes"), "{}", done.err);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn ports_of_nodes_are_offered_by_their_services() {
    let stage = Stage::new("node-offer", "k3d-lab", "admin");
    let offer = format!("{}/echo:echo-udp", stage.space.0);
    let complete = |words: &[&str]| {
        let mut command = stage.shell().command(&[&["--"], words].concat());
        let out = command.env("BROW_COMPLETE", "fish").output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    for words in [["connect", "--context", "k3d-lab", "node/"], ["gateway", "create", "--context=k3d-lab", ""]] {
        // A cluster that does not answer within two seconds completes to nothing.
        until(&format!("{words:?} are completed"), || {
            let offered = complete(&[&["brow-tui"], &words[..]].concat());
            offered.lines().any(|line| line.contains("/udp") && line.ends_with(&offer))
        });
    }
    let mut screen = Start::new(&stage.home).kubeconfig(stage.home.path().join("kubeconfig")).size(120, 30).run();
    screen.wait_for("k3d-lab");
    screen.press("n\t\t\t");
    screen.press(&format!("node/{} udp", stage.space.0));
    screen.wait("the offer", |text| text.contains(&format!("/udp {offer}")));
    // Leaving the field takes the only one.
    screen.press("\t");
    screen.wait("its number", |text| text.lines().any(|line| line.contains("node/3") && line.contains("/udp")));
    screen.press("\x1b");
    screen.wait_for("once more discards");
    screen.escape("New target");
    common::arrange::quit(screen);
}
