//! The address a proxy pod relays to: a host or an IP, a port and its protocol, as the cluster sees them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::language::fault::without_logins;

/// A host as the cluster's resolver or network knows it.
///
/// A value of this type is safe to hand to the relay's shell: it holds nothing but letters, digits, `.`, `-`, `_`
/// and, for IPv6, `:` and the brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, without a zone: a zone means nothing in another machine's pod.
    V6(Ipv6Addr),
    /// A DNS name (RFC 1123 labels; `_` is let through because service records carry it).
    Name(String),
}

/// The protocol that an address is reached by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    #[default]
    Tcp,
    /// Datagrams: written `/udp` behind the port.
    Udp,
}

/// The host and port of a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The host or IP.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
    pub transport: Transport,
}

/// The error of a text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing was written.
    #[error("empty: write host:port, for example 10.0.0.1:3306")]
    Empty,
    /// A URL that leads to no one address.
    #[error("a URL that says no host and port; write host:port")]
    Url,
    /// No port, or none that is a number from 1 to 65535.
    #[error("no port from 1 to 65535 after the last colon")]
    Port,
    /// An IPv6 address without brackets cannot be told from its port.
    #[error("put an IPv6 address in brackets: [fd00::1]:5432")]
    Brackets,
    /// Neither an IP nor a DNS name.
    #[error("not an IP address or DNS name: letters, digits, '-' and '.' only")]
    Host,
}

/// The ports of schemes that people copy URLs of.
const SCHEMES: [(&str, u16); 30] = [
    ("amqp", 5672),
    ("amqps", 5671),
    ("bolt", 7687),
    ("cassandra", 9042),
    ("clickhouse", 9000),
    ("ftp", 21),
    ("http", 80),
    ("https", 443),
    ("kafka", 9092),
    ("ldap", 389),
    ("ldaps", 636),
    ("mariadb", 3306),
    ("memcached", 11211),
    ("mongodb", 27017),
    ("mqtt", 1883),
    ("mqtts", 8883),
    ("mssql", 1433),
    ("mysql", 3306),
    ("nats", 4222),
    ("neo4j", 7687),
    ("oracle", 1521),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("redis", 6379),
    ("rediss", 6379),
    ("sftp", 22),
    ("sqlserver", 1433),
    ("ssh", 22),
    ("ws", 80),
    ("wss", 443),
];

/// Takes the protocol off the end of an address.
pub(crate) fn without_transport(text: &str) -> (&str, Transport) {
    let text = text.trim();
    let known = [("/udp", Transport::Udp), ("/tcp", Transport::Tcp)].into_iter().find_map(|(end, transport)| {
        let (address, suffix) = text.split_at_checked(text.len().checked_sub(end.len())?)?;
        // Behind a port only: `pod/udp` is a name.
        let port = address.rsplit_once(':')?.1;
        let is_it = suffix.eq_ignore_ascii_case(end) && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        is_it.then_some((address, transport))
    });
    known.filter(|(address, _)| !address.contains('/')).unwrap_or((text, Transport::Tcp))
}

/// Returns true if a text is a URL: it has a scheme, a login or a path beside the address.
pub fn is_url(text: &str) -> bool {
    let (text, _) = without_transport(text);
    let before = text.split('/').next().unwrap_or_default();
    text.contains("://") || before.contains('@') || text.contains('/') && before.contains(':')
}

/// A part of a URL that an address does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlPart {
    User,
    Password,
    Path,
    /// A query or a fragment.
    Query,
}

impl UrlPart {
    /// The parts that stand in a text beside its address; not what they say.
    pub fn of(text: &str) -> Vec<Self> {
        if !is_url(text) {
            return Vec::new();
        }
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let bare = without_logins(&format!("://{rest}"));
        let bare = bare.trim_start_matches("://");
        let login = rest.strip_suffix(bare).unwrap_or_default().trim_end_matches('@');
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let after = bare.find(['/', '?', '#']).map_or("", |at| &bare[at..]);
        let (path, query) = after.split_at(after.find(['?', '#']).unwrap_or(after.len()));
        [
            (!user.is_empty(), Self::User),
            (!password.is_empty(), Self::Password),
            (path.len() > 1, Self::Path),
            (query.len() > 1, Self::Query),
        ]
        .into_iter()
        .filter_map(|(is_there, part)| is_there.then_some(part))
        .collect()
    }
}

impl Address {
    pub fn is_udp(&self) -> bool {
        self.transport == Transport::Udp
    }

    /// The address that a URL leads to: its port, else that of its scheme. All else that it says is left out.
    ///
    /// # Errors
    /// A URL without a host, or without a known port.
    fn of_url(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.trim().split_once("://").unwrap_or(("", text.trim()));
        if scheme.ends_with("+srv") {
            // The name of a record that has the hosts.
            return Err(AddressError::Url);
        }
        let bare = without_logins(&format!("://{rest}"));
        let place = bare.trim_start_matches("://").split(['/', '?', '#']).next().unwrap_or_default();
        if place.contains('@') || bare.contains('@') && bare.len() < rest.len() + 3 {
            // What stands between two of them may be a part of a password.
            return Err(AddressError::Url);
        }
        if place.contains(':') && !place.ends_with(']') {
            let transport = if scheme.eq_ignore_ascii_case("udp") { Transport::Udp } else { Transport::Tcp };
            return place.parse().map(|address| Self { transport, ..address });
        }
        // As in `jdbc:postgresql` and `mysql+pymysql`.
        let name = scheme.rsplit(':').next().and_then(|name| name.split('+').next()).unwrap_or_default();
        let known = SCHEMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        let (_, port) = known.ok_or(AddressError::Port)?;
        format!("{place}:{port}").parse()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if is_url(text) {
            return Self::of_url(text);
        }
        let (text, transport) = without_transport(text);
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Port)?;
        // `u16::from_str` takes a leading plus; a port has none.
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddressError::Port);
        }
        let port = port.parse().ok().filter(|p| *p != 0).ok_or(AddressError::Port)?;
        Ok(Self { host: host.parse()?, port, transport })
    }
}

impl FromStr for Host {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inner.parse().map(Self::V6).map_err(|_| AddressError::Host);
        }
        if text.contains(':') {
            return Err(AddressError::Brackets);
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::V4(ip));
        }
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        // A name of digits and dots that is no IPv4 address is a mistyped IPv4 address.
        let numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if name.len() > 253 || numeric || !name.split('.').all(label) {
            return Err(AddressError::Host);
        }
        // A dot at the end stays: with it the cluster's resolver does not try its own domains first.
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

impl Host {
    /// The IP, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(ip) => Some((*ip).into()),
            Self::V6(ip) => Some((*ip).into()),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(ip) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = if self.is_udp() { "/udp" } else { "" };
        write!(f, "{}:{}{transport}", self.host, self.port)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_ips_and_names() {
        for (text, shown) in [
            ("10.0.0.1:3306", "10.0.0.1:3306"),
            (" [fd00::1]:5432 ", "[fd00::1]:5432"),
            ("DB.internal.:1", "db.internal.:1"),
            ("redis:6379", "redis:6379"),
            ("_x.a-b:65535", "_x.a-b:65535"),
            ("10.0.0.1:53/udp", "10.0.0.1:53/udp"),
            (" [fd00::1]:53/UDP ", "[fd00::1]:53/udp"),
            ("dns.internal:53/tcp", "dns.internal:53"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        for (text, shown) in [
            ("postgres://host:5432/db", "host:5432"),
            ("https://x", "x:443"),
            (" http://a:8080/p?q=1#f ", "a:8080"),
            ("redis://:pw@host", "host:6379"),
            ("rediss://u:p/w#z@Host.internal./0", "host.internal.:6379"),
            ("https://h/users/@me", "h:443"),
            ("postgresql://u@[fd00::1]/db?sslmode=require", "[fd00::1]:5432"),
            ("jdbc:mysql://h/db", "h:3306"),
            ("mysql+pymysql://u:p@h", "h:3306"),
            ("POSTGRES://h", "h:5432"),
            ("odd://h:1", "h:1"),
            ("host:5432/db", "host:5432"),
            ("u:p@host:5432", "host:5432"),
            ("udp://host:53", "host:53/udp"),
        ] {
            assert!(is_url(text), "{text}");
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown, "{text}");
        }
        for (text, error) in [
            ("odd://h", AddressError::Port),
            ("x://", AddressError::Port),
            ("u@host", AddressError::Port),
            ("https://", AddressError::Host),
            ("http://a;b:80", AddressError::Host),
            ("mongodb+srv://u:p@h/db", AddressError::Url),
            ("redis://u:p@w/x:y@h", AddressError::Url),
            ("mongodb://a:1,b:2/db", AddressError::Brackets),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
        assert!(!["db:1", "db:1/udp", "[::1]:1/udp", "[::1]:1", "service/web:80", "db"].into_iter().any(is_url));
    }

    #[test]
    fn what_a_url_says_beside_its_address_is_named() {
        for (text, parts) in [
            ("postgres://ann:secret@host:5432/db?x=1", vec!["user", "password", "path", "query"]),
            ("redis://:secret@host", vec!["password"]),
            ("rediss://ann:p/w#z@host/0", vec!["user", "password", "path"]),
            ("ann@host:22", vec!["user"]),
            ("https://h/#top", vec!["query"]),
            ("https://h/", vec![]),
            ("host:5432/db", vec!["path"]),
            ("host:5432", vec![]),
        ] {
            assert_eq!(
                UrlPart::of(text).iter().map(|part| format!("{part:?}").to_lowercase()).collect::<Vec<_>>(),
                parts,
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_must_not_reach_a_shell() {
        for text in [
            "a;rm -rf /:1",
            "$(id):1",
            "`id`:1",
            "a b:1",
            "a,fork:1",
            "a|b:1",
            "a\n:1",
            "a'b:1",
            "a\"b:1",
            "数据库:1",
            "-a:1",
            "a-:1",
            "a..b:1",
            "a..:1",
            ".:1",
            ":1",
            "a!!b:1",
            "[fe80::1%eth0]:1",
            "300.1.1.1:1",
            "1.2.3:1",
            "a\\b:1",
        ] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Host), "{text}");
        }
        for text in ["a", "a:", "a:0", "a:65536", "a:+1", "a:1x", "a:-1"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Port), "{text}");
        }
        assert_eq!("fd00::1:5432".parse::<Address>(), Err(AddressError::Brackets));
        assert_eq!("[::1:1".parse::<Address>(), Err(AddressError::Brackets));
        assert_eq!("".parse::<Address>(), Err(AddressError::Empty));
    }
}
