//! A forward whose pod comes, goes, moves, and loses its tunnel.
#![allow(clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod forward_fake;
#[path = "forward_fake/rest.rs"]
mod rest;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brow_model::event::{Event, ForwardEvent};
use brow_model::fault::{Fault, Remedy, What};
use brow_model::traffic::TunnelInfo;
use brow_tui::forward;
use forward_fake::{FakeDialer, Forward, World, echo, end, say, server, spec, until, via};
use kube_tunnel::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Two pods that say which one they are before they echo.
async fn world() -> Arc<World> {
    let world = Arc::new(World::default());
    for (pod, name) in [("web-1", b'1'), ("web-2", b'2')] {
        let (port, _) = server(move |mut stream| async move {
            stream.write_all(&[name]).await?;
            echo(stream).await
        })
        .await;
        world.add(pod, port);
    }
    world
}

async fn who(client: &mut TcpStream) -> char {
    char::from(client.read_u8().await.expect("a name"))
}

#[tokio::test]
async fn connections_wait_for_a_pod_that_is_coming() {
    let forward = Forward::open(&world().await, None, false).await;
    forward.handle.set_pod(None, true);
    let mut client = forward.connect().await;
    client.write_all(b"early").await.expect("sent");
    until("accepted", || forward.handle.counts().open == 1).await;
    assert_eq!(forward.handle.tunnel(), None);
    forward.handle.set_pod(Some(via("web-1")), false);
    assert_eq!(who(&mut client).await, '1');
    let mut back = [0; 5];
    client.read_exact(&mut back).await.expect("echoed");
    assert_eq!(&back, b"early");
}

#[tokio::test]
async fn connections_fail_at_once_where_no_pod_is_coming() {
    let mut forward = Forward::open(&world().await, None, false).await;
    let waiting = forward.connect().await;
    until("accepted", || forward.handle.counts().open == 1).await;
    forward.handle.set_pod(None, false);
    assert_eq!(end(waiting).await, (Vec::new(), true));
    assert_eq!(end(forward.connect().await).await, (Vec::new(), true));
    let fault = forward.failure().await;
    assert_eq!((fault.what, fault.thing.as_str()), (What::NoPod, "db"));
    forward.handle.set_pod(Some(via("web-2")), false);
    assert_eq!(who(&mut forward.connect().await).await, '2');
}

#[tokio::test]
async fn a_move_takes_new_connections_and_leaves_the_old() {
    let mut forward = Forward::open(&world().await, Some(via("web-1")), false).await;
    let mut old = forward.connect().await;
    assert_eq!(who(&mut old).await, '1');
    assert_eq!(forward.event().await, ForwardEvent::Up(via("web-1")));
    forward.handle.set_pod(Some(via("web-2")), false);
    assert_eq!(forward.event().await, ForwardEvent::Up(via("web-2")));
    let mut new = forward.connect().await;
    assert_eq!(who(&mut new).await, '2');
    say(&mut old, b"still here").await;
    say(&mut new, b"and here").await;
    assert_eq!(forward.world.live_leases.load(Ordering::SeqCst), 2);
    drop(old);
    until("the old lease is gone", || forward.world.live_leases.load(Ordering::SeqCst) == 1).await;
    say(&mut new, b"and on").await;
}

#[tokio::test]
async fn a_connection_that_finds_its_pod_gone_moves_with_the_forward() {
    let world = world().await;
    let forward = Forward::open(&world, Some(via("web-1")), false).await;
    world.pods.lock().expect("pods").remove("web-1");
    let mut client = forward.connect().await;
    until("accepted", || forward.handle.counts().open == 1).await;
    forward.handle.set_pod(Some(via("web-2")), false);
    assert_eq!(who(&mut client).await, '2');
    assert_eq!(forward.handle.counts().failed, 0);
}

#[tokio::test]
async fn a_pod_that_is_gone_for_good_is_the_reason() {
    let world = world().await;
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    world.pods.lock().expect("pods").remove("web-1");
    assert!(end(forward.connect().await).await.1);
    let fault = forward.failure().await;
    assert_eq!((fault.what, fault.thing.as_str()), (What::PodDeleted, "web-1"));
}

#[tokio::test]
async fn a_broken_tunnel_is_told_where_nobody_tells_of_its_node() {
    let world = world().await;
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    assert_eq!(forward.event().await, ForwardEvent::Up(via("web-1")));
    *world.mute.lock().expect("mute") = Some(Error::Closed);
    // It has ended, and no other could be opened yet.
    world.change("web-1", |pod| pod.stats.tunnels = 0);
    let ForwardEvent::Down(fault) = forward.event().await else { panic!("it is down") };
    assert_eq!(fault.what, What::Tunnel);
}

#[tokio::test]
async fn a_broken_tunnel_is_told_once_and_its_return_too() {
    let world = world().await;
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    assert_eq!(forward.event().await, ForwardEvent::Up(via("web-1")));
    until("shown", || forward.handle.tunnel().is_some()).await;
    assert_eq!(forward.handle.tunnel(), Some(TunnelInfo { protocol: "spdy".into(), rtt: None, first_byte: None }));
    for round in 0..3 {
        let trouble = Error::TunnelLost { text: format!("cut {round}") };
        world.change("web-1", |pod| {
            pod.stats.tunnels = 0;
            pod.stats.last_error = Some(trouble.clone());
            pod.open_fails = Some(trouble);
        });
        // A connection that fails makes it seen at once; however many do, it is told once.
        for _ in 0..3 {
            assert!(end(forward.connect().await).await.1);
        }
        let down = loop {
            match forward.event().await {
                ForwardEvent::Down(fault) => break fault,
                ForwardEvent::ConnectionFailed(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((down.what, &down.remedy), (What::Tunnel, &Remedy::Retrying));
        assert_eq!(forward.handle.tunnel(), None);
        world.change("web-1", |pod| {
            pod.stats.tunnels = 1;
            pod.stats.last_error = None;
            pod.open_fails = None;
        });
        say(&mut skip_name(&forward).await, b"back").await;
        loop {
            match forward.event().await {
                ForwardEvent::Up(up) => {
                    assert_eq!(up, via("web-1"));
                    break;
                }
                ForwardEvent::ConnectionFailed(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn skip_name(forward: &Forward) -> TcpStream {
    let mut client = forward.connect().await;
    who(&mut client).await;
    client
}

#[tokio::test]
async fn a_refused_lease_is_tried_again_for_whoever_comes() {
    let world = world().await;
    let fault = Fault::new(What::Unreachable, "dev", "no route to host");
    *world.no_lease.lock().expect("fault") = Some(fault.clone());
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    assert_eq!(forward.event().await, ForwardEvent::Down(fault.clone()));
    assert!(end(forward.connect().await).await.1);
    assert_eq!(forward.failure().await, fault);
    *world.no_lease.lock().expect("fault") = None;
    assert_eq!(who(&mut forward.connect().await).await, '1');
    assert_eq!(forward.event().await, ForwardEvent::Up(via("web-1")));
}

#[tokio::test]
async fn a_refused_lease_is_tried_again_as_soon_as_the_cluster_answers() {
    let world = world().await;
    let fault = Fault::new(What::Unreachable, "dev", "no route to host");
    *world.no_lease.lock().expect("fault") = Some(fault.clone());
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    assert_eq!(forward.event().await, ForwardEvent::Down(fault));
    let attempts = async {
        for attempts in 1..40 {
            until("another attempt", || world.asked_leases.load(Ordering::SeqCst) >= attempts).await;
            world.answering.notify_one();
        }
    };
    // With pauses that grow to 15 s, so many attempts take eight minutes.
    tokio::time::timeout(Duration::from_mins(2), attempts).await.expect("a lease is asked for at once");
    *world.no_lease.lock().expect("fault") = None;
    world.answering.notify_one();
    assert_eq!(who(&mut forward.connect().await).await, '1');
}

#[tokio::test]
async fn a_taken_port_is_told_and_ends_the_forward() {
    let world = world().await;
    let first = Forward::open(&world, Some(via("web-1")), false).await;
    let port = first.locals[0].port();
    let open = |world: &Arc<World>| {
        let (sender, events) = brow_tui::events::EventSender::channel(8);
        let route = FakeDialer { world: Arc::clone(world), relayed: false };
        let token = CancellationToken::new();
        let (handle, run) = forward::start(spec(port), Some(via("web-1")), route, sender, &token);
        (handle, tokio::spawn(run), events)
    };
    let (_handle, task, mut events) = open(&world);
    let Some(Event::Forward { event: ForwardEvent::NotBound(fault), .. }) = events.recv().await else {
        panic!("bound twice")
    };
    assert_eq!(fault.what, What::PortInUse);
    assert!(fault.detail.starts_with(&format!("pid {}", std::process::id())), "{}", fault.detail);
    assert!(matches!(fault.remedy, Remedy::OtherPort(_)));
    task.await.expect("ended");
    assert!(events.recv().await.is_none(), "nothing after that: the row stays to show the reason");

    // Closed with a connection open, the port is free again at once.
    let client = skip_name(&first).await;
    first.handle.close();
    first.task.await.expect("closed");
    let (handle, task, mut events) = open(&world);
    let bound = events.recv().await;
    assert!(matches!(bound, Some(Event::Forward { event: ForwardEvent::Bound(_), .. })), "{bound:?}");
    drop((client, handle));
    task.await.expect("closed by dropping the handle");
}

#[tokio::test]
async fn a_pod_that_is_killed_cuts_what_it_served_and_one_that_is_left_does_not() {
    for killed in [true, false] {
        let world = Arc::new(World::default());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        // Whatever the reason for its end, a pod's connections end in order.
        let (port, _) = server(move |mut stream| {
            let stopped = stopped.clone();
            async move {
                stream.write_all(b"half of it").await?;
                stopped.cancelled().await;
                stream.shutdown().await
            }
        })
        .await;
        world.add("web-1", port);
        let mut forward = Forward::open(&world, Some(via("web-1")), true).await;
        let mut client = forward.connect().await;
        let mut begun = [0; 10];
        client.read_exact(&mut begun).await.expect("the first half");
        forward.handle.set_pod(None, true);
        until("the forward has left the pod", || forward.handle.tunnel().is_none()).await;
        if killed {
            world.pods.lock().expect("pods").remove("web-1");
        }
        stop.cancel();
        assert_eq!(end(client).await, (Vec::new(), killed));
        if killed {
            let fault = forward.failure().await;
            assert_eq!((fault.what, fault.thing.as_str()), (What::PodDeleted, "web-1"));
        } else {
            assert_eq!(forward.handle.counts().failed, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_the_moment_a_pod_is_found_is_served() {
    let world = world().await;
    for _ in 0..200 {
        let forward = Forward::open(&world, None, false).await;
        forward.handle.set_pod(None, false);
        // The reset may be faster than the connection.
        if let Ok(client) = TcpStream::connect(forward.locals[0]).await {
            assert_eq!(end(client).await, (Vec::new(), true), "there is none");
        }
        forward.handle.set_pod(Some(via("web-1")), false);
        assert_eq!(who(&mut forward.connect().await).await, '1');
    }
}
