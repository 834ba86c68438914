//! The asking end: what the other instances tell becomes events.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use tokio::io::BufReader;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::wire::{self, Ask, Says};
use super::{PATIENCE, connect, is_plain, names};
use crate::model::event::Event;
use crate::model::instance::InstanceEvent;

/// Follows every instance that is there, and each whose name comes later, until it is dropped.
pub(super) async fn follow(dir: PathBuf, own: String, mut later: mpsc::Receiver<String>, events: mpsc::Sender<Event>) {
    let mut following = JoinSet::new();
    let mut known = BTreeSet::from([own.clone()]);
    let mut firsts = Vec::new();
    let begin = |name: String, following: &mut JoinSet<String>| {
        let (heard, first) = oneshot::channel();
        let one = follow_one(dir.clone(), own.clone(), name.clone(), heard, events.clone());
        following.spawn(async move {
            // Why it has ended makes no difference: it is not heard any more.
            let _ended = one.await;
            name
        });
        first
    };
    for name in names(&dir) {
        if known.insert(name.clone()) {
            firsts.push(begin(name, &mut following));
        }
    }
    // One that hangs must not hold up the others.
    let _some = timeout(PATIENCE, futures::future::join_all(firsts)).await;
    tell(&events, InstanceEvent::Known).await;
    loop {
        tokio::select! {
            Some(name) = later.recv() => if known.insert(name.clone()) {
                drop(begin(name, &mut following));
            },
            Some(ended) = following.join_next() => if let Ok(name) = ended {
                known.remove(&name);
                tell(&events, InstanceEvent::Gone { instance: name }).await;
            },
            else => std::future::pending().await,
        }
    }
}

/// Tells what one instance tells, until it hangs up.
async fn follow_one(
    dir: PathBuf,
    own: String,
    name: String,
    heard: oneshot::Sender<()>,
    events: mpsc::Sender<Event>,
) -> io::Result<()> {
    let mut stream = BufReader::new(timeout(PATIENCE, connect(&dir, &name)).await??);
    wire::write(&mut stream, &Ask::Watch { name: own }).await?;
    let mut heard = Some(heard);
    while let Some(Says::Report { report }) = wire::read(&mut stream).await? {
        if !is_plain(&report) {
            break;
        }
        tell(&events, InstanceEvent::Heard { instance: name.clone(), report }).await;
        if let Some(heard) = heard.take() {
            // Nobody waits for a latecomer.
            let _late = heard.send(());
        }
    }
    Ok(())
}

async fn tell(events: &mpsc::Sender<Event>, event: InstanceEvent) {
    // A loop that has ended wants no news.
    let _ended = events.send(Event::Instance(event)).await;
}
