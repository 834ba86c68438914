//! Quitting, and what becomes of the pods of this run.

use crate::screen::dialog::Dialog;
use crate::screen::dialog::Question;
use crate::tests::*;
use crate::types::settings::OnQuit;

fn deleted(effects: &[Effect]) -> Vec<&str> {
    let mut names = Vec::new();
    for effect in effects {
        if let Effect::Pod(PodEffect::Delete { key, .. }) = effect {
            names.push(key.name.as_str());
        }
    }
    names
}

fn with_pod() -> (Model, ProxyPod) {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let pod = created(&mut model, &request, 1);
    (model, pod)
}

#[test]
fn the_answer_comes_before_the_setting() {
    for (on_quit, button, gone) in [(OnQuit::Delete, 1, false), (OnQuit::Leave, 2, true), (OnQuit::Ask, 1, false)] {
        let (mut model, pod) = with_pod();
        model.config.settings_mut().on_quit = on_quit;
        press(&mut model, Command::Forward);
        press(&mut model, Command::Quit);
        for _ in 0..button {
            press(&mut model, Command::Right);
        }
        let effects = press(&mut model, Command::Accept);
        assert_eq!(deleted(&effects).contains(&pod.key.name.as_str()), gone, "{on_quit:?}");
        assert_eq!(effects.last(), Some(&Effect::Terminal(TerminalEffect::Quit)));
    }
}

#[test]
fn the_setting_holds_where_nobody_is_asked() {
    for (on_quit, gone) in [(OnQuit::Delete, 1), (OnQuit::Leave, 0), (OnQuit::Ask, 0)] {
        let (mut model, _) = with_pod();
        model.config.settings_mut().on_quit = on_quit;
        assert_eq!(deleted(&model.update(Event::Terminate)).len(), gone, "{on_quit:?}");
    }
}

#[test]
fn pods_of_a_cluster_that_was_let_go_of_are_deleted_too() {
    let (mut model, pod) = with_pod();
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::DisconnectCluster);
    assert!(model.pods.all().is_empty());
    press(&mut model, Command::Quit);
    press(&mut model, Command::Right);
    press(&mut model, Command::Right);
    assert_eq!(deleted(&press(&mut model, Command::Accept)), [pod.key.name.as_str()]);
}

#[test]
fn a_pod_that_is_still_being_created_is_asked_about_and_deleted_as_it_comes() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    press(&mut model, Command::Quit);
    assert!(matches!(
        model.screen.dialogs.last(),
        Some(Dialog::Confirm { question: Question::Quit { pods: 1, .. }, .. })
    ));
    press(&mut model, Command::Right);
    press(&mut model, Command::Right);
    assert!(deleted(&press(&mut model, Command::Accept)).is_empty());
    let pod = pod(&request, 1, Phase::Pending);
    let result = Ok(Box::new(pod.clone()));
    let effects = model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert_eq!(deleted(&effects), [pod.key.name.as_str()]);
    assert!(any!(effects, Effect::Store(StoreEffect::Audit(_))));
}

#[test]
fn what_may_remain_is_known_until_it_is_gone() {
    let leave = |model: &mut Model| {
        let mut out = Vec::new();
        model.quit(true, &mut out);
        out
    };
    // Made, and its deletion not answered yet; refused; done.
    let (mut model, pod) = with_pod();
    applied(&mut model, ready(&pod));
    assert!(model.remaining_pods().is_empty(), "nothing is to go yet");
    leave(&mut model);
    let until = noon() + TimeDelta::minutes(30);
    assert_eq!(model.remaining_pods().iter().map(|left| left.until).collect::<Vec<_>>(), [Some(until)]);
    let answer =
        |model: &mut Model, result| model.update(Event::Pod(PodEvent::Deleted { key: pod.key.clone(), result }));
    answer(&mut model, Err(Fault::new(What::Unreachable, "dev", "")));
    assert_eq!(model.remaining_pods().len(), 1);
    answer(&mut model, Ok(()));
    assert!(model.remaining_pods().is_empty());

    // Still being made; never answered.
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let effects = leave(&mut model);
    assert!(any!(effects, Effect::Store(StoreEffect::PodsUntil { cluster, .. }) if cluster == "dev"), "{effects:?}");
    let may_come = |model: &Model| model.remaining_pods().iter().filter(|left| !left.is_made).count();
    assert_eq!(may_come(&model), 1);
    let result = Err(Fault::new(What::TimedOut, "dev", ""));
    model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert_eq!(may_come(&model), 1, "nobody knows");

    // The same when it was not answered before; once its TTL is over, none is left of it.
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let result = Err(Fault::new(What::TimedOut, "dev", ""));
    model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    let mut late = model.clone();
    leave(&mut model);
    assert_eq!(may_come(&model), 1);
    late.now += TimeDelta::minutes(31);
    leave(&mut late);
    assert_eq!(may_come(&late), 0);
}

#[test]
fn pods_that_end_with_the_practice_cluster_are_nothing_to_ask_about() {
    let (mut model, _) = with_pod();
    model.practice = true;
    let effects = press(&mut model, Command::Quit);
    assert_eq!(effects.last(), Some(&Effect::Terminal(TerminalEffect::Quit)));

    let (mut model, _) = with_pod();
    model.practice = true;
    press(&mut model, Command::Forward);
    press(&mut model, Command::Quit);
    let Some(Dialog::Confirm { question, .. }) = model.screen.dialogs.last() else { panic!("no question") };
    assert_eq!(*question, Question::Quit { forwards: 1, pods: 0, unsaved: 0 });
}
