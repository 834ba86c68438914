//! One flow: the UDP socket that belongs to a stream.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

/// A stream's datagrams. What the socket does not take at once is dropped and counted: nobody waits for datagrams.
pub(crate) struct Flow {
    socket: Option<UdpSocket>,
    pub readable: bool,
    /// True while it waits for its turn to be read.
    pub queued: bool,
    /// Datagrams that wait until the target's name is resolved.
    held: Vec<Vec<u8>>,
    began: Instant,
    /// The datagrams that were dropped since that was last told.
    pub dropped: u32,
}

impl Flow {
    pub(crate) fn new(now: Instant) -> Self {
        Self { socket: None, readable: false, queued: false, held: Vec::new(), began: now, dropped: 0 }
    }

    /// Connects the socket to the first of the addresses to which there is a route, and sends what waits. Returns the
    /// time since the flow was opened.
    pub(crate) fn connect(
        &mut self,
        addresses: &[SocketAddr],
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> io::Result<Duration> {
        let mut result = Err(io::Error::other("Name has no usable address"));
        for address in addresses {
            result = connect(*address, registry, token);
            if result.is_ok() {
                break;
            }
        }
        self.socket = Some(result?);
        for datagram in std::mem::take(&mut self.held) {
            self.send(&datagram)?;
        }
        Ok(now.saturating_duration_since(self.began))
    }

    /// Returns the memory of what waits.
    pub(crate) fn held(&self) -> usize {
        self.held.iter().map(|datagram| size_of::<Vec<u8>>() + datagram.len()).sum()
    }

    /// Keeps a datagram until the target's name is resolved, if there is `room` for it.
    pub(crate) fn hold(&mut self, datagram: &[u8], room: bool) {
        if room {
            self.held.push(datagram.to_vec());
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Sends a datagram. An error is the target's own: it refused an earlier one, or cannot be reached.
    pub(crate) fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        match socket.send(datagram) {
            Err(error) if is_final(&error) => return Err(error),
            // No room, or longer than the way takes.
            Err(_) => self.dropped = self.dropped.saturating_add(1),
            Ok(_) => {}
        }
        Ok(())
    }

    /// Reads the next datagram, if there is one.
    pub(crate) fn receive(&mut self, space: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(socket) = &self.socket else { return Ok(None) };
        match socket.recv(space) {
            Ok(count) => Ok(Some(count)),
            Err(error) if is_final(&error) => Err(error),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(_) => {
                self.readable = false;
                Ok(None)
            }
        }
    }
}

fn connect(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<UdpSocket> {
    let any = if address.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(address)?;
    registry.register(&mut socket, token, Interest::READABLE)?;
    Ok(socket)
}

/// Returns true if an error says what became of earlier datagrams, or that none can get there.
fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}
