//! Our own relay in real pods, through the program: what connections see of their targets' ends and failures.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "relay/gateway.rs"]
mod gateway;
#[path = "relay/logins.rs"]
mod logins;
#[path = "relay/network.rs"]
mod network;
#[path = "relay/pods.rs"]
mod pods;
#[path = "relay/proxied.rs"]
mod proxied;
#[path = "verbs/shell.rs"]
#[allow(dead_code, reason = "each story uses its part")]
mod shell;
#[path = "relay/stage.rs"]
mod stage;

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use common::kube::{Namespace, kubectl};
use common::through::works;
use common::{Home, TIMEOUT};
use sha2::{Digest as _, Sha256};
use shell::{Running, Shell, WEB, address};
use socket2::SockRef;
use stage::{Stage, is_open, rest};

/// Waits until the program has said this.
#[track_caller]
fn wait_for_words(running: &mut Running, words: &'static str) {
    let lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let (told, telling) = std::sync::mpsc::channel();
    thread::spawn(move || {
        if lines.map_while(Result::ok).any(|line| line.contains(words)) {
            let _ = told.send(());
        }
    });
    telling.recv_timeout(TIMEOUT).expect(words);
}

fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[track_caller]
fn sees_a_reset(stream: &mut TcpStream) {
    let mut byte = [0];
    assert_eq!(stream.read(&mut byte).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn ends_and_failures_are_the_targets_own() {
    let stage = Stage::new("relay-ends");
    // An answer that waits for the question's end, which socat's way never brings.
    stage.converses();
    // A server that ends first takes what comes later.
    let (mut client, mut server) = stage.connect();
    server.write_all(b"bye").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), "bye");
    client.write_all(b"late").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut server), "late");
    // Resets.
    let (mut client, server) = stage.connect();
    reset(&server);
    drop(server);
    sees_a_reset(&mut client);
    let (client, mut server) = stage.connect();
    reset(&client);
    drop(client);
    sees_a_reset(&mut server);
    // Nobody is there any more.
    let Stage { server, mut running, local, space: _space, home: _home } = stage;
    drop(server);
    let mut client = TcpStream::connect(&local).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    sees_a_reset(&mut client);
    wait_for_words(&mut running, "refused");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn many_connections_at_once_bring_every_byte_both_ways() {
    let stage = Stage::new("relay-many");
    carry_many(&stage, 48);
    drop(stage.end());
}

/// Sends a megabyte from each of so many clients to an echo, all at once, and checks what comes back.
fn carry_many(stage: &Stage, count: u8) {
    const BYTES: usize = 1 << 20;
    let echo = |mut stream: TcpStream| {
        let mut back = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut back).unwrap();
        back.shutdown(Shutdown::Write).unwrap();
    };
    let carry = |number: u8| {
        let mut client = stage.client();
        client.set_write_timeout(Some(TIMEOUT)).unwrap();
        let byte =
            |place: usize| u8::try_from(place % 256).unwrap() ^ u8::try_from(place / 256 % 256).unwrap() ^ number;
        let sent: Vec<u8> = (0..BYTES).map(byte).collect();
        let mut writer = client.try_clone().unwrap();
        let digest = Sha256::digest(&sent);
        thread::scope(|scope| {
            scope.spawn(move || {
                writer.write_all(&sent).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            assert_eq!((received.len(), Sha256::digest(&received)), (BYTES, digest));
        });
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..count {
                let (stream, _) = stage.server.accept().unwrap();
                scope.spawn(move || echo(stream));
            }
        });
        for number in 0..count {
            scope.spawn(move || carry(number));
        }
    });
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_reader_who_stops_holds_up_nobody_else() {
    let stage = Stage::new("relay-stuck");
    let (stuck, mut server) = stage.connect();
    // Until nothing more goes in.
    server.set_nonblocking(true).unwrap();
    let block = vec![0; 1 << 16];
    let mut idle = 0;
    while idle < 20 {
        match server.write(&block) {
            Ok(_) => idle = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                idle += 1;
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) => panic!("{error}"),
        }
    }
    for _ in 0..3 {
        let (mut client, mut other) = stage.connect();
        client.write_all(b"ping").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut other), "ping");
        other.write_all(b"pong").unwrap();
        drop(other);
        assert_eq!(rest(&mut client), "pong");
    }
    drop(stuck);
    drop(stage.end());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_name_is_resolved_in_the_cluster_and_one_that_does_not_exist_says_so() {
    let target = |name: &str, host: &str| {
        format!("[[target]]\nname = \"{name}\"\ncluster = \"story\"\naddress = \"{host}:8080\"\nrelay = \"auto\"\n")
    };
    let config = target("web", "host.brow.vpc") + &target("none", "no-such-host.brow.vpc");
    let (home, space) = (Home::new(&config), Namespace::new("relay-names"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let mut running = shell.spawn(&["connect", "web", "none", "--on-quit", "delete"]);
    let lines = [running.line(), running.line()];
    let local = |name: &str| address(lines.iter().find(|line| line.contains(name)).unwrap());
    assert!(works(&local("web")));
    let mut client = TcpStream::connect(local("none")).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    sees_a_reset(&mut client);
    wait_for_words(&mut running, "does not resolve");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_pod_does_not_tell_the_address_and_socat_can_be_had() {
    for (relay, volumes) in [("auto", "relay"), ("socat", "")] {
        let (home, space) = (Home::new(&format!("{WEB}relay = \"{relay}\"\n")), Namespace::new("relay-told"));
        let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
        let mut running = shell.spawn(&["connect", "web", "--on-quit", "delete"]);
        let local = address(&running.line());
        for _ in 0..3 {
            assert!(works(&local), "{relay}");
        }
        let pod = kubectl(&["-n", &space.0, "get", "pods", "-o", "json"]);
        assert!(!pod.contains("10.99.0.10"), "{pod}");
        let names = "go-template={{range .items}}{{range .spec.volumes}}{{.name}}{{end}}{{end}}";
        assert_eq!(kubectl(&["-n", &space.0, "get", "pods", "-o", names]), volumes);
        running.signal(rustix::process::Signal::INT);
        running.end();
    }
}
