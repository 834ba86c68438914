//! Streams opened ahead at a relay: ready for a connection, and unknown to the target until there is one.

use std::time::Duration;

use brow_tui::forward::{Ended, Lane, keep_lane};
use brow_tui::model::address::Address;
use brow_tui::proxy::relay;
use brow_tui::tunnel::LeaseOptions;
use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Stage;
use crate::forward::Forward;
use crate::load::until;
use crate::server;
use crate::testpod::{ENDLESS, LANES, RELAY};

async fn spares(forward: &Forward, count: usize) {
    let wait = async {
        while forward.stats().spares != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("opened ahead");
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn the_target_sees_a_connection_only_when_there_is_one() {
    let stage = Stage::new().await;
    let address = server::free().await;
    let target = TcpListener::bind(address).await.expect("free a moment ago");
    let forward = Forward::relayed(&stage.tunnels(None).await, stage.route(RELAY), &address.to_string()).await;
    for _ in 0..5 {
        spares(&forward, 2).await;
        assert_eq!(forward.stats().streams, 0);
        assert!(target.accept().now_or_never().is_none(), "the target was reached by nobody");
        let mut socket = TcpStream::connect(forward.address).await.unwrap();
        socket.write_all(b"x").await.unwrap();
        let (mut accepted, _) = target.accept().await.unwrap();
        let mut byte = [0];
        accepted.read_exact(&mut byte).await.unwrap();
        accepted.write_all(&byte).await.unwrap();
        socket.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"x");
        assert_eq!(forward.stats().streams, 1);
        drop(socket);
        while accepted.read(&mut byte).await.is_ok_and(|count| count > 0) {}
        let idle = async {
            while forward.stats().streams > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), idle).await.expect("given back");
    }
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_lane_serves_connections_and_outlives_none_of_them() {
    let stage = Stage::new().await;
    let address = server::free().await;
    let target = TcpListener::bind(address).await.expect("free a moment ago");
    let tunnels = stage.tunnels(None).await;
    let mut forward = Forward::relayed(&tunnels, stage.route(LANES), &address.to_string()).await;
    until("a lane", || forward.lane().port().is_some()).await;
    assert!(target.accept().now_or_never().is_none(), "the target was reached by nobody");
    until("no shell waits where there is a lane", || forward.stats().spares == 0).await;

    let mut socket = TcpStream::connect(forward.address).await.unwrap();
    socket.write_all(b"x").await.unwrap();
    let (mut accepted, _) = target.accept().await.unwrap();
    let mut byte = [0];
    accepted.read_exact(&mut byte).await.unwrap();

    // What goes by a lane stays when the lane goes; what comes then finds the way as before.
    forward.give_lane_up();
    for _ in 0..3 {
        let mut other = TcpStream::connect(forward.address).await.unwrap();
        other.write_all(b"y").await.unwrap();
        let (mut its, _) = target.accept().await.unwrap();
        its.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"y");
    }
    for sent in [b"a", b"b", b"c"] {
        accepted.write_all(sent).await.unwrap();
        socket.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, sent);
        socket.write_all(sent).await.unwrap();
        accepted.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, sent);
    }
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_lane_that_is_lost_or_held_up_is_followed_by_another() {
    let stage = Stage::new().await;
    let address = server::free().await;
    let tunnels = stage.tunnels(None).await;
    let lease = tunnels.lease(stage.route(LANES), LeaseOptions { tunnels: 1 });
    until("one tunnel, that all share", || lease.stats().tunnels == 1).await;
    let address: Address = address.to_string().parse().unwrap();
    let (asked, lane) = (relay::lane_line(&address), Lane::default());
    let keeping = async { while keep_lane(&lease, &asked, relay::read_lane, &lane).await != Ended::Never {} };
    let followed = async {
        until("a lane", || lane.port().is_some()).await;
        let first = lane.port().expect("a lane");
        lane.lose(first);
        assert_eq!(lane.port(), None);
        until("another lane", || lane.port().is_some()).await;
        let second = lane.port().expect("a lane");
        assert_ne!(first, second);

        // A download that nobody takes keeps the one tunnel there is from being read.
        let mut paused = lease.open_at(ENDLESS).await.expect("a stream");
        paused.read_exact(&mut [0]).await.unwrap();
        until("a lane beside the paused download", || lane.port().is_some_and(|port| port != second)).await;
        let mut buffer = vec![0; 1 << 20];
        for _ in 0..4 {
            paused.read_exact(&mut buffer).await.expect("nobody waited for it");
        }
    };
    tokio::select! {
        () = keeping => panic!("the relay knows lanes"),
        () = followed => {}
    }
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn what_is_no_address_is_refused_by_the_relay_itself() {
    let stage = Stage::new().await;
    let tunnels = stage.tunnels(None).await;
    let lease = tunnels.lease(stage.route(LANES), LeaseOptions { tunnels: 1 });
    let said = async |line: &[u8]| {
        let mut stream = lease.open().await.expect("a stream");
        stream.write_all(line).await.expect("sent");
        stream.shutdown().await.expect("ended");
        let mut answer = Vec::new();
        // However the relay ends it: what it said before counts.
        let _end = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let works = said(b"?10.99.0.10:7\n").await;
    assert!(works.contains(" N "), "{works}");
    for attack in [
        "127.0.0.1:1!!SYSTEM:echo owned",
        "?10.99.0.10:7!!SYSTEM:echo owned",
        "+10.99.0.10:7!!SYSTEM:echo owned",
        "10.99.0.10:7,bind=127.0.0.1",
        "?10.99.0.10:7,fork",
        "?10.99.0.10:7)",
        "?$(echo 10.99.0.10):7",
        "?`echo 10.99.0.10`:7",
        "?10.99.0.10:7'",
        "?\"10.99.0.10:7\"",
        "?10.99.0.10:7\r",
        "?10.99.0.10:7;echo owned",
        "??10.99.0.10:7",
        "?",
        "",
    ] {
        assert_eq!(said(format!("{attack}\n").as_bytes()).await, "", "{attack}");
    }
    let long = [vec![b'?'; 1 << 20], b"\n".to_vec()].concat();
    assert_eq!(said(&long).await, "");
    assert!(said(b"?10.99.0.10:7\n").await.contains(" N "), "it goes on serving");
}
