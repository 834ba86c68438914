//! The tunnels to a pod, and our own relay where the pod runs it: behind them, or through the pod proxy.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::forward::{self, Deliver, Flow, Incoming, ReachError};
use crate::proxy::relay::{Mux, RelayStream};
use brow_model::address::Address;
use brow_model::fault::Fault;
use brow_model::settings::Carrier;
use kube_tunnel::{self, Counters, Error, Lease, Stats, Stream, Summary};

/// The timeout of the start of our own relay, including its way into the pod. Connections wait that long.
pub const RELAY_START_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest wait of a connection for the pod proxy, where the config prefers that to port-forward.
const POD_PROXY_TIMEOUT: Duration = Duration::from_secs(10);

/// The state of our own relay in a pod, by port-forward.
#[derive(Clone)]
enum Ours {
    /// It is being started.
    Coming,
    /// It runs.
    Up(Arc<Mux>),
    /// It does not run; connections go by socat.
    Without,
}

/// The connection to our own relay through the pod proxy.
#[derive(Clone)]
enum Proxied {
    /// It is not known yet whether there can be one.
    Unknown,
    Up(Arc<Mux>),
    /// There is none.
    Without,
}

/// Our own relay in a pod, by both carriers.
pub(super) struct Relays {
    ours: watch::Sender<Ours>,
    proxied: watch::Sender<Proxied>,
}

/// The tunnels to one pod, and its relay.
pub struct PodLease {
    pub tunnels: Arc<Lease>,
    relays: Arc<Relays>,
    carrier: Carrier,
    /// The task that tries the pod proxy.
    keeper: OnceLock<AbortOnDropHandle<()>>,
}

impl Relays {
    /// Waits until our relay runs, and connections are served by port-forward.
    pub(super) async fn started(&self) {
        let mut ours = self.ours.subscribe();
        // The sender is there as long as `self`.
        let _ = ours.wait_for(|ours| matches!(ours, Ours::Up(mux) if mux.is_alive())).await;
    }

    /// Routes new connections through the pod proxy.
    pub(super) fn go_proxied(&self, mux: Mux) -> Arc<Mux> {
        let mux = Arc::new(mux);
        self.proxied.send_replace(Proxied::Up(Arc::clone(&mux)));
        mux
    }

    /// Stops using the pod proxy: new connections use port-forward.
    pub(super) fn not_proxied(&self) {
        self.proxied.send_replace(Proxied::Without);
    }

    /// Returns the relay through the pod proxy.
    fn proxied(&self) -> Option<Arc<Mux>> {
        match &*self.proxied.borrow() {
            Proxied::Up(mux) if mux.is_alive() => Some(Arc::clone(mux)),
            Proxied::Up(_) | Proxied::Unknown | Proxied::Without => None,
        }
    }

    /// Waits until it is known whether there is a relay through the pod proxy.
    async fn settled(&self) {
        let (mut proxied, mut ours) = (self.proxied.subscribe(), self.ours.subscribe());
        tokio::select! {
            _ = proxied.wait_for(|proxied| !matches!(proxied, Proxied::Unknown)) => {}
            _ = ours.wait_for(|ours| matches!(ours, Ours::Without)) => {}
        }
    }

    /// Waits for the relay through the pod proxy.
    async fn until_proxied(&self) -> Option<Arc<Mux>> {
        let up = |proxied: &Proxied| matches!(proxied, Proxied::Up(mux) if mux.is_alive());
        let found = self.proxied.subscribe().wait_for(up).await.ok()?.clone();
        let Proxied::Up(mux) = found else { return None };
        Some(mux)
    }

    /// Returns the relay by port-forward, which is waited for while it starts. `None` means that connections go by
    /// socat.
    async fn forwarded(&self) -> Option<Arc<Mux>> {
        let mut ours = self.ours.subscribe();
        // One that is gone is started again.
        let known = |ours: &Ours| match ours {
            Ours::Up(mux) => mux.is_alive(),
            Ours::Coming => false,
            Ours::Without => true,
        };
        let settled = timeout(RELAY_START_TIMEOUT, ours.wait_for(known)).await;
        match settled.ok()?.ok()?.clone() {
            Ours::Up(mux) => Some(mux),
            Ours::Coming | Ours::Without => None,
        }
    }
}

impl PodLease {
    /// `starts`: our relay is about to be started in the pod.
    pub(super) fn new(tunnels: Lease, starts: bool, carrier: Carrier) -> Self {
        let ours = watch::Sender::new(if starts { Ours::Coming } else { Ours::Without });
        let proxied = watch::Sender::new(Proxied::Unknown);
        let relays = Arc::new(Relays { ours, proxied });
        Self { tunnels: Arc::new(tunnels), relays, carrier, keeper: OnceLock::new() }
    }

    /// Starts a task that tries the pod proxy for as long as the lease lives.
    pub(super) fn try_pod_proxy<F>(&self, keep: impl FnOnce(Arc<Relays>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.keeper.get_or_init(|| AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&self.relays)))));
    }

    /// Returns our relay by the best carrier there is. `None` means that connections go by socat.
    pub(super) async fn relay(&self) -> Option<Arc<Mux>> {
        if self.carrier == Carrier::PodProxy && self.keeper.get().is_some() {
            // If it takes longer, the connection uses what is there.
            let _ = timeout(POD_PROXY_TIMEOUT, self.relays.settled()).await;
        }
        if let Some(mux) = self.relays.proxied() {
            return Some(mux);
        }
        tokio::select! {
            forwarded = self.relays.forwarded() => forwarded,
            Some(mux) = self.relays.until_proxied() => Some(mux),
        }
    }

    /// Opens a stream to an address through our relay, by the other carrier if the best one's has no room. `None` means
    /// that connections go by socat.
    pub(super) async fn open_relayed(&self, address: &Address) -> Option<RelayStream> {
        let best = self.relay().await?;
        match best.open(address) {
            Ok(stream) => Some(stream),
            Err(_) => self.relays.forwarded().await?.open(address).ok(),
        }
    }

    /// Routes new connections through our relay.
    pub(super) fn go_relayed(&self, mux: Mux) -> Arc<Mux> {
        let mux = Arc::new(mux);
        self.relays.ours.send_replace(Ours::Up(Arc::clone(&mux)));
        mux
    }

    /// Lets new connections wait until our relay is there again.
    pub(super) fn lost_relay(&self) {
        self.relays.ours.send_replace(Ours::Coming);
    }

    /// Opens a flow of datagrams through our relay.
    pub(super) fn flow_through(relay: &Mux, address: &Address, deliver: Deliver) -> Result<Arc<dyn Flow>, ReachError> {
        let deliver = Box::new(move |incoming: Result<&[u8], u32>| {
            deliver(incoming.map_or_else(Incoming::Dropped, Incoming::Datagram));
        });
        let flow = |stream| Arc::new(RelayFlow { stream, address: address.to_string() }) as Arc<dyn Flow>;
        relay.open_flow(address, deliver).map(flow).map_err(ReachError::Tunnel)
    }

    /// Gives up our relay: connections use socat.
    pub(super) fn go_without(&self) {
        self.relays.ours.send_replace(Ours::Without);
    }
}

/// A connection to a pod.
pub enum PodStream {
    Own(Stream),
    /// Through our relay.
    Relayed(RelayStream),
}

/// A flow of datagrams through our relay.
struct RelayFlow {
    stream: RelayStream,
    address: String,
}

impl Flow for RelayFlow {
    fn send(&self, datagram: &[u8]) -> bool {
        self.stream.send_datagram(datagram)
    }

    fn ended(&self) -> BoxFuture<'_, ReachError> {
        Box::pin(async {
            let error = self.stream.ended().await;
            match self.stream.failure().get() {
                Some((what, words)) => ReachError::Target(Fault::new(*what, &self.address, words)),
                None => ReachError::Tunnel(error),
            }
        })
    }
}

impl forward::Lease for PodLease {
    type Stream = PodStream;

    async fn open(&self) -> Result<PodStream, Error> {
        self.tunnels.open().await.map(PodStream::Own)
    }

    async fn open_at(&self, port: u16) -> Option<PodStream> {
        self.tunnels.open_at(port).await.map(PodStream::Own)
    }

    async fn probe(&self) -> Result<(), Error> {
        if self.relays.proxied().is_some() {
            return Ok(());
        }
        tokio::select! {
            probed = forward::Lease::probe(&*self.tunnels) => probed,
            Some(_) = self.relays.until_proxied() => Ok(()),
        }
    }

    async fn splice(
        &self,
        local: Arc<TcpStream>,
        stream: PodStream,
        first_line: Option<Bytes>,
        counters: &Arc<Counters>,
    ) -> (Summary, Result<(), Error>) {
        match stream {
            PodStream::Own(stream) => kube_tunnel::splice_with_summary(local, stream, first_line, counters).await,
            PodStream::Relayed(stream) => stream.splice(local, counters).await,
        }
    }

    fn target_failure(&self, stream: &PodStream) -> Option<forward::TargetFailure> {
        match stream {
            PodStream::Own(_) => None,
            PodStream::Relayed(stream) => Some(stream.failure()),
        }
    }

    fn stats(&self) -> Stats {
        let stats = self.tunnels.stats();
        // Connections are served, whatever becomes of the tunnels.
        if self.relays.proxied().is_some() { Stats { tunnels: 1, last_error: None, ..stats } } else { stats }
    }

    fn carrier(&self) -> Option<&'static str> {
        self.relays.proxied().map(|_| Carrier::PodProxy.name())
    }
}

impl AsyncRead for PodStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Relayed(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for PodStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Own(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Relayed(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(stream) => Pin::new(stream).poll_flush(cx),
            Self::Relayed(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Relayed(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use brow_relay::{Connection, Event, KEY, Limits, Side};
    use kube_tunnel::{LeaseOptions, Route, Tunnels};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::task::JoinHandle;

    use super::*;

    /// A relay that takes so many connections.
    async fn serve(mut wire: DuplexStream, streams: u32) {
        let limits = Limits { streams, window: 1_024, most: 1_024, extra: 0 };
        let mut relay = Connection::new(Side::Relay, &[7; KEY], [2; KEY], limits);
        loop {
            while let Some(event) = relay.next().unwrap() {
                if let Event::Open { id, .. } = event {
                    relay.connected(id, Duration::ZERO);
                }
            }
            let count = relay.output().len();
            wire.write_all(relay.output()).await.unwrap();
            relay.sent(count);
            match wire.read(relay.space()).await.unwrap() {
                0 => return,
                count => relay.received(count),
            }
        }
    }

    async fn start(streams: u32) -> (Mux, JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let relay = tokio::spawn(serve(far, streams));
        (Mux::start(near, &[7; KEY]).await.unwrap(), relay)
    }

    #[tokio::test]
    async fn connections_go_by_the_other_carrier_where_one_is_full_or_gone() {
        let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let route = Route { namespace: "team".into(), pod: "p".into(), port: 1 };
        let tunnels = Tunnels::new(client, None).lease(route, LeaseOptions::default());
        let lease = Arc::new(PodLease::new(tunnels, true, Carrier::Auto));
        let to: Address = "10.0.0.1:80".parse().unwrap();
        let ((full, proxied), (roomy, forwarded)) = (start(0).await, start(8).await);
        let full = lease.relays.go_proxied(full);
        let keeping = tokio::spawn({
            let lease = Arc::clone(&lease);
            async move {
                lease.go_relayed(roomy).ended().await;
                lease.lost_relay();
            }
        });
        let mut stream = lease.open_relayed(&to).await.unwrap();
        stream.connected().await.unwrap();
        // Of the two that are gone neither is used: what comes next is.
        for relay in [proxied, forwarded] {
            relay.abort();
        }
        full.ended().await;
        keeping.await.unwrap();
        let (next, _relay) = start(8).await;
        let (opened, ()) = tokio::join!(lease.open_relayed(&to), async { drop(lease.relays.go_proxied(next)) });
        opened.unwrap().connected().await.unwrap();
    }
}
