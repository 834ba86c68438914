//! The program at the other end of a local connection: has it closed its socket, or only ended its direction? And whose
//! is it?
//!
//! TCP does not say: a FIN looks the same. But on this machine the kernel knows both ends, and tells of the other one:
//! on Linux through `sock_diag(7)`, where a socket that no program holds any more has no inode; on macOS in the list
//! that netstat(1) reads, where it is marked.

#[cfg(any(target_os = "linux", target_os = "macos"))]
use socket2::SockRef;
use tokio::net::TcpStream;

/// The program at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos")),
    allow(dead_code, reason = "other systems do not tell; tests name them all")
)]
pub(crate) enum Peer {
    /// It has closed its socket: nobody reads there.
    Closed,
    /// It still holds it.
    Open,
    /// It is on another machine, or the system does not tell.
    Unknown,
}

/// Looks at the other end of `local`. Takes some ten microseconds; on macOS, by all that is open there, up to some
/// hundred.
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(crate) fn look(local: &TcpStream) -> Peer {
    if SockRef::from(local).local_addr().is_ok_and(|address| address.is_unix()) {
        return look_at_unix(local);
    }
    let (Ok(ours), Ok(theirs)) = (local.local_addr(), local.peer_addr()) else { return Peer::Closed };
    // A connection within the loopback interface has both ends in this network namespace.
    if !theirs.ip().is_loopback() {
        return Peer::Unknown;
    }
    system::look(ours, theirs).unwrap_or(Peer::Unknown)
}

/// Looks at the other end of a Unix socket: on Linux one that is closed hangs up, and one that is half-closed does not.
#[cfg(target_os = "linux")]
fn look_at_unix(local: &TcpStream) -> Peer {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let mut descriptors = [PollFd::new(local, PollFlags::empty())];
    match poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) if descriptors[0].revents().contains(PollFlags::HUP) => Peer::Closed,
        Ok(_) => Peer::Open,
        Err(_) => Peer::Unknown,
    }
}

#[cfg(target_os = "macos")]
fn look_at_unix(_: &TcpStream) -> Peer {
    Peer::Unknown
}

/// The user whose program is at the other end of a connection within this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerUser {
    /// The socket there belongs to this user.
    Known {
        /// The user's id.
        uid: u32,
        /// The socket's inode, as in `/proc/PID/fd`; 0 if no program holds it any more.
        inode: u32,
    },
    /// The socket is closed already, or not in this network namespace: another machine's, or a container's.
    Unknown,
    /// The system does not tell: see [`tells_peer_users`].
    Unsupported,
}

/// Returns true if the system tells whose connections are. Asked once: a failure later on, such as too many open files,
/// makes users unknown, not unsupported.
pub fn tells_peer_users() -> bool {
    #[cfg(target_os = "linux")]
    return linux::tells_users();
    #[cfg(not(target_os = "linux"))]
    false
}

/// Returns the user at the other end of a TCP connection, by the addresses of this end (`ours`) and of that (`theirs`).
/// Only Linux tells (`sock_diag(7)`), which takes some ten microseconds.
///
/// A socket that its program has closed belongs to nobody, and older kernels say that it is root's. So root is named
/// only for a socket that is open.
pub fn peer_user(ours: std::net::SocketAddr, theirs: std::net::SocketAddr) -> PeerUser {
    #[cfg(target_os = "linux")]
    return linux::peer_user(ours, theirs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (ours, theirs);
        PeerUser::Unsupported
    }
}

/// The kernel's view of a connection of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "other systems do not tell; tests name them all"))]
pub(crate) enum TcpState {
    /// It has ended, or nothing that was sent is acknowledged, time after time.
    Dead,
    /// As far as the kernel knows, the other machine is there. That it takes no more bytes now is no sign of death.
    Alive,
    /// The system does not tell.
    Unknown,
}

/// Looks at the connection between these addresses.
#[cfg(target_os = "linux")]
pub(crate) fn tcp_state(ours: std::net::SocketAddr, theirs: std::net::SocketAddr) -> TcpState {
    linux::tcp_state(ours, theirs).unwrap_or(TcpState::Unknown)
}

/// Looks at the connection between these addresses.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tcp_state(_: std::net::SocketAddr, _: std::net::SocketAddr) -> TcpState {
    TcpState::Unknown
}

/// Looks at the other end of `local`.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(crate) fn look(_: &TcpStream) -> Peer {
    Peer::Unknown
}

#[cfg(any(target_os = "macos", test))]
mod darwin;

#[cfg(target_os = "macos")]
use darwin as system;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(target_os = "linux")]
mod linux {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
    use std::sync::OnceLock;

    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

    use super::{Peer, PeerUser, TcpState};

    /// `SOCK_DIAG_BY_FAMILY`, the one request there is.
    const BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const NLMSG_ERROR: u16 = 2;
    const IPPROTO_TCP: u8 = 6;
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
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))
                .ok()?;
        send(&socket, &request(other, own), SendFlags::empty()).ok()?;
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
    fn request(ours: SocketAddr, theirs: SocketAddr) -> Vec<u8> {
        let mut request = Vec::new();
        request.extend_from_slice(&REQUEST.to_ne_bytes());
        request.extend_from_slice(&BY_FAMILY.to_ne_bytes());
        request.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        request.extend_from_slice(&[0; 8]);
        let family = if theirs.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        request.extend_from_slice(&[family.as_raw().to_le_bytes()[0], IPPROTO_TCP, 0, 0]);
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
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_half_closed_socket_is_told_from_a_closed_one() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address).await else {
                eprintln!("SKIPPED: no {address} here");
                continue;
            };
            let mut program = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut local, _) = listener.accept().await.unwrap();
            if look(&local) == Peer::Unknown {
                eprintln!("SKIPPED: this kernel has no sock_diag for TCP");
                return;
            }
            assert_eq!(look(&local), Peer::Open);
            program.shutdown().await.unwrap();
            assert_eq!(local.read(&mut [0; 1]).await.unwrap(), 0);
            assert_eq!(look(&local), Peer::Open);
            drop(program);
            assert_eq!(look(&local), Peer::Closed);
        }
    }

    #[tokio::test]
    async fn a_unix_socket_is_told_as_well() {
        let (ours, mut program) = tokio::net::UnixStream::pair().unwrap();
        let ours = std::os::fd::OwnedFd::from(ours.into_std().unwrap());
        let mut local = TcpStream::from_std(ours.into()).unwrap();
        assert_eq!(look(&local), Peer::Open);
        program.shutdown().await.unwrap();
        assert_eq!(local.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(look(&local), Peer::Open);
        drop(program);
        assert_eq!(look(&local), Peer::Closed);
    }

    #[tokio::test]
    async fn the_user_at_the_other_end_is_told_in_every_family() {
        let me = rustix::process::geteuid().as_raw();
        let user_of = |local: &TcpStream| peer_user(local.local_addr().unwrap(), local.peer_addr().unwrap());
        // The third connects to IPv4 by a socket of IPv6.
        for (address, to) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("127.0.0.1:0", "::ffff:127.0.0.1")] {
            let Ok(listener) = TcpListener::bind(address).await else {
                eprintln!("SKIPPED: no {address} here");
                continue;
            };
            let to: std::net::IpAddr = to.parse().unwrap();
            let to = std::net::SocketAddr::new(to, listener.local_addr().unwrap().port());
            let Ok(mut program) = TcpStream::connect(to).await else {
                eprintln!("SKIPPED: no {to} here");
                continue;
            };
            let (mut local, _) = listener.accept().await.unwrap();
            if user_of(&local) == PeerUser::Unsupported {
                eprintln!("SKIPPED: this kernel has no sock_diag for TCP");
                return;
            }
            assert!(matches!(user_of(&local), PeerUser::Known { uid, inode: 1.. } if uid == me), "{to}");
            program.shutdown().await.unwrap();
            assert_eq!(local.read(&mut [0; 1]).await.unwrap(), 0);
            assert!(matches!(user_of(&local), PeerUser::Known { uid, inode: 1.. } if uid == me), "{to}: half-closed");
            drop(program);
            let closed = user_of(&local);
            assert!(
                closed == PeerUser::Unknown || matches!(closed, PeerUser::Known { uid: 1.., inode: 0 }),
                "nobody, and never root: {closed:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_listener_on_the_port_of_a_connection_that_is_gone_is_not_its_user() {
        // Somebody listens on the port that the connection came from.
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let user = peer_user(listener.local_addr().unwrap(), other.local_addr().unwrap());
        assert!(!matches!(user, PeerUser::Known { .. }), "{user:?}");
    }
}
