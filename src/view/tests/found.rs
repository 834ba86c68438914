//! The browser, the menu of strings and the import.

use super::fixture::{busy, english, field, forbidden, lines, target, themed, words};
use super::{shots, shots_with};
use crate::view::{Hit, Theme};
use brow_model::Model;
use brow_model::action::{Action, Command, Typed};
use brow_model::cluster::Link;
use brow_model::dialog::{Dialog, Question};
use brow_model::event::BrowseEvent;
use brow_model::event::Event;
use brow_model::fault::{Fault, Grant, Remedy, What};
use brow_model::inventory::{Inventory, Object, ObjectKey, ObjectPort, SearchScope};
use brow_model::offer::{LeftOut, LeftOutReason, Offer};
use brow_model::service::{Signs, recognise};
use brow_model::settings::{Colors, Language};
use brow_model::workload::Kind;

fn found(cluster: &str, namespace: &str, kind: Kind, name: &str, ports: &[(&str, u16)]) -> Object {
    let labels = std::collections::BTreeMap::new();
    let port = |(own, number): &(&str, u16)| ObjectPort {
        number: *number,
        name: Some((*own).to_owned()).filter(|name| !name.is_empty()),
        service: recognise(&Signs { port: *number, name: own, protocol: "", object: name, labels: &labels }),
    };
    let key = ObjectKey { cluster: cluster.into(), namespace: namespace.into(), kind, name: name.into() };
    Object { key, ports: ports.iter().map(port).collect(), labels: labels.clone(), owner: None }
}

fn scope(kind: Kind, namespace: Option<&str>) -> SearchScope {
    SearchScope { kind, namespace: namespace.map(str::to_owned) }
}

fn tell(model: &mut Model, cluster: &str, event: BrowseEvent) {
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else { panic!("no browser") };
    let epoch = browser.epoch;
    model.update(Event::Browse { cluster: cluster.to_owned(), epoch, event });
    model.arrange();
}

fn press(model: &mut Model, command: Command) {
    model.update(Event::Act(Action::Do(command)));
    model.arrange();
}

/// Two clusters, one of them with a Chinese name, and a target with one.
fn browsing() -> Model {
    let mut model = busy();
    model.clusters.all_mut().retain(|cluster| cluster.name == "dev" || cluster.name == "lab");
    model.clusters.all_mut()[1].name = "测试集群".to_owned();
    model.clusters.all_mut()[1].link = Link::Ready;
    let mut saved = target("商城数据库", "dev", "service/mysql:3306", 30_342, &[]);
    saved.namespace = Some("shop".to_owned());
    model.targets.all_mut().push(saved);
    press(&mut model, Command::Browse);
    let services = vec![
        found("dev", "monitoring", Kind::Service, "grafana", &[("service", 80)]),
        found("dev", "monitoring", Kind::Service, "prometheus-operated", &[("web", 9090)]),
        found("dev", "shop", Kind::Service, "mysql", &[("", 3306)]),
        found("dev", "shop", Kind::Service, "orders-with-quite-a-long-name", &[("grpc", 9000), ("http-metrics", 9100)]),
        found("dev", "shop", Kind::Service, "game", &[("", 7777)]),
    ];
    tell(&mut model, "dev", BrowseEvent::Listed { scope: scope(Kind::Service, None), all: services });
    let sets = vec![found("dev", "shop", Kind::StatefulSet, "mysql", &[("", 3306)])];
    tell(&mut model, "dev", BrowseEvent::Listed { scope: scope(Kind::StatefulSet, None), all: sets });
    let more = vec![found("测试集群", "default", Kind::Service, "redis", &[("", 6379)])];
    tell(&mut model, "测试集群", BrowseEvent::Listed { scope: scope(Kind::Service, Some("default")), all: more });
    model
}

#[test]
fn the_browser() {
    let mut model = browsing();
    shots("browser", &model);
    press(&mut model, Command::Mark);
    press(&mut model, Command::Mark);
    model.update(Event::Act(Action::Type(Typed::Paste("r".to_owned()))));
    model.arrange();
    let fault = forbidden();
    tell(&mut model, "测试集群", BrowseEvent::Missing { scope: scope(Kind::Service, None), fault: fault.clone() });
    tell(
        &mut model,
        "测试集群",
        BrowseEvent::Listed {
            scope: scope(Kind::Service, Some("default")),
            all: vec![found("测试集群", "default", Kind::Service, "redis", &[("", 6379)])],
        },
    );
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("browser-filtered-chinese", &model, &theme, &words(Language::ZhCn));
    model.update(Event::Act(Action::Type(Typed::Paste("zzz".to_owned()))));
    model.arrange();
    shots("browser-no-match", &model);
}

#[test]
fn every_kind_in_the_browser() {
    let mut model = browsing();
    let clones = Kind::Custom("cloneset.apps.kruise.io".to_owned());
    for (kind, name) in [
        (Kind::DaemonSet, "node-agent"),
        (clones, "orders"),
        (Kind::ReplicaSet, "alone"),
        (Kind::Job, "import"),
        (Kind::Pod, "debug"),
    ] {
        tell(&mut model, "dev", BrowseEvent::Applied(found("dev", "shop", kind, name, &[("", 8080)])));
    }
    let missing = |kind: Kind, resource: &str| {
        let grant = Grant { verb: "list".into(), resource: resource.into(), namespace: Some("default".into()) };
        let fault = Fault::new(What::Forbidden, "测试集群", "").with(Remedy::Grant(grant));
        BrowseEvent::Missing { scope: scope(kind, Some("default")), fault }
    };
    tell(&mut model, "测试集群", missing(Kind::StatefulSet, "statefulsets.apps"));
    tell(&mut model, "测试集群", missing(Kind::Job, "jobs.batch"));
    shots("browser-kinds", &model);
}

#[test]
fn rows_can_be_clicked_also_when_scrolled() {
    let mut model = browsing();
    let many = (0..200).map(|n| found("dev", "many", Kind::Service, &format!("svc-{n:03}"), &[("", 80)])).collect();
    tell(&mut model, "dev", BrowseEvent::Listed { scope: scope(Kind::Service, None), all: many });
    for _ in 0..150 {
        press(&mut model, Command::Down);
    }
    let (mut terminal, state) = themed(&model, 80, 24, &Theme::plain(), &english());
    let screen = lines(&mut terminal);
    let row = screen.lines().position(|line| line.contains("svc-140")).expect("it is on the screen");
    let hit = state.hit(30, u16::try_from(row).unwrap());
    assert_eq!(hit, Some(Hit::Item(140)));
}

#[test]
fn the_menu_the_import_and_its_question() {
    let mut model = busy();
    model.screen.focus.pane = brow_model::focus::Pane::Forwards;
    press(&mut model, Command::Strings);
    assert!(matches!(model.screen.dialogs.last(), Some(Dialog::Menu(_))));
    shots("strings", &model);
    let mut model = busy();
    model.screen.dialogs.push(Dialog::Import { cluster: "dev".to_owned(), field: field("", None), pasted: None });
    shots("import", &model);
    let offers = ["web.shop", "数据库.shop"].map(|name| Offer::named(target(name, "dev", "service/web:80", 80, &[])));
    let left_out = vec![LeftOut { what: "-n kube-system svc/kube-dns 53@udp".to_owned(), reason: LeftOutReason::Udp }];
    let question =
        Question::ImportOffers { from: Some("~/targets.txt".to_owned()), there: 1, offers: offers.to_vec(), left_out };
    let mut model = busy();
    model.screen.dialogs.push(Dialog::Confirm { question, button: 1 });
    shots("confirm-take", &model);
}

#[test]
fn a_browser_whose_clusters_are_down_does_not_look_for_anything() {
    let mut model = browsing();
    let Some(Dialog::Browser(browser)) = model.screen.dialogs.last_mut() else { panic!("no browser") };
    browser.inventory = Inventory::default();
    browser.stale = true;
    browser.clusters.values_mut().for_each(|looking| *looking = false);
    let seen = |model: &mut Model| {
        model.screen.unarranged = true;
        model.arrange();
        lines(&mut themed(model, 100, 30, &Theme::plain(), &english()).0)
    };
    assert!(seen(&mut model).contains("Loading …"), "they may answer yet");
    for cluster in model.clusters.all_mut() {
        (cluster.link, cluster.fault) = (Link::Unreachable, Some(Fault::new(What::Unreachable, &cluster.name, "")));
    }
    let screen = seen(&mut model);
    assert!(screen.contains("No cluster answers.") && !screen.contains("Loading"), "{screen}");
    assert!(screen.contains("dev cannot be reached"), "{screen}");
}
