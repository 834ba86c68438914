//! Frames: what the two sides say to each other, one frame in each record. `docs/relay-protocol.md` has the layout.

use std::fmt;

/// The most bytes of data in one frame.
pub const DATA: usize = 32 * 1024;

/// The longest datagram: what UDP over IPv4 carries. Its record is just within what a length of 2 bytes can say.
pub const DATAGRAM: usize = 65_507;

/// Bytes in front of the data in a frame: its type, and the stream's id.
pub const HEAD: usize = 5;

/// The host and port of a TCP stream that asks for the domain of the cluster's names. It is reset with that as words.
pub const DOMAIN: (&str, u16) = ("", 0);

/// The longest name or address of a host.
pub const HOST: usize = 255;

/// The most bytes of words in a reset.
pub const WORDS: usize = 200;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The first of each side: how many streams it takes at once, and how many bytes of a new one.
    Hello { streams: u32, window: u32 },
    /// Asks for a connection, or for a flow of datagrams.
    Open { id: u32, kind: Kind, port: u16, host: &'a str },
    /// The connection is open; connecting took so many microseconds.
    Connected { id: u32, micros: u32 },
    /// Bytes of a stream.
    Data { id: u32, bytes: &'a [u8] },
    /// So many more bytes of a stream may be sent.
    Credit { id: u32, bytes: u32 },
    /// This side sends no more bytes of a stream; it still takes some.
    End { id: u32 },
    /// The stream is over at once, both ways.
    Reset { id: u32, reason: Reason, words: &'a str },
    /// Asks for a pong with the same token.
    Ping { token: u64 },
    /// Answers a ping.
    Pong { token: u64 },
    /// One datagram of a flow, whole.
    Datagram { id: u32, bytes: &'a [u8] },
    /// So many datagrams of a flow were dropped since the last such frame.
    Dropped { id: u32, count: u32 },
}

/// The kind of a stream, by its protocol's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A connection.
    Tcp = 6,
    /// A flow: datagrams between one address here and one there.
    Udp = 17,
}

/// The reason of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Nobody has a use for it any more.
    Cancelled = 0,
    /// The target refused the connection.
    Refused = 1,
    /// The target did not answer in time.
    TimedOut = 2,
    /// No route leads to the target.
    Unreachable = 3,
    /// The target's name does not resolve.
    Unresolved = 4,
    /// The target reset the connection.
    Reset = 5,
    /// The other side carries as many streams as it can.
    TooMany = 6,
    /// Something else failed; the words say what.
    Failed = 7,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::Cancelled,
        Self::Refused,
        Self::TimedOut,
        Self::Unreachable,
        Self::Unresolved,
        Self::Reset,
        Self::TooMany,
        Self::Failed,
    ];
}

/// A breach of the protocol: the connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation(pub &'static str);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Violation {}

const HELLO: u8 = 0;
const OPEN: u8 = 1;
const CONNECTED: u8 = 2;
/// The type of [`Frame::Data`], which is also written in place.
pub(crate) const DATA_TYPE: u8 = 3;
const CREDIT: u8 = 4;
const END: u8 = 5;
const RESET: u8 = 6;
const PING: u8 = 7;
const PONG: u8 = 8;
const DATAGRAM_TYPE: u8 = 9;
const DROPPED: u8 = 10;

impl<'a> Frame<'a> {
    /// Appends the frame. Text that is too long is cut.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { streams, window } => {
                out.push(HELLO);
                out.extend_from_slice(&streams.to_be_bytes());
                out.extend_from_slice(&window.to_be_bytes());
            }
            Self::Open { id, kind, port, host } => {
                head(out, OPEN, *id);
                out.push(*kind as u8);
                out.extend_from_slice(&port.to_be_bytes());
                out.extend_from_slice(cut(host, HOST).as_bytes());
            }
            Self::Connected { id, micros } => {
                head(out, CONNECTED, *id);
                out.extend_from_slice(&micros.to_be_bytes());
            }
            Self::Data { id, bytes } => {
                head(out, DATA_TYPE, *id);
                out.extend_from_slice(bytes);
            }
            Self::Credit { id, bytes } => {
                head(out, CREDIT, *id);
                out.extend_from_slice(&bytes.to_be_bytes());
            }
            Self::End { id } => head(out, END, *id),
            Self::Reset { id, reason, words } => {
                head(out, RESET, *id);
                out.push(*reason as u8);
                out.extend_from_slice(cut(words, WORDS).as_bytes());
            }
            Self::Ping { token } => {
                out.push(PING);
                out.extend_from_slice(&token.to_be_bytes());
            }
            Self::Pong { token } => {
                out.push(PONG);
                out.extend_from_slice(&token.to_be_bytes());
            }
            Self::Datagram { id, bytes } => {
                head(out, DATAGRAM_TYPE, *id);
                out.extend_from_slice(bytes);
            }
            Self::Dropped { id, count } => {
                head(out, DROPPED, *id);
                out.extend_from_slice(&count.to_be_bytes());
            }
        }
    }

    /// Reads the one frame that `bytes` are.
    ///
    /// # Errors
    /// They are no frame of this version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Violation> {
        let mut rest = Rest(bytes);
        let kind = rest.byte()?;
        let frame = match kind {
            HELLO => Self::Hello { streams: rest.number()?, window: rest.number()? },
            PING => Self::Ping { token: rest.token()? },
            PONG => Self::Pong { token: rest.token()? },
            OPEN..=RESET | DATAGRAM_TYPE | DROPPED => rest.of_stream(kind)?,
            _ => return Err(Violation("a frame of an unknown type")),
        };
        if rest.0.is_empty() { Ok(frame) } else { Err(Violation("a frame is too long")) }
    }
}

fn head(out: &mut Vec<u8>, kind: u8, id: u32) {
    out.push(kind);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Cuts a text to so many bytes, at the end of a character.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The unread rest of a frame.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Violation("a frame is too short"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Result<u8, Violation> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_be_bytes)
    }

    fn token(&mut self) -> Result<u64, Violation> {
        self.array().map(u64::from_be_bytes)
    }

    fn bytes(&mut self, most: usize) -> Result<&'a [u8], Violation> {
        if self.0.len() > most { Err(Violation("a frame is too long")) } else { Ok(std::mem::take(&mut self.0)) }
    }

    fn text(&mut self, most: usize) -> Result<&'a str, Violation> {
        str::from_utf8(self.bytes(most)?).map_err(|_| Violation("text that is not UTF-8"))
    }

    fn of_stream(&mut self, kind: u8) -> Result<Frame<'a>, Violation> {
        let id = self.number()?;
        Ok(match kind {
            OPEN => {
                let kind = match self.byte()? {
                    6 => Kind::Tcp,
                    17 => Kind::Udp,
                    _ => return Err(Violation("a stream of an unknown kind")),
                };
                Frame::Open { id, kind, port: self.array().map(u16::from_be_bytes)?, host: self.text(HOST)? }
            }
            CONNECTED => Frame::Connected { id, micros: self.number()? },
            DATA_TYPE => Frame::Data { id, bytes: self.bytes(DATA)? },
            CREDIT => Frame::Credit { id, bytes: self.number()? },
            END => Frame::End { id },
            DATAGRAM_TYPE => Frame::Datagram { id, bytes: self.bytes(DATAGRAM)? },
            DROPPED => Frame::Dropped { id, count: self.number()? },
            _ => {
                let code = usize::from(self.byte()?);
                let reason = *Reason::ALL.get(code).ok_or(Violation("an unknown reason"))?;
                Frame::Reset { id, reason, words: self.text(WORDS)? }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert_eq!(Frame::decode(&bytes).as_ref(), Ok(frame));
        for end in 0..bytes.len() {
            // A part is another frame, or none; never a panic.
            let _ = Frame::decode(&bytes[..end]);
        }
    }

    proptest! {
        #[test]
        fn frames_come_back_as_they_were(
            (id, number, token, port) in any::<(u32, u32, u64, u16)>(),
            host in "[a-z.]{0,255}",
            words in "[a-zé]{0,100}",
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            code in 0..Reason::ALL.len(),
        ) {
            for frame in [
                Frame::Hello { streams: id, window: number },
                Frame::Open { id, kind: Kind::Tcp, port, host: &host },
                Frame::Open { id, kind: Kind::Udp, port, host: &host },
                Frame::Connected { id, micros: number },
                Frame::Data { id, bytes: &bytes },
                Frame::Credit { id, bytes: number },
                Frame::End { id },
                Frame::Reset { id, reason: Reason::ALL[code], words: &words },
                Frame::Ping { token },
                Frame::Pong { token },
                Frame::Datagram { id, bytes: &bytes },
                Frame::Dropped { id, count: number },
            ] {
                there_and_back(&frame);
            }
        }

        #[test]
        fn any_bytes_are_a_frame_or_a_violation(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(frame) = Frame::decode(&bytes) {
                let mut again = Vec::new();
                frame.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn reasons_have_the_numbers_of_their_places() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(place, reason as usize);
        }
    }

    #[test]
    fn a_frame_takes_the_longest_datagram_and_no_longer_one() {
        let mut bytes = Vec::new();
        Frame::Datagram { id: 1, bytes: &vec![7; DATAGRAM] }.encode(&mut bytes);
        assert!(matches!(Frame::decode(&bytes), Ok(Frame::Datagram { bytes, .. }) if bytes.len() == DATAGRAM));
        bytes.push(7);
        assert!(Frame::decode(&bytes).is_err());
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let mut bytes = Vec::new();
        Frame::Reset { id: 1, reason: Reason::Failed, words: &"é".repeat(150) }.encode(&mut bytes);
        assert!(matches!(Frame::decode(&bytes), Ok(Frame::Reset { words, .. }) if words.len() == WORDS));
    }
}
