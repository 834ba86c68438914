//! The protocol's state, for both sides. It does no I/O: bytes are put in and taken out, and events say what they mean.

mod receive;

use std::collections::HashMap;
use std::time::Duration;

use crate::buffer::{Input, Output};
use crate::event::{Event, Limits, Side};
use crate::frame::{DATA, DATA_TYPE, DATAGRAM, Frame, HEAD, Kind, Reason, Violation};
use crate::seal::{KEY, Sealing, keys};

/// The beginning of a greeting, in front of the random value: a mark, and the version of the protocol.
const MARK: [u8; 5] = *b"brow\x02";

/// The length of that beginning.
const GREETING: usize = MARK.len() + KEY;

/// Unsent bytes from which on no more data is taken.
const ROOM: usize = 256 * 1024;

/// Unsent bytes from which on the other side is given up: it asks and asks, and reads no answer.
const FULL: usize = ROOM + 1024 * 1024;

/// One stream. It is forgotten when both sides have ended it, or either has reset it.
struct Stream {
    kind: Kind,
    /// Bytes that may be sent.
    credit: u32,
    /// Bytes that the other side may send.
    window: u32,
    /// The size that the window is filled up to.
    size: u32,
    /// Bytes that were consumed since it was.
    consumed: u32,
    connected: bool,
    ended_here: bool,
    ended_there: bool,
}

enum Phase {
    /// The other side's greeting has not come.
    Greeting { key: [u8; KEY], random: [u8; KEY] },
    /// The keys. The other side has proved that it has them, too, once it is `up`.
    Keyed { sending: Box<Sealing>, receiving: Box<Sealing>, up: bool },
}

/// One end of a connection.
pub struct Connection {
    input: Input,
    state: State,
}

struct State {
    side: Side,
    limits: Limits,
    phase: Phase,
    output: Output,
    streams: HashMap<u32, Stream>,
    /// The last stream that was opened.
    last: u32,
    /// The rest of [`Limits::extra`].
    extra: u32,
    /// The other side's limits.
    streams_there: u32,
    window_there: u32,
    /// The error of sealing a record.
    broken: Option<Violation>,
}

impl Connection {
    /// Begins a connection. The client has a greeting to send; the relay says nothing before it has come. `random` must
    /// never be used again.
    pub fn new(side: Side, key: &[u8; KEY], random: [u8; KEY], limits: Limits) -> Self {
        let mut state = State {
            side,
            limits,
            phase: Phase::Greeting { key: *key, random },
            output: Output::default(),
            streams: HashMap::new(),
            last: 0,
            extra: limits.extra,
            streams_there: 0,
            window_there: 0,
            broken: None,
        };
        if side == Side::Client {
            state.greet(&random);
        }
        Self { input: Input::default(), state }
    }

    /// Returns where the other side's next bytes are to be put; it is never empty. Say with [`Connection::received`]
    /// how many they were, then call [`Connection::next`] until it returns nothing.
    pub fn space(&mut self) -> &mut [u8] {
        self.input.space()
    }

    /// Takes note of so many bytes in [`Connection::space`].
    pub fn received(&mut self, count: usize) {
        self.input.received(count);
    }

    /// Returns the next event, if its bytes are there.
    ///
    /// # Errors
    /// The other side broke the rules or does not know the key. The connection is of no more use.
    #[expect(clippy::should_implement_trait, reason = "an event borrows the connection")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, Violation> {
        let state = &mut self.state;
        if let Some(broken) = state.broken {
            return Err(broken);
        }
        if state.output.waiting() > FULL {
            return Err(Violation("it reads no answers"));
        }
        if let Phase::Greeting { .. } = state.phase {
            let Some(greeting) = self.input.take(GREETING) else { return Ok(None) };
            state.greeted(greeting)?;
        }
        let Phase::Keyed { receiving, .. } = &mut state.phase else { return Ok(None) };
        let Some(record) = self.input.take_record()? else { return Ok(None) };
        let frame = Frame::decode(receiving.open(record)?)?;
        state.take(frame).map(Some)
    }

    /// Returns what is to be sent to the other side. Say with [`Connection::sent`] how much of it was.
    pub fn output(&self) -> &[u8] {
        self.state.output.as_slice()
    }

    /// Takes note that so many bytes of [`Connection::output`] were sent.
    pub fn sent(&mut self, count: usize) {
        self.state.output.sent(count);
    }

    /// Returns whether data should be sent: not while much is waiting already.
    pub fn has_room(&self) -> bool {
        self.state.output.waiting() < ROOM
    }

    /// Returns whether streams may be opened.
    pub fn is_up(&self) -> bool {
        matches!(self.state.phase, Phase::Keyed { up: true, .. })
    }

    /// Asks for a new stream and returns its id; `None` where the other side takes no more, now or ever.
    pub fn open(&mut self, kind: Kind, host: &str, port: u16) -> Option<u32> {
        let state = &mut self.state;
        let count = u32::try_from(state.streams.len()).ok()?;
        let up = matches!(state.phase, Phase::Keyed { up: true, .. });
        let id = state.last.checked_add(1).filter(|_| up && count < state.streams_there)?;
        state.last = id;
        state.enter(id, kind, false);
        state.emit(&Frame::Open { id, kind, port, host });
        Some(id)
    }

    /// Says that a stream is connected to its target.
    pub fn connected(&mut self, id: u32, took: Duration) {
        if let Some(stream) = self.state.streams.get_mut(&id) {
            stream.connected = true;
            self.state.emit(&Frame::Connected { id, micros: u32::try_from(took.as_micros()).unwrap_or(u32::MAX) });
        }
    }

    /// Returns how many bytes of a stream may be sent now.
    pub fn credit(&self, id: u32) -> usize {
        let stream = self.state.streams.get(&id).filter(|stream| !stream.ended_here);
        stream.map_or(0, |stream| stream.credit as usize)
    }

    /// Sends what `fill` puts into the slice that it is given, which is as long as may be sent at once, and returns
    /// what `fill` does. Nothing is sent where that is 0.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn send_with<E>(&mut self, id: u32, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        let most = self.credit(id).min(DATA);
        let state = &mut self.state;
        let filled = state.seal(|out| {
            let start = out.len();
            out.push(DATA_TYPE);
            out.extend_from_slice(&id.to_be_bytes());
            out.resize(start + HEAD + most, 0);
            let filled = fill(&mut out[start + HEAD..]);
            match filled {
                Ok(count @ 1..) => out.truncate(start + HEAD + count),
                Ok(0) | Err(_) => out.truncate(start),
            }
            filled
        });
        let Some(filled) = filled else { return Ok(0) };
        if let (Ok(count), Some(stream)) = (&filled, state.streams.get_mut(&id)) {
            stream.credit = stream.credit.saturating_sub(u32::try_from(*count).unwrap_or(u32::MAX));
        }
        filled
    }

    /// Sends a datagram of a flow; `false` if it is dropped: much is waiting, it is too long, or the flow is over.
    pub fn send_datagram(&mut self, id: u32, bytes: &[u8]) -> bool {
        let is_flow = self.state.streams.get(&id).is_some_and(|stream| stream.kind == Kind::Udp);
        let goes = is_flow && bytes.len() <= DATAGRAM && self.has_room();
        if goes {
            self.state.emit(&Frame::Datagram { id, bytes });
        }
        goes
    }

    /// Says that so many datagrams of a flow were dropped here.
    pub fn dropped(&mut self, id: u32, count: u32) {
        if self.state.streams.contains_key(&id) {
            self.state.emit(&Frame::Dropped { id, count });
        }
    }

    /// Says that no more bytes of a stream are sent.
    pub fn end(&mut self, id: u32) {
        let state = &mut self.state;
        if let Some(stream) = state.streams.get_mut(&id).filter(|stream| !stream.ended_here) {
            stream.ended_here = true;
            let over = stream.ended_there;
            state.emit(&Frame::End { id });
            if over {
                state.forget(id);
            }
        }
    }

    /// Ends a stream at once. One that is over is left as it is.
    pub fn reset(&mut self, id: u32, reason: Reason, words: &str) {
        if self.state.forget(id) {
            self.state.emit(&Frame::Reset { id, reason, words });
        }
    }

    /// Says that so many bytes of a stream are out of hand: as many more may come. A stream whose bytes move is given a
    /// larger window, as far as there is memory.
    pub fn consume(&mut self, id: u32, count: usize) {
        let (extra, most) = (self.state.extra, self.state.limits.most);
        let Some(stream) = self.state.streams.get_mut(&id).filter(|stream| !stream.ended_there) else { return };
        stream.consumed = stream.consumed.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        // A little under half: the frame that reaches it may go beyond it, and the rest of a large window has to reach
        // it, too. Else the other side would be given credit once in a round trip, not twice, and be half as fast.
        if stream.consumed < stream.size / 16 * 7 {
            return;
        }
        let more = stream.size.min(most.saturating_sub(stream.size)).min(extra);
        let bytes = std::mem::take(&mut stream.consumed).saturating_add(more);
        stream.size += more;
        stream.window = stream.window.saturating_add(bytes);
        self.state.extra -= more;
        self.state.emit(&Frame::Credit { id, bytes });
    }

    /// Asks whether the other side is there.
    pub fn ping(&mut self, token: u64) {
        self.state.emit(&Frame::Ping { token });
    }
}

impl State {
    fn seal<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> Option<T> {
        let Phase::Keyed { sending, .. } = &mut self.phase else { return None };
        match sending.seal(self.output.bytes(), write) {
            Ok(result) => Some(result),
            Err(violation) => {
                self.broken = Some(violation);
                None
            }
        }
    }

    fn emit(&mut self, frame: &Frame<'_>) {
        self.seal(|out| frame.encode(out));
    }

    fn greet(&mut self, random: &[u8; KEY]) {
        self.output.bytes().extend_from_slice(&MARK);
        self.output.bytes().extend_from_slice(random);
    }

    /// Derives the keys of this connection, and shows the other side that it has them.
    fn greeted(&mut self, greeting: &[u8]) -> Result<(), Violation> {
        let Phase::Greeting { key, random } = self.phase else { return Ok(()) };
        let (mark, theirs) = greeting.split_at(MARK.len());
        if mark != MARK {
            return Err(Violation("it does not speak this version of the protocol"));
        }
        let theirs = theirs.try_into().map_err(|_| Violation("a greeting of a wrong length"))?;
        let (sending, receiving) = match self.side {
            Side::Client => keys(&key, &random, theirs)?,
            Side::Relay => {
                self.greet(&random);
                let (up, down) = keys(&key, theirs, &random)?;
                (down, up)
            }
        };
        self.phase = Phase::Keyed { sending: Box::new(sending), receiving: Box::new(receiving), up: false };
        self.emit(&Frame::Hello { streams: self.limits.streams, window: self.limits.window });
        Ok(())
    }

    fn enter(&mut self, id: u32, kind: Kind, connected: bool) {
        let size = self.limits.window;
        // A flow has no bytes beside its datagrams, which nobody waits for.
        let (credit, window) = if kind == Kind::Tcp { (self.window_there, size) } else { (0, 0) };
        let stream =
            Stream { kind, credit, window, size, consumed: 0, connected, ended_here: false, ended_there: false };
        self.streams.insert(id, stream);
    }

    /// Returns whether there was such a stream.
    fn forget(&mut self, id: u32) -> bool {
        let gone = self.streams.remove(&id);
        self.extra += gone.as_ref().map_or(0, |stream| stream.size - self.limits.window);
        gone.is_some()
    }
}

#[cfg(test)]
mod tests;
