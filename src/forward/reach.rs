//! The way from a connection to a pod: the wait for an upstream, and the reasons why there is none or it fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::destinations::NamedPlace;
use super::dialer::{self, Dialer, ReachError, TargetFailure};
use super::route::{Route, Wait};
use super::state::Forward;
use super::upstream::Upstream;
use brow_model::fault::{Fault, What};
use kube_tunnel::Error;

/// The longest wait of a connection for a pod that is being created. Pulling an image takes its time.
pub(super) const POD_TIMEOUT: Duration = Duration::from_mins(2);

/// The longest wait of a connection for another pod, once its own is found to be gone.
pub(super) const FAILOVER_TIMEOUT: Duration = Duration::from_secs(3);

/// The reason why a connection did not end in order.
pub(super) enum End {
    /// Something failed.
    Failed(Fault),
    /// It failed with others for the same reason, which one of them reports.
    FailedQuietly,
    /// The local program reset it, somebody ended it, or the forward was closed.
    Aborted,
}

/// An upstream that must not be used again, with the end of the connection if there is no other.
pub(super) type Excluded<L> = Option<(Arc<Upstream<L>>, End)>;

/// Counts and reports a connection's failure.
pub(super) fn report<D: Dialer>(forward: &Forward<D>, end: End) {
    match end {
        End::Failed(fault) => {
            forward.meter.fail();
            forward.reporter.failed(fault);
        }
        End::FailedQuietly => forward.meter.fail(),
        End::Aborted => {}
    }
}

/// Opens something through the forward's pod, or through the next one if that pod is gone.
pub(super) async fn through<D: Dialer, T, F>(
    forward: &Forward<D>,
    open: impl Fn(Arc<Upstream<D::Lease>>) -> F,
) -> Result<(Arc<Upstream<D::Lease>>, T), End>
where
    F: Future<Output = Result<T, ReachError>>,
{
    let mut gone: Excluded<D::Lease> = None;
    loop {
        let limit = if gone.is_some() { FAILOVER_TIMEOUT } else { POD_TIMEOUT };
        let except = gone.as_ref().map(|(upstream, _)| upstream);
        let upstream = match (wait_for_upstream(forward, except, limit).await, gone.take()) {
            (Some(upstream), _) => upstream?,
            (None, Some((_, end))) => return Err(end),
            (None, None) => return Err(no_pod(forward)),
        };
        upstream.wait_until_listening().await;
        match open(Arc::clone(&upstream)).await {
            Ok(opened) => return Ok((upstream, opened)),
            Err(ReachError::Target(fault)) => return Err(End::Failed(fault)),
            Err(ReachError::Tunnel(error)) => {
                let end = failure(forward, &upstream, &error, true);
                if !error.is_pod_gone() {
                    return Err(end);
                }
                gone = Some((upstream, end));
            }
        }
    }
}

/// Waits for the upstream of new connections, other than `except`. Returns `None` after `limit`. The wait for a pod on
/// demand has no limit here: the model ends it.
pub(super) async fn wait_for_upstream<D: Dialer>(
    forward: &Forward<D>,
    except: Option<&Arc<Upstream<D::Lease>>>,
    limit: Duration,
) -> Option<Result<Arc<Upstream<D::Lease>>, End>> {
    let mut routes = forward.routes.clone();
    let mut nudged = false;
    let mut waited = WaitedFor::Nothing;
    let mut deadline = Instant::now() + limit;
    loop {
        let route = routes.borrow_and_update().clone();
        let is_sought = matches!(route, Route::Resting(_) | Route::NoPod(Wait::Unlimited));
        match route {
            Route::Through(upstream) if !except.is_some_and(|except| Arc::ptr_eq(except, &upstream)) => {
                return Some(Ok(upstream));
            }
            // Unless the destination has just changed, which the route follows in a moment.
            Route::NoPod(Wait::Never) if forward.has_no_pod() => return Some(Err(no_pod(forward))),
            Route::Failed(fault) if nudged => return Some(Err(End::Failed(fault))),
            Route::Failed(_) => {
                forward.wake.notify_one();
                nudged = true;
            }
            Route::Resting(rest) => match (rest.failed, waited) {
                (_, WaitedFor::Round(round)) if round == rest.round => {}
                // It was this that it waited for.
                (Some(fault), WaitedFor::Round(_) | WaitedFor::Earlier) => {
                    let tells = forward.is_first_failure(rest.round);
                    return Some(Err(if tells { End::Failed(fault) } else { End::FailedQuietly }));
                }
                (Some(_) | None, _) => {
                    forward.request_pod(rest.round).await;
                    waited = WaitedFor::Round(rest.round);
                }
            },
            Route::NoPod(Wait::Limited | Wait::Unlimited) | Route::Preparing
                if matches!(waited, WaitedFor::Nothing) =>
            {
                waited = WaitedFor::Earlier;
            }
            Route::Through(_) | Route::Preparing | Route::NoPod(_) => {}
        }
        let changed = if is_sought {
            let changed = routes.changed().await;
            deadline = Instant::now() + limit;
            changed
        } else {
            timeout_at(deadline, routes.changed()).await.ok()?
        };
        if changed.is_err() {
            return Some(Err(End::Aborted));
        }
    }
}

/// The pod that a connection has been waiting for.
#[derive(Clone, Copy)]
enum WaitedFor {
    /// Nothing yet.
    Nothing,
    /// A pod that had been requested before the connection came.
    Earlier,
    /// The pod that it requested itself in this round.
    Round(u64),
}

pub(super) fn no_pod<D: Dialer>(forward: &Forward<D>) -> End {
    End::Failed(Fault::new(What::NoPod, &forward.target, ""))
}

pub(super) fn failure<D: Dialer>(
    forward: &Forward<D>,
    upstream: &Upstream<D::Lease>,
    error: &Error,
    relayed: bool,
) -> End {
    // If it was the tunnel's fault, that is seen at once.
    forward.wake.notify_one();
    let fault = match error {
        // The supervisor may know the cause already, such as a node that does not answer.
        Error::Unreachable { .. } => upstream.fault(),
        _ => None,
    };
    fault.or_else(|| dialer::fault(error, &upstream.via, &forward.address, relayed)).map_or(End::Aborted, End::Failed)
}

/// Returns the end of a connection to an address that broke through a relay that reports its target's failures.
pub(super) async fn reported_failure<D: Dialer>(
    forward: &Forward<D>,
    upstream: &Arc<Upstream<D::Lease>>,
    address: &str,
    error: &Error,
    reported: &TargetFailure,
) -> End {
    if let Some((what, words)) = reported.get() {
        return End::Failed(Fault::new(*what, address, words));
    }
    // A pod that is killed takes its relay along; the cluster tells of that first.
    if !matches!(error, Error::Local(_)) && !forward.is_current(upstream) && !upstream.is_relay_alive().await {
        return End::Failed(Fault::new(What::PodDeleted, &upstream.via.pod.name, ""));
    }
    failure(forward, upstream, error, true)
}

/// Counts a failure. What is wrong with one destination is told to the client that named it, not of the forward.
pub(super) fn place_failure(place: &NamedPlace, fault: Fault) -> End {
    place.fail();
    match fault.what {
        What::TargetRefused
        | What::TargetTimedOut
        | What::TargetUnresolved
        | What::TargetUnreachable
        | What::TargetReset => End::FailedQuietly,
        _ => End::Failed(fault),
    }
}
