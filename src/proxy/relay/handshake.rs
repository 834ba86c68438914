//! The handshake with a relay: each side proves that it knows the pod's secret before anything else is sent.

use std::fmt;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{FULL, NONCE_LENGTH, REQUEST_LENGTH, SECRET_LENGTH, WORD_LENGTH, program};
use brow_model::address::{Address, Transport};
use brow_model::installation::Installation;

/// The secret that only a pod's relay and the installation that made the pod know. Rights to read the pod or to forward
/// to it do not reveal it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Derives the secret of a pod, which is the same in every instance of the installation.
    pub fn new(installation: &Installation, namespace: &str, pod: &str) -> Self {
        Self(hex(&installation.derive("relay", &format!("{namespace}/{pod}"))))
    }

    /// Returns the secret in hex.
    #[cfg(test)]
    pub(super) fn words(&self) -> &str {
        &self.0
    }

    /// Returns the key of our own relay.
    pub fn key(&self) -> [u8; SECRET_LENGTH / 2] {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut key = [0; SECRET_LENGTH / 2];
        for (byte, pair) in key.iter_mut().zip(self.0.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0]).unwrap_or_default() << 4 | digit(pair[1]).unwrap_or_default();
        }
        key
    }

    /// Returns the hash, which may be public.
    pub(super) fn hash(&self) -> String {
        sha256(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Creates the random word with which connections to a lane begin.
pub fn new_word() -> Bytes {
    hex(&rand::random::<[u8; WORD_LENGTH / 2]>()).into()
}

#[derive(Debug, Clone, Copy)]
pub enum RelayRequest<'a> {
    /// Connect the stream to an address.
    Connect(&'a Address),
    /// Try to connect to an address, and report the result.
    Diagnose(&'a Address),
    /// Open a lane to an address, for connections that begin with this word.
    Lane(&'a Address, &'a Bytes),
    /// Carry datagrams to an address, as [`frame`](super::frame) and [`Dump`](super::Dump) have them.
    Datagrams(&'a Address),
    /// Hand the stream over to our own relay; [`load`](super::load()) goes on.
    Start,
    /// Have our own relay listen for the API server; [`listen`](super::listen()) goes on.
    Listen,
}

/// The reason why a request could not be sent to a relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError<E> {
    /// The pod could not be confirmed, so it is not given the secret.
    #[error("{0}")]
    Unconfirmed(E),
    /// It does not know the secret.
    #[error("the pod's relay does not know the secret of a pod that this installation made")]
    WrongSecret,
    /// It has as many connections as its memory allows.
    #[error("{FULL}")]
    Full,
    /// It ended the stream without an answer.
    #[error(
        "the pod's relay does not speak as one of this version does: renew the pod if an older version made it; its \
         image needs dd and sha256sum"
    )]
    Silent,
    /// The pod is set to run socat, not our own relay.
    #[error("the config has this pod run socat")]
    Off,
    /// The pod cannot run our own relay.
    #[error("{0}")]
    Unable(String),
    /// The stream failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Sends a request to the relay at the other end of a stream. The address is sent only after the relay has proved that
/// it knows the secret.
///
/// A new relay waits for its secret. `confirm` checks that the pod is the expected one, after the stream is open: the
/// stream stays with the pod that it was opened to, even if another pod takes its name.
///
/// # Errors
/// See [`RelayError`].
pub async fn request<S, E>(
    stream: &mut S,
    secret: &Secret,
    request: RelayRequest<'_>,
    confirm: impl Future<Output = Result<(), E>>,
) -> Result<(), RelayError<E>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Secret(secret) = secret;
    let nonce = hex(&rand::random::<[u8; NONCE_LENGTH / 2]>());
    // The relays of older versions take it for an address, which it is not, and hang up.
    send(stream, &format!("{nonce}\n")).await?;
    let mut line = read_line(stream).await?;
    if line == "full" {
        return Err(RelayError::Full);
    }
    if line == "new" {
        confirm.await.map_err(RelayError::Unconfirmed)?;
        send(stream, secret).await?;
        line = read_line(stream).await?;
    }
    if line != sha256(&format!("{nonce}{secret}")) {
        return Err(RelayError::WrongSecret);
    }
    let words = match request {
        RelayRequest::Connect(address) => format!("- ={address}"),
        RelayRequest::Diagnose(address) => format!("- ?{address}"),
        RelayRequest::Lane(address, word) => format!("{} +{address}", String::from_utf8_lossy(word)),
        RelayRequest::Datagrams(address) => {
            format!("- ~{}", Address { transport: Transport::Tcp, ..address.clone() })
        }
        RelayRequest::Start => format!("- !{}", program::names()),
        RelayRequest::Listen => format!("- ^{}", program::names()),
    };
    send(stream, &format!("{:<REQUEST_LENGTH$}", format!("{secret} {words}"))).await?;
    Ok(())
}

pub(super) async fn send<S: AsyncWrite + Unpin>(stream: &mut S, words: &str) -> io::Result<()> {
    stream.write_all(words.as_bytes()).await?;
    stream.flush().await
}

/// Reads a line from the relay, which sends no more until it gets an answer.
pub(super) async fn read_line<S: AsyncRead + Unpin, E>(stream: &mut S) -> Result<String, RelayError<E>> {
    /// The longest line in bytes: more than any has.
    const MAX_LINE: usize = 256;
    let mut line = Vec::new();
    while line.len() < MAX_LINE && !line.ends_with(b"\n") {
        if stream.read_buf(&mut line).await? == 0 {
            return Err(RelayError::Silent);
        }
    }
    let line = String::from_utf8(line).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(line.trim_end_matches('\n').to_owned())
}

/// SHA-256 of a text, in hex, as `sha256sum` tells it.
fn sha256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
