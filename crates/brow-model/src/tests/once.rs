//! Targets that are connected without being saved.

use crate::language::effect::TargetEdit;
use crate::language::request::Request;
use crate::screen::dialog::Dialog;
use crate::tests::*;
use crate::types::field::TargetField;

/// A model in which the form of a new target was filled in and connected once, and the effects.
fn connected_once(fields: &[(TargetField, &str)]) -> (Model, Vec<Effect>) {
    let mut model = connected();
    press(&mut model, Command::New);
    let Some(Dialog::TargetForm(form)) = model.screen.dialogs.last_mut() else { panic!("no form") };
    for (field, text) in fields {
        form.set(*field, *text);
    }
    let effects = press(&mut model, Command::ConnectOnce);
    (model, effects)
}

fn saved(effects: &[Effect]) -> Vec<&TargetEdit> {
    let edits = |effect| match effect {
        &Effect::Store(StoreEffect::Save(ref edits)) => Some(edits),
        _ => None,
    };
    effects.iter().filter_map(edits).flatten().collect()
}

fn reload(model: &mut Model) {
    let loaded = Loaded { targets: vec![target("mysql", "dev")], exists: true, ..Loaded::default() };
    model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    model.arrange();
}

#[test]
fn the_form_connects_what_it_says_under_the_name_of_its_destination() {
    let (mut model, effects) = connected_once(&[(TargetField::Address, "redis://:pass@10.0.0.9:6379/0")]);
    assert!(any!(effects, Effect::Forward(ForwardEffect::Open { spec, .. }) if spec.target == "10.0.0.9:6379"));
    assert!(saved(&effects).is_empty() && model.screen.dialogs.is_empty());
    assert_eq!(model.screen.targets.selected().map(String::as_str), Some("10.0.0.9:6379"));
    assert!(model.targets.is_temporary("10.0.0.9:6379"));
    // The file knows nothing of it, and takes nothing from it.
    reload(&mut model);
    assert!(model.target("10.0.0.9:6379").is_some());
    assert_eq!(model.targets.all().len(), 2);
}

#[test]
fn what_is_wrong_in_the_form_is_not_connected() {
    for (field, text) in [(TargetField::Address, "10.0.0.9"), (TargetField::Name, "mysql"), (TargetField::Ttl, "0s")] {
        let (model, effects) = connected_once(&[(TargetField::Address, "10.0.0.9:1"), (field, text)]);
        let Some(Dialog::TargetForm(form)) = model.screen.dialogs.last() else { panic!("{field:?}: no form") };
        assert_eq!((form.active(), effects), (field, Vec::new()));
        assert_eq!(model.targets.all().len(), 3, "{field:?}");
    }
    // One that is saved is connected by other keys.
    let mut model = connected();
    press(&mut model, Command::Edit);
    assert_eq!(press(&mut model, Command::ConnectOnce), Vec::new());
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::TargetForm(_))));
}

#[test]
fn an_edit_saves_it_and_to_delete_it_writes_nothing() {
    let (mut model, _) = connected_once(&[(TargetField::Address, "10.0.0.9:1")]);
    let target = model.target("10.0.0.9:1").cloned().unwrap();
    let effects = model.update(Event::Request(Request::Remove(vec![target.name.clone()])));
    assert!(saved(&effects).is_empty() && model.target(&target.name).is_none(), "{effects:?}");
    assert!(any!(effects, Effect::Forward(ForwardEffect::Close { .. })), "{effects:?}");
    press(&mut model, Command::Undo);
    assert!(model.target(&target.name).is_none(), "what was never saved is not brought back to be saved");

    model.update(Event::Request(Request::AddTemporary(vec![target.clone()])));
    let named = Target { name: "web".to_owned(), ..target.clone() };
    let request = Request::Save { was: Some(Box::new(target)), target: Box::new(named.clone()) };
    let effects = model.update(Event::Request(request));
    assert_eq!(saved(&effects), [&TargetEdit::Add(named)]);
    assert!(!model.targets.is_temporary("10.0.0.9:1") && !model.targets.is_temporary("web"));
}
