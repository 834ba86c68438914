//! The supervisor of a forward: keeps a lease on the destination's pod, and reports when its tunnels break and recover.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::dialer::{self, Dialer, Lease};
use super::lane::LaneEnd;
use super::route::{Destination, Route, Wait};
use super::state::Forward;
use super::upstream::{Reachability, Upstream};
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::route::Via;
use brow_model::traffic::TunnelInfo;
use kube_tunnel::{Backoff, Error, Protocol, Stats};

/// The interval at which tunnels are polled that have not changed for a while.
const IDLE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The interval after a change or a failure.
const ACTIVE_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The time for which the shorter interval applies.
const ACTIVE_PERIOD: Duration = Duration::from_secs(2);

/// The time without a tunnel after which the loss is reported: most are open again before anybody notices.
const LOSS_GRACE_PERIOD: Duration = Duration::from_secs(1);

/// The longest wait for the cause of a loss before it is reported.
const LOST_BLAME_TIMEOUT: Duration = Duration::from_secs(1);

/// The time without a first tunnel after which the cause is looked for; an attempt times out later than that.
const FIRST_TUNNEL_TIMEOUT: Duration = Duration::from_secs(4);

/// The pauses before a refused lease or an ended lane is tried again.
const RETRY_BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));

/// The channels on which the supervisor publishes.
struct Outputs<L> {
    routes: watch::Sender<Route<L>>,
    tunnel: watch::Sender<Option<TunnelInfo>>,
}

/// Follows the forward's destination until the forward is closed.
pub(super) async fn supervise<D: Dialer>(
    forward: Arc<Forward<D>>,
    mut destinations: watch::Receiver<Destination>,
    routes: watch::Sender<Route<D::Lease>>,
    tunnel: watch::Sender<Option<TunnelInfo>>,
) {
    let out = Outputs { routes, tunnel };
    loop {
        let destination = destinations.borrow_and_update().clone();
        tokio::select! {
            biased;
            () = forward.token.cancelled() => break,
            changed = destinations.changed() => if changed.is_err() {
                break;
            },
            () = follow(&forward, &out, destination) => {}
        }
    }
    // Those who wait for a way hold no lease from here on.
    out.routes.send_replace(Route::NoPod(Wait::Never));
    out.tunnel.send_replace(None);
}

/// Leases tunnels to a destination and watches them. Never completes.
async fn follow<D: Dialer>(forward: &Arc<Forward<D>>, out: &Outputs<D::Lease>, destination: Destination) {
    out.tunnel.send_replace(None);
    let (via, pod_ref) = match destination {
        Destination::Through(via, pod_ref) => (via, pod_ref),
        Destination::NoPod(wait) => {
            out.routes.send_replace(Route::NoPod(wait));
            return std::future::pending().await;
        }
        Destination::Rest(rest) => {
            out.routes.send_replace(Route::Resting(rest));
            return std::future::pending().await;
        }
    };
    out.routes.send_replace(Route::Preparing);
    let lease = lease(forward, out, &via).await;
    let upstream = Arc::new(Upstream::new(via, pod_ref, lease));
    out.routes.send_replace(Route::Through(Arc::clone(&upstream)));
    let check = async {
        let relayed = forward.dialer.is_relayed(&upstream.via);
        if relayed {
            upstream.wait_until_listening().await;
            upstream.keeper.get_or_init(|| keep_lane(forward, &upstream));
        }
        upstream.check_reachability(relayed).await;
        forward.wake.notify_one();
    };
    tokio::join!(check, report_changes(forward, out, &upstream));
}

/// Keeps a lane open, if the relay offers lanes.
fn keep_lane<D: Dialer>(forward: &Arc<Forward<D>>, through: &Upstream<D::Lease>) -> AbortOnDropHandle<()> {
    let (lease, via, lane) = (Arc::clone(&through.lease), through.via.clone(), Arc::clone(&through.lane));
    let dialing = Arc::clone(forward);
    AbortOnDropHandle::new(forward.spawn_critical(async move {
        let mut backoff = RETRY_BACKOFF;
        loop {
            match dialing.dialer.lane(&lease, &via, &lane).await {
                LaneEnd::Unsupported => return,
                LaneEnd::Closed => backoff.reset(),
                LaneEnd::Unavailable => {}
            }
            sleep(backoff.next_pause()).await;
        }
    }))
}

/// Acquires a lease, retrying until it succeeds.
async fn lease<D: Dialer>(forward: &Forward<D>, out: &Outputs<D::Lease>, via: &Via) -> D::Lease {
    let mut backoff = RETRY_BACKOFF;
    let mut reported = false;
    loop {
        let again = forward.dialer.answers_again(via);
        let fault = match forward.dialer.lease(via).await {
            Ok(lease) => return lease,
            Err(fault) => fault,
        };
        if !reported {
            forward.report(ForwardEvent::Down(fault.clone())).await;
            reported = true;
        }
        out.routes.send_replace(Route::Failed(fault));
        tokio::select! {
            () = sleep(backoff.next_pause()) => {}
            () = forward.wake.notified() => {}
            () = again => backoff.reset(),
        }
        out.routes.send_replace(Route::Preparing);
    }
}

/// The state of an upstream's tunnels.
#[derive(Debug)]
enum TunnelState {
    Up,
    Down(Error),
    /// None is open and no attempt has failed yet, or no stream has opened yet.
    Opening,
}

fn tunnel_state(stats: Stats, reachability: &Reachability) -> TunnelState {
    // In v4 every stream is a connection of its own: what works is known from the last one.
    let single = stats.protocol == Some(Protocol::V4);
    match (stats.last_error, reachability) {
        (Some(error), _) if stats.tunnels == 0 => TunnelState::Down(error),
        (_, Reachability::Reachable) if stats.tunnels > 0 || single => TunnelState::Up,
        (_, Reachability::Refused(error)) => TunnelState::Down(error.clone()),
        (_, Reachability::Unknown | Reachability::Reachable) => TunnelState::Opening,
    }
}

/// The state that was last reported for an upstream.
#[derive(Debug, Default)]
struct Reported {
    up: Option<bool>,
    /// The time since which there is no tunnel, although there was one.
    lost: Option<Instant>,
    /// True once the cause of a slow start was looked for.
    asked: bool,
}

impl Reported {
    /// Returns the change to report, if any: up (`Ok`) or down.
    fn change(&mut self, tunnel_state: TunnelState, now: Instant) -> Option<Result<(), Error>> {
        let error = match tunnel_state {
            TunnelState::Up => {
                self.lost = None;
                return (self.up.replace(true) != Some(true)).then_some(Ok(()));
            }
            TunnelState::Down(error) => error,
            TunnelState::Opening => {
                let lost =
                    self.up == Some(true) && now.duration_since(*self.lost.get_or_insert(now)) >= LOSS_GRACE_PERIOD;
                if !lost {
                    return None;
                }
                Error::TunnelLost { text: String::new() }
            }
        };
        (self.up.replace(false) != Some(false)).then_some(Err(error))
    }
}

impl Reported {
    /// Returns true, once, when the first tunnel is overdue.
    fn is_overdue(&mut self, born: Instant) -> bool {
        self.up.is_none() && born.elapsed() >= FIRST_TUNNEL_TIMEOUT && !std::mem::replace(&mut self.asked, true)
    }

    /// Takes the cause that was found then, to be reported as a failure.
    fn doubted(&mut self, fault: Option<Fault>) -> Option<Fault> {
        self.up = fault.as_ref().map(|_| false);
        fault
    }
}

/// Reports when tunnels break and recover; the lease reopens them by itself. Never completes.
async fn report_changes<D: Dialer>(forward: &Forward<D>, out: &Outputs<D::Lease>, upstream: &Upstream<D::Lease>) {
    let mut reported = Reported::default();
    let mut active_until = Instant::now() + ACTIVE_PERIOD;
    loop {
        let stats = upstream.lease.stats();
        let first_byte = forward.meter.counters.first_byte();
        let info = if let Some(carrier) = upstream.lease.carrier() {
            Some(TunnelInfo { protocol: carrier.to_owned(), rtt: None, first_byte })
        } else {
            stats.protocol.map(|protocol| {
                let protocol = protocol.name().to_owned();
                TunnelInfo { protocol, rtt: stats.rtt, first_byte }
            })
        };
        let change = reported.change(tunnel_state(stats, &*upstream.reachability.lock().await), Instant::now());
        let info = info.filter(|_| reported.up == Some(true));
        out.tunnel.send_if_modified(|shown| {
            let differs = *shown != info;
            *shown = info;
            differs
        });
        let event = match change {
            Some(Ok(())) => {
                upstream.set_fault(None);
                Some(ForwardEvent::Up(upstream.via.clone()))
            }
            Some(Err(error)) => explain(forward, upstream, &error).await.map(ForwardEvent::Down),
            // Most are open before anybody notices: what takes that long may take for ever.
            None if reported.is_overdue(upstream.born) => {
                reported.doubted(explain_delay(forward, upstream).await).map(ForwardEvent::Down)
            }
            None => None,
        };
        if let Some(event) = event {
            active_until = Instant::now() + ACTIVE_PERIOD;
            forward.report(event).await;
        }
        let pause = if Instant::now() < active_until { ACTIVE_POLL_INTERVAL } else { IDLE_POLL_INTERVAL };
        tokio::select! {
            () = sleep(pause) => {}
            () = forward.wake.notified() => active_until = Instant::now() + ACTIVE_PERIOD,
        }
    }
}

/// Returns the reason why no stream opens: the error, or the fault of the node if the error only says that nothing
/// answers.
async fn explain<D: Dialer>(forward: &Forward<D>, upstream: &Upstream<D::Lease>, error: &Error) -> Option<Fault> {
    let fault = dialer::fault(error, &upstream.via, &forward.address, true)?;
    let known = What::by_words(&fault.detail).is_some();
    let blame = forward.dialer.blame(&upstream.via);
    let blamed = match error {
        Error::Unreachable { .. } | Error::Upgrade { status: 500.., .. } => blame.await,
        // The loss itself is certain; only its cause is asked for. An API server that works answers within this time.
        Error::TunnelLost { .. } => timeout(LOST_BLAME_TIMEOUT, blame).await.ok().flatten(),
        _ => None,
    };
    let fault = match blamed {
        // Its own report says more than any who missed it.
        Some(blamed) if blamed.what == What::NodeNotReady => blamed,
        // A tunnel that was lost says nothing of what is behind it.
        Some(blamed) if !known && !matches!(error, Error::TunnelLost { .. }) => blamed,
        Some(_) | None => retrying(fault),
    };
    upstream.set_fault(Some(fault.clone()));
    Some(fault)
}

/// Returns the reason why no stream has opened for so long although nothing has failed yet: the fault of the node, if
/// the API server answers.
async fn explain_delay<D: Dialer>(forward: &Forward<D>, upstream: &Upstream<D::Lease>) -> Option<Fault> {
    let fault = forward.dialer.blame(&upstream.via).await;
    upstream.set_fault(fault.clone());
    fault
}

/// Adds that a tunnel's own fault is retried. Faults of logins and pods need somebody to act.
fn retrying(fault: Fault) -> Fault {
    if fault.what == What::Tunnel { fault.with(Remedy::Retrying) } else { fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel_lost() -> TunnelState {
        TunnelState::Down(Error::TunnelLost { text: "cut".into() })
    }

    #[test]
    fn each_change_is_told_once() {
        let now = Instant::now();
        let mut reported = Reported::default();
        assert!(reported.change(TunnelState::Opening, now).is_none());
        assert!(matches!(reported.change(TunnelState::Up, now), Some(Ok(()))));
        assert!(reported.change(TunnelState::Up, now).is_none());
        assert!(matches!(reported.change(tunnel_lost(), now), Some(Err(_))));
        assert!(reported.change(tunnel_lost(), now).is_none());
        assert!(reported.change(TunnelState::Opening, now + LOSS_GRACE_PERIOD).is_none());
        assert!(matches!(reported.change(TunnelState::Up, now), Some(Ok(()))));
    }

    #[test]
    fn a_tunnel_that_is_back_at_once_is_not_missed() {
        let now = Instant::now();
        let mut reported = Reported::default();
        assert!(reported.change(TunnelState::Up, now).is_some());
        assert!(reported.change(TunnelState::Opening, now).is_none());
        assert!(reported.change(TunnelState::Up, now + LOSS_GRACE_PERIOD / 2).is_none());
        assert!(reported.change(TunnelState::Opening, now + LOSS_GRACE_PERIOD).is_none());
        assert!(matches!(reported.change(TunnelState::Opening, now + LOSS_GRACE_PERIOD * 2), Some(Err(_))));
        assert!(reported.change(TunnelState::Opening, now + LOSS_GRACE_PERIOD * 9).is_none());
    }

    #[test]
    fn tunnels_of_one_stream_are_up_while_nothing_fails() {
        let single = Stats { protocol: Some(Protocol::V4), ..Stats::default() };
        assert!(matches!(tunnel_state(single.clone(), &Reachability::Reachable), TunnelState::Up));
        assert!(
            matches!(tunnel_state(single.clone(), &Reachability::Unknown), TunnelState::Opening),
            "none has been tried"
        );
        let failing = Stats { last_error: Some(Error::Reset), ..single };
        assert!(matches!(tunnel_state(failing, &Reachability::Reachable), TunnelState::Down(_)));
        let trying = Stats { protocol: Some(Protocol::Spdy), ..Stats::default() };
        assert!(matches!(tunnel_state(trying, &Reachability::Unknown), TunnelState::Opening));
    }

    #[test]
    fn a_tunnel_to_a_relay_that_does_not_answer_is_not_up() {
        let open = Stats { protocol: Some(Protocol::Spdy), tunnels: 1, ..Stats::default() };
        assert!(matches!(tunnel_state(open.clone(), &Reachability::Unknown), TunnelState::Opening));
        let refused = Reachability::Refused(Error::Refused { text: "connection refused".into() });
        assert!(matches!(tunnel_state(open.clone(), &refused), TunnelState::Down(Error::Refused { .. })));
        assert!(matches!(tunnel_state(open, &Reachability::Reachable), TunnelState::Up));
    }
}
