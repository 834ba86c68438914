//! Forwards: a listener on this machine, and what keeps the way from it to a pod open.
//!
//! [`start`] makes one forward. Its future owns everything of it (the listeners, the connections, the watch over the
//! tunnel) and ends only when all of that is gone; its [`Handle`] points it at another pod, closes it, and shows its
//! counters. What the pods and tunnels are is behind [`Route`], so that the tests need no cluster.

mod connection;
mod hold;
mod holder;
mod lane;
mod line;
mod listener;
mod meter;
mod probe;
mod report;
mod route;
mod supervise;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::events::EventSender;
use brow_model::event::{ForwardEvent, Sample};
use brow_model::fault::{Fault, What};
use brow_model::forward::{ForwardId, ForwardSpec};
use brow_model::health::ProbePlan;
use brow_model::route::Via;
use brow_model::traffic::{Counts, TunnelInfo};
use kube_tunnel::contain::contain;

use hold::{Hold, Holds};
pub use lane::{Ended, Lane, Reading, keep as keep_lane};
use line::Line;
use meter::Meter;
use report::Reporter;
pub use route::{Lease, Route, Unreached};
use supervise::Way;

/// The most connections that one forward carries at a time. More wait in the kernel's queue: a runaway client must not
/// take every descriptor of the program.
pub const MAX_CONNECTIONS: usize = 1024;

/// No rest has this number.
const NO_ROUND: u64 = u64::MAX;

/// Where new connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pointing {
    /// Through this pod.
    Through(Via, Arc<Hold>),
    /// There is no pod.
    Nowhere(Wait),
    /// There is none until a connection asks for one.
    Rest(Rest),
}

/// What connections do while there is no pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// They fail: none is coming.
    Not,
    /// They wait, each for a while.
    Awhile,
    /// They wait until somebody says what becomes of it, who has a limit of their own.
    UntilTold,
}

/// A time in which there is nothing behind the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rest {
    /// Tells it from others of the same forward.
    round: u64,
    /// Why the connections fail that waited before it; without it they ask again.
    failed: Option<Fault>,
}

/// The hold on one forward. Dropping it closes the forward.
#[derive(Debug)]
pub struct Handle {
    /// Dropped before the rest: connections must see the forward closed before they see it point nowhere.
    _guard: DropGuard,
    id: ForwardId,
    pointing: watch::Sender<Pointing>,
    /// The pods that connections may still go through.
    holds: Holds,
    probed: watch::Sender<Option<ProbePlan>>,
    tunnel: watch::Receiver<Option<TunnelInfo>>,
    meter: Arc<Meter>,
    token: CancellationToken,
}

impl Handle {
    /// Sends new connections through `via`; those under way stay where they are. Without a pod they wait for one, for a
    /// while (`waiting`), or fail at once. Once nothing goes through a pod that was named here it is told
    /// ([`ForwardEvent::Drained`]), also where nothing ever did.
    pub fn point(&self, via: Option<Via>, waiting: bool) {
        let wait = if waiting { Wait::Awhile } else { Wait::Not };
        self.aim(via.map_or(Pointing::Nowhere(wait), |via| self.holds.through(via)));
    }

    /// Has connections wait until it is said what they waited for: whoever calls this sets the limit.
    pub fn seek(&self) {
        self.aim(Pointing::Nowhere(Wait::UntilTold));
    }

    /// Has the forward rest: its tunnels close once no connection uses them, and the next connection asks for a pod
    /// ([`ForwardEvent::Wanted`], once for each `round`). Connections that wait fail where there is a reason, else they
    /// ask.
    pub fn rest(&self, round: u64, failed: Option<Fault>) {
        self.aim(Pointing::Rest(Rest { round, failed }));
    }

    /// Has the target probed this way from now on, or not at all.
    pub fn probe(&self, plan: Option<ProbePlan>) {
        self.probed.send_replace(plan);
    }

    fn aim(&self, new: Pointing) {
        self.pointing.send_if_modified(|pointing| {
            let differs = *pointing != new;
            *pointing = new;
            differs
        });
    }

    /// Closes the listener and resets every connection. The forward's future ends soon after.
    pub fn close(&self) {
        self.token.cancel();
    }

    /// The counters now.
    pub fn counts(&self) -> Counts {
        self.meter.counts()
    }

    /// The tunnel, where one is open.
    pub fn tunnel(&self) -> Option<TunnelInfo> {
        self.tunnel.borrow().clone()
    }

    /// Counters and tunnel as the loop takes them once a second. Reads atomics; never waits.
    pub fn sample(&self) -> Sample {
        Sample { id: self.id, counts: self.counts(), tunnel: self.tunnel() }
    }
}

/// What the tasks of one forward share.
struct Shared<R: Route> {
    route: R,
    target: String,
    /// What the target is called where a connection to it fails.
    address: String,
    reporter: Reporter,
    meter: Arc<Meter>,
    /// Where the forward is to go.
    pointed: watch::Receiver<Pointing>,
    /// Where new connections go now, which follows that.
    ways: watch::Receiver<Way<R::Lease>>,
    /// The last rest that a connection has ended, and the last whose failure was told.
    asked: AtomicU64,
    told: AtomicU64,
    /// Told when a connection needs what is not there: look now, not later.
    nudge: Notify,
    token: CancellationToken,
    tracker: TaskTracker,
    /// What a part of it has panicked with.
    broken: OnceLock<Fault>,
}

/// Makes a forward that listens as `spec` says and goes through `via`; without it, connections wait until
/// [`Handle::point`] names a pod or says that none is coming. One on demand rests at first, in round 0.
///
/// Nothing happens until the future runs, within a tokio runtime. It says [`ForwardEvent::Bound`] or
/// [`ForwardEvent::NotBound`] (and ends then), and ends after [`ForwardEvent::Closed`] once `token` is cancelled or the
/// handle closes it; a part of it that panics closes it as well, and is told as [`ForwardEvent::NotBound`]. All its
/// tasks have ended before.
pub fn start<R: Route>(
    spec: ForwardSpec,
    via: Option<Via>,
    route: R,
    events: EventSender,
    token: &CancellationToken,
) -> (Handle, impl Future<Output = ()> + Send + 'static) {
    let token = token.child_token();
    let meter = Arc::new(Meter::default());
    let (left, leaving) = mpsc::unbounded_channel();
    let holds = Holds::new(left);
    let first = match via {
        Some(via) => holds.through(via),
        None if spec.on_demand => Pointing::Rest(Rest { round: 0, failed: None }),
        None => Pointing::Nowhere(Wait::Awhile),
    };
    let (pointing, pointed) = watch::channel(first);
    let (probed, plans) = watch::channel(spec.probe.clone());
    let (tunnel_out, tunnel) = watch::channel(None);
    let handle = Handle {
        _guard: token.clone().drop_guard(),
        id: spec.id,
        pointing,
        holds,
        probed,
        tunnel,
        meter: Arc::clone(&meter),
        token: token.clone(),
    };
    let run = async move {
        // Should this future be dropped before its end, nothing of it may live on.
        let guard = token.clone().drop_guard();
        let reporter = Reporter::new(spec.id, spec.epoch, &events);
        let Some(listeners) = listen(&spec, &reporter, &token).await else { return };
        let (way_out, ways) = watch::channel(Way::Preparing);
        let shared = Arc::new(Shared {
            route,
            target: spec.target,
            address: spec.address.to_string(),
            reporter,
            meter,
            pointed: pointed.clone(),
            ways,
            asked: AtomicU64::new(NO_ROUND),
            told: AtomicU64::new(NO_ROUND),
            nudge: Notify::new(),
            token: token.clone(),
            tracker: TaskTracker::new(),
            broken: OnceLock::new(),
        });
        let locals = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        shared.tell(ForwardEvent::Bound(locals)).await;
        let watch = supervise::supervise(Arc::clone(&shared), pointed, way_out, tunnel_out);
        shared.keep(watch);
        shared.keep(probe::keep(Arc::clone(&shared), plans));
        listener::accept(&shared, listeners);
        run_out(&shared, leaving).await;
        drop(guard);
    };
    (handle, run)
}

/// Binds the local ports; `None` if that failed or the forward was closed meanwhile, which is reported.
async fn listen(
    spec: &ForwardSpec,
    reporter: &Reporter,
    token: &CancellationToken,
) -> Option<Vec<tokio::net::TcpListener>> {
    let bound = tokio::select! {
        biased;
        () = token.cancelled() => {
            reporter.last(ForwardEvent::Closed).await;
            return None;
        }
        bound = listener::bind(spec) => bound,
    };
    match bound {
        Ok(listeners) => Some(listeners),
        Err(fault) => {
            reporter.last(ForwardEvent::NotBound(fault)).await;
            None
        }
    }
}

/// Reports the pods that are left until the forward is closed, then waits for its tasks and reports the end.
async fn run_out<R: Route>(shared: &Shared<R>, mut leaving: mpsc::UnboundedReceiver<Via>) {
    let tell_left = async {
        while let Some(via) = leaving.recv().await {
            shared.tell(ForwardEvent::Drained(via)).await;
        }
    };
    tokio::select! {
        biased;
        () = shared.token.cancelled() => {}
        () = tell_left => {}
    }
    shared.tracker.close();
    shared.tracker.wait().await;
    let end = shared.broken.get().map_or(ForwardEvent::Closed, |fault| ForwardEvent::NotBound(fault.clone()));
    shared.reporter.last(end).await;
}

impl<R: Route> Shared<R> {
    /// Runs a part without which the forward would only look like one: its panic is the forward's fault, and closes it.
    fn keep(self: &Arc<Self>, part: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let shared = Arc::clone(self);
        self.tracker.spawn(async move {
            if let Err(words) = contain(part).await {
                shared.broken.get_or_init(|| shared.internal(words));
                shared.token.cancel();
            }
        })
    }

    fn internal(&self, words: String) -> Fault {
        Fault::new(What::Internal, &self.target, words)
    }

    /// Asks for a pod, as the first connection of a rest; the others wait with it.
    async fn want(&self, round: u64) {
        if self.asked.swap(round, Ordering::Relaxed) != round {
            self.tell(ForwardEvent::Wanted(round)).await;
        }
    }

    /// Whether there is no pod, and none is coming.
    fn leads_nowhere(&self) -> bool {
        *self.pointed.borrow() == Pointing::Nowhere(Wait::Not)
    }

    /// Whether a connection is the first to fail with the reason of this rest: it tells for all.
    fn tells(&self, round: u64) -> bool {
        self.told.swap(round, Ordering::Relaxed) != round
    }

    /// Says that the pod of this line takes no connections, if new ones still go there.
    async fn refused(&self, line: &Arc<Line<R::Lease>>) {
        if self.leads(line) {
            self.tell(ForwardEvent::Refused(line.via.clone())).await;
        }
    }

    /// Whether new connections go through this line.
    fn leads(&self, line: &Arc<Line<R::Lease>>) -> bool {
        matches!(&*self.ways.borrow(), Way::Through(way) if Arc::ptr_eq(way, line))
    }

    /// Sends an event that must arrive, unless the forward is being closed.
    async fn tell(&self, event: ForwardEvent) {
        tokio::select! {
            biased;
            () = self.token.cancelled() => {}
            () = self.reporter.send(event) => {}
        }
    }
}
