//! The end of the program: what was asked of the clusters is answered first, and what may remain there is said.

use std::time::Duration;

use chrono::Local;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{any, signals};
use crate::effects::Effects;
use crate::model::Model;
use crate::model::effect::Effect;
use crate::model::event::Event;
use crate::model::leave::Remainder;
use crate::text::Text;

/// How long the answers to what was ordered are waited for.
const ANSWERS: Duration = Duration::from_secs(8);

/// The same where the pods of this run go with it: longer than a pod takes to be made and deleted, as far as the API
/// server is given time for that.
const DELETIONS: Duration = Duration::from_secs(45);

/// After how long whoever waits is told for what.
const SOON: Duration = Duration::from_secs(1);

/// Lets go of everything: forwards are closed, orders under way are finished, files are written. Pods that were to go and
/// may not have gone are named, with the time at which Kubernetes ends them.
///
/// Somebody who asks a second time is not kept waiting for what does not end.
pub async fn wind_up(
    mut model: Model,
    mut effects: Effects,
    mut events: mpsc::Receiver<Event>,
    text: &Text,
    say: impl Fn(&str),
) {
    let again = async {
        match signals() {
            Ok(mut signals) => any(&mut signals).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::pin!(again);
    let hurried = tokio::select! {
        biased;
        () = &mut again => true,
        () = answers(&mut model, &mut effects, &mut events, text, &say) => false,
    };
    for remainder in model.remains() {
        say(&words(text, &remainder));
    }
    if hurried {
        return;
    }
    // Nobody listens any more, but tasks still report: their events must not block them.
    let drain = async move { while events.recv().await.is_some() {} };
    tokio::select! {
        () = effects.finish() => {}
        () = drain => {}
        () = &mut again => {}
    }
}

/// What was ordered is still answered: answers are audited, and a pod that comes into being now may have to go.
async fn answers(
    model: &mut Model,
    effects: &mut Effects,
    events: &mut mpsc::Receiver<Event>,
    text: &Text,
    say: &impl Fn(&str),
) {
    let given_up = sleep(if model.ending_pods { DELETIONS } else { ANSWERS });
    tokio::pin!(given_up);
    let soon = sleep(SOON);
    tokio::pin!(soon);
    let mut told = false;
    loop {
        let news = tokio::select! {
            biased;
            () = &mut given_up => return,
            () = &mut soon, if !told => {
                told = true;
                if !model.remains().is_empty() {
                    say(text.get("cli.pods-end"));
                }
                continue;
            }
            news = events.recv() => news,
            () = effects.settle() => match events.try_recv() {
                Ok(news) => Some(news),
                Err(_) => return,
            },
        };
        for effect in news.map(|news| model.update(news)).into_iter().flatten() {
            if matches!(effect, Effect::Audit(_) | Effect::DeletePod { .. } | Effect::PodsUntil { .. }) {
                effects.run(effect);
            }
        }
    }
}

/// A pod that may remain, and until when, in words.
fn words(text: &Text, remainder: &Remainder) -> String {
    let (thing, ttl) = (remainder.thing.as_str(), remainder.ttl.to_string());
    match remainder.until {
        Some(until) => {
            let until = until.with_timezone(&Local).format("%F %T").to_string();
            text.fill("cli.pod-remains", &[("thing", thing), ("until", &until)])
        }
        None if remainder.is_made => text.fill("cli.pod-remains-for", &[("thing", thing), ("time", &ttl)]),
        None => text.fill("cli.pod-may-come", &[("thing", thing), ("time", &ttl)]),
    }
}
