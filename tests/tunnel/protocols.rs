//! Each protocol carries bytes, and the best one that passes is found by itself.

use kube_tunnel::exec::{Container, Output, Process, Stdio, Target};
use kube_tunnel::{Error, LeaseOptions, Protocol, Route, Tunnels};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Stage;
use crate::bridge::{Bridge, Lets};
use crate::forward::Forward;
use crate::load::until;
use crate::testpod::{ECHO, NOBODY, RELAY, SOURCE, SOURCE_BYTES};

/// Echoes half a megabyte in both directions at once, downloads, and is refused: by forwards of `tunnels`.
async fn carries(stage: &Stage, tunnels: &Tunnels, protocol: Protocol) {
    let forward = Forward::new(tunnels, stage.route(ECHO)).await;
    let sent: Vec<u8> = (0..500_000_u32).map(|index| index.to_le_bytes()[0] ^ index.to_le_bytes()[1]).collect();
    let (mut read, mut write) = TcpStream::connect(forward.address).await.unwrap().into_split();
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&copy).await.unwrap();
        write
    });
    let mut echoed = vec![0; sent.len()];
    read.read_exact(&mut echoed).await.unwrap();
    assert!(echoed == sent, "bytes differ");
    drop(writing.await.unwrap());
    let stats = forward.stats();
    assert_eq!((stats.protocol, stats.last_error.is_none()), (Some(protocol), true), "{stats:?}");

    let forward = Forward::new(tunnels, stage.route(SOURCE)).await;
    let mut received = Vec::new();
    TcpStream::connect(forward.address).await.unwrap().read_to_end(&mut received).await.unwrap();
    assert_eq!(received.len() as u64, SOURCE_BYTES);

    let mut forward = Forward::new(tunnels, stage.route(NOBODY)).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    let _ = socket.read(&mut [0]).await;
    let outcome = forward.outcomes.recv().await.unwrap();
    assert!(matches!(outcome, Err(Error::Refused { .. })), "{outcome:?}");

    let forward = Forward::by_line(tunnels, stage.route(RELAY), "10.99.0.10:7").await;
    for _ in 0..5 {
        let mut socket = TcpStream::connect(forward.address).await.unwrap();
        socket.write_all(b"through").await.unwrap();
        let mut back = [0; 7];
        socket.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"through");
    }
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn spdy_is_what_a_plain_api_server_gets() {
    let stage = Stage::new().await;
    carries(&stage, &stage.tunnels(None).await, Protocol::Spdy).await;
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn v4_can_be_forced() {
    let stage = Stage::new().await;
    carries(&stage, &stage.tunnels(Some(Protocol::V4)).await, Protocol::V4).await;
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn spdy_inside_a_web_socket_can_be_forced() {
    let stage = Stage::new().await;
    let bridge = Bridge::new(stage.client().await, Lets::Everything).await;
    let tunnels = Tunnels::new(bridge.client(), Some(Protocol::SpdyOverWebSocket));
    carries(&stage, &tunnels, Protocol::SpdyOverWebSocket).await;
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_gateway_that_knows_no_spdy_is_passed_by_web_socket() {
    let stage = Stage::new().await;
    let bridge = Bridge::new(stage.client().await, Lets::WebSockets).await;
    let tunnels = Tunnels::new(bridge.client(), None);
    // Where the first dial takes long, the next one does not wait for what it finds out.
    let lease = tunnels.lease(stage.route(ECHO), LeaseOptions::default());
    until("it is known", || lease.stats().protocol == Some(Protocol::SpdyOverWebSocket)).await;
    let refused = || bridge.asked().iter().filter(|protocol| **protocol == Protocol::Spdy).count();
    let before = refused();
    assert!(before > 0, "{:?}", bridge.asked());
    carries(&stage, &tunnels, Protocol::SpdyOverWebSocket).await;
    assert_eq!(refused(), before, "remembered: {:?}", bridge.asked());
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_shell_passes_a_gateway_that_knows_no_spdy() {
    let stage = Stage::new().await;
    let bridge = Bridge::new(stage.client().await, Lets::V4).await;
    let Route { namespace, pod, .. } = stage.route(ECHO);
    let container = Container { namespace, pod, name: Some("echo".to_owned()) };
    let (target, stdio) = (Target::Exec(vec!["sh".to_owned()]), Stdio { stdin: true, tty: true });
    let mut process = Process::start(&bridge.client(), &container, &target, stdio).await.unwrap();
    assert_eq!(bridge.asked(), [Protocol::Spdy, Protocol::V4]);
    let (terminal, input) = (process.terminal.take().unwrap(), process.input.take().unwrap());
    terminal.resize(77, 33).await.unwrap();
    input.send(b"until stty size | grep '33 77'; do :; done; exit 5\r").await.unwrap();
    let mut said = Vec::new();
    let ended = loop {
        match process.output.recv().await.unwrap().unwrap() {
            Output::Stdout(bytes) | Output::Stderr(bytes) => said.extend_from_slice(&bytes),
            Output::Ended(ended) => break ended,
        }
    };
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(ended.code, Some(5), "{said}");
    assert!(said.contains("\n33 77"), "{said}");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn v4_is_the_last_resort_and_the_connection_that_asked_is_kept() {
    let stage = Stage::new().await;
    let bridge = Bridge::new(stage.client().await, Lets::V4).await;
    let tunnels = Tunnels::new(bridge.client(), None);
    let lease = tunnels.lease(stage.route(ECHO), LeaseOptions::default());
    let mut stream = lease.open().await.expect("a stream, after two refusals");
    stream.write_all(b"kept").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"kept");
    assert_eq!(lease.stats().protocol, Some(Protocol::V4));
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_forced_protocol_is_not_replaced() {
    let stage = Stage::new().await;
    let bridge = Bridge::new(stage.client().await, Lets::V4).await;
    let tunnels = Tunnels::new(bridge.client(), Some(Protocol::Spdy));
    let lease = tunnels.lease(stage.route(ECHO), LeaseOptions::default());
    let error = lease.open().await.expect_err("refused");
    assert!(matches!(error, Error::Upgrade { protocol: Protocol::Spdy, .. }), "{error:?}");
    assert!(bridge.asked().iter().all(|protocol| *protocol == Protocol::Spdy));
}
