//! The relay in a proxy pod: its script, the line that tells it where to, and how it is asked what went wrong.
//!
//! Each stream begins with one line, the address; it is the only place where the address is ever written. The relay
//! listens on the pod's loopback, which a port-forward reaches and other pods don't.
//!
//! Data is never mixed with messages: socat's own words go nowhere. Where a stream ended without a byte from the
//! target, a second stream whose line begins with `?` only tries to connect, and carries the words of the failure.

use std::time::Duration;

use bytes::Bytes;

use crate::model::address::Address;
use crate::model::fault::What;

/// The port the relay listens on, on the pod's loopback.
pub const PORT: u16 = 10_800;

/// How long the relay tries to connect to the target.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments of the container, whose entrypoint is socat.
///
/// `nofork` gives the shell the connection itself; without `-t` socat would end half a second after either side's FIN
/// and cut slow answers off; `shut-down` passes the target's FIN on, which a plain write end never would; `max-children` bounds what one forward can make the node carry. Within single quotes
/// socat's parser takes everything as it stands.
pub fn args() -> Vec<String> {
    let wait = CONNECT_TIMEOUT.as_secs();
    let ask = format!(r#"exec socat -u OPEN:/dev/null "TCP:${{t#?}},connect-timeout={wait}" 2>&1"#);
    let go =
        format!(r#"exec socat -t86400 STDIO,shut-down "TCP:$t,connect-timeout={wait},keepalive,nodelay" 2>/dev/null"#);
    let script = format!(r#"IFS= read -r t && case $t in "?"*) {ask} ;; *) {go} ;; esac"#);
    vec![
        format!("TCP-LISTEN:{PORT},fork,reuseaddr,bind=127.0.0.1,backlog=512,max-children=1024,nodelay"),
        format!("SYSTEM:'{script}',nofork"),
    ]
}

/// The line that opens the way to an address. An [`Address`] holds nothing that a shell or socat takes as its own.
pub fn first_line(address: &Address) -> Bytes {
    format!("{address}\n").into()
}

/// The line that asks why an address can't be reached.
pub fn diagnosis_line(address: &Address) -> Bytes {
    format!("?{address}\n").into()
}

/// What the relay's answer to a [`diagnosis_line`] says; `None`: the address can be reached now.
pub fn read_diagnosis(answer: &[u8]) -> Option<(What, String)> {
    let answer = String::from_utf8_lossy(answer);
    let line = answer.lines().rev().find(|line| line.contains(" E ")).or_else(|| answer.lines().last())?.trim();
    if line.is_empty() {
        return None;
    }
    // `2026/01/02 12:00:00 socat[7] E connect(5, AF=2 10.0.0.1:81, 16): Connection refused`
    let words = line.split_once(" E ").map_or(line, |(_, words)| words);
    let lower = words.to_ascii_lowercase();
    let has = |needle: &str| lower.contains(needle);
    let what = if has("refused") {
        What::TargetRefused
    } else if has("timed out") || has("timeout") {
        What::TargetTimedOut
    } else if has("getaddrinfo") || has("name or service") || has("resolve") || has("name does not") {
        What::TargetUnresolved
    } else if has("reset") {
        What::TargetReset
    } else {
        What::TargetUnreachable
    };
    // What follows the call is the reason; the call itself only repeats the address.
    let reason = words.rsplit_once("): ").or_else(|| words.rsplit_once("}: ")).map_or(words, |(_, reason)| reason);
    Some((what, reason.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socats_words_are_understood() {
        for (line, what, reason) in [
            (
                "2026/01/02 12:00:00 socat[10] E connect(8, AF=2 10.99.0.10:81, 16): Connection refused\n",
                What::TargetRefused,
                "Connection refused",
            ),
            (
                "2026/01/02 12:00:00 socat[12] E getaddrinfo(\"nosuch.host\", \"NULL\", {1,0,1,6}, {}): Name or service not known",
                What::TargetUnresolved,
                "Name or service not known",
            ),
            (
                "2026/01/02 12:00:00 socat[12] W getaddrinfo(...): x\n2026/01/02 12:00:00 socat[14] E connect(8, AF=2 10.99.0.77:1, 16): No route to host\n",
                What::TargetUnreachable,
                "No route to host",
            ),
            (
                "2026/01/02 12:00:00 socat[9] E connecting to 10.9.9.9:1: Connection timed out",
                What::TargetTimedOut,
                "connecting to 10.9.9.9:1: Connection timed out",
            ),
            ("sh: socat: not found", What::TargetUnreachable, "sh: socat: not found"),
        ] {
            assert_eq!(read_diagnosis(line.as_bytes()), Some((what, reason.to_owned())));
        }
        assert_eq!(read_diagnosis(b""), None);
        assert_eq!(read_diagnosis(b"\n"), None);
    }

    #[test]
    fn a_line_is_the_address_and_nothing_else() {
        let address: Address = "[fd00::1]:5432".parse().unwrap();
        assert_eq!(first_line(&address), "[fd00::1]:5432\n");
        assert_eq!(diagnosis_line(&address), "?[fd00::1]:5432\n");
    }
}
