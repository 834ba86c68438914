//! Our own relay, given to the script of a proxy pod on this machine.
#![cfg(target_os = "linux")]

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use brow_relay::{Connection, Event, KEY, Limits, Reason, Side};
use ring::digest::{SHA256, digest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::Command;
use tokio::time::{Instant, sleep_until};

use super::super::handshake::hex;
use super::super::program::{PROGRAMS, names, unpacked};
use super::super::*;
use super::served::{asks, relay_with};
use brow_model::address::Address;
use brow_model::installation::Installation;

#[test]
fn the_programs_are_those_that_the_sums_are_of() {
    let sums = PROGRAMS.map(|(machine, packed)| {
        assert!(packed.len() <= 250_000, "{machine}: {} bytes", packed.len());
        let program = unpacked(machine).unwrap().unwrap();
        assert!(program.starts_with(b"\x7fELF") && program.len() <= 500_000, "{machine}: {} bytes", program.len());
        hex(digest(&SHA256, &program).as_ref())
    });
    assert_eq!(names(), sums.join(":"));
}

#[tokio::test]
#[cfg_attr(not(socat), ignore = "needs socat")]
async fn a_script_is_sent_the_program_once_and_becomes_it() {
    let dir = tempfile::tempdir().unwrap();
    let secret = Secret::new(&Installation::default(), "team", "ours");
    let (file, kept) = (dir.path().join("secret").display().to_string(), dir.path().display().to_string());
    let (_child, port) = relay_with(&secret, &file, Some(&kept)).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = target.local_addr().unwrap().to_string().parse().unwrap();
    for _ in 0..2 {
        let mut stream = asks(port, &secret, RelayRequest::Start, &mut 0).await.unwrap();
        load::<_, String>(&mut stream).await.unwrap();
        let mux = Mux::start(stream, &secret.key()).await.unwrap();
        let mut stream = mux.open(&address).unwrap();
        stream.connected().await.unwrap();
        let (mut accepted, _) = target.accept().await.unwrap();
        stream.write_all(b"question").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut asked = String::new();
        accepted.read_to_string(&mut asked).await.unwrap();
        accepted.write_all(b"answer").await.unwrap();
        drop(accepted);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!((asked.as_str(), answer.as_str()), ("question", "answer"));
    }
    // The program, and the secret.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[tokio::test]
#[cfg_attr(not(socat), ignore = "needs socat")]
async fn what_does_not_run_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret").display().to_string();
    // A file under the program's name that cannot run.
    let broken = dir.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    for name in names().split(':') {
        std::fs::write(broken.join(name), "exit 0").unwrap();
        std::fs::set_permissions(broken.join(name), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let (missing, broken) = (dir.path().join("missing").display().to_string(), broken.display().to_string());
    for (kept, says) in [(None, "off"), (Some(missing.as_str()), "not kept"), (Some(broken.as_str()), "ended")] {
        let secret = Secret::new(&Installation::default(), "team", "ours");
        let (_child, port) = relay_with(&secret, &file, kept).await;
        let mut stream = asks(port, &secret, RelayRequest::Start, &mut 0).await.unwrap();
        let loaded = load::<_, kube_tunnel::Error>(&mut stream).await;
        match (says, loaded) {
            ("off", Err(RelayError::Off)) => {}
            ("not kept", Err(RelayError::Unable(words))) => assert_eq!(words, says),
            ("ended", Ok(())) => {
                let started = Mux::start(stream, &secret.key()).await;
                assert!(matches!(started, Err(RelayError::Unable(_))));
            }
            (_, loaded) => panic!("{kept:?}: {loaded:?}"),
        }
    }
}

#[tokio::test]
#[cfg_attr(not(qemu), ignore = "needs qemu-aarch64")]
async fn the_program_for_arm64_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (program, key) = (dir.path().join("relay"), dir.path().join("key"));
    std::fs::write(&program, unpacked("aarch64").unwrap().unwrap()).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(&key, "07".repeat(KEY)).unwrap();
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let mut command = Command::new("qemu-aarch64");
    command.arg(&program).arg(&key).kill_on_drop(true);
    let ends = (far.try_clone().unwrap(), far);
    let started = command
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(ends.0)))
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(ends.1)))
        .spawn()
        .unwrap();
    drop(command);
    let mux = Mux::start(UnixStream::from_std(near).unwrap(), &[7; KEY]).await.unwrap();
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = mux.open(&target.local_addr().unwrap().to_string().parse().unwrap()).unwrap();
    stream.connected().await.unwrap();
    let (mut accepted, _) = target.accept().await.unwrap();
    stream.write_all(b"question").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut asked = String::new();
    accepted.read_to_string(&mut asked).await.unwrap();
    assert_eq!(asked, "question");
    drop(started);
}

/// The time for which a half-closed connection is silent.
const PAUSE: Duration = Duration::from_mins(10);

/// A relay whose target answers long after it was asked. Returns the reason of a reset, if that comes.
async fn answers_late(mut wire: DuplexStream) -> Option<Reason> {
    let limits = Limits { streams: 8, window: 1_024, most: 1_024, extra: 0 };
    let mut relay = Connection::new(Side::Relay, &[7; KEY], [2; KEY], limits);
    let mut due = None;
    loop {
        while let Some(event) = relay.next().unwrap() {
            match event {
                Event::Open { id, .. } => relay.connected(id, Duration::ZERO),
                Event::End { id } => due = Some((id, Instant::now() + PAUSE)),
                Event::Reset { reason, .. } => return Some(reason),
                _ => {}
            }
        }
        let count = relay.output().len();
        wire.write_all(relay.output()).await.unwrap();
        relay.sent(count);
        tokio::select! {
            count = wire.read(relay.space()) => match count.unwrap() {
                0 => return None,
                count => relay.received(count),
            },
            () = async { sleep_until(due.unwrap().1).await }, if due.is_some() => {
                let (id, _) = due.take().unwrap();
                let answer = |space: &mut [u8]| {
                    space[..6].copy_from_slice(b"answer");
                    Ok::<_, ()>(6)
                };
                relay.send_with(id, answer).unwrap();
                relay.end(id);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_connection_waits_ten_minutes_for_its_answer() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let relay = tokio::spawn(answers_late(far));
    let mux = Mux::start(near, &[7; KEY]).await.unwrap();
    let mut stream = mux.open(&"10.0.0.1:80".parse().unwrap()).unwrap();
    stream.write_all(b"question").await.unwrap();
    stream.shutdown().await.unwrap();
    let (asked, mut answer) = (Instant::now(), String::new());
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    assert!(asked.elapsed() >= PAUSE);
    drop((stream, mux));
    relay.await.unwrap();
}

/// A relay that freezes as soon as it is up: the system takes what is sent to it, and nothing comes.
async fn freezes(mut wire: DuplexStream) {
    let limits = Limits { streams: 8, window: 1_024, most: 1_024, extra: 0 };
    let mut relay = Connection::new(Side::Relay, &[7; KEY], [2; KEY], limits);
    while !relay.is_up() {
        let count = wire.read(relay.space()).await.unwrap();
        relay.received(count);
        while relay.next().unwrap().is_some() {}
        let count = relay.output().len();
        wire.write_all(relay.output()).await.unwrap();
        relay.sent(count);
    }
    sleep_until(Instant::now() + PAUSE).await;
    drop(wire);
}

/// A wire whose writes fail once it is broken.
struct Breaking {
    wire: DuplexStream,
    broken: Arc<AtomicBool>,
}

impl AsyncRead for Breaking {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_lost_as_soon_as_the_write_of_a_stream_fails() {
    let (wire, far) = tokio::io::duplex(1 << 16);
    let relay = tokio::spawn(freezes(far));
    let broken = Arc::<AtomicBool>::default();
    let mux = Mux::start(Breaking { wire, broken: Arc::clone(&broken) }, &[7; KEY]).await.unwrap();
    broken.store(true, Ordering::Relaxed);
    let began = Instant::now();
    mux.open(&"10.0.0.1:80".parse().unwrap()).unwrap().connected().await.unwrap_err();
    mux.ended().await;
    assert_eq!(began.elapsed(), Duration::ZERO, "not only by the next ping");
    relay.abort();
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_silent_is_given_up_though_it_is_written_to() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let relay = tokio::spawn(freezes(far));
    let mux = Mux::start(near, &[7; KEY]).await.unwrap();
    let began = Instant::now();
    mux.ended().await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    relay.abort();
}

#[tokio::test]
async fn a_connection_that_is_ended_here_is_reset_at_the_target() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let relay = tokio::spawn(answers_late(far));
    let mux = Mux::start(near, &[7; KEY]).await.unwrap();
    let mut stream = mux.open(&"10.0.0.1:80".parse().unwrap()).unwrap();
    stream.connected().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (local, _) = listener.accept().await.unwrap();
    let counters = Arc::default();
    let moving = tokio::time::timeout(Duration::from_millis(10), stream.splice(Arc::new(local), &counters));
    moving.await.expect_err("nobody has ended it");
    assert_eq!(relay.await.unwrap(), Some(Reason::Reset));
}
