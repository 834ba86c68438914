//! Forms and questions.

use tui_input::InputRequest;

use crate::language::effect::TargetEdit;
use crate::language::log::Happening;
use crate::screen::dialog::Dialog;
use crate::screen::dialog::Question;
use crate::screen::form::FormField;
use crate::screen::form::Page;
use crate::screen::form::TargetForm;
use crate::tests::*;

fn form(model: &Model) -> &TargetForm {
    match model.screen.dialogs.last() {
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
fn a_url_leaves_nothing_but_its_address() {
    let mut model = model();
    press(&mut model, Command::New);
    fill(&mut model, FormField::Address, "postgres://ann:url-pass@db.corp/shop?ssl=on");
    assert_eq!(form(&model).text(FormField::Address), "db.corp:5432");
    assert_eq!(error(&model, FormField::Address), None);
    let told = model.screen.log.entries.back().unwrap();
    assert_eq!((&told.what, told.thing.as_str()), (&Happening::AddressTaken, "db.corp:5432"));
    // What is typed is left alone until it is whole.
    fill(&mut model, FormField::Address, "");
    for c in "redis://:pw@h/0".chars() {
        model.update(Event::Act(Action::Edit(InputRequest::InsertChar(c))));
    }
    assert_eq!(form(&model).text(FormField::Address), "redis://:pw@h/0");
    press(&mut model, Command::Next);
    assert_eq!(form(&model).text(FormField::Address), "h:6379");
    fill(&mut model, FormField::Address, "mongodb+srv://ann:pw@db.corp/shop");
    assert_eq!(error(&model, FormField::Address), Some("address-url"));
}

#[test]
fn a_new_target_is_saved_and_selected() {
    let mut model = model();
    model.screen.focus.pane = Pane::Pods;
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
    assert_eq!(model.screen.focus.pane, Pane::Targets, "whoever makes a target goes on with it");
    let Some(Effect::Save(edits)) = effects.iter().find(|e| matches!(e, Effect::Save(_))) else {
        panic!("{effects:?}")
    };
    let [TargetEdit::Add(target)] = &edits[..] else { panic!("{edits:?}") };
    assert_eq!((target.name.as_str(), target.local_port), ("缓存 redis", 6379));
    assert_eq!(target.tags, ["db", "cache", "慢"]);
    assert_eq!(model.screen.targets.selected(), Some(&target.name));
}

#[test]
fn editing_keeps_what_the_form_does_not_show() {
    let mut model = model();
    model.targets.all[0].pod.image = Some("mine".into());
    model.screen.targets.select(1);
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
fn the_further_pages_are_checked_too() {
    let mut model = model();
    press(&mut model, Command::New);
    fill(&mut model, FormField::Address, "service/web:80");
    for (field, text, wrong) in [
        (FormField::Wait, "soon", Some("ttl-form")),
        (FormField::Wait, "2m", None),
        (FormField::IdleTimeout, "0s", Some("time-zero")),
        (FormField::CreateTimeout, "-1s", Some("time-zero")),
        (FormField::MaxLifetime, "99999d", Some("ttl-too-long")),
        (FormField::MaxLifetime, "48h", None),
        (FormField::Probe, "udp", Some("probe")),
        (FormField::Probe, "http:/healthz", None),
        (FormField::ProbeInterval, "5", Some("ttl-form")),
        (FormField::LocalAddress, "localhost", Some("ip")),
        (FormField::LocalAddress, "::1", None),
        (FormField::Image, "a b", Some("image")),
        (FormField::PullSecrets, "Registry", Some("secrets")),
        (FormField::NodeSelector, "zone", Some("labels")),
        (FormField::NodeSelector, "zone=a", None),
        (FormField::Tolerations, "a:Sometimes", Some("tolerations")),
        (FormField::CpuLimit, "10 m", Some("quantity")),
        (FormField::MemoryLimit, "64Mi", None),
        (FormField::Labels, "a=b@c", Some("labels")),
        (FormField::Annotations, "a=b@c, note=\"x, y\"", None),
        (FormField::Annotations, "note=\"x", Some("annotations")),
    ] {
        fill(&mut model, field, text);
        assert_eq!(error(&model, field), wrong, "{field:?} {text}");
    }
    // What is only for workloads is wrong beside an address, and what is only for services beside another workload.
    fill(&mut model, FormField::Via, "proxy");
    assert_eq!((error(&model, FormField::Via), error(&model, FormField::Wait)), (None, None));
    fill(&mut model, FormField::Address, "pod/web:80");
    assert_eq!((error(&model, FormField::Via), error(&model, FormField::Wait)), (Some("service-only"), None));
    fill(&mut model, FormField::Address, "10.0.0.1:80");
    assert_eq!(error(&model, FormField::Via), Some("workload-only"));
    assert_eq!(error(&model, FormField::Wait), Some("workload-only"));
    // Whoever submits is led to the first thing that is wrong, on whichever page.
    fill(&mut model, FormField::Name, "web");
    press(&mut model, Command::Accept);
    assert_eq!((form(&model).active(), form(&model).page()), (FormField::Via, Page::Forward));
}

#[test]
fn pages_are_turned_and_choices_chosen() {
    use InputRequest::{DeletePrevChar, GoToNextChar, GoToPrevChar, InsertChar};
    let mut model = model();
    press(&mut model, Command::New);
    let edit = |model: &mut Model, request| {
        model.update(Event::Act(Action::Edit(request)));
    };
    for page in [Page::Forward, Page::Pod, Page::Target] {
        press(&mut model, Command::PageDown);
        assert_eq!(form(&model).page(), page);
    }
    press(&mut model, Command::PageUp);
    assert_eq!(form(&model).page(), Page::Pod);
    model.update(Event::Act(Action::ClickItem(FormField::ALL.len() + 1)));
    assert_eq!(form(&model).active(), FormField::Via);
    press(&mut model, Command::Up);
    assert_eq!(form(&model).active(), FormField::LocalAddress, "the fields of a page form a ring");
    press(&mut model, Command::Next);
    press(&mut model, Command::Down);
    press(&mut model, Command::Down);
    let said = |model: &Model| form(model).text(FormField::OnDemand).to_owned();
    for (request, wanted) in [
        (GoToNextChar, "true"),
        (InsertChar(' '), "false"),
        (GoToNextChar, ""),
        (GoToPrevChar, "false"),
        (InsertChar('Y'), "true"),
        (InsertChar('x'), "true"),
        (InsertChar('n'), "false"),
        (DeletePrevChar, ""),
        (InsertChar('是'), "true"),
    ] {
        edit(&mut model, request);
        assert_eq!(said(&model), wanted, "{request:?}");
    }
    // A click on it goes on, too.
    let at = FormField::ALL.iter().position(|field| *field == FormField::OnDemand).unwrap();
    model.update(Event::Act(Action::ClickItem(at)));
    assert_eq!(said(&model), "false");
    press(&mut model, Command::Down);
    model.update(Event::Act(Action::ClickItem(at)));
    assert_eq!(said(&model), "false", "the first one only gives it the keys");
    let autostart = FormField::ALL.iter().position(|field| *field == FormField::Autostart).unwrap();
    model.update(Event::Act(Action::ClickItem(autostart)));
    for (request, wanted) in [(InsertChar('y'), "true"), (InsertChar('n'), "")] {
        edit(&mut model, request);
        assert_eq!(form(&model).text(FormField::Autostart), wanted);
    }
    let policy = FormField::ALL.iter().position(|field| *field == FormField::PullPolicy).unwrap();
    model.update(Event::Act(Action::ClickItem(policy)));
    edit(&mut model, InsertChar('n'));
    assert_eq!(form(&model).text(FormField::PullPolicy), "Never");
}

#[test]
fn an_empty_field_says_what_holds() {
    let mut model = model();
    model.config.settings.keep.idle_timeout = "3m".parse().ok();
    let at = crate::types::settings::ClusterSettings {
        keep: KeepSettings { on_demand: Some(true), ..KeepSettings::default() },
        pod: PodSettings { image: Some("mine".to_owned()), ..PodSettings::default() },
        ..Default::default()
    };
    model.config.settings.clusters.insert("dev".to_owned(), at);
    press(&mut model, Command::New);
    let form = form(&model);
    for (field, says) in [
        (FormField::Namespace, "team"),
        (FormField::Ttl, "30m"),
        (FormField::Via, "direct"),
        (FormField::Wait, "1m"),
        (FormField::OnDemand, "true"),
        (FormField::IdleTimeout, "3m"),
        (FormField::CreateTimeout, "30s"),
        (FormField::Autostart, "false"),
        (FormField::Probe, ""),
        (FormField::Image, "mine"),
        (FormField::PullPolicy, "IfNotPresent"),
    ] {
        assert_eq!(model.unsaid(form, field), says, "{field:?}");
    }
}

#[test]
fn renaming_takes_open_forwards_along() {
    let mut model = connected();
    model.screen.targets.select(1);
    press(&mut model, Command::Forward);
    model.screen.focus.pane = Pane::Targets;
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
    assert!(model.targets.all.is_empty());
    press(&mut model, Command::Undo);
    assert_eq!(model.targets.all.len(), 3);
    press(&mut model, Command::Undo);
    assert_eq!(model.screen.log.entries.back().unwrap().what, crate::language::log::Happening::NothingToUndo);
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
        let depth = model.screen.dialogs.len();
        assert_eq!(depth, 1, "{open:?}");
        for wrong in [Command::Create, Command::Zoom, Command::Kill, Command::Undo, Command::Sort] {
            assert!(press(&mut model, wrong).is_empty());
            assert_eq!(model.screen.dialogs.len(), depth);
        }
        press(&mut model, Command::Cancel);
        assert!(model.screen.dialogs.is_empty());
    }
}

#[test]
fn a_question_waits_for_what_somebody_is_typing() {
    let mut model = model();
    press(&mut model, Command::New);
    model.ask(Question::CleanAll { pods: 3 });
    assert!(!matches!(model.screen.dialogs.last(), Some(Dialog::Confirm { .. })));
    press(&mut model, Command::Cancel);
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Confirm { .. })));
}
