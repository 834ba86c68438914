//! Forwards without a cluster: pods that are servers in this process, and tunnels that are plain connections to them.

#![allow(dead_code, unused_imports, reason = "each story uses its part")]
#![allow(clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod flow;
mod servers;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brow_model::allow::AllowList;
use brow_model::epoch::Epoch;
use brow_model::event::{Event, ForwardEvent};
use brow_model::fault::Fault;
use brow_model::forward::{ForwardId, ForwardSpec};
use brow_model::forward_settings::LocalUsers;
use brow_model::proxy::PodSelector;
use brow_model::route::Via;
use brow_tui::forward::{self, Deliver, Dialer, Flow, Handle, Lane, LaneEnd, Lease, ReachError};
use bytes::Bytes;
use kube_tunnel::contain::is_contained;
use kube_tunnel::{Counters, Error, Protocol, Stats, Summary};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use servers::{echo, end, say, server, silent, via};

/// Longer than anything here takes; only a broken test waits for it.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// The state that the tests set and inspect.
#[derive(Default)]
pub struct World {
    pub pods: Mutex<HashMap<String, Pod>>,
    /// Fails every request for a lease while it is set.
    pub no_lease: Mutex<Option<Fault>>,
    /// The fault that is found if there is no tunnel.
    pub blamed: Mutex<Option<Fault>>,
    /// The result of a diagnosis.
    pub reason: Mutex<Option<Fault>>,
    /// The error of a diagnosis; with one, no fault is found either.
    pub mute: Mutex<Option<Error>>,
    /// Tells that the cluster answers again.
    pub answering: Notify,
    pub asked_leases: AtomicUsize,
    pub live_leases: AtomicUsize,
    pub diagnoses: AtomicUsize,
    pub probes: AtomicUsize,
    pub without_nodelay: AtomicUsize,
    /// The port of a lane that has just gone; 0: there are no lanes.
    pub lane: AtomicU16,
    /// The place at which the forward's own task panics.
    pub panics: Mutex<Option<&'static str>>,
    pub ending: Notify,
    /// Streams opened at it.
    pub laned: AtomicUsize,
}

/// A pod: where its port leads, and how it and its tunnels behave.
#[derive(Clone)]
pub struct Pod {
    pub port: SocketAddr,
    pub open_fails: Option<Error>,
    pub probes_refused: usize,
    pub stats: Stats,
}

impl World {
    pub fn add(&self, name: &str, port: SocketAddr) {
        let stats = Stats { protocol: Some(Protocol::Spdy), tunnels: 1, ..Stats::default() };
        let pod = Pod { port, open_fails: None, probes_refused: 0, stats };
        self.pods.lock().expect("pods").insert(name.to_owned(), pod);
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut Pod)) {
        change(self.pods.lock().expect("pods").get_mut(name).expect("a pod"));
    }

    /// Panics where that is wished for, if only the forward learns of it.
    fn panic_in(&self, place: &str) {
        let wished = *self.panics.lock().expect("panics") == Some(place);
        assert!(!wished || !is_contained(), "something broke");
    }

    fn pod(&self, name: &str) -> Option<Pod> {
        self.pods.lock().expect("pods").get(name).cloned()
    }
}

pub struct FakeDialer {
    pub world: Arc<World>,
    pub relayed: bool,
}

impl Dialer for FakeDialer {
    type Lease = FakeLease;

    async fn lease(&self, via: &Via) -> Result<FakeLease, Fault> {
        self.world.asked_leases.fetch_add(1, Ordering::SeqCst);
        self.world.panic_in("lease");
        if let Some(fault) = self.world.no_lease.lock().expect("fault").clone() {
            return Err(fault);
        }
        self.world.live_leases.fetch_add(1, Ordering::SeqCst);
        Ok(FakeLease { world: Arc::clone(&self.world), pod: via.pod.name.clone() })
    }

    async fn answers_again(&self, _: &Via) {
        self.world.answering.notified().await;
    }

    fn is_relayed(&self, _: &Via) -> bool {
        self.relayed
    }

    async fn open(&self, lease: &FakeLease, _: &Via) -> Result<TcpStream, Error> {
        let mut stream = lease.open().await?;
        if self.relayed {
            stream.write_all(b"10.0.0.1:3306\n").await.map_err(Error::from_io)?;
        }
        Ok(stream)
    }

    async fn open_flow(&self, lease: &FakeLease, _: &Via, deliver: Deliver) -> Result<Arc<dyn Flow>, ReachError> {
        flow::open(&self.world, &lease.pod, deliver).await
    }

    async fn lane(&self, _: &FakeLease, _: &Via, lane: &Lane) -> LaneEnd {
        self.world.panic_in("lane");
        match self.world.lane.load(Ordering::SeqCst) {
            0 => LaneEnd::Unsupported,
            open => {
                lane.open(open, Bytes::from_static(b"word"));
                std::future::pending().await
            }
        }
    }

    async fn reach(&self, _: &FakeLease, _: &Via) -> Result<Option<Duration>, ReachError> {
        match self.world.reason.lock().expect("reason").clone() {
            Some(fault) => Err(ReachError::Target(fault)),
            None => Ok(Some(Duration::from_micros(700))),
        }
    }

    async fn blame(&self, _: &Via) -> Option<Fault> {
        let tells = self.world.mute.lock().expect("mute").is_none();
        if tells { self.world.blamed.lock().expect("blamed").clone() } else { std::future::pending().await }
    }

    async fn diagnose(&self, _: &FakeLease, _: &Via, _: Duration) -> Result<Option<Fault>, Error> {
        self.world.diagnoses.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = self.world.mute.lock().expect("mute").clone() {
            return Err(error);
        }
        Ok(self.world.reason.lock().expect("reason").clone())
    }
}

pub struct FakeLease {
    world: Arc<World>,
    pod: String,
}

impl Drop for FakeLease {
    fn drop(&mut self) {
        self.world.live_leases.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Lease for FakeLease {
    type Stream = TcpStream;

    async fn open(&self) -> Result<TcpStream, Error> {
        self.world.panic_in("open");
        let pod = self.world.pod(&self.pod).ok_or(Error::NoSuchPod { text: self.pod.clone() })?;
        if let Some(error) = pod.open_fails {
            return Err(error);
        }
        TcpStream::connect(pod.port).await.map_err(|error| Error::Refused { text: error.to_string() })
    }

    async fn open_at(&self, port: u16) -> Option<TcpStream> {
        self.world.laned.fetch_add(1, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", port)).await.ok()
    }

    async fn probe(&self) -> Result<(), Error> {
        self.world.probes.fetch_add(1, Ordering::SeqCst);
        let mut pods = self.world.pods.lock().expect("pods");
        match pods.get_mut(&self.pod) {
            Some(pod) if pod.probes_refused > 0 => {
                pod.probes_refused -= 1;
                Err(Error::Refused { text: "connection refused".into() })
            }
            Some(_) => Ok(()),
            None => Err(Error::PodGone { text: "not found".into() }),
        }
    }

    async fn splice(
        &self,
        local: Arc<TcpStream>,
        mut stream: TcpStream,
        first_line: Option<Bytes>,
        counters: &Arc<Counters>,
    ) -> (Summary, Result<(), Error>) {
        if !local.nodelay().unwrap_or(false) {
            self.world.without_nodelay.fetch_add(1, Ordering::SeqCst);
        }
        if stream.peer_addr().is_ok_and(|at| at.port() == self.world.lane.load(Ordering::SeqCst)) {
            // The lane has just gone: what was sent ahead is refused.
            let mut data = vec![0; 1_024];
            let count = read(&local, &mut data).await.unwrap_or(0);
            let sent = [&first_line.unwrap_or_default(), &data[..count]].concat();
            let summary = Summary { sent: Some(sent.into()), ..Summary::default() };
            return (summary, Err(Error::Refused { text: "connection refused".into() }));
        }
        let (mut pod_read, mut pod_write) = stream.split();
        let mut up = 0;
        let mut down = 0;
        let upward = async {
            if let Some(line) = first_line {
                pod_write.write_all(&line).await?;
            }
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let count = read(&local, &mut buffer).await?;
                if count == 0 {
                    pod_write.shutdown().await?;
                    return std::future::pending::<io::Result<()>>().await;
                }
                pod_write.write_all(&buffer[..count]).await?;
                counters.add_up(count);
                up += count as u64;
            }
        };
        let downward = async {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let count = pod_read.read(&mut buffer).await.map_err(from_pod)?;
                if count == 0 {
                    return Ok(());
                }
                write(&local, &buffer[..count]).await?;
                counters.add_down(count);
                down += count as u64;
            }
        };
        let ended = tokio::select! {
            ended = upward => ended,
            ended = downward => ended,
        };
        // Takes out what the pod's side said; all else is the local program's.
        let ended = ended.map_err(Error::from_io);
        (Summary { up, down, ..Summary::default() }, ended)
    }

    fn stats(&self) -> Stats {
        self.world.pod(&self.pod).map(|pod| pod.stats).unwrap_or_default()
    }
}

fn from_pod(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::ConnectionReset { io::Error::other(Error::Reset) } else { error }
}

async fn read(local: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        local.readable().await?;
        match local.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

async fn write(local: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        local.writable().await?;
        match local.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A forward under test.
pub struct Forward {
    pub world: Arc<World>,
    pub handle: Handle,
    pub events: mpsc::Receiver<Event>,
    pub token: CancellationToken,
    pub task: JoinHandle<()>,
    pub locals: Vec<SocketAddr>,
}

pub const BOTH: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

pub fn spec(port: u16) -> ForwardSpec {
    ForwardSpec {
        id: ForwardId(7),
        epoch: Epoch(3),
        target: "db".into(),
        selector: PodSelector { cluster: "dev".into(), namespace: "default".into(), label: "db".into() },
        address: "10.0.0.1:3306".parse().expect("an address"),
        bind: BOTH.to_vec(),
        port,
        any_port: port == 0,
        on_demand: false,
        probe: None,
        tunnel: None,
        local_users: LocalUsers::Me,
        local_socket: None,
        allow: AllowList::default(),
        relay: brow_model::settings::Relay::Socat,
        carrier: brow_model::settings::Carrier::PortForward,
        pod_proxy_worked: false,
    }
}

impl Forward {
    /// Opens a forward and waits until it listens.
    pub async fn open(world: &Arc<World>, via: Option<Via>, relayed: bool) -> Self {
        Self::open_as(world, spec(0), via, relayed).await
    }

    /// Opens one on demand.
    pub async fn on_demand(world: &Arc<World>) -> Self {
        Self::open_as(world, ForwardSpec { on_demand: true, ..spec(0) }, None, true).await
    }

    pub async fn open_as(world: &Arc<World>, spec: ForwardSpec, via: Option<Via>, relayed: bool) -> Self {
        let token = CancellationToken::new();
        let (sender, events) = brow_tui::events::EventSender::channel(64);
        let route = FakeDialer { world: Arc::clone(world), relayed };
        let (handle, run) = forward::start(spec, via, route, sender, &token);
        let task = tokio::spawn(run);
        let mut forward = Self { world: Arc::clone(world), handle, events, token, task, locals: Vec::new() };
        let mut event = forward.event().await;
        if let ForwardEvent::BoundSocket(_) = event {
            event = forward.event().await;
        }
        let ForwardEvent::Bound(locals) = event else { panic!("not bound first") };
        forward.locals = locals;
        forward
    }

    /// The next event, whatever pods were left in between.
    pub async fn event(&mut self) -> ForwardEvent {
        loop {
            let event = self.any_event().await;
            if !matches!(event, ForwardEvent::Drained(_)) {
                return event;
            }
        }
    }

    pub async fn any_event(&mut self) -> ForwardEvent {
        let event = tokio::time::timeout(TIMEOUT, self.events.recv()).await.expect("no event").expect("ended");
        let Event::Forward { id: ForwardId(7), epoch: Epoch(3), event } = event else { panic!("{event:?}") };
        event
    }

    /// The next failure of a connection.
    pub async fn failure(&mut self) -> Fault {
        loop {
            match self.event().await {
                ForwardEvent::ConnectionFailed(fault) => return fault,
                ForwardEvent::Up(_) | ForwardEvent::Down(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.locals.first().expect("a listener")).await.expect("connected")
    }
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
