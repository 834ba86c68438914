//! UDP: a socket for each local address, and a flow through the relay for each client address that sends to it.
//!
//! Nobody waits for datagrams: what cannot go on at once is dropped and counted. Only those that come before there is a
//! pod are kept, up to a limit.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::{self, End, FAILOVER_TIMEOUT, POD_TIMEOUT};
use super::connections::{Listed, OpenConnection, Origin};
use super::dialer::{Dialer, Flow, Incoming, ReachError};
use super::upstream::Upstream;
use super::{Forward, local_users};
use brow_model::fault::{Fault, Remedy, What};
use kube_tunnel::contain::contain;

/// The time without a datagram after which a flow ends (RFC 4787, REQ-5: at least two minutes).
const IDLE: Duration = Duration::from_mins(2);

/// The most flows of one socket. The one that is idle for longest gives way to the next: a resolver takes another port
/// for each question, and never says that it is done.
const MAX_FLOWS: usize = 500;

/// The bytes of a flow's datagrams that wait for a pod.
const HELD: usize = 256 * 1024;

/// The time for which a port is taken to belong to the same user: another may have it then.
const USER_TTL: Duration = Duration::from_secs(1);

/// The pause after an error of the socket.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A client of a socket.
struct Client {
    flow: Arc<LocalFlow>,
    /// Kept by the flow's task, too: it is listed until that ends.
    listed: Arc<OpenConnection>,
    /// The time at which its user was checked.
    checked: Instant,
}

/// The local end of a flow.
struct LocalFlow {
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    listed: Arc<OpenConnection>,
    born: Instant,
    /// The time of the last datagram, in microseconds after `born`.
    used: AtomicU64,
    way: Mutex<Way>,
}

/// The way of a flow's datagrams to the target.
enum Way {
    /// There is none yet; they wait.
    Opening(Vec<Vec<u8>>),
    Open(Arc<dyn Flow>),
    Over,
}

/// Carries a socket's datagrams until the forward is closed.
pub(super) async fn serve<D: Dialer>(forward: Arc<Forward<D>>, socket: UdpSocket) {
    let token = forward.token.clone();
    tokio::select! {
        biased;
        () = token.cancelled() => {}
        () = receive(forward, Arc::new(socket)) => {}
    }
}

async fn receive<D: Dialer>(forward: Arc<Forward<D>>, socket: Arc<UdpSocket>) {
    let Ok(ours) = socket.local_addr() else { return };
    let mut clients: HashMap<SocketAddr, Client> = HashMap::new();
    let (ended, mut ending) = mpsc::unbounded_channel::<Arc<LocalFlow>>();
    // More than any datagram has.
    let mut space = vec![0; 1 << 16];
    loop {
        let received = tokio::select! {
            Some(flow) = ending.recv() => {
                if clients.get(&flow.client).is_some_and(|client| Arc::ptr_eq(&client.flow, &flow)) {
                    clients.remove(&flow.client);
                }
                continue;
            }
            received = socket.recv_from(&mut space) => received,
        };
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) if is_of_another_datagram(&error) => continue,
            Err(error) => {
                let fault = Fault::new(What::ListenFailed, ours.to_string(), error.to_string()).with(Remedy::Retrying);
                forward.reporter.failed(fault);
                sleep(RETRY_INTERVAL).await;
                continue;
            }
        };
        let now = Instant::now();
        let origin = Origin::Flow { ours, theirs: from };
        match clients.get_mut(&from).filter(|client| !client.flow.is_over()) {
            Some(client) => {
                if now.duration_since(client.checked) >= USER_TTL {
                    if !local_users::admit_origin(&forward, origin) {
                        client.listed.token.cancel();
                        continue;
                    }
                    client.checked = now;
                }
                client.flow.send(&space[..length]);
            }
            None if local_users::admit_origin(&forward, origin) => {
                if clients.len() >= MAX_FLOWS {
                    end_idlest(&mut clients);
                }
                let listed = forward.connections.list(origin, &forward.meter, forward.token.child_token());
                let flow = LocalFlow::new(Arc::clone(&socket), from, Arc::clone(&listed.connection));
                flow.send(&space[..length]);
                let client = Client { flow: Arc::clone(&flow), listed: Arc::clone(&listed.connection), checked: now };
                clients.insert(from, client);
                let (forward, ended) = (Arc::clone(&forward), ended.clone());
                forward.tracker.clone().spawn(async move {
                    carry(&forward, &flow, listed).await;
                    // The receiver may have been dropped.
                    let _ = ended.send(flow);
                });
            }
            None => {}
        }
    }
}

/// Returns true if an error tells of a datagram that was sent before (Windows, and some others).
fn is_of_another_datagram(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | Interrupted | WouldBlock)
}

fn end_idlest(clients: &mut HashMap<SocketAddr, Client>) {
    let idlest = clients.values().min_by_key(|client| client.flow.last_used()).map(|client| client.flow.client);
    if let Some(client) = idlest.and_then(|idlest| clients.remove(&idlest)) {
        client.listed.token.cancel();
    }
}

/// Carries one flow from its first datagram to its end.
async fn carry<D: Dialer>(forward: &Arc<Forward<D>>, flow: &Arc<LocalFlow>, listed: Listed) {
    let entered = forward.meter.enter();
    let closing = Closing(flow);
    let end = tokio::select! {
        biased;
        () = listed.connection.token.cancelled() => Ok(()),
        () = flow.idle() => Ok(()),
        end = contain(run(forward, flow)) => end.unwrap_or_else(|words| Err(End::Failed(forward.internal(words)))),
    };
    drop(closing);
    if let Err(end) = end {
        connection::report(forward, end);
    }
    drop((entered, listed));
}

/// Closes a flow when it is dropped: what is open through the relay refers to it.
struct Closing<'a>(&'a LocalFlow);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        *self.0.way() = Way::Over;
    }
}

/// Opens the flow's way, and waits for its end, which is never one in order.
async fn run<D: Dialer>(forward: &Arc<Forward<D>>, flow: &Arc<LocalFlow>) -> Result<(), End> {
    let (upstream, way) = open(forward, flow).await?;
    flow.listed.opened();
    flow.open(&way);
    Err(failed(forward, &upstream, way.ended().await))
}

/// Opens a flow through the forward's pod, or through the next one if that pod is gone.
async fn open<D: Dialer>(
    forward: &Arc<Forward<D>>,
    flow: &Arc<LocalFlow>,
) -> Result<(Arc<Upstream<D::Lease>>, Arc<dyn Flow>), End> {
    let mut gone: Option<(Arc<Upstream<D::Lease>>, End)> = None;
    loop {
        let limit = if gone.is_some() { FAILOVER_TIMEOUT } else { POD_TIMEOUT };
        let except = gone.as_ref().map(|(upstream, _)| upstream);
        let upstream = match (connection::wait_for_upstream(forward, except, limit).await, gone.take()) {
            (Some(upstream), _) => upstream?,
            (None, Some((_, end))) => return Err(end),
            (None, None) => return Err(connection::no_pod(forward)),
        };
        upstream.wait_until_listening().await;
        let local = Arc::clone(flow);
        let deliver = Box::new(move |incoming: Incoming<'_>| local.deliver(incoming));
        match forward.dialer.open_flow(&upstream.lease, &upstream.via, deliver).await {
            Ok(way) => return Ok((upstream, way)),
            Err(ReachError::Tunnel(error)) if error.is_pod_gone() => {
                let end = failed(forward, &upstream, ReachError::Tunnel(error));
                gone = Some((upstream, end));
            }
            Err(error) => return Err(failed(forward, &upstream, error)),
        }
    }
}

fn failed<D: Dialer>(forward: &Forward<D>, upstream: &Upstream<D::Lease>, error: ReachError) -> End {
    match error {
        ReachError::Target(fault) => End::Failed(fault),
        ReachError::Tunnel(error) => connection::failure(forward, upstream, &error, true),
    }
}

impl LocalFlow {
    fn new(socket: Arc<UdpSocket>, client: SocketAddr, listed: Arc<OpenConnection>) -> Arc<Self> {
        let way = Mutex::new(Way::Opening(Vec::new()));
        Arc::new(Self { socket, client, listed, born: Instant::now(), used: AtomicU64::new(0), way })
    }

    /// Nothing that holds this lock panics.
    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        matches!(*self.way(), Way::Over)
    }

    fn last_used(&self) -> Instant {
        self.born + Duration::from_micros(self.used.load(Ordering::Relaxed))
    }

    /// Takes note that it is in use.
    fn touch(&self) {
        let age = u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.used.store(age, Ordering::Relaxed);
    }

    /// Waits until it has been idle for long enough.
    async fn idle(&self) {
        loop {
            let until = self.last_used() + IDLE;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Sends a datagram of the client, or keeps it until there is a way.
    fn send(&self, datagram: &[u8]) {
        self.touch();
        let went = match &mut *self.way() {
            Way::Open(flow) => flow.send(datagram),
            Way::Opening(held) => {
                let memory = |held: &[u8]| held.len() + size_of::<Vec<u8>>();
                let room = held.iter().map(|held| memory(held)).sum::<usize>() + memory(datagram) <= HELD;
                if room {
                    held.push(datagram.to_vec());
                    // Counted when it goes.
                    return;
                }
                false
            }
            Way::Over => false,
        };
        self.count_sent(datagram.len(), went);
    }

    fn count_sent(&self, length: usize, went: bool) {
        let Some(datagrams) = &self.listed.datagrams else { return };
        if went {
            datagrams.sent();
            self.listed.counters.add_up(length);
        } else {
            datagrams.dropped(1);
        }
    }

    /// Sends what waits, and all that comes from now on.
    fn open(&self, flow: &Arc<dyn Flow>) {
        let mut way = self.way();
        if let Way::Opening(held) = std::mem::replace(&mut *way, Way::Open(Arc::clone(flow))) {
            for datagram in held {
                self.count_sent(datagram.len(), flow.send(&datagram));
            }
        }
    }

    /// Passes on what comes from the target.
    fn deliver(&self, incoming: Incoming<'_>) {
        let Some(datagrams) = &self.listed.datagrams else { return };
        match incoming {
            Incoming::Datagram(datagram) => {
                self.touch();
                if self.socket.try_send_to(datagram, self.client).is_ok() {
                    datagrams.received();
                    self.listed.counters.add_down(datagram.len());
                } else {
                    datagrams.dropped(1);
                }
            }
            Incoming::Dropped(count) => datagrams.dropped(count.into()),
        }
    }
}

#[cfg(test)]
mod tests {
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
        (LocalFlow::new(Arc::new(socket), theirs, Arc::clone(&listed.connection)), listed, client)
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
                let mut taken = self.0.lock().unwrap();
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
        assert_eq!(
            taking.0.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>(),
            [60_000, 60_000, 60_000, 60_000, 5]
        );
        flow.deliver(Incoming::Dropped(4));
        assert_eq!(datagrams.totals().dropped, 12);
    }
}
