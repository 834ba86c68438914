//! Bytes that arrive on a tunnel.

use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use super::{Connection, Event, Framing, Half, Ids};
use crate::{
    error::Error,
    proto::{
        frame::{self, Frame},
        health::Now,
    },
};
/// The most bytes of answers to itself (pongs, refusals) that a peer may let pile up.
const MAX_ANSWERS: usize = 1 << 20;

impl<S: Clone> Connection<S> {
    /// Takes bytes that arrived, cut anywhere; of `v4` one whole message.
    ///
    /// # Errors
    /// [`Error::Protocol`] where the peer breaks a rule; nothing that follows can be trusted.
    pub(crate) fn handle(&mut self, mut bytes: Bytes, now: Now) -> Result<(), Error> {
        self.health.hear(now);
        loop {
            let Framing::Spdy { decoder, .. } = &mut self.framing else {
                self.on_message(bytes);
                return Ok(());
            };
            let frame = decoder.next(&mut bytes).map_err(|rule| Error::Protocol { text: rule.to_string() })?;
            let Some(frame) = frame else { return Ok(()) };
            self.on_frame(frame, now.steady)?;
        }
    }

    fn on_frame(&mut self, frame: Frame, now: Instant) -> Result<(), Error> {
        match frame {
            Frame::Data { stream, bytes, fin } => self.on_data(stream, bytes, fin),
            Frame::SynReply { stream, fin: true } | Frame::Headers { stream, fin: true } => {
                self.on_data(stream, Bytes::new(), true);
            }
            Frame::Reset { stream, .. } => {
                if let Some(Half { stream, is_error, .. }) = self.halves.get(&stream) {
                    self.events.push_back(Event::Reset { stream: stream.clone(), is_error: *is_error });
                }
            }
            // Our own come back odd; even ones are the peer's to be answered.
            Frame::Ping { id } if id % 2 == 1 => self.health.pong(id, now),
            Frame::Ping { id } => self.answer(|out| frame::ping(out, id))?,
            Frame::GoAway { .. } => self.retire(),
            Frame::SynStream { stream } => self.answer(|out| frame::reset(out, stream, frame::Status::Refused))?,
            // Of what is left nothing concerns us: the servers keep no windows.
            Frame::SynReply { .. } | Frame::Headers { .. } | Frame::WindowUpdate { .. } | Frame::Other { .. } => {}
        }
        Ok(())
    }

    fn on_data(&mut self, id: u32, bytes: Bytes, fin: bool) {
        // Bytes for a stream that we have given up: the node sends on for up to a second.
        let Some(half) = self.halves.get(&id) else { return };
        let stream = half.stream.clone();
        if half.is_error {
            self.events.push_back(Event::Words { stream, text: bytes, fin });
            return;
        }
        self.events.push_back(Event::Data { stream, bytes, fin });
        if fin {
            // The node has torn the forward down; what we would still send would block its worker for good.
            self.finish(Ids { error: 0, data: id });
        }
    }

    fn on_message(&mut self, mut message: Bytes) {
        let Framing::Channels { begun } = &mut self.framing else { return };
        let Ok(channel) = message.try_get_u8() else { return };
        let Some(begun) = begun.get_mut(usize::from(channel)) else { return };
        if !std::mem::replace(begun, true) {
            // The first message of a channel repeats the port.
            message.advance(message.len().min(2));
        }
        if !message.is_empty() {
            self.on_data(u32::from(channel), message, false);
        }
    }

    /// Takes note that the peer has ended the connection. Of `v4` that is how the pod's side ends.
    pub(crate) fn handle_end(&mut self) {
        if self.is_single() {
            for id in [0, 1] {
                self.on_data(id, Bytes::new(), true);
            }
        }
    }

    /// Takes a WebSocket's answer to our ping of this number; `None` where it has another payload than we sent.
    pub(crate) fn handle_pong(&mut self, id: Option<u32>, now: Now) {
        self.health.hear(now);
        if let Some(id) = id {
            self.health.pong(id, now.steady);
        }
    }

    /// Queues an answer to the peer. A peer that provokes ever more of them while it takes none is cut off.
    fn answer(&mut self, write: impl FnOnce(&mut BytesMut)) -> Result<(), Error> {
        if self.out.answers() > MAX_ANSWERS {
            return Err(Error::Protocol { text: "the peer provokes answers and takes none".to_owned() });
        }
        let mut frame = BytesMut::with_capacity(16);
        write(&mut frame);
        self.out.push_answer(frame.freeze());
        Ok(())
    }
}
