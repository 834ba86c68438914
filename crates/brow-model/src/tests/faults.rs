//! Faults stay where a person looks for them: with their target, in the log, at the forward they are about.

use std::collections::BTreeMap;

use crate::language::event::ForwardEvent;
use crate::language::fault::Grant;
use crate::language::fault::Remedy;
use crate::language::log::Message;
use crate::screen::dialog::Dialog;
use crate::tests::*;
use crate::types::forward::ForwardState;

fn forbidden(verb: &str) -> Fault {
    let grant = Grant { verb: verb.to_owned(), resource: "pods".to_owned(), namespace: Some("team".to_owned()) };
    Fault::new(What::Forbidden, "mysql", "cannot").with(Remedy::Grant(grant))
}

fn refuse(model: &mut Model, request: &PodRequest, fault: &Fault) {
    model.update(Event::Pod(PodEvent::Created { request: request.id, result: Err(fault.clone()) }));
    model.arrange();
}

#[test]
fn a_refusal_stays_with_its_target_until_the_next_try() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let target = model.target(&request.target).unwrap().clone();
    assert_eq!(model.fault_of_target(&target), None);
    refuse(&mut model, &request, &forbidden("create"));
    assert_eq!(model.fault_of_target(&target), Some(&forbidden("create")));
    press(&mut model, Command::Describe);
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Fault(fault)) if *fault == forbidden("create")));
    let copied = press(&mut model, Command::Copy);
    assert_eq!(copied, [Effect::Terminal(TerminalEffect::Copy(Clip::Fault(Box::new(forbidden("create")))))]);
    press(&mut model, Command::Cancel);
    press(&mut model, Command::Create);
    assert_eq!(model.fault_of_target(&target), None);
}

#[test]
fn the_log_opens_a_fault_in_full_and_keeps_its_keys_to_itself() {
    let mut model = connected();
    model.screen.targets.select(1);
    press(&mut model, Command::ToggleLog);
    let before = model.screen.dialogs.len();
    press(&mut model, Command::Accept);
    assert_eq!(model.screen.dialogs.len(), before, "what merely happened has no more to say");
    assert!(model.forwards.all().is_empty(), "and no pane behind the log takes the key");
    press(&mut model, Command::ToggleLog);
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    refuse(&mut model, &request, &forbidden("create"));
    press(&mut model, Command::ToggleLog);
    press(&mut model, Command::Accept);
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Fault(fault)) if *fault == forbidden("create")));
}

#[test]
fn a_forward_into_a_namespace_that_may_not_be_listed_says_so_and_does_not_wait_for_ever() {
    let mut model = model();
    model.screen.targets.select(1);
    let effects = press(&mut model, Command::Forward);
    assert!(requests(&effects).is_empty());
    let id = *model.forwards.all().keys().next().unwrap();
    let namespace = model.forwards.all()[&id].spec.selector.namespace.clone();
    let bound = ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]);
    let epoch = model.forwards.all()[&id].spec.epoch;
    model.update(Event::Forward { id, epoch, event: bound });
    on_dev(&mut model, answered());
    let denied = BTreeMap::from([(namespace, forbidden("list")), ("of-nobody".to_owned(), forbidden("list"))]);
    let told = model.screen.log.entries.len();
    on_dev(&mut model, ClusterEvent::Denied(denied.clone()));
    let forward = &model.forwards.all()[&id];
    assert_eq!((forward.state(), forward.fault.as_ref()), (ForwardState::Broken, Some(&forbidden("list"))));
    assert_eq!(model.screen.log.entries.len(), told + 1, "a namespace that no target needs is not worth a word");
    on_dev(&mut model, ClusterEvent::Denied(denied));
    assert_eq!(model.screen.log.entries.len(), told + 1, "and the other is told once");
}

#[test]
fn a_forward_that_cannot_listen_keeps_its_own_reason() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Forward)).remove(0);
    let id = *model.forwards.all().keys().next().unwrap();
    let epoch = model.forwards.all()[&id].spec.epoch;
    let taken = Fault::new(What::PortInUse, "3306", "pid 7 (mysqld)");
    model.update(Event::Forward { id, epoch, event: ForwardEvent::NotBound(taken.clone()) });
    refuse(&mut model, &request, &forbidden("create"));
    assert_eq!(
        (model.forwards.all()[&id].state(), &model.forwards.all()[&id].fault),
        (ForwardState::Failed, &Some(taken))
    );
}

#[test]
fn a_forward_comes_back_to_a_pod_that_could_not_be_killed() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Forward)).remove(0);
    let id = *model.forwards.all().keys().next().unwrap();
    let pod = created(&mut model, &request, 1);
    applied(&mut model, ready(&pod));
    model.screen.focus.pane = Pane::Pods;
    press(&mut model, Command::KillNow);
    assert_eq!(model.forwards.all()[&id].via(), None);
    let refused = Err(forbidden("delete"));
    model.update(Event::Pod(PodEvent::Deleted { key: pod.key.clone(), result: refused }));
    assert_eq!(model.forwards.all()[&id].via().map(|via| &via.pod), Some(&pod.key));
}

#[test]
fn where_nothing_is_wrong_that_is_said() {
    let mut model = connected();
    let last = |model: &Model| {
        model.screen.log.entries.back().map(|entry| (entry.message.clone(), entry.thing.clone())).unwrap()
    };
    for pane in [Pane::Clusters, Pane::Targets] {
        model.screen.focus.pane = pane;
        press(&mut model, Command::Describe);
        let name = if pane == Pane::Clusters { "dev" } else { "far" };
        assert_eq!(last(&model), (Message::NothingWrong, name.to_owned()));
    }
    model.screen.focus.pane = Pane::Clusters;
    let name = Effect::Terminal(TerminalEffect::Copy(Clip::Text("dev".to_owned())));
    assert_eq!(press(&mut model, Command::Copy), [name]);
    model.screen.focus.pane = Pane::Targets;
    press(&mut model, Command::Copy);
    assert_eq!(last(&model), (Message::NotForwarded, "far".to_owned()));
    press(&mut model, Command::Forward);
    model.screen.focus.pane = Pane::Forwards;
    press(&mut model, Command::Describe);
    assert_eq!(last(&model), (Message::NothingWrong, "far".to_owned()));
    press(&mut model, Command::Stop);
    for command in [Command::Describe, Command::Copy] {
        press(&mut model, command);
        assert_eq!(last(&model).0, Message::NothingSelected, "{command:?}");
    }
    assert!(model.screen.dialogs.is_empty());
}
