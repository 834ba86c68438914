//! An object's page.

use std::sync::Arc;

use super::fixture::{ago, busy, forbidden, words};
use super::metrics::{reading, source};
use super::{shots, shots_with};
use crate::view::Theme;
use brow_model::Model;
use brow_model::action::{Action, Command, Typed};
use brow_model::dialog::Dialog;
use brow_model::event::{Event, KindEvent, PageEvent, PodEvent, Related};
use brow_model::index::{ObjectRef, ServedKind};
use brow_model::kinds::TableRow;
use brow_model::metrics::{Measure, Subject};
use brow_model::page::{
    ConditionRow, ContainerRow, EventRow, LogPod, ManagedFields, ObjectDetails, Relation, RelationRow, RelationState,
    SecretLines, Summary, SummaryRow, SummaryValue, Tone,
};
use brow_model::proxy::PodKey;
use brow_model::settings::{Colors, Language};

fn press(model: &mut Model, command: Command) {
    model.update(Event::Act(Action::Do(command)));
    model.arrange();
}

fn tell(model: &mut Model, event: PageEvent) {
    let Some(Dialog::Object(page)) = model.screen.dialogs.last() else { panic!("no page") };
    let epoch = page.epoch;
    model.update(Event::Page { epoch, event });
}

fn kind(group: &str, name: &str, namespaced: bool) -> Arc<ServedKind> {
    Arc::new(ServedKind {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: name.to_owned(),
        plural: format!("{}s", name.to_lowercase()),
        shorts: Vec::new(),
        namespaced,
    })
}

/// The page of an object, opened from the browser of kinds.
fn page_of(kind: Arc<ServedKind>, name: &str) -> Model {
    let mut model = busy();
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
    let row = TableRow {
        uid: String::new(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        cells: Vec::new(),
        created: None,
        services: Vec::new(),
    };
    tell(&mut model, KindEvent::Listed { namespace: None, columns: Vec::new(), rows: vec![row], first: true });
    press(&mut model, Command::Accept);
    model
}

fn row(label: &'static str, lines: &[&str], tone: Tone) -> SummaryRow {
    let value = SummaryValue::Lines(lines.iter().map(|line| (*line).to_owned()).collect());
    SummaryRow { label, value, tone }
}

fn container(name: &str, state: &str, restarts: u64, tone: Tone) -> ContainerRow {
    ContainerRow {
        name: name.to_owned(),
        image: format!("registry.example/shop/{name}:1.14.2"),
        init: name == "migrate",
        ready: tone == Tone::Good,
        restarts,
        state: state.to_owned(),
        last: if restarts > 0 { "OOMKilled 137".to_owned() } else { String::new() },
        tone,
    }
}

fn condition(name: &str, status: &str, message: &str) -> ConditionRow {
    ConditionRow {
        name: name.to_owned(),
        status: status.to_owned(),
        reason: if message.is_empty() { String::new() } else { "ContainersNotReady".to_owned() },
        message: message.to_owned(),
        since: Some(ago(4_000)),
        tone: if status == "True" { Tone::Good } else { Tone::Bad },
    }
}

/// The page of a pod that does not run as it should.
fn pod() -> Model {
    let mut model = page_of(kind("", "Pod", true), "web-7d4b9c-x2x4k");
    let rows = vec![
        row("namespace", &["shop"], Tone::Plain),
        SummaryRow { label: "age", value: SummaryValue::Time(ago(93_600)), tone: Tone::Plain },
        row("owner", &["ReplicaSet web-7d4b9c"], Tone::Plain),
        row("phase", &["CrashLoopBackOff"], Tone::Bad),
        row("pods-ready", &["1/2"], Tone::Warn),
        row("node", &["worker-2"], Tone::Plain),
        row("labels", &["app=web", "pod-template-hash=7d4b9c"], Tone::Plain),
    ];
    let containers = vec![
        container("web", "CrashLoopBackOff", 14, Tone::Bad),
        container("proxy", "Running", 0, Tone::Good),
        container("migrate", "Completed 0", 0, Tone::Dim),
    ];
    let says = "containers with unready status: [web]";
    let conditions = vec![condition("PodScheduled", "True", ""), condition("ContainersReady", "False", says)];
    let fold = "  managedFields: null";
    let yaml = ["apiVersion: v1", "kind: Pod", "metadata:", fold, "  name: web-7d4b9c-x2x4k", "spec:", "  containers:"];
    let lines = ["  - manager: kubelet", "    operation: Update", "    subresource: status"];
    let managed = ManagedFields { count: 2, lines: lines.map(str::to_owned).to_vec() };
    let details = ObjectDetails {
        uid: "1".to_owned(),
        summary: Summary { rows, containers, conditions },
        yaml: yaml.map(str::to_owned).to_vec(),
        managed: Some(managed),
        hidden: false,
    };
    tell(&mut model, PageEvent::Found(Box::new(details)));
    model
}

fn related(model: &Model) -> Related {
    let Some(Dialog::Object(page)) = model.screen.dialogs.last() else { panic!("no page") };
    let cluster = page.object.cluster.clone();
    let row = |depth: usize, relation, (group, name): (&str, &str), object: &str, via: &str, state| {
        let kind = kind(group, name, true);
        let object =
            ObjectRef { cluster: cluster.clone(), kind, namespace: "shop".to_owned(), name: object.to_owned() };
        RelationRow { depth, relation, object, via: via.to_owned(), state, uid: String::new() }
    };
    let found = |status: &str, tone| RelationState::Found { status: status.to_owned(), tone };
    let missing = |optional| RelationState::Missing { optional };
    let rows = vec![
        row(0, Relation::Root, ("", "Pod"), "web-7d4b9c-x2x4k", "", found("CrashLoopBackOff 1/2, 14×", Tone::Bad)),
        row(1, Relation::Owner, ("apps", "ReplicaSet"), "web-7d4b9c", "", found("0/1", Tone::Bad)),
        row(2, Relation::Owner, ("apps", "Deployment"), "web", "", found("0/1", Tone::Bad)),
        row(3, Relation::ScaledBy, ("autoscaling", "HorizontalPodAutoscaler"), "web", "", found("", Tone::Plain)),
        row(1, Relation::SelectedBy, ("", "Service"), "web", "", found("ClusterIP 80", Tone::Plain)),
        row(2, Relation::RoutedBy, ("networking.k8s.io", "Ingress"), "storefront", "", found("", Tone::Plain)),
        row(1, Relation::Uses, ("", "Secret"), "web-login", "env PASSWORD", missing(false)),
        row(1, Relation::Uses, ("", "ConfigMap"), "web-flags", "envFrom", missing(true)),
        row(1, Relation::Uses, ("", "ServiceAccount"), "default", "", RelationState::Unknown),
        row(1, Relation::RunsOn, ("", "Node"), "worker-2", "", RelationState::Again),
    ];
    Related { rows, done: true, faults: vec![forbidden()] }
}

#[test]
fn summary() {
    let mut model = page_of(kind("", "Pod", true), "web-7d4b9c-x2x4k");
    shots("object-loading", &model);
    tell(&mut model, PageEvent::Failed(forbidden()));
    shots("object-forbidden", &model);
    let model = pod();
    shots("object-summary", &model);
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("object-summary-chinese", &model, &theme, &words(Language::ZhCn));
}

#[test]
fn relations() {
    let mut model = pod();
    press(&mut model, Command::ShowRelations);
    let found = related(&model);
    tell(&mut model, PageEvent::Related(Box::new(found)));
    (0..6).for_each(|_| press(&mut model, Command::Down));
    shots("object-relations", &model);
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    shots_with("object-relations-chinese", &model, &theme, &words(Language::ZhCn));
}

#[test]
fn events_and_yaml() {
    let mut model = pod();
    press(&mut model, Command::ShowEvents);
    let event = |(reason, pod): (&str, &str), message: &str, warning: bool, secs: i64, count: u64| EventRow {
        at: Some(ago(secs)),
        warning,
        reason: reason.to_owned(),
        message: message.to_owned(),
        pod: pod.to_owned(),
        source: "kubelet".to_owned(),
        count,
    };
    tell(
        &mut model,
        PageEvent::Events(vec![
            event(("BackOff", ""), "Back-off restarting failed container web in pod web-7d4b9c-x2x4k", true, 40, 63),
            event(("Killing", "web-7d4b9c-x2x4k"), "Stopping container web", false, 200, 1),
            event(
                ("Pulled", ""),
                "Container image \"registry.example/shop/web:1.14.2\" already present",
                false,
                300,
                1,
            ),
        ]),
    );
    shots("object-events", &model);
    tell(&mut model, PageEvent::Gone);
    press(&mut model, Command::ShowYaml);
    shots("object-yaml", &model);
    press(&mut model, Command::Unfold);
    shots("object-yaml-unfolded", &model);
}

#[test]
fn logs() {
    let mut model = pod();
    press(&mut model, Command::PodLog);
    let key = PodKey { cluster: "dev".to_owned(), namespace: "shop".to_owned(), name: "web-7d4b9c-x2x4k".to_owned() };
    let containers = vec!["web".to_owned(), "proxy".to_owned()];
    tell(&mut model, PageEvent::Pods(Ok(vec![LogPod { key: key.clone(), containers }])));
    let Some(Dialog::Object(page)) = model.screen.dialogs.last() else { panic!("no page") };
    let epoch = page.log.epoch;
    let lines =
        (0..60).map(|at| format!("2026-03-01T11:59:{at:02}Z GET /orders/{at} {}", if at % 7 == 0 { 500 } else { 200 }));
    model.update(Event::Pod(PodEvent::Logged { key, epoch, lines: lines.collect() }));
    shots("object-log", &model);
    press(&mut model, Command::Filter);
    model.update(Event::Act(Action::Type(Typed::Paste("500".to_owned()))));
    shots("object-log-filtered", &model);
}

#[test]
fn a_secret_shows_its_values_on_purpose_only() {
    let mut model = page_of(kind("", "Secret", true), "web-login");
    let yaml = vec!["data:".to_owned(), "  password: \"••••••\"".to_owned()];
    let details = ObjectDetails { uid: "2".to_owned(), yaml, hidden: true, ..ObjectDetails::default() };
    tell(&mut model, PageEvent::Found(Box::new(details)));
    press(&mut model, Command::ShowYaml);
    shots("object-secret", &model);
    press(&mut model, Command::Reveal);
    let lines = SecretLines(vec!["data:".to_owned(), "  password: correct horse".to_owned()]);
    tell(&mut model, PageEvent::Revealed(Ok(lines)));
    shots("object-secret-shown", &model);
}

#[test]
fn the_last_hour_of_a_pod() {
    let mut model = pod();
    let Some(Dialog::Object(page)) = model.screen.dialogs.last() else { panic!("no page") };
    let object = page.object.clone();
    let readings = vec![
        reading(Measure::Cpu, 0.25, None, "sum(rate(container_cpu_usage_seconds_total{pod=\"web-7d4b9c-x2x4k\"}[5m]))"),
        reading(Measure::Restarts, 17.0, None, "sum(kube_pod_container_status_restarts_total)"),
    ];
    model.metrics.put(&object.cluster, source(), Subject::of(&object).unwrap(), readings);
    shots("object-usage", &model);
}
