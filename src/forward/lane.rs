//! Lanes: a port of the relay's own for one address, so that a connection needs no questions.
//!
//! To prove to a relay, and have it prove, that both know the pod's secret takes a round trip and some programs in the
//! pod. So it is asked once, by a stream that stays open, to listen on a port of the pod's loopback for one address;
//! connections are forwarded to that port, each with a word that only this stream told it. The port is gone when the
//! stream ends. Where a tunnel carries one stream only, each is asked for as the lane is.
//!
//! By its own stream a lane tells which connections the target has reset: the way of their bytes does not. It says so
//! before it ends them, and the node tells of an end a second later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use brow_model::fault::What;
use kube_tunnel::{Error, Lease, Protocol, Stream};

/// Streams held opened ahead at a relay or its lane, so that a connection finds the relay's shell already started.
/// Each has a tunnel to itself: more would cost the API server connections that mostly idle.
const SPARES: usize = 2;

/// How long a relay may take to begin to listen.
const BEGINNING: Duration = Duration::from_secs(5);

/// What a relay may say before it tells its port, and the longest line that it may say, in bytes.
const FOREWORD: usize = 4_096;

/// The lane through a relay, or that there is none now.
#[derive(Debug, Default)]
pub struct Lane {
    open: Mutex<Option<Arc<Open>>>,
    lost: Notify,
}

/// A lane that is open: for as long as it is the lane, and for as long as a connection goes by it.
#[derive(Debug)]
struct Open {
    port: u16,
    /// What each connection to it begins with, before its number.
    word: Bytes,
    visits: Visits,
    /// Reads what the relay says of them.
    _reader: Option<AbortOnDropHandle<()>>,
}

/// The connections that go by a lane, and how the relay says that they broke.
type Visits = Arc<Mutex<HashMap<u32, Option<Break>>>>;

/// What was wrong with a connection, and in whose words.
type Break = (What, String);

/// One connection's way through a lane.
#[derive(Debug)]
pub struct Visit {
    open: Arc<Open>,
    number: u32,
}

impl Visit {
    fn new(open: Arc<Open>) -> Self {
        let mut visits = lock(&open.visits);
        let mut number = rand::random();
        while visits.contains_key(&number) {
            number = rand::random();
        }
        visits.insert(number, None);
        drop(visits);
        Self { open, number }
    }

    /// The port of the pod that the lane is.
    pub fn port(&self) -> u16 {
        self.open.port
    }

    /// What the connection has to begin with.
    pub fn first_line(&self) -> Bytes {
        [&self.open.word[..], format!("{:08x}", self.number).as_bytes()].concat().into()
    }

    /// How the target's side broke, as far as the relay has told: an end of the stream is in order only without that.
    pub fn broke(&self) -> Option<Break> {
        lock(&self.open.visits).get(&self.number).cloned().flatten()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        lock(&self.open.visits).remove(&self.number);
    }
}

impl Lane {
    /// The port of the pod that the lane is, while there is one.
    pub fn port(&self) -> Option<u16> {
        lock(&self.open).as_ref().map(|open| open.port)
    }

    /// A connection's way through it, while there is one.
    pub fn visit(&self) -> Option<Visit> {
        lock(&self.open).clone().map(Visit::new)
    }

    /// `port` is the lane from now on, for whoever begins with `word`.
    pub fn open(&self, port: u16, word: Bytes) {
        self.set(Some(Open { port, word, visits: Visits::default(), _reader: None }));
    }

    fn set(&self, open: Option<Open>) -> bool {
        std::mem::replace(&mut *lock(&self.open), open.map(Arc::new)).is_some()
    }

    /// Waits until the lane of that port is lost.
    async fn lost(&self, port: u16) {
        while self.port() == Some(port) {
            self.lost.notified().await;
        }
    }

    /// Nobody listens at `port` any more: whoever keeps the lane asks for another, unless that has been done.
    pub fn lose(&self, port: u16) {
        let was = lock(&self.open).take_if(|open| open.port == port);
        if was.is_some() {
            self.lost.notify_one();
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes out of the relay's words what a lane is kept by.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The port of the lane.
    pub port: fn(&[u8]) -> Option<u16>,
    /// Which connection broke, of a line, and how.
    pub broke: fn(&str) -> Option<(u32, What, String)>,
}

/// How a lane ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was open; another can be had.
    Open,
    /// The relay could not be asked; it can be tried again.
    Unasked,
    /// There are no lanes here: the relay knows none, or a tunnel carries one stream only.
    Never,
}

/// Keeps a lane open until it ends, is lost, or is held up by what else its tunnel carries. `asked`: a stream on which
/// the relay was asked for it, for whoever begins with `word`.
pub async fn keep(
    lease: &Lease,
    asked: impl Future<Output = Result<Stream, Error>>,
    word: Bytes,
    reading: Reading,
    lane: &Lane,
) -> Ended {
    let ended = open(lease, asked, word, reading, lane).await;
    let was_open = lane.set(None);
    lease.hold_spares(SPARES);
    match ended {
        Err(_) if !was_open => Ended::Unasked,
        Ok(Ended::Never) if !was_open => Ended::Never,
        Ok(_) | Err(_) => Ended::Open,
    }
}

async fn open(
    lease: &Lease,
    asked: impl Future<Output = Result<Stream, Error>>,
    word: Bytes,
    reading: Reading,
    lane: &Lane,
) -> Result<Ended, Error> {
    let mut stream = asked.await?;
    if lease.protocol() == Some(Protocol::V4) {
        return Ok(Ended::Never);
    }
    let mut said = Vec::new();
    let begun = timeout(BEGINNING, async {
        while said.len() < FOREWORD && stream.read_buf(&mut said).await.map_err(Error::from_io)? > 0 {
            if let Some(found) = (reading.port)(&said) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    });
    let silent = |_| Error::TunnelLost { text: "the relay did not tell of a lane in time".to_owned() };
    let Some(found) = begun.await.map_err(silent)?? else { return Ok(Ended::Never) };
    stream.set_aside(true);
    let (held_up, visits) = (stream.held_up(), Visits::default());
    let (reads, ended) = oneshot::channel::<()>();
    let told = Arc::clone(&visits);
    let reader = AbortOnDropHandle::new(tokio::spawn(async move {
        let _reads = reads;
        read_on(stream, reading, &told).await;
    }));
    lane.set(Some(Open { port: found, word, visits, _reader: Some(reader) }));
    lease.hold_spares_at(found, SPARES);
    tokio::select! {
        _ = ended => {}
        () = held_up => lane.lose(found),
        () = lane.lost(found) => {}
    }
    Ok(Ended::Open)
}

/// Reads what the relay says of each connection until it says no more: unread, that would hold it up in the end.
async fn read_on(mut stream: Stream, reading: Reading, visits: &Visits) {
    let mut said = Vec::new();
    while matches!(stream.read_buf(&mut said).await, Ok(1..)) {
        while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = said.drain(..=end).collect();
            let broke = (reading.broke)(String::from_utf8_lossy(&line).trim_end());
            if let Some((number, what, words)) = broke
                && let Some(visit) = lock(visits).get_mut(&number)
            {
                *visit = Some((what, words));
            }
        }
        if said.len() > FOREWORD {
            said.clear();
        }
    }
}
