//! The room in a proxy pod: as many connections as its limit of memory allows, whatever forwards they belong to.

use std::io;
use std::time::Duration;

use brow_tui::proxy::relay;
use kube_tunnel::{Route, Tunnels};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Stage;
use crate::forward::Forward;
use crate::load::until;
use crate::testpod::{self, LANES, NAMESPACE, secret};

/// The number of connections that are opened at once.
const BATCH: usize = 16;

async fn forward(tunnels: &Tunnels, pod: &str) -> Forward {
    let route = Route { namespace: NAMESPACE.into(), pod: pod.to_owned(), port: LANES };
    let forward = Forward::relayed(tunnels, route, secret(), "10.99.0.10:7").await;
    until("a lane", || forward.lane().port().is_some()).await;
    forward
}

async fn echo(socket: &mut TcpStream) -> io::Result<()> {
    socket.write_all(&[b'x'; 4_096]).await?;
    let mut back = [0; 4_096];
    let read = tokio::time::timeout(Duration::from_mins(1), socket.read_exact(&mut back)).await;
    read.expect("in time").map(|_| ())
}

/// Opens connections, all at once; those that carry bytes.
async fn open(forward: &Forward) -> Vec<TcpStream> {
    let some = (0..BATCH).map(|_| async {
        let mut socket = TcpStream::connect(forward.address).await.expect("connected");
        echo(&mut socket).await.ok().map(|()| socket)
    });
    futures::future::join_all(some).await.into_iter().flatten().collect()
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn the_connections_of_all_forwards_fit_a_pods_memory() {
    let stage = Stage::new().await;
    let client = stage.client().await;
    // The shared one is full otherwise for other tests.
    let pod = format!("room-{}", std::process::id());
    testpod::create(&client, &pod).await;
    let tunnels = stage.tunnels(None).await;
    let first = forward(&tunnels, &pod).await;
    let mut all = Vec::new();
    // Spares count, and are opened again once they are taken.
    while all.len() < relay::MAX_CONNECTIONS - BATCH {
        let some = open(&first).await;
        assert_eq!(some.len(), BATCH, "after {}", all.len());
        all.extend(some);
    }
    let second = forward(&tunnels, &pod).await;
    let beyond = loop {
        let some = open(&second).await;
        let refused = some.len() < BATCH;
        all.extend(some);
        if refused {
            break all.len();
        }
    };
    let most = usize::try_from(relay::MAX_PROCESSES).expect("few");
    assert!(beyond > relay::MAX_CONNECTIONS && beyond < most, "{beyond}");
    // None had to end for another, and there is room again for as many as do.
    for socket in &mut all {
        echo(socket).await.expect("it goes on");
    }
    drop(all.split_off(beyond - 4 * BATCH));
    let room = async { while open(&second).await.is_empty() {} };
    tokio::time::timeout(Duration::from_mins(1), room).await.expect("room again");
    testpod::delete(&client, &pod).await;
}
