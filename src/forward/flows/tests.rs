//! Flows: when they are idle, and what waits for a pod.

use tokio::time::advance;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::forward::connections::Connections;
use crate::forward::meter::Meter;

async fn flow() -> (Arc<LocalFlow>, Listed, UdpSocket) {
    let [socket, client] =
        [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
    let (ours, theirs) = (socket.local_addr().unwrap(), client.local_addr().unwrap());
    let origin = Origin::Flow { ours, theirs };
    let listed = Arc::<Connections>::default().list(origin, &Meter::default(), CancellationToken::new());
    (Arc::new(LocalFlow::new(Arc::new(socket), theirs, Arc::clone(&listed.connection))), listed, client)
}

#[tokio::test(start_paused = true)]
async fn a_flow_is_idle_two_minutes_after_its_last_datagram_either_way() {
    let (flow, _listed, _client) = flow().await;
    let idling = Arc::clone(&flow);
    let idle = tokio::spawn(async move { idling.idle().await });
    for send in [true, false] {
        advance(Duration::from_secs(119)).await;
        tokio::task::yield_now().await;
        assert!(!idle.is_finished());
        if send {
            flow.send(b"up");
        } else {
            flow.deliver(Incoming::Datagram(b"down"));
        }
    }
    advance(Duration::from_secs(119)).await;
    tokio::task::yield_now().await;
    assert!(!idle.is_finished());
    advance(Duration::from_secs(2)).await;
    idle.await.unwrap();
}

#[tokio::test]
async fn what_waits_for_a_pod_is_bounded_and_the_rest_is_counted() {
    struct Taking(Mutex<Vec<Vec<u8>>>);
    impl Flow for Taking {
        fn send(&self, datagram: &[u8]) -> bool {
            let mut taken = self.0.lock();
            taken.push(datagram.to_vec());
            taken.len() % 2 == 1
        }

        fn ended(&self) -> futures::future::BoxFuture<'_, ReachError> {
            Box::pin(std::future::pending())
        }
    }
    let (flow, listed, _client) = flow().await;
    let datagrams = listed.connection.datagrams.as_ref().unwrap();
    for number in 0..10_u8 {
        flow.send(&vec![number; 60_000]);
    }
    flow.send(b"small");
    assert_eq!((datagrams.totals().up, datagrams.totals().dropped), (0, 6));
    let taking = Arc::new(Taking(Mutex::default()));
    flow.open(&(Arc::clone(&taking) as Arc<dyn Flow>));
    // Of the five that waited every other one is dropped on the way.
    assert_eq!((datagrams.totals().up, datagrams.totals().dropped), (3, 8));
    assert_eq!(taking.0.lock().iter().map(Vec::len).collect::<Vec<_>>(), [60_000, 60_000, 60_000, 60_000, 5]);
    flow.deliver(Incoming::Dropped(4));
    assert_eq!(datagrams.totals().dropped, 12);
}
