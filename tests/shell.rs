//! Shells in pods: bytes both ways, exit codes, the terminal lent and given back, whatever ends the session.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "shell/cp.rs"]
mod cp;
#[path = "shell/debug.rs"]
mod debug;
#[path = "shell/node.rs"]
mod node;
#[path = "shell/terminal.rs"]
mod terminal;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::arrange::{Kubeconfig, Wire};
use common::kube::{Namespace, kubeconfig, kubectl, until};
use common::{Home, Screen, Start};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A pod with one container that has a shell, and one with two, for the tests that leave them alone.
struct Pods {
    namespace: Namespace,
}

/// A container that sleeps.
fn container(name: &str) -> Value {
    json!({ "name": name, "image": "alpine/socat:latest", "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"] })
}

fn pod(name: &str, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|name| container(name)).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false, "containers": containers },
    })
}

fn create(namespace: &str, pods: &[Value]) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": pods }).to_string();
    let config = kubeconfig();
    let mut child = Command::new("kubectl")
        .args([
            "--kubeconfig",
            config.to_str().unwrap(),
            "--context",
            "brow-admin",
            "-n",
            namespace,
            "create",
            "-f",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    kubectl(&["-n", namespace, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s"]);
}

impl Pods {
    fn new(stem: &str, pods: &[Value]) -> Self {
        let namespace = Namespace::new(stem);
        if !pods.is_empty() {
            create(&namespace.0, pods);
        }
        Self { namespace }
    }

    /// The options that say where: those of the test cluster's admin.
    fn place(&self) -> [String; 4] {
        ["--context", "brow-admin", "--namespace", &self.namespace.0].map(str::to_owned)
    }

    /// A session between pipes.
    fn command(&self, home: &Home, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
        command.env("KUBECONFIG", kubeconfig()).arg("shell").args(self.place()).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs such a session with that input to its end.
    fn run(&self, home: &Home, args: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(home, args).spawn().unwrap();
        feed(&mut child, input.to_vec());
        child.wait_with_output().unwrap()
    }

    /// A session on a terminal.
    fn screen(&self, home: &Home, kubeconfig: PathBuf, args: &[&str]) -> Screen {
        let start = Start::new(home).kubeconfig(kubeconfig).size(90, 30).arg("shell");
        let place = self.place();
        place.iter().map(String::as_str).chain(args.iter().copied()).fold(start, Start::arg).run()
    }
}

/// Writes the input while the output is read.
fn feed(child: &mut Child, input: Vec<u8>) {
    let mut stdin = child.stdin.take().unwrap();
    std::thread::spawn(move || {
        // A program that has ended takes no more.
        _ = stdin.write_all(&input);
    });
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Bytes of every value, which no terminal leaves alone.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    (0..length / 4).flat_map(|_| next()).collect()
}

/// The lines of the audit log about sessions.
fn audit(home: &Home) -> Vec<Value> {
    audit_of(home, "-shell")
}

/// The lines of the audit log whose action ends so.
fn audit_of(home: &Home, action: &str) -> Vec<Value> {
    let dir = home.path().join(".local/state/brow/audit");
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let text: String = files.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["action"].as_str().unwrap().ends_with(action)).collect()
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn pipes_carry_every_byte_and_the_exit_code() {
    let (pods, home) = (Pods::new("pipe", &[pod("one", &["main"])]), Home::new(""));
    let run = |rest: &[&str], input: &[u8]| pods.run(&home, &[&["pod/one"], rest].concat(), input);

    let all: Vec<u8> = (0..=255).chain(*b"\r\n~.\r\n").collect();
    let output = run(&["--", "cat"], &all);
    assert_eq!((output.status.code(), output.stdout), (Some(0), all), "{}", text(&output.stderr));

    // Both ways at once, by far more than any buffer holds.
    let much = noise(32 << 20);
    let output = run(&["--", "cat"], &much);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), much.len()), "{}", text(&output.stderr));
    assert_eq!(hash(&output.stdout), hash(&much));

    let output = run(&["--", "sh", "-c", "yes | head -c 67108864"], b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 64 << 20), "{}", text(&output.stderr));
    assert!(output.stdout.chunks(2).all(|line| line == b"y\n"));

    a_gigabyte_takes_little_memory(&pods, &home);

    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        assert_eq!(run(&["--", "sh", "-c", script], b"").status.code(), Some(code), "{script}");
    }
    let output = run(&["--", "sh", "-c", "echo out; echo err >&2"], b"");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("out\n".to_owned(), "err\n".to_owned()));
    let odd = "a  b; $(id) 'ü'\n\"&container=x";
    let output = run(&["--", "sh", "-c", "printf %s \"$1\"", "sh", odd], b"");
    assert_eq!(text(&output.stdout), odd);
    // A script for the shell itself.
    let output = run(&[], b"echo $((6 * 7))\nexit 3\n");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "42\n".to_owned()));
}

/// A reader that is slower than the cluster holds the cluster up, not the memory.
fn a_gigabyte_takes_little_memory(pods: &Pods, home: &Home) {
    let mut child = pods.command(home, &["pod/one", "--", "sh", "-c", "yes | head -c 1073741824"]).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (mut total, mut space) = (0, vec![0; 1 << 20]);
    let mut peak = String::new();
    while total < 1 << 30 {
        let count = output.read(&mut space).unwrap();
        assert_ne!(count, 0, "it ends after {total} bytes");
        assert!(space[..count].iter().all(|byte| b"y\n".contains(byte)));
        total += count;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        peak = status.lines().find(|line| line.starts_with("VmHWM")).map_or(peak, str::to_owned);
    }
    assert_eq!((output.read(&mut space).unwrap(), total), (0, 1 << 30));
    assert!(child.wait().unwrap().success());
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 200 << 10, "{peak}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_session_that_cannot_be_says_why() {
    let all = [pod("one", &["main"]), pod("two", &["left", "right"])];
    let (pods, home) = (Pods::new("why", &all), Home::new(""));
    let fails = |args: &[&str], code: i32, words: &[&str]| {
        let output = pods.run(&home, args, b"");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(words.iter().all(|words| said.contains(words)), "{args:?}: {said}");
    };
    fails(&["pod/two", "--", "true"], 2, &["left, right", "-c"]);
    fails(&["pod/two", "-c", "middle", "--", "true"], 3, &["middle", "left, right"]);
    fails(&["pod/on", "--", "true"], 1, &["pod/on", "one"]);
    fails(&["deploy/none", "--", "true"], 1, &["deployment/none"]);
    fails(&["nothing"], 3, &["nothing"]);
    fails(&["pod/one", "--shell", "/no/shell"], 127, &["--shell"]);
    let host = |args: &[&str]| text(&pods.run(&home, &[args, &["--", "hostname"]].concat(), b"").stdout);
    assert_eq!(host(&["pod/two", "-c", "right"]), "two\n");
    assert_eq!(host(&["selector/app=two", "-c", "left"]), "two\n");

    // Without the right to it, with the Role that grants it.
    let person = pods.namespace.kubeconfig(&home);
    let mut command = Command::new(env!("CARGO_BIN_EXE_brow-tui"));
    command.env_clear().env("HOME", home.path()).env("KUBECONFIG", person).args(["shell", "pod/one", "--", "true"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no right to create pods/exec") && said.contains(&pods.namespace.0), "{said}");
}

/// Waits for the shell's prompt and types a line.
fn type_line(screen: &mut Screen, line: &str) {
    screen.wait("a prompt", |text| text.trim_end().ends_with(['#', '$']));
    screen.press(&format!("{line}\r"));
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_terminal_is_the_shells_and_given_back() {
    let (pods, home) = (Pods::new("tty", &[pod("one", &["main"])]), Home::new(""));
    let mut screen = pods.screen(&home, kubeconfig(), &["pod/one"]);
    screen.wait_for("~. after Enter leaves");
    type_line(&mut screen, "until stty size | grep '30 90'; do :; done; echo $TERM");
    screen.wait_for("30 90\nxterm-256color");
    screen.resize(70, 20);
    type_line(&mut screen, "until stty size | grep '20 70'; do :; done; echo $((6*7))");
    screen.wait_for("20 70\n42");
    screen.press("~?");
    screen.wait_for("~.       leave the session");
    screen.press("\r");
    type_line(&mut screen, "vi /tmp/x");
    screen.wait_for("- /tmp/x 1/1 100%");
    screen.press("ihello\x1b");
    screen.wait("the end of the insertion", |text| text.contains("- /tmp/x") && text.contains("hello"));
    screen.press(":wq\r");
    type_line(&mut screen, "cat /tmp/x; exit 5");
    assert_eq!(screen.wait_end().exit_code(), 5, "{}", screen.text());
    assert!(screen.given_back() && screen.text().contains("hello"), "{}", screen.text());

    // Left, with what the program there had switched on.
    let mut screen =
        pods.screen(&home, kubeconfig(), &["pod/one", "--", "sh", "-c", "printf '\\033[?1049h\\033[?25lfull'; cat"]);
    screen.wait("the whole screen", |text| text.trim() == "full");
    screen.press("~.");
    assert!(screen.wait_end().success(), "{}", screen.text());
    assert!(screen.given_back() && screen.text().contains("Left one/main"), "{}", screen.text());

    let log = audit(&home);
    let actions: Vec<_> = log.iter().map(|line| (line["action"].clone(), line["exit_code"].clone())).collect();
    let (open, close) = (json!("open-shell"), json!("close-shell"));
    let left = (close.clone(), json!(0));
    assert_eq!(actions, [(open.clone(), Value::Null), (close, json!(5)), (open, Value::Null), left]);
    assert_eq!(
        (&log[0]["thing"], &log[0]["container"], &log[0]["cluster"]),
        (&json!("one"), &json!("main"), &json!("brow-admin"))
    );
    assert_eq!(
        (&log[0]["user"], &log[0]["command"], &log[2]["command"][0]),
        (&json!("admin"), &Value::Null, &json!("sh"))
    );
    assert!(!format!("{log:?}").contains("hello"), "nothing that was typed: {log:?}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn ten_megabytes_are_pasted() {
    let (pods, home) = (Pods::new("paste", &[pod("one", &["main"])]), Home::new(""));
    let line = "0123456789abcdef 0123456789ABCDEF ~. 0123456789 0123456789 012\n";
    let much = format!("\n~.\n{}", line.repeat((10 << 20) / line.len()));
    let script = format!("stty raw -echo; echo ready; head -c {} | sha256sum", much.len());
    let mut screen = pods.screen(&home, kubeconfig(), &["pod/one", "--", "sh", "-c", &script]);
    screen.wait_for("ready");
    screen.press(&much);
    screen.wait_for(&hash(much.as_bytes()));
    assert!(screen.wait_end().success());
    assert!(screen.given_back(), "{}", screen.text());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn whatever_ends_a_session_the_terminal_is_given_back() {
    let all = ["cut", "silent", "deleted", "killed", "term"].map(|name| pod(name, &["main"]));
    let (pods, home) = (Pods::new("ends", &all), Home::new(""));
    let (wire, config) = through_wire(&home);
    let open = |name: &str, config: PathBuf| {
        let mut screen = pods.screen(&home, config, &[&format!("pod/{name}")]);
        type_line(&mut screen, "echo $((6*7))");
        screen.wait_for("42");
        screen
    };
    let ends = |mut screen: Screen, code: u32, words: &str| {
        assert_eq!(screen.wait_end().exit_code(), code, "{}", screen.text());
        assert!(screen.given_back() && screen.text().contains(words), "{words}: {}", screen.text());
    };

    let screen = open("cut", config.clone());
    wire.cut();
    ends(screen, 1, "Connection to cut/main lost");
    wire.clear();

    // Nothing ends, and nothing arrives any more.
    let mut screen = open("silent", config);
    wire.stall();
    screen.press("x");
    ends(screen, 1, "Connection to silent/main lost");
    wire.clear();

    let screen = open("deleted", kubeconfig());
    kubectl(&["-n", &pods.namespace.0, "delete", "pod", "deleted", "--wait=false"]);
    // The node tells what became of the shell, or that its container is gone.
    assert!([1, 137].contains(&{ screen }.wait_end().exit_code()));

    let screen = open("killed", kubeconfig());
    screen.signal(rustix::process::Signal::TERM);
    ends(screen, 143, "");

    // The terminal's window is closed.
    let screen = open("term", kubeconfig());
    let pid = screen.pid();
    drop(screen);
    until("the program has ended", || !std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
}

/// A kubeconfig whose way to the test cluster is a wire.
fn through_wire(home: &Home) -> (Wire, PathBuf) {
    let all = Kubeconfig::of_cluster(&kubeconfig());
    let server = all.server();
    let address = server.trim_start_matches("https://");
    let wire = Wire::to(address);
    let changes = json!({ "server": format!("https://{}", wire.address) });
    let path =
        all.cluster("wire", &changes).context("brow-admin", "wire", "admin", "default").write(&home.path().join("kc"));
    (wire, path)
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_dashboard_lists_sessions_and_ends_them() {
    let (pods, home) = (Pods::new("list", &[pod("one", &["main"])]), Home::new(""));
    let mut session = pods.screen(&home, kubeconfig(), &["pod/one"]);
    type_line(&mut session, "echo $((6*7))");
    session.wait_for("42");
    home.write_config("[[target]]\nname = \"web\"\ncluster = \"brow-down\"\naddress = \"10.0.0.1:80\"\n");
    let mut dashboard = Start::new(&home).kubeconfig(kubeconfig()).size(100, 30).run();
    dashboard.wait_for("10.0.0.1:80");
    // It hears of the session a moment after it starts.
    until("the list of sessions", || {
        dashboard.press("W");
        dashboard.look(Duration::from_millis(100));
        dashboard.text().contains("Shells: 1")
    });
    dashboard.wait("the session", |text| text.contains("one/main") && text.contains("IDLE"));
    dashboard.press("x");
    dashboard.wait_gone("one/main");
    assert_eq!(session.wait_end().exit_code(), 143);
    assert!(session.given_back() && session.text().contains("ended from another"), "{}", session.text());
    common::arrange::quit(dashboard);
}
