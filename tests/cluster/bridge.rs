//! Stands between us and an API server that knows no SPDY inside `WebSockets`, and does what newer API servers do
//! themselves: takes such a WebSocket and passes its bytes on as SPDY. It can also be a gateway that refuses, and make
//! of a node's ends of streams those of a newer node.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use brow_practice::Runtime;
use futures::{SinkExt, StreamExt};
use http::{Request, Response, header};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::{Client, Config};
use kube_tunnel::Protocol;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cluster;

/// The protocols that the gateway lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lets {
    /// Any upgrade.
    Everything,
    /// `WebSockets` of any kind.
    WebSockets,
    /// Only `v4.channel.k8s.io`.
    V4,
}

/// Both ways in which nodes end a stream that failed.
pub const NODES: [Runtime; 2] = [Runtime::Ends, Runtime::Resets];

/// A gateway. Ends with its connections when dropped.
pub struct Bridge {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Protocol>>>,
    _guard: DropGuard,
}

impl Bridge {
    /// A gateway to the API server of `upstream`.
    pub async fn new(upstream: Client, lets: Lets) -> Self {
        Self::to(upstream, lets, Runtime::Ends).await
    }

    /// A gateway to an API server whose nodes end failed streams like this (or as they do: newer ones stay what they
    /// are).
    pub async fn to(upstream: Client, lets: Lets, node: Runtime) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let log = Arc::clone(&asked);
        tokio::spawn(cancel.clone().run_until_cancelled_owned(async move {
            while let Ok((near, _)) = listener.accept().await {
                near.set_nodelay(true).expect("nodelay");
                let (upstream, log) = (upstream.clone(), Arc::clone(&log));
                tokio::spawn(cancel.child_token().run_until_cancelled_owned(serve(near, upstream, lets, node, log)));
            }
        }));
        Self { address, asked, _guard: guard }
    }

    /// A client whose API server is this gateway.
    pub fn client(&self) -> Client {
        cluster::client(&Config::new(format!("http://{}", self.address).parse().expect("a URL")))
    }

    /// Every protocol that was asked for, in order.
    pub fn asked(&self) -> Vec<Protocol> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

async fn serve(mut near: TcpStream, upstream: Client, lets: Lets, node: Runtime, log: Arc<Mutex<Vec<Protocol>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match near.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("a head in ASCII");
    let value = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.map_or("", |line| line[name.len() + 2..].trim())
    };
    let path = head.split(' ').nth(1).expect("a path");
    let protocol = match (value("upgrade"), value("sec-websocket-protocol")) {
        ("SPDY/3.1", _) => Protocol::Spdy,
        (_, "SPDY/3.1+portforward.k8s.io") => Protocol::SpdyOverWebSocket,
        (_, other) => {
            assert!(other.ends_with("v4.channel.k8s.io"), "{other}");
            Protocol::V4
        }
    };
    log.lock().expect("not poisoned").push(protocol);
    let passes = match lets {
        Lets::Everything => true,
        Lets::WebSockets => protocol != Protocol::Spdy,
        Lets::V4 => protocol == Protocol::V4,
    };
    if !passes {
        let _ = near.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 8\r\n\r\nno such\n").await;
        return;
    }
    let key = value("sec-websocket-key");
    let response = upstream.send(request(protocol, path, key)).await.expect("an answer");
    if response.status() != 101 {
        pass_on(near, response).await;
        return;
    }
    let mut answer = String::from("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n");
    if protocol == Protocol::Spdy {
        answer += "Upgrade: SPDY/3.1\r\n\r\n";
    } else {
        let accept = derive_accept_key(key.as_bytes());
        let protocol = if protocol == Protocol::V4 { "v4.channel.k8s.io" } else { value("sec-websocket-protocol") };
        write!(answer, "Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n").expect("a string takes all");
        write!(answer, "Sec-WebSocket-Protocol: {protocol}\r\n\r\n").expect("a string takes all");
    }
    near.write_all(answer.as_bytes()).await.expect("written");
    let mut far = TokioIo::new(hyper::upgrade::on(response).await.expect("upgraded"));
    if node == Runtime::Resets && protocol != Protocol::V4 {
        let (own, mut newer) = tokio::io::duplex(1 << 20);
        tokio::select! {
            () = renew(own, far) => {}
            () = pass(near, &mut newer, protocol) => {}
        }
    } else {
        pass(near, &mut far, protocol).await;
    }
}

async fn pass<F: AsyncRead + AsyncWrite + Unpin>(mut near: TcpStream, far: &mut F, protocol: Protocol) {
    if protocol == Protocol::SpdyOverWebSocket {
        unwrap(WebSocketStream::from_raw_socket(near, Role::Server, None).await, far).await;
    } else {
        let _ = tokio::io::copy_bidirectional(&mut near, far).await;
    }
}

/// Passes SPDY on between a client and an older node, and has the node end failed streams as a newer one does.
async fn renew(client: DuplexStream, node: TokioIo<hyper::upgrade::Upgraded>) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_node, mut to_node) = tokio::io::split(node);
    let renewal = Mutex::new(Renewal::default());
    let renewal = || renewal.lock().expect("not poisoned");
    let up = async {
        let mut bytes = Vec::with_capacity(64 * 1024);
        while from_client.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
            renewal().note(&bytes);
            if to_node.write_all(&bytes).await.is_err() {
                break;
            }
            bytes.clear();
        }
    };
    let down = async {
        let mut bytes = Vec::with_capacity(64 * 1024);
        while from_node.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
            let renewed = renewal().renewed(&bytes);
            if to_client.write_all(&renewed).await.is_err() {
                break;
            }
            bytes.clear();
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// The state of the streams on a connection that is passed on.
#[derive(Default)]
struct Renewal {
    /// The beginnings of frames that are not whole yet.
    up: Vec<u8>,
    down: Vec<u8>,
    /// The data streams of the error streams, which clients open first, and at once half-closed.
    data: HashMap<u32, u32>,
    error: u32,
    /// The error streams that have had words, and their data streams.
    failed: HashSet<u32>,
}

/// The first whole frame (SPDY/3.1, 2.2): eight bytes, of which the last three are the length of what follows.
fn frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(bytes.get(4..8)?.try_into().expect("four")) & 0x00ff_ffff;
    let end = 8 + usize::try_from(length).expect("small");
    (bytes.len() >= end).then(|| bytes.drain(..end).collect())
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four")) & 0x7fff_ffff
}

impl Renewal {
    /// Takes note of what a client sends: which streams belong together.
    fn note(&mut self, bytes: &[u8]) {
        self.up.extend_from_slice(bytes);
        while let Some(frame) = frame(&mut self.up) {
            if !frame.starts_with(&[0x80, 3, 0, 1]) {
                continue;
            }
            let (stream, is_error) = (number(&frame[8..]), frame[4] & 1 == 1);
            if is_error {
                self.error = stream;
            } else {
                self.data.insert(self.error, stream);
            }
        }
    }

    /// Returns the bytes that a newer node sends in place of these.
    fn renewed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.down.extend_from_slice(bytes);
        let mut renewed = Vec::new();
        while let Some(mut frame) = frame(&mut self.down) {
            let stream = number(&frame);
            if frame[0] & 0x80 != 0 {
                renewed.extend(frame);
                continue;
            }
            let ends = std::mem::replace(&mut frame[4], 0) & 1 == 1;
            if let Some(data) = self.data.get(&stream).copied().filter(|_| frame.len() > 8) {
                self.failed.extend([stream, data]);
            }
            if !self.failed.contains(&stream) {
                frame[4] = u8::from(ends);
                renewed.extend(frame);
                continue;
            }
            if frame.len() > 8 {
                renewed.extend(frame);
            }
            if ends && let Some(data) = self.data.get(&stream) {
                for stream in [*data, stream] {
                    renewed.extend([0x80, 3, 0, 3, 0, 0, 0, 8]);
                    renewed.extend(stream.to_be_bytes());
                    // CANCEL
                    renewed.extend(5_u32.to_be_bytes());
                }
            }
        }
        renewed
    }
}

fn request(protocol: Protocol, path: &str, key: &str) -> Request<Body> {
    let request = Request::builder().uri(path).header(header::CONNECTION, "Upgrade");
    let request = if protocol == Protocol::V4 {
        request
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, key)
            .header(header::SEC_WEBSOCKET_PROTOCOL, "v4.channel.k8s.io")
    } else {
        request
            .method("POST")
            .header(header::UPGRADE, "SPDY/3.1")
            .header("X-Stream-Protocol-Version", "portforward.k8s.io")
    };
    request.body(Body::empty()).expect("a request")
}

async fn pass_on(mut near: TcpStream, response: Response<Body>) {
    use http_body_util::BodyExt;
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = near.write_all(head.as_bytes()).await;
    let _ = near.write_all(&body).await;
}

/// Binary messages on one side, their bytes on the other.
async fn unwrap(socket: WebSocketStream<TcpStream>, far: impl AsyncRead + AsyncWrite) {
    let (mut sink, mut messages) = socket.split();
    let (mut read, mut write) = tokio::io::split(far);
    let up = async {
        while let Some(Ok(message)) = messages.next().await {
            match message {
                Message::Binary(bytes) if write.write_all(&bytes).await.is_err() => break,
                Message::Close(_) => break,
                _ => {}
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match read.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    if sink.send(Message::binary(buffer[..count].to_vec())).await.is_err() {
                        break;
                    }
                }
            }
        }
        let _ = sink.close().await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
