//! A stand-in for a k3d cluster without published ports, in the engine of `$BROW_TEST_DOCKER_HOST`.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::common::kube::until;
use crate::common::{Home, TIMEOUT};
use crate::shell::{Done, Shell};

/// The services of a node: TCP 30999 and UDP 30998 echo, HTTP 30080 says the node's name.
const SERVICES: &str = "socat TCP-LISTEN:30999,fork,reuseaddr EXEC:cat & \
    socat UDP-RECVFROM:30998,fork,reuseaddr EXEC:cat & \
    mkdir -p /tmp/www && hostname >/tmp/www/index.html && exec busybox httpd -f -p 30080 -h /tmp/www";

/// Held exclusively by the test that restarts the engine, shared by those that use it, of other processes, too.
pub struct EngineLock {
    _file: File,
}

impl EngineLock {
    fn take(operation: FlockOperation) -> Self {
        let path = std::env::temp_dir().join("brow-test-engine.lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
        flock(&file, operation).unwrap();
        Self { _file: file }
    }
}

/// The engine, together with others.
pub fn engine() -> EngineLock {
    EngineLock::take(FlockOperation::LockShared)
}

/// The engine alone.
pub fn whole_engine() -> EngineLock {
    EngineLock::take(FlockOperation::LockExclusive)
}

pub fn host() -> String {
    std::env::var("BROW_TEST_DOCKER_HOST").unwrap()
}

fn try_docker(args: &[&str]) -> Output {
    Command::new("docker").env("DOCKER_HOST", host()).args(args).output().unwrap()
}

#[track_caller]
pub fn docker(args: &[&str]) -> String {
    let done = try_docker(args);
    assert!(done.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// A cluster of one node with a name that no other test has, and a home from which brow-tui is run.
pub struct Lab {
    pub home: Home,
    pub cluster: String,
}

impl Lab {
    pub fn new(name: &str) -> Self {
        let cluster = format!("{name}-{}", std::process::id());
        let lab = Self { home: Home::new(""), cluster };
        docker(&["network", "create", &lab.context()]);
        lab.run_node();
        lab
    }

    pub fn context(&self) -> String {
        format!("k3d-{}", self.cluster)
    }

    pub fn node(&self) -> String {
        format!("k3d-{}-server-0", self.cluster)
    }

    pub fn run_node(&self) {
        let (node, network) = (self.node(), self.context());
        let label = format!("k3d.cluster={}", self.cluster);
        let place = ["run", "-d", "--name", &node, "--hostname", &node, "--network", &network];
        let labels = ["--label", "app=k3d", "--label", &label, "--label", "k3d.role=server"];
        let command = ["--entrypoint", "/bin/sh", "alpine/socat:latest", "-c", SERVICES];
        docker(&[&place[..], &labels, &command].concat());
        // It is up once its last service is.
        until("the node serves", || try_docker(&["exec", &node, "wget", "-qO-", "127.0.0.1:30080"]).status.success());
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Shell { home: &self.home, kubeconfig: None }.command(args);
        command.env("DOCKER_HOST", host());
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        Done::from(self.command(args).output().unwrap())
    }

    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {}{}", done.out, done.err);
        done.out
    }

    /// Creates the gateway, or adds to it.
    #[track_caller]
    pub fn create(&self, ports: &[&str]) -> String {
        self.ok(&[&["gateway", "create", "--context", &self.context()], ports].concat())
    }

    /// The name of its gateway.
    pub fn gateway(&self) -> String {
        let label = format!("label=brow.gateway={}", self.context());
        docker(&["ps", "-a", "--filter", &label, "--format", "{{.Names}}"])
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let label = format!("label=brow.gateway={}", self.context());
        let gateways = try_docker(&["ps", "-aq", "--filter", &label]);
        let gateways = String::from_utf8_lossy(&gateways.stdout).into_owned();
        let node = self.node();
        for name in gateways.split_whitespace().chain([node.as_str()]) {
            try_docker(&["rm", "-f", name]);
        }
        let gone = try_docker(&["network", "rm", &self.context()]);
        if !gone.status.success() && !std::thread::panicking() {
            eprintln!("{} was left behind: {}", self.context(), String::from_utf8_lossy(&gone.stderr));
        }
    }
}

/// The local address in the output of `create` that leads to a port of the node.
#[track_caller]
pub fn local(output: &str, target: &str) -> SocketAddr {
    let line = output.lines().find(|line| line.ends_with(&format!(":{target}"))).unwrap_or_else(|| panic!("{output}"));
    line.split(" → ").next().unwrap().parse().unwrap()
}

/// Bytes that are no pattern.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).to_le_bytes()[0]
    };
    (0..length).map(|_| byte()).collect()
}

fn exchange(at: SocketAddr, sent: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut upload = stream.try_clone()?;
    std::thread::scope(|scope| {
        // The echo would stop if nobody read it meanwhile. What fails here fails there, too.
        scope.spawn(move || drop(upload.write_all(sent)));
        let mut back = vec![0; sent.len()];
        stream.read_exact(&mut back)?;
        Ok(back)
    })
}

/// A megabyte comes back as it was sent, once there is a way again.
pub fn tcp_echoes(at: SocketAddr) {
    let sent = noise(1 << 20, at.port().into());
    let mut back = Vec::new();
    until("TCP comes back", || {
        exchange(at, &sent).is_ok_and(|found| {
            !found.is_empty() && {
                back = found;
                true
            }
        })
    });
    assert!(back == sent, "every byte is as it was sent");
}

/// The page of a node.
pub fn page(at: SocketAddr) -> String {
    let mut page = String::new();
    until("HTTP comes back", || {
        page.clear();
        let Ok(mut stream) = TcpStream::connect(at) else { return false };
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let asked = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_ok();
        asked && stream.read_to_string(&mut page).is_ok() && page.contains("200 OK")
    });
    page
}

/// Datagrams of many sizes come back whole. Any may be lost on the way: it is sent again.
pub fn udp_echoes(at: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket.connect(at).unwrap();
    let mut buffer = vec![0; 65_536];
    for size in [1, 2, 511, 1_400, 8_000] {
        let sent = noise(size, size as u64);
        until("a datagram comes back", || {
            let _refused = socket.send(&sent);
            // Echoes of what was sent before may still come.
            socket.recv(&mut buffer).is_ok_and(|length| buffer[..length] == sent)
        });
    }
}

/// Ends the engine as the system does at shutdown, and starts it again with the same arguments.
pub fn restart_engine() {
    let (pid, args) = engine_process();
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    until("the engine has ended", || !Path::new(&format!("/proc/{pid}")).exists() || is_zombie(pid));
    let mut engine = Command::new("setsid");
    let null = std::process::Stdio::null;
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
    engine.env("PATH", path).arg("--fork").args(&args).stdin(null()).stdout(null()).stderr(null());
    assert!(engine.status().unwrap().success());
    until("the engine answers", || try_docker(&["version"]).status.success());
    assert_ne!(engine_process().0, pid, "it is another process");
    // As `up` sets it: pods of a cluster beside it need it.
    drop(Command::new("iptables").args(["-w", "-P", "FORWARD", "ACCEPT"]).output());
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn engine_process() -> (i32, Vec<String>) {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        Some((pid, words.map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>()))
    });
    let ours = |(_, args): &(i32, Vec<String>)| {
        args.first().is_some_and(|program| program.ends_with("dockerd")) && args.contains(&host())
    };
    processes.into_iter().find(ours).expect("the engine's process")
}
