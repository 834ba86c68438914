//! The protocol on the socket: a line of JSON each way, with a version. Unknown fields are ignored; a line of another
//! version is refused.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::board::View;
use brow_model::agent::Consent;
use brow_model::instance::Report;

/// The version of the protocol.
const VERSION: u32 = 1;
/// The longest line that is read, in bytes: more than a thousand forwards take.
const MAX_LINE: u64 = 1 << 20;

/// The longest wait for an instance's answer. One that takes longer hangs, or is suspended.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval of an instance's reports to its watchers, changed or not.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// The silence after which an instance counts as hanging or suspended.
pub(super) const SILENCE_TIMEOUT: Duration = Duration::from_secs(12);
/// The longest wait for an instance to close a forward.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(6);

/// A request to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(super) enum Query {
    /// List its forwards.
    List,
    /// List them now and whenever they change, until the connection closes. The instance that asks gives its own name,
    /// so that it can be watched in turn.
    Watch {
        /// The name of the instance that asks.
        name: String,
    },
    /// Close a forward, or end a session in a container.
    Stop {
        /// Its number.
        id: u64,
    },
    /// Answer the question of an agent that it reports.
    Answer {
        /// The number of the question.
        question: u64,
        consent: Consent,
    },
    /// Begin a session of an agent: orders follow, and the state is sent whenever it changes.
    Agent {
        /// The name that the agent's program gives itself.
        client: String,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "kebab-case")]
pub(super) enum Reply {
    /// Its forwards.
    Report { report: Report },
    /// The state as an agent's session sees it.
    View { view: View },
    /// The forward is closed.
    Stopped,
    /// The question is answered.
    Answered,
    /// The request is refused.
    No {
        /// The reason.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    v: u32,
    #[serde(flatten)]
    says: T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// Writes a line.
///
/// # Errors
/// Where nobody reads any more.
pub(super) async fn write(to: &mut (impl AsyncWrite + Unpin), says: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Line { v: VERSION, says })?;
    line.push(b'\n');
    to.write_all(&line).await
}

/// Reads a line; `None` at the end.
///
/// # Errors
/// A line that is too long, unfinished, of another version or nonsense.
pub(super) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
    }
    let Version { v } = serde_json::from_slice(&line)?;
    if v != VERSION {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("version {v}, expected version {VERSION}")));
    }
    let Line { says, .. } = serde_json::from_slice(&line)?;
    Ok(Some(says))
}

/// Returns true if a report has no control characters, which a terminal would obey.
pub(super) fn is_plain(report: &Report) -> bool {
    report.texts().all(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reads(text: &str) -> io::Result<Option<Query>> {
        read(&mut text.as_bytes()).await
    }

    #[tokio::test]
    async fn only_what_makes_sense_is_read() {
        assert_eq!(reads("").await.unwrap(), None);
        assert_eq!(reads("{\"v\":1,\"ask\":\"list\",\"newer\":1}\n").await.unwrap(), Some(Query::List));
        assert_eq!(reads("{\"v\":1,\"ask\":\"stop\",\"id\":7}\n").await.unwrap(), Some(Query::Stop { id: 7 }));
        let mut line = Vec::new();
        write(&mut line, &Query::Watch { name: "1-a".into() }).await.unwrap();
        assert_eq!(line, b"{\"v\":1,\"ask\":\"watch\",\"name\":\"1-a\"}\n");
        for nonsense in [
            "{\"v\":1,\"ask\":\"list\"}",
            "{\"v\":2,\"ask\":\"list\"}\n",
            "{\"v\":1,\"ask\":\"fly\"}\n",
            "{\"v\":1,\"ask\":\"stop\",\"id\":-1}\n",
            "GET / HTTP/1.1\n",
            "[]\n",
            "\n",
        ] {
            assert!(reads(nonsense).await.is_err(), "{nonsense}");
        }
        assert!(reads(&"x".repeat(2 << 20)).await.is_err());
    }
}
