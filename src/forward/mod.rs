//! Forwards: local listeners, and the tasks that keep tunnels to a pod open for them.
//!
//! [`start`] creates one forward. Its future owns all parts of it (listeners, connections, supervision of the tunnels)
//! and completes only when all of them have ended. Its [`Handle`] changes the pod, closes the forward, and reads its
//! counters. Pods and tunnels are behind [`Dialer`], so that the tests need no cluster.

mod bind;
mod connection;
mod connections;
mod destinations;
mod dialer;
mod flows;
mod lane;
mod listener;
mod local_socket;
mod local_users;
mod meter;
mod pod_ref;
mod port_owner;
mod probe;
mod reach;
mod report;
mod socks;
mod spread;
mod supervise;
mod upstream;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::events::EventSender;
use brow_model::connection::ConnectionId;
use brow_model::event::{ForwardEvent, Sample};
use brow_model::fault::{Fault, What};
use brow_model::forward::{ForwardId, ForwardSpec};
use brow_model::forward_settings::LocalUsers;
use brow_model::health::ProbePlan;
use brow_model::route::Via;
use brow_model::traffic::{Counts, TunnelInfo};
use kube_tunnel::contain::contain;

use connections::Connections;
pub use dialer::{Deliver, Dialer, Flow, Incoming, Lease, ReachError, TargetFailure};
pub use lane::{Lane, LaneEnd, LaneParser, keep as keep_lane};
use listener::Listener;
use local_users::Gate;
use meter::Meter;
use pod_ref::{PodRef, PodRefs};
pub use port_owner::port_holder;
pub use probe::{PROBE_TIMEOUT, ask_directly};
use report::Reporter;
use socks::Rules;
use spread::{Spread, SpreadPods};
use supervise::Route;
use upstream::Upstream;

/// The most connections that one forward carries at a time. More wait in the kernel's queue, so that a runaway client
/// does not use up all file descriptors of the program.
pub const MAX_CONNECTIONS: usize = 1024;

/// The initial value of the round counters: no round has this number.
const NO_ROUND: u64 = u64::MAX;

/// The destination of new connections.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Destination {
    Through(Via, Arc<PodRef>),
    /// No pod is known.
    NoPod(Wait),
    /// No pod is used until a connection needs one.
    Rest(Rest),
}

/// The behavior of connections while there is no pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// They fail at once: none is coming.
    Never,
    /// Each waits up to a timeout.
    Limited,
    /// They wait for the next destination; the caller of [`Handle::wait_for_pod`] has a timeout.
    Unlimited,
}

/// A period in which an on-demand forward has no pod.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rest {
    /// The number of the period.
    round: u64,
    /// The fault with which connections that waited before fail; without it they request a pod again.
    failed: Option<Fault>,
}

/// The handle of one forward. Dropping it closes the forward.
#[derive(Debug)]
pub struct Handle {
    /// Dropped first: connections must see the forward closed before they see it without a destination.
    _guard: DropGuard,
    id: ForwardId,
    destination: watch::Sender<Destination>,
    /// The pods that connections may still use.
    pod_refs: PodRefs,
    /// The pods that connections are spread over.
    spread: SpreadPods,
    probed: watch::Sender<Option<ProbePlan>>,
    local_users: watch::Sender<LocalUsers>,
    connections: Arc<Connections>,
    tunnel: watch::Receiver<Option<TunnelInfo>>,
    meter: Arc<Meter>,
    token: CancellationToken,
}

impl Handle {
    /// Sends new connections through `via`; existing ones stay where they are. Without a pod they wait for one, up to a
    /// timeout (`waiting`), or fail at once. Once nothing uses a pod that was passed here any more, it is reported
    /// ([`ForwardEvent::Drained`]), even if nothing ever used it.
    pub fn set_pod(&self, via: Option<Via>, waiting: bool) {
        let wait = if waiting { Wait::Limited } else { Wait::Never };
        self.set_destination(via.map_or(Destination::NoPod(wait), |via| self.pod_refs.through(via)));
    }

    /// Lets connections wait, without a timeout, until another method sets a pod or ends the wait.
    pub fn wait_for_pod(&self) {
        self.set_destination(Destination::NoPod(Wait::Unlimited));
    }

    /// Closes the tunnels once no connection uses them. The next connection requests a pod ([`ForwardEvent::Wanted`],
    /// once for each `round`). Connections that wait fail with `failed`, or request a pod again without it.
    pub fn rest(&self, round: u64, failed: Option<Fault>) {
        self.set_spread(Vec::new());
        self.set_destination(Destination::Rest(Rest { round, failed }));
    }

    /// Sets how the target is probed; `None` stops probing.
    pub fn set_probe(&self, plan: Option<ProbePlan>) {
        self.probed.send_replace(plan);
    }

    /// Sets which users of this machine may connect. Open connections stay.
    pub fn set_local_users(&self, users: LocalUsers) {
        self.local_users.send_replace(users);
    }

    /// Requests a report of the open connections ([`ForwardEvent::Connections`]).
    pub fn list_connections(&self) {
        self.connections.looked_at.notify_one();
    }

    /// Resets a connection, if it is still open.
    pub fn end_connection(&self, id: ConnectionId) {
        self.connections.end(id);
    }

    fn set_destination(&self, new: Destination) {
        self.destination.send_if_modified(|destination| {
            let differs = *destination != new;
            *destination = new;
            differs
        });
    }

    /// Closes the listener and resets every connection. The forward's future completes soon after.
    pub fn close(&self) {
        self.token.cancel();
    }

    /// Returns the current counters.
    pub fn counts(&self) -> Counts {
        self.meter.counts()
    }

    /// Returns the tunnel, if one is open.
    pub fn tunnel(&self) -> Option<TunnelInfo> {
        self.tunnel.borrow().clone()
    }

    /// Returns counters and tunnel, which the loop samples once a second, and the slowest first byte since the last
    /// call. Reads atomics; never waits.
    pub fn sample(&self) -> Sample {
        let first_byte = self.meter.counters.take_slowest_first_byte();
        Sample { id: self.id, counts: self.counts(), first_byte, tunnel: self.tunnel(), spread: self.loads() }
    }
}

/// The state that the tasks of one forward share.
struct Forward<D: Dialer> {
    dialer: D,
    target: String,
    /// The target's address, which faults name.
    address: String,
    reporter: Reporter,
    meter: Arc<Meter>,
    gate: Gate,
    /// The rules of a proxy target, whose clients name their destinations.
    rules: Option<Rules>,
    connections: Arc<Connections>,
    /// The destination that the handle sets.
    destinations: watch::Receiver<Destination>,
    /// The current route of new connections, which the supervisor derives from the destination.
    routes: watch::Receiver<Route<D::Lease>>,
    /// The pods that connections are spread over, and the tunnels to them.
    spread: Spread<D::Lease>,
    /// The last round in which a pod was requested, and the last whose failure was reported.
    requested_round: AtomicU64,
    reported_round: AtomicU64,
    /// Wakes the supervisor when a connection lacks an upstream.
    wake: Notify,
    token: CancellationToken,
    tracker: TaskTracker,
    /// The panic of one of its critical tasks.
    broken: OnceLock<Fault>,
}

/// Creates a forward that listens as `spec` says and uses the pod `via`. Without `via`, connections wait until
/// [`Handle::set_pod`] is called. An on-demand forward starts without a pod, in round 0.
///
/// Nothing happens until the future is polled within a tokio runtime. It sends [`ForwardEvent::Bound`], or
/// [`ForwardEvent::NotBound`] and completes. It completes after [`ForwardEvent::Closed`] once `token` is cancelled or
/// the handle closes the forward. If a critical task panics, it closes the forward and sends
/// [`ForwardEvent::NotBound`]. All its tasks have ended before it completes.
pub fn start<D: Dialer>(
    spec: ForwardSpec,
    via: Option<Via>,
    dialer: D,
    events: EventSender,
    token: &CancellationToken,
) -> (Handle, impl Future<Output = ()> + Send + 'static) {
    let token = token.child_token();
    let meter = Arc::new(Meter::default());
    let (left, leaving) = mpsc::unbounded_channel();
    let pod_refs = PodRefs::new(left);
    let (destination, destinations) = watch::channel(first_destination(&spec, via, &pod_refs));
    let (probed, plans) = watch::channel(spec.probe.clone());
    let (local_users, admitted) = watch::channel(spec.local_users);
    let connections = Arc::<Connections>::default();
    let (tunnel_out, tunnel) = watch::channel(None);
    let (spread, pods) = watch::channel(spread::Pods::default());
    let handle = Handle {
        _guard: token.clone().drop_guard(),
        id: spec.id,
        destination,
        pod_refs,
        spread,
        probed,
        local_users,
        connections: Arc::clone(&connections),
        tunnel,
        meter: Arc::clone(&meter),
        token: token.clone(),
    };
    let run = async move {
        // Should this future be dropped before its end, nothing of it may live on.
        let guard = token.clone().drop_guard();
        let reporter = Reporter::new(spec.id, spec.epoch, &events);
        let Some(listeners) = listener::open(&spec, &reporter, &token).await else { return };
        let (routes_out, routes) = watch::channel(Route::Preparing);
        let forward = Arc::new(Forward {
            dialer,
            target: spec.target,
            address: spec.address.to_string(),
            reporter,
            meter,
            gate: Gate::new(admitted),
            rules: spec.address.is_proxy().then(|| Rules::new(spec.allow)),
            connections,
            destinations: destinations.clone(),
            routes,
            spread: Spread::new(pods),
            requested_round: AtomicU64::new(NO_ROUND),
            reported_round: AtomicU64::new(NO_ROUND),
            wake: Notify::new(),
            token: token.clone(),
            tracker: TaskTracker::new(),
            broken: OnceLock::new(),
        });
        forward.report_bound(&listeners).await;
        let watch = supervise::supervise(Arc::clone(&forward), destinations, routes_out, tunnel_out);
        forward.spawn_critical(watch);
        forward.spawn_critical(probe::run(Arc::clone(&forward), plans));
        forward.spawn_critical(connections::report(Arc::clone(&forward)));
        forward.spawn_critical(spread::follow(Arc::clone(&forward)));
        listener::accept(&forward, listeners);
        run_until_closed(&forward, leaving).await;
        drop(guard);
    };
    (handle, run)
}

fn first_destination(spec: &ForwardSpec, via: Option<Via>, pod_refs: &PodRefs) -> Destination {
    match via {
        Some(via) => pod_refs.through(via),
        None if spec.on_demand => Destination::Rest(Rest { round: 0, failed: None }),
        None => Destination::NoPod(Wait::Limited),
    }
}

/// Reports pods that are no longer used until the forward is closed, then waits for its tasks and reports the end.
async fn run_until_closed<D: Dialer>(forward: &Forward<D>, mut leaving: mpsc::UnboundedReceiver<Via>) {
    let report_left = async {
        while let Some(via) = leaving.recv().await {
            forward.report(ForwardEvent::Drained(via)).await;
        }
    };
    tokio::select! {
        biased;
        () = forward.token.cancelled() => {}
        () = report_left => {}
    }
    forward.tracker.close();
    forward.tracker.wait().await;
    let end = forward.broken.get().map_or(ForwardEvent::Closed, |fault| ForwardEvent::NotBound(fault.clone()));
    forward.reporter.last(end).await;
}

impl<D: Dialer> Forward<D> {
    /// Spawns a task that the forward cannot work without. If it panics, the forward is closed with that fault.
    fn spawn_critical(self: &Arc<Self>, part: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let forward = Arc::clone(self);
        self.tracker.spawn(async move {
            if let Err(words) = contain(part).await {
                forward.broken.get_or_init(|| forward.internal(words));
                forward.token.cancel();
            }
        })
    }

    /// Reports where it listens, and if it cannot tell who connects there.
    async fn report_bound(&self, listeners: &[Listener]) {
        let mut locals = Vec::new();
        for listener in listeners {
            match listener {
                Listener::Port(listener) => locals.extend(listener.local_addr()),
                Listener::Datagrams(socket) => locals.extend(socket.local_addr()),
                Listener::Socket(socket) => self.report(ForwardEvent::BoundSocket(socket.path())).await,
            }
        }
        self.report(ForwardEvent::Bound(locals)).await;
        let udp = listeners.iter().any(|listener| matches!(listener, Listener::Datagrams(_)));
        let told = if udp { kube_tunnel::tells_udp_peer_users() } else { kube_tunnel::tells_peer_users() };
        if !told {
            self.report(ForwardEvent::UsersUntold).await;
        }
    }

    fn internal(&self, words: String) -> Fault {
        Fault::new(What::Internal, &self.target, words)
    }

    /// Requests a pod, once in a round.
    async fn request_pod(&self, round: u64) {
        if self.requested_round.swap(round, Ordering::Relaxed) != round {
            self.report(ForwardEvent::Wanted(round)).await;
        }
    }

    /// Returns true if there is no pod, and none is being created.
    fn has_no_pod(&self) -> bool {
        *self.destinations.borrow() == Destination::NoPod(Wait::Never)
    }

    /// Returns true for the first connection that fails in a round: it reports the fault for all.
    fn is_first_failure(&self, round: u64) -> bool {
        self.reported_round.swap(round, Ordering::Relaxed) != round
    }

    /// Reports that the upstream's pod refuses connections, if it is the current one.
    async fn report_refusal(&self, upstream: &Arc<Upstream<D::Lease>>) {
        if self.is_current(upstream) {
            self.report(ForwardEvent::Refused(upstream.via.clone())).await;
        }
    }

    /// Returns true if new connections use this upstream.
    fn is_current(&self, upstream: &Arc<Upstream<D::Lease>>) -> bool {
        matches!(&*self.routes.borrow(), Route::Through(route) if Arc::ptr_eq(route, upstream))
    }

    /// Sends an event, waiting for room, unless the forward is being closed.
    async fn report(&self, event: ForwardEvent) {
        tokio::select! {
            biased;
            () = self.token.cancelled() => {}
            () = self.reporter.send(event) => {}
        }
    }
}
