//! A server beyond the cluster, a forward to it through a proxy pod with our own relay, and connections through it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;

use crate::common::kube::{Namespace, kubectl, until};
use crate::common::{Home, TIMEOUT};
use crate::shell::{Running, Shell, address};

/// This machine's own address in the private network of the test cluster.
const PRIVATE: &str = "10.99.0.1";

/// The program's log, in its home.
const LOG: &str = "log";

/// The program's word that new connections go through the pod proxy from here on.
pub const BY_POD_PROXY: &str = "through the pod proxy to ";

/// A server on the private network, and a forward to it.
pub struct Stage {
    pub server: TcpListener,
    pub running: Running,
    pub local: String,
    /// Deleted with its pods when it is dropped.
    pub space: Namespace,
    pub home: Home,
}

impl Stage {
    pub fn new(name: &str) -> Self {
        Self::with(name, "", false)
    }

    /// With more in the target, and perhaps the right to use the pod proxy.
    pub fn with(name: &str, config: &str, pod_proxy: bool) -> Self {
        let space = Namespace::new(name);
        if pod_proxy {
            let (person, proxy) = (format!("--serviceaccount={}:person", space.0), "--resource=pods/proxy");
            kubectl(&["-n", &space.0, "create", "role", "proxy", "--verb=get", proxy]);
            kubectl(&["-n", &space.0, "create", "rolebinding", "proxy", "--role=proxy", &person]);
        }
        Self::by(config, space, |home, space| space.kubeconfig(home))
    }

    /// By a kubeconfig of its own.
    pub fn by(config: &str, space: Namespace, kubeconfig: impl FnOnce(&Home, &Namespace) -> PathBuf) -> Self {
        let server = TcpListener::bind((PRIVATE, 0)).unwrap();
        // A connection that does not come fails the test instead of holding it up.
        socket2::SockRef::from(&server).set_read_timeout(Some(TIMEOUT)).unwrap();
        let to = server.local_addr().unwrap();
        let config =
            format!("[[target]]\nname = \"db\"\ncluster = \"story\"\naddress = \"{to}\"\nrelay = \"auto\"\n{config}");
        let home = Home::new(&config);
        let shell = Shell { home: &home, kubeconfig: Some(kubeconfig(&home, &space)) };
        let logs = ["--log", LOG, "--log-levels", "debug"];
        let mut running = shell.spawn(&[&["connect", "db", "--on-quit", "delete", "--verbose"], &logs[..]].concat());
        let local = address(&running.line());
        Self { server, running, local, space, home }
    }

    /// A connection through the forward: the client's end, and the server's.
    pub fn connect(&self) -> (TcpStream, TcpStream) {
        let client = self.client();
        let (server, _) = self.server.accept().unwrap();
        server.set_read_timeout(Some(TIMEOUT)).unwrap();
        (client, server)
    }

    pub fn client(&self) -> TcpStream {
        let client = TcpStream::connect(&self.local).unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        client
    }

    /// Returns how often the program has logged this at the end of a module's name.
    pub fn logged(&self, words: &str) -> usize {
        let log = std::fs::read_to_string(self.home.path().join(LOG)).unwrap();
        log.matches(&format!(": {words}")).count()
    }

    /// Ends the program and returns its messages.
    pub fn end(self) -> String {
        self.running.signal(rustix::process::Signal::INT);
        self.running.end().1
    }

    /// With two connections, each with the target's end: the first goes by port-forward, and stays there; the other one
    /// by the pod proxy.
    pub fn with_one_by_each_carrier(name: &str) -> (Self, [(TcpStream, TcpStream); 2]) {
        for _ in 0..5 {
            let stage = Self::with(name, "", true);
            let (mut early, mut served) = stage.connect();
            is_open(&mut early, &mut served);
            if stage.logged(BY_POD_PROXY) > 0 {
                // The pod proxy was faster than we were.
                continue;
            }
            until("the pod proxy carries", || stage.logged(BY_POD_PROXY) == 1);
            let (mut late, mut other) = stage.connect();
            is_open(&mut late, &mut other);
            return (stage, [(early, served), (late, other)]);
        }
        panic!("the pod proxy was always faster");
    }

    /// A connection with a request and its answer, each ended by half a close.
    pub fn converses(&self) {
        let (mut client, mut server) = self.connect();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut server), "question");
        server.write_all(b"answer").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&mut client), "answer");
    }
}

/// Both ways, without an end.
pub fn is_open(client: &mut TcpStream, server: &mut TcpStream) {
    let mut heard = [0; 4];
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut heard).unwrap();
    server.write_all(&heard).unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"ping");
}

pub fn rest(stream: &mut TcpStream) -> String {
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    rest
}
