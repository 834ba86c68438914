//! The way to the API server through proxies that work, and past them: requests and tunnels alike.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::common::Home;
use crate::common::arrange::Kubeconfig;
use crate::common::kube::kubeconfig;
use crate::shell::{Done, Shell};

/// A pod that everybody may look at, and that answers with its name.
const WEB: &str = "[[target]]\nname = \"web\"\ncluster = \"far\"\nnamespace = \"brow-dev\"\nworkload = \
                   \"selector/app=web:http\"\n";

/// A name that only a proxy resolves.
const NOWHERE: &str = "api.brow.invalid";

/// The protocol in which a server is asked for the way.
#[derive(Clone, Copy)]
enum Speaks {
    /// HTTP's CONNECT.
    Http,
    /// SOCKS5 (RFC 1928), with a login (RFC 1929).
    Socks,
    /// It is the way itself.
    Nothing,
}

/// A server that leads to the API server of the test cluster, wherever it is asked to go.
struct Gate {
    address: SocketAddr,
    /// The addresses that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    fn new(at: &str, speaks: Speaks) -> Self {
        let server = Kubeconfig::of_cluster(&kubeconfig()).server();
        let upstream = server.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let (log, upstream) = (Arc::clone(&log), upstream.clone());
                thread::spawn(move || {
                    let to = match speaks {
                        Speaks::Http => connect(&near),
                        Speaks::Socks => socks(&near),
                        Speaks::Nothing => Some(upstream.clone()),
                    };
                    let Some(to) = to else { return };
                    log.lock().unwrap().push(to);
                    let far = TcpStream::connect(upstream).unwrap();
                    let (mut back, mut near_too) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                    thread::spawn(move || std::io::copy(&mut back, &mut near_too));
                    _ = std::io::copy(&mut &near, &mut &far);
                    _ = far.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Answers a CONNECT; `None` to who brings no login.
fn connect(mut near: &TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        near.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let login = format!("proxy-authorization: basic {}", BASE64_STANDARD.encode("ann:p@ss").to_ascii_lowercase());
    let to = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    if !head.lines().any(|line| line.to_ascii_lowercase() == login) {
        near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").ok()?;
        return None;
    }
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    Some(to)
}

fn socks(near: &TcpStream) -> Option<String> {
    let take = |count: usize| {
        let (mut bytes, mut near) = (vec![0; count], near);
        near.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let say = |bytes: &[u8]| {
        let mut near = near;
        near.write_all(bytes).ok()
    };
    let methods = take(2)?[1];
    assert!(take(methods.into())?.contains(&2), "a login is offered");
    say(&[5, 2])?;
    let user = take(2)?[1];
    let user = take(user.into())?;
    let password = take(1)?[0];
    let password = take(password.into())?;
    assert_eq!((user.as_slice(), password.as_slice()), (&b"ann"[..], &b"p@ss"[..]));
    say(&[1, 0])?;
    let request = take(4)?;
    let host = if request[3] == 1 {
        take(4)?.iter().map(u8::to_string).collect::<Vec<_>>().join(".")
    } else {
        let length = take(1)?[0];
        String::from_utf8(take(length.into())?).ok()?
    };
    let port = take(2)?;
    say(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Some(format!("{host}:{}", u16::from_be_bytes([port[0], port[1]])))
}

/// A kubeconfig whose context `far` has its server there.
fn far(home: &Home, server: &str, more: &Value) -> PathBuf {
    let mut cluster = json!({ "server": format!("https://{server}"), "tls-server-name": "localhost" });
    cluster.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let all = Kubeconfig::of_cluster(&kubeconfig()).cluster("far", &cluster);
    all.context("far", "far", "admin", "brow-dev").write(&home.path().join("kc"))
}

/// Asks the pod for its name, through a forward of its own.
fn ask(shell: &Shell<'_>, variables: &[(&str, &str)]) -> Done {
    let page = "curl -m 60 -sf --noproxy '*' http://$BROW_ADDR/";
    let mut command = shell.command(&["connect", "web", "-q", "--timeout", "20s", "--exec", "sh", "-c", page]);
    Done::from(command.envs(variables.iter().copied()).output().unwrap())
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn requests_and_tunnels_go_through_the_proxy_of_the_kubeconfig() {
    for (scheme, speaks) in [("http", Speaks::Http), ("socks5", Speaks::Socks)] {
        let (home, gate) = (Home::new(WEB), Gate::new("127.0.0.1:0", speaks));
        let proxy = json!({ "proxy-url": format!("{scheme}://ann:p%40ss@{}", gate.address) });
        let path = far(&home, &format!("{NOWHERE}:6443"), &proxy);
        let shell = Shell { home: &home, kubeconfig: Some(path) };
        // The kubeconfig's proxy has precedence over the environment's.
        let done = ask(&shell, &[("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")]);
        assert!(done.code == 0 && done.out.starts_with("web-"), "{scheme}: {} {}", done.out, done.err);
        let asked = gate.asked();
        // A request and a tunnel at least, each a connection of its own.
        assert!(asked.len() > 1, "{scheme}: {asked:?}");
        assert!(asked.iter().all(|to| *to == format!("{NOWHERE}:6443")), "{scheme}: {asked:?}");
    }
}

#[test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
fn the_environments_proxy_is_taken_unless_no_proxy_names_the_server() {
    // An address of this machine that is not the loopback's, whose servers no environment's proxy is used for.
    let here = UdpSocket::bind("0.0.0.0:0").unwrap();
    here.connect("10.99.0.10:9").unwrap();
    let ip = here.local_addr().unwrap().ip();
    for (scheme, speaks) in [("http", Speaks::Http), ("socks5", Speaks::Socks)] {
        for (no_proxy, through) in [("", true), ("10.1.2.3,example.com", true), (&ip.to_string(), false), ("*", false)]
        {
            // New ones for each: a connection of a program that has ended may be noted late.
            let (proxy, server) = (Gate::new("127.0.0.1:0", speaks), Gate::new(&format!("{ip}:0"), Speaks::Nothing));
            let home = Home::new(WEB);
            let shell = Shell { home: &home, kubeconfig: Some(far(&home, &server.address.to_string(), &json!({}))) };
            let url = format!("{scheme}://ann:p%40ss@{}", proxy.address);
            let done = ask(&shell, &[("HTTPS_PROXY", &url), ("NO_PROXY", no_proxy)]);
            assert!(
                done.code == 0 && done.out.starts_with("web-"),
                "{scheme}, {no_proxy:?}: {} {}",
                done.out,
                done.err
            );
            let (by_proxy, directly) = (proxy.asked(), server.asked());
            let (taken, left) = if through { (by_proxy, directly) } else { (directly, by_proxy) };
            assert!(taken.len() > 1 && left.is_empty(), "{scheme}, {no_proxy:?}: {taken:?} {left:?}");
        }
    }
}
