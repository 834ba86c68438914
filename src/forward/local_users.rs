//! Refuses connections of this machine's other users. Any user can connect to a listener on loopback, and would use the
//! access to the cluster of whoever runs the program.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::geteuid;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::timeout;

use super::connections::Origin;
use brow_model::forward_settings::LocalUsers;
use kube_tunnel::{PeerUser, peer_user, udp_peer_user};

/// The most users that are reported; a container may have thousands.
const MAX_REPORTED: usize = 32;

/// The timeout for a user's name, which a directory server may have to be asked for.
const NAME_TIMEOUT: Duration = Duration::from_secs(3);

/// The rule of one forward.
pub(super) struct Gate {
    users: watch::Receiver<LocalUsers>,
    me: u32,
    /// The users that were refused and reported.
    reported: Mutex<BTreeSet<Option<u32>>>,
}

impl Gate {
    pub(super) fn new(users: watch::Receiver<LocalUsers>) -> Self {
        Self { users, me: geteuid().as_raw(), reported: Mutex::default() }
    }

    /// Checks a connection.
    ///
    /// # Errors
    /// The user who may not connect, if it is known who that is.
    pub(super) fn check(&self, origin: Origin) -> Result<(), Option<u32>> {
        let users = *self.users.borrow();
        if users == LocalUsers::All {
            return Ok(());
        }
        let (found, ours, theirs) = match origin {
            Origin::Socket { uid, .. } if users.admits(Some(uid), self.me) => return Ok(()),
            Origin::Socket { uid, .. } => return Err(Some(uid)),
            Origin::Port { ours, theirs } => (peer_user(ours, theirs), ours, theirs),
            Origin::Flow { ours, theirs } => {
                // A socket on all addresses answers a program of this machine from the address that it is reached by.
                let from = if ours.ip().is_unspecified() { SocketAddr::new(theirs.ip(), ours.port()) } else { ours };
                (udp_peer_user(from, theirs), ours, theirs)
            }
        };
        let user = match found {
            PeerUser::Unsupported => return Ok(()),
            PeerUser::Unknown if is_from_elsewhere(ours.ip(), theirs.ip()) => return Ok(()),
            PeerUser::Unknown => None,
            PeerUser::Known { uid, .. } => Some(uid),
        };
        if users.admits(user, self.me) { Ok(()) } else { Err(user) }
    }

    /// Returns true for the first refusal of a user.
    pub(super) fn is_news(&self, user: Option<u32>) -> bool {
        let mut reported = self.reported.lock();
        reported.len() < MAX_REPORTED && reported.insert(user)
    }
}

/// Returns true if a connection whose other end is not among this machine's sockets is another machine's, or a
/// container's: it came to an address beyond loopback, from another one. The target's `local_address` let it in.
fn is_from_elsewhere(ours: IpAddr, theirs: IpAddr) -> bool {
    !ours.to_canonical().is_loopback() && !theirs.to_canonical().is_loopback() && ours != theirs
}

/// Returns the name of a user, from wherever this machine has its users.
pub(super) async fn name_of(uid: u32) -> Option<String> {
    let mut command = Command::new("getent");
    command.args(["passwd", &uid.to_string()]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(NAME_TIMEOUT, command.output()).await.ok()?.ok()?;
    let entry = String::from_utf8_lossy(&output.stdout);
    let (name, _) = entry.split_once(':')?;
    Some(brow_model::sanitize::line(name).chars().take(64).collect())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    fn gate(users: LocalUsers) -> Gate {
        // The channel's last value stays without its sender.
        Gate::new(watch::channel(users).1)
    }

    #[tokio::test]
    async fn connections_of_this_user_are_let_in_and_those_of_nobody_are_not() {
        if !kube_tunnel::tells_peer_users() {
            eprintln!("SKIPPED: this system does not tell whose connections are");
            return;
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = listener.local_addr().unwrap();
        let program = TcpStream::connect(ours).await.unwrap();
        let theirs = program.local_addr().unwrap();
        let check = |users, ours, theirs| gate(users).check(Origin::Port { ours, theirs });
        assert_eq!(check(LocalUsers::Me, ours, theirs), Ok(()));
        // Another network namespace looks the same: no socket here has that address.
        let gone: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert_eq!(check(LocalUsers::Me, ours, gone), Err(None));
        assert_eq!(check(LocalUsers::MeAndRoot, ours, gone), Err(None));
        assert_eq!(check(LocalUsers::All, ours, gone), Ok(()));
        // 192.0.2.0/24 is for documentation: no host has it.
        let far: SocketAddr = "192.0.2.7:5000".parse().unwrap();
        assert_eq!(check(LocalUsers::Me, ours, far), Err(None), "routed to loopback");
        let wide: SocketAddr = "192.0.2.1:80".parse().unwrap();
        assert_eq!(check(LocalUsers::Me, wide, far), Ok(()), "another machine");
        assert_eq!(check(LocalUsers::Me, wide, SocketAddr::new(wide.ip(), 5_000)), Err(None), "this machine");
    }

    #[test]
    fn datagrams_of_this_user_are_let_in_and_those_of_nobody_are_not() {
        use std::net::UdpSocket;
        if !kube_tunnel::tells_udp_peer_users() {
            eprintln!("SKIPPED: this system does not tell whose datagrams are");
            return;
        }
        let [listener, program] = ["127.0.0.1:0", "0.0.0.0:0"].map(|at| UdpSocket::bind(at).unwrap());
        let ours = listener.local_addr().unwrap();
        let theirs = SocketAddr::new(ours.ip(), program.local_addr().unwrap().port());
        let check = |ours, theirs| gate(LocalUsers::Me).check(Origin::Flow { ours, theirs });
        let everywhere: SocketAddr = ([0, 0, 0, 0], ours.port()).into();
        assert_eq!((check(ours, theirs), check(everywhere, theirs)), (Ok(()), Ok(())));
        drop(program);
        assert_eq!((check(ours, theirs), check(everywhere, theirs)), (Err(None), Err(None)));
        // 192.0.2.0/24 is for documentation: no host has it.
        let far: SocketAddr = "192.0.2.7:5000".parse().unwrap();
        assert_eq!((check(ours, far), check(everywhere, far)), (Err(None), Ok(())));
    }

    #[test]
    fn a_socket_tells_its_user_by_itself() {
        let me = geteuid().as_raw();
        let check = |users, uid| gate(users).check(Origin::Socket { uid, pid: None });
        assert_eq!(check(LocalUsers::Me, me), Ok(()));
        assert_eq!(check(LocalUsers::Me, me + 1), Err(Some(me + 1)));
        assert_eq!(check(LocalUsers::All, me + 1), Ok(()));
    }

    #[test]
    fn a_user_is_reported_once_and_not_thousands_of_them() {
        let gate = gate(LocalUsers::Me);
        assert!(gate.is_news(Some(1)) && gate.is_news(None));
        assert!(!gate.is_news(Some(1)) && !gate.is_news(None));
        assert_eq!((2..10_000).filter(|uid| gate.is_news(Some(*uid))).count(), MAX_REPORTED - 2);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_user_has_a_name() {
        assert_eq!(name_of(0).await.as_deref(), Some("root"));
        assert_eq!(name_of(4_123_456_789).await, None);
    }
}
