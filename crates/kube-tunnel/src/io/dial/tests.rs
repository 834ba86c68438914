//! The protocols and methods that are asked for, and remembered: against a gateway that follows a script.

use std::sync::Arc;

use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt as _;
use kube::{Client, Config};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::*;
use crate::login::Fixed;

/// An API server, or a gateway before it, that answers each upgrade as a script says. It remembers what was asked.
struct Gate {
    client: Client,
    asked: Arc<Mutex<Vec<String>>>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

/// The answer to a request: a method, and the protocol that it asks for.
type Script = fn(&str) -> &'static str;

const PASS: &str = "101";
const BY_STATUS: &str = "{\"kind\":\"Status\",\"message\":\"so says the API server\"}";
const BY_GATEWAY: &str = "<html>";

impl Gate {
    async fn new(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, script, Arc::clone(&log)));
            }
        });
        let mut config = Config::new(format!("http://{address}").parse().unwrap());
        config.proxy_url = None;
        // One that passes every answer on: kube's own tries again by itself.
        let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let service = tower::ServiceBuilder::new().layer(config.base_uri_layer());
        let client = Client::new(service.service(hyper.build_http::<kube::client::Body>()), "default");
        Self { client, asked, _task: tokio_util::task::AbortOnDropHandle::new(task) }
    }

    /// Returns what was asked since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.asked))
    }
}

async fn serve(mut socket: TcpStream, script: Script, log: Arc<Mutex<Vec<String>>>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else { return };
        head.push(char::from(byte));
    }
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.map_or("", |line| line[name.len() + 2..].trim())
    };
    let method = head.split(' ').next().unwrap();
    let (upgrade, subprotocol) = (field("upgrade"), field("sec-websocket-protocol"));
    let protocol = match upgrade {
        "SPDY/3.1" => "spdy",
        "websocket" => subprotocol,
        other => other,
    };
    let asks = format!("{method} {protocol}");
    lock(&log).push(asks.clone());
    let answer = match script(&asks) {
        PASS => {
            let accept = derive_accept_key(field("sec-websocket-key").as_bytes());
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
            )
        }
        other => {
            let body = if other.contains("gateway") { BY_GATEWAY } else { BY_STATUS };
            let status = other.trim_end_matches(" gateway");
            format!(
                "HTTP/1.1 {status} No\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        }
    };
    let _gone = socket.write_all(answer.as_bytes()).await;
    // Open until the client leaves.
    let _gone = socket.read_u8().await;
}

fn route() -> Route {
    Route { namespace: "shop".into(), pod: "web".into(), port: 80 }
}

const SPDY_WEB_SOCKET: &str = "GET SPDY/3.1+portforward.k8s.io";

fn dialer_of(gate: &Gate, forced: Option<Protocol>) -> Dialer {
    Dialer::new(Arc::new(Fixed::new(gate.client.clone())), forced)
}

#[tokio::test]
async fn a_user_who_may_only_get_is_let_through_by_get() {
    let gate = Gate::new(|asks| if asks == "GET spdy" { PASS } else { "403" }).await;
    let dialer = dialer_of(&gate, None);
    let Dialed { protocol, .. } = dialer.dial(&route(), true).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(protocol, Protocol::Spdy);
    assert_eq!(gate.asked(), ["POST spdy", "GET spdy"]);
    dialer.dial(&route(), true).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(gate.asked(), ["GET spdy"], "remembered");
    let elsewhere = Route { namespace: "other".into(), ..route() };
    dialer.dial(&elsewhere, true).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(gate.asked(), ["POST spdy", "GET spdy"], "rights differ by namespace");
}

#[tokio::test]
async fn who_may_neither_is_forbidden_and_asked_no_further() {
    let gate = Gate::new(|_| "403").await;
    let dialer = dialer_of(&gate, None);
    let error = dialer.dial(&route(), false).await.err();
    assert!(matches!(error, Some(Error::Forbidden { .. })), "{error:?}");
    assert_eq!(gate.asked(), ["POST spdy", "GET spdy"]);
    // A gateway's page says nothing of WebSockets.
    let gate = Gate::new(|asks| if asks == SPDY_WEB_SOCKET { PASS } else { "403 gateway" }).await;
    let result = dialer_of(&gate, None).dial(&route(), false).await;
    assert_eq!(result.ok().map(|dialed| dialed.protocol), Some(Protocol::SpdyOverWebSocket));
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_later_and_in_the_same_protocol() {
    for script in [(|_| "429") as Script, |_| "429 gateway", |_| "503", |_| "500"] {
        let gate = Gate::new(script).await;
        let dialer = dialer_of(&gate, None);
        let error = dialer.dial(&route(), false).await.err().expect("no tunnel");
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
        assert_eq!(gate.asked(), ["POST spdy"], "no other protocol");
        assert_eq!(dialer.settled(), None);
    }
}

#[tokio::test]
async fn what_works_while_a_gateway_has_a_bad_moment_is_not_remembered() {
    for (script, remembered) in [
        ((|asks| if asks == SPDY_WEB_SOCKET { PASS } else { "502 gateway" }) as Script, None),
        (|asks| if asks == SPDY_WEB_SOCKET { PASS } else { "501 gateway" }, Some(Protocol::SpdyOverWebSocket)),
    ] {
        let gate = Gate::new(script).await;
        let dialer = dialer_of(&gate, None);
        let result = dialer.dial(&route(), false).await;
        assert_eq!(result.ok().map(|dialed| dialed.protocol), Some(Protocol::SpdyOverWebSocket));
        assert_eq!(dialer.settled(), remembered);
    }
}

#[tokio::test]
async fn a_pod_is_reached_past_its_node_by_either_verb_and_a_refusal_says_whose_it_is() {
    let to_pod = async |script: Script| {
        let gate = Gate::new(script).await;
        let result = dialer_of(&gate, None).pod_proxy(&route(), "brow").await;
        (result.map(drop), gate.asked())
    };
    let (result, asked) = to_pod(|_| PASS).await;
    assert!(result.is_ok() && asked == ["GET brow"], "{result:?} {asked:?}");
    let (result, asked) = to_pod(|asks| if asks == "POST brow" { PASS } else { "403" }).await;
    assert!(result.is_ok() && asked == ["GET brow", "POST brow"], "{result:?} {asked:?}");
    let (result, asked) = to_pod(|_| "403").await;
    assert!(matches!(result, Err(Error::Forbidden { .. })) && asked == ["GET brow", "POST brow"], "{result:?}");
    for script in [(|_| "403 gateway") as Script, |_| "500", |_| "502 gateway", |_| "426 gateway"] {
        let (result, asked) = to_pod(script).await;
        assert!(matches!(result, Err(Error::NoUpgrade { .. })) && asked == ["GET brow"], "{result:?} {asked:?}");
    }
}
