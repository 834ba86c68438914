//! Connections of a forward, one and many at once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod forward_fake;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use brow_model::connection::{Connection, ConnectionState};
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, What};
use brow_model::forward_settings::LocalUsers;
use brow_model::traffic::Counts;
use forward_fake::{Forward, World, echo, end, say, server, silent, until, via};
use kube_tunnel::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn world() -> Arc<World> {
    let world = Arc::new(World::default());
    let (port, _) = server(echo).await;
    world.add("web-1", port);
    world
}

/// A relay: takes a line, then echoes.
async fn relay(mut stream: TcpStream) -> std::io::Result<()> {
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).await?;
    }
    echo(stream).await
}

#[tokio::test]
async fn both_families_lead_to_the_pod() {
    let forward = Forward::open(&world().await, Some(via("web-1")), false).await;
    for local in &forward.locals {
        say(&mut TcpStream::connect(local).await.expect("connected"), b"hello").await;
    }
    assert!(forward.locals.iter().all(|local| local.ip().is_loopback()));
    assert_eq!(forward.handle.counts().total, forward.locals.len() as u64);
    assert_eq!(forward.world.without_nodelay.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn counters_are_exact() {
    let world = Arc::new(World::default());
    let (port, _) = server(relay).await;
    world.add("web-1", port);
    let forward = Forward::open(&world, Some(via("web-1")), true).await;
    let mut expected = Counts::default();
    for size in [1_u32, 1_460, 65_536, 1_000_003] {
        let bytes: Vec<u8> = (0..size).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
        let client = forward.connect().await;
        let (mut read, mut write) = client.into_split();
        let sent = bytes.clone();
        let sender = tokio::spawn(async move {
            write.write_all(&sent).await.expect("sent");
            write.shutdown().await.expect("ended");
        });
        let mut back = Vec::new();
        read.read_to_end(&mut back).await.expect("echoed");
        sender.await.expect("sent");
        assert!(back == bytes, "{size} bytes came back changed");
        expected.total += 1;
        expected.up += u64::from(size);
        expected.down += u64::from(size);
    }
    until("all ended", || forward.handle.counts().open == 0).await;
    assert_eq!(forward.handle.sample().counts, expected);
}

#[tokio::test]
async fn a_half_closed_client_gets_the_whole_answer() {
    let world = Arc::new(World::default());
    let (port, _) = server(|mut stream| async move {
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).await?;
        for _ in 0..asked.len() {
            stream.write_all(&[b'a'; 1_000]).await?;
        }
        stream.shutdown().await
    })
    .await;
    world.add("web-1", port);
    let forward = Forward::open(&world, Some(via("web-1")), false).await;
    let mut client = forward.connect().await;
    client.write_all(&[b'q'; 200]).await.expect("asked");
    client.shutdown().await.expect("half closed");
    assert_eq!(end(client).await, (vec![b'a'; 200_000], false));
}

#[tokio::test]
async fn a_failed_connection_is_reset_and_told_and_the_forward_goes_on() {
    let world = world().await;
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    world.change("web-1", |pod| pod.open_fails = Some(Error::Refused { text: "connection refused".into() }));
    assert_eq!(end(forward.connect().await).await, (Vec::new(), true));
    let fault = forward.failure().await;
    assert_eq!((fault.what, fault.thing.as_str()), (What::TargetRefused, "10.0.0.1:3306"));
    assert_eq!(forward.handle.counts(), Counts { total: 1, failed: 1, ..Counts::default() });
    world.change("web-1", |pod| pod.open_fails = None);
    say(&mut forward.connect().await, b"again").await;
}

#[tokio::test]
async fn a_reset_in_the_pod_is_a_reset_here() {
    let world = Arc::new(World::default());
    let (port, _) = server(|mut stream| async move {
        let mut scrap = [0; 4];
        stream.read_exact(&mut scrap).await?;
        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))
    })
    .await;
    world.add("web-1", port);
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    let mut client = forward.connect().await;
    client.write_all(b"fall").await.expect("sent");
    assert_eq!(end(client).await, (Vec::new(), true));
    assert_eq!(forward.failure().await.what, What::TargetReset);
}

#[tokio::test]
async fn a_client_that_resets_is_no_failure() {
    let forward = Forward::open(&world().await, Some(via("web-1")), false).await;
    let mut client = forward.connect().await;
    say(&mut client, b"hello").await;
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).expect("set");
    drop(client);
    until("ended", || forward.handle.counts().open == 0).await;
    assert_eq!(forward.handle.counts().failed, 0);
}

#[tokio::test]
async fn a_storm_of_failures_is_counted_in_full_and_told_in_part() {
    let world = world().await;
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    world.change("web-1", |pod| pod.open_fails = Some(Error::Refused { text: String::new() }));
    for _ in 0..300 {
        assert!(end(forward.connect().await).await.1);
    }
    until("all failed", || forward.handle.counts().failed == 300).await;
    let mut told = 0;
    while let Ok(event) = forward.events.try_recv() {
        told += usize::from(format!("{event:?}").contains("ConnectionFailed"));
    }
    assert!((1..60).contains(&told), "{told} of 300");
}

#[tokio::test]
async fn a_relay_that_ends_without_a_byte_is_asked_why() {
    let world = Arc::new(World::default());
    let (port, _) = server(silent).await;
    world.add("web-1", port);
    let fault = Fault::new(What::TargetRefused, "10.0.0.1:3306", "Connection refused");
    *world.reason.lock().expect("reason") = Some(fault.clone());
    let mut forward = Forward::open(&world, Some(via("web-1")), true).await;
    let clients = futures::future::join_all((0..20).map(|_| forward.connect())).await;
    for (bytes, reset) in futures::future::join_all(clients.into_iter().map(end)).await {
        assert!(bytes.is_empty() && reset);
    }
    assert_eq!(forward.failure().await, fault);
    until("all failed", || forward.handle.counts().failed == 20).await;
    // They failed together, so they share the answer.
    assert!(world.diagnoses.load(Ordering::SeqCst) < 20);
}

#[tokio::test]
async fn a_target_that_hangs_up_without_a_word_is_no_failure() {
    let world = Arc::new(World::default());
    let (port, _) = server(silent).await;
    world.add("web-1", port);
    let mut forward = Forward::open(&world, Some(via("web-1")), true).await;
    assert_eq!(end(forward.connect().await).await, (Vec::new(), false));
    assert_eq!(forward.handle.counts().failed, 0);
    assert_eq!(world.diagnoses.load(Ordering::SeqCst), 1);
    // That nothing was wrong with one says nothing of the next.
    let fault = Fault::new(What::TargetRefused, "10.0.0.1:3306", "Connection refused");
    *world.reason.lock().expect("reason") = Some(fault.clone());
    assert_eq!(end(forward.connect().await).await, (Vec::new(), true));
    assert_eq!(forward.failure().await, fault);
}

#[tokio::test]
async fn where_a_relay_does_not_tell_why_it_ended_the_client_gets_no_orderly_end() {
    let world = Arc::new(World::default());
    let (port, _) = server(silent).await;
    world.add("web-1", port);
    *world.mute.lock().expect("mute") = Some(Error::Pod { text: "nobody knows".into() });
    let mut forward = Forward::open(&world, Some(via("web-1")), true).await;
    assert_eq!(end(forward.connect().await).await, (Vec::new(), true));
    let fault = forward.failure().await;
    assert_eq!((fault.what, fault.detail.as_str()), (What::Tunnel, "nobody knows"));
    assert_eq!(forward.handle.counts().failed, 1);
}

#[tokio::test]
async fn a_fresh_relay_is_given_time_to_listen() {
    let world = world().await;
    world.change("web-1", |pod| pod.probes_refused = 3);
    let forward = Forward::open(&world, Some(via("web-1")), true).await;
    let mut client = forward.connect().await;
    // The address line comes back too: it is an echo.
    let mut line = [0; 14];
    client.read_exact(&mut line).await.expect("the line");
    assert_eq!(&line, b"10.0.0.1:3306\n");
    assert_eq!(world.probes.load(Ordering::SeqCst), 4);
    drop(client);
    let mut client = forward.connect().await;
    client.read_exact(&mut line).await.expect("the line");
    assert_eq!(world.probes.load(Ordering::SeqCst), 4, "asked once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_connections_at_once() {
    let forward = Arc::new(Forward::open(&world().await, Some(via("web-1")), false).await);
    let gate = Arc::new(tokio::sync::Barrier::new(500));
    let clients: Vec<_> = (0..500_u32)
        .map(|i| {
            let (forward, gate) = (Arc::clone(&forward), Arc::clone(&gate));
            tokio::spawn(async move {
                let mut client = forward.connect().await;
                let text = vec![i.to_le_bytes()[0]; 10_000];
                say(&mut client, &text).await;
                // All are open before the first one closes.
                gate.wait().await;
            })
        })
        .collect();
    for client in clients {
        client.await.expect("answered");
    }
    until("all ended", || forward.handle.counts().open == 0).await;
    let counts =
        Counts { open: 0, total: 500, failed: 0, refused: 0, up: 5_000_000, down: 5_000_000, ..Counts::default() };
    assert_eq!(forward.handle.counts(), counts);
}

#[tokio::test]
async fn a_lane_that_has_gone_costs_no_connection() {
    let world = Arc::new(World::default());
    let (port, _) = server(relay).await;
    world.add("web-1", port);
    let (lane, _) = server(echo).await;
    world.lane.store(lane.port(), Ordering::SeqCst);
    let forward = Forward::open(&world, Some(via("web-1")), true).await;
    // What was sent to it is sent again, after the address; and it is not tried twice.
    while world.laned.load(Ordering::SeqCst) == 0 {
        say(&mut forward.connect().await, b"hello").await;
    }
    say(&mut forward.connect().await, b"again").await;
    assert_eq!(world.laned.load(Ordering::SeqCst), 1);
    assert_eq!(forward.handle.counts().failed, 0);
}

#[tokio::test]
async fn a_forward_whose_task_panics_is_closed_with_the_reason_and_no_other() {
    let (port, _) = server(relay).await;
    for (place, relayed) in [("lease", false), ("lane", true)] {
        let world = world().await;
        world.add("relay-1", port);
        let well = Forward::open(&world, Some(via("web-1")), false).await;
        let mut under_way = well.connect().await;
        say(&mut under_way, b"before").await;
        *world.panics.lock().expect("panics") = Some(place);
        let mut broken = Forward::open(&world, Some(via("relay-1")), relayed).await;
        let fault = loop {
            match broken.event().await {
                ForwardEvent::NotBound(fault) => break fault,
                ForwardEvent::Up(_) => {}
                other => panic!("{place}: {other:?}"),
            }
        };
        assert_eq!((fault.what, fault.detail.as_str()), (What::Internal, "something broke"), "{place}");
        assert!(broken.events.recv().await.is_none(), "nothing after the last word");
        broken.task.await.expect("ended");
        assert!(TcpStream::connect(broken.locals[0]).await.is_err(), "{place}: nobody listens any more");
        say(&mut under_way, b"after").await;
    }
}

#[tokio::test]
async fn a_connection_that_panics_is_reset_with_the_reason_and_no_other() {
    let world = world().await;
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    let mut under_way = forward.connect().await;
    say(&mut under_way, b"before").await;
    *world.panics.lock().expect("panics") = Some("open");
    assert_eq!(end(forward.connect().await).await, (Vec::new(), true));
    let fault = forward.failure().await;
    assert_eq!((fault.what, fault.detail.as_str()), (What::Internal, "something broke"));
    assert_eq!(forward.handle.counts().failed, 1);
    *world.panics.lock().expect("panics") = None;
    say(&mut under_way, b"after").await;
    say(&mut forward.connect().await, b"again").await;
}

/// Returns the open connections as somebody sees them who looks.
async fn listed(forward: &mut Forward) -> Vec<Connection> {
    forward.handle.list_connections();
    loop {
        match forward.event().await {
            ForwardEvent::Connections(list) => return list,
            ForwardEvent::Up(_) | ForwardEvent::Down(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn open_connections_are_listed_with_their_programs_and_one_is_ended() {
    let mut forward = Forward::open(&world().await, Some(via("web-1")), false).await;
    assert_eq!(listed(&mut forward).await, []);
    let (mut first, mut second) = (forward.connect().await, forward.connect().await);
    say(&mut first, b"hello").await;
    say(&mut second, b"hello again").await;
    let list = listed(&mut forward).await;
    let of = |client: &TcpStream| list.iter().find(|one| one.from == client.local_addr().ok()).expect("listed");
    assert_eq!((list.len(), of(&first).up, of(&second).down), (2, 5, 11));
    for connection in &list {
        assert_eq!(connection.state, ConnectionState::Open);
        if kube_tunnel::tells_peer_users() {
            // The clients of this test are in the test itself.
            assert_eq!(connection.program.as_ref().map(|program| program.pid), Some(std::process::id()));
        }
    }
    forward.handle.end_connection(of(&first).id);
    assert_eq!(end(first).await, (Vec::new(), true));
    let rest = loop {
        let rest = listed(&mut forward).await;
        if rest.len() < 2 {
            break rest;
        }
    };
    assert_eq!(rest.iter().map(|one| one.from).collect::<Vec<_>>(), [second.local_addr().ok()]);
    say(&mut second, b"as before").await;
    // One that waits for a pod is listed, too.
    forward.handle.set_pod(None, true);
    let waiting = forward.connect().await;
    until("accepted", || forward.handle.counts().open == 2).await;
    let list = listed(&mut forward).await;
    let of = list.iter().find(|one| one.from == waiting.local_addr().ok()).expect("listed");
    assert_eq!(of.state, ConnectionState::Waiting);
}

/// Runs a program of another user that connects, says a line and prints the answer. Returns its success and output.
async fn another_user(port: u16) -> (bool, String) {
    let says = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo hello >&3 && read -r line <&3 && echo \"$line\"");
    let mut bash = tokio::process::Command::new("bash");
    let output = bash.args(["-c", &says]).uid(NOBODY).gid(NOBODY).current_dir("/").kill_on_drop(true).output();
    let output = tokio::time::timeout(forward_fake::TIMEOUT, output).await.expect("in time").expect("bash");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

#[tokio::test]
async fn another_user_is_refused_and_wakes_nothing() {
    if !rustix::process::geteuid().is_root() || !kube_tunnel::tells_peer_users() {
        eprintln!("SKIPPED: only root can become another user, and only Linux tells users apart");
        return;
    }
    let world = Arc::new(World::default());
    let (pod, _) = server(relay).await;
    world.add("web-1", pod);
    let mut forward = Forward::on_demand(&world).await;
    let port = forward.locals.first().expect("a listener").port();
    for refused in 1..=2 {
        assert_eq!(another_user(port).await, (false, String::new()));
        // The listener goes on to the next only after that.
        until("counted", || forward.handle.counts().refused == refused).await;
    }
    assert_eq!(forward.handle.counts(), Counts { refused: 2, ..Counts::default() });
    // Reported once, and the first connection that is let in is the first for which a pod is wanted.
    let ForwardEvent::UserRefused { uid, .. } = forward.event().await else { panic!("not reported first") };
    assert_eq!(uid, Some(NOBODY));
    let mut mine = forward.connect().await;
    assert_eq!(forward.event().await, ForwardEvent::Wanted(0));
    forward.handle.set_pod(Some(via("web-1")), false);
    say(&mut mine, b"hello").await;
    // A change holds for the next connection.
    forward.handle.set_local_users(LocalUsers::All);
    assert_eq!(another_user(port).await, (true, "hello\n".to_owned()));
    forward.handle.set_local_users(LocalUsers::MeAndRoot);
    assert_eq!(another_user(port).await, (false, String::new()));
}
