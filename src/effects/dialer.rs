//! The dialer of forwards: tunnels by cluster, and the conversations with relays.

mod ask;
mod flow;
mod own_relay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::carrier::{Keeper, PodProxies};
use super::pod_lease::{PodLease, PodStream};
use crate::cluster::{Clusters, node_fault};
use crate::events::EventSender;
use crate::forward::{self, Deliver, Dialer, Flow, Lane, LaneEnd, LaneParser, ReachError};
use crate::proxy::relay::{self, RelayRequest, Secret};
use crate::proxy::{self, uid_of};
pub use ask::ask_relay;
use ask::connected;
use brow_model::address::Address;
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, What};
use brow_model::forward::ForwardSpec;
use brow_model::installation::Installation;
use brow_model::route::{Relayed, Via};
use brow_model::settings::{Carrier, Relay};
use kube_tunnel::{self, Lease, LeaseOptions, Login, Protocol, Stream, Tunnels};

/// The time after a relay's timeout within which its end arrives here: the way back, and the second that containerd
/// takes.
const RELAY_TIMEOUT_SLACK: Duration = Duration::from_secs(3);

/// The longest wait for a login that is being renewed, before the current one is used.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(8);

/// The parser of what relays write on the streams of lanes.
pub const LANE_PARSER: LaneParser = LaneParser { port: relay::read_lane, failure: relay::read_failure };

/// The tunnels of every cluster. Those of one cluster share the knowledge of its protocols, unless the config asks for
/// a certain one. They follow the cluster's logins.
pub struct ClusterTunnels {
    clusters: Clusters,
    installation: Installation,
    tunnels: Mutex<BTreeMap<(String, Option<Protocol>), Tunnels>>,
    /// The pods that cannot run our own relay, by uid, and why.
    without: Mutex<BTreeMap<String, String>>,
    pub(super) pod_proxies: PodProxies,
}

impl ClusterTunnels {
    pub fn new(clusters: Clusters, installation: Installation) -> Self {
        Self {
            clusters,
            installation,
            tunnels: Mutex::default(),
            without: Mutex::default(),
            pod_proxies: PodProxies::default(),
        }
    }

    async fn of(&self, via: &Via, forced: Option<Protocol>) -> Result<Tunnels, Fault> {
        let key = (via.pod.cluster.clone(), forced);
        let known = self.tunnels.lock().get(&key).cloned();
        // Should the cluster not let us in at the moment, tunnels that are there find out, and wait.
        if let Some(tunnels) = known {
            return Ok(tunnels);
        }
        let logins = self.clusters.subscribe(&key.0).await?;
        let following = ClusterLogins { clusters: self.clusters.clone(), context: key.0.clone(), logins };
        let made = || Tunnels::following(Arc::new(following), forced);
        // Another may have been faster.
        Ok(self.tunnels.lock().entry(key).or_insert_with(made).clone())
    }
}

impl ClusterTunnels {
    /// Waits until the cluster's login is renewed, if it has to be. Where that fails, the one of before has to do.
    pub(super) async fn renew_login(&self, via: &Via) {
        let _renewed = timeout(LOGIN_TIMEOUT, self.clusters.login(&via.pod.cluster)).await;
    }

    /// Waits before a retry; ends early if the cluster's server answers again.
    pub(super) async fn pause(&self, via: &Via, time: Duration) {
        self.clusters.pause(&via.pod.cluster, time).await;
    }

    /// Returns whether the API server knows the pod to run.
    pub(super) async fn runs(&self, via: &Via) -> bool {
        // Where it does not answer, that is not known.
        proxy::runs(&self.clusters, &via.pod, &via.uid).await.unwrap_or(false)
    }
}

struct ClusterLogins {
    clusters: Clusters,
    context: String,
    logins: watch::Receiver<Login>,
}

impl kube_tunnel::Logins for ClusterLogins {
    fn current(&self) -> BoxFuture<'_, Login> {
        Box::pin(async {
            // Where it cannot be renewed, that of before has to do.
            let _renewed = timeout(LOGIN_TIMEOUT, self.clusters.login(&self.context)).await;
            self.logins.borrow().clone()
        })
    }

    fn refused(&self, generation: u64) {
        self.clusters.refused(&self.context, generation);
    }

    fn subscribe(&self) -> watch::Receiver<Login> {
        self.logins.clone()
    }

    fn recoveries(&self) -> watch::Receiver<u64> {
        self.clusters.answers_again(&self.context)
    }
}

/// The dialer of one forward: through relays to an address, or directly to a workload's pods.
pub struct ForwardDialer {
    tunnels: Arc<ClusterTunnels>,
    forced: Option<Protocol>,
    /// The relay that its proxy pods are to run.
    relay: Relay,
    /// The carriers that may serve that.
    carrier: Carrier,
    /// True if the pod proxy worked there in an earlier run.
    pod_proxy_worked: bool,
    events: EventSender<ForwardEvent>,
}

impl ForwardDialer {
    pub fn new(tunnels: Arc<ClusterTunnels>, spec: &ForwardSpec, events: EventSender<ForwardEvent>) -> Self {
        // The config's reader lets no other names through; an unknown one means: by trying.
        let forced = spec.tunnel.as_ref().and_then(|name| name.parse().ok());
        Self {
            tunnels,
            forced,
            relay: spec.relay,
            carrier: spec.carrier,
            pod_proxy_worked: spec.pod_proxy_worked,
            events,
        }
    }

    fn secret(&self, via: &Via) -> Secret {
        Secret::new(&self.tunnels.installation, &via.pod.namespace, &via.pod.name)
    }

    /// Sends a request to a relay, and returns the stream on which the relay carries it out.
    async fn request(&self, lease: &Lease, via: &Via, request: RelayRequest<'_>) -> Result<Stream, kube_tunnel::Error> {
        match ask_relay(lease, &self.secret(via), request, Box::pin(self.confirm_uid(via))).await {
            // Perhaps the pod is just being deleted: then the next one is tried.
            Err(error @ kube_tunnel::Error::Pod { .. }) => {
                let gone = self.confirm_uid(via).await.err().filter(kube_tunnel::Error::is_pod_gone);
                Err(gone.unwrap_or(error))
            }
            asked => asked,
        }
    }

    async fn serves_no_proxy(&self, via: &Via, why: String) {
        self.events.send(ForwardEvent::ConnectionFailed(Fault::new(What::NoProxy, &via.pod.name, why))).await;
    }

    /// Returns the reason why a pod does not run our own relay, if it is known.
    fn why_without(&self, via: &Via) -> String {
        self.tunnels.without.lock().get(&via.uid).cloned().unwrap_or_default()
    }

    /// Checks that the pod of this name still has the expected uid: only that pod may receive its secret.
    async fn confirm_uid(&self, via: &Via) -> Result<(), kube_tunnel::Error> {
        let gone = |text: &str| kube_tunnel::Error::PodGone { text: text.to_owned() };
        match uid_of(&self.tunnels.clusters, &via.pod).await {
            Ok(Some(uid)) if uid == via.uid => Ok(()),
            Ok(Some(_)) => Err(gone("another pod has its name now")),
            Ok(None) => Err(gone("not found")),
            Err(fault) => Err(kube_tunnel::Error::Pod { text: fault.detail }),
        }
    }

    /// Asks the relay to connect to the address. Returns the time that it took, if the relay tells, or the reason
    /// why it failed. A stream that ends without an answer is an error.
    async fn diagnose_relay(
        &self,
        lease: &Lease,
        via: &Via,
        address: &Address,
    ) -> Result<Result<Option<Duration>, Fault>, kube_tunnel::Error> {
        let mut stream = self.request(lease, via, RelayRequest::Diagnose(address)).await?;
        let answer = relay::diagnosis(&mut stream).await.map_err(kube_tunnel::Error::from_io)?;
        let (what, words) = match answer {
            Ok(took) => return Ok(Ok(took)),
            Err(failure) => failure,
        };
        if what == What::Relay {
            return Err(kube_tunnel::Error::Pod { text: format!("the pod's relay is none of ours: {words}") });
        }
        Ok(Err(Fault::new(what, address.to_string(), words)))
    }
}

impl Dialer for ForwardDialer {
    type Lease = PodLease;

    async fn lease(&self, via: &Via) -> Result<PodLease, Fault> {
        let tunnels = self.tunnels.of(via, self.forced).await?;
        let route =
            kube_tunnel::Route { namespace: via.pod.namespace.clone(), pod: via.pod.name.clone(), port: via.port };
        let ours = via.to.is_some() && self.relay == Relay::Auto;
        let lease = PodLease::new(tunnels.lease(route, LeaseOptions::default()), ours, self.carrier);
        if ours && self.carrier != Carrier::PortForward {
            lease.try_pod_proxy(|relays| {
                let logins = tunnels.logins();
                let (events, cluster) = (self.events.clone(), via.pod.cluster.clone());
                let keeper = Keeper {
                    clusters: Arc::clone(&self.tunnels),
                    tunnels,
                    lease: Arc::clone(&lease.tunnels),
                    relays: Arc::clone(&relays),
                    via: via.clone(),
                    secret: self.secret(via),
                    logins,
                    worked: self.pod_proxy_worked,
                    events: self.events.clone(),
                };
                async move {
                    events.contain(&cluster, keeper.keep(), ForwardEvent::ConnectionFailed).await;
                    // Connections wait for it no more.
                    relays.not_proxied();
                }
            });
        }
        Ok(lease)
    }

    fn answers_again(&self, via: &Via) -> impl Future<Output = ()> + Send {
        let mut again = self.tunnels.clusters.answers_again(&via.pod.cluster);
        // The sender is ours.
        async move { drop(again.changed().await) }
    }

    fn is_relayed(&self, via: &Via) -> bool {
        via.to.is_some()
    }

    async fn open(&self, lease: &PodLease, via: &Via) -> Result<PodStream, kube_tunnel::Error> {
        let Some(to) = &via.to else { return lease.tunnels.open().await.map(PodStream::Own) };
        // The clients of a proxy target are connected to what they name, one by one.
        let Some(address) = to.address() else { return Err(kube_tunnel::Error::Closed) };
        // If our own relay is gone or full, socat is still there.
        if let Some(stream) = lease.open_relayed(address).await {
            return Ok(PodStream::Relayed(stream));
        }
        self.request(&lease.tunnels, via, RelayRequest::Connect(address)).await.map(PodStream::Own)
    }

    async fn connect(&self, lease: &PodLease, via: &Via, to: &Address) -> Result<PodStream, ReachError> {
        if lease.relay().await.is_none() {
            let why = self.why_without(via);
            if self.relay == Relay::Auto && why.is_empty() {
                return Err(self.being_started_again(via).await);
            }
            return Err(ReachError::Target(Fault::new(What::NoProxy, &via.pod.name, why)));
        }
        let full = || kube_tunnel::Error::Pod { text: "the pod's relay is full".to_owned() };
        let mut stream = lease.open_relayed(to).await.ok_or_else(|| ReachError::Tunnel(full()))?;
        connected(&mut stream, to).await.map(|_| PodStream::Relayed(stream))
    }

    async fn cluster_domain(&self, lease: &PodLease) -> Option<String> {
        lease.relay().await?.cluster_domain().await
    }

    async fn open_flow(&self, lease: &PodLease, via: &Via, deliver: Deliver) -> Result<Arc<dyn Flow>, ReachError> {
        self.begin_flow(lease, via, deliver).await
    }

    async fn lane(&self, lease: &PodLease, via: &Via, lane: &Lane) -> LaneEnd {
        let address = match &via.to {
            None => return LaneEnd::Unsupported,
            Some(Relayed::Named) if self.relay != Relay::Auto => {
                self.serves_no_proxy(via, String::new()).await;
                return LaneEnd::Unsupported;
            }
            Some(Relayed::To(address)) if !address.is_udp() => address,
            Some(Relayed::To(_)) if self.relay != Relay::Auto => {
                self.events.send(ForwardEvent::WithoutRelay(via.clone(), String::new())).await;
                return LaneEnd::Unsupported;
            }
            // Flows have no lanes, and socat knows one address: nothing is left to do without the relay.
            Some(Relayed::To(_) | Relayed::Named) => {
                return self.keep_relay(lease, via).await.unwrap_or(LaneEnd::Unsupported);
            }
        };
        if self.relay == Relay::Auto
            && let Some(end) = self.keep_relay(lease, via).await
        {
            return end;
        }
        let word = relay::new_word();
        let asked = self.request(&lease.tunnels, via, RelayRequest::Lane(address, &word));
        forward::keep_lane(&lease.tunnels, asked, word.clone(), LANE_PARSER, lane).await
    }

    async fn reach(&self, lease: &PodLease, via: &Via) -> Result<Option<Duration>, ReachError> {
        let Some(asked) = via.to.as_ref().and_then(Relayed::address) else { return Ok(None) };
        if let Some(mut stream) = lease.open_relayed(asked).await {
            return connected(&mut stream, asked).await.map(Some);
        }
        self.diagnose_relay(&lease.tunnels, via, asked).await.map_err(ReachError::Tunnel)?.map_err(ReachError::Target)
    }

    async fn blame(&self, via: &Via) -> Option<Fault> {
        node_fault(&self.tunnels.clusters, &via.pod).await
    }

    async fn diagnose(&self, lease: &PodLease, via: &Via, age: Duration) -> Result<Option<Fault>, kube_tunnel::Error> {
        let Some(asked) = via.to.as_ref().and_then(Relayed::address) else { return Ok(None) };
        // A relay gives up by itself after its timeout: asking again would only take as long again. Whoever lived
        // longer without a byte had most likely reached the target: a connection that was never used, and closed for
        // that. But a slow node may be late, too, so that one is asked about.
        if (relay::CONNECT_TIMEOUT..relay::CONNECT_TIMEOUT + RELAY_TIMEOUT_SLACK).contains(&age) {
            let words = format!("no answer within {} s", relay::CONNECT_TIMEOUT.as_secs());
            return Ok(Some(Fault::new(What::TargetTimedOut, asked.to_string(), words)));
        }
        Ok(self.diagnose_relay(&lease.tunnels, via, asked).await?.err())
    }
}

#[cfg(test)]
mod tests;
