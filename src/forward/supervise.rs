//! Keeps a way open from the listener to the pod that the forward points at, and says when it breaks and is back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::lane::Ended;
use super::line::{Line, Proof};
use super::route::{self, Lease, Route};
use super::{Pointing, Rest, Shared, Wait};
use brow_model::event::ForwardEvent;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::route::Via;
use brow_model::traffic::TunnelInfo;
use kube_tunnel::{Backoff, Error, Protocol, Stats};

/// How often tunnels are looked at that have been as they are for a while.
const CALM: Duration = Duration::from_secs(1);

/// How often after something has changed or failed.
const ALERT: Duration = Duration::from_millis(50);

/// How long after that.
const ALERT_FOR: Duration = Duration::from_secs(2);

/// How long a lease may be without a tunnel before that is told: most are open again before anybody notices.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// How long the first tunnel may take before it is asked who is at fault: an attempt is given up later than that.
const OVERDUE: Duration = Duration::from_secs(4);

/// The pauses after a lease was refused, or a lane has ended.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(15));

/// Where new connections go.
#[derive(Debug)]
pub(super) enum Way<L> {
    /// There is no pod.
    Nowhere(Wait),
    /// A lease is being taken.
    Preparing,
    /// No lease could be had; it is tried again, at once when somebody needs it.
    Failed(Fault),
    /// There is nothing until a connection asks for it.
    Resting(Rest),
    /// Through this pod.
    Through(Arc<Line<L>>),
}

impl<L> Clone for Way<L> {
    fn clone(&self) -> Self {
        match self {
            Self::Nowhere(wait) => Self::Nowhere(*wait),
            Self::Preparing => Self::Preparing,
            Self::Failed(fault) => Self::Failed(fault.clone()),
            Self::Resting(rest) => Self::Resting(rest.clone()),
            Self::Through(line) => Self::Through(Arc::clone(line)),
        }
    }
}

/// The senders of what the supervisor finds out.
struct Out<L> {
    ways: watch::Sender<Way<L>>,
    tunnel: watch::Sender<Option<TunnelInfo>>,
}

/// Follows where the forward is pointed, until it is closed.
pub(super) async fn supervise<R: Route>(
    shared: Arc<Shared<R>>,
    mut pointed: watch::Receiver<Pointing>,
    ways: watch::Sender<Way<R::Lease>>,
    tunnel: watch::Sender<Option<TunnelInfo>>,
) {
    let out = Out { ways, tunnel };
    loop {
        let pointing = pointed.borrow_and_update().clone();
        tokio::select! {
            biased;
            () = shared.token.cancelled() => break,
            changed = pointed.changed() => if changed.is_err() {
                break;
            },
            () = follow(&shared, &out, pointing) => {}
        }
    }
    // Those who wait for a way hold no lease from here on.
    out.ways.send_replace(Way::Nowhere(Wait::Not));
    out.tunnel.send_replace(None);
}

/// Opens the way and watches it. Never ends by itself.
async fn follow<R: Route>(shared: &Arc<Shared<R>>, out: &Out<R::Lease>, pointing: Pointing) {
    out.tunnel.send_replace(None);
    let (via, hold) = match pointing {
        Pointing::Through(via, hold) => (via, hold),
        Pointing::Nowhere(wait) => {
            out.ways.send_replace(Way::Nowhere(wait));
            return std::future::pending().await;
        }
        Pointing::Rest(rest) => {
            out.ways.send_replace(Way::Resting(rest));
            return std::future::pending().await;
        }
    };
    out.ways.send_replace(Way::Preparing);
    let lease = lease(shared, out, &via).await;
    let line = Arc::new(Line::new(via, hold, lease));
    out.ways.send_replace(Way::Through(Arc::clone(&line)));
    let knock = async {
        let relayed = shared.route.is_relayed(&line.via);
        if relayed {
            line.listening().await;
            line.keeper.get_or_init(|| keep_lane(shared, &line));
        }
        line.proven(relayed).await;
        shared.nudge.notify_one();
    };
    tokio::join!(knock, watch_over(shared, out, &line));
}

/// Keeps a lane open, where the relay has lanes.
fn keep_lane<R: Route>(shared: &Arc<Shared<R>>, through: &Line<R::Lease>) -> AbortOnDropHandle<()> {
    let (lease, via, lane) = (Arc::clone(&through.lease), through.via.clone(), Arc::clone(&through.lane));
    let shared_too = Arc::clone(shared);
    AbortOnDropHandle::new(shared.keep(async move {
        let mut backoff = PAUSES;
        loop {
            match shared_too.route.lane(&lease, &via, &lane).await {
                Ended::Never => return,
                Ended::Open => backoff.reset(),
                Ended::Unasked => {}
            }
            sleep(backoff.next_pause()).await;
        }
    }))
}

/// Takes a lease, however long it takes.
async fn lease<R: Route>(shared: &Shared<R>, out: &Out<R::Lease>, via: &Via) -> R::Lease {
    let mut backoff = PAUSES;
    let mut told = false;
    loop {
        let again = shared.route.answers_again(via);
        let fault = match shared.route.lease(via).await {
            Ok(lease) => return lease,
            Err(fault) => fault,
        };
        if !told {
            shared.tell(ForwardEvent::Down(fault.clone())).await;
            told = true;
        }
        out.ways.send_replace(Way::Failed(fault));
        tokio::select! {
            () = sleep(backoff.next_pause()) => {}
            () = shared.nudge.notified() => {}
            () = again => backoff.reset(),
        }
        out.ways.send_replace(Way::Preparing);
    }
}

/// How tunnels stand.
#[derive(Debug)]
enum Outlook {
    Up,
    Down(Error),
    /// None is open, and no attempt has failed yet; or no stream has opened yet.
    Opening,
}

fn outlook(stats: Stats, proof: &Proof) -> Outlook {
    // In v4 every stream is a connection of its own: what works is known from the last one.
    let single = stats.protocol == Some(Protocol::V4);
    match (stats.trouble, proof) {
        (Some(error), _) if stats.tunnels == 0 => Outlook::Down(error),
        (_, Proof::Opens) if stats.tunnels > 0 || single => Outlook::Up,
        (_, Proof::Refused(error)) => Outlook::Down(error.clone()),
        (_, Proof::None | Proof::Opens) => Outlook::Opening,
    }
}

/// What was last told of a line's tunnels.
#[derive(Debug, Default)]
struct Told {
    up: Option<bool>,
    /// Since when there is none, although there was.
    lost: Option<Instant>,
    /// Whether it was asked already why it takes so long.
    asked: bool,
}

impl Told {
    /// Whether something is to be told: up (`Ok`) or down.
    fn news(&mut self, outlook: Outlook, now: Instant) -> Option<Result<(), Error>> {
        let error = match outlook {
            Outlook::Up => {
                self.lost = None;
                return (self.up.replace(true) != Some(true)).then_some(Ok(()));
            }
            Outlook::Down(error) => error,
            Outlook::Opening => {
                let lost = self.up == Some(true) && now.duration_since(*self.lost.get_or_insert(now)) >= LOST_AFTER;
                if !lost {
                    return None;
                }
                Error::TunnelLost { text: String::new() }
            }
        };
        (self.up.replace(false) != Some(false)).then_some(Err(error))
    }
}

impl Told {
    /// Whether it is time to ask why nothing has opened, which is asked once.
    fn is_overdue(&mut self, born: Instant) -> bool {
        self.up.is_none() && born.elapsed() >= OVERDUE && !std::mem::replace(&mut self.asked, true)
    }

    /// What was found out then is told in the place of a failure.
    fn doubted(&mut self, fault: Option<Fault>) -> Option<Fault> {
        self.up = fault.as_ref().map(|_| false);
        fault
    }
}

/// The lease opens its tunnels again by itself; this tells of it. Never ends by itself.
async fn watch_over<R: Route>(shared: &Shared<R>, out: &Out<R::Lease>, line: &Line<R::Lease>) {
    let mut told = Told::default();
    let mut alert_until = Instant::now() + ALERT_FOR;
    loop {
        let stats = line.lease.stats();
        let first_byte = shared.meter.counters.first_byte();
        let info = stats.protocol.map(|protocol| {
            let protocol = protocol.name().to_owned();
            TunnelInfo { protocol, rtt: stats.rtt, first_byte }
        });
        let news = told.news(outlook(stats, &*line.proof.lock().await), Instant::now());
        let info = info.filter(|_| told.up == Some(true));
        out.tunnel.send_if_modified(|shown| {
            let differs = *shown != info;
            *shown = info;
            differs
        });
        let event = match news {
            Some(Ok(())) => {
                line.set_trouble(None);
                Some(ForwardEvent::Up(line.via.clone()))
            }
            Some(Err(error)) => why(shared, line, &error).await.map(ForwardEvent::Down),
            // Most are open before anybody notices: what takes that long may take for ever.
            None if told.is_overdue(line.born) => told.doubted(overdue(shared, line).await).map(ForwardEvent::Down),
            None => None,
        };
        if let Some(event) = event {
            alert_until = Instant::now() + ALERT_FOR;
            shared.tell(event).await;
        }
        let pause = if Instant::now() < alert_until { ALERT } else { CALM };
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.nudge.notified() => alert_until = Instant::now() + ALERT_FOR,
        }
    }
}

/// Why no stream opens: as the error says or, where that only says that nothing answers, as those say who do.
async fn why<R: Route>(shared: &Shared<R>, line: &Line<R::Lease>, error: &Error) -> Option<Fault> {
    let fault = route::fault(error, &line.via, &shared.address, true)?;
    let known = What::by_words(&fault.detail).is_some();
    let blamed = match error {
        Error::Unreachable { .. } | Error::Upgrade { status: 500.., .. } | Error::TunnelLost { .. } => {
            shared.route.blame(&line.via).await
        }
        _ => None,
    };
    let fault = match blamed {
        // Its own report says more than any who missed it.
        Some(blamed) if blamed.what == What::NodeNotReady => blamed,
        // A tunnel that was lost says nothing of what is behind it.
        Some(blamed) if !known && !matches!(error, Error::TunnelLost { .. }) => blamed,
        Some(_) | None => retrying(fault),
    };
    line.set_trouble(Some(fault.clone()));
    Some(fault)
}

/// Why no stream has opened for so long although nothing has failed yet: the node, where the API server answers.
async fn overdue<R: Route>(shared: &Shared<R>, line: &Line<R::Lease>) -> Option<Fault> {
    let fault = shared.route.blame(&line.via).await;
    line.set_trouble(fault.clone());
    fault
}

/// What is wrong with a tunnel itself needs nobody's help; what is wrong with a login or a pod does.
fn retrying(fault: Fault) -> Fault {
    if fault.what == What::Tunnel { fault.with(Remedy::Retrying) } else { fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble() -> Outlook {
        Outlook::Down(Error::TunnelLost { text: "cut".into() })
    }

    #[test]
    fn each_change_is_told_once() {
        let now = Instant::now();
        let mut told = Told::default();
        assert!(told.news(Outlook::Opening, now).is_none());
        assert!(matches!(told.news(Outlook::Up, now), Some(Ok(()))));
        assert!(told.news(Outlook::Up, now).is_none());
        assert!(matches!(told.news(trouble(), now), Some(Err(_))));
        assert!(told.news(trouble(), now).is_none());
        assert!(told.news(Outlook::Opening, now + LOST_AFTER).is_none());
        assert!(matches!(told.news(Outlook::Up, now), Some(Ok(()))));
    }

    #[test]
    fn a_tunnel_that_is_back_at_once_is_not_missed() {
        let now = Instant::now();
        let mut told = Told::default();
        assert!(told.news(Outlook::Up, now).is_some());
        assert!(told.news(Outlook::Opening, now).is_none());
        assert!(told.news(Outlook::Up, now + LOST_AFTER / 2).is_none());
        assert!(told.news(Outlook::Opening, now + LOST_AFTER).is_none());
        assert!(matches!(told.news(Outlook::Opening, now + LOST_AFTER * 2), Some(Err(_))));
        assert!(told.news(Outlook::Opening, now + LOST_AFTER * 9).is_none());
    }

    #[test]
    fn tunnels_of_one_stream_are_up_while_nothing_fails() {
        let single = Stats { protocol: Some(Protocol::V4), ..Stats::default() };
        assert!(matches!(outlook(single.clone(), &Proof::Opens), Outlook::Up));
        assert!(matches!(outlook(single.clone(), &Proof::None), Outlook::Opening), "none has been tried");
        let failing = Stats { trouble: Some(Error::Reset), ..single };
        assert!(matches!(outlook(failing, &Proof::Opens), Outlook::Down(_)));
        let trying = Stats { protocol: Some(Protocol::Spdy), ..Stats::default() };
        assert!(matches!(outlook(trying, &Proof::None), Outlook::Opening));
    }

    #[test]
    fn a_tunnel_to_a_relay_that_does_not_answer_is_not_up() {
        let open = Stats { protocol: Some(Protocol::Spdy), tunnels: 1, ..Stats::default() };
        assert!(matches!(outlook(open.clone(), &Proof::None), Outlook::Opening));
        let refused = Proof::Refused(Error::Refused { text: "connection refused".into() });
        assert!(matches!(outlook(open.clone(), &refused), Outlook::Down(Error::Refused { .. })));
        assert!(matches!(outlook(open, &Proof::Opens), Outlook::Up));
    }
}
