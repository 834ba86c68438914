//! The protocols of tunnels, and their names.

use std::{fmt, str::FromStr};

/// The protocol that a tunnel speaks to the API server, best first: the best is the least by [`Ord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// SPDY/3.1 after an HTTP/1.1 upgrade: what `kubectl port-forward` speaks. Any API server knows it.
    Spdy,
    /// The same frames inside a WebSocket (Kubernetes, KEP-4006): API servers from 1.31 on, and gateways that let no
    /// SPDY through.
    SpdyOverWebSocket,
    /// WebSocket `v4.channel.k8s.io`: one connection for each stream.
    V4,
}

impl Protocol {
    /// Every protocol, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Spdy, Self::SpdyOverWebSocket, Self::V4];

    /// Returns the name, which [`FromStr`] parses: `spdy`, `spdy-websocket` or `v4-websocket`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spdy => "spdy",
            Self::SpdyOverWebSocket => "spdy-websocket",
            Self::V4 => "v4-websocket",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A protocol's name that is none of `spdy`, `spdy-websocket`, `v4-websocket`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such tunnel protocol: {0} (spdy, spdy-websocket or v4-websocket)")]
pub struct UnknownProtocol(pub String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    /// Parses a name as [`Protocol::name`] gives it; upper and lower case differ.
    ///
    /// # Errors
    /// [`UnknownProtocol`] for any other text.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name).ok_or_else(|| UnknownProtocol(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_protocols_round_trip() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert_eq!("quic".parse::<Protocol>(), Err(UnknownProtocol("quic".into())));
    }
}
