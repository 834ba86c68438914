//! The servers of the practice network that speak UDP: each answers a datagram by itself.

use std::net::Ipv4Addr;

/// The bytes of a DNS message's header (RFC 1035, 4.1.1).
const HEADER: usize = 12;

/// Types and the class of questions and records (RFC 1035, 3.2.2 and 3.2.4).
const A: [u8; 2] = [0, 1];
const IN: [u8; 2] = [0, 1];

/// The seconds for which an answer may be kept.
const TTL: [u8; 4] = [0, 0, 0, 30];

/// A server of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// Gives back what it is sent.
    Echo,
    /// Knows the names of the private network.
    Dns,
}

/// Returns the server on a port of a host.
pub(super) fn listens(address: &str, port: u16) -> Option<Server> {
    match (address, port) {
        ("10.0.0.1", 7) => Some(Server::Echo),
        ("10.0.0.1", 53) => Some(Server::Dns),
        _ => None,
    }
}

/// Returns the answer to a datagram, if there is one. `known` finds the address of a name.
pub(super) fn answer(server: Server, datagram: &[u8], known: fn(&str) -> Option<&'static str>) -> Option<Vec<u8>> {
    match server {
        Server::Echo => Some(datagram.to_vec()),
        Server::Dns => resolve(datagram, known),
    }
}

/// Answers a DNS query with one question.
fn resolve(query: &[u8], known: fn(&str) -> Option<&'static str>) -> Option<Vec<u8>> {
    let id = query.get(..2)?;
    let is_query = query.get(2)? & 0xf8 == 0 && query.get(4..6)? == [0, 1];
    let (name, end) = name(query.get(HEADER..)?)?;
    let question = query.get(HEADER..HEADER + end + 4).filter(|_| is_query)?;
    let address = known(&name).and_then(|address| address.parse::<Ipv4Addr>().ok());
    let asks_address = question.ends_with(&[A, IN].concat());
    let (code, answers) = match address {
        Some(_) => (0, u8::from(asks_address)),
        // NXDOMAIN
        None => (3, 0),
    };
    // An answer, authoritative, with recursion where it was asked for.
    let flags = [0x84 | query.get(2)? & 1, code];
    let mut out = [id, &flags, &[0, 1, 0, answers, 0, 0, 0, 0], question].concat();
    if let Some(address) = address.filter(|_| asks_address) {
        // The name of the question, by its place.
        out.extend_from_slice(&[0xc0, u8::try_from(HEADER).ok()?]);
        out.extend_from_slice(&[&A[..], &IN, &TTL, &[0, 4], &address.octets()].concat());
    }
    Some(out)
}

/// Reads a name, in lower case, and returns its length in the message, too.
fn name(mut rest: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut length) = (Vec::new(), 1);
    loop {
        let (count, after) = rest.split_first()?;
        let count = usize::from(*count);
        if count == 0 {
            return Some((labels.join("."), length));
        }
        // A pointer has no place in a question.
        let label = after.get(..count).filter(|_| count < 64)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        length += count + 1;
        rest = &after[count..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut out = vec![0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            out.push(u8::try_from(label.len()).unwrap());
            out.extend_from_slice(label.as_bytes());
        }
        out.extend_from_slice(&[0, 0, kind, 0, 1]);
        out
    }

    fn ask(query: &[u8]) -> Option<Vec<u8>> {
        answer(Server::Dns, query, |name| (name == "page.internal").then_some("10.0.0.1"))
    }

    #[test]
    fn names_that_are_known_have_an_address_and_others_do_not_exist() {
        let page = ask(&query("Page.internal", 1)).unwrap();
        assert_eq!((&page[..4], page[7], &page[page.len() - 4..]), (&[0xbe, 0xef, 0x85, 0][..], 1, &[10, 0, 0, 1][..]));
        let other = ask(&query("page.internal", 28)).unwrap();
        assert_eq!((other[3], other[7]), (0, 0), "no address of IPv6");
        let missing = ask(&query("no-such.internal", 1)).unwrap();
        assert_eq!((missing[3], missing[7]), (3, 0));
        let whole = query("a.b", 1);
        for length in 0..whole.len() {
            assert_eq!(ask(&whole[..length]), None, "{length}");
        }
    }
}
