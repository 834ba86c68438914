//! Flows of a forward: datagrams of UDP, each client's kept apart from others.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod forward_fake;

use std::net::SocketAddr;
use std::sync::Arc;

use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, What};
use brow_model::forward::ForwardSpec;
use brow_model::forward_settings::LocalUsers;
use brow_model::traffic::Datagrams;
use forward_fake::{Forward, TIMEOUT, World, spec, until, via};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// A server that says back what it is told.
async fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut space = vec![0; 1 << 16];
        while let Ok((count, from)) = socket.recv_from(&mut space).await {
            let _ = socket.send_to(&space[..count], from).await;
        }
    });
    local
}

fn udp() -> ForwardSpec {
    ForwardSpec { address: "10.0.0.1:53/udp".parse().unwrap(), ..spec(0) }
}

async fn open() -> Forward {
    let world = Arc::new(World::default());
    world.add("dns", echo().await);
    Forward::open_as(&world, udp(), Some(via("dns")), true).await
}

/// A client of a forward.
async fn client(forward: &Forward) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(forward.locals[0]).await.unwrap();
    socket
}

async fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut space = vec![0; 1 << 16];
    let count = timeout(TIMEOUT, client.recv(&mut space)).await.expect("an answer").unwrap();
    space.truncate(count);
    space
}

#[tokio::test]
async fn each_client_gets_its_own_answers_whole() {
    let forward = open().await;
    let clients = [client(&forward).await, client(&forward).await];
    for size in [0, 1, 1_472, 9_000, 65_507] {
        for (client, byte) in clients.iter().zip(1..) {
            client.send(&vec![byte; size]).await.unwrap();
        }
        for (client, byte) in clients.iter().zip(1..) {
            assert_eq!(receive(client).await, vec![byte; size]);
        }
    }
    let counts = forward.handle.counts();
    let bytes = 2 * (1 + 1_472 + 9_000 + 65_507);
    assert_eq!((counts.open, counts.total, counts.up, counts.down), (2, 2, bytes, bytes));
    assert_eq!(counts.datagrams, Datagrams { up: 10, down: 10, dropped: 0 });
}

#[tokio::test]
async fn datagrams_wait_for_the_pod_that_the_first_one_asks_for() {
    let world = Arc::new(World::default());
    let on_demand = ForwardSpec { on_demand: true, ..udp() };
    let mut forward = Forward::open_as(&world, on_demand, None, true).await;
    let client = client(&forward).await;
    client.send(b"first").await.unwrap();
    while !matches!(forward.event().await, ForwardEvent::Wanted(_)) {}
    client.send(b"second").await.unwrap();
    world.add("dns", echo().await);
    forward.handle.set_pod(Some(via("dns")), true);
    assert_eq!([receive(&client).await, receive(&client).await], [b"first".to_vec(), b"second".to_vec()]);
}

#[tokio::test]
async fn a_flow_that_is_refused_says_so_and_the_next_datagram_opens_another() {
    let mut forward = open().await;
    let client = client(&forward).await;
    client.send(b"one").await.unwrap();
    assert_eq!(receive(&client).await, b"one");
    let refused = Fault::new(What::TargetRefused, "10.0.0.1:53/udp", "Connection refused");
    *forward.world.reason.lock().unwrap() = Some(refused.clone());
    forward.world.ending.notify_one();
    let failed = loop {
        if let ForwardEvent::ConnectionFailed(fault) = forward.event().await {
            break fault;
        }
    };
    assert_eq!(failed, refused);
    until("the flow has ended", || forward.handle.counts().open == 0).await;
    client.send(b"two").await.unwrap();
    assert_eq!(receive(&client).await, b"two");
    let counts = forward.handle.counts();
    assert_eq!((counts.open, counts.total, counts.failed), (1, 2, 1));
}

#[tokio::test]
async fn the_flow_that_is_idle_for_longest_gives_way() {
    let forward = open().await;
    let mut clients = Vec::new();
    for number in 0..501_u32 {
        let client = client(&forward).await;
        client.send(&number.to_be_bytes()).await.unwrap();
        assert_eq!(receive(&client).await, number.to_be_bytes());
        clients.push(client);
    }
    until("one has given way", || forward.handle.counts().open == 500).await;
    // It comes back by itself.
    clients[0].send(b"again").await.unwrap();
    assert_eq!(receive(&clients[0]).await, b"again");
    assert_eq!(forward.handle.counts().total, 502);
}

#[tokio::test]
async fn flows_are_listed_with_their_datagrams_and_can_be_ended() {
    let mut forward = open().await;
    let client = client(&forward).await;
    client.send(b"hello").await.unwrap();
    assert_eq!(receive(&client).await, b"hello");
    forward.handle.list_connections();
    let list = loop {
        if let ForwardEvent::Connections(list) = forward.event().await {
            break list;
        }
    };
    let [flow] = list.as_slice() else { panic!("{list:?}") };
    assert_eq!((flow.from, flow.up, flow.down), (Some(client.local_addr().unwrap()), 5, 5));
    assert_eq!(flow.datagrams, Some(Datagrams { up: 1, down: 1, dropped: 0 }));
    if kube_tunnel::tells_udp_peer_users() {
        assert_eq!(flow.program.as_ref().map(|program| program.pid), Some(std::process::id()));
    }
    forward.handle.end_connection(flow.id);
    until("the flow has ended", || forward.handle.counts().open == 0).await;
}

#[tokio::test]
async fn a_forward_that_closes_ends_its_flows() {
    let forward = open().await;
    let client = client(&forward).await;
    client.send(b"hello").await.unwrap();
    assert_eq!(receive(&client).await, b"hello");
    forward.handle.close();
    timeout(TIMEOUT, forward.task).await.expect("closed").unwrap();
}

#[tokio::test]
async fn a_user_who_may_not_connect_gets_nothing() {
    if !kube_tunnel::tells_udp_peer_users() {
        eprintln!("SKIPPED: this system does not tell whose datagrams are");
        return;
    }
    let forward = open().await;
    forward.handle.set_local_users(LocalUsers::Me);
    // One that is closed at once belongs to nobody.
    let (gone, client) = (client(&forward).await, client(&forward).await);
    gone.send(b"nobody").await.unwrap();
    drop(gone);
    client.send(b"mine").await.unwrap();
    assert_eq!(receive(&client).await, b"mine");
    // The first was refused, unless it was looked at before it was closed.
    let counts = forward.handle.counts();
    assert_eq!(counts.refused + counts.total, 2);
}
