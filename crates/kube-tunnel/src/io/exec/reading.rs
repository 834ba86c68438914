//! The receiving half of a process's connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, ReadHalf},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{ERROR, Ended, Output, STDERR, STDOUT, Stdio};
use crate::{
    error::Error,
    io::liveness_check::{CheckFuture, LivenessCheck},
    io::transport::Pipe,
    proto::frame::{self, Decoder, Frame, HEAD},
};

/// The size of a read.
const READ_SIZE: usize = 64 * 1024;
/// The interval of pings, and the silence after which the connection is in doubt.
const PING_INTERVAL: Duration = Duration::from_secs(4);
const DOUBT_AFTER: Duration = Duration::from_secs(13);
/// The bytes of input that a node has room for, whatever the process does: a terminal takes 4,095, a pipe 65,536.
const ROOM: u64 = 2_048;
/// The time in which output that the node sent beside the end of the process arrives.
const LINGER: Duration = Duration::from_secs(1);
/// The most text of the error stream that is kept.
const MAX_VERDICT: usize = 64 * 1024;

/// The receiving half of a connection.
pub(super) struct Reading {
    output: mpsc::Sender<Result<Output, Error>>,
    queue: mpsc::Sender<Bytes>,
    /// The bytes that were sent and that the process may not have taken. A node without room for them reads nothing,
    /// and is silent.
    untaken: Arc<AtomicU64>,
    /// The process has a terminal.
    tty: bool,
    check: LivenessCheck,
    decoder: Decoder,
    /// The text of the error stream.
    verdict: BytesMut,
    /// The error stream has ended.
    judged: bool,
    /// The output streams that have not ended.
    open: usize,
    /// The time at which something was last heard.
    heard: Instant,
    /// The number of the last ping.
    ping: u32,
}

impl Reading {
    pub(super) fn new(
        output: mpsc::Sender<Result<Output, Error>>,
        queue: mpsc::Sender<Bytes>,
        untaken: Arc<AtomicU64>,
        check: LivenessCheck,
    ) -> Self {
        let (decoder, verdict) = (Decoder::default(), BytesMut::new());
        Self {
            output,
            queue,
            untaken,
            tty: false,
            check,
            decoder,
            verdict,
            judged: false,
            open: 0,
            heard: Instant::now(),
            ping: 1,
        }
    }

    pub(super) async fn run(&mut self, mut reader: ReadHalf<Box<dyn Pipe>>, stdio: Stdio) {
        (self.open, self.tty) = (if stdio.tty { 1 } else { 2 }, stdio.tty);
        let end = match self.read(&mut reader).await {
            Ok(()) => Ok(Output::Ended(ended(&self.verdict))),
            Err(error) => Err(error),
        };
        // Nobody waits for it where the process was dropped.
        let _dropped = self.output.send(end).await;
    }

    /// Reads until the process has ended and all of its output is taken.
    async fn read(&mut self, reader: &mut ReadHalf<Box<dyn Pipe>>) -> Result<(), Error> {
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checking: Option<CheckFuture> = None;
        let mut buffer = BytesMut::new();
        loop {
            if self.judged && self.open == 0 {
                return Ok(());
            }
            buffer.reserve(READ_SIZE);
            let judged = self.judged;
            let reading = async {
                let read = reader.read_buf(&mut buffer);
                if judged { timeout(LINGER, read).await.unwrap_or(Ok(0)) } else { read.await }
            };
            let asked = async {
                match &mut checking {
                    Some(check) => check.await,
                    None => std::future::pending().await,
                }
            };
            let end = tokio::select! {
                read = reading => match read {
                    Ok(0) => Some("the API server ended the connection".to_owned()),
                    Ok(_) => None,
                    Err(error) => Some(error.to_string()),
                },
                lost = asked => {
                    checking = None;
                    match lost {
                        None => continue,
                        lost => lost,
                    }
                }
                _ = pings.tick() => {
                    self.on_tick(&mut checking)?;
                    continue;
                }
            };
            if let Some(text) = end {
                // The node has reported the result; an error of the connection after that changes nothing.
                return if self.verdict.is_empty() { Err(Error::TunnelLost { text }) } else { Ok(()) };
            }
            (self.heard, checking) = (Instant::now(), None);
            self.take(buffer.split().freeze()).await?;
            // While nobody took the output the connection was not read.
            self.heard = Instant::now();
        }
    }

    /// Pings, and doubts a connection that has been silent for too long.
    fn on_tick(&mut self, checking: &mut Option<CheckFuture>) -> Result<(), Error> {
        if self.heard.elapsed() >= DOUBT_AFTER && checking.is_none() {
            if self.untaken.load(Ordering::Relaxed) < ROOM {
                return Err(Error::TunnelLost { text: "no answer to pings".to_owned() });
            }
            *checking = Some(self.check.ask());
        }
        let mut ping = BytesMut::with_capacity(HEAD + 4);
        frame::ping(&mut ping, self.ping);
        // A full queue is a connection that takes nothing just now.
        if self.queue.try_send(ping.freeze()).is_ok() {
            self.ping += 10;
        }
        Ok(())
    }

    async fn take(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        loop {
            let frame = self.decoder.next(&mut bytes).map_err(|rule| Error::Protocol { text: rule.to_string() })?;
            let Some(frame) = frame else { return Ok(()) };
            match frame {
                Frame::Data { stream: ERROR, bytes, fin } => {
                    let room = MAX_VERDICT.saturating_sub(self.verdict.len());
                    self.verdict.extend_from_slice(&bytes[..bytes.len().min(room)]);
                    self.judged |= fin;
                }
                Frame::Data { stream: stream @ (STDOUT | STDERR), bytes, fin } => {
                    if self.tty {
                        // Output from a terminal means that the input was received: it was echoed or executed.
                        self.untaken.store(0, Ordering::Relaxed);
                    }
                    if !bytes.is_empty() {
                        let output = if stream == STDOUT { Output::Stdout(bytes) } else { Output::Stderr(bytes) };
                        // Dropped with the process, in which case this task ends too.
                        let _dropped = self.output.send(Ok(output)).await;
                    }
                    self.open = self.open.saturating_sub(usize::from(fin));
                }
                Frame::Reset { stream: ERROR, .. } => self.judged = true,
                Frame::Reset { stream: STDOUT | STDERR, .. } => self.open = self.open.saturating_sub(1),
                // Our own come back odd; even ones are the peer's to be answered.
                Frame::Ping { id } if id % 2 == 0 => {
                    let mut pong = BytesMut::with_capacity(HEAD + 4);
                    frame::ping(&mut pong, id);
                    let _full = self.queue.try_send(pong.freeze());
                }
                _ => {}
            }
        }
    }
}

/// Reads the `Status` with which the node tells the end.
fn ended(verdict: &[u8]) -> Ended {
    let text = String::from_utf8_lossy(verdict).into_owned();
    let Ok(status) = serde_json::from_str::<Value>(&text) else { return Ended { code: None, text } };
    if status["status"] == "Success" {
        return Ended { code: Some(0), text: String::new() };
    }
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let mut codes = causes.filter(|cause| cause["reason"] == "ExitCode").filter_map(|cause| cause["message"].as_str());
    let code = codes.find_map(|code| code.parse().ok());
    Ended { code, text: status["message"].as_str().unwrap_or_default().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_node_is_lost_unless_it_may_have_no_room_for_the_input() {
        let untaken = Arc::new(AtomicU64::new(0));
        let ((output, _taken), (queue, _frames)) = (mpsc::channel(1), mpsc::channel(8));
        let mut reading = Reading::new(output, queue, Arc::clone(&untaken), LivenessCheck::mute());
        reading.tty = true;
        let doubts = async |reading: &mut Reading, bytes: u64| {
            untaken.store(bytes, Ordering::Relaxed);
            let mut checking = None;
            (reading.on_tick(&mut checking).is_err(), checking.is_some())
        };
        assert_eq!(doubts(&mut reading, 0).await, (false, false));
        tokio::time::advance(DOUBT_AFTER).await;
        // Some keys were typed since it was heard.
        assert_eq!(doubts(&mut reading, 100).await, (true, false));
        // Much was pasted: whoever answers for it is asked.
        assert_eq!(doubts(&mut reading, 1 << 20).await, (false, true));
        // Output from a terminal means that the input was received.
        let frame = [&frame::data_head(STDOUT, 1, false)[..], b"x"].concat();
        reading.take(frame.into()).await.unwrap();
        assert_eq!(untaken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_end_says_the_exit_code() {
        let failed = |reason: &str, causes: &str| {
            format!(
                r#"{{"metadata":{{}},"status":"Failure","message":"no","reason":"{reason}","details":{{"causes":[{causes}]}}}}"#
            )
        };
        for (verdict, code, text) in [
            (r#"{"metadata":{},"status":"Success"}"#.to_owned(), Some(0), ""),
            (failed("NonZeroExitCode", r#"{"reason":"ExitCode","message":"137"}"#), Some(137), "no"),
            (failed("InternalError", r#"{"message":"no such file"}"#), None, "no"),
            ("container not found".to_owned(), None, "container not found"),
        ] {
            assert_eq!(ended(verdict.as_bytes()), Ended { code, text: text.to_owned() }, "{verdict}");
        }
    }
}
