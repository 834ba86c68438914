//! UDP: a socket for each local address, and a flow through the relay for each client address that sends to it.
//!
//! Nobody waits for datagrams: what cannot go on at once is dropped and counted. Only those that come before there is a
//! pod are kept, up to a limit.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use super::connections::{Listed, OpenConnection, Origin};
use super::dialer::{Dialer, Flow, Incoming, ReachError};
use super::reach::{self, End};
use super::state::Forward;
use super::upstream::Upstream;
use brow_model::address::Address;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::route::{Relayed, Via};
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

/// The flows of a socket, by what tells them apart.
pub(super) struct Flows<K> {
    open: HashMap<K, OpenFlow>,
    ended: mpsc::UnboundedSender<(K, Arc<LocalFlow>)>,
    ending: mpsc::UnboundedReceiver<(K, Arc<LocalFlow>)>,
}

/// A flow, until its end is known.
pub(super) struct OpenFlow {
    pub flow: Arc<LocalFlow>,
    /// The time at which its client's user was checked.
    checked: Instant,
}

/// The local end of a flow.
pub(super) struct LocalFlow {
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    /// The destination, if it is not the forward's own.
    to: Option<Address>,
    /// The first bytes of each datagram to the client.
    head: Vec<u8>,
    listed: Arc<OpenConnection>,
    /// Its part of what the clients of a proxy target may open.
    _permit: Option<OwnedSemaphorePermit>,
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
    let mut flows: Flows<SocketAddr> = Flows::new();
    // More than any datagram has.
    let mut space = vec![0; 1 << 16];
    loop {
        let received = tokio::select! {
            () = flows.forget_ended() => continue,
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
        match flows.get(&from) {
            Some(known) => {
                if now.duration_since(known.checked) >= USER_TTL {
                    if !forward.admits_origin(origin) {
                        known.flow.listed.token.cancel();
                        continue;
                    }
                    known.checked = now;
                }
                known.flow.send(&space[..length]);
            }
            None if forward.admits_origin(origin) => {
                let listed = forward.connections.list(origin, &forward.meter, forward.token.child_token());
                let flow = Arc::new(LocalFlow::new(Arc::clone(&socket), from, Arc::clone(&listed.connection)));
                flow.send(&space[..length]);
                flows.begin(&forward, from, flow, listed, MAX_FLOWS);
            }
            None => {}
        }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Flows<K> {
    pub(super) fn new() -> Self {
        let (ended, ending) = mpsc::unbounded_channel();
        Self { open: HashMap::new(), ended, ending }
    }

    /// Returns the flow of a key, unless it is over.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut OpenFlow> {
        self.open.get_mut(key).filter(|known| !known.flow.is_over())
    }

    /// Begins a flow. Where there are `most`, the one that is idle for longest gives way.
    pub(super) fn begin<D: Dialer>(
        &mut self,
        forward: &Arc<Forward<D>>,
        key: K,
        flow: Arc<LocalFlow>,
        listed: Listed,
        most: usize,
    ) {
        if self.open.len() >= most {
            let idlest = self.open.iter().min_by_key(|(_, known)| known.flow.last_used()).map(|(key, _)| key.clone());
            if let Some(known) = idlest.and_then(|idlest| self.open.remove(&idlest)) {
                known.flow.listed.token.cancel();
            }
        }
        self.open.insert(key.clone(), OpenFlow { flow: Arc::clone(&flow), checked: Instant::now() });
        let (forward, ended) = (Arc::clone(forward), self.ended.clone());
        forward.tracker.clone().spawn(async move {
            carry(&forward, &flow, listed).await;
            // The receiver may have been dropped.
            let _ = ended.send((key, flow));
        });
    }

    /// Waits for the end of a flow, and forgets it. Cancel safe.
    pub(super) async fn forget_ended(&mut self) {
        // The sender is ours.
        if let Some((key, flow)) = self.ending.recv().await
            && self.open.get(&key).is_some_and(|known| Arc::ptr_eq(&known.flow, &flow))
        {
            self.open.remove(&key);
        }
    }
}

/// Returns true if an error tells of a datagram that was sent before (Windows, and some others).
pub(super) fn is_of_another_datagram(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | Interrupted | WouldBlock)
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
        // What is wrong with one destination of a proxy is not wrong with the forward.
        let end = match (end, listed.connection.place()) {
            (End::Failed(fault), Some(place)) => reach::place_failure(place, fault),
            (end, _) => end,
        };
        reach::report(forward, end);
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
    reach::through(forward, |upstream| async move {
        let local = Arc::clone(flow);
        let deliver = Box::new(move |incoming: Incoming<'_>| local.deliver(incoming));
        let to = flow.to.clone().map(Relayed::To).or_else(|| upstream.via.to.clone());
        let via = Via { to, ..upstream.via.clone() };
        forward.dialer.open_flow(&upstream.lease, &via, deliver).await
    })
    .await
}

fn failed<D: Dialer>(forward: &Forward<D>, upstream: &Upstream<D::Lease>, error: ReachError) -> End {
    match error {
        ReachError::Target(fault) => End::Failed(fault),
        ReachError::Tunnel(error) => reach::failure(forward, upstream, &error, true),
    }
}

impl LocalFlow {
    pub(super) fn new(socket: Arc<UdpSocket>, client: SocketAddr, listed: Arc<OpenConnection>) -> Self {
        let way = Mutex::new(Way::Opening(Vec::new()));
        let (to, head) = (None, Vec::new());
        Self { socket, client, to, head, listed, _permit: None, born: Instant::now(), used: AtomicU64::new(0), way }
    }

    /// The same flow to a destination that the client named; what comes from there begins with `head`.
    pub(super) fn named(self, to: Address, head: Vec<u8>, permit: OwnedSemaphorePermit) -> Self {
        Self { to: Some(to), head, _permit: Some(permit), ..self }
    }

    /// Nothing that holds this lock panics.
    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock()
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
    pub(super) fn send(&self, datagram: &[u8]) {
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
                let whole = [&self.head, datagram].concat();
                if self.socket.try_send_to(&whole, self.client).is_ok() {
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
mod tests;
