//! Lanes: a port of the relay's own for one address, so that a connection needs no questions.
//!
//! To prove to a relay, and have it prove, that both know the pod's secret takes a round trip and some programs in the
//! pod. So it is asked once, by a stream that stays open, to listen on a port of the pod's loopback for one address;
//! connections are forwarded to that port, each with a word that only this stream told it. The port is gone when the
//! stream ends. Where a tunnel carries one stream only, each is asked for as the lane is.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use kube_tunnel::{Error, Lease, Protocol, Stream};

/// Streams held opened ahead at a relay or its lane, so that a connection finds the relay's shell already started.
/// Each has a tunnel to itself: more would cost the API server connections that mostly idle.
const SPARES: usize = 2;

/// How long a relay may take to begin to listen.
const BEGINNING: Duration = Duration::from_secs(5);

/// What a relay may say before it tells its port, in bytes.
const FOREWORD: usize = 4_096;

/// How long a lane that new connections no longer take is kept for those that are on their way through it.
const PASSING: Duration = Duration::from_secs(1);

/// The lane through a relay, or that there is none now.
#[derive(Debug, Default)]
pub struct Lane {
    /// Its port, and the word that each connection to it begins with.
    entry: Mutex<Option<(u16, Bytes)>>,
    lost: Notify,
}

impl Lane {
    /// The port of the pod that the lane is, while there is one.
    pub fn port(&self) -> Option<u16> {
        self.entry().map(|(port, _)| port)
    }

    /// Its port, and the word that a connection to it begins with.
    pub fn entry(&self) -> Option<(u16, Bytes)> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `port` is the lane from now on, for whoever begins with `word`.
    pub fn open(&self, port: u16, word: Bytes) {
        self.set(Some((port, word)));
    }

    fn set(&self, entry: Option<(u16, Bytes)>) -> bool {
        std::mem::replace(&mut *self.entry.lock().unwrap_or_else(PoisonError::into_inner), entry).is_some()
    }

    /// Waits until the lane of that port is lost.
    async fn lost(&self, port: u16) {
        while self.port() == Some(port) {
            self.lost.notified().await;
        }
    }

    /// Nobody listens at `port` any more: whoever keeps the lane asks for another, unless that has been done.
    pub fn lose(&self, port: u16) {
        let was = self.entry.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(open, _)| *open == port);
        if was.is_some() {
            self.lost.notify_one();
        }
    }
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
/// the relay was asked for it, for whoever begins with `word`; `read` takes the port out of the relay's words.
pub async fn keep(
    lease: &Lease,
    asked: impl Future<Output = Result<Stream, Error>>,
    word: Bytes,
    read: fn(&[u8]) -> Option<u16>,
    lane: &Lane,
) -> Ended {
    let ended = open(lease, asked, word, read, lane).await;
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
    read: fn(&[u8]) -> Option<u16>,
    lane: &Lane,
) -> Result<Ended, Error> {
    let mut stream = asked.await?;
    if lease.protocol() == Some(Protocol::V4) {
        return Ok(Ended::Never);
    }
    let mut said = Vec::new();
    let begun = timeout(BEGINNING, async {
        while said.len() < FOREWORD && stream.read_buf(&mut said).await.map_err(Error::from_io)? > 0 {
            if let Some(found) = read(&said) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    });
    let silent = |_| Error::TunnelLost { text: "the relay did not tell of a lane in time".to_owned() };
    let Some(found) = begun.await.map_err(silent)?? else { return Ok(Ended::Never) };
    stream.set_aside(true);
    lane.open(found, word);
    lease.hold_spares_at(found, SPARES);
    // The relay goes on to tell of each connection; unread, that would hold it up in the end.
    let mut held_up = pin!(stream.held_up());
    let mut scrap = [0; 4_096];
    loop {
        tokio::select! {
            read = stream.read(&mut scrap) => if read.map_err(Error::from_io)? == 0 {
                return Ok(Ended::Open);
            },
            () = &mut held_up => {
                lane.lose(found);
                sleep(PASSING).await;
                return Ok(Ended::Open);
            }
            () = lane.lost(found) => return Ok(Ended::Open),
        }
    }
}
