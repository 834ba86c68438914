//! The open connections of one forward: their list, which is made when somebody looks, and the end of one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::destinations::{Destinations, NamedPlace};
use super::meter::{DatagramMeter, Meter};
use super::port_owner;
use brow_model::address::Address;
use brow_model::connection::{Connection, ConnectionId, ConnectionState, Program};
use kube_tunnel::{Counters, PeerUser, peer_user, udp_peer_user};

/// The most connections that one forward carries at a time. More wait in the kernel's queue, so that a runaway client
/// does not use up all file descriptors of the program.
pub(super) const MAX_CONNECTIONS: usize = 1024;

/// The open connections; at most [`MAX_CONNECTIONS`].
#[derive(Debug, Default)]
pub(super) struct Connections {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<OpenConnection>>>,
    /// The destinations of a proxy target.
    destinations: Destinations,
    /// Notified when somebody wants to see them.
    pub looked_at: Notify,
}

/// The local end that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin {
    /// The address `theirs`, to our `ours`.
    Port { ours: SocketAddr, theirs: SocketAddr },
    /// The address `theirs`, by datagrams to our `ours`.
    Flow { ours: SocketAddr, theirs: SocketAddr },
    /// A process, through a Unix socket.
    Socket { uid: u32, pid: Option<u32> },
}

#[derive(Debug)]
pub(super) struct OpenConnection {
    origin: Origin,
    since: DateTime<Utc>,
    /// Its own bytes, which count in the forward's too.
    pub counters: Arc<Counters>,
    /// Its datagrams, if it is a flow.
    pub datagrams: Option<Arc<DatagramMeter>>,
    /// Cancelled to end it.
    pub token: CancellationToken,
    has_stream: AtomicBool,
    /// The destination, once the client of a proxy target has named it.
    to: OnceLock<Arc<NamedPlace>>,
    /// The local program, once it was looked for.
    program: OnceLock<Option<Program>>,
}

/// Takes a connection off the list when it is dropped.
pub(super) struct Listed {
    connections: Arc<Connections>,
    id: u64,
    pub connection: Arc<OpenConnection>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

impl OpenConnection {
    /// Returns the destination that a client has named.
    pub(super) fn place(&self) -> Option<&Arc<NamedPlace>> {
        self.to.get()
    }

    /// Notes that it has a stream to the target.
    pub(super) fn opened(&self) {
        self.has_stream.store(true, Ordering::Relaxed);
    }

    /// Notes the destination that its client has named.
    pub(super) fn go_to(&self, all: &Connections, address: &Address, meter: &Meter) -> Arc<NamedPlace> {
        Arc::clone(self.to.get_or_init(|| all.name(address, meter)))
    }

    fn is_to(&self, destination: ConnectionId) -> bool {
        self.to.get().is_some_and(|place| place.id == destination)
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<OpenConnection>>> {
        self.open.lock()
    }

    /// Lists a connection until the guard is dropped. It is to end when `token` is cancelled.
    pub(super) fn list(self: &Arc<Self>, origin: Origin, meter: &Meter, token: CancellationToken) -> Listed {
        self.list_part(origin, &meter.counters, &meter.datagrams, OnceLock::new(), token)
    }

    /// Lists a flow to a destination that its client has named.
    pub(super) fn list_flow(self: &Arc<Self>, origin: Origin, to: Arc<NamedPlace>, token: CancellationToken) -> Listed {
        let (counters, datagrams) = (Arc::clone(&to.counters), Arc::clone(&to.datagrams));
        self.list_part(origin, &counters, &datagrams, to.into(), token)
    }

    /// Returns the destination at an address, which a client names.
    pub(super) fn name(&self, address: &Address, meter: &Meter) -> Arc<NamedPlace> {
        self.destinations.named(address, meter, || self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn list_part(
        self: &Arc<Self>,
        origin: Origin,
        counters: &Arc<Counters>,
        datagrams: &Arc<DatagramMeter>,
        to: OnceLock<Arc<NamedPlace>>,
        token: CancellationToken,
    ) -> Listed {
        let is_flow = matches!(origin, Origin::Flow { .. });
        let connection = Arc::new(OpenConnection {
            origin,
            since: Utc::now(),
            counters: Arc::new(Counters::part_of(Arc::clone(counters))),
            datagrams: is_flow.then(|| Arc::new(DatagramMeter::part_of(Arc::clone(datagrams)))),
            token,
            has_stream: AtomicBool::new(false),
            to,
            program: OnceLock::new(),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Arc::clone(&connection));
        Listed { connections: Arc::clone(self), id, connection }
    }

    /// Ends a connection, if it is still open, or all connections to a destination.
    pub(super) fn end(&self, id: ConnectionId) {
        for (_, connection) in self.lock().iter().filter(|(own, open)| **own == id.0 || open.is_to(id)) {
            connection.token.cancel();
        }
    }

    /// Returns the destinations that clients of a proxy target have named.
    pub(super) fn destinations(&self) -> Vec<Connection> {
        let open: Vec<_> = self.lock().values().cloned().collect();
        self.destinations.rows(|id| open.iter().filter(|connection| connection.is_to(id)).count())
    }

    /// Returns the open connections with their local programs. Reads files of every process if a program has not been
    /// looked for yet: not for a thread that moves bytes.
    pub(super) fn look(&self) -> Vec<Connection> {
        let open: Vec<_> = self.lock().iter().map(|(id, connection)| (*id, Arc::clone(connection))).collect();
        find_programs(open.iter().map(|(_, connection)| &**connection).filter(|one| one.program.get().is_none()));
        let shown = |(id, connection): (u64, Arc<OpenConnection>)| Connection {
            id: ConnectionId(id),
            from: match connection.origin {
                Origin::Port { theirs, .. } | Origin::Flow { theirs, .. } => Some(theirs),
                Origin::Socket { .. } => None,
            },
            program: connection.program.get().cloned().flatten(),
            since: connection.since,
            up: connection.counters.up.load(Ordering::Relaxed),
            down: connection.counters.down.load(Ordering::Relaxed),
            state: if connection.has_stream.load(Ordering::Relaxed) {
                ConnectionState::Open
            } else {
                ConnectionState::Waiting
            },
            datagrams: connection.datagrams.as_ref().map(|datagrams| datagrams.totals()),
            to: None,
        };
        open.into_iter().map(shown).collect()
    }
}

/// Looks for the programs of connections, all in one go.
fn find_programs<'a>(connections: impl Iterator<Item = &'a OpenConnection>) {
    let mut sockets: Vec<(&OpenConnection, u64)> = Vec::new();
    for connection in connections {
        let user = match connection.origin {
            Origin::Port { ours, theirs } => peer_user(ours, theirs),
            Origin::Flow { ours, theirs } => udp_peer_user(ours, theirs),
            Origin::Socket { pid, .. } => {
                connection.program.get_or_init(|| pid.map(port_owner::program));
                continue;
            }
        };
        match user {
            PeerUser::Known { inode: inode @ 1.., .. } => sockets.push((connection, inode.into())),
            PeerUser::Known { inode: 0, .. } | PeerUser::Unknown | PeerUser::Unsupported => {
                connection.program.get_or_init(|| None);
            }
        }
    }
    let inodes: HashSet<u64> = sockets.iter().map(|(_, inode)| *inode).collect();
    let programs = if inodes.is_empty() { HashMap::new() } else { port_owner::programs(&inodes) };
    for (connection, inode) in sockets {
        connection.program.get_or_init(|| programs.get(&inode).cloned());
    }
}
