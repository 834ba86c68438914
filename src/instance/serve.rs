//! The server side: each connection carries one request, or the orders of an agent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::agent::Sessions;
use super::name::is_name;
use super::wire::{self, ANSWER_TIMEOUT, CLOSE_TIMEOUT, Query, REPORT_INTERVAL, Reply};
use crate::events::EventSender;
use brow_model::event::{AgentEvent, Event};
use brow_model::forward::ForwardId;
use brow_model::instance::Report;
use brow_model::request;

/// The most connections at a time: each other instance has one.
const MAX_CONNECTIONS: usize = 64;

/// The longest wait for watchers to receive the last report.
const LAST_REPORT_TIMEOUT: Duration = Duration::from_millis(500);

/// Answers requests until `closing`, and sends watchers a last report then. The names of instances that ask to watch go
/// to `discovered`.
pub(super) async fn serve(
    listener: UnixListener,
    (reports, sessions): (watch::Receiver<Report>, Sessions),
    discovered: mpsc::Sender<String>,
    events: EventSender,
    closing: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    let asked = async {
        // The semaphore is never closed.
        while let Ok(permit) = Arc::clone(&slots).acquire_owned().await {
            while open.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: that passes.
                sleep(ANSWER_TIMEOUT).await;
                continue;
            };
            let (reports, discovered, events) = (reports.clone(), discovered.clone(), events.clone());
            let (sessions, closing) = (sessions.clone(), closing.clone());
            open.spawn(async move {
                // Whoever hangs up or writes nonsense has had their answer.
                let _ended = answer(stream, (reports, &sessions), &discovered, &events, &closing).await;
                drop(permit);
            });
        }
    };
    tokio::select! {
        () = closing.cancelled() => {}
        () = asked => {}
    }
    // Who takes longer learns from its end that this instance has ended.
    let _heard = timeout(LAST_REPORT_TIMEOUT, async { while open.join_next().await.is_some() {} }).await;
}

async fn answer(
    stream: UnixStream,
    (reports, sessions): (watch::Receiver<Report>, &Sessions),
    discovered: &mpsc::Sender<String>,
    events: &EventSender,
    closing: &CancellationToken,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let asked = timeout(ANSWER_TIMEOUT, wire::read(&mut stream)).await.map_err(|_| io::ErrorKind::TimedOut)?;
    match asked {
        Ok(None) => Ok(()),
        Ok(Some(Query::List)) => {
            let report = reports.borrow().clone();
            wire::write(&mut stream, &Reply::Report { report }).await
        }
        Ok(Some(Query::Watch { name })) => {
            if is_name(&name) {
                // Where there are too many, one is not followed.
                let _known = discovered.try_send(name);
            }
            watching(stream, reports, closing).await
        }
        Ok(Some(Query::Agent { client })) => tokio::select! {
            ended = sessions.serve(stream, &client, events) => ended,
            () = closing.cancelled() => Ok(()),
        },
        Ok(Some(Query::Stop { id })) => {
            let has = |report: &Report| report.has(id);
            let stop = Event::Request(request::Request::Stop(ForwardId(id)));
            let done = end(reports, has, ("forward or session", stop), events).await;
            wire::write(&mut stream, &done.map_or_else(|why| Reply::No { why }, |()| Reply::Stopped)).await
        }
        Ok(Some(Query::Answer { question, consent })) => {
            let has = |report: &Report| report.asks.iter().any(|approval| approval.question == question);
            let answer = Event::Agent(AgentEvent::Answered { question, consent });
            let done = end(reports, has, ("question", answer), events).await;
            wire::write(&mut stream, &done.map_or_else(|why| Reply::No { why }, |()| Reply::Answered)).await
        }
        Err(error) => wire::write(&mut stream, &Reply::No { why: error.to_string() }).await,
    }
}

/// Sends an event that ends something which is reported, and waits until it is reported no longer.
///
/// # Errors
/// The words for what keeps it from ending.
async fn end(
    mut reports: watch::Receiver<Report>,
    has: impl Fn(&Report) -> bool,
    (thing, event): (&str, Event),
    events: &EventSender,
) -> Result<(), String> {
    if !has(&reports.borrow()) {
        return Err(format!("there is no such {thing}"));
    }
    events.send(event).await;
    let ended = timeout(CLOSE_TIMEOUT, reports.wait_for(|report| !has(report))).await;
    ended.map(drop).map_err(|_| "it is still open".to_owned())
}

/// Tells how things stand, now, whenever that changes and every [`REPORT_INTERVAL`], until the other end hangs up, or
/// for the last time at `closing`.
async fn watching(
    mut stream: BufReader<UnixStream>,
    mut reports: watch::Receiver<Report>,
    closing: &CancellationToken,
) -> io::Result<()> {
    loop {
        let report = reports.borrow_and_update().clone();
        timeout(ANSWER_TIMEOUT, wire::write(&mut stream, &Reply::Report { report })).await??;
        let mut nothing = [0];
        tokio::select! {
            () = closing.cancelled() => if !reports.has_changed().unwrap_or(false) {
                return Ok(());
            },
            changed = reports.changed() => if changed.is_err() {
                return Ok(());
            },
            // So that they know that we are there.
            () = sleep(REPORT_INTERVAL) => {}
            // Nothing more is to be said there: it has hung up, or talks nonsense.
            _ = stream.read(&mut nothing) => return Ok(()),
        }
    }
}
