//! The measured cases.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::forwarder::Forwarder;
use crate::pod::{DOWN, ECHO, ENDLESS, LARGE, PLAIN, PLAIN_DOWN, RELAY, UP, WEB};
use crate::wire::Wire;

/// The number of runs of each case, which take turns.
const ROUNDS: usize = 5;

pub const PORTS: [u16; 7] = [ECHO, DOWN, UP, ENDLESS, WEB, PLAIN, PLAIN_DOWN];

/// The size of a large transfer, in GB.
pub const GIGABYTES: f64 = LARGE as f64 / 1e9;

/// The number of requests in a round, in thousands.
pub const THOUSANDS: f64 = 0.2;

/// The number of parallel downloads.
const MANY: usize = 64;

/// For how long they are looked at.
const WINDOW: Duration = Duration::from_secs(3);

/// Runs the wanted cases and prints a line for each.
pub async fn run(kubeconfig: &str, api: SocketAddr, wanted: impl Fn(&str) -> bool) {
    let kubectl = Forwarder::kubectl(kubeconfig, api, &PORTS);
    let ours = Forwarder::ours(kubeconfig, api, &PORTS, &["10.99.0.10:7", &format!("127.0.0.1:{DOWN}")]);
    let by_relay = ours.addresses[&RELAY][1];
    settle().await;
    if wanted("first") {
        first_bytes_of(&kubectl, &ours).await;
    }
    if wanted("requests") {
        with_cpu(
            (&kubectl, &ours),
            WEB,
            THOUSANDS,
            requests,
            ("200 requests, 20 at a time, ms", "≤ 0.6"),
            ("CPU seconds per 1,000 requests", ""),
        )
        .await;
    }
    if wanted("down") {
        with_cpu(
            (&kubectl, &ours),
            DOWN,
            GIGABYTES,
            down,
            ("256 MB down, MB/s", "≥ 1.3"),
            ("CPU seconds per GB down", "≤ 0.7"),
        )
        .await;
    }
    if wanted("relay") {
        let (theirs, own) = both(async || down(kubectl.at(PLAIN_DOWN)).await, async || down(by_relay).await).await;
        line("256 MB down through a relay (plain socat), MB/s", theirs, own, "≥ 1.0");
    }
    if wanted("up") {
        with_cpu(
            (&kubectl, &ours),
            UP,
            GIGABYTES,
            up,
            ("256 MB up, MB/s", "≥ 1.3"),
            ("CPU seconds per GB up", "≤ 0.7"),
        )
        .await;
    }
    if wanted("many") {
        at_once(&kubectl, &ours).await;
    }
    drop((kubectl, ours));
    if wanted("distance") {
        let ours = |kubeconfig: &str, api, ports: &[u16]| Forwarder::ours(kubeconfig, api, ports, &[]);
        distance(kubeconfig, api, ours, "≤ 1.15").await;
    }
    if wanted("memory") {
        memory(kubeconfig, api).await;
    }
}

/// Prints the times to the first byte.
async fn first_bytes_of(kubectl: &Forwarder, ours: &Forwarder) {
    let (theirs, own) =
        both(async || first_byte(kubectl.at(ECHO)).await, async || first_byte(ours.at(ECHO)).await).await;
    line("first byte, ms", theirs, own, "≤ 0.8");
    let (theirs, own) =
        both(async || first_byte(kubectl.at(PLAIN)).await, async || first_byte(ours.at(RELAY)).await).await;
    line("first byte through a relay (plain socat), ms", theirs, own, "≤ 1.2");
}

/// Prints the figures of many downloads at once.
pub async fn at_once(kubectl: &Forwarder, ours: &Forwarder) {
    let mut spread = (Vec::new(), Vec::new());
    let (theirs, own) = in_turn(
        3,
        async || many(kubectl.at(ENDLESS), &mut spread.0).await,
        async || many(ours.at(ENDLESS), &mut spread.1).await,
    )
    .await;
    line("64 downloads at once, MB/s", theirs, own, "≥ 1.2");
    line("  slowest ÷ fastest", median(spread.0), median(spread.1), "own ≥ 0.5");
}

/// Lets forwarders open what they open ahead.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Prints the time to the first byte on a long way, of one of our forwarders to the ports of the pod.
pub async fn distance(
    kubeconfig: &str,
    api: SocketAddr,
    forwarder: impl Fn(&str, SocketAddr, &[u16]) -> Forwarder,
    goal: &str,
) {
    let round_trip = Duration::from_millis(50);
    let wire = Wire::new(api, round_trip / 2).await;
    let kubectl = Forwarder::kubectl(kubeconfig, wire.address, &[ECHO]);
    let ours = forwarder(kubeconfig, wire.address, &[ECHO]);
    settle().await;
    let trips = |milliseconds: f64| milliseconds / 50.0;
    let (theirs, own) = both(
        async || trips(first_bytes(kubectl.at(ECHO), 20).await),
        async || trips(first_bytes(ours.at(ECHO), 20).await),
    )
    .await;
    line("first byte at 50 ms, round trips", theirs, own, &format!("own {goal}"));
}

/// Ten forwards, each with a download going on, in one process; kubectl needs a process for each pod, or one for all
/// ports of a pod, as here.
async fn memory(kubeconfig: &str, api: SocketAddr) {
    let ports = [DOWN; 10];
    let kubectl = Forwarder::kubectl(kubeconfig, api, &PORTS);
    let ours = Forwarder::ours(kubeconfig, api, &ports, &[]);
    settle().await;
    let mut figures = Vec::new();
    for (forwarder, addresses) in [(&kubectl, vec![kubectl.at(DOWN); 10]), (&ours, ours.addresses[&DOWN].clone())] {
        let mut downloads = JoinSet::new();
        for address in addresses {
            downloads.spawn(async move { read_all(address, LARGE).await });
        }
        let mut highest = 0_f64;
        while !downloads.is_empty() {
            tokio::select! {
                _ = downloads.join_next() => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => highest = highest.max(forwarder.memory("VmRSS")),
            }
        }
        figures.push(highest);
    }
    line("memory with 10 busy forwards, MB", figures[0], figures[1], "own ≤ 25");
}

/// Both in turn; the medians.
pub async fn both(theirs: impl AsyncFnMut() -> f64, own: impl AsyncFnMut() -> f64) -> (f64, f64) {
    in_turn(ROUNDS, theirs, own).await
}

/// Prints a figure of some work on a port, and the CPU seconds for each unit of it.
pub async fn with_cpu(
    (kubectl, ours): (&Forwarder, &Forwarder),
    port: u16,
    units: f64,
    work: impl AsyncFn(SocketAddr) -> f64,
    (name, goal): (&str, &str),
    (cpu_name, cpu_goal): (&str, &str),
) {
    let before = (kubectl.cpu(), ours.cpu());
    let mut whole = (Whole::default(), Whole::default());
    let (theirs, own) = both(
        async || whole.0.of(units, work(kubectl.at(port))).await,
        async || whole.1.of(units, work(ours.at(port))).await,
    )
    .await;
    line(name, theirs, own, goal);
    cpu(cpu_name, units, (kubectl, before.0), (ours, before.1), cpu_goal);
    line("  of the whole machine", whole.0.each(), whole.1.each(), "");
}

async fn in_turn(rounds: usize, mut theirs: impl AsyncFnMut() -> f64, mut own: impl AsyncFnMut() -> f64) -> (f64, f64) {
    let mut figures = (Vec::new(), Vec::new());
    // The first of each warms up and does not count.
    theirs().await;
    own().await;
    for _ in 0..rounds {
        figures.0.push(theirs().await);
        figures.1.push(own().await);
    }
    (median(figures.0), median(figures.1))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

pub fn line(name: &str, theirs: f64, own: f64, goal: &str) {
    println!("{name:<44} {theirs:>12.2} {own:>12.2} {:>8.2} {goal:>10}", own / theirs);
    // Long cases follow: what is known is shown.
    let _ = std::io::stdout().flush();
}

/// CPU seconds of the forwarders themselves for each unit of what was done, of which a round does `amount`.
fn cpu(name: &str, amount: f64, theirs: (&Forwarder, f64), own: (&Forwarder, f64), goal: &str) {
    let done = (ROUNDS + 1) as f64 * amount;
    let used = |(forwarder, before): (&Forwarder, f64)| (forwarder.cpu() - before) / done;
    line(name, used(theirs), used(own), goal);
}

/// CPU seconds of the whole machine meanwhile: the API server's, the node's and the pod's, too. Where they fill the
/// machine, they bound what is done in a second whatever a forwarder does.
#[derive(Default)]
struct Whole {
    used: f64,
    done: f64,
}

impl Whole {
    /// Does `amount` units of `work`.
    async fn of(&mut self, amount: f64, work: impl Future<Output = f64>) -> f64 {
        let before = busy();
        let figure = work.await;
        self.used += busy() - before;
        self.done += amount;
        figure
    }

    /// For each unit.
    fn each(&self) -> f64 {
        self.used / self.done
    }
}

/// CPU seconds that this machine was not idle: `/proc/stat`, all but `idle` and `iowait`, in ticks.
fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").expect("a system with /proc");
    let ticks = stat.lines().next().expect("a line").split_whitespace().skip(1).enumerate();
    let busy = ticks.filter(|(index, _)| !matches!(index, 3 | 4) && *index < 8);
    busy.map(|(_, ticks)| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

/// From connect to the first byte back from an echo, in ms: the median of a hundred.
pub async fn first_byte(address: SocketAddr) -> f64 {
    first_bytes(address, 100).await
}

async fn first_bytes(address: SocketAddr, count: usize) -> f64 {
    let mut figures = Vec::new();
    for _ in 0..count {
        // A connection for itself: what the one before left to do, in the pod too, is done.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let started = Instant::now();
        let mut socket = TcpStream::connect(address).await.expect("connected");
        socket.set_nodelay(true).expect("nodelay");
        socket.write_all(b"x").await.expect("written");
        socket.read_exact(&mut [0]).await.expect("a byte");
        figures.push(started.elapsed().as_secs_f64() * 1e3);
    }
    median(figures)
}

/// 200 requests, 20 at a time, in ms.
pub async fn requests(address: SocketAddr) -> f64 {
    let started = Instant::now();
    let gate = Arc::new(Semaphore::new(20));
    let mut all = JoinSet::new();
    for _ in 0..200 {
        let gate = Arc::clone(&gate);
        all.spawn(async move {
            let _turn = gate.acquire().await.expect("open");
            let mut socket = TcpStream::connect(address).await.expect("connected");
            socket.write_all(b"GET /index.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello\n") {
                assert!(socket.read_buf(&mut answer).await.expect("an answer") > 0, "cut off");
            }
        });
    }
    while let Some(done) = all.join_next().await {
        done.expect("a request");
    }
    started.elapsed().as_secs_f64() * 1e3
}

async fn read_all(address: SocketAddr, expected: u64) -> Duration {
    let started = Instant::now();
    let mut socket = TcpStream::connect(address).await.expect("connected");
    let mut buffer = vec![0; 256 * 1024];
    let mut left = expected;
    while left > 0 {
        let count = socket.read(&mut buffer).await.expect("bytes");
        assert!(count > 0, "cut off with {left} of {expected} bytes to come");
        left -= count as u64;
    }
    started.elapsed()
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

pub async fn down(address: SocketAddr) -> f64 {
    rate(LARGE, read_all(address, LARGE).await)
}

pub async fn up(address: SocketAddr) -> f64 {
    let started = Instant::now();
    let mut socket = TcpStream::connect(address).await.expect("connected");
    let buffer = vec![7; 256 * 1024];
    let mut left = LARGE;
    while left > 0 {
        let count = buffer.len().min(usize::try_from(left).expect("small"));
        socket.write_all(&buffer[..count]).await.expect("taken");
        left -= count as u64;
    }
    let mut answer = [0; 5];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"done\n");
    rate(LARGE, started.elapsed())
}

/// Downloads that go on side by side, looked at for a while once all have begun: what they bring together, in MB/s, and
/// in `spread` how much the slowest brings of what the fastest does.
async fn many(address: SocketAddr, spread: &mut Vec<f64>) -> f64 {
    let brought: Arc<[AtomicU64; MANY]> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
    let mut all = JoinSet::new();
    for number in 0..MANY {
        let brought = Arc::clone(&brought);
        all.spawn(async move {
            let mut socket = TcpStream::connect(address).await.expect("connected");
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let count = socket.read(&mut buffer).await.expect("bytes");
                assert!(count > 0, "cut off");
                brought[number].fetch_add(count as u64, Ordering::Relaxed);
            }
        });
    }
    let look = || brought.iter().map(|bytes| bytes.load(Ordering::Relaxed)).collect::<Vec<_>>();
    while look().contains(&0) {
        assert!(all.try_join_next().is_none(), "a download has ended");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (started, before) = (Instant::now(), look());
    tokio::time::sleep(WINDOW).await;
    let (after, took) = (look(), started.elapsed());
    let each: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let (slowest, fastest) = (each.iter().min().expect("many"), each.iter().max().expect("many"));
    spread.push(*slowest as f64 / *fastest as f64);
    all.shutdown().await;
    rate(each.iter().sum(), took)
}
