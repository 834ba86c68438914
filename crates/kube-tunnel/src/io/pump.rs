//! The one task of a tunnel: reads the connection, hands bytes to streams, sends what had to wait, keeps time.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use tokio::time::Sleep;

use super::{incoming::StreamState, liveness_check::CheckFuture, now, session::Session, transport::Received};
use crate::{
    contain::{contain, lock},
    error::Error,
    proto::{
        connection::{Event, Liveness},
        health::{DEAD_AFTER, Now},
        receive::ReadState,
    },
};

/// After reading at least this many bytes at once, the pump waits for [`GATHER_DELAY`]: reading each piece as it comes
/// would wake reader and sender for each. On a machine that carries both ends, a download then costs a tenth less.
const BULK_READ: usize = 64 * 1024;
const GATHER_DELAY: Duration = Duration::from_millis(1);

/// The time that a connection whose only stream was dropped may take to pass on what was sent, and to be closed by its
/// server: as long as a kernel keeps the bytes of a socket that was closed.
const LEAVE_TIMEOUT: Duration = Duration::from_mins(1);

/// The interval between checks of a connection whose silence proves nothing.
const CHECK_INTERVAL: Duration = Duration::from_secs(8);

/// The time for which a stream may block the tunnel while others wait for it.
const STALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The most chunks that are read before other tasks get their turn.
const MAX_READS_PER_POLL: usize = 8;

/// Reads a tunnel until it ends, then ends its streams with the reason.
pub(crate) async fn pump(session: Arc<Session>) {
    let mut pump = Pump {
        timeout: Box::pin(tokio::time::sleep(Duration::ZERO)),
        leave: None,
        gather: Box::pin(tokio::time::sleep(Duration::ZERO)),
        gathering: false,
        taken: 0,
        session: Arc::clone(&session),
        events: Vec::new(),
        touched: Vec::new(),
        check: None,
        checked_at: None,
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
    timeout: Pin<Box<Sleep>>,
    /// Runs while the connection is leaving.
    leave: Option<Pin<Box<Sleep>>>,
    gather: Pin<Box<Sleep>>,
    /// The connection is not read before `gather` is over.
    gathering: bool,
    /// Bytes that came since the connection was last found empty.
    taken: usize,
    /// Events of the chunk at hand.
    events: Vec<Event<Arc<StreamState>>>,
    /// Streams for which it brought something.
    touched: Vec<Arc<StreamState>>,
    /// The running check whether the connection is lost, if its silence proves nothing.
    check: Option<CheckFuture>,
    checked_at: Option<Instant>,
}

impl Pump {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        {
            let mut link = self.session.link();
            if link.pump.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
                link.pump = Some(cx.waker().clone());
            }
            link.flush();
            match &link.dead {
                // What the peer has sent before it left is still to be read.
                Some(Error::TunnelLost { .. }) if link.connection.paused_since().is_none() => {}
                Some(error) => return Poll::Ready(error.clone()),
                None => {}
            }
        }
        if let Some(error) = self.keep_time(cx) {
            return Poll::Ready(error);
        }
        if self.gathering {
            ready!(self.gather.as_mut().poll(cx));
            self.gathering = false;
        }
        for _ in 0..MAX_READS_PER_POLL {
            let now = now();
            if let Err(error) = ready!(self.poll_read(cx, now)) {
                return Poll::Ready(error);
            }
            self.deliver(now);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Polls what depends on time. Returns the error that ends the tunnel, if there is one.
    fn keep_time(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        while self.timeout.as_mut().poll(cx).is_ready() {
            let now = now();
            let liveness = {
                let mut link = self.session.link();
                let liveness = link.connection.handle_timeout(now);
                link.flush();
                self.events.extend(std::iter::from_fn(|| link.connection.poll_event()));
                self.timeout.as_mut().reset(link.connection.poll_timeout().into());
                liveness
            };
            self.deliver(now);
            match liveness {
                Ok(Liveness::Alive) => self.check = None,
                Ok(Liveness::Doubtful) => self.check_liveness(now.steady),
                Ok(Liveness::Paused { since }) => {
                    self.cut_stalled(since, now);
                    // What is not read does not tell of its end.
                    if now.steady.duration_since(since) >= DEAD_AFTER {
                        self.check_liveness(now.steady);
                    }
                }
                Err(error) => return Some(error),
            }
        }
        if let Some(check) = &mut self.check
            && let Poll::Ready(lost) = check.as_mut().poll(cx)
        {
            self.check = None;
            if let Some(text) = lost {
                return Some(Error::TunnelLost { text });
            }
        }
        self.leave(cx)
    }

    /// Reads once and lets the protocol take it apart. An error ends the tunnel, once what came before is delivered.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Now) -> Poll<Result<(), Error>> {
        let mut link = self.session.link();
        if link.connection.paused_since().is_some() {
            return Poll::Pending;
        }
        let Poll::Ready(received) = link.transport.poll_receive(cx) else {
            if let Some(error) = link.dead.clone() {
                return Poll::Ready(Err(error));
            }
            drop(link);
            if std::mem::take(&mut self.taken) >= BULK_READ {
                self.gather.as_mut().reset(tokio::time::Instant::now() + GATHER_DELAY);
                self.gathering = self.gather.as_mut().poll(cx).is_pending();
            }
            return Poll::Pending;
        };
        let connection = &mut link.connection;
        let handled = match received {
            Ok(Received::Bytes(chunk)) => {
                self.taken += chunk.len();
                connection.handle(chunk, now)
            }
            Ok(Received::Pong(payload)) => {
                connection.handle_pong(<[u8; 4]>::try_from(&payload[..]).ok().map(u32::from_be_bytes), now);
                Ok(())
            }
            Ok(Received::End) => {
                connection.handle_end();
                Err(Error::TunnelLost { text: "the API server ended the connection".to_owned() })
            }
            Err(error) => Err(Error::TunnelLost { text: error.to_string() }),
        };
        self.events.extend(std::iter::from_fn(|| connection.poll_event()));
        link.flush();
        drop(link);
        if handled.is_err() {
            self.deliver(now);
        }
        Poll::Ready(handled)
    }

    /// Closes a connection that is leaving, once all that was sent has left; its end is then read like any other. The
    /// error: there is nothing to wait for any more.
    fn leave(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        let mut link = self.session.link();
        if !link.connection.is_leaving() {
            return None;
        }
        let limit = self.leave.get_or_insert_with(|| Box::pin(tokio::time::sleep(LEAVE_TIMEOUT)));
        if limit.as_mut().poll(cx).is_ready() {
            return Some(Error::Closed);
        }
        if !link.connection.is_all_sent() {
            return None;
        }
        match link.transport.poll_close(cx) {
            Poll::Ready(Err(error)) => Some(Error::TunnelLost { text: error.to_string() }),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    /// Delivers received bytes: to a local socket at once if one is attached, else by waking the reader.
    fn deliver(&mut self, now: Now) {
        for event in std::mem::take(&mut self.events) {
            self.apply(event, now.steady);
        }
        for shared in std::mem::take(&mut self.touched) {
            let mut incoming = lock(&shared.incoming);
            // A failure shows itself to the reader when it tries in its turn.
            let failed = incoming.deliver().is_err();
            let receive = &mut incoming.receive;
            receive.compact();
            let (over, full) = (receive.is_over(), receive.is_full());
            let wake =
                failed || over || receive.has_ended() || !matches!(receive.read_state(now.steady), ReadState::Nothing);
            let reader = if wake { incoming.reader() } else { None };
            drop(incoming);
            reader.into_iter().for_each(Waker::wake);
            if over {
                // Cut off or ended, and no longer worth a pause: nothing more comes for it.
                self.session.forget(&shared);
            } else if full {
                self.pause(&shared, now);
            }
        }
    }

    fn apply(&mut self, event: Event<Arc<StreamState>>, now: Instant) {
        let shared = match &event {
            Event::Retired => return self.session.changed.notify_one(),
            Event::Data { stream, .. } | Event::Words { stream, .. } | Event::Reset { stream, .. } => {
                Arc::clone(stream)
            }
        };
        {
            let receive = &mut lock(&shared.incoming).receive;
            match event {
                Event::Data { bytes, fin, .. } => {
                    receive.push(bytes, now);
                    if fin {
                        receive.end(now);
                    }
                }
                Event::Words { text, fin, .. } => {
                    receive.complain(&text);
                    if fin {
                        receive.judge();
                    }
                }
                Event::Reset { is_error, .. } => receive.reset(is_error, now),
                Event::Retired => {}
            }
        }
        if !self.touched.iter().any(|touched| Arc::ptr_eq(touched, &shared)) {
            self.touched.push(shared);
        }
    }

    /// Stops reading the tunnel because of a stream that is full.
    fn pause(&mut self, shared: &Arc<StreamState>, now: Now) {
        let Some(ids) = shared.ids.get() else { return };
        let mut link = self.session.link();
        {
            // Its reader may have drained it meanwhile, and would not tell again.
            let receive = &mut lock(&shared.incoming).receive;
            if !receive.is_full() || receive.abandoned || std::mem::replace(&mut receive.paused, true) {
                return;
            }
        }
        link.connection.pause(*ids, now);
        self.timeout.as_mut().reset(link.connection.poll_timeout().into());
        drop(link);
        self.session.paused.notify_waiters();
        self.session.changed.notify_one();
    }

    /// Starts a check of the connection, unless one was made a moment ago.
    fn check_liveness(&mut self, now: Instant) {
        let recently = self.checked_at.is_some_and(|at| now.saturating_duration_since(at) < CHECK_INTERVAL);
        if self.check.is_none() && !recently {
            self.checked_at = Some(now);
            self.check = Some(self.session.liveness_check.ask());
        }
    }

    /// Resets the streams that block the tunnel, once others are seen to wait behind them. A stream that has the tunnel
    /// to itself, or shares it with idle ones only, may take its time.
    fn cut_stalled(&self, since: Instant, now: Now) {
        if now.steady.saturating_duration_since(since) < STALL_TIMEOUT {
            return;
        }
        let streams: Vec<(Arc<StreamState>, bool)> =
            self.session.link().connection.streams().map(|(shared, full)| (Arc::clone(shared), full)).collect();
        let before = since.checked_sub(Duration::from_secs(1)).unwrap_or(since);
        let is_waiting = |shared: &Arc<StreamState>| lock(&shared.incoming).receive.is_waiting(before);
        if !streams.iter().any(|(shared, full)| !full && is_waiting(shared)) {
            return;
        }
        for (shared, _) in streams.iter().filter(|(_, full)| *full) {
            let reader = {
                let mut incoming = lock(&shared.incoming);
                let receive = &mut incoming.receive;
                if receive.taken.is_some_and(|at| now.steady.saturating_duration_since(at) < STALL_TIMEOUT) {
                    // Slow, but it reads.
                    continue;
                }
                receive.fail(Error::Stalled);
                receive.paused = false;
                incoming.reader()
            };
            reader.into_iter().for_each(Waker::wake);
            self.session.resume(shared);
        }
    }
}

#[cfg(test)]
mod tests;
