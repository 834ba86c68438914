//! The background task of a lease: tunnels opened ahead of need, spare streams, and what is no longer needed closed.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    Error, Protocol, Stream,
    pool::{Backoff, Pool},
};

/// How many tunnels are dialed at once.
const DIALS: usize = 4;

/// How often a pool with more tunnels than it needs is looked at.
const SURPLUS: Duration = Duration::from_secs(10);

/// Keeps a lease's pool in order until the lease is dropped.
pub(super) async fn manage(pool: Arc<Pool>) {
    let cancel = pool.cancel.clone();
    let mut manager = Manager {
        pool: Arc::clone(&pool),
        dials: JoinSet::new(),
        dial: Backoff::default(),
        spare: Backoff::default(),
        pause: None,
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = manager.run() => {}
    }
    drop(manager);
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
            self.dials.spawn(async move { pool.dial(!single).await });
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
