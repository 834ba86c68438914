//! The background task of a lease: opens tunnels and spare streams ahead of need, and closes those that are no longer
//! needed.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::Pool;
use crate::{backoff::Backoff, contain::contain, error::Error, io::stream::Stream, protocol::Protocol};

/// The most tunnels that are dialed at once.
const MAX_CONCURRENT_DIALS: usize = 4;

/// The interval at which a pool with surplus tunnels is checked.
const SURPLUS_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The pauses between attempts to dial.
pub(crate) const DIAL_BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), MAX_PAUSE);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Returns the pause after an error. Errors that need a person are not retried often.
pub(crate) fn pause_after(error: &Error, backoff: &mut Backoff) -> Duration {
    let mut longest = Backoff::new(MAX_PAUSE, MAX_PAUSE);
    let pause = if error.is_transient() { backoff.next_pause() } else { longest.next_pause() };
    // Never sooner than the API server asks, and not as late as it likes.
    pause.max(error.retry_after().unwrap_or_default().min(MAX_PAUSE))
}

/// Manages a lease's pool until the lease is dropped.
pub(crate) async fn manage(pool: Arc<Pool>) {
    let cancel = pool.cancel.clone();
    let managing = async {
        let mut backoff = DIAL_BACKOFF;
        loop {
            let mut manager = Manager {
                pool: Arc::clone(&pool),
                dials: JoinSet::new(),
                dial: DIAL_BACKOFF,
                spare: DIAL_BACKOFF,
                pause: None,
            };
            let Err(text) = contain(async move { manager.run().await }).await else { return };
            // Whatever it stumbled over is let go of, and told where there is no tunnel.
            let error = Error::Unreachable { text };
            let pause = pause_after(&error, &mut backoff);
            pool.clear();
            pool.fail(error);
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = managing => {}
    }
    pool.clear();
}

struct Manager {
    pool: Arc<Pool>,
    dials: JoinSet<Result<Option<Stream>, Error>>,
    dial: Backoff,
    spare: Backoff,
    /// The time before which nothing is dialed.
    pause: Option<tokio::time::Instant>,
}

impl Manager {
    async fn run(&mut self) {
        let mut newest = self.pool.dialer.newest.clone();
        let mut again = self.pool.dialer.recoveries();
        loop {
            let wake = self.step();
            let later = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.pool.changed.notified() => {}
                // What the login before could not do this one may.
                Ok(()) = newest.changed() => {
                    self.dial.reset();
                    self.pause = None;
                }
                Ok(()) = again.changed() => {
                    self.dial.reset();
                    self.pause = None;
                }
                () = later => {}
                Some(dialed) = self.dials.join_next() => {
                    if let Ok(result) = dialed {
                        self.on_dialed(result);
                    }
                }
            }
        }
    }

    /// Starts what is needed. Returns the time of the next call, if nothing happens before.
    fn step(&mut self) -> Option<tokio::time::Instant> {
        let now = tokio::time::Instant::now();
        let need = self.pool.reconcile();
        if need.lost_spares {
            // A relay that ends waiting streams is not asked again at once.
            let error = Error::TunnelLost { text: String::new() };
            let pause = pause_after(&error, &mut self.spare);
            self.pause_until(now + pause);
        }
        if let Some(pause) = self.pause {
            if pause > now {
                return Some(pause);
            }
            self.pause = None;
        }
        let single = self.pool.dialer.settled() == Some(Protocol::V4);
        let wanted = if single { need.spares } else { need.tunnels };
        while self.dials.len() < wanted.min(MAX_CONCURRENT_DIALS) {
            let pool = Arc::clone(&self.pool);
            self.dials.spawn(async move {
                contain(pool.dial(!single)).await.unwrap_or_else(|text| {
                    let error = Error::Unreachable { text };
                    pool.fail(error.clone());
                    Err(error)
                })
            });
        }
        if !single {
            for _ in 0..need.spares {
                if !self.pool.add_spare() {
                    break;
                }
            }
        }
        let refill = need.refill.map(tokio::time::Instant::from_std);
        refill.or_else(|| need.surplus.then(|| now + SURPLUS_CHECK_INTERVAL))
    }

    fn pause_until(&mut self, until: tokio::time::Instant) {
        if self.pause.is_none_or(|pause| pause < until) {
            self.pause = Some(until);
        }
    }

    fn on_dialed(&mut self, result: Result<Option<Stream>, Error>) {
        match result {
            Ok(spare) => {
                self.dial.reset();
                if let Some(spare) = spare {
                    self.pool.keep_spare(spare);
                }
            }
            // Only a protocol of one connection for each stream is left: nothing can be opened ahead in it.
            Err(Error::Closed) => {}
            Err(error) => {
                let pause = pause_after(&error, &mut self.dial);
                self.pause_until(tokio::time::Instant::now() + pause);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use futures::future::BoxFuture;
    use tokio::sync::watch;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::{Lease, LeaseOptions, Login, Logins, Route, Tunnels, contain::is_contained};

    /// Panics where it is contained.
    struct Broken {
        asked: AtomicUsize,
        /// Panics once where the manager itself asks for something.
        manager: AtomicBool,
        logins: watch::Sender<Login>,
        again: watch::Sender<u64>,
    }

    impl Broken {
        fn new() -> Arc<Self> {
            let client = kube::Config::new("http://127.0.0.1:1".parse().unwrap()).try_into().unwrap();
            let logins = watch::Sender::new(Login { client, generation: 0 });
            Arc::new(Self {
                asked: AtomicUsize::default(),
                manager: AtomicBool::default(),
                logins,
                again: watch::Sender::default(),
            })
        }

        fn lease(self: &Arc<Self>) -> Lease {
            let route = Route { namespace: "team".into(), pod: "web".into(), port: 80 };
            let logins: Arc<dyn Logins> = Arc::<Self>::clone(self);
            Tunnels::following(logins, None).lease(route, LeaseOptions::default())
        }

        async fn until_asked(&self, times: usize) {
            while self.asked.load(Ordering::Relaxed) < times {
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    impl Logins for Broken {
        fn current(&self) -> BoxFuture<'_, Login> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            assert!(!is_contained(), "something broke");
            Box::pin(std::future::pending())
        }

        fn refused(&self, _: u64) {}

        fn subscribe(&self) -> watch::Receiver<Login> {
            self.logins.subscribe()
        }

        fn recoveries(&self) -> watch::Receiver<u64> {
            assert!(!self.manager.swap(false, Ordering::Relaxed), "the manager broke");
            self.again.subscribe()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_that_panics_is_why_there_is_no_tunnel() {
        let logins = Broken::new();
        let lease = logins.lease();
        logins.until_asked(2).await;
        let last_error = lease.stats().last_error.unwrap();
        assert!(last_error.to_string().contains("something broke"), "{last_error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_manager_that_panics_is_followed_by_another() {
        let logins = Broken::new();
        logins.manager.store(true, Ordering::Relaxed);
        let lease = logins.lease();
        let last_error = loop {
            match lease.stats().last_error {
                Some(error) => break error,
                None => sleep(Duration::from_millis(1)).await,
            }
        };
        assert!(last_error.to_string().contains("the manager broke"), "{last_error}");
        assert_eq!(logins.asked.load(Ordering::Relaxed), 0);
        // The next one dials.
        logins.until_asked(2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_any_more_once_the_server_answers_again() {
        let logins = Broken::new();
        let _lease = logins.lease();
        // By then the pauses are of half a minute.
        logins.until_asked(12).await;
        sleep(Duration::from_millis(10)).await;
        let before = logins.asked.load(Ordering::Relaxed);
        logins.again.send_modify(|times| *times += 1);
        timeout(Duration::from_secs(5), logins.until_asked(before + 1)).await.expect("at once");
    }

    #[test]
    fn the_api_server_is_not_asked_again_before_it_wishes() {
        let busy = |seconds| Error::Upgrade {
            protocol: Protocol::Spdy,
            status: 429,
            text: String::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert!(pause_after(&busy(3), &mut DIAL_BACKOFF.clone()) >= Duration::from_secs(3));
        assert_eq!(pause_after(&busy(u64::MAX), &mut DIAL_BACKOFF.clone()), MAX_PAUSE);
    }
}
