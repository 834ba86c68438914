//! One forwarded TCP connection inside a tunnel.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{incoming::StreamState, now, session::Session};
use crate::{
    contain::lock,
    error::Error,
    proto::{connection::MAX_FRAME_PAYLOAD, frame::HEAD, receive::ReadState},
};

/// The time without reading after which a tunnel counts as held up, beyond a slow reader's pause.
const HELD_UP_AFTER: Duration = Duration::from_secs(1);

/// A connection to a port of a pod, to be read and written like a TCP connection.
///
/// - The opening is sent with the first bytes that are written, or at the first read or flush, whichever comes first.
///   Nothing waits for the node's answer to it.
/// - Reading ends with end-of-file when the pod's side has ended, or with an [`io::Error`] that carries the tunnel's
///   own [`Error`], which [`Error::from_io`] takes out.
/// - Writing waits while the tunnel has more than 256 KiB to send. Reading late makes the tunnel wait once 256 KiB are
///   unread, and other streams on it too; after 3 s the stream is cut off ([`Error::Stalled`]) if others wait for it.
/// - Shutting the writing side down tells the node to end the forward: the pod gets one more second to answer. Do not
///   shut down a stream whose answer you still want: read to its end, then drop it. [`splice()`](crate::splice()) does
///   so for clients that half-close.
/// - Dropping it resets what is not over yet.
///
/// # Errors
/// Reading and writing fail with [`Error::Refused`], [`Error::PodGone`], [`Error::Pod`], [`Error::Reset`],
/// [`Error::TunnelLost`], [`Error::Protocol`], [`Error::Stalled`] or [`Error::Closed`] inside the [`io::Error`].
///
/// # Cancel safety
/// The futures of [`AsyncReadExt::read`](tokio::io::AsyncReadExt::read) and
/// [`AsyncWriteExt::write`](tokio::io::AsyncWriteExt::write) are cancel safe: if they are dropped before they complete,
/// nothing was read or written. Those that are made of several reads or writes, such as `write_all` and `read_exact`,
/// are not.
pub struct Stream {
    session: Arc<Session>,
    shared: Arc<StreamState>,
    port: u16,
    /// Runs after the data has ended, until the error stream has.
    verdict: Option<Pin<Box<Sleep>>>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("session", &self.session)
            .field("ids", &self.shared.ids.get())
            .finish_non_exhaustive()
    }
}

impl Stream {
    pub(crate) fn new(session: Arc<Session>, port: u16) -> Self {
        Self { session, shared: Arc::default(), port, verdict: None }
    }

    pub(crate) fn shared(&self) -> &Arc<StreamState> {
        &self.shared
    }

    /// Sends the opening, if it was not sent yet.
    pub(crate) fn open(&self) -> Result<(), Error> {
        if self.shared.ids.get().is_some() { Ok(()) } else { self.session.open(&self.shared, self.port, None) }
    }

    /// Ready when [`Stream::send`] may be called; else wakes `cx` when it may.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.session.poll_room(&self.shared, cx)
    }

    /// Sends a payload, which has [`HEAD`] bytes of room in front; with the opening, if that was not sent yet. Never
    /// waits.
    pub(crate) fn send(&self, buffer: BytesMut) -> Result<(), Error> {
        if self.shared.ids.get().is_none() {
            return self.session.open(&self.shared, self.port, Some(buffer));
        }
        lock(&self.shared.incoming).receive.sent = Some(now().steady);
        self.session.send(&self.shared, buffer)
    }

    /// Ends our direction, and with it the forward on the node.
    pub(crate) fn finish(&self) {
        self.session.finish(&self.shared);
    }

    /// Lets the tunnel read on if it waited for this stream.
    pub(crate) fn resume(&self) {
        let resume = lock(&self.shared.incoming).receive.resume();
        if resume {
            self.session.resume(&self.shared);
        }
    }

    /// Waits until there are bytes or the stream is over. Returns `Ok(false)` at its orderly end.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        loop {
            let deadline = {
                let mut state = lock(&self.shared.incoming);
                match state.receive.read_state(now().steady) {
                    ReadState::Bytes => return Poll::Ready(Ok(true)),
                    ReadState::End => return Poll::Ready(Ok(false)),
                    ReadState::Failed(error) => return Poll::Ready(Err(error)),
                    ReadState::Nothing => {
                        state.register(cx.waker());
                        return Poll::Pending;
                    }
                    ReadState::VerdictBy(deadline) => {
                        state.register(cx.waker());
                        deadline
                    }
                }
            };
            let sleep = self.verdict.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
            ready!(sleep.as_mut().poll(cx));
        }
    }

    /// Marks the stream as one on which nobody waits (`true`) or somebody does (`false`, the default): one held in
    /// reserve, for example. A full stream on the same tunnel is not cut off for its sake: see [`Error::Stalled`].
    pub fn set_aside(&self, aside: bool) {
        lock(&self.shared.incoming).receive.aside = aside;
    }

    /// Waits until the tunnel has not been read for a second because one of its streams is full: everything else on it
    /// waits, and a new stream on another tunnel would be quicker.
    ///
    /// # Cancel safety
    /// Cancel safe. The returned future does not borrow the stream.
    pub fn held_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let session = Arc::clone(&self.session);
        async move {
            loop {
                let paused = session.paused.notified();
                let Some(since) = session.paused_since() else {
                    paused.await;
                    continue;
                };
                tokio::time::sleep(HELD_UP_AFTER).await;
                // One that reads slowly lets the tunnel be read again and again.
                if session.paused_since() == Some(since) {
                    return;
                }
            }
        }
    }

    /// Returns whether a full stream keeps the tunnel from being read just now.
    pub(crate) fn is_held_up(&self) -> bool {
        self.session.paused_since().is_some()
    }

    /// Returns whether the stream is still of use: a spare one may have ended while it waited.
    pub(crate) fn is_fresh(&self) -> bool {
        let ended = lock(&self.shared.incoming).receive.has_ended();
        let link = self.session.link();
        !ended && !link.connection.is_closed() && !link.connection.is_suspect(now())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.session.release(&self.shared);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.open().map_err(Error::into_io)?;
        if ready!(this.poll_bytes(cx)).map_err(Error::into_io)? {
            lock(&this.shared.incoming).take(buf);
            this.resume();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if let ReadState::Failed(error) = lock(&self.shared.incoming).receive.read_state(now().steady) {
            return Poll::Ready(Err(error.into_io()));
        }
        ready!(self.poll_room(cx)).map_err(Error::into_io)?;
        let count = buf.len().min(MAX_FRAME_PAYLOAD);
        let mut frame = BytesMut::with_capacity(HEAD + count);
        frame.resize(HEAD, 0);
        frame.extend_from_slice(&buf[..count]);
        match self.send(frame) {
            Ok(()) => Poll::Ready(Ok(count)),
            Err(Error::Closed) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Err(error) => Poll::Ready(Err(error.into_io())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was sent leaves as fast as the connection takes it; nothing is held back.
        Poll::Ready(self.open().map_err(Error::into_io))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open().map_err(Error::into_io)?;
        self.finish();
        Poll::Ready(Ok(()))
    }
}
