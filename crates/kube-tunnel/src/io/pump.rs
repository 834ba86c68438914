//! The one task of a tunnel: reads the connection, hands bytes to streams, sends what had to wait, keeps time.

mod beat;

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use tokio::time::Sleep;

use super::{session::Session, transport::Received, witness::Inquiry};
use crate::{
    Error, Protocol,
    contain::contain,
    proto::{
        frame::{self, Decoder, Frame},
        health::{self, Now},
        receive::{Outlook, Shared, lock},
    },
};

/// How often the pump looks at the time.
const BEAT: Duration = Duration::from_secs(2);

/// How often while a stream holds the tunnel up.
const CLOGGED_BEAT: Duration = Duration::from_millis(250);

/// Where at least this much came at once, the next is left to gather for [`BREATH`]: whoever reads each piece as it
/// comes is woken for each, and so is whoever sends it. On a machine that carries both ends, a download costs a tenth
/// less.
const BULK: usize = 64 * 1024;
const BREATH: Duration = Duration::from_millis(1);

/// How long a connection whose only stream was dropped may take to pass on what was sent, and to be closed by its
/// server: as long as a kernel keeps the bytes of a socket that was closed.
const LEAVING: Duration = Duration::from_mins(1);

/// How many chunks are taken before other tasks get their turn.
const TURNS: usize = 8;

/// Reads a tunnel until it ends, then ends its streams with the reason.
pub(crate) async fn pump(session: Arc<Session>) {
    let mut pump = Pump {
        beat: Box::pin(tokio::time::sleep(Duration::ZERO)),
        leave: None,
        breath: Box::pin(tokio::time::sleep(Duration::ZERO)),
        gathering: false,
        taken: 0,
        session: Arc::clone(&session),
        decoder: Decoder::default(),
        channels: [false; 2],
        last: None,
        touched: Vec::new(),
        clogs: Vec::new(),
        clogged: None,
        suspect: None,
        inquiry: None,
        inquired: None,
    };
    let cancel = session.cancel.clone();
    let pumping = contain(std::future::poll_fn(move |cx| pump.poll(cx)));
    let error = tokio::select! {
        biased;
        () = cancel.cancelled() => Error::Closed,
        // Its streams are not to wait for what never comes.
        error = pumping => error.unwrap_or_else(|text| Error::TunnelLost { text }),
    };
    tracing::debug!(protocol = ?session.protocol, ?error, "a tunnel has ended");
    session.close(&error);
    session.cancel.cancel();
}

struct Pump {
    session: Arc<Session>,
    beat: Pin<Box<Sleep>>,
    /// Runs while the connection is leaving.
    leave: Option<Pin<Box<Sleep>>>,
    breath: Pin<Box<Sleep>>,
    /// The connection is not read before `breath` is over.
    gathering: bool,
    /// What came since the connection was last found empty, in bytes.
    taken: usize,
    decoder: Decoder,
    /// Whether the port number that opens each V4 channel has come.
    channels: [bool; 2],
    /// The stream that the last bytes were for: most often the next are, too.
    last: Option<(u32, Arc<Shared>, bool)>,
    /// Streams that the chunk at hand brought something for.
    touched: Vec<Arc<Shared>>,
    /// Streams that must be drained before the tunnel is read again.
    clogs: Vec<Arc<Shared>>,
    clogged: Option<Instant>,
    suspect: Option<Instant>,
    /// Whether the connection is lost is being found out, while its silence does not tell.
    inquiry: Option<Inquiry>,
    inquired: Option<Instant>,
}

impl Pump {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        {
            let mut io = self.session.lock_io();
            if io.pump.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                io.pump = Some(cx.waker().clone());
            }
            io.flush();
            match io.death() {
                // What the peer has sent before it left is still to be read.
                Some(Error::TunnelLost { .. }) if self.clogs.is_empty() => {}
                Some(error) => return Poll::Ready(error),
                None => {}
            }
        }
        while self.beat.as_mut().poll(cx).is_ready() {
            if let Some(error) = self.on_beat(cx) {
                return Poll::Ready(error);
            }
            let pause = if self.clogs.is_empty() { BEAT } else { CLOGGED_BEAT };
            self.beat.as_mut().reset(tokio::time::Instant::now() + pause);
        }
        if let Some(inquiry) = &mut self.inquiry
            && let Poll::Ready(lost) = inquiry.as_mut().poll(cx)
        {
            self.inquiry = None;
            if let Some(text) = lost {
                return Poll::Ready(Error::TunnelLost { text });
            }
        }
        if let Some(error) = self.leave(cx) {
            return Poll::Ready(error);
        }
        if self.gathering {
            ready!(self.breath.as_mut().poll(cx));
            self.gathering = false;
        }
        for _ in 0..TURNS {
            if self.is_clogged() {
                return Poll::Pending;
            }
            let (received, death) = {
                let mut io = self.session.lock_io();
                (io.transport.poll_receive(cx), io.death())
            };
            let Poll::Ready(received) = received else {
                if let Some(error) = death {
                    return Poll::Ready(error);
                }
                if std::mem::take(&mut self.taken) >= BULK {
                    self.breath.as_mut().reset(tokio::time::Instant::now() + BREATH);
                    self.gathering = self.breath.as_mut().poll(cx).is_pending();
                }
                return Poll::Pending;
            };
            match received {
                Ok(Received::Bytes(chunk)) => {
                    self.taken += chunk.len();
                    lock(&self.session.health).hear(Now::get());
                    if let Err(error) = self.take(chunk) {
                        return Poll::Ready(error);
                    }
                    self.deliver();
                }
                Ok(Received::Pong(payload)) => self.on_web_socket_pong(&payload),
                Ok(Received::End) => return Poll::Ready(self.on_end()),
                Err(error) => return Poll::Ready(Error::TunnelLost { text: error.to_string() }),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Closes a connection that is leaving, once all that was sent has left; its end is then read like any other. The
    /// error: there is nothing to wait for any more.
    fn leave(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        if !self.session.leaving.load(Ordering::Relaxed) {
            return None;
        }
        let limit = self.leave.get_or_insert_with(|| Box::pin(tokio::time::sleep(LEAVING)));
        if limit.as_mut().poll(cx).is_ready() {
            return Some(Error::Closed);
        }
        let mut io = self.session.lock_io();
        if io.out.len() > 0 {
            return None;
        }
        match io.transport.poll_close(cx) {
            Poll::Ready(Err(error)) => Some(Error::TunnelLost { text: error.to_string() }),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// Whether a full stream keeps the tunnel from being read.
    fn is_clogged(&mut self) -> bool {
        self.clogs.retain(|shared| lock(&shared.state).clogged);
        if self.clogs.is_empty() && self.clogged.take().is_some() {
            lock(&self.session.health).excuse(Now::get());
            self.session.clogged.store(false, Ordering::Relaxed);
            self.session.changed.notify_one();
        }
        !self.clogs.is_empty()
    }

    fn take(&mut self, mut chunk: Bytes) -> Result<(), Error> {
        if self.session.protocol == Protocol::V4 {
            self.take_channel(chunk);
            return Ok(());
        }
        while let Some(frame) =
            self.decoder.next(&mut chunk).map_err(|rule| Error::Protocol { text: rule.to_string() })?
        {
            self.on_frame(frame);
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Data { stream, bytes, fin } => self.on_data(stream, bytes, fin),
            Frame::SynReply { stream, fin } | Frame::Headers { stream, fin } => {
                if fin {
                    self.on_data(stream, Bytes::new(), true);
                }
            }
            Frame::Reset { stream, .. } => {
                if let Some((shared, is_error)) = self.find(stream) {
                    lock(&shared.state).reset(is_error);
                    self.touch(&shared);
                }
            }
            // Our own come back odd; even ones are the peer's to be answered.
            Frame::Ping { id } if id % 2 == 1 => lock(&self.session.health).pong(id, health::now()),
            Frame::Ping { id } => self.session.answer(|out| frame::ping(out, id)),
            Frame::GoAway { .. } => self.session.retire(),
            Frame::SynStream { stream } => {
                self.session.answer(|out| frame::reset(out, stream, frame::Status::Refused));
            }
            // The servers keep no windows, and nothing that SETTINGS could say concerns us.
            Frame::WindowUpdate { .. } | Frame::Other { .. } => {}
        }
    }

    fn find(&mut self, id: u32) -> Option<(Arc<Shared>, bool)> {
        if let Some((last, shared, is_error)) = &self.last
            && *last == id
        {
            return Some((Arc::clone(shared), *is_error));
        }
        let slot = self.session.slot(id)?;
        self.last = Some((id, Arc::clone(&slot.shared), slot.is_error));
        Some((slot.shared, slot.is_error))
    }

    fn touch(&mut self, shared: &Arc<Shared>) {
        if !self.touched.iter().any(|touched| Arc::ptr_eq(touched, shared)) {
            self.touched.push(Arc::clone(shared));
        }
    }

    fn on_data(&mut self, id: u32, bytes: Bytes, fin: bool) {
        // Bytes for a stream that we have given up: the node sends on for up to a second.
        let Some((shared, is_error)) = self.find(id) else { return };
        {
            let mut state = lock(&shared.state);
            if is_error {
                state.complain(&bytes);
                if fin {
                    state.judge();
                }
            } else {
                state.push(bytes);
                if fin {
                    state.end();
                }
            }
        }
        if fin && !is_error {
            // The node has torn the forward down; what we would still send would block its worker for good.
            self.session.finish(&shared);
        }
        self.touch(&shared);
    }

    fn take_channel(&mut self, mut message: Bytes) {
        let channel = message.get_u8();
        let Some(seen) = self.channels.get_mut(usize::from(channel)) else { return };
        if !std::mem::replace(seen, true) {
            // The first message of a channel repeats the port.
            message.advance(message.len().min(2));
        }
        if message.is_empty() {
            return;
        }
        if let Some((shared, is_error)) = self.find(u32::from(channel)) {
            let mut state = lock(&shared.state);
            if is_error {
                state.complain(&message);
            } else {
                state.push(message);
            }
            drop(state);
            self.touch(&shared);
        }
    }

    /// Passes on what the chunk brought: to a local socket at once where one is attached, else by waking the reader.
    fn deliver(&mut self) {
        for shared in std::mem::take(&mut self.touched) {
            let mut state = lock(&shared.state);
            // A failure shows itself to the reader when it tries in its turn.
            let failed = state.deliver().is_err();
            state.compact();
            let over = state.is_over();
            let wake = failed || over || state.has_ended() || !matches!(state.outlook(), Outlook::Nothing);
            let reader = if wake { state.reader() } else { None };
            if state.is_full() && !state.abandoned && !state.clogged {
                state.clogged = true;
                self.clogs.push(Arc::clone(&shared));
                if self.clogged.is_none() {
                    self.clogged = Some(health::now());
                    self.session.clogs.fetch_add(1, Ordering::Relaxed);
                }
            }
            drop(state);
            reader.into_iter().for_each(Waker::wake);
            if over {
                self.last = None;
                self.session.forget(&shared);
            }
        }
        if !self.clogs.is_empty() {
            self.session.clogged.store(true, Ordering::Relaxed);
            self.session.held_up.notify_waiters();
            self.session.changed.notify_one();
            self.beat.as_mut().reset(tokio::time::Instant::now() + CLOGGED_BEAT);
        }
    }

    fn on_web_socket_pong(&self, payload: &[u8]) {
        let mut health = lock(&self.session.health);
        health.hear(Now::get());
        if let Ok(id) = <[u8; 4]>::try_from(payload) {
            health.pong(u32::from_be_bytes(id), health::now());
        }
    }

    /// The connection has ended. For V4 that is how the pod's side ends.
    fn on_end(&self) -> Error {
        if self.session.protocol == Protocol::V4 {
            for shared in self.session.all() {
                let mut state = lock(&shared.state);
                state.end();
                state.judge();
            }
        }
        Error::TunnelLost { text: "the API server ended the connection".to_owned() }
    }
}

#[cfg(test)]
mod tests;
