//! Forwards that listen on a Unix socket, and real clients that take one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod forward_fake;
#[path = "cluster/server.rs"]
#[allow(dead_code, reason = "each story uses its part")]
mod real;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use brow_model::event::ForwardEvent;
use brow_model::forward::ForwardSpec;
use forward_fake::{Forward, TIMEOUT, World, echo, server, until, via};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

#[tokio::test]
async fn a_unix_socket_leads_to_the_pod_instead_of_a_port_and_besides() {
    let world = Arc::new(World::default());
    let (port, _) = server(echo).await;
    world.add("web-1", port);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("own/db.sock");
    let local_socket = Some(path.display().to_string());
    let alone = ForwardSpec { bind: Vec::new(), local_socket: local_socket.clone(), ..forward_fake::spec(0) };
    let both = ForwardSpec { local_socket, ..forward_fake::spec(0) };
    for (spec, ports) in [(alone, false), (both, true)] {
        let mut forward = Forward::open_as(&world, spec, Some(via("web-1")), false).await;
        assert_eq!(!forward.locals.is_empty(), ports);
        let mut client = tokio::net::UnixStream::connect(&path).await.expect("connected");
        client.write_all(b"hello").await.expect("sent");
        let mut back = [0; 5];
        client.read_exact(&mut back).await.expect("an answer");
        assert_eq!(&back, b"hello");
        forward.handle.list_connections();
        let list = loop {
            if let ForwardEvent::Connections(list) = forward.event().await {
                break list;
            }
        };
        let [connection] = list.try_into().expect("one connection");
        assert_eq!((connection.from, connection.up, connection.down), (None, 5, 5));
        // An end in order goes both ways.
        client.shutdown().await.expect("ended");
        assert_eq!(client.read(&mut back).await.expect("an end"), 0);
        until("all ended", || forward.handle.counts().open == 0).await;
        assert_eq!(forward.handle.counts().failed, 0);
        forward.handle.close();
        tokio::time::timeout(forward_fake::TIMEOUT, forward.task).await.expect("in time").expect("no panic");
        assert!(!path.exists(), "the file goes with the forward");
    }
}

/// A forward on a socket alone, to a server.
async fn to(address: SocketAddr, path: &Path) -> Forward {
    let world = Arc::new(World::default());
    world.add("web-1", address);
    let local_socket = Some(path.display().to_string());
    let spec = ForwardSpec { bind: Vec::new(), local_socket, ..forward_fake::spec(0) };
    Forward::open_as(&world, spec, Some(via("web-1")), false).await
}

/// Runs a client; its standard output.
async fn run(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(args).env("PGUSER", "postgres").kill_on_drop(true).output();
    let output = tokio::time::timeout(TIMEOUT, output).await.expect("in time").expect("run");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn psql_and_redis_cli_work_through_sockets() {
    let dir = tempfile::tempdir().expect("a directory");
    let postgres = real::Postgres::start().await;
    let mut forward = to(postgres.address, &dir.path().join(".s.PGSQL.6543")).await;
    let place = dir.path().to_str().expect("text");
    // More than a socket's buffers hold, there and back.
    let query = "select sum(length(t)) from (select repeat('x', 1000) as t from generate_series(1, 20000)) s";
    let args = ["-h", place, "-p", "6543", "-qAt", "postgres", "-c"];
    assert_eq!(run("psql", &[&args[..], &[query]].concat()).await, "20000000\n");
    let rows = run("psql", &[&args[..], &["select repeat('y', 1000) from generate_series(1, 5000)"]].concat()).await;
    assert_eq!(rows.len(), 5_000 * 1_001);
    assert_eq!(forward.handle.counts().failed, 0);
    forward.handle.close();
    while forward.events.recv().await.is_some() {}

    let redis = real::Redis::start().await;
    let socket = dir.path().join("redis.sock");
    let _forward = to(redis.address, &socket).await;
    let socket = socket.to_str().expect("text");
    assert_eq!(run("redis-cli", &["-s", socket, "set", "ship", "brow"]).await, "OK\n");
    assert_eq!(run("redis-cli", &["-s", socket, "get", "ship"]).await, "brow\n");
}
