//! Something between the program and the API server: `kubectl proxy`, and in front of it a gateway that can drop what a
//! node would have to answer, or the wish for an upgrade to the pod.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::Home;
use crate::common::kube::{Namespace, kubeconfig};

/// The behavior of the gateway.
#[derive(Default)]
pub struct Behavior {
    /// Nothing that goes through a node gets on.
    pub stuck_nodes: AtomicBool,
    /// The pod proxy is asked without the upgrade.
    pub strips: AtomicBool,
    /// Requests of the pod proxy so far.
    pub asked: AtomicUsize,
}

/// A gateway, which ends with the test.
pub struct Gateway {
    pub behavior: Arc<Behavior>,
    address: SocketAddr,
    kubectl: Child,
}

impl Gateway {
    pub fn new() -> Self {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(kubeconfig()).args(["--context", "brow-admin", "proxy", "--port=0"]);
        let mut kubectl = kubectl.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(kubectl.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let upstream: SocketAddr = line.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (behavior, address) = (Arc::new(Behavior::default()), listener.local_addr().unwrap());
        let of_connections = Arc::clone(&behavior);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let behavior = Arc::clone(&of_connections);
                thread::spawn(move || pass(client, upstream, &behavior));
            }
        });
        Self { behavior, address, kubectl }
    }

    /// A kubeconfig whose only context, `story`, leads here.
    pub fn kubeconfig(&self, home: &Home, space: &Namespace) -> PathBuf {
        let path = home.path().join("gateway");
        let (address, namespace) = (self.address, &space.0);
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: story\n\
             clusters: [{{ name: c, cluster: {{ server: 'http://{address}' }} }}]\nusers: [{{ name: u, user: {{}} }}]\n\
             contexts: [{{ name: story, context: {{ cluster: c, user: u, namespace: {namespace} }} }}]\n"
        );
        std::fs::write(&path, config).unwrap();
        path
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ended = (self.kubectl.kill(), self.kubectl.wait());
    }
}

fn pass(mut client: TcpStream, upstream: SocketAddr, behavior: &Arc<Behavior>) {
    let mut server = TcpStream::connect(upstream).unwrap();
    let [mut back_to, mut back_from] = [&client, &server].map(|socket| socket.try_clone().unwrap());
    let through_node = Arc::new(AtomicBool::new(false));
    let hold = |behavior: &Behavior, through_node: &AtomicBool| {
        while through_node.load(Ordering::Relaxed) && behavior.stuck_nodes.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
    };
    let (of_back, behaves) = (Arc::clone(&through_node), Arc::clone(behavior));
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = back_from.read(&mut buffer) {
            hold(&behaves, &of_back);
            if back_to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ended = back_to.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        // A request arrives whole: it is written at once.
        let mut bytes = buffer[..count].to_vec();
        let line = String::from_utf8_lossy(bytes.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        through_node.fetch_or(line.contains("/portforward") && line.ends_with("HTTP/1.1"), Ordering::Relaxed);
        if line.contains("/proxy/ ") && line.ends_with(" HTTP/1.1") {
            behavior.asked.fetch_add(1, Ordering::Relaxed);
            if behavior.strips.load(Ordering::Relaxed) {
                let text = String::from_utf8(bytes).unwrap();
                let kept = |line: &&str| !line.to_ascii_lowercase().starts_with("upgrade:");
                let lines: Vec<&str> = text.split("\r\n").filter(kept).collect();
                bytes = lines.join("\r\n").replace("connection: Upgrade", "connection: close").into_bytes();
            }
        }
        hold(behavior, &through_node);
        if server.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ended = server.shutdown(Shutdown::Both);
}
