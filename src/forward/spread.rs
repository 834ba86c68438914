//! Connections spread over the ready pods of a workload: each goes to the pod that has the fewest of them open, and of
//! several such pods to the one whose last turn is the longest ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dialer::Dialer;
use super::pod_ref::PodRef;
use super::upstream::Upstream;
use super::{Forward, Handle};
use brow_model::route::Via;
use brow_model::traffic::PodLoad;

/// The time for which a pod is passed over that took no connection.
const REST_TIME: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct SpreadPod {
    via: Via,
    pod_ref: Arc<PodRef>,
    open: AtomicUsize,
    total: AtomicU64,
    /// The number of its last turn.
    last_turn: AtomicU64,
    /// The time until which it is passed over.
    rests_until: Mutex<Option<Instant>>,
}

/// The pods of one forward; none if its connections are not spread.
pub(super) type SpreadPods = watch::Sender<Vec<Arc<SpreadPod>>>;

/// The pods of one forward, and the tunnels to them.
#[derive(Debug)]
pub(super) struct Spread<L> {
    pods: watch::Receiver<Vec<Arc<SpreadPod>>>,
    /// The number of turns so far.
    turns: Mutex<u64>,
    upstreams: Mutex<Vec<Arc<Upstream<L>>>>,
}

/// The turn of a connection at a pod, which counts as open there until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<SpreadPod>);

impl Handle {
    /// Spreads new connections over these pods, beside the one that [`Handle::set_pod`] names, which they go to while
    /// none of these takes them. Open connections stay where they are.
    pub fn set_spread(&self, pods: Vec<Via>) {
        self.spread.send_modify(|known| {
            let pod = |via: Via| {
                let same = known.iter().find(|pod| pod.via == via);
                same.cloned().unwrap_or_else(|| Arc::new(SpreadPod::new(via.clone(), self.pod_refs.on(via))))
            };
            *known = pods.into_iter().map(pod).collect();
        });
    }

    /// Returns the connections of each pod that they are spread over.
    pub(super) fn loads(&self) -> Vec<PodLoad> {
        self.spread.borrow().iter().map(|pod| pod.load()).collect()
    }
}

impl SpreadPod {
    fn new(via: Via, pod_ref: Arc<PodRef>) -> Self {
        let (open, total, last_turn) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { via, pod_ref, open, total, last_turn, rests_until: Mutex::default() }
    }

    fn load(&self) -> PodLoad {
        let (open, total) = (self.open.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        PodLoad { pod: self.via.pod.name.clone(), open, total }
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.lock().is_some_and(|until| until > now)
    }
}

impl<L> Spread<L> {
    pub(super) fn new(pods: watch::Receiver<Vec<Arc<SpreadPod>>>) -> Self {
        Self { pods, turns: Mutex::new(0), upstreams: Mutex::default() }
    }

    /// Returns the next turn; `None` if there is no pod, or all are passed over.
    fn turn(&self, now: Instant) -> Option<Turn> {
        // Held while a pod is chosen, so that connections that come at once are spread, too.
        let mut turns = self.turns.lock();
        let pods = self.pods.borrow();
        let taking = pods.iter().filter(|pod| !pod.rests(now));
        let load = |pod: &&Arc<SpreadPod>| (pod.open.load(Ordering::Relaxed), pod.last_turn.load(Ordering::Relaxed));
        let pod = taking.min_by_key(load)?;
        *turns += 1;
        pod.last_turn.store(*turns, Ordering::Relaxed);
        pod.open.fetch_add(1, Ordering::Relaxed);
        pod.total.fetch_add(1, Ordering::Relaxed);
        Some(Turn(Arc::clone(pod)))
    }

    fn upstream(&self, via: &Via) -> Option<Arc<Upstream<L>>> {
        self.upstreams.lock().iter().find(|upstream| upstream.via == *via).cloned()
    }

    /// Drops the tunnels to pods that have left. Connections through them keep theirs.
    fn prune(&self, pods: &[Arc<SpreadPod>]) {
        self.upstreams.lock().retain(|upstream| pods.iter().any(|pod| pod.via == upstream.via));
    }
}

impl Turn {
    /// Passes the pod over for a while, since it took no connection.
    pub(super) fn pass_over(self) {
        *self.0.rests_until.lock() = Some(Instant::now() + REST_TIME);
        self.0.total.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the upstream of the pod whose turn it is. `None` means that the connection goes through `main`, the upstream
/// of the forward's own pod.
pub(super) async fn take_turn<D: Dialer>(
    forward: &Forward<D>,
    main: &Arc<Upstream<D::Lease>>,
) -> Option<(Arc<Upstream<D::Lease>>, Turn)> {
    let turn = forward.spread.turn(Instant::now())?;
    let via = &turn.0.via;
    if *via == main.via {
        return Some((Arc::clone(main), turn));
    }
    if let Some(known) = forward.spread.upstream(via) {
        return Some((known, turn));
    }
    // Where there is no client for the cluster, the supervisor of the forward's own pod reports it.
    let lease = forward.dialer.lease(via).await.ok()?;
    let upstream = Arc::new(Upstream::new(via.clone(), Arc::clone(&turn.0.pod_ref), lease));
    // Another connection may have been faster.
    let known = forward.spread.upstream(via);
    let upstream = known.unwrap_or_else(|| {
        forward.spread.upstreams.lock().push(Arc::clone(&upstream));
        upstream
    });
    Some((upstream, turn))
}

/// Drops the tunnels to pods that have left until the forward is closed.
pub(super) async fn follow<D: Dialer>(forward: Arc<Forward<D>>) {
    let mut pods = forward.spread.pods.clone();
    let following = async {
        while pods.changed().await.is_ok() {
            let now = pods.borrow_and_update().clone();
            forward.spread.prune(&now);
        }
    };
    tokio::select! {
        () = forward.token.cancelled() => {}
        () = following => {}
    }
    forward.spread.prune(&[]);
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::super::pod_ref::PodRefs;
    use super::*;
    use brow_model::proxy::PodKey;

    #[tokio::test(start_paused = true)]
    async fn the_pod_with_the_fewest_connections_is_next_unless_it_took_none() {
        let refs = PodRefs::new(mpsc::unbounded_channel().0);
        let pod = |name: &str| {
            let key = PodKey { cluster: "dev".into(), namespace: "default".into(), name: name.into() };
            let via = Via { pod: key, uid: name.into(), port: 80, to: None, node: None };
            Arc::new(SpreadPod::new(via.clone(), refs.on(via)))
        };
        let pods: SpreadPods = watch::Sender::new(vec![pod("a"), pod("b"), pod("c")]);
        let spread = Spread::<()>::new(pods.subscribe());
        let turn = || spread.turn(Instant::now());
        let name = |turn: &Turn| turn.0.via.pod.name.clone();
        let open: Vec<Turn> = (0..6).map(|_| turn().unwrap()).collect();
        assert_eq!(open.iter().map(name).collect::<String>(), "abcabc");
        let kept: Vec<Turn> = open.into_iter().filter(|turn| name(turn) != "b").collect();
        let (first, second, third) = (turn().unwrap(), turn().unwrap(), turn().unwrap());
        assert_eq!([&first, &second, &third].map(name).concat(), "bba", "until it has as many as the others");
        drop((first, third));
        // It is passed over for a while, although it has the fewest.
        second.pass_over();
        assert_eq!(name(&turn().unwrap()), "c");
        tokio::time::advance(REST_TIME).await;
        assert_eq!(name(&turn().unwrap()), "b");
        // One that leaves has no more turns.
        pods.send_modify(|pods| pods.retain(|pod| pod.via.pod.name == "c"));
        assert_eq!(name(&turn().unwrap()), "c");
        turn().unwrap().pass_over();
        assert!(turn().is_none(), "all are passed over");
        drop(kept);
    }
}
