//! An agent's end of the protocol, line by line, and a practice cluster with targets for it.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use brow_practice::Practice;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::common::kube::{practice_get, until};
use crate::common::{Home, TIMEOUT};

/// The name that the agent gives itself, and what of it is shown.
pub const NAME: &str = "ro\u{1b}[31mbot\u{202e}\n";
pub const NAME_SHOWN: &str = "robot\u{fffd}  1";

/// Targets that agents may connect to, after asking, and not at all.
const CONFIG: &str = r#"
[cluster.practice-team]
production = true

[[target]]
name = "page"
cluster = "practice"
namespace = "shop"
address = "10.0.0.1:8080"
agent = true

[[target]]
name = "echo"
cluster = "practice"
namespace = "harbor"
address = "10.0.0.1:7"
agent = true

[[target]]
name = "redis"
cluster = "practice"
namespace = "shop"
address = "redis.practice.internal:6379"
agent = "ask"

[[target]]
name = "live-page"
cluster = "practice-team"
address = "web.shop:80"
agent = true

[[target]]
name = "nowhere"
cluster = "practice"
namespace = "no-such-namespace"
address = "10.0.0.1:80"
agent = true

[[target]]
name = "secret"
cluster = "practice"
namespace = "shop"
address = "10.0.0.1:81"
"#;

/// A home, and a practice cluster.
pub struct World {
    pub home: Home,
    pub kubeconfig: PathBuf,
    practice: Option<Practice>,
    runtime: Runtime,
}

impl World {
    pub fn new() -> Self {
        Self::with("")
    }

    /// A world whose config begins so.
    pub fn with(settings: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let practice = runtime.block_on(Practice::start()).unwrap();
        let home = Home::new(&[settings, CONFIG].concat());
        Self { home, kubeconfig: practice.kubeconfig(), practice: Some(practice), runtime }
    }

    /// The number of our pods in the cluster.
    pub fn pods(&self) -> usize {
        let path = "/api/v1/pods?labelSelector=app.kubernetes.io/managed-by%3Dbrow-tui";
        practice_get(&self.kubeconfig, path)["items"].as_array().unwrap().len()
    }

    /// The sockets of the running instances.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.home.path().join(".local/state/brow/run")).into_iter().flatten();
        let paths = files.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "sock")).collect()
    }

    /// The lines of the audit log.
    pub fn audit(&self) -> Vec<Value> {
        let files = fs::read_dir(self.home.path().join(".local/state/brow/audit")).into_iter().flatten();
        let text = files.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        text.collect::<String>().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub fn assert_nothing_is_left(&self) {
        until("the instance has ended", || self.sockets().is_empty());
        until("the pods are gone", || self.pods() == 0);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(practice) = self.practice.take() {
            let _ended = self.runtime.block_on(practice.end());
        }
    }
}

/// The command that agents start.
pub fn program(home: &Home, kubeconfig: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    command.env_clear().env("HOME", home.path()).env("PATH", std::env::var("PATH").unwrap()).env("USER", "ann");
    command.env("KUBECONFIG", kubeconfig).current_dir(home.path()).arg("mcp").stdout(Stdio::piped());
    command
}

/// An agent, and the process that it has started.
pub struct Agent {
    child: Child,
    input: Option<Box<dyn Write>>,
    lines: Receiver<String>,
    /// Messages that came while another was waited for.
    others: VecDeque<Value>,
    last: u64,
    /// The `_meta` of its requests.
    pub meta: Value,
}

impl Agent {
    pub fn start(world: &World) -> Self {
        Self::over_pipe(&mut program(&world.home, &world.kubeconfig))
    }

    pub fn over_pipe(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        Self::new(child, input)
    }

    /// An agent whose process reads what `input` leads to.
    pub fn over(command: &mut Command, input: impl Write + 'static) -> Self {
        Self::new(command.spawn().unwrap(), input)
    }

    fn new(mut child: Child, input: impl Write + 'static) -> Self {
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, input: Some(Box::new(input)), lines, others: VecDeque::new(), last: 0, meta: Value::Null }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn send(&mut self, line: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line).and_then(|()| input.write_all(b"\n")).and_then(|()| input.flush()).unwrap();
    }

    pub fn notify(&mut self, method: &str) {
        self.send(json!({ "jsonrpc": "2.0", "method": method }).to_string().as_bytes());
    }

    /// Sends a request; its id.
    pub fn request(&mut self, method: &str, mut params: Value) -> u64 {
        self.last += 1;
        if !self.meta.is_null() {
            params["_meta"] = self.meta.clone();
        }
        let request = json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params });
        self.send(request.to_string().as_bytes());
        self.last
    }

    /// The next message that is such; others are kept.
    #[track_caller]
    pub fn message(&mut self, what: &str, is_such: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.others.iter().position(&is_such) {
            return self.others.remove(at).unwrap();
        }
        let end = Instant::now() + TIMEOUT;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let message: Value = serde_json::from_str(&line).expect("nothing but JSON is written");
                    assert!(message.is_array() || message["jsonrpc"] == "2.0", "{line}");
                    if is_such(&message) {
                        return message;
                    }
                    self.others.push_back(message);
                }
                Err(RecvTimeoutError::Timeout) => panic!("never: {what}; {:?}", self.others),
                Err(RecvTimeoutError::Disconnected) => panic!("ended before: {what}; {:?}", self.others),
            }
        }
    }

    /// Returns true if a message that is such has come.
    pub fn has(&mut self, is_such: impl Fn(&Value) -> bool) -> bool {
        self.others.extend(self.lines.try_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap()));
        self.others.iter().any(is_such)
    }

    /// The answer to a request.
    #[track_caller]
    pub fn answer(&mut self, id: u64) -> Value {
        self.message(&format!("the answer to {id}"), |message| message["id"] == id && message["method"].is_null())
    }

    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        self.answer(id)
    }

    #[track_caller]
    pub fn initialize(&mut self, version: &str, capabilities: &Value) -> Value {
        let client = json!({ "name": NAME, "version": "1" });
        let params = json!({ "protocolVersion": version, "capabilities": capabilities, "clientInfo": client });
        let answer = self.ask("initialize", params);
        self.notify("notifications/initialized");
        answer["result"].clone()
    }

    /// Makes each request name the revision without sessions.
    pub fn be_stateless(&mut self, version: &str, capabilities: &Value) {
        self.meta = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": { "name": NAME, "version": "1" },
        });
    }

    /// Begins a call of a tool; its id.
    pub fn begin(&mut self, tool: &str, arguments: &Value) -> u64 {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// The structured result of a call that succeeds.
    #[track_caller]
    pub fn result(&mut self, id: u64) -> Value {
        let answer = self.answer(id);
        assert!(answer["result"]["isError"] == false, "{answer}");
        answer["result"]["structuredContent"].clone()
    }

    /// The words of a call that fails.
    #[track_caller]
    pub fn failure(&mut self, id: u64) -> String {
        let answer = self.answer(id);
        assert!(answer["result"]["isError"] == true, "{answer}");
        answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let id = self.begin(tool, arguments);
        self.result(id)
    }

    #[track_caller]
    pub fn refusal(&mut self, tool: &str, arguments: &Value) -> String {
        let id = self.begin(tool, arguments);
        self.failure(id)
    }

    /// Cancels a call.
    pub fn cancel(&mut self, id: u64) {
        let params = json!({ "requestId": id });
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        self.send(note.to_string().as_bytes());
    }

    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Ends the input, and waits for the end of the process; its exit code.
    pub fn end(mut self) -> i32 {
        self.end_input();
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended = (self.child.kill(), self.child.wait());
    }
}

/// A client that is killed when it is dropped, and with it the pipe that it writes to us through.
pub struct Client(Child);

impl Client {
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ended = (self.0.kill(), self.0.wait());
    }
}

/// An agent that writes through a process of its own.
pub fn piped(world: &World) -> (Client, Agent) {
    let mut client =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat is everywhere");
    let (pipe, input) = (client.stdout.take().unwrap(), client.stdin.take().unwrap());
    let agent = Agent::over(program(&world.home, &world.kubeconfig).stdin(pipe), input);
    (Client(client), agent)
}
