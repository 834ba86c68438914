//! Forms and questions.

use tui_input::InputRequest;

use super::super::dialog::Question;
use super::super::dialog::{Dialog, FormField, TargetForm};
use super::super::effect::TargetEdit;
use super::*;

fn form(model: &Model) -> &TargetForm {
    match model.dialogs.last() {
        Some(Dialog::TargetForm(form)) => form,
        other => panic!("{other:?}"),
    }
}

fn fill(model: &mut Model, field: FormField, text: &str) {
    let at = FormField::ALL.iter().position(|f| *f == field).unwrap();
    model.update(Event::Act(Action::ClickItem(at)));
    model.update(Event::Act(Action::Edit(InputRequest::DeleteLine)));
    model.update(Event::Act(Action::Paste(text.to_owned())));
}

fn error(model: &Model, field: FormField) -> Option<&'static str> {
    let at = FormField::ALL.iter().position(|f| *f == field).unwrap();
    form(model).fields[at].error
}

#[test]
fn fields_are_checked_as_one_types() {
    let mut model = model();
    press(&mut model, Command::New);
    for (field, text, wrong) in [
        (FormField::Name, "mysql", Some("name-taken")),
        (FormField::Name, "", None),
        (FormField::Cluster, "nowhere", Some("unknown-context")),
        (FormField::Cluster, "dev", None),
        (FormField::Namespace, "Team", Some("namespace")),
        (FormField::Namespace, "team-2", None),
        (FormField::Address, "a;b:1", Some("address-host")),
        (FormField::Address, "host", Some("address-port")),
        (FormField::Address, "::1:1", Some("address-brackets")),
        (FormField::Address, "[::1]:1", None),
        (FormField::Address, "service/web", Some("workload-port")),
        (FormField::Address, "servise/web:80", Some("workload-kind")),
        (FormField::Address, "svc/web:http", None),
        (FormField::LocalPort, "65536", Some("port")),
        (FormField::LocalPort, "+1", Some("port")),
        (FormField::LocalPort, "0", None),
        (FormField::Ttl, "0m", Some("ttl-zero")),
        (FormField::Ttl, "-1m", Some("ttl-negative")),
        (FormField::Ttl, "10", Some("ttl-form")),
        (FormField::Ttl, "48h", Some("ttl-ceiling")),
        (FormField::Ttl, "", None),
    ] {
        fill(&mut model, field, text);
        assert_eq!(error(&model, field), wrong, "{field:?} {text}");
    }
    press(&mut model, Command::Accept);
    assert_eq!(error(&model, FormField::Name), Some("required"), "an empty field is wrong once one submits");
    assert_eq!(form(&model).active(), FormField::Name);
}

#[test]
fn a_new_target_is_saved_and_selected() {
    let mut model = model();
    model.focus.pane = Pane::Pods;
    press(&mut model, Command::New);
    assert_eq!(form(&model).text(FormField::Cluster), "dev", "the current context is a good guess");
    for (field, text) in [
        (FormField::Name, "缓存 redis\n"),
        (FormField::Address, "redis.corp:6379"),
        (FormField::LocalPort, "6379"),
        (FormField::Ttl, "2h"),
        (FormField::Tags, "db, cache db，慢"),
    ] {
        fill(&mut model, field, text);
    }
    let effects = press(&mut model, Command::Accept);
    assert_eq!(model.focus.pane, Pane::Targets, "whoever makes a target goes on with it");
    let Some(Effect::Save(edits)) = effects.iter().find(|e| matches!(e, Effect::Save(_))) else {
        panic!("{effects:?}")
    };
    let [TargetEdit::Add(target)] = &edits[..] else { panic!("{edits:?}") };
    assert_eq!((target.name.as_str(), target.local_port), ("缓存 redis", 6379));
    assert_eq!(target.tags, ["db", "cache", "慢"]);
    assert_eq!(model.target_list.selected(), Some(&target.name));
}

#[test]
fn editing_keeps_what_the_form_does_not_show() {
    let mut model = model();
    model.targets[0].pod.image = Some("mine".into());
    model.target_list.select(1);
    press(&mut model, Command::Edit);
    fill(&mut model, FormField::Address, "10.0.0.2:1");
    let effects = press(&mut model, Command::Accept);
    assert!(effects.iter().any(|e| matches!(e, Effect::Save(edits)
        if matches!(&edits[..], [TargetEdit::Replace { was, target }]
            if was.name == "mysql" && target.pod.image.as_deref() == Some("mine")))));
    press(&mut model, Command::Duplicate);
    assert_eq!(form(&model).text(FormField::Name), "mysql-2");
}

#[test]
fn renaming_takes_open_forwards_along() {
    let mut model = connected();
    model.target_list.select(1);
    press(&mut model, Command::Forward);
    model.focus.pane = Pane::Targets;
    press(&mut model, Command::Rename);
    model.update(Event::Act(Action::Edit(InputRequest::DeleteLine)));
    model.update(Event::Act(Action::Paste("redis".into())));
    assert!(press(&mut model, Command::Accept).is_empty(), "taken");
    model.update(Event::Act(Action::Paste("-new".into())));
    press(&mut model, Command::Accept);
    assert!(model.target("redis-new").is_some() && model.target("mysql").is_none());
    assert_eq!(model.forwards_of("redis-new").count(), 1);
}

#[test]
fn a_deletion_can_be_undone() {
    let mut model = model();
    press(&mut model, Command::MarkAll);
    press(&mut model, Command::Delete);
    press(&mut model, Command::Right);
    let effects = press(&mut model, Command::Accept);
    assert!(effects.iter().any(|e| matches!(e, Effect::Save(edits) if edits.len() == 3)));
    assert!(model.targets.is_empty());
    press(&mut model, Command::Undo);
    assert_eq!(model.targets.len(), 3);
    press(&mut model, Command::Undo);
    assert_eq!(model.log.entries.back().unwrap().what, super::super::log::Happening::NothingToUndo);
}

#[test]
fn the_context_field_goes_through_what_is_known() {
    let mut model = model();
    press(&mut model, Command::New);
    model.update(Event::Act(Action::ClickItem(1)));
    press(&mut model, Command::Down);
    assert_eq!(form(&model).text(FormField::Cluster), "prod");
    press(&mut model, Command::Down);
    assert_eq!(form(&model).text(FormField::Cluster), "dev");
    press(&mut model, Command::Next);
    assert_eq!(form(&model).active(), FormField::Namespace);
    press(&mut model, Command::Previous);
    press(&mut model, Command::Previous);
    press(&mut model, Command::Previous);
    assert_eq!(form(&model).active(), FormField::Tags);
}

#[test]
fn wrong_keys_in_dialogs_do_nothing() {
    for open in [Command::New, Command::Rename, Command::CreateWithTtl, Command::Delete, Command::Help] {
        let mut model = model();
        press(&mut model, open);
        let depth = model.dialogs.len();
        assert_eq!(depth, 1, "{open:?}");
        for wrong in [Command::Create, Command::Zoom, Command::Kill, Command::Undo, Command::Sort] {
            assert!(press(&mut model, wrong).is_empty());
            assert_eq!(model.dialogs.len(), depth);
        }
        press(&mut model, Command::Cancel);
        assert!(model.dialogs.is_empty());
    }
}

#[test]
fn a_question_waits_for_what_somebody_is_typing() {
    let mut model = model();
    press(&mut model, Command::New);
    model.ask(Question::CleanAll { pods: 3 });
    assert!(!matches!(model.dialogs.last(), Some(Dialog::Confirm { .. })));
    press(&mut model, Command::Cancel);
    assert!(matches!(model.dialogs.last(), Some(Dialog::Confirm { .. })));
}
