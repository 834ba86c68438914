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

/// Returns the user who reads what this end (`ours`) sends to `theirs` by UDP, as [`peer_user`] does for TCP: the owner
/// of the socket there, whether it is connected or not. On Linux, unless the kernel lacks the module for it.
pub fn udp_peer_user(ours: std::net::SocketAddr, theirs: std::net::SocketAddr) -> PeerUser {
    #[cfg(target_os = "linux")]
    return linux::udp_peer_user(ours, theirs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (ours, theirs);
        PeerUser::Unsupported
    }
}

/// Returns true if the system tells whose datagrams are. Asked once, as [`tells_peer_users`].
pub fn tells_udp_peer_users() -> bool {
    #[cfg(target_os = "linux")]
    return linux::tells_udp_users();
    #[cfg(not(target_os = "linux"))]
    false
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
mod linux;

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

    #[test]
    fn the_user_who_gets_a_datagram_is_told() {
        use std::net::UdpSocket;
        let me = rustix::process::geteuid().as_raw();
        for (ours, theirs, to) in [
            ("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"),
            // As a program sends that binds nothing; the last by a socket of IPv6.
            ("127.0.0.1:0", "0.0.0.0:0", "127.0.0.1"),
            ("[::1]:0", "[::1]:0", "::1"),
            ("127.0.0.1:0", "[::]:0", "127.0.0.1"),
        ] {
            let (Ok(ours), Ok(program)) = (UdpSocket::bind(ours), UdpSocket::bind(theirs)) else {
                eprintln!("SKIPPED: no {theirs} here");
                continue;
            };
            let to: std::net::IpAddr = to.parse().unwrap();
            let (ours, theirs) = (ours.local_addr().unwrap(), (to, program.local_addr().unwrap().port()).into());
            let user = udp_peer_user(ours, theirs);
            if user == PeerUser::Unsupported {
                eprintln!("SKIPPED: this kernel has no sock_diag for UDP");
                return;
            }
            assert!(matches!(user, PeerUser::Known { uid, inode: 1.. } if uid == me), "{theirs}: {user:?}");
            drop(program);
            assert_eq!(udp_peer_user(ours, theirs), PeerUser::Unknown, "{theirs}");
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
