//! The next key: what is taught, in which order, and when it has been learned.

use std::collections::BTreeSet;

use crate::screen::lesson::Lesson;
use crate::tests::*;

fn learned(effects: &[Effect]) -> Vec<Lesson> {
    let lesson = |effect: &Effect| if let Effect::Learned(lesson) = effect { Some(*lesson) } else { None };
    effects.iter().filter_map(lesson).collect()
}

#[test]
fn a_key_is_taught_until_it_was_used_where_it_is_of_use() {
    let mut model = connected();
    model.screen.learned = Some(BTreeSet::new());
    assert_eq!(model.lesson(), Some(Lesson::Connect));
    // In another pane Enter means something else.
    model.screen.focus.pane = Pane::Pods;
    assert_eq!(learned(&press(&mut model, Command::Connect)), []);
    model.screen.focus.pane = Pane::Targets;
    assert_eq!(learned(&press(&mut model, Command::Connect)), [Lesson::Connect]);
    assert_eq!(learned(&press(&mut model, Command::Connect)), [], "remembered once");
    assert_eq!(model.lesson(), Some(Lesson::Mark), "no forward is live yet");
    assert_eq!(learned(&press(&mut model, Command::Copy)), [], "there was nothing to copy");
    model.screen.focus.pane = Pane::Targets;
    assert_eq!(learned(&press(&mut model, Command::Mark)), [Lesson::Mark]);
    assert_eq!(model.lesson(), Some(Lesson::Help));
    assert_eq!(learned(&press(&mut model, Command::Help)), [Lesson::Help]);
    press(&mut model, Command::Cancel);
    assert_eq!(model.lesson(), None);
    model.fail(Fault::new(What::Quota, "mysql", ""));
    assert_eq!(model.lesson(), Some(Lesson::Log));
}

#[test]
fn nothing_is_taught_where_it_is_not_wished_for_or_something_else_has_the_keys() {
    let mut model = model();
    model.screen.learned = Some(BTreeSet::new());
    assert!(model.lesson().is_some());
    press(&mut model, Command::Help);
    assert_eq!(model.lesson(), None);
    press(&mut model, Command::Cancel);
    press(&mut model, Command::Filter);
    assert_eq!(model.lesson(), None);
    press(&mut model, Command::Cancel);
    assert!(model.lesson().is_some());
    model.config.settings.tips = false;
    assert_eq!(model.lesson(), None);
    assert_eq!(Model::new(noon(), ME).lesson(), None, "before it is known what was learned");
    let all: BTreeSet<String> = Lesson::ALL.iter().map(|lesson| lesson.name().to_owned()).collect();
    model.config.settings.tips = true;
    model.screen.learned = Some(all);
    assert_eq!(model.lesson(), None);
}
