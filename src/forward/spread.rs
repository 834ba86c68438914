//! Connections spread over the ready pods of a workload: each goes to the pod that has the fewest of them open, and of
//! several such pods to the one whose last turn is the longest ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dialer::{Dialer, Lease};
use super::pod_ref::PodRef;
use super::upstream::Upstream;
use brow_model::route::Via;
use brow_model::traffic::PodLoad;

/// The time for which a pod is passed over that took no connection.
const REST_TIME: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct SpreadPod {
    via: Via,
    pod_ref: Arc<PodRef>,
    share: Arc<Share>,
}

/// The connections of one pod.
#[derive(Debug, Default)]
struct Share {
    open: AtomicUsize,
    total: AtomicU64,
    /// The number of its last turn.
    last_turn: AtomicU64,
    /// The time until which it is passed over.
    rests_until: Mutex<Option<Instant>>,
}

/// The most pods that are remembered after they have left: one that is not ready for a moment comes back.
const MAX_LEFT: usize = 32;

/// The pods of one forward; none if its connections are not spread.
#[derive(Debug, Default)]
pub(super) struct Pods {
    taking: Vec<Arc<SpreadPod>>,
    /// Those that take none any more, the last to leave first. Connections may go on there.
    left: Vec<(Via, Arc<Share>)>,
}

/// The pods of one forward, as they change.
pub(super) type SpreadPods = watch::Sender<Pods>;

/// The pods of one forward, and the tunnels to them.
#[derive(Debug)]
pub(super) struct Spread<L> {
    pods: watch::Receiver<Pods>,
    /// The number of turns so far.
    turns: Mutex<u64>,
    upstreams: Mutex<Vec<Arc<Upstream<L>>>>,
}

/// The turn of a connection at a pod, which counts as open there until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<SpreadPod>);

impl Pods {
    /// Returns the connections of each pod that takes some.
    pub(super) fn loads(&self) -> Vec<PodLoad> {
        self.taking.iter().map(|pod| pod.load()).collect()
    }

    /// Lets these take connections. One that comes back goes on with the connections that it still has.
    pub(super) fn set(&mut self, pods: Vec<Via>, pod_ref: impl Fn(Via) -> Arc<PodRef>) {
        let mut before = std::mem::take(&mut self.taking);
        let pod = |via: Via| {
            if let Some(place) = before.iter().position(|pod| pod.via == via) {
                return before.swap_remove(place);
            }
            let back = self.left.iter().position(|(left, _)| *left == via).map(|place| self.left.remove(place).1);
            Arc::new(SpreadPod { via: via.clone(), pod_ref: pod_ref(via), share: back.unwrap_or_default() })
        };
        self.taking = pods.into_iter().map(pod).collect();
        // Their pods are theirs no more, unless connections go on there.
        let left = before.into_iter().map(|pod| (pod.via.clone(), Arc::clone(&pod.share)));
        self.left = left.chain(std::mem::take(&mut self.left)).take(MAX_LEFT).collect();
    }
}

impl SpreadPod {
    fn load(&self) -> PodLoad {
        let (open, total) = (self.share.open.load(Ordering::Relaxed), self.share.total.load(Ordering::Relaxed));
        PodLoad { pod: self.via.pod.name.clone(), open, total }
    }

    fn rests(&self, now: Instant) -> bool {
        self.share.rests_until.lock().is_some_and(|until| until > now)
    }
}

impl<L> Spread<L> {
    pub(super) fn new(pods: watch::Receiver<Pods>) -> Self {
        Self { pods, turns: Mutex::new(0), upstreams: Mutex::default() }
    }

    /// Returns the next turn; `None` if there is no pod, or all are passed over.
    fn turn(&self, now: Instant) -> Option<Turn> {
        // Held while a pod is chosen, so that connections that come at once are spread, too.
        let mut turns = self.turns.lock();
        let pods = self.pods.borrow();
        let taking = pods.taking.iter().filter(|pod| !pod.rests(now));
        let load = |pod: &&Arc<SpreadPod>| {
            (pod.share.open.load(Ordering::Relaxed), pod.share.last_turn.load(Ordering::Relaxed))
        };
        let pod = taking.min_by_key(load)?;
        *turns += 1;
        pod.share.last_turn.store(*turns, Ordering::Relaxed);
        pod.share.open.fetch_add(1, Ordering::Relaxed);
        pod.share.total.fetch_add(1, Ordering::Relaxed);
        Some(Turn(Arc::clone(pod)))
    }

    fn upstream(&self, via: &Via) -> Option<Arc<Upstream<L>>> {
        self.upstreams.lock().iter().find(|upstream| upstream.via == *via).cloned()
    }

    /// Drops the tunnels to pods that have left. Connections through them keep theirs.
    fn prune(&self, pods: &[Arc<SpreadPod>]) {
        self.upstreams.lock().retain(|upstream| pods.iter().any(|pod| pod.via == upstream.via));
    }

    /// Returns the upstream of the pod whose turn it is. `None` means that the connection goes through `main`, the
    /// upstream of the forward's own pod.
    pub(super) async fn take_turn<D: Dialer<Lease = L>>(
        &self,
        dialer: &D,
        main: &Arc<Upstream<L>>,
    ) -> Option<(Arc<Upstream<L>>, Turn)>
    where
        L: Lease,
    {
        let turn = self.turn(Instant::now())?;
        let via = &turn.0.via;
        if *via == main.via {
            return Some((Arc::clone(main), turn));
        }
        if let Some(known) = self.upstream(via) {
            return Some((known, turn));
        }
        // Where there is no client for the cluster, the supervisor of the forward's own pod reports it.
        let lease = dialer.lease(via).await.ok()?;
        let upstream = Arc::new(Upstream::new(via.clone(), Arc::clone(&turn.0.pod_ref), lease));
        // Another connection may have been faster.
        let known = self.upstream(via);
        let upstream = known.unwrap_or_else(|| {
            self.upstreams.lock().push(Arc::clone(&upstream));
            upstream
        });
        Some((upstream, turn))
    }

    /// Drops the tunnels to pods that have left until the forward is closed by `token`.
    pub(super) async fn follow(&self, token: &CancellationToken) {
        let mut pods = self.pods.clone();
        let following = async {
            while pods.changed().await.is_ok() {
                self.prune(&pods.borrow_and_update().taking);
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = following => {}
        }
        self.prune(&[]);
    }
}

impl Turn {
    /// Passes the pod over for a while, since it took no connection.
    pub(super) fn pass_over(self) {
        *self.0.share.rests_until.lock() = Some(Instant::now() + REST_TIME);
        self.0.share.total.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.share.open.fetch_sub(1, Ordering::Relaxed);
    }
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
        let pods = SpreadPods::default();
        let set = |names: &[&str]| pods.send_modify(|pods| pods.set(vias(names), |via| refs.on(via)));
        set(&["a", "b", "c"]);
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
        set(&["c"]);
        assert_eq!(name(&turn().unwrap()), "c");
        turn().unwrap().pass_over();
        assert!(turn().is_none(), "all are passed over");
        drop(kept);
    }

    #[test]
    fn a_pod_that_comes_back_has_the_connections_that_it_had() {
        let refs = PodRefs::new(mpsc::unbounded_channel().0);
        let pods = SpreadPods::default();
        let set = |names: &[&str]| pods.send_modify(|pods| pods.set(vias(names), |via| refs.on(via)));
        let spread = Spread::<()>::new(pods.subscribe());
        let turns = |count: usize| (0..count).map(|_| spread.turn(Instant::now()).unwrap()).collect::<Vec<_>>();
        let loads = || {
            let load = |load: PodLoad| (load.pod, load.open, load.total);
            pods.borrow().taking.iter().map(|pod| load(pod.load())).collect::<Vec<_>>()
        };
        set(&["a", "b"]);
        let held = turns(4);
        for _ in 0..3 {
            set(&["a"]);
            assert_eq!(loads(), [("a".to_owned(), 2, 2)]);
            set(&["b", "a"]);
            assert_eq!(loads(), [("b".to_owned(), 2, 2), ("a".to_owned(), 2, 2)]);
        }
        // One that ended while its pod was away is not counted any more.
        set(&["a"]);
        drop(held.into_iter().filter(|turn| turn.0.via.pod.name == "b").collect::<Vec<_>>());
        set(&["a", "b"]);
        assert_eq!(loads()[1], ("b".to_owned(), 0, 2));
        // However many come and go, no more are remembered.
        for number in 0..3 * MAX_LEFT {
            set(&[&number.to_string()]);
        }
        assert_eq!(pods.borrow().left.len(), MAX_LEFT);
    }

    fn vias(names: &[&str]) -> Vec<Via> {
        let via = |name: &&str| {
            let pod = PodKey { cluster: "dev".into(), namespace: "default".into(), name: (*name).into() };
            Via { pod, uid: (*name).into(), port: 80, to: None, node: None }
        };
        names.iter().map(via).collect()
    }
}
