//! Streams into the practice cluster: through its relay, to the private network, by lanes.

use super::*;

pub(super) use crate::relay::sha256;
use kube_tunnel::Stream;
use kube_tunnel::exec::{Container, Output, Process, Stdio, Target};

/// The secret of these pods' relays.
pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The word of a lane.
const WORD: &str = "0123456789abcdef0123456789abcdef";

/// Asks a relay: `=` and an address to go there, `?` and one to hear of it, `+` and one for a lane.
async fn ask(lease: &Lease, asked: &str) -> Stream {
    let mut stream = lease.open().await.unwrap();
    let nonce = "0".repeat(32);
    stream.write_all(format!("{nonce}\n").as_bytes()).await.unwrap();
    let line = async |stream: &mut Stream| {
        let mut said = Vec::new();
        while !said.ends_with(b"\n") {
            assert_ne!(timeout(TIMEOUT, stream.read_buf(&mut said)).await.unwrap().unwrap(), 0, "{asked}");
        }
        String::from_utf8(said).unwrap()
    };
    let mut said = line(&mut stream).await;
    if said == "new\n" {
        stream.write_all(SECRET.as_bytes()).await.unwrap();
        said = line(&mut stream).await;
    }
    assert_eq!(said.trim_end(), sha256(&format!("{nonce}{SECRET}")));
    stream.write_all(format!("{:<400}", format!("{SECRET} {WORD} {asked}")).as_bytes()).await.unwrap();
    stream
}

async fn through(lease: &Lease, asked: &str, say: &[u8]) -> Vec<u8> {
    let stream = if asked.is_empty() { lease.open().await.unwrap() } else { ask(lease, asked).await };
    hear(stream, say).await
}

/// Says something and hears the answer; says nothing and hears all.
async fn hear(mut stream: Stream, say: &[u8]) -> Vec<u8> {
    stream.write_all(say).await.unwrap();
    let mut heard = Vec::new();
    let hear = async {
        if say.is_empty() {
            stream.read_to_end(&mut heard).await.unwrap();
        } else {
            stream.read_buf(&mut heard).await.unwrap();
        }
    };
    timeout(TIMEOUT, hear).await.expect("an answer");
    heard
}

#[tokio::test]
async fn streams_reach_the_private_network_in_every_protocol() {
    streams_reach_the_private_network(Runtime::Resets).await;
}

#[tokio::test]
async fn streams_reach_the_private_network_on_an_older_node() {
    streams_reach_the_private_network(Runtime::Ends).await;
}

async fn streams_reach_the_private_network(runtime: Runtime) {
    let practice = Practice::start_on(runtime).await.unwrap();
    let client = client(&practice, "practice").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    pods.create(&PostParams::default(), &relay("relay", &json!({}))).await.unwrap();
    until(&pods, "relay", ready).await;
    for protocol in Protocol::ALL {
        let tunnels = Tunnels::new(client.clone(), Some(protocol));
        let route = |port| Route { namespace: "shop".into(), pod: "relay".into(), port };
        let lease = tunnels.lease(route(10_800), LeaseOptions::default());
        assert_eq!(through(&lease, "=10.0.0.1:6379", b"PING\r\n").await, b"+PONG\r\n", "{protocol}");
        assert_eq!(through(&lease, "=echo.practice.internal:7", b"over").await, b"over", "{protocol}");
        let page = through(&lease, "=web.shop:80", b"GET /index.html HTTP/1.0\r\n\r\n").await;
        assert!(page.ends_with(b"hello from the vpc\n") || page.starts_with(b"HTTP/1.0 200"), "{protocol}");
        for (line, words) in [
            ("?10.0.0.1:81", "Connection refused"),
            ("?nowhere.internal:81", "Name or service not known"),
            ("?10.9.9.9:81", "No route to host"),
            ("?10.0.0.1:6379", "N starting data transfer loop"),
            ("=10.0.0.1:81", ""),
        ] {
            // Each takes the second after which containerd ends a stream: once is enough.
            if protocol != Protocol::Spdy {
                break;
            }
            let said = String::from_utf8(through(&lease, line, b"").await).unwrap();
            assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{protocol} {line}: {said}");
        }
        let closed = tunnels.lease(route(9), LeaseOptions::default());
        let refused = async {
            let mut stream = closed.open().await?;
            stream.read(&mut [0; 8]).await.map_err(kube_tunnel::Error::from_io)
        };
        let refused = timeout(TIMEOUT, refused).await.unwrap();
        assert!(matches!(refused, Err(kube_tunnel::Error::Refused { .. })), "{protocol}: {refused:?}");
    }
    practice.end().await.unwrap();
}

#[tokio::test]
async fn a_relay_opens_lanes() {
    let practice = Practice::start().await.unwrap();
    let client = client(&practice, "practice").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    pods.create(&PostParams::default(), &relay("laned", &json!({}))).await.unwrap();
    until(&pods, "laned", ready).await;
    for protocol in Protocol::ALL {
        let tunnels = Tunnels::new(client.clone(), Some(protocol));
        let lease = |port| {
            tunnels.lease(Route { namespace: "shop".into(), pod: "laned".into(), port }, LeaseOptions::default())
        };
        let relay = lease(10_800);
        let mut asked = ask(&relay, "+10.0.0.1:6379").await;
        let mut said = Vec::new();
        while !said.ends_with(b"\n") {
            assert_ne!(timeout(TIMEOUT, asked.read_buf(&mut said)).await.unwrap().unwrap(), 0);
        }
        let said = String::from_utf8(said).unwrap();
        let port = said.trim_end().split_once(" N listening on AF=2 127.0.0.1:").unwrap().1.parse().unwrap();
        for _ in 0..2 {
            let lane = lease(port);
            assert_eq!(through(&lane, "", format!("{WORD}000000abPING\r\n").as_bytes()).await, b"+PONG\r\n");
        }
        let lane = lease(port);
        let mut stream = lane.open().await.unwrap();
        stream.write_all(&[b'0'; 64]).await.unwrap();
        // By an end or a reset: there is no answer.
        let heard = timeout(TIMEOUT, stream.read(&mut [0])).await.expect("an end");
        assert!(!matches!(heard, Ok(1..)), "only who knows the word is served");
        // It is gone with its stream.
        drop(asked);
        let gone = async {
            loop {
                let lease = lease(port);
                let read = async {
                    let mut stream = lease.open().await?;
                    stream.write_all(b"PING\r\n").await.map_err(kube_tunnel::Error::from_io)?;
                    stream.read(&mut [0; 8]).await.map_err(kube_tunnel::Error::from_io)
                };
                if matches!(read.await, Err(kube_tunnel::Error::Refused { .. })) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(TIMEOUT, gone).await.expect("the lane goes");
    }
    practice.end().await.unwrap();
}

#[tokio::test]
async fn a_log_is_followed_and_streams_end_with_their_pod() {
    let practice = Practice::start().await.unwrap();
    let client = client(&practice, "practice").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let web = pods.list(&ListParams::default().labels("app=web")).await.unwrap().items.remove(0).name_any();
    let params = LogParams { follow: true, timestamps: true, ..LogParams::default() };
    let mut log = pods.log_stream(&web, &params).await.unwrap().lines();
    let mut next = async || timeout(TIMEOUT, log.next()).await.expect("a line").transpose().unwrap();
    assert!(next().await.is_some_and(|line| line.ends_with("listening on port 8080")));
    let tunnels = Tunnels::new(client, None);
    let lease =
        tunnels.lease(Route { namespace: "shop".into(), pod: web.clone(), port: 8080 }, LeaseOptions::default());
    through(&lease, "", b"GET /1m HTTP/1.0\r\n\r\n").await;
    assert!(next().await.is_some_and(|line| line.ends_with("GET /1m 200")));
    let mut stream = lease.open().await.unwrap();
    pods.delete(&web, &DeleteParams::default().grace_period(1)).await.unwrap();
    // By an end or by an error, but not never.
    let _ended = timeout(TIMEOUT, stream.read(&mut [0; 8])).await.expect("the stream ends with its pod");
    assert_eq!(next().await, None);
    practice.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shell_knows_a_size_that_was_sent_before_a_line() {
    let practice = Practice::start().await.unwrap();
    let client = client(&practice, "practice").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    pods.create(&PostParams::default(), &relay("one", &json!({}))).await.unwrap();
    until(&pods, "one", ready).await;
    let container = Container { namespace: "shop".into(), pod: "one".into(), name: None };
    // Size and line arrive together, or nearly so.
    for _ in 0..50 {
        let target = Target::Exec(vec!["sh".to_owned()]);
        let stdio = Stdio { stdin: true, tty: true };
        let mut process = Process::start(&client, &container, &target, stdio).await.unwrap();
        process.terminal.take().unwrap().resize(77, 33).await.unwrap();
        process.input.take().unwrap().send(b"stty size\rexit\r").await.unwrap();
        let mut said = Vec::new();
        let ended = async {
            while let Some(Output::Stdout(bytes)) = process.output.recv().await.map(Result::unwrap) {
                said.extend_from_slice(&bytes);
            }
        };
        timeout(TIMEOUT, ended).await.expect("the end");
        assert!(String::from_utf8_lossy(&said).contains("\n33 77"), "{said:?}");
    }
    practice.end().await.unwrap();
}
