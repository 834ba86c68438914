//! A log whose connection is lost, from a server that follows a script.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use brow_model::fault::What;

/// Lines of two times, some of them alike.
const FIRST: &[&str] = &["05.1Z one", "05.25Z two", "05.25Z two"];
const AGAIN: &[&str] = &["05.1Z one", "05.25Z two", "05.25Z two", "05.25Z two", "06Z three"];

fn chunk(lines: &[&str]) -> String {
    let text = lines.iter().fold(String::new(), |text, line| text + "2026-01-02T03:04:" + line + "\n");
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Answers requests one after the other, each on its own connection, with these bytes; then closes it.
async fn serve(listener: TcpListener, answers: Vec<String>, asked: Arc<Mutex<Vec<String>>>) {
    for answer in answers {
        let (mut socket, _) = listener.accept().await.unwrap();
        let head = head(&mut socket).await;
        asked.lock().push(head.lines().next().unwrap_or_default().to_owned());
        socket.write_all(answer.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
    }
}

async fn head(socket: &mut TcpStream) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(socket.read_u8().await.unwrap()));
    }
    head
}

fn clusters(dir: &Path, port: u16) -> Clusters {
    let path = dir.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: dev\n  cluster: {{ server: 'http://127.0.0.1:{port}' }}\n\
         contexts:\n- name: dev\n  context: {{ cluster: dev }}\n"
    );
    std::fs::write(&path, text).unwrap();
    Clusters::read(Some(&path)).unwrap().0
}

#[tokio::test]
async fn a_log_goes_on_where_it_was_when_its_connection_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let clusters = clusters(dir.path(), listener.local_addr().unwrap().port());
    let log = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let pod = |state: &str| {
        let pod = format!(
            "{{\"metadata\":{{\"name\":\"x\"}},\"status\":{{\"containerStatuses\":[{{\"name\":\"relay\",\"image\":\"\",\
             \"imageID\":\"\",\"ready\":true,\"restartCount\":0,\"state\":{{\"{state}\":{{\"exitCode\":0}}}}}}]}}}}"
        );
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{pod}", pod.len())
    };
    let answers = vec![
        // Cut off in the middle.
        log.clone() + &chunk(FIRST),
        // Ended in order, as by a node that restarts.
        log.clone() + &chunk(AGAIN) + "0\r\n\r\n",
        pod("running"),
        log + &chunk(&["06Z three", "07Z four"]) + "0\r\n\r\n",
        pod("terminated"),
    ];
    let asked = Arc::new(Mutex::new(Vec::new()));
    let serving = tokio::spawn(serve(listener, answers, Arc::clone(&asked)));
    let key = PodKey { cluster: "dev".into(), namespace: "team".into(), name: "x".into() };
    let (sender, mut events) = crate::events::EventSender::channel(64);
    follow_log(clusters, key.into(), Epoch(1), sender).await;
    serving.await.unwrap();
    let (mut lines, mut ends) = (Vec::new(), Vec::new());
    while let Some(Event::Pod(event)) = events.recv().await {
        match event {
            PodEvent::Logged { lines: new, .. } => lines.extend(new),
            PodEvent::LogEnded { fault, .. } => ends.push(fault.map(|fault| (fault.what, fault.remedy))),
            other => panic!("{other:?}"),
        }
    }
    let said: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(said, ["one", "two", "two", "two", "three", "four"]);
    assert_eq!(ends, [Some((What::Unreachable, Remedy::Retrying)), None]);
    let asked = asked.lock();
    assert!(asked[0].contains("tailLines") && !asked[0].contains("sinceTime"), "{asked:?}");
    assert!(asked[1].contains("sinceTime=2026-01-02T03%3A04%3A05Z"), "{asked:?}");
    assert!(asked[3].contains("sinceTime=2026-01-02T03%3A04%3A06Z"), "{asked:?}");
}

#[test]
fn lines_out_of_order_are_shown_while_nothing_was_lost() {
    let mut read = Position::default();
    let line = |seconds: &str| format!("2026-01-02T03:04:{seconds}+00:00 x");
    for seconds in ["05.2", "05.1", "05.2"] {
        assert!(read.is_new(&line(seconds)));
    }
    assert!(read.begin().since_time.is_some());
    let new: Vec<bool> = ["05.2", "05.1", "05.2", "05.2"].iter().map(|seconds| read.is_new(&line(seconds))).collect();
    assert_eq!(new, [false, false, false, true]);
    assert!(read.is_new("without a time"));
}
