//! Keys that mean the same in every pane: connect and disconnect, stop, renew, copy.

use crate::language::command::Section;
use crate::language::log::Message;
use crate::screen::dialog::Dialog;
use crate::tests::demand::select;
use crate::tests::renew::forwarded;
use crate::tests::*;

fn last(model: &Model) -> Message {
    model.screen.log.entries.back().unwrap().message.clone()
}

fn closes(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Forward(ForwardEffect::Close { .. }))).count()
}

#[test]
fn enter_connects_what_is_not_and_disconnects_what_is_in_every_pane() {
    for pane in [Pane::Targets, Pane::Pods, Pane::Forwards] {
        let (mut model, pod) = forwarded();
        model.screen.focus.pane = pane;
        assert!(model.disconnects(), "{pane:?}");
        let effects = press(&mut model, Command::Connect);
        assert_eq!((closes(&effects), model.forwards.all().len()), (1, 0), "{pane:?}");
        assert_eq!(model.screen.focus.pane, pane, "the focus stays");
        assert!(!model.disconnects() && model.pods.all().contains_key(&pod.key), "the pod stays: {pane:?}");
    }
    let mut model = connected();
    model.screen.focus.pane = Pane::Clusters;
    assert!(model.disconnects());
    press(&mut model, Command::ConnectCluster);
    assert_eq!(model.cluster("dev").unwrap().link, Link::Idle);
    press(&mut model, Command::ConnectCluster);
    assert_eq!(model.cluster("dev").unwrap().link, Link::Connecting);
}

#[test]
fn of_several_those_that_are_not_connected_are() {
    let (mut model, _) = forwarded();
    model.screen.focus.pane = Pane::Targets;
    press(&mut model, Command::MarkAll);
    assert!(!model.disconnects());
    let effects = press(&mut model, Command::Connect);
    assert_eq!((closes(&effects), model.forwards.all().len()), (0, 3));
    assert!(model.screen.targets.marks.is_empty());
    press(&mut model, Command::MarkAll);
    assert_eq!(closes(&press(&mut model, Command::Connect)), 3);
}

#[test]
fn what_is_broken_is_connected_again() {
    let (mut model, pod) = forwarded();
    applied(&mut model, ProxyPod { phase: Phase::Terminating, ..pod });
    for pane in [Pane::Targets, Pane::Forwards] {
        model.screen.focus.pane = pane;
        assert!(!model.disconnects(), "{pane:?}");
    }
    assert_eq!(requests(&press(&mut model, Command::Connect)).len(), 1);
}

#[test]
fn one_key_stops_forwards_in_every_pane_and_deletes_nothing() {
    for pane in [Pane::Targets, Pane::Pods, Pane::Forwards] {
        let (mut model, _) = forwarded();
        model.screen.focus.pane = pane;
        assert_eq!(closes(&press(&mut model, Command::Stop)), 1, "{pane:?}");
        assert_eq!(last(&model), Message::ForwardClosed);
        press(&mut model, Command::Stop);
        assert!(matches!(last(&model), Message::NotForwarded | Message::NothingSelected), "{pane:?}");
        assert!(model.screen.dialogs.is_empty() && model.targets.all().len() == 3);
    }
}

#[test]
fn a_pod_is_renewed_from_its_target_and_its_forward_too() {
    for pane in [Pane::Targets, Pane::Pods, Pane::Forwards] {
        let (mut model, _) = forwarded();
        model.screen.focus.pane = pane;
        assert!(model.is_enabled(Command::Renew), "{pane:?}");
        assert_eq!(requests(&press(&mut model, Command::Renew)).len(), 1, "{pane:?}");
    }
    let mut model = connected();
    select(&mut model, "redis");
    assert!(!model.is_enabled(Command::Renew));
    assert!(press(&mut model, Command::Renew).is_empty());
    assert_eq!(last(&model), Message::NotRenewable);
}

#[test]
fn names_are_copied_where_there_is_no_address() {
    let (mut model, pod) = forwarded();
    for (pane, text) in [
        (Pane::Pods, pod.key.name.as_str()),
        (Pane::Clusters, "dev"),
        (Pane::Targets, "127.0.0.1:40001"),
        (Pane::Forwards, "127.0.0.1:40001"),
    ] {
        model.screen.focus.pane = pane;
        let copy = Effect::Terminal(TerminalEffect::Copy(Clip::Text(text.to_owned())));
        assert_eq!(press(&mut model, Command::Copy), [copy], "{pane:?}");
    }
}

#[test]
fn a_key_of_other_panes_says_which() {
    let mut model = connected();
    model.update(Event::Act(Action::Misplaced(Command::KillNow)));
    assert_eq!(last(&model), Message::NotHere { command: Command::KillNow, places: vec![Section::Pods] });
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::Renew);
    let places = vec![Section::Targets, Section::Pods, Section::Forwards];
    assert_eq!(last(&model), Message::NotHere { command: Command::Renew, places });
}

#[test]
fn only_what_was_taken_is_said_to_be_copied() {
    let mut model = connected();
    let clipped = |text: &str, taken| Event::Clipped { clip: Clip::Text(text.into()), text: text.into(), taken };
    model.update(clipped("127.0.0.1:1\n127.0.0.1:2", true));
    let entry = model.screen.log.entries.back().unwrap();
    assert_eq!((&entry.message, entry.thing.as_str()), (&Message::Copied, "127.0.0.1:1, 127.0.0.1:2"));
    model.update(clipped("127.0.0.1:1", false));
    assert_eq!(last(&model), Message::NotCopied);
    let text = "one\ntwo".to_owned();
    model.update(clipped(&text, false));
    assert_eq!(last(&model), Message::NotCopied, "the dialog says it");
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::NotCopied { text: shown, .. }) if *shown == text));
    press(&mut model, Command::Cancel);
    assert!(model.screen.dialogs.is_empty());
}

#[test]
fn where_nothing_is_selected_each_key_for_a_row_says_so_and_does_nothing() {
    for pane in Pane::ALL {
        for command in Command::ALL {
            let mut model = Model::new(noon(), "me@here".to_owned());
            model.screen.focus.pane = pane;
            model.arrange();
            let refused = model.refusal(*command).is_some_and(|entry| entry.message == Message::NothingSelected);
            if refused && *command != Command::Filter {
                assert!(press(&mut model, *command).is_empty(), "{pane:?} {command:?}");
                assert_eq!(last(&model), Message::NothingSelected, "{pane:?} {command:?}");
            }
        }
    }
}
