//! A process over a WebSocket, for gateways that pass no SPDY. Frames become messages, and the other way round.
//!
//! `v5.channel.k8s.io` (Kubernetes 1.30) can end standard input. `v4.channel.k8s.io` cannot, which only a terminal does
//! without (Kubernetes, `apimachinery/pkg/util/remotecommand/constants.go`).

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use http::{Request, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{ERROR, RESIZE, STDERR, STDIN, STDOUT, Stdio};
use crate::{
    error::{Error, chain},
    io::upgrade::RefusedUpgrade,
    proto::frame::{self, HEAD},
    protocol::Protocol,
};

const V5: &str = "v5.channel.k8s.io";
const V5_OR_V4: &str = "v5.channel.k8s.io, v4.channel.k8s.io";
/// The channel that ends another one.
const CLOSE: u8 = 255;
/// SPDY's control frame for a sign of life.
const PING: u32 = 6;

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Asks the API server for a WebSocket.
pub(super) async fn dial(client: &kube::Client, path: &str, stdio: Stdio) -> Result<Socket, Error> {
    let key = BASE64.encode(rand::random::<[u8; 16]>());
    let request = Request::get(path).header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "websocket");
    let request = request.header(header::SEC_WEBSOCKET_VERSION, "13").header(header::SEC_WEBSOCKET_KEY, &key);
    let protocols = if stdio.stdin && !stdio.tty { V5 } else { V5_OR_V4 };
    let request = request.header(header::SEC_WEBSOCKET_PROTOCOL, protocols).body(Body::empty());
    let request = request.map_err(|error| Error::Protocol { text: error.to_string() })?;
    let response = client.send(request).await.map_err(|error| Error::from_kube(&error, Protocol::V4))?;
    let value = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepts = value(header::SEC_WEBSOCKET_ACCEPT) == derive_accept_key(key.as_bytes());
    let speaks = protocols.split(", ").any(|known| known == value(header::SEC_WEBSOCKET_PROTOCOL));
    if response.status() != StatusCode::SWITCHING_PROTOCOLS || !accepts || !speaks {
        let RefusedUpgrade { status, text, .. } = RefusedUpgrade::read(response).await;
        return Err(Error::from_status(status, text, Protocol::V4));
    }
    let upgraded = hyper::upgrade::on(response).await;
    let upgraded = upgraded.map_err(|error| Error::Unreachable { text: chain(&error) })?;
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await)
}

/// Passes on what comes, both ways, until one side ends.
pub(super) async fn pass(socket: Socket, frames: DuplexStream) {
    let (mut sink, mut messages) = socket.split();
    let (mut read, mut write) = io::split(frames);
    let up = async {
        while let Ok(messages) = next_frame(&mut read).await {
            for message in messages {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        }
    };
    let down = async {
        while let Some(Ok(message)) = messages.next().await {
            if matches!(message, Message::Close(_)) {
                break;
            }
            if write.write_all(&to_frame(message)).await.is_err() {
                return;
            }
        }
        // Nothing more comes; whether the process has ended was said before.
        let ends = [STDOUT, STDERR].map(|stream| frame::data_head(stream, 0, true)).concat();
        let _gone = write.write_all(&ends).await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// Reads a frame, and returns the messages that it becomes.
async fn next_frame(read: &mut (impl io::AsyncRead + Unpin)) -> io::Result<Vec<Message>> {
    let mut head = [0; HEAD];
    read.read_exact(&mut head).await?;
    let mut fields = &head[..];
    let (first, second) = (fields.get_u32(), fields.get_u32());
    let mut body = vec![0; (second & 0x00ff_ffff) as usize];
    read.read_exact(&mut body).await?;
    let on = |channel: u8, body: &[u8]| Message::Binary([&[channel], body].concat().into());
    let ends = second >> 24 & 1 == 1;
    Ok(match first {
        STDIN if body.is_empty() && ends => vec![on(CLOSE, &[0])],
        STDIN => vec![on(0, &body)],
        RESIZE => vec![on(4, &body)],
        control if control >> 31 == 1 && control & 0xffff == PING => vec![Message::Ping(body.into())],
        // Streams need no opening.
        _ => Vec::new(),
    })
}

/// Returns the frame that a message becomes; none for one that says nothing.
fn to_frame(message: Message) -> Bytes {
    let mut out = BytesMut::new();
    match message {
        Message::Binary(mut bytes) if bytes.len() > 1 => {
            let (stream, ends) = match bytes.get_u8() {
                1 => (STDOUT, false),
                2 => (STDERR, false),
                // It comes once.
                3 => (ERROR, true),
                _ => return Bytes::new(),
            };
            out.put_slice(&frame::data_head(stream, bytes.len(), ends));
            out.put_slice(&bytes);
        }
        Message::Pong(mut bytes) if bytes.len() == 4 => frame::ping(&mut out, bytes.get_u32()),
        _ => {}
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::frame::{Decoder, Frame};

    #[tokio::test]
    async fn frames_become_messages() {
        let mut bytes = BytesMut::new();
        bytes.put_slice(&frame::data_head(STDIN, 2, false));
        bytes.put_slice(b"ls");
        bytes.put_slice(&frame::data_head(STDIN, 0, true));
        bytes.put_slice(&frame::data_head(RESIZE, 2, false));
        bytes.put_slice(b"{}");
        frame::ping(&mut bytes, 11);
        let (mut read, mut all) = (&bytes[..], Vec::new());
        while let Ok(messages) = next_frame(&mut read).await {
            all.extend(messages);
        }
        let on = |bytes: &'static [u8]| Message::Binary(bytes.into());
        assert_eq!(
            all,
            [on(b"\0ls"), on(&[255, 0]), on(b"\x04{}"), Message::Ping(11_u32.to_be_bytes().to_vec().into())]
        );
    }

    #[test]
    fn messages_become_frames() {
        let next = |message: Message| Decoder::default().next(&mut to_frame(message)).unwrap();
        let data = |stream, fin| Some(Frame::Data { stream, bytes: Bytes::from_static(b"x"), fin });
        for (message, frame) in [
            (Message::Binary(b"\x01x"[..].into()), data(STDOUT, false)),
            (Message::Binary(b"\x02x"[..].into()), data(STDERR, false)),
            (Message::Binary(b"\x03x"[..].into()), data(ERROR, true)),
            // A server begins with an empty message of each channel.
            (Message::Binary(b"\x03"[..].into()), None),
            (Message::Pong(11_u32.to_be_bytes().to_vec().into()), Some(Frame::Ping { id: 11 })),
        ] {
            assert_eq!(format!("{:?}", next(message)), format!("{frame:?}"));
        }
    }
}
