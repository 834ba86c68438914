//! The number of connections that an index takes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;

/// More than it may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The kinds that the server has, which are more than may be watched.
const KINDS: usize = MAX_WATCHES + 8;

/// The number of lists of each kind, and true if it is watched.
type Seen = BTreeMap<String, (usize, bool)>;

/// Answers a request for discovery or a list.
fn answer(path: &str) -> Value {
    let version = json!({ "groupVersion": "example.com/v1", "version": "v1" });
    let resource = |number: usize| {
        json!({
            "name": format!("kind{number}"), "kind": format!("Kind{number}"), "singularName": "", "namespaced": true,
            "verbs": ["list", "watch"],
        })
    };
    match path {
        "/apis" => json!({ "kind": "APIGroupList", "groups": [
            { "name": "example.com", "versions": [version], "preferredVersion": version },
        ] }),
        "/apis/example.com/v1" => {
            let all: Vec<Value> = (0..KINDS).map(resource).collect();
            json!({ "kind": "APIResourceList", "groupVersion": "example.com/v1", "resources": all })
        }
        "/api/v1" => json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [] }),
        _ => json!({ "metadata": { "resourceVersion": "1" }, "items": [] }),
    }
}

async fn serve(mut socket: TcpStream, seen: watch::Sender<Seen>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else { return };
        head.push(char::from(byte));
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let watches = query.contains("watch=true");
    if let Some(kind) = path.strip_prefix("/apis/example.com/v1/") {
        seen.send_modify(|seen| {
            let (lists, is_watched) = seen.entry(kind.to_owned()).or_default();
            *lists += usize::from(!watches);
            *is_watched |= watches;
        });
    }
    if watches {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        // It says nothing until the client has gone.
        let _gone = socket.read_u8().await;
        return;
    }
    let body = answer(path).to_string();
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    socket.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn the_kinds_beyond_the_most_watches_are_listed_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let path = dir.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: dev\n  cluster: {{ server: '{server}' }}\n\
         contexts:\n- name: dev\n  context: {{ cluster: dev }}\n"
    );
    std::fs::write(&path, text).unwrap();
    let (sender, mut seen) = watch::channel(Seen::new());
    let serving = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, sender.clone()));
        }
    });
    let clusters = Clusters::read(Some(&path)).unwrap().0;
    let (events, mut queue) = EventSender::channel(64);
    let draining = tokio::spawn(async move { while queue.recv().await.is_some() {} });
    let epoch = brow_model::epoch::Epoch(1);
    let indexer = Indexer {
        clusters: clusters.clone(),
        cluster: "dev".to_owned(),
        namespaces: Vec::new(),
        only: false,
        events: events.about(move |event| brow_model::event::Event::Index { cluster: "dev".to_owned(), epoch, event }),
        permits: Semaphore::new(MAX_CONCURRENT),
        watches: Semaphore::new(MAX_WATCHES),
        list_interval: Duration::from_millis(10),
        names: Mutex::default(),
    };
    let login = clusters.login("dev").await.unwrap();
    let settled = |seen: &Seen| seen.len() == KINDS && seen.values().all(|(lists, watched)| *watched || *lists > 1);
    let indexing = async {
        tokio::select! {
            _ = indexer.run(&login) => panic!("it goes on"),
            settled = seen.wait_for(settled) => settled.unwrap().clone(),
        }
    };
    let settled = timeout(TIMEOUT, indexing).await.expect("every kind is watched or listed again");
    assert_eq!(settled.values().filter(|(_, watched)| *watched).count(), MAX_WATCHES, "{settled:?}");
    serving.abort();
    draining.abort();
}
