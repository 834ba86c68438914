//! Forms and questions.

use tui_input::InputRequest;

use crate::language::effect::TargetEdit;
use crate::language::log::Message;
use crate::screen::dialog::{Dialog, Question};
use crate::screen::form::TargetForm;
use crate::tests::*;
use crate::types::field::{Page, TargetField};

pub(super) fn form(model: &Model) -> &TargetForm {
    match model.screen.dialogs.last() {
        Some(Dialog::TargetForm(form)) => form,
        other => panic!("{other:?}"),
    }
}

pub(super) fn fill(model: &mut Model, field: TargetField, text: &str) {
    let at = TargetField::ALL.iter().position(|f| *f == field).unwrap();
    model.update(Event::Act(Action::ClickItem(at)));
    model.update(Event::Act(Action::Type(Typed::Edit(InputRequest::DeleteLine))));
    model.update(Event::Act(Action::Type(Typed::Paste(text.to_owned()))));
}

fn error(model: &Model, field: TargetField) -> Option<&'static str> {
    let at = TargetField::ALL.iter().position(|f| *f == field).unwrap();
    form(model).fields[at].error
}

#[test]
fn fields_are_checked_as_one_types() {
    let mut model = model();
    press(&mut model, Command::New);
    for (field, text, wrong) in [
        (TargetField::Name, "mysql", Some("name-taken")),
        (TargetField::Name, "", None),
        (TargetField::Cluster, "nowhere", Some("unknown-context")),
        (TargetField::Cluster, "dev", None),
        (TargetField::Namespace, "Team", Some("namespace")),
        (TargetField::Namespace, "team-2", None),
        (TargetField::Address, "a;b:1", Some("address-host")),
        (TargetField::Address, "host", Some("address-port")),
        (TargetField::Address, "::1:1", Some("address-brackets")),
        (TargetField::Address, "[::1]:1", None),
        (TargetField::Address, "service/web", Some("workload-port")),
        (TargetField::Address, "servise/web:80", Some("workload-kind")),
        (TargetField::Address, "svc/web:http", None),
        (TargetField::LocalPort, "65536", Some("port")),
        (TargetField::LocalPort, "+1", Some("port")),
        (TargetField::LocalPort, "0", None),
        (TargetField::Ttl, "0m", Some("ttl-zero")),
        (TargetField::Ttl, "-1m", Some("ttl-negative")),
        (TargetField::Ttl, "10", Some("ttl-form")),
        (TargetField::Ttl, "48h", Some("ttl-ceiling")),
        (TargetField::Ttl, "", None),
    ] {
        fill(&mut model, field, text);
        assert_eq!(error(&model, field), wrong, "{field:?} {text}");
    }
    press(&mut model, Command::Accept);
    assert_eq!(error(&model, TargetField::Name), Some("required"), "an empty field is wrong once one submits");
    assert_eq!(form(&model).active(), TargetField::Name);
}

#[test]
fn a_url_leaves_nothing_but_its_address() {
    let mut model = model();
    press(&mut model, Command::New);
    fill(&mut model, TargetField::Address, "postgres://ann:url-pass@db.corp/shop?ssl=on");
    assert_eq!(form(&model).text(TargetField::Address), "db.corp:5432");
    assert_eq!(error(&model, TargetField::Address), None);
    let told = model.screen.log.entries.back().unwrap();
    assert_eq!((&told.message, told.thing.as_str()), (&Message::AddressTaken, "db.corp:5432"));
    // What is typed is left alone until it is whole.
    fill(&mut model, TargetField::Address, "");
    for c in "redis://:pw@h/0".chars() {
        model.update(Event::Act(Action::Type(Typed::Edit(InputRequest::InsertChar(c)))));
    }
    assert_eq!(form(&model).text(TargetField::Address), "redis://:pw@h/0");
    press(&mut model, Command::Next);
    assert_eq!(form(&model).text(TargetField::Address), "h:6379");
    fill(&mut model, TargetField::Address, "mongodb+srv://ann:pw@db.corp/shop");
    assert_eq!(error(&model, TargetField::Address), Some("address-url"));
}

#[test]
fn a_new_target_is_saved_and_selected() {
    let mut model = model();
    model.screen.focus.pane = Pane::Pods;
    press(&mut model, Command::New);
    assert_eq!(form(&model).text(TargetField::Cluster), "dev", "the current context is a good guess");
    for (field, text) in [
        (TargetField::Name, "缓存 redis\n"),
        (TargetField::Address, "redis.corp:6379"),
        (TargetField::LocalPort, "6379"),
        (TargetField::Ttl, "2h"),
        (TargetField::Tags, "db, cache db，慢"),
    ] {
        fill(&mut model, field, text);
    }
    let effects = press(&mut model, Command::Accept);
    assert_eq!(model.screen.focus.pane, Pane::Targets, "whoever makes a target goes on with it");
    let Some(Effect::Store(StoreEffect::Save(edits))) =
        effects.iter().find(|e| matches!(e, Effect::Store(StoreEffect::Save(_))))
    else {
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
    model.targets.all_mut()[0].pod.image = Some("mine".into());
    model.screen.targets.select(1);
    press(&mut model, Command::Edit);
    fill(&mut model, TargetField::Address, "10.0.0.2:1");
    let effects = press(&mut model, Command::Accept);
    assert!(
        any!(effects, Effect::Store(StoreEffect::Save(edits)) if matches!(&edits[..], [TargetEdit::Replace { was, target }]
            if was.name == "mysql" && target.pod.image.as_deref() == Some("mine")))
    );
    press(&mut model, Command::Duplicate);
    assert_eq!(form(&model).text(TargetField::Name), "mysql-2");
}

#[test]
fn the_further_pages_are_checked_too() {
    let mut model = model();
    press(&mut model, Command::New);
    fill(&mut model, TargetField::Address, "service/web:80");
    for (field, text, wrong) in [
        (TargetField::Wait, "soon", Some("ttl-form")),
        (TargetField::Wait, "2m", None),
        (TargetField::IdleTimeout, "0s", Some("time-zero")),
        (TargetField::CreateTimeout, "-1s", Some("time-zero")),
        (TargetField::MaxLifetime, "99999d", Some("ttl-too-long")),
        (TargetField::MaxLifetime, "48h", None),
        (TargetField::Probe, "udp", Some("probe")),
        (TargetField::Probe, "http:/healthz", None),
        (TargetField::ProbeInterval, "5", Some("ttl-form")),
        (TargetField::LocalAddress, "localhost", Some("ip")),
        (TargetField::LocalAddress, "::1", None),
        (TargetField::Image, "a b", Some("image")),
        (TargetField::PullSecrets, "Registry", Some("secrets")),
        (TargetField::NodeSelector, "zone", Some("labels")),
        (TargetField::NodeSelector, "zone=a", None),
        (TargetField::Tolerations, "a:Sometimes", Some("tolerations")),
        (TargetField::CpuLimit, "10 m", Some("quantity")),
        (TargetField::MemoryLimit, "64Mi", None),
        (TargetField::Labels, "a=b@c", Some("labels")),
        (TargetField::Annotations, "a=b@c, note=\"x, y\"", None),
        (TargetField::Annotations, "note=\"x", Some("annotations")),
    ] {
        fill(&mut model, field, text);
        assert_eq!(error(&model, field), wrong, "{field:?} {text}");
    }
    // What is only for workloads is wrong beside an address, and what is only for services beside another workload.
    fill(&mut model, TargetField::Via, "proxy");
    assert_eq!((error(&model, TargetField::Via), error(&model, TargetField::Wait)), (None, None));
    fill(&mut model, TargetField::Address, "pod/web:80");
    assert_eq!((error(&model, TargetField::Via), error(&model, TargetField::Wait)), (Some("service-only"), None));
    fill(&mut model, TargetField::Address, "10.0.0.1:80");
    assert_eq!(error(&model, TargetField::Via), Some("workload-only"));
    assert_eq!(error(&model, TargetField::Wait), Some("workload-only"));
    // Whoever submits is led to the first thing that is wrong, on whichever page.
    fill(&mut model, TargetField::Name, "web");
    press(&mut model, Command::Accept);
    assert_eq!((form(&model).active(), form(&model).page()), (TargetField::Via, Page::Forward));
}

#[test]
fn pages_are_turned_and_choices_chosen() {
    use InputRequest::{DeletePrevChar, GoToNextChar, GoToPrevChar, InsertChar};
    let mut model = model();
    press(&mut model, Command::New);
    let edit = |model: &mut Model, request| {
        model.update(Event::Act(Action::Type(Typed::Edit(request))));
    };
    for page in [Page::Forward, Page::Pod, Page::Target] {
        press(&mut model, Command::PageDown);
        assert_eq!(form(&model).page(), page);
    }
    press(&mut model, Command::PageUp);
    assert_eq!(form(&model).page(), Page::Pod);
    model.update(Event::Act(Action::ClickItem(TargetField::ALL.len() + 1)));
    assert_eq!(form(&model).active(), TargetField::Via);
    press(&mut model, Command::Up);
    assert_eq!(form(&model).active(), TargetField::Agent, "the fields of a page form a ring");
    press(&mut model, Command::Next);
    while form(&model).active() != TargetField::OnDemand {
        press(&mut model, Command::Down);
    }
    let said = |model: &Model| form(model).text(TargetField::OnDemand).to_owned();
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
    let at = TargetField::ALL.iter().position(|field| *field == TargetField::OnDemand).unwrap();
    model.update(Event::Act(Action::ClickItem(at)));
    assert_eq!(said(&model), "false");
    press(&mut model, Command::Down);
    model.update(Event::Act(Action::ClickItem(at)));
    assert_eq!(said(&model), "false", "the first one only gives it the keys");
    let autostart = TargetField::ALL.iter().position(|field| *field == TargetField::Autostart).unwrap();
    model.update(Event::Act(Action::ClickItem(autostart)));
    for (request, wanted) in [(InsertChar('y'), "true"), (InsertChar('n'), "")] {
        edit(&mut model, request);
        assert_eq!(form(&model).text(TargetField::Autostart), wanted);
    }
    let policy = TargetField::ALL.iter().position(|field| *field == TargetField::PullPolicy).unwrap();
    model.update(Event::Act(Action::ClickItem(policy)));
    edit(&mut model, InsertChar('n'));
    assert_eq!(form(&model).text(TargetField::PullPolicy), "Never");
}

#[test]
fn an_empty_field_says_what_holds() {
    let mut model = model();
    model.config.settings_mut().forward.idle_timeout = "3m".parse().ok();
    let at = crate::types::settings::ClusterSettings {
        forward: ForwardSettings { on_demand: Some(true), ..ForwardSettings::default() },
        pod: PodSettings { image: Some("mine".to_owned()), ..PodSettings::default() },
        ..Default::default()
    };
    model.config.settings_mut().clusters.insert("dev".to_owned(), at);
    press(&mut model, Command::New);
    let form = form(&model);
    for (field, says) in [
        (TargetField::Namespace, "team"),
        (TargetField::Ttl, "30m"),
        (TargetField::Via, "direct"),
        (TargetField::Wait, "1m"),
        (TargetField::OnDemand, "true"),
        (TargetField::IdleTimeout, "3m"),
        (TargetField::CreateTimeout, "30s"),
        (TargetField::Autostart, "false"),
        (TargetField::Probe, ""),
        (TargetField::Image, "mine"),
        (TargetField::PullPolicy, "IfNotPresent"),
    ] {
        assert_eq!(model.inherited(form, field), says, "{field:?}");
    }
}

#[test]
fn renaming_takes_open_forwards_along() {
    let mut model = connected();
    model.screen.targets.select(1);
    press(&mut model, Command::Forward);
    model.screen.focus.pane = Pane::Targets;
    press(&mut model, Command::Rename);
    model.update(Event::Act(Action::Type(Typed::Edit(InputRequest::DeleteLine))));
    model.update(Event::Act(Action::Type(Typed::Paste("redis".into()))));
    assert!(press(&mut model, Command::Accept).is_empty(), "taken");
    model.update(Event::Act(Action::Type(Typed::Paste("-new".into()))));
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
    assert!(any!(effects, Effect::Store(StoreEffect::Save(edits)) if edits.len() == 3));
    assert!(model.targets.all().is_empty());
    press(&mut model, Command::Undo);
    assert_eq!(model.targets.all().len(), 3);
    press(&mut model, Command::Undo);
    assert_eq!(model.screen.log.entries.back().unwrap().message, crate::language::log::Message::NothingToUndo);
}

#[test]
fn the_context_field_goes_through_what_is_known() {
    let mut model = model();
    press(&mut model, Command::New);
    model.update(Event::Act(Action::ClickItem(1)));
    press(&mut model, Command::Down);
    assert_eq!(form(&model).text(TargetField::Cluster), "prod");
    press(&mut model, Command::Down);
    assert_eq!(form(&model).text(TargetField::Cluster), "dev");
    press(&mut model, Command::Next);
    assert_eq!(form(&model).active(), TargetField::Namespace);
    press(&mut model, Command::Previous);
    press(&mut model, Command::Previous);
    press(&mut model, Command::Previous);
    assert_eq!(form(&model).active(), TargetField::Tags);
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
fn a_form_that_was_changed_is_left_only_after_a_warning() {
    let mut model = model();
    let warns = |model: &Model| {
        matches!(model.screen.dialogs.as_slice(), [Dialog::TargetForm(_)])
            && model.screen.notice.as_ref().is_some_and(|(entry, _)| entry.message == Message::FormUnsaved)
    };
    let is_left = |model: &Model| model.screen.dialogs.is_empty() && model.screen.notice.is_none();
    press(&mut model, Command::New);
    fill(&mut model, TargetField::Name, "orders");
    fill(&mut model, TargetField::Name, "");
    press(&mut model, Command::Cancel);
    assert!(is_left(&model), "nothing would be lost");

    press(&mut model, Command::New);
    fill(&mut model, TargetField::Address, "");
    // The warning leaves a URL that is being typed as it is.
    let url = "mysql://user:secret@10.0.0.1/orders";
    for letter in url.chars() {
        model.update(Event::Act(Action::Type(Typed::Edit(InputRequest::InsertChar(letter)))));
    }
    press(&mut model, Command::Cancel);
    assert!(warns(&model) && form(&model).text(TargetField::Address) == url);
    // Another input cancels the warning, and so does time: Esc warns again.
    press(&mut model, Command::Next);
    press(&mut model, Command::Cancel);
    assert!(warns(&model));
    model.update(Event::Tick { now: model.now + TimeDelta::seconds(7), samples: Vec::new() });
    press(&mut model, Command::Cancel);
    assert!(warns(&model));
    press(&mut model, Command::Cancel);
    assert!(is_left(&model));
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

#[test]
fn the_palette_finds_commands_and_runs_those_that_apply() {
    let mut model = connected();
    let words = [(Command::Pods, "go to the proxy pods".to_owned()), (Command::New, "neues Ziel".to_owned())];
    model.update(Event::Act(Action::Words(words.into())));
    press(&mut model, Command::Palette);
    let order = |model: &Model| match model.screen.dialogs.last() {
        Some(Dialog::Palette(palette)) => palette.order.clone(),
        other => panic!("{other:?}"),
    };
    let all = order(&model);
    assert_eq!(all.len(), Command::ALL.len() - 1);
    let disabled = all.iter().position(|command| !model.is_enabled(*command)).unwrap();
    assert!(all[disabled..].iter().all(|command| !model.is_enabled(*command)), "those that apply come first");
    // By its name, and by the words of the language.
    for (text, first) in [("dupl", Command::Duplicate), ("ziel", Command::New), ("proxy pods", Command::Pods)] {
        press(&mut model, Command::Cancel);
        press(&mut model, Command::Palette);
        model.update(Event::Act(Action::Type(Typed::Paste(text.into()))));
        assert_eq!(order(&model)[0], first, "{text}");
    }
    press(&mut model, Command::Accept);
    assert!(model.screen.dialogs.is_empty() && model.screen.focus.pane == Pane::Pods);
    // A command that does not apply here says why and changes nothing.
    press(&mut model, Command::Palette);
    model.update(Event::Act(Action::Type(Typed::Paste("duplicate".into()))));
    assert!(press(&mut model, Command::Accept).is_empty());
    let said = model.screen.log.entries.back().map(|entry| entry.message.clone());
    let places = vec![crate::language::command::Section::Targets];
    assert_eq!(said, Some(crate::language::log::Message::NotHere { command: Command::Duplicate, places }));
    assert_eq!(model.screen.dialogs.len(), 1);
}
