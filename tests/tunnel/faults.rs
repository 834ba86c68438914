//! The network, the API server and the pod fail; forwards go on.

use std::time::{Duration, Instant};

use kube_tunnel::{Error, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Stage;
use crate::forward::Forward;
use crate::load::until;
use crate::testpod::{self, ECHO, ENDLESS, NAMESPACE};
use crate::wire::{Weather, Wire};

async fn echoes(socket: &mut TcpStream) -> std::io::Result<()> {
    socket.write_all(b"?").await?;
    socket.read_exact(&mut [0]).await.map(|_| ())
}

/// A new connection through the forward works.
async fn works(forward: &Forward) {
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    echoes(&mut socket).await.expect("an echo");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_cut_tunnel_resets_its_streams_and_the_next_connection_works() {
    let stage = Stage::new().await;
    let wire = Wire::new(stage.api().await, Duration::ZERO).await;
    let mut forward = Forward::new(&stage.tunnels_by(wire.address).await, stage.route(ECHO)).await;
    for _ in 0..3 {
        let mut socket = TcpStream::connect(forward.address).await.unwrap();
        echoes(&mut socket).await.unwrap();
        wire.cut();
        socket.read(&mut [0]).await.expect_err("a reset, not an end");
        let outcome = forward.outcomes.recv().await.unwrap();
        assert!(matches!(outcome, Err(Error::TunnelLost { .. })), "{outcome:?}");
        works(&forward).await;
        forward.outcomes.recv().await.unwrap().expect("an orderly end");
    }
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn an_api_server_that_stops_for_twenty_seconds_is_noticed_and_waited_for() {
    let stage = Stage::new().await;
    let wire = Wire::new(stage.api().await, Duration::ZERO).await;
    let mut forward = Forward::new(&stage.tunnels_by(wire.address).await, stage.route(ECHO)).await;
    let mut before = TcpStream::connect(forward.address).await.unwrap();
    echoes(&mut before).await.unwrap();
    wire.set(Weather::Stopped);
    let stopped = Instant::now();
    // Found dead by its pings alone: nobody writes.
    before.read(&mut [0]).await.expect_err("a reset");
    forward.outcomes.recv().await.unwrap().expect_err("lost");
    // Asked for while it is stopped, answered when it goes on.
    let mut during = TcpStream::connect(forward.address).await.unwrap();
    let answer = tokio::spawn(async move { echoes(&mut during).await });
    tokio::time::sleep_until((stopped + Duration::from_secs(20)).into()).await;
    wire.set(Weather::Fair);
    tokio::time::timeout(Duration::from_secs(15), answer).await.expect("in time").unwrap().expect("an echo");
    works(&forward).await;
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn an_api_server_that_restarts_is_found_again() {
    let stage = Stage::new().await;
    let wire = Wire::new(stage.api().await, Duration::ZERO).await;
    let forward = Forward::new(&stage.tunnels_by(wire.address).await, stage.route(ECHO)).await;
    works(&forward).await;
    wire.set(Weather::Down);
    wire.cut();
    let address = forward.address;
    let waiting = tokio::spawn(async move {
        let mut socket = TcpStream::connect(address).await.unwrap();
        echoes(&mut socket).await
    });
    until("it was tried again and again", || wire.ended() > 2).await;
    wire.set(Weather::Fair);
    waiting.await.unwrap().expect("an echo");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_pod_deleted_in_a_transfer_resets_it_and_is_then_known_to_be_gone() {
    let stage = Stage::new().await;
    let client = stage.client().await;
    let pod = format!("tunnel-doomed-{}", std::process::id());
    testpod::create(&client, &pod).await;
    let route = Route { namespace: NAMESPACE.into(), pod: pod.clone(), port: ENDLESS };
    let mut forward = Forward::new(&stage.tunnels(None).await, route).await;
    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    let mut buffer = vec![0; 64 * 1024];
    socket.read_exact(&mut buffer).await.unwrap();
    testpod::delete(&client, &pod).await;
    while socket.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    forward.outcomes.recv().await.unwrap().ok();
    let gone = async {
        loop {
            let mut socket = TcpStream::connect(forward.address).await.unwrap();
            let _ = socket.read(&mut buffer).await;
            drop(socket);
            match forward.outcomes.recv().await.unwrap() {
                Err(error) if error.is_pod_gone() => break,
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("known to be gone");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn at_fifty_milliseconds_the_first_byte_takes_one_round_trip() {
    let stage = Stage::new().await;
    let wire = Wire::new(stage.api().await, Duration::from_millis(25)).await;
    let forward = Forward::new(&stage.tunnels_by(wire.address).await, stage.route(ECHO)).await;
    works(&forward).await;
    // Two would be a hundred; the machine may be busy for a while.
    let fast = async {
        loop {
            let started = Instant::now();
            works(&forward).await;
            if started.elapsed() < Duration::from_millis(95) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), fast).await.expect("one round trip");
    assert!(forward.stats().rtt.is_some_and(|rtt| rtt >= Duration::from_millis(50)), "{:?}", forward.stats());
}
