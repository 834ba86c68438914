//! macOS: the list of all TCP sockets (`net.inet.tcp.pcblist_n`), as xnu writes it (`bsd/netinet/in_pcblist.c`).
//!
//! The list is a head, then for each socket a run of records, each of which begins with its length and kind and is
//! padded to eight bytes; then the head again. Of the layout only what is named here is used, and only once our own end
//! of the connection was found by it, open as it is: where that fails nothing is said, rather than something wrong.

use std::net::{IpAddr, SocketAddr};

use super::Peer;

/// The length of `struct xinpgen`, the head. No record is that short.
const HEADER: usize = 24;

/// `XSO_SOCKET` and `XSO_INPCB`: kinds of records. Of one socket the latter comes first.
const SOCKET: u32 = 0x01;
const ADDRESSES: u32 = 0x10;

/// Offsets in `struct xinpcb_n`, which is packed to four bytes: ports, the IP version, addresses. One of IPv4
/// is the last four bytes of sixteen.
const OTHER_PORT: usize = 16;
const OWN_PORT: usize = 18;
const VERSION: usize = 44;
const OTHER: usize = 48;
const OWN: usize = 64;

/// `INP_IPV4` and `INP_IPV6`.
const V4: u8 = 1;
const V6: u8 = 2;

/// The offset of `so_state` in `struct xsocket_n`.
const STATE: usize = 26;

/// `SS_NOFDREF`: no program holds the socket any more.
const CLOSED: u16 = 1;

#[cfg(target_os = "macos")]
pub(super) fn look(ours: SocketAddr, theirs: SocketAddr) -> Option<Peer> {
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use sysctl::{Ctl, CtlValue, Sysctl as _};

    /// For how long a list serves: it is long where many connections are open, and each that is half-closed looks.
    const SNAPSHOT_TTL: Duration = Duration::from_millis(200);
    static SNAPSHOT: Mutex<Option<(Instant, Vec<u8>)>> = Mutex::new(None);

    let mut last = SNAPSHOT.lock().unwrap_or_else(PoisonError::into_inner);
    let fresh = last.as_ref().filter(|(at, _)| at.elapsed() < SNAPSHOT_TTL);
    if let Some(peer) = fresh.and_then(|(_, list)| read(list, ours, theirs)) {
        return Some(peer);
    }
    // A connection may be younger than the list.
    let told = Ctl::new("net.inet.tcp.pcblist_n").ok()?.value().ok()?;
    let (CtlValue::Struct(sockets) | CtlValue::Node(sockets)) = told else { return None };
    let peer = read(&sockets, ours, theirs);
    *last = Some((Instant::now(), sockets));
    peer
}

/// Returns what a list says of the socket at the other end of ours. `None`: nothing that can be relied on.
fn read(list: &[u8], ours: SocketAddr, theirs: SocketAddr) -> Option<Peer> {
    if state(list, ours, theirs)? & CLOSED != 0 {
        return None;
    }
    Some(match state(list, theirs, ours) {
        Some(state) if state & CLOSED == 0 => Peer::Open,
        // Closed, and perhaps forgotten by the kernel too.
        Some(_) | None => Peer::Closed,
    })
}

/// The state of the socket whose own address is `own`.
fn state(list: &[u8], own: SocketAddr, other: SocketAddr) -> Option<u16> {
    let mut found = false;
    let mut rest = list.get(HEADER..)?;
    loop {
        let length = usize::try_from(u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?)).ok()?;
        if length <= HEADER {
            return None;
        }
        let record = rest.get(..length)?;
        match u32::from_ne_bytes(record.get(4..8)?.try_into().ok()?) {
            ADDRESSES => found = has(record, own, other)?,
            SOCKET if found => return Some(u16::from_ne_bytes(record.get(STATE..STATE + 2)?.try_into().ok()?)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(8)..)?;
    }
}

/// Returns whether a record names these addresses.
fn has(record: &[u8], own: SocketAddr, other: SocketAddr) -> Option<bool> {
    let port = |at: usize| Some(u16::from_be_bytes(record.get(at..at + 2)?.try_into().ok()?));
    let version = *record.get(VERSION)?;
    let is = |at: usize, address: IpAddr| {
        let bytes = record.get(at..at + 16)?;
        Some(match address {
            IpAddr::V4(address) => version & V4 != 0 && bytes.ends_with(&address.octets()),
            IpAddr::V6(address) => version & V6 != 0 && bytes == address.octets(),
        })
    };
    let ports = port(OWN_PORT)? == own.port() && port(OTHER_PORT)? == other.port();
    Some(is(OWN, own.ip())? && is(OTHER, other.ip())? && ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, length: u32, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut record = vec![0; length.next_multiple_of(8) as usize];
        record[..4].copy_from_slice(&length.to_ne_bytes());
        record[4..8].copy_from_slice(&kind.to_ne_bytes());
        fill(&mut record);
        record
    }

    fn socket(own: &str, other: &str, state: u16) -> Vec<u8> {
        let (own, other): (SocketAddr, SocketAddr) = (own.parse().unwrap(), other.parse().unwrap());
        let addresses = record(ADDRESSES, 104, |record| {
            for (at, port) in [(OTHER_PORT, other.port()), (OWN_PORT, own.port())] {
                record[at..at + 2].copy_from_slice(&port.to_be_bytes());
            }
            for (at, address) in [(OTHER, other.ip()), (OWN, own.ip())] {
                match address {
                    IpAddr::V4(address) => record[at + 12..at + 16].copy_from_slice(&address.octets()),
                    IpAddr::V6(address) => record[at..at + 16].copy_from_slice(&address.octets()),
                }
            }
            record[VERSION] = if own.is_ipv4() { V4 } else { V6 };
        });
        let socket = record(SOCKET, 100, |record| record[STATE..STATE + 2].copy_from_slice(&state.to_ne_bytes()));
        // Buffers and the protocol's own part follow.
        [addresses, socket, record(0x02, 36, |_| {}), record(0x20, 204, |_| {})].concat()
    }

    fn list(sockets: &[Vec<u8>]) -> Vec<u8> {
        // The head counts the sockets where records have their kind.
        let head = record(u32::try_from(sockets.len()).unwrap(), 24, |_| {});
        [&head[..], &sockets.concat(), &head].concat()
    }

    #[test]
    fn a_closed_socket_is_told_from_a_half_closed_one() {
        const CONNECTED: u16 = 0x2;
        for (ours, theirs) in [("127.0.0.1:80", "127.0.0.1:50000"), ("[::1]:80", "[::1]:50000")] {
            let stranger = socket("127.0.0.1:50000", "127.0.0.1:81", CLOSED);
            let own = socket(ours, theirs, CONNECTED);
            let looked = |sockets: &[Vec<u8>]| read(&list(sockets), ours.parse().unwrap(), theirs.parse().unwrap());
            let peer = |state| [stranger.clone(), socket(theirs, ours, state), own.clone()];
            assert_eq!(looked(&peer(CONNECTED)), Some(Peer::Open));
            assert_eq!(looked(&peer(CONNECTED | CLOSED)), Some(Peer::Closed));
            assert_eq!(looked(&[own.clone(), stranger.clone()]), Some(Peer::Closed), "forgotten");
            // Where not even our own end is found as it is, the list is not what it is taken for.
            assert_eq!(looked(std::slice::from_ref(&stranger)), None);
            assert_eq!(looked(&[socket(ours, theirs, CLOSED)]), None);
        }
        assert_eq!(read(&[0; 7], "127.0.0.1:80".parse().unwrap(), "127.0.0.1:1".parse().unwrap()), None);
    }
}
