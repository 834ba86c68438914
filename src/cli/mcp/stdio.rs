//! Messages over standard input and output: one JSON text a line, lines of bounded length, a bounded number of requests
//! at a time. What is no message is answered with an error, and harms nothing.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write as _, stdin, stdout};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rmcp::RoleServer;
use rmcp::model::{ClientNotification, ClientRequest, GetMeta as _, JsonRpcMessage};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::batch::{Batches, Open, Ticket};

/// The most messages of a batch: each has an answer, in one line with the others.
const MAX_BATCH: usize = 64;

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 1 << 20;
/// The most requests at a time.
pub(super) const MAX_REQUESTS: usize = 32;
/// The lines that may wait to be read or written.
const MAX_WAITING: usize = 16;

/// Codes of JSON-RPC errors.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
/// The server has too many requests; a code that JSON-RPC leaves to servers.
pub(super) const BUSY: i32 = -32000;
/// The words for that.
pub(super) const TOO_MANY: &str = "too many requests at a time";

/// The longest wait, at the end, for a client that does not read what was written.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(2);
/// The revision of the protocol that has batches.
const WITH_BATCHES: &str = "2025-03-26";

/// A line of input, or the sign of one that was too long.
type Line = Option<Vec<u8>>;

/// Standard input and output as a transport.
pub(super) struct Stdio {
    lines: mpsc::Receiver<Line>,
    out: mpsc::Sender<String>,
    /// Cancelled at the end of the input.
    ended: CancellationToken,
    /// Cancelled a little later: what nobody has read until then is dropped.
    late: CancellationToken,
    /// True once a session has begun: before, notifications mean nothing.
    begun: bool,
    /// True if the client has asked for the revision that has batches.
    has_batches: bool,
    /// Messages of a batch that were read already.
    read: VecDeque<RxJsonRpcMessage<RoleServer>>,
    /// Answers that wait for room to be written.
    refusals: VecDeque<String>,
    /// The requests that are not answered yet.
    open: Arc<Mutex<Open>>,
}

/// The end of what is written.
pub(super) struct Written {
    all: oneshot::Receiver<()>,
    /// Cancelled once the client has had its time to read the last lines.
    late: CancellationToken,
}

impl Written {
    /// Waits until all is written, or the client does not read it.
    pub(super) async fn end(self) {
        tokio::select! {
            // The sender is dropped with the thread that writes.
            _ = self.all => {}
            () = self.late.cancelled() => {}
            // There are errors that end the service before the input.
            () = sleep(LAST_LINES_TIMEOUT) => {}
        }
    }
}

impl Stdio {
    /// Starts to read and write, on threads of their own. What is written has ended once [`Written`] says so, after the
    /// transport was dropped.
    pub(super) fn start() -> (Self, Written) {
        let (sender, lines) = mpsc::channel(MAX_WAITING);
        let (out, mut written) = mpsc::channel::<String>(MAX_WAITING);
        let (done, all_written) = oneshot::channel();
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
            let _done: oneshot::Sender<()> = done;
            while let Some(line) = written.blocking_recv() {
                let mut out = stdout().lock();
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
        });
        let late = CancellationToken::new();
        let (at_end, too_late) = (ended.clone(), late.clone());
        tokio::spawn(async move {
            at_end.cancelled().await;
            sleep(LAST_LINES_TIMEOUT).await;
            too_late.cancel();
        });
        let (read, refusals, open) = (VecDeque::new(), VecDeque::new(), Arc::default());
        let written = Written { all: all_written, late: late.clone() };
        (Self { lines, out, ended, late, begun: false, has_batches: false, read, refusals, open }, written)
    }

    /// Returns a token that is cancelled at the end of the input.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }

    /// Answers what is no message, or one too many, with the next [`Stdio::receive`] or with its batch.
    fn fail(&mut self, ticket: Ticket, id: &Value, (code, message): (i32, &str)) {
        let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
        let line = self.open().batches.answer(ticket, error);
        self.refusals.extend(line);
    }

    /// Takes a line in, which is a message or a batch of them.
    fn take(&mut self, line: &[u8]) {
        match serde_json::from_slice::<Value>(line) {
            Err(_) => self.fail(Batches::ALONE, &Value::Null, (PARSE_ERROR, "this line is not JSON")),
            Ok(Value::Array(_)) if !self.has_batches => {
                let why = format!("this is no valid message of the protocol: batches belong to {WITH_BATCHES}");
                self.fail(Batches::ALONE, &Value::Null, (INVALID_REQUEST, &why));
            }
            Ok(Value::Array(values)) if values.is_empty() => {
                self.fail(Batches::ALONE, &Value::Null, (INVALID_REQUEST, "this batch is empty"));
            }
            Ok(Value::Array(values)) if values.len() > MAX_BATCH => {
                let why = format!("this batch has more than {MAX_BATCH} messages");
                self.fail(Batches::ALONE, &Value::Null, (INVALID_REQUEST, &why));
            }
            Ok(Value::Array(values)) => {
                let ticket = self.open().batches.begin();
                for value in values {
                    self.take_value(value, ticket);
                }
                let line = self.open().batches.close(ticket);
                self.refusals.extend(line);
            }
            Ok(value) => self.take_value(value, Batches::ALONE),
        }
    }

    /// Takes a message in, unless it is answered already, or means nothing.
    fn take_value(&mut self, value: Value, ticket: Ticket) {
        let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
        let is_notification = value.get("method").is_some() && value.get("id").is_none();
        let message = match serde_json::from_value::<RxJsonRpcMessage<RoleServer>>(value) {
            Ok(message) => message,
            // A notification has no answer.
            Err(_) if is_notification => return,
            Err(error) => {
                let why = format!("this is no valid message of the protocol: {error}");
                return self.fail(ticket, &id, (INVALID_REQUEST, &why));
            }
        };
        match &message {
            JsonRpcMessage::Request(request) => {
                let is_inline = || request.request.get_meta().protocol_version().is_some();
                self.begun |= match &request.request {
                    ClientRequest::InitializeRequest(initialize) => {
                        self.has_batches = initialize.params.protocol_version.as_str() == WITH_BATCHES;
                        true
                    }
                    ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
                    _ => is_inline(),
                };
                let begun = self.open().begin(request.id.clone(), ticket, MAX_REQUESTS);
                match begun {
                    Ok(true) => {}
                    Ok(false) => return self.fail(ticket, &id, (INVALID_REQUEST, "a request with this id is open")),
                    Err(()) => return self.fail(ticket, &id, (BUSY, TOO_MANY)),
                }
            }
            _ if !self.begun => return,
            JsonRpcMessage::Notification(note) => {
                // It gets no answer any more.
                if let ClientNotification::CancelledNotification(cancelled) = &note.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    let line = self.open().cancel(id);
                    self.refusals.extend(line);
                }
            }
            _ => {}
        }
        self.read.push_back(message);
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
        // Until it is written it counts among the requests at a time, so that what nobody reads is bounded.
        let unwritten = answered.map(|_| Unwritten::new(&self.open));
        let line = match answered.and_then(|id| self.open().end(id)) {
            Some(ticket) => serde_json::to_value(&message).map(|answer| self.open().batches.answer(ticket, answer)),
            None => serde_json::to_string(&message).map(Some),
        };
        let (out, late) = (self.out.clone(), self.late.clone());
        async move {
            let _unwritten = unwritten;
            match line? {
                Some(line) => tokio::select! {
                    sent = out.send(line) => sent.map_err(|_| io::ErrorKind::BrokenPipe.into()),
                    () = late.cancelled() => Err(io::ErrorKind::TimedOut.into()),
                },
                // It goes with the last answer of its batch.
                None => Ok(()),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        // Cancel-safe: a line that was read is taken in at once, and its messages and refusals are kept.
        loop {
            if !self.refusals.is_empty() {
                let room = self.out.reserve().await.ok()?;
                if let Some(line) = self.refusals.pop_front() {
                    room.send(line);
                }
                continue;
            }
            if let Some(message) = self.read.pop_front() {
                return Some(message);
            }
            match self.lines.recv().await? {
                Some(line) if line.trim_ascii().is_empty() => {}
                Some(line) => self.take(&line),
                None => {
                    self.fail(Batches::ALONE, &Value::Null, (INVALID_REQUEST, "this line is longer than 1 MiB"));
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.lines.close();
        Ok(())
    }
}

/// An answer that is not written yet.
struct Unwritten(Arc<Mutex<Open>>);

impl Unwritten {
    fn new(open: &Arc<Mutex<Open>>) -> Self {
        open.lock().unwritten += 1;
        Self(Arc::clone(open))
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.0.lock().unwritten -= 1;
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
    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use rmcp::model::{RequestId, ServerResult};

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

    /// A transport without input, whose output nobody reads, with room for a line.
    fn unread() -> (Stdio, mpsc::Receiver<String>) {
        let (_, lines) = mpsc::channel(1);
        let (out, written) = mpsc::channel(1);
        let (ended, late) = (CancellationToken::new(), CancellationToken::new());
        let (read, refusals, open) = (VecDeque::new(), VecDeque::new(), Arc::default());
        (Stdio { lines, out, ended, late, begun: true, has_batches: false, read, refusals, open }, written)
    }

    fn ping(stdio: &mut Stdio, id: i64) {
        stdio.take(json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string().as_bytes());
    }

    fn answer(stdio: &mut Stdio, id: i64) -> BoxFuture<'static, io::Result<()>> {
        stdio.send(JsonRpcMessage::response(ServerResult::EmptyResult(().into()), RequestId::Number(id))).boxed()
    }

    #[tokio::test]
    async fn answers_that_nobody_reads_count_as_open_requests() {
        let (mut stdio, _written) = unread();
        let most = i64::try_from(MAX_REQUESTS).unwrap();
        (0..most).for_each(|id| ping(&mut stdio, id));
        let answers: Vec<_> = (0..most).map(|id| answer(&mut stdio, id)).collect();
        ping(&mut stdio, most);
        assert!(stdio.refusals.pop_front().unwrap().contains(TOO_MANY), "nobody has read one");
        drop(answers);
        ping(&mut stdio, most);
        assert!(stdio.refusals.is_empty());
    }

    #[tokio::test]
    async fn an_answer_is_dropped_once_its_time_after_the_end_of_the_input_is_up() {
        let (mut stdio, _written) = unread();
        (0..2).for_each(|id| ping(&mut stdio, id));
        answer(&mut stdio, 0).await.unwrap();
        let stuck = answer(&mut stdio, 1);
        stdio.late.cancel();
        assert_eq!(stuck.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
