//! The next key: what is taught, in which order, and when it has been learned.

use std::collections::BTreeSet;

use crate::screen::first_run::Tip;
use crate::tests::*;

fn learned(effects: &[Effect]) -> Vec<Tip> {
    let tip = |effect: &Effect| if let Effect::Store(StoreEffect::Learned(tip)) = effect { Some(*tip) } else { None };
    effects.iter().filter_map(tip).collect()
}

#[test]
fn a_key_is_taught_until_it_was_used_where_it_is_of_use() {
    let mut model = connected();
    model.screen.learned = Some(BTreeSet::new());
    assert_eq!(model.tip(), Some(Tip::Connect));
    // In another pane Enter means something else.
    model.screen.focus.pane = Pane::Pods;
    assert_eq!(learned(&press(&mut model, Command::Connect)), []);
    model.screen.focus.pane = Pane::Targets;
    assert_eq!(learned(&press(&mut model, Command::Connect)), [Tip::Connect]);
    assert_eq!(learned(&press(&mut model, Command::Connect)), [], "remembered once");
    assert_eq!(model.tip(), Some(Tip::Mark), "no forward is live yet");
    assert_eq!(learned(&press(&mut model, Command::Copy)), [], "there was nothing to copy");
    model.screen.focus.pane = Pane::Targets;
    assert_eq!(learned(&press(&mut model, Command::Mark)), [Tip::Mark]);
    assert_eq!(model.tip(), Some(Tip::Help));
    assert_eq!(learned(&press(&mut model, Command::Help)), [Tip::Help]);
    press(&mut model, Command::Cancel);
    assert_eq!(model.tip(), None);
    model.fail(Fault::new(What::Quota, "mysql", ""));
    assert_eq!(model.tip(), Some(Tip::Log));
}

#[test]
fn nothing_is_taught_where_it_is_not_wished_for_or_something_else_has_the_keys() {
    let mut model = model();
    model.screen.learned = Some(BTreeSet::new());
    assert!(model.tip().is_some());
    press(&mut model, Command::Help);
    assert_eq!(model.tip(), None);
    press(&mut model, Command::Cancel);
    press(&mut model, Command::Filter);
    assert_eq!(model.tip(), None);
    press(&mut model, Command::Cancel);
    assert!(model.tip().is_some());
    model.config.settings_mut().tips = false;
    assert_eq!(model.tip(), None);
    assert_eq!(Model::new(noon(), ME).tip(), None, "before it is known what was learned");
    let all: BTreeSet<String> = Tip::ALL.iter().map(|tip| tip.name().to_owned()).collect();
    model.config.settings_mut().tips = true;
    model.screen.learned = Some(all);
    assert_eq!(model.tip(), None);
}
