//! A Prometheus that is asked over HTTP: directly, or by a tunnel to a pod of its service.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Client, Config};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::response::words;
use crate::cluster::workload::{self, Behind, Query};
use crate::cluster::{self, Clusters};
use brow_model::metrics::{Endpoint, Prometheus, ServiceRef, Way};
use brow_model::workload::{Kind, Port, Workload};
use kube_tunnel::{Lease, LeaseOptions, Route, Tunnels};

/// The most bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;

/// The longest wait for an answer to a query.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(12);

/// The longest wait for the addresses of a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest wait for a tunnel.
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP server, and the way to it.
pub(super) enum Server {
    Direct(Client),
    Tunnel {
        lease: Lease,
        host: String,
        /// Before the paths of the API.
        path: String,
    },
}

impl Server {
    /// Prepares to ask a Prometheus.
    ///
    /// # Errors
    /// There is no way to it.
    pub(super) async fn open(clusters: &Clusters, cluster: &str, prometheus: &Prometheus) -> Result<Self, String> {
        match (&prometheus.way, &prometheus.service) {
            // Where the config sends us is the user's business, this machine included.
            (Way::Config(at), _) => Self::direct(at, resolve(at).await?),
            (Way::LoadBalancer(at) | Way::Ingress(at) | Way::NodePort(at), _) => {
                Self::direct(at, elsewhere(resolve(at).await?)?)
            }
            (Way::Tunnel(path), Some(service)) => {
                let client = clusters.client(cluster).await.map_err(|fault| fault.detail)?;
                Self::tunnel(clusters, cluster, &Tunnels::new(client, None), service, path).await
            }
            (Way::Tunnel(_), None) => Err("it has no service".to_owned()),
        }
    }

    /// Prepares to ask the server at these addresses, which its name resolved to.
    pub(super) fn direct(at: &Endpoint, addresses: Vec<SocketAddr>) -> Result<Self, String> {
        let url = at.to_string().parse().map_err(|_| "its URL is none".to_owned())?;
        let mut config = Config::new(url);
        if let Some(login) = at.login() {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            let (username, password) = (Some(cluster::url_decoded(user)), Some(cluster::url_decoded(password).into()));
            config.auth_info = AuthInfo { username, password, ..AuthInfo::default() };
        }
        // The error's words might repeat the login.
        cluster::client_at(&config, addresses)
            .map(Self::Direct)
            .map_err(|_| "there is no client for its URL".to_owned())
    }

    /// Opens a tunnel to a ready pod of a service.
    pub(super) async fn tunnel(
        clusters: &Clusters,
        cluster: &str,
        tunnels: &Tunnels,
        service: &ServiceRef,
        path: &str,
    ) -> Result<Self, String> {
        let route =
            timeout(TUNNEL_TIMEOUT, route(clusters, cluster, service)).await.map_err(late(TUNNEL_TIMEOUT))??;
        let lease = tunnels.lease(route, LeaseOptions::default());
        let host = format!("{}.{}.svc", service.name, service.namespace);
        Ok(Self::Tunnel { lease, host, path: path.to_owned() })
    }

    /// Fetches what is at a path.
    ///
    /// # Errors
    /// No answer, one that is too long, or a refusal.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, String> {
        self.get_within(path, ANSWER_TIMEOUT).await
    }

    /// The same, with another limit of the time.
    pub(super) async fn get_within(&self, path: &str, limit: Duration) -> Result<Bytes, String> {
        match self {
            Self::Direct(client) => timeout(limit, ask(client, path)).await.map_err(late(limit))?,
            Self::Tunnel { lease, host, path: base } => {
                let opening = timeout(TUNNEL_TIMEOUT, lease.open()).await.map_err(late(TUNNEL_TIMEOUT))?;
                let stream = opening.map_err(|error| words(&error.to_string()))?;
                let whole = format!("{base}{path}");
                timeout(limit, exchange(stream, host, &whole)).await.map_err(late(limit))?
            }
        }
    }
}

fn late<E>(limit: Duration) -> impl Fn(E) -> String {
    move |_| format!("no answer within {} s", limit.as_secs())
}

/// Asks a server whose base URL the client has.
async fn ask(client: &Client, path: &str) -> Result<Bytes, String> {
    let request = Request::get(path).body(Body::empty()).map_err(|error| error.to_string())?;
    let answer = client.send(request).await.map_err(|error| words(&cluster::fault("", &error, None).1.detail))?;
    let (head, body) = answer.into_parts();
    take(head.status, body).await
}

/// Asks a server at the other end of a stream.
async fn exchange<S>(stream: S, host: &str, path: &str) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: &dyn std::error::Error| words(&error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // A failure of the connection is an error of the request.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let host = HeaderValue::from_str(host).map_err(|error| broken(&error))?;
    let request = Request::get(path).header(http::header::HOST, host).body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.map_err(|error| broken(&error))?).await.map_err(|error| broken(&error))?;
    let (head, body) = answer.into_parts();
    take(head.status, body).await
}

/// Reads an answer. An error of a Prometheus is JSON, too; whatever else is no success is told by its status.
async fn take<B>(status: StatusCode, body: B) -> Result<Bytes, String>
where
    B: hyper::body::Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
{
    let is_api = status.is_success() || matches!(status.as_u16(), 400 | 422 | 503);
    if !is_api {
        return Err(format!("it answers {}", status.as_u16()));
    }
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| {
        let too_long = error.is::<LengthLimitError>();
        if too_long { "its answer is longer than 1 MB".to_owned() } else { words(&error.to_string()) }
    };
    Ok(Limited::new(body, MAX_ANSWER).collect().await.map_err(broken)?.to_bytes())
}

/// Returns the way to a ready pod of a service.
async fn route(clusters: &Clusters, cluster: &str, service: &ServiceRef) -> Result<Route, String> {
    let ServiceRef { namespace, name, port } = service.clone();
    let port = Port::Number(port);
    let workload = Workload {
        kind: Kind::Service,
        name,
        port: port.clone(),
        more: Vec::new(),
        wait: None,
        proxy: false,
        spread: false,
    };
    let query = Query { cluster: cluster.to_owned(), namespace: namespace.clone(), workload };
    let told = |fault: brow_model::fault::Fault| {
        let detail = if fault.detail.is_empty() { fault.thing } else { fault.detail };
        words(&detail)
    };
    let found = workload::survey(clusters, &query).await.map_err(told)?;
    let spec = found.service.ok_or("it is no service")?;
    let (_, inner) = workload::service_port(&query, &spec, Some(&port)).map_err(told)?;
    let pods = match found.behind.map_err(told)? {
        Behind::Pods(pods) => pods,
        Behind::Addresses { .. } | Behind::External(_) => return Err("it selects no pods".to_owned()),
    };
    let pod = pods.iter().find(|pod| workload::is_ready(pod)).ok_or("none of its pods is ready")?;
    let port = workload::port_in(pod, Some(&inner)).map_err(|_| "its pods do not have its port")?;
    Ok(Route { namespace, pod: pod.metadata.name.clone().unwrap_or_default(), port })
}

/// Returns the addresses of a server.
async fn resolve(at: &Endpoint) -> Result<Vec<SocketAddr>, String> {
    let resolved = timeout(RESOLVE_TIMEOUT, lookup_host((at.host.as_str(), at.port))).await;
    let resolved = resolved.map_err(late(RESOLVE_TIMEOUT))?;
    Ok(resolved.map_err(|_| "its name does not resolve here")?.collect())
}

/// Refuses what a cluster's object must not send us to: this machine, and what only its own network segment reaches,
/// such as a cloud's metadata.
fn elsewhere(addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    let fine = !addresses.is_empty() && addresses.iter().all(|address| is_elsewhere(address.ip()));
    if fine { Ok(addresses) } else { Err("its address is not one to go to".to_owned()) }
}

fn is_elsewhere(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let local = ip.is_loopback() || ip.is_link_local() || ip.octets()[0] == 0;
            !local && !ip.is_broadcast() && !ip.is_multicast()
        }
        IpAddr::V6(ip) => {
            let local = ip == Ipv6Addr::UNSPECIFIED || ip.is_loopback() || ip.is_unicast_link_local();
            !local && !ip.is_multicast()
        }
    }
}

/// Escapes a value of a query (RFC 3986, 2.3).
pub(super) fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests;
