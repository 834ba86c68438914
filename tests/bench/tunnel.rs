//! Our tunnel beside `kubectl port-forward`, in turn, against the same pod: `cargo bench --bench tunnel`.
//!
//! Needs `BROW_TEST_KUBECONFIG` and `kubectl`. Both forwarders run as processes of their own, so that their CPU time
//! and memory can be read from `/proc`. Prints medians and ours ÷ kubectl's. `BROW_BENCH=first,down` picks cases,
//! `BROW_BENCH_TUNNELS=1` bounds the tunnels of each of our forwards.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a bench that cannot go on should say where")]

#[path = "../cluster/tunnel.rs"]
mod cluster;
#[path = "../cluster/forward.rs"]
mod forward;
#[path = "../cluster/relayed.rs"]
mod relayed;
#[path = "../cluster/wire.rs"]
mod wire;

mod cases;
mod forwarder;
mod ours;
mod patience;
mod pod;

use std::net::SocketAddr;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|verb| verb == "serve") {
        forwarder::serve(&arguments[2..]).await;
        return;
    }
    let kubeconfig = cluster::kubeconfig();
    let config = cluster::config(&kubeconfig, "brow-admin").await;
    let api: SocketAddr = config.cluster_url.authority().expect("a host").as_str().parse().expect("an address");
    let client = cluster::client(&config);
    pod::create(&client).await;
    let only = std::env::var("BROW_BENCH").unwrap_or_default();
    let wanted = |case: &str| only.is_empty() || only.split(',').any(|name| name == case);
    println!("{:<44} {:>12} {:>12} {:>8} {:>8}", "", "kubectl", "ours", "ratio", "goal");
    cases::run(&kubeconfig, api, wanted).await;
    ours::run(&kubeconfig, api, wanted).await;
    patience::run(&kubeconfig, api, wanted).await;
    if std::env::var_os("BROW_BENCH_KEEP").is_none() {
        pod::delete(&client).await;
    }
}
