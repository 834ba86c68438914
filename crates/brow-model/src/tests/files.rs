//! The config: read, broken, saved, not saved.

use crate::language::effect::TargetEdit;
use crate::screen::dialog::Dialog;
use crate::screen::dialog::Question;
use crate::tests::*;

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
    assert_eq!(model.screen.targets.rows(), ["new"]);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::Widen { cluster, namespaces })
            if cluster == "dev" && namespaces.contains("other") && namespaces.contains("team")));
}

#[test]
fn a_broken_config_leaves_the_last_good_one() {
    let mut model = model();
    let fault = Fault::new(What::ConfigBroken, "config.toml:3:1", "unknown key");
    model.update(Event::Store(StoreEvent::Broken(fault.clone())));
    assert_eq!((model.targets.all().len(), model.config.fault()), (3, Some(&fault)));
    model.update(loaded(vec![target("a", "dev")]));
    assert_eq!((model.targets.all().len(), model.config.fault()), (1, None));
}

#[test]
fn what_could_not_be_written_is_kept_and_tried_again() {
    let mut model = model();
    press(&mut model, Command::Delete);
    press(&mut model, Command::Right);
    press(&mut model, Command::Accept);
    let fault = Fault::new(What::FileUnwritable, "config.toml", "read-only");
    model.update(Event::Store(StoreEvent::NotSaved(fault)));
    assert_eq!((model.targets.all().len(), model.targets.unsaved().len()), (2, 1));
    let all = vec![target("mysql", "dev"), target("redis", "dev"), target("far", "prod")];
    let effects = model.update(loaded(all));
    assert!(any!(effects, Effect::Store(StoreEffect::Save(edits)) if edits.len() == 1));
    assert_eq!((model.targets.all().len(), model.targets.unsaved().len()), (2, 0));
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
    assert!(!any!(effects, Effect::Store(StoreEffect::Save(_))), "{effects:?}");
    assert_eq!((model.targets.all().len(), model.targets.unsaved().len()), (3, 0));
}

#[test]
fn a_config_read_while_an_edit_is_under_way_does_not_undo_it() {
    let mut model = model();
    press(&mut model, Command::Delete);
    press(&mut model, Command::Right);
    press(&mut model, Command::Accept);
    model.update(loaded(vec![target("mysql", "dev"), target("redis", "dev"), target("far", "prod")]));
    assert_eq!(model.targets.all().len(), 2);
    model.update(Event::Store(StoreEvent::Saved));
    model.update(loaded(vec![target("mysql", "dev"), target("redis", "dev")]));
    assert_eq!(model.targets.all().len(), 2);
}

#[test]
fn the_older_tools_targets_are_offered_once() {
    let mut model = model();
    let targets = vec![target("mysql", "dev"), target("old", "dev")];
    let legacy = StoreEvent::Legacy { path: "config.json".into(), targets, left_out: vec![] };
    model.update(Event::Store(legacy.clone()));
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Confirm { question: Question::Import { .. }, .. })));
    assert_eq!(press(&mut model, Command::Cancel), [Effect::Store(StoreEffect::LegacyOffered)]);
    model.update(Event::Store(legacy));
    press(&mut model, Command::Right);
    let effects = press(&mut model, Command::Accept);
    assert!(effects.contains(&Effect::Store(StoreEffect::LegacyOffered)));
    assert_eq!(model.targets.all().len(), 4, "a taken name is left alone");
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
    assert_eq!(model.targets.all().len(), 1);
    assert!(matches!(&model.screen.dialogs[..], [Dialog::Fault(told)] if *told == fault));
    press(&mut model, Command::Cancel);
    load(&mut model);
    assert!(model.screen.dialogs.is_empty(), "it was told");
}

/// Action, thing and fault of the audit lines among effects.
fn audited(effects: &[Effect]) -> Vec<(&str, &str, Option<What>)> {
    let lines = effects.iter().filter_map(|effect| match effect {
        Effect::Store(StoreEffect::Audit(entry)) => Some((entry.action, entry.thing.as_str(), entry.fault)),
        _ => None,
    });
    lines.collect()
}

#[test]
fn each_change_of_a_target_is_audited_by_its_name_and_with_its_outcome() {
    let edit = |was: &str, now: &str| TargetEdit::Replace {
        was: Box::new(target(was, "dev")),
        target: Target { local_port: 5, ..target(now, "dev") },
    };
    let edits = [
        (TargetEdit::Add(target("a", "dev")), "add-target", "a"),
        (TargetEdit::Import(target("b", "dev")), "import-targets", "b"),
        (edit("mysql", "mysql"), "edit-target", "mysql"),
        (edit("redis", "cache"), "rename-target", "redis -> cache"),
        (TargetEdit::Remove(target("a", "dev")), "delete-target", "a"),
        (TargetEdit::Restore(target("a", "dev")), "restore-target", "a"),
    ];
    for (edit, action, thing) in edits {
        for fault in [None, Some(What::FileUnwritable), Some(What::NameTaken)] {
            let mut model = model();
            let mut out = Vec::new();
            model.save(vec![edit.clone()], &mut out);
            assert_eq!(audited(&out), [], "not before it is known");
            let answer = match fault {
                None => StoreEvent::Saved,
                Some(what) => StoreEvent::NotSaved(Fault::new(what, "config.toml", "")),
            };
            let effects = model.update(Event::Store(answer));
            assert_eq!(audited(&effects), [(action, thing, fault)]);
        }
    }
    // Of several only the one that is refused was not made.
    let mut model = model();
    let all = ["x", "y"].map(|name| TargetEdit::Add(target(name, "dev")));
    model.save(all.to_vec(), &mut Vec::new());
    let effects = model.update(Event::Store(StoreEvent::NotSaved(Fault::new(What::NameTaken, "y", ""))));
    assert_eq!(audited(&effects), [("add-target", "x", None), ("add-target", "y", Some(What::NameTaken))]);
}

#[test]
fn connections_and_restarts_are_audited() {
    let mut model = model();
    model.screen.focus.pane = Pane::Clusters;
    assert_eq!(audited(&press(&mut model, Command::ConnectCluster)), [], "not before it is known");
    let effects = on_dev(&mut model, answered());
    assert_eq!(audited(&effects), [("connect-cluster", "dev", None)]);
    assert_eq!(audited(&on_dev(&mut model, answered())), [], "a probe is no connection");
    let effects = press(&mut model, Command::DisconnectCluster);
    assert_eq!(audited(&effects), [("disconnect-cluster", "dev", None)]);
    press(&mut model, Command::ConnectCluster);
    let failed = || ClusterEvent::Failed { link: Link::Unreachable, fault: Fault::new(What::TimedOut, "dev", "") };
    let effects = on_dev(&mut model, failed());
    assert_eq!(audited(&effects), [("connect-cluster", "dev", Some(What::TimedOut))]);
    assert_eq!(audited(&on_dev(&mut model, failed())), []);

    model.screen.focus.pane = Pane::Targets;
    press(&mut model, Command::Forward);
    let id = *model.forwards.all().keys().next().unwrap();
    let mut out = Vec::new();
    model.restart_forward(id, None, &mut out);
    let name = model.forwards.all()[&id].spec.target.clone();
    assert_eq!(audited(&out)[0], ("restart-forward", name.as_str(), None));
}

#[test]
fn nothing_is_kept_of_targets_that_are_gone() {
    let refusal = |model: &mut Model| {
        model.targets.refuse("mysql", Fault::new(What::Quota, "mysql", ""));
    };
    let mut model = model();
    refusal(&mut model);
    // Away from the file: two it could be called now, so it is neither.
    let others = vec![target("redis", "dev"), target("a", "dev"), target("b", "dev"), target("distant", "prod")];
    let effects = model.update(loaded(others));
    let far = TargetEdit::Replace { was: Box::new(target("far", "prod")), target: target("distant", "prod") };
    let followed = Effect::Store(StoreEffect::Follow(vec![TargetEdit::Remove(target("mysql", "dev")), far]));
    assert!(effects.contains(&followed), "{effects:?}");
    assert!(model.targets.refusal("mysql").is_none() && model.targets.refusal("a").is_none());

    let mut model = self::model();
    refusal(&mut model);
    model.apply(&TargetEdit::Remove(target("mysql", "dev")));
    assert!(model.targets.refusal("mysql").is_none() && model.targets.refusal("a").is_none());
}
