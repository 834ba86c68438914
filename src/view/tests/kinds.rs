//! The browser of kinds.

use std::sync::Arc;

use chrono::TimeDelta;

use super::fixture::{busy, forbidden, words};
use super::{shots, shots_with};
use crate::view::Theme;
use brow_model::Model;
use brow_model::action::{Action, Command, Typed};
use brow_model::dialog::Dialog;
use brow_model::event::{Event, KindEvent};
use brow_model::index::ServedKind;
use brow_model::kinds::{TableColumn, TableRow};
use brow_model::settings::{Colors, Language};

fn press(model: &mut Model, command: Command) {
    model.update(Event::Act(Action::Do(command)));
    model.arrange();
}

fn tell(model: &mut Model, event: KindEvent) {
    let Some(Dialog::Kinds(browser)) = model.screen.dialogs.last() else { panic!("no browser") };
    let epoch = browser.epoch;
    model.update(Event::Kinds { epoch, event });
    model.arrange();
}

fn write(model: &mut Model, text: &str) {
    model.update(Event::Act(Action::Type(Typed::Paste(text.to_owned()))));
    model.arrange();
}

fn browsing() -> Model {
    let mut model = busy();
    press(&mut model, Command::Kinds);
    let kind = |group: &str, version: &str, name: &str, namespaced: bool| {
        Arc::new(ServedKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: name.to_owned(),
            plural: format!("{}s", name.to_lowercase()),
            shorts: Vec::new(),
            namespaced,
        })
    };
    let kinds = vec![
        kind("", "v1", "Pod", true),
        kind("", "v1", "Node", false),
        kind("apps", "v1", "Deployment", true),
        kind("cert-manager.io", "v1", "Certificate", true),
        kind("upgrade.cattle.io", "v1", "Plan", true),
        kind("traefik.io", "v1alpha1", "Middleware", true),
        kind("traefik.io", "v1alpha1", "IngressRoute", true),
        kind("apps.kruise.io", "v1alpha1", "CloneSet", true),
    ];
    tell(&mut model, KindEvent::Served(kinds));
    model
}

/// The routes of the first kind that is asked for.
fn routes() -> Model {
    let mut model = browsing();
    write(&mut model, "ingressroute");
    press(&mut model, Command::Accept);
    let column = |name: &str, wide: bool| TableColumn { name: name.to_owned(), wide };
    let columns = ["Entry points", "Match", "Services", "TLS"].map(|name| column(name, false));
    let created = Some(model.now - TimeDelta::hours(26));
    let row = |namespace: &str, name: &str, cells: [&str; 5]| TableRow {
        uid: String::new(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        cells: cells.map(str::to_owned).to_vec(),
        created,
        services: Vec::new(),
    };
    let rows = vec![
        row("shop", "storefront", ["web, websecure", "Host(`shop.example`)", "web:80", "shop-certificate", "edge"]),
        row(
            "billing",
            "invoices-with-a-name-that-goes-on",
            ["websecure", "Host(`billing.example`) && PathPrefix(`/invoices/`)", "billing/invoices:http", "", "edge"],
        ),
    ];
    let columns = columns.into_iter().chain([column("Ingress class", true)]).collect();
    tell(&mut model, KindEvent::Listed { namespace: None, columns, rows, first: true });
    model
}

#[test]
fn kinds() {
    let mut model = browsing();
    shots("kinds", &model);
    write(&mut model, "tailscale");
    shots("kinds-missing", &model);
}

#[test]
fn objects_of_a_kind() {
    let mut model = routes();
    shots("kinds-routes", &model);
    press(&mut model, Command::Wide);
    tell(&mut model, KindEvent::Missing { fault: forbidden() });
    shots("kinds-wide", &model);
}

#[test]
fn kinds_in_chinese() {
    let model = routes();
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("kinds-chinese", &model, &theme, &words(Language::ZhCn));
    let mut model = browsing();
    write(&mut model, "tailscale");
    shots_with("kinds-chinese-missing", &model, &theme, &words(Language::ZhCn));
}
