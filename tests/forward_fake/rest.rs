//! A forward that rests, is wanted, and leaves its pods again; and what probes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, What};
use brow_model::forward::ForwardSpec;
use brow_model::health::{Health, ProbePlan};
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::forward_fake::{Forward, end, say, server, spec, until, via};
use crate::{who, world};

/// Waits until the forward asks for a pod; the number of its rest.
async fn wanted(forward: &mut Forward) -> u64 {
    loop {
        match forward.event().await {
            ForwardEvent::Wanted(round) => return round,
            ForwardEvent::Up(_) | ForwardEvent::ConnectionFailed(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_resting_forward_asks_once_for_fifty_connections() {
    let mut forward = Forward::on_demand(&world().await).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(forward.connect().await);
    }
    until("all are accepted", || forward.handle.counts().open == 50).await;
    assert_eq!(wanted(&mut forward).await, 0);
    assert_eq!(forward.world.asked_leases.load(Ordering::SeqCst), 0, "no tunnel before there is a pod");
    forward.handle.set_pod(None, true);
    forward.handle.set_pod(Some(via("web-1")), false);
    for client in &mut clients {
        // The relay's address line comes first.
        assert_eq!(who(client).await, '1');
    }
    assert_eq!(forward.event().await, ForwardEvent::Up(via("web-1")), "and nobody asked again");
}

#[tokio::test]
async fn a_failure_fails_those_that_waited_and_the_next_asks_afresh() {
    let mut forward = Forward::on_demand(&world().await).await;
    let first = forward.connect().await;
    assert_eq!(wanted(&mut forward).await, 0);
    forward.handle.set_pod(None, true);
    let second = forward.connect().await;
    until("both are accepted", || forward.handle.counts().open == 2).await;
    forward.handle.rest(1, Some(Fault::new(What::Quota, "db", "full")));
    assert_eq!(end(first).await, (Vec::new(), true));
    assert_eq!(end(second).await, (Vec::new(), true));
    assert_eq!(forward.handle.counts().failed, 2);
    let third = forward.connect().await;
    let ForwardEvent::ConnectionFailed(fault) = forward.event().await else { panic!("not told") };
    assert_eq!(fault.what, What::Quota);
    assert_eq!(wanted(&mut forward).await, 1, "told once, then asked afresh");
    forward.handle.set_pod(Some(via("web-2")), false);
    let mut third = third;
    assert_eq!(who(&mut third).await, '2');
}

#[tokio::test]
async fn those_that_wait_ask_again_where_a_rest_is_no_failure() {
    let mut forward = Forward::on_demand(&world().await).await;
    let mut client = forward.connect().await;
    assert_eq!(wanted(&mut forward).await, 0);
    forward.handle.rest(7, None);
    assert_eq!(wanted(&mut forward).await, 7);
    forward.handle.set_pod(Some(via("web-1")), false);
    assert_eq!(who(&mut client).await, '1');
}

#[tokio::test]
async fn a_pod_is_left_when_its_last_connection_ends() {
    let mut forward = Forward::open(&world().await, Some(via("web-1")), false).await;
    let mut old = forward.connect().await;
    assert_eq!(who(&mut old).await, '1');
    forward.handle.set_pod(Some(via("web-2")), false);
    let mut new = forward.connect().await;
    assert_eq!(who(&mut new).await, '2');
    say(&mut old, b"still here").await;
    drop(old);
    loop {
        match forward.any_event().await {
            ForwardEvent::Drained(left) => break assert_eq!(left, via("web-1")),
            ForwardEvent::Up(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(forward.world.live_leases.load(Ordering::SeqCst), 1);
    // Unused, it rests: the tunnel closes, and the pod is left at once.
    drop(new);
    until("it has ended", || forward.handle.counts().open == 0).await;
    forward.handle.rest(1, None);
    loop {
        if let ForwardEvent::Drained(left) = forward.any_event().await {
            break assert_eq!(left, via("web-2"));
        }
    }
    until("the tunnel is closed", || forward.world.live_leases.load(Ordering::SeqCst) == 0).await;
    assert_eq!(forward.handle.tunnel(), None);
}

#[tokio::test]
async fn a_pod_that_is_gone_is_asked_for_again_on_demand() {
    let mut forward = Forward::on_demand(&world().await).await;
    forward.world.pods.lock().expect("pods").remove("web-1");
    let mut client = forward.connect().await;
    wanted(&mut forward).await;
    forward.handle.set_pod(Some(via("web-1")), false);
    until("it was tried", || forward.world.asked_leases.load(Ordering::SeqCst) == 1).await;
    // The cluster has told meanwhile.
    forward.handle.rest(1, None);
    assert_eq!(wanted(&mut forward).await, 1);
    forward.handle.set_pod(Some(via("web-2")), false);
    assert_eq!(who(&mut client).await, '2');
}

#[tokio::test]
async fn a_pod_that_nothing_went_through_is_left_too() {
    let world = world().await;
    *world.no_lease.lock().expect("fault") = Some(Fault::new(What::Unreachable, "dev", "no route to host"));
    let mut forward = Forward::on_demand(&world).await;
    // No tunnel could be had, or there was no time for one.
    for pod in ["web-1", "web-2"] {
        forward.handle.set_pod(Some(via(pod)), false);
        if pod == "web-1" {
            until("a lease was asked for", || world.asked_leases.load(Ordering::SeqCst) > 0).await;
        }
        forward.handle.rest(1, None);
        loop {
            match forward.any_event().await {
                ForwardEvent::Drained(left) => break assert_eq!(left, via(pod)),
                ForwardEvent::Down(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Lets time pass that nobody has to wait for.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn who_waits_has_a_limit_unless_another_sets_one() {
    let mut forward = Forward::on_demand(&world().await).await;
    let client = forward.connect().await;
    assert_eq!(wanted(&mut forward).await, 0);
    forward.handle.wait_for_pod();
    for _ in 0..60 {
        pass(Duration::from_mins(1)).await;
    }
    assert_eq!(forward.handle.counts().open, 1, "it is waited for, however long that takes");
    // It is one on demand no longer.
    forward.handle.set_pod(None, true);
    let mut waited = Duration::ZERO;
    while forward.handle.counts().open == 1 {
        assert!(waited < Duration::from_mins(5), "without an end");
        pass(Duration::from_secs(10)).await;
        waited += Duration::from_secs(10);
    }
    assert_eq!(end(client).await, (Vec::new(), true));
    assert_eq!(forward.failure().await.what, What::NoPod);
}

#[tokio::test]
async fn a_connect_takes_the_tunnels_round_trip_and_what_the_relay_says() {
    let rtt = Duration::from_millis(3);
    let plan = ProbePlan { probe: "tcp".parse().expect("a probe"), every: Duration::from_millis(20) };
    for (relayed, wanted) in [(true, Duration::from_micros(3_700)), (false, rtt)] {
        let world = world().await;
        let spec = ForwardSpec { probe: Some(plan.clone()), ..spec(0) };
        let mut forward = Forward::open_as(&world, spec, Some(via("web-1")), relayed).await;
        assert_eq!(probed(&mut forward).await, Health { down: None, latency: None }, "no round trip is known");
        world.change("web-1", |pod| pod.stats.rtt = Some(rtt));
        let found = loop {
            if let Some(latency) = probed(&mut forward).await.latency {
                break latency;
            }
        };
        assert_eq!(found, wanted, "{relayed}");
    }
}

#[tokio::test]
async fn another_probe_takes_the_place_of_the_first() {
    let world = world().await;
    let mut forward = Forward::open(&world, Some(via("web-1")), false).await;
    let plan = |probe: &str| ProbePlan { probe: probe.parse().expect("a probe"), every: Duration::from_hours(1) };
    forward.handle.set_probe(Some(plan("tcp")));
    assert_eq!(probed(&mut forward).await.down, None);
    forward.handle.set_probe(Some(plan("redis")));
    let down = probed(&mut forward).await.down.expect("no Redis");
    assert_eq!(down.what, What::ProbeFailed);
    forward.handle.set_probe(None);
    forward.handle.set_pod(Some(via("web-2")), false);
    assert_eq!(forward.event().await, ForwardEvent::Up(via("web-2")));
    assert_eq!(forward.handle.counts().total, 0);
}

/// Returns the result of the next probe.
async fn probed(forward: &mut Forward) -> Health {
    loop {
        match forward.event().await {
            ForwardEvent::Probed(found) => return found,
            ForwardEvent::Up(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_probe_asks_through_the_tunnel_and_is_no_use_of_the_forward() {
    let answer = Arc::new(std::sync::Mutex::new("HTTP/1.1 204 No Content\r\n\r\n"));
    let given = Arc::clone(&answer);
    let (port, _) = server(move |mut stream| {
        let given = Arc::clone(&given);
        async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") && stream.read_buf(&mut asked).await? > 0 {}
            assert!(asked.starts_with(b"10.0.0.1:3306\nGET /health HTTP/1.1\r\nHost: localhost\r\n"), "{asked:?}");
            let answer = *given.lock().expect("an answer");
            stream.write_all(answer.as_bytes()).await
        }
    })
    .await;
    let world = world().await;
    world.add("web-3", port);
    let probe = "http:/health".parse().expect("a probe");
    let plan = ProbePlan { probe, every: Duration::from_millis(20) };
    let spec = ForwardSpec { probe: Some(plan), ..spec(0) };
    let mut forward = Forward::open_as(&world, spec, None, true).await;
    forward.handle.set_pod(Some(via("web-3")), false);
    let found = probed(&mut forward).await;
    assert!(found.down.is_none() && found.latency.is_some(), "{found:?}");
    assert_eq!(forward.handle.counts().total, 0);
    *answer.lock().expect("an answer") = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
    let fault = loop {
        if let Some(fault) = probed(&mut forward).await.down {
            break fault;
        }
    };
    assert_eq!((fault.what, fault.detail.as_str()), (What::ProbeFailed, "HTTP/1.1 503 Service Unavailable"));
    // A relay that hangs up is asked why.
    *answer.lock().expect("an answer") = "";
    *world.reason.lock().expect("reason") = Some(Fault::new(What::TargetRefused, "10.0.0.1:3306", "refused"));
    while probed(&mut forward).await.down.is_none_or(|fault| fault.what != What::TargetRefused) {}
    // No pod, no probe; and a pod is left as if nobody had asked.
    forward.handle.rest(1, None);
    loop {
        match forward.any_event().await {
            ForwardEvent::Drained(left) => break assert_eq!(left, via("web-3")),
            ForwardEvent::Probed(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
