//! The search: its index, its ranking, its keys.

use std::sync::Arc;

use tui_input::InputRequest;

use crate::language::effect::PageEffect;
use crate::language::event::{ForwardEvent, IndexEvent, ObjectEvent};
use crate::language::fault::{Grant, Remedy};
use crate::language::log::Message;
use crate::screen::dialog::Dialog;
use crate::screen::find::Hit;
use crate::tests::*;
use crate::types::index::{Entry, Indexed, ObjectRef, ServedKind};
use crate::types::inventory::{Object, ObjectKey, ObjectPort};
use crate::types::page::PagePart;
use crate::types::workload::Kind;

fn kind(group: &str, kind: &str) -> Arc<ServedKind> {
    let plural = format!("{}s", kind.to_lowercase());
    let (group, kind, version) = (group.to_owned(), kind.to_owned(), "v1".to_owned());
    Arc::new(ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true })
}

fn kinds() -> Vec<Arc<ServedKind>> {
    vec![kind("", "Service"), kind("", "Secret"), kind("apps", "Deployment")]
}

fn row(place: &str, label: &str) -> Indexed {
    let (namespace, name) = place.split_once('/').unwrap();
    let labels = label.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let entry = Entry::new(&labels.into_iter().collect(), noon().timestamp() - 60);
    Indexed { namespace: namespace.into(), name: name.into(), entry }
}

fn page(kind: usize, rows: &[&str]) -> IndexEvent {
    let rows = rows.iter().map(|at| row(at, "app=web")).collect();
    IndexEvent::Page { kind, namespace: None, rows, first: true, last: true }
}

fn tell(model: &mut Model, event: IndexEvent) {
    let epoch = model.index.epoch;
    model.update(Event::Index { cluster: "dev".to_owned(), epoch, event });
    model.arrange();
}

fn write(model: &mut Model, text: &str) {
    for c in text.chars() {
        model.update(Event::Act(Action::Type(Typed::Edit(InputRequest::InsertChar(c)))));
    }
}

/// The search over `dev` with a few objects in it.
fn searching() -> Model {
    let mut model = connected();
    let effects = press(&mut model, Command::Find);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::Index { cluster, only: false, .. }) if cluster == "dev"));
    tell(&mut model, IndexEvent::Kinds(kinds()));
    tell(&mut model, page(0, &["shop/web", "shop/cobweb", "ops/web-metrics", "ops/the-web"]));
    tell(&mut model, page(1, &["shop/web-password"]));
    tell(&mut model, page(2, &["shop/web", "ops/wobe"]));
    model
}

fn found(model: &Model) -> Vec<String> {
    let shown = |hit: &Hit| match hit {
        Hit::Object(at) => format!("{}/{}", at.kind.kind, at.name),
        Hit::Target(name) => format!("target/{name}"),
        Hit::Command(command) => format!(":{}", command.name()),
        Hit::Forward(_) => "forward".to_owned(),
        Hit::Pod(key) => format!("pod/{}", key.name),
    };
    model.finder().unwrap().results.rows.iter().map(|row| shown(&row.hit)).collect()
}

#[test]
fn results_are_ranked_and_narrowed() {
    for (text, results) in [
        (
            "web",
            &[
                "Deployment/web",
                "Service/web",
                "Service/web-metrics",
                "Secret/web-password",
                "Service/the-web",
                "Service/cobweb",
            ][..],
        ),
        ("kind:secret", &["Secret/web-password"]),
        ("kind:deploy web", &["Deployment/web"]),
        ("ns:ops web", &["Service/web-metrics", "Service/the-web"]),
        ("web ops", &["Service/web-metrics", "Service/the-web"]),
        ("cluster:prod web", &[]),
        ("label:app=web kind:dep", &["Deployment/web", "Deployment/wobe"]),
        ("label:app=other", &[]),
        ("x", &[]),
    ] {
        let mut model = searching();
        write(&mut model, text);
        let mut own = found(&model);
        own.retain(|name| !name.starts_with(':') && !name.starts_with("target/"));
        assert_eq!(own, results, "{text}");
    }
}

#[test]
fn logs_and_steps_are_a_key_away() {
    let mut model = searching();
    write(&mut model, "kind:deploy web");
    let effects = press(&mut model, Command::PodLog);
    let finds = |effect: &Effect| matches!(effect, Effect::Cluster(ClusterEffect::Page(PageEffect::FindPods { object, .. })) if object.name == "web");
    assert!(effects.iter().any(finds), "{effects:?}");
    let Some(Dialog::Object(page)) = model.screen.dialogs.last() else { panic!("no page") };
    assert_eq!(page.part, PagePart::Logs);
    press(&mut model, Command::Cancel);
    assert!(model.finder().is_some(), "the search is there again");
    let name = model.targets.all()[0].name.clone();
    press(&mut model, Command::Cancel);
    write(&mut model, &name);
    assert_eq!(found(&model)[0], format!("target/{name}"));
    assert!(!any!(press(&mut model, Command::PodLog), Effect::Cluster(_) | Effect::Pod(_)), "a target has no log");
    let effects = press(&mut model, Command::Why);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::TakeSteps { .. })), "{effects:?}");
}

#[test]
fn targets_and_commands_are_found_without_a_cluster() {
    let mut model = model();
    assert!(!any!(press(&mut model, Command::Find), Effect::Cluster(_)), "searching connects nothing");
    let name = model.targets.all()[0].name.clone();
    write(&mut model, &name);
    assert_eq!(found(&model)[0], format!("target/{name}"));
    press(&mut model, Command::Accept);
    assert!(model.screen.dialogs.is_empty());
    assert_eq!((model.screen.focus.pane, model.screen.targets.selected()), (Pane::Targets, Some(&name)));
    press(&mut model, Command::Find);
    assert_eq!(found(&model), [format!("target/{name}")], "what was used last comes without a text");
    write(&mut model, "zoom");
    assert_eq!(found(&model)[0], ":zoom");
    press(&mut model, Command::Accept);
    assert!(model.screen.focus.zoomed);
}

#[test]
fn targets_are_found_by_their_addresses_and_forwards_by_their_ports() {
    let mut model = connected();
    let target = model.targets.all()[0].clone();
    let address = target.address.to_string();
    let by = |model: &mut Model, text: &str| {
        press(model, Command::Find);
        write(model, text);
        let found = found(model);
        press(model, Command::Cancel);
        press(model, Command::Cancel);
        found
    };
    let port = address.rsplit(':').next().unwrap().to_owned();
    let own = format!("target/{}", target.name);
    let within = format!("{} {port}", &target.name[1..]);
    for text in [&address, &address[..5], &port, &format!("{} {port}", target.name), &within] {
        assert!(by(&mut model, text).contains(&own), "{text}");
    }
    assert_eq!(address, "10.0.0.1:3306");
    assert!(!by(&mut model, "336").contains(&own), "an address contains a word as it is");
    assert!(!by(&mut model, "3306 nothing").contains(&own));
    model.targets.all_mut()[0].forward.on_demand = Some(true);
    model.screen.focus.pane = Pane::Targets;
    press(&mut model, Command::Forward);
    let id = model.forwards.ids(|_| true)[0];
    let epoch = model.forwards.all()[&id].spec.epoch;
    let event = ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]);
    model.update(Event::Forward { id, epoch, event });
    assert!(by(&mut model, "40001").contains(&"forward".to_owned()));
}

#[test]
fn what_was_used_comes_first_among_equals() {
    let mut model = searching();
    write(&mut model, "web");
    press(&mut model, Command::Down);
    let effects = press(&mut model, Command::Accept);
    assert!(
        any!(effects, Effect::Cluster(ClusterEffect::Page(PageEffect::Show { object, .. })) if object.kind.kind == "Service")
    );
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Object(page)) if page.details.is_none()));
    press(&mut model, Command::Cancel);
    press(&mut model, Command::Cancel);
    write(&mut model, "web");
    assert_eq!(found(&model)[..2], ["Service/web", "Deployment/web"]);
}

#[test]
fn a_selection_stays_while_results_arrive_and_the_best_is_selected_before() {
    let mut model = searching();
    write(&mut model, "web-p");
    let row = |name: &str| IndexEvent::Applied { kind: 0, row: row(name, "") };
    tell(&mut model, row("a/web-p"));
    let selected = |model: &Model| match model.finder().unwrap().selected() {
        Some(Hit::Object(at)) => at.name.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(selected(&model), "web-p");
    press(&mut model, Command::Down);
    assert_eq!(selected(&model), "web-password");
    tell(&mut model, row("a/web-pa"));
    assert_eq!(selected(&model), "web-password");
    tell(&mut model, IndexEvent::Gone { kind: 1, namespace: "shop".into(), name: "web-password".into() });
    assert_eq!(found(&model), ["Service/web-p", "Service/web-pa"]);
}

#[test]
fn a_relisted_kind_forgets_what_is_gone_in_its_scope_alone() {
    let mut model = searching();
    let rows = vec![row("shop/new", "")];
    tell(&mut model, IndexEvent::Page { kind: 0, namespace: Some("shop".into()), rows, first: true, last: true });
    let names: Vec<String> = model.index.clusters()["dev"].kinds[0]
        .rows
        .keys()
        .map(|(namespace, name)| format!("{namespace}/{name}"))
        .collect();
    assert_eq!(names, ["ops/the-web", "ops/web-metrics", "shop/new"]);
}

#[test]
fn kinds_that_may_not_be_listed_are_told_in_one_fault() {
    let mut model = searching();
    for kind in [0, 1] {
        let resource = ["services", "secrets"][kind];
        let grant = Grant { verb: "list".to_owned(), resource: resource.to_owned(), namespace: None };
        let fault = Fault::new(What::Forbidden, "dev", "no").with(Remedy::Grant(grant));
        tell(&mut model, IndexEvent::Narrowed { kind, fault, namespaces: 1 - kind });
    }
    let index = &model.index.clusters()["dev"];
    assert_eq!(index.progress(), (2, 3));
    assert!(!index.is_done());
    let Some(Fault { remedy: Remedy::Grant(grant), .. }) = index.reason() else { panic!("no fault") };
    assert_eq!(grant.resource, "services, secrets");
    press(&mut model, Command::Describe);
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Fault(_))));
}

#[test]
fn the_index_goes_five_minutes_after_the_last_search() {
    let mut model = searching();
    let later = |model: &mut Model, minutes| {
        let now = model.now + TimeDelta::minutes(minutes);
        model.update(Event::Tick { now, samples: Vec::new() })
    };
    let stops = |effects: &[Effect]| any!(effects, Effect::Cluster(ClusterEffect::StopIndexing { .. }));
    assert!(!stops(&later(&mut model, 60)), "it is open");
    press(&mut model, Command::Cancel);
    assert!(!stops(&later(&mut model, 4)));
    assert!(stops(&later(&mut model, 1)));
    assert!(model.index.clusters().is_empty());
    assert!(!stops(&later(&mut model, 9)));
    let old = model.index.epoch;
    press(&mut model, Command::Find);
    let late = Event::Index { cluster: "dev".to_owned(), epoch: old, event: IndexEvent::Kinds(kinds()) };
    model.update(late);
    assert!(model.index.clusters()["dev"].kinds.is_empty(), "what an earlier index is told is dropped");
}

#[test]
fn a_cluster_that_comes_later_is_indexed_and_one_that_goes_is_forgotten() {
    let mut model = model();
    press(&mut model, Command::Find);
    model.update(Event::Request(crate::language::request::Request::Watch(vec!["dev".to_owned()])));
    assert_eq!(model.silent().count(), 1);
    let indexes = |effects: &[Effect]| any!(effects, Effect::Cluster(ClusterEffect::Index { .. }));
    assert!(indexes(&on_dev(&mut model, answered())));
    assert!(!indexes(&on_dev(&mut model, answered())), "once");
    tell(&mut model, IndexEvent::Kinds(kinds()));
    assert_eq!(model.silent().count(), 0);
    model.screen.dialogs.clear();
    press(&mut model, Command::Clusters);
    let effects = press(&mut model, Command::DisconnectCluster);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::StopIndexing { .. })), "{effects:?}");
}

#[test]
fn forwarding_an_object_makes_a_target_of_its_port_once() {
    let mut model = searching();
    write(&mut model, "kind:service web");
    let effects = press(&mut model, Command::Forward);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Cluster(ClusterEffect::ReadPorts(object)) => Some(object.clone()),
        _ => None,
    });
    let object: ObjectRef = asked.unwrap();
    assert!(model.screen.dialogs.is_empty());
    let ObjectRef { cluster, namespace, name, .. } = object.clone();
    let port = |number| ObjectPort { number, name: None, service: None };
    let key = ObjectKey { cluster, namespace, kind: Kind::Service, name };
    let ports = |numbers: &[u16]| {
        let ports = numbers.iter().copied().map(port).collect();
        let owner = Some(Kind::Deployment);
        Ok(Box::new(Object { key: key.clone(), ports, labels: [].into(), owner }))
    };
    for _ in 0..2 {
        let result = ports(&[80, 443]);
        model.update(Event::Object(ObjectEvent::Ports { object: object.clone(), result }));
    }
    let made: Vec<_> = model.targets.all().iter().filter(|target| target.name == "web.shop").collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].address.to_string(), "service/web:80");
    assert_eq!(model.forwards_of("web.shop").count(), 1);
    model.update(Event::Object(ObjectEvent::Ports { object, result: ports(&[]) }));
    assert_eq!(model.screen.log.entries.back().map(|entry| &entry.message), Some(&Message::NoPorts));
}

#[test]
fn names_and_the_kubectl_command_are_copied() {
    let mut model = searching();
    write(&mut model, "web-password");
    for (command, text) in [
        (Command::Copy, "web-password"),
        (Command::Strings, "kubectl --context dev -n shop get secrets/web-password -o yaml"),
    ] {
        let effects = press(&mut model, command);
        let copied =
            |effect: &Effect| matches!(effect, Effect::Terminal(TerminalEffect::Copy(Clip::Text(own))) if own == text);
        assert!(effects.iter().any(copied), "{effects:?}");
    }
    assert!(model.finder().is_some(), "it stays open");
}

#[test]
fn more_results_than_are_shown_are_counted() {
    let mut model = searching();
    let names: Vec<String> = (0..120).map(|number| format!("many/thing-{number:03}")).collect();
    tell(&mut model, page(0, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    write(&mut model, "thing");
    let results = &model.finder().unwrap().results;
    assert_eq!((results.rows.len(), results.more), (50, 70));
    assert_eq!(results.rows[0].name, "thing-000");
    assert_eq!(model.search("thing", 200).rows.len(), 120);
}

#[test]
fn a_shell_is_opened_in_what_has_pods_and_on_nodes() {
    for (text, thing) in [
        ("kind:deploy web", Some(("shop", "deployments.apps/web"))),
        ("kind:service cobweb", Some(("shop", "services/cobweb"))),
        ("kind:node worker", Some(("", "node/worker"))),
        ("kind:secret", None),
        (":zoom", None),
    ] {
        let mut model = connected();
        press(&mut model, Command::Find);
        let mut kinds = kinds();
        kinds.push(kind("", "Node"));
        tell(&mut model, IndexEvent::Kinds(kinds));
        tell(&mut model, page(0, &["shop/cobweb"]));
        tell(&mut model, page(1, &["shop/web-password"]));
        tell(&mut model, page(2, &["shop/web"]));
        tell(&mut model, page(3, &["/worker"]));
        write(&mut model, text);
        model.arrange();
        let effects = press(&mut model, Command::Shell);
        let place = effects.into_iter().find_map(|effect| match effect {
            Effect::Terminal(TerminalEffect::Shell(place)) => Some((place.namespace, place.thing)),
            _ => None,
        });
        assert_eq!(place, thing.map(|(namespace, thing)| (namespace.to_owned(), thing.to_owned())), "{text}");
        assert_eq!(model.screen.dialogs.is_empty(), thing.is_some(), "{text}");
    }
}
