//! UDP through real pods and the program: names resolved, datagrams of every size, floods, and what becomes of a flow.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "udp/quic.rs"]
mod quic;
#[path = "verbs/shell.rs"]
#[allow(dead_code, reason = "each story uses its part")]
mod shell;
#[path = "udp/socat.rs"]
mod socat;

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use common::kube::{Namespace, kubectl};
use common::{Home, TIMEOUT};
use shell::{Running, Shell, address};

/// This machine's own address in the private network of the test cluster, where its DNS server is.
const PRIVATE: &str = "10.99.0.1";

/// The time after which a question is asked again, as resolvers do: UDP may lose it.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// A forward to an address.
struct Stage {
    running: Running,
    local: String,
    /// Deleted with its pods when it is dropped.
    space: Namespace,
    _home: Home,
}

impl Stage {
    /// Opens one with further settings of its target.
    fn new(name: &str, to: &str, settings: &str) -> Self {
        Self::within(Namespace::new(name), to, settings)
    }

    /// Opens one within a namespace.
    fn within(space: Namespace, to: &str, settings: &str) -> Self {
        let config = format!("[[target]]\nname = \"it\"\ncluster = \"story\"\naddress = \"{to}/udp\"\n{settings}");
        let home = Home::new(&config);
        let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
        let mut running = shell.spawn(&["connect", "it", "--on-quit", "delete"]);
        let local = address(&running.line());
        Self { running, local, space, _home: home }
    }

    fn client(&self) -> UdpSocket {
        let client = socket("127.0.0.1:0");
        client.connect(&self.local).unwrap();
        client
    }

    /// The program's messages, one by one.
    fn messages(&mut self) -> Receiver<String> {
        let lines = BufReader::new(self.running.0.stderr.take().unwrap()).lines();
        let (told, telling) = channel();
        thread::spawn(move || lines.map_while(Result::ok).all(|line| told.send(line).is_ok()));
        telling
    }
}

#[track_caller]
fn wait_for(messages: &Receiver<String>, words: &str) {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|line: &String| !line.contains(words)) {
        seen.push(messages.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("{words}: {seen:?}")));
    }
}

fn socket(local: &str) -> UdpSocket {
    let socket = UdpSocket::bind(local).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut space = vec![0; 1 << 16];
    let (count, from) = socket.recv_from(&mut space).unwrap();
    space.truncate(count);
    (space, from)
}

/// A query for the address of a name (RFC 1035, 4.1).
fn query(id: u16, name: &str) -> Vec<u8> {
    let mut query = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        query.push(label.len().try_into().unwrap());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

/// Asks until there is an answer; its code, and its last four bytes, which are the address if there is one.
fn resolve(client: &UdpSocket, id: u16, name: &str) -> (u8, [u8; 4]) {
    client.set_read_timeout(Some(ASK_AGAIN)).unwrap();
    let question = query(id, name);
    for _ in 0..20 {
        client.send(&question).unwrap();
        loop {
            let mut answer = [0; 512];
            let count = match client.recv(&mut answer) {
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => panic!("{error}"),
            };
            // An answer to the question before, which was asked twice, is left alone.
            if answer[..2] == id.to_be_bytes() {
                assert_eq!(answer[12..question.len()], question[12..], "the question is repeated");
                return (answer[3] & 15, answer[count - 4..count].try_into().unwrap());
            }
        }
    }
    panic!("no answer for {name}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn five_hundred_names_are_resolved_by_clients_that_are_kept_apart() {
    let stage = Stage::new("udp-names", &format!("{PRIVATE}:53"), "");
    thread::scope(|scope| {
        for client in 0..10_u16 {
            let stage = &stage;
            scope.spawn(move || {
                let socket = stage.client();
                for number in 0..50_u16 {
                    let id = client << 8 | number;
                    let (name, found) = match number % 3 {
                        0 => ("web.brow-dev.svc.cluster.local".to_owned(), (0, [10, 96, 0, 80])),
                        1 => ("host.brow.vpc".to_owned(), (0, [10, 99, 0, 10])),
                        _ => (format!("no-such-{client}-{number}.brow.vpc"), (3, [0, 1, 0, 1])),
                    };
                    assert_eq!(resolve(&socket, id, &name), found, "{name}");
                }
            });
        }
    });
    let pod = kubectl(&["-n", &stage.space.0, "get", "pods", "-o", "json"]);
    // The node has the same address.
    assert!(!pod.contains(&format!("{PRIVATE}:53")), "{pod}");
    assert_eq!(stage.space.pods().len(), 1);
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn datagrams_of_every_size_pass_whole_both_ways_and_the_server_may_begin() {
    let server = socket(&format!("{PRIVATE}:0"));
    let stage = Stage::new("udp-sizes", &server.local_addr().unwrap().to_string(), "");
    let clients = [stage.client(), stage.client()];
    for size in [0_usize, 1, 512, 1_472, 1_473, 8_192, 32_768, 65_507] {
        for (client, byte) in clients.iter().zip([7, 8]) {
            let up: Vec<u8> = (0..size).map(|place| u8::try_from(place % 251).unwrap() ^ byte).collect();
            client.send(&up).unwrap();
            let (came, from) = receive(&server);
            assert!(came == up, "{size} up");
            // One that nobody asked for, after the answer.
            for down in [&up[..], &up[..size / 2]] {
                server.send_to(down, from).unwrap();
                assert!(receive(client).0 == down, "{} down", down.len());
            }
        }
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn datagrams_go_through_the_pod_proxy_too() {
    let (space, server) = (Namespace::new("udp-proxied"), socket(&format!("{PRIVATE}:0")));
    let (person, proxy) = (format!("--serviceaccount={}:person", space.0), "--resource=pods/proxy");
    kubectl(&["-n", &space.0, "create", "role", "proxy", "--verb=get", proxy]);
    kubectl(&["-n", &space.0, "create", "rolebinding", "proxy", "--role=proxy", &person]);
    let stage = Stage::within(space, &server.local_addr().unwrap().to_string(), "carrier = \"pod-proxy\"\n");
    let client = stage.client();
    for size in [1, 1_472, 65_507] {
        client.send(&vec![7; size]).unwrap();
        let (came, from) = receive(&server);
        assert_eq!(came.len(), size, "up");
        server.send_to(&came, from).unwrap();
        assert_eq!(receive(&client).0, came, "down");
    }
    let pod = &stage.space.pods()[0];
    let sockets = kubectl(&["-n", &stage.space.0, "exec", pod, "--", "sh", "-c", "cat /proc/net/tcp /proc/net/tcp6"]);
    // The relay's port for the pod proxy, 10250, and an established connection.
    let carries = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(":280A") && fields[3] == "01"
    };
    assert!(sockets.lines().any(carries), "{sockets}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_flood_of_small_datagrams_arrives_and_a_wild_one_leaves_the_forward_usable() {
    const BURST: usize = 50;
    let server = socket(&format!("{PRIVATE}:0"));
    let stage = Stage::new("udp-flood", &server.local_addr().unwrap().to_string(), "");
    let client = stage.client();
    // No faster than it is taken: nothing on the way may drop any of these.
    for burst in 0..100_usize {
        let sent = |number: usize| format!("brow.story.{burst}.{number}:1|c");
        (0..BURST).for_each(|number| assert!(client.send(sent(number).as_bytes()).is_ok()));
        for number in 0..BURST {
            assert_eq!(receive(&server).0, sent(number).as_bytes());
        }
    }
    // As fast as it goes: some are lost, none comes in part, and it ends.
    for number in 0..20_000_u32 {
        client.send(&number.to_be_bytes()).unwrap();
    }
    let other = stage.client();
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut last = None;
    let mut space = [0; 64];
    let mut left = 300;
    loop {
        match server.recv(&mut space).map(|count| &space[..count]) {
            Ok(b"and another") => break,
            Ok(bytes) => {
                let number = Some(u32::from_be_bytes(bytes.try_into().unwrap()));
                assert!(number > last, "in order: {last:?}, {number:?}");
                last = number;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && left > 0 => {
                // It may have been lost among the others.
                other.send(b"and another").unwrap();
                left -= 1;
            }
            Err(error) => panic!("the other client's datagram does not come: {error}"),
        }
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_target_that_refuses_is_told_and_works_once_it_is_there() {
    let server = socket(&format!("{PRIVATE}:0"));
    let to = server.local_addr().unwrap();
    drop(server);
    let mut stage = Stage::new("udp-refused", &to.to_string(), "");
    let messages = stage.messages();
    let client = stage.client();
    client.send(b"anybody?").unwrap();
    wait_for(&messages, "refused");
    let server = socket(&to.to_string());
    server.set_read_timeout(Some(ASK_AGAIN)).unwrap();
    let mut space = [0; 64];
    // The first may still belong to the flow that was refused.
    let heard = (0..20).find_map(|_| {
        client.send(b"now?").unwrap();
        server.recv(&mut space).ok()
    });
    assert_eq!(&space[..heard.expect("a datagram")], b"now?");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_first_datagram_gets_a_pod_on_demand_and_a_name_is_resolved_in_the_cluster() {
    let stage = Stage::new("udp-demand", "host.brow.vpc:7", "on_demand = true\n");
    assert_eq!(stage.space.pods().len(), 0);
    let client = stage.client();
    client.send(b"hello").unwrap();
    assert_eq!(receive(&client).0, b"hello");
    assert_eq!(stage.space.pods().len(), 1);
}
