//! An API server that knows custom kinds: as much of one as finding their pods takes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// The answers by path (without its query).
type Answers = Arc<Mutex<Vec<(String, Value)>>>;

/// The server; its threads end with the test's process.
pub struct StandIn {
    port: u16,
    answers: Answers,
}

impl StandIn {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Answers = Arc::default();
        let known = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = Arc::clone(&known);
                std::thread::spawn(move || serve(stream, &known));
            }
        });
        Self { port, answers }
    }

    /// Sets the answer of a path.
    pub fn answer(&self, path: &str, body: Value) {
        self.answers.lock().unwrap().push((path.to_owned(), body));
    }

    /// A kubeconfig whose only context, `custom`, is this server.
    pub fn kubeconfig(&self, dir: &Path) -> PathBuf {
        let path = dir.join("kubeconfig");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "custom",
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://127.0.0.1:{}", self.port) } }],
            "users": [{ "name": "u", "user": {} }],
            "contexts": [{ "name": "custom", "context": { "cluster": "c", "user": "u", "namespace": "team" } }],
        });
        std::fs::write(&path, text.to_string()).unwrap();
        path
    }
}

/// One request a connection. A watch is held open and says nothing.
fn serve(mut stream: TcpStream, answers: &Answers) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    let mut line = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        line.clear();
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let wanted = query.split('&').find(|part| part.starts_with("labelSelector=") || part.starts_with("fieldSelector="));
    let exact = format!("{path}?{}", wanted.unwrap_or_default());
    let (status, body) = {
        let known = answers.lock().unwrap();
        let of = |wanted: &str| known.iter().find(|(path, _)| path == wanted).map(|(_, body)| body.clone());
        if let Some(body) = of(&exact).or_else(|| of(path)) {
            ("200 OK", body)
        } else {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
                "message": format!("{target} is not here"),
            });
            ("404 Not Found", status)
        }
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    if query.contains("watch=") {
        // Until the other end goes.
        let _ = write!(stream, "{head}\r\n");
        let _ = reader.read_line(&mut line);
        return;
    }
    let body = body.to_string();
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}
