//! The tunnels to one pod, as those see them who go through: whether a stream opens, and why one ended.

use std::sync::{Arc, Mutex as Plain, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::Hold;
use super::lane::{Lane, Visit};
use super::route::{Lease, Route};
use brow_model::fault::Fault;
use brow_model::route::Via;
use kube_tunnel::{Backoff, Error, Protocol};

/// How long a relay may take from its container's start until it listens.
const FRESH: Duration = Duration::from_secs(5);

/// How often a relay that does not listen yet is asked again.
const KNOCK: Duration = Duration::from_millis(100);

/// For how long the reason of one failure is taken to be that of the next: a reason costs a request.
const SAME_REASON: Duration = Duration::from_secs(1);

/// How long a reason may take to find out, with the client waiting: a relay gives a target that does not answer 10 s.
const REASON_PATIENCE: Duration = Duration::from_secs(15);

/// How often it is looked whether a tunnel is up, at first.
const LOOK: Duration = Duration::from_millis(50);

/// The longest pause before a relay that still refuses is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The tunnels to one pod. Connections hold it to their end: a forward that moves on lets them finish.
#[derive(Debug)]
pub(super) struct Line<L> {
    pub via: Via,
    /// Says that nobody goes through it any more.
    _hold: Arc<Hold>,
    pub lease: Arc<L>,
    pub born: Instant,
    /// The lane through the relay.
    pub lane: Arc<Lane>,
    /// Keeps the lane open for as long as a connection may be on its way through it: to end it resets those that wait
    /// for the relay to take them.
    pub keeper: OnceLock<AbortOnDropHandle<()>>,
    /// Set once the relay was seen listening, or was given the time for it.
    listens: OnceCell<()>,
    /// Whether a stream through it has been seen to open.
    pub proof: Mutex<Proof>,
    /// Why no stream opens, as it was told.
    trouble: Plain<Option<Fault>>,
    /// The last reason that was found out.
    reason: Mutex<Option<Reason>>,
}

/// Why a connection through a relay ended without a byte.
#[derive(Debug)]
struct Reason {
    /// When the relay was asked.
    asked: Instant,
    told: Instant,
    /// `None`: the target has hung up. An error: that could not be found out.
    found: Result<Option<Fault>, Error>,
}

/// Whether a stream through a line opens: that a tunnel is up says nothing of the relay behind it, and where each
/// stream is a connection of its own there is no tunnel to tell by.
#[derive(Debug, Default)]
pub(super) enum Proof {
    /// Not known yet.
    #[default]
    None,
    /// One has opened.
    Opens,
    /// The relay has had its time, and refuses still.
    Refused(Error),
}

impl<L: Lease> Line<L> {
    pub(super) fn new(via: Via, hold: Arc<Hold>, lease: L) -> Self {
        let (lane, born) = (Arc::default(), Instant::now());
        let (lease, keeper) = (Arc::new(lease), OnceLock::new());
        Self {
            via,
            _hold: hold,
            lease,
            born,
            lane,
            keeper,
            listens: OnceCell::new(),
            proof: Mutex::default(),
            trouble: Plain::default(),
            reason: Mutex::new(None),
        }
    }

    /// A stream through the lane, where there is one.
    pub(super) async fn by_lane(&self) -> Option<(Visit, L::Stream)> {
        let lane = self.lane.visit()?;
        self.lease.open_at(lane.port()).await.map(|stream| (lane, stream))
    }

    /// Waits until the pod's relay listens: its container has started, but that was a moment ago, perhaps. Whether a
    /// relay that is given up listens after all, the connections find out.
    pub(super) async fn listening(&self) {
        let knock = async {
            loop {
                match self.lease.probe().await {
                    Err(Error::Refused { .. }) => sleep(KNOCK).await,
                    Ok(()) => return self.prove(Proof::Opens).await,
                    Err(_) => return,
                }
            }
        };
        let left = FRESH.saturating_sub(self.born.elapsed());
        self.listens
            .get_or_init(|| async {
                let _ = timeout(left, knock).await;
            })
            .await;
    }

    /// Finds out whether a stream opens, until one does. `relayed`: the pod's port is a relay, which has to answer;
    /// whether the target itself takes connections is not asked.
    pub(super) async fn proven(&self, relayed: bool) {
        let mut backoff = Backoff::new(LOOK * 2, LONGEST_PAUSE);
        loop {
            let mut pause = LOOK;
            let stats = self.lease.stats();
            if matches!(&*self.proof.lock().await, Proof::Opens) {
                return;
            }
            if !relayed && stats.tunnels > 0 {
                return self.prove(Proof::Opens).await;
            }
            if relayed || stats.protocol == Some(Protocol::V4) {
                match self.lease.probe().await {
                    Ok(()) => return self.prove(Proof::Opens).await,
                    Err(Error::Refused { .. }) if !relayed => return self.prove(Proof::Opens).await,
                    Err(error @ Error::Refused { .. }) => self.prove(Proof::Refused(error)).await,
                    // How the tunnels stand tells the rest.
                    Err(_) => {}
                }
                pause = backoff.next_pause();
            }
            sleep(pause).await;
        }
    }

    /// Why no stream opens, where that is known.
    pub(super) fn trouble(&self) -> Option<Fault> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of why no stream opens, or that one does.
    pub(super) fn set_trouble(&self, fault: Option<Fault>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    async fn prove(&self, proof: Proof) {
        *self.proof.lock().await = proof;
    }

    /// Whether the pod's relay still takes connections.
    pub(super) async fn answers(&self) -> bool {
        timeout(REASON_PATIENCE, self.lease.probe()).await.is_ok_and(|probed| probed.is_ok())
    }

    /// Why a connection through the relay ended as it just did, after `age`; `None`: the target has hung up.
    /// Connections that failed together share one answer.
    ///
    /// # Errors
    /// Why that could not be found out.
    pub(super) async fn reason<R: Route<Lease = L>>(&self, route: &R, age: Duration) -> Result<Option<Fault>, Error> {
        let ended = Instant::now();
        let mut known = self.reason.lock().await;
        // That nothing is wrong says nothing of a connection that ended later: that one may have been refused.
        let holds = |known: &Reason| {
            known.asked >= ended || (matches!(known.found, Ok(Some(_))) && known.told.elapsed() < SAME_REASON)
        };
        if let Some(known) = known.as_ref().filter(|known| holds(known)) {
            return known.found.clone();
        }
        let asked = Instant::now();
        let late =
            |_| Err(Error::Pod { text: "the relay does not tell in time why it ended the connection".to_owned() });
        let found = timeout(REASON_PATIENCE, route.diagnose(&self.lease, &self.via, age)).await.unwrap_or_else(late);
        *known = Some(Reason { asked, told: Instant::now(), found: found.clone() });
        found
    }
}
