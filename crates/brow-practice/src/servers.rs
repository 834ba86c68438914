//! The servers in the pods of the practice cluster and in the private network behind it. They speak real protocols over
//! in-memory pipes instead of sockets, so that nothing but the API listens on this machine.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::sleep;

use super::datagrams;
use super::prometheus;
use super::redis;
use super::relay;
use super::store::Key;
use super::world::{Log, RunningPod, World, words};

/// The domain of the cluster's names.
pub(super) const CLUSTER_DOMAIN: &str = "cluster.local";

/// The buffer of a pipe in each direction, in bytes.
const PIPE_CAPACITY: usize = 64 * 1024;

/// The time after which an unused address counts as unreachable.
const NO_ROUTE_DELAY: Duration = Duration::from_millis(800);

/// A server's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// HTTP: a page, and a mebibyte to measure with.
    Page,
    /// Gives back what it is sent.
    Echo,
    /// Answers queries about an hour.
    Prometheus,
    /// Speaks RESP.
    Redis,
    Relay,
}

/// The error for an address that cannot be reached, as of the kernel or the resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DialError {
    Refused,
    NoRoute,
    Unresolved,
}

/// A host: address, names, and what listens there.
type Host = (&'static str, &'static [&'static str], &'static [(u16, Server)]);

/// The private network behind the cluster.
const NETWORK: [Host; 2] = [
    (
        "10.0.0.1",
        &["page.practice.internal", "redis.practice.internal", "echo.practice.internal"],
        &[(7, Server::Echo), (80, Server::Page), (6379, Server::Redis), (8080, Server::Page)],
    ),
    ("10.0.0.5", &["db.practice.internal"], &[(6379, Server::Redis)]),
];

/// The address that never answers: a firewall drops what is sent there.
pub(super) const SILENT: &str = "10.0.0.99";

/// The address of the node within the cluster.
pub(super) const NODE_IP: &str = "10.0.0.2";

/// The images, each with its port and server.
const IMAGES: [(&str, u16, Server); 4] = [
    ("practice/page", 8080, Server::Page),
    ("practice/echo", 7, Server::Echo),
    ("practice/prometheus", 9090, Server::Prometheus),
    ("practice/redis", 6379, Server::Redis),
];

pub(super) fn listens(pod: &Value, port: u16) -> Option<Server> {
    let relay = format!("TCP-LISTEN:{port},");
    pod["spec"]["containers"].as_array()?.iter().find_map(|container| {
        let image = words(&container["image"]);
        let name = image.rsplit_once(':').map_or(image, |(name, _)| name);
        let known = IMAGES.iter().find(|(own, at, _)| *own == name && *at == port).map(|(_, _, server)| *server);
        let args = &container["args"];
        let relays = words(&args[0]).starts_with(&relay) && words(&args[1]).contains("$RELAY");
        known.or(relays.then_some(Server::Relay))
    })
}

/// The lines that a pod logs when it starts.
pub(super) fn greeting(pod: &Value) -> Vec<String> {
    let listening = |(_, port, server): &(&str, u16, Server)| {
        (listens(pod, *port) == Some(*server)).then(|| format!("practice {server:?} listening on port {port}"))
    };
    IMAGES.iter().filter_map(listening).collect()
}

/// Connects to a server: the other end of a wire to it.
/// `hash` is that of a relay's secret.
pub(super) fn connect(world: &Arc<World>, server: Server, run: Option<RunningPod>, hash: &str) -> DuplexStream {
    let (near, far) = io::duplex(PIPE_CAPACITY);
    let (at, hash) = (Arc::clone(world), hash.to_owned());
    world.spawn(async move {
        // A server whose client has gone has nobody to tell.
        let _ended = match server {
            Server::Page => page(far, run.map(|run| run.log)).await,
            Server::Echo => echo(far).await,
            Server::Prometheus => prometheus::serve(far).await,
            Server::Redis => redis::serve(far, &at.memory).await,
            Server::Relay => match run {
                Some(run) => relay::serve(far, &at, &run, &hash).await,
                None => Ok(()),
            },
        };
    });
    near
}

/// Connects to a port that a relay opened for an address.
pub(super) fn connect_lane(world: &Arc<World>, address: String, entry: String) -> DuplexStream {
    let (near, far) = io::duplex(PIPE_CAPACITY);
    let at = Arc::clone(world);
    world.spawn(async move { drop(relay::enter(far, &at, &address, &entry).await) });
    near
}

/// The hash of the secret of a pod's relay.
pub(super) fn relay_hash(pod: &Value) -> &str {
    let env = pod["spec"]["containers"][0]["env"].as_array();
    env.and_then(|env| env.iter().find(|one| one["name"] == "HASH")).map_or("", |hash| words(&hash["value"]))
}

/// Returns the address of a name in the private network.
pub(super) fn address_of(name: &str) -> Option<&'static str> {
    NETWORK.iter().find(|(_, names, _)| names.contains(&name)).map(|(address, ..)| *address)
}

/// Finds a server of datagrams in the private network; `None`: one that never answers.
pub(super) fn find_datagrams(host: &str, port: u16) -> Result<Option<datagrams::Server>, DialError> {
    if host == SILENT {
        return Ok(None);
    }
    let address = address_of(host).unwrap_or(host);
    if NETWORK.iter().any(|(known, ..)| *known == address) {
        return datagrams::listens(address, port).map(Some).ok_or(DialError::Refused);
    }
    Err(if host.parse::<IpAddr>().is_ok() { DialError::NoRoute } else { DialError::Unresolved })
}

/// Connects to an address of the private network, or of a service of the cluster.
pub(super) async fn dial(world: &Arc<World>, host: &str, port: u16) -> Result<DuplexStream, DialError> {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let known = NETWORK.iter().find(|(address, names, _)| *address == host || names.contains(&host));
    if let Some((_, _, ports)) = known {
        let server = ports.iter().find(|(open, _)| *open == port).map(|(_, server)| *server);
        return server.map(|server| connect(world, server, None, "")).ok_or(DialError::Refused);
    }
    if host == SILENT {
        std::future::pending::<()>().await;
    }
    if let Some(found) = behind(world, host, ip.is_some(), port) {
        let (pod, server) = found?;
        let run = world.run(words(&pod["metadata"]["uid"]));
        return Ok(connect(world, server, Some(run), relay_hash(&pod)));
    }
    if ip.is_some() {
        sleep(NO_ROUTE_DELAY).await;
        return Err(DialError::NoRoute);
    }
    Err(DialError::Unresolved)
}

/// A ready pod behind a service's name, address or port of the node, or with this address itself; `None`: nobody is
/// called so.
fn behind(world: &World, host: &str, is_ip: bool, port: u16) -> Option<Result<(Arc<Value>, Server), DialError>> {
    let (pods, _) = world.store.list("pods", None);
    if let Some(pod) = pods.iter().find(|pod| is_ip && pod["status"]["podIP"] == host) {
        return Some(listens(pod, port).map(|server| (Arc::clone(pod), server)).ok_or(DialError::Refused));
    }
    let of_node = host == NODE_IP;
    let service = if of_node {
        let on_nodes = |service: &Arc<Value>| {
            service["spec"]["ports"].as_array().is_some_and(|all| all.iter().any(|own| own["nodePort"] == port))
        };
        world.store.list("services", None).0.into_iter().find(on_nodes)?
    } else if is_ip {
        world.store.list("services", None).0.into_iter().find(|service| service["spec"]["clusterIP"] == host)?
    } else {
        let mut parts = host.trim_end_matches('.').splitn(3, '.');
        let (name, namespace, rest) = (parts.next()?, parts.next()?, parts.next().unwrap_or("svc"));
        if rest.strip_suffix(CLUSTER_DOMAIN).map_or(rest, |rest| rest.trim_end_matches('.')) != "svc" {
            return None;
        }
        world.store.get(&Key::new("services", namespace, name))?
    };
    let ports = service["spec"]["ports"].as_array()?;
    let inner =
        ports.iter().find(|own| own[if of_node { "nodePort" } else { "port" }] == port)?["targetPort"].as_u64()?;
    let wanted = service["spec"]["selector"].as_object()?;
    let fits = |pod: &&Arc<Value>| {
        let labels = &pod["metadata"]["labels"];
        pod["metadata"]["namespace"] == service["metadata"]["namespace"]
            && wanted.iter().all(|(name, value)| labels[name] == *value)
            && pod["status"]["containerStatuses"][0]["ready"] == true
    };
    let pod = pods.iter().find(fits);
    let server = pod.and_then(|pod| Some((Arc::clone(pod), listens(pod, u16::try_from(inner).ok()?)?)));
    Some(server.ok_or(DialError::Refused))
}

async fn echo(mut wire: DuplexStream) -> io::Result<()> {
    let mut buffer = vec![0; PIPE_CAPACITY];
    loop {
        let count = wire.read(&mut buffer).await?;
        if count == 0 {
            return wire.shutdown().await;
        }
        wire.write_all(&buffer[..count]).await?;
    }
}

const PAGE: &str = "<!doctype html>\n<title>brow-tui practice</title>\n<h1>You have crossed the brow.</h1>\n<p>This page \
    came from the practice network, through the practice cluster, to a port of your machine.</p>\n";

async fn page(wire: DuplexStream, log: Option<Arc<Log>>) -> io::Result<()> {
    let answer = |request: Request<hyper::body::Incoming>| {
        let path = request.uri().path();
        let (status, kind, body) = match path {
            "/" => (StatusCode::OK, "text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes())),
            "/index.html" => (StatusCode::OK, "text/plain", Bytes::from_static(b"hello from the vpc\n")),
            "/1m" => (StatusCode::OK, "application/octet-stream", mebibyte()),
            _ => (StatusCode::NOT_FOUND, "text/plain", Bytes::from_static(b"not found\n")),
        };
        if let Some(log) = &log {
            log.write(format!("{} {path} {}", request.method(), status.as_u16()));
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        async { Ok::<_, Infallible>(response) }
    };
    let service = hyper::service::service_fn(answer);
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    connection.await.map_err(io::Error::other)
}

/// The bytes 0 to 250, over and over: no power of two, so that a piece that is lost or doubled shows.
fn mebibyte() -> Bytes {
    (0..=250_u8).cycle().take(1 << 20).collect::<Vec<u8>>().into()
}
