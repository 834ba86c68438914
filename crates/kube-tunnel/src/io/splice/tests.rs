//! Connections and their tunnels, without a server.

use std::pin::pin;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::{liveness_check::LivenessCheck, pump::pump, session::Session, transport::Transport};
use super::*;
use crate::{proto::frame, protocol::Protocol};

/// A tunnel without its pump, and the far end of its connection.
fn tunnel() -> (Arc<Session>, tokio::io::DuplexStream) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (transport, check) = (Transport::bare(near), LivenessCheck::mute());
    let session = Session::new(Protocol::Spdy, transport, check, Arc::default(), CancellationToken::new());
    (Arc::new(session), far)
}

/// A local program that has sent something, and our end of its connection.
async fn program() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (local, _) = listener.accept().await.unwrap();
    client.write_all(b"hello").await.unwrap();
    local.readable().await.unwrap();
    (client, local)
}

#[tokio::test]
async fn a_connection_whose_tunnel_ends_right_before_its_opening_fails() {
    let ((session, _far), (mut client, local)) = (tunnel(), program().await);
    let stream = session.stream(80);
    // There is room still, as far as the stream knows.
    session.link().connection.close(&Error::TunnelLost { text: "cut".into() });
    let spliced = timeout(Duration::from_secs(10), splice(local, stream, None, &Arc::default())).await;
    assert!(matches!(spliced.expect("it does not hang"), Err(Error::TunnelLost { .. })));
    assert!(client.read(&mut [0]).await.is_err(), "the local program gets a reset");
}

#[tokio::test]
async fn an_orderly_end_that_is_not_delivered_yet_is_no_failure_of_what_is_sent_then() {
    let ((session, _far), (mut client, local)) = (tunnel(), program().await);
    let stream = session.stream(80);
    stream.open().unwrap();
    let ids = *stream.shared().ids.get().unwrap();
    for id in [ids.error, ids.data] {
        let end = Bytes::copy_from_slice(&frame::data_head(id, 0, true));
        session.link().connection.handle(end, now()).unwrap();
    }
    let counters = Arc::default();
    let mut splicing = pin!(splice(local, stream, None, &counters));
    assert!(futures::poll!(&mut splicing).is_pending());
    let pumping = tokio::spawn(pump(Arc::clone(&session)));
    timeout(Duration::from_secs(10), splicing).await.expect("it does not hang").unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the local program gets the end");
    pumping.abort();
}

#[tokio::test]
async fn a_program_that_has_closed_does_not_hide_that_its_bytes_were_lost() {
    let ((session, far), (client, local)) = (tunnel(), program().await);
    let pumping = tokio::spawn(pump(Arc::clone(&session)));
    tokio::task::yield_now().await;
    let stream = session.stream(80);
    stream.open().unwrap();
    drop((client, far));
    let counters = Arc::default();
    let spliced = timeout(Duration::from_secs(10), splice(local, stream, None, &counters)).await;
    assert!(matches!(spliced.expect("it does not hang"), Err(Error::TunnelLost { .. })));
    pumping.await.unwrap();
}

#[test]
fn an_answer_that_has_begun_may_pause_for_as_long_as_somebody_reads() {
    assert_eq!(limit(Peer::Open, true), None);
    assert_eq!(limit(Peer::Open, false), Some(ANSWER_TIMEOUT));
    assert_eq!(limit(Peer::Unknown, true), Some(SILENCE_TIMEOUT));
}
