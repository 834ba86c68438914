//! The relay in a proxy pod: its script, the line that tells it where to, and how it is asked what went wrong.
//!
//! Each stream begins with one line, the address; it is the only place where the address is ever written. The relay
//! listens on the pod's loopback, which a port-forward reaches and other pods don't.
//!
//! A line that begins with `+` asks for a port of its own for the address, for as long as the stream is open (a *lane*):
//! what is forwarded to that port costs the pod a fork, where a line costs it a shell and a socat.
//!
//! Whoever may forward a port to the pod can speak to its relay, so the script itself refuses what is no address.
//!
//! Data is never mixed with messages: socat's own words go nowhere. Where a stream ended without a byte from the
//! target, a second stream whose line begins with `?` only tries to connect, and carries socat's notices of that (`-dd`),
//! with microseconds (`-lu`): the words of the failure, or how long it took.

use std::time::Duration;

use bytes::Bytes;
use chrono::NaiveDateTime;

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
/// socat's parser takes everything as it stands. A lane's socat tells its port in its notices (`-dd`), which go back up
/// the stream; its end, when the stream ends, leaves the connections that it forked as they are.
pub fn args() -> Vec<String> {
    let wait = CONNECT_TIMEOUT.as_secs();
    let ask = format!(r#"exec socat -dd -lu -u OPEN:/dev/null "TCP:${{t#?}},connect-timeout={wait}" 2>&1"#);
    let go =
        format!(r#"exec socat -t86400 STDIO,shut-down "TCP:$t,connect-timeout={wait},keepalive,nodelay" 2>/dev/null"#);
    let many = "fork,reuseaddr,bind=127.0.0.1,backlog=512,max-children=1024,nodelay";
    let to = format!(r#""TCP:${{t#+}},connect-timeout={wait},keepalive,nodelay""#);
    let lane = format!("socat -dd -t86400 TCP-LISTEN:0,{many} {to} 2>&1 </dev/null & read -r t; kill $!");
    // Whoever may forward a port to the pod may say what they like here: only letters that no shell and no socat takes
    // as their own get further.
    let script = format!(
        r#"IFS= read -r t||exit;case ${{t#[?+]}} in ""|*[!]A-Za-z0-9._:[-]*) exit;;esac;case $t in "?"*) {ask};;"+"*) {lane};;*) {go};;esac"#
    );
    vec![format!("TCP-LISTEN:{PORT},{many}"), format!("SYSTEM:'{script}',nofork")]
}

/// The line that opens the way to an address. An [`Address`] holds nothing that a shell or socat takes as its own.
pub fn first_line(address: &Address) -> Bytes {
    format!("{address}\n").into()
}

/// The line that asks why an address can't be reached.
pub fn diagnosis_line(address: &Address) -> Bytes {
    format!("?{address}\n").into()
}

/// The line that asks for a lane to an address.
pub fn lane_line(address: &Address) -> Bytes {
    format!("+{address}\n").into()
}

/// The port of a lane, once the relay has told it: `2026/01/02 12:00:00 socat[7] N listening on AF=2 127.0.0.1:51137`.
pub fn read_lane(said: &[u8]) -> Option<u16> {
    let said = String::from_utf8_lossy(said);
    let whole = &said[..=said.rfind('\n')?];
    let port = |line: &str| line.split_once(" N listening on ")?.1.rsplit_once(':')?.1.trim().parse().ok();
    whole.lines().find_map(port).filter(|port| *port != 0)
}

/// What the relay's answer to a [`diagnosis_line`] says; `None`: the address can be reached now.
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

/// Whether a relay's answer to a [`diagnosis_line`] says that it has connected, and then how long that took there, as far
/// as it says: from `N opening connection to AF=2 10.0.0.1:80` to `N successfully connected from local address …`, or to
/// `N starting data transfer loop …` where socat (before 1.8, with a timeout) does not say the former.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the script of the relay has socat do for a line, in one shell; `None` where there is no such shell here.
    fn run(shell: &[&str], line: &[u8]) -> Option<String> {
        use std::io::Write as _;
        use std::os::unix::fs::PermissionsExt as _;
        use std::process::{Command, Stdio};

        let dir = tempfile::tempdir().unwrap();
        let (socat, ran) = (dir.path().join("socat"), dir.path().join("ran"));
        std::fs::write(&socat, "#!/bin/sh\necho \"$*\" >>\"$RAN\"\n").unwrap();
        std::fs::set_permissions(&socat, std::fs::Permissions::from_mode(0o700)).unwrap();
        let script = args()[1].strip_prefix("SYSTEM:'")?.strip_suffix("',nofork")?.to_owned();
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", &script]).env("PATH", path).env("RAN", &ran).current_dir(dir.path());
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = spawned.ok()?;
        let mut stdin = child.stdin.take().unwrap();
        // Whoever ends early takes no more.
        _ = stdin.write_all(line);
        let told = || std::fs::metadata(&ran).is_ok_and(|ran| ran.len() > 0);
        while line.ends_with(b"\n") && child.try_wait().unwrap().is_none() && !told() {
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(stdin);
        child.wait().unwrap();
        assert!(!dir.path().join("owned").exists(), "{shell:?}: {}", String::from_utf8_lossy(line));
        Some(std::fs::read_to_string(ran).unwrap_or_default())
    }

    #[test]
    fn only_addresses_get_past_the_script() {
        let mut attacks: Vec<Vec<u8>> = [
            "",
            "+",
            "?",
            "++10.0.0.1:1",
            "a!!SYSTEM:touch owned",
            "+a:1!!SYSTEM:touch owned",
            "a:1,bind=127.0.0.1",
            "?a:1,fork",
            "a:1(",
            "a:1)",
            "$(touch owned):1",
            "`touch owned`:1",
            "a:1;touch owned",
            "a:1|touch owned",
            "a:1&touch owned",
            "a 1",
            "a:1\t",
            "\"a:1",
            "'a:1",
            "a:1'",
            "a:1\r",
            "a:1\\",
            "{a}:1",
            "a*:1",
            "a?:1",
            "~:1",
            "<a:1",
            ">owned",
            "a:1#",
            "a:1=2",
            "a:1%0",
            "a:1@b",
            "ä:1",
            "/etc/passwd",
            "a:1\u{1b}[31m",
        ]
        .iter()
        .map(|line| format!("{line}\n").into_bytes())
        .collect();
        attacks.push([vec![b'!'; 1 << 16], b"\n".to_vec()].concat());
        attacks.push(b"10.0.0.1:1".to_vec());
        for shell in [&["sh"][..], &["dash"], &["bash"], &["busybox", "sh"]] {
            for line in &attacks {
                let ran = run(shell, line).unwrap_or_default();
                assert_eq!(ran, "", "{shell:?}: {:?}", String::from_utf8_lossy(&line[..line.len().min(40)]));
            }
            for address in ["10.0.0.1:3306", "db_1.corp-x.internal.:5432", "[fd00::1]:1"] {
                for mark in ["", "?", "+"] {
                    let Some(ran) = run(shell, format!("{mark}{address}\n").as_bytes()) else { continue };
                    assert!(ran.contains(&format!("TCP:{address},")), "{shell:?}: {mark}{address}: {ran}");
                }
            }
        }
        assert!(run(&["sh"], b"10.0.0.1:1\n").is_some(), "every machine has a shell");
        // socat takes no longer one.
        assert!(args()[1].len() < 512, "{}", args()[1].len());
    }

    #[test]
    fn a_connect_is_timed_by_the_relays_own_clock() {
        let old = "2026/11/21 14:23:42.492717 socat[7] N opening character device \"/dev/null\" for reading\n\
                   2026/11/21 14:23:42.492838 socat[7] N opening connection to AF=2 10.99.0.10:8080\n\
                   2026/11/21 14:23:42.493326 socat[7] N starting data transfer loop with FDs [5,5] and [6,6]\n";
        assert_eq!(read_connected(old.as_bytes()), Some(Some(Duration::from_micros(488))));
        let new = "2026/11/21 14:23:59.999900 socat[7] N opening connection to AF=2 10.99.0.10:8080\n\
                   2026/11/21 14:24:00.000100 socat[7] N successfully connected from local address AF=2 10.0.0.2:4000\n";
        assert_eq!(read_connected(new.as_bytes()), Some(Some(Duration::from_micros(200))));
        assert_eq!(read_connected(&new.as_bytes()[..new.len() - 1]), None, "not the whole line yet");
        let coarse = new.replace(".999900", "").replace(".000100", "");
        assert_eq!(read_connected(coarse.as_bytes()), Some(None));
        let refused = "2026/11/21 14:23:42.500633 socat[7] N opening connection to AF=2 10.99.0.10:81\n\
                       2026/11/21 14:23:42.500764 socat[7] E connect(6, AF=2 10.99.0.10:81, 16): Connection refused\n\
                       2026/11/21 14:23:42.500764 socat[7] N exit(1)\n";
        assert_eq!(read_connected(refused.as_bytes()), None);
        assert_eq!(read_diagnosis(refused.as_bytes()), Some((What::TargetRefused, "Connection refused".to_owned())));
        assert_eq!(read_diagnosis(old.as_bytes()), None);
    }

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
        assert_eq!(lane_line(&address), "+[fd00::1]:5432\n");
    }

    #[test]
    fn a_lane_is_known_by_its_whole_line() {
        let said = "2026/01/02 12:00:00 socat[7] W something\n2026/01/02 12:00:00 socat[7] N listening on AF=2 127.0.0.1:51137";
        assert_eq!(read_lane(said.as_bytes()), None);
        assert_eq!(read_lane(format!("{said}\n").as_bytes()), Some(51_137));
        assert_eq!(read_lane(b"sh: socat: not found\n"), None);
        assert_eq!(read_lane(b"x socat[7] N listening on AF=2 127.0.0.1:0\n"), None);
    }
}
