//! Errors of one connection concern no other, and are reported as what they are.

use std::time::Duration;

use kube_tunnel::{Error, LeaseOptions, Protocol, Route, Tunnels};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bridge::{Bridge, Lets, NODES};
use crate::forward::Forward;
use crate::testpod::{ECHO, NAMESPACE, NOBODY};
use crate::{Stage, cluster};

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_refused_connection_ends_itself_only() {
    let stage = Stage::new().await;
    for node in NODES {
        let bridge = Bridge::to(stage.client().await, Lets::Everything, node).await;
        for protocol in [Protocol::Spdy, Protocol::SpdyOverWebSocket] {
            let tunnels = Tunnels::new(bridge.client(), Some(protocol));
            let mut refused = Forward::new(&tunnels, stage.route(NOBODY)).await;
            for _ in 0..3 {
                let mut socket = TcpStream::connect(refused.address).await.unwrap();
                socket.write_all(b"x").await.unwrap();
                socket.read(&mut [0]).await.expect_err("a reset, not an end");
                let outcome = refused.outcomes.recv().await.unwrap();
                assert!(matches!(outcome, Err(Error::Refused { .. })), "{node:?} {protocol}: {outcome:?}");
            }
            assert!(refused.stats().tunnels >= 1, "the tunnel lives on");
        }
    }
}

async fn open(client: kube::Client, pod: &str, namespace: &str) -> Error {
    let route = Route { namespace: namespace.into(), pod: pod.into(), port: ECHO };
    let lease = Tunnels::new(client, None).lease(route, LeaseOptions::default());
    lease.open().await.expect_err("no stream")
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn what_the_api_server_refuses_is_told_apart() {
    let stage = Stage::new().await;
    let client = |context: &'static str| async { cluster::client(&cluster::config(&stage.kubeconfig, context).await) };
    let error = open(client("brow-admin").await, "no-such-pod", NAMESPACE).await;
    assert!(matches!(&error, Error::NoSuchPod { text } if text.contains("no-such-pod")), "{error:?}");
    let error = open(client("brow-admin").await, "../secrets", NAMESPACE).await;
    assert!(matches!(error, Error::NoSuchPod { .. }), "{error:?}");
    let error = open(client("brow-viewer").await, &stage.pod, NAMESPACE).await;
    assert!(matches!(&error, Error::Forbidden { text } if text.contains("portforward")), "{error:?}");
    let error = open(client("brow-badtoken").await, &stage.pod, NAMESPACE).await;
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn an_api_server_that_is_not_there_is_asked_again_for_a_while() {
    let stage = Stage::new().await;
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let lease = stage.tunnels_by(address).await.lease(stage.route(ECHO), LeaseOptions::default());
    let opening = tokio::time::timeout(Duration::from_secs(2), lease.open()).await;
    assert!(opening.is_err(), "it still tries: {opening:?}");
    assert!(matches!(lease.stats().last_error, Some(Error::Unreachable { .. })), "{:?}", lease.stats());
}
