//! Lanes: ports of a relay that are reserved for one address, so that a connection there needs no handshake.
//!
//! The handshake with a relay takes a round trip and starts some programs in the pod. So a relay is asked once, on a
//! stream that stays open, to listen on a port of the pod's loopback for one address. Connections are forwarded to that
//! port, and each begins with a secret word that was agreed on over that stream. The relay closes the port when the
//! stream ends. If a tunnel carries one stream only, every connection has a handshake of its own.
//!
//! The relay reports connections that the target has reset on the lane's stream, since their own bytes cannot tell. It
//! does so before it ends them, and the node reports an end only a second later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use brow_model::fault::What;
use kube_tunnel::{Error, Lease, Protocol, Stream};

/// Spare streams kept open to a relay or its lane, so that the relay's shell has already started when a connection
/// comes. Each has a tunnel to itself: more would cost the API server connections that mostly idle.
const SPARES: usize = 2;

/// The timeout for a relay to listen on a lane.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes that a relay may send before it tells its port, and in one line.
const MAX_PREAMBLE: usize = 4_096;

/// The current lane through a relay, if any.
#[derive(Debug, Default)]
pub struct Lane {
    open: Mutex<Option<Arc<Open>>>,
    lost: Notify,
}

/// An open lane. It lives as long as it is the current one or has connections.
#[derive(Debug)]
struct Open {
    port: u16,
    /// The secret word that each connection begins with, followed by its number.
    word: Bytes,
    connections: LaneConnections,
    /// Reads the relay's reports of failed connections.
    _reader: Option<AbortOnDropHandle<()>>,
}

/// The connections of a lane by their numbers, with the failures that the relay has reported.
type LaneConnections = Arc<Mutex<HashMap<u32, Option<Failure>>>>;

/// The kind of a failure, and its message.
type Failure = (What, String);

/// A connection that is registered with a lane.
#[derive(Debug)]
pub struct LaneConnection {
    open: Arc<Open>,
    number: u32,
}

impl LaneConnection {
    fn new(open: Arc<Open>) -> Self {
        let mut connections = open.connections.lock();
        let mut number = rand::random();
        while connections.contains_key(&number) {
            number = rand::random();
        }
        connections.insert(number, None);
        drop(connections);
        Self { open, number }
    }

    /// Returns the lane's port in the pod.
    pub fn port(&self) -> u16 {
        self.open.port
    }

    /// Returns the bytes that the connection has to begin with: the lane's word and the connection's number.
    pub fn first_line(&self) -> Bytes {
        [&self.open.word[..], format!("{:08x}", self.number).as_bytes()].concat().into()
    }

    /// Returns the failure of the target's side, if the relay has reported one. Without it, an end of the stream is in
    /// order.
    pub fn failure(&self) -> Option<Failure> {
        self.open.connections.lock().get(&self.number).cloned().flatten()
    }
}

impl Drop for LaneConnection {
    fn drop(&mut self) {
        self.open.connections.lock().remove(&self.number);
    }
}

impl Lane {
    /// Returns the lane's port in the pod, if a lane is open.
    pub fn port(&self) -> Option<u16> {
        self.open.lock().as_ref().map(|open| open.port)
    }

    /// Registers a connection, if a lane is open.
    pub fn connection(&self) -> Option<LaneConnection> {
        self.open.lock().clone().map(LaneConnection::new)
    }

    /// Makes `port` the lane, for connections that begin with `word`.
    pub fn open(&self, port: u16, word: Bytes) {
        self.set(Some(Open { port, word, connections: LaneConnections::default(), _reader: None }));
    }

    fn set(&self, open: Option<Open>) -> bool {
        std::mem::replace(&mut *self.open.lock(), open.map(Arc::new)).is_some()
    }

    /// Waits until the lane at that port is discarded or replaced.
    async fn lost(&self, port: u16) {
        while self.port() == Some(port) {
            self.lost.notified().await;
        }
    }

    /// Discards the lane at `port`, on which nothing listens any more. The task that keeps the lane then opens another.
    pub fn discard(&self, port: u16) {
        let was = self.open.lock().take_if(|open| open.port == port);
        if was.is_some() {
            self.lost.notify_one();
        }
    }
}

/// Parses what a relay writes on the stream of a lane.
#[derive(Debug, Clone, Copy)]
pub struct LaneParser {
    /// Returns the port of the lane, once the bytes contain it.
    pub port: fn(&[u8]) -> Option<u16>,
    /// Returns the number and the failure of the connection that a line reports.
    pub failure: fn(&str) -> Option<(u32, What, String)>,
}

/// The reason why a lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneEnd {
    /// It was open; another can be opened.
    Closed,
    /// The request to the relay failed; it can be retried.
    Unavailable,
    /// There are no lanes here: the relay does not offer them, or a tunnel carries one stream only.
    Unsupported,
}

/// Keeps a lane open until it ends, is discarded, or is held up by other streams on its tunnel. `asked` opens a stream
/// on which the relay was asked for a lane, for connections that begin with `word`.
pub async fn keep(
    lease: &Lease,
    asked: impl Future<Output = Result<Stream, Error>>,
    word: Bytes,
    parser: LaneParser,
    lane: &Lane,
) -> LaneEnd {
    let ended = open(lease, asked, word, parser, lane).await;
    let was_open = lane.set(None);
    lease.hold_spares(SPARES);
    match ended {
        Err(_) if !was_open => LaneEnd::Unavailable,
        Ok(LaneEnd::Unsupported) if !was_open => LaneEnd::Unsupported,
        Ok(_) | Err(_) => LaneEnd::Closed,
    }
}

async fn open(
    lease: &Lease,
    asked: impl Future<Output = Result<Stream, Error>>,
    word: Bytes,
    parser: LaneParser,
    lane: &Lane,
) -> Result<LaneEnd, Error> {
    let mut stream = asked.await?;
    if lease.protocol() == Some(Protocol::V4) {
        return Ok(LaneEnd::Unsupported);
    }
    let mut said = Vec::new();
    let begun = timeout(LISTEN_TIMEOUT, async {
        while said.len() < MAX_PREAMBLE && stream.read_buf(&mut said).await.map_err(Error::from_io)? > 0 {
            if let Some(found) = (parser.port)(&said) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    });
    let silent = |_| Error::TunnelLost { text: "the relay did not tell of a lane in time".to_owned() };
    let Some(found) = begun.await.map_err(silent)?? else { return Ok(LaneEnd::Unsupported) };
    stream.set_aside(true);
    let (held_up, connections) = (stream.held_up(), LaneConnections::default());
    let (reads, ended) = oneshot::channel::<()>();
    let told = Arc::clone(&connections);
    let reader = AbortOnDropHandle::new(tokio::spawn(async move {
        let _reads = reads;
        read_failures(stream, parser, &told).await;
    }));
    lane.set(Some(Open { port: found, word, connections, _reader: Some(reader) }));
    lease.hold_spares_at(found, SPARES);
    tokio::select! {
        _ = ended => {}
        () = held_up => lane.discard(found),
        () = lane.lost(found) => {}
    }
    Ok(LaneEnd::Closed)
}

/// Reads the relay's reports of failed connections until the stream ends. Unread, they would block the relay in the
/// end.
async fn read_failures(mut stream: Stream, parser: LaneParser, connections: &LaneConnections) {
    let mut said = Vec::new();
    while matches!(stream.read_buf(&mut said).await, Ok(1..)) {
        while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = said.drain(..=end).collect();
            let failure = (parser.failure)(String::from_utf8_lossy(&line).trim_end());
            if let Some((number, what, words)) = failure
                && let Some(connection) = connections.lock().get_mut(&number)
            {
                *connection = Some((what, words));
            }
        }
        if said.len() > MAX_PREAMBLE {
            said.clear();
        }
    }
}
