//! Orders of gateways: the ports that one is to have, and where they are on this machine.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::gateway::{Gateway, Owner};
use super::node::{LocalCluster, gateway_node};
use super::port::{Port, Wanted};
use super::run::Containers;
use brow_model::fault::{Fault, What};
use brow_model::port_plan::PortPlan;

/// The name of the lock's file.
const LOCK_FILE: &str = "gateway.lock";

/// An order of ports to a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    pub wanted: &'a [Wanted],
    /// The node's name, if one is named.
    pub node: Option<&'a str>,
    /// The address of this machine, if one is named; else loopback.
    pub local_address: Option<IpAddr>,
    /// The ranges that local ports come from.
    pub plan: &'a PortPlan,
    /// Local ports that targets have, which are not chosen.
    pub reserved: &'a BTreeSet<u16>,
}

/// The gateway that an order leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The context's name of the cluster.
    pub context: String,
    pub network: String,
    /// The gateway that the cluster has already.
    pub before: Option<Gateway>,
    pub ports: Vec<Port>,
    /// The command of k3d that does the same.
    pub own_way: Option<String>,
}

impl Planned {
    /// Returns true if the gateway has these ports already.
    pub fn is_there(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.ports == self.ports)
    }
}

/// Plans the gateway of a cluster: the ports that it has, and those that are ordered.
///
/// # Errors
/// The cluster has no such node, or a local port is taken.
pub async fn plan(
    containers: &Containers,
    cluster: &LocalCluster,
    owner: &Owner,
    order: Order<'_>,
) -> Result<Planned, Fault> {
    let (node, network) = gateway_node(cluster, order.node)?;
    let context = cluster.context();
    let is_ours = |gateway: &&Gateway| gateway.cluster == context && gateway.owner.installation == owner.installation;
    let before = containers.gateways.iter().find(is_ours).cloned();
    let mut ports = before.as_ref().map(|before| before.ports.clone()).unwrap_or_default();
    for wanted in order.wanted {
        add(containers, &mut ports, (wanted, before.as_ref()), &node.name, order).await?;
    }
    let ways: Vec<String> = ports.iter().map(|port| format!("{}:{}", port.local.port(), port.of_node())).collect();
    let own_way = cluster.own_way(&ways);
    Ok(Planned { context, network: network.to_owned(), before, ports, own_way })
}

/// Adds a port that is wanted, unless it is there.
async fn add(
    containers: &Containers,
    ports: &mut Vec<Port>,
    (wanted, before): (&Wanted, Option<&Gateway>),
    node: &str,
    order: Order<'_>,
) -> Result<(), Fault> {
    let transport = wanted.transport;
    let leads_there = |port: &Port| {
        let is_local = wanted.local.is_none_or(|local| port.local.port() == local);
        port.node == node && port.port == wanted.node && port.transport == transport && is_local
    };
    let taken_by = |local: u16, holder: String| Fault::new(What::GatewayPortTaken, local.to_string(), holder);
    if let Some(at) = ports.iter().position(leads_there) {
        let (known, named) = (ports[at].local, order.local_address);
        if let Some(ip) = named.filter(|ip| *ip != known.ip()) {
            // The gateway itself does not count: its container is about to be replaced.
            let others = containers.without(before);
            if let Some(holder) = others.holder_beside(ip, known, transport).await {
                return Err(taken_by(known.port(), holder));
            }
            ports[at].local = SocketAddr::new(ip, known.port());
        }
        return Ok(());
    }
    let ip = order.local_address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut taken = containers.taken();
    taken.extend(order.reserved);
    taken.extend(ports.iter().map(|port| port.local.port()));
    let local = match wanted.local {
        Some(local) => {
            if let Some(holder) = containers.holder(ip, local, transport).await {
                return Err(taken_by(local, holder));
            }
            local
        }
        None => loop {
            let key = format!("{node}:{}", wanted.node);
            let Some(port) = order.plan.port(None, &key, &taken) else {
                return Err(Fault::new(What::GatewayPortTaken, order.plan.range(None).to_string(), ""));
            };
            if containers.holder(ip, port, transport).await.is_none() {
                break port;
            }
            taken.insert(port);
        },
    };
    // In the container they differ by their numbers alone.
    if ports.iter().any(|port| port.local.port() == local && port.transport == transport) {
        return Err(taken_by(local, String::new()));
    }
    let local = SocketAddr::new(ip, local);
    ports.push(Port { local, transport, node: node.to_owned(), port: wanted.node });
    Ok(())
}

/// The lock of orders: two at once might choose the same port, or replace each other's gateway.
#[derive(Debug)]
pub struct OrderLock {
    _file: File,
}

impl OrderLock {
    /// Waits until no other order of this user is carried out. The lock is held until this is dropped; the file stays.
    ///
    /// # Errors
    /// There can be no file or no lock.
    pub async fn take(dir: &Path) -> Result<Self, Fault> {
        let path = dir.join(LOCK_FILE);
        let shown = path.display().to_string();
        let locking = tokio::task::spawn_blocking(move || lock(&path)).await;
        let taken = locking.map_err(io::Error::other).and_then(|taken| taken);
        taken.map_err(|error| Fault::new(What::FileUnwritable, shown, error.to_string()))
    }
}

fn lock(path: &Path) -> io::Result<OrderLock> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let file = options.open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(OrderLock { _file: file })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::{Duration, timeout};

    use super::super::gateway::{DEFAULT_IMAGE, spec};
    use super::super::node::{Node, clusters};
    use super::*;
    use brow_model::address::Transport;

    fn owner() -> Owner {
        Owner { name: "ann@laptop".into(), installation: "0badcafe".into() }
    }

    fn free() -> u16 {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    /// An engine with the cluster `a`, and its gateway with a port.
    fn lab(local: Option<u16>) -> (Containers, LocalCluster) {
        let labels = json!({"k3d.cluster": "a", "k3d.role": "server"});
        let node = json!({"Names": ["/k3d-a-server-0"], "State": "running", "Labels": labels,
            "NetworkSettings": {"Networks": {"k3d-a": {}}}});
        let gateway = local.map(|local| {
            let local = SocketAddr::from(([127, 0, 0, 1], local));
            let port = Port { local, transport: Transport::Tcp, node: "k3d-a-server-0".into(), port: 30_999 };
            let spec = spec("k3d-a", "k3d-a", DEFAULT_IMAGE, &owner(), &[port]);
            let ports = json!([{"IP": "127.0.0.1", "PublicPort": local.port(), "Type": "tcp"}]);
            json!({"Id": "7", "Names": ["/g"], "Labels": spec["Labels"], "State": "exited", "Ports": ports})
        });
        let all: Vec<_> = [node.clone()].into_iter().chain(gateway).collect();
        (Containers::of(&all), clusters([Node::read(&node).unwrap()]).remove(0))
    }

    async fn planned(local: Option<u16>, wanted: &[&str], named: Option<&str>) -> Result<Vec<String>, What> {
        let (containers, cluster) = lab(local);
        let wanted: Vec<Wanted> = wanted.iter().map(|text| text.parse().unwrap()).collect();
        let (plan_of, reserved) = (PortPlan::default(), BTreeSet::new());
        let local_address = named.map(|ip| ip.parse().unwrap());
        let order = Order { wanted: &wanted, node: None, local_address, plan: &plan_of, reserved: &reserved };
        let planned = plan(&containers, &cluster, &owner(), order).await.map_err(|fault| fault.what)?;
        Ok(planned.ports.iter().map(|port| format!("{} {}", port.local, port.of_node())).collect())
    }

    #[tokio::test]
    async fn a_port_that_is_there_moves_to_the_address_that_is_named() {
        let local = free();
        let at = |ip: &str| Ok(vec![format!("{ip}:{local} 30999")]);
        assert_eq!(planned(Some(local), &["30999"], None).await, at("127.0.0.1"));
        assert_eq!(planned(Some(local), &["30999"], Some("127.0.0.2")).await, at("127.0.0.2"));
        assert_eq!(planned(Some(local), &["30999"], Some("0.0.0.0")).await, at("0.0.0.0"));
        let held = std::net::TcpListener::bind(("127.0.0.2", local)).unwrap();
        assert_eq!(planned(Some(local), &["30999"], Some("127.0.0.2")).await, Err(What::GatewayPortTaken));
        drop(held);
        let more = planned(Some(local), &[&format!("{local}:30080")], None).await;
        assert_eq!(more, Err(What::GatewayPortTaken), "the gateway has it for another");
    }

    #[tokio::test]
    async fn ports_of_targets_are_not_chosen() {
        let (containers, cluster) = lab(None);
        let wanted = ["30999".parse().unwrap()];
        let first = free();
        let plan_of = PortPlan { tcp: format!("{first}-{first}").parse().unwrap(), ..PortPlan::default() };
        let chosen = async |reserved: &BTreeSet<u16>| {
            let order = Order { wanted: &wanted, node: None, local_address: None, plan: &plan_of, reserved };
            plan(&containers, &cluster, &owner(), order).await.map(|planned| planned.ports[0].local.port())
        };
        assert_eq!(chosen(&BTreeSet::new()).await, Ok(first));
        let refused = chosen(&BTreeSet::from([first])).await.unwrap_err();
        assert_eq!((refused.what, refused.thing), (What::GatewayPortTaken, format!("{first}-{first}")));
    }

    #[tokio::test]
    async fn one_order_waits_for_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let first = OrderLock::take(&path).await.unwrap();
        let mut second = Box::pin(OrderLock::take(&path));
        assert!(timeout(Duration::from_millis(200), &mut second).await.is_err(), "it waits");
        drop(first);
        second.await.unwrap();
    }
}
