//! The port for the pod proxy. Each connection that asks for the upgrade gets a thread, and there all that standard
//! input and output have; who does not prove to know the key in time gets nothing.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use brow_relay::KEY;
use brow_relay::upgrade::{Head, REQUIRED, SWITCHING};

use crate::carrier::Ends;
use crate::serve::{GREETING, Relay};

/// The most connections of clients that know the key.
const KNOWN: usize = 64;

/// The most others, of all addresses and of one. One more ends the oldest of its own address, or else of the one that
/// has the most, so that strangers cannot keep a client out by holding them or by opening ever more.
const STRANGERS: usize = 32;
const OF_ONE: usize = 8;

/// The factor by which there may be more threads than strangers: those of ended ones take a moment to end.
const ENDING: usize = 2;

const STACK: usize = 128 * 1024;

/// The pause after a connection could not be accepted, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Tells the other side the port, and serves it until the pod ends. Where another process does already, that is all.
pub(crate) fn listen(key: [u8; KEY], port: u16) -> io::Result<()> {
    let bound = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|error| match error.kind() {
        ErrorKind::AddrInUse => Err(error),
        // A node without IPv6.
        _ => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
    });
    let listener = match bound {
        Ok(listener) => Some(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => None,
        Err(error) => {
            say(&error.to_string())?;
            return Err(error);
        }
    };
    let Some(listener) = listener else { return say(&port.to_string()) };
    say(&listener.local_addr()?.port().to_string())?;
    leave()?;
    let guests = Guests::default();
    loop {
        let Ok((socket, from)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        let Some(guest) = guests.enter(&socket, from.ip().to_canonical()) else { continue };
        let serving = move || serve(socket, &key, guest);
        // Without memory for a thread the connection ends.
        let _ = thread::Builder::new().stack_size(STACK).spawn(serving);
    }
}

fn say(line: &str) -> io::Result<()> {
    io::stdout().write_all(format!("{line}\n").as_bytes())
}

/// Lets go of the stream that this process was started on.
fn leave() -> io::Result<()> {
    let nothing = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok(rustix::stdio::dup2_stderr(&nothing)?)
}

/// Answers a request for the upgrade, and relays. An error ends the connection, and there is nobody to tell.
fn serve(mut socket: TcpStream, key: &[u8; KEY], mut guest: Guest) {
    let began = Instant::now();
    let Ok(Some(first)) = upgrade(&mut socket, began + GREETING) else { return };
    // A connection without it works, too.
    let _ = socket.set_nodelay(true);
    let relay = Ends::of(socket).and_then(|ends| Relay::new(key, ends));
    let Ok(mut relay) = relay else { return };
    relay.has_come(&first, began);
    let _ = relay.run(&mut || guest.proved());
}

/// Reads the head of a request and switches protocols; returns what came after the head. `None`: it asks for something
/// else.
fn upgrade(socket: &mut TcpStream, until: Instant) -> io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 1_024]);
    loop {
        match Head::read(&bytes) {
            Head::Partial => {}
            Head::Upgrade(length) => {
                socket.write_all(SWITCHING)?;
                return Ok(Some(bytes.split_off(length)));
            }
            Head::Other => {
                socket.write_all(REQUIRED)?;
                return Ok(None);
            }
        }
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        socket.set_read_timeout(Some(left.ok_or(ErrorKind::TimedOut)?))?;
        match socket.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// The connections, by what is known of them.
#[derive(Default, Clone)]
struct Guests(Arc<Mutex<Lists>>);

#[derive(Default)]
struct Lists {
    last: u64,
    /// The oldest first.
    strangers: Vec<Stranger>,
    known: usize,
}

/// One that does not know the key yet, until its thread ends.
struct Stranger {
    number: u64,
    from: IpAddr,
    /// Gone once it was ended.
    socket: Option<TcpStream>,
}

/// One of them, until its thread ends.
struct Guest {
    number: u64,
    known: bool,
    guests: Guests,
}

impl Guests {
    /// Nothing that holds this lock panics.
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new connection; `None` where there is no room for it.
    fn enter(&self, socket: &TcpStream, from: IpAddr) -> Option<Guest> {
        let mut lists = self.lock();
        if lists.open(from) >= OF_ONE {
            lists.end_oldest(from);
        } else if let Some(most) = lists.crowd() {
            lists.end_oldest(most);
        }
        let of_it = lists.strangers.iter().filter(|stranger| stranger.from == from).count();
        if lists.known >= KNOWN || of_it >= ENDING * OF_ONE || lists.strangers.len() >= ENDING * STRANGERS {
            return None;
        }
        let socket = Some(socket.try_clone().ok()?);
        lists.last += 1;
        let number = lists.last;
        lists.strangers.push(Stranger { number, from, socket });
        drop(lists);
        Some(Guest { number, known: false, guests: self.clone() })
    }
}

impl Guest {
    /// Counts it among those that know the key.
    fn proved(&mut self) {
        let mut lists = self.guests.lock();
        lists.forget(self.number);
        lists.known += 1;
        self.known = true;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut lists = self.guests.lock();
        lists.known -= usize::from(self.known);
        lists.forget(self.number);
    }
}

impl Lists {
    fn forget(&mut self, number: u64) {
        self.strangers.retain(|stranger| stranger.number != number);
    }

    /// Returns how many strangers from an address are not ended.
    fn open(&self, from: IpAddr) -> usize {
        self.strangers.iter().filter(|stranger| stranger.from == from && stranger.socket.is_some()).count()
    }

    /// Returns the address that has the most strangers, where there are as many as there may be.
    fn crowd(&self) -> Option<IpAddr> {
        let open = self.strangers.iter().filter(|stranger| stranger.socket.is_some());
        if open.clone().count() < STRANGERS {
            return None;
        }
        open.map(|stranger| stranger.from).max_by_key(|from| self.open(*from))
    }

    fn end_oldest(&mut self, from: IpAddr) {
        let mut of_it = self.strangers.iter_mut().filter(|stranger| stranger.from == from);
        if let Some(socket) = of_it.find_map(|stranger| stranger.socket.take()) {
            // One that has ended by itself needs no more.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
