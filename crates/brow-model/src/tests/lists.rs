//! Panes: filters, sorting, marks, the log.

use crate::language::log::{Level, Message};
use crate::screen::list::TargetColumn;
use crate::tests::*;

fn type_in(model: &mut Model, text: &str) {
    model.update(Event::Act(Action::Type(Typed::Paste(text.to_owned()))));
}

#[test]
fn keys_that_come_faster_than_frames_act_on_what_the_ones_before_left() {
    let mut model = model();
    assert_ne!(model.screen.targets.selected().map(String::as_str), Some("mysql"), "the test would show nothing");
    for action in [
        Action::Do(Command::Filter),
        Action::Type(Typed::Paste("mysql".to_owned())),
        Action::Do(Command::Accept),
        Action::Do(Command::Delete),
        Action::Do(Command::Right),
        Action::Do(Command::Accept),
    ] {
        model.update(Event::Act(action));
    }
    assert!(model.targets.all().iter().all(|target| target.name != "mysql"));
    assert_eq!(model.targets.all().len(), 2);
}

#[test]
fn a_filter_is_fuzzy_and_ends_with_enter_or_goes_with_escape() {
    let mut model = model();
    press(&mut model, Command::Filter);
    type_in(&mut model, "msql");
    assert_eq!(model.screen.targets.rows(), ["mysql"]);
    press(&mut model, Command::Accept);
    assert!(!model.filtering());
    assert_eq!((model.screen.targets.rows().len(), model.screen.targets.total()), (1, 3));
    press(&mut model, Command::Cancel);
    assert_eq!(model.screen.targets.rows().len(), 3);
    press(&mut model, Command::Filter);
    type_in(&mut model, "zzz");
    assert!(model.screen.targets.rows().is_empty());
    press(&mut model, Command::Cancel);
    assert_eq!(model.screen.targets.rows().len(), 3);
}

#[test]
fn while_a_filter_is_typed_the_best_row_is_selected() {
    let mut model = model();
    *model.targets.all_mut() = ["a-shutdown", "b-down", "down", "unrelated"].map(|name| target(name, "dev")).to_vec();
    press(&mut model, Command::Top);
    press(&mut model, Command::Filter);
    type_in(&mut model, "down");
    assert_eq!(model.screen.targets.rows(), ["a-shutdown", "b-down", "down"], "the order is that of sorting");
    assert_eq!(model.screen.targets.selected().map(String::as_str), Some("down"), "its name is exactly that");
    press(&mut model, Command::Accept);
    press(&mut model, Command::Cancel);
    assert_eq!(model.screen.targets.selected().map(String::as_str), Some("down"), "it stays when all are shown again");
}

#[test]
fn a_selection_made_after_typing_is_left_alone() {
    let mut model = model();
    *model.targets.all_mut() = ["a-down", "down"].map(|name| target(name, "dev")).to_vec();
    press(&mut model, Command::Filter);
    type_in(&mut model, "down");
    let first = model.screen.targets.cursor();
    press(&mut model, if first == 0 { Command::Down } else { Command::Up });
    let chosen = model.screen.targets.selected().cloned();
    model.screen.unarranged = true;
    model.arrange();
    assert_eq!(model.screen.targets.selected().cloned(), chosen);
}

#[test]
fn rows_are_sorted_by_what_is_shown() {
    let mut model = model();
    model.screen.targets.column = TargetColumn::Port;
    model.targets.all_mut()[0].local_port = 6000;
    model.targets.ports_mut().insert("redis".to_owned(), 5000);
    model.screen.unarranged = true;
    model.arrange();
    assert_eq!(model.screen.targets.rows(), ["far", "redis", "mysql"], "any port, the remembered one, its own");
    model.screen.targets.column = TargetColumn::Namespace;
    model.targets.all_mut()[0].namespace = Some("abc".to_owned());
    model.targets.all_mut()[1].namespace = Some("xyz".to_owned());
    model.screen.unarranged = true;
    model.arrange();
    assert_eq!(model.screen.targets.rows(), ["mysql", "far", "redis"], "the context's namespace is between them");
}

#[test]
fn pods_are_sorted_by_the_phase_that_is_shown() {
    let mut model = connected();
    let effects = press(&mut model, Command::Create);
    let request = requests(&effects).remove(0);
    let pods: Vec<_> = (1..4).map(|number| ready(&pod(&request, number, Phase::Ready))).collect();
    for pod in &pods {
        applied(&mut model, pod.clone());
    }
    model.screen.pods.column = crate::screen::list::PodColumn::Phase;
    model.pods.mark_deleting(pods[0].key.clone());
    model.screen.unarranged = true;
    model.arrange();
    assert_eq!(model.screen.pods.rows().last(), Some(&pods[0].key), "it is terminating");
}

#[test]
fn filters_know_other_scripts() {
    let mut model = model();
    model.targets.all_mut().push(target("生产数据库", "dev"));
    press(&mut model, Command::Filter);
    type_in(&mut model, "数据");
    assert_eq!(model.screen.targets.rows(), ["生产数据库"]);
}

#[test]
fn every_column_sorts_both_ways() {
    let mut model = model();
    for (at, column) in TargetColumn::ALL.iter().enumerate() {
        model.update(Event::Act(Action::ClickColumn { pane: Pane::Targets, column: at }));
        model.arrange();
        assert_eq!(model.screen.targets.column, *column);
        let up = model.screen.targets.rows().to_vec();
        assert_eq!(up.len(), 3);
        let before = model.screen.targets.descending;
        press(&mut model, Command::SortReverse);
        assert_ne!(model.screen.targets.descending, before);
        let down: Vec<_> = model.screen.targets.rows().iter().rev().cloned().collect();
        assert_eq!(up, down, "{column:?}");
    }
}

#[test]
fn keys_reach_every_pane_and_stop_at_the_ends() {
    let mut model = model();
    for pane in [Pane::Pods, Pane::Forwards, Pane::Clusters, Pane::Targets] {
        press(&mut model, Command::Next);
        assert_eq!(model.screen.focus.pane, pane);
    }
    press(&mut model, Command::Bottom);
    assert_eq!(model.screen.targets.cursor(), 2);
    press(&mut model, Command::Down);
    assert_eq!(model.screen.targets.cursor(), 2);
    press(&mut model, Command::Top);
    press(&mut model, Command::PageUp);
    assert_eq!(model.screen.targets.cursor(), 0);
    model.screen.focus.pane = Pane::Pods;
    for command in Command::ALL.iter().filter(|c| !matches!(c, Command::Quit | Command::QuitNow)) {
        model.screen.dialogs.clear();
        press(&mut model, *command);
    }
}

#[test]
fn a_reader_of_the_log_is_not_moved_by_what_happens() {
    let mut model = model();
    for _ in 0..10 {
        press(&mut model, Command::Clean);
    }
    press(&mut model, Command::ToggleLog);
    press(&mut model, Command::Up);
    press(&mut model, Command::Up);
    assert_eq!(model.screen.log.back, 2);
    let seen = model.screen.log.shown().count();
    model.fail(Fault::new(What::Server, "x", "y"));
    assert_eq!((model.screen.log.back, model.screen.log.shown().count()), (3, seen));
    press(&mut model, Command::Filter);
    type_in(&mut model, "x");
    assert_eq!(model.screen.log.shown().count(), 1);
}

#[test]
fn in_the_log_one_goes_through_what_passes_the_filter_and_copies_what_is_selected() {
    let mut model = model();
    for name in ["a", "ready", "b", "ready"] {
        model.note(Level::Info, Message::PodReady, name, "");
    }
    model.screen.log.word(|entry| format!("Pod {} is fine", entry.thing));
    let selected = |model: &Model| model.screen.log.shown().next_back().unwrap().thing.clone();
    let copied = |effects: &[Effect]| match effects {
        [Effect::Terminal(TerminalEffect::Copy(Clip::Entries(entries)))] => {
            entries.iter().map(|entry| entry.thing.clone()).collect::<Vec<_>>().join(" ")
        }
        effects => panic!("{effects:?}"),
    };
    press(&mut model, Command::ToggleLog);
    press(&mut model, Command::Filter);
    type_in(&mut model, "POD A is");
    assert_eq!(model.screen.log.shown().count(), 1, "the text that is read is searched");
    press(&mut model, Command::Cancel);
    press(&mut model, Command::Filter);
    type_in(&mut model, "is fine");
    press(&mut model, Command::Accept);
    assert_eq!(selected(&model), "ready");
    press(&mut model, Command::Up);
    assert_eq!((selected(&model), model.screen.log.newer().count()), ("b".to_owned(), 1));
    assert_eq!(copied(&press(&mut model, Command::Copy)), "b");
    assert_eq!(copied(&press(&mut model, Command::CopyAll)), "a ready b");
    press(&mut model, Command::Top);
    press(&mut model, Command::Up);
    assert_eq!(selected(&model), "a");
    press(&mut model, Command::Bottom);
    assert_eq!((selected(&model), model.screen.log.back), ("ready".to_owned(), 0));
    model.screen.log.unword();
    assert_eq!(model.screen.log.shown().count(), 0, "until it is written in another language");
}

#[test]
fn a_double_click_is_the_main_action() {
    let mut model = connected();
    let click = |row, double| Event::Act(Action::Click { pane: Pane::Targets, row: Some(row), double });
    model.update(click(1, false));
    assert_eq!(model.screen.targets.selected().map(String::as_str), Some("mysql"));
    let effects = model.update(click(1, true));
    assert!(any!(effects, Effect::Forward(ForwardEffect::Open { .. })));
    model.update(Event::Act(Action::Click { pane: Pane::Pods, row: Some(99), double: true }));
}

#[test]
fn rows_in_trouble_are_marked_and_no_others() {
    let mut model = model();
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::Mark);
    let fault = Fault::new(What::Unreachable, "prod", "");
    model.clusters.all_mut().iter_mut().find(|cluster| cluster.name == "prod").unwrap().fault = Some(fault);
    press(&mut model, Command::MarkTrouble);
    assert_eq!(model.screen.clusters.chosen(), ["prod"]);
    model.screen.focus.pane = Pane::Targets;
    press(&mut model, Command::MarkTrouble);
    assert!(model.screen.targets.marks.iter().all(|name| name == "far"), "{:?}", model.screen.targets.marks);
    for cluster in model.clusters.all_mut() {
        cluster.fault = None;
    }
    for pane in Pane::ALL {
        model.screen.focus.pane = pane;
        press(&mut model, Command::MarkAll);
        press(&mut model, Command::MarkTrouble);
        assert!(!model.list_status().marked, "{pane:?}");
    }
}
