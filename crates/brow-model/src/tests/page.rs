//! An object's page: its parts, its keys, and what it asks for.

use std::sync::Arc;

use crate::language::effect::{EditEffect, PageEffect};
use crate::language::event::{KindEvent, PageEvent, Related};
use crate::language::fault::{Grant, Remedy};
use crate::screen::dialog::Dialog;
use crate::screen::page::ObjectPage;
use crate::tests::*;
use crate::types::index::{ObjectRef, ServedKind};
use crate::types::kinds::TableRow;
use crate::types::page::{
    EventRow, LogPod, ManagedFields, ObjectDetails, PagePart, Relation, RelationRow, RelationState, SecretLines, Tone,
};

fn kind(name: &str) -> Arc<ServedKind> {
    let (kind, plural) = (name.to_owned(), format!("{}s", name.to_lowercase()));
    let (group, version) = (String::new(), "v1".to_owned());
    Arc::new(ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true })
}

fn object(kind_name: &str, name: &str) -> ObjectRef {
    let (cluster, namespace) = ("dev".to_owned(), "shop".to_owned());
    ObjectRef { cluster, kind: kind(kind_name), namespace, name: name.to_owned() }
}

fn page(model: &Model) -> &ObjectPage {
    match model.screen.dialogs.last() {
        Some(Dialog::Object(page)) => page,
        other => panic!("no page: {other:?}"),
    }
}

fn tell(model: &mut Model, event: PageEvent) -> Vec<Effect> {
    let epoch = page(model).epoch;
    model.update(Event::Page { epoch, event })
}

/// The page of a Secret, opened from the browser of kinds.
fn opened() -> Model {
    opened_of(kind("Secret"), Command::Accept)
}

/// The page of an object of a kind, opened from the browser of kinds by a command.
fn opened_of(kind: Arc<ServedKind>, command: Command) -> Model {
    let mut model = connected();
    press(&mut model, Command::Kinds);
    let tell = |model: &mut Model, event| {
        let epoch = model.screen.dialogs.iter().find_map(|dialog| match dialog {
            Dialog::Kinds(browser) => Some(browser.epoch),
            _ => None,
        });
        model.update(Event::Kinds { epoch: epoch.unwrap(), event });
        model.arrange();
    };
    tell(&mut model, KindEvent::Served(vec![kind]));
    press(&mut model, Command::Accept);
    let (namespace, name) = ("shop".to_owned(), "login".to_owned());
    let row = TableRow { namespace, name, uid: String::new(), cells: Vec::new(), created: None, services: Vec::new() };
    tell(&mut model, KindEvent::Listed { namespace: None, columns: Vec::new(), rows: vec![row], first: true });
    press(&mut model, command);
    let details = ObjectDetails {
        uid: "u".to_owned(),
        yaml: vec!["hidden".to_owned()],
        hidden: true,
        ..ObjectDetails::default()
    };
    super::page::tell(&mut model, PageEvent::Found(Box::new(details)));
    model
}

fn asks(effects: &[Effect], meant: impl Fn(&PageEffect) -> bool) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Cluster(ClusterEffect::Page(effect)) if meant(effect)))
}

fn related(rows: &[(usize, Relation, &str, RelationState)]) -> PageEvent {
    let row = |(depth, relation, name, state): &(usize, Relation, &str, RelationState)| RelationRow {
        depth: *depth,
        relation: *relation,
        object: object("Pod", name),
        via: String::new(),
        state: state.clone(),
        uid: format!("uid of {name}"),
    };
    PageEvent::Related(Box::new(Related { rows: rows.iter().map(row).collect(), done: true, faults: Vec::new() }))
}

fn found() -> RelationState {
    RelationState::Found { status: String::new(), tone: Tone::Plain }
}

#[test]
fn parts_are_asked_for_when_they_are_looked_at_and_once() {
    let mut model = opened();
    assert_eq!(page(&model).part, PagePart::Summary);
    let events = |effect: &PageEffect| matches!(effect, PageEffect::Events { uid, .. } if uid == "u");
    let effects = press(&mut model, Command::Next);
    assert!(asks(&effects, events) && page(&model).part == PagePart::Events, "{effects:?}");
    let effects = press(&mut model, Command::Next);
    assert!(asks(&effects, |effect| matches!(effect, PageEffect::Relate { depth: 3, fresh: false, .. })));
    press(&mut model, Command::Previous);
    assert!(!asks(&press(&mut model, Command::ShowEvents), events));
    let row = EventRow {
        at: None,
        warning: true,
        reason: "Failed".to_owned(),
        message: String::new(),
        pod: String::new(),
        source: String::new(),
        count: 1,
    };
    tell(&mut model, PageEvent::Events(vec![row]));
    assert_eq!(page(&model).events.as_ref().map(Vec::len), Some(1));
    // The object of that name is another one now.
    let details = ObjectDetails { uid: "v".to_owned(), ..ObjectDetails::default() };
    let effects = tell(&mut model, PageEvent::Found(Box::new(details)));
    assert!(asks(&effects, |effect| matches!(effect, PageEffect::Events { uid, .. } if uid == "v")));
}

#[test]
fn relations_lead_to_other_pages_and_back() {
    let mut model = opened();
    press(&mut model, Command::ShowRelations);
    let missing = RelationState::Missing { optional: false };
    let rows = [
        (0, Relation::Root, "login", found()),
        (1, Relation::UsedBy, "web-1", found()),
        (1, Relation::Uses, "gone", missing),
    ];
    tell(&mut model, related(&rows));
    assert!(!asks(&press(&mut model, Command::Accept), |_| true), "the page itself");
    press(&mut model, Command::Down);
    let effects = press(&mut model, Command::Copy);
    assert!(any!(effects, Effect::Terminal(TerminalEffect::Copy(Clip::Text(text))) if text == "web-1"));
    let effects = press(&mut model, Command::Accept);
    assert!(asks(&effects, |effect| matches!(effect, PageEffect::Show { object, .. } if object.name == "web-1")));
    assert_eq!(page(&model).object.name, "web-1");
    let effects = press(&mut model, Command::Cancel);
    assert!(asks(&effects, |effect| matches!(effect, PageEffect::Show { object, .. } if object.name == "login")));
    assert!(asks(&effects, |effect| matches!(effect, PageEffect::Relate { .. })), "it is live again");
    assert_eq!((page(&model).relations.cursor, page(&model).relations.rows.len()), (1, 3), "as it was left");
    press(&mut model, Command::Down);
    assert!(!asks(&press(&mut model, Command::Accept), |_| true), "there is no such object");
    let effects = press(&mut model, Command::Cancel);
    assert!(asks(&effects, |effect| *effect == PageEffect::Hide));
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Kinds(_))));
}

#[test]
fn relations_go_deeper_and_are_found_anew() {
    let mut model = opened();
    press(&mut model, Command::ShowRelations);
    tell(&mut model, related(&[(0, Relation::Root, "login", found()), (1, Relation::UsedBy, "web-1", found())]));
    let effects = press(&mut model, Command::Deepen);
    assert!(asks(&effects, |effect| matches!(effect, PageEffect::Relate { depth: 4, fresh: false, .. })));
    // Partial results do not replace a longer list that is shown already.
    let event = PageEvent::Related(Box::default());
    tell(&mut model, event);
    assert_eq!(page(&model).relations.rows.len(), 2);
    let before = page(&model).epoch;
    let effects = press(&mut model, Command::Reload);
    assert!(asks(&effects, |effect| matches!(effect, PageEffect::Relate { depth: 4, fresh: true, .. })));
    model.update(Event::Page { epoch: before, event: PageEvent::Gone });
    assert!(!page(&model).gone, "late news");
    (0..20).for_each(|_| drop(press(&mut model, Command::Deepen)));
    assert_eq!(page(&model).relations.depth, 8);
}

#[test]
fn missing_rights_are_named_once() {
    let mut model = opened();
    press(&mut model, Command::ShowRelations);
    let grant = |resource: &str, verb: &str| {
        let grant = Grant { verb: verb.to_owned(), resource: resource.to_owned(), namespace: Some("shop".to_owned()) };
        Fault::new(What::Forbidden, "dev", "").with(Remedy::Grant(grant))
    };
    let faults = vec![grant("pods", "list"), grant("nodes", "get"), grant("services", "list"), grant("pods", "list")];
    tell(&mut model, PageEvent::Related(Box::new(Related { rows: Vec::new(), done: true, faults })));
    press(&mut model, Command::Describe);
    let Some(Dialog::Fault(fault)) = model.screen.dialogs.last() else { panic!("no fault") };
    assert_eq!(fault.remedy, grant("pods, services", "list").remedy);
}

#[test]
fn hidden_values_are_shown_on_purpose_and_no_longer_than_that() {
    let mut model = opened();
    let reveals = |effects: &[Effect]| asks(effects, |effect| matches!(effect, PageEffect::Reveal { .. }));
    assert!(!reveals(&press(&mut model, Command::Reveal)), "the YAML is not in view");
    press(&mut model, Command::ShowYaml);
    assert!(reveals(&press(&mut model, Command::Reveal)));
    let lines = SecretLines(vec!["hunter2".to_owned()]);
    assert!(!format!("{lines:?}").contains("hunter2"));
    tell(&mut model, PageEvent::Revealed(Ok(lines.clone())));
    assert_eq!(page(&model).yaml(), ["hunter2"]);
    assert!(!reveals(&press(&mut model, Command::Reveal)));
    assert_eq!(page(&model).yaml(), ["hidden"]);
    press(&mut model, Command::Reveal);
    tell(&mut model, PageEvent::Revealed(Ok(lines.clone())));
    press(&mut model, Command::ShowSummary);
    press(&mut model, Command::ShowYaml);
    assert_eq!(page(&model).yaml(), ["hidden"]);
    press(&mut model, Command::Reveal);
    press(&mut model, Command::ShowSummary);
    tell(&mut model, PageEvent::Revealed(Ok(lines)));
    assert!(page(&model).revealed.is_none(), "it came late");
}

#[test]
fn managed_fields_are_folded_until_a_key_unfolds_them() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    // A value of that name is no place of them.
    let yaml = lines("data:\n  managedFields: null\nmetadata:\n  managedFields: null\n  name: web");
    assert_eq!(ManagedFields::place_in(&yaml), Some(3));
    assert_eq!(ManagedFields::place_in(&yaml[..3]), None);
    let mut model = opened();
    press(&mut model, Command::Unfold);
    assert!(!page(&model).unfolded, "the YAML is not in view");
    press(&mut model, Command::ShowYaml);
    press(&mut model, Command::Unfold);
    assert!(page(&model).unfolded);
    press(&mut model, Command::Unfold);
    assert!(!page(&model).unfolded);
}

#[test]
fn a_custom_object_is_deleted_after_a_question_and_a_built_in_one_is_not() {
    let mut model = opened();
    press(&mut model, Command::Delete);
    page(&model);
    let custom = ServedKind { group: "upgrade.cattle.io".to_owned(), ..kind("Plan").as_ref().clone() };
    let mut model = opened_of(Arc::new(custom), Command::ShowPage);
    let deletes = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Edit(EditEffect::Delete { object, uid }) => Some((object.name.clone(), uid.clone())),
            _ => None,
        })
    };
    press(&mut model, Command::Delete);
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Confirm { .. })));
    press(&mut model, Command::Cancel);
    page(&model);
    press(&mut model, Command::Delete);
    let effects = model.update(Event::Act(Action::ClickItem(1)));
    assert_eq!(deletes(&effects), Some(("login".to_owned(), "u".to_owned())), "{effects:?}");
    // One that is gone is not deleted again, nor the one that has taken its name.
    tell(&mut model, PageEvent::Gone);
    press(&mut model, Command::Delete);
    page(&model);
    // In the relations it is the selected object that is deleted, by its own uid.
    tell(&mut model, PageEvent::Found(Box::new(ObjectDetails { uid: "u".to_owned(), ..ObjectDetails::default() })));
    press(&mut model, Command::ShowRelations);
    let PageEvent::Related(mut all) =
        related(&[(0, Relation::Root, "login", found()), (1, Relation::Owned, "x", found())])
    else {
        panic!("no relations")
    };
    for row in &mut all.rows {
        row.object.kind = Arc::clone(&page(&model).object.kind);
    }
    tell(&mut model, PageEvent::Related(all));
    press(&mut model, Command::Down);
    press(&mut model, Command::Delete);
    let effects = model.update(Event::Act(Action::ClickItem(1)));
    assert_eq!(deletes(&effects), Some(("x".to_owned(), "uid of x".to_owned())), "{effects:?}");
}

#[test]
fn logs_are_chosen_filtered_and_looked_back_at() {
    let mut model = opened();
    let effects = press(&mut model, Command::PodLog);
    assert!(asks(&effects, |effect| matches!(effect, PageEffect::FindPods { .. })));
    let key = |name: &str| PodKey { cluster: "dev".to_owned(), namespace: "shop".to_owned(), name: name.to_owned() };
    let pod = |name: &str, containers: &[&str]| LogPod {
        key: key(name),
        containers: containers.iter().map(|name| (*name).to_owned()).collect(),
    };
    let follows = |effects: &[Effect], wanted: &str, before: bool| {
        asks(effects, |effect| {
            matches!(effect, PageEffect::FollowLog { key, container, previous, .. }
                if format!("{}/{container}", key.name) == wanted && *previous == before)
        })
    };
    let effects = tell(&mut model, PageEvent::Pods(Ok(vec![pod("a", &["web", "side"]), pod("b", &["web"])])));
    assert!(follows(&effects, "a/web", false), "{effects:?}");
    let first = page(&model).log.epoch;
    assert!(follows(&press(&mut model, Command::PreviousRun), "a/web", true));
    assert!(follows(&press(&mut model, Command::NextContainer), "a/side", false));
    assert!(follows(&press(&mut model, Command::NextContainer), "b/web", false));
    let epoch = page(&model).log.epoch;
    let lines = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    model.update(Event::Pod(PodEvent::Logged { key: key("a"), epoch: first, lines: lines(&["late"]) }));
    model.update(Event::Pod(PodEvent::Logged { key: key("b"), epoch, lines: lines(&["GET /", "Error 500", "GET /"]) }));
    assert_eq!(page(&model).log.lines.len(), 3);
    press(&mut model, Command::Filter);
    model.update(Event::Act(Action::Type(Typed::Paste("error".to_owned()))));
    assert_eq!(page(&model).log.shown(), ["Error 500"]);
    press(&mut model, Command::Accept);
    assert!(!page(&model).is_filtering());
    press(&mut model, Command::Cancel);
    assert_eq!(page(&model).log.shown().len(), 3, "the filter goes first");
    let effects = press(&mut model, Command::Cancel);
    assert!(any!(effects, Effect::Pod(PodEffect::StopLog)));
}
