//! The error type: failures on the way to a pod, told apart as far as a person can act on them.

use std::{io, sync::Arc, time::Duration};

use crate::protocol::Protocol;

/// The reason why a stream could not be opened, or ended before its time.
///
/// Cheap to clone: several waiters may share one cause.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing in the pod accepts connections on that port.
    #[error("the pod refused the connection: {text}")]
    Refused {
        /// The node's own words.
        text: String,
    },
    /// The pod's sandbox is gone or not running: another pod should be taken.
    #[error("the pod is gone: {text}")]
    PodGone {
        /// The node's own words.
        text: String,
    },
    /// The API server knows no pod of that name in that namespace, or no such namespace (404).
    #[error("no such pod: {text}")]
    NoSuchPod {
        /// The message of the API server's `Status`.
        text: String,
    },
    /// The node could not forward, for a reason that is neither of the above.
    #[error("the node could not forward: {text}")]
    Pod {
        /// The node's own words.
        text: String,
    },
    /// The user lacks a right there (403): to `pods/portforward`, `pods/proxy`, `pods/exec` or `pods/attach`.
    #[error("forbidden: {text}")]
    Forbidden {
        /// The message of the API server's `Status`; names the verb and the namespace.
        text: String,
    },
    /// The API server does not know the user (401), or the credential plugin failed.
    #[error("unauthorized: {text}")]
    Unauthorized {
        /// The message of the API server's `Status`, or of the plugin.
        text: String,
    },
    /// No answer from the API server: network, TLS, proxy or time-out.
    #[error("the API server cannot be reached: {text}")]
    Unreachable {
        /// The chain of causes, outermost first, separated by `: `.
        text: String,
    },
    /// The API server answered but would not switch to the protocol.
    #[error("the API server refused the {protocol} upgrade: {status} {text}")]
    Upgrade {
        /// The protocol that was tried last.
        protocol: Protocol,
        /// The HTTP status.
        status: u16,
        /// The message of the API server's `Status`, or the start of the body.
        text: String,
        /// The pause that it asks for before the next attempt (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// The API server, or something on the way, passed no upgrade on to the pod ([`Tunnels::pod_proxy`]).
    ///
    /// [`Tunnels::pod_proxy`]: crate::Tunnels::pod_proxy
    #[error("no upgrade: {status} {text}")]
    NoUpgrade {
        /// The HTTP status.
        status: u16,
        /// The message of the API server's `Status`, or the start of the body.
        text: String,
    },
    /// The pod or its node reset this connection.
    #[error("connection reset by the pod")]
    Reset,
    /// The tunnel under the stream was lost: the network, the API server or the node went away.
    #[error("the tunnel was lost: {text}")]
    TunnelLost {
        /// The symptom, such as an I/O error or an unanswered ping.
        text: String,
    },
    /// The peer broke the rules of the protocol; its tunnel is closed.
    #[error("protocol violation: {text}")]
    Protocol {
        /// The rule that was broken.
        text: String,
    },
    /// The local program did not read for so long that others on the same tunnel had to wait.
    #[error("the local program stopped reading while other connections waited behind it")]
    Stalled,
    /// The local program has ended its direction, and the pod was silent for so long that it may be waiting for that
    /// end, which port-forward cannot pass on.
    #[error(
        "no answer for {} s since the local program ended its side, which port-forward cannot tell the pod of",
        silence.as_secs()
    )]
    HalfClosed {
        /// The time without an answer.
        silence: Duration,
    },
    /// The local side of a spliced connection failed, for example because the local program reset it.
    #[error("local connection: {0}")]
    Local(Arc<io::Error>),
    /// The lease was dropped.
    #[error("the forward was closed")]
    Closed,
}

impl Error {
    /// Returns whether the pod itself is gone ([`Error::PodGone`], [`Error::NoSuchPod`]), so that another one should be
    /// taken.
    pub fn is_pod_gone(&self) -> bool {
        matches!(self, Self::PodGone { .. } | Self::NoSuchPod { .. })
    }

    /// Returns whether nobody in the pod has taken the connection ([`Error::Refused`] or [`Error::is_pod_gone`]), so
    /// that it may be made to another pod.
    pub fn is_refusal(&self) -> bool {
        self.is_pod_gone() || matches!(self, Self::Refused { .. })
    }

    /// Returns whether the same may work a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TunnelLost { .. } | Self::Upgrade { status: 429 | 500.., .. })
    }

    /// Returns the pause that the API server asks for before the next attempt.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Upgrade { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Classifies the text of a pod's error stream. The wording is the kubelet's and the container runtime's.
    pub(crate) fn from_error_stream(text: &str) -> Self {
        let text = text.trim().to_owned();
        let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
        if has(&["connection refused", "Connection refused"]) {
            Self::Refused { text }
        } else if has(&["connection reset by peer", "broken pipe", "Broken pipe"]) {
            Self::Reset
        } else if has(&[
            "failed to find sandbox",
            "sandbox not found",
            "does not exist",
            "not running",
            "network namespace for sandbox",
            "no such pod",
            "pod not found",
        ]) {
            Self::PodGone { text }
        } else {
            Self::Pod { text }
        }
    }

    /// Classifies kube's error of a request that got no upgrade.
    pub(crate) fn from_kube(error: &kube::Error, protocol: Protocol) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(status.code, status.message.clone(), protocol),
            kube::Error::UpgradeConnection(kube::client::UpgradeConnectionError::ProtocolSwitch(status)) => {
                Self::from_status(status.as_u16(), status.to_string(), protocol)
            }
            kube::Error::UpgradeConnection(other) => Self::Protocol { text: chain(other) },
            kube::Error::Auth(cause) => Self::Unauthorized { text: chain(cause) },
            other => Self::Unreachable { text: chain(other) },
        }
    }

    /// Returns the error that an HTTP status other than 101 means, with the server's text, for callers that send
    /// requests of their own. `protocol` is the one that was asked for.
    pub fn from_status(status: u16, text: String, protocol: Protocol) -> Self {
        match status {
            401 => Self::Unauthorized { text },
            403 => Self::Forbidden { text },
            404 => Self::NoSuchPod { text },
            _ => Self::Upgrade { protocol, status, text, retry_after: None },
        }
    }

    /// Wraps the error for a reader or writer of a [`crate::Stream`]; [`Error::from_io`] takes it out again.
    pub fn into_io(self) -> io::Error {
        let kind = match self {
            Self::Reset => io::ErrorKind::ConnectionReset,
            Self::Refused { .. } => io::ErrorKind::ConnectionRefused,
            Self::TunnelLost { .. } => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    /// Returns the tunnel's error inside an [`io::Error`] that a [`Stream`](crate::Stream) returned, else the error as
    /// [`Error::Local`].
    ///
    /// ```
    /// use std::io;
    ///
    /// use kube_tunnel::Error;
    ///
    /// let error = Error::from_io(io::ErrorKind::BrokenPipe.into());
    /// assert!(matches!(error, Error::Local(_)));
    /// ```
    pub fn from_io(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            Some(inner) => inner.clone(),
            None => Self::Local(Arc::new(error)),
        }
    }
}

/// Formats an error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_stream_is_sorted() {
        let refused = "error forwarding port 81 to pod p, uid : failed to execute portforward in network namespace \
            \"/var/run/netns/cni-1\": failed to connect to localhost:81 inside namespace \"p\", IPv4: dial tcp4 \
            127.0.0.1:81: connect: connection refused IPv6 dial tcp6 [::1]:81: connect: connection refused ";
        assert!(matches!(Error::from_error_stream(refused), Error::Refused { .. }));
        let reset = "error forwarding port 7 to pod p, uid : read tcp4 127.0.0.1:1->127.0.0.1:7: read: connection \
            reset by peer";
        assert!(matches!(Error::from_error_stream(reset), Error::Reset));
        let gone = "error forwarding port 7 to pod p, uid : failed to find sandbox \"x\" in store: not found";
        assert!(Error::from_error_stream(gone).is_pod_gone());
        assert!(matches!(Error::from_error_stream("no space"), Error::Pod { .. }));
    }

    #[test]
    fn an_error_survives_the_trip_through_io() {
        assert!(matches!(Error::from_io(Error::Reset.into_io()), Error::Reset));
        let local = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Error::from_io(local), Error::Local(_)));
    }
}
