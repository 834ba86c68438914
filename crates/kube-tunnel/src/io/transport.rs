//! The pipe under a tunnel: the upgraded connection's bytes as they are, or inside WebSocket messages.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, protocol::Role, protocol::WebSocketConfig},
};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use crate::proto::outgoing::Outgoing;

/// The size of a read in bytes. A TLS record holds 16 KiB; several are taken together so that they go on in one write.
const READ_SIZE: usize = 64 * 1024;

/// The largest WebSocket message we take. API servers send one for each read of theirs, at most 32 KiB.
const MAX_MESSAGE: usize = 4 << 20;

/// Any byte pipe; in the program an upgraded HTTP connection.
pub(crate) trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// A byte pipe, bare or wrapped.
pub(crate) struct Transport {
    wrap: Wrap,
    /// Our own address and the other end's, where they are known.
    pub ends: Option<(SocketAddr, SocketAddr)>,
}

enum Wrap {
    Bare { pipe: Box<dyn Pipe>, buffer: BytesMut, unflushed: bool },
    WebSocket { socket: Box<WebSocketStream<Box<dyn Pipe>>>, unflushed: bool },
}

/// The result of a read.
#[derive(Debug)]
pub(crate) enum Received {
    /// Bytes; for a WebSocket a whole binary message.
    Bytes(Bytes),
    /// A WebSocket's answer to our ping, which carried these bytes.
    Pong(Bytes),
    /// The peer has ended the connection in order.
    End,
}

impl Transport {
    pub(crate) fn bare(pipe: impl Pipe + 'static) -> Self {
        Self { wrap: Wrap::Bare { pipe: Box::new(pipe), buffer: BytesMut::new(), unflushed: false }, ends: None }
    }

    /// The client's side of a WebSocket whose handshake is done.
    pub(crate) async fn web_socket(pipe: impl Pipe + 'static) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE))
            .read_buffer_size(READ_SIZE);
        let pipe: Box<dyn Pipe> = Box::new(pipe);
        let socket = WebSocketStream::from_raw_socket(pipe, Role::Client, Some(config)).await;
        Self { wrap: Wrap::WebSocket { socket: Box::new(socket), unflushed: false }, ends: None }
    }

    /// The next bytes. Never an empty piece.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        match &mut self.wrap {
            Wrap::Bare { pipe, buffer, .. } => {
                // Gives the allocation back to use where all that was read from it has been passed on.
                buffer.reserve(READ_SIZE);
                let mut count = 0;
                while buffer.len() < READ_SIZE {
                    match poll_read_buf(Pin::new(pipe), cx, buffer) {
                        Poll::Ready(Ok(0)) if count == 0 => return Poll::Ready(Ok(Received::End)),
                        Poll::Ready(Ok(0)) => break,
                        Poll::Ready(Ok(more)) => count += more,
                        Poll::Ready(Err(error)) if count == 0 => return Poll::Ready(Err(error)),
                        Poll::Pending if count == 0 => {
                            // An idle tunnel holds no buffer.
                            *buffer = BytesMut::new();
                            return Poll::Pending;
                        }
                        // An error or the end shows again at the next call.
                        Poll::Ready(Err(_)) | Poll::Pending => break,
                    }
                }
                Poll::Ready(Ok(Received::Bytes(buffer.split().freeze())))
            }
            Wrap::WebSocket { socket, .. } => loop {
                let message = match ready!(Pin::new(&mut *socket).poll_next(cx)) {
                    None => return Poll::Ready(Ok(Received::End)),
                    Some(message) => message.map_err(io_error)?,
                };
                match message {
                    Message::Binary(bytes) if !bytes.is_empty() => return Poll::Ready(Ok(Received::Bytes(bytes))),
                    Message::Pong(bytes) => return Poll::Ready(Ok(Received::Pong(bytes))),
                    Message::Close(_) => return Poll::Ready(Ok(Received::End)),
                    Message::Binary(_) | Message::Text(_) | Message::Ping(_) | Message::Frame(_) => {}
                }
            },
        }
    }

    /// Writes `out` from its front and flushes. Ready when all of it has left.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, out: &mut Outgoing) -> Poll<io::Result<()>> {
        match &mut self.wrap {
            Wrap::Bare { pipe, unflushed, .. } => {
                while out.has_remaining() {
                    if ready!(poll_write_buf(Pin::new(pipe), cx, out))? == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    *unflushed = true;
                }
                if *unflushed {
                    ready!(Pin::new(pipe).poll_flush(cx))?;
                    *unflushed = false;
                }
                Poll::Ready(Ok(()))
            }
            Wrap::WebSocket { socket, unflushed } => {
                while out.has_remaining() {
                    ready!(Pin::new(&mut *socket).poll_ready(cx)).map_err(io_error)?;
                    let Some(piece) = out.pop() else { break };
                    Pin::new(&mut *socket).start_send(Message::Binary(piece)).map_err(io_error)?;
                    *unflushed = true;
                }
                if *unflushed {
                    ready!(Pin::new(socket).poll_flush(cx)).map_err(io_error)?;
                    *unflushed = false;
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Tells a WebSocket's peer that nothing more comes. Nothing on a bare pipe.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wrap {
            Wrap::Bare { .. } => Poll::Ready(Ok(())),
            Wrap::WebSocket { socket, .. } => Pin::new(socket).poll_close(cx).map_err(io_error),
        }
    }

    /// Asks a WebSocket's peer for a sign of life. Nothing on a bare pipe.
    pub(crate) fn web_socket_ping(&mut self, cx: &mut Context<'_>, payload: Bytes) -> io::Result<()> {
        if let Wrap::WebSocket { socket, unflushed } = &mut self.wrap
            && Pin::new(&mut *socket).poll_ready(cx).map_err(io_error)?.is_ready()
        {
            Pin::new(socket).start_send(Message::Ping(payload)).map_err(io_error)?;
            *unflushed = true;
        }
        Ok(())
    }
}

fn io_error(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
