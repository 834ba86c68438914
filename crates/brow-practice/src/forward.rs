//! `pods/portforward`: the upgrade in each of its protocols, and the way to a port of a pod.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use super::kinds::Kind;
use super::response::{Refusal, Response, switching};
use super::servers;
use super::spdy;
use super::store::Key;
use super::world::{World, words};

/// The subprotocols, best first (`apimachinery/pkg/util/portforward/constants.go`, `kubelet/.../websocket.go`).
const SPDY: &str = "portforward.k8s.io";
const SPDY_IN_WEB_SOCKET: &str = "SPDY/3.1+portforward.k8s.io";
const V4: &str = "v4.channel.k8s.io";

/// The size of a WebSocket message.
const MESSAGE_SIZE: usize = 32 * 1024;

/// The ports of one pod.
pub(super) struct Port {
    pub world: Arc<World>,
    pub key: Key,
    pub uid: String,
}

impl Port {
    /// A wire to what listens on a port, and the token that is cancelled when its container ends; else what the node
    /// says, which is containerd's to word.
    pub(super) fn connect(&self, port: u16) -> Result<(DuplexStream, CancellationToken), String> {
        let id = self.uid.replace('-', "");
        let fails = |why: String| Err(format!("error forwarding port {port} to pod {id}, uid : {why}"));
        let pod = self.world.store.get(&self.key).filter(|pod| pod["metadata"]["uid"] == self.uid.as_str());
        let Some(pod) = pod else {
            return fails(format!("failed to find sandbox \"{id}\" in store: not found"));
        };
        let run = self.world.run(&self.uid);
        if run.stopped.is_cancelled() {
            return fails(format!("sandbox container \"{id}\" is not running"));
        }
        let running = pod["status"]["containerStatuses"][0]["state"]["running"].is_object();
        if let Some((address, word)) = run.lane(port).filter(|_| running) {
            return Ok((servers::connect_lane(&self.world, address, word), run.stopped));
        }
        match servers::listens(&pod, port).filter(|_| running) {
            Some(server) => {
                let wire = servers::connect(&self.world, server, Some(run.clone()), servers::relay_hash(&pod));
                Ok((wire, run.stopped))
            }
            None => fails(format!(
                "failed to execute portforward in network namespace \"/var/run/netns/cni-{id}\": failed to connect to \
                 localhost:{port} inside namespace \"{id}\", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection \
                 refused IPv6 dial tcp6 [::1]:{port}: connect: connection refused "
            )),
        }
    }
}

/// Answers a request for port-forwarding, and serves what it is upgraded to.
pub(super) fn answer(
    world: &Arc<World>,
    kind: &Kind,
    key: Key,
    mut request: Request<Incoming>,
    ports: &str,
) -> Result<Response, Refusal> {
    let pod = world.store.get(&key).ok_or_else(|| Refusal::no_such(kind, &key.name))?;
    if pod["spec"]["nodeName"].is_null() {
        return Err(Refusal::bad(format!("pod {} does not have a host assigned", key.name)));
    }
    let upgrade = field(request.headers(), &header::UPGRADE);
    let pod = Arc::new(Port { world: Arc::clone(world), key, uid: uid(&pod) });
    let upgraded = hyper::upgrade::on(&mut request);
    if upgrade.eq_ignore_ascii_case("SPDY/3.1") {
        world.spawn(async move {
            if let Ok(upgraded) = upgraded.await {
                spdy::serve(TokioIo::new(upgraded), spdy::Served::Ports(pod)).await;
            }
        });
        let protocol = header::HeaderName::from_static("x-stream-protocol-version");
        return Ok(switching(&[(header::UPGRADE, "SPDY/3.1"), (protocol, SPDY)]));
    }
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return Err(Refusal::bad("Upgrade request required"));
    }
    let offered = field(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL);
    let offers = |protocol: &str| offered.split(',').any(|offer| offer.trim() == protocol);
    let Some(protocol) = [SPDY_IN_WEB_SOCKET, V4].into_iter().find(|protocol| offers(protocol)) else {
        return Err(Refusal::bad("unable to negotiate protocol: no supported subprotocol"));
    };
    let port = ports.split(',').next().and_then(|port| port.parse().ok());
    if protocol == V4 && port.is_none() {
        return Err(Refusal::bad("query parameter \"ports\" is required"));
    }
    let accept = derive_accept_key(field(request.headers(), &header::SEC_WEBSOCKET_KEY).as_bytes());
    world.spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        match port.filter(|_| protocol == V4) {
            Some(port) => channels(socket, &pod, port).await,
            None => framed(socket, pod).await,
        }
    });
    Ok(switching(&[
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, &accept),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol),
    ]))
}

fn uid(pod: &Value) -> String {
    words(&pod["metadata"]["uid"]).to_owned()
}

fn field(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// SPDY inside a WebSocket: its bytes, in messages cut anywhere.
async fn framed<S: AsyncRead + AsyncWrite + Unpin + Send>(socket: WebSocketStream<S>, pod: Arc<Port>) {
    let (near, far) = io::duplex(4 * MESSAGE_SIZE);
    tokio::join!(spdy::serve(far, spdy::Served::Ports(pod)), pipe(socket, near, None));
}

/// `v4.channel.k8s.io`: one stream; channel 0 is its data and channel 1 its error, each begun with the port.
async fn channels<S: AsyncRead + AsyncWrite + Unpin + Send>(mut socket: WebSocketStream<S>, pod: &Port, port: u16) {
    let [low, high] = port.to_le_bytes();
    for channel in [0, 1] {
        if socket.send(Message::binary(vec![channel, low, high])).await.is_err() {
            return;
        }
    }
    match pod.connect(port) {
        Ok((wire, stopped)) => _ = stopped.run_until_cancelled(pipe(socket, wire, Some(0))).await,
        Err(says) => {
            // Whoever has hung up needs no reason.
            let _gone = socket.send(Message::binary([&[1], says.as_bytes()].concat())).await;
            let _gone = socket.close(None).await;
        }
    }
}

/// Moves bytes between a WebSocket and a wire until either ends; `channel` is the first byte of each message, if any.
async fn pipe<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: WebSocketStream<S>,
    wire: DuplexStream,
    channel: Option<u8>,
) {
    let (mut sink, mut messages) = socket.split();
    let (mut reader, mut writer) = io::split(wire);
    let up = async {
        while let Some(Ok(message)) = messages.next().await {
            let mut bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Close(_) => return,
                _ => continue,
            };
            if channel.is_some() && (bytes.is_empty() || bytes.get_u8() != 0) {
                continue;
            }
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; MESSAGE_SIZE];
        loop {
            let count = match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            let message: Bytes = channel.into_iter().chain(buffer[..count].iter().copied()).collect();
            if sink.send(Message::Binary(message)).await.is_err() {
                break;
            }
        }
        // In order, where somebody is still there.
        let _gone = sink.close().await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
