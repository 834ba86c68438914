//! Gateways made, started, stopped, looked at and deleted.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::engine::{ANSWER_TIMEOUT, Engine, Refusal, escape, unframe};
use super::gateway::{Gateway, Owner, name_of, spec};
use super::node::{Node, name};
use super::port::{Port, protocol};
use crate::forward::port_holder;
use brow_model::address::Transport;
use brow_model::fault::{Fault, What};
use brow_model::gateway::GatewayState as State;

/// The time that an image may take.
const PULL_TIMEOUT: Duration = Duration::from_mins(10);
/// The time within which a container starts or stops.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The time within which a gateway that was started answers.
const UP_TIMEOUT: Duration = Duration::from_secs(15);
/// The pause between two looks at a gateway that starts.
const UP_PAUSE: Duration = Duration::from_millis(200);

/// The engine's containers, as far as they matter here.
#[derive(Debug, Clone, Default)]
pub struct Containers {
    pub gateways: Vec<Gateway>,
    pub nodes: Vec<Node>,
    /// The published ports, and the containers' names.
    published: Vec<(IpAddr, u16, String, String)>,
}

impl Containers {
    /// Reads the list.
    ///
    /// # Errors
    /// The engine refuses it.
    pub async fn read(engine: &Engine) -> Result<Self, Fault> {
        let all = engine.get("/containers/json?all=true").await?;
        Ok(Self::of(all.as_array().map(Vec::as_slice).unwrap_or_default()))
    }

    /// Reads containers as the engine lists them.
    pub(super) fn of(all: &[Value]) -> Self {
        let published = |container: &Value| {
            let name = name(container).to_owned();
            let ports = container["Ports"].as_array().cloned().unwrap_or_default();
            ports.into_iter().filter_map(move |port| {
                let public = u16::try_from(port["PublicPort"].as_u64()?).ok()?;
                let ip = port["IP"].as_str().and_then(|ip| ip.parse().ok()).unwrap_or(IpAddr::from([0; 4]));
                Some((ip, public, port["Type"].as_str()?.to_owned(), name.clone()))
            })
        };
        Self {
            gateways: all.iter().filter_map(Gateway::read).collect(),
            nodes: all.iter().filter_map(Node::read).collect(),
            published: all.iter().flat_map(published).collect(),
        }
    }

    /// Returns all but one gateway.
    pub(super) fn without(&self, gateway: Option<&Gateway>) -> Self {
        let name = gateway.map(|gateway| gateway.name.as_str());
        let mut others = self.clone();
        others.gateways.retain(|other| Some(other.name.as_str()) != name);
        others.published.retain(|(.., holder)| Some(holder.as_str()) != name);
        others
    }

    /// Returns the local ports that gateways and other containers have.
    pub fn taken(&self) -> BTreeSet<u16> {
        let gateways = self.gateways.iter().flat_map(|gateway| gateway.ports.iter().map(|port| port.local.port()));
        gateways.chain(self.published.iter().map(|(_, port, ..)| *port)).collect()
    }

    /// Returns a description of what holds a local port, if it is taken: a container by its name, else the process,
    /// where that can be told.
    pub async fn holder(&self, ip: IpAddr, port: u16, transport: Transport) -> Option<String> {
        match self.container_at(ip, port, transport) {
            Some(name) => Some(name),
            None => process_at(ip, port, transport).await,
        }
    }

    /// Returns the same for a port that a gateway, which is not among these, has at `known` and is to have at `ip`.
    pub(super) async fn holder_beside(&self, ip: IpAddr, known: SocketAddr, transport: Transport) -> Option<String> {
        let port = known.port();
        if ip.is_unspecified() || known.ip().is_unspecified() {
            // The gateway itself would be found.
            return self.container_at(ip, port, transport);
        }
        self.holder(ip, port, transport).await
    }

    /// Returns the container that has a local port, or wants it back.
    fn container_at(&self, ip: IpAddr, port: u16, transport: Transport) -> Option<String> {
        let meets = |at: &IpAddr| *at == ip || at.is_unspecified() || ip.is_unspecified();
        let by = |(at, public, kind, _): &&(IpAddr, u16, String, String)| {
            meets(at) && *public == port && kind == protocol(transport)
        };
        let published = self.published.iter().find(by).map(|(.., name)| name);
        let wants = |gateway: &&Gateway| gateway.ports.iter().any(|at| at.is_at(ip, port, transport));
        let name = published.or_else(|| self.gateways.iter().find(wants).map(|gateway| &gateway.name))?;
        Some(format!("container {name}"))
    }
}

/// Returns a description of the process that has a local port, if one has.
async fn process_at(ip: IpAddr, port: u16, transport: Transport) -> Option<String> {
    let free = match transport {
        Transport::Tcp => std::net::TcpListener::bind((ip, port)).map(drop),
        Transport::Udp => std::net::UdpSocket::bind((ip, port)).map(drop),
    };
    match free {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Some(port_holder(port, ip, transport).await.unwrap_or_else(|| error.to_string()))
        }
        // A port that needs privileges is none that the engine cannot have.
        Ok(()) | Err(_) => None,
    }
}

/// Makes a gateway for a cluster's ports. One that `before` it had some of them goes once this one can start, and comes
/// back if it does not.
///
/// # Errors
/// The image cannot be had, a port is taken, or the engine refuses it.
pub async fn create(
    engine: &Engine,
    (cluster, network): (&str, &str),
    (image, owner): (&str, &Owner),
    ports: &[Port],
    before: Option<&Gateway>,
) -> Result<Gateway, Fault> {
    let image = &tagged(image);
    pull(engine, image).await?;
    let (mut name, spec) = (name_of(cluster, ports), spec(cluster, network, image, owner, ports));
    if before.is_some_and(|before| before.name == name) {
        // Both are there for a moment.
        name.push_str("-b");
    }
    let path = format!("/containers/create?name={}", escape(&name));
    let made = engine.send(Method::POST, &path, Some(&spec), START_TIMEOUT).await?;
    let made: Value = serde_json::from_slice(&made).unwrap_or_default();
    let id = made["Id"].as_str().ok_or_else(|| Fault::new(What::Engine, &name, "no id in the answer"))?;
    // Both want the same ports.
    let stopped = match before {
        Some(before) => post(engine, &before.id, "stop").await,
        None => Ok(()),
    };
    let started = match stopped {
        Ok(()) => post(engine, id, "start").await,
        refused => refused,
    };
    if let Err(refusal) = started {
        let fault = not_started(engine, ports, refusal).await;
        let removed = remove(engine, id).await;
        if let Some(before) = before.filter(|before| before.state == State::Running) {
            start(engine, before).await?;
        }
        removed?;
        return Err(fault);
    }
    if let Some(before) = before {
        remove(engine, &before.id).await?;
    }
    let listed = Containers::read(engine).await?.gateways.into_iter().find(|gateway| gateway.id == id);
    listed.ok_or_else(|| Fault::new(What::GatewayDown, &name, "it is gone"))
}

/// Returns the image with a tag: without one, the engine would pull all that it has.
fn tagged(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// Makes sure that the engine has an image.
async fn pull(engine: &Engine, image: &str) -> Result<(), Fault> {
    match engine.get(&format!("/images/{}/json", escape(image).replace("%2F", "/").replace("%3A", ":"))).await {
        Err(refusal) if refusal.status == Some(StatusCode::NOT_FOUND) => {}
        found => return Ok(found.map(drop)?),
    }
    let unpulled = |why: &str| Fault::new(What::GatewayImage, image, why);
    let path = format!("/images/create?fromImage={}", escape(image));
    let pulled = engine.send(Method::POST, &path, None, PULL_TIMEOUT).await;
    let lines = pulled.map_err(|refusal| unpulled(&refusal.fault.detail))?;
    // The status is sent before the pull begins: an error is one of the lines.
    let error = |line: &[u8]| serde_json::from_slice::<Value>(line).ok()?["error"].as_str().map(str::to_owned);
    lines.split(|byte| *byte == b'\n').find_map(error).map_or(Ok(()), |error| Err(unpulled(&error)))
}

/// Returns why a container did not start: often a port that was free a moment ago. What holds it is no gateway that
/// is stopped.
async fn not_started(engine: &Engine, ports: &[Port], refusal: Refusal) -> Fault {
    let words = &refusal.fault.detail;
    if (words.contains("already in use") || words.contains("already allocated"))
        && let Ok(containers) = Containers::read(engine).await
    {
        let others = Containers { gateways: Vec::new(), ..containers };
        for port in ports {
            let (ip, number) = (port.local.ip(), port.local.port());
            if let Some(holder) = others.holder(ip, number, port.transport).await {
                return Fault::new(What::GatewayPortTaken, number.to_string(), holder);
            }
        }
    }
    refusal.fault
}

async fn post(engine: &Engine, id: &str, verb: &str) -> Result<(), Refusal> {
    engine.send(Method::POST, &format!("/containers/{id}/{verb}"), None, START_TIMEOUT).await.map(drop)
}

/// Starts a gateway.
///
/// # Errors
/// A port is taken, or the engine refuses it.
pub async fn start(engine: &Engine, gateway: &Gateway) -> Result<(), Fault> {
    match post(engine, &gateway.id, "start").await {
        Ok(()) => Ok(()),
        Err(refusal) => Err(not_started(engine, &gateway.ports, refusal).await),
    }
}

/// Ends a gateway's processes and starts them again.
///
/// # Errors
/// A port is taken, or the engine refuses it.
pub async fn restart(engine: &Engine, gateway: &Gateway) -> Result<(), Fault> {
    match post(engine, &gateway.id, "restart").await {
        Ok(()) => Ok(()),
        Err(refusal) => Err(not_started(engine, &gateway.ports, refusal).await),
    }
}

/// Stops a gateway until it is started again; a restart of the engine does not start it.
///
/// # Errors
/// The engine refuses it.
pub async fn stop(engine: &Engine, gateway: &Gateway) -> Result<(), Fault> {
    Ok(post(engine, &gateway.id, "stop").await?)
}

/// Deletes a gateway; one that is gone counts as deleted.
///
/// # Errors
/// The engine refuses it.
pub async fn delete(engine: &Engine, gateway: &Gateway) -> Result<(), Fault> {
    remove(engine, &gateway.id).await
}

async fn remove(engine: &Engine, id: &str) -> Result<(), Fault> {
    let path = format!("/containers/{id}?force=true");
    match engine.send(Method::DELETE, &path, None, START_TIMEOUT).await {
        Err(refusal) if refusal.status != Some(StatusCode::NOT_FOUND) => Err(refusal.fault),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns the last lines of a gateway's log.
///
/// # Errors
/// The engine refuses it.
pub async fn logs(engine: &Engine, gateway: &Gateway, lines: u32) -> Result<String, Fault> {
    let path = format!("/containers/{}/logs?stdout=true&stderr=true&timestamps=true&tail={lines}", gateway.id);
    Ok(unframe(&engine.send(Method::GET, &path, None, ANSWER_TIMEOUT).await?))
}

/// Waits until a gateway runs, and has it connect to each of its nodes' ports. Returns what does not work.
///
/// # Errors
/// It does not run, or the engine refuses to tell.
pub async fn check(engine: &Engine, gateway: &Gateway) -> Result<Vec<Fault>, Fault> {
    let mut faults = Vec::new();
    for port in &gateway.ports {
        faults.extend(check_port(engine, gateway, port).await?);
    }
    Ok(faults)
}

/// Waits until a gateway runs, and has it connect to one of its nodes' ports. Returns what does not work.
///
/// # Errors
/// As [`check`].
pub(super) async fn check_port(engine: &Engine, gateway: &Gateway, port: &Port) -> Result<Option<Fault>, Fault> {
    let end = Instant::now() + UP_TIMEOUT;
    let command = match port.transport {
        Transport::Tcp => json!(["socat", "-u", "OPEN:/dev/null", &port.socat()[1]]),
        // A port that nobody listens on refuses the datagram; one that drops it cannot be told from a quiet one.
        Transport::Udp => json!(["/bin/sh", "-c", "echo | exec socat -t1 - \"$0\"", &port.socat()[1]]),
    };
    let (code, said) = loop {
        match run(engine, &gateway.id, &command).await {
            Ok(ran) => break ran,
            // It starts, or starts again.
            Err(refusal) if refusal.status == Some(StatusCode::CONFLICT) && Instant::now() < end => {
                sleep(UP_PAUSE).await;
            }
            Err(refusal) if refusal.status == Some(StatusCode::CONFLICT) => {
                let last = logs(engine, gateway, 5).await?;
                return Err(Fault::new(What::GatewayDown, &gateway.name, last.trim()));
            }
            Err(refusal) => return Err(refusal.fault),
        }
    };
    if code == 0 && !said.contains("refused") {
        return Ok(None);
    }
    let what = match port.transport {
        _ if said.contains("getaddrinfo") => What::NodeNetwork,
        Transport::Tcp => What::NodePortRefused,
        Transport::Udp => What::NodePortUdpRefused,
    };
    Ok(Some(Fault::new(what, port.target(), said.trim())))
}

/// Runs a command in a container. Returns its exit code and what it wrote.
async fn run(engine: &Engine, id: &str, command: &Value) -> Result<(i64, String), Refusal> {
    let body = json!({"Cmd": command, "AttachStdout": true, "AttachStderr": true});
    let made = engine.send(Method::POST, &format!("/containers/{id}/exec"), Some(&body), ANSWER_TIMEOUT).await?;
    let made: Value = serde_json::from_slice(&made).unwrap_or_default();
    let exec = made["Id"].as_str().unwrap_or_default().to_owned();
    let start = json!({"Detach": false, "Tty": false});
    let path = format!("/exec/{exec}/start");
    let said = engine.send(Method::POST, &path, Some(&start), START_TIMEOUT).await?;
    let ended = engine.get(&format!("/exec/{exec}/json")).await?;
    Ok((ended["ExitCode"].as_i64().unwrap_or(-1), unframe(&said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        for (image, with) in
            [("a", "a:latest"), ("h:5000/a", "h:5000/a:latest"), ("a/b:1", "a/b:1"), ("a@sha256:0", "a@sha256:0")]
        {
            assert_eq!(tagged(image), with);
        }
    }
}
