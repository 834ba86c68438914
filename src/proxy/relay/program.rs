//! The program of our own relay, and how a pod comes by it.

use std::io::{self, Read as _};

use flate2::read::GzDecoder;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::handshake::{RelayError, read_line, send};

/// Digits of the length that goes ahead of the program.
pub(super) const SIZE_LENGTH: usize = 8;

/// The answer of a pod that is set to run socat.
pub(super) const OFF: &str = "off";

/// The most bytes that a program unpacks to.
const MOST: u64 = 512 * 1024;

/// The lines of `sha256sum` about the programs, unpacked.
const SUMS: &str = include_str!("../../../crates/brow-relay/programs/SHA256SUMS");

/// The programs by what `uname -m` says, with gzip: built by `crates/brow-relay/programs/build`.
pub(super) const PROGRAMS: [(&str, &[u8]); 2] = [
    ("x86_64", include_bytes!("../../../crates/brow-relay/programs/x86_64.gz")),
    ("aarch64", include_bytes!("../../../crates/brow-relay/programs/aarch64.gz")),
];

/// Returns the names of the programs in pods, in the form that the script takes apart.
pub(super) fn names() -> String {
    let sum = |machine: &str| SUMS.lines().find_map(|line| line.strip_suffix(machine)).unwrap_or_default().trim();
    PROGRAMS.map(|(machine, _)| sum(machine)).join(":")
}

/// Starts our own relay in a pod, on a stream with this request ([`RelayRequest::Start`](super::RelayRequest::Start)).
/// The program is sent to a pod that does not keep it yet.
///
/// # Errors
/// [`RelayError::Off`], or [`RelayError::Unable`] with the reason.
pub async fn load<S, E>(stream: &mut S) -> Result<(), RelayError<E>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match asked(stream).await?.as_str() {
        "run" => Ok(()),
        said => Err(RelayError::Unable(said.to_owned())),
    }
}

/// Sends the program if it is asked for, and returns the last answer.
async fn asked<S, E>(stream: &mut S) -> Result<String, RelayError<E>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut said = answer(stream).await?;
    if let Some(machine) = said.strip_prefix("load ") {
        let program = unpacked(machine).ok_or_else(|| RelayError::Unable(format!("no relay for {machine}")))?;
        let bytes = program?;
        send(stream, &format!("{:0SIZE_LENGTH$}", bytes.len())).await?;
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        said = answer(stream).await?;
    }
    if said == OFF { Err(RelayError::Off) } else { Ok(said) }
}

/// Starts our own relay on a port of a pod, on a stream with this request
/// ([`RelayRequest::Listen`](super::RelayRequest::Listen)), unless it does already. Returns the port.
///
/// # Errors
/// Those of [`load`].
pub async fn listen<S, E>(stream: &mut S) -> Result<u16, RelayError<E>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let said = asked(stream).await?;
    said.parse().map_err(|_| RelayError::Unable(said))
}

/// Reads the script's next answer. A stream that ends without one means that the program does not run: a node may end a
/// stream with what is on its way.
async fn answer<S: AsyncRead + Unpin, E>(stream: &mut S) -> Result<String, RelayError<E>> {
    read_line(stream).await.map_err(|error| match error {
        RelayError::Silent => RelayError::Unable("it ended without an answer".to_owned()),
        error => error,
    })
}

/// Unpacks the program for a machine, if there is one.
pub(super) fn unpacked(machine: &str) -> Option<io::Result<Vec<u8>>> {
    let (_, packed) = PROGRAMS.into_iter().find(|program| program.0 == machine)?;
    let mut bytes = Vec::new();
    Some(GzDecoder::new(packed).take(MOST).read_to_end(&mut bytes).map(|_| bytes))
}
