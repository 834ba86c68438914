//! Lanes: a port of the relay's own for one address, so that a connection costs the pod a fork and no new program.
//!
//! Starting a shell and then socat for each connection takes some 3 ms. So the relay is asked, by a stream that stays
//! open, to listen on a port of the pod's loopback for one address; connections are forwarded to that port. The port
//! is gone when the stream ends. Where a relay knows no lanes, each stream begins with the address as before.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::tunnel::{Error, Lease, Protocol};

/// Streams held opened ahead at a relay without a lane, so that a connection finds the relay's shell already started.
/// Each has a tunnel to itself: more would cost the API server connections that mostly idle.
const SPARES: usize = 2;

/// How long a relay may take to begin to listen.
const BEGINNING: Duration = Duration::from_secs(5);

/// What a relay may say before it tells its port, in bytes.
const FOREWORD: usize = 4_096;

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

/// Opens a lane with `line` and keeps it open until it ends. While it is there `port` is its port, else 0. `read` takes
/// the port out of the relay's words.
pub async fn keep(lease: &Lease, line: &Bytes, read: fn(&[u8]) -> Option<u16>, port: &AtomicU16) -> Ended {
    let ended = open(lease, line, read, port).await;
    let was_open = port.swap(0, Ordering::Relaxed) != 0;
    lease.hold_spares(SPARES);
    match ended {
        Err(_) if !was_open => Ended::Unasked,
        Ok(Ended::Never) if !was_open => Ended::Never,
        Ok(_) | Err(_) => Ended::Open,
    }
}

async fn open(lease: &Lease, line: &Bytes, read: fn(&[u8]) -> Option<u16>, port: &AtomicU16) -> Result<Ended, Error> {
    let mut stream = lease.open().await?;
    if lease.protocol() == Some(Protocol::V4) {
        return Ok(Ended::Never);
    }
    stream.write_all(line).await.map_err(Error::from_io)?;
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
    port.store(found, Ordering::Relaxed);
    lease.hold_spares(0);
    // The relay goes on to tell of each connection; unread, that would hold it up.
    let mut scrap = [0; 4_096];
    while stream.read(&mut scrap).await.map_err(Error::from_io)? > 0 {}
    Ok(Ended::Open)
}
