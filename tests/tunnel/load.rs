//! Many connections: nothing is left behind, and none waits for another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube_tunnel::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Stage;
use crate::forward::Forward;
use crate::testpod::{BYE, DEAF, ECHO, ENDLESS, SOURCE, SOURCE_BYTES};
use crate::wire::Wire;

async fn echo(address: std::net::SocketAddr, text: &[u8]) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(text).await?;
    let mut back = vec![0; text.len()];
    socket.read_exact(&mut back).await?;
    assert!(back == text, "bytes differ");
    Ok(())
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn ten_thousand_short_connections_leave_nothing_behind() {
    let stage = Stage::new().await;
    let wire = Wire::new(stage.api().await, Duration::ZERO).await;
    let tunnels = stage.tunnels_by(wire.address).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut forward = Forward::new(&tunnels, stage.route(ECHO)).await;
    let gate = Arc::new(Semaphore::new(16));
    let mut all = JoinSet::new();
    let total = 10_000;
    for _ in 0..total {
        let turn = Arc::clone(&gate).acquire_owned().await.unwrap();
        let address = forward.address;
        all.spawn(async move {
            echo(address, b"0123456789").await.expect("an echo");
            drop(turn);
        });
        while let Some(done) = all.try_join_next() {
            done.unwrap();
        }
    }
    all.join_all().await;
    for _ in 0..total {
        forward.outcomes.recv().await.unwrap().expect("an orderly end");
    }
    assert_eq!(forward.stats().streams, 0);
    assert_eq!(forward.counters.up.load(Ordering::Relaxed), 10 * total);
    assert_eq!(forward.counters.down.load(Ordering::Relaxed), 10 * total);
    assert_eq!(forward.counters.open.load(Ordering::Relaxed), 0);
    assert!(wire.open() <= 16, "{} connections", wire.open());
    drop(forward);
    drop(tunnels);
    until("all sockets closed", || wire.open() == 0).await;
    drop(wire);
    until("all tasks ended", || tasks() <= before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn every_connection_of_many_in_v4_ends_as_its_pod_does() {
    let stage = Stage::new().await;
    let tunnels = stage.tunnels(Some(Protocol::V4)).await;
    let forward = Forward::new(&tunnels, stage.route(BYE)).await;
    let gate = Arc::new(Semaphore::new(20));
    let mut all = JoinSet::new();
    for _ in 0..600 {
        let turn = Arc::clone(&gate).acquire_owned().await.unwrap();
        let address = forward.address;
        all.spawn(async move {
            let mut answer = String::new();
            let mut socket = TcpStream::connect(address).await.unwrap();
            let read = tokio::time::timeout(Duration::from_secs(30), socket.read_to_string(&mut answer));
            read.await.expect("neither ended nor reset").expect("an answer");
            drop(turn);
            answer
        });
    }
    assert!(all.join_all().await.iter().all(|answer| answer == "bye\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn dropping_a_forward_in_use_frees_every_task_and_socket() {
    let stage = Stage::new().await;
    let wire = Wire::new(stage.api().await, Duration::ZERO).await;
    let tunnels = stage.tunnels_by(wire.address).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let forward = Forward::new(&tunnels, stage.route(ENDLESS)).await;
    let mut sockets = Vec::new();
    for _ in 0..12 {
        let mut socket = TcpStream::connect(forward.address).await.unwrap();
        socket.read_exact(&mut [0; 1000]).await.unwrap();
        sockets.push(socket);
    }
    drop(forward);
    drop(tunnels);
    until("all sockets closed", || wire.open() == 0).await;
    drop(wire);
    until("all tasks ended", || tasks() <= before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn one_that_never_reads_holds_up_none_of_two_hundred() {
    let stage = Stage::new().await;
    let tunnels = stage.tunnels(None).await;
    let endless = Forward::new(&tunnels, stage.route(ENDLESS)).await;
    let mut stuck = TcpStream::connect(endless.address).await.unwrap();
    stuck.read_exact(&mut [0; 1]).await.unwrap();
    let mut all = JoinSet::new();
    for _ in 0..199 {
        let address = endless.address;
        all.spawn(async move {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let mut buffer = vec![0; 32 * 1024];
            let mut left = 1 << 20;
            while left > 0 {
                let count = socket.read(&mut buffer).await.expect("bytes");
                assert!(count > 0, "cut off");
                left -= count.min(left);
            }
        });
    }
    tokio::time::timeout(Duration::from_mins(1), all.join_all()).await.expect("none waits for the one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_pod_that_never_reads_holds_up_no_new_connection() {
    let stage = Stage::new().await;
    let tunnels = stage.tunnels(None).await;
    let deaf = Forward::new(&tunnels, stage.route(DEAF)).await;
    let mut stuck = JoinSet::new();
    for _ in 0..4 {
        let mut socket = TcpStream::connect(deaf.address).await.unwrap();
        stuck.spawn(async move {
            let chunk = vec![0; 64 * 1024];
            while socket.write_all(&chunk).await.is_ok() {}
        });
    }
    let up = Arc::clone(&deaf.counters);
    let mut last = 0;
    // Until the pod's, the node's and our own buffers are full.
    until("stuck", || {
        let now = up.up.load(Ordering::Relaxed);
        now > 1 << 20 && std::mem::replace(&mut last, now) == now
    })
    .await;
    let other = Forward::new(&tunnels, stage.route(ECHO)).await;
    for _ in 0..10 {
        tokio::time::timeout(Duration::from_secs(5), echo(other.address, b"free")).await.expect("in time").unwrap();
    }
    stuck.abort_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn downloads_side_by_side_all_end_whole() {
    let stage = Stage::new().await;
    let forward = Forward::new(&stage.tunnels(None).await, stage.route(SOURCE)).await;
    let mut all = JoinSet::new();
    for _ in 0..24 {
        let address = forward.address;
        all.spawn(async move {
            let mut received = Vec::new();
            TcpStream::connect(address).await.unwrap().read_to_end(&mut received).await.unwrap();
            received.len() as u64
        });
    }
    assert_eq!(all.join_all().await, [SOURCE_BYTES; 24]);
}
