//! The writer task: the only one that writes our files, in the order of the requests.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::events::EventSender;
use brow_model::effect::StoreEffect;
use brow_model::event::{Event, StoreEvent};
use brow_model::installation::Installation;

use super::Paths;
use super::watch::Watch;
use super::worker::Worker;

/// The handle that sends orders to the writer task.
#[derive(Debug, Clone)]
pub struct Store {
    /// Unbounded, since the loop must neither wait for a disk nor lose an order; orders come at the pace of a person.
    orders: UnboundedSender<StoreEffect>,
}

impl Store {
    /// Gives an order. It never waits; orders given after the task has ended are dropped.
    pub fn send(&self, order: StoreEffect) {
        _ = self.orders.send(order);
    }
}

/// A change is looked at once the directory has been quiet for so long: editors write in several steps.
const DEBOUNCE: Duration = Duration::from_millis(60);
/// A directory that is never quiet does not keep us from looking for longer than this.
const MAX_DEBOUNCE: Duration = Duration::from_millis(500);

/// Returns the handle for orders, and the task, which the caller spawns. It ends once `token` is cancelled or no handle
/// is left, after all orders sent until then are carried out.
///
/// Answers are [`Event::Store`]s. Each save is answered, in order:
/// - with [`StoreEvent::Saved`], and then [`StoreEvent::Loaded`] where others' changes were merged;
/// - with [`StoreEvent::NotSaved`] and then [`StoreEvent::Loaded`] where an edit is in conflict with the file
///   (`EditConflict`, `NameTaken`, `TtlTooLong`): that edit is over, the others of the same save were made;
/// - with [`StoreEvent::NotSaved`] alone where nothing could be written (`ConfigBroken`, `FileUnreadable`,
///   `FileUnwritable`): the edits can be ordered again.
pub fn start(
    paths: Paths,
    installation: Installation,
    events: &EventSender,
    token: CancellationToken,
) -> (Store, impl Future<Output = ()> + Send + 'static) {
    let (orders, queue) = mpsc::unbounded_channel();
    // Here and not in the task, which may have to wait for its turn: what changes meanwhile is to be noticed.
    let worker = Worker::new(paths, installation);
    (Store { orders }, run(worker, queue, Reporter { events: events.about(Event::Store), token }))
}

/// Sends events to the loop. Once the program ends the loop may no longer receive, and is not waited for.
struct Reporter {
    events: EventSender<StoreEvent>,
    token: CancellationToken,
}

impl Reporter {
    async fn tell(&self, answers: Vec<StoreEvent>) {
        for answer in answers {
            self.events.send_until(answer, self.token.cancelled()).await;
        }
    }
}

async fn run(worker: Worker, mut queue: UnboundedReceiver<StoreEffect>, reporter: Reporter) {
    let config = worker.paths().config.clone();
    // Watching begins before reading: a change in between is noticed.
    let (nudge, mut changes) = mpsc::channel(1);
    let first = blocking(worker, move |worker| {
        let (watch, trouble) = match Watch::new(std::slice::from_ref(&config), nudge) {
            Ok(watch) => (Some(watch), None),
            Err(fault) => (None, Some(StoreEvent::Trouble(fault))),
        };
        let answers = trouble.into_iter().chain(worker.open()).collect();
        (answers, watch)
    });
    let Some((mut worker, (answers, mut watch))) = first.await else { return };
    reporter.tell(answers).await;

    let mut read_at: Option<(Instant, Instant)> = None;
    loop {
        let due = read_at.map(|(quiet, latest)| quiet.min(latest));
        let work = tokio::select! {
            biased;
            () = reporter.token.cancelled() => break,
            order = queue.recv() => match order {
                Some(order) => Work::Order(order),
                None => return,
            },
            // `None` only where there is no watch: that arm is then off for good.
            Some(()) = changes.recv() => {
                let now = Instant::now();
                let latest = read_at.map_or(now + MAX_DEBOUNCE, |(_, latest)| latest);
                read_at = Some((now + DEBOUNCE, latest));
                continue;
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                read_at = None;
                Work::Look
            }
        };
        let done = blocking(worker, move |worker| {
            let answers = match work {
                Work::Order(order) => worker.carry_out(order),
                Work::Look => {
                    // A directory may have come or gone, a link may lead elsewhere. Followed first: what happens
                    // between the look and the next word must not be missed.
                    if let Some(watch) = &mut watch {
                        _ = watch.follow(std::slice::from_ref(&worker.paths().config));
                    }
                    worker.look()
                }
            };
            (answers, watch)
        });
        let Some(done) = done.await else { return };
        let answers;
        (worker, (answers, watch)) = done;
        reporter.tell(answers).await;
    }

    // Nobody can give another order now; those that were given are carried out.
    queue.close();
    while let Some(order) = queue.recv().await {
        let Some((back, answers)) = blocking(worker, move |worker| worker.carry_out(order)).await else { return };
        worker = back;
        reporter.tell(answers).await;
    }
}

enum Work {
    Order(StoreEffect),
    Look,
}

/// Does work with files where waiting for a disk holds nobody up. `None`: it panicked, and the panic hook has told.
async fn blocking<T: Send + 'static>(
    mut worker: Worker,
    work: impl FnOnce(&mut Worker) -> T + Send + 'static,
) -> Option<(Worker, T)> {
    let task = spawn_blocking(move || {
        let result = work(&mut worker);
        (worker, result)
    });
    task.await.ok()
}
