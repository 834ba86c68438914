//! The engine's API: HTTP over its Unix socket, by the client that the program has for Kubernetes already.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use brow_model::fault::{Fault, What};

/// The most bytes of an answer.
const MAX_ANSWER: usize = 16 << 20;
/// The time within which an engine answers that does not hang.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The time within which it says that it is there.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// A container engine of this machine.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: PathBuf,
}

/// The engine's refusal of a request, or the reason why there is no answer.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// The status of the answer, if there is one.
    pub status: Option<StatusCode>,
    pub fault: Fault,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        refusal.fault
    }
}

impl Engine {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks whether the engine is there.
    pub(super) async fn ping(&self) -> Result<(), Fault> {
        self.send(Method::GET, "/_ping", None, PING_TIMEOUT).await?;
        Ok(())
    }

    /// Asks for an object.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Refusal> {
        let answer = self.send(Method::GET, path, None, ANSWER_TIMEOUT).await?;
        serde_json::from_slice(&answer).map_err(|error| self.refusal(What::Engine, None, &error))
    }

    /// Sends a request, and returns the body of the answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Bytes, Refusal> {
        let late = |_| self.refusal(What::EngineSilent, None, &format!("no answer within {} s", limit.as_secs()));
        timeout(limit, self.exchange(method, path, body)).await.map_err(late)?
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Bytes, Refusal> {
        let (answer, _connection) = self.begin(method, path, body).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| self.refusal(What::Engine, None, &error))?.to_bytes();
        // 304: it is in that state already.
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(body);
        }
        let said = serde_json::from_slice::<Value>(&body).ok();
        let said = said.as_ref().and_then(|said| said["message"].as_str()).map(str::to_owned);
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
        Err(self.refusal(What::Engine, Some(status), said.trim()))
    }

    /// Asks for something that goes on: events, a log, counters.
    pub(super) async fn follow(&self, path: &str) -> Result<Following, Refusal> {
        let late = |_| self.refusal(What::EngineSilent, None, "");
        let (answer, connection) =
            timeout(ANSWER_TIMEOUT, self.begin(Method::GET, path, None)).await.map_err(late)??;
        let status = answer.status();
        if !status.is_success() {
            return Err(self.refusal(What::Engine, Some(status), status.canonical_reason().unwrap_or_default()));
        }
        Ok(Following { body: answer.into_body(), _connection: connection })
    }

    /// Sends a request, and returns the head of the answer.
    async fn begin(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<Result<(), hyper::Error>>), Refusal> {
        let broken = |error: &dyn std::error::Error| self.refusal(What::Engine, None, error);
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            let what = match error.kind() {
                ErrorKind::PermissionDenied => What::EngineForbidden,
                _ => What::NoEngine,
            };
            self.refusal(what, None, &error)
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // A failure of the connection is an error of the request.
        let connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("host", "docker");
        let request = request.header("content-type", "application/json").body(Full::new(bytes));
        let request = request.map_err(|error| broken(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        Ok((answer, connection))
    }

    fn refusal(&self, what: What, status: Option<StatusCode>, detail: &(impl ToString + ?Sized)) -> Refusal {
        Refusal { status, fault: Fault::new(what, self.socket.display().to_string(), detail.to_string()) }
    }
}

/// An answer that goes on.
pub(super) struct Following {
    body: Incoming,
    _connection: AbortOnDropHandle<Result<(), hyper::Error>>,
}

impl Following {
    /// Returns the next bytes; `None` at the end, or when the engine is gone. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Ok(data) = self.body.frame().await?.ok()?.into_data() {
                return Some(data);
            }
        }
    }
}

/// Escapes a value of a query.
pub(super) fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Returns the text of a log or a command's output: frames of 8 bytes and a payload, where the stream has no terminal
/// (Engine API, `ContainerAttach`).
pub(super) fn unframe(mut bytes: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let [0..=2, 0, 0, 0, a, b, c, d] = *head else { break };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let (payload, after) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(payload);
        bytes = after;
    }
    text.extend_from_slice(bytes);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_off_logs() {
        let framed = [&[1, 0, 0, 0, 0, 0, 0, 3][..], b"ab\n", &[2, 0, 0, 0, 0, 0, 0, 2], b"c\n"].concat();
        assert_eq!(unframe(&framed), "ab\nc\n");
        assert_eq!(unframe(b"plain text of a terminal\n"), "plain text of a terminal\n");
        let cut = [&[1, 0, 0, 0, 0, 0, 0, 9][..], b"ab"].concat();
        assert_eq!(unframe(&cut), "ab");
    }

    #[test]
    fn nothing_in_a_query_is_more_than_a_value() {
        assert_eq!(escape("a/b:1&x=\"ü\""), "a%2Fb%3A1%26x%3D%22%C3%BC%22");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_told_from_one_that_fails() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let engine = Engine::new(socket.clone());
        assert_eq!(engine.ping().await.unwrap_err().what, What::NoEngine);
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        // It ends connections without an answer.
        let _server = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        }));
        assert_eq!(engine.ping().await.unwrap_err().what, What::Engine);
    }
}
