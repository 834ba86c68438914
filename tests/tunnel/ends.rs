//! Ends of connections: in order, half-closed, by reset.

use std::io::ErrorKind;
use std::time::Duration;

use kube_tunnel::{Error, Protocol};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::forward::Forward;
use crate::testpod::{BYE, DISCARD, ECHO, LANES, LAST, PAUSE, RESET, SLOW, SOURCE, SOURCE_BYTES, secret};
use crate::{Stage, server};

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_client_that_half_closes_gets_its_slow_answer_whole() {
    let stage = Stage::new().await;
    let mut forward = Forward::new(&stage.tunnels(None).await, stage.route(SLOW)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.write_all(b"x").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer\n");
    let summary = forward.outcomes.recv().await.unwrap().expect("an orderly end");
    assert_eq!((summary.up, summary.down), (1, 7));
    assert!(summary.first_byte.is_some_and(|time| time >= Duration::from_secs(2)));
    assert!(forward.counters.first_byte().is_some_and(|time| time >= Duration::from_secs(2)));
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn an_answer_to_a_client_that_half_closed_may_pause() {
    let stage = Stage::new().await;
    let mut forward = Forward::new(&stage.tunnels(None).await, stage.route(PAUSE)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.write_all(b"x").await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "part1\npart2\n");
    forward.outcomes.recv().await.unwrap().expect("an orderly end");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn an_answer_that_waits_for_our_end_is_missing_and_so_a_reset() {
    let stage = Stage::new().await;
    let mut forward = Forward::new(&stage.tunnels(None).await, stage.route(LAST)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.write_all(b"x").await.unwrap();
    socket.shutdown().await.unwrap();
    let error = socket.read(&mut [0; 16]).await.expect_err("no end in order: the answer is missing");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let outcome = forward.outcomes.recv().await.unwrap();
    assert!(matches!(outcome, Err(Error::HalfClosed { .. })), "{outcome:?}");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_client_that_half_closes_gets_the_end_in_order() {
    let stage = Stage::new().await;
    let mut forward = Forward::new(&stage.tunnels(None).await, stage.route(BYE)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "bye\n");
    // Waited for too long, it would have failed for the half-closed client.
    forward.outcomes.recv().await.unwrap().expect("an orderly end");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_server_that_closes_first_reaches_the_client_as_end_of_file() {
    let stage = Stage::new().await;
    let mut forward = Forward::new(&stage.tunnels(None).await, stage.route(BYE)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "bye\n");
    drop(socket);
    forward.outcomes.recv().await.unwrap().expect("an orderly end");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn all_bytes_arrive_before_the_end() {
    let stage = Stage::new().await;
    let forward = Forward::new(&stage.tunnels(None).await, stage.route(SOURCE)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    let mut received = Vec::new();
    socket.read_to_end(&mut received).await.unwrap();
    assert_eq!(received.len() as u64, SOURCE_BYTES);
    assert_eq!(forward.counters.down.load(std::sync::atomic::Ordering::Relaxed), SOURCE_BYTES);
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_client_that_closes_frees_its_stream_at_once() {
    let stage = Stage::new().await;
    let mut forward = Forward::new(&stage.tunnels(None).await, stage.route(ECHO)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.write_all(b"x").await.unwrap();
    socket.read_exact(&mut [0]).await.unwrap();
    drop(socket);
    let ended = tokio::time::timeout(Duration::from_secs(5), forward.outcomes.recv()).await.expect("in time");
    ended.unwrap().expect("an orderly end");
    assert_eq!(forward.stats().streams, 0);
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_reset_by_the_server_reaches_the_client_as_a_reset() {
    let stage = Stage::new().await;
    let mut forward = Forward::new(&stage.tunnels(None).await, stage.route(RESET)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.write_all(b"x").await.unwrap();
    let error = socket.read(&mut [0]).await.expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(matches!(forward.outcomes.recv().await.unwrap(), Err(Error::Reset)));
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_reset_by_the_client_ends_the_forwarded_connection() {
    let stage = Stage::new().await;
    let mut forward = Forward::new(&stage.tunnels(None).await, stage.route(DISCARD)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.write_all(b"x").await.unwrap();
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
    let outcome = tokio::time::timeout(Duration::from_secs(5), forward.outcomes.recv()).await.expect("in time");
    assert!(matches!(outcome.unwrap(), Err(Error::Local(_))));
    assert_eq!(forward.stats().streams, 0);
}

/// Clients that close right after their last bytes, 20 at once: all of the bytes reach the server.
async fn sent_last(protocol: Protocol) {
    let stage = Stage::new().await;
    let address = server::free().await;
    let target = TcpListener::bind(address).await.expect("free a moment ago");
    let tunnels = stage.tunnels(Some(protocol)).await;
    let forward = Forward::relayed(&tunnels, stage.route(LANES), secret(), &address.to_string()).await;
    let local = forward.address;
    for size in [1, 5_000, 700_000] {
        let mut clients = JoinSet::new();
        for _ in 0..20 {
            clients.spawn(async move {
                let mut socket = TcpStream::connect(local).await.unwrap();
                socket.write_all(&vec![7; size]).await.unwrap();
            });
        }
        let mut arrived = JoinSet::new();
        for _ in 0..20 {
            let accepted = tokio::time::timeout(Duration::from_mins(1), target.accept()).await;
            let (mut socket, _) = accepted.expect("each of them arrives").unwrap();
            arrived.spawn(async move {
                let mut bytes = Vec::new();
                socket.read_to_end(&mut bytes).await.expect("an orderly end");
                bytes.len()
            });
        }
        assert_eq!(arrived.join_all().await, [size; 20], "{protocol}");
        clients.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn what_is_sent_right_before_closing_arrives() {
    sent_last(Protocol::Spdy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn what_is_sent_right_before_closing_arrives_in_v4() {
    sent_last(Protocol::V4).await;
}
