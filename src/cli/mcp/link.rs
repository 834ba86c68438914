//! The session with an instance: a dashboard, else one in the background, which is started where there is none.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex as Cell;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::cli::{Globals, detach};
use crate::instance::{self, Board, Census, ForwardRow, Orders, View, Views};
use brow_model::agent::{AgentOrder, Outcome};
use brow_model::instance::Role;

/// The longest wait for the outcome of an order. A person has a minute to answer.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(90);
/// The longest wait for another process that starts an instance.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// The interval between two looks meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The most looks at the instances while some do not answer.
const MAX_LOOKS: usize = 2;
/// The words for a call that nobody waits for any more.
pub(super) const CANCELLED: &str = "this call was cancelled";
/// The words for an instance that has ended.
const ENDED: &str = "the brow-tui instance that served this session has ended, and its forwards with it; call again";

/// The state, and whether there is a session that tells it.
#[derive(Debug, Clone, Default)]
struct Seen {
    view: View,
    alive: bool,
}

/// Orders whose outcome is waited for, by their numbers.
type Waiting = Arc<Cell<HashMap<u64, oneshot::Sender<Outcome>>>>;

/// The session with an instance; a new one is begun where the last has ended.
pub(super) struct Link {
    globals: Globals,
    seen: watch::Sender<Seen>,
    waiting: Waiting,
    session: Mutex<Session>,
}

/// The end that takes orders, and the number of the last one.
#[derive(Default)]
struct Session {
    orders: Option<Orders>,
    last: u64,
}

impl Session {
    /// Sends an order with the next number, of which `note` learns before. Returns the number.
    async fn give(&mut self, order: AgentOrder, note: impl FnOnce(u64)) -> Result<u64, String> {
        self.last += 1;
        let number = self.last;
        let Some(orders) = &mut self.orders else { return Err(ENDED.to_owned()) };
        note(number);
        orders.send(number, order).await.map_err(|_| ENDED)?;
        Ok(number)
    }
}

impl Link {
    pub(super) fn new(globals: Globals) -> Self {
        Self { globals, seen: watch::Sender::default(), waiting: Waiting::default(), session: Mutex::default() }
    }

    pub(super) fn globals(&self) -> &Globals {
        &self.globals
    }

    /// Returns true if there is a session, as far as is known.
    pub(super) fn has_session(&self) -> bool {
        self.seen.borrow().alive
    }

    /// Returns the state of the instance.
    ///
    /// # Errors
    /// The reason why there is no session.
    pub(super) async fn board(&self, client: &str) -> Result<Board, String> {
        self.begin(&mut *self.session.lock().await, client).await?;
        Ok(self.seen.borrow().view.board.clone())
    }

    /// Waits until the forwards are others than those, and returns them. Those of an instance that has ended are gone,
    /// and the next one's count.
    pub(super) async fn next_forwards(&self, known: &[ForwardRow]) -> Vec<ForwardRow> {
        let mut seen = self.seen.subscribe();
        // The sender is ours, and is never dropped meanwhile.
        let next = seen.wait_for(|seen| seen.view.board.forwards != known).await;
        next.map(|seen| seen.view.board.forwards.clone()).unwrap_or_default()
    }

    /// Waits until the state is such, and returns it.
    ///
    /// # Errors
    /// Where the instance has ended.
    pub(super) async fn wait(&self, is_such: impl Fn(&Board) -> bool) -> Result<Board, String> {
        let mut seen = self.seen.subscribe();
        let seen = seen.wait_for(|seen| !seen.alive || is_such(&seen.view.board)).await.map_err(|_| ENDED)?;
        if seen.alive { Ok(seen.view.board.clone()) } else { Err(ENDED.to_owned()) }
    }

    /// Gives an order, and waits for its outcome, or until it is given up: it is withdrawn then.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(super) async fn order(
        &self,
        client: &str,
        order: AgentOrder,
        given_up: impl Future<Output = ()>,
    ) -> Result<Outcome, String> {
        let (sender, outcome) = oneshot::channel();
        let number = {
            let mut session = self.session.lock().await;
            self.begin(&mut session, client).await?;
            session.give(order, |number| drop(self.waiting.lock().insert(number, sender))).await?
        };
        let why = tokio::select! {
            known = timeout(OUTCOME_TIMEOUT, outcome) => match known {
                Ok(outcome) => return outcome.map_err(|_| ENDED.to_owned()),
                Err(_) => "brow-tui did not answer in time",
            },
            () = given_up => CANCELLED,
        };
        self.waiting.lock().remove(&number);
        let withdraw = AgentOrder::Withdraw { order: number };
        // Where the session has ended, all of it has been withdrawn.
        let _withdrawn = self.session.lock().await.give(withdraw, |_| {}).await;
        Err(why.to_owned())
    }

    /// Begins a session unless there is one.
    async fn begin(&self, session: &mut Session, client: &str) -> Result<(), String> {
        if session.orders.is_some() && self.seen.borrow().alive {
            return Ok(());
        }
        let (view, views, orders) = self.find(client).await?;
        self.seen.send_replace(Seen { view, alive: true });
        session.orders = Some(orders);
        tokio::spawn(follow(views, self.seen.clone(), Arc::clone(&self.waiting)));
        Ok(())
    }

    /// Finds an instance that serves agents, or starts one.
    async fn find(&self, client: &str) -> Result<Begun, String> {
        let dir = &self.globals.runtime;
        let say = |error: io::Error| format!("brow-tui could not be reached: {error}");
        if let Some(session) = begin_with(dir, client).await.map_err(say)? {
            return Ok(session);
        }
        let end = Instant::now() + START_TIMEOUT;
        if self.globals.practice {
            // It starts in this process.
            while Instant::now() < end {
                sleep(LOOK_INTERVAL).await;
                if let Some(session) = begin_with(dir, client).await.map_err(say)? {
                    return Ok(session);
                }
            }
            return Err("the practice cluster did not start in time".to_owned());
        }
        // One of many that come at once starts it.
        let _starting = loop {
            match instance::lock_start(dir) {
                Ok(lock) => break lock,
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                    sleep(LOOK_INTERVAL).await;
                }
                Err(error) => return Err(say(error)),
            }
        };
        if let Some(session) = begin_with(dir, client).await.map_err(say)? {
            return Ok(session);
        }
        start_host(&self.globals).await?;
        begin_with(dir, client).await.map_err(say)?.ok_or_else(|| "brow-tui could not be started".to_owned())
    }
}

/// Passes the state on, and outcomes to whoever waits for them, until the instance ends.
async fn follow(mut views: Views, seen: watch::Sender<Seen>, waiting: Waiting) {
    while let Ok(view) = views.next().await {
        let outcomes = view.outcomes.clone();
        seen.send_replace(Seen { view, alive: true });
        for (number, outcome) in outcomes {
            if let Some(waits) = waiting.lock().remove(&number) {
                // The receiver is dropped once its call has timed out.
                let _given_up = waits.send(outcome);
            }
        }
    }
    seen.send_replace(Seen::default());
    waiting.lock().clear();
}

/// The ends of a session with an instance, and the first state.
type Begun = (View, Views, Orders);

/// Begins a session with an instance that serves agents, a dashboard first; `None` where none does.
async fn begin_with(dir: &Path, client: &str) -> io::Result<Option<Begun>> {
    let mut census = Census::default();
    for _ in 0..MAX_LOOKS {
        census = instance::all(dir).await;
        // One that was slow to answer may be one that serves agents.
        if census.silent.is_empty() {
            break;
        }
    }
    let of = |role: Role| census.reports.iter().filter(move |(_, report)| report.role == role && !report.leaving);
    let mut refused = None;
    for (name, _) in of(Role::Dashboard) {
        match instance::begin_agent(dir, name, client).await {
            Ok(session) => return Ok(Some(session)),
            Err(error) => refused = Some(error),
        }
    }
    // A person who has a dashboard is asked there or not at all.
    if let Some(error) = refused {
        return Err(error);
    }
    for (name, _) in of(Role::Agents) {
        match instance::begin_agent(dir, name, client).await {
            Ok(session) => return Ok(Some(session)),
            // It ends just now.
            Err(error) if error.kind() != ErrorKind::Other => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Starts an instance in the background, and waits until it can be reached.
async fn start_host(globals: &Globals) -> Result<(), String> {
    let say = |error: io::Error| format!("brow-tui could not be started: {error}");
    let mut command = detach::same_program(globals).map_err(say)?;
    command.args(["mcp", "--host"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(say)?;
    let said = Arc::new(Cell::new(String::new()));
    let note = |line: &str| {
        said.lock().extend([line, "\n"]);
    };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (ready, _) = tokio::join!(detach::pass_on(out, |_| {}), detach::pass_on(err, note));
    if ready {
        // From here on it goes its own way.
        std::mem::forget(child);
        return Ok(());
    }
    let said = said.lock().trim().to_owned();
    Err(format!("brow-tui could not be started: {said}"))
}
