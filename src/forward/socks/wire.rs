//! The requests of a proxy target's clients, by SOCKS 5, 4 or 4a, or by HTTP, told apart by the first byte. Does no
//! I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::http;
use brow_model::address::{Address, Host, Transport};

/// The most bytes that a request may have. HTTP's have a bound like this in most servers.
pub(super) const MAX_REQUEST: usize = 16 * 1024;

/// The most bytes of a user's name or a host's in SOCKS 4.
const MAX_WORD: usize = 255;

/// Versions of SOCKS, the first byte of what a client says.
const SOCKS5: u8 = 5;
const SOCKS4: u8 = 4;

/// The method of SOCKS 5 without a login, and the answer that none of the offered ones will do.
const NO_LOGIN: u8 = 0;
const NO_METHOD: u8 = 0xff;

/// Commands of SOCKS.
const CONNECT: u8 = 1;
const ASSOCIATE: u8 = 3;

/// Kinds of addresses in SOCKS 5.
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

/// The protocol in which a client wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Socks5,
    Socks4,
    Http,
}

/// The request of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Connect {
        to: Address,
        protocol: Protocol,
    },
    /// An HTTP request passed on to the server at an address, with this head.
    Pass {
        to: Address,
        head: Vec<u8>,
    },
    /// Datagrams carried (SOCKS 5), which come from this port if it is not 0.
    Associate {
        from: u16,
    },
    /// The file that tells a browser what to ask the proxy for.
    Pac,
}

/// The reason why a request is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The rules of the target do not allow it.
    NotAllowed,
    Refused,
    TimedOut,
    Unresolved,
    HostUnreachable,
    NetworkUnreachable,
    /// There is no way to the cluster, or something else failed.
    Failed,
    /// The command is not known here.
    Command,
    /// The kind of address is not known.
    AddressKind,
}

/// The next step of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The client has not said all yet.
    More,
    /// The client waits for this before it goes on.
    Answer(Vec<u8>),
    /// The request is whole.
    Asked(Request),
    /// Nothing comes of it: it is answered, and the connection ends.
    Refused(Vec<u8>),
}

/// A client's words so far, as far as they are not read yet.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    unread: Vec<u8>,
    /// True once a method of SOCKS 5 was agreed on.
    greeted: bool,
}

impl Conversation {
    /// Takes what the client sent.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// Returns what comes next.
    pub(super) fn step(&mut self) -> Step {
        let Some(first) = self.unread.first() else { return Step::More };
        let read = match (self.greeted, *first) {
            (false, SOCKS5) => self.greeting(),
            (true, SOCKS5) => socks5(&self.unread),
            (false, SOCKS4) => socks4(&self.unread),
            (false, letter) if letter.is_ascii_alphabetic() => http::request(&self.unread),
            _ => Some((Step::Refused(Vec::new()), 0)),
        };
        let Some((step, length)) = read else {
            let too_long = self.unread.len() > MAX_REQUEST;
            return if too_long { Step::Refused(http::too_large()) } else { Step::More };
        };
        self.unread.drain(..length);
        step
    }

    /// Returns what the client sent after its request.
    pub(super) fn rest(self) -> Vec<u8> {
        self.unread
    }

    /// Reads the methods that a client of SOCKS 5 offers.
    fn greeting(&mut self) -> Option<(Step, usize)> {
        let length = 2 + usize::from(*self.unread.get(1)?);
        let methods = self.unread.get(2..length)?;
        self.greeted = methods.contains(&NO_LOGIN);
        let method = |method| vec![SOCKS5, method];
        Some((if self.greeted { Step::Answer(method(NO_LOGIN)) } else { Step::Refused(method(NO_METHOD)) }, length))
    }
}

/// Reads a request of SOCKS 5: version, command, 0, address.
fn socks5(bytes: &[u8]) -> Option<(Step, usize)> {
    let refused = |refusal| Some((Step::Refused(Protocol::Socks5.refused(refusal, "")), bytes.len()));
    let [_, command, _, rest @ ..] = bytes else { return None };
    let (host, port, length) = match place(rest)? {
        Ok(place) => place,
        Err(refusal) => return refused(refusal),
    };
    let length = 3 + length;
    match *command {
        CONNECT if port == 0 => refused(Refusal::Failed),
        CONNECT => match host {
            Some(host) => Some((Step::Asked(connect(host, port, Protocol::Socks5)), length)),
            None => refused(Refusal::Unresolved),
        },
        ASSOCIATE => Some((Step::Asked(Request::Associate { from: port }), length)),
        _ => refused(Refusal::Command),
    }
}

/// An address of SOCKS 5: the host, if that can be one, the port, and the length of both.
type Place = (Option<Host>, u16, usize);

/// Reads an address of SOCKS 5; `None` while it is not whole.
fn place(bytes: &[u8]) -> Option<Result<Place, Refusal>> {
    let (kind, rest) = bytes.split_first()?;
    let (host, length) = match *kind {
        V4 => (Some(Host::V4(Ipv4Addr::from(*rest.first_chunk::<4>()?))), 4),
        V6 => (Some(Host::V6(Ipv6Addr::from(*rest.first_chunk::<16>()?))), 16),
        NAME => {
            let length = 1 + usize::from(*rest.first()?);
            (named(rest.get(1..length)?), length)
        }
        _ => return Some(Err(Refusal::AddressKind)),
    };
    let port = rest.get(length..)?.first_chunk::<2>()?;
    Some(Ok((host, u16::from_be_bytes(*port), length + 3)))
}

/// Reads a request of SOCKS 4: version, command, port, address, user; of 4a the host's name, too.
fn socks4(bytes: &[u8]) -> Option<(Step, usize)> {
    let refused = |refusal| Some((Step::Refused(Protocol::Socks4.refused(refusal, "")), bytes.len()));
    let [_, command, high, low, a, b, c, d, rest @ ..] = bytes else { return None };
    let port = u16::from_be_bytes([*high, *low]);
    let word = |rest: &[u8]| match rest.iter().take(MAX_WORD + 1).position(|byte| *byte == 0) {
        Some(end) => Some(Ok(end)),
        None if rest.len() > MAX_WORD => Some(Err(())),
        None => None,
    };
    let Ok(user) = word(rest)? else { return refused(Refusal::Failed) };
    let mut length = 8 + user + 1;
    let host = match [*a, *b, *c, *d] {
        [0, 0, 0, last] if last != 0 => {
            let Ok(end) = word(&bytes[length..])? else { return refused(Refusal::Unresolved) };
            let name = named(&bytes[length..length + end]);
            length += end + 1;
            name
        }
        ip => Some(Host::V4(ip.into())),
    };
    match host {
        Some(host) if *command == CONNECT && port != 0 => {
            Some((Step::Asked(connect(host, port, Protocol::Socks4)), length))
        }
        Some(_) | None => refused(Refusal::Failed),
    }
}

fn connect(host: Host, port: u16, protocol: Protocol) -> Request {
    Request::Connect { to: Address { host, port, transport: Transport::Tcp }, protocol }
}

/// Returns the host of a name, which may be an IP address in text.
fn named(name: &[u8]) -> Option<Host> {
    let name = std::str::from_utf8(name).ok()?;
    name.parse::<Ipv6Addr>().map(Host::V6).ok().or_else(|| name.parse().ok())
}

/// Reads the head of a datagram of SOCKS 5, and returns the address that it is for and the rest. `None` for what is no
/// such datagram, and for a fragment, which a relay may drop (RFC 1928, 7).
pub(super) fn datagram(bytes: &[u8]) -> Option<(Address, &[u8])> {
    let [0, 0, 0, rest @ ..] = bytes else { return None };
    let (host, port, length) = place(rest)?.ok()?;
    let address = Address { host: host?, port, transport: Transport::Udp };
    (port != 0).then_some((address, &rest[length..]))
}

/// Returns the head of datagrams that come from an address.
pub(super) fn datagram_head(from: &Address) -> Vec<u8> {
    let mut head = vec![0, 0, 0];
    match &from.host {
        Host::V4(ip) => head.extend([&[V4][..], &ip.octets()].concat()),
        Host::V6(ip) => head.extend([&[V6][..], &ip.octets()].concat()),
        // No valid name is longer.
        Host::Name(name) => {
            head.extend([&[NAME, u8::try_from(name.len()).unwrap_or(u8::MAX)], name.as_bytes()].concat());
        }
    }
    head.extend(from.port.to_be_bytes());
    head
}

fn socks5_answer(code: u8, bound: SocketAddr) -> Vec<u8> {
    let mut answer = vec![SOCKS5, code, 0];
    match bound.ip() {
        IpAddr::V4(ip) => answer.extend([&[V4][..], &ip.octets()].concat()),
        IpAddr::V6(ip) => answer.extend([&[V6][..], &ip.octets()].concat()),
    }
    answer.extend(bound.port().to_be_bytes());
    answer
}

/// The bound address of answers that have none to tell.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Returns the answer that datagrams are taken at an address.
pub(super) fn associated(at: SocketAddr) -> Vec<u8> {
    socks5_answer(0, at)
}

impl Protocol {
    /// Returns the answer that a connection is open.
    pub(super) fn connected(self) -> Vec<u8> {
        match self {
            Self::Socks5 => socks5_answer(0, NOWHERE),
            Self::Socks4 => vec![0, 90, 0, 0, 0, 0, 0, 0],
            Self::Http => http::CONNECTED.to_vec(),
        }
    }

    /// Returns the answer that nothing comes of a request, with words for a person where it has room for them.
    pub(super) fn refused(self, refusal: Refusal, words: &str) -> Vec<u8> {
        match self {
            Self::Socks5 => socks5_answer(refusal.socks5(), NOWHERE),
            Self::Socks4 => vec![0, 91, 0, 0, 0, 0, 0, 0],
            Self::Http => http::refused(refusal, words),
        }
    }
}

impl Refusal {
    /// Returns its code in SOCKS 5 (RFC 1928, 6).
    fn socks5(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::NotAllowed => 2,
            Self::NetworkUnreachable => 3,
            Self::HostUnreachable | Self::Unresolved => 4,
            Self::Refused => 5,
            // "TTL expired": the nearest that there is.
            Self::TimedOut => 6,
            Self::Command => 7,
            Self::AddressKind => 8,
        }
    }
}

#[cfg(test)]
mod tests;
