//! Requests to a server on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::metrics::last_hour_of;
use brow_model::metrics::{Measure, Subject};

/// A server that answers each request as `answer` says. Returns its address and the requests that it got.
async fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
            let head = String::from_utf8_lossy(&head).into_owned();
            let answer = answer(&head);
            requests.lock().push(head);
            // A client that has enough hangs up.
            let _gone = stream.write_all(&answer).await;
        }
    });
    (address, asked)
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

fn at(text: &str) -> Server {
    let at: Endpoint = text.parse().unwrap();
    let addresses = vec![SocketAddr::new(at.host.parse().unwrap(), at.port)];
    Server::direct(&at, addresses).unwrap()
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (other, reached) = serve(|_| answer("200 OK", "{}")).await;
    let location = format!("302 Found\r\nLocation: http://{other}/x");
    let (address, _) = serve(move |_| answer(&location, "")).await;
    let error = at(&format!("http://{address}")).get("/api/v1/status/buildinfo").await.unwrap_err();
    assert_eq!(error, "it answers 302");
    assert!(reached.lock().is_empty());
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_and_time() {
    let (address, _) = serve(|_| answer("200 OK", &"x".repeat(MAX_ANSWER + 1))).await;
    let error = at(&format!("http://{address}")).get("/").await.unwrap_err();
    assert_eq!(error, "its answer is longer than 1 MB");
    let (silent, _) = serve(|_| Vec::from("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")).await;
    let outcome = at(&format!("http://{silent}")).get_within("/", Duration::from_millis(300)).await;
    assert!(outcome.is_err());
    let (odd, _) = serve(|_| b"SSH-2.0-OpenSSH\r\n".to_vec()).await;
    assert!(at(&format!("http://{odd}")).get("/").await.is_err());
}

#[tokio::test]
async fn a_login_of_the_config_is_sent_and_nothing_else() {
    let (address, heard) = serve(|_| answer("200 OK", "fine")).await;
    assert_eq!(at(&format!("http://ann:p%40ss@{address}/base")).get("/api?q=1").await.unwrap(), "fine");
    assert!(at(&format!("http://{address}")).get("/bare").await.is_ok());
    let heard = heard.lock();
    let login =
        |head: &str| head.lines().find(|line| line.to_lowercase().starts_with("authorization:")).map(str::to_owned);
    assert!(heard[0].starts_with("GET /base/api?q=1 HTTP/1.1\r\n"), "{heard:?}");
    assert_eq!(login(&heard[0]).unwrap().split_once(": ").unwrap().1, "Basic YW5uOnBAc3M=");
    assert_eq!(login(&heard[1]), None);
}

#[tokio::test]
async fn the_first_query_with_an_answer_counts() {
    let (address, heard) = serve(|head| {
        let result = if head.contains("/query_range?") {
            if head.contains("node_") {
                "[]".to_owned()
            } else {
                let end = head.split("end=").nth(1).unwrap().split('&').next().unwrap().parse::<i64>().unwrap();
                format!("[{{\"metric\":{{}},\"values\":[[{},\"0.5\"],[{end},\"1.5\"],[1,\"NaN\"]]}}]", end - 60)
            }
        } else if head.contains("kube_node_status_allocatable") && head.contains("cpu") {
            "[{\"metric\":{},\"value\":[1,\"8\"]}]".to_owned()
        } else {
            "[]".to_owned()
        };
        answer("200 OK", &format!("{{\"status\":\"success\",\"data\":{{\"result\":{result}}}}}"))
    })
    .await;
    let server = at(&format!("http://{address}"));
    let readings = last_hour_of(&server, &Subject::Cluster).await.unwrap();
    let cpu = &readings[0];
    assert_eq!((cpu.measure, cpu.now, cpu.limit), (Measure::Cpu, 1.5, Some(8.0)));
    let (samples, query) = cpu.hour.as_ref().unwrap();
    assert!(query.contains("container_cpu_usage_seconds_total{id=\"/\"}"), "{query}");
    assert_eq!(samples.values().iter().flatten().count(), 2);
    assert_eq!((readings[1].measure, readings[1].limit), (Measure::Memory, None));
    let escaped = heard.lock().iter().all(|head| !head.lines().next().unwrap().contains(['"', '{']));
    assert!(escaped);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let body =
        r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected \u001b[31mright\u001b[0m brace"}"#;
    let (address, _) = serve(move |_| answer("400 Bad Request", body)).await;
    let error = last_hour_of(&at(&format!("http://{address}")), &Subject::Cluster).await.unwrap_err();
    assert!(error.starts_with("parse error: unexpected") && !error.contains('\u{1b}'), "{error:?}");
    let (address, _) = serve(|_| answer("200 OK", "<html>")).await;
    let error = last_hour_of(&at(&format!("http://{address}")), &Subject::Cluster).await.unwrap_err();
    assert_eq!(error, "this is no answer of a Prometheus");
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_it_was_then_is_connected_to() {
    let (address, heard) = serve(|_| answer("200 OK", "fine")).await;
    let at: Endpoint = format!("http://prom.invalid:{}/base", address.port()).parse().unwrap();
    assert!(resolve(&at).await.is_err(), "no such name can exist (RFC 6761, 6.4)");
    let server = Server::direct(&at, vec![address]).unwrap();
    for _ in 0..2 {
        assert_eq!(server.get("/api").await.unwrap(), "fine");
    }
    let heard = heard.lock();
    let host = format!("host: prom.invalid:{}\r\n", address.port());
    assert!(heard.len() == 2 && heard.iter().all(|head| head.to_lowercase().contains(&host)), "{heard:?}");
}

#[tokio::test]
async fn an_object_of_a_cluster_does_not_send_us_to_this_machine() {
    for place in [
        "http://127.0.0.1:9090",
        "http://localhost",
        "http://169.254.169.254",
        "http://[::1]",
        "http://0.0.0.0",
        "http://127.1",
    ] {
        let refused = resolve(&place.parse().unwrap()).await.and_then(elsewhere);
        assert!(refused.is_err(), "{place}");
    }
    for ip in ["10.0.0.1", "192.0.2.1", "fd00::1", "2001:db8::1"] {
        assert!(is_elsewhere(ip.parse().unwrap()), "{ip}");
    }
    for ip in ["::ffff:127.0.0.1", "fe80::1", "ff02::1", "224.0.0.1", "255.255.255.255", "0.1.2.3", "::"] {
        assert!(!is_elsewhere(ip.parse().unwrap()), "{ip}");
    }
}
