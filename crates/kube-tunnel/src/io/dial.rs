//! Opens tunnels: the upgrade request of each protocol, and which protocol to ask for.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::connect::HttpInfo, rt::TokioIo};
use kube::client::Body;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{transport::Transport, witness::Witness};
use crate::{
    contain::lock,
    error::{Error, chain},
    login::{Login, Logins},
    protocol::Protocol,
};

/// How long one attempt may take. A gateway that swallows an upgrade is noticed by this alone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long others wait for the outcome of the first attempts, which settle the protocol for all. They do not wait
/// longer: the network may be back by the time that an attempt begun before gives up.
const TURN: Duration = Duration::from_secs(1);

/// For how long a protocol that is not the best is taken to be the best that passes. A gateway that had a bad moment,
/// or was replaced, should not cost the speed of a whole day.
const REMEMBERED: Duration = Duration::from_mins(10);

/// The subprotocol of port-forwarding in SPDY, and inside a WebSocket.
const SPDY: &str = "portforward.k8s.io";
const SPDY_IN_WEB_SOCKET: &str = "SPDY/3.1+portforward.k8s.io";
const V4: &str = "v4.channel.k8s.io";

/// How much of an answer that is no upgrade is read.
const ANSWER: usize = 16 * 1024;

/// Where a stream ends: a port of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The port inside the pod, on its loopback address.
    pub port: u16,
}

/// Dials the tunnels of one cluster and remembers which protocol worked.
pub(crate) struct Dialer {
    logins: Arc<dyn Logins>,
    pub newest: watch::Receiver<Login>,
    forced: Option<Protocol>,
    worked: Mutex<Option<(Protocol, Instant)>>,
    /// Namespaces in which SPDY was let through by GET and not by POST, and when.
    by_get: Mutex<HashMap<String, Instant>>,
    /// Held while it is not settled which protocol works.
    settling: tokio::sync::Mutex<()>,
}

/// A new tunnel's connection.
pub(crate) struct Dialed {
    pub protocol: Protocol,
    pub transport: Transport,
    /// Which login opened it.
    pub generation: u64,
}

/// An attempt that brought no tunnel.
struct Failure {
    error: Error,
    /// Another protocol may fare better.
    go_on: bool,
    /// The API server itself said so, in a `Status`.
    is_status: bool,
    /// It may pass: what other protocols do meanwhile says nothing of which is the best.
    passing: bool,
}

impl Failure {
    fn new(error: Error, go_on: bool) -> Self {
        Self { error, go_on, is_status: false, passing: false }
    }
}

impl Dialer {
    pub(crate) fn new(logins: Arc<dyn Logins>, forced: Option<Protocol>) -> Self {
        Self {
            newest: logins.subscribe(),
            logins,
            forced,
            worked: Mutex::default(),
            by_get: Mutex::default(),
            settling: tokio::sync::Mutex::default(),
        }
    }

    /// The protocol that is used, as far as that is settled.
    pub(crate) fn settled(&self) -> Option<Protocol> {
        self.forced.or(lock(&self.worked).map(|(protocol, _)| protocol))
    }

    fn settle(&self, protocol: Protocol) {
        let mut worked = lock(&self.worked);
        // What is confirmed again is not remembered for longer: the better ones are to be tried again.
        if worked.is_none_or(|(known, at)| known != protocol || at.elapsed() >= REMEMBERED) {
            *worked = Some((protocol, Instant::now()));
        }
    }

    /// See [`Logins::answers_again`].
    pub(crate) fn answers_again(&self) -> watch::Receiver<u64> {
        self.logins.answers_again()
    }

    /// What tells of the life of a connection between these addresses.
    pub(crate) fn witness(&self, ends: Option<(SocketAddr, SocketAddr)>) -> Witness {
        Witness::new(Arc::clone(&self.logins), ends)
    }

    /// The protocols to try, in order.
    fn order(&self) -> Vec<Protocol> {
        if let Some(forced) = self.forced {
            return vec![forced];
        }
        let mut order = Protocol::ALL.to_vec();
        if let Some((protocol, at)) = *lock(&self.worked)
            && at.elapsed() < REMEMBERED
        {
            order.retain(|other| *other != protocol);
            order.insert(0, protocol);
        }
        order
    }

    /// Waits while another attempt is finding out which protocol works.
    async fn settling(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.settled().is_some() {
            return None;
        }
        let turn = tokio::time::timeout(TURN, self.settling.lock()).await.ok();
        if self.settled().is_some() { None } else { turn }
    }

    /// Opens a connection for `route` with the newest login; where the server refuses that and another is to be had,
    /// with that one. With `ahead`, none is opened in a protocol whose connections reach the pod at once:
    /// [`Error::Closed`] says that there was no other.
    pub(crate) async fn dial(&self, route: &Route, ahead: bool) -> Result<Dialed, Error> {
        check(route)?;
        let login = self.logins.now().await;
        let refused = match self.dial_as(&login, route, ahead).await {
            Err(error @ Error::Unauthorized { .. }) => error,
            dialed => return dialed,
        };
        self.logins.refused(login.generation);
        let renewed = self.logins.now().await;
        if renewed.generation == login.generation {
            return Err(refused);
        }
        self.dial_as(&renewed, route, ahead).await
    }

    /// Opens a connection with one login, falling back from protocol to protocol.
    async fn dial_as(&self, login: &Login, route: &Route, ahead: bool) -> Result<Dialed, Error> {
        let _turn = self.settling().await;
        let mut worst: Option<Failure> = None;
        let mut passing = false;
        for protocol in self.order() {
            if ahead && protocol == Protocol::V4 {
                return match worst {
                    // Not a failure of the moment, such as a time-out, a node that is away or a missing right: those
                    // say nothing of protocols.
                    Some(Failure { error: Error::Upgrade { .. }, .. }) if !passing => {
                        self.settle(Protocol::V4);
                        Err(Error::Closed)
                    }
                    Some(failure) => Err(failure.error),
                    None => Err(Error::Closed),
                };
            }
            let attempt = tokio::time::timeout(PATIENCE, self.attempt(&login.client, protocol, route)).await;
            let failure = match attempt {
                Ok(Ok(transport)) => {
                    if !passing {
                        self.settle(protocol);
                    }
                    return Ok(Dialed { protocol, transport, generation: login.generation });
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::new(
                    Error::Unreachable { text: format!("no answer within {} s", PATIENCE.as_secs()) },
                    true,
                ),
            };
            passing |= failure.passing;
            let go_on = failure.go_on;
            if worst.as_ref().is_none_or(|worst| !worst.is_status && failure.is_status) {
                worst = Some(failure);
            }
            if !go_on {
                break;
            }
        }
        Err(worst.map_or(Error::Closed, |failure| failure.error))
    }

    /// Opens a connection in one protocol. SPDY is asked for by POST, and by GET where that is forbidden: below
    /// Kubernetes 1.35, a user who may only `get pods/portforward` has that right.
    async fn attempt(&self, client: &kube::Client, protocol: Protocol, route: &Route) -> Result<Transport, Failure> {
        if protocol != Protocol::Spdy {
            return self.upgrade(client, protocol, &Method::GET, route).await;
        }
        let known = lock(&self.by_get).get(&route.namespace).is_some_and(|at| at.elapsed() < REMEMBERED);
        let methods = if known { [Method::GET, Method::POST] } else { [Method::POST, Method::GET] };
        let first = match self.upgrade(client, protocol, &methods[0], route).await {
            Err(failure) if failure.is_forbidden() => failure,
            other => return other,
        };
        let second = self.upgrade(client, protocol, &methods[1], route).await;
        match second {
            Ok(transport) => {
                let mut by_get = lock(&self.by_get);
                if methods[1] == Method::GET {
                    by_get.insert(route.namespace.clone(), Instant::now());
                } else {
                    by_get.remove(&route.namespace);
                }
                Ok(transport)
            }
            // `WebSockets` would ask for the right to get once more.
            Err(failure) if failure.is_forbidden() => {
                let go_on = !(first.is_status && failure.is_status);
                let told = if methods[0] == Method::POST { first } else { failure };
                Err(Failure { go_on, ..told })
            }
            Err(failure) => Err(failure),
        }
    }

    async fn upgrade(
        &self,
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
}

impl Failure {
    fn is_forbidden(&self) -> bool {
        matches!(self.error, Error::Forbidden { .. } | Error::Upgrade { status: 405, .. })
    }
}

/// The names end up in a path: nothing may pass that could turn it into another.
fn check(route: &Route) -> Result<(), Error> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
    };
    if is_name(&route.namespace)
        && is_name(&route.pod)
        && !route.pod.starts_with('.')
        && !route.namespace.starts_with('.')
    {
        Ok(())
    } else {
        Err(Error::NoSuchPod { text: format!("{}/{} is no name of a pod", route.namespace, route.pod) })
    }
}

/// The request brought no answer.
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

/// The answer is no upgrade.
async fn refused(response: Response<Body>, protocol: Protocol) -> Failure {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(header::RETRY_AFTER);
    // In seconds; the API server gives no dates.
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let body = http_body_util::Limited::new(response.into_body(), ANSWER);
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let message =
        parsed.filter(|value| value["kind"] == "Status").and_then(|value| value["message"].as_str().map(str::to_owned));
    let is_status = message.is_some();
    let text = message.unwrap_or_else(|| {
        let body = String::from_utf8_lossy(&body);
        body.lines().next().unwrap_or_default().chars().take(200).collect()
    });
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

#[cfg(test)]
mod tests;
