//! What a forward asks of the rest of the program: a way to a pod, and the reason when it leads nowhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::lane::{Ended, Lane};
use brow_model::fault::{Fault, Grant, Remedy, What};
use brow_model::route::Via;
use kube_tunnel::{self, Counters, Error, Protocol, Stats, Summary};

/// How long a v4 connection may stay silent before it counts as open: a node that refuses says so sooner.
const OPENS: Duration = Duration::from_secs(1);

/// Where one forward's pods are reached, and what a connection to them begins with. `effects` fills it in.
pub trait Route: Send + Sync + 'static {
    /// What holds the tunnels to one pod.
    type Lease: Lease;

    /// Takes hold of tunnels to a pod. The lease opens them by itself and keeps them until it is dropped.
    ///
    /// # Errors
    /// When there is no client for the pod's cluster. It is tried again.
    fn lease(&self, via: &Via) -> impl Future<Output = Result<Self::Lease, Fault>> + Send;

    /// Waits until the pod's cluster answers again after it did not, as of this call: a lease that was refused may be
    /// had then. Cancel safe.
    fn answers_again(&self, _: &Via) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Whether the pod is a relay; else its port is the target itself.
    fn is_relayed(&self, via: &Via) -> bool;

    /// A new stream to the target: where the pod is a relay, one that it was asked to pass on.
    ///
    /// # Errors
    /// When no tunnel can be had, or the relay is none of ours.
    fn open(
        &self,
        lease: &Self::Lease,
        via: &Via,
    ) -> impl Future<Output = Result<<Self::Lease as Lease>::Stream, Error>> + Send;

    /// Opens a lane through a relay and keeps it until it ends; see [`super::keep_lane`].
    fn lane(&self, lease: &Self::Lease, via: &Via, lane: &Lane) -> impl Future<Output = Ended> + Send;

    /// Has the relay connect to its target and hang up again; how long the connecting took there, as far as the relay
    /// tells.
    ///
    /// # Errors
    /// Why the relay was not asked, or did not get there.
    fn reach(&self, lease: &Self::Lease, via: &Via)
    -> impl Future<Output = Result<Option<Duration>, Unreached>> + Send;

    /// Finds out who is at fault where no tunnel to a pod can be had although the API server answers. `None`: that does
    /// not answer either, or nothing is known.
    fn blame(&self, via: &Via) -> impl Future<Output = Option<Fault>> + Send;

    /// Finds out why a stream through a relay ended or was reset without a byte from the target: refused, timed out,
    /// not resolved. `lease` leads to the relay that knows; `age` is for how long the stream was open. `None`: nothing
    /// is wrong, the target just hung up.
    ///
    /// # Errors
    /// Why that could not be found out: whether the target has hung up is not known then.
    fn diagnose(
        &self,
        lease: &Self::Lease,
        via: &Via,
        age: Duration,
    ) -> impl Future<Output = Result<Option<Fault>, Error>> + Send;
}

/// Why a relay did not reach its target.
#[derive(Debug, Clone)]
pub enum Unreached {
    /// The way to the relay failed.
    Way(Error),
    /// The relay says this.
    Target(Fault),
}

/// Tunnels to one pod: [`kube_tunnel::Lease`], or a stand-in for it in tests.
pub trait Lease: Send + Sync + 'static {
    /// One forwarded connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A new stream, from a tunnel opened at once where there is none.
    ///
    /// # Errors
    /// When no tunnel can be had.
    fn open(&self) -> impl Future<Output = Result<Self::Stream, Error>> + Send;

    /// A new stream to another port of the pod (a lane), where that takes no waiting for a tunnel.
    fn open_at(&self, port: u16) -> impl Future<Output = Option<Self::Stream>> + Send;

    /// Opens a stream and ends it unused; a relay answers that by ending it too.
    ///
    /// # Errors
    /// [`Error::Refused`] when nothing in the pod listens (yet), or whatever else went wrong on the way.
    fn probe(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Moves bytes both ways until the connection is over. Where `first_line` was sent and the pod ended its side
    /// without a byte, `local` is not yet told of the end: the caller finds out why first.
    ///
    /// Returns what was moved, and the pod's refusal, a reset, a lost tunnel or a failure of the local socket, where
    /// that was the end.
    fn splice(
        &self,
        local: Arc<TcpStream>,
        stream: Self::Stream,
        first_line: Option<Bytes>,
        counters: &Arc<Counters>,
    ) -> impl Future<Output = (Summary, Result<(), Error>)> + Send;

    /// How the tunnels stand. Read once a second or oftener; must not wait.
    fn stats(&self) -> Stats;
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
        timeout(OPENS, ended).await.unwrap_or(Ok(()))
    }

    async fn splice(
        &self,
        local: Arc<TcpStream>,
        stream: Self::Stream,
        first_line: Option<Bytes>,
        counters: &Arc<Counters>,
    ) -> (Summary, Result<(), Error>) {
        kube_tunnel::splice_and_sum(local, stream, first_line, counters).await
    }

    fn stats(&self) -> Stats {
        Self::stats(self)
    }
}

/// A tunnel's error as a fault; `None` where nothing failed but the local program's own connection, or where the
/// forward itself was closed. `relayed`: the pod's port is a relay, not the target.
pub(super) fn fault(error: &Error, via: &Via, address: &str, relayed: bool) -> Option<Fault> {
    let pod = &via.pod;
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
        Error::Upgrade { .. } | Error::Stalled | Error::HalfClosed { .. } => {
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
        let via = Via { pod, uid: String::new(), port: 1080, to: None };
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
