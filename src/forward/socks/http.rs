//! HTTP as clients speak it to a proxy: `CONNECT`, requests for a whole URL, and the file `/proxy.pac`. Does no I/O.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use httparse::{EMPTY_HEADER, Error, Header, Status};

use super::wire::{Protocol, Refusal, Request, Step};
use brow_model::address::{Address, Host};
use brow_model::allow::{AllowList, Hosts};

/// The most headers of a request.
pub(super) const MAX_HEADERS: usize = 100;

/// The answer to `CONNECT` once connected.
pub(super) const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// The path of the file that tells a browser what to ask the proxy for.
const PAC: &str = "/proxy.pac";

/// The port of URLs that name none.
const PORT: &str = ":80";

/// Headers that are for the proxy alone (RFC 9110, 7.6.1), and the host's, which follows from the URL.
const OURS: [&str; 9] = [
    "connection",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-authentication-info",
    "keep-alive",
    "te",
    "upgrade",
    "host",
];

/// Headers that tell where the body ends: a client that lists them in `Connection` does not take them away.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// Reads a request; `None` while its head is not whole.
pub(super) fn request(bytes: &[u8]) -> Option<(Step, usize)> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return None,
        Err(Error::TooManyHeaders) => return Some((Step::Refused(too_large()), bytes.len())),
        Err(_) => return Some((bad("no request of HTTP/1"), bytes.len())),
    };
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let step = if method == "CONNECT" {
        match address(target, "") {
            Some(to) => Step::Asked(Request::Connect { to, protocol: Protocol::Http }),
            None => bad("CONNECT takes host:port"),
        }
    } else if let Some((scheme, rest)) = target.split_once("://") {
        let (place, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        match address(place, PORT) {
            Some(_) if request.headers.iter().any(|header| max_forwards(method, header) == Some(0)) => {
                let words = "This is a proxy of brow-tui; the request goes no further.";
                Step::Refused(answer(200, "OK", "text/plain; charset=utf-8", words))
            }
            Some(to) if scheme.eq_ignore_ascii_case("http") => {
                let version = request.version.unwrap_or_default();
                let head = head(method, (place, path), version, request.headers);
                Step::Asked(Request::Pass { to, head })
            }
            Some(_) | None => bad("the proxy takes http:// URLs with a host, and CONNECT for all else"),
        }
    } else if method == "GET" && target == PAC && is_ours(request.headers) {
        Step::Asked(Request::Pac)
    } else {
        let words = "This is a proxy of brow-tui: give it to a client as its SOCKS or HTTP proxy.";
        Step::Refused(answer(404, "Not Found", "text/plain; charset=utf-8", words))
    };
    Some((step, length))
}

/// Reads the place of a URL, without a login.
fn address(place: &str, port: &str) -> Option<Address> {
    if place.contains('@') {
        return None;
    }
    let port = if place.ends_with(']') || !place.contains(':') { port } else { "" };
    format!("{place}{port}").parse::<Address>().ok().filter(|address| !address.is_udp())
}

/// Returns the head of a request as the server itself gets it. Each has a connection of its own, since the next one may
/// be for another server.
fn head(method: &str, (place, path): (&str, &str), version: u8, headers: &[Header<'_>]) -> Vec<u8> {
    let path = path.split('#').next().unwrap_or_default();
    // A question about the server itself names no path (RFC 9110, 9.3.7).
    let before = if path.starts_with('/') {
        ""
    } else if path.is_empty() && method == "OPTIONS" {
        "*"
    } else {
        "/"
    };
    let mut head = format!("{method} {before}{path} HTTP/1.{version}\r\nHost: {place}\r\n").into_bytes();
    fields(headers, &mut head, |header| max_forwards(method, header).map(|left| left.saturating_sub(1).to_string()));
    // The version is the client's.
    head.extend_from_slice(format!("{}Connection: close\r\n\r\n", via(version)).as_bytes());
    head
}

/// Appends the headers that are not for the proxy alone, each with its value or another.
pub(super) fn fields(headers: &[Header<'_>], head: &mut Vec<u8>, other: impl Fn(&Header<'_>) -> Option<String>) {
    let of_connection: Vec<&[u8]> = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("connection"))
        .flat_map(|header| header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
        .collect();
    let is_ours = |name: &str| {
        OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
            || (!FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing))
                && of_connection.iter().any(|listed| name.as_bytes().eq_ignore_ascii_case(listed)))
    };
    for header in headers.iter().filter(|header| !is_ours(header.name)) {
        let other = other(header);
        let value = other.as_ref().map_or(header.value, |other| other.as_bytes());
        head.extend([header.name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
}

/// Returns the header of each message that a proxy passes on (RFC 9110, 7.6.3).
pub(super) fn via(version: u8) -> String {
    format!("Via: 1.{version} brow-tui\r\n")
}

/// Returns the number of proxies that may still pass a request on, where a header limits it (RFC 9110, 7.6.2).
fn max_forwards(method: &str, header: &Header<'_>) -> Option<u32> {
    let limits = matches!(method, "OPTIONS" | "TRACE") && header.name.eq_ignore_ascii_case("max-forwards");
    limits.then(|| std::str::from_utf8(header.value).ok()?.trim().parse().ok()).flatten()
}

/// Returns true for a request that no page of another site made: what the file says of the cluster is not for those.
fn is_ours(headers: &[Header<'_>]) -> bool {
    let value =
        |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|found| found.value);
    let site = value("sec-fetch-site").is_none_or(|site| [&b"none"[..], b"same-origin"].contains(&site));
    // A site can have its own name lead here.
    let host = value("host").and_then(|host| std::str::from_utf8(host).ok()).and_then(|host| address(host, PORT));
    site && host.is_some_and(|at| match at.host {
        Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::V4(_) | Host::V6(_) => true,
    })
}

fn bad(words: &str) -> Step {
    Step::Refused(answer(400, "Bad Request", "text/plain; charset=utf-8", words))
}

/// Returns the answer to a head that is too long.
pub(super) fn too_large() -> Vec<u8> {
    answer(431, "Request Header Fields Too Large", "text/plain; charset=utf-8", "the request's head is too long")
}

/// Returns the answer to a request that is not carried out.
pub(super) fn refused(refusal: Refusal, words: &str) -> Vec<u8> {
    let (status, reason) = match refusal {
        Refusal::NotAllowed => (403, "Not allowed by the proxy target"),
        Refusal::TimedOut => (504, "Connection timed out"),
        Refusal::Refused => (502, "Connection refused"),
        Refusal::Unresolved => (502, "Name does not resolve in the cluster"),
        Refusal::HostUnreachable => (502, "Host unreachable"),
        Refusal::NetworkUnreachable => (502, "Network unreachable"),
        Refusal::Failed | Refusal::Command | Refusal::AddressKind => (502, "No way through the cluster"),
    };
    answer(status, reason, "text/plain; charset=utf-8", words)
}

fn answer(status: u16, reason: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len() + 1;
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}\n"
    )
    .into_bytes()
}

/// Returns the file that has browsers ask the proxy at `at` for names of the cluster, in its `domain`, and for what the
/// rules name, and for nothing else.
pub(super) fn pac(at: SocketAddr, allow: &AllowList, domain: &str) -> Vec<u8> {
    let mut suffixes = vec!["svc".to_owned(), domain.to_owned()];
    let (mut names, mut networks) = (Vec::new(), Vec::new());
    for rule in &allow.0 {
        match &rule.hosts {
            Hosts::Under(suffix) if !suffixes.contains(suffix) => suffixes.push(suffix.clone()),
            Hosts::Name(name) if !names.contains(name) => names.push(name.clone()),
            Hosts::Network(IpAddr::V4(ip), bits) => {
                let mask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0));
                networks.push((*ip, mask));
            }
            // The files have no word for networks of IPv6.
            Hosts::Network(IpAddr::V6(_), _) | Hosts::All | Hosts::Under(_) | Hosts::Name(_) => {}
        }
    }
    let mut tests = String::new();
    // Names of hosts need no quoting.
    for suffix in suffixes {
        let _ = writeln!(tests, "  if (dnsDomainIs(host, \".{suffix}\")) return proxy;");
    }
    for name in names {
        let _ = writeln!(tests, "  if (host === \"{name}\") return proxy;");
    }
    for (ip, mask) in networks {
        // No name is looked up for that.
        let _ = writeln!(tests, "  if (/^[0-9.]+$/.test(host) && isInNet(host, \"{ip}\", \"{mask}\")) return proxy;");
    }
    let file = format!(
        "function FindProxyForURL(url, host) {{\n  var proxy = \"PROXY {at}\";\n  host = host.toLowerCase().replace(/\\.$/, \
         \"\");\n{tests}  return \"DIRECT\";\n}}"
    );
    answer(200, "OK", "application/x-ns-proxy-autoconfig", &file)
}
