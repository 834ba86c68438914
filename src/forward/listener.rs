//! The local end of a forward: one port on several addresses, and the faults if it cannot be bound.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::connections::Origin;
use super::dialer::Dialer;
use super::local_socket::{self, LocalSocket};
use super::{Forward, MAX_CONNECTIONS, connection, local_users, port_owner};
use brow_model::fault::{Fault, Remedy, What};
use brow_model::forward::ForwardSpec;
use kube_tunnel::Backoff;

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 1024;

/// The number of ports chosen by the kernel that are tried until one is free on every address.
const MAX_ATTEMPTS: usize = 64;

/// The number of ports above a taken one that are tried before the kernel chooses.
const MAX_NEXT_PORTS: u16 = 512;

/// The offset of unprivileged replacements for privileged ports: 80 becomes 8080, 443 becomes 8443.
const UNPRIVILEGED_OFFSET: u16 = 8000;

/// The pauses after an accept that failed for want of a resource.
const ACCEPT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));

/// A place where a forward listens.
#[derive(Debug)]
pub(super) enum Listener {
    Port(TcpListener),
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
            Self::Socket(socket) => socket.accept().await.map(Some),
        }
    }

    /// Returns the place in words.
    fn place(&self) -> String {
        match self {
            Self::Port(listener) => listener.local_addr().map(|local| local.to_string()).unwrap_or_default(),
            Self::Socket(socket) => socket.path(),
        }
    }
}

/// Listens as `spec` says.
///
/// # Errors
/// A fault that names the process that holds a taken port, and suggests a free port; or one about the socket.
pub(super) async fn bind(spec: &ForwardSpec) -> Result<Vec<Listener>, Fault> {
    let ports = bind_ports(spec).await?.into_iter().map(Listener::Port);
    let socket = spec.local_socket.as_deref().map(local_socket::bind).transpose()?;
    Ok(ports.chain(socket.map(Listener::Socket)).collect())
}

async fn bind_ports(spec: &ForwardSpec) -> Result<Vec<TcpListener>, Fault> {
    let error = match listen(&spec.bind, spec.port) {
        Ok(listeners) => return Ok(listeners),
        Err(error) => error,
    };
    let port = spec.port.to_string();
    match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied if spec.any_port => {
            listen(&spec.bind, 0).map_err(|error| Fault::new(What::ListenFailed, port, error.to_string()))
        }
        io::ErrorKind::AddrInUse if spec.port != 0 => {
            let port_owner = port_owner::find(spec.port, &spec.bind)
                .await
                .map(|port_owner| port_owner.to_string())
                .unwrap_or_default();
            let fault = Fault::new(What::PortInUse, port, port_owner);
            Err(with_free_port(fault, &spec.bind, spec.port.saturating_add(1)))
        }
        io::ErrorKind::PermissionDenied => {
            let fault = Fault::new(What::PortPrivileged, port, error.to_string());
            Err(with_free_port(fault, &spec.bind, spec.port.saturating_add(UNPRIVILEGED_OFFSET)))
        }
        _ => Err(Fault::new(What::ListenFailed, port, error.to_string())),
    }
}

fn with_free_port(fault: Fault, bind: &[IpAddr], from: u16) -> Fault {
    match free_port(bind, from) {
        Some(port) => fault.with(Remedy::OtherPort(port)),
        None => fault,
    }
}

/// Returns the first port from `from` on that is free on all addresses, else one of the kernel's choice. Another
/// program may take it before it is used.
fn free_port(bind: &[IpAddr], from: u16) -> Option<u16> {
    let near =
        (from.max(1024)..=from.max(1024).saturating_add(MAX_NEXT_PORTS)).find(|port| listen(bind, *port).is_ok());
    near.or_else(|| listen(bind, 0).ok()?.first()?.local_addr().ok().map(|local| local.port()))
}

/// Listens on one port of all the addresses that this host has.
fn listen(bind: &[IpAddr], port: u16) -> io::Result<Vec<TcpListener>> {
    if port != 0 {
        return listen_on_all(bind, port);
    }
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..MAX_ATTEMPTS {
        match listen_on_all(bind, 0) {
            // The kernel's choice for the first address may be taken on the second.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            done => return done,
        }
    }
    Err(last)
}

fn listen_on_all(bind: &[IpAddr], mut port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::with_capacity(bind.len());
    let mut missing = None;
    for ip in bind {
        match listen_on(SocketAddr::new(*ip, port)) {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error) if is_missing(*ip, &error) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Returns true if this host has no IPv6, or none on its loopback.
fn is_missing(ip: IpAddr, error: &io::Error) -> bool {
    let unsupported =
        matches!(error.raw_os_error(), Some(code) if code == rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    ip.is_ipv6() && (unsupported || error.kind() == io::ErrorKind::AddrNotAvailable)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `::` would take the port in IPv4 as well.
        socket.set_only_v6(true)?;
    }
    // Connections of the forward before this one may still linger in TIME-WAIT. (On Windows the option would let two
    // programs share the port.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if cfg!(not(target_os = "linux")) && !address.ip().is_unspecified() {
        // There the option also lets us take, without a word, what another program gets on all addresses.
        let port = socket.local_addr()?.as_socket().map_or(address.port(), |local| local.port());
        is_free_on_all(port)?;
    }
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Checks that nobody listens on a port of all addresses: with `SO_REUSEADDR` a bind conflicts only with the same
/// address, and only with a socket that is still open.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] if somebody does.
fn is_free_on_all(port: u16) -> io::Result<()> {
    for ip in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
        let address = SocketAddr::new(ip, port);
        // No socket, no such family: nobody listens there.
        let Ok(socket) = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)) else { continue };
        if ip.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        match socket.bind(&address.into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // Whatever else forbids to listen there does so to others, too.
            _ => {}
        }
    }
    Ok(())
}

/// Accepts connections on every listener until the forward is closed.
pub(super) fn accept<D: Dialer>(forward: &Arc<Forward<D>>, listeners: Vec<Listener>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for listener in listeners {
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
                if !local_users::admit(forward, &local, origin) {
                    continue;
                }
                let entered = forward.meter.enter();
                let (counters, token) = (&forward.meter.counters, forward.token.child_token());
                let listed = forward.connections.list(origin, counters, token);
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

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::epoch::Epoch;
    use brow_model::forward::ForwardId;
    use brow_model::forward_settings::LocalUsers;
    use brow_model::proxy::PodSelector;

    const BOTH: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

    fn spec(port: u16, any_port: bool) -> ForwardSpec {
        ForwardSpec {
            id: ForwardId(1),
            epoch: Epoch(1),
            target: "db".into(),
            selector: PodSelector { cluster: "c".into(), namespace: "n".into(), label: "db".into() },
            address: "10.0.0.1:3306".parse().expect("an address"),
            tunnel: None,
            relay: brow_model::settings::Relay::Socat,
            carrier: brow_model::settings::Carrier::PortForward,
            bind: BOTH.to_vec(),
            port,
            any_port,
            on_demand: false,
            probe: None,
            local_users: LocalUsers::Me,
            local_socket: None,
        }
    }

    fn port_of(listeners: &[TcpListener]) -> u16 {
        listeners.first().expect("a listener").local_addr().expect("an address").port()
    }

    fn has_v6() -> bool {
        listen_on(SocketAddr::new(BOTH[1], 0)).is_ok()
    }

    #[tokio::test]
    async fn a_free_port_is_the_same_in_both_families() {
        let listeners = bind_ports(&spec(0, true)).await.expect("a free port");
        assert_eq!(listeners.len(), if has_v6() { 2 } else { 1 });
        let port = port_of(&listeners);
        assert!(listeners.iter().all(|listener| listener.local_addr().is_ok_and(|local| local.port() == port)));
    }

    #[tokio::test]
    async fn a_taken_port_names_its_holder_and_the_next_free_one() {
        // Taken in one family only is taken all the same.
        let taken = listen(&BOTH[..1], 0).expect("a free port");
        let port = port_of(&taken);
        let fault = bind_ports(&spec(port, false)).await.expect_err("taken");
        assert_eq!(fault.what, What::PortInUse);
        assert_eq!(fault.thing, port.to_string());
        assert!(fault.detail.starts_with(&format!("pid {} (", std::process::id())), "{}", fault.detail);
        let Remedy::OtherPort(other) = fault.remedy else { panic!("no other port") };
        assert_ne!(other, port);
        assert!(bind_ports(&spec(other, false)).await.is_ok());
    }

    #[tokio::test]
    async fn a_port_that_somebody_has_on_all_addresses_is_taken() {
        for all in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            let Ok(taken) = listen(&[all], 0) else {
                eprintln!("SKIPPED: no IPv6 here");
                continue;
            };
            let port = port_of(&taken);
            assert_eq!(is_free_on_all(port).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse), "{all}");
            assert_eq!(
                bind_ports(&spec(port, false)).await.map(drop).map_err(|fault| fault.what),
                Err(What::PortInUse)
            );
            drop(taken);
            assert!(is_free_on_all(port).is_ok(), "{all}");
        }
    }

    #[tokio::test]
    async fn a_wished_port_that_is_taken_gives_way() {
        let taken = listen(&BOTH[..1], 0).expect("a free port");
        let listeners = bind_ports(&spec(port_of(&taken), true)).await.expect("another");
        assert_ne!(port_of(&listeners), port_of(&taken));
    }

    #[tokio::test]
    async fn only_missing_addresses_of_ipv6_are_left_out() {
        // 2001:db8::/32 is for documentation: no host has it.
        let documented: IpAddr = "2001:db8::1".parse().expect("an address");
        let listeners = listen(&[BOTH[0], documented], 0).expect("IPv4 alone");
        assert_eq!(listeners.len(), 1);
        assert!(listen(&[documented], 0).is_err());
        // 192.0.2.0/24 likewise; somebody asked for that address, so its absence is told.
        let v4: IpAddr = "192.0.2.1".parse().expect("an address");
        assert!(listen(&[BOTH[0], v4], 0).is_err());
    }

    #[test]
    fn a_privileged_port_has_a_stand_in_that_looks_like_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _guard = runtime.enter();
        let fault = with_free_port(Fault::new(What::PortPrivileged, "80", ""), &BOTH, 80 + UNPRIVILEGED_OFFSET);
        let Remedy::OtherPort(port) = fault.remedy else { panic!("no other port") };
        assert!(port >= 8080);
    }
}
