//! Ports of a cluster's nodes: those by which services of the type `NodePort` are reached.

use std::fmt;
use std::str::FromStr;

use crate::types::address::Transport;

/// The beginning of a destination that is a port of the nodes, where it is written in one word: `node/30999`.
const PREFIX: &str = "node/";

/// A port that all nodes of a cluster have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePort {
    /// The number, never 0.
    pub number: u16,
    pub transport: Transport,
}

/// One port of the nodes, or several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePorts {
    /// The port; of a forward the only one.
    pub port: NodePort,
    /// Further ports, each forwarded as well.
    pub more: Vec<NodePort>,
}

/// A port of the nodes with the service that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    pub namespace: String,
    pub service: String,
    /// The port's name, or its number where it has none.
    pub name: String,
    /// The port of the nodes.
    pub port: NodePort,
}

/// The error of a text that is no port of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a port of the nodes, such as 30999 or 30998/udp; several with commas between")]
pub struct NodePortError;

impl fmt::Display for ServicePort {
    /// Writes the service and its port: `shop/web:http`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.service, self.name)
    }
}

impl NodePorts {
    /// Returns all ports.
    pub fn all(&self) -> impl Iterator<Item = NodePort> {
        std::iter::once(self.port).chain(self.more.iter().copied())
    }

    /// Returns the part of a destination behind `node/`, if it begins so.
    pub(crate) fn in_destination(text: &str) -> Option<&str> {
        // `node/web:80` is a kind of the cluster with that name.
        text.trim().strip_prefix(PREFIX).filter(|ports| !ports.contains(':'))
    }

    /// Returns the text of the config's key.
    pub fn ports(&self) -> String {
        self.all().map(|port| port.to_string()).collect::<Vec<_>>().join(",")
    }
}

impl FromStr for NodePort {
    type Err = NodePortError;

    fn from_str(text: &str) -> Result<Self, NodePortError> {
        let text = text.trim();
        let (number, transport) = match text.split_once('/') {
            None => (text, Transport::Tcp),
            Some((number, end)) if end.eq_ignore_ascii_case("tcp") => (number, Transport::Tcp),
            Some((number, end)) if end.eq_ignore_ascii_case("udp") => (number, Transport::Udp),
            Some(_) => return Err(NodePortError),
        };
        // `u16::from_str` takes a leading plus; a port has none.
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|number| *number != 0 && is_number).ok_or(NodePortError)?;
        Ok(Self { number, transport })
    }
}

impl FromStr for NodePorts {
    type Err = NodePortError;

    fn from_str(text: &str) -> Result<Self, NodePortError> {
        let mut ports: Vec<NodePort> = Vec::new();
        for port in text.split([',', '，']) {
            let port = port.parse()?;
            if ports.contains(&port) {
                return Err(NodePortError);
            }
            ports.push(port);
        }
        let port = ports.remove(0);
        Ok(Self { port, more: ports })
    }
}

impl fmt::Display for NodePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = if self.transport == Transport::Udp { "/udp" } else { "" };
        write!(f, "{}{transport}", self.number)
    }
}

impl fmt::Display for NodePorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.ports())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::workload::Destination;

    #[test]
    fn ports_of_nodes_are_read_as_they_are_written() {
        for (text, shown) in [
            ("30999", "30999"),
            ("30998/udp", "30998/udp"),
            (" 30999 , 30998/UDP,30080/tcp", "30999,30998/udp,30080"),
            ("53,53/udp", "53,53/udp"),
        ] {
            let ports: NodePorts = text.parse().unwrap();
            assert_eq!(ports.ports(), shown);
            let destination: Destination = format!("node/{text}").parse().unwrap();
            assert_eq!(destination, Destination::Node(ports));
            assert_eq!(destination.to_string(), format!("node/{shown}"));
        }
        for wrong in ["", "0", "70000", "+1", "x", "1,1", "1/sctp", "1,", "30999/udp/udp", "1 2"] {
            assert_eq!(wrong.parse::<NodePorts>(), Err(NodePortError), "{wrong}");
        }
    }

    #[test]
    fn a_host_and_a_kind_may_be_called_node() {
        assert!(matches!("node:30999".parse(), Ok(Destination::Address(_))));
        assert!(matches!("node/web:80".parse(), Ok(Destination::Workload(_))));
        assert!("node/x".parse::<Destination>().is_err());
    }

    #[test]
    fn each_port_is_a_destination() {
        let all: Destination = "node/30999,30998/udp".parse().unwrap();
        let singles = all.singles();
        assert_eq!(singles.iter().map(ToString::to_string).collect::<Vec<_>>(), ["node/30999", "node/30998/udp"]);
        assert_eq!(singles.iter().map(Destination::is_udp).collect::<Vec<_>>(), [false, true]);
    }
}
