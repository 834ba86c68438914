//! The chords of a session, as ssh has them: after a newline the escape character, then another.

use std::time::{Duration, Instant};

/// A chord was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chord {
    /// Leave the session.
    Leave,
    /// Show the chords.
    Help,
    /// Suspend the program.
    Suspend,
    /// Open a new session after this one.
    New,
}

/// Chords are typed: a longer piece of input is pasted text, and nothing in it is obeyed.
const MAX_TYPED: usize = 8;
/// The shortest piece of pasted text that others may follow: it was cut where a buffer ended.
const MIN_CUT: usize = 256;
/// The time after such a piece in which the next one arrives, which may be short.
const PASTE_GAP: Duration = Duration::from_millis(100);
/// The signs around pasted text, where the program has asked for them (xterm, "bracketed paste").
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// Finds the chords in what is typed.
#[derive(Debug)]
pub struct Keys {
    escape: Option<u8>,
    /// There is a chord for a new session.
    has_new: bool,
    state: State,
    /// The time of the last piece of pasted text.
    pasted: Option<Instant>,
    /// Within the signs of pasted text.
    in_paste: bool,
    /// The last bytes, in which the signs are looked for.
    last: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line.
    Fresh,
    /// The escape character came there, and is held back.
    Escaped,
    /// Within a line.
    Within,
}

impl Keys {
    /// Chords begin with `escape`; without one there are none.
    pub fn new(escape: Option<u8>, has_new: bool) -> Self {
        Self { escape, has_new, state: State::Fresh, pasted: None, in_paste: false, last: Vec::new() }
    }

    /// Takes a piece of input that arrived at a time; returns what is to be sent, and the chords in it.
    pub fn take(&mut self, input: &[u8], now: Instant) -> (Vec<u8>, Vec<Chord>) {
        let Some(escape) = self.escape else { return (input.to_vec(), Vec::new()) };
        let (mut out, mut chords) = (Vec::with_capacity(input.len() + 1), Vec::new());
        let follows = self.pasted.is_some_and(|pasted| now.duration_since(pasted) < PASTE_GAP);
        let is_short = input.len() <= MAX_TYPED && !follows;
        if follows || input.len() >= MIN_CUT {
            self.pasted = Some(now);
        }
        for &byte in input {
            let typed = is_short && !self.in_paste;
            self.look_for_paste(byte);
            match self.state {
                State::Fresh if byte == escape && typed => {
                    self.state = State::Escaped;
                    continue;
                }
                State::Escaped => {
                    let chord = match byte {
                        b'.' => Some(Chord::Leave),
                        b'?' => Some(Chord::Help),
                        0x1a => Some(Chord::Suspend),
                        b'n' if self.has_new => Some(Chord::New),
                        _ => None,
                    };
                    if let Some(chord) = chord.filter(|_| typed) {
                        chords.push(chord);
                        self.state = State::Fresh;
                        continue;
                    }
                    out.push(escape);
                    if byte == escape && typed {
                        // Twice: it was meant.
                        self.state = State::Within;
                        continue;
                    }
                }
                State::Fresh | State::Within => {}
            }
            out.push(byte);
            self.state = if matches!(byte, b'\r' | b'\n') { State::Fresh } else { State::Within };
        }
        (out, chords)
    }

    fn look_for_paste(&mut self, byte: u8) {
        if byte == PASTE_BEGINS[0] {
            self.last.clear();
        }
        if self.last.len() < PASTE_BEGINS.len() {
            self.last.push(byte);
        }
        if self.last == PASTE_BEGINS {
            self.in_paste = true;
        } else if self.last == PASTE_ENDS {
            self.in_paste = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&str]) -> (String, Vec<Chord>) {
        arriving(pieces, PASTE_GAP)
    }

    /// Takes pieces that arrive so long after one another.
    fn arriving(pieces: &[&str], gap: Duration) -> (String, Vec<Chord>) {
        let mut keys = Keys::new(Some(b'~'), true);
        let (mut sent, mut chords) = (Vec::new(), Vec::new());
        let mut now = Instant::now();
        for piece in pieces {
            now += gap;
            let (bytes, found) = keys.take(piece.as_bytes(), now);
            sent.extend(bytes);
            chords.extend(found);
        }
        (String::from_utf8(sent).unwrap(), chords)
    }

    #[test]
    fn chords_are_typed_at_the_beginning_of_a_line() {
        for (pieces, sent, chords) in [
            (&["~."][..], "", &[Chord::Leave][..]),
            (&["ls\r", "~", "."], "ls\r", &[Chord::Leave]),
            (&["ls\n~?"], "ls\n", &[Chord::Help]),
            (&["~\x1a", "~."], "", &[Chord::Suspend, Chord::Leave]),
            (&["~?~."], "", &[Chord::Help, Chord::Leave]),
            (&["a~."], "a~.", &[]),
            (&["~~."], "~.", &[]),
            (&["~/bin/x\r"], "~/bin/x\r", &[]),
            (&["~", "\r~."], "~\r", &[Chord::Leave]),
            (&["pasted text\n~.\n"], "pasted text\n~.\n", &[]),
            (&["~", "pasted text\n"], "~pasted text\n", &[]),
            (&["~", ".pasted text"], "~.pasted text", &[]),
            (&["~n"], "", &[Chord::New]),
            // Within the signs of pasted text, and after them.
            (&["\x1b[200~a\r", "~.", "\x1b[201~\r", "~."], "\x1b[200~a\r~.\x1b[201~\r", &[Chord::Leave]),
        ] {
            assert_eq!(typed(pieces), (sent.to_owned(), chords.to_vec()), "{pieces:?}");
        }
    }

    #[test]
    fn a_short_piece_of_pasted_text_is_not_obeyed() {
        let first = "the first piece of a paste\n".repeat(10);
        let pieces = [first.as_str(), "~.\n", "~.", "\n"];
        let at_once = Duration::from_millis(20);
        assert_eq!(arriving(&pieces, at_once), (pieces.concat(), Vec::new()));
        let (_, chords) = arriving(&pieces, PASTE_GAP);
        assert_eq!(chords[0], Chord::Leave);
        // A line that a program types for somebody is none.
        assert_eq!(arriving(&["echo $((6*7))\r", "~."], at_once).1, [Chord::Leave]);
    }

    #[test]
    fn a_new_session_is_offered_where_there_can_be_one() {
        let taken = Keys::new(Some(b'~'), false).take(b"~n", Instant::now());
        assert_eq!(taken, (b"~n".to_vec(), Vec::new()));
    }

    #[test]
    fn without_an_escape_character_every_byte_is_sent() {
        let all: Vec<u8> = (0..=255).chain(*b"\n~.\n").collect();
        assert_eq!(Keys::new(None, true).take(&all, Instant::now()), (all, Vec::new()));
    }
}
