//! SPDY/3.1 frames, as far as port-forwarding needs them (SPDY Protocol Draft 3.1, 2.2 and 2.6).
//!
//! A frame has a head of eight bytes: the stream's id or, with the highest bit set, version and type; then flags and
//! the length of what follows, in 24 bits. All numbers are big-endian.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use kube_tunnel::frame::{self, Decoder, Frame};
//!
//! let mut bytes = BytesMut::new();
//! frame::ping(&mut bytes, 1);
//! bytes.extend_from_slice(&frame::data_head(3, 5, true));
//! bytes.extend_from_slice(b"hello");
//!
//! let mut decoder = Decoder::default();
//! let mut input = bytes.freeze();
//! assert_eq!(decoder.next(&mut input)?, Some(Frame::Ping { id: 1 }));
//! let data = Frame::Data { stream: 3, bytes: Bytes::from_static(b"hello"), fin: true };
//! assert_eq!(decoder.next(&mut input)?, Some(data));
//! assert_eq!(decoder.next(&mut input)?, None);
//! # Ok::<(), frame::Violation>(())
//! ```
//!
//! The decoder takes bytes cut anywhere and keeps at most twenty of them: the payload of a DATA frame is handed on
//! piece by piece as it arrives, and what a control frame carries beyond its fixed fields is passed over. Header blocks
//! are among that: nothing the peer could put there matters to a port-forward, so it is never decompressed, and the
//! peer's compression context needs no keeping.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest payload that a frame can announce, in bytes: its length has 24 bits.
pub const MAX_PAYLOAD: usize = (1 << 24) - 1;

/// The length of every frame's head, in bytes: stream or type, then flags and length.
pub const HEAD: usize = 8;

const CONTROL: u32 = 1 << 31;
const VERSION: u32 = 3;
const FIN: u32 = 1 << 24;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// The reason for which a stream is reset (SPDY/3, 2.6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The receiver refuses a stream that the peer opened.
    Refused = 3,
    /// The opener needs the stream no longer.
    Cancel = 5,
}

/// A frame, or for DATA a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A piece of a stream's bytes.
    Data {
        /// The stream's id.
        stream: u32,
        /// The piece, never empty unless `fin` is set.
        bytes: Bytes,
        /// Set with the last piece of the stream's last frame.
        fin: bool,
    },
    /// The peer opens a stream: in port-forwarding only clients do.
    SynStream {
        /// The stream's id.
        stream: u32,
    },
    /// The peer has taken the stream that we opened.
    SynReply {
        /// The stream's id.
        stream: u32,
        /// Set where the peer will send nothing on it.
        fin: bool,
    },
    /// The peer wants nothing more to do with the stream.
    Reset {
        /// The stream's id.
        stream: u32,
        /// The reason (SPDY/3, 2.6.3).
        status: u32,
    },
    /// A ping. A peer's is sent back unchanged: servers number theirs even, clients odd (SPDY/3, 2.6.5).
    Ping {
        /// The ping's number.
        id: u32,
    },
    /// No more streams are taken on this connection.
    GoAway {
        /// The last stream that was taken.
        last: u32,
    },
    /// More headers for a stream.
    Headers {
        /// The stream's id.
        stream: u32,
        /// Set where the peer will send nothing more on it.
        fin: bool,
    },
    /// More room in the peer's window. Kubernetes' servers keep no windows and never send it.
    WindowUpdate {
        /// The stream's id.
        stream: u32,
        /// The bytes of room.
        delta: u32,
    },
    /// SETTINGS, or a type that we do not know: passed over.
    Other {
        /// The frame's type.
        kind: u16,
    },
}

/// The peer broke a rule of the framing; nothing after it can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A control frame of another version: most likely not SPDY at all.
    #[error("a control frame of SPDY version {0}")]
    Version(u32),
    /// The announced length does not fit the type.
    #[error("a control frame of type {kind} with {length} bytes")]
    Length {
        /// The frame's type.
        kind: u16,
        /// The length that it announced, in bytes.
        length: usize,
    },
    /// DATA or a control frame for stream 0.
    #[error("a frame for stream 0")]
    StreamZero,
}

/// Takes a byte stream apart into frames, however it is cut.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The head and the fixed fields of the frame at hand.
    kept: [u8; HEAD + FIELDS],
    filled: usize,
    state: State,
}

/// The most bytes of fixed fields that any control frame has.
const FIELDS: usize = 10;

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Head,
    Data {
        stream: u32,
        left: usize,
        fin: bool,
    },
    /// Collecting the fixed fields: `fields` of them, then `skip` bytes to pass over.
    Control {
        kind: u16,
        fin: bool,
        fields: usize,
        skip: usize,
    },
    Skip {
        left: usize,
    },
}

impl Decoder {
    /// Returns the next frame in `input`, which is consumed as far as it was used. `None` means that all of it was, and
    /// that the next bytes are needed. The bytes of a DATA frame are shared with `input`, not copied.
    ///
    /// # Errors
    /// [`Violation`] where the peer breaks a rule of the framing; nothing that follows can be trusted.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Frame>, Violation> {
        loop {
            match self.state {
                State::Head => {
                    if !self.fill(HEAD, input) {
                        return Ok(None);
                    }
                    if let Some(frame) = self.start()? {
                        return Ok(Some(frame));
                    }
                }
                State::Data { stream, left, fin } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let bytes = input.split_to(left.min(input.len()));
                    let left = left - bytes.len();
                    self.state = if left == 0 { self.reset() } else { State::Data { stream, left, fin } };
                    return Ok(Some(Frame::Data { stream, bytes, fin: fin && left == 0 }));
                }
                State::Control { kind, fin, fields, skip } => {
                    if !self.fill(HEAD + fields, input) {
                        return Ok(None);
                    }
                    let frame = self.control(kind, fin)?;
                    self.state = if skip == 0 { self.reset() } else { State::Skip { left: skip } };
                    return Ok(Some(frame));
                }
                State::Skip { left } => {
                    let count = left.min(input.len());
                    input.advance(count);
                    if count < left {
                        self.state = State::Skip { left: left - count };
                        return Ok(None);
                    }
                    self.state = self.reset();
                }
            }
        }
    }

    fn reset(&mut self) -> State {
        self.filled = 0;
        State::Head
    }

    /// Keeps bytes until there are `wanted`; false if the input ends before.
    fn fill(&mut self, wanted: usize, input: &mut Bytes) -> bool {
        let count = wanted.saturating_sub(self.filled).min(input.len());
        self.kept[self.filled..self.filled + count].copy_from_slice(&input[..count]);
        input.advance(count);
        self.filled += count;
        self.filled >= wanted
    }

    fn word(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.kept[at..at + 4]);
        u32::from_be_bytes(word)
    }

    /// Reads a head. A frame without a body comes out at once.
    fn start(&mut self) -> Result<Option<Frame>, Violation> {
        let (first, second) = (self.word(0), self.word(4));
        let fin = second & FIN != 0;
        let length = (second & 0x00ff_ffff) as usize;
        if first & CONTROL == 0 {
            if first == 0 {
                return Err(Violation::StreamZero);
            }
            if length == 0 {
                self.state = self.reset();
                return Ok(Some(Frame::Data { stream: first, bytes: Bytes::new(), fin }));
            }
            self.state = State::Data { stream: first, left: length, fin };
            return Ok(None);
        }
        let version = (first >> 16) & 0x7fff;
        if version != VERSION {
            return Err(Violation::Version(version));
        }
        let kind = (first & 0xffff) as u16;
        let (fields, exact) = match kind {
            SYN_STREAM => (10, false),
            SYN_REPLY | HEADERS => (4, false),
            RST_STREAM | GOAWAY | WINDOW_UPDATE => (8, true),
            PING => (4, true),
            _ => (0, false),
        };
        if length < fields || (exact && length != fields) {
            return Err(Violation::Length { kind, length });
        }
        self.state = State::Control { kind, fin, fields, skip: length - fields };
        Ok(None)
    }

    fn control(&self, kind: u16, fin: bool) -> Result<Frame, Violation> {
        let field = |index: usize| self.word(HEAD + 4 * index);
        let stream = || match field(0) & !CONTROL {
            0 => Err(Violation::StreamZero),
            stream => Ok(stream),
        };
        Ok(match kind {
            SYN_STREAM => Frame::SynStream { stream: stream()? },
            SYN_REPLY => Frame::SynReply { stream: stream()?, fin },
            RST_STREAM => Frame::Reset { stream: stream()?, status: field(1) },
            PING => Frame::Ping { id: field(0) },
            GOAWAY => Frame::GoAway { last: field(0) },
            HEADERS => Frame::Headers { stream: stream()?, fin },
            // Stream 0 is the whole connection's window in 3.1.
            WINDOW_UPDATE => Frame::WindowUpdate { stream: field(0), delta: field(1) },
            kind => Frame::Other { kind },
        })
    }
}

/// Returns the head of a DATA frame, to be followed by `length` bytes: at most [`MAX_PAYLOAD`]. With `fin`, the sender
/// sends nothing more on the stream.
pub fn data_head(stream: u32, length: usize, fin: bool) -> [u8; HEAD] {
    debug_assert!(length <= MAX_PAYLOAD);
    let length = u32::try_from(length & MAX_PAYLOAD).unwrap_or_default() | if fin { FIN } else { 0 };
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&stream.to_be_bytes());
    head[4..].copy_from_slice(&length.to_be_bytes());
    head
}

fn control(out: &mut BytesMut, kind: u16, fin: bool, length: usize) {
    out.put_u32(CONTROL | VERSION << 16 | u32::from(kind));
    out.put_u32(u32::try_from(length & MAX_PAYLOAD).unwrap_or_default() | if fin { FIN } else { 0 });
}

/// Appends a `SYN_STREAM` frame, which opens a stream. `block` holds its headers: see [`super::headers`].
///
/// It has the highest priority (0). The servers' queues are ordered by priority, and the bytes that follow the opening
/// have priority 0: an opening of lower priority would be overtaken by them, and they would be dropped (spdystream,
/// `priority.go`).
pub fn syn_stream(out: &mut BytesMut, stream: u32, fin: bool, block: &[u8]) {
    control(out, SYN_STREAM, fin, 10 + block.len());
    out.put_u32(stream);
    out.put_u32(0);
    out.put_u16(0);
    out.put_slice(block);
}

/// Appends a `SYN_REPLY` frame, with which a server takes a stream.
pub fn syn_reply(out: &mut BytesMut, stream: u32, block: &[u8]) {
    control(out, SYN_REPLY, false, 4 + block.len());
    out.put_u32(stream);
    out.put_slice(block);
}

/// Appends a `RST_STREAM` frame, which ends both directions of a stream at once.
pub fn reset(out: &mut BytesMut, stream: u32, status: Status) {
    control(out, RST_STREAM, false, 8);
    out.put_u32(stream);
    out.put_u32(status as u32);
}

/// Appends a PING frame. Numbers of a client are odd, those of a server even (SPDY/3, 2.6.5).
pub fn ping(out: &mut BytesMut, id: u32) {
    control(out, PING, false, 4);
    out.put_u32(id);
}

#[cfg(test)]
mod tests;
