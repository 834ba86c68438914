//! The relay's script in every shell, and the parsing of its output.

use super::*;

mod attacks;
mod ours;
mod served;

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
        ("sh: socat: not found", What::Relay, "sh: socat: not found"),
    ] {
        assert_eq!(read_diagnosis(line.as_bytes()), Some((what, reason.to_owned())));
    }
    assert_eq!(read_diagnosis(b""), None);
    assert_eq!(read_diagnosis(b"\n"), None);
}

#[test]
fn a_lane_is_known_by_its_whole_line() {
    let said =
        "2026/01/02 12:00:00 socat[7] W something\n2026/01/02 12:00:00 socat[7] N listening on AF=2 127.0.0.1:51137";
    assert_eq!(read_lane(said.as_bytes()), None);
    assert_eq!(read_lane(format!("{said}\n").as_bytes()), Some(51_137));
    assert_eq!(read_lane(b"sh: socat: not found\n"), None);
    assert_eq!(read_lane(b"x socat[7] N listening on AF=2 127.0.0.1:0\n"), None);
}

#[test]
fn only_the_targets_side_of_a_lane_breaks_it() {
    let line = |words: &str| read_failure(&format!("2026/01/02 12:00:00 1f0c9a7e[12] {words}"));
    let reset = line("W read(5, 0x55ad8d73e000, 131072): Connection reset by peer");
    assert_eq!(reset, Some((0x1f0c_9a7e, What::TargetReset, "Connection reset by peer".to_owned())));
    let silent = line("E write(5, 0x55ad8d73e000, 9): Connection timed out");
    assert_eq!(silent.map(|(_, what, _)| what), Some(What::TargetTimedOut));
    let refused = line("E connect(5, AF=2 10.0.0.1:81, 16): Connection refused");
    assert_eq!(refused.map(|(_, what, _)| what), Some(What::TargetRefused));
    for words in [
        "W read(0, 0x55ad8d73e000, 131072): Connection reset by peer",
        "E write(1, 0x55ad8d73e000, 131072): Broken pipe",
        "N socket 2 (fd 5) is at EOF",
        "W connect(5, AF=2 10.0.0.1:81, 16): Connection refused",
    ] {
        assert_eq!(line(words), None, "{words}");
    }
    assert_eq!(read_failure("2026/01/02 12:00:00 socat[7] W read(5, 0x0, 1): Connection reset by peer"), None);
    assert_eq!(read_failure("sh: socat: not found"), None);
}
