//! UDP by SOCKS 5: a socket for one client, with a flow through the relay for each destination that it names. It ends
//! with the connection on which the client asked for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

use super::wire::{Protocol, Refusal, associated, datagram, datagram_head};
use super::{Rules, answer, read, write};
use crate::forward::connection::End;
use crate::forward::connections::{OpenConnection, Origin};
use crate::forward::dialer::Dialer;
use crate::forward::flows::{Flows, LocalFlow, is_of_another_datagram};
use crate::forward::{Forward, local_users};
use brow_model::address::Address;

/// The most destinations of a client at a time. The one that is idle for longest gives way to the next.
const MAX_FLOWS: usize = 64;

/// The time for which a port is taken to belong to the same user: another may have it then.
const USER_TTL: Duration = Duration::from_secs(1);

/// Carries a client's datagrams until it closes the connection. `from` is the port that they come from, if it says so.
pub(super) async fn serve<D: Dialer>(
    forward: &Arc<Forward<D>>,
    rules: &Rules,
    local: &Arc<TcpStream>,
    listed: &OpenConnection,
    from: u16,
) -> Result<(), End> {
    let ends = local.local_addr().and_then(|ours| Ok((ours, local.peer_addr()?)));
    let bound = match ends {
        Ok((ours, theirs)) => UdpSocket::bind((ours.ip(), 0)).await.map(|socket| (socket, theirs)),
        Err(error) => Err(error),
    };
    let Ok((socket, theirs)) = bound else {
        // Through a Unix socket there is no address to take datagrams at.
        return answer(local, &Protocol::Socks5.refused(Refusal::Command, "")).await;
    };
    let at = socket.local_addr().map_err(|_| End::Aborted)?;
    write(local, &associated(at)).await.map_err(|_| End::Aborted)?;
    let client = Client { at: SocketAddr::new(theirs.ip(), from), checked: None };
    let closed = async {
        let mut space = [0; 512];
        while read(local, &mut space).await.is_ok_and(|count| count > 0) {}
    };
    tokio::select! {
        biased;
        () = closed => Ok(()),
        end = receive(forward, rules, listed, Arc::new(socket), client) => Err(end),
    }
}

/// The one client of a socket.
struct Client {
    /// Its address; with the port 0 until it has sent something.
    at: SocketAddr,
    /// The time at which its user was checked.
    checked: Option<Instant>,
}

impl Client {
    /// Returns true if a datagram is from the client, and that is still who may use the forward.
    fn is_at<D: Dialer>(&mut self, forward: &Arc<Forward<D>>, ours: SocketAddr, from: SocketAddr) -> bool {
        if from.ip() != self.at.ip() || self.at.port() != 0 && from.port() != self.at.port() {
            return false;
        }
        if self.checked.is_none_or(|checked| checked.elapsed() >= USER_TTL) {
            if !local_users::admit_origin(forward, Origin::Flow { ours, theirs: from }) {
                return false;
            }
            self.checked = Some(Instant::now());
        }
        self.at = from;
        true
    }
}

async fn receive<D: Dialer>(
    forward: &Arc<Forward<D>>,
    rules: &Rules,
    listed: &OpenConnection,
    socket: Arc<UdpSocket>,
    mut client: Client,
) -> End {
    let Ok(ours) = socket.local_addr() else { return End::Aborted };
    // The flows end with it.
    let token = listed.token.child_token();
    let _guard = token.clone().drop_guard();
    let mut flows: Flows<Address> = Flows::new();
    // More than any datagram has.
    let mut space = vec![0; 1 << 16];
    loop {
        let received = tokio::select! {
            () = flows.forget_ended() => continue,
            received = socket.recv_from(&mut space) => received,
        };
        // An error tells of a datagram that was sent before.
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) if is_of_another_datagram(&error) => continue,
            Err(_) => return End::Aborted,
        };
        let Some((to, bytes)) = datagram(&space[..length]) else { continue };
        if !client.is_at(forward, ours, from) {
            continue;
        }
        if let Some(known) = flows.get(&to) {
            known.flow.send(bytes);
        } else if rules.allow(forward, &to).await {
            let place = forward.connections.name(&to, &forward.meter);
            let origin = Origin::Flow { ours, theirs: from };
            let listed = forward.connections.list_flow(origin, place, token.child_token());
            let head = datagram_head(&to);
            let flow =
                LocalFlow::new(Arc::clone(&socket), from, Arc::clone(&listed.connection)).named(to.clone(), head);
            let flow = Arc::new(flow);
            flow.send(bytes);
            flows.begin(forward, to, flow, listed, MAX_FLOWS);
        }
    }
}
