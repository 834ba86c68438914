//! A gateway: the container's spec, and what the engine tells of it.

use serde_json::{Map, Value, json};

use super::node::{Node, name, networks};
use super::port::{MAX_CONNECTIONS, Port, protocol};
use brow_model::fault::{Fault, What};
use brow_model::gateway::{GatewayInfo, GatewayPort, GatewayState as State};
use brow_model::node::NodePort;
use brow_model::proxy::MANAGED_BY;

/// The image of gateways: socat, and a shell that starts it.
pub const DEFAULT_IMAGE: &str = "alpine/socat:latest";

const CLUSTER: &str = "brow.gateway";
const PORTS: &str = "brow.ports";
const OWNER: &str = "brow.owner";
const INSTALLATION: &str = "brow.installation";

/// Starts one socat for each pair of arguments, and ends as soon as one of them does, so that the engine starts all
/// anew: a gateway of which half is dead would look alive. What the arguments say reaches no shell.
///
/// Without `-t`, socat cuts an answer half a second after the client has said all. Without `-T`, a flow of UDP never
/// ends, and each client port would keep a process.
const SCRIPT: &str = "trap 'exit 1' USR1; trap 'exit 0' TERM INT\n\
    while [ $# -gt 1 ]; do\n\
    case $1 in UDP*) ends=-T60 ;; *) ends=-t86400 ;; esac\n\
    (socat $ends \"$1\" \"$2\"; kill -USR1 1) & shift 2; done\n\
    wait";

/// The memory of a gateway without connections, and that of each port with all of its connections, which take about
/// 0.3 MiB each.
const MEMORY: u64 = 16 << 20;
const PORT_MEMORY: u64 = 40 << 20;
/// The most processes: the shell and a test beside it, and for each port its listener, the shell around that, and one
/// for each connection.
const PROCESSES: usize = 10;
const PORT_PROCESSES: usize = MAX_CONNECTIONS as usize + 5;
/// The user and group nobody.
const USER: &str = "65534:65534";

/// The owner of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `user@host`, for people to read.
    pub name: String,
    /// The id of the installation.
    pub installation: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The container's id.
    pub id: String,
    /// The container's name.
    pub name: String,
    /// The context's name of its cluster.
    pub cluster: String,
    pub ports: Vec<Port>,
    pub owner: Owner,
    pub image: String,
    pub state: State,
    /// The state in the engine's words.
    pub status: String,
    pub networks: Vec<String>,
}

impl Gateway {
    /// Reads a container of the engine's list. `None` if it is no gateway.
    pub(super) fn read(container: &Value) -> Option<Self> {
        let label = |key: &str| container["Labels"][key].as_str().map(str::to_owned);
        if label(MANAGED_BY.0)? != MANAGED_BY.1 {
            return None;
        }
        let text = |key: &str| container[key].as_str().unwrap_or_default().to_owned();
        let state = match container["State"].as_str()? {
            "running" => State::Running,
            "restarting" => State::Restarting,
            _ => State::Stopped,
        };
        Some(Self {
            id: container["Id"].as_str()?.to_owned(),
            name: name(container).to_owned(),
            cluster: label(CLUSTER)?,
            ports: label(PORTS)?.split(',').map(Port::read).collect::<Option<_>>()?,
            owner: Owner { name: label(OWNER)?, installation: label(INSTALLATION)? },
            image: text("Image"),
            state,
            status: text("Status"),
            networks: networks(container),
        })
    }

    /// Returns it for the screen.
    pub(super) fn info(&self, nodes: &[Node], installation: &str) -> GatewayInfo {
        let port = |port: &Port| GatewayPort {
            local: port.local,
            node: port.node.clone(),
            port: NodePort { number: port.port, transport: port.transport },
        };
        GatewayInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            cluster: self.cluster.clone(),
            ports: self.ports.iter().map(port).collect(),
            owner: self.owner.name.clone(),
            is_ours: self.owner.installation == installation,
            state: self.state,
            status: self.status.clone(),
            fault: self.fault(nodes),
        }
    }

    /// Finds out why it does not do its work, as far as the engine's list tells.
    pub fn fault(&self, nodes: &[Node]) -> Option<Fault> {
        if self.state != State::Running {
            return Some(Fault::new(What::GatewayDown, &self.name, &self.status));
        }
        self.ports.iter().find_map(|port| {
            let Some(node) = nodes.iter().find(|node| node.name == port.node) else {
                let known: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
                return Some(Fault::new(What::NodeUnknown, &port.node, known.join(", ")));
            };
            if !node.is_running {
                return Some(Fault::new(What::NodeStopped, &node.name, ""));
            }
            let meets = node.networks.iter().any(|network| self.networks.contains(network));
            let (node, ours) = (&node.name, self.networks.join(", "));
            (!meets).then(|| Fault::new(What::NodeNetwork, node, format!("{}: {ours}", self.name)))
        })
    }
}

/// Returns the name of a gateway: its cluster and local ports.
pub(super) fn name_of(cluster: &str, ports: &[Port]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let cluster: String = cluster.chars().map(plain).take(100).collect();
    let ports = ports.iter().take(12).fold(String::new(), |text, port| text + &format!("-{}", port.local.port()));
    format!("brow-gateway-{cluster}{ports}")
}

/// The container's spec for the engine.
pub(super) fn spec(cluster: &str, network: &str, image: &str, owner: &Owner, ports: &[Port]) -> Value {
    let (mut exposed, mut bindings) = (Map::new(), Map::new());
    for port in ports {
        let key = format!("{}/{}", port.local.port(), protocol(port.transport));
        exposed.insert(key.clone(), json!({}));
        let binding = json!({"HostIp": port.local.ip().to_string(), "HostPort": port.local.port().to_string()});
        bindings.insert(key, json!([binding]));
    }
    let labels = json!({
        MANAGED_BY.0: MANAGED_BY.1,
        CLUSTER: cluster,
        PORTS: ports.iter().map(Port::label).collect::<Vec<_>>().join(","),
        OWNER: owner.name,
        INSTALLATION: owner.installation,
    });
    json!({
        "Image": image,
        // The image's own entrypoint is socat.
        "Entrypoint": ["/bin/sh", "-c", SCRIPT, "gateway"],
        "Cmd": ports.iter().flat_map(Port::socat).collect::<Vec<_>>(),
        "User": USER,
        "Hostname": "brow-gateway",
        "Labels": labels,
        "ExposedPorts": exposed,
        "StopTimeout": 2,
        "HostConfig": {
            "NetworkMode": network,
            "PortBindings": bindings,
            // A stop on purpose holds.
            "RestartPolicy": {"Name": "unless-stopped"},
            "CapDrop": ["ALL"],
            "ReadonlyRootfs": true,
            "SecurityOpt": ["no-new-privileges"],
            "Memory": MEMORY + PORT_MEMORY * ports.len() as u64,
            "PidsLimit": PROCESSES + PORT_PROCESSES * ports.len(),
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::address::Transport;

    fn port() -> Port {
        let local = "127.0.0.1:30901".parse().unwrap();
        Port { local, transport: Transport::Udp, node: "k3d-a-server-0".into(), port: 30_998 }
    }

    fn owner() -> Owner {
        Owner { name: "ann@laptop".into(), installation: "0badcafe".into() }
    }

    fn listed(state: &str, network: &str) -> Gateway {
        let spec = spec("k3d-a", "k3d-a", DEFAULT_IMAGE, &owner(), &[port()]);
        let container = json!({"Id": "7", "Names": ["/brow-gateway-k3d-a-30901"], "Labels": spec["Labels"],
            "State": state, "Status": "Exited (1)", "NetworkSettings": {"Networks": {network: {}}}});
        Gateway::read(&container).unwrap()
    }

    fn node(network: &str, is_running: bool) -> Node {
        let labels = json!({"k3d.cluster": "a", "k3d.role": "server"});
        let state = if is_running { "running" } else { "exited" };
        let container = json!({"Names": ["/k3d-a-server-0"], "State": state, "Labels": labels,
            "NetworkSettings": {"Networks": {network: {}}}});
        Node::read(&container).unwrap()
    }

    #[test]
    fn a_gateway_has_no_rights_and_no_shell_reads_its_ports() {
        let spec = spec("k3d-a", "k3d-a", DEFAULT_IMAGE, &owner(), &[port()]);
        let host = &spec["HostConfig"];
        assert_eq!(host["CapDrop"], json!(["ALL"]));
        assert_eq!((&host["ReadonlyRootfs"], &host["Privileged"]), (&json!(true), &Value::Null));
        assert_eq!((&host["Memory"], &host["PidsLimit"]), (&json!(56 << 20), &json!(115)));
        assert_eq!(host["PortBindings"]["30901/udp"][0]["HostIp"], "127.0.0.1");
        assert_eq!(spec["Entrypoint"][2], SCRIPT);
        assert!(!SCRIPT.contains("server-0"));
        assert_eq!(spec["Cmd"][1], "UDP4:k3d-a-server-0:30998");
    }

    #[test]
    fn the_engines_list_gives_back_what_was_made() {
        let gateway = listed("running", "k3d-a");
        assert_eq!((gateway.ports, gateway.owner, gateway.cluster.as_str()), (vec![port()], owner(), "k3d-a"));
        assert_eq!(Gateway::read(&json!({"State": "running", "Labels": {}})), None);
        assert_eq!(name_of("k3d-ä/b", &[port()]), "brow-gateway-k3d---b-30901");
    }

    #[test]
    fn what_keeps_a_gateway_from_its_work_is_told_apart() {
        let what = |gateway: Gateway, nodes: &[Node]| gateway.fault(nodes).map(|fault| fault.what);
        assert_eq!(what(listed("running", "k3d-a"), &[node("k3d-a", true)]), None);
        assert_eq!(what(listed("running", "k3d-a"), &[node("other", true)]), Some(What::NodeNetwork));
        assert_eq!(what(listed("running", "k3d-a"), &[node("k3d-a", false)]), Some(What::NodeStopped));
        assert_eq!(what(listed("running", "k3d-a"), &[]), Some(What::NodeUnknown));
        assert_eq!(what(listed("exited", "k3d-a"), &[node("k3d-a", true)]), Some(What::GatewayDown));
    }
}
