//! The ports that forwards listen on, and the faults if they cannot be bound.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use super::port_owner;
use brow_model::address::Transport;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::forward::ForwardSpec;

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: i32 = 1024;

/// The number of ports chosen by the kernel that are tried until one is free on every address.
const MAX_ATTEMPTS: usize = 64;

/// The number of ports above a taken one that are tried before the kernel chooses.
const MAX_NEXT_PORTS: u16 = 512;

/// The offset of unprivileged replacements for privileged ports: 80 becomes 8080, 443 becomes 8443.
const UNPRIVILEGED_OFFSET: u16 = 8000;

/// The buffers that are asked for datagrams, in bytes each way.
const UDP_BUFFER: usize = 1 << 20;

/// Listens on the port of `spec`, for its transport.
///
/// # Errors
/// A fault that names the process that holds a taken port, and suggests a free port.
pub(super) async fn ports(spec: &ForwardSpec) -> Result<Vec<Socket>, Fault> {
    let transport = if spec.address.is_udp() { Transport::Udp } else { Transport::Tcp };
    let error = match listen(&spec.bind, spec.port, transport) {
        Ok(listeners) => return Ok(listeners),
        Err(error) => error,
    };
    let port = spec.port.to_string();
    match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied if spec.any_port => {
            listen(&spec.bind, 0, transport).map_err(|error| Fault::new(What::ListenFailed, port, error.to_string()))
        }
        io::ErrorKind::AddrInUse if spec.port != 0 => {
            let port_owner = port_owner::find(spec.port, &spec.bind, transport)
                .await
                .map(|port_owner| port_owner.to_string())
                .unwrap_or_default();
            let fault = Fault::new(What::PortInUse, port, port_owner);
            Err(with_free_port(fault, &spec.bind, spec.port.saturating_add(1), transport))
        }
        io::ErrorKind::PermissionDenied => {
            let fault = Fault::new(What::PortPrivileged, port, error.to_string());
            Err(with_free_port(fault, &spec.bind, spec.port.saturating_add(UNPRIVILEGED_OFFSET), transport))
        }
        _ => Err(Fault::new(What::ListenFailed, port, error.to_string())),
    }
}

fn with_free_port(fault: Fault, addresses: &[IpAddr], from: u16, transport: Transport) -> Fault {
    match free_port(addresses, from, transport) {
        Some(port) => fault.with(Remedy::OtherPort(port)),
        None => fault,
    }
}

/// Returns the first port from `from` on that is free on all addresses, else one of the kernel's choice. Another
/// program may take it before it is used.
fn free_port(addresses: &[IpAddr], from: u16, transport: Transport) -> Option<u16> {
    let near = (from.max(1024)..=from.max(1024).saturating_add(MAX_NEXT_PORTS))
        .find(|port| listen(addresses, *port, transport).is_ok());
    near.or_else(|| listen(addresses, 0, transport).ok()?.first().and_then(port_of))
}

/// Listens on one port of all the addresses that this host has.
fn listen(addresses: &[IpAddr], port: u16, transport: Transport) -> io::Result<Vec<Socket>> {
    if port != 0 {
        return listen_on_all(addresses, port, transport);
    }
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..MAX_ATTEMPTS {
        match listen_on_all(addresses, 0, transport) {
            // The kernel's choice for the first address may be taken on the second.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            done => return done,
        }
    }
    Err(last)
}

fn listen_on_all(addresses: &[IpAddr], mut port: u16, transport: Transport) -> io::Result<Vec<Socket>> {
    let mut listeners: Vec<Socket> = Vec::with_capacity(addresses.len());
    let mut missing = None;
    for ip in addresses {
        match listen_on(SocketAddr::new(*ip, port), transport) {
            Ok(listener) => {
                port = port_of(&listener).unwrap_or(port);
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

/// Returns the local port of a socket.
fn port_of(socket: &Socket) -> Option<u16> {
    socket.local_addr().ok()?.as_socket().map(|local| local.port())
}

fn listen_on(address: SocketAddr, transport: Transport) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // `::` would take the port in IPv4 as well.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    if transport == Transport::Udp {
        // For bursts; the system gives what it allows.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
        let _ = socket.set_send_buffer_size(UDP_BUFFER);
        socket.bind(&address.into())?;
        return Ok(socket);
    }
    // Connections of the forward before this one may still linger in TIME-WAIT. (On Windows the option would let two
    // programs share the port.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    if cfg!(not(target_os = "linux")) && !address.ip().is_unspecified() {
        // There the option also lets us take, without a word, what another program gets on all addresses.
        is_free_on_all(port_of(&socket).unwrap_or(address.port()))?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket)
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

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::allow::AllowList;
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
            pod_proxy_worked: false,
            bind: BOTH.to_vec(),
            port,
            any_port,
            on_demand: false,
            probe: None,
            local_users: LocalUsers::Me,
            local_socket: None,
            allow: AllowList::default(),
        }
    }

    fn port_of(sockets: &[Socket]) -> u16 {
        super::port_of(sockets.first().expect("a socket")).expect("an address")
    }

    fn has_v6() -> bool {
        listen_on(SocketAddr::new(BOTH[1], 0), Transport::Tcp).is_ok()
    }

    #[tokio::test]
    async fn a_free_port_is_the_same_in_both_families() {
        let listeners = ports(&spec(0, true)).await.expect("a free port");
        assert_eq!(listeners.len(), if has_v6() { 2 } else { 1 });
        let port = port_of(&listeners);
        assert!(listeners.iter().all(|listener| super::port_of(listener) == Some(port)));
    }

    #[tokio::test]
    async fn a_taken_port_names_its_holder_and_the_next_free_one() {
        // Taken in one family only is taken all the same.
        let taken = listen(&BOTH[..1], 0, Transport::Tcp).expect("a free port");
        let port = port_of(&taken);
        let fault = ports(&spec(port, false)).await.expect_err("taken");
        assert_eq!(fault.what, What::PortInUse);
        assert_eq!(fault.thing, port.to_string());
        assert!(fault.detail.starts_with(&format!("pid {} (", std::process::id())), "{}", fault.detail);
        let Remedy::OtherPort(other) = fault.remedy else { panic!("no other port") };
        assert_ne!(other, port);
        assert!(ports(&spec(other, false)).await.is_ok());
    }

    #[tokio::test]
    async fn a_port_that_somebody_has_on_all_addresses_is_taken() {
        for all in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            let Ok(taken) = listen(&[all], 0, Transport::Tcp) else {
                eprintln!("SKIPPED: no IPv6 here");
                continue;
            };
            let port = port_of(&taken);
            assert_eq!(is_free_on_all(port).map_err(|error| error.kind()), Err(io::ErrorKind::AddrInUse), "{all}");
            assert_eq!(ports(&spec(port, false)).await.map(drop).map_err(|fault| fault.what), Err(What::PortInUse));
            drop(taken);
            assert!(is_free_on_all(port).is_ok(), "{all}");
        }
    }

    #[tokio::test]
    async fn a_wished_port_that_is_taken_gives_way() {
        let taken = listen(&BOTH[..1], 0, Transport::Tcp).expect("a free port");
        let listeners = ports(&spec(port_of(&taken), true)).await.expect("another");
        assert_ne!(port_of(&listeners), port_of(&taken));
    }

    #[tokio::test]
    async fn only_missing_addresses_of_ipv6_are_left_out() {
        // 2001:db8::/32 is for documentation: no host has it.
        let documented: IpAddr = "2001:db8::1".parse().expect("an address");
        let listeners = listen(&[BOTH[0], documented], 0, Transport::Tcp).expect("IPv4 alone");
        assert_eq!(listeners.len(), 1);
        assert!(listen(&[documented], 0, Transport::Tcp).is_err());
        // 192.0.2.0/24 likewise; somebody asked for that address, so its absence is told.
        let v4: IpAddr = "192.0.2.1".parse().expect("an address");
        assert!(listen(&[BOTH[0], v4], 0, Transport::Tcp).is_err());
    }

    #[tokio::test]
    async fn ports_of_tcp_and_udp_are_apart() {
        let tcp = listen(&BOTH, 0, Transport::Tcp).expect("a free port");
        let udp = ForwardSpec { address: "10.0.0.1:53/udp".parse().expect("an address"), ..spec(port_of(&tcp), false) };
        let taken = ports(&udp).await.expect("free for UDP");
        let fault = ports(&udp).await.expect_err("taken");
        assert_eq!((fault.what, port_of(&taken)), (What::PortInUse, port_of(&tcp)));
        assert!(fault.detail.starts_with(&format!("pid {} (", std::process::id())), "{}", fault.detail);
    }

    #[test]
    fn a_privileged_port_has_a_stand_in_that_looks_like_it() {
        let fault =
            with_free_port(Fault::new(What::PortPrivileged, "80", ""), &BOTH, 80 + UNPRIVILEGED_OFFSET, Transport::Tcp);
        let Remedy::OtherPort(port) = fault.remedy else { panic!("no other port") };
        assert!(port >= 8080);
    }
}
