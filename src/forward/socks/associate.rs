//! UDP by SOCKS 5: a socket for one client, with a flow through the relay for each destination that it names. It ends
//! with the connection on which the client asked for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

use super::local::{answer, read, write};
use super::rules::Rules;
use super::wire::{Protocol, Refusal, associated, datagram, datagram_head};
use crate::forward::connections::{OpenConnection, Origin};
use crate::forward::dialer::Dialer;
use crate::forward::flows::{Flows, LocalFlow, is_of_another_datagram};
use crate::forward::reach::End;
use crate::forward::state::Forward;
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
    let refuse = |refusal| Protocol::Socks5.refused(refusal, "");
    let Ok((ours, theirs)) = local.local_addr().and_then(|ours| Ok((ours, local.peer_addr()?))) else {
        // Through a Unix socket there is no address to take datagrams at.
        return answer(local, &refuse(Refusal::Command)).await;
    };
    let Ok(socket) = UdpSocket::bind((ours.ip(), 0)).await else {
        return answer(local, &refuse(Refusal::Failed)).await;
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

/// The sender of a datagram.
enum Sender {
    Client,
    /// A user who may not use the forward has the client's port now. Answers to the client would go there.
    Successor,
    Other,
}

/// The one client of a socket.
struct Client {
    /// Its address; with the port 0 until it has sent something.
    at: SocketAddr,
    /// The time at which its user was checked.
    checked: Option<Instant>,
}

impl Client {
    /// Tells who sent a datagram.
    fn sender<D: Dialer>(&mut self, forward: &Arc<Forward<D>>, ours: SocketAddr, from: SocketAddr) -> Sender {
        if from.ip() != self.at.ip() || self.at.port() != 0 && from.port() != self.at.port() {
            return Sender::Other;
        }
        if self.checked.is_none_or(|checked| checked.elapsed() >= USER_TTL) {
            if !forward.admits_origin(Origin::Flow { ours, theirs: from }) {
                return if self.checked.is_some() { Sender::Successor } else { Sender::Other };
            }
            self.checked = Some(Instant::now());
        }
        self.at = from;
        Sender::Client
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
        match client.sender(forward, ours, from) {
            Sender::Client => {}
            Sender::Successor => return End::Aborted,
            Sender::Other => continue,
        }
        if let Some(known) = flows.get(&to) {
            known.flow.send(bytes);
        } else if forward.allows(rules, &to).await {
            let Ok(permit) = Arc::clone(&rules.flows).try_acquire_owned() else { continue };
            let place = forward.connections.name(&to, &forward.meter);
            let origin = Origin::Flow { ours, theirs: from };
            let listed = forward.connections.list_flow(origin, place, token.child_token());
            let head = datagram_head(&to);
            let flow = LocalFlow::new(Arc::clone(&socket), from, Arc::clone(&listed.connection)).named(
                to.clone(),
                head,
                permit,
            );
            let flow = Arc::new(flow);
            flow.send(bytes);
            flows.begin(forward, to, flow, listed, MAX_FLOWS);
        }
    }
}
