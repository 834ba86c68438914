//! The browser, and what it takes over.

mod shown;

use std::sync::Arc;

use tui_input::InputRequest;

use crate::language::effect::PageEffect;
use crate::language::effect::TargetEdit;
use crate::language::event::{BrowseEvent, ObjectEvent};
use crate::language::fault::Grant;
use crate::language::fault::Remedy;
use crate::language::log::Message;
use crate::screen::dialog::Dialog;
use crate::screen::dialog::Question;
use crate::tests::*;
use crate::types::epoch::Epoch;
use crate::types::index::{ObjectRef, ServedKind};
use crate::types::inventory::MAX_OBJECTS;
use crate::types::inventory::Object;
use crate::types::inventory::ObjectKey;
use crate::types::inventory::ObjectPort;
use crate::types::inventory::SearchScope;
use crate::types::offer::OutcomeCounts;
use crate::types::service::Signs;
use crate::types::service::recognise;
use crate::types::workload::Kind;

/// An object with its ports as `name:number`.
fn found(cluster: &str, namespace: &str, kind: Kind, name: &str, ports: &[&str]) -> Object {
    let labels = [("app".to_owned(), name.to_owned())].into();
    let port = |text: &&str| {
        let (own, number) = text.split_once(':').unwrap();
        let number = number.parse().unwrap();
        let service = recognise(&Signs { port: number, name: own, protocol: "", object: name, labels: &labels });
        ObjectPort { number, name: Some(own.to_owned()).filter(|name| !name.is_empty()), service }
    };
    let key = ObjectKey { cluster: cluster.into(), namespace: namespace.into(), kind, name: name.into() };
    Object { key, ports: ports.iter().map(port).collect(), labels: labels.clone(), owner: None }
}

fn service(namespace: &str, name: &str, ports: &[&str]) -> Object {
    found("dev", namespace, Kind::Service, name, ports)
}

fn all(kind: Kind) -> SearchScope {
    SearchScope { kind, namespace: None }
}

fn tell(model: &mut Model, event: BrowseEvent) {
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else { panic!("no browser") };
    let epoch = browser.epoch;
    model.update(Event::Browse { cluster: "dev".to_owned(), epoch, event });
    model.arrange();
}

/// A browser over `dev` with a few services in it.
fn browsing() -> Model {
    let mut model = connected();
    let effects = press(&mut model, Command::Browse);
    assert!(
        matches!(&effects[..], [Effect::Cluster(ClusterEffect::Browse { cluster, .. })] if cluster == "dev"),
        "{effects:?}"
    );
    let services = vec![
        service("shop", "mysql", &["sql:3306"]),
        service("shop", "web", &["http:80", "admin:9000"]),
        service("ops", "metrics", &[":9090"]),
        service("ops", "odd", &[":7777"]),
    ];
    tell(&mut model, BrowseEvent::Listed { scope: all(Kind::Service), all: services });
    model
}

fn rows(model: &Model) -> Vec<String> {
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else { panic!("no browser") };
    let row =
        |spot: &crate::types::inventory::PortKey| format!("{}/{}:{}", spot.key.namespace, spot.key.name, spot.port);
    browser.list.rows().iter().map(row).collect()
}

fn write(model: &mut Model, text: &str) {
    for c in text.chars() {
        model.update(Event::Act(Action::Type(Typed::Edit(InputRequest::InsertChar(c)))));
    }
}

/// The targets that effects have the store write.
pub(super) fn saved(effects: &[Effect]) -> Vec<TargetEdit> {
    effects
        .iter()
        .flat_map(
            |effect| if let Effect::Store(StoreEffect::Save(edits)) = effect { edits.clone() } else { Vec::new() },
        )
        .collect()
}

fn tally(model: &Model) -> OutcomeCounts {
    let last = model.screen.log.entries.iter().rev().find_map(|entry| match entry.message {
        Message::Taken(tally) => Some(tally),
        _ => None,
    });
    last.expect("nothing was taken over")
}

#[test]
fn the_page_of_an_object_opens_over_the_browser() {
    let mut model = browsing();
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else { panic!("no browser") };
    let (of, at) = (browser.epoch, browser.list.selected().unwrap().key.clone());
    let effects = press(&mut model, Command::ShowPage);
    let asks = |effect: &Effect| matches!(effect, Effect::Cluster(ClusterEffect::FindObject { key, epoch }) if *key == at && *epoch == of);
    assert!(effects.iter().any(asks), "{effects:?}");
    let object = ObjectRef {
        cluster: at.cluster,
        kind: Arc::new(ServedKind::service()),
        namespace: at.namespace,
        name: at.name,
    };
    let found = |epoch| Event::Object(ObjectEvent::Found { epoch, result: Ok(object.clone()) });
    model.update(found(Epoch(of.0 + 100)));
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Browser(_))), "it is about another browser");
    let effects = model.update(found(of));
    assert!(any!(effects, Effect::Cluster(ClusterEffect::Page(PageEffect::Show { object: it, .. })) if *it == object));
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Object(_))));
    press(&mut model, Command::Cancel);
    let fault = Fault::new(What::KindMissing, "rollout.argoproj.io (dev)", "");
    model.update(Event::Object(ObjectEvent::Found { epoch: of, result: Err(fault.clone()) }));
    assert_eq!(model.screen.dialogs.last().and_then(Dialog::fault), Some(&fault));
    press(&mut model, Command::Cancel);
    press(&mut model, Command::Cancel);
    model.update(found(of));
    assert!(model.screen.dialogs.is_empty(), "nobody waits for it any more");
}

#[test]
fn nothing_connected_means_connecting_the_one_in_view_first() {
    let mut model = model();
    let effects = press(&mut model, Command::Browse);
    assert!(
        matches!(&effects[..], [Effect::Cluster(ClusterEffect::Connect { cluster, .. })] if cluster == "dev"),
        "{effects:?}"
    );
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Browser(_))));
    let effects = on_dev(&mut model, answered());
    let looks = |effect: &Effect| {
        matches!(effect, Effect::Cluster(ClusterEffect::Browse { cluster, namespaces, .. })
        if cluster == "dev" && namespaces.contains("team"))
    };
    assert!(effects.iter().any(looks), "{effects:?}");
    // It is looked into once.
    assert!(!on_dev(&mut model, answered()).iter().any(looks));
    let effects = press(&mut model, Command::Cancel);
    assert_eq!(effects, [Effect::Cluster(ClusterEffect::StopBrowsing)]);
    assert!(model.screen.dialogs.is_empty());
}

#[test]
fn rows_are_live_and_filtered() {
    let mut model = browsing();
    assert_eq!(rows(&model), ["ops/metrics:9090", "ops/odd:7777", "shop/mysql:3306", "shop/web:80", "shop/web:9000"]);
    write(&mut model, "msql");
    assert_eq!(rows(&model), ["shop/mysql:3306"]);
    tell(&mut model, BrowseEvent::Applied(service("shop", "mysql-2", &[":3306"])));
    assert_eq!(rows(&model).len(), 2);
    let key = service("shop", "mysql", &[]).key;
    tell(&mut model, BrowseEvent::Gone(key));
    assert_eq!(rows(&model), ["shop/mysql-2:3306"]);
    // A service that has lost its ports is none to go to.
    tell(&mut model, BrowseEvent::Applied(service("shop", "mysql-2", &[])));
    assert_eq!(rows(&model), [""; 0]);
    // One step back: the filter, then the browser.
    press(&mut model, Command::Cancel);
    assert_eq!(rows(&model).len(), 4);
    // By protocol, namespace and port as well.
    for (text, row) in [("prometheus", "ops/metrics:9090"), ("7777", "ops/odd:7777"), ("admin", "shop/web:9000")] {
        write(&mut model, text);
        assert_eq!(rows(&model), [row], "{text}");
        press(&mut model, Command::Cancel);
    }
    let late = Event::Browse {
        cluster: "dev".to_owned(),
        epoch: Epoch(0),
        event: BrowseEvent::Listed { scope: all(Kind::Service), all: Vec::new() },
    };
    model.update(late);
    model.arrange();
    assert_eq!(rows(&model).len(), 4, "what an earlier browser asked for is dropped");
}

#[test]
fn a_row_becomes_a_target() {
    let mut model = browsing();
    write(&mut model, "mysql");
    let effects = press(&mut model, Command::Accept);
    let [TargetEdit::Import(target)] = &saved(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((target.name.as_str(), target.cluster.as_str()), ("mysql.shop", "dev"));
    assert_eq!(
        (target.address.to_string().as_str(), target.namespace.as_deref()),
        ("service/mysql:3306", Some("shop"))
    );
    assert!((30_300..=30_399).contains(&target.local_port), "{}", target.local_port);
    assert_eq!(target.tags, ["mysql"]);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::Widen { namespaces, .. }) if namespaces.contains("shop")));
    assert_eq!(tally(&model), OutcomeCounts { added: 1, skipped: 0, replaced: 0 });
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Browser(_))), "one goes on looking");
    // The row knows the target now, also when it is named by the port's name.
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else { panic!() };
    let (found, port) = browser.inventory.at(&browser.list.rows()[0]).unwrap();
    assert_eq!(model.saved(found, port).map(|target| target.name.as_str()), Some("mysql.shop"));
    let named = Target { address: "service/mysql:sql".parse().unwrap(), ..target.clone() };
    let at = model.targets.all().iter().position(|target| target.name == "mysql.shop").unwrap();
    let (found, port) = (found.clone(), port.clone());
    model.targets.all_mut()[at] = named;
    assert!(model.saved(&found, &port).is_some());
    assert!(model.saved(&service("other", "mysql", &[":3306"]), &port).is_none(), "another namespace");
}

#[test]
fn marked_rows_and_all_that_is_recognised_become_targets() {
    let mut model = browsing();
    press(&mut model, Command::Down);
    for _ in 0..3 {
        press(&mut model, Command::Mark);
    }
    let effects = press(&mut model, Command::Accept);
    let names: Vec<String> = saved(&effects).iter().map(name).collect();
    assert_eq!(names, ["odd.ops", "mysql.shop", "web.shop"]);
    // What a deployment runs behind a service is there by the service already.
    let sets = vec![
        found("dev", "shop", Kind::Deployment, "mysql", &["sql:3306"]),
        found("dev", "shop", Kind::Deployment, "redis", &[":6379", "metrics:9121"]),
    ];
    tell(&mut model, BrowseEvent::Listed { scope: all(Kind::Deployment), all: sets });
    press(&mut model, Command::TakeKnown);
    let Some(Dialog::Confirm { question, .. }) = model.screen.dialogs.last() else {
        panic!("{:?}", model.screen.dialogs)
    };
    let Question::ImportOffers { there: 2, offers, .. } = question else { panic!("{question:?}") };
    let offered: Vec<&str> = offers.iter().map(|offer| offer.target.name.as_str()).collect();
    assert_eq!(offered, ["metrics.ops", "mysql.shop", "web.shop", "redis.shop"]);
    // Only what is new.
    let effects = model.update(Event::Act(Action::ClickItem(1)));
    assert_eq!(saved(&effects).iter().map(name).collect::<Vec<_>>(), ["metrics.ops", "redis.shop"]);
    assert_eq!(tally(&model), OutcomeCounts { added: 2, skipped: 2, replaced: 0 });
    let mut ports: Vec<u16> =
        model.targets.all().iter().map(|target| target.local_port).filter(|port| *port != 0).collect();
    let count = ports.len();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), count, "each has a port of its own");
}

pub(super) fn name(edit: &TargetEdit) -> String {
    match edit {
        TargetEdit::Import(target) | TargetEdit::Replace { target, .. } => target.name.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_there_is_replaced_on_request_only() {
    let mut model = browsing();
    let own = Target {
        namespace: Some("shop".to_owned()),
        address: "service/mysql:sql".parse().unwrap(),
        local_port: 3306,
        tags: vec!["mine".to_owned()],
        ..target("the database", "dev")
    };
    model.targets.all_mut().push(own.clone());
    write(&mut model, "mysql");
    press(&mut model, Command::Accept);
    let Some(Dialog::Confirm { question, button: 0 }) = model.screen.dialogs.last() else {
        panic!("{:?}", model.screen.dialogs)
    };
    assert_eq!(question.buttons(), 2, "nothing is new: only to replace");
    press(&mut model, Command::Cancel);
    assert!(model.targets.all().contains(&own), "no is no");
    press(&mut model, Command::Accept);
    let effects = model.update(Event::Act(Action::ClickItem(1)));
    let [TargetEdit::Replace { was, target }] = &saved(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((&**was, target.name.as_str(), &target.tags), (&own, "the database", &own.tags));
    assert!((30_300..=30_399).contains(&target.local_port));
    assert_eq!(tally(&model), OutcomeCounts { added: 0, skipped: 0, replaced: 1 });
}

#[test]
fn ports_of_other_instances_and_of_saved_targets_are_left_alone() {
    use crate::language::event::InstanceEvent;
    use crate::types::instance::{ForwardReport, RemoteState, Report, Role};
    let port = |mut model: Model| {
        write(&mut model, "mysql");
        press(&mut model, Command::Accept);
        model.target("mysql.shop").unwrap().local_port
    };
    let own = port(browsing());
    assert_eq!(port(browsing()), own, "the same target gets the same port");
    let mut model = browsing();
    model.targets.all_mut().push(Target { local_port: own, ..target("other", "dev") });
    let beside_saved = port(model);
    assert!(beside_saved != own && (30_300..=30_399).contains(&beside_saved), "{beside_saved}");
    let mut model = browsing();
    let forward = ForwardReport {
        id: 1,
        agent: None,
        name: "theirs".into(),
        cluster: "dev".into(),
        namespace: "team".into(),
        server: String::new(),
        destination: "10.0.0.1:3306".into(),
        local: format!("127.0.0.1:{own}"),
        socket: None,
        state: RemoteState::Live,
        detail: None,
        ends: None,
        pod: None,
        draining: Vec::new(),
    };
    let report = Report {
        pid: 42,
        role: Role::Background,
        forwards: vec![forward],
        leaving: false,
        ended: Vec::new(),
        wants: Vec::new(),
        asks: Vec::new(),
        shells: Vec::new(),
    };
    model.update(Event::Instance(InstanceEvent::Heard { instance: "42-00000000".into(), report }));
    let beside_theirs = port(model);
    assert!(beside_theirs != own && (30_300..=30_399).contains(&beside_theirs), "{beside_theirs}");
}

#[test]
fn a_name_that_is_taken_gives_way() {
    let mut model = browsing();
    model.targets.all_mut().push(target("web.shop", "prod"));
    model.targets.all_mut().push(target("web-http.shop", "prod"));
    write(&mut model, "web");
    press(&mut model, Command::MarkAll);
    let effects = press(&mut model, Command::Accept);
    assert_eq!(saved(&effects).iter().map(name).collect::<Vec<_>>(), ["web-http.shop@dev", "web-admin.shop"]);
}

#[test]
fn what_may_not_be_seen_is_told() {
    let mut model = browsing();
    let grant = |namespace: Option<&str>| Grant {
        verb: "list".into(),
        resource: "services".into(),
        namespace: namespace.map(Into::into),
    };
    let fault = |namespace| Fault::new(What::Forbidden, "dev", "").with(Remedy::Grant(grant(namespace)));
    tell(&mut model, BrowseEvent::Missing { scope: all(Kind::Service), fault: fault(None) });
    assert_eq!(rows(&model), [""; 0], "what may not be seen any more is gone");
    let team = SearchScope { kind: Kind::Service, namespace: Some("team".into()) };
    tell(&mut model, BrowseEvent::Missing { scope: team.clone(), fault: fault(Some("team")) });
    press(&mut model, Command::Describe);
    assert_eq!(
        model.screen.dialogs.last().and_then(Dialog::fault),
        Some(&fault(Some("team"))),
        "a dark place comes first"
    );
    press(&mut model, Command::Cancel);
    let listed = vec![service("team", "db", &[":5432"])];
    tell(&mut model, BrowseEvent::Listed { scope: team, all: listed });
    assert_eq!(rows(&model), ["team/db:5432"]);
    press(&mut model, Command::Describe);
    assert_eq!(model.screen.dialogs.last().and_then(Dialog::fault), Some(&fault(None)));
}

#[test]
fn what_may_not_be_seen_is_one_right() {
    let mut model = browsing();
    let missing = |kind: Kind, resource: &str, namespace: Option<&str>| {
        let grant = Grant { verb: "list".into(), resource: resource.into(), namespace: namespace.map(Into::into) };
        let scope = SearchScope { kind, namespace: namespace.map(Into::into) };
        BrowseEvent::Missing { scope, fault: Fault::new(What::Forbidden, "dev", "").with(Remedy::Grant(grant)) }
    };
    for namespace in [None, Some("team"), Some("other")] {
        tell(&mut model, missing(Kind::Service, "services", namespace));
        tell(&mut model, missing(Kind::Deployment, "deployments.apps", namespace));
    }
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else { panic!("no browser") };
    let (fault, more) = browser.inventory.reason().unwrap();
    let Remedy::Grant(grant) = fault.remedy else { panic!("{fault:?}") };
    assert_eq!(grant.resource, "services, deployments.apps");
    assert_eq!((grant.namespace.as_deref(), more), (Some("other"), 2), "what is dark in the other namespace");
}
