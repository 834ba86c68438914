//! Forwards of earlier runs, by table.

use crate::language::event::InstanceEvent;
use crate::screen::dialog::{Dialog, Question};
use crate::tests::*;
use crate::types::restore::OpenForward;
use crate::types::settings::Restore;

const OWN: &str = "7-0000abcd";

fn open(target: &str, port: u16, on_demand: bool) -> OpenForward {
    OpenForward { target: target.to_owned(), name: target.to_owned(), port, on_demand }
}

/// Returns what is to be remembered after these effects, if that changed.
fn remembered(effects: &[Effect]) -> Option<Vec<OpenForward>> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Store(StoreEffect::RememberOpen { instance, open }) if instance == OWN => Some(open.clone()),
        _ => None,
    })
}

/// Returns the forwards that are opened: target, local port, whether any other will do, whether on demand.
fn opened(effects: &[Effect]) -> Vec<(String, u16, bool, bool)> {
    let spec = |effect: &Effect| match effect {
        Effect::Forward(ForwardEffect::Open { spec, .. }) => {
            Some((spec.target.clone(), spec.port, spec.any_port, spec.on_demand))
        }
        _ => None,
    };
    effects.iter().filter_map(spec).collect()
}

/// An instance among others that has asked what was open.
fn started(restore: Restore) -> Model {
    let mut model = model();
    model.instances.set_own_name(Some(OWN.to_owned()));
    model.config.settings_mut().restore = restore;
    let other = InstanceEvent::Unheard { instance: "8-00000000".to_owned(), pid: 8 };
    model.update(Event::Instance(other));
    let effects = model.update(Event::Instance(InstanceEvent::Known));
    assert!(any!(
        effects,
        Effect::Store(StoreEffect::ClaimOpen { instance, running })
            if instance == OWN && running.len() == 1 && running.contains("8-00000000")
    ));
    model
}

fn claimed(model: &mut Model, open: Vec<OpenForward>) -> Vec<Effect> {
    let effects = model.update(Event::Store(StoreEvent::Claimed(open)));
    model.arrange();
    effects
}

fn is_asked(model: &Model) -> bool {
    matches!(model.screen.dialogs.last(), Some(Dialog::Confirm { question: Question::Restore(_), button: 1 }))
}

#[test]
fn what_is_open_is_remembered_as_it_changes_and_not_at_the_end() {
    let mut model = started(Restore::Ask);
    assert_eq!(remembered(&claimed(&mut model, Vec::new())), None, "there is nothing to write");
    crate::tests::demand::select(&mut model, "mysql");
    let effects = press(&mut model, Command::Forward);
    assert_eq!(remembered(&effects), Some(vec![open("mysql", 0, false)]));
    let bound = crate::language::event::ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]);
    assert_eq!(remembered(&crate::tests::demand::tell(&mut model, bound)), Some(vec![open("mysql", 40_001, false)]));
    assert_eq!(remembered(&at(&mut model, 1)), None);
    crate::tests::demand::select(&mut model, "mysql");
    model.screen.focus.pane = Pane::Targets;
    let both = Some(vec![open("mysql", 40_001, true)]);
    assert_eq!(remembered(&press(&mut model, Command::OnDemand)), both);

    let mut ending = model.clone();
    assert_eq!(remembered(&ending.update(Event::Terminate)), None, "what ends with the program was open");
    model.screen.focus.pane = Pane::Forwards;
    assert_eq!(remembered(&press(&mut model, Command::Stop)), Some(Vec::new()), "what a person stops is not");
}

#[test]
fn enter_opens_what_was_open_under_the_same_ports() {
    let mut model = started(Restore::Ask);
    model.targets.all_mut()[1].local_port = 6_379;
    let all = vec![open("mysql", 40_001, true), open("redis", 6_379, true), open("redis", 7_000, true)];
    let effects = claimed(&mut model, all);
    let offered = vec![open("mysql", 40_001, true), open("redis", 6_379, true)];
    assert!(is_asked(&model) && opened(&effects).is_empty());
    assert_eq!(remembered(&effects), Some(offered.clone()), "a crash now loses nothing");
    let effects = press(&mut model, Command::Accept);
    let specs = [("mysql".to_owned(), 40_001, true, true), ("redis".to_owned(), 6_379, false, true)];
    assert_eq!(opened(&effects), specs);
    assert_eq!(remembered(&effects), None, "it is the same as was offered");
    assert!(model.screen.dialogs.is_empty());
}

#[test]
fn a_port_that_is_not_the_targets_own_may_change_again() {
    let mut model = started(Restore::Always);
    model.targets.all_mut()[1].local_port = 6_379;
    let effects = claimed(&mut model, vec![open("redis", 6_380, true)]);
    assert_eq!(opened(&effects), [("redis".to_owned(), 6_380, true, true)]);
    assert!(model.screen.dialogs.is_empty());
}

#[test]
fn no_forgets_it() {
    for answer in [Command::Left, Command::Cancel] {
        let mut model = started(Restore::Ask);
        claimed(&mut model, vec![open("mysql", 40_001, true)]);
        let mut effects = press(&mut model, answer);
        if answer == Command::Left {
            effects = press(&mut model, Command::Accept);
        }
        assert!(opened(&effects).is_empty() && model.forwards.all().is_empty());
        assert_eq!(remembered(&effects), Some(Vec::new()), "{answer:?}");
        assert!(model.screen.dialogs.is_empty());
    }
}

#[test]
fn only_what_can_be_opened_and_is_not_open_is_offered() {
    // A target that is gone, and one that starts by itself.
    let mut model = started(Restore::Ask);
    let mut out = Vec::new();
    let redis = model.target("redis").unwrap().clone();
    model.open_forward_as(&redis, true, &mut out);
    let effects = claimed(&mut model, vec![open("gone", 1, false), open("redis", 6_379, true)]);
    assert!(!is_asked(&model));
    assert_eq!(remembered(&effects), Some(vec![open("redis", 0, true)]));

    let mut model = started(Restore::Never);
    let effects = claimed(&mut model, vec![open("mysql", 40_001, true)]);
    assert!(!is_asked(&model) && opened(&effects).is_empty());
    assert_eq!(remembered(&effects), Some(Vec::new()));
    crate::tests::demand::select(&mut model, "mysql");
    assert_eq!(remembered(&press(&mut model, Command::Forward)), None);
}

#[test]
fn before_the_targets_are_known_nothing_is_taken_over() {
    let mut model = Model::new(noon(), ME);
    model.instances.set_own_name(Some(OWN.to_owned()));
    assert!(model.update(Event::Instance(InstanceEvent::Known)).is_empty());
    model.update(Event::Store(StoreEvent::Broken(Fault::new(What::ConfigBroken, "/c:1:1", ""))));
    assert!(model.update(Event::Contexts(Ok(vec![context("dev")]))).is_empty());
    let loaded = Loaded { targets: vec![target("mysql", "dev")], path: "/c".to_owned(), ..Loaded::default() };
    let effects = model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    assert!(any!(effects, Effect::Store(StoreEffect::ClaimOpen { .. })));
}

#[test]
fn an_offer_that_was_refused_is_taken_up_by_undo() {
    let mut model = started(Restore::Ask);
    claimed(&mut model, vec![open("mysql", 40_001, true)]);
    assert!(is_asked(&model));
    press(&mut model, Command::Cancel);
    assert!(model.screen.dialogs.is_empty());
    let effects = press(&mut model, Command::Undo);
    assert_eq!(opened(&effects), [("mysql".to_owned(), 40_001, true, true)]);
}
