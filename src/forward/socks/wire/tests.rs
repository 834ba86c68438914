//! Requests by table, cut into pieces, and at random.

use proptest::prelude::*;

use super::*;

/// The outcome of a conversation: the answers on the way, the request or the last answer, and the bytes after it.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The client has not said all.
    Waits(Vec<u8>),
    Asked(Vec<u8>, Request, Vec<u8>),
    Refused(Vec<u8>),
}

fn hear(pieces: &[&[u8]]) -> Outcome {
    let (mut conversation, mut answers) = (Conversation::default(), Vec::new());
    for piece in pieces {
        conversation.take(piece);
        loop {
            match conversation.step() {
                Step::More => break,
                Step::Answer(bytes) => answers.extend(bytes),
                Step::Asked(request) => {
                    let after = pieces.iter().skip_while(|other| !std::ptr::eq(**other, *piece)).skip(1);
                    let rest = [conversation.rest()].into_iter().chain(after.map(|piece| piece.to_vec()));
                    return Outcome::Asked(answers, request, rest.flatten().collect());
                }
                Step::Refused(bytes) => {
                    answers.extend(bytes);
                    return Outcome::Refused(answers);
                }
            }
        }
    }
    Outcome::Waits(answers)
}

fn asked(said: &[u8]) -> Option<Request> {
    match hear(&[said]) {
        Outcome::Asked(_, request, _) => Some(request),
        Outcome::Waits(_) | Outcome::Refused(_) => None,
    }
}

fn refused(said: &[u8]) -> Vec<u8> {
    match hear(&[said]) {
        Outcome::Refused(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn status(said: &str) -> String {
    let answer = String::from_utf8(refused(said.as_bytes())).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

fn to(address: &str, protocol: Protocol) -> Request {
    Request::Connect { to: address.parse().unwrap(), protocol }
}

/// A request of SOCKS 5 with its greeting.
fn socks5(command: u8, kind: u8, host: &[u8], port: u16) -> Vec<u8> {
    [&[5, 2, 2, 0, 5, command, 0, kind][..], host, &port.to_be_bytes()].concat()
}

fn counted(name: &[u8]) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()][..], name].concat()
}

#[test]
fn socks_5_names_hosts_in_three_ways() {
    for (kind, host, address) in [
        (V4, vec![10, 0, 0, 1], "10.0.0.1:80"),
        (V6, [&[0xfd][..], &[0; 14], &[1]].concat(), "[fd00::1]:80"),
        (NAME, counted(b"Web.shop.svc"), "web.shop.svc:80"),
        (NAME, counted(b"10.0.0.1"), "10.0.0.1:80"),
        (NAME, counted(b"fd00::1"), "[fd00::1]:80"),
    ] {
        let said = socks5(CONNECT, kind, &host, 80);
        let whole = [&said[..], b"early"].concat();
        let outcome = Outcome::Asked(vec![5, 0], to(address, Protocol::Socks5), b"early".to_vec());
        assert_eq!(hear(&[&whole]), outcome);
    }
    assert_eq!(asked(&socks5(ASSOCIATE, V4, &[0; 4], 0)), Some(Request::Associate { from: 0 }));
    assert_eq!(asked(&socks5(ASSOCIATE, V4, &[127, 0, 0, 1], 53)), Some(Request::Associate { from: 53 }));
}

#[test]
fn socks_5_is_told_by_code_what_it_cannot_have() {
    let code = |said: Vec<u8>| refused(&said)[3];
    assert_eq!(refused(&[5, 1, 2]), [5, 0xff], "a login");
    assert_eq!(refused(&[5, 0]), [5, 0xff]);
    assert_eq!(code(socks5(2, V4, &[0; 4], 80)), 7, "bind");
    assert_eq!(code(socks5(CONNECT, 9, &[0; 4], 80)), 8);
    assert_eq!(code(socks5(CONNECT, V4, &[10, 0, 0, 1], 0)), 1);
    for name in [&b""[..], b"a b", b"$(id)", &[0xff], b"-"] {
        assert_eq!(code(socks5(CONNECT, NAME, &counted(name), 80)), 4, "{name:?}");
    }
    assert_eq!(refused(&[5, 1, 0, 4, 1, 0, 1]), [5, 0], "another version in between");
    let codes = [
        (Refusal::NotAllowed, 2),
        (Refusal::NetworkUnreachable, 3),
        (Refusal::HostUnreachable, 4),
        (Refusal::Unresolved, 4),
        (Refusal::Refused, 5),
        (Refusal::TimedOut, 6),
    ];
    for (refusal, code) in codes {
        assert_eq!(Protocol::Socks5.refused(refusal, ""), [5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn socks_4_names_an_address_and_4a_a_host() {
    let said = |ip: [u8; 4], rest: &[u8]| [&[4, 1, 0, 80][..], &ip, rest].concat();
    assert_eq!(asked(&said([10, 0, 0, 1], b"me\0")), Some(to("10.0.0.1:80", Protocol::Socks4)));
    assert_eq!(asked(&said([0, 0, 0, 1], b"\0web.shop\0")), Some(to("web.shop:80", Protocol::Socks4)));
    let no = [0, 91, 0, 0, 0, 0, 0, 0];
    assert_eq!(refused(&[4, 2, 0, 80, 10, 0, 0, 1, 0]), no, "bind");
    assert_eq!(refused(&[4, 1, 0, 0, 10, 0, 0, 1, 0]), no, "no port");
    assert_eq!(refused(&said([0, 0, 0, 9], b"\0a b\0")), no);
    assert_eq!(refused(&said([10, 0, 0, 1], &[b'a'; 300])), no, "a user without an end");
    assert_eq!(refused(&said([0, 0, 0, 9], &[&[0][..], &[b'a'; 300]].concat())), no, "a host without an end");
    assert_eq!(Protocol::Socks4.connected(), [0, 90, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn http_connects_and_passes_requests_on() {
    let connect = "CONNECT web.shop.svc:443 HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\n\r\n";
    assert_eq!(asked(connect.as_bytes()), Some(to("web.shop.svc:443", Protocol::Http)));
    assert_eq!(asked(b"CONNECT [fd00::1]:22 HTTP/1.0\r\n\r\n"), Some(to("[fd00::1]:22", Protocol::Http)));
    for (said, address, head) in [
        (
            "POST http://Web.shop.svc:8080/a?b=c#d HTTP/1.1\r\nHost: other\r\nConnection: keep-alive, X-Mine, content-length\r\n\
             x-mine: 1\r\nProxy-Authorization: Basic x\r\nContent-Length: 2\r\nUpgrade: h2c\r\n\r\nhi",
            "web.shop.svc:8080",
            "POST /a?b=c HTTP/1.1\r\nHost: Web.shop.svc:8080\r\nContent-Length: 2\r\nVia: 1.1 brow-tui\r\n\
             Connection: close\r\n\r\n",
        ),
        (
            "GET HTTP://10.0.0.1 HTTP/1.0\r\nAccept: */*\r\n\r\nhi",
            "10.0.0.1:80",
            "GET / HTTP/1.0\r\nHost: 10.0.0.1\r\nAccept: */*\r\nVia: 1.0 brow-tui\r\nConnection: close\r\n\r\n",
        ),
        (
            "GET http://a?b HTTP/1.1\r\n\r\nhi",
            "a:80",
            "GET /?b HTTP/1.1\r\nHost: a\r\nVia: 1.1 brow-tui\r\nConnection: close\r\n\r\n",
        ),
        (
            "OPTIONS http://a HTTP/1.1\r\nMax-Forwards: 3\r\n\r\nhi",
            "a:80",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 2\r\nVia: 1.1 brow-tui\r\nConnection: close\r\n\r\n",
        ),
    ] {
        let pass = Request::Pass { to: address.parse().unwrap(), head: head.as_bytes().to_vec() };
        assert_eq!(hear(&[said.as_bytes()]), Outcome::Asked(Vec::new(), pass, b"hi".to_vec()));
    }
}

#[test]
fn http_is_told_by_status_what_it_cannot_have() {
    for (said, line) in [
        ("CONNECT web HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("CONNECT web:53/udp HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("OPTIONS http://a/ HTTP/1.1\r\nMax-Forwards: 0\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET https://web/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET http://me:pw@web/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET http:///a HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1:1080\r\n\r\n", "HTTP/1.1 404 Not Found"),
    ] {
        assert_eq!(status(said), line, "{said}");
    }
    let many = format!("GET http://a/ HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(status(&many), "HTTP/1.1 431 Request Header Fields Too Large");
    let endless = format!("GET http://a/{} HTTP/1.1\r\n", "a".repeat(MAX_REQUEST));
    assert_eq!(status(&endless), "HTTP/1.1 431 Request Header Fields Too Large");
    for (refusal, line) in [
        (Refusal::NotAllowed, "HTTP/1.1 403 Not allowed by the proxy target"),
        (Refusal::Refused, "HTTP/1.1 502 Connection refused"),
        (Refusal::Unresolved, "HTTP/1.1 502 Name does not resolve in the cluster"),
        (Refusal::TimedOut, "HTTP/1.1 504 Connection timed out"),
    ] {
        let answer = String::from_utf8(Protocol::Http.refused(refusal, "why it is so")).unwrap();
        assert!(answer.starts_with(line) && answer.ends_with("\r\n\r\nwhy it is so\n"), "{answer}");
    }
}

#[test]
fn the_file_for_browsers_is_not_for_other_sites() {
    let get = |headers: &str| asked(format!("GET /proxy.pac HTTP/1.1\r\n{headers}\r\n").as_bytes());
    for ours in [
        "Host: 127.0.0.1:1080\r\n",
        "Host: [::1]:1080\r\n",
        "Host: localhost:1080\r\nSec-Fetch-Site: none\r\n",
        "Host: dev.localhost\r\n",
    ] {
        assert_eq!(get(ours), Some(Request::Pac), "{ours}");
    }
    for anothers in ["", "Host: rebound.example\r\n", "Host: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(get(anothers), None, "{anothers}");
    }
}

#[test]
fn the_file_for_browsers_names_what_the_cluster_has_and_what_is_allowed() {
    let allow = "*.svc, *.corp.vpc:443, db.internal, 10.1.0.0/16:80, [fd00::]/8, *".parse().unwrap();
    let file = String::from_utf8(http::pac("127.0.0.1:1080".parse().unwrap(), &allow, "k8s.example.org")).unwrap();
    let (head, body) = file.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: application/x-ns-proxy-autoconfig"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let tests: Vec<&str> = body.lines().filter_map(|line| line.trim().strip_suffix(" return proxy;")).collect();
    assert_eq!(
        tests,
        [
            "if (dnsDomainIs(host, \".svc\"))",
            "if (dnsDomainIs(host, \".k8s.example.org\"))",
            "if (dnsDomainIs(host, \".corp.vpc\"))",
            "if (host === \"db.internal\")",
            "if (/^[0-9.]+$/.test(host) && isInNet(host, \"10.1.0.0\", \"255.255.0.0\"))",
        ]
    );
    assert!(body.contains("var proxy = \"PROXY 127.0.0.1:1080\";") && body.contains("return \"DIRECT\";"), "{body}");
}

#[test]
fn datagrams_have_the_address_in_front() {
    for address in ["10.0.0.1:53/udp", "[fd00::1]:53/udp", "dns.internal:53/udp"] {
        let address: Address = address.parse().unwrap();
        let whole = [datagram_head(&address), b"query".to_vec()].concat();
        assert_eq!(datagram(&whole), Some((address, &b"query"[..])));
        for length in 0..whole.len() - 5 {
            assert_eq!(datagram(&whole[..length]), None, "{length}");
        }
        let fragment = [&[0, 0, 1], &whole[3..]].concat();
        assert_eq!(datagram(&fragment), None);
    }
    assert_eq!(associated("127.0.0.1:9".parse().unwrap()), [5, 0, 0, 1, 127, 0, 0, 1, 0, 9]);
}

/// Requests that are whole, each with bytes after it.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let http = "GET http://web.shop/a HTTP/1.1\r\nHost: web.shop\r\nCookie: a\r\n\r\nearly";
    prop_oneof![
        Just(socks5(CONNECT, NAME, &counted(b"web.shop.svc"), 80)),
        Just([&socks5(CONNECT, V6, &[1; 16], 80)[..], b"early"].concat()),
        Just(socks5(ASSOCIATE, V4, &[0; 4], 0)),
        Just(b"\x04\x01\0\x50\0\0\0\x07me\0web.shop\0early".to_vec()),
        Just(b"CONNECT web.shop:443 HTTP/1.1\r\nHost: web.shop:443\r\n\r\nearly".to_vec()),
        Just(http.as_bytes().to_vec()),
        Just(b"\x05\x01\x02".to_vec()),
    ]
}

proptest! {
    /// It makes no difference how what a client says is cut into pieces.
    #[test]
    fn pieces_say_the_same_as_the_whole(said in requests(), cuts in prop::collection::vec(0..200_usize, 0..8)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(said.len())).chain([0, said.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &said[cut[0]..cut[1]]).filter(|piece| !piece.is_empty()).collect();
        prop_assert_eq!(hear(&pieces), hear(&[&said]));
    }

    /// Nothing panics, and what is kept is bounded, whatever a client says: also what begins as a request does.
    #[test]
    fn nonsense_is_answered_and_bounded(
        begins in requests(),
        kept in 0..80_usize,
        nonsense in prop::collection::vec(any::<u8>(), 0..600),
        times in 1..40_usize,
    ) {
        let mut conversation = Conversation::default();
        conversation.take(&begins[..kept.min(begins.len())]);
        for _ in 0..times {
            conversation.take(&nonsense);
            loop {
                match conversation.step() {
                    Step::More => break,
                    Step::Answer(_) => {}
                    Step::Asked(_) | Step::Refused(_) => return Ok(()),
                }
            }
            prop_assert!(conversation.unread.len() <= MAX_REQUEST);
        }
        let _ = datagram(&nonsense);
    }
}
