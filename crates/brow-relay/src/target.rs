//! One target: the connection that belongs to a stream.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use brow_relay::Reason;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

/// The timeout of connecting, the lookup of a name included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A stream's target. Its socket says once that it is ready, so that has to be remembered.
#[expect(clippy::struct_excessive_bools, reason = "each direction and readiness is a state of its own")]
pub(crate) struct Target {
    pub socket: Option<TcpStream>,
    pub connected: bool,
    pub readable: bool,
    /// True while it waits for its turn to be read.
    pub queued: bool,
    writable: bool,
    /// Addresses that were not tried yet.
    addresses: VecDeque<SocketAddr>,
    began: Instant,
    /// The time at which the current attempt is given up.
    deadline: Instant,
    /// The error of the last attempt.
    failure: Option<io::Error>,
    /// Bytes that the socket did not take yet.
    pending: Vec<u8>,
    /// `last`: nothing comes after them; `told`: the target knows that.
    last: bool,
    told: bool,
    /// True once the target has ended its side.
    pub ended: bool,
}

/// The state of an attempt to connect.
pub(crate) enum Connecting {
    Open,
    Waits,
    Failed,
}

impl Target {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            socket: None,
            connected: false,
            readable: false,
            queued: false,
            writable: false,
            addresses: VecDeque::new(),
            began: now,
            deadline: now + CONNECT_TIMEOUT,
            failure: None,
            pending: Vec::new(),
            last: false,
            told: false,
            ended: false,
        }
    }

    /// Takes the addresses of the target's name.
    pub(crate) fn found(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = addresses.into();
    }

    /// Begins to connect to the next address; `false` where there is none left.
    pub(crate) fn connect(&mut self, registry: &Registry, token: Token, now: Instant) -> bool {
        self.socket = None;
        while let Some(address) = self.addresses.pop_front() {
            let left = (self.began + CONNECT_TIMEOUT).saturating_duration_since(now);
            let share = left / u32::try_from(self.addresses.len() + 1).unwrap_or(u32::MAX);
            let begun = TcpStream::connect(address).and_then(|mut socket| {
                registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
                Ok(socket)
            });
            match begun {
                Ok(socket) => {
                    (self.socket, self.deadline) = (Some(socket), now + share);
                    return true;
                }
                Err(error) => self.failure = Some(error),
            }
        }
        false
    }

    /// Looks how connecting goes, when the socket has something to say.
    pub(crate) fn look(&mut self) -> Connecting {
        let Some(socket) = &self.socket else { return Connecting::Waits };
        let error = match socket.take_error() {
            Ok(None) => match socket.peer_addr() {
                Ok(_) => {
                    self.connected = true;
                    let options = SockRef::from(socket);
                    // A socket without them works, too.
                    let _ = options.set_tcp_nodelay(true);
                    let _ = options.set_keepalive(true);
                    return Connecting::Open;
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => return Connecting::Waits,
                Err(error) => error,
            },
            Ok(Some(error)) | Err(error) => error,
        };
        self.failure = Some(error);
        Connecting::Failed
    }

    /// Returns the time at which the current attempt is given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.connected).then_some(self.deadline)
    }

    /// Takes note that the attempt under way has taken too long.
    pub(crate) fn late(&mut self) {
        self.failure = Some(ErrorKind::TimedOut.into());
    }

    /// Returns the reason why the target was not reached, and its words.
    pub(crate) fn failure(&mut self) -> (Reason, String) {
        let error = self.failure.take();
        match error {
            Some(error) if error.kind() == ErrorKind::TimedOut => {
                (Reason::TimedOut, format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))
            }
            Some(error) => (reason(&error), words(&error)),
            None => (Reason::Unresolved, "Name has no usable address".to_owned()),
        }
    }

    /// Returns the time since the stream was opened.
    pub(crate) fn took(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Takes note of what the socket says of itself.
    pub(crate) fn is_ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Reads what is there, once.
    pub(crate) fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let Some(socket) = &mut self.socket else { return Err(ErrorKind::WouldBlock.into()) };
        let read = socket.read(space);
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            self.readable = false;
        }
        read
    }

    /// Takes bytes for the target; returns how many are out of hand.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let wrote = if self.pending.is_empty() { self.write(bytes)? } else { 0 };
        self.pending.extend_from_slice(&bytes[wrote..]);
        Ok(wrote)
    }

    /// Nothing comes after what was taken.
    pub(crate) fn take_end(&mut self) -> io::Result<()> {
        self.last = true;
        self.flush().map(|_| ())
    }

    /// Writes what waits; returns how many bytes went out of hand.
    pub(crate) fn flush(&mut self) -> io::Result<usize> {
        let pending = std::mem::take(&mut self.pending);
        let wrote = self.write(&pending)?;
        if wrote < pending.len() {
            self.pending = pending;
            self.pending.drain(..wrote);
        } else if self.last && self.connected && !std::mem::replace(&mut self.told, true) {
            self.socket.as_ref().map_or(Ok(()), |socket| socket.shutdown(Shutdown::Write))?;
        }
        Ok(wrote)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut wrote = 0;
        let Some(socket) = self.socket.as_mut().filter(|_| self.connected) else { return Ok(0) };
        while self.writable && wrote < bytes.len() {
            match socket.write(&bytes[wrote..]) {
                Ok(count) => wrote += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(wrote)
    }

    /// Returns true once both sides have ended and know it.
    pub(crate) fn is_over(&self) -> bool {
        self.ended && self.told
    }

    /// Makes closing the socket send a reset.
    pub(crate) fn abort(&self) {
        if let Some(socket) = &self.socket {
            // Failing to set it makes the reset an end in order.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// The protocol's word for an error.
pub(crate) fn reason(error: &io::Error) -> Reason {
    match error.kind() {
        ErrorKind::ConnectionRefused => Reason::Refused,
        ErrorKind::TimedOut => Reason::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Reason::Unreachable,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Reason::Reset,
        _ => Reason::Failed,
    }
}

/// Returns the system's words for an error, without its number.
pub(crate) fn words(error: &io::Error) -> String {
    let words = error.to_string();
    words.split_once(" (os error").map_or(words.as_str(), |(words, _)| words).to_owned()
}
