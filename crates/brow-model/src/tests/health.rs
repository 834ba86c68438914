//! Probes of targets, by table.

use std::time::Duration;

use crate::language::event::ForwardEvent;
use crate::language::log::Message;
use crate::tests::demand::only;
use crate::tests::demand::tell;
use crate::tests::renew::forwarded;
use crate::tests::*;
use crate::types::health::Health;

/// An ordinary forward whose target is probed.
fn watched() -> (Model, ProxyPod) {
    let (mut model, pod) = forwarded();
    model.targets.all_mut()[0].forward.probe = "tcp".parse().ok();
    let mut out = Vec::new();
    model.update_probes(&mut out);
    assert!(matches!(out[..], [Effect::Forward(ForwardEffect::Probe { plan: Some(_), .. })]), "{out:?}");
    (model, pod)
}

/// Reports the result of a probe and returns the notifications.
fn probed(model: &mut Model, up: bool) -> Vec<(Message, String)> {
    let down = (!up).then(|| Fault::new(What::ProbeFailed, "10.0.0.1:3306", ""));
    let effects = tell(model, ForwardEvent::Probed(Health { down, latency: Some(Duration::from_millis(2)) }));
    notified(&effects)
}

fn notified(effects: &[Effect]) -> Vec<(Message, String)> {
    let words = |effect: &Effect| match effect {
        Effect::Terminal(TerminalEffect::Notify(entry)) => Some((entry.message.clone(), entry.thing.clone())),
        _ => None,
    };
    effects.iter().filter_map(words).collect()
}

#[test]
fn a_target_that_goes_down_or_comes_up_is_news_but_not_all_the_time() {
    let (mut model, _) = watched();
    let (down, up) = ((Message::WentDown, "mysql".to_owned()), (Message::WentUp, "mysql".to_owned()));
    assert!(probed(&mut model, true).is_empty(), "as it should be");
    assert_eq!(probed(&mut model, false), std::slice::from_ref(&down));
    assert!(only(&model).is_down());
    assert!(probed(&mut model, false).is_empty(), "known");
    // It flaps within the quiet time: what is true at its end is told.
    at(&mut model, 20);
    assert!(probed(&mut model, true).is_empty());
    assert!(probed(&mut model, false).is_empty());
    assert!(notified(&at(&mut model, 61)).is_empty(), "as told");
    assert_eq!(probed(&mut model, true), std::slice::from_ref(&up));
    at(&mut model, 70);
    assert!(probed(&mut model, false).is_empty());
    assert_eq!(notified(&at(&mut model, 121)), [down]);
    assert_eq!(model.screen.log.entries.iter().filter(|entry| entry.message == Message::WentDown).count(), 2);
}

#[test]
fn what_a_probe_found_goes_with_the_pod_that_it_went_through() {
    let (mut model, old) = watched();
    probed(&mut model, true);
    assert!(only(&model).health().is_some_and(|health| health.latency.is_some()));
    on_dev(&mut model, ClusterEvent::Gone { key: old.key.clone(), uid: old.uid });
    assert_eq!(only(&model).health(), None);
    assert!(probed(&mut model, false).is_empty(), "late");
}

#[test]
fn an_open_forward_is_probed_as_its_target_says_now() {
    let probes = |effects: &[Effect]| -> Vec<Option<String>> {
        let plan = |effect: &Effect| match effect {
            Effect::Forward(ForwardEffect::Probe { plan, .. }) => {
                Some(plan.as_ref().map(|plan| format!("{} every {:?}", plan.probe, plan.every)))
            }
            _ => None,
        };
        effects.iter().filter_map(plan).collect()
    };
    let (mut model, _) = forwarded();
    let load = |model: &mut Model, change: fn(&mut Model)| {
        let mut new = model.clone();
        change(&mut new);
        let loaded = Loaded {
            targets: new.targets.all().to_vec(),
            settings: new.config.settings().clone(),
            path: "/c".into(),
            ..Loaded::default()
        };
        model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))))
    };
    let effects = load(&mut model, |new| new.targets.all_mut()[0].forward.probe = "mysql".parse().ok());
    assert_eq!(probes(&effects), [Some("mysql every 30s".to_owned())]);
    assert!(!any!(effects, Effect::Forward(ForwardEffect::Open { .. })), "nothing is cut off");
    assert_eq!(probed(&mut model, false).len(), 1);
    let effects = load(&mut model, |new| new.config.settings_mut().forward.probe_interval = "1m".parse().ok());
    assert_eq!(probes(&effects), [Some("mysql every 60s".to_owned())]);
    assert!(only(&model).is_down(), "the same question");
    assert!(probes(&load(&mut model, |_| {})).is_empty());
    let effects = load(&mut model, |new| new.targets.all_mut()[0].forward.probe = None);
    assert_eq!(probes(&effects), [None]);
    assert_eq!(only(&model).health(), None);
    assert!(probed(&mut model, false).is_empty(), "an answer that was on its way");
    assert_eq!(only(&model).health(), None);
}
