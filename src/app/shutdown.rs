//! The end of the program: waits for requests under way, and reports pods that may remain.

use std::time::Duration;

use chrono::Local;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::effects::Effects;
use crate::log;
use crate::text::Text;
use brow_model::Model;
use brow_model::effect::{ClusterEffect, EditEffect, Effect, ForwardEffect, PodEffect, StoreEffect};
use brow_model::event::{EditEvent, Event, PodEvent, StoreEvent};
use brow_model::log::Message;
use brow_model::measuring::MetricsEffect;
use brow_model::proxy::RemainingPod;

/// The longest wait for answers to requests under way.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// The longest wait if the pods of this run are deleted: longer than the timeouts for creating and deleting a pod.
const DELETION_TIMEOUT: Duration = Duration::from_secs(45);

/// The time after which the user is told what the program waits for.
const QUIET_PERIOD: Duration = Duration::from_secs(1);

/// Lets go of everything: forwards are closed, orders under way are finished, files are written. Pods that were to go
/// and may not have gone are named, with the time at which Kubernetes ends them, and so is whatever fails now.
///
/// Somebody who asks a second time is not kept waiting for what does not end.
pub async fn shut_down(
    mut model: Model,
    mut effects: Effects,
    mut events: mpsc::Receiver<Event>,
    text: &Text,
    say: impl Fn(&str),
) {
    // What has closed is nobody's to use any more, however long the rest takes.
    effects.publish(&model);
    let again = asked_again();
    tokio::pin!(again);
    let hurried = tokio::select! {
        biased;
        () = &mut again => true,
        () = answers(&mut model, &mut effects, &mut events, text, &say) => false,
    };
    for remainder in model.remaining_pods() {
        say(&words(text, &remainder));
    }
    // Nobody listens any more, but tasks still report: their events must not block them.
    let drain = async move {
        while let Some(event) = events.recv().await {
            if let Event::Store(StoreEvent::NotSaved(fault) | StoreEvent::Trouble(fault)) = event {
                say(&text.fault_once(&fault).in_full());
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::pin!(drain);
    if !hurried {
        tokio::select! {
            () = effects.finish() => {}
            () = &mut drain => {}
            () = &mut again => {}
        }
    }
    // Last, and quick: what was done is in the audit log, however it ended.
    tokio::select! {
        biased;
        () = effects.write_files() => {}
        () = &mut drain => {}
    }
}

/// Waits until somebody asks the program to end who knows that it is ending. A hang-up is not that: a terminal that
/// closes may cause several, one from the kernel and one from whoever closed it.
async fn asked_again() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

/// Handles answers to requests under way: they are audited, and a pod that is created only now may have to be deleted.
async fn answers(
    model: &mut Model,
    effects: &mut Effects,
    events: &mut mpsc::Receiver<Event>,
    text: &Text,
    say: &impl Fn(&str),
) {
    let given_up = sleep(if model.pods.is_ending() { DELETION_TIMEOUT } else { ANSWER_TIMEOUT });
    tokio::pin!(given_up);
    let soon = sleep(QUIET_PERIOD);
    tokio::pin!(soon);
    let mut told = false;
    loop {
        let news = tokio::select! {
            biased;
            () = &mut given_up => return,
            () = &mut soon, if !told => {
                told = true;
                if !model.remaining_pods().is_empty() {
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
        let Some(news) = news else { return };
        let matters = is_of_an_order(&news);
        for effect in log::update(model, news) {
            if ends(&effect) {
                effects.run(effect);
            }
        }
        // The screen that would show it is gone.
        for entry in std::mem::take(&mut model.screen.log.entries) {
            if let (true, Message::Failed(fault)) = (matters, entry.message) {
                say(&text.fault_once(&fault).in_full());
            }
        }
    }
}

/// Returns whether an event reports the outcome of an order, whose failure must be printed.
fn is_of_an_order(event: &Event) -> bool {
    match event {
        Event::ObjectDeleted { .. } | Event::Edit { event: EditEvent::Applied(_), .. } => true,
        Event::Pod(event) => matches!(event, PodEvent::Created { .. } | PodEvent::Deleted { .. }),
        Event::Store(event) => matches!(event, StoreEvent::NotSaved(_) | StoreEvent::Trouble(_)),
        Event::Tick { .. }
        | Event::Act(_)
        | Event::Clipped { .. }
        | Event::Request(_)
        | Event::Contexts(_)
        | Event::Cluster { .. }
        | Event::Browse { .. }
        | Event::Index { .. }
        | Event::Kinds { .. }
        | Event::Metrics(_)
        | Event::Page { .. }
        | Event::Object(_)
        | Event::Edit { .. }
        | Event::Forward { .. }
        | Event::Gateway(_)
        | Event::Instance(_)
        | Event::Agent(_)
        | Event::Shell(_)
        | Event::Terminate => false,
    }
}

/// Returns whether an effect is carried out while the program ends: it deletes, closes, or concerns files. Everything
/// else would begin something that nobody is there for, or show something on a screen that is gone.
fn ends(effect: &Effect) -> bool {
    match effect {
        Effect::Terminal(_)
        | Effect::Gateway(_)
        | Effect::Metrics(MetricsEffect::Find { .. } | MetricsEffect::Measure { .. })
        | Effect::Edit(EditEffect::Open { .. } | EditEffect::Try { .. })
        | Effect::Store(StoreEffect::Reload | StoreEffect::ReadOffers { .. } | StoreEffect::Export(_))
        | Effect::Cluster(
            ClusterEffect::ReadKubeconfig
            | ClusterEffect::Connect { .. }
            | ClusterEffect::Widen { .. }
            | ClusterEffect::AskRights { .. }
            | ClusterEffect::Browse { .. }
            | ClusterEffect::Index { .. }
            | ClusterEffect::Page(_)
            | ClusterEffect::FindObject { .. }
            | ClusterEffect::ReadPorts(_)
            | ClusterEffect::ListNodePorts { .. }
            | ClusterEffect::TakeSteps { .. }
            | ClusterEffect::ReadPort { .. }
            | ClusterEffect::ListKinds { .. }
            | ClusterEffect::ShowKind { .. },
        )
        | Effect::Pod(PodEffect::Create(_) | PodEffect::Describe(_) | PodEffect::FollowLog { .. })
        | Effect::Forward(
            ForwardEffect::Open { .. }
            | ForwardEffect::Point { .. }
            | ForwardEffect::Spread { .. }
            | ForwardEffect::Rest { .. }
            | ForwardEffect::Probe { .. }
            | ForwardEffect::Admit { .. }
            | ForwardEffect::ListConnections { .. },
        ) => false,
        Effect::Edit(EditEffect::Apply { .. } | EditEffect::Discard { .. } | EditEffect::Delete { .. })
        | Effect::Store(_)
        | Effect::Cluster(
            ClusterEffect::Disconnect { .. }
            | ClusterEffect::StopBrowsing
            | ClusterEffect::StopIndexing { .. }
            | ClusterEffect::StopSteps
            | ClusterEffect::HideKind,
        )
        | Effect::Pod(PodEffect::Delete { .. } | PodEffect::StopLog)
        | Effect::Forward(
            ForwardEffect::Close { .. }
            | ForwardEffect::EndConnection { .. }
            | ForwardEffect::StopElsewhere { .. }
            | ForwardEffect::AnswerElsewhere { .. },
        ) => true,
    }
}

/// Describes a pod that may remain, and until when.
fn words(text: &Text, remainder: &RemainingPod) -> String {
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

#[cfg(test)]
mod tests {

    use parking_lot::Mutex;

    use super::*;
    use crate::cluster::Clusters;
    use crate::store::Paths;
    use brow_model::fault::{Fault, What};
    use brow_model::proxy::PodKey;
    use brow_model::settings::Language;

    #[tokio::test]
    async fn what_fails_while_the_program_ends_is_said_and_written_down() {
        let home = tempfile::tempdir().unwrap();
        let at = |name| home.path().join(name);
        let paths = Paths { config: at("config.toml"), state_dir: at("state"), legacy: at("none") };
        let (sender, events) = crate::events::EventSender::channel(8);
        let me = brow_model::installation::Identity {
            owner: "ann@ship".to_owned(),
            installation: crate::store::throwaway(),
        };
        let effects = Effects::start(Clusters::default(), paths, me, sender.clone());
        let fault = |thing: &str| Fault::new(What::FileUnwritable, thing, "the disk is full");
        let key = PodKey { cluster: "dev".into(), namespace: "team".into(), name: "pod".into() };
        for event in [
            Event::Pod(PodEvent::Deleted { key, result: Err(fault("dev/team/pod")) }),
            Event::Store(StoreEvent::NotSaved(fault("config.toml"))),
            Event::Store(StoreEvent::Trouble(fault("audit"))),
        ] {
            sender.try_send(event);
        }
        drop(sender);
        let said = Mutex::new(Vec::new());
        let model = Model::new(chrono::Utc::now(), "ann@ship");
        shut_down(model, effects, events, &Text::new(Language::En), |words| {
            said.lock().push(words.to_owned());
        })
        .await;
        let said = said.into_inner();
        for thing in ["dev/team/pod", "config.toml", "audit"] {
            assert!(said.iter().any(|words| words.contains(thing)), "{thing}: {said:?}");
        }
        // The failed deletion is in the audit log.
        let log = std::fs::read_dir(at("state/audit")).unwrap().next().unwrap().unwrap().path();
        assert!(std::fs::read_to_string(log).unwrap().contains("delete-pod"));
    }
}
