//! Gateways: containers of this machine that pass local ports on to ports of a local cluster's nodes, as the engine
//! tells of them.

use std::net::SocketAddr;

use crate::language::fault::Fault;
use crate::types::forward::ForwardId;
use crate::types::health::ProbePlan;
use crate::types::node::NodePort;
use crate::types::traffic::Series;

/// The state of a gateway's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayState {
    Running,
    /// It ends again and again.
    Restarting,
    /// It was stopped, or never started.
    Stopped,
}

impl GatewayState {
    /// Returns its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Stopped => "stopped",
        }
    }
}

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayInfo {
    /// The container's id.
    pub id: String,
    pub name: String,
    /// The context's name of its cluster.
    pub cluster: String,
    pub ports: Vec<GatewayPort>,
    /// Its owner, for people to read.
    pub owner: String,
    /// True if this installation made it.
    pub is_ours: bool,
    pub state: GatewayState,
    /// The state in the engine's words.
    pub status: String,
    /// The reason why it does not do its work.
    pub fault: Option<Fault>,
}

/// A port of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayPort {
    /// The address of this machine.
    pub local: SocketAddr,
    /// The node's name.
    pub node: String,
    /// The node's port.
    pub port: NodePort,
}

impl GatewayPort {
    /// Returns what it leads to.
    pub fn target(&self) -> String {
        format!("{}:{}", self.node, self.port)
    }
}

/// A change of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayChange {
    Create,
    Start,
    Restart,
    Stop,
    Delete,
}

impl GatewayChange {
    /// Returns its name in the audit log.
    pub fn action(self) -> &'static str {
        match self {
            Self::Create => "create-gateway",
            Self::Start => "start-gateway",
            Self::Restart => "restart-gateway",
            Self::Stop => "stop-gateway",
            Self::Delete => "delete-gateway",
        }
    }
}

/// The probe of what is behind a port of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayProbe {
    /// The row, echoed with the result.
    pub row: ForwardId,
    /// The container's id.
    pub id: String,
    /// The local address of the port.
    pub local: SocketAddr,
    pub plan: ProbePlan,
}

/// A gateway that is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayOrder {
    /// The context's name of the cluster.
    pub cluster: String,
    /// The ports, each with the local one where the target names it.
    pub ports: Vec<(NodePort, Option<u16>)>,
    /// The local address, where the target names one.
    pub local_address: Option<std::net::IpAddr>,
    /// Local ports that are not chosen: targets and forwards have them.
    pub reserved: std::collections::BTreeSet<u16>,
}

/// The bytes of the gateway whose row is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayTraffic {
    /// The container's id.
    pub id: String,
    /// Bytes in both directions since it started; `None` until the engine has told.
    pub total: Option<u64>,
    /// Bytes of each second.
    pub bytes: Series,
}
