//! The state that the tasks of one forward share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Connections, Origin};
use super::dialer::Dialer;
use super::local_users::{self, Gate};
use super::meter::Meter;
use super::report::Reporter;
use super::route::{Destination, Route, Wait};
use super::socks::rules::Rules;
use super::spread::Spread;
use super::upstream::Upstream;
use brow_model::address::Address;
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, What};
use kube_tunnel::contain::contain;

/// The state that the tasks of one forward share.
pub(super) struct Forward<D: Dialer> {
    pub dialer: D,
    pub target: String,
    /// The target's address, which faults name.
    pub address: String,
    pub reporter: Reporter,
    pub meter: Arc<Meter>,
    pub gate: Gate,
    /// The rules of a proxy target, whose clients name their destinations.
    pub rules: Option<Rules>,
    pub connections: Arc<Connections>,
    /// The destination that the handle sets.
    pub destinations: watch::Receiver<Destination>,
    /// The current route of new connections, which the supervisor derives from the destination.
    pub routes: watch::Receiver<Route<D::Lease>>,
    /// The pods that connections are spread over, and the tunnels to them.
    pub spread: Spread<D::Lease>,
    /// The last round in which a pod was requested, and the last whose failure was reported.
    pub requested_round: AtomicU64,
    pub reported_round: AtomicU64,
    /// Wakes the supervisor when a connection lacks an upstream.
    pub wake: Notify,
    pub token: CancellationToken,
    pub tracker: TaskTracker,
    /// The panic of one of its critical tasks.
    pub broken: OnceLock<Fault>,
}

impl<D: Dialer> Forward<D> {
    /// Spawns a task that the forward cannot work without. If it panics, the forward is closed with that fault.
    pub(super) fn spawn_critical(self: &Arc<Self>, part: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let forward = Arc::clone(self);
        self.tracker.spawn(async move {
            if let Err(words) = contain(part).await {
                forward.broken.get_or_init(|| forward.internal(words));
                forward.token.cancel();
            }
        })
    }

    pub(super) fn internal(&self, words: String) -> Fault {
        Fault::new(What::Internal, &self.target, words)
    }

    /// Requests a pod, once in a round.
    pub(super) async fn request_pod(&self, round: u64) {
        if self.requested_round.swap(round, Ordering::Relaxed) != round {
            self.report(ForwardEvent::Wanted(round)).await;
        }
    }

    /// Returns true if there is no pod, and none is being created.
    pub(super) fn has_no_pod(&self) -> bool {
        *self.destinations.borrow() == Destination::NoPod(Wait::Never)
    }

    /// Returns true for the first connection that fails in a round: it reports the fault for all.
    pub(super) fn is_first_failure(&self, round: u64) -> bool {
        self.reported_round.swap(round, Ordering::Relaxed) != round
    }

    /// Reports that the upstream's pod refuses connections, if it is the current one.
    pub(super) async fn report_refusal(&self, upstream: &Arc<Upstream<D::Lease>>) {
        if self.is_current(upstream) {
            self.report(ForwardEvent::Refused(upstream.via.clone())).await;
        }
    }

    /// Returns true if new connections use this upstream.
    pub(super) fn is_current(&self, upstream: &Arc<Upstream<D::Lease>>) -> bool {
        matches!(&*self.routes.borrow(), Route::Through(route) if Arc::ptr_eq(route, upstream))
    }

    /// Sends an event, waiting for room, unless the forward is being closed.
    pub(super) async fn report(&self, event: ForwardEvent) {
        tokio::select! {
            biased;
            () = self.token.cancelled() => {}
            () = self.reporter.send(event) => {}
        }
    }

    /// Returns true if an accepted connection may use the forward. One that may not is counted, and is reset when it is
    /// dropped.
    pub(super) fn admits(self: &Arc<Self>, local: &TcpStream, origin: Origin) -> bool {
        let admitted = self.admits_origin(origin);
        if !admitted {
            // Failing to set it only makes the reset an orderly end.
            let _ = SockRef::from(local).set_linger(Some(Duration::ZERO));
        }
        admitted
    }

    /// Returns true if whoever is at the other end may use the forward. A refusal is counted; a user's first is
    /// reported.
    pub(super) fn admits_origin(self: &Arc<Self>, origin: Origin) -> bool {
        let Err(user) = self.gate.check(origin) else { return true };
        self.meter.refuse();
        if self.gate.is_news(user) {
            let forward = Arc::clone(self);
            self.tracker.spawn(async move {
                let name = match user {
                    Some(uid) => local_users::name_of(uid).await.unwrap_or_default(),
                    None => String::new(),
                };
                forward.report(ForwardEvent::UserRefused { uid: user, name }).await;
            });
        }
        false
    }

    /// Returns true if clients of a proxy target may reach an address. A refusal is counted; an address's first is
    /// reported.
    pub(super) async fn allows(&self, rules: &Rules, to: &Address) -> bool {
        if rules.allows(to) {
            return true;
        }
        self.meter.fail();
        if rules.is_news(to) {
            self.report(ForwardEvent::NotAllowed(to.clone())).await;
        }
        false
    }
}
