//! The client: kube's authentication, TLS and proxies over our own connector.
//!
//! kube's connector leaves Nagle's algorithm on. A forwarded connection is small writes that wait for answers; against
//! the other side's delayed ACK (RFC 1122, 4.2.3.2) that costs 40 ms, which is most of what kube's port-forward takes.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Request, Uri};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use kube::client::middleware::AuthLayer;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config, Error};
use tokio::time::timeout;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};

use super::bounded::Bound;
use super::buffered::Buffered;
use super::liveness::Liveness;
use super::retry;
use kube_tunnel::contain::contain;

/// The timeout of a TCP connection to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// TCP keep-alive: a peer that vanished is noticed within 15 s, and middleboxes keep the connection.
///
/// There is no `TCP_USER_TIMEOUT`: it would also end a connection whose other end has no room for so long
/// (`tcp_probe_timer` in Linux), as that of an upload to a pod that takes its time.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEP_ALIVE_RETRIES: u32 = 3;
/// The longest wait for a response to begin: lists of a large cluster are slow.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait for the response of a watch, which begins before there are events.
const WATCH_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of idle connections that are kept: each that was lost silently delays a request.
const MAX_IDLE_CONNECTIONS: usize = 2;

/// Creates a client for a config. Runs the exec plugin, if any, and so blocks.
///
/// # Errors
/// The config names a proxy, certificate or login that cannot be used.
pub fn client(config: &Config) -> Result<Client, Error> {
    let auth = config.auth_layer()?;
    let mut config = config.clone();
    if auth.is_some() {
        // kube would run the plugin once more for a client certificate; whoever gave a token has none.
        config.auth_info.exec = None;
    }
    connect(&config, auth, Liveness::monitored())
}

/// Creates a client for a config without plugin and proxy that connects to these addresses, whatever its server's name
/// resolves to: those that were checked.
///
/// # Errors
/// The config names a certificate or login that cannot be used.
pub fn client_at(config: &Config, addresses: Vec<SocketAddr>) -> Result<Client, Error> {
    let resolver = tower::service_fn(move |_: Name| ready(Ok::<_, Infallible>(addresses.clone().into_iter())));
    let connector = with_options(HttpConnector::new_with_resolver(resolver));
    build(connector, config, config.auth_layer()?, Liveness::monitored())
}

/// Sets the options of our connections.
fn with_options<R>(mut connector: HttpConnector<R>) -> HttpConnector<R> {
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(KEEP_ALIVE));
    connector.set_keepalive_interval(Some(KEEP_ALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEP_ALIVE_RETRIES));
    connector.set_happy_eyeballs_timeout(Some(Duration::from_millis(250)));
    connector
}

fn connect(config: &Config, auth: Option<AuthLayer>, liveness: Liveness) -> Result<Client, Error> {
    let connector = with_options(HttpConnector::new());
    let Some(proxy) = config.proxy_url.clone() else {
        return build(connector, config, auth, liveness);
    };
    match proxy.scheme_str() {
        Some("socks5" | "socks5h") => build(socks(proxy, connector), config, auth, liveness),
        Some("http") => build(tunnel(&proxy, connector), config, auth, liveness),
        Some("https") => {
            let connector = config.rustls_https_connector_with_connector(connector)?;
            build(tunnel(&proxy, connector), config, auth, liveness)
        }
        Some(_) | None => Err(Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy) }),
    }
}

/// A SOCKS proxy, with the credentials of its URL.
fn socks<C>(proxy: Uri, connector: C) -> SocksV5<C> {
    let login = proxy.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(login, _)| login);
    let words = |part: &str| String::from_utf8_lossy(&percent_decoded(part)).into_owned();
    let login = login.map(|login| login.split_once(':').unwrap_or((login, "")));
    let login = login.map(|(user, password)| (words(user), words(password)));
    let socks = SocksV5::new(proxy, connector);
    match login {
        Some((user, password)) => socks.with_auth(user, password),
        None => socks,
    }
}

/// An HTTP CONNECT tunnel, with the credentials of the proxy's URL.
fn tunnel<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    let user = proxy.authority().and_then(|authority| authority.as_str().rsplit_once('@')).map(|(user, _)| user);
    let value = user.map(|user| format!("Basic {}", STANDARD.encode(percent_decoded(user))));
    match value.and_then(|value| HeaderValue::from_str(&value).ok()) {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

/// The bytes of a URL's user info (RFC 3986, 2.1).
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let escape = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let value = escape.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(value) = value.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(value);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    out
}

/// Returns the text of a part of a URL's user info.
pub fn url_decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(text)).into_owned()
}

fn build<C>(connector: C, config: &Config, auth: Option<AuthLayer>, liveness: Liveness) -> Result<Client, Error>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let monitor = liveness.clone();
    let connector = ServiceBuilder::new()
        .map_response(move |connection| Buffered::new(monitor.connection(connection)))
        .service(connector);
    let https = config.rustls_https_connector_with_connector(connector)?;
    // A request that is given up leaves the connection to its end that was begun for it: a server that falls silent
    // within the TLS handshake would hold it for a quarter of an hour.
    let https = ServiceBuilder::new()
        .map_future(|connecting| Box::pin(async { timeout(RESPONSE_TIMEOUT, connecting).await? }))
        .service(https);
    let client = hyper_util::client::legacy::Builder::new(Spawner)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .build::<_, Body>(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service_fn(move |request: Request<Body>| {
            let (client, liveness) = (client.clone(), liveness.clone());
            retry::send(request, move |request| {
                let (limit, bound) = (response_timeout(request.uri()), Bound::of(&request));
                let for_node = is_for_node(request.uri());
                let (method, asked) = (request.method().clone(), request.uri().path_and_query().cloned());
                let (liveness, answer) = (liveness.clone(), client.request(request));
                async move {
                    let answer = liveness.observe(answer, limit, for_node).await;
                    let outcome = answer.as_ref().map(http::Response::status);
                    tracing::debug!(%method, ?asked, ?outcome, "a request");
                    answer.map(|answer| bound.apply(answer))
                }
            })
        });
    // Each request is made by whoever asks, and not by the one task through which kube sends all of them.
    let service = tower::service_fn(move |request: Request<Body>| service.clone().oneshot(request));
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// Starts the client's own tasks. A panic in one ends its connection, of which whoever waits for an answer is told.
#[derive(Clone)]
struct Spawner;

impl<T: Future<Output: Send + 'static> + Send + 'static> hyper::rt::Executor<T> for Spawner {
    fn execute(&self, task: T) {
        tokio::spawn(contain(task));
    }
}

/// The longest wait for the response to a request to begin.
fn response_timeout(uri: &Uri) -> Duration {
    let asks = |wanted: &[&str]| uri.query().is_some_and(|query| query.split('&').any(|part| wanted.contains(&part)));
    if asks(&["watch=true", "watch=1"]) {
        WATCH_TIMEOUT
    } else if asks(&["follow=true", "follow=1"]) {
        // A log may say nothing for as long as it likes.
        Duration::MAX
    } else {
        RESPONSE_TIMEOUT
    }
}

/// Returns true for what the API server has a node answer.
fn is_for_node(uri: &Uri) -> bool {
    let liveness = uri.path();
    liveness.contains("/proxy/") || ["/log", "/portforward", "/proxy"].iter().any(|last| liveness.ends_with(last))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use super::*;
    use kube_tunnel::contain::is_contained;

    #[tokio::test]
    async fn a_panic_on_the_way_is_for_whoever_asks() {
        let (tell, told) = tokio::sync::oneshot::channel();
        hyper::rt::Executor::execute(&Spawner, async { _ = tell.send(is_contained()) });
        assert_eq!(told.await, Ok(true), "the client's own tasks");
        // Two URLs that are none together: kube takes them for one (`set_base_uri`).
        let config = Config::new(format!("http://127.0.0.1:1/{}", "a".repeat(65_500)).parse().unwrap());
        let client = client(&config).unwrap();
        let request = Request::get(format!("/{}", "b".repeat(100))).body(Vec::new()).unwrap();
        let words = contain(client.request_text(request)).await.map(drop).unwrap_err();
        assert!(words.contains("Valid Uri"), "{words}");
    }

    #[tokio::test]
    async fn a_watch_that_hears_nothing_ends_when_the_machine_wakes_up() {
        use futures::StreamExt as _;
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let slept = Arc::new(AtomicU64::new(0));
        let asleep = Arc::clone(&slept);
        let wall = move || SystemTime::now() + Duration::from_secs(asleep.load(Ordering::Relaxed));
        let client = connect(&config, None, Liveness::monitored_by(wall)).unwrap();
        let silent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n").await.unwrap();
            // It says nothing, and does not end it.
            stream.read_buf(&mut Vec::new()).await
        });
        let api: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::all(client);
        let mut watch = std::pin::pin!(api.watch(&kube::api::WatchParams::default(), "0").await.unwrap());
        slept.store(600, Ordering::Relaxed);
        let ended = tokio::time::timeout(Duration::from_mins(1), watch.next()).await;
        assert!(ended.expect("the silent watch is ended").unwrap().is_err());
        drop(silent);
    }

    #[test]
    fn what_a_node_answers_is_known_by_its_path() {
        for (liveness, for_node) in [
            ("/api/v1/nodes/n/proxy/healthz", true),
            ("/api/v1/namespaces/team/pods/p/log?follow=true", true),
            ("/k8s/clusters/c/api/v1/namespaces/team/pods/p/portforward", true),
            ("/api/v1/nodes/n", false),
            ("/api/v1/pods?watch=true", false),
        ] {
            assert_eq!(is_for_node(&liveness.parse().unwrap()), for_node, "{liveness}");
        }
    }

    #[test]
    fn escapes_of_a_proxys_password_are_undone() {
        for (text, bytes) in
            [("user:p%40ss", "user:p@ss"), ("a%", "a%"), ("a%zz", "a%zz"), ("a%+1", "a%+1"), ("é", "é")]
        {
            assert_eq!(percent_decoded(text), bytes.as_bytes(), "{text}");
        }
    }
}
