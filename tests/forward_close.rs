//! Closing a forward frees all of it. One test in this file: it counts what the whole process holds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod forward_fake;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use brow_model::event::ForwardEvent;
use brow_model::fault::What;
use forward_fake::{Forward, World, echo, end, say, server, until, via};
use tokio::net::TcpStream;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

async fn busy(forward: &Forward) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = forward.connect().await;
        say(&mut client, b"under way").await;
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn nothing_is_left() {
    let world = Arc::new(World::default());
    let (port, _server) = server(echo).await;
    world.add("web-1", port);
    let before = (descriptors(), tasks());

    for _ in 0..3 {
        let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
        let clients = busy(&forward).await;
        forward.handle.close();
        loop {
            match forward.event().await {
                ForwardEvent::Closed => break,
                ForwardEvent::Up(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(forward.events.recv().await.is_none(), "nothing after the last word");
        forward.task.await.expect("ended");
        assert_eq!(world.live_leases.load(Ordering::SeqCst), 0);
        // Cut in the middle: no orderly end.
        for client in clients {
            assert_eq!(end(client).await, (Vec::new(), true));
        }
        until("freed", || (descriptors(), tasks()) == before).await;
    }

    // Waiting for a pod, and for a port's next connection.
    let forward = Forward::open(&world, None, false).await;
    let client = forward.connect().await;
    until("accepted", || forward.handle.counts().open == 1).await;
    forward.token.cancel();
    forward.task.await.expect("ended");
    assert!(end(client).await.1);
    drop((forward.handle, forward.events));
    until("freed", || (descriptors(), tasks()) == before).await;

    // Even when nobody waits for its end.
    let forward = Forward::open(&world, Some(via("web-1")), false).await;
    let clients = busy(&forward).await;
    forward.task.abort();
    for client in clients {
        assert!(end(client).await.1);
    }
    drop(forward.events);
    until("freed", || (descriptors(), tasks()) == before).await;

    out_of_descriptors(&world).await;
}

/// A process without descriptors left accepts again when it has some.
async fn out_of_descriptors(world: &Arc<World>) {
    let mut forward = Forward::open(world, Some(via("web-1")), false).await;
    let old = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(128), ..old };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).expect("lowered");
    let mut hoard: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    hoard.pop();
    // Takes the last one; the forward has none for its side.
    let mut client = forward.connect().await;
    let fault = forward.failure().await;
    assert_eq!(fault.what, What::ListenFailed);
    assert_eq!(fault.thing, forward.locals[0].to_string());
    drop(hoard);
    say(&mut client, b"better late").await;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, old).expect("restored");
}
