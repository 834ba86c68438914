//! The program as it listens for the API server's `pods/proxy`, and strangers at its port.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use brow_relay::upgrade::{MOST, REQUIRED, SWITCHING};
use brow_relay::{Connection, Event, KEY, Kind, Limits, Side};

const SECRET: [u8; KEY] = [7; KEY];
const TIMEOUT: Duration = Duration::from_secs(30);
const LIMITS: Limits = Limits { streams: 0, window: 256 * 1024, most: 256 * 1024, extra: 0 };
const REQUEST: &[u8] = b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: brow\r\n\r\n";

/// A relay that listens.
struct Listening {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Listening {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), format!("{}\n", "07".repeat(KEY))).unwrap();
        let (child, said) = Self::run(&dir, "0");
        Self { child, port: said.parse().unwrap(), dir }
    }

    /// Runs the program for a port; what it says.
    fn run(dir: &tempfile::TempDir, port: &str) -> (Child, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brow-relay"));
        command.arg(dir.path().join("key")).arg(port).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line.trim_end().to_owned())
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        socket
    }

    /// Returns whether a new client is served; it may be turned away.
    fn serves_one_more(&self) -> bool {
        let mut socket = self.connect();
        let mut answer = vec![0; SWITCHING.len()];
        let upgraded = socket.write_all(REQUEST).and_then(|()| socket.read_exact(&mut answer));
        upgraded.is_ok() && Client::new(socket, SECRET).is_served()
    }

    /// A figure of the process: threads, or KiB.
    #[cfg(target_os = "linux")]
    fn takes(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// A connection that was upgraded.
    fn upgraded(&self) -> TcpStream {
        let mut socket = self.connect();
        socket.write_all(REQUEST).unwrap();
        let mut answer = vec![0; SWITCHING.len()];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer, SWITCHING);
        socket
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ended = (self.child.kill(), self.child.wait());
    }
}

/// A client that speaks the protocol.
struct Client {
    socket: TcpStream,
    connection: Connection,
}

impl Client {
    fn new(socket: TcpStream, key: [u8; KEY]) -> Self {
        Self { socket, connection: Connection::new(Side::Client, &key, [9; KEY], LIMITS) }
    }

    fn flush(&mut self) {
        let count = self.connection.output().len();
        self.socket.write_all(self.connection.output()).unwrap();
        self.connection.sent(count);
    }

    /// Waits until an event is what is sought; `false` if the relay hangs up, or does not know the key.
    fn until(&mut self, sought: impl Fn(Event<'_>) -> bool) -> bool {
        loop {
            match self.connection.next() {
                Ok(Some(event)) if sought(event) => return true,
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(_) => return false,
            }
            self.flush();
            match self.socket.read(self.connection.space()) {
                Ok(count @ 1..) => self.connection.received(count),
                Ok(_) => return false,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("the relay says nothing: {error}"),
            }
        }
    }

    /// Returns true if each side proves to the other that it knows the key.
    fn is_served(&mut self) -> bool {
        let up = self.until(|event| matches!(event, Event::Up));
        self.connection.ping(0);
        up && self.until(|event| event == Event::Pong { token: 0 })
    }
}

/// Returns whether the relay has not ended a connection yet.
fn is_open(socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let mut socket = socket;
    loop {
        match socket.read(&mut [0; 256]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Waits for the end of a connection; what came before it.
fn rest(mut socket: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it does not end: {error}"),
    }
    rest
}

#[test]
fn clients_with_the_key_are_served_side_by_side() {
    let relay = Listening::start();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::new(relay.upgraded(), SECRET);
        assert!(client.is_served());
        let id = client.connection.open(Kind::Tcp, "127.0.0.1", target.local_addr().unwrap().port()).unwrap();
        client.flush();
        assert!(client.until(|event| matches!(event, Event::Connected { id: of, .. } if of == id)));
        let (served, _) = target.accept().unwrap();
        clients.push((client, id, served));
    }
    for (client, id, served) in &mut clients {
        served.write_all(b"answer").unwrap();
        let id = *id;
        assert!(client.until(|event| event == Event::Data { id, bytes: b"answer" }));
    }
    // One that goes takes its own connections along, and no others.
    let (gone, _, mut served) = clients.pop().unwrap();
    drop(gone);
    served.set_read_timeout(Some(TIMEOUT)).unwrap();
    assert_eq!(served.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    for (client, id, served) in &mut clients {
        served.write_all(b"more").unwrap();
        let id = *id;
        assert!(client.until(|event| event == Event::Data { id, bytes: b"more" }));
    }
}

#[test]
fn the_first_bytes_may_come_with_the_request() {
    let relay = Listening::start();
    let mut socket = relay.connect();
    let mut connection = Connection::new(Side::Client, &SECRET, [9; KEY], LIMITS);
    let greeting = connection.output().to_vec();
    connection.sent(greeting.len());
    socket.write_all(&[REQUEST, &greeting].concat()).unwrap();
    let mut answer = vec![0; SWITCHING.len()];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, SWITCHING);
    assert!(Client { socket, connection }.is_served());
}

#[test]
fn whoever_does_not_know_the_key_gets_nothing() {
    let relay = Listening::start();
    assert!(!Client::new(relay.upgraded(), [8; KEY]).is_served(), "another key");
    let mut garbage = relay.upgraded();
    garbage.write_all(&[0; 4_096]).unwrap();
    assert_eq!(rest(garbage), b"", "garbage");
    // A replay of a recorded session fails: the relay begins with another random value.
    let mut first = Client::new(relay.upgraded(), SECRET);
    let mut recorded = first.connection.output().to_vec();
    assert!(first.is_served());
    first.connection.open(Kind::Tcp, "127.0.0.1", 1).unwrap();
    recorded.extend_from_slice(first.connection.output());
    let mut replayed = relay.upgraded();
    replayed.write_all(&recorded).unwrap();
    replayed.shutdown(Shutdown::Write).unwrap();
    let said = rest(replayed);
    assert!(said.len() < 128, "at most a greeting, and a hello that it cannot read: {said:?}");
    assert!(Client::new(relay.upgraded(), SECRET).is_served(), "the others are served yet");
}

#[test]
fn other_requests_are_told_what_is_wanted() {
    let relay = Listening::start();
    let long = [b"GET /x HTTP/1.1\r\nx: ".as_slice(), &[b'x'; MOST]].concat();
    for request in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), b"\x16\x03\x01\r\n\r\n", &long] {
        let mut socket = relay.connect();
        socket.write_all(request).unwrap();
        let said = rest(socket);
        // Closing with unread input resets the connection, and the answer may be lost.
        assert!(said == REQUIRED || request.len() > MOST && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
    assert!(Client::new(relay.upgraded(), SECRET).is_served());
}

#[test]
fn half_open_connections_keep_nobody_out() {
    let relay = Listening::start();
    let mut known = Client::new(relay.upgraded(), SECRET);
    assert!(known.is_served());
    let strangers: Vec<TcpStream> = (0..300)
        .filter_map(|number| {
            let mut socket = relay.connect();
            // Some say nothing, some half a request, some all of it. Some are ended by then.
            let said = [b"".as_slice(), &REQUEST[..20], REQUEST][number % 3];
            socket.write_all(said).ok().map(|()| socket)
        })
        .collect();
    // The threads of those that were ended take a moment to end.
    let until = Instant::now() + TIMEOUT;
    while !relay.serves_one_more() {
        assert!(Instant::now() < until, "one more");
        std::thread::yield_now();
    }
    // The oldest were ended, and those for whom there was no thread.
    let open = strangers.into_iter().filter(is_open).count();
    assert!(open <= 8, "{open} of one address");
    known.connection.ping(1);
    assert!(known.until(|event| event == Event::Pong { token: 1 }), "one that was there");
    #[cfg(target_os = "linux")]
    assert!(relay.takes("Threads:") <= 18 && relay.takes("VmHWM:") <= 8 * 1024);
}

/// Something that a stranger may say: nothing, garbage, a part of what a client says, or all of it without the key.
#[cfg(target_os = "linux")]
fn nonsense(random: &mut u64) -> Vec<u8> {
    let mut next = || {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*random >> 33).unwrap()
    };
    let bytes: Vec<u8> = (0..next() % 40_000).map(|_| next().to_le_bytes()[0]).collect();
    let greeting = Connection::new(Side::Client, &[8; KEY], [9; KEY], LIMITS).output().to_vec();
    let whole = match next() % 4 {
        0 => bytes,
        1 => [REQUEST, &bytes].concat(),
        // A record that is long, and never whole.
        2 => [REQUEST, &greeting, &[0xff, 0xf8], &bytes].concat(),
        _ => [REQUEST, &greeting, &[0, 29], &bytes].concat(),
    };
    let end = if next() % 2 == 0 { whole.len() } else { next() % (whole.len() + 1) };
    whole[..end].to_vec()
}

#[cfg(target_os = "linux")]
#[test]
fn strangers_who_rage_keep_no_client_out_and_take_little() {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use socket2::{Domain, Socket, Type};

    let relay = Listening::start();
    let mut known = Client::new(relay.upgraded(), SECRET);
    assert!(known.is_served());
    let ends = AtomicBool::new(false);
    let to = SocketAddr::from(([127, 0, 0, 1], relay.port));
    let rage = |stranger: u8| {
        let (mut held, mut random) = (std::collections::VecDeque::new(), u64::from(stranger));
        let end = Instant::now() + 4 * TIMEOUT;
        while !ends.load(Ordering::Relaxed) && Instant::now() < end {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&SocketAddr::from(([127, 0, 0, stranger], 0)).into()).unwrap();
            // Some find no port, or nobody who accepts in time.
            if socket.connect(&to.into()).is_err() {
                continue;
            }
            socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            let _refused = (&socket).write_all(&nonsense(&mut random));
            held.push_back(socket);
            // As many as a client that they are to keep out would need.
            if held.len() > 100 {
                held.pop_front();
            }
        }
    };
    std::thread::scope(|scope| {
        for stranger in [2, 3] {
            scope.spawn(move || rage(stranger));
        }
        let served = (0..100).filter(|_| relay.serves_one_more()).count();
        ends.store(true, Ordering::Relaxed);
        assert_eq!(served, 100);
    });
    known.connection.ping(1);
    assert!(known.until(|event| event == Event::Pong { token: 1 }), "one that was there");
    assert!(relay.takes("Threads:") <= 130 && relay.takes("VmHWM:") <= 16 * 1024);
}

#[test]
fn a_stranger_who_takes_his_time_is_ended() {
    let relay = Listening::start();
    let mut socket = relay.connect();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let greeting = Connection::new(Side::Client, &SECRET, [9; KEY], LIMITS).output().to_vec();
    let until = Instant::now() + 2 * TIMEOUT;
    // Each byte is in time, and all of them are not.
    for byte in [REQUEST, &greeting].concat() {
        assert!(Instant::now() < until, "it is served yet");
        if socket.write_all(&[byte]).is_err() {
            break;
        }
        match socket.read(&mut [0; 256]) {
            Ok(0) => return,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    panic!("it could say all");
}

#[test]
fn a_second_process_leaves_the_port_to_the_first() {
    let relay = Listening::start();
    let (mut second, said) = Listening::run(&relay.dir, &relay.port.to_string());
    assert_eq!(said, relay.port.to_string());
    assert!(second.wait().unwrap().success());
    assert!(Client::new(relay.upgraded(), SECRET).is_served());
}
