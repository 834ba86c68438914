//! The two forwarders as child processes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use kube_tunnel::{LeaseOptions, Protocol, Route, Tunnels};

use crate::forward::Forward;
use crate::{cluster, pod};

/// Runs in the child: `serve KUBECONFIG SERVER PORT[=ADDRESS|!|^]...`. A port of the pod is reached directly, an
/// address by its relay, a port with `!` by our own, and with `^` by that through the pod proxy. Prints `PORT ADDRESS`
/// for each, and ends with its standard input.
pub async fn serve(arguments: &[String]) {
    let mut config = cluster::config(&arguments[0], "brow-admin").await;
    config.cluster_url = format!("https://{}", arguments[1]).parse().expect("a URL");
    let forced = std::env::var("BROW_BENCH_PROTOCOL").ok().map(|name| name.parse().expect("a protocol"));
    let tunnels = Tunnels::new(cluster::client(&config), forced);
    let most = std::env::var("BROW_BENCH_TUNNELS").ok().map(|most| most.parse().expect("a number"));
    let options = most.map_or_else(LeaseOptions::default, |tunnels| LeaseOptions { tunnels });
    let mut forwards = Vec::new();
    for argument in &arguments[2..] {
        if let Some(port) = argument.strip_suffix(['!', '^']) {
            let route = Route { namespace: pod::NAMESPACE.into(), pod: pod::POD.into(), port: pod::RELAY };
            let target = format!("127.0.0.1:{port}");
            let forward = if argument.ends_with('!') {
                Forward::by_ours(&tunnels, route, pod::secret(), &target).await
            } else {
                Forward::by_pod_proxy(&tunnels, route, pod::secret(), &target).await
            };
            println!("{port} {}", forward.address);
            forwards.push(forward);
            continue;
        }
        let (port, target) = argument.split_once('=').map_or((argument.as_str(), None), |(port, to)| (port, Some(to)));
        let port: u16 = port.parse().expect("a port");
        let route = Route { namespace: pod::NAMESPACE.into(), pod: pod::POD.into(), port };
        let forward = match target {
            Some(target) => Forward::relayed(&tunnels, route, pod::secret(), target).await,
            None => Forward::wide(&tunnels, route, options).await,
        };
        println!("{port} {}", forward.address);
        forwards.push(forward);
    }
    println!("ready");
    std::io::stdout().flush().expect("flushed");
    tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]).unwrap_or(0)).await.expect("joined");
}

/// A running forwarder.
pub struct Forwarder {
    child: Child,
    /// Local addresses by port of the pod; several where a port was asked for several times.
    pub addresses: HashMap<u16, Vec<SocketAddr>>,
}

impl Forwarder {
    /// Ours, to the API server at `server`; one more for each address that the relay is to reach.
    pub fn ours(kubeconfig: &str, server: SocketAddr, ports: &[u16], relayed: &[&str]) -> Self {
        Self::ours_by(None, kubeconfig, server, ports, relayed)
    }

    /// Ours, by our own relay in the pod.
    pub fn by_relay(kubeconfig: &str, server: SocketAddr, ports: &[u16]) -> Self {
        Self::by_relay_with('!', kubeconfig, server, ports)
    }

    /// Ours, by our own relay through the pod proxy.
    pub fn by_pod_proxy(kubeconfig: &str, server: SocketAddr, ports: &[u16]) -> Self {
        Self::by_relay_with('^', kubeconfig, server, ports)
    }

    fn by_relay_with(mark: char, kubeconfig: &str, server: SocketAddr, ports: &[u16]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        command.arg("serve").arg(kubeconfig).arg(server.to_string());
        command.args(ports.iter().map(|port| format!("{port}{mark}")));
        Self::read(&mut command)
    }

    /// The same with this protocol.
    pub fn ours_by(
        protocol: Option<Protocol>,
        kubeconfig: &str,
        server: SocketAddr,
        ports: &[u16],
        relayed: &[&str],
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        command.envs(protocol.map(|protocol| ("BROW_BENCH_PROTOCOL", protocol.to_string())));
        command.arg("serve").arg(kubeconfig).arg(server.to_string());
        command.args(ports.iter().map(ToString::to_string));
        command.args(relayed.iter().map(|target| format!("{}={target}", pod::RELAY)));
        Self::read(&mut command)
    }

    /// Starts one of ours.
    fn read(command: &mut Command) -> Self {
        Self::start(
            command.stdin(Stdio::piped()),
            |line| {
                let (port, address) = line.split_once(' ')?;
                Some((port.parse().ok()?, address.parse().ok()?))
            },
            usize::MAX,
        )
    }

    /// `kubectl port-forward`.
    pub fn kubectl(kubeconfig: &str, server: SocketAddr, ports: &[u16]) -> Self {
        let mut command = Command::new("kubectl");
        command.args(["--kubeconfig", kubeconfig, "--context", "brow-admin", "--server"]);
        command.arg(format!("https://{server}"));
        command.args(["-n", pod::NAMESPACE, "port-forward", "--address", "127.0.0.1", pod::POD]);
        command.args(ports.iter().map(|port| format!(":{port}")));
        Self::start(
            &mut command,
            |line| {
                let (address, port) = line.strip_prefix("Forwarding from ")?.split_once(" -> ")?;
                Some((port.trim().parse().ok()?, address.parse().ok()?))
            },
            ports.len(),
        )
    }

    fn start(command: &mut Command, read: impl Fn(&str) -> Option<(u16, SocketAddr)>, count: usize) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut addresses: HashMap<u16, Vec<SocketAddr>> = HashMap::new();
        let mut found = 0;
        while found < count {
            let line = lines.next().expect("a line").expect("text");
            if line == "ready" {
                break;
            }
            if let Some((port, address)) = read(&line) {
                addresses.entry(port).or_default().push(address);
                found += 1;
            }
        }
        // kubectl writes a line for each connection: somebody must take them.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, addresses }
    }

    /// The local address for a port of the pod.
    pub fn at(&self, port: u16) -> SocketAddr {
        self.addresses[&port][0]
    }

    /// CPU seconds used so far.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
        ticks as f64 / 100.0
    }

    /// Resident memory in MB: now, or at its highest.
    pub fn memory(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
        line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<f64>().expect("a number") / 1024.0
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
