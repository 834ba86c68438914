//! One tunnel: an upgraded connection and the streams on it.
//!
//! Senders write to the connection themselves, under a lock, as long as it takes their bytes; what it does not take
//! waits in a queue that the [pump](super::pump) empties. So a byte on its way up crosses no task.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{incoming::StreamState, liveness_check::LivenessCheck, now, stream::Stream, transport::Transport};
use crate::{contain::lock, error::Error, proto::connection::Connection, protocol::Protocol};

/// One upgraded connection, shared by its pump and its streams.
pub(crate) struct Session {
    pub protocol: Protocol,
    link: Mutex<Link>,
    /// Checks whether the connection lives if its silence proves nothing.
    pub liveness_check: LivenessCheck,
    /// The number of handles not yet dropped.
    live: AtomicUsize,
    /// Notified when a full stream stops the tunnel from being read.
    pub paused: Notify,
    /// Notified when a stream or the tunnel ends.
    pub changed: Arc<Notify>,
    /// Ends the pump, and with it the connection.
    pub cancel: CancellationToken,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("protocol", &self.protocol).field("live", &self.live).finish_non_exhaustive()
    }
}

/// The protocol's state, the pipe under it, and the wakers of tasks that wait for either.
pub(crate) struct Link {
    pub connection: Connection<Arc<StreamState>>,
    pub transport: Transport,
    /// The pump's waker, which is always registered for the connection's readiness, whichever task met it not ready.
    pub pump: Option<Waker>,
    /// The streams that wait for room, one waker for each.
    writers: HashMap<usize, Waker>,
    /// The error that a write met.
    pub dead: Option<Error>,
}

impl Link {
    fn new(connection: Connection<Arc<StreamState>>, transport: Transport) -> Self {
        Self { connection, transport, pump: None, writers: HashMap::new(), dead: None }
    }

    /// Sends queued bytes as far as the connection takes them.
    pub(crate) fn flush(&mut self) {
        let Some(pump) = self.pump.clone() else { return };
        if self.dead.is_some() {
            return;
        }
        let mut cx = Context::from_waker(&pump);
        let pinged = match self.connection.take_web_socket_ping() {
            Some(id) => self.transport.web_socket_ping(&mut cx, Bytes::copy_from_slice(&id.to_be_bytes())),
            None => Ok(()),
        };
        let sent = match self.transport.poll_send(&mut cx, self.connection.transmit()) {
            Poll::Ready(sent) => pinged.and(sent),
            Poll::Pending => pinged,
        };
        if let Err(error) = sent {
            self.dead = Some(Error::TunnelLost { text: error.to_string() });
            pump.wake_by_ref();
        }
        if self.connection.is_drained() || self.dead.is_some() {
            self.writers.drain().for_each(|(_, waker)| waker.wake());
        }
    }

    /// Ready when a stream may send; else wakes `cx` when it may.
    fn poll_room(&mut self, stream: &Arc<StreamState>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(error) = &self.dead {
            return Poll::Ready(Err(error.clone()));
        }
        if !self.connection.has_room() {
            self.writers.insert(name(stream), cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn wake_pump(&self) {
        if let Some(pump) = &self.pump {
            pump.wake_by_ref();
        }
    }
}

/// Returns the key of a stream among those that wait for room, unique as long as it lives.
fn name(stream: &Arc<StreamState>) -> usize {
    Arc::as_ptr(stream).addr()
}

impl Session {
    pub(crate) fn new(
        protocol: Protocol,
        transport: Transport,
        liveness_check: LivenessCheck,
        changed: Arc<Notify>,
        cancel: CancellationToken,
    ) -> Self {
        let connection = Connection::new(protocol == Protocol::V4, now());
        Self {
            protocol,
            link: Mutex::new(Link::new(connection, transport)),
            liveness_check,
            live: AtomicUsize::new(0),
            paused: Notify::new(),
            changed,
            cancel,
        }
    }

    pub(crate) fn link(&self) -> MutexGuard<'_, Link> {
        lock(&self.link)
    }

    /// Returns a handle for a new stream. Nothing is sent before [`Session::open`].
    pub(crate) fn stream(self: &Arc<Self>, port: u16) -> Stream {
        self.live.fetch_add(1, Ordering::Relaxed);
        Stream::new(Arc::clone(self), port)
    }

    /// Returns how many streams are in use.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Returns whether the tunnel takes another stream.
    pub(crate) fn is_open(&self) -> bool {
        // A tunnel that is being ended closes only when its task gets its turn.
        !self.cancel.is_cancelled() && self.link().connection.is_open()
    }

    /// Returns whether a new stream would do well here.
    pub(crate) fn is_usable(&self) -> bool {
        let link = self.link();
        let connection = &link.connection;
        !self.cancel.is_cancelled()
            && connection.is_open()
            && connection.paused_since().is_none()
            && !connection.is_suspect(now())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.link().connection.is_closed()
    }

    /// Returns whether the tunnel ends by itself, as soon as what was sent has left.
    pub(crate) fn is_leaving(&self) -> bool {
        self.link().connection.is_leaving()
    }

    /// Returns since when a full stream has kept the tunnel from being read.
    pub(crate) fn paused_since(&self) -> Option<Instant> {
        self.link().connection.paused_since()
    }

    /// Returns the last round trip to the node, by PING.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.link().connection.rtt()
    }

    /// Opens the stream and sends its first bytes, in front of which there are [`crate::frame::HEAD`] bytes of room.
    pub(crate) fn open(&self, shared: &Arc<StreamState>, port: u16, first: Option<BytesMut>) -> Result<(), Error> {
        // Before the opening leaves: the answer may be quick.
        lock(&shared.incoming).receive.sent = Some(now().steady);
        let mut link = self.link();
        let ids = link.connection.open(Arc::clone(shared), port, first)?;
        let _ = shared.ids.set(ids);
        link.flush();
        Ok(())
    }

    /// Ready when bytes of a stream may be sent; else wakes `cx` when they may.
    pub(crate) fn poll_room(&self, shared: &Arc<StreamState>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.link().poll_room(shared, cx)
    }

    /// Sends bytes of an opened stream, in front of which there are [`crate::frame::HEAD`] bytes of room. Call
    /// [`Session::poll_room`] first: this never waits.
    pub(crate) fn send(&self, shared: &StreamState, payload: BytesMut) -> Result<(), Error> {
        let Some(ids) = shared.ids.get() else { return Err(Error::Closed) };
        let mut link = self.link();
        link.connection.send(*ids, payload)?;
        link.flush();
        Ok(())
    }

    /// Ends our side of a stream. The node then tears the whole forward down, within a second.
    pub(crate) fn finish(&self, shared: &StreamState) {
        let Some(ids) = shared.ids.get() else { return };
        let mut link = self.link();
        link.connection.finish(*ids);
        link.flush();
    }

    /// Lets the tunnel be read again after a stream is no longer full.
    pub(crate) fn resume(&self, shared: &StreamState) {
        let Some(ids) = shared.ids.get() else { return };
        let mut link = self.link();
        if link.connection.resume(*ids, now()) {
            link.wake_pump();
            drop(link);
            self.changed.notify_one();
        }
    }

    /// Releases a stream whose handle was dropped, and resets it unless it is over.
    pub(crate) fn release(&self, shared: &Arc<StreamState>) {
        let now = now();
        self.live.fetch_sub(1, Ordering::Relaxed);
        let (over, flowing) = {
            let mut incoming = lock(&shared.incoming);
            let state = (incoming.receive.is_over(), incoming.receive.is_flowing(now.steady));
            incoming.abandon();
            state
        };
        let alone = self.live() == 0;
        let mut link = self.link();
        link.writers.remove(&name(shared));
        if let Some(ids) = shared.ids.get() {
            link.connection.release(*ids, over, now);
        }
        if alone && self.protocol == Protocol::V4 {
            // The local program may have closed right after its last bytes.
            link.connection.leave();
        } else if alone && flowing {
            // Much that nobody reads is on its way: an own tunnel is closed rather than emptied.
            self.cancel.cancel();
        }
        link.flush();
        // It may have been this stream that kept the tunnel from being read.
        link.wake_pump();
        drop(link);
        self.changed.notify_one();
    }

    /// Forgets a stream that is over on the node, and ends our side of it.
    pub(crate) fn forget(&self, shared: &StreamState) {
        if let Some(ids) = shared.ids.get() {
            let mut link = self.link();
            link.connection.forget(*ids, now());
            link.flush();
        }
        self.changed.notify_one();
    }

    /// Ends all streams of a tunnel that has ended.
    pub(crate) fn close(&self, error: &Error) {
        let streams = {
            let mut link = self.link();
            link.dead.get_or_insert_with(|| error.clone());
            link.writers.drain().for_each(|(_, waker)| waker.wake());
            link.pump = None;
            link.connection.close(error)
        };
        for shared in streams {
            let mut incoming = lock(&shared.incoming);
            incoming.receive.fail(error.clone());
            let reader = incoming.reader();
            drop(incoming);
            reader.into_iter().for_each(Waker::wake);
        }
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that takes nothing.
    fn stuck() -> (Link, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(1);
        let mut link = Link::new(Connection::new(false, now()), Transport::bare(near));
        link.pump = Some(Waker::noop().clone());
        (link, far)
    }

    #[test]
    fn a_stream_waits_for_room_once_however_often_it_is_polled() {
        let (mut link, _far) = stuck();
        link.connection.transmit().push(Bytes::from(vec![0; 1 << 20]));
        let streams = [Arc::default(), Arc::default()];
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            assert!(streams.iter().all(|stream| link.poll_room(stream, &mut cx).is_pending()));
        }
        assert_eq!(link.writers.len(), 2);
    }

    #[tokio::test]
    async fn a_dropped_stream_no_longer_waits_for_room() {
        let (near, _far) = tokio::io::duplex(1);
        let transport = Transport::bare(near);
        let session =
            Session::new(Protocol::Spdy, transport, LivenessCheck::mute(), Arc::default(), CancellationToken::new());
        let session = Arc::new(session);
        session.link().connection.transmit().push(Bytes::from(vec![0; 1 << 20]));
        let stream = session.stream(80);
        assert!(stream.poll_room(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(session.link().writers.len(), 1);
        drop(stream);
        assert_eq!(session.link().writers.len(), 0);
    }

    #[tokio::test]
    async fn a_tunnel_of_one_stream_takes_no_other_not_even_between_its_end_and_its_close() {
        let (near, _far) = tokio::io::duplex(64 * 1024);
        let transport = Transport::bare(near);
        let session =
            Session::new(Protocol::V4, transport, LivenessCheck::mute(), Arc::default(), CancellationToken::new());
        let session = Arc::new(session);
        // That its only stream is gone is counted before the tunnel is closed.
        drop(session.stream(80));
        assert_eq!(session.live(), 0);
        assert!(!session.is_open() && !session.is_usable());
    }
}
