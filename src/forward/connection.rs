//! One forwarded connection, from accept to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::connections::OpenConnection;
use super::dialer::{Dialer, Lease};
use super::lane::LaneConnection;
use super::reach::{self, End, Excluded, failure, no_pod, reported_failure, wait_for_upstream};
use super::socks;
use super::spread::Turn;
use super::state::Forward;
use super::upstream::Upstream;
use brow_model::fault::{Fault, What};
use kube_tunnel::contain::contain;
use kube_tunnel::{self, Error};

/// The number of pods that are tried for a connection.
const MAX_ATTEMPTS: usize = 4;

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
    reach::report(forward, end);
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
        let limit = if excluded.is_some() { reach::FAILOVER_TIMEOUT } else { reach::POD_TIMEOUT };
        let route = wait_for_upstream(forward, excluded.as_ref().map(|(upstream, _)| upstream), limit).await;
        let upstream = match (route, excluded.take()) {
            (Some(upstream), _) => upstream?,
            (None, Some((_, end))) => return Err(end),
            (None, None) => return Err(no_pod(forward)),
        };
        let (upstream, turn) = match forward.spread.take_turn(&forward.dialer, &upstream).await {
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
