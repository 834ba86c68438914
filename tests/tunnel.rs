//! The tunnel against a real cluster. Each module is one story.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "cluster/bridge.rs"]
mod bridge;
#[path = "cluster/tunnel.rs"]
mod cluster;
#[path = "cluster/forward.rs"]
mod forward;
#[path = "cluster/relayed.rs"]
mod relayed;
#[path = "cluster/server.rs"]
#[expect(dead_code, reason = "each story uses its part")]
mod server;
#[path = "cluster/testpod.rs"]
mod testpod;
#[path = "cluster/wire.rs"]
mod wire;

#[path = "tunnel/databases.rs"]
mod databases;
#[path = "tunnel/ends.rs"]
mod ends;
#[path = "tunnel/errors.rs"]
mod errors;
#[path = "tunnel/faults.rs"]
mod faults;
#[path = "tunnel/load.rs"]
mod load;
#[path = "tunnel/protocols.rs"]
mod protocols;
#[path = "tunnel/relay.rs"]
mod relay;
#[path = "tunnel/room.rs"]
mod room;
#[path = "tunnel/uploads.rs"]
mod uploads;

use std::net::SocketAddr;

use kube_tunnel::{Protocol, Route, Tunnels};

/// The setup of most tests.
struct Stage {
    kubeconfig: String,
    pod: String,
}

impl Stage {
    /// The shared pod.
    async fn new() -> Self {
        let kubeconfig = cluster::kubeconfig();
        let pod = testpod::shared(&kubeconfig).await;
        Self { kubeconfig, pod }
    }

    fn route(&self, port: u16) -> Route {
        Route { namespace: testpod::NAMESPACE.into(), pod: self.pod.clone(), port }
    }

    async fn client(&self) -> kube::Client {
        cluster::client(&cluster::config(&self.kubeconfig, "brow-admin").await)
    }

    async fn tunnels(&self, forced: Option<Protocol>) -> Tunnels {
        Tunnels::new(self.client().await, forced)
    }

    /// Returns the address of the API server.
    async fn api(&self) -> SocketAddr {
        let config = cluster::config(&self.kubeconfig, "brow-admin").await;
        config.cluster_url.authority().expect("a host").as_str().parse().expect("an address")
    }

    /// Tunnels whose connections go to `address` instead of the API server.
    async fn tunnels_by(&self, address: SocketAddr) -> Tunnels {
        let mut config = cluster::config(&self.kubeconfig, "brow-admin").await;
        config.cluster_url = format!("https://{address}").parse().expect("a URL");
        Tunnels::new(cluster::client(&config), None)
    }
}
