//! The local end of a forward: it listens on one port of several addresses, and perhaps on a Unix socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connections::{MAX_CONNECTIONS, Origin};
use super::dialer::Dialer;
use super::local_socket::{self, LocalSocket};
use super::report::Reporter;
use super::state::Forward;
use super::{bind, connection, flows};
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::forward::ForwardSpec;
use kube_tunnel::Backoff;

/// The pauses after an accept that failed for want of a resource.
const ACCEPT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));

/// A place where a forward listens.
#[derive(Debug)]
pub(super) enum Listener {
    Port(TcpListener),
    Datagrams(UdpSocket),
    Socket(LocalSocket),
}

impl Listener {
    /// Accepts a connection. `None` for one that is closed already.
    async fn accept(&self) -> io::Result<Option<(TcpStream, Origin)>> {
        match self {
            Self::Port(listener) => {
                let (local, theirs) = listener.accept().await?;
                Ok(local.local_addr().ok().map(|ours| (local, Origin::Port { ours, theirs })))
            }
            // Nobody connects there.
            Self::Datagrams(_) => std::future::pending().await,
            Self::Socket(socket) => socket.accept().await.map(Some),
        }
    }

    /// Returns the place in words.
    fn place(&self) -> String {
        match self {
            Self::Port(listener) => listener.local_addr().map(|local| local.to_string()).unwrap_or_default(),
            Self::Datagrams(socket) => socket.local_addr().map(|local| local.to_string()).unwrap_or_default(),
            Self::Socket(socket) => socket.path(),
        }
    }
}

/// Binds the local ports. Returns `None` if that failed or the forward was closed meanwhile, after reporting it.
pub(super) async fn open(spec: &ForwardSpec, reporter: &Reporter, token: &CancellationToken) -> Option<Vec<Listener>> {
    let bound = tokio::select! {
        biased;
        () = token.cancelled() => {
            reporter.last(ForwardEvent::Closed).await;
            return None;
        }
        bound = bind(spec) => bound,
    };
    match bound {
        Ok(listeners) => Some(listeners),
        Err(fault) => {
            reporter.last(ForwardEvent::NotBound(fault)).await;
            None
        }
    }
}

/// Listens as `spec` says.
///
/// # Errors
/// A fault that names the process that holds a taken port, and suggests a free port; or one about the socket.
async fn bind(spec: &ForwardSpec) -> Result<Vec<Listener>, Fault> {
    if let Some(path) = spec.local_socket.as_ref().filter(|_| spec.address.is_udp()) {
        return Err(Fault::new(What::ListenFailed, path, "a Unix socket carries no UDP"));
    }
    let listener = |socket: socket2::Socket| {
        if spec.address.is_udp() {
            UdpSocket::from_std(socket.into()).map(Listener::Datagrams)
        } else {
            TcpListener::from_std(socket.into()).map(Listener::Port)
        }
    };
    let ports = bind::ports(spec).await?.into_iter().map(listener).collect::<io::Result<Vec<_>>>();
    let mut listeners =
        ports.map_err(|error| Fault::new(What::ListenFailed, spec.port.to_string(), error.to_string()))?;
    if let Some(path) = &spec.local_socket {
        listeners.push(Listener::Socket(local_socket::bind(path)?));
    }
    Ok(listeners)
}

/// Reports where it listens, and if it cannot tell who connects there.
pub(super) async fn report_bound<D: Dialer>(forward: &Forward<D>, listeners: &[Listener]) {
    let mut locals = Vec::new();
    for listener in listeners {
        match listener {
            Listener::Port(listener) => locals.extend(listener.local_addr()),
            Listener::Datagrams(socket) => locals.extend(socket.local_addr()),
            Listener::Socket(socket) => forward.report(ForwardEvent::BoundSocket(socket.path())).await,
        }
    }
    forward.report(ForwardEvent::Bound(locals)).await;
    let udp = listeners.iter().any(|listener| matches!(listener, Listener::Datagrams(_)));
    let told = if udp { kube_tunnel::tells_udp_peer_users() } else { kube_tunnel::tells_peer_users() };
    if !told {
        forward.report(ForwardEvent::UsersUntold).await;
    }
}

/// Accepts connections on every listener until the forward is closed.
pub(super) fn accept<D: Dialer>(forward: &Arc<Forward<D>>, listeners: Vec<Listener>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for listener in listeners {
        let listener = match listener {
            Listener::Datagrams(socket) => {
                forward.spawn_critical(flows::serve(Arc::clone(forward), socket));
                continue;
            }
            Listener::Port(_) | Listener::Socket(_) => listener,
        };
        let (accepting, slots) = (Arc::clone(forward), Arc::clone(&slots));
        forward.spawn_critical(async move {
            tokio::select! {
                biased;
                () = accepting.token.cancelled() => {}
                () = accept_from(&accepting, &listener, &slots) => {}
            }
        });
    }
}

async fn accept_from<D: Dialer>(forward: &Arc<Forward<D>>, listener: &Listener, slots: &Arc<Semaphore>) {
    let mut backoff = ACCEPT_BACKOFF;
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(slots).acquire_owned().await {
        match listener.accept().await {
            Ok(None) => {}
            Ok(Some((local, origin))) => {
                backoff.reset();
                if !forward.admits(&local, origin) {
                    continue;
                }
                let entered = forward.meter.enter();
                let listed = forward.connections.list(origin, &forward.meter, forward.token.child_token());
                let forward = Arc::clone(forward);
                forward.tracker.clone().spawn(async move {
                    connection::serve(&forward, local, &listed.connection).await;
                    drop((entered, listed, permit));
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            // Out of descriptors or memory: what is open goes on, and may give some back.
            Err(error) => {
                let fault = Fault::new(What::ListenFailed, listener.place(), error.to_string()).with(Remedy::Retrying);
                forward.reporter.failed(fault);
                sleep(backoff.next_pause()).await;
            }
        }
    }
}

/// Returns true if an accept failed because of the connection that it would have returned (accept(2): errors already
/// pending on the new socket are passed on).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable, NotConnected, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            // macOS, asked whose a Unix socket's connection is that has closed again.
            | NotConnected
            | WouldBlock
    )
}
