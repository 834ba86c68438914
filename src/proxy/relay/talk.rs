//! How a relay is spoken to: each side shows that it knows the pod's secret before anything else is said.

use std::fmt;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{NONCE, RECORD, WORD};
use brow_model::address::Address;
use brow_model::installation::Installation;

/// What a pod's relay and the installation that made the pod know, and nobody else: not who may read the pod or forward
/// to it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The secret of a pod: the same in every instance of the installation.
    pub fn new(installation: &Installation, namespace: &str, pod: &str) -> Self {
        Self(hex(&installation.derive("relay", &format!("{namespace}/{pod}"))))
    }

    /// The secret itself, in hex.
    #[cfg(test)]
    pub(super) fn words(&self) -> &str {
        &self.0
    }

    /// What may be told of it.
    pub(super) fn hash(&self) -> String {
        sha256(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Draws the word that a connection to a lane begins with.
pub fn new_word() -> Bytes {
    hex(&rand::random::<[u8; WORD / 2]>()).into()
}

/// What a relay is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// To pass the stream on to an address.
    Go(&'a Address),
    /// To try to connect to an address, and tell how that goes.
    Diagnose(&'a Address),
    /// For a lane to an address, for those who begin with this word.
    Lane(&'a Address, &'a Bytes),
}

/// Why a relay was not asked.
#[derive(Debug, thiserror::Error)]
pub enum Refusal<E> {
    /// It is not to be given the secret.
    #[error("{0}")]
    Unconfirmed(E),
    /// It does not know the secret.
    #[error("the pod's relay does not know the secret of a pod that this installation made")]
    Stranger,
    /// It ended the stream without a word.
    #[error(
        "the pod's relay does not speak as one of this version does: renew the pod if an older version made it; its \
         image needs dd and sha256sum"
    )]
    Silent,
    /// The way there failed.
    #[error("{0}")]
    Way(#[from] io::Error),
}

/// Asks the relay at the other end of a stream. Nothing is said of the address to one that does not know the secret.
///
/// A new one waits for its secret. Whether it is the pod that it seems to be is asked of `confirm`, once the stream is
/// open: it stays with the pod that it was opened to, whatever takes the pod's name later.
///
/// # Errors
/// See [`Refusal`].
pub async fn ask<S, E>(
    stream: &mut S,
    secret: &Secret,
    ask: Ask<'_>,
    confirm: impl Future<Output = Result<(), E>>,
) -> Result<(), Refusal<E>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Secret(secret) = secret;
    let nonce = hex(&rand::random::<[u8; NONCE / 2]>());
    // The relays of older versions take it for an address, which it is not, and hang up.
    say(stream, &format!("{nonce}\n")).await?;
    let mut said = read_line(stream).await?;
    if said == "new" {
        confirm.await.map_err(Refusal::Unconfirmed)?;
        say(stream, secret).await?;
        said = read_line(stream).await?;
    }
    if said != sha256(&format!("{nonce}{secret}")) {
        return Err(Refusal::Stranger);
    }
    let (mark, address, word) = match ask {
        Ask::Go(address) => ('=', address, None),
        Ask::Diagnose(address) => ('?', address, None),
        Ask::Lane(address, word) => ('+', address, Some(word)),
    };
    let word = word.map_or_else(|| "-".into(), |word| String::from_utf8_lossy(word));
    say(stream, &format!("{:<RECORD$}", format!("{secret} {word} {mark}{address}"))).await?;
    Ok(())
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, words: &str) -> io::Result<()> {
    stream.write_all(words.as_bytes()).await?;
    stream.flush().await
}

/// The line that a relay says; it says no more until it is asked.
async fn read_line<S: AsyncRead + Unpin, E>(stream: &mut S) -> Result<String, Refusal<E>> {
    /// Longer than any.
    const MOST: usize = 256;
    let mut said = Vec::new();
    while said.len() < MOST && !said.ends_with(b"\n") {
        if stream.read_buf(&mut said).await? == 0 {
            return Err(Refusal::Silent);
        }
    }
    let said = String::from_utf8(said).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(said.trim_end_matches('\n').to_owned())
}

/// SHA-256 of a text, in hex, as `sha256sum` tells it.
fn sha256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
