//! A proxy target through real pods: curl and plain clients by SOCKS 5, 4a and HTTP, names resolved in the cluster,
//! what is refused and how, datagrams, the file for browsers, and commands that are given the proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "verbs/shell.rs"]
#[allow(dead_code, reason = "each story uses its part")]
mod shell;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use common::kube::Namespace;
use common::{Home, Start, TIMEOUT, need};
use shell::{Running, Shell, address};

/// A service of the test cluster by its name, and the private network's web server by its own.
const SERVICE: &str = "web.brow-dev.svc.cluster.local";
const HOST: &str = "host.brow.vpc";

/// The test cluster's DNS server, and the service's address as it tells it.
const DNS: ([u8; 4], u16) = ([10, 99, 0, 1], 53);
const SERVICE_ADDRESS: [u8; 4] = [10, 96, 0, 80];

/// The time after which a question is asked again, as resolvers do: UDP may lose it.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// A proxy into the test cluster.
struct Stage {
    running: Running,
    local: String,
    /// Deleted with its pods when it is dropped.
    space: Namespace,
    _home: Home,
}

impl Stage {
    /// Opens one with further settings of its target.
    fn new(name: &str, settings: &str) -> Self {
        let config = format!("[[target]]\nname = \"it\"\ncluster = \"story\"\naddress = \"proxy\"\n{settings}");
        let (home, space) = (Home::new(&config), Namespace::new(name));
        let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
        let mut running = shell.spawn(&["connect", "it", "--on-quit", "delete"]);
        let local = address(&running.line());
        Self { running, local, space, _home: home }
    }

    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.local).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        socket
    }

    /// Asks for a connection by SOCKS 5; the code of the answer, and the connection.
    fn socks5(&self, host: &str, port: u16) -> (u8, TcpStream) {
        let mut socket = self.socket();
        let name = [&[u8::try_from(host.len()).unwrap()][..], host.as_bytes()].concat();
        // All at once, without waiting for the first answer.
        let said = [&[5, 1, 0, 5, 1, 0, 3][..], &name, &port.to_be_bytes()].concat();
        socket.write_all(&said).unwrap();
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..3], [5, 0, 5], "{host}");
        (answer[3], socket)
    }

    /// Says something, and reads to the end.
    fn say(&self, words: &[u8]) -> Vec<u8> {
        let mut socket = self.socket();
        socket.write_all(words).unwrap();
        let mut answer = Vec::new();
        // Closing with bytes unread may be a reset, behind the answer.
        let _ended = socket.read_to_end(&mut answer);
        answer
    }

    /// The status line and the body of a request for a whole URL.
    fn get(&self, url: &str) -> (String, String) {
        let answer = self.say(format!("GET {url} HTTP/1.1\r\nHost: whatever\r\n\r\n").as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }
}

/// The output of curl, and its exit code.
fn curl(args: &[&str]) -> (String, i32) {
    let mut command = Command::new("curl");
    command.env_clear().env("PATH", std::env::var("PATH").unwrap());
    let output = command.args(["-sS", "--max-time", "60"]).args(args).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.code().unwrap())
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn curl_reaches_services_by_their_names_in_each_protocol() {
    need("curl", "curl");
    let stage = Stage::new("socks-curl", "");
    let local = &stage.local;
    let (service, page) = (format!("http://{SERVICE}/"), format!("http://{HOST}:8080/index.html"));
    for proxy in ["socks5h", "socks4a", "http"] {
        let proxy = format!("{proxy}://{local}");
        for tunnel in [false, true] {
            let tunnels: &[&str] = if tunnel { &["--proxytunnel"] } else { &[] };
            // One invocation for both: an HTTP proxy is asked for another server on the way, by another connection.
            let (said, code) = curl(&[&["-f", "-x", &proxy, &service, &page], tunnels].concat());
            assert_eq!(code, 0, "{proxy}: {said}");
            assert!(said.contains("web-") && said.ends_with("hello from the vpc\n"), "{proxy}: {said}");
        }
    }
    // What a client sends behind its request, before it is answered, is not lost.
    let (code, mut socket) = stage.socks5(SERVICE, 7);
    assert_eq!(code, 0);
    socket.write_all(b"echo").unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"echo");
    let early = [&b"\x04\x01\x00\x07\x00\x00\x00\x01\x00"[..], SERVICE.as_bytes(), b"\0early"].concat();
    let mut socket = stage.socket();
    socket.write_all(&early).unwrap();
    let mut answer = [0; 13];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x00\x5a\x00\x00\x00\x00\x00\x00early");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_cannot_be_reached_is_answered_truly() {
    let stage = Stage::new("socks-fail", "");
    for (host, port, code, line) in [
        ("10.99.0.10", 81, 5, "HTTP/1.1 502 Connection refused"),
        ("no-such.brow.vpc", 80, 4, "HTTP/1.1 502 Name does not resolve in the cluster"),
        ("silent.brow.vpc", 80, 4, "HTTP/1.1 502 Host unreachable"),
    ] {
        assert_eq!(stage.socks5(host, port).0, code, "{host}");
        let (status, body) = stage.get(&format!("http://{host}:{port}/"));
        assert_eq!(status, line);
        assert!(body.starts_with(&format!("{host}:{port}: ")), "{body}");
    }
    let (status, _) = stage.get("http://me:secret@host.brow.vpc/");
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
    // Garbage is answered or not, and the connection ends.
    assert_eq!(stage.say(&[0, 1, 2, 3]), b"");
    assert_eq!(stage.say(&[5, 1, 2]), [5, 0xff]);
    let long = format!("GET http://a/{}", "a".repeat(20_000));
    assert!(stage.say(long.as_bytes()).starts_with(b"HTTP/1.1 431 "));
    // And goes on for others.
    assert!(stage.get(&format!("http://{HOST}:8080/index.html")).0.ends_with(" 200 OK"));
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn what_is_not_allowed_is_refused_and_logged_once() {
    let allow = "allow = [\"*.brow-dev.svc.cluster.local:80\", \"10.99.0.0/16:8080\"]\n";
    let stage = Stage::new("socks-allow", allow);
    assert!(stage.get(&format!("http://{SERVICE}/")).0.ends_with(" 200 OK"));
    assert_eq!(stage.socks5("10.99.0.10", 8080).0, 0);
    for (host, port) in [(HOST, 8080), ("10.99.0.10", 7), (SERVICE, 7)] {
        for _ in 0..2 {
            assert_eq!(stage.socks5(host, port).0, 2, "{host}");
            assert_eq!(stage.get(&format!("http://{host}:{port}/")).0, "HTTP/1.1 403 Not allowed by the proxy target");
        }
    }
    let pac =
        String::from_utf8(stage.say(format!("GET /proxy.pac HTTP/1.0\r\nHost: {}\r\n\r\n", stage.local).as_bytes()));
    let pac = pac.unwrap();
    assert!(pac.contains(&format!("\"PROXY {}\"", stage.local)), "{pac}");
    assert!(pac.contains("\".cluster.local\""), "the pod's domain: {pac}");
    assert!(pac.contains("\".brow-dev.svc.cluster.local\"") && pac.contains("\"255.255.0.0\""), "{pac}");
    stage.running.signal(rustix::process::Signal::INT);
    let Stage { running, .. } = stage;
    let (code, told) = running.end();
    assert_eq!(code, 0, "{told}");
    assert_eq!(told.matches("10.99.0.10:7 (allow)").count(), 1, "{told}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_response_comes_without_what_is_for_one_hop() {
    let server = TcpListener::bind(("10.99.0.1", 0)).unwrap();
    let stage = Stage::new("socks-hop", "");
    let url = format!("http://{}/", server.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        let head = "Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nContent-Length: 2";
        client.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nhi").as_bytes()).unwrap();
    });
    let said = stage.say(format!("GET {url} HTTP/1.1\r\nHost: whatever\r\n\r\n").as_bytes());
    let wanted = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 brow-tui\r\nConnection: close\r\n\r\nhi";
    assert_eq!(String::from_utf8(said).unwrap(), wanted);
}

/// A query for the address of a name (RFC 1035, 4.1).
fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len().try_into().unwrap());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn datagrams_go_to_the_destinations_that_a_client_names() {
    let stage = Stage::new("socks-udp", "allow = [\"10.99.0.0/16\"]\n");
    let mut control = stage.socket();
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    let mut answer = [0; 12];
    control.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..6], [5, 0, 5, 0, 0, 1]);
    let [.., a, b, c, d, high, low] = answer;
    let relay = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(ASK_AGAIN)).unwrap();
    let place = |ip: [u8; 4], port: u16| [&[0, 0, 0, 1][..], &ip, &port.to_be_bytes()].concat();
    let ask = |ip, port, words: &[u8]| {
        let head = place(ip, port);
        for _ in 0..20 {
            client.send_to(&[&head[..], words].concat(), relay).unwrap();
            let mut space = [0; 2_048];
            loop {
                match client.recv(&mut space) {
                    // What was asked twice is answered twice.
                    Ok(count) if !space[..count].starts_with(&head) => {}
                    Ok(count) => return space[head.len()..count].to_vec(),
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                        break;
                    }
                }
            }
        }
        panic!("no answer of {ip:?}");
    };
    let (server, port) = DNS;
    let found = ask(server, port, &query(SERVICE));
    assert_eq!((found[3] & 15, &found[found.len() - 4..]), (0, &SERVICE_ADDRESS[..]));
    // Another destination by the same socket; what is not allowed, and fragments, go nowhere.
    for head in [place([10, 96, 0, 80], 7), [&[0, 0, 1][..], &place([10, 99, 0, 10], 7)[3..]].concat()] {
        client.send_to(&[&head[..], b"lost"].concat(), relay).unwrap();
    }
    assert_eq!(ask([10, 99, 0, 10], 7, b"echo"), b"echo");
    // It ends with the connection: nobody is at its address then.
    drop(control);
    client.connect(relay).unwrap();
    common::kube::until("the address is given back", || {
        client
            .send(b"")
            .and_then(|_| client.recv(&mut [0; 64]))
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_command_is_given_a_proxy_that_is_not_saved() {
    need("curl", "curl");
    let (home, space) = (Home::new(""), Namespace::new("socks-exec"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    let fetch = format!("curl -sSf http://{HOST}:8080/index.html; env");
    let said = shell.ok(&["connect", "--socks", "story", "-q", "--on-quit", "delete", "--exec", "sh", "-c", &fetch]);
    assert!(said.starts_with("hello from the vpc\n"), "{said}");
    let var = |name: &str| said.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap_or_default();
    let local = var("BROW_ADDR");
    assert_eq!(var("BROW_ADDR_PROXY_STORY"), local);
    assert_eq!((var("ALL_PROXY"), var("all_proxy")), (&*format!("socks5h://{local}"), var("ALL_PROXY")));
    assert_eq!((var("https_proxy"), var("NO_PROXY")), (&*format!("http://{local}"), "localhost,127.0.0.1,::1"));
    assert_eq!(shell.run(&["connect", "--socks", "nope"]).code, 3);
    // A saved one of that cluster is taken instead, with its own settings.
    shell.ok(&["config", "add", "mine", "proxy", "--context", "story", "--allow", "*.nowhere"]);
    assert_eq!(shell.run(&["connect", "--socks", "story", "-p", "1080"]).code, 2);
    let fetch = format!("{fetch} | sed -n 's/^BROW_ADDR_MINE=.*/mine/p'");
    let done = shell.run(&["connect", "--socks", "story", "-q", "--on-quit", "delete", "--exec", "sh", "-c", &fetch]);
    assert_eq!(done.out, "mine\n", "{}", done.err);
    assert!(done.err.contains("403"), "{}", done.err);
    assert!(home.read_config().contains("allow = [\"*.nowhere\"]"), "{}", home.read_config());
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn a_proxy_without_our_own_relay_says_so() {
    let stage = Stage::new("socks-socat", "relay = \"socat\"\n");
    let (status, _) = stage.get(&format!("http://{HOST}:8080/"));
    assert_eq!(status, "HTTP/1.1 502 No way through the cluster");
    stage.running.signal(rustix::process::Signal::INT);
    let Stage { running, .. } = stage;
    let (_, told) = running.end();
    assert!(told.contains("cannot serve a proxy target"), "{told}");
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn one_that_rests_gets_a_pod_by_its_first_client() {
    let stage = Stage::new("socks-demand", "on_demand = true\n");
    // The file for browsers and garbage need none.
    stage.say(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(stage.space.pods(), Vec::<String>::new());
    assert!(stage.get(&format!("http://{HOST}:8080/index.html")).0.ends_with(" 200 OK"));
    assert_eq!(stage.space.pods().len(), 1);
}

#[test]
fn one_key_on_a_cluster_opens_a_proxy_and_its_destinations_are_listed() {
    let home = Home::new("");
    let mut screen = Start { args: vec!["--practice".into()], size: (110, 40), ..Start::new(&home) }.run();
    screen.wait("the cluster", |text| text.contains("practice"));
    screen.press("1");
    screen.press("p");
    let shown = screen.wait("a live proxy", |text| text.contains("proxy-practice") && text.contains("● live"));
    let local = common::through::live(&shown).unwrap();
    let mut held = TcpStream::connect(&local).unwrap();
    held.set_read_timeout(Some(TIMEOUT)).unwrap();
    held.write_all(b"\x04\x01\0\x07\x0a\0\0\x01\0held").unwrap();
    held.read_exact(&mut [0; 12]).unwrap();
    for (url, status) in [
        ("http://page.practice.internal/index.html", "200 OK"),
        ("http://page.practice.internal/1m", "200 OK"),
        ("http://page.practice.internal:81/", "502 Connection refused"),
        ("http://10.0.0.99/", "504 Connection timed out"),
    ] {
        let mut socket = TcpStream::connect(&local).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        write!(socket, "GET {url} HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(format!("HTTP/1.1 {status}\r\n").as_bytes()), "{url}");
    }
    screen.press("w");
    screen.wait("a row for each destination", |text| {
        let row = |address: &str, counts: [&str; 3]| {
            text.lines().any(|line| {
                let mut words = line.split_whitespace().skip_while(|word| *word != address).skip(1);
                counts.iter().all(|count| words.next() == Some(*count))
            })
        };
        row("10.0.0.1:7", ["1", "1", "0"])
            && row("page.practice.internal:80", ["0", "2", "0"])
            && row("page.practice.internal:81", ["0", "1", "1"])
    });
    screen.press("x");
    let reset = held.read(&mut [0; 1]).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset, "the connections to the first one are ended");
}

/// Opens pages in chromium through a proxy that is given to a command: the first by SOCKS, the second as the file for
/// browsers says. Returns what both show.
fn browse(shell: &Shell<'_>, proxy: &[&str], pages: [(&str, &str); 2]) -> String {
    // Chromium gives a page up when a network interface comes or goes, as those of other tests' pods do.
    let script = r#"visit() {
url=$1 words=$2
for attempt in 1 2 3 4 5 6 7 8 9; do
page=$(chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
--user-data-dir="$HOME/browser" --dump-dom "$3" "$url")
case $page in *"$words"*) echo "$page"; return ;; esac
done
}
visit "$1" "$2" "--proxy-server=socks5://$BROW_ADDR"
visit "$3" "$4" "--proxy-pac-url=http://$BROW_ADDR/proxy.pac""#;
    let [(first, of_first), (second, of_second)] = pages;
    let command = ["-q", "--exec", "sh", "-c", script, "sh", first, of_first, second, of_second];
    let done = shell.run(&[proxy, &command[..]].concat());
    done.out + &done.err
}

#[test]
#[cfg_attr(not(chromium), ignore = "needs chromium")]
fn a_browser_opens_servers_by_their_names_in_the_cluster() {
    let home = Home::new("");
    let shell = Shell { home: &home, kubeconfig: None };
    let words = "You have crossed the brow.";
    let pages = [("http://page.practice.internal/", words), ("http://web.shop.svc.cluster.local/", words)];
    let shown = browse(&shell, &["--practice", "connect", "--socks", "practice"], pages);
    assert_eq!(shown.matches(words).count(), 2, "{shown}");
}

#[test]
#[cfg_attr(not(all(cluster, chromium)), ignore = "needs a cluster (BROW_TEST_KUBECONFIG) and chromium")]
fn a_browser_opens_a_service_and_a_server_of_the_private_network() {
    let (home, space) = (Home::new(""), Namespace::new("socks-browser"));
    let shell = Shell { home: &home, kubeconfig: Some(space.kubeconfig(&home)) };
    // The file for browsers names the suffixes of Services; the other is asked for by SOCKS.
    let (page, service) = (format!("http://{HOST}:8080/index.html"), format!("http://{SERVICE}/"));
    let pages = [(page.as_str(), "hello from the vpc"), (service.as_str(), "web-")];
    let shown = browse(&shell, &["connect", "--socks", "story", "--on-quit", "delete"], pages);
    assert!(shown.contains("hello from the vpc") && shown.contains("web-"), "{shown}");
}
