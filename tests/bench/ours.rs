//! The cases of brow-tui's own relay in a proxy pod. kubectl goes to the same ports of the pod directly, but for the
//! first byte and the download, which have a plain socat in between.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cases::{
    GIGABYTES, PORTS, THOUSANDS, at_once, both, distance, down, first_byte, line, requests, settle, up, with_cpu,
};
use crate::forwarder::Forwarder;
use crate::pod::{DOWN, ECHO, PLAIN, PLAIN_DOWN, UP, WEB};

/// Runs the wanted cases and prints a line for each.
pub async fn run(kubeconfig: &str, api: SocketAddr, wanted: impl Fn(&str) -> bool) {
    if wanted("ours") {
        println!("by brow-tui's own relay:");
        by(Forwarder::by_relay, kubeconfig, api).await;
    }
    if wanted("pod-proxy") {
        println!("by brow-tui's own relay, through the pod proxy:");
        by(Forwarder::by_pod_proxy, kubeconfig, api).await;
    }
}

/// Runs them by one carrier.
async fn by(carrier: fn(&str, SocketAddr, &[u16]) -> Forwarder, kubeconfig: &str, api: SocketAddr) {
    let kubectl = Forwarder::kubectl(kubeconfig, api, &PORTS);
    let ours = carrier(kubeconfig, api, &PORTS);
    let to_both = (&kubectl, &ours);
    settle().await;
    let (theirs, own) =
        both(async || first_byte(kubectl.at(PLAIN)).await, async || first_byte(ours.at(ECHO)).await).await;
    line("first byte (plain socat), ms", theirs, own, "≤ 0.35");
    let (theirs, own) = both(async || trips(kubectl.at(ECHO)).await, async || trips(ours.at(ECHO)).await).await;
    line("1,000 round trips of 32 B, ms", theirs, own, "≤ 0.35");
    let asked = ("200 requests, 20 at a time, ms", "≤ 0.35");
    with_cpu(to_both, WEB, THOUSANDS, requests, asked, ("CPU seconds per 1,000 requests", "")).await;
    let (theirs, own) = both(async || down(kubectl.at(PLAIN_DOWN)).await, async || down(ours.at(DOWN)).await).await;
    line("256 MB down (plain socat), MB/s", theirs, own, "≥ 2.0");
    let asked = ("256 MB down, MB/s", "≥ 2.0");
    with_cpu(to_both, DOWN, GIGABYTES, down, asked, ("CPU seconds per GB down", "≤ 0.35")).await;
    let asked = ("256 MB up, MB/s", "≥ 2.0");
    with_cpu(to_both, UP, GIGABYTES, up, asked, ("CPU seconds per GB up", "")).await;
    at_once(&kubectl, &ours).await;
    drop((kubectl, ours));
    distance(kubeconfig, api, carrier, "≤ 1.05").await;
}

/// 1,000 round trips of 32 bytes one after another, in ms.
async fn trips(address: SocketAddr) -> f64 {
    let mut socket = TcpStream::connect(address).await.expect("connected");
    socket.set_nodelay(true).expect("nodelay");
    let mut block = [7; 32];
    let started = Instant::now();
    for _ in 0..1_000 {
        socket.write_all(&block).await.expect("written");
        socket.read_exact(&mut block).await.expect("echoed");
    }
    started.elapsed().as_secs_f64() * 1e3
}
