//! The background task of a lease: tunnels opened ahead of need, spare streams, and what is no longer needed closed.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    Error, Protocol, Stream,
    pool::{Backoff, Pool},
};
use crate::contain::contain;

/// How many tunnels are dialed at once.
const DIALS: usize = 4;

/// How often a pool with more tunnels than it needs is looked at.
const SURPLUS: Duration = Duration::from_secs(10);

/// Keeps a lease's pool in order until the lease is dropped.
pub(super) async fn manage(pool: Arc<Pool>) {
    let cancel = pool.cancel.clone();
    let managing = async {
        let mut backoff = Backoff::default();
        loop {
            let mut manager = Manager {
                pool: Arc::clone(&pool),
                dials: JoinSet::new(),
                dial: Backoff::default(),
                spare: Backoff::default(),
                pause: None,
            };
            let Err(text) = contain(async move { manager.run().await }).await else { return };
            // Whatever it stumbled over is let go of, and told where there is no tunnel.
            let error = Error::Unreachable { text };
            let pause = backoff.next(&error);
            pool.fail(error);
            pool.clear();
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
    /// Nothing is dialed before.
    pause: Option<tokio::time::Instant>,
}

impl Manager {
    async fn run(&mut self) {
        let mut generations = self.pool.dialer.generations.clone();
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
                Ok(()) = generations.changed() => {
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

    /// Starts what is needed. When to look again, if nothing happens before.
    fn step(&mut self) -> Option<tokio::time::Instant> {
        let now = tokio::time::Instant::now();
        let need = self.pool.tidy();
        if need.lost_spares {
            // A relay that ends waiting streams is not asked again at once.
            let error = Error::TunnelLost { text: String::new() };
            let pause = self.spare.next(&error);
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
        while self.dials.len() < wanted.min(DIALS) {
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
        refill.or_else(|| need.surplus.then(|| now + SURPLUS))
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
                let pause = self.dial.next(&error);
                self.pause_until(tokio::time::Instant::now() + pause);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use tokio::sync::watch;

    use super::super::{LeaseOptions, Login, Logins, Route, Tunnels};
    use crate::contain::is_contained;

    /// Panics where it is contained.
    struct Broken(watch::Sender<u64>);

    impl Logins for Broken {
        fn now(&self) -> BoxFuture<'_, Login> {
            assert!(!is_contained(), "something broke");
            Box::pin(std::future::pending())
        }

        fn refused(&self, _: u64) {}

        fn generations(&self) -> watch::Receiver<u64> {
            self.0.subscribe()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_that_panics_is_why_there_is_no_tunnel() {
        let tunnels = Tunnels::following(std::sync::Arc::new(Broken(watch::Sender::new(0))), None);
        let route = Route { namespace: "team".into(), pod: "web".into(), port: 80 };
        let lease = tunnels.lease(route, LeaseOptions::default());
        let trouble = loop {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            if let Some(trouble) = lease.stats().trouble {
                break trouble;
            }
        };
        assert!(trouble.to_string().contains("something broke"), "{trouble}");
    }
}
