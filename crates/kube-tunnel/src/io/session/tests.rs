//! Streams on one tunnel that come and go.

use super::*;

fn session(protocol: Protocol) -> (Arc<Session>, tokio::io::DuplexStream) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let session =
        Session::new(protocol, Transport::bare(near), Witness::mute(), Arc::default(), CancellationToken::new());
    (Arc::new(session), far)
}

#[tokio::test]
async fn a_tunnel_of_one_stream_takes_no_other_not_even_between_its_end_and_its_close() {
    let (session, _far) = session(Protocol::V4);
    // That its only stream is gone is counted before the tunnel is closed.
    assert_eq!(session.live(), 0);
    assert!(!session.is_open() && !session.is_usable());
}

#[tokio::test]
async fn the_end_of_one_stream_leaves_another_of_the_same_number_alone() {
    let (session, _far) = session(Protocol::V4);
    let (old, new) = (session.stream(80), session.stream(80));
    old.open().unwrap();
    new.open().unwrap();
    drop(old);
    assert!(session.slot(0).is_some_and(|slot| Arc::ptr_eq(&slot.shared, new.shared())));
    session.close(&Error::Closed);
    assert!(lock(&new.shared().state).is_over(), "it is told of the tunnel's end");
}
