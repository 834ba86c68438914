//! One forwarded connection, from accept to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::connections::OpenConnection;
use super::dialer::{self, Dialer, Lease, ReachError, TargetFailure};
use super::lane::LaneConnection;
use super::spread::{self, Turn};
use super::supervise::Route;
use super::upstream::Upstream;
use super::{Forward, Wait, socks};
use brow_model::fault::{Fault, What};
use kube_tunnel::contain::contain;
use kube_tunnel::{self, Error};

/// The longest wait of a connection for a pod that is being created. Pulling an image takes its time.
pub(super) const POD_TIMEOUT: Duration = Duration::from_mins(2);

/// The longest wait of a connection for another pod, once its own is found to be gone.
pub(super) const FAILOVER_TIMEOUT: Duration = Duration::from_secs(3);

/// The number of pods that are tried for a connection.
const MAX_ATTEMPTS: usize = 4;

/// The reason why a connection did not end in order.
pub(super) enum End {
    /// Something failed.
    Failed(Fault),
    /// It failed with others for the same reason, which one of them reports.
    FailedQuietly,
    /// The local program reset it, somebody ended it, or the forward was closed.
    Aborted,
}

/// Serves one connection. Errors concern this connection only.
pub(super) async fn serve<D: Dialer>(forward: &Arc<Forward<D>>, local: TcpStream, listed: &OpenConnection) {
    // Nothing sent to the local program waits to be sent with more. A socket without the option still works.
    let _ = local.set_nodelay(true);
    let local = Arc::new(local);
    let end = tokio::select! {
        biased;
        () = listed.token.cancelled() => Err(End::Aborted),
        end = contain(carry(forward, &local, listed)) => {
            end.unwrap_or_else(|words| Err(End::Failed(forward.internal(words))))
        }
    };
    let Err(end) = end else { return };
    // An error must not look like an orderly end: closing sends RST. Failing to set it only makes it look like one.
    let _ = SockRef::from(&*local).set_linger(Some(Duration::ZERO));
    report(forward, end);
}

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

async fn carry<D: Dialer>(
    forward: &Arc<Forward<D>>,
    local: &Arc<TcpStream>,
    listed: &OpenConnection,
) -> Result<(), End> {
    if let Some(rules) = &forward.rules {
        return socks::carry(forward, rules, local, listed).await;
    }
    let mut excluded = None;
    let mut again = None;
    for left in (0..MAX_ATTEMPTS).rev() {
        let Opened { upstream, stream, lane, turn } = open(forward, excluded.take()).await?;
        let relayed = forward.dialer.is_relayed(&upstream.via);
        let word = lane.as_ref().map(LaneConnection::first_line);
        let ahead = word.as_ref().map_or(0, Bytes::len);
        let opening = match (word, again.take()) {
            (Some(word), Some(again)) => Some([word, again].concat().into()),
            (word, again) => word.or(again),
        };
        let reported = upstream.lease.target_failure(&stream);
        let began = Instant::now();
        listed.opened();
        let counters = &listed.counters;
        let (summary, result) = upstream.lease.splice(Arc::clone(local), stream, opening, counters).await;
        if let Some(reported) = reported {
            return match result {
                Ok(()) => {
                    kube_tunnel::end_in_order(local).await;
                    Ok(())
                }
                Err(error) => Err(reported_failure(forward, &upstream, &forward.address, &error, &reported).await),
            };
        }
        match (result, summary.sent) {
            // The lane has gone this moment; the relay itself takes what it did not.
            (Err(error), Some(sent)) if lane.is_some() && left > 0 && error.is_refusal() => {
                let _ = SockRef::from(&**local).set_linger(None);
                if let Some(connection) = lane {
                    upstream.lane.discard(connection.port());
                }
                again = Some(sent.slice(ahead.min(sent.len())..)).filter(|sent| !sent.is_empty());
            }
            // A pod that is the target itself and is just going: another may take what this one did not.
            (Err(error), Some(sent)) if !relayed && left > 0 && error.is_refusal() => {
                // The splice had it reset.
                let _ = SockRef::from(&**local).set_linger(None);
                let end = failure(forward, &upstream, &error, relayed);
                forward.report_refusal(&upstream).await;
                match turn {
                    Some(turn) => turn.pass_over(),
                    None => excluded = Some((upstream, end)),
                }
                again = Some(sent).filter(|sent| !sent.is_empty());
            }
            (Ok(()), _) if let Some((what, words)) = lane.as_ref().and_then(LaneConnection::failure) => {
                return Err(End::Failed(Fault::new(what, &forward.address, words)));
            }
            (result, _) => {
                let silent = relayed && summary.down == 0;
                return finish(forward, local, &upstream, relayed, silent, began, result).await;
            }
        }
    }
    Err(End::Aborted)
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

/// Ends a connection whose bytes have been moved. With `silent`, a relay has sent nothing.
async fn finish<D: Dialer>(
    forward: &Forward<D>,
    local: &TcpStream,
    upstream: &Arc<Upstream<D::Lease>>,
    relayed: bool,
    silent: bool,
    began: Instant,
    result: Result<(), Error>,
) -> Result<(), End> {
    // A relay that cannot reach its target hangs up; if the client has already sent something, that is a reset.
    if silent && matches!(result, Ok(()) | Err(Error::Reset)) {
        match upstream.diagnose(&forward.dialer, began.elapsed()).await {
            Ok(Some(fault)) => return Err(End::Failed(fault)),
            Ok(None) => {}
            // Where nobody knows whether the target was reached, the end must not look like the target's own.
            Err(error) => return Err(failure(forward, upstream, &error, relayed)),
        }
    }
    result.map_err(|error| failure(forward, upstream, &error, relayed))?;
    // A pod that is killed ends its connections in order: what it cut off would look whole. The forward has left it by
    // then, for the cluster tells of the end a second before the node does.
    if relayed && !forward.is_current(upstream) && !upstream.is_relay_alive().await {
        return Err(End::Failed(Fault::new(What::PodDeleted, &upstream.via.pod.name, "")));
    }
    kube_tunnel::end_in_order(local).await;
    Ok(())
}

/// An upstream that must not be used again, with the end of the connection if there is no other.
type Excluded<L> = Option<(Arc<Upstream<L>>, End)>;

/// A stream with its upstream.
struct Opened<L: Lease> {
    upstream: Arc<Upstream<L>>,
    stream: L::Stream,
    /// The lane that it uses, if any.
    lane: Option<LaneConnection>,
    /// Its turn at the pod, if connections are spread.
    turn: Option<Turn>,
}

/// Opens a stream to the forward's pod, or to the next one if that pod is gone.
async fn open<D: Dialer>(forward: &Forward<D>, mut excluded: Excluded<D::Lease>) -> Result<Opened<D::Lease>, End> {
    let mut left = MAX_ATTEMPTS - 1;
    loop {
        let limit = if excluded.is_some() { FAILOVER_TIMEOUT } else { POD_TIMEOUT };
        let route = wait_for_upstream(forward, excluded.as_ref().map(|(upstream, _)| upstream), limit).await;
        let upstream = match (route, excluded.take()) {
            (Some(upstream), _) => upstream?,
            (None, Some((_, end))) => return Err(end),
            (None, None) => return Err(no_pod(forward)),
        };
        let (upstream, turn) = match spread::take_turn(forward, &upstream).await {
            Some((upstream, turn)) => (upstream, Some(turn)),
            None => (upstream, None),
        };
        let relayed = forward.dialer.is_relayed(&upstream.via);
        if relayed {
            upstream.wait_until_listening().await;
            if let Some((lane, stream)) = upstream.open_by_lane().await {
                return Ok(Opened { upstream, stream, lane: Some(lane), turn });
            }
        }
        match forward.dialer.open(&upstream.lease, &upstream.via).await {
            Ok(stream) => return Ok(Opened { upstream, stream, lane: None, turn }),
            Err(error) => {
                let end = failure(forward, &upstream, &error, relayed);
                if let Some(turn) = turn {
                    turn.pass_over();
                    let Some(fewer) = left.checked_sub(1) else { return Err(end) };
                    left = fewer;
                    continue;
                }
                if !error.is_pod_gone() {
                    return Err(end);
                }
                excluded = Some((upstream, end));
            }
        }
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
        // Who is at fault for that has been found out, perhaps.
        Error::Unreachable { .. } => upstream.fault(),
        _ => None,
    };
    fault.or_else(|| dialer::fault(error, &upstream.via, &forward.address, relayed)).map_or(End::Aborted, End::Failed)
}
