//! The upgrade request of each protocol, and its answer.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::upgrade::Upgraded;
use hyper_util::{client::legacy::connect::HttpInfo, rt::TokioIo};
use kube::client::Body;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{dial::Route, transport::Transport};
use crate::{
    error::{Error, chain},
    protocol::Protocol,
};

/// The subprotocol of port-forwarding in SPDY, and inside a WebSocket.
const SPDY: &str = "portforward.k8s.io";
const SPDY_IN_WEB_SOCKET: &str = "SPDY/3.1+portforward.k8s.io";
const V4: &str = "v4.channel.k8s.io";

/// The most bytes read of an answer that is no upgrade.
const MAX_ERROR_BODY: usize = 16 * 1024;

/// An attempt that brought no tunnel.
pub(crate) struct Failure {
    pub error: Error,
    /// True if another protocol may succeed.
    pub go_on: bool,
    /// True if the API server itself answered, with a `Status`.
    pub is_status: bool,
    /// True if it may be temporary: the success of another protocol then does not show that it is the best.
    pub passing: bool,
}

impl Failure {
    pub(crate) fn new(error: Error, go_on: bool) -> Self {
        Self { error, go_on, is_status: false, passing: false }
    }

    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self.error, Error::Forbidden { .. } | Error::Upgrade { status: 405, .. })
    }
}

/// Asks the API server to switch to a protocol, and returns the connection.
pub(crate) async fn upgrade(
    client: &kube::Client,
    protocol: Protocol,
    method: &Method,
    route: &Route,
) -> Result<Transport, Failure> {
    let broken = |error: http::Error| Failure::new(Error::Protocol { text: error.to_string() }, false);
    let path = format!("/api/v1/namespaces/{}/pods/{}/portforward", route.namespace, route.pod);
    let request = Request::builder().method(method).header(header::CONNECTION, "Upgrade");
    let key = BASE64.encode(rand::random::<[u8; 16]>());
    let web_socket = |subprotocol: &'static str| {
        HeaderMap::from_iter([
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol)),
        ])
    };
    let request = match protocol {
        Protocol::Spdy => {
            request.uri(path).header(header::UPGRADE, "SPDY/3.1").header("X-Stream-Protocol-Version", SPDY)
        }
        Protocol::SpdyOverWebSocket | Protocol::V4 => {
            let (subprotocol, uri) = match protocol {
                Protocol::V4 => (V4, format!("{path}?ports={}", route.port)),
                _ => (SPDY_IN_WEB_SOCKET, path),
            };
            let mut request = request.uri(uri).header(header::SEC_WEBSOCKET_KEY, &key);
            if let Some(headers) = request.headers_mut() {
                headers.extend(web_socket(subprotocol));
            }
            request
        }
    };
    let request = request.body(Body::empty()).map_err(broken)?;
    let response = client.send(request).await.map_err(|error| unanswered(&error, protocol))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(response, protocol).await);
    }
    verify(protocol, response.headers(), &key)
        .map_err(|text| Failure::new(Error::Upgrade { protocol, status: 101, text, retry_after: None }, true))?;
    let info = response.extensions().get::<HttpInfo>();
    let ends = info.map(|info| (info.local_addr(), info.remote_addr()));
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|error| Failure::new(Error::Unreachable { text: chain(&error) }, true))?;
    let pipe = TokioIo::new(upgraded);
    let mut transport = match protocol {
        Protocol::Spdy => Transport::bare(pipe),
        Protocol::SpdyOverWebSocket | Protocol::V4 => Transport::web_socket(pipe).await,
    };
    transport.ends = ends;
    Ok(transport)
}

/// Returns the failure of a request without an answer.
fn unanswered(error: &kube::Error, protocol: Protocol) -> Failure {
    let unreached = match error {
        kube::Error::Service(inner) => inner
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_none_or(hyper_util::client::legacy::Error::is_connect),
        kube::Error::HyperError(_) => false,
        _ => true,
    };
    // A proxy that does not know the upgrade may just hang up.
    Failure::new(Error::from_kube(error, protocol), !unreached)
}

/// Asks the API server to connect to a port of a pod itself (`pods/proxy`) and the server there to switch protocols.
pub(crate) async fn pod_proxy(
    client: &kube::Client,
    method: &Method,
    route: &Route,
    token: &'static str,
) -> Result<TokioIo<Upgraded>, Error> {
    let path = format!("/api/v1/namespaces/{}/pods/{}:{}/proxy/", route.namespace, route.pod, route.port);
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, token).body(Body::empty());
    let request = request.map_err(|error| Error::Protocol { text: error.to_string() })?;
    let response = client.send(request).await.map_err(|error| Error::from_kube(&error, Protocol::Spdy))?;
    let status = response.status();
    let upgraded = response.headers().get(header::UPGRADE).is_some_and(|value| value == token);
    if status != StatusCode::SWITCHING_PROTOCOLS || !upgraded {
        let RefusedUpgrade { status, text, is_status, .. } = RefusedUpgrade::read(response).await;
        return Err(match status {
            401 => Error::Unauthorized { text },
            403 if is_status => Error::Forbidden { text },
            _ => Error::NoUpgrade { status, text },
        });
    }
    let upgraded = hyper::upgrade::on(response).await;
    upgraded.map(TokioIo::new).map_err(|error| Error::Unreachable { text: chain(&error) })
}

/// An answer that is no upgrade.
pub(super) struct RefusedUpgrade {
    pub status: u16,
    /// The message of a `Status`, else the first line.
    pub text: String,
    is_status: bool,
    retry_after: Option<Duration>,
}

impl RefusedUpgrade {
    pub(super) async fn read(response: Response<Body>) -> Self {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        // In seconds; the API server gives no dates.
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let body = http_body_util::Limited::new(response.into_body(), MAX_ERROR_BODY);
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let parsed: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let message = parsed
            .filter(|value| value["kind"] == "Status")
            .and_then(|value| value["message"].as_str().map(str::to_owned));
        let is_status = message.is_some();
        let text = message.unwrap_or_else(|| {
            let body = String::from_utf8_lossy(&body);
            body.lines().next().unwrap_or_default().chars().take(200).collect()
        });
        Self { status, text, is_status, retry_after }
    }
}

/// Returns the failure of an answer that is no upgrade.
async fn refused(response: Response<Body>, protocol: Protocol) -> Failure {
    let RefusedUpgrade { status, text, is_status, retry_after } = RefusedUpgrade::read(response).await;
    // 501 and 505 say that this will not be understood tomorrow either.
    let passing = matches!(status, 429 | 500 | 502..=504 | 506..);
    // What the API server says of the pod or of us, and that it is busy or cannot reach the node, holds in any
    // protocol; but a role may hold the verb of one only (403).
    let final_word = status == 429 || is_status && (matches!(status, 401 | 404) || passing);
    let error = match status {
        401 | 403 => Error::from_status(status, text, protocol),
        404 if is_status => Error::from_status(status, text, protocol),
        _ => Error::Upgrade { protocol, status, text, retry_after },
    };
    Failure { error, go_on: !final_word, is_status, passing }
}

/// Checks the headers of an answer with status 101.
fn verify(protocol: Protocol, headers: &HeaderMap, key: &str) -> Result<(), String> {
    let has = |name: header::HeaderName, wanted: &str| {
        headers.get(&name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    let upgrade = if protocol == Protocol::Spdy { "SPDY/3.1" } else { "websocket" };
    if !has(header::UPGRADE, upgrade) {
        return Err(format!("it did not upgrade to {upgrade}"));
    }
    let subprotocol = match protocol {
        Protocol::Spdy => return Ok(()),
        Protocol::SpdyOverWebSocket => SPDY_IN_WEB_SOCKET,
        Protocol::V4 => V4,
    };
    if !has(header::SEC_WEBSOCKET_PROTOCOL, subprotocol) {
        return Err(format!("it did not take the subprotocol {subprotocol}"));
    }
    let accept = derive_accept_key(key.as_bytes());
    if headers.get(header::SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value.as_bytes() != accept.as_bytes()) {
        return Err("its Sec-WebSocket-Accept does not fit the key".to_owned());
    }
    Ok(())
}
