//! The tunnels to a pod, and our own relay behind them where the pod runs it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::forward;
use crate::proxy::relay::{Mux, RelayStream};
use kube_tunnel::{self, Counters, Error, Lease, Stats, Stream, Summary};

/// The timeout of the start of our own relay, including its way into the pod. Connections wait that long.
pub const RELAY_START_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of our own relay in a pod.
#[derive(Clone)]
enum Ours {
    /// It is being started.
    Coming,
    /// It runs.
    Up(Arc<Mux>),
    /// It does not run; connections go by socat.
    Without,
}

/// The tunnels to one pod, and its relay.
pub struct PodLease {
    pub tunnels: Lease,
    ours: watch::Sender<Ours>,
}

impl PodLease {
    /// `starts`: our relay is about to be started in the pod.
    pub(super) fn new(tunnels: Lease, starts: bool) -> Self {
        Self { tunnels, ours: watch::Sender::new(if starts { Ours::Coming } else { Ours::Without }) }
    }

    /// Returns our relay, which is waited for while it starts. `None` means that connections go by socat.
    pub(super) async fn relay(&self) -> Option<Arc<Mux>> {
        let mut ours = self.ours.subscribe();
        let settled = timeout(RELAY_START_TIMEOUT, ours.wait_for(|ours| !matches!(ours, Ours::Coming))).await;
        match settled.ok()?.ok()?.clone() {
            Ours::Up(mux) => Some(mux),
            Ours::Coming | Ours::Without => None,
        }
    }

    /// Has connections go through our relay until it is gone.
    pub(super) async fn keep(&self, mux: Mux) {
        let mux = Arc::new(mux);
        self.ours.send_replace(Ours::Up(Arc::clone(&mux)));
        mux.ended().await;
        self.ours.send_replace(Ours::Coming);
    }

    /// Has connections go by socat.
    pub(super) fn go_without(&self) {
        self.ours.send_replace(Ours::Without);
    }
}

/// A connection to a pod.
pub enum PodStream {
    /// By a stream of its own.
    Own(Stream),
    /// Through our relay.
    Relayed(RelayStream),
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
        forward::Lease::probe(&self.tunnels).await
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
        self.tunnels.stats()
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
