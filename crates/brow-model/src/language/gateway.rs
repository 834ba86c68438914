//! Orders to the container engine about gateways, and what it tells.

use std::collections::BTreeSet;

use crate::language::fault::Fault;
use crate::types::epoch::Epoch;
use crate::types::forward::ForwardId;
use crate::types::gateway::{GatewayChange, GatewayInfo, GatewayOrder, GatewayProbe};
use crate::types::health::Health;
use crate::types::proxy::PodKey;

/// An order to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayEffect {
    /// Watch the engine's containers. Without an engine nothing is told.
    Watch,
    /// Read the bytes of a container until the next such order; `None`: of none.
    Meter(Option<String>),
    /// Probe what is behind these ports until the next such order.
    Probe(Vec<GatewayProbe>),
    /// Follow a gateway's log, whose lines are told as those of a pod with this key.
    FollowLog { key: PodKey, id: String, epoch: Epoch },
    /// Change a gateway, by its container's id.
    Change { change: GatewayChange, id: String, name: String, cluster: String },
    /// Create the gateway of a cluster, or add ports to the one that it has.
    Create(Box<GatewayOrder>),
}

/// Something about the engine and its gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayEvent {
    /// The gateways, and the contexts of the clusters that the engine runs. Without an engine there are none.
    Listed { gateways: Vec<GatewayInfo>, clusters: BTreeSet<String> },
    /// The bytes of a container so far, in both directions.
    Metered { id: String, total: u64 },
    /// The result of probing what is behind a row.
    Probed { row: ForwardId, health: Health },
    /// A change was carried out. Detail: what its ports lead to. Faults: what does not answer behind it; it may later.
    Changed { change: GatewayChange, name: String, cluster: String, detail: String, faults: Vec<Fault> },
    /// A change was not carried out.
    Failed { change: GatewayChange, name: String, cluster: String, fault: Fault },
}
