//! Draws a frame with 1,000 pods at 200×50 into memory, and applies events to as many pods.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should say where")]

use std::hint::black_box;
use std::sync::Arc;

use brow_model::Model;
use brow_model::action::{Action, Command, Typed};
use brow_model::allow::AllowList;
use brow_model::cluster::{Cluster, Context, Link};
use brow_model::dialog::Dialog;
use brow_model::epoch::Epoch;
use brow_model::event::{BrowseEvent, ClusterEvent, Event, IndexEvent, Sample};
use brow_model::focus::Pane;
use brow_model::forward::{Forward, ForwardId, ForwardSpec};
use brow_model::forward_settings::{ForwardSettings, LocalUsers};
use brow_model::index::{Entry, Indexed, ServedKind};
use brow_model::installation::Installation;
use brow_model::inventory::{Object, ObjectKey, ObjectPort, SearchScope};
use brow_model::proxy::{Phase, PodKey, ProxyPod};
use brow_model::route::{Route, Tunnel};
use brow_model::service::{Signs, recognise};
use brow_model::settings::{Colors, Language, PodSettings};
use brow_model::target::Target;
use brow_model::traffic::Counts;
use brow_model::workload::Kind;
use brow_tui::text::{Hint, Text};
use brow_tui::view::{FrameInputs, Theme, ViewState, draw};
use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tui_input::InputRequest;

/// Three clusters, 40 targets, `pods` pods and 20 forwards with traffic.
fn model(pods: usize) -> Model {
    let now = DateTime::parse_from_rfc3339("2026-03-01T12:00:00Z").unwrap().to_utc();
    let mut model = Model::new(now, "ada@gangway");
    for name in ["dev", "staging", "prod"] {
        let context = Context {
            name: name.to_owned(),
            server: format!("https://{name}.example.net:6443"),
            user: "ada".to_owned(),
            namespace: "default".to_owned(),
            current: name == "dev",
            entries: 0,
            fault: None,
            twice: Vec::new(),
            plugin: None,
        };
        model.clusters.all_mut().push(Cluster { link: Link::Ready, ..Cluster::from(context) });
    }
    let cluster = |n: usize| ["dev", "staging", "prod"][n % 3].to_owned();
    *model.targets.all_mut() = (0..40)
        .map(|n| Target {
            name: format!("target-{n:02}"),
            cluster: cluster(n),
            namespace: None,
            address: format!("10.0.0.{}:3306", n + 1).parse().unwrap(),
            local_port: 3306,
            ttl: None,
            tags: vec!["db".to_owned(), "team-a".to_owned()],
            pod: PodSettings::default(),
            forward: ForwardSettings::default(),
        })
        .collect();
    *model.pods.all_mut() =
        (0..pods).map(|n| pod(&model.targets.all()[n % 40], n, now)).map(|pod| (pod.key.clone(), pod)).collect();
    model.pods.mark_ours((0..pods).filter(|n| n.is_multiple_of(3)).map(|n| n.to_string()));
    *model.forwards.all_mut() = (0..20).map(|n| forward(&model, n)).map(|forward| (forward.spec.id, forward)).collect();
    model.screen.focus.pane = Pane::Pods;
    model.arrange();
    model
}

fn pod(target: &Target, n: usize, now: DateTime<Utc>) -> ProxyPod {
    ProxyPod {
        key: PodKey {
            cluster: target.cluster.clone(),
            namespace: "default".to_owned(),
            name: format!("brow-{}-{n:06}", target.name),
        },
        uid: n.to_string(),
        target_label: target.label(&Installation::default()),
        target: target.name.clone(),
        owner: if n.is_multiple_of(3) { "ada@gangway" } else { "bob@harbour" }.to_owned(),
        installation: String::new(),
        nonce: String::new(),
        phase: if n.is_multiple_of(7) { Phase::Pulling } else { Phase::Ready },
        fault: None,
        created: now - TimeDelta::seconds(600),
        started: Some(now - TimeDelta::seconds(590 + i64::try_from(n).unwrap())),
        ttl: Some("30m".parse().unwrap()),
        port: 40_000,
        node: Some("worker-1".to_owned()),
        image: "alpine/socat:latest".to_owned(),
        cpu_limit: None,
        on_demand: false,
    }
}

fn forward(model: &Model, n: u16) -> Forward {
    let target = &model.targets.all()[usize::from(n)];
    let loopback = "127.0.0.1".parse().unwrap();
    let spec = ForwardSpec {
        id: ForwardId(n.into()),
        epoch: Epoch(1),
        target: target.name.clone(),
        selector: model.selector_of(target),
        address: target.address.clone(),
        bind: vec![loopback],
        port: 3_000 + n,
        any_port: false,
        on_demand: false,
        probe: None,
        local_users: LocalUsers::Me,
        local_socket: None,
        allow: AllowList::default(),
        tunnel: None,
        relay: brow_model::settings::Relay::Socat,
        carrier: brow_model::settings::Carrier::Auto,
        pod_proxy_worked: false,
    };
    let mut forward = Forward::opening(spec, model.now);
    forward.bound = vec![(loopback, 3_000 + n).into()];
    let pod = model.pods.all().values().cycle().nth(n.into()).unwrap();
    forward.route = Route::Through(pod.via(), Tunnel::Up);
    for second in 0..60 {
        forward.traffic.sample(
            Counts {
                open: 3,
                total: second,
                failed: 0,
                refused: 0,
                up: second * second,
                down: second * 9_999,
                ..Counts::default()
            },
            None,
        );
    }
    forward
}

fn frame(criterion: &mut Criterion) {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    let text = Text::new(Language::En);
    let hints: Vec<Hint> = (0..8).map(|n| Hint { keys: n.to_string(), label: "does something".to_owned() }).collect();
    let zone = FixedOffset::east_opt(0).unwrap();
    let look = FrameInputs {
        theme: &theme,
        text: &text,
        hints: &hints,
        tip: None,
        welcome: &[],
        palette: &[],
        help: &[],
        zone,
    };
    for pods in [10, 1_000] {
        let mut model = model(pods);
        let mut state = ViewState::default();
        let mut terminal = Terminal::new(TestBackend::new(200, 50)).unwrap();
        criterion.bench_function(&format!("frame 200x50, {pods} pods"), |bencher| {
            bencher.iter(|| {
                // A second passes: every countdown changes.
                model.now += TimeDelta::seconds(1);
                terminal.draw(|frame| draw(frame, black_box(&model), &look, &mut state)).unwrap();
            });
        });
        let mut state = ViewState::default();
        criterion.bench_function(&format!("frame 200x50, {pods} pods, zoomed"), |bencher| {
            model.screen.focus.zoomed = true;
            bencher.iter(|| terminal.draw(|frame| draw(frame, black_box(&model), &look, &mut state)).unwrap().count);
        });
    }
}

fn event(criterion: &mut Criterion) {
    let mut model = model(1_000);
    let (cluster, pod) = (
        model.pods.all().values().next().unwrap().key.cluster.clone(),
        model.pods.all().values().next().unwrap().clone(),
    );
    let epoch = model.clusters.all().iter().find(|at| at.name == cluster).unwrap().epoch;
    criterion.bench_function("event: a pod changes, 1,000 pods", |bencher| {
        bencher.iter(|| {
            let event = ClusterEvent::Applied(Box::new(pod.clone()));
            model.update(black_box(Event::Cluster { cluster: cluster.clone(), epoch, event }))
        });
    });
    criterion.bench_function("event: a second passes, 1,000 pods and 20 forwards", |bencher| {
        bencher.iter(|| {
            let now = model.now + TimeDelta::seconds(1);
            let counts = Counts { open: 3, total: 60, failed: 0, refused: 0, up: 60, down: 60, ..Counts::default() };
            let samples = model
                .forwards
                .all()
                .keys()
                .map(|id| Sample { id: *id, counts, first_byte: None, tunnel: None, spread: Vec::new() })
                .collect();
            model.pods.mark_cleaned(now);
            model.update(black_box(Event::Tick { now, samples }))
        });
    });
    criterion.bench_function("event: a key, 1,000 pods", |bencher| {
        bencher.iter(|| model.update(black_box(Event::Act(Action::Do(Command::Down)))));
    });
    criterion.bench_function("arranging 1,000 pods anew, once per frame at most", |bencher| {
        bencher.iter(|| {
            let event = ClusterEvent::Applied(Box::new(pod.clone()));
            model.update(Event::Cluster { cluster: cluster.clone(), epoch, event });
            model.arrange();
        });
    });
}

/// Returns 2,000 services: two ports each, in 100 namespaces.
fn services() -> Vec<Object> {
    let labels = std::collections::BTreeMap::new();
    let port = |number, name: &str, object: &str| ObjectPort {
        number,
        name: Some(name.to_owned()),
        service: recognise(&Signs { port: number, name, protocol: "", object, labels: &labels }),
    };
    let service = |n: usize| {
        let kind = ["mysql", "orders", "redis-cache", "payments-api", "grafana"][n % 5];
        let name = format!("{kind}-{n:04}");
        let key = ObjectKey {
            cluster: "dev".to_owned(),
            namespace: format!("team-{:02}", n % 100),
            kind: Kind::Service,
            name: name.clone(),
        };
        Object {
            key,
            ports: vec![port(80, "http", &name), port(9_000, "main", &name)],
            labels: labels.clone(),
            owner: None,
        }
    };
    (0..2_000).map(service).collect()
}

/// The same object under another name.
fn renamed(found: &Object, number: usize) -> Object {
    let mut found = found.clone();
    found.key.name = format!("{}-{number}", found.key.name);
    found
}

/// A key pressed in a browser of 2,000 services, up to the frame that shows what it did.
fn browser(criterion: &mut Criterion) {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    let text = Text::new(Language::En);
    let zone = FixedOffset::east_opt(0).unwrap();
    let look =
        FrameInputs { theme: &theme, text: &text, hints: &[], tip: None, welcome: &[], palette: &[], help: &[], zone };
    let mut model = model(10);
    model.clusters.all_mut().retain(|cluster| cluster.name == "dev");
    model.update(Event::Act(Action::Do(Command::Browse)));
    let Some(Dialog::Browser(open)) = model.screen.dialogs.last() else { unreachable!() };
    let (cluster, epoch) = ("dev".to_owned(), open.epoch);
    // Behind them 10,000 pods, which are not shown: their owners are.
    let mut pods = services();
    for found in &mut pods {
        (found.key.kind, found.owner) = (Kind::Pod, Some(Kind::ReplicaSet));
    }
    let pods = (0..5).flat_map(|n| pods.iter().map(move |pod| renamed(pod, n))).collect();
    for event in [
        BrowseEvent::Kinds([Kind::Service, Kind::ReplicaSet, Kind::Pod].into()),
        BrowseEvent::Listed { scope: SearchScope { kind: Kind::Pod, namespace: None }, all: pods },
        BrowseEvent::Listed { scope: SearchScope { kind: Kind::Service, namespace: None }, all: services() },
    ] {
        model.update(Event::Browse { cluster: cluster.clone(), epoch, event });
    }
    let mut state = ViewState::default();
    let mut terminal = Terminal::new(TestBackend::new(200, 50)).unwrap();
    let mut press = |model: &mut Model, action: Action| {
        model.update(Event::Act(action));
        model.arrange();
        terminal.draw(|frame| draw(frame, black_box(model), &look, &mut state)).unwrap();
    };
    criterion.bench_function("browser, 2,000 services: a row down, to the frame", |bencher| {
        bencher.iter(|| press(&mut model, Action::Do(Command::Down)));
    });
    criterion.bench_function("browser, 2,000 services: a letter and its taking back, to two frames", |bencher| {
        bencher.iter(|| {
            press(&mut model, Action::Type(Typed::Edit(InputRequest::InsertChar('m'))));
            press(&mut model, Action::Type(Typed::Edit(InputRequest::DeletePrevChar)));
        });
    });
    press(&mut model, Action::Type(Typed::Paste("mysq".to_owned())));
    criterion.bench_function(
        "browser, 2,000 services: the last letter of a word and its taking back, to two frames",
        |bencher| {
            bencher.iter(|| {
                press(&mut model, Action::Type(Typed::Edit(InputRequest::InsertChar('l'))));
                press(&mut model, Action::Type(Typed::Edit(InputRequest::DeletePrevChar)));
            });
        },
    );
}

/// A page of an index: `count` objects of a kind.
fn page(kind: usize, count: usize) -> IndexEvent {
    let row = |n: usize| {
        let labels =
            [("app.kubernetes.io/name", format!("shop-{}", n % 300)), ("pod-template-hash", format!("{n:010x}"))];
        let labels = labels.map(|(key, value)| (key.to_owned(), value)).into();
        let namespace = format!("team-{:02}", n % 100).into();
        let name = format!("{}-{n:05}-7f9c6d", ["billing-api", "mysql-primary", "web-frontend"][n % 3]).into();
        Indexed { namespace, name, entry: Entry::new(&labels, 1_700_000_000) }
    };
    IndexEvent::Page { kind, namespace: None, rows: (0..count).map(row).collect(), first: true, last: true }
}

/// The memory of this process in MiB, where the system tells.
fn memory() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok());
    pages.map_or(f64::NAN, |pages| pages * 4_096.0 / f64::from(1 << 20))
}

/// A key pressed in a search over 20,000 objects of three clusters, up to the frame that shows what it did.
fn search(criterion: &mut Criterion) {
    let theme = Theme::named("dark", Colors::Truecolor).unwrap();
    let text = Text::new(Language::En);
    let zone = FixedOffset::east_opt(0).unwrap();
    let look =
        FrameInputs { theme: &theme, text: &text, hints: &[], tip: None, welcome: &[], palette: &[], help: &[], zone };
    let mut model = model(10);
    model.update(Event::Act(Action::Do(Command::Find)));
    let kind = |name: &str| {
        let (kind, plural) = (name.to_owned(), format!("{}s", name.to_lowercase()));
        let (group, version) = (String::new(), "v1".to_owned());
        Arc::new(ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true })
    };
    let before = memory();
    for (cluster, count) in [("dev", 5_000), ("staging", 3_000), ("prod", 2_000)] {
        let kinds = IndexEvent::Kinds(vec![kind("Pod"), kind("ConfigMap")]);
        for event in [kinds, page(0, count), page(1, count)] {
            model.update(Event::Index { cluster: cluster.to_owned(), epoch: model.index.epoch, event });
        }
    }
    eprintln!("an index of 20,000 objects: {:.1} MiB", memory() - before);
    let mut state = ViewState::default();
    let mut terminal = Terminal::new(TestBackend::new(200, 50)).unwrap();
    let mut press = |model: &mut Model, action: Action| {
        model.update(Event::Act(action));
        model.arrange();
        terminal.draw(|frame| draw(frame, black_box(model), &look, &mut state)).unwrap();
    };
    for (start, letter) in
        [("w", 'e'), ("mysql-prim", 'a'), ("wbfr", 'n'), ("kind:pod label:pod-template-hash=00", '0')]
    {
        press(&mut model, Action::Type(Typed::Edit(InputRequest::DeleteFromStart)));
        press(&mut model, Action::Type(Typed::Paste(start.to_owned())));
        let name = format!("search, 20,000 objects: “{start}{letter}” and its taking back, to two frames");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| {
                press(&mut model, Action::Type(Typed::Edit(InputRequest::InsertChar(letter))));
                press(&mut model, Action::Type(Typed::Edit(InputRequest::DeletePrevChar)));
            });
        });
    }
}

criterion_group!(benches, frame, event, browser, search);
criterion_main!(benches);
