//! The sending half of a tunnel: what waits to leave, and who waits for room.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::transport::{Outgoing, Transport};
use crate::{Error, proto::receive::Shared};

/// Above this many bytes that the connection does not take, senders wait.
const HIGH: usize = 256 * 1024;

/// Below this many they go on.
const LOW: usize = 64 * 1024;

/// A peer that lets this much pile up in answers to itself (pongs, refusals) is not one of ours.
const ABSURD: usize = 1 << 20;

/// The connection, and what it has not taken yet.
pub(crate) struct Io {
    pub transport: Transport,
    pub out: Outgoing,
    /// The pump's: the connection's readiness is always told to it, whoever found it wanting.
    pub pump: Option<Waker>,
    /// The streams that wait for room, one waker for each.
    writers: HashMap<usize, Waker>,
    dead: Option<Error>,
}

impl Io {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, out: Outgoing::default(), pump: None, writers: HashMap::new(), dead: None }
    }

    /// Sends what waits, as far as the connection takes it.
    pub(crate) fn flush(&mut self) {
        let Some(pump) = self.pump.clone() else { return };
        if self.dead.is_some() {
            return;
        }
        match self.transport.poll_send(&mut Context::from_waker(&pump), &mut self.out) {
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => self.die(Error::TunnelLost { text: error.to_string() }),
        }
        if self.out.len() < LOW || self.dead.is_some() {
            self.writers.drain().for_each(|(_, waker)| waker.wake());
        }
    }

    /// Whether a stream may send now; else wakes `cx` when it may.
    pub(crate) fn poll_room(&mut self, stream: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(error) = &self.dead {
            return Poll::Ready(Err(error.clone()));
        }
        if self.out.len() > HIGH {
            self.writers.insert(name(stream), cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends an answer to the peer. One that provokes ever more of them while it takes none is cut off.
    pub(crate) fn answer(&mut self, frame: Bytes) {
        if self.out.answers() > ABSURD {
            self.die(Error::Protocol { text: "the peer provokes answers and takes none".to_owned() });
            return;
        }
        self.out.push_answer(frame);
        self.flush();
    }

    /// The stream no longer waits for room.
    pub(crate) fn forget(&mut self, stream: &Arc<Shared>) {
        self.writers.remove(&name(stream));
    }

    fn die(&mut self, error: Error) {
        self.dead.get_or_insert(error);
        if let Some(pump) = &self.pump {
            pump.wake_by_ref();
        }
    }

    /// The error that a write met.
    pub(crate) fn death(&self) -> Option<Error> {
        self.dead.clone()
    }

    /// The tunnel has ended.
    pub(crate) fn close(&mut self, error: &Error) {
        self.dead.get_or_insert_with(|| error.clone());
        self.out = Outgoing::default();
        self.writers.drain().for_each(|(_, waker)| waker.wake());
        self.pump = None;
    }
}

/// What a stream is called here, for as long as it lives.
fn name(stream: &Arc<Shared>) -> usize {
    Arc::as_ptr(stream).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that takes nothing.
    fn stuck() -> (Io, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(1);
        let mut io = Io::new(Transport::bare(near));
        io.pump = Some(Waker::noop().clone());
        (io, far)
    }

    #[test]
    fn a_stream_waits_for_room_once_however_often_it_is_polled() {
        let (mut io, _far) = stuck();
        io.out.push(Bytes::from(vec![0; HIGH + 1]));
        let streams = [Arc::default(), Arc::default()];
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            assert!(streams.iter().all(|stream| io.poll_room(stream, &mut cx).is_pending()));
        }
        assert_eq!(io.writers.len(), 2);
        io.forget(&streams[0]);
        assert_eq!(io.writers.len(), 1);
    }

    #[test]
    fn a_peer_that_provokes_answers_is_cut_off_and_our_own_bytes_are_no_answers() {
        let (mut io, _far) = stuck();
        io.out.push(Bytes::from(vec![0; 4 * ABSURD]));
        io.answer(Bytes::from_static(&[0; 12]));
        assert!(io.death().is_none(), "its only answer");
        for _ in 0..=ABSURD / 12 + 1 {
            io.answer(Bytes::from_static(&[0; 12]));
        }
        assert!(matches!(io.death(), Some(Error::Protocol { .. })), "{:?}", io.death());
    }
}
