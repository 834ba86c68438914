//! The chords of a session, as ssh has them: after a newline the escape character, then another.

/// A chord was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chord {
    /// Leave the session.
    Leave,
    /// Show the chords.
    Help,
    /// Suspend the program.
    Suspend,
}

/// Chords are typed: a longer piece of input is pasted text, and nothing in it is obeyed.
const MAX_TYPED: usize = 8;

/// Finds the chords in what is typed.
#[derive(Debug)]
pub struct Keys {
    escape: Option<u8>,
    state: State,
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
    pub fn new(escape: Option<u8>) -> Self {
        Self { escape, state: State::Fresh }
    }

    /// Takes a piece of input; returns what is to be sent, and the chords in it.
    pub fn take(&mut self, input: &[u8]) -> (Vec<u8>, Vec<Chord>) {
        let Some(escape) = self.escape else { return (input.to_vec(), Vec::new()) };
        let (mut out, mut chords) = (Vec::with_capacity(input.len() + 1), Vec::new());
        let typed = input.len() <= MAX_TYPED;
        for &byte in input {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&str]) -> (String, Vec<Chord>) {
        let mut keys = Keys::new(Some(b'~'));
        let (mut sent, mut chords) = (Vec::new(), Vec::new());
        for piece in pieces {
            let (bytes, found) = keys.take(piece.as_bytes());
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
        ] {
            assert_eq!(typed(pieces), (sent.to_owned(), chords.to_vec()), "{pieces:?}");
        }
    }

    #[test]
    fn without_an_escape_character_every_byte_is_sent() {
        let all: Vec<u8> = (0..=255).chain(*b"\n~.\n").collect();
        assert_eq!(Keys::new(None).take(&all), (all, Vec::new()));
    }
}
