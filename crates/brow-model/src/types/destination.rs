//! Destinations of targets.

use std::fmt;
use std::str::FromStr;

use crate::types::address::{Address, AddressError, Transport, is_url, without_transport};
use crate::types::node::{NodePortError, NodePorts};
use crate::types::workload::{Port, Workload, WorkloadError};

/// The destination of a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A host and port, reached through a proxy pod.
    Address(Address),
    /// Pods of the cluster, reached directly.
    Workload(Workload),
    /// Ports of the cluster's nodes.
    Node(NodePorts),
    /// Whatever each client names by SOCKS or HTTP, reached through a proxy pod.
    Proxy,
}

/// The text of [`Destination::Proxy`], which is no address for want of a port.
const PROXY: &str = "proxy";

/// The error of a text that is neither an address nor a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It has no slash, and is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It has a slash, and is no workload.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// It begins with `node/`, and has no ports.
    #[error(transparent)]
    Node(#[from] NodePortError),
}

impl Destination {
    /// The workload, where it is one.
    pub fn workload(&self) -> Option<&Workload> {
        match self {
            Self::Address(_) | Self::Node(_) | Self::Proxy => None,
            Self::Workload(workload) => Some(workload),
        }
    }

    /// The workload, to be changed.
    pub fn workload_mut(&mut self) -> Option<&mut Workload> {
        match self {
            Self::Address(_) | Self::Node(_) | Self::Proxy => None,
            Self::Workload(workload) => Some(workload),
        }
    }

    /// Each port of it by itself: what a forward leads to.
    pub fn singles(&self) -> Vec<Self> {
        if let Self::Node(ports) = self {
            return ports.all().map(|port| Self::Node(NodePorts { port, more: Vec::new() })).collect();
        }
        let Self::Workload(workload) = self else { return vec![self.clone()] };
        let ports = std::iter::once(&workload.port).chain(&workload.more);
        let single = |port: &Port| Workload { port: port.clone(), more: Vec::new(), ..workload.clone() };
        ports.map(|port| Self::Workload(single(port))).collect()
    }

    /// Returns true if it has several ports, each of which has a forward.
    pub fn is_several(&self) -> bool {
        match self {
            Self::Workload(workload) => !workload.more.is_empty(),
            Self::Node(ports) => !ports.more.is_empty(),
            Self::Address(_) | Self::Proxy => false,
        }
    }

    /// Returns the port of one of several, as the name of its local port has it; `None` for the first, and for others.
    pub(crate) fn further_port(&self, one: &Self) -> Option<String> {
        match (self, one) {
            (Self::Workload(all), Self::Workload(one)) => all.more.contains(&one.port).then(|| one.port.to_string()),
            (Self::Node(all), Self::Node(one)) => all.more.contains(&one.port).then(|| one.port.to_string()),
            _ => None,
        }
    }

    /// Returns true if two destinations of the same kind have the same first port; for those without, always.
    pub(crate) fn has_port_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Workload(one), Self::Workload(other)) => one.port == other.port,
            (Self::Node(one), Self::Node(other)) => one.port == other.port,
            (one, other) => !one.is_looked_up() && !other.is_looked_up(),
        }
    }

    /// Returns true if the cluster is asked for its pods or addresses while it is forwarded.
    pub fn is_looked_up(&self) -> bool {
        matches!(self, Self::Workload(_) | Self::Node(_))
    }

    /// Returns true if it is reached by datagrams. A workload cannot be: Kubernetes forwards no UDP to pods.
    pub fn is_udp(&self) -> bool {
        match self {
            Self::Address(address) => address.is_udp(),
            Self::Node(ports) => ports.port.transport == Transport::Udp,
            Self::Workload(_) | Self::Proxy => false,
        }
    }

    /// Returns true if its clients name what they want to reach, by SOCKS or HTTP.
    pub fn is_proxy(&self) -> bool {
        *self == Self::Proxy
    }

    /// Returns true if pods of the cluster are the target themselves, as far as can be told without asking: no proxy
    /// pod is needed.
    pub fn is_direct(&self) -> bool {
        self.workload().is_some_and(|workload| !workload.proxy)
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if text.trim() == PROXY {
            return Ok(Self::Proxy);
        }
        if let Some(ports) = NodePorts::in_destination(text) {
            return Ok(Self::Node(ports.parse()?));
        }
        // Not a kind and a name, though it has a slash.
        if is_url(text) {
            return Ok(Self::Address(text.parse()?));
        }
        // No address has a slash, but before its protocol.
        let has_slash = without_transport(text).0.contains('/');
        if has_slash { Ok(Self::Workload(text.parse()?)) } else { Ok(Self::Address(text.parse()?)) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Workload(workload) => workload.fmt(f),
            Self::Node(ports) => ports.fmt(f),
            Self::Proxy => f.write_str(PROXY),
        }
    }
}
