//! Custom objects that are edited, created and deleted.

use std::sync::Arc;

use crate::language::event::EditEvent;
use crate::language::log::Message;
use crate::screen::dialog::{Dialog, Question};
use crate::screen::edit::{ObjectEdit, Stage};
use crate::tests::*;
use crate::types::edit::{Base, Draft, EditSubject, Method, Proposal, Trial};
use crate::types::epoch::Epoch;
use crate::types::index::{ObjectRef, ServedKind};

fn object(group: &str) -> ObjectRef {
    let kind = ServedKind {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: "Plan".to_owned(),
        plural: "plans".to_owned(),
        shorts: Vec::new(),
        namespaced: true,
    };
    let [cluster, namespace, name] = ["dev", "shop", "server"].map(str::to_owned);
    ObjectRef { cluster, kind: Arc::new(kind), namespace, name }
}

fn draft() -> Box<Draft> {
    let base = Base { uid: "u".to_owned(), version: "1".to_owned(), yaml: String::new(), owned: String::new() };
    let path = "/state/edits/plan.yaml".to_owned();
    Box::new(Draft { object: object("upgrade.cattle.io"), path, skeleton: String::new(), base: Some(base) })
}

fn proposal() -> Box<Proposal> {
    let (body, diff, managed) = ("secret contents".to_owned(), Vec::new(), Vec::new());
    Box::new(Proposal { draft: *draft(), body, method: Method::Apply, diff, managed, reach: None })
}

fn edit(model: &Model) -> Option<&ObjectEdit> {
    model.screen.dialogs.iter().find_map(|dialog| if let Dialog::Edit(edit) = dialog { Some(&**edit) } else { None })
}

fn tell(model: &mut Model, event: EditEvent) -> Vec<Effect> {
    let epoch = edit(model).expect("an edit").epoch;
    model.update(Event::Edit { epoch, event })
}

/// An edit that has come to the editor.
fn editing() -> Model {
    let mut model = connected();
    let mut out = Vec::new();
    model.edit_object(object("upgrade.cattle.io"), &mut out);
    assert!(any!(out, Effect::Edit(EditEffect::Open { subject: EditSubject::Existing(_), .. })));
    let effects = tell(&mut model, EditEvent::Opened(Ok(draft())));
    assert!(any!(effects, Effect::Terminal(TerminalEffect::EditText { fault: None, .. })));
    model
}

/// An edit that the server would take.
fn proposed() -> Model {
    let mut model = editing();
    let effects = tell(&mut model, EditEvent::Left(Ok(())));
    assert!(any!(effects, Effect::Edit(EditEffect::Try { .. })));
    tell(&mut model, EditEvent::Tried { draft: draft(), result: Ok(Trial::Proposed(proposal())) });
    model
}

fn said(model: &Model) -> &Message {
    &model.screen.log.entries.back().expect("an entry").message
}

fn invalid() -> Fault {
    Fault::new(What::ObjectInvalid, "plan/server", "no")
}

#[test]
fn a_text_is_tried_then_asked_about_then_applied_and_written_down() {
    let mut model = proposed();
    // The key that ends an editor may be one too many: the first button is the harmless one.
    assert_eq!(edit(&model).unwrap().button, 0);
    let effects = press(&mut model, Command::Right);
    assert!(!any!(effects, Effect::Edit(_)));
    let effects = press(&mut model, Command::Accept);
    assert!(any!(effects, Effect::Edit(EditEffect::Apply { .. })));
    press(&mut model, Command::Cancel);
    assert!(edit(&model).is_some(), "it is on its way");
    let effects = tell(&mut model, EditEvent::Applied(Ok(())));
    assert!(any!(effects, Effect::Edit(EditEffect::Discard { path }) if path == "/state/edits/plan.yaml"));
    let written = |effect: &Effect| {
        let Effect::Store(StoreEffect::Audit(entry)) = effect else { return false };
        assert!(!format!("{entry:?}").contains("secret contents"));
        entry.action == "edit-object" && entry.thing == "plan/server" && entry.by.is_some()
    };
    assert!(effects.iter().any(written), "{effects:?}");
    assert!(edit(&model).is_none() && *said(&model) == Message::ObjectEdited);
}

#[test]
fn a_refused_text_is_kept_and_edited_again_with_the_reason() {
    let mut model = editing();
    tell(&mut model, EditEvent::Left(Ok(())));
    tell(&mut model, EditEvent::Tried { draft: draft(), result: Err(invalid()) });
    let effects = press(&mut model, Command::Accept);
    assert!(
        any!(effects, Effect::Terminal(TerminalEffect::EditText { fault: Some(fault), .. }) if *fault == invalid())
    );
    // An editor that fails is no answer either.
    tell(&mut model, EditEvent::Left(Err(Fault::new(What::EditorFailed, "vi", "1"))));
    assert!(matches!(edit(&model).unwrap().stage, Stage::Refused { .. }));
    let effects = press(&mut model, Command::Cancel);
    assert!(!any!(effects, Effect::Edit(EditEffect::Discard { .. })), "{effects:?}");
    assert_eq!(*said(&model), Message::TextKept);
    let mut model = proposed();
    press(&mut model, Command::Next);
    press(&mut model, Command::Accept);
    let effects = tell(&mut model, EditEvent::Applied(Err(invalid())));
    assert!(any!(effects, Effect::Store(StoreEffect::Audit(entry)) if entry.fault == Some(What::ObjectInvalid)));
    assert!(matches!(edit(&model).unwrap().stage, Stage::Refused { .. }));
}

#[test]
fn what_says_nothing_new_changes_nothing() {
    let mut model = editing();
    tell(&mut model, EditEvent::Left(Ok(())));
    let effects = tell(&mut model, EditEvent::Tried { draft: draft(), result: Ok(Trial::Unchanged) });
    assert!(any!(effects, Effect::Edit(EditEffect::Discard { .. })) && edit(&model).is_none());
    assert_eq!(*said(&model), Message::ObjectUnchanged);
    // Left before it was read: nobody needs the file.
    let (mut model, mut out) = (connected(), Vec::new());
    model.edit_object(object("upgrade.cattle.io"), &mut out);
    let epoch = edit(&model).unwrap().epoch;
    press(&mut model, Command::Cancel);
    let effects = model.update(Event::Edit { epoch, event: EditEvent::Opened(Ok(draft())) });
    assert!(any!(effects, Effect::Edit(EditEffect::Discard { .. })));
    assert!(!any!(effects, Effect::Terminal(TerminalEffect::EditText { .. })));
    let effects = model.update(Event::Edit { epoch: Epoch(0), event: EditEvent::Applied(Ok(())) });
    assert!(effects.is_empty());
}

#[test]
fn built_in_kinds_are_shown_only() {
    let (mut model, mut out) = (connected(), Vec::new());
    model.edit_object(object("apps"), &mut out);
    model.create_object(("dev".to_owned(), object("").kind), None, &mut out);
    model.ask_delete_object(object("networking.k8s.io"), "u".to_owned());
    assert!(out.is_empty() && model.screen.dialogs.is_empty());
    assert_eq!(*said(&model), Message::KindBuiltIn);
    model.create_object(("dev".to_owned(), object("gateway.networking.k8s.io").kind), Some("ops"), &mut out);
    let is_new = |effect: &Effect| {
        matches!(effect, Effect::Edit(EditEffect::Open { subject: EditSubject::New(object), .. })
            if object.namespace == "ops" && object.name.is_empty())
    };
    assert!(out.iter().any(is_new), "{out:?}");
}

#[test]
fn a_deletion_asks_and_is_of_the_object_that_was_seen() {
    let mut model = connected();
    model.ask_delete_object(object("upgrade.cattle.io"), "seen".to_owned());
    let asked = matches!(
        model.screen.dialogs.last(),
        Some(Dialog::Confirm { question: Question::DeleteObject { production: false, .. }, button: 0 })
    );
    assert!(asked);
    let mut no = model.clone();
    assert!(!any!(press(&mut no, Command::Accept), Effect::Edit(_)));
    press(&mut model, Command::Right);
    let effects = press(&mut model, Command::Accept);
    assert!(any!(effects, Effect::Edit(EditEffect::Delete { uid, .. }) if uid == "seen"));
    let object = object("upgrade.cattle.io");
    let effects = model.update(Event::ObjectDeleted { object, result: Ok(()) });
    assert!(any!(effects, Effect::Store(StoreEffect::Audit(entry)) if entry.action == "delete-object"));
    assert_eq!(*said(&model), Message::ObjectDeleted);
}
