//! The steps to something that cannot be reached: asked for, shown, and asked again with a pod.

use crate::language::event::ObjectEvent;
use crate::language::fault::{Fault, What};
use crate::language::request::Request;
use crate::screen::dialog::{Dialog, StepList};
use crate::tests::*;
use crate::types::epoch::Epoch;
use crate::types::why::{Check, CheckedDestination, Question, Step, Verdict};

fn asked(effects: &[Effect]) -> (Question, Epoch) {
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Cluster(ClusterEffect::TakeSteps { question, epoch }) => Some((question.as_ref().clone(), *epoch)),
        _ => None,
    });
    asked.expect("the steps are taken")
}

fn shown(model: &Model) -> &StepList {
    let Some(Dialog::Why(steps)) = model.screen.dialogs.last() else { panic!("no steps") };
    steps
}

fn checks(verdict: Verdict) -> Vec<Check> {
    vec![Check { step: Step::Connection, verdict, found: "web:80".to_owned(), took: None }]
}

fn needs_pod() -> Vec<Check> {
    checks(Verdict::Unknown(Fault::new(What::NeedsPod, "web:80", "")))
}

#[test]
fn steps_to_a_target_are_taken_and_a_pod_is_there_on_request_only() {
    let mut model = connected();
    press(&mut model, Command::Targets);
    let (question, first) = asked(&press(&mut model, Command::Why));
    assert_eq!((question.cluster.as_str(), !question.pod.creates), ("prod", true));
    assert!(matches!(question.destination, CheckedDestination::Address(_)), "{question:?}");
    assert!(shown(&model).checks.is_none());
    // Nothing is known yet, so that nothing is asked for.
    assert!(press(&mut model, Command::Create).is_empty());
    model.update(Event::Object(ObjectEvent::Steps { epoch: first, checks: needs_pod() }));
    assert!(shown(&model).wants_pod());
    let (question, second) = asked(&press(&mut model, Command::Create));
    assert!(question.pod.creates && second != first && shown(&model).checks.is_none());
    // Late steps of the first question are dropped.
    model.update(Event::Object(ObjectEvent::Steps { epoch: first, checks: needs_pod() }));
    assert!(shown(&model).checks.is_none());
    model.update(Event::Object(ObjectEvent::Steps { epoch: second, checks: checks(Verdict::Passed) }));
    assert!(!shown(&model).wants_pod() && model.screen.dialogs.last().unwrap().fault().is_none());
    let effects = press(&mut model, Command::Cancel);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::StopSteps)));
    assert!(model.screen.dialogs.is_empty());
}

#[test]
fn the_pod_is_the_one_that_the_target_would_have() {
    let mut model = connected();
    press(&mut model, Command::Targets);
    let name = model.screen.targets.selected().unwrap().clone();
    let mut target = model.target(&name).unwrap().clone();
    target.pod.labels = [("team".to_owned(), "shop".to_owned())].into();
    (target.namespace, target.address) = (Some("tools".to_owned()), "redis.shop.svc:6379".parse().unwrap());
    let was = Some(Box::new(model.target(&name).unwrap().clone()));
    model.update(Event::Request(Request::Save { was, target: Box::new(target) }));
    let (question, _) = asked(&press(&mut model, Command::Why));
    assert_eq!((question.namespace.as_str(), question.pod.namespace.as_str()), ("shop", "tools"));
    let labels = question.pod.settings.labels;
    assert_eq!(labels.get("team").map(String::as_str), Some("shop"));
    assert_eq!(question.pod.max_ttl, model.config.settings().max_ttl);
}

#[test]
fn the_fault_of_the_first_step_that_failed_can_be_copied() {
    let mut model = connected();
    press(&mut model, Command::Targets);
    let (_, epoch) = asked(&press(&mut model, Command::Why));
    let failed = Verdict::Failed(Fault::new(What::TargetRefused, "web:80", ""));
    let all = [needs_pod(), checks(failed)].concat();
    model.update(Event::Object(ObjectEvent::Steps { epoch, checks: all }));
    let fault = model.screen.dialogs.last().unwrap().fault().unwrap();
    assert_eq!(fault.what, What::TargetRefused);
}
