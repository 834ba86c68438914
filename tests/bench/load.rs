//! The whole program with a pod of the test cluster and its relay: the time to the first byte, a million requests, and
//! UDP beside TCP. `cargo bench --bench load` needs `BROW_TEST_KUBECONFIG`; `BROW_BENCH_REQUESTS` sets their number,
//! `BROW_BENCH=soak` picks cases, and `BROW_BENCH_CARRIER=pod-proxy` one carrier.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should say where")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../verbs/shell.rs"]
#[allow(dead_code, reason = "the bench uses a part of it")]
mod shell;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::Home;
use common::kube::{Namespace, kubectl};
use shell::{Running, Shell, address};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// This machine's own address in the private network of the test cluster.
const PRIVATE: &str = "10.99.0.1";
/// The number of requests, and of those under way at once.
const REQUESTS: u64 = 1_000_000;
const AT_ONCE: u64 = 250;
/// The datagrams of a burst, for all of which there is room on the way, and the number of bursts.
const BURST: u64 = 100;
const BURSTS: u64 = 500;
/// The number of starts by each relay.
const STARTS: usize = 9;
/// The number of round trips.
const TRIPS: usize = 2_000;
/// The time after which an answer counts as lost.
const LOST: Duration = Duration::from_secs(30);

#[tokio::main(worker_threads = 2)]
async fn main() {
    if std::env::var_os("BROW_TEST_KUBECONFIG").is_none() {
        println!("needs BROW_TEST_KUBECONFIG");
        return;
    }
    let only = std::env::var("BROW_BENCH").unwrap_or_default();
    let wanted = |case: &str| only.is_empty() || only.split(',').any(|name| name == case);
    if wanted("start") {
        start().await;
    }
    let carriers = ["port-forward", "pod-proxy"];
    let only = std::env::var("BROW_BENCH_CARRIER").ok();
    assert!(only.as_deref().is_none_or(|only| carriers.contains(&only)), "no such carrier: {only:?}");
    for carrier in carriers.into_iter().filter(|carrier| only.as_ref().is_none_or(|only| only == carrier)) {
        println!("by {carrier}:");
        if wanted("udp") {
            datagrams(carrier).await;
        }
        if wanted("soak") {
            soak(carrier).await;
        }
    }
}

/// The program with a forward to an address.
struct Stage {
    running: Running,
    local: SocketAddr,
    _space: Namespace,
    _home: Home,
}

impl Stage {
    fn new(carrier: &str, to: &str) -> Self {
        Self::with(&format!("relay = \"auto\"\ncarrier = \"{carrier}\"\n"), to)
    }

    /// With further settings of the target.
    fn with(settings: &str, to: &str) -> Self {
        let space = Namespace::new("load");
        let (person, proxy) = (format!("--serviceaccount={}:person", space.0), "--resource=pods/proxy");
        kubectl(&["-n", &space.0, "create", "role", "proxy", "--verb=get", proxy]);
        kubectl(&["-n", &space.0, "create", "rolebinding", "proxy", "--role=proxy", &person]);
        let target = format!("[[target]]\nname = \"it\"\ncluster = \"story\"\naddress = \"{to}\"\n");
        let home = Home::new(&format!("{target}{settings}"));
        let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
        let mut running = shell.spawn(&["connect", "it", "--on-quit", "delete"]);
        let local = address(&running.line()).parse().unwrap();
        Self { running, local, _space: space, _home: home }
    }

    /// Resident memory in MB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}

/// From the start of the program, with a new pod, to the first byte back from an echo: by a pod's socat, and by our own
/// relay, which is sent there first. In turn.
async fn start() {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..STARTS {
        for (relay, times) in ["socat", "auto"].iter().zip(&mut times) {
            let began = Instant::now();
            let settings = format!("relay = \"{relay}\"\ncarrier = \"port-forward\"\n");
            let stage = Stage::with(&settings, "10.99.0.10:7");
            let mut socket = TcpStream::connect(stage.local).await.unwrap();
            socket.write_all(b"x").await.unwrap();
            socket.read_exact(&mut [0]).await.unwrap();
            times.push(began.elapsed());
        }
    }
    let [socat, ours] = times.map(median);
    println!("start with a new pod to the first byte: socat {socat:?}, our own relay {ours:?}");
}

/// Requests of a line each on a connection of its own, answered by a line and the end.
async fn soak(carrier: &str) {
    let server = TcpListener::bind((PRIVATE, 0)).await.unwrap();
    let stage = Stage::new(carrier, &server.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        loop {
            let (mut client, _) = server.accept().await.unwrap();
            tokio::spawn(async move {
                let mut line = [0; 5];
                if client.read_exact(&mut line).await.is_ok() {
                    let _gone = client.write_all(&line).await;
                }
            });
        }
    });
    let all = std::env::var("BROW_BENCH_REQUESTS").map_or(REQUESTS, |number| number.parse().unwrap());
    let (begun, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let started = Instant::now();
    let mut clients = JoinSet::new();
    let local = stage.local;
    for _ in 0..AT_ONCE {
        let (begun, lost) = (Arc::clone(&begun), Arc::clone(&lost));
        clients.spawn(async move {
            while begun.fetch_add(1, Ordering::Relaxed) < all {
                let answer = tokio::time::timeout(LOST, request(local)).await;
                if !answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer == b"ping\n")) {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let mut memory = Vec::new();
    while !clients.is_empty() {
        let tenths = begun.load(Ordering::Relaxed) * 10 / all;
        if tenths > memory.len() as u64 {
            memory.push(stage.memory());
        }
        tokio::select! {
            client = clients.join_next() => client.unwrap().unwrap(),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let memory: Vec<String> = memory.iter().map(|megabytes| format!("{megabytes:.1}")).collect();
    println!(
        "{all} requests, {AT_ONCE} at once: {} lost, {:.0} a second; MB at each tenth: {}",
        lost.load(Ordering::Relaxed),
        all as f64 / seconds,
        memory.join(" ")
    );
}

async fn request(local: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(local).await?;
    server.write_all(b"ping\n").await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Datagrams up and down in bursts, and round trips beside those of TCP.
async fn datagrams(carrier: &str) {
    let server = UdpSocket::bind((PRIVATE, 0)).await.unwrap();
    let to = server.local_addr().unwrap();
    let stage = Stage::new(carrier, &format!("{to}/udp"));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(stage.local).await.unwrap();
    client.send(b"hello").await.unwrap();
    let mut space = [0; 64];
    let (_, from) = server.recv_from(&mut space).await.unwrap();
    server.connect(from).await.unwrap();
    for (way, sender, receiver) in [("up", &client, &server), ("down", &server, &client)] {
        let (mut came, started) = (0, Instant::now());
        for _ in 0..BURSTS {
            for _ in 0..BURST {
                sender.send(&[7; 32]).await.unwrap();
            }
            for _ in 0..BURST {
                match tokio::time::timeout(Duration::from_secs(1), receiver.recv(&mut space)).await {
                    Ok(datagram) => came += u64::from(datagram.unwrap() == 32),
                    Err(_) => break,
                }
            }
        }
        let rate = came as f64 / started.elapsed().as_secs_f64();
        println!("UDP {way}: {rate:.0} datagrams/s of 32 B, {} of {} lost", BURSTS * BURST - came, BURSTS * BURST);
    }
    tokio::spawn(async move {
        let mut space = [0; 64];
        while let Ok(count) = server.recv(&mut space).await {
            server.send(&space[..count]).await.unwrap();
        }
    });
    let mut udp = Vec::new();
    for _ in 0..TRIPS {
        let started = Instant::now();
        client.send(&[7; 32]).await.unwrap();
        client.recv(&mut space).await.unwrap();
        udp.push(started.elapsed());
    }
    drop(stage);
    let (udp, tcp) = (median(udp), tcp_trips(carrier).await);
    println!("round trip of 32 B: UDP {udp:?}, TCP {tcp:?}, {:.2}", udp.as_secs_f64() / tcp.as_secs_f64());
}

/// The median of round trips on one TCP connection.
async fn tcp_trips(carrier: &str) -> Duration {
    let server = TcpListener::bind((PRIVATE, 0)).await.unwrap();
    let stage = Stage::new(carrier, &server.local_addr().unwrap().to_string());
    let mut client = TcpStream::connect(stage.local).await.unwrap();
    client.set_nodelay(true).unwrap();
    let (mut far, _) = server.accept().await.unwrap();
    far.set_nodelay(true).unwrap();
    tokio::spawn(async move {
        let mut space = [0; 32];
        while far.read_exact(&mut space).await.is_ok() {
            far.write_all(&space).await.unwrap();
        }
    });
    let mut times = Vec::new();
    let mut space = [7; 32];
    for _ in 0..TRIPS {
        let started = Instant::now();
        client.write_all(&space).await.unwrap();
        client.read_exact(&mut space).await.unwrap();
        times.push(started.elapsed());
    }
    median(times)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
