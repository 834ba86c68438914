//! The browser of kinds: its lists, its keys, and what it asks for.

use std::sync::Arc;

use tui_input::InputRequest;

use crate::language::effect::PageEffect;
use crate::language::event::KindEvent;
use crate::screen::dialog::Dialog;
use crate::screen::kinds::KindBrowser;
use crate::tests::*;
use crate::types::index::ServedKind;
use crate::types::kinds::{RouteService, TableColumn, TableRow};

fn kind(group: &str, plural: &str, namespaced: bool) -> Arc<ServedKind> {
    let (group, kind, version) = (group.to_owned(), plural.trim_end_matches('s').to_owned(), "v1".to_owned());
    Arc::new(ServedKind { group, version, kind, plural: plural.to_owned(), shorts: Vec::new(), namespaced })
}

fn browser(model: &Model) -> &KindBrowser {
    model
        .screen
        .dialogs
        .iter()
        .find_map(|dialog| if let Dialog::Kinds(browser) = dialog { Some(&**browser) } else { None })
        .expect("the browser")
}

fn tell(model: &mut Model, event: KindEvent) {
    let epoch = browser(model).epoch;
    model.update(Event::Kinds { epoch, event });
    model.arrange();
}

fn write(model: &mut Model, text: &str) {
    for c in text.chars() {
        model.update(Event::Act(Action::Type(Typed::Edit(InputRequest::InsertChar(c)))));
    }
}

fn row(namespace: &str, name: &str) -> TableRow {
    let cells = vec!["1".to_owned(), format!("image-of-{name}")];
    let uid = format!("uid-of-{name}");
    TableRow { namespace: namespace.to_owned(), name: name.to_owned(), uid, cells, created: None, services: Vec::new() }
}

fn listed(namespace: Option<&str>, rows: Vec<TableRow>) -> KindEvent {
    let column = |name: &str, wide: bool| TableColumn { name: name.to_owned(), wide };
    let columns = vec![column("Ready", false), column("Image", true)];
    KindEvent::Listed { namespace: namespace.map(str::to_owned), columns, rows, first: true }
}

/// The browser over `dev`.
fn browsing() -> Model {
    let mut model = connected();
    let effects = press(&mut model, Command::Kinds);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::ListKinds { cluster, .. }) if cluster == "dev"));
    let all = [("", "pods", true), ("", "nodes", false), ("traefik.io", "ingressroutes", true)];
    let all = all.map(|(group, plural, namespaced)| kind(group, plural, namespaced));
    tell(&mut model, KindEvent::Served(all.to_vec()));
    model
}

/// Names of the rows that are shown.
fn names(model: &Model) -> Vec<String> {
    let browser = browser(model);
    match &browser.table {
        Some(table) => table.order.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect(),
        None => browser.order.iter().map(|at| browser.kinds.as_ref().unwrap()[*at].plural.clone()).collect(),
    }
}

#[test]
fn one_kind_is_watched_as_long_as_it_is_open() {
    let mut model = browsing();
    assert_eq!(names(&model), ["ingressroutes", "nodes", "pods"]);
    write(&mut model, "pod");
    assert_eq!(names(&model), ["pods"]);
    let effects = press(&mut model, Command::Accept);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::ShowKind { kind, only: false, .. }) if kind.plural == "pods"));
    tell(&mut model, listed(None, vec![row("b", "web"), row("a", "web"), row("a", "db")]));
    assert_eq!(names(&model), ["a/db", "a/web", "b/web"]);
    let (old, fault) = (browser(&model).epoch, Fault::new(What::Server, "dev", ""));
    let effects = press(&mut model, Command::Cancel);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::HideKind)) && browser(&model).table.is_none());
    assert_eq!(names(&model), ["pods"], "the filter of the kinds is kept");
    press(&mut model, Command::Cancel);
    assert_eq!(names(&model).len(), 3);
    press(&mut model, Command::Accept);
    model.update(Event::Kinds { epoch: old, event: KindEvent::Missing { fault } });
    assert!(browser(&model).table.as_ref().unwrap().fault.is_none(), "it was about another");
    press(&mut model, Command::Cancel);
    let effects = press(&mut model, Command::Cancel);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::HideKind)) && model.screen.dialogs.is_empty());
}

#[test]
fn rows_come_change_and_go_and_the_selection_stays() {
    let mut model = browsing();
    write(&mut model, "pod");
    press(&mut model, Command::Accept);
    tell(&mut model, listed(None, vec![row("a", "b"), row("a", "d")]));
    press(&mut model, Command::Down);
    tell(&mut model, KindEvent::Applied(row("a", "c")));
    let selected = |model: &Model| browser(model).table.as_ref().unwrap().selected().unwrap().name.clone();
    assert_eq!((names(&model).len(), selected(&model)), (3, "d".to_owned()));
    tell(&mut model, KindEvent::Gone { namespace: "a".to_owned(), name: "d".to_owned() });
    assert_eq!((names(&model).len(), selected(&model)), (2, "c".to_owned()));
    write(&mut model, "image-of-b");
    assert_eq!(names(&model), ["a/b"], "cells are searched, too");
    let table = browser(&model).table.as_ref().unwrap();
    let shown = table.columns.iter().filter(|column| table.shows(column)).count();
    press(&mut model, Command::Wide);
    let table = browser(&model).table.as_ref().unwrap();
    assert_eq!((shown, table.columns.iter().filter(|column| table.shows(column)).count()), (1, 2));
}

#[test]
fn one_namespace_is_shown_and_all_again() {
    let mut model = browsing();
    write(&mut model, "pod");
    press(&mut model, Command::Accept);
    tell(&mut model, listed(None, vec![row("a", "web"), row("b", "web")]));
    press(&mut model, Command::Down);
    let effects = press(&mut model, Command::OneNamespace);
    let b = std::collections::BTreeSet::from(["b".to_owned()]);
    let wanted = |effect: &Effect| matches!(effect, Effect::Cluster(ClusterEffect::ShowKind { namespaces, only: true, .. }) if *namespaces == b);
    assert!(effects.iter().any(wanted), "{effects:?}");
    tell(&mut model, listed(Some("b"), vec![row("b", "web")]));
    assert_eq!(names(&model), ["b/web"]);
    let effects = press(&mut model, Command::OneNamespace);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::ShowKind { only: false, .. })));
    // Refused for all, allowed in some: both are said.
    let fault = || Fault::new(What::Forbidden, "pods", "");
    tell(&mut model, KindEvent::Missing { fault: fault() });
    tell(&mut model, listed(Some("a"), vec![row("a", "web")]));
    tell(&mut model, listed(Some("b"), vec![row("b", "web")]));
    assert_eq!((names(&model).len(), browser(&model).table.as_ref().unwrap().fault.clone()), (2, Some(fault())));
}

#[test]
fn a_route_is_forwarded_by_its_service_and_others_by_themselves() {
    let mut model = browsing();
    press(&mut model, Command::Accept);
    let service = |port: Option<&str>| RouteService {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        port: port.map(str::to_owned),
    };
    let route = |port| TableRow { services: vec![service(port)], ..row("edge", "front") };
    tell(&mut model, listed(None, vec![route(Some("http"))]));
    let mut again = model.clone();
    let effects = press(&mut model, Command::Forward);
    let wanted = |effect: &Effect| {
        matches!(effect, Effect::Cluster(ClusterEffect::ReadPort { object, port })
            if object.kubectl() == "kubectl --context dev -n shop get services/web -o yaml" && port == "http")
    };
    assert!(effects.iter().any(wanted) && model.screen.dialogs.is_empty(), "{effects:?}");
    tell(&mut again, listed(None, vec![route(None)]));
    let effects = press(&mut again, Command::Forward);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::ReadPorts(object)) if object.name == "web"));
    let mut model = browsing();
    write(&mut model, "nodes");
    press(&mut model, Command::Accept);
    tell(&mut model, listed(None, vec![row("", "one")]));
    assert!(!any!(press(&mut model, Command::Forward), Effect::Cluster(_)), "a node has no ports");
    assert!(!model.screen.dialogs.is_empty());
    let effects = press(&mut model, Command::Accept);
    assert!(
        any!(effects, Effect::Cluster(ClusterEffect::Page(PageEffect::Show { object, .. })) if object.name == "one")
    );
}

#[test]
fn a_route_of_datagrams_leads_to_the_address_of_its_service() {
    let mut model = browsing();
    let mut udp = ServedKind::clone(&kind("traefik.io", "ingressrouteudps", true));
    udp.kind = "IngressRouteUDP".to_owned();
    tell(&mut model, KindEvent::Served(vec![Arc::new(udp)]));
    press(&mut model, Command::Accept);
    let service = |port: &str| {
        let [namespace, name] = ["shop", "dns"].map(str::to_owned);
        RouteService { namespace, name, port: Some(port.to_owned()) }
    };
    tell(&mut model, listed(None, vec![TableRow { services: vec![service("53")], ..row("edge", "names") }]));
    let mut named = model.clone();
    press(&mut model, Command::Forward);
    let made: Vec<String> = model.targets.all().iter().map(|target| target.address.to_string()).collect();
    assert!(made.contains(&"dns.shop.svc:53/udp".to_owned()) && model.screen.dialogs.is_empty(), "{made:?}");
    tell(&mut named, listed(None, vec![TableRow { services: vec![service("dns")], ..row("edge", "names") }]));
    let before = named.targets.all().len();
    press(&mut named, Command::Forward);
    assert_eq!(named.targets.all().len(), before, "a name is no port of an address");
}

#[test]
fn a_new_list_says_anew_whether_there_are_more_rows() {
    let mut model = browsing();
    write(&mut model, "pod");
    press(&mut model, Command::Accept);
    let many = (0..20_001).map(|number| row("a", &format!("web-{number}"))).collect();
    tell(&mut model, listed(None, many));
    assert!(browser(&model).table.as_ref().unwrap().more);
    tell(&mut model, listed(None, vec![row("a", "web")]));
    assert!(!browser(&model).table.as_ref().unwrap().more);
}
