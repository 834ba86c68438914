//! The relay in a proxy pod: its script, how it is asked, and how it is asked what went wrong.
//!
//! The relay listens on the pod's loopback, which a port-forward reaches and other pods don't. So does everybody who
//! may forward a port to the pod: each pod has a secret, of which its description tells only the hash. The relay is
//! given it once, by the installation that made the pod, and shows with each stream that it knows it before it is sent
//! an address; whoever asks it for something has to know it, too ([`ask`]). The address is written nowhere else.
//!
//! A relay can be asked for a port of its own for an address, for as long as the stream is open (a *lane*): a
//! connection to that port begins with a word that was agreed on and a number, and waits for no answer.
//!
//! Data is never mixed with messages. That the target has reset a connection by a lane is told on the lane's own
//! stream, by the connection's number ([`read_break`]). Where a stream ended without a byte from the target, a second
//! stream only has the relay try to connect, and carries socat's notices of that (`-dd`), with microseconds (`-lu`):
//! the words of the failure, or how long it took.

mod script;
mod talk;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::NaiveDateTime;

pub use script::{args, env};
pub use talk::{Ask, Refusal, Secret, ask, new_word};

use brow_model::fault::What;

/// The port the relay listens on, on the pod's loopback.
pub const PORT: u16 = 10_800;

/// How long the relay tries to connect to the target.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections the relay takes at once, and each lane; more wait. A connection takes 1 MB, and all have to fit
/// the container's limit of memory.
pub const MOST: usize = 384;

/// Bytes of the random text that a stream begins with, and that the relay's proof is for.
const NONCE: usize = 32;

/// Bytes of a secret, in hex.
const SECRET: usize = 64;

/// Bytes of the word that a connection to a lane begins with.
const WORD: usize = 32;

/// Bytes of the number that follows it, in hex: what the relay says of the connection is named by it.
const VISIT: usize = 8;

/// Bytes of a request, however short its address is. A fixed length bounds what a relay reads.
const RECORD: usize = 400;

/// The port of a lane, once the relay has told it: `2026/01/02 12:00:00 socat[7] N listening on AF=2 127.0.0.1:51137`.
pub fn read_lane(said: &[u8]) -> Option<u16> {
    let said = String::from_utf8_lossy(said);
    let whole = &said[..=said.rfind('\n')?];
    let port = |line: &str| line.split_once(" N listening on ")?.1.rsplit_once(':')?.1.trim().parse().ok();
    whole.lines().find_map(port).filter(|port| *port != 0)
}

/// The number of a connection to a lane that the target has not ended in order, and the reason:
/// `2026/01/02 12:00:00 1f0c9a7e[12] W read(5, 0x55ad8d73e000, 131072): Connection reset by peer`, an `E` from socat
/// 1.8 on. Other warnings are of no account, and what befalls the client's side (0 and 1) says nothing of the target.
pub fn read_break(line: &str) -> Option<(u32, What, String)> {
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

/// What the relay's answer to [`Ask::Diagnose`] says; `None`: the address can be reached now.
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

/// The kind of failure that socat's words are about.
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
    } else {
        What::TargetUnreachable
    }
}

/// What follows the call, which only repeats the address.
fn reason(words: &str) -> String {
    let reason = words.rsplit_once("): ").or_else(|| words.rsplit_once("}: ")).map_or(words, |(_, reason)| reason);
    reason.trim().to_owned()
}

/// Whether a relay's answer to [`Ask::Diagnose`] says that it has connected, and then how long that took there, as far
/// as it says: from `N opening connection to AF=2 10.0.0.1:80` to `N successfully connected from local address …`, or
/// to `N starting data transfer loop …` where socat (before 1.8, with a timeout) does not say the former.
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
