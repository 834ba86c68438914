//! Processes in containers: `pods/exec` and `pods/attach` in SPDY/3.1, inside a WebSocket where something on the way
//! passes no SPDY.
//!
//! One connection carries the process: a stream each for standard input, output and error, one for the terminal's size,
//! and one on which the node says how the process has ended (Kubernetes, `kubelet/pkg/cri/streaming/remotecommand`,
//! `v4.channel.k8s.io`). Unlike the WebSocket form of that protocol, SPDY can end standard input and leave the output
//! open, on every server. Reading and writing are two tasks, so that output is taken while input waits.

mod reading;
mod web_socket;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::{client::legacy::connect::HttpInfo, rt::TokioIo};
use kube::client::Body;
use serde_json::json;
use tokio::{
    io::{self, AsyncWriteExt as _, WriteHalf},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use super::{dial::check, liveness_check::LivenessCheck, transport::Pipe, upgrade::RefusedUpgrade};
use reading::Reading;

use crate::{
    error::{Error, chain},
    login::Fixed,
    proto::{
        frame::{self, HEAD},
        headers::Blocks,
    },
    protocol::Protocol,
};

/// The version of the protocol whose error stream carries a `Status`.
const SUBPROTOCOL: &str = "v4.channel.k8s.io";
/// The longest wait for the upgrade.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Frames that may wait to be written, and pieces of output that may wait to be taken.
const QUEUE: usize = 16;
/// The longest payload of a frame that is sent.
const MAX_PAYLOAD: usize = 32 * 1024;

/// The bytes between frames and messages that may wait.
const BRIDGE_SIZE: usize = 64 * 1024;

/// The streams' numbers: odd, and such that pings (1, 11, 21, …) are not served behind standard input.
const ERROR: u32 = 1;
const STDIN: u32 = 3;
const STDOUT: u32 = 5;
const STDERR: u32 = 7;
const RESIZE: u32 = 9;

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name; `None`: the only one.
    pub name: Option<String>,
}

/// The process to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A new one: its program and arguments.
    Exec(Vec<String>),
    /// The container's first one.
    Attach,
}

/// The form of standard input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stdio {
    /// Standard input is sent.
    pub stdin: bool,
    /// The process has a terminal, which joins standard output and error.
    pub tty: bool,
}

/// A process in a container. Dropping it ends the connection; it does not end the process.
#[derive(Debug)]
pub struct Process {
    /// Standard input, if it was asked for.
    pub input: Option<Input>,
    /// The output, which ends with [`Output::Ended`] or an error.
    pub output: mpsc::Receiver<Result<Output, Error>>,
    /// The terminal, if it has one.
    pub terminal: Option<Terminal>,
    /// Reading and writing, which end with this.
    _tasks: JoinSet<()>,
}

/// Something that a process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// It wrote to standard output.
    Stdout(Bytes),
    /// It wrote to standard error.
    Stderr(Bytes),
    /// It has ended, or could not be started.
    Ended(Ended),
}

/// The end of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, 128 + N after signal N; `None` where there was no process.
    pub code: Option<i32>,
    /// The node's own words, if it was not a success.
    pub text: String,
}

/// The connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct Gone;

/// Standard input of a process. [`Input::finish`] ends it; dropping it does not.
#[derive(Debug)]
pub struct Input(Sender);

/// The terminal of a process.
#[derive(Debug, Clone)]
pub struct Terminal(Sender);

#[derive(Debug, Clone)]
struct Sender {
    queue: mpsc::Sender<Bytes>,
    /// The bytes that were sent and that the process may not have taken.
    untaken: Arc<AtomicU64>,
}

impl Sender {
    async fn send(&self, stream: u32, bytes: &[u8]) -> Result<(), Gone> {
        for piece in bytes.chunks(MAX_PAYLOAD) {
            let mut frame = BytesMut::with_capacity(HEAD + piece.len());
            frame.extend_from_slice(&frame::data_head(stream, piece.len(), false));
            frame.extend_from_slice(piece);
            self.untaken.fetch_add(piece.len() as u64, Ordering::Relaxed);
            self.queue.send(frame.freeze()).await.map_err(|_| Gone)?;
        }
        Ok(())
    }
}

impl Input {
    /// Sends bytes; waits while the process takes none.
    ///
    /// # Errors
    /// The connection is gone; [`Process::output`] has the reason.
    ///
    /// # Cancel safety
    /// Not cancel safe: a part of the bytes may have been sent.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), Gone> {
        self.0.send(STDIN, bytes).await
    }

    /// Ends the input, once all that was sent before has left.
    ///
    /// # Errors
    /// As [`Input::send`].
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping the future can leave the input open, and nothing else can end it then.
    pub async fn finish(self) -> Result<(), Gone> {
        self.0.queue.send(Bytes::copy_from_slice(&frame::data_head(STDIN, 0, true))).await.map_err(|_| Gone)
    }
}

impl Terminal {
    /// Sets the size.
    ///
    /// # Errors
    /// As [`Input::send`].
    ///
    /// # Cancel safety
    /// Cancel safe: the size is sent whole or not at all.
    pub async fn resize(&self, columns: u16, rows: u16) -> Result<(), Gone> {
        let size = json!({ "Width": columns, "Height": rows }).to_string();
        self.0.send(RESIZE, size.as_bytes()).await
    }
}

impl Process {
    /// Starts or joins a process. Needs the right to `create` `pods/exec` or `pods/attach`.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::NoSuchPod`], [`Error::Unauthorized`], [`Error::Unreachable`], [`Error::Upgrade`]
    /// or [`Error::Protocol`]. A program that the container does not have is not among them: it is an
    /// [`Output::Ended`].
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future gives up the attempt. The process may have been started by then; it loses its
    /// input and output.
    pub async fn start(
        client: &kube::Client,
        container: &Container,
        target: &Target,
        stdio: Stdio,
    ) -> Result<Self, Error> {
        check(&container.namespace, &container.pod)?;
        let slow = |_| Error::Unreachable { text: format!("no answer within {} s", DIAL_TIMEOUT.as_secs()) };
        let mut tasks = JoinSet::new();
        let path = path(container, target, stdio);
        let (pipe, ends) = timeout(DIAL_TIMEOUT, connect(client, &path, stdio, &mut tasks)).await.map_err(slow)??;
        let (reader, writer) = io::split(pipe);
        let (queue, frames) = mpsc::channel(QUEUE);
        let (output, taken) = mpsc::channel(QUEUE);
        let untaken = Arc::new(AtomicU64::new(0));
        tasks.spawn(write(writer, opening(stdio), frames));
        let check = LivenessCheck::new(Arc::new(Fixed::new(client.clone())), ends);
        let mut reading = Reading::new(output, queue.clone(), Arc::clone(&untaken), check);
        tasks.spawn(async move { reading.run(reader, stdio).await });
        let sender = Sender { queue, untaken };
        Ok(Self {
            input: stdio.stdin.then(|| Input(sender.clone())),
            output: taken,
            terminal: stdio.tty.then_some(Terminal(sender)),
            _tasks: tasks,
        })
    }
}

type Ends = Option<(std::net::SocketAddr, std::net::SocketAddr)>;

/// Connects in SPDY, else by WebSocket. A refusal of both is told as that of the first.
async fn connect(
    client: &kube::Client,
    path: &str,
    stdio: Stdio,
    tasks: &mut JoinSet<()>,
) -> Result<(Box<dyn Pipe>, Ends), Error> {
    let refused = match dial(client, path).await {
        Ok((pipe, ends)) => return Ok((Box::new(pipe), ends)),
        Err(error @ Error::Upgrade { status, .. }) if status != StatusCode::TOO_MANY_REQUESTS.as_u16() => error,
        Err(error) => return Err(error),
    };
    let Ok(socket) = web_socket::dial(client, path, stdio).await else { return Err(refused) };
    let (near, far) = io::duplex(BRIDGE_SIZE);
    tasks.spawn(web_socket::pass(socket, far));
    Ok((Box::new(near), None))
}

async fn dial(client: &kube::Client, path: &str) -> Result<(TokioIo<Upgraded>, Ends), Error> {
    let request = Request::builder().method(Method::POST).uri(path);
    let request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "SPDY/3.1");
    let request = request.header("X-Stream-Protocol-Version", SUBPROTOCOL).body(Body::empty());
    let request = request.map_err(|error| Error::Protocol { text: error.to_string() })?;
    let response = client.send(request).await.map_err(|error| Error::from_kube(&error, Protocol::Spdy))?;
    let status = response.status();
    let upgrade = response.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    if status != StatusCode::SWITCHING_PROTOCOLS || upgrade.is_none_or(|value| !value.eq_ignore_ascii_case("SPDY/3.1"))
    {
        let RefusedUpgrade { status, text, .. } = RefusedUpgrade::read(response).await;
        return Err(Error::from_status(status, text, Protocol::Spdy));
    }
    let ends = response.extensions().get::<HttpInfo>().map(|info| (info.local_addr(), info.remote_addr()));
    let upgraded = hyper::upgrade::on(response).await;
    let upgraded = upgraded.map_err(|error| Error::Unreachable { text: chain(&error) })?;
    Ok((TokioIo::new(upgraded), ends))
}

/// Returns the request's path with its query.
fn path(container: &Container, target: &Target, stdio: Stdio) -> String {
    let Container { namespace, pod, name } = container;
    let (subresource, command) = match target {
        Target::Exec(command) => ("exec", command.as_slice()),
        Target::Attach => ("attach", &[][..]),
    };
    let mut query: Vec<String> = command.iter().map(|word| format!("command={}", escaped(word))).collect();
    query.extend(name.iter().map(|name| format!("container={}", escaped(name))));
    let streams = [("stdin", stdio.stdin), ("stdout", true), ("stderr", !stdio.tty), ("tty", stdio.tty)];
    query.extend(streams.into_iter().filter(|(_, on)| *on).map(|(name, _)| format!("{name}=true")));
    format!("/api/v1/namespaces/{namespace}/pods/{pod}/{subresource}?{}", query.join("&"))
}

/// Escapes a text for a query (RFC 3986, 2.1): all but what never needs it.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

/// Returns the frames that open the streams, in the order of kubectl.
fn opening(stdio: Stdio) -> Bytes {
    let mut blocks = Blocks::default();
    let mut out = BytesMut::with_capacity(1024);
    let streams = [
        (ERROR, "error", true),
        (STDIN, "stdin", stdio.stdin),
        (STDOUT, "stdout", true),
        (STDERR, "stderr", !stdio.tty),
        (RESIZE, "resize", stdio.tty),
    ];
    for (id, kind, _) in streams.into_iter().filter(|(_, _, on)| *on) {
        frame::syn_stream(&mut out, id, false, &blocks.encode(&[("streamtype", kind)]));
    }
    out.freeze()
}

/// Writes the frames; what fails here shows itself to the reader.
async fn write(mut writer: WriteHalf<Box<dyn Pipe>>, opening: Bytes, mut frames: mpsc::Receiver<Bytes>) {
    let mut next = Some(opening);
    while let Some(frame) = next {
        let written = async {
            writer.write_all(&frame).await?;
            if frames.is_empty() { writer.flush().await } else { Ok(()) }
        };
        if written.await.is_err() {
            return;
        }
        next = frames.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_arguments_whatever_is_in_it() {
        let container = Container { namespace: "dev".into(), pod: "web-0".into(), name: Some("http".into()) };
        let command = ["sh", "-c", "echo \"$1\" &container=x#?+ü\n", ""].map(str::to_owned).to_vec();
        let asked = path(&container, &Target::Exec(command), Stdio { stdin: true, tty: false });
        assert_eq!(
            asked,
            "/api/v1/namespaces/dev/pods/web-0/exec?command=sh&command=-c&command=echo%20%22%241%22%20%26container%3Dx\
             %23%3F%2B%C3%BC%0A&command=&container=http&stdin=true&stdout=true&stderr=true"
        );
        let asked = path(&container, &Target::Attach, Stdio { stdin: true, tty: true });
        assert_eq!(asked, "/api/v1/namespaces/dev/pods/web-0/attach?container=http&stdin=true&stdout=true&tty=true");
    }
}
