//! Frames from the other side, and what they do to the streams.

use std::time::Duration;

use super::{Phase, State};
use crate::event::{Event, Side};
use crate::frame::{Frame, Kind, Reason, Violation};

impl State {
    /// Takes in a frame from the other side.
    pub(super) fn take<'a>(&mut self, frame: Frame<'a>) -> Result<Event<'a>, Violation> {
        let Phase::Keyed { up, .. } = &mut self.phase else { return Ok(Event::Handled) };
        let first = !std::mem::replace(up, true);
        if first != matches!(frame, Frame::Hello { .. }) {
            return Err(Violation("a hello that is not the first frame, or a first frame that is none"));
        }
        match frame {
            Frame::Hello { streams, window } => {
                (self.streams_there, self.window_there) = (streams, window);
                Ok(Event::Up)
            }
            Frame::Ping { token } => {
                self.emit(&Frame::Pong { token });
                Ok(Event::Handled)
            }
            Frame::Pong { token } => Ok(Event::Pong { token }),
            Frame::Open { id, kind, port, host } => self.asked(id, kind, host, port),
            Frame::Connected { id, .. }
            | Frame::Data { id, .. }
            | Frame::Credit { id, .. }
            | Frame::End { id }
            | Frame::Reset { id, .. }
            | Frame::Datagram { id, .. }
            | Frame::Dropped { id, .. } => {
                if id > self.last {
                    return Err(Violation("a frame of a stream that was never opened"));
                }
                // One that was reset here may still be spoken of there.
                if self.streams.contains_key(&id) { self.of_stream(id, frame) } else { Ok(Event::Handled) }
            }
        }
    }

    fn asked<'a>(&mut self, id: u32, kind: Kind, host: &'a str, port: u16) -> Result<Event<'a>, Violation> {
        if self.side == Side::Client || id <= self.last {
            return Err(Violation("a stream that may not be opened"));
        }
        self.last = id;
        if self.streams.len() >= self.limits.streams as usize {
            self.emit(&Frame::Reset { id, reason: Reason::TooMany, words: "" });
            return Ok(Event::Handled);
        }
        self.enter(id, kind, true);
        Ok(Event::Open { id, kind, host, port })
    }

    fn of_stream<'a>(&mut self, id: u32, frame: Frame<'a>) -> Result<Event<'a>, Violation> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(Event::Handled) };
        let of_its_kind = match frame {
            Frame::Data { .. } | Frame::Credit { .. } | Frame::End { .. } => stream.kind == Kind::Tcp,
            Frame::Datagram { .. } | Frame::Dropped { .. } => stream.kind == Kind::Udp,
            _ => true,
        };
        if !of_its_kind {
            return Err(Violation("a frame of another kind of stream"));
        }
        match frame {
            Frame::Connected { micros, .. } => {
                if std::mem::replace(&mut stream.connected, true) {
                    return Err(Violation("a stream that is connected twice"));
                }
                Ok(Event::Connected { id, took: Duration::from_micros(micros.into()) })
            }
            Frame::Credit { bytes, .. } => {
                stream.credit = stream.credit.checked_add(bytes).ok_or(Violation("too much credit"))?;
                Ok(Event::Credit { id })
            }
            Frame::Reset { reason, words, .. } => {
                self.forget(id);
                Ok(Event::Reset { id, reason, words })
            }
            // Also while the target's name is being resolved.
            Frame::Dropped { count, .. } => Ok(Event::Dropped { id, count }),
            _ if !stream.connected => Err(Violation("data of a stream that is not connected")),
            _ if stream.ended_there => Err(Violation("data after the end")),
            Frame::Datagram { bytes, .. } => Ok(Event::Datagram { id, bytes }),
            Frame::Data { bytes, .. } => {
                let left = u32::try_from(bytes.len()).ok().and_then(|count| stream.window.checked_sub(count));
                stream.window = left.ok_or(Violation("more data than was allowed"))?;
                Ok(Event::Data { id, bytes })
            }
            _ => {
                stream.ended_there = true;
                if stream.ended_here {
                    self.forget(id);
                }
                Ok(Event::End { id })
            }
        }
    }
}
