//! Messages over standard input and output: one JSON text a line, lines of bounded length, a bounded number of requests
//! at a time. What is no message is answered with an error, and harms nothing.

use std::collections::HashSet;
use std::io::{self, BufRead, Write as _, stdin, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rmcp::RoleServer;
use rmcp::model::{ClientNotification, ClientRequest, GetMeta as _, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 1 << 20;
/// The most requests at a time.
const MAX_REQUESTS: usize = 32;
/// The lines that may wait to be read or written.
const MAX_WAITING: usize = 16;

/// Codes of JSON-RPC errors.
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
/// The server has too many requests; a code that JSON-RPC leaves to servers.
const BUSY: i64 = -32000;

/// A line of input, or the sign of one that was too long.
type Line = Option<Vec<u8>>;

/// Standard input and output as a transport.
pub(super) struct Stdio {
    lines: mpsc::Receiver<Line>,
    out: mpsc::Sender<String>,
    /// Cancelled at the end of the input.
    ended: CancellationToken,
    /// True once a session has begun: before, notifications mean nothing.
    begun: bool,
    /// An answer that waits for room to be written.
    refusal: Option<String>,
    /// The requests that are not answered yet.
    open: Arc<Mutex<HashSet<RequestId>>>,
}

impl Stdio {
    /// Starts to read and write, on threads that the program's end does not wait for.
    pub(super) fn start() -> Self {
        let (sender, lines) = mpsc::channel(MAX_WAITING);
        let (out, mut written) = mpsc::channel::<String>(MAX_WAITING);
        let ended = CancellationToken::new();
        let at_end = ended.clone().drop_guard();
        thread::spawn(move || {
            let _at_end = at_end;
            let mut input = stdin().lock();
            while let Ok(Some(line)) = read_line(&mut input) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || {
            while let Some(line) = written.blocking_recv() {
                let mut out = stdout().lock();
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
        });
        Self { lines, out, ended, begun: false, refusal: None, open: Arc::default() }
    }

    /// Returns a token that is cancelled at the end of the input.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Answers what is no message, or one too many, with the next [`Stdio::receive`].
    fn fail(&mut self, id: &Value, code: i64, message: &str) {
        let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
        self.refusal = Some(error.to_string());
    }

    /// Takes a message in; `None` where it is answered already, or means nothing.
    fn take(&mut self, line: &[u8]) -> Option<RxJsonRpcMessage<RoleServer>> {
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            self.fail(&Value::Null, PARSE_ERROR, "this line is not JSON");
            return None;
        };
        let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
        let has_method = value.get("method").is_some();
        let message = match serde_json::from_value::<RxJsonRpcMessage<RoleServer>>(value) {
            Ok(message) => message,
            // A notification has no answer.
            Err(_) if has_method && id.is_null() => return None,
            Err(error) => {
                let why = format!("this is no valid message of the protocol: {error}");
                self.fail(&id, INVALID_REQUEST, &why);
                return None;
            }
        };
        match &message {
            JsonRpcMessage::Request(request) => {
                let is_inline = || request.request.get_meta().protocol_version().is_some();
                self.begun |= match &request.request {
                    ClientRequest::InitializeRequest(_) => true,
                    ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
                    _ => is_inline(),
                };
                let refused = {
                    let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                    if open.len() >= MAX_REQUESTS {
                        Some((BUSY, "too many requests at a time"))
                    } else {
                        let is_new = open.insert(request.id.clone());
                        (!is_new).then_some((INVALID_REQUEST, "a request with this id is open"))
                    }
                };
                if let Some((code, why)) = refused {
                    self.fail(&id, code, why);
                    return None;
                }
            }
            _ if !self.begun => return None,
            JsonRpcMessage::Notification(note) => {
                // It gets no answer any more.
                if let ClientNotification::CancelledNotification(cancelled) = &note.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                }
            }
            _ => {}
        }
        Some(message)
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        if let Some(id) = answered {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        }
        let out = self.out.clone();
        async move {
            let line = serde_json::to_string(&message)?;
            out.send(line).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        // Cancel-safe: a line that was read is returned at once, or kept as a refusal.
        loop {
            if self.refusal.is_some() {
                let room = self.out.reserve().await.ok()?;
                if let Some(line) = self.refusal.take() {
                    room.send(line);
                }
                continue;
            }
            match self.lines.recv().await? {
                Some(line) if line.trim_ascii().is_empty() => {}
                Some(line) => {
                    if let Some(message) = self.take(&line) {
                        return Some(message);
                    }
                }
                None => {
                    self.fail(&Value::Null, INVALID_REQUEST, "this line is longer than 1 MiB");
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.lines.close();
        Ok(())
    }
}

/// Reads a line without its end. `Some(None)` is one that is too long, `None` the end of the input, where a line that
/// has no end is dropped.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        let read = input.fill_buf()?;
        if read.is_empty() {
            return Ok(None);
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        let part = &read[..end.unwrap_or(read.len())];
        too_long |= line.len() + part.len() > MAX_LINE;
        if too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some((!too_long).then_some(line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let long = "x".repeat(MAX_LINE + 1);
        let fits = "y".repeat(MAX_LINE);
        let text = format!("one\n{long}\n{fits}\n\nlast");
        let mut input = io::BufReader::with_capacity(1_000, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut input).unwrap() {
            lines.push(line.map(|line| line.len()));
        }
        assert_eq!(lines, [Some(3), None, Some(MAX_LINE), Some(0)], "a line without an end is none");
    }
}
