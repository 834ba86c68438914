//! Helpers for tests of faults: kubeconfigs of their own, an API server that fails in a certain way, the clipboard.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kube::{until, until_within};
use super::{Screen, Start, TIMEOUT};

/// A kubeconfig that is put together from the test cluster's and other parts.
pub struct Kubeconfig {
    clusters: BTreeMap<String, Value>,
    users: BTreeMap<String, Value>,
    contexts: Vec<Value>,
}

impl Kubeconfig {
    /// One without anything.
    pub fn empty() -> Self {
        Self { clusters: BTreeMap::new(), users: BTreeMap::new(), contexts: Vec::new() }
    }

    /// One with the test cluster (`brow`) and its users (`admin` and others), but without contexts.
    pub fn of_cluster(path: &Path) -> Self {
        let output = Command::new("kubectl")
            .args(["config", "view", "--raw", "-o", "json", "--kubeconfig"])
            .arg(path)
            .output()
            .unwrap();
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        let named = |list: &str, inner: &str| {
            let of = |entry: &Value| (entry["name"].as_str().unwrap().to_owned(), entry[inner].clone());
            all[list].as_array().unwrap().iter().map(of).collect()
        };
        Self { clusters: named("clusters", "cluster"), users: named("users", "user"), contexts: Vec::new() }
    }

    /// Adds a cluster of that name: the test cluster's entry with `changes`; null takes a key away.
    pub fn cluster(mut self, name: &str, changes: &Value) -> Self {
        let mut cluster = self.clusters.get("brow").cloned().unwrap_or_else(|| json!({}));
        for (key, value) in changes.as_object().unwrap() {
            cluster[key] = value.clone();
        }
        cluster.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.clusters.insert(name.to_owned(), cluster);
        self
    }

    pub fn user(mut self, name: &str, user: Value) -> Self {
        self.users.insert(name.to_owned(), user);
        self
    }

    /// Adds a user who logs in by a shell script, as EKS and GKE have it.
    pub fn plugin(self, name: &str, script: &Path, env: &[(&str, &str)]) -> Self {
        let env: Vec<Value> = env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": script,
            "env": env,
            "installHint": "Get it from https://example.com/login-helper",
            "interactiveMode": "IfAvailable",
        });
        self.user(name, json!({ "exec": exec }))
    }

    pub fn context(mut self, name: &str, cluster: &str, user: &str, namespace: &str) -> Self {
        let context = json!({ "cluster": cluster, "user": user, "namespace": namespace });
        self.contexts.push(json!({ "name": name, "context": context }));
        self
    }

    pub fn token(&self, user: &str) -> String {
        self.users[user]["token"].as_str().unwrap().to_owned()
    }

    /// The certificate of the test cluster's authority, in base64.
    pub fn authority(&self) -> String {
        self.clusters["brow"]["certificate-authority-data"].as_str().unwrap().to_owned()
    }

    pub fn server(&self) -> String {
        self.clusters["brow"]["server"].as_str().unwrap().to_owned()
    }

    /// Writes it; JSON is YAML.
    pub fn write(&self, path: &Path) -> PathBuf {
        let list = |of: &BTreeMap<String, Value>, inner: &str| -> Vec<Value> {
            of.iter().map(|(name, value)| json!({ "name": name, inner: value })).collect()
        };
        let all = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": list(&self.clusters, "cluster"),
            "users": list(&self.users, "user"),
            "contexts": self.contexts,
        });
        std::fs::write(path, all.to_string()).unwrap();
        path.to_owned()
    }
}

/// Writes a shell script that can be run, in one step.
///
/// A child writes it: a process that another test forks meanwhile would inherit the open descriptor, and a file that is
/// open for writing cannot be run.
pub fn script(path: &Path, text: &str) -> PathBuf {
    let write = r#"printf '%s\n' '#!/bin/sh' "$2" >"$1.new" && chmod 755 "$1.new" && mv "$1.new" "$1""#;
    assert!(Command::new("sh").args(["-c", write, "sh"]).arg(path).arg(text).status().unwrap().success());
    path.to_owned()
}

/// Returns the last text that was put into the clipboard (OSC 52).
pub fn clipboard(raw: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(raw);
    let (_, last) = text.rsplit_once("\x1b]52;c;")?;
    let end = last.find(['\x07', '\x1b'])?;
    Some(String::from_utf8(STANDARD.decode(&last[..end]).unwrap()).unwrap())
}

/// A TCP proxy between the program and an API server, with weather.
pub struct Wire {
    pub address: SocketAddr,
    weather: Arc<AtomicU8>,
    /// The number of its open connections.
    carried: Arc<AtomicUsize>,
    /// The number of times that it forgot all of them.
    forgot: Arc<AtomicUsize>,
}

const CLEAR: u8 = 0;
const STALLED: u8 = 1;
const CUT: u8 = 2;
const OVER: u8 = 3;
/// The interval at which a connection reads the mode.
const LOOK: Duration = Duration::from_millis(20);

impl Wire {
    pub fn to(upstream: &str) -> Self {
        let upstream: SocketAddr = upstream.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let weather = Arc::new(AtomicU8::new(CLEAR));
        let carried = Arc::new(AtomicUsize::new(0));
        let forgot = Arc::new(AtomicUsize::new(0));
        let (seen, count, forgets) = (Arc::clone(&weather), Arc::clone(&carried), Arc::clone(&forgot));
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (weather, count, forgot) = (Arc::clone(&seen), Arc::clone(&count), Arc::clone(&forgets));
                let born = forgot.load(Ordering::SeqCst);
                count.fetch_add(1, Ordering::SeqCst);
                match weather.load(Ordering::SeqCst) {
                    OVER => return,
                    CUT => {
                        drop(near);
                        count.fetch_sub(1, Ordering::SeqCst);
                    }
                    _ => drop(thread::spawn(move || {
                        carry(near, upstream, &weather, move || forgot.load(Ordering::SeqCst) > born);
                        count.fetch_sub(1, Ordering::SeqCst);
                    })),
                }
            }
        });
        Self { address, weather, carried, forgot }
    }

    /// Nothing moves any more, and no connection ends.
    pub fn stall(&self) {
        self.weather.store(STALLED, Ordering::SeqCst);
    }

    /// Swallows what is sent over the existing connections, as a NAT does that has forgotten them. New ones work.
    pub fn forget(&self) {
        self.forgot.fetch_add(1, Ordering::SeqCst);
    }

    /// Every connection ends, and new ones do at once. Nothing that is sent after this gets through.
    pub fn cut(&self) {
        self.weather.store(CUT, Ordering::SeqCst);
        until("every connection has ended", || self.carried.load(Ordering::SeqCst) == 0);
    }

    pub fn clear(&self) {
        self.weather.store(CLEAR, Ordering::SeqCst);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.weather.store(OVER, Ordering::SeqCst);
        // Wakes the listener up.
        let _woken = TcpStream::connect(self.address);
    }
}

fn carry(
    near: TcpStream,
    upstream: SocketAddr,
    weather: &Arc<AtomicU8>,
    forgotten: impl Fn() -> bool + Clone + Send + 'static,
) {
    while weather.load(Ordering::SeqCst) == STALLED {
        thread::sleep(LOOK);
    }
    let Ok(far) = TcpStream::connect(upstream) else { return };
    let (near_too, far_too, weather_too) = (near.try_clone().unwrap(), far.try_clone().unwrap(), Arc::clone(weather));
    let forgotten_too = forgotten.clone();
    let back = thread::spawn(move || one_way(far_too, near_too, &weather_too, forgotten_too));
    one_way(near, far, weather, forgotten);
    back.join().unwrap();
}

fn one_way(mut from: TcpStream, mut to: TcpStream, weather: &Arc<AtomicU8>, forgotten: impl Fn() -> bool) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut buffer = [0; 16_384];
    loop {
        let read = from.read(&mut buffer);
        // What came while it was stalled waits.
        while weather.load(Ordering::SeqCst) == STALLED {
            thread::sleep(LOOK);
        }
        if matches!(weather.load(Ordering::SeqCst), CUT | OVER) {
            break;
        }
        match read {
            Ok(0) => break,
            Ok(_) if forgotten() => {}
            Ok(count) if to.write_all(&buffer[..count]).is_err() => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    // Whichever way is over first takes the other along: no test here needs half a connection.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// A plain HTTP server that plays an API server: it has a version, no pods, and answers everything else as told.
pub struct FakeApi {
    pub url: String,
    /// Method and path of what was asked.
    pub asked: Arc<Mutex<Vec<String>>>,
}

/// The answer of a server to a request that it refuses: the status and the body.
pub type Answer = (u16, Value);

/// A `Status` as API servers answer with.
pub fn status(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (code, body)
}

impl FakeApi {
    pub fn new(answer: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || while serve(&stream, &log, &*answer).is_some() {});
            }
        });
        Self { url, asked }
    }
}

/// Answers one request; `None` once there are no more.
fn serve(stream: &TcpStream, log: &Mutex<Vec<String>>, answer: &dyn Fn(&str, &str) -> Option<Answer>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length = lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    log.lock().unwrap().push(format!("{method} {path}"));
    if path.contains("watch=") {
        write!(&*stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            .ok()?;
        // Nothing ever happens there.
        let _ended = (&*stream).read(&mut [0; 1]);
        return None;
    }
    let (code, body) = answer(method, path).unwrap_or_else(|| match path {
        "/version" => (
            200,
            json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "", "gitTreeState":
            "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "" }),
        ),
        _ => {
            (200, json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] }))
        }
    });
    let body = body.to_string();
    // As API priority and fairness has it.
    let after = if code == 429 { "retry-after: 1\r\n" } else { "" };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {code} X\r\n{after}content-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    (&*stream).write_all((head + &body).as_bytes()).ok()
}

/// Words as they stand in the text, wherever the screen broke the lines. Frames don't count.
pub fn says(screen: &str, words: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !"│┃╭╮╰╯─".contains(*c)).collect::<String>();
    plain(screen).contains(&plain(words))
}

/// Waits until the screen says all of these.
#[track_caller]
pub fn wait_says(screen: &mut Screen, words: &[&str]) -> String {
    screen.wait(&format!("{words:?}"), |text| words.iter().all(|words| says(text, words)))
}

/// Waits until the screen shows that pods have gone: a kubelet may take a minute over each.
#[track_caller]
pub fn wait_deleted(screen: &mut Screen, shows: impl Fn(&str) -> bool) {
    until_within(3 * TIMEOUT, "the pods are gone", || {
        screen.look(Duration::from_millis(100));
        shows(&screen.text())
    });
}

/// Starts the practice cluster, whose folder is in `temp`, and connects it.
#[track_caller]
pub fn practice(start: Start<'_>, temp: &TempDir) -> Screen {
    let mut screen = start.arg("--practice").env("TMPDIR", temp.path().to_str().unwrap()).run();
    screen.wait_for("hello-page");
    screen.press("1");
    screen.press("/practice\r");
    screen.press("\r");
    screen.wait_for("v1.35");
    screen
}

/// Leaves by the key, where nothing is open that would be asked about.
#[track_caller]
pub fn quit(mut screen: Screen) {
    screen.press("q");
    assert!(screen.wait_end().success());
    assert!(screen.given_back());
}

/// Returns the text of the fault's dialog, if one is open.
fn dialog(screen: &str) -> Option<String> {
    let lines: Vec<Vec<char>> = screen.lines().map(|line| line.chars().collect()).collect();
    let title: Vec<char> = "╭─ Error".chars().collect();
    let find = |line: &Vec<char>| line.windows(title.len()).position(|part| part == title);
    let (top, left) = lines.iter().enumerate().find_map(|(row, line)| Some((row, find(line)?)))?;
    let right = left + lines[top][left..].iter().position(|c| *c == '╮')?;
    let inside = lines[top + 1..].iter().take_while(|line| line.get(left) != Some(&'╰'));
    Some(inside.map(|line| line.iter().take(right).skip(left + 1).collect::<String>() + "\n").collect())
}

/// Waits until the dialog of a fault says all of these.
#[track_caller]
pub fn wait_dialog(screen: &mut Screen, words: &[&str]) -> String {
    screen.wait(&format!("a dialog with {words:?}"), |text| {
        dialog(text).is_some_and(|inside| words.iter().all(|words| says(&inside, words)))
    })
}
