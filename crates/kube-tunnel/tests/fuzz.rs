//! A tunnel whose peer sends anything: nothing panics, hangs, or takes memory without bound.
//!
//! `BROW_FUZZ_ROUNDS` says how often (a hundred times unless told), `BROW_FUZZ_SEED` repeats what a failure printed.
//! The codec alone is tested in its own module, where `PROPTEST_CASES` says how often.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kube::{Client, Config};
use kube_tunnel::{Error, Lease, LeaseOptions, Protocol, Route, Tunnels};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A panic in a task is caught by the runtime and would pass unseen.
fn watch_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
}

/// Takes a connection and grants the upgrade to SPDY.
async fn upgraded(listener: &TcpListener) -> TcpStream {
    let (socket, _) = listener.accept().await.expect("a connection");
    upgrade(socket).await.expect("a request")
}

async fn upgrade(mut socket: TcpStream) -> std::io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let granted = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";
    socket.write_all(granted).await?;
    Ok(socket)
}

fn lease(address: SocketAddr) -> Lease {
    let mut config = Config::new(format!("http://{address}").parse().expect("a URL"));
    config.proxy_url = None;
    let client = Client::try_from(config).expect("a client");
    let route = Route { namespace: "n".into(), pod: "p".into(), port: 1 };
    Tunnels::new(client, Some(Protocol::Spdy)).lease(route, LeaseOptions { tunnels: 1 })
}

/// The head of a frame, then its payload.
fn control(kind: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80, 3];
    frame.extend_from_slice(&kind.to_be_bytes());
    let length = u32::try_from(payload.len()).expect("short");
    frame.extend_from_slice(&(u32::from(flags) << 24 | length).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = stream.to_be_bytes().to_vec();
    let length = u32::try_from(payload.len()).expect("short");
    frame.extend_from_slice(&(u32::from(flags) << 24 | length).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Frames that a server could send, in any order, about streams that exist or not; in places spoilt, or no frames at
/// all.
fn nonsense(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(1..40) {
        let stream = random.random_range(0..8_u32);
        let payload = vec![random.random(); random.random_range(0..3_000)];
        let fin = u8::from(random.random_range(0..8) == 0);
        let word = random.random::<u32>().to_be_bytes();
        let words = [stream.to_be_bytes(), word].concat();
        bytes.extend(match random.random_range(0..12) {
            0 => control(2, fin, &words),
            1 => control(3, 0, &words),
            2 => control(6, 0, &word),
            3 => control(7, 0, &words),
            4 => control(8, fin, &words),
            5 => control(9, 0, &words),
            6 => control(1, fin, &[&words[..], &[0; 20]].concat()),
            7 => control(random.random(), random.random(), &payload),
            8 => payload,
            _ => data(stream, fin, &payload),
        });
    }
    for _ in 0..random.random_range(0..3) {
        let at = random.random_range(0..bytes.len().max(1));
        if let Some(byte) = bytes.get_mut(at) {
            *byte = random.random();
        }
    }
    bytes.truncate(random.random_range(0..=bytes.len()));
    bytes
}

async fn round(listener: &TcpListener, random: &mut StdRng) {
    let lease = lease(listener.local_addr().expect("an address"));
    let bytes = nonsense(random);
    let cut = random.random_range(1..4_000);
    // A tunnel that has ended is opened again: each gets the same.
    let peer = async {
        let mut all = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            let bytes = bytes.clone();
            all.spawn(async move {
                let mut socket = upgrade(socket).await?;
                let mut scrap = [0; 512];
                let _ = socket.read(&mut scrap).await?;
                for piece in bytes.chunks(cut) {
                    socket.write_all(piece).await?;
                }
                socket.shutdown().await?;
                while socket.read(&mut scrap).await? > 0 {}
                std::io::Result::Ok(())
            });
        }
    };
    let user = async {
        let mut stream = lease.open().await.expect("a stream");
        let _ = stream.write_all(b"0123456789").await;
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        drop(stream);
        drop(lease);
    };
    tokio::select! {
        () = peer => {}
        () = user => {}
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Resident memory in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or_default() * 1024
}

#[tokio::test]
async fn a_peer_that_sends_anything_neither_panics_nor_hangs_us() {
    watch_panics();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let seed = variable("BROW_FUZZ_SEED").unwrap_or_else(rand::random);
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for index in 0..variable("BROW_FUZZ_ROUNDS").unwrap_or(100) {
        let seed = seed.wrapping_add(index);
        let mut random = StdRng::seed_from_u64(seed);
        let ended = tokio::time::timeout(Duration::from_secs(20), round(&listener, &mut random)).await;
        assert!(ended.is_ok(), "it hangs: BROW_FUZZ_SEED={seed} BROW_FUZZ_ROUNDS=1");
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "it panics: BROW_FUZZ_SEED={seed} BROW_FUZZ_ROUNDS=1");
    }
    let started = Instant::now();
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > before {
        assert!(started.elapsed() < Duration::from_secs(10), "tasks are left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn garbage_ends_its_tunnel_and_the_next_connection_works() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let lease = lease(listener.local_addr().expect("an address"));
    let (socket, stream) = tokio::join!(upgraded(&listener), lease.open());
    let (mut socket, mut stream) = (socket, stream.expect("a stream"));
    stream.flush().await.expect("opened");
    socket.write_all(&[0xff; 100]).await.expect("taken");
    let error = Error::from_io(stream.read(&mut [0]).await.expect_err("a rule is broken"));
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    // Whoever dials next: the connection, or the pool by itself.
    let peer = async {
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut socket = upgrade(socket).await?;
                // Pings are short: so much is the opening.
                socket.read_exact(&mut [0; 150]).await?;
                socket.write_all(&data(3, 0, b"fine")).await?;
                socket.read_to_end(&mut Vec::new()).await
            });
        }
    };
    let user = async {
        let mut stream = lease.open().await.expect("a stream");
        stream.flush().await.expect("opened");
        let mut answer = [0; 4];
        tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.map(|_| answer)
    };
    tokio::select! {
        () = peer => {}
        answer = user => assert_eq!(&answer.expect("in time"), b"fine"),
    }
}

/// Sends `frames` again and again until the other end takes no more for a second, closes, or has taken `most` bytes.
/// How many it took.
async fn flood(socket: &mut TcpStream, frames: &[u8], most: usize) -> usize {
    let mut taken = 0;
    while taken < most {
        match tokio::time::timeout(Duration::from_secs(1), socket.write(frames)).await {
            Ok(Ok(count)) if count == frames.len() => taken += count,
            Ok(Ok(count)) => {
                taken += count;
                let rest = tokio::time::timeout(Duration::from_secs(1), socket.write_all(&frames[count..])).await;
                if !matches!(rest, Ok(Ok(()))) {
                    break;
                }
            }
            _ => break,
        }
    }
    taken
}

const MEGABYTE: u64 = 1 << 20;

#[tokio::test]
async fn a_flood_for_a_reader_that_does_not_read_is_held_back() {
    for size in [1, 100, 60_000] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let lease = lease(listener.local_addr().expect("an address"));
        let (socket, stream) = tokio::join!(upgraded(&listener), lease.open());
        let (mut socket, mut stream) = (socket, stream.expect("a stream"));
        stream.flush().await.expect("opened");
        let before = memory();
        let frames = data(3, 0, &vec![7; size]).repeat(60_000 / size);
        let most = 64 << 20;
        let taken = flood(&mut socket, &frames, most).await;
        assert!(taken < most, "all of {taken} bytes in frames of {size} were taken");
        assert!(memory() < before + 48 * MEGABYTE, "{} MB", (memory() - before) / MEGABYTE);
        let mut read = vec![0; 100_000];
        stream.read_exact(&mut read).await.expect("what was sent");
        assert!(read.iter().all(|byte| *byte == 7));
    }
}

#[tokio::test]
async fn words_without_end_on_the_error_stream_are_cut_short() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let lease = lease(listener.local_addr().expect("an address"));
    let (socket, stream) = tokio::join!(upgraded(&listener), lease.open());
    let (mut socket, mut stream) = (socket, stream.expect("a stream"));
    stream.flush().await.expect("opened");
    let before = memory();
    flood(&mut socket, &data(1, 0, &vec![b'?'; 50_000]), 64 << 20).await;
    assert!(memory() < before + 32 * MEGABYTE, "{} MB", (memory() - before) / MEGABYTE);
    socket.write_all(&data(1, 1, b"")).await.expect("taken");
    let error = stream.read(&mut [0]).await.expect_err("its verdict");
    let error = Error::from_io(error);
    assert!(matches!(&error, Error::Pod { text } if text.len() <= 4096), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_provokes_answers_and_takes_none_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let lease = lease(listener.local_addr().expect("an address"));
    let (socket, stream) = tokio::join!(upgraded(&listener), lease.open());
    let (mut socket, mut stream) = (socket, stream.expect("a stream"));
    stream.flush().await.expect("opened");
    let pings = control(6, 0, &[0, 0, 0, 2]).repeat(5_000);
    let before = memory();
    let most = 256 << 20;
    let taken = flood(&mut socket, &pings, most).await;
    assert!(taken < most, "{taken} bytes of pings were taken");
    assert!(memory() < before + 64 * MEGABYTE, "{} MB", (memory() - before) / MEGABYTE);
    let error = stream.read(&mut [0]).await.expect_err("cut off");
    let error = Error::from_io(error);
    assert!(matches!(error, Error::Protocol { .. } | Error::TunnelLost { .. }), "{error:?}");
}
