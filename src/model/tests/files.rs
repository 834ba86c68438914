//! The config: read, broken, saved, not saved.

use super::super::dialog::{Dialog, Question};
use super::*;

fn loaded(targets: Vec<Target>) -> Event {
    let path = "/home/ann/.config/brow/config.toml".to_owned();
    Event::Store(StoreEvent::Loaded(Box::new(Loaded { targets, path, exists: true, ..Loaded::default() })))
}

#[test]
fn a_change_on_disk_is_taken_over() {
    let mut model = connected();
    let mut new = target("new", "dev");
    new.namespace = Some("other".into());
    let effects = model.update(loaded(vec![new]));
    model.arrange();
    assert_eq!(model.target_list.order, ["new"]);
    assert!(effects.iter().any(|e| matches!(e, Effect::Widen { cluster, namespaces }
        if cluster == "dev" && namespaces.contains("other") && namespaces.contains("team"))));
}

#[test]
fn a_broken_config_leaves_the_last_good_one() {
    let mut model = model();
    let fault = Fault::new(What::ConfigBroken, "config.toml:3:1", "unknown key");
    model.update(Event::Store(StoreEvent::Broken(fault.clone())));
    assert_eq!((model.targets.len(), &model.config_fault), (3, &Some(fault)));
    model.update(loaded(vec![target("a", "dev")]));
    assert_eq!((model.targets.len(), &model.config_fault), (1, &None));
}

#[test]
fn what_could_not_be_written_is_kept_and_tried_again() {
    let mut model = model();
    press(&mut model, Command::Delete);
    press(&mut model, Command::Right);
    press(&mut model, Command::Accept);
    let fault = Fault::new(What::FileUnwritable, "config.toml", "read-only");
    model.update(Event::Store(StoreEvent::NotSaved(fault)));
    assert_eq!((model.targets.len(), model.unsaved.len()), (2, 1));
    let all = vec![target("mysql", "dev"), target("redis", "dev"), target("far", "prod")];
    let effects = model.update(loaded(all));
    assert!(effects.iter().any(|e| matches!(e, Effect::Save(edits) if edits.len() == 1)));
    assert_eq!((model.targets.len(), model.unsaved.len()), (2, 0));
}

#[test]
fn an_edit_that_the_file_contradicts_is_over() {
    let mut model = model();
    press(&mut model, Command::Delete);
    press(&mut model, Command::Right);
    press(&mut model, Command::Accept);
    let fault = Fault::new(What::EditConflict, "mysql", "it was changed in the file meanwhile");
    model.update(Event::Store(StoreEvent::NotSaved(fault)));
    let all = vec![target("mysql", "dev"), target("redis", "dev"), target("far", "prod")];
    let effects = model.update(loaded(all));
    assert!(!effects.iter().any(|e| matches!(e, Effect::Save(_))), "{effects:?}");
    assert_eq!((model.targets.len(), model.unsaved.len()), (3, 0));
}

#[test]
fn a_config_read_while_an_edit_is_under_way_does_not_undo_it() {
    let mut model = model();
    press(&mut model, Command::Delete);
    press(&mut model, Command::Right);
    press(&mut model, Command::Accept);
    model.update(loaded(vec![target("mysql", "dev"), target("redis", "dev"), target("far", "prod")]));
    assert_eq!(model.targets.len(), 2);
    model.update(Event::Store(StoreEvent::Saved));
    model.update(loaded(vec![target("mysql", "dev"), target("redis", "dev")]));
    assert_eq!(model.targets.len(), 2);
}

#[test]
fn the_older_tools_targets_are_offered_once() {
    let mut model = model();
    let targets = vec![target("mysql", "dev"), target("old", "dev")];
    let legacy = StoreEvent::Legacy { path: "config.json".into(), targets, left_out: vec![] };
    model.update(Event::Store(legacy.clone()));
    assert!(matches!(model.dialogs.last(), Some(Dialog::Confirm { question: Question::Import { .. }, .. })));
    assert_eq!(press(&mut model, Command::Cancel), [Effect::LegacyOffered]);
    model.update(Event::Store(legacy));
    press(&mut model, Command::Right);
    let effects = press(&mut model, Command::Accept);
    assert!(effects.contains(&Effect::LegacyOffered));
    assert_eq!(model.targets.len(), 4, "a taken name is left alone");
}

#[test]
fn a_variable_that_makes_no_sense_is_told_once_and_takes_no_targets_away() {
    let mut model = Model::new(noon(), ME);
    let fault = Fault::new(What::VariableBroken, "BROW_DEFAULT_TTL", "\"0\": zero");
    let load = |model: &mut Model| {
        let targets = vec![target("mysql", "dev")];
        let loaded = Loaded { targets, path: "c".into(), ignored: Some(fault.clone()), ..Loaded::default() };
        model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    };
    load(&mut model);
    assert_eq!(model.targets.len(), 1);
    assert!(matches!(&model.dialogs[..], [Dialog::Fault(told)] if *told == fault));
    press(&mut model, Command::Cancel);
    load(&mut model);
    assert!(model.dialogs.is_empty(), "it was told");
}
