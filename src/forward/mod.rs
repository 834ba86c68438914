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
mod route;
mod socks;
mod spread;
mod state;
mod supervise;
mod upstream;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::events::EventSender;
use brow_model::connection::ConnectionId;
use brow_model::event::{ForwardEvent, Sample};
use brow_model::fault::Fault;
use brow_model::forward::{ForwardId, ForwardSpec};
use brow_model::forward_settings::LocalUsers;
use brow_model::health::ProbePlan;
use brow_model::route::Via;
use brow_model::traffic::{Counts, TunnelInfo};

use connections::Connections;
pub use dialer::{Deliver, Dialer, Flow, Incoming, Lease, ReachError, TargetFailure};
pub use lane::{Lane, LaneEnd, LaneParser, keep as keep_lane};
use local_users::Gate;
use meter::Meter;
use pod_ref::PodRefs;
pub use port_owner::port_holder;
pub use probe::{PROBE_TIMEOUT, ask_directly};
use report::Reporter;
use route::{Destination, Rest, Route, Wait};
use socks::rules::Rules;
use spread::{Spread, SpreadPods};
use state::Forward;

/// The initial value of the round counters: no round has this number.
const NO_ROUND: u64 = u64::MAX;

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
        self.set_destination(via.map_or(Destination::NoPod(wait), |via| Destination::through(via, &self.pod_refs)));
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

    /// Spreads new connections over these pods, beside the one that [`Handle::set_pod`] names, which they go to while
    /// none of these takes them. Open connections stay where they are.
    pub fn set_spread(&self, pods: Vec<Via>) {
        self.spread.send_modify(|known| known.set(pods, |via| self.pod_refs.on(via)));
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
        Sample {
            id: self.id,
            counts: self.counts(),
            first_byte,
            tunnel: self.tunnel(),
            spread: self.spread.borrow().loads(),
        }
    }
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
    let (destination, destinations) = watch::channel(Destination::first(&spec, via, &pod_refs));
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
        listener::report_bound(&forward, &listeners).await;
        let watch = supervise::supervise(Arc::clone(&forward), destinations, routes_out, tunnel_out);
        forward.spawn_critical(watch);
        forward.spawn_critical(probe::run(Arc::clone(&forward), plans));
        forward.spawn_critical(report_connections(Arc::clone(&forward)));
        let shared = Arc::clone(&forward);
        forward.spawn_critical(async move { shared.spread.follow(&shared.token).await });
        listener::accept(&forward, listeners);
        run_until_closed(&forward, leaving).await;
        drop(guard);
    };
    (handle, run)
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

/// Reports the open connections whenever somebody looks at them, until the forward is closed.
async fn report_connections<D: Dialer>(forward: Arc<Forward<D>>) {
    let report = async {
        loop {
            forward.connections.looked_at.notified().await;
            if forward.rules.is_some() {
                forward.report(ForwardEvent::Connections(forward.connections.destinations())).await;
                continue;
            }
            let connections = Arc::clone(&forward.connections);
            // A panic there is reported by the hook, and leaves the list as it is.
            if let Ok(list) = tokio::task::spawn_blocking(move || connections.look()).await {
                forward.report(ForwardEvent::Connections(list)).await;
            }
        }
    };
    tokio::select! {
        biased;
        () = forward.token.cancelled() => {}
        () = report => {}
    }
}
