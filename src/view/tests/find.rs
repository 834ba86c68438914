//! The search.

use std::sync::Arc;

use super::fixture::{busy, forbidden, words};
use super::{shots, shots_with};
use crate::view::Theme;
use brow_model::Model;
use brow_model::action::{Action, Command, Typed};
use brow_model::cluster::Link;
use brow_model::event::{Event, IndexEvent};
use brow_model::fault::{Grant, Remedy};
use brow_model::index::{Entry, Indexed, ServedKind};
use brow_model::settings::{Colors, Language};

fn press(model: &mut Model, command: Command) {
    model.update(Event::Act(Action::Do(command)));
    model.arrange();
}

fn tell(model: &mut Model, event: IndexEvent) {
    let epoch = model.index.epoch;
    model.update(Event::Index { cluster: "dev".to_owned(), epoch, event });
    model.arrange();
}

/// The search, with an index of `dev` that lacks a kind and of which another may not be listed.
fn searching() -> Model {
    let mut model = busy();
    press(&mut model, Command::Find);
    let kind = |group: &str, name: &str, short: &str| {
        Arc::new(ServedKind {
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: name.to_owned(),
            plural: format!("{}s", name.to_lowercase()),
            shorts: vec![short.to_owned()],
            namespaced: true,
        })
    };
    let kinds = [
        kind("", "Service", "svc"),
        kind("", "Secret", "secret"),
        kind("traefik.io", "IngressRoute", "ingressroute"),
        kind("apps", "Deployment", "deploy"),
    ];
    tell(&mut model, IndexEvent::Kinds(kinds.to_vec()));
    let page = |kind: usize, names: &[(&str, &str)]| {
        let created = model.now.timestamp() - 3_600 * 26;
        let row = |(namespace, name): &(&str, &str)| Indexed {
            namespace: (*namespace).into(),
            name: (*name).into(),
            entry: Entry::new(&[("app".to_owned(), "web".to_owned())].into(), created),
        };
        IndexEvent::Page { kind, namespace: None, rows: names.iter().map(row).collect(), first: true, last: true }
    };
    let services = page(0, &[("shop", "redis"), ("shop", "redis-headless"), ("billing", "orders-redis-exporter")]);
    let routes = page(2, &[("shop", "redis-commander-with-a-name-that-goes-on-and-on-and-on-until-it-ends")]);
    let mut grant = forbidden();
    grant.remedy = Remedy::Grant(Grant {
        verb: "list".to_owned(),
        resource: "secrets".to_owned(),
        namespace: Some("shop".to_owned()),
    });
    tell(&mut model, services);
    tell(&mut model, routes);
    tell(&mut model, IndexEvent::Missing { kind: 1, fault: grant });
    model
}

fn write(model: &mut Model, text: &str) {
    model.update(Event::Act(Action::Type(Typed::Paste(text.to_owned()))));
    model.arrange();
}

#[test]
fn search() {
    let mut model = searching();
    shots("find", &model);
    write(&mut model, "redis");
    shots("find-redis", &model);
    press(&mut model, Command::Down);
    press(&mut model, Command::Cancel);
    write(&mut model, "kind:svc nothing-like-it");
    shots("find-none", &model);
}

#[test]
fn search_without_a_connected_cluster() {
    let mut model = busy();
    for cluster in model.clusters.all_mut() {
        cluster.link = Link::Idle;
    }
    press(&mut model, Command::Find);
    write(&mut model, "nothing-like-it");
    shots("find-unconnected", &model);
}

#[test]
fn search_in_chinese() {
    let mut model = searching();
    write(&mut model, "redis kind:ingr");
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("find-chinese", &model, &theme, &words(Language::ZhCn));
}
