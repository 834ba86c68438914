//! Transfers that have to succeed, however long they take: each figure is of a whole transfer, and all of them count.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube_tunnel::Protocol;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cases::line;
use crate::forwarder::Forwarder;
use crate::pod::{LATE, LATE_BYTES, WEB};

/// The number of requests in one protocol, 20 at a time.
const REQUESTS: usize = 2_400;

/// The time after which a request counts as hanging.
const HANGS: Duration = Duration::from_mins(1);

/// Runs the wanted cases and prints a line for each.
pub async fn run(kubeconfig: &str, api: SocketAddr, wanted: impl Fn(&str) -> bool) {
    if wanted("late") {
        let kubectl = Forwarder::kubectl(kubeconfig, api, &[LATE]);
        let ours = Forwarder::ours(kubeconfig, api, &[LATE], &[]);
        let (theirs, own) = (late(kubectl.at(LATE)).await, late(ours.at(LATE)).await);
        line("64 MiB to a pod that reads after 30 s, s", theirs, own, "both whole");
        let v4 = Forwarder::ours_by(Some(Protocol::V4), kubeconfig, api, &[LATE], &[]);
        line("  in v4", theirs, late(v4.at(LATE)).await, "both whole");
    }
    if wanted("hangs") {
        let kubectl = Forwarder::kubectl(kubeconfig, api, &[WEB]);
        let ours = Forwarder::ours_by(Some(Protocol::V4), kubeconfig, api, &[WEB], &[]);
        let _load = Load::new();
        let (theirs, own) = (hangs(kubectl.at(WEB)).await, hangs(ours.at(WEB)).await);
        line("2,400 requests in v4, cores busy: hang or fail", theirs, own, "own = 0");
    }
}

/// Seconds until the pod has answered with the sum of all bytes.
async fn late(address: SocketAddr) -> f64 {
    let bytes: Vec<u8> = (0..LATE_BYTES).map(|at| (at.wrapping_mul(31) >> 7).to_le_bytes()[0]).collect();
    let sum = format!("{:x}", Sha256::digest(&bytes));
    let started = Instant::now();
    let mut socket = TcpStream::connect(address).await.expect("connected");
    socket.write_all(&bytes).await.expect("taken");
    let mut answer = vec![0; sum.len()];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), sum, "all bytes, as they were");
    started.elapsed().as_secs_f64()
}

/// Returns the number of requests without a whole answer in time.
async fn hangs(address: SocketAddr) -> f64 {
    let gate = Arc::new(Semaphore::new(20));
    let mut all = JoinSet::new();
    for _ in 0..REQUESTS {
        let turn = Arc::clone(&gate).acquire_owned().await.expect("open");
        all.spawn(async move {
            let answer = tokio::time::timeout(HANGS, request(address)).await;
            drop(turn);
            answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.ends_with(b"hello\n")))
        });
    }
    all.join_all().await.into_iter().filter(|whole| !whole).count() as f64
}

async fn request(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(b"GET /index.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Keeps every core of the machine busy, by processes of their own, until it is dropped.
struct Load(Vec<std::process::Child>);

impl Load {
    fn new() -> Self {
        let busy = || std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell");
        Self((0..std::thread::available_parallelism().map_or(2, usize::from)).map(|_| busy()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
