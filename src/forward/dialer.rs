//! The interface through which a forward reaches its pods, and the translation of tunnel errors into faults.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::lane::{Lane, LaneEnd};
use brow_model::address::Address;
use brow_model::fault::{Fault, Grant, Remedy, What};
use brow_model::route::Via;
use kube_tunnel::{self, Counters, Error, Protocol, Stats, Summary};

/// The silence after which a v4 connection counts as open: a node that refuses says so sooner.
const V4_OPEN_TIMEOUT: Duration = Duration::from_secs(1);

/// Dials the pods of one forward. Implemented in `effects`, and by a fake in tests.
pub trait Dialer: Send + Sync + 'static {
    /// Keeps the tunnels to one pod open.
    type Lease: Lease;

    /// Leases tunnels to a pod. The lease opens them by itself and keeps them until it is dropped.
    ///
    /// # Errors
    /// There is no client for the pod's cluster. The caller retries.
    fn lease(&self, via: &Via) -> impl Future<Output = Result<Self::Lease, Fault>> + Send;

    /// Completes when the pod's cluster answers again after an outage that began before this call. A lease that was
    /// refused may then succeed. Cancel safe.
    fn answers_again(&self, _: &Via) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Returns true if the pod is a relay; otherwise its port is the target itself.
    fn is_relayed(&self, via: &Via) -> bool;

    /// Opens a stream to the target. A relay is asked to connect it.
    ///
    /// # Errors
    /// No tunnel can be opened, or the relay is not ours.
    fn open(
        &self,
        lease: &Self::Lease,
        via: &Via,
    ) -> impl Future<Output = Result<<Self::Lease as Lease>::Stream, Error>> + Send;

    /// Connects to an address through our own relay, for the client of a proxy target that names it.
    ///
    /// # Errors
    /// The relay could not connect, cannot be asked, or is none of ours.
    fn connect(
        &self,
        _: &Self::Lease,
        via: &Via,
        _: &Address,
    ) -> impl Future<Output = Result<<Self::Lease as Lease>::Stream, ReachError>> + Send {
        std::future::ready(Err(ReachError::Target(Fault::new(What::NoProxy, &via.pod.name, ""))))
    }

    /// Returns the domain of the cluster's names, such as `cluster.local`, if the relay tells it.
    fn cluster_domain(&self, _: &Self::Lease) -> impl Future<Output = Option<String>> + Send {
        std::future::ready(None)
    }

    /// Opens a flow of datagrams through the relay to its target. What comes back is given to `deliver`.
    ///
    /// # Errors
    /// The relay carries none, or cannot be asked.
    fn open_flow(
        &self,
        _: &Self::Lease,
        via: &Via,
        _: Deliver,
    ) -> impl Future<Output = Result<Arc<dyn Flow>, ReachError>> + Send {
        std::future::ready(Err(ReachError::Target(Fault::new(What::NoUdp, &via.pod.name, ""))))
    }

    /// Opens a lane through a relay and keeps it until it ends; see [`super::keep_lane`].
    fn lane(&self, lease: &Self::Lease, via: &Via, lane: &Lane) -> impl Future<Output = LaneEnd> + Send;

    /// Asks the relay to connect to its target and to disconnect. Returns the time that connecting took, if the relay
    /// tells.
    ///
    /// # Errors
    /// The relay could not be asked, or could not connect.
    fn reach(
        &self,
        lease: &Self::Lease,
        via: &Via,
    ) -> impl Future<Output = Result<Option<Duration>, ReachError>> + Send;

    /// Finds the cause if the API server answers but no tunnel to a pod can be opened. `None` if the API server does
    /// not answer either, or the cause is unknown.
    fn blame(&self, via: &Via) -> impl Future<Output = Option<Fault>> + Send;

    /// Finds out why a stream through a relay ended or was reset without a byte from the target: refused, timed out,
    /// not resolved. `lease` leads to that relay; `age` is the time for which the stream was open. `None` means that
    /// the target closed the connection.
    ///
    /// # Errors
    /// The cause could not be found out.
    fn diagnose(
        &self,
        lease: &Self::Lease,
        via: &Via,
        age: Duration,
    ) -> impl Future<Output = Result<Option<Fault>, Error>> + Send;
}

/// The reason why a relay did not reach its target.
#[derive(Debug, Clone)]
pub enum ReachError {
    /// The stream to the relay failed.
    Tunnel(Error),
    /// The relay reports this fault.
    Target(Fault),
}

/// The failure of a target and its words, once it has failed.
pub type TargetFailure = Arc<OnceLock<(What, String)>>;

/// A flow of datagrams between a local client and the target. Dropping it ends it.
pub trait Flow: Send + Sync {
    /// Sends a datagram to the target; `false` if it was dropped.
    fn send(&self, datagram: &[u8]) -> bool;

    /// Waits until the flow is over by itself, and returns the reason. Cancel safe.
    fn ended(&self) -> BoxFuture<'_, ReachError>;
}

/// An event of a flow.
#[derive(Debug, Clone, Copy)]
pub enum Incoming<'a> {
    /// A datagram of the target.
    Datagram(&'a [u8]),
    /// So many datagrams were dropped in the pod.
    Dropped(u32),
}

/// Takes the events of a flow; it must not block.
pub type Deliver = Box<dyn Fn(Incoming<'_>) + Send + Sync>;

/// Tunnels to one pod: [`kube_tunnel::Lease`], or a stand-in for it in tests.
pub trait Lease: Send + Sync + 'static {
    /// One forwarded connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a stream, on a new tunnel if none is open.
    ///
    /// # Errors
    /// No tunnel can be opened.
    fn open(&self) -> impl Future<Output = Result<Self::Stream, Error>> + Send;

    /// Opens a stream to another port of the pod (a lane), if that needs no new tunnel.
    fn open_at(&self, port: u16) -> impl Future<Output = Option<Self::Stream>> + Send;

    /// Opens a stream and ends it unused. A relay then ends it too.
    ///
    /// # Errors
    /// [`Error::Refused`] if nothing in the pod listens (yet), or another error of the tunnel.
    fn probe(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Moves bytes both ways until the connection ends. If `first_line` was sent and the pod ended its side without a
    /// byte, `local` is left open, so that the caller can find out why first.
    ///
    /// Returns the totals, and the pod's refusal, a reset, a lost tunnel or a failure of the local socket if that ended
    /// it.
    fn splice(
        &self,
        local: Arc<TcpStream>,
        stream: Self::Stream,
        first_line: Option<Bytes>,
        counters: &Arc<Counters>,
    ) -> impl Future<Output = (Summary, Result<(), Error>)> + Send;

    /// Returns the place where a failure of a stream's target is reported, if the relay passes ends and failures on
    /// exactly. `None` means that they have to be found out.
    fn target_failure(&self, _: &Self::Stream) -> Option<TargetFailure> {
        None
    }

    /// Returns the state of the tunnels. Called once a second or more often; must not block.
    fn stats(&self) -> Stats;

    /// Returns the carrier of new connections, while they do not go through the tunnels.
    fn carrier(&self) -> Option<&'static str> {
        None
    }
}

impl Lease for kube_tunnel::Lease {
    type Stream = kube_tunnel::Stream;

    async fn open(&self) -> Result<Self::Stream, Error> {
        Self::open(self).await
    }

    async fn open_at(&self, port: u16) -> Option<Self::Stream> {
        Self::open_at(self, port).await
    }

    async fn probe(&self) -> Result<(), Error> {
        let mut stream = Self::open(self).await?;
        stream.shutdown().await.map_err(Error::from_io)?;
        let ended = async {
            let mut scrap = [0; 64];
            while stream.read(&mut scrap).await.map_err(Error::from_io)? > 0 {}
            Ok(())
        };
        if Self::stats(self).protocol != Some(Protocol::V4) {
            return ended.await;
        }
        // Its connections cannot be half-closed: what is there waits for us. A refusal comes at once.
        timeout(V4_OPEN_TIMEOUT, ended).await.unwrap_or(Ok(()))
    }

    async fn splice(
        &self,
        local: Arc<TcpStream>,
        stream: Self::Stream,
        first_line: Option<Bytes>,
        counters: &Arc<Counters>,
    ) -> (Summary, Result<(), Error>) {
        kube_tunnel::splice_with_summary(local, stream, first_line, counters).await
    }

    fn stats(&self) -> Stats {
        Self::stats(self)
    }
}

/// Translates a tunnel's error into a fault. `None` if only the local program's own connection failed, or the forward
/// was closed. With `relayed`, the pod's port is a relay, not the target.
pub(super) fn fault(error: &Error, via: &Via, address: &str, relayed: bool) -> Option<Fault> {
    let pod = &via.pod;
    if let (Some(_), Error::Pod { text }) = (via.node, error) {
        return Some(Fault::new(What::TargetUnreachable, address, text));
    }
    let by_words = match error {
        Error::Forbidden { text }
        | Error::Unauthorized { text }
        | Error::Upgrade { text, .. }
        | Error::Pod { text } => What::by_words(text).map(|what| Fault::new(what, &pod.name, text)),
        _ => None,
    };
    if by_words.is_some() {
        return by_words;
    }
    let fault = match error {
        Error::Refused { text } if relayed => Fault::new(What::Tunnel, &pod.name, text),
        Error::Refused { text } => Fault::new(What::TargetRefused, address, text),
        Error::PodGone { text } | Error::NoSuchPod { text } => Fault::new(What::PodDeleted, &pod.name, text),
        Error::Forbidden { text } => Fault::new(What::Forbidden, &pod.cluster, text).with(Remedy::Grant(Grant {
            verb: "create".to_owned(),
            resource: "pods/portforward".to_owned(),
            namespace: Some(pod.namespace.clone()),
        })),
        Error::Unauthorized { text } => Fault::new(What::Unauthorized, &pod.cluster, text),
        Error::Unreachable { text } => Fault::new(What::Unreachable, &pod.cluster, text).with(Remedy::Retrying),
        Error::Reset => Fault::new(What::TargetReset, address, ""),
        Error::TunnelLost { text } | Error::Protocol { text } => {
            Fault::new(What::Tunnel, &pod.name, text).with(Remedy::Retrying)
        }
        Error::Pod { text } => Fault::new(What::Tunnel, &pod.name, text),
        Error::Upgrade { .. } | Error::NoUpgrade { .. } | Error::Stalled | Error::HalfClosed { .. } => {
            Fault::new(What::Tunnel, &pod.name, error.to_string())
        }
        Error::Local(_) | Error::Closed => return None,
    };
    Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::proxy::PodKey;

    #[test]
    fn a_fault_names_what_it_happened_to() {
        let pod = PodKey { cluster: "dev".into(), namespace: "default".into(), name: "brow-db-abc".into() };
        let via = Via { pod, uid: String::new(), port: 1080, to: None, node: None };
        let of = |error: Error, relayed| fault(&error, &via, "10.0.0.1:3306", relayed);
        let refused = || Error::Refused { text: "connection refused".into() };
        assert_eq!(
            of(refused(), false).map(|f| (f.what, f.thing)),
            Some((What::TargetRefused, "10.0.0.1:3306".into()))
        );
        assert_eq!(of(refused(), true).map(|f| (f.what, f.thing)), Some((What::Tunnel, "brow-db-abc".into())));
        let forbidden = of(Error::Forbidden { text: String::new() }, true).expect("a fault");
        let Remedy::Grant(grant) = forbidden.remedy else { panic!("a grant") };
        assert_eq!((grant.verb.as_str(), grant.resource.as_str()), ("create", "pods/portforward"));
        assert_eq!(grant.namespace.as_deref(), Some("default"));
        let upgrade = |status, text: &str| {
            let error = Error::from_status(status, text.to_owned(), kube_tunnel::Protocol::Spdy);
            of(error, true).map(|fault| (fault.what, fault.detail))
        };
        let policy = "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no";
        let backend = "error dialing backend: dial tcp 10.0.0.2:10250: connect: connection refused";
        let socket = "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing \
                      dial unix /run/containerd/containerd.sock: connect: connection refused\"";
        for (status, text, what) in [
            (403, policy, What::Admission),
            (422, policy, What::Admission),
            (500, backend, What::Kubelet),
            (502, backend, What::Kubelet),
            (500, socket, What::Runtime),
        ] {
            assert_eq!(upgrade(status, text), Some((what, text.to_owned())));
        }
        assert_eq!(of(Error::Reset, true).map(|f| f.what), Some(What::TargetReset));
        assert_eq!(of(Error::Closed, true), None);
        assert_eq!(of(Error::from_io(std::io::ErrorKind::BrokenPipe.into()), true), None);
    }
}
