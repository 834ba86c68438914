//! The API of the test cluster over plain HTTP, and a server in front of it that records what is asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::arrange::Answer;
use super::kube::kubeconfig;

/// The number of objects that are created at a time.
const AT_ONCE: usize = 8;

/// The API as the admin has it, by `kubectl proxy`: with it go subresources that an old kubectl does not know.
pub struct PlainApi {
    proxy: Child,
    address: String,
}

impl PlainApi {
    pub fn new() -> Self {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(kubeconfig()).args(["--context", "brow-admin", "proxy", "--port=0"]);
        let mut proxy = kubectl
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("kubectl, from the package kubernetes-client");
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { proxy, address }
    }

    /// Sends a request, which has to succeed. Returns the answer's body.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> String {
        let (code, body) = self.exchange(method, path, body);
        assert!((200..300).contains(&code), "{method} {path}: {code} {body}");
        body
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let (address, body) = (&self.address, body.to_string());
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: {kind}\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Creates config maps in a namespace, which are named by a stem and a number.
    pub fn create_config_maps(&self, namespace: &str, stem: &str, count: usize) {
        let (path, next) = (config_maps(namespace), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        let labels = json!({ "app": stem, "team": format!("team-{:02}", number % 40) });
                        let meta = json!({ "name": format!("{stem}-{number:05}"), "labels": labels });
                        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta });
                        self.send("POST", &path, &object);
                    }
                });
            }
        });
    }

    /// Deletes all config maps of a namespace.
    pub fn delete_config_maps(&self, namespace: &str) {
        let path = config_maps(namespace);
        // Of many of them a server deletes as many as it can in a minute.
        while self.exchange("DELETE", &path, &json!({})).0 == 504 {}
        self.send("DELETE", &path, &json!({}));
    }
}

fn config_maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

impl Drop for PlainApi {
    fn drop(&mut self) {
        // One that has ended can't be killed again.
        let _ended = self.proxy.kill();
        let _status = self.proxy.wait();
    }
}

/// Returns the resident memory of a process in KiB (proc(5)).
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A server that hands everything on to the API but what it answers itself.
pub struct Front {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Front {
    pub fn new(api: &PlainApi, answer: impl Fn(&str, &str) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let (log, upstream) = (Arc::clone(&asked), api.address.clone());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (log, answer, upstream) = (Arc::clone(&log), Arc::clone(&answer), upstream.clone());
                thread::spawn(move || serve(near, &upstream, &log, &*answer));
            }
        });
        Self { url, asked }
    }

    /// Method and path of all that was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Serves one request, after which the connection ends; `None` if the client says none.
fn serve(
    mut near: TcpStream,
    upstream: &str,
    log: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str, &str) -> Option<Answer>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        near.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).ok()?;
    let mut words = text.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    log.lock().unwrap().push(format!("{method} {path}"));
    if let Some((code, body)) = answer(method, path) {
        let body = body.to_string();
        let head = format!("HTTP/1.1 {code} X\r\nconnection: close\r\ncontent-type: application/json\r\n");
        return write!(near, "{head}content-length: {}\r\n\r\n{body}", body.len()).ok();
    }
    let mut far = TcpStream::connect(upstream).ok()?;
    let upgrades = text.to_ascii_lowercase().contains("\r\nconnection: upgrade");
    let end = if upgrades { "\r\n" } else { "Connection: close\r\n\r\n" };
    far.write_all((text.trim_end_matches("\r\n").to_owned() + "\r\n" + end).as_bytes()).ok()?;
    let (mut near_too, mut far_too) = (near.try_clone().ok()?, far.try_clone().ok()?);
    let up = thread::spawn(move || {
        // Either end may go first.
        let _count = std::io::copy(&mut near_too, &mut far_too);
        let _gone = far_too.shutdown(std::net::Shutdown::Write);
    });
    let _count = std::io::copy(&mut far, &mut near);
    let _gone = near.shutdown(std::net::Shutdown::Both);
    up.join().ok()
}
