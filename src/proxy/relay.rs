//! The relay in a proxy pod: its script, its requests, and its diagnoses.
//!
//! The relay listens on the pod's loopback, which a port-forward reaches and other pods don't. But everybody who may
//! forward a port to the pod reaches it. So each pod has a secret, of which its spec contains only the hash. The
//! installation that made the pod gives the secret to the relay once, and the relay proves with each stream that it
//! knows it before it is sent an address. Clients have to know the secret, too ([`request`]). The address is written
//! nowhere else.
//!
//! A relay can be asked for a separate port for an address, for as long as the stream is open (a *lane*): a connection
//! to that port begins with a word that was agreed on and a number, and needs no handshake.
//!
//! If the pod can run it, the script hands a stream over to our own relay ([`load()`], [`Mux`]), which carries all
//! connections and reports how each ended. The rest is about the others.
//!
//! Data is never mixed with messages. A connection that the target has reset is reported on the lane's own stream, by
//! its number ([`read_failure`]). If a stream ended without a byte from the target, a second stream only has the relay
//! try to connect, and carries socat's notices about that (`-dd`), with microseconds (`-lu`): the error message, or the
//! time that it took.

mod datagrams;
mod handshake;
mod mux;
mod program;
mod script;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use chrono::NaiveDateTime;
use tokio::io::{AsyncRead, AsyncReadExt as _};

pub use brow_relay::upgrade::{PORT as POD_PROXY_PORT, TOKEN as UPGRADE};
pub use datagrams::{Dump, Dumped, frame};
pub use handshake::{RelayError, RelayRequest, Secret, new_word, request};
pub use mux::Mux;
pub use program::{listen, load};
pub use script::{DIRECTORY, args, command, env};
pub use stream::RelayStream;

use brow_model::fault::What;

/// The port the relay listens on, on the pod's loopback.
pub const PORT: u16 = 10_800;

/// The timeout of the relay's connection to the target.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The most connections of the relay, and of each lane, at a time; more wait.
pub const MAX_CONNECTIONS: usize = 384;

/// The most processes of the relay and its lanes together; connections beyond are refused. A connection through a lane
/// is one and takes 0.95 MB, measured; one without a lane is three and takes 1.4 MB. All have to fit the container's
/// memory limit.
pub const MAX_PROCESSES: u32 = 480;

/// The most of the answer to [`RelayRequest::Diagnose`] that is read, in bytes.
const MAX_ANSWER: u64 = 4_096;

/// The relay's words for a connection that it has no room for.
const FULL: &str = "the pod's relay has no room for more connections";

/// Bytes of the random text that a stream begins with, and that the relay's proof is for.
const NONCE_LENGTH: usize = 32;

/// Bytes of a secret, in hex.
const SECRET_LENGTH: usize = 64;

/// Bytes of the word that a connection to a lane begins with.
const WORD_LENGTH: usize = 32;

/// Bytes of the number that follows it, in hex, by which the relay's reports name the connection.
const NUMBER_LENGTH: usize = 8;

/// Bytes of a request, however short its address is. A fixed length bounds what a relay reads.
const REQUEST_LENGTH: usize = 400;

/// Reads the port of a lane, once the relay has told it: `2026/01/02 12:00:00 socat[7] N listening on AF=2
/// 127.0.0.1:51137`.
pub fn read_lane(said: &[u8]) -> Option<u16> {
    let said = String::from_utf8_lossy(said);
    let whole = &said[..=said.rfind('\n')?];
    let port = |line: &str| line.split_once(" N listening on ")?.1.rsplit_once(':')?.1.trim().parse().ok();
    whole.lines().find_map(port).filter(|port| *port != 0)
}

/// Reads the number of a lane's connection that the target has not ended in order, and the reason: `2026/01/02 12:00:00
/// 1f0c9a7e[12] W read(5, 0x55ad8d73e000, 131072): Connection reset by peer`, an `E` from socat 1.8 on. Other warnings
/// are ignored, and errors of the client's side (0 and 1) say nothing about the target.
pub fn read_failure(line: &str) -> Option<(u32, What, String)> {
    let (name, said) = line.split_once("] ")?;
    let visit = name.rsplit_once(' ')?.1.split_once('[')?.0;
    let (level, words) = said.split_once(' ')?;
    let moved = words.strip_prefix("read(").or_else(|| words.strip_prefix("write("));
    let fd = moved.and_then(|call| call.split(',').next());
    let counts = match level {
        "E" => !matches!(fd, Some("0" | "1")),
        "W" => fd.is_some_and(|fd| !matches!(fd, "0" | "1")),
        _ => false,
    };
    let number = u32::from_str_radix(visit, 16).ok().filter(|_| counts)?;
    Some((number, class(words), reason(words)))
}

/// Reads the answer to [`RelayRequest::Diagnose`] from its stream: the time that connecting took, if the relay tells,
/// or the reason why it failed.
///
/// # Errors
/// The stream failed, or ended without an answer.
pub async fn diagnosis<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<Option<Duration>, (What, String)>> {
    let mut answer = Vec::new();
    let mut stream = stream.take(MAX_ANSWER);
    loop {
        // The relay reports the connection at once, well before the stream ends.
        if let Some(took) = read_connected(&answer) {
            return Ok(Ok(took));
        }
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    let text = "the relay does not say whether it reaches its target";
    let silent = || io::Error::other(kube_tunnel::Error::Pod { text: text.to_owned() });
    read_diagnosis(&answer).map(Err).ok_or_else(silent)
}

/// Reads the failure in the answer to [`RelayRequest::Diagnose`]; `None` if there is none.
pub fn read_diagnosis(answer: &[u8]) -> Option<(What, String)> {
    let answer = String::from_utf8_lossy(answer);
    let failure = answer.lines().rev().find(|line| line.contains(" E "));
    let words = || answer.lines().rev().find(|line| !line.contains("] N ") && !line.contains("] W "));
    let line = failure.or_else(words)?.trim();
    if line.is_empty() {
        return None;
    }
    // `2026/01/02 12:00:00 socat[7] E connect(5, AF=2 10.0.0.1:81, 16): Connection refused`
    let words = line.split_once(" E ").map_or(line, |(_, words)| words);
    Some((class(words), reason(words)))
}

/// Classifies an error message of socat.
fn class(words: &str) -> What {
    let lower = words.to_ascii_lowercase();
    let has = |needle: &str| lower.contains(needle);
    if has("refused") {
        What::TargetRefused
    } else if has("timed out") || has("timeout") {
        What::TargetTimedOut
    } else if has("getaddrinfo") || has("name or service") || has("resolve") || has("name does not") {
        What::TargetUnresolved
    } else if has("reset") {
        What::TargetReset
    } else if words == FULL {
        What::RelayFull
    } else if has("socat: not found") {
        What::Relay
    } else {
        What::TargetUnreachable
    }
}

/// Returns the reason in an error message, without the call, which only repeats the address.
fn reason(words: &str) -> String {
    let reason = words.rsplit_once("): ").or_else(|| words.rsplit_once("}: ")).map_or(words, |(_, reason)| reason);
    reason.trim().to_owned()
}

/// Reads the success in the answer to [`RelayRequest::Diagnose`], and the time that connecting took, if the answer
/// tells: from `N opening connection to AF=2 10.0.0.1:80` to `N successfully connected from local address …`, or to `N
/// starting data transfer loop …` if socat (before 1.8, with a timeout) does not log the former.
pub fn read_connected(answer: &[u8]) -> Option<Option<Duration>> {
    let answer = String::from_utf8_lossy(answer);
    let whole = &answer[..=answer.rfind('\n')?];
    let mut began = None;
    for line in whole.lines() {
        // `2026/01/02 12:00:00.123456 socat[7] N …`
        let Some((at, words)) =
            line.split_once(" socat[").and_then(|(at, rest)| Some((at, rest.split_once("] N ")?.1)))
        else {
            continue;
        };
        // Without microseconds it says nothing of how long something took.
        let at = NaiveDateTime::parse_from_str(at, "%Y/%m/%d %H:%M:%S%.6f").ok().filter(|_| at.contains('.'));
        if words.starts_with("opening connection to ") {
            // Of several addresses of a name the last one counts.
            began = at;
        } else if words.starts_with("successfully connected ") || words.starts_with("starting data transfer loop ") {
            return Some(began.zip(at).and_then(|(began, at)| (at - began).to_std().ok()));
        }
    }
    None
}
