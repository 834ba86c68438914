//! The program as a pod runs it: on one socket, with targets on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use brow_relay::{Connection, Event, KEY, Kind, Limits, Reason, Side, Violation};
use socket2::SockRef;

const SECRET: [u8; KEY] = [7; KEY];
const TIMEOUT: Duration = Duration::from_secs(30);
const LIMITS: Limits = Limits { streams: 0, window: 256 * 1024, most: 256 * 1024, extra: 0 };

/// A running relay, and the client's end.
struct Relay {
    child: Child,
    socket: UnixStream,
    connection: Connection,
    _dir: tempfile::TempDir,
}

/// An event that outlives the connection's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Up,
    Connected(u32),
    Data(u32, Vec<u8>),
    End(u32),
    Reset(u32, Reason, String),
    Pong(u64),
    Datagram(u32, Vec<u8>),
    Gone,
}

impl Relay {
    /// Starts one that knows [`SECRET`]; the client has `key`.
    fn start(key: [u8; KEY]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, format!("{}\n", "07".repeat(KEY))).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(TIMEOUT)).unwrap();
        let (input, output) = (OwnedFd::from(far.try_clone().unwrap()), OwnedFd::from(far));
        let mut command = Command::new(env!("CARGO_BIN_EXE_brow-relay"));
        let child = command.arg(&file).stdin(Stdio::from(input)).stdout(Stdio::from(output)).spawn().unwrap();
        drop(command);
        let connection = Connection::new(Side::Client, &key, [9; KEY], LIMITS);
        Self { child, socket: near, connection, _dir: dir }
    }

    fn up() -> Self {
        let mut relay = Self::start(SECRET);
        assert_eq!(relay.said().unwrap(), Said::Up);
        relay
    }

    /// Sends what there is, and waits for the next event that says something.
    fn said(&mut self) -> Result<Said, Violation> {
        loop {
            while let Some(event) = self.connection.next()? {
                let said = match event {
                    Event::Up => Said::Up,
                    Event::Connected { id, .. } => Said::Connected(id),
                    Event::Data { id, bytes } => {
                        let bytes = bytes.to_vec();
                        self.connection.consume(id, bytes.len());
                        Said::Data(id, bytes)
                    }
                    Event::End { id } => Said::End(id),
                    Event::Reset { id, reason, words } => Said::Reset(id, reason, words.to_owned()),
                    Event::Pong { token } => Said::Pong(token),
                    Event::Datagram { id, bytes } => Said::Datagram(id, bytes.to_vec()),
                    Event::Open { .. } | Event::Credit { .. } | Event::Dropped { .. } | Event::Handled => continue,
                };
                return Ok(said);
            }
            self.flush();
            match self.socket.read(self.connection.space()) {
                Ok(0) => return Ok(Said::Gone),
                Ok(count) => self.connection.received(count),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Said::Gone),
                Err(error) => panic!("the relay says nothing: {error}"),
            }
        }
    }

    fn flush(&mut self) {
        while !self.connection.output().is_empty() {
            let Ok(count) = self.socket.write(self.connection.output()) else { return };
            self.connection.sent(count);
        }
    }

    /// Opens a stream to a port of this machine.
    fn open(&mut self, host: &str, port: u16) -> u32 {
        let id = self.connection.open(Kind::Tcp, host, port).unwrap();
        self.flush();
        id
    }

    /// Opens a flow to a port of this machine, and sends a datagram at once.
    fn open_flow(&mut self, host: &str, port: u16, datagram: &[u8]) -> u32 {
        let id = self.connection.open(Kind::Udp, host, port).unwrap();
        assert!(self.connection.send_datagram(id, datagram));
        self.flush();
        id
    }

    fn send(&mut self, id: u32, bytes: &[u8]) -> usize {
        let sent = self.connection.send_with(id, |space| {
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            Ok::<_, ()>(count)
        });
        self.flush();
        sent.unwrap()
    }

    /// Opens a stream to a listener; the target's end of it.
    fn connect(&mut self, listener: &TcpListener) -> (u32, TcpStream) {
        let id = self.open("127.0.0.1", listener.local_addr().unwrap().port());
        assert_eq!(self.said().unwrap(), Said::Connected(id));
        let (target, _) = listener.accept().unwrap();
        target.set_read_timeout(Some(TIMEOUT)).unwrap();
        (id, target)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn bytes_go_both_ways_and_ends_are_passed_on_one_at_a_time() {
    let (mut relay, listener) = (Relay::up(), listener());
    let (id, mut target) = relay.connect(&listener);
    relay.send(id, b"question");
    relay.connection.end(id);
    relay.flush();
    let mut asked = String::new();
    target.read_to_string(&mut asked).unwrap();
    assert_eq!(asked, "question");
    // The way back is open yet.
    target.write_all(b"answer").unwrap();
    assert_eq!(relay.said().unwrap(), Said::Data(id, b"answer".to_vec()));
    target.shutdown(Shutdown::Write).unwrap();
    assert_eq!(relay.said().unwrap(), Said::End(id));
}

#[test]
fn a_target_that_ends_first_still_takes_bytes() {
    let (mut relay, listener) = (Relay::up(), listener());
    let (id, mut target) = relay.connect(&listener);
    target.shutdown(Shutdown::Write).unwrap();
    assert_eq!(relay.said().unwrap(), Said::End(id));
    relay.send(id, b"late");
    relay.connection.end(id);
    relay.flush();
    let mut got = String::new();
    target.read_to_string(&mut got).unwrap();
    assert_eq!(got, "late");
}

#[test]
fn resets_are_resets_in_both_directions() {
    let (mut relay, listener) = (Relay::up(), listener());
    let (id, target) = relay.connect(&listener);
    SockRef::from(&target).set_linger(Some(Duration::ZERO)).unwrap();
    drop(target);
    let said = relay.said().unwrap();
    assert!(matches!(said, Said::Reset(of, Reason::Reset, _) if of == id), "{said:?}");
    let (id, mut target) = relay.connect(&listener);
    relay.connection.reset(id, Reason::Reset, "");
    relay.flush();
    assert_eq!(target.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_stream_without_use_ends_in_order() {
    let (mut relay, listener) = (Relay::up(), listener());
    let (id, mut target) = relay.connect(&listener);
    relay.connection.reset(id, Reason::Cancelled, "");
    relay.flush();
    assert_eq!(target.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn failures_have_their_reasons() {
    let mut relay = Relay::up();
    let free = listener().local_addr().unwrap().port();
    let id = relay.open("127.0.0.1", free);
    assert_eq!(relay.said().unwrap(), Said::Reset(id, Reason::Refused, "Connection refused".into()));
    let id = relay.open("no-such-host.invalid", 80);
    let said = relay.said().unwrap();
    assert!(matches!(&said, Said::Reset(of, Reason::Unresolved, words) if *of == id && !words.is_empty()), "{said:?}");
}

#[test]
fn names_are_resolved_and_their_addresses_tried() {
    let (mut relay, listener) = (Relay::up(), listener());
    let id = relay.open("localhost", listener.local_addr().unwrap().port());
    assert_eq!(relay.said().unwrap(), Said::Connected(id));
}

#[test]
fn datagrams_keep_their_bounds_whatever_their_size() {
    let (mut relay, target) = (Relay::up(), UdpSocket::bind("127.0.0.1:0").unwrap());
    target.set_read_timeout(Some(TIMEOUT)).unwrap();
    // A name is resolved first; what comes before that waits.
    for host in ["127.0.0.1", "localhost"] {
        let id = relay.open_flow(host, target.local_addr().unwrap().port(), b"first");
        assert_eq!(relay.said().unwrap(), Said::Connected(id));
        let mut space = vec![0; 70_000];
        let (count, from) = target.recv_from(&mut space).unwrap();
        assert_eq!(&space[..count], b"first");
        for length in [0, 1, 1_400, 8_192, 65_507] {
            let datagram: Vec<u8> = (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect();
            assert!(relay.connection.send_datagram(id, &datagram));
            relay.flush();
            let (count, _) = target.recv_from(&mut space).unwrap();
            assert_eq!(&space[..count], datagram);
            target.send_to(&datagram, from).unwrap();
            assert_eq!(relay.said().unwrap(), Said::Datagram(id, datagram));
        }
    }
}

#[test]
fn a_flow_whose_target_refuses_says_so() {
    let mut relay = Relay::up();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let id = relay.open_flow("127.0.0.1", free, b"anybody");
    assert_eq!(relay.said().unwrap(), Said::Connected(id));
    assert_eq!(relay.said().unwrap(), Said::Reset(id, Reason::Refused, "Connection refused".into()));
    let id = relay.open_flow("no-such-host.invalid", 53, b"anybody");
    let said = relay.said().unwrap();
    assert!(matches!(&said, Said::Reset(of, Reason::Unresolved, words) if *of == id && !words.is_empty()), "{said:?}");
}

#[test]
fn a_flood_of_datagrams_holds_up_no_connection() {
    let (mut relay, listener) = (Relay::up(), listener());
    let target = UdpSocket::bind("127.0.0.1:0").unwrap();
    let flow = relay.open_flow("127.0.0.1", target.local_addr().unwrap().port(), b"");
    assert_eq!(relay.said().unwrap(), Said::Connected(flow));
    let (_, from) = target.recv_from(&mut []).unwrap();
    let (id, mut server) = relay.connect(&listener);
    // More than anything on the way keeps, and nobody reads meanwhile.
    for _ in 0..5_000 {
        target.send_to(&[7; 1_000], from).unwrap();
    }
    server.write_all(b"through").unwrap();
    let mut datagrams = 0;
    loop {
        match relay.said().unwrap() {
            Said::Datagram(of, bytes) => {
                assert_eq!((of, bytes.len()), (flow, 1_000));
                datagrams += 1;
            }
            Said::Data(of, bytes) => {
                assert_eq!((of, bytes), (id, b"through".to_vec()));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(datagrams < 5_000, "{datagrams}");
}

#[test]
fn a_reader_who_stops_holds_up_nobody_else() {
    let (mut relay, listener) = (Relay::up(), listener());
    let (stuck, target) = relay.connect(&listener);
    let (other, mut echo) = relay.connect(&listener);
    // Data that the target does not read fills the stream's window and then stops.
    let block = vec![0; 16 * 1024];
    let mut sent = 0;
    loop {
        let count = relay.send(stuck, &block);
        sent += count;
        relay.connection.ping(sent as u64);
        while relay.said().unwrap() != Said::Pong(sent as u64) {}
        if count == 0 {
            break;
        }
    }
    relay.send(other, b"ping");
    let mut got = [0; 4];
    echo.read_exact(&mut got).unwrap();
    echo.write_all(&got).unwrap();
    assert_eq!(relay.said().unwrap(), Said::Data(other, b"ping".to_vec()));
    // All of it arrives once it is read.
    relay.connection.end(stuck);
    relay.flush();
    let mut target = target;
    let mut whole = Vec::new();
    target.read_to_end(&mut whole).unwrap();
    assert_eq!(whole.len(), sent);
}

#[test]
fn a_client_without_the_key_is_told_nothing() {
    let mut stranger = Relay::start([8; KEY]);
    let refused = stranger.said();
    assert!(refused.is_err(), "{refused:?}");
    // The relay hangs up at what it says.
    stranger.flush();
    assert!(!stranger.child.wait().unwrap().success());
}

#[test]
fn garbage_and_old_records_end_the_relay() {
    // Record what one client sends, to replay it to a second relay.
    let mut first = Relay::start(SECRET);
    let mut recorded = first.connection.output().to_vec();
    assert_eq!(first.said().unwrap(), Said::Up);
    first.connection.open(Kind::Tcp, "127.0.0.1", 1).unwrap();
    recorded.extend_from_slice(first.connection.output());
    for bytes in [recorded, vec![0; 4_096], b"GET / HTTP/1.1\r\n\r\n".repeat(9)] {
        let mut relay = Relay::start(SECRET);
        relay.socket.write_all(&bytes).unwrap();
        relay.socket.shutdown(Shutdown::Write).unwrap();
        let status = relay.child.wait().unwrap();
        assert!(!status.success());
    }
}

#[test]
fn what_is_open_is_reset_when_the_client_goes() {
    let (mut relay, listener) = (Relay::up(), listener());
    let (_, mut target) = relay.connect(&listener);
    relay.socket.shutdown(Shutdown::Both).unwrap();
    assert_eq!(target.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(relay.child.wait().unwrap().success());
}

#[test]
fn a_thousand_connections_at_once_take_little_memory() {
    let (mut relay, listener) = (Relay::up(), listener());
    let mut targets = Vec::new();
    for _ in 0..1_024 {
        targets.push(relay.connect(&listener));
    }
    for (id, target) in &mut targets {
        target.write_all(&id.to_be_bytes()).unwrap();
        assert_eq!(relay.said().unwrap(), Said::Data(*id, id.to_be_bytes().to_vec()));
    }
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string(format!("/proc/{}/status", relay.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib <= 16 * 1024, "{kib} KiB");
    }
}
