//! The way from a forward to its pod, filled in with what the other rooms have.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::cluster::{Clusters, node_fault};
use crate::forward::{self, Ended, Lane, Route, Unreached};
use crate::model::address::Address;
use crate::model::fault::{Fault, What};
use crate::model::forward::{ForwardSpec, Via};
use crate::proxy::relay;
use crate::tunnel::{self, Lease, LeaseOptions, Protocol, Tunnels};

/// How long the relay may take to say what is wrong: its own connect timeout and the way there and back.
const DIAGNOSIS: Duration = Duration::from_secs(14);

/// How long after its timeout a relay's end may arrive here: the way back, and the second that containerd takes.
const GIVING_UP: Duration = Duration::from_secs(3);

/// The tunnels of every cluster; those of one cluster share what was learned about its protocols, unless the config asks
/// for one.
pub struct Routes {
    clusters: Clusters,
    tunnels: Mutex<BTreeMap<(String, Option<Protocol>), Tunnels>>,
}

impl Routes {
    pub fn new(clusters: Clusters) -> Self {
        Self { clusters, tunnels: Mutex::default() }
    }

    /// Drops what is known of a cluster: its next tunnel starts from a new client.
    pub async fn forget(&self, cluster: &str) {
        self.tunnels.lock().await.retain(|(known, _), _| known != cluster);
    }

    async fn lease(&self, via: &Via, forced: Option<Protocol>) -> Result<Lease, Fault> {
        let cluster = &via.pod.cluster;
        let client = self.clusters.client(cluster).await?;
        let mut all = self.tunnels.lock().await;
        let tunnels = all.entry((cluster.clone(), forced)).or_insert_with(|| Tunnels::new(client, forced));
        let route = tunnel::Route { namespace: via.pod.namespace.clone(), pod: via.pod.name.clone(), port: via.port };
        Ok(tunnels.lease(route, LeaseOptions::default()))
    }
}

/// The route of one forward: through relays to an address, or straight to a workload's pods.
pub struct Path {
    routes: std::sync::Arc<Routes>,
    forced: Option<Protocol>,
}

impl Path {
    pub fn new(routes: std::sync::Arc<Routes>, spec: &ForwardSpec) -> Self {
        // The config's reader lets no other names through; an unknown one means: by trying.
        let forced = spec.tunnel.as_ref().and_then(|name| name.parse().ok());
        Self { routes, forced }
    }

    async fn ask(lease: &Lease, address: &Address) -> Result<Vec<u8>, tunnel::Error> {
        let mut stream = lease.open().await?;
        let line = relay::diagnosis_line(address);
        stream.write_all(&line).await.map_err(tunnel::Error::from_io)?;
        let mut answer = Vec::new();
        let mut stream = stream.take(4_096);
        // That it has connected is said at once; the end of the stream takes its time.
        while relay::read_connected(&answer).is_none() {
            if stream.read_buf(&mut answer).await.map_err(tunnel::Error::from_io)? == 0 {
                break;
            }
        }
        Ok(answer)
    }
}

impl Route for Path {
    type Lease = Lease;

    async fn lease(&self, via: &Via) -> Result<Lease, Fault> {
        self.routes.lease(via, self.forced).await
    }

    fn first_line(&self, via: &Via) -> Option<Bytes> {
        via.to.as_ref().map(relay::first_line)
    }

    async fn lane(&self, lease: &Lease, via: &Via, lane: &Lane) -> Ended {
        match &via.to {
            Some(address) => forward::keep_lane(lease, &relay::lane_line(address), relay::read_lane, lane).await,
            None => Ended::Never,
        }
    }

    async fn reach(&self, lease: &Lease, via: &Via) -> Result<Option<Duration>, Unreached> {
        let Some(asked) = &via.to else { return Ok(None) };
        let answer = Self::ask(lease, asked).await.map_err(Unreached::Way)?;
        match relay::read_diagnosis(&answer) {
            Some((what, words)) => Err(Unreached::Target(Fault::new(what, asked.to_string(), words))),
            None => Ok(relay::read_connected(&answer).flatten()),
        }
    }

    async fn blame(&self, via: &Via) -> Option<Fault> {
        node_fault(&self.routes.clusters, &via.pod).await
    }

    async fn diagnose(&self, lease: &Lease, via: &Via, age: Duration) -> Option<Fault> {
        let asked = via.to.as_ref()?;
        let address = asked.to_string();
        // A relay gives up by itself after its timeout: asking again would only take as long again. Whoever lived longer
        // without a byte had reached the target: a connection that was never used, and closed for that.
        if age >= relay::CONNECT_TIMEOUT + GIVING_UP {
            return None;
        }
        if age >= relay::CONNECT_TIMEOUT {
            let words = format!("no answer within {} s", relay::CONNECT_TIMEOUT.as_secs());
            return Some(Fault::new(What::TargetTimedOut, address, words));
        }
        let answer = timeout(DIAGNOSIS, Self::ask(lease, asked)).await.ok()?.ok()?;
        let (what, words) = relay::read_diagnosis(&answer)?;
        Some(Fault::new(what, address, words))
    }
}
