//! Stands between us and an API server that knows no SPDY inside `WebSockets`, and does what newer API servers do
//! themselves: takes such a WebSocket and passes its bytes on as SPDY. It can also be a gateway that refuses.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use brow_tui::tunnel::Protocol;
use futures::{SinkExt, StreamExt};
use http::{Request, Response, header};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::{Client, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cluster;

/// What the gateway lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lets {
    /// Any upgrade.
    Everything,
    /// `WebSockets` of any kind.
    WebSockets,
    /// Only `v4.channel.k8s.io`.
    V4,
}

/// A gateway. Ends with its connections when dropped.
pub struct Bridge {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Protocol>>>,
    _guard: DropGuard,
}

impl Bridge {
    /// A gateway to the API server of `upstream`.
    pub async fn new(upstream: Client, lets: Lets) -> Self {
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
                tokio::spawn(cancel.child_token().run_until_cancelled_owned(serve(near, upstream, lets, log)));
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

async fn serve(mut near: TcpStream, upstream: Client, lets: Lets, log: Arc<Mutex<Vec<Protocol>>>) {
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
            assert_eq!(other, "v4.channel.k8s.io");
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
        let protocol = value("sec-websocket-protocol");
        write!(answer, "Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n").expect("a string takes all");
        write!(answer, "Sec-WebSocket-Protocol: {protocol}\r\n\r\n").expect("a string takes all");
    }
    near.write_all(answer.as_bytes()).await.expect("written");
    let mut far = TokioIo::new(hyper::upgrade::on(response).await.expect("upgraded"));
    if protocol == Protocol::SpdyOverWebSocket {
        unwrap(WebSocketStream::from_raw_socket(near, Role::Server, None).await, far).await;
    } else {
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
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
async fn unwrap(socket: WebSocketStream<TcpStream>, far: TokioIo<hyper::upgrade::Upgraded>) {
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
