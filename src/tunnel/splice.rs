//! Moves bytes between a local socket and a stream.

use std::time::Instant;

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Counters, Error, Stream, Summary};

const BUFFER: usize = 64 * 1024;

/// Moves bytes both ways between `local` and `stream` until both directions have ended. `first_line` is sent ahead and
/// counts in no meter: it is the address line of a relay.
///
/// # Errors
/// The pod's refusal, a reset, a lost tunnel, or a failure of the local socket. The local socket is reset then, so that
/// the local program does not mistake a failure for an orderly end.
pub async fn splice(
    local: TcpStream,
    stream: Stream,
    first_line: Option<Bytes>,
    counters: &Counters,
) -> Result<Summary, Error> {
    let _open = counters.enter();
    let started = Instant::now();
    let (mut local_read, mut local_write) = local.into_split();
    let (mut pod_read, mut pod_write) = tokio::io::split(stream);
    let mut summary = Summary::default();
    let (up, down, first_byte) = (&mut summary.up, &mut summary.down, &mut summary.first_byte);
    let upward = async {
        if let Some(line) = first_line {
            pod_write.write_all(&line).await.map_err(Error::from_io)?;
        }
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = local_read.read(&mut buffer).await.map_err(Error::from_io)?;
            if count == 0 {
                // The pod's side is not told: the node would cut its answer off a second later.
                return std::future::pending::<Result<(), Error>>().await;
            }
            pod_write.write_all(&buffer[..count]).await.map_err(Error::from_io)?;
            counters.add_up(count);
            *up += count as u64;
        }
    };
    let downward = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = pod_read.read(&mut buffer).await.map_err(Error::from_io)?;
            if count == 0 {
                return local_write.shutdown().await.map_err(Error::from_io);
            }
            first_byte.get_or_insert_with(|| started.elapsed());
            local_write.write_all(&buffer[..count]).await.map_err(Error::from_io)?;
            counters.add_down(count);
            *down += count as u64;
        }
    };
    tokio::select! {
        ended = upward => ended?,
        ended = downward => ended?,
    }
    Ok(summary)
}
