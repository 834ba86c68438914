//! `pods/exec`: the upgrade, and a shell that knows a few commands. There is nothing in these containers to damage.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Request, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;

use super::debug::{self, Attached};
use super::kinds::Kind;
use super::response::{Refusal, Response, switching};
use super::spdy::{self, Served};
use super::store::Key;
use super::world::{World, hex, words};
use kube_tunnel::frame;

/// The version of the protocol (`apimachinery/pkg/util/remotecommand/constants.go`).
const V4: &str = "v4.channel.k8s.io";

/// The image without any program besides its own.
const BARE: &str = "practice/echo";

/// The longest line that the shell takes.
const MAX_LINE: usize = 4096;

/// The exit code of that script where there is no tar (`src/shell/copy/unpack.sh`).
const NO_TAR: i32 = 70;

const HELP: &str = "echo WORDS, ls, pwd, hostname, cat (what you type), stty size, env, help, exit [CODE]\n";

/// The command of a request, and the pod it is for.
pub(super) struct Exec {
    pub command: Vec<String>,
    pub tty: bool,
    /// It joins the container's own process, which ends with its input.
    attached: Option<Attached>,
    /// The image of its container.
    image: String,
    /// The number of streams that the client opens.
    pub streams: usize,
    pod: Arc<Value>,
}

/// Answers a request to run a command, and serves what it is upgraded to. `query` has its parameters in order.
pub(super) fn answer(
    world: &Arc<World>,
    (kind, key): (&Kind, &Key),
    attaches: bool,
    mut request: Request<Incoming>,
    query: &[(String, String)],
) -> Result<Response, Refusal> {
    let pod = world.store.get(key).ok_or_else(|| Refusal::no_such(kind, &key.name))?;
    let all = |name: &'static str| query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.clone());
    let command: Vec<String> = all("command").collect();
    if command.is_empty() && !attaches {
        return Err(Refusal::bad("you must specify at least 1 command for the container"));
    }
    let name = all("container").next();
    let is_meant = |container: &&Value| name.as_ref().is_none_or(|name| container["name"] == name.as_str());
    let Some(container) = debug::containers(&pod).find(is_meant) else {
        let name = name.unwrap_or_default();
        return Err(Refusal::bad(format!("container {name} is not valid for pod {}", key.name)));
    };
    let (container, image) = (words(&container["name"]).to_owned(), words(&container["image"]).to_owned());
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("SPDY/3.1") {
        return Err(Refusal::bad("Upgrade request required"));
    }
    let is_on = |name: &'static str| all(name).any(|value| value == "true");
    // The error stream besides, and with a terminal that of its size.
    let streams = 1 + ["stdin", "stdout", "stderr", "tty"].into_iter().filter(|name| is_on(name)).count();
    let joins = || Attached { world: Arc::clone(world), key: key.clone(), container };
    let exec = Exec { command, tty: is_on("tty"), attached: attaches.then(joins), image, streams, pod };
    let upgraded = hyper::upgrade::on(&mut request);
    world.spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            spdy::serve(TokioIo::new(upgraded), Served::Exec(Arc::new(exec))).await;
        }
    });
    let protocol = header::HeaderName::from_static("x-stream-protocol-version");
    Ok(switching(&[(header::UPGRADE, "SPDY/3.1"), (protocol, V4)]))
}

/// The streams of a command that have been opened so far.
#[derive(Default)]
pub(super) struct Opened {
    count: usize,
    streams: Streams,
}

/// The streams of a process: numbers of those that are written, and what comes on the others.
#[derive(Default)]
pub(super) struct Streams {
    error: u32,
    stdout: u32,
    stdin: Option<mpsc::Receiver<Bytes>>,
    resize: Option<mpsc::Receiver<Bytes>>,
}

impl Opened {
    /// Takes a stream in. Returns all of them once they are complete.
    pub(super) fn take(
        &mut self,
        kind: &str,
        stream: u32,
        from_client: Option<mpsc::Receiver<Bytes>>,
        exec: &Exec,
    ) -> Option<Streams> {
        match kind {
            "error" => self.streams.error = stream,
            "stdout" => self.streams.stdout = stream,
            "stdin" => self.streams.stdin = from_client,
            "resize" => self.streams.resize = from_client,
            _ => {}
        }
        self.count += 1;
        (self.count == exec.streams).then(|| std::mem::take(&mut self.streams))
    }
}

/// Keeps the size of the client's terminal.
async fn follow_size(resize: Option<mpsc::Receiver<Bytes>>, sizes: watch::Sender<(u16, u16)>) {
    let Some(mut resize) = resize else { return std::future::pending().await };
    while let Some(bytes) = resize.recv().await {
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let number = |name: &str| said[name].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or_default();
        sizes.send_replace((number("Width"), number("Height")));
    }
    std::future::pending::<()>().await;
}

impl Exec {
    /// Runs the command to its end, which the error stream tells.
    pub(super) async fn run(&self, streams: Streams, out: mpsc::Sender<Bytes>) {
        let Streams { error, stdout, stdin, resize } = streams;
        let (sizes, size) = watch::channel((0, 0));
        if self.image.starts_with(BARE) && self.attached.is_none() {
            return self.tell(&out, error, stdout, &self.missing()).await;
        }
        let mut shell = Shell { exec: self, stdin, stdout, size, out: out.clone(), line: Vec::new() };
        let code = tokio::select! {
            // The shell knows a size that came before a line.
            biased;
            () = follow_size(resize, sizes) => return,
            code = shell.run() => code,
        };
        let status = if code == 0 {
            json!({ "metadata": {}, "status": "Success" })
        } else {
            json!({
                "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                "message": format!("command terminated with non-zero exit code: exit status {code}"),
                "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
            })
        };
        self.tell(&out, error, stdout, &status).await;
    }

    /// Returns the words of a node whose container lacks the program.
    fn missing(&self) -> Value {
        let program = self.command.first().map_or("sh", String::as_str);
        let message = format!(
            "Internal error occurred: error executing command in container: failed to exec in container: failed to start \
             exec \"{}\": OCI runtime exec failed: exec failed: unable to start container process: exec: \"{program}\": \
             executable file not found in $PATH: unknown",
            hex(64)
        );
        json!({ "metadata": {}, "status": "Failure", "reason": "InternalError", "message": message })
    }

    /// Tells the end, and ends the output.
    async fn tell(&self, out: &mpsc::Sender<Bytes>, error: u32, stdout: u32, status: &Value) {
        let status = status.to_string();
        let mut last = BytesMut::new();
        last.extend_from_slice(&frame::data_head(error, status.len(), true));
        last.extend_from_slice(status.as_bytes());
        last.extend_from_slice(&frame::data_head(stdout, 0, true));
        // The client may have left before the answer.
        let _left = out.send(last.freeze()).await;
    }
}

struct Shell<'a> {
    exec: &'a Exec,
    stdin: Option<mpsc::Receiver<Bytes>>,
    /// The number of standard output.
    stdout: u32,
    /// The columns and rows of the client's terminal.
    size: watch::Receiver<(u16, u16)>,
    out: mpsc::Sender<Bytes>,
    /// The line that is typed.
    line: Vec<u8>,
}

impl Shell<'_> {
    /// Returns the exit code.
    async fn run(&mut self) -> i32 {
        if self.exec.attached.is_some() {
            while let Some(stdin) = &mut self.stdin
                && stdin.recv().await.is_some()
            {}
            return 0;
        }
        let command: Vec<&str> = self.exec.command.iter().map(String::as_str).collect();
        match command.as_slice() {
            ["sh" | "bash", "-c", _, _, _] | ["sh" | "bash"] => self.interact().await,
            // The script of a copy: there is no tar here, and no files.
            ["sh" | "bash", "-c", _, _, _, ..] => {
                self.write("stop\n").await;
                NO_TAR
            }
            ["sh" | "bash", "-c", script] => self.obey(script).await.unwrap_or(0),
            ["cat"] => {
                self.copy().await;
                0
            }
            other => self.obey(&other.join(" ")).await.unwrap_or(0),
        }
    }

    /// Obeys lines until one of them ends it, or the input.
    async fn interact(&mut self) -> i32 {
        let tty = self.exec.tty;
        loop {
            if tty {
                self.write("$ ").await;
            }
            let Some(line) = self.read_line().await else { return 0 };
            if let Some(code) = self.obey(&line).await {
                return code;
            }
        }
    }

    /// Reads a line, with what a terminal does while it is typed; `None` at the end of the input.
    async fn read_line(&mut self) -> Option<String> {
        let tty = self.exec.tty;
        loop {
            if let Some(end) = self.line.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let piece = self.stdin.as_mut()?.recv().await;
            let Some(piece) = piece else {
                let rest = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                return (!rest.is_empty()).then_some(rest);
            };
            for byte in piece {
                match byte {
                    4 if tty && self.line.is_empty() => return None,
                    3 if tty => {
                        self.line.clear();
                        self.write("^C\n$ ").await;
                    }
                    8 | 127 if tty => {
                        if self.line.pop().is_some() {
                            self.write("\u{8} \u{8}").await;
                        }
                    }
                    _ if self.line.len() >= MAX_LINE => {}
                    byte => {
                        self.line.push(byte);
                        if tty {
                            self.echo(byte).await;
                        }
                    }
                }
            }
        }
    }

    async fn echo(&mut self, byte: u8) {
        match byte {
            b'\r' | b'\n' => self.write("\n").await,
            byte if byte >= b' ' => self.send(&[byte]).await,
            _ => {}
        }
    }

    /// Obeys a line; returns the exit code if it ends the shell.
    async fn obey(&mut self, line: &str) -> Option<i32> {
        let typed: Vec<&str> = line.split_whitespace().collect();
        let answer = match typed.as_slice() {
            [] => return None,
            ["exit"] => return Some(0),
            ["exit", code] => return Some(code.parse().unwrap_or(2) & 0xff),
            ["echo", rest @ ..] => rest.join(" ") + "\n",
            ["ls", ..] => "bin  etc  proc  tmp\n".to_owned(),
            ["pwd"] => "/\n".to_owned(),
            ["hostname"] => format!("{}\n", words(&self.exec.pod["metadata"]["name"])),
            ["env"] => format!("TERM={}\n", self.exec.command.get(4).map_or("xterm", String::as_str)),
            ["stty", "size"] if self.exec.tty => {
                // Sizes that are here by now are taken first.
                yield_now().await;
                let (columns, rows) = *self.size.borrow();
                format!("{rows} {columns}\n")
            }
            ["cat"] => {
                self.copy().await;
                return None;
            }
            ["help"] => HELP.to_owned(),
            [name, ..] => {
                self.write(&format!("sh: {name}: not found (help lists what there is)\n")).await;
                return (!self.interacts()).then_some(127);
            }
        };
        self.write(&answer).await;
        None
    }

    /// Returns whether lines follow.
    fn interacts(&self) -> bool {
        matches!(self.exec.command.len(), 1 | 5)
    }

    /// Gives back what comes, until its end, or Ctrl-D on a terminal.
    async fn copy(&mut self) {
        let left = std::mem::take(&mut self.line);
        self.send(&left).await;
        while let Some(stdin) = &mut self.stdin
            && let Some(piece) = stdin.recv().await
        {
            if self.exec.tty && piece.contains(&4) {
                return;
            }
            self.send(&piece).await;
        }
    }

    /// Writes text; on a terminal with carriage returns.
    async fn write(&mut self, text: &str) {
        let text = if self.exec.tty { text.replace('\n', "\r\n") } else { text.to_owned() };
        self.send(text.as_bytes()).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut frame = BytesMut::with_capacity(frame::HEAD + bytes.len());
        frame.extend_from_slice(&frame::data_head(self.stdout, bytes.len(), false));
        frame.extend_from_slice(bytes);
        // If the client leaves, its connection ends, and this task with it.
        let _left = self.out.send(frame.freeze()).await;
    }
}
