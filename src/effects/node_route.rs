//! The route of a forward to a node that this machine reaches by itself, beside those through pods.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::dialer::ForwardDialer;
use super::pod_lease::{PodLease, PodStream};
use crate::forward::{Deliver, Dialer, Flow, Incoming, Lane, LaneEnd, Lease, ReachError, TargetFailure};
use brow_model::address::Address;
use brow_model::fault::{Fault, What};
use brow_model::route::Via;
use kube_tunnel::{Counters, Error, Stats, Summary};

/// The time within which a node accepts a connection: it is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The silence after which a node is asked whether it is still there, and the time between two such questions.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The name of the carrier on the screen.
const CARRIER: &str = "direct";

/// Dials pods, or nodes that this machine reaches by itself.
pub struct RouteDialer {
    pods: ForwardDialer,
}

impl RouteDialer {
    pub fn new(pods: ForwardDialer) -> Self {
        Self { pods }
    }
}

/// The way to a pod, or to a node.
pub enum RouteLease {
    Pod(PodLease),
    Node(SocketAddr),
}

/// A connection to a pod, or to a node.
pub enum RouteStream {
    Pod(PodStream),
    Node(TcpStream),
}

impl RouteLease {
    fn pod(&self) -> Result<&PodLease, Error> {
        match self {
            Self::Pod(lease) => Ok(lease),
            Self::Node(_) => Err(Error::Closed),
        }
    }
}

/// Connects to a node.
async fn connect(at: SocketAddr) -> Result<TcpStream, Error> {
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(at)).await {
        Ok(Ok(stream)) => {
            // A socket without the options still works.
            let _ = stream.set_nodelay(true);
            let alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
            let _ = SockRef::from(&stream).set_tcp_keepalive(&alive);
            Ok(stream)
        }
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            Err(Error::Refused { text: error.to_string() })
        }
        Ok(Err(error)) => Err(Error::Pod { text: error.to_string() }),
        Err(_) => Err(Error::Pod { text: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()) }),
    }
}

impl Dialer for RouteDialer {
    type Lease = RouteLease;

    async fn lease(&self, via: &Via) -> Result<RouteLease, Fault> {
        match via.node {
            Some(at) => Ok(RouteLease::Node(at)),
            None => self.pods.lease(via).await.map(RouteLease::Pod),
        }
    }

    fn answers_again(&self, via: &Via) -> impl Future<Output = ()> + Send {
        self.pods.answers_again(via)
    }

    fn is_relayed(&self, via: &Via) -> bool {
        self.pods.is_relayed(via)
    }

    async fn open(&self, lease: &RouteLease, via: &Via) -> Result<RouteStream, Error> {
        match lease {
            RouteLease::Pod(lease) => self.pods.open(lease, via).await.map(RouteStream::Pod),
            RouteLease::Node(at) => connect(*at).await.map(RouteStream::Node),
        }
    }

    async fn connect(&self, lease: &RouteLease, via: &Via, to: &Address) -> Result<RouteStream, ReachError> {
        let lease = lease.pod().map_err(ReachError::Tunnel)?;
        self.pods.connect(lease, via, to).await.map(RouteStream::Pod)
    }

    async fn open_flow(&self, lease: &RouteLease, via: &Via, deliver: Deliver) -> Result<Arc<dyn Flow>, ReachError> {
        match lease {
            RouteLease::Pod(lease) => self.pods.open_flow(lease, via, deliver).await,
            RouteLease::Node(at) => NodeFlow::open(*at, deliver).await.map(|flow| Arc::new(flow) as Arc<dyn Flow>),
        }
    }

    async fn lane(&self, lease: &RouteLease, via: &Via, lane: &Lane) -> LaneEnd {
        match lease {
            RouteLease::Pod(lease) => self.pods.lane(lease, via, lane).await,
            RouteLease::Node(_) => LaneEnd::Unsupported,
        }
    }

    async fn reach(&self, lease: &RouteLease, via: &Via) -> Result<Option<Duration>, ReachError> {
        match lease {
            RouteLease::Pod(lease) => self.pods.reach(lease, via).await,
            RouteLease::Node(_) => Ok(None),
        }
    }

    async fn blame(&self, via: &Via) -> Option<Fault> {
        if via.node.is_some() { None } else { self.pods.blame(via).await }
    }

    async fn diagnose(&self, lease: &RouteLease, via: &Via, age: Duration) -> Result<Option<Fault>, Error> {
        match lease {
            RouteLease::Pod(lease) => self.pods.diagnose(lease, via, age).await,
            RouteLease::Node(_) => Ok(None),
        }
    }
}

impl Lease for RouteLease {
    type Stream = RouteStream;

    async fn open(&self) -> Result<RouteStream, Error> {
        match self {
            Self::Pod(lease) => Lease::open(lease).await.map(RouteStream::Pod),
            Self::Node(at) => connect(*at).await.map(RouteStream::Node),
        }
    }

    async fn open_at(&self, port: u16) -> Option<RouteStream> {
        self.pod().ok()?.open_at(port).await.map(RouteStream::Pod)
    }

    async fn probe(&self) -> Result<(), Error> {
        match self {
            Self::Pod(lease) => lease.probe().await,
            Self::Node(at) => connect(*at).await.map(drop),
        }
    }

    async fn splice(
        &self,
        local: Arc<TcpStream>,
        stream: RouteStream,
        first_line: Option<Bytes>,
        counters: &Arc<Counters>,
    ) -> (Summary, Result<(), Error>) {
        match (self, stream) {
            (Self::Pod(lease), RouteStream::Pod(stream)) => lease.splice(local, stream, first_line, counters).await,
            (_, RouteStream::Node(stream)) => splice(&local, &stream, counters).await,
            (Self::Node(_), RouteStream::Pod(_)) => (Summary::default(), Err(Error::Closed)),
        }
    }

    fn target_failure(&self, stream: &RouteStream) -> Option<TargetFailure> {
        match (self, stream) {
            (Self::Pod(lease), RouteStream::Pod(stream)) => lease.target_failure(stream),
            (Self::Pod(_) | Self::Node(_), _) => None,
        }
    }

    fn stats(&self) -> Stats {
        match self {
            Self::Pod(lease) => lease.stats(),
            // There is nothing that could break before a connection does.
            Self::Node(_) => Stats { tunnels: 1, ..Stats::default() },
        }
    }

    fn carrier(&self) -> Option<&'static str> {
        match self {
            Self::Pod(lease) => lease.carrier(),
            Self::Node(_) => Some(CARRIER),
        }
    }
}

/// Moves bytes both ways until both directions have ended. Each end is passed on as it is.
async fn splice(local: &TcpStream, node: &TcpStream, counters: &Counters) -> (Summary, Result<(), Error>) {
    let began = Instant::now();
    let _open = counters.enter();
    let (mut up, mut down, mut first_byte) = (0, 0, None);
    let of_node = |error: io::Error| match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Error::Reset,
        _ => Error::Pod { text: error.to_string() },
    };
    let moved = {
        let to_node = pump(local, node, Error::from_io, of_node, |count| {
            up += count as u64;
            counters.add_up(count);
        });
        let to_local = pump(node, local, of_node, Error::from_io, |count| {
            let first = began.elapsed();
            if first_byte.is_none() {
                counters.note_first_byte(first);
            }
            first_byte.get_or_insert(first);
            down += count as u64;
            counters.add_down(count);
        });
        tokio::try_join!(to_node, to_local)
    };
    if moved.is_err() {
        // The node must not take it for an orderly end; failing to set it only makes it look like one.
        let _ = SockRef::from(node).set_linger(Some(Duration::ZERO));
    }
    (Summary { up, down, first_byte, sent: None }, moved.map(drop))
}

/// Moves the bytes of one direction, and its end.
async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    of_from: impl Fn(io::Error) -> Error,
    of_to: impl Fn(io::Error) -> Error,
    mut count: impl FnMut(usize),
) -> Result<(), Error> {
    let mut space = vec![0; 64 << 10];
    loop {
        from.readable().await.map_err(&of_from)?;
        let length = match from.try_read(&mut space) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(of_from(error)),
        };
        let mut sent = 0;
        while sent < length {
            to.writable().await.map_err(&of_to)?;
            match to.try_write(&space[sent..length]) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(of_to(error)),
            }
        }
        count(length);
    }
    // The other side may be gone already.
    let _ = SockRef::from(to).shutdown(std::net::Shutdown::Write);
    Ok(())
}

/// A flow of datagrams to a node.
struct NodeFlow {
    socket: Arc<UdpSocket>,
    ended: watch::Receiver<Option<ReachError>>,
    _receiving: AbortOnDropHandle<()>,
}

impl NodeFlow {
    async fn open(at: SocketAddr, deliver: Deliver) -> Result<Self, ReachError> {
        let failed = move |error: &io::Error| {
            let what = match error.kind() {
                ErrorKind::ConnectionRefused => What::TargetRefused,
                _ => What::TargetUnreachable,
            };
            ReachError::Target(Fault::new(what, format!("{at}/udp"), error.to_string()))
        };
        let any: SocketAddr = if at.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await.map_err(|error| failed(&error))?;
        socket.connect(at).await.map_err(|error| failed(&error))?;
        let (socket, (end, ended)) = (Arc::new(socket), watch::channel(None));
        let receiving = tokio::spawn({
            let socket = Arc::clone(&socket);
            async move {
                let mut space = vec![0; 1 << 16];
                loop {
                    match socket.recv(&mut space).await {
                        Ok(length) => deliver(Incoming::Datagram(&space[..length])),
                        Err(error) => {
                            end.send_replace(Some(failed(&error)));
                            return;
                        }
                    }
                }
            }
        });
        Ok(Self { socket, ended, _receiving: AbortOnDropHandle::new(receiving) })
    }
}

impl Flow for NodeFlow {
    fn send(&self, datagram: &[u8]) -> bool {
        self.socket.try_send(datagram).is_ok()
    }

    fn ended(&self) -> BoxFuture<'_, ReachError> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            let error = ended.wait_for(Option::is_some).await.ok().and_then(|error| error.clone());
            error.unwrap_or(ReachError::Tunnel(Error::Closed))
        })
    }
}

impl AsyncRead for RouteStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pod(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Node(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for RouteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Pod(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Node(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pod(stream) => Pin::new(stream).poll_flush(cx),
            Self::Node(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Pod(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Node(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
