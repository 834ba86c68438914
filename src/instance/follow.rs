//! The asking end: what the other instances tell becomes events.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::name::pid_of;
use super::socket::{connect, names};
use super::wire::{self, ANSWER_TIMEOUT, Query, Reply, SILENCE_TIMEOUT, is_plain};
use crate::events::EventSender;
use brow_model::event::InstanceEvent;

/// Follows every instance that is there, and each whose name comes later, until it is dropped.
pub(super) async fn follow(
    dir: PathBuf,
    own: String,
    mut later: mpsc::Receiver<String>,
    events: EventSender<InstanceEvent>,
) {
    let mut following = JoinSet::new();
    let mut known = BTreeSet::from([own.clone()]);
    let mut firsts = Vec::new();
    let begin = |name: String, after: Duration, following: &mut JoinSet<(String, bool)>| {
        let (told, first) = oneshot::channel();
        let (dir, own, events) = (dir.clone(), own.clone(), events.clone());
        following.spawn(async move {
            sleep(after).await;
            let reported = follow_one(dir, own, name.clone(), told, events).await;
            (name, reported)
        });
        first
    };
    for name in names(&dir) {
        if known.insert(name.clone()) {
            firsts.push(begin(name, Duration::ZERO, &mut following));
        }
    }
    // One that hangs is given up before long.
    let _all = futures::future::join_all(firsts).await;
    events.send(InstanceEvent::Known).await;
    loop {
        tokio::select! {
            Some(name) = later.recv() => if known.insert(name.clone()) {
                drop(begin(name, Duration::ZERO, &mut following));
            },
            Some(ended) = following.join_next() => if let Ok((name, reported)) = ended {
                known.remove(&name);
                events.send(InstanceEvent::Gone { instance: name.clone() }).await;
                // While we were suspended it may have given us up, and still be there.
                if reported && names(&dir).contains(&name) {
                    known.insert(name.clone());
                    drop(begin(name, ANSWER_TIMEOUT, &mut following));
                }
            },
            else => std::future::pending().await,
        }
    }
}

/// Tells what one instance tells, until it hangs up; that it is silent, where it does not begin to or does not go on.
/// `known` is dropped once either is so. Whether it was heard.
async fn follow_one(
    dir: PathBuf,
    own: String,
    name: String,
    known: oneshot::Sender<()>,
    events: EventSender<InstanceEvent>,
) -> bool {
    let (mut known, mut reported) = (Some(known), false);
    // Why it has ended makes no difference: it is not heard any more.
    let _ended: io::Result<()> = async {
        let stream = loop {
            let connected = timeout(ANSWER_TIMEOUT, connect(&dir, &name)).await.unwrap_or_else(|late| Err(late.into()));
            if connected.as_ref().err().map(io::Error::kind) != Some(io::ErrorKind::TimedOut) {
                break connected?;
            }
            // It is suspended, with more who wait for it than its queue holds.
            if let Some(waiting) = known.take() {
                events.send(InstanceEvent::Unheard { pid: pid_of(&name), instance: name.clone() }).await;
                drop(waiting);
            }
            sleep(ANSWER_TIMEOUT).await;
        };
        let mut stream = BufReader::new(stream);
        wire::write(&mut stream, &Query::Watch { name: own }).await?;
        let mut last = None;
        loop {
            let mut next = Box::pin(wire::read(&mut stream));
            let said =
                if let Ok(said) = timeout(if reported { SILENCE_TIMEOUT } else { ANSWER_TIMEOUT }, &mut next).await {
                    said?
                } else {
                    // It is suspended, or hangs. Should it go on, it still answers.
                    events.send(InstanceEvent::Unheard { pid: pid_of(&name), instance: name.clone() }).await;
                    drop(known.take());
                    last = None;
                    next.await?
                };
            let Some(Reply::Report { report }) = said else { return Ok(()) };
            if !is_plain(&report) {
                return Ok(());
            }
            // That it still is there is no news.
            if last.as_ref() != Some(&report) {
                last = Some(report.clone());
                events.send(InstanceEvent::Heard { instance: name.clone(), report }).await;
            }
            reported = true;
            drop(known.take());
        }
    }
    .await;
    reported
}
