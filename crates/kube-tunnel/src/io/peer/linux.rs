//! Questions to the kernel about sockets, by `sock_diag(7)`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::OnceLock;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use super::{Peer, PeerUser, TcpState};

/// `SOCK_DIAG_BY_FAMILY`, the one request there is.
const BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const ENOENT: i32 = 2;

/// The length of `nlmsghdr`.
const HEADER: usize = 16;
/// The length of `nlmsghdr` and `inet_diag_req_v2` (56).
const REQUEST: u32 = 72;

/// The offsets of `idiag_uid` and `idiag_inode` in an answer: behind the header, 4 bytes of state, 48 of addresses,
/// and three words.
const UID: usize = HEADER + 4 + 48 + 12;
const INODE: usize = UID + 4;

/// The offsets of `idiag_family`, `idiag_state`, and of the ports and addresses behind them.
const FAMILY: usize = HEADER;
const STATE: usize = HEADER + 1;
const OWN_PORT: usize = HEADER + 4;
const OTHER_PORT: usize = OWN_PORT + 2;
const OWN: usize = OTHER_PORT + 2;
const OTHER: usize = OWN + 16;

/// The states of a connection that has been established and that its program may hold: `TCP_ESTABLISHED`,
/// `TCP_FIN_WAIT1`, `TCP_FIN_WAIT2`, `TCP_CLOSE_WAIT`.
const CONNECTED: [u8; 4] = [1, 4, 5, 8];

/// The offsets of `idiag_timer` and `idiag_retrans`, behind family and state.
const TIMER: usize = HEADER + 2;
const RETRANS: usize = HEADER + 3;

/// The timers of `inet_csk_diag_fill`: retransmission, keep-alive, probes of a window that is closed.
const RETRANSMITTING: u8 = 1;
const KEEPING_ALIVE: u8 = 2;
const PROBING: u8 = 4;

/// So many in a row without an answer are a dead connection.
const UNANSWERED: u8 = 3;

pub(crate) fn look(ours: SocketAddr, theirs: SocketAddr) -> Option<Peer> {
    read(&ask(theirs, ours)?)
}

pub(crate) fn tcp_state(ours: SocketAddr, theirs: SocketAddr) -> Option<TcpState> {
    read_tcp_state(&ask(ours, theirs)?)
}

pub(super) fn peer_user(ours: SocketAddr, theirs: SocketAddr) -> PeerUser {
    // A socket of IPv6 may talk IPv4.
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (ours, theirs) = (canonical(ours), canonical(theirs));
    if !tells_users() {
        return PeerUser::Unsupported;
    }
    ask(theirs, ours).and_then(|answer| read_user(&answer, theirs, ours)).unwrap_or(PeerUser::Unknown)
}

/// Looks for a listener of our own, once. A kernel without the module for TCP says that there is none.
pub(super) fn tells_users() -> bool {
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| {
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else { return false };
        let Ok(own) = listener.local_addr() else { return false };
        let answer = ask(own, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        answer.as_deref().and_then(kind) == Some(BY_FAMILY)
    })
}

pub(super) fn udp_peer_user(ours: SocketAddr, theirs: SocketAddr) -> PeerUser {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (ours, theirs) = (canonical(ours), canonical(theirs));
    if !tells_udp_users() {
        return PeerUser::Unsupported;
    }
    ask_udp(ours, theirs).and_then(|answer| read_udp_user(&answer, theirs.port())).unwrap_or(PeerUser::Unknown)
}

/// Looks for a socket of our own, once.
pub(super) fn tells_udp_users() -> bool {
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| {
        let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else { return false };
        let Ok(own) = socket.local_addr() else { return false };
        ask_udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), own).as_deref().and_then(kind) == Some(BY_FAMILY)
    })
}

/// Returns what the kernel says of the socket that gets what `from` sends to `to`: for UDP a request names first
/// the sender, then the socket's own address (`udp_dump_one`).
fn ask_udp(from: SocketAddr, to: SocketAddr) -> Option<Vec<u8>> {
    converse(&request(to, from, IPPROTO_UDP))
}

/// Reads whose socket on this port it is.
fn read_udp_user(answer: &[u8], port: u16) -> Option<PeerUser> {
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    match kind(answer)? {
        NLMSG_ERROR if word(HEADER)?.cast_signed() == -ENOENT => Some(PeerUser::Unknown),
        BY_FAMILY if answer.get(OWN_PORT..OWN_PORT + 2)? == port.to_be_bytes() => {
            Some(PeerUser::Known { uid: word(UID)?, inode: word(INODE)? })
        }
        _ => None,
    }
}

fn kind(answer: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?))
}

/// Reads whose socket it is whose own address is `own`. Where there is none with both addresses, the kernel answers
/// with one that listens on `own`, if there is one: that is somebody else's.
fn read_user(answer: &[u8], own: SocketAddr, other: SocketAddr) -> Option<PeerUser> {
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    match kind(answer)? {
        NLMSG_ERROR if word(HEADER)?.cast_signed() == -ENOENT => Some(PeerUser::Unknown),
        BY_FAMILY => {
            let (uid, inode) = (word(UID)?, word(INODE)?);
            let is_it = CONNECTED.contains(answer.get(STATE)?)
                && address(answer, OWN, OWN_PORT)? == own
                && address(answer, OTHER, OTHER_PORT)? == other;
            let known = is_it && (uid != 0 || inode != 0);
            Some(if known { PeerUser::Known { uid, inode } } else { PeerUser::Unknown })
        }
        _ => None,
    }
}

fn address(answer: &[u8], at: usize, port: usize) -> Option<SocketAddr> {
    let ip = if u16::from(*answer.get(FAMILY)?) == AddressFamily::INET.as_raw() {
        IpAddr::from(<[u8; 4]>::try_from(answer.get(at..at + 4)?).ok()?)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(answer.get(at..at + 16)?).ok()?).to_canonical()
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(answer.get(port..port + 2)?.try_into().ok()?)))
}

/// Returns what the kernel says of the socket whose own address is `own`.
fn ask(own: SocketAddr, other: SocketAddr) -> Option<Vec<u8>> {
    converse(&request(other, own, IPPROTO_TCP))
}

fn converse(request: &[u8]) -> Option<Vec<u8>> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG)).ok()?;
    send(&socket, request, SendFlags::empty()).ok()?;
    let mut answer = [0_u8; 512];
    let (_, length) = recv(&socket, &mut answer, RecvFlags::DONTWAIT).ok()?;
    Some(answer.get(..length)?.to_vec())
}

fn read_tcp_state(answer: &[u8]) -> Option<TcpState> {
    let (timer, retrans) = (*answer.get(TIMER)?, *answer.get(RETRANS)?);
    match kind(answer)? {
        NLMSG_ERROR if answer.get(HEADER..HEADER + 4)? == (-ENOENT).to_ne_bytes() => Some(TcpState::Dead),
        BY_FAMILY => {
            let tries = matches!(timer, RETRANSMITTING | KEEPING_ALIVE | PROBING);
            Some(if tries && retrans >= UNANSWERED { TcpState::Dead } else { TcpState::Alive })
        }
        _ => None,
    }
}

/// Asks for the socket whose own address is `theirs`.
fn request(ours: SocketAddr, theirs: SocketAddr, protocol: u8) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend_from_slice(&REQUEST.to_ne_bytes());
    request.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    request.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    let family = if theirs.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    request.extend_from_slice(&[family.as_raw().to_le_bytes()[0], protocol, 0, 0]);
    // In any state.
    request.extend_from_slice(&u32::MAX.to_ne_bytes());
    request.extend_from_slice(&theirs.port().to_be_bytes());
    request.extend_from_slice(&ours.port().to_be_bytes());
    for address in [theirs.ip(), ours.ip()] {
        let mut octets = [0; 16];
        match address {
            IpAddr::V4(address) => octets[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => octets = address.octets(),
        }
        request.extend_from_slice(&octets);
    }
    // Any interface, and no cookie.
    request.extend_from_slice(&0_u32.to_ne_bytes());
    request.extend_from_slice(&[0xff; 8]);
    request
}

fn read(answer: &[u8]) -> Option<Peer> {
    let word = |at: usize| Some(i32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    match kind(answer)? {
        // Not there at all: closed, and forgotten by the kernel too.
        NLMSG_ERROR if word(HEADER)? == -ENOENT => Some(Peer::Closed),
        BY_FAMILY if word(INODE)? == 0 => Some(Peer::Closed),
        BY_FAMILY => Some(Peer::Open),
        _ => None,
    }
}
