//! The upstream of a forward's connections: the tunnels to one pod, whether streams open there, and why one ended.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex as StdMutex;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::dialer::{Dialer, Lease};
use super::lane::{Lane, LaneConnection};
use super::pod_ref::PodRef;
use brow_model::fault::Fault;
use brow_model::route::Via;
use kube_tunnel::{Backoff, Error, Protocol};

/// The longest time from a relay container's start until the relay listens.
const RELAY_START_TIMEOUT: Duration = Duration::from_secs(5);

/// The interval at which a relay that does not listen yet is probed.
const RELAY_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The time for which a diagnosis is reused for other failures: each costs a request.
const DIAGNOSIS_TTL: Duration = Duration::from_secs(1);

/// The timeout of a diagnosis, while the client waits. A relay gives a target that does not answer 10 s.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(15);

/// The interval at which a new upstream is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The longest pause before a relay that still refuses is probed again.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// The tunnels to one pod. Connections keep it until they end, also when the forward uses another pod by then.
#[derive(Debug)]
pub(super) struct Upstream<L> {
    pub via: Via,
    /// Reports the pod as left when dropped with all others.
    _pod_ref: Arc<PodRef>,
    pub lease: Arc<L>,
    pub born: Instant,
    /// The current lane through the relay.
    pub lane: Arc<Lane>,
    /// The task that keeps the lane open. It lives as long as connections may use the lane: ending the lane resets
    /// those that the relay has not accepted yet.
    pub keeper: OnceLock<AbortOnDropHandle<()>>,
    /// Set once the relay listens or [`RELAY_START_TIMEOUT`] has passed.
    listens: OnceCell<()>,
    /// The last known reachability.
    pub reachability: Mutex<Reachability>,
    /// The last reported reason why no stream opens.
    fault: StdMutex<Option<Fault>>,
    /// The last diagnosis.
    diagnosis: Mutex<Option<Diagnosis>>,
}

/// The result of asking a relay why a connection ended without a byte.
#[derive(Debug)]
struct Diagnosis {
    /// The time at which the relay was asked.
    asked: Instant,
    found_at: Instant,
    /// `None` if the target closed the connection; an error if the cause could not be found out.
    found: Result<Option<Fault>, Error>,
}

/// The knowledge of whether streams open. An open tunnel does not prove that the relay behind it works, and with v4
/// there is no tunnel without a stream.
#[derive(Debug, Default)]
pub(super) enum Reachability {
    /// None has opened or failed yet.
    #[default]
    Unknown,
    /// One has opened.
    Reachable,
    /// The relay refuses, although it had the time to start.
    Refused(Error),
}

impl<L: Lease> Upstream<L> {
    pub(super) fn new(via: Via, pod_ref: Arc<PodRef>, lease: L) -> Self {
        let (lane, born) = (Arc::default(), Instant::now());
        let (lease, keeper) = (Arc::new(lease), OnceLock::new());
        Self {
            via,
            _pod_ref: pod_ref,
            lease,
            born,
            lane,
            keeper,
            listens: OnceCell::new(),
            reachability: Mutex::default(),
            fault: StdMutex::default(),
            diagnosis: Mutex::new(None),
        }
    }

    /// Opens a stream through the lane, if there is one.
    pub(super) async fn open_by_lane(&self) -> Option<(LaneConnection, L::Stream)> {
        let lane = self.lane.connection()?;
        self.lease.open_at(lane.port()).await.map(|stream| (lane, stream))
    }

    /// Waits until the pod's relay listens, up to [`RELAY_START_TIMEOUT`] after the start. A relay that is slower is
    /// found out by connections.
    pub(super) async fn wait_until_listening(&self) {
        let probe = async {
            loop {
                match self.lease.probe().await {
                    Err(Error::Refused { .. }) => sleep(RELAY_RETRY_INTERVAL).await,
                    Ok(()) => return self.set_reachability(Reachability::Reachable).await,
                    Err(_) => return,
                }
            }
        };
        let left = RELAY_START_TIMEOUT.saturating_sub(self.born.elapsed());
        self.listens
            .get_or_init(|| async {
                let _ = timeout(left, probe).await;
            })
            .await;
    }

    /// Checks whether streams open, until one does. With `relayed`, the pod's port is a relay, which has to answer; a
    /// target itself is not asked whether it accepts connections.
    pub(super) async fn check_reachability(&self, relayed: bool) {
        let mut backoff = Backoff::new(POLL_INTERVAL * 2, MAX_RETRY_INTERVAL);
        loop {
            let mut pause = POLL_INTERVAL;
            let stats = self.lease.stats();
            if matches!(&*self.reachability.lock().await, Reachability::Reachable) {
                return;
            }
            if !relayed && stats.tunnels > 0 {
                return self.set_reachability(Reachability::Reachable).await;
            }
            if relayed || stats.protocol == Some(Protocol::V4) {
                match self.lease.probe().await {
                    Ok(()) => return self.set_reachability(Reachability::Reachable).await,
                    Err(Error::Refused { .. }) if !relayed => {
                        return self.set_reachability(Reachability::Reachable).await;
                    }
                    Err(error @ Error::Refused { .. }) => self.set_reachability(Reachability::Refused(error)).await,
                    // Other failures show in the state of the tunnels.
                    Err(_) => {}
                }
                pause = backoff.next_pause();
            }
            sleep(pause).await;
        }
    }

    /// Returns the reason why no stream opens, if known.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.lock().clone()
    }

    /// Sets the reason why no stream opens; `None` if streams open.
    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        *self.fault.lock() = fault;
    }

    async fn set_reachability(&self, reachability: Reachability) {
        *self.reachability.lock().await = reachability;
    }

    /// Returns true if the pod's relay still accepts connections.
    pub(super) async fn is_relay_alive(&self) -> bool {
        timeout(DIAGNOSIS_TIMEOUT, self.lease.probe()).await.is_ok_and(|probed| probed.is_ok())
    }

    /// Finds out why a connection through the relay ended after `age` without a byte. `None` means that the target
    /// closed it. Connections that fail together share one diagnosis.
    ///
    /// # Errors
    /// The cause could not be found out.
    pub(super) async fn diagnose<D: Dialer<Lease = L>>(
        &self,
        dialer: &D,
        age: Duration,
    ) -> Result<Option<Fault>, Error> {
        let ended = Instant::now();
        let mut known = self.diagnosis.lock().await;
        // A diagnosis without a fault does not cover connections that ended after it: they may have been refused.
        let covers = |known: &Diagnosis| {
            known.asked >= ended || (matches!(known.found, Ok(Some(_))) && known.found_at.elapsed() < DIAGNOSIS_TTL)
        };
        if let Some(known) = known.as_ref().filter(|known| covers(known)) {
            return known.found.clone();
        }
        let asked = Instant::now();
        let timed_out =
            |_| Err(Error::Pod { text: "the relay does not tell in time why it ended the connection".to_owned() });
        let found =
            timeout(DIAGNOSIS_TIMEOUT, dialer.diagnose(&self.lease, &self.via, age)).await.unwrap_or_else(timed_out);
        *known = Some(Diagnosis { asked, found_at: Instant::now(), found: found.clone() });
        found
    }
}
