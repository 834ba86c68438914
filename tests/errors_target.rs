//! The two ends of a forward: local ports that are not to be had, and targets that don't answer. Each failure is one
//! connection's, with its reason, and never the forward's.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use common::arrange::{FakeApi, Kubeconfig, quit, says, wait_dialog, wait_says};
use common::kube::{Namespace, kubectl};
use common::through::{answer, in_line};
use common::{Home, Screen, Start};
use serde_json::json;

/// A program whose only cluster is a stand-in: it is there, and has no pods.
fn beside_a_fake<'a>(home: &'a Home, server: &FakeApi) -> Start<'a> {
    let all = Kubeconfig::empty().cluster("fake", &json!({ "server": server.url }));
    let all = all.user("ann", json!({ "token": "t" })).context("dev", "fake", "ann", "team");
    Start::new(home).kubeconfig(all.write(&home.path().join("kc"))).env("USER", "ann")
}

fn config(port: u16) -> String {
    format!("[[target]]\nname = \"db\"\ncluster = \"dev\"\naddress = \"10.0.0.1:5432\"\nlocal_port = {port}\n")
}

/// Two ports in a row that nobody has.
fn two_free() -> (TcpListener, u16) {
    for _ in 0..100 {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let free = |ip: &str| TcpListener::bind((ip, port.saturating_add(1))).is_ok();
        if port < u16::MAX && free("127.0.0.1") && free("::1") {
            return (held, port);
        }
    }
    panic!("no two free ports in a row");
}

#[test]
fn a_taken_port_names_its_holder_and_the_next_free_one_is_a_key_away() {
    let server = FakeApi::new(|_, _| None);
    for size in [(80, 24), (200, 50)] {
        let (held, port) = two_free();
        let home = Home::new(&config(port));
        let mut screen = beside_a_fake(&home, &server).size(size.0, size.1).run();
        screen.wait_for("db");
        screen.press("2f");
        let holder = format!("pid {}", std::process::id());
        let question = format!("Listen on port {} instead?", port + 1);
        wait_says(&mut screen, &[&question, &format!("Local port {port} is taken"), &holder, "errors_target"]);
        // No is the answer that is chosen; the row then keeps the reason.
        screen.press("\r");
        screen.wait_gone("instead?");
        screen.press("4i");
        let free = format!("Port {} is free", port + 1);
        wait_dialog(&mut screen, &[&format!("Local port {port} is taken"), &holder, &free, "leave the port empty"]);
        screen.press("\x1b");
        screen.wait_gone(" Error ");
        screen.press("R");
        screen.wait_for("instead?");
        screen.press("\x1b[C\r");
        screen.wait_gone("instead?");
        screen.wait_for(&format!("127.0.0.1:{}", port + 1));
        assert!(TcpStream::connect(("127.0.0.1", port + 1)).is_ok());
        drop(held);
        screen.press("4x");
        screen.wait_for("No forwards");
        quit(screen);
    }
}

#[test]
fn a_privileged_port_is_told_from_a_taken_one() {
    let server = FakeApi::new(|_, _| None);
    let home = Home::new(&config(81));
    let mut start = beside_a_fake(&home, &server);
    if rustix::process::geteuid().is_root() {
        // Root without the right that this is about.
        let program = start.program.to_str().unwrap().to_owned();
        start = start.program("setpriv").arg("--bounding-set=-net_bind_service").arg(&program);
    }
    let mut screen = start.run();
    screen.wait_for("db");
    screen.press("2f");
    wait_says(&mut screen, &["Local port 81 is privileged", "Listen on port 8081 instead?"]);
    screen.press("\x1b[C\r");
    screen.wait_for("127.0.0.1:8081");
    screen.press("4x");
    screen.wait_for("No forwards");
    quit(screen);
}

/// A listener that takes no more connections: who asks gets no answer at all.
struct Silent {
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
    port: u16,
}

impl Silent {
    fn new() -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&fd, &std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
        listen(&fd, 0).unwrap();
        let local: std::net::SocketAddr = getsockname(&fd).unwrap().try_into().unwrap();
        let port = local.port();
        // tcp(7): the kernel drops what does not fit into the queue.
        let wait = Duration::from_millis(200);
        let fill = || TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), wait).ok();
        let queue = std::iter::from_fn(fill).collect();
        Self { _listener: TcpListener::from(fd), _queue: queue, port }
    }
}

fn local(screen: &str, target: &str) -> Option<String> {
    let line = screen.lines().find(|line| line.contains(&format!("→ {target} ")) && line.contains("127.0.0.1:"))?;
    in_line(line)
}

#[track_caller]
fn live(screen: &mut Screen, target: &str) -> String {
    let row = |text: &str| text.lines().any(|line| line.contains(&format!("→ {target} ")) && line.contains("● live"));
    let text = screen.wait(&format!("{target} is live"), |text| row(text) && local(text, target).is_some());
    local(&text, target).unwrap()
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_target_that_does_not_answer_fails_the_connection_with_its_reason_and_not_the_forward() {
    let space = Namespace::new("target");
    let silent = Silent::new();
    let node =
        kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}"]);
    let nobody = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let places = [
        ("refuses", format!("{node}:{nobody}"), "refused the connection", "Nothing listens there"),
        ("silent", format!("{node}:{}", silent.port), "did not answer the pod in time", "firewall or network policy"),
        ("nameless", "no-such-host.invalid:80".to_owned(), "does not resolve in the cluster", "Check the spelling"),
    ];
    let target = |(name, address, _, _): &(&str, String, &str, &str)| {
        format!("[[target]]\nname = \"{name}\"\ncluster = \"story\"\naddress = \"{address}\"\nttl = \"5m\"\n")
    };
    let home = Home::new(&places.iter().map(target).collect::<String>());
    let path = space.kubeconfig(&home);
    let mut screen = Start::new(&home).kubeconfig(path).env("USER", &space.0).size(200, 50).run();
    screen.wait_for("nameless");
    screen.press("2af");
    let addresses = places.each_ref().map(|(name, ..)| live(&mut screen, name));
    let clients = addresses.clone().map(|address| std::thread::spawn(move || answer(&address, "/")));
    for client in clients {
        let end = client.join().unwrap();
        assert!(end.is_err(), "a connection that failed does not look like one that ended in order: {end:?}");
    }
    screen.press("4");
    for (name, address, what, remedy) in &places {
        screen.press("/");
        screen.press(&format!("{name}\r"));
        screen.wait_for(&format!("/ {name}"));
        wait_says(&mut screen, &[&format!("{} {what}", named(address, what)), remedy, "✗1"]);
        live(&mut screen, name);
        screen.press("\x1b");
        screen.wait_gone(&format!("/ {name}"));
    }
    // The next connection is tried like the first.
    let again = addresses[0].clone();
    assert!(answer(&again, "/").is_err());
    screen.wait("counted", |text| says(text, "✗2"));
    live(&mut screen, "refuses");
    screen.press("ax");
    screen.wait_for("No forwards");
    screen.signal(rustix::process::Signal::TERM);
    assert!(screen.wait_end().success());
}

/// The thing that a sentence names: a port is no part of a name.
fn named(address: &str, what: &str) -> String {
    match address.rsplit_once(':') {
        Some((host, _)) if what.starts_with("does not resolve") => format!("The name {host}"),
        _ => address.to_owned(),
    }
}
