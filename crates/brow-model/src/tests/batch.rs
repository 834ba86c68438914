//! Several rows at once: tags, what is said of all, undo.

use crate::language::event::ForwardEvent;
use crate::language::log::Message;
use crate::screen::batch::Batch;
use crate::screen::dialog::Dialog;
use crate::tests::*;
use crate::types::forward::ForwardId;

/// `mysql`, `redis` and `far`, the first two with the tag `db`.
fn tagged() -> Model {
    let mut model = connected();
    for target in model.targets.all_mut() {
        target.tags = if target.name == "far" { Vec::new() } else { vec!["db".to_owned()] };
    }
    model
}

/// The message that is shown, and of how many.
fn shown(model: &Model) -> (Message, String) {
    let (entry, _) = model.screen.notice.as_ref().unwrap();
    (entry.message.clone(), entry.thing.clone())
}

fn tell(model: &mut Model, id: ForwardId, event: ForwardEvent) {
    let epoch = model.forwards.all()[&id].spec.epoch;
    model.update(Event::Forward { id, epoch, event });
}

/// Makes every forward listen.
fn bind(model: &mut Model) {
    for (at, id) in model.forwards.ids(|_| true).into_iter().enumerate() {
        tell(model, id, ForwardEvent::Bound(vec![format!("127.0.0.1:{}", 40_000 + at).parse().unwrap()]));
    }
}

#[test]
fn a_tag_is_opened_and_closed_as_one() {
    let mut model = tagged();
    press(&mut model, Command::Tags);
    assert_eq!((model.tags(), model.connected_with("db")), (vec!["db"], (2, 0)));
    press(&mut model, Command::Accept);
    assert_eq!((model.forwards.all().len(), model.connected_with("db")), (2, (2, 2)));
    bind(&mut model);
    assert_eq!(shown(&model), (Message::Several(Batch::Opened { failed: 0, back: true }), "2".to_owned()));
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Tags { .. })), "it stays open");
    // One is missing: it is opened, and the other stays.
    let first = model.forwards.ids(|_| true)[0];
    let mut out = Vec::new();
    model.stop_forward(first, &mut out);
    press(&mut model, Command::Accept);
    assert_eq!(model.connected_with("db"), (2, 2));
    press(&mut model, Command::Accept);
    assert_eq!(model.forwards.all().len(), 0);
    assert_eq!(shown(&model), (Message::Several(Batch::Closed { back: true }), "2".to_owned()));
    // Its targets are marked, and the panes have the keys.
    press(&mut model, Command::Mark);
    assert_eq!(model.screen.targets.marks, ["mysql".to_owned(), "redis".to_owned()].into());
    assert!(model.screen.dialogs.is_empty());
}

#[test]
fn without_tags_there_is_no_list_of_them() {
    let mut model = connected();
    press(&mut model, Command::Tags);
    assert!(model.screen.dialogs.is_empty());
    assert_eq!(shown(&model).0, Message::NoTags);
}

#[test]
fn of_several_it_is_said_how_many_and_undo_takes_them_back() {
    let mut model = tagged();
    press(&mut model, Command::MarkAll);
    press(&mut model, Command::Connect);
    assert_eq!(shown(&model), (Message::Several(Batch::Opening), "3".to_owned()));
    let ids = model.forwards.ids(|_| true);
    for (at, id) in ids.iter().enumerate() {
        let event = match at {
            0 => ForwardEvent::NotBound(Fault::new(What::PortInUse, "3306", "")),
            _ => ForwardEvent::Bound(vec![format!("127.0.0.1:{}", 40_000 + at).parse().unwrap()]),
        };
        tell(&mut model, *id, event);
    }
    assert_eq!(shown(&model), (Message::Several(Batch::Opened { failed: 1, back: true }), "2".to_owned()));
    press(&mut model, Command::Undo);
    assert!(model.forwards.all().is_empty());
    assert_eq!(shown(&model), (Message::Several(Batch::Closed { back: false }), "3".to_owned()));
    press(&mut model, Command::Undo);
    assert_eq!(shown(&model).0, Message::NothingToUndo);
}

#[test]
fn what_was_closed_or_deleted_at_once_comes_back_at_once() {
    let mut model = tagged();
    press(&mut model, Command::MarkAll);
    press(&mut model, Command::Connect);
    bind(&mut model);
    press(&mut model, Command::MarkAll);
    press(&mut model, Command::Stop);
    assert_eq!(shown(&model), (Message::Several(Batch::Closed { back: true }), "3".to_owned()));
    press(&mut model, Command::Undo);
    assert_eq!(model.forwards.all().len(), 3);
    bind(&mut model);

    press(&mut model, Command::MarkAll);
    press(&mut model, Command::Delete);
    press(&mut model, Command::Right);
    press(&mut model, Command::Accept);
    assert_eq!(shown(&model), (Message::Several(Batch::Deleted), "3".to_owned()));
    press(&mut model, Command::Undo);
    assert_eq!(model.targets.all().len(), 3);
    assert_eq!(shown(&model), (Message::Several(Batch::Restored), "3".to_owned()));
    // A message about one of them does not replace it; an error does.
    model.note(crate::language::log::Level::Success, Message::ForwardOpened, "mysql", "");
    assert_eq!(shown(&model).0, Message::Several(Batch::Restored));
    model.fail(Fault::new(What::NoPod, "mysql", ""));
    assert!(matches!(shown(&model).0, Message::Failed(_)));
}

#[test]
fn an_address_is_shown_once_it_works() {
    let (mut model, pod) = crate::tests::renew::forwarded();
    let id = model.forwards.ids(|_| true)[0];
    model.note(crate::language::log::Level::Success, Message::PodReady, &pod.key.name, "dev");
    let via = model.forwards.all()[&id].via().cloned().unwrap();
    tell(&mut model, id, ForwardEvent::Up(via));
    let (entry, _) = model.screen.notice.clone().unwrap();
    assert_eq!((entry.message, entry.detail.as_str()), (Message::ForwardOpened, "127.0.0.1:40001"));
}
