//! The modes of a terminal that a program has switched, known by what it wrote (ECMA-48; xterm, `ctlseqs`).

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The private modes that are on when nobody has switched them: wrapping, the cursor.
const USUALLY_ON: [u16; 2] = [7, 25];
/// The most modes that are remembered, and the longest sequence.
const MAX_MODES: usize = 64;
const MAX_SEQUENCE: usize = 64;

/// The modes that a program has switched.
#[derive(Debug, Default)]
pub(super) struct Modes {
    /// The private modes that are not as usual.
    switched: BTreeSet<u16>,
    /// The keypad sends sequences of its own.
    keypad: bool,
    /// Only some lines scroll.
    region: bool,
    /// Keys are told in more detail, in the form of xterm.
    other_keys: bool,
    /// The depth of the stack of kitty's keyboard modes.
    keyboards: u16,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    Escape,
    /// A control sequence, so far.
    Sequence(Vec<u8>),
    /// A string that is no text, such as a title.
    String,
}

impl Modes {
    pub(super) const fn new() -> Self {
        let switched = BTreeSet::new();
        Self { switched, keypad: false, region: false, other_keys: false, keyboards: 0, state: State::Text }
    }

    /// Takes note of output, which may end anywhere in a sequence.
    pub(super) fn note(&mut self, output: &[u8]) {
        for &byte in output {
            self.state = match (std::mem::take(&mut self.state), byte) {
                (_, 0x1b) => State::Escape,
                (State::Escape, b'[') => State::Sequence(Vec::new()),
                (State::Escape, b']' | b'P' | b'^' | b'_' | b'X') => State::String,
                (State::Escape, b'=' | b'>') => {
                    self.keypad = byte == b'=';
                    State::Text
                }
                (State::Escape, b'c') => {
                    *self = Self::new();
                    State::Text
                }
                (State::String, byte) if byte != 0x07 => State::String,
                (State::Sequence(mut sequence), 0x20..=0x3f) if sequence.len() < MAX_SEQUENCE => {
                    sequence.push(byte);
                    State::Sequence(sequence)
                }
                (State::Sequence(sequence), 0x40..=0x7e) => {
                    self.obey(&sequence, byte);
                    State::Text
                }
                (_, _) => State::Text,
            };
        }
    }

    fn obey(&mut self, sequence: &[u8], last: u8) {
        let text = std::str::from_utf8(sequence).unwrap_or_default();
        match (text.as_bytes().first(), last) {
            (Some(b'?'), b'h' | b'l') => {
                for mode in text[1..].split(';').filter_map(|number| number.parse().ok()) {
                    if (last == b'h') == USUALLY_ON.contains(&mode) {
                        self.switched.remove(&mode);
                    } else if self.switched.len() < MAX_MODES {
                        self.switched.insert(mode);
                    }
                }
            }
            (Some(b'>'), b'u') => self.keyboards = self.keyboards.saturating_add(1),
            (Some(b'<'), b'u') => {
                self.keyboards = self.keyboards.saturating_sub(text[1..].parse().unwrap_or(1));
            }
            (Some(b'>'), b'm') => {
                if let Some(how) = text[1..].strip_prefix('4') {
                    self.other_keys = !matches!(how, "" | ";" | ";0");
                }
            }
            (first, b'r') if first.is_none_or(u8::is_ascii_digit) => self.region = first.is_some(),
            (_, _) => {}
        }
    }

    /// Returns what switches all of it back; nothing where nothing is switched.
    pub(super) fn undone(&self) -> Vec<u8> {
        self.sequences(false)
    }

    /// Returns what switches it again.
    pub(super) fn redone(&self) -> Vec<u8> {
        self.sequences(true)
    }

    fn sequences(&self, again: bool) -> Vec<u8> {
        let mut out = String::new();
        for mode in &self.switched {
            let on = USUALLY_ON.contains(mode) != again;
            // Writing to a string does not fail.
            let _written = write!(out, "\x1b[?{mode}{}", if on { 'h' } else { 'l' });
        }
        if self.keypad {
            out.push_str(if again { "\x1b=" } else { "\x1b>" });
        }
        if self.other_keys {
            out.push_str(if again { "\x1b[>4;1m" } else { "\x1b[>4m" });
        }
        if !again && self.keyboards > 0 {
            let _written = write!(out, "\x1b[<{}u", self.keyboards);
        }
        if !again && self.region {
            // Which moves the cursor.
            out.push_str("\x1b7\x1b[r\x1b8");
        }
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pieces: &[&str]) -> Modes {
        let mut modes = Modes::new();
        for piece in pieces {
            modes.note(piece.as_bytes());
        }
        modes
    }

    fn undone(pieces: &[&str]) -> String {
        String::from_utf8(after(pieces).undone()).unwrap()
    }

    #[test]
    fn what_was_switched_is_switched_back_and_nothing_else() {
        for (pieces, wanted) in [
            (&["plain \x1b[1;31mcolors\x1b[0m \x1b[2J"][..], ""),
            (&["\x1b[?1049h\x1b[?25l"], "\x1b[?25h\x1b[?1049l"),
            (&["\x1b[?1049h\x1b[?1049l\x1b[?25l\x1b[?25h"], ""),
            (&["\x1b[?1000;1006;2004h"], "\x1b[?1000l\x1b[?1006l\x1b[?2004l"),
            // In pieces.
            (&["\x1b", "[", "?10", "02", "h"], "\x1b[?1002l"),
            (&["\x1b=\x1b[?1h"], "\x1b[?1l\x1b>"),
            (&["\x1b=\x1b>"], ""),
            (&["\x1b[?7l"], "\x1b[?7h"),
            (&["\x1b[>4;2m\x1b[>1u"], "\x1b[>4m\x1b[<1u"),
            (&["\x1b[>1u\x1b[<u"], ""),
            (&["\x1b[2;20r"], "\x1b7\x1b[r\x1b8"),
            (&["\x1b[2;20r\x1b[r"], ""),
            // In a title it is text.
            (&["\x1b]2;[?1000h\x07", "\x1b]2;[?1000h\x1b\\"], ""),
        ] {
            assert_eq!(undone(pieces), wanted, "{pieces:?}");
        }
    }

    #[test]
    fn what_was_switched_comes_back() {
        let modes = after(&["\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b="]);
        assert_eq!(String::from_utf8(modes.redone()).unwrap(), "\x1b[?25l\x1b[?1049h\x1b[?2004h\x1b=");
    }

    #[test]
    fn no_output_makes_it_large() {
        let mut modes = Modes::new();
        for mode in 0..5_000 {
            modes.note(format!("\x1b[?{mode}h").as_bytes());
        }
        modes.note(format!("\x1b[?{}h", "1;".repeat(9_999)).as_bytes());
        assert!(modes.undone().len() < 1_000);
    }
}
