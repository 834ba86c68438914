//! Health: what a probe through a forward finds, and when a person is told of it.

use chrono::{DateTime, Utc};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::language::fault::Fault;

/// The probe of a forward's target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Succeeds if it takes connections.
    Tcp,
    /// Succeeds if a GET of this path is answered with 2xx or 3xx.
    Http(String),
    /// Succeeds if it sends `MySQL`'s greeting.
    Mysql,
    /// Succeeds if it answers `PostgreSQL`'s `SSLRequest`.
    Postgres,
    /// Succeeds if it answers Redis' PING.
    Redis,
}

/// The error of a text that is no probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write tcp, http, http:/path, mysql, postgres or redis")]
pub struct ProbeError;

impl FromStr for Probe {
    type Err = ProbeError;

    fn from_str(text: &str) -> Result<Self, ProbeError> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "http" => Ok(Self::Http("/".to_owned())),
            "mysql" => Ok(Self::Mysql),
            "postgres" => Ok(Self::Postgres),
            "redis" => Ok(Self::Redis),
            _ => match text.strip_prefix("http:") {
                // What stands in a request line must not end it.
                Some(path) if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) => {
                    Ok(Self::Http(path.to_owned()))
                }
                Some(_) | None => Err(ProbeError),
            },
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Http(path) => write!(f, "http:{path}"),
            Self::Mysql => f.write_str("mysql"),
            Self::Postgres => f.write_str("postgres"),
            Self::Redis => f.write_str("redis"),
        }
    }
}

/// A probe and how often it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePlan {
    pub probe: Probe,
    /// The time between two.
    pub every: Duration,
}

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The reason for which the target is down; `None`: it is up.
    pub down: Option<Fault>,
    /// From asking to the first byte of the answer, where the probe has one.
    pub latency: Option<Duration>,
}

/// The last report to the user: whether it is up, and when that was.
pub type HealthReport = (bool, DateTime<Utc>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_read_as_they_are_written() {
        for text in ["tcp", "mysql", "postgres", "redis", "http:/", "http:/health?full=1"] {
            assert_eq!(text.parse::<Probe>().map(|probe| probe.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("http".parse(), Ok(Probe::Http("/".to_owned())));
        for wrong in ["", "udp", "http:", "http:health", "http:/a b", "http:/a\r\nX: y", "HTTP"] {
            assert_eq!(wrong.parse::<Probe>(), Err(ProbeError), "{wrong:?}");
        }
    }
}
