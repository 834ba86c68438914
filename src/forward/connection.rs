//! One forwarded connection, from accept to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::lane::Visit;
use super::line::Line;
use super::route::{self, Lease, Route};
use super::supervise::Way;
use super::{Shared, Wait};
use brow_model::fault::{Fault, What};
use kube_tunnel::contain::contain;
use kube_tunnel::{self, Error};

/// How long a connection waits for a pod that is coming: pulling an image takes its time.
const POD_PATIENCE: Duration = Duration::from_mins(2);

/// How long a connection waits for the forward to move, once its pod is found to be gone.
const MOVE_PATIENCE: Duration = Duration::from_secs(3);

/// To how many pods a connection is offered.
const TRIES: usize = 4;

/// How a connection ended that did not end in order.
enum End {
    /// Something failed.
    Failed(Fault),
    /// So did those that waited with it, of which one has told.
    FailedToo,
    /// The local program itself cut it, or the forward was closed.
    Cut,
}

/// Carries one connection. Whatever goes wrong concerns this connection only.
pub(super) async fn serve<R: Route>(shared: &Shared<R>, local: TcpStream) {
    // Nothing sent to the local program waits to be sent with more. A socket without the option still works.
    let _ = local.set_nodelay(true);
    let local = Arc::new(local);
    let end = tokio::select! {
        biased;
        () = shared.token.cancelled() => Err(End::Cut),
        end = contain(carry(shared, &local)) => end.unwrap_or_else(|words| Err(End::Failed(shared.internal(words)))),
    };
    let Err(end) = end else { return };
    // An error must not look like an orderly end: closing sends RST. Failing to set it only makes it look like one.
    let _ = SockRef::from(&*local).set_linger(Some(Duration::ZERO));
    match end {
        End::Failed(fault) => {
            shared.meter.fail();
            shared.reporter.failed(fault);
        }
        End::FailedToo => shared.meter.fail(),
        End::Cut => {}
    }
}

async fn carry<R: Route>(shared: &Shared<R>, local: &Arc<TcpStream>) -> Result<(), End> {
    let mut gone = None;
    let mut again = None;
    for left in (0..TRIES).rev() {
        let Opened { line, stream, lane } = open(shared, gone.take()).await?;
        let relayed = shared.route.is_relayed(&line.via);
        let word = lane.as_ref().map(Visit::first_line);
        let ahead = word.as_ref().map_or(0, Bytes::len);
        let opening = match (word, again.take()) {
            (Some(word), Some(again)) => Some([word, again].concat().into()),
            (word, again) => word.or(again),
        };
        let began = Instant::now();
        let counters = &shared.meter.counters;
        let (summary, result) = line.lease.splice(Arc::clone(local), stream, opening, counters).await;
        match (result, summary.sent) {
            // The lane has gone this moment; the relay itself takes what it did not.
            (Err(error), Some(sent)) if lane.is_some() && left > 0 && error.is_refusal() => {
                let _ = SockRef::from(&**local).set_linger(None);
                if let Some(visit) = lane {
                    line.lane.lose(visit.port());
                }
                again = Some(sent.slice(ahead.min(sent.len())..)).filter(|sent| !sent.is_empty());
            }
            // A pod that is the target itself and is just going: another may take what this one did not.
            (Err(error), Some(sent)) if !relayed && left > 0 && error.is_refusal() => {
                // The splice had it reset.
                let _ = SockRef::from(&**local).set_linger(None);
                let end = failed(shared, &line, &error, relayed);
                shared.refused(&line).await;
                gone = Some((line, end));
                again = Some(sent).filter(|sent| !sent.is_empty());
            }
            (Ok(()), _) if let Some((what, words)) = lane.as_ref().and_then(Visit::broke) => {
                return Err(End::Failed(Fault::new(what, &shared.address, words)));
            }
            (result, _) => {
                let silent = relayed && summary.down == 0;
                return finish(shared, local, &line, relayed, silent, began, result).await;
            }
        }
    }
    Err(End::Cut)
}

/// What is left to do for a connection that has ended one way or another. `silent`: a relay has sent nothing.
async fn finish<R: Route>(
    shared: &Shared<R>,
    local: &TcpStream,
    line: &Arc<Line<R::Lease>>,
    relayed: bool,
    silent: bool,
    began: Instant,
    result: Result<(), Error>,
) -> Result<(), End> {
    // A relay that cannot reach its target hangs up; if the client has already sent something, that is a reset.
    if silent && matches!(result, Ok(()) | Err(Error::Reset)) {
        match line.reason(&shared.route, began.elapsed()).await {
            Ok(Some(fault)) => return Err(End::Failed(fault)),
            Ok(None) => {}
            // Where nobody knows whether the target was reached, the end must not look like the target's own.
            Err(error) => return Err(failed(shared, line, &error, relayed)),
        }
    }
    result.map_err(|error| failed(shared, line, &error, relayed))?;
    // A pod that is killed ends its connections in order: what it cut off would look whole. The forward has left it by
    // then, for the cluster tells of the end a second before the node does.
    if relayed && !shared.leads(line) && !line.answers().await {
        return Err(End::Failed(Fault::new(What::PodDeleted, &line.via.pod.name, "")));
    }
    kube_tunnel::end_in_order(local).await;
    Ok(())
}

/// A pod's line that is not to be taken again, and how the connection ends if no other comes.
type Gone<L> = Option<(Arc<Line<L>>, End)>;

/// A stream, and what it leads through.
struct Opened<L: Lease> {
    line: Arc<Line<L>>,
    stream: L::Stream,
    /// The lane that it goes by.
    lane: Option<Visit>,
}

/// A stream through the pod that the forward points at; through the next one, where that one is gone.
async fn open<R: Route>(shared: &Shared<R>, mut gone: Gone<R::Lease>) -> Result<Opened<R::Lease>, End> {
    loop {
        let patience = if gone.is_some() { MOVE_PATIENCE } else { POD_PATIENCE };
        let way = way(shared, gone.as_ref().map(|(line, _)| line), patience).await;
        let line = match (way, gone.take()) {
            (Some(line), _) => line?,
            (None, Some((_, end))) => return Err(end),
            (None, None) => return Err(no_pod(shared)),
        };
        let relayed = shared.route.is_relayed(&line.via);
        if relayed {
            line.listening().await;
            if let Some((lane, stream)) = line.by_lane().await {
                return Ok(Opened { line, stream, lane: Some(lane) });
            }
        }
        match shared.route.open(&line.lease, &line.via).await {
            Ok(stream) => return Ok(Opened { line, stream, lane: None }),
            Err(error) => {
                let end = failed(shared, &line, &error, relayed);
                if !error.is_pod_gone() {
                    return Err(end);
                }
                gone = Some((line, end));
            }
        }
    }
}

/// The line that new connections take, waited for where there is none; never `not`. `None` once patience is at its end.
/// While it is sought on demand that has time: it is given up elsewhere, when the config says so.
async fn way<R: Route>(
    shared: &Shared<R>,
    not: Option<&Arc<Line<R::Lease>>>,
    patience: Duration,
) -> Option<Result<Arc<Line<R::Lease>>, End>> {
    let mut ways = shared.ways.clone();
    let mut nudged = false;
    let mut waited = Waited::Not;
    let mut deadline = Instant::now() + patience;
    loop {
        let way = ways.borrow_and_update().clone();
        let is_sought = matches!(way, Way::Resting(_) | Way::Nowhere(Wait::UntilTold));
        match way {
            Way::Through(line) if !not.is_some_and(|not| Arc::ptr_eq(not, &line)) => return Some(Ok(line)),
            // Unless it has just been pointed elsewhere, which the ways follow in a moment.
            Way::Nowhere(Wait::Not) if shared.leads_nowhere() => return Some(Err(no_pod(shared))),
            Way::Failed(fault) if nudged => return Some(Err(End::Failed(fault))),
            Way::Failed(_) => {
                shared.nudge.notify_one();
                nudged = true;
            }
            Way::Resting(rest) => match (rest.failed, waited) {
                (_, Waited::For(round)) if round == rest.round => {}
                // It was this that it waited for.
                (Some(fault), Waited::For(_) | Waited::Long) => {
                    let tells = shared.tells(rest.round);
                    return Some(Err(if tells { End::Failed(fault) } else { End::FailedToo }));
                }
                (Some(_) | None, _) => {
                    shared.want(rest.round).await;
                    waited = Waited::For(rest.round);
                }
            },
            Way::Nowhere(Wait::Awhile | Wait::UntilTold) | Way::Preparing if matches!(waited, Waited::Not) => {
                waited = Waited::Long;
            }
            Way::Through(_) | Way::Preparing | Way::Nowhere(_) => {}
        }
        let changed = if is_sought {
            let changed = ways.changed().await;
            deadline = Instant::now() + patience;
            changed
        } else {
            timeout_at(deadline, ways.changed()).await.ok()?
        };
        if changed.is_err() {
            return Some(Err(End::Cut));
        }
    }
}

/// What a connection has been waiting for.
#[derive(Clone, Copy)]
enum Waited {
    /// Nothing yet.
    Not,
    /// What was under way when it came.
    Long,
    /// What it asked for itself in this rest.
    For(u64),
}

fn no_pod<R: Route>(shared: &Shared<R>) -> End {
    End::Failed(Fault::new(What::NoPod, &shared.target, ""))
}

fn failed<R: Route>(shared: &Shared<R>, line: &Line<R::Lease>, error: &Error, relayed: bool) -> End {
    // If it was the tunnel's fault, that is seen at once.
    shared.nudge.notify_one();
    let fault = match error {
        // Who is at fault for that has been found out, perhaps.
        Error::Unreachable { .. } => line.trouble(),
        _ => None,
    };
    fault.or_else(|| route::fault(error, &line.via, &shared.address, relayed)).map_or(End::Cut, End::Failed)
}
