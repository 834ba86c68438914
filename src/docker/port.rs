//! Ports of a gateway: a local one, and the port of a node that it leads to.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use brow_model::address::Transport;

/// A port as a person asks for it: `30999`, `30998/udp`, or with the local port before it `8080:30080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The local port; `None`: one of the port plan.
    pub local: Option<u16>,
    /// The port of the node.
    pub node: u16,
    pub transport: Transport,
}

/// The error of a text that is no such port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the port of the node, such as 30999 or 30998/udp, with a local port before it if need be: 8080:30080")]
pub struct PortError;

impl FromStr for Wanted {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (ports, transport) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Transport::Tcp),
            Some((ports, "udp")) => (ports, Transport::Udp),
            Some(_) => return Err(PortError),
        };
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(PortError);
        let (local, node) = match ports.split_once(':') {
            Some((local, node)) => (Some(port(local)?), node),
            None => (None, ports),
        };
        Ok(Self { local, node: port(node)?, transport })
    }
}

/// A port of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The address of this machine.
    pub local: SocketAddr,
    pub transport: Transport,
    /// The node's name, by which it is found again with another address.
    pub node: String,
    /// The node's port.
    pub port: u16,
}

/// Returns `tcp` or `udp`.
pub(super) fn protocol(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    }
}

impl Port {
    /// Returns what it leads to.
    pub fn target(&self) -> String {
        format!("{}:{}", self.node, self.of_node())
    }

    /// Returns the node's port, as [`Wanted`] is written.
    pub fn of_node(&self) -> String {
        let udp = if self.transport == Transport::Udp { "/udp" } else { "" };
        format!("{}{udp}", self.port)
    }

    /// Returns it as the label has it: `127.0.0.1:30901>NODE:30999/tcp`.
    pub(super) fn label(&self) -> String {
        format!("{}>{}:{}/{}", self.local, self.node, self.port, protocol(self.transport))
    }

    /// Reads what [`Self::label`] wrote. A label may hold anything: `None` where it is none of ours.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (local, target) = text.split_once('>')?;
        let (node, port) = target.rsplit_once(':')?;
        let Wanted { node: port, transport, local: None } = port.parse().ok()? else { return None };
        let is_name = is_container_name(node);
        is_name.then_some(Self { local: local.parse().ok()?, transport, node: node.to_owned(), port })
    }

    /// Returns the addresses of socat: where it listens in the container, and what it connects to. The name is resolved
    /// for each connection.
    pub(super) fn socat(&self) -> [String; 2] {
        let (local, node, port) = (self.local.port(), &self.node, self.port);
        match self.transport {
            Transport::Tcp => [
                format!("TCP4-LISTEN:{local},fork,reuseaddr,keepalive,max-children={MAX_CONNECTIONS}"),
                format!("TCP4:{node}:{port},keepalive,connect-timeout=10"),
            ],
            Transport::Udp => [
                format!("UDP4-LISTEN:{local},fork,reuseaddr,max-children={MAX_CONNECTIONS}"),
                format!("UDP4:{node}:{port}"),
            ],
        }
    }

    /// Returns true for the local address and port of `ip`, or of all addresses.
    pub(super) fn is_at(&self, ip: IpAddr, port: u16, transport: Transport) -> bool {
        let overlaps = self.local.ip() == ip || self.local.ip().is_unspecified() || ip.is_unspecified();
        self.transport == transport && self.local.port() == port && overlaps
    }
}

/// The most connections of a port at a time, each of which is a process.
pub(super) const MAX_CONNECTIONS: u32 = 100;

/// Returns true for a name that engines give to containers, which is fit for an address of socat.
pub(super) fn is_container_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_they_are_written() {
        let wanted = |local, node, transport| Ok(Wanted { local, node, transport });
        assert_eq!("30999".parse(), wanted(None, 30_999, Transport::Tcp));
        assert_eq!("30999/tcp".parse(), wanted(None, 30_999, Transport::Tcp));
        assert_eq!("30998/udp".parse(), wanted(None, 30_998, Transport::Udp));
        assert_eq!("5353:30998/udp".parse(), wanted(Some(5_353), 30_998, Transport::Udp));
        for wrong in ["", "0", "70000", "x", "1:2:3", "30999/sctp", "30999/udp/udp", ":30999", "30999,fork", "-1"] {
            assert_eq!(wrong.parse::<Wanted>(), Err(PortError), "{wrong}");
        }
    }

    #[test]
    fn a_label_gives_back_the_port_and_nothing_else() {
        for (local, transport) in [("127.0.0.1:30901", Transport::Tcp), ("[::1]:30902", Transport::Udp)] {
            let port = Port { local: local.parse().unwrap(), transport, node: "k3d-a_b.c-server-0".into(), port: 7 };
            assert_eq!(Port::read(&port.label()), Some(port));
        }
        for wrong in [
            "",
            "127.0.0.1:1>node",
            "127.0.0.1:1>no,de:7/tcp",
            "127.0.0.1:1>node,exec=sh:7/tcp",
            "127.0.0.1:1>-node:7/tcp",
            "host:1>node:7/tcp",
            "127.0.0.1:1>node:8:7/tcp",
            "127.0.0.1:1>$(id):7/tcp",
        ] {
            assert_eq!(Port::read(wrong), None, "{wrong}");
        }
    }
}
