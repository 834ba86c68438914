//! Measurements: who is looked for when, and what is asked.

use crate::language::log::Message;
use crate::language::metrics::{MetricsEffect, MetricsEvent, NotFound};
use crate::screen::focus::Strip;
use crate::state::Detection;
use crate::tests::*;
use crate::types::epoch::Epoch;
use crate::types::metrics::{Measure, Prometheus, PrometheusChoice, Reading, ServiceRef, Source, Subject, Way};
use crate::types::settings::ClusterSettings;

fn found() -> Prometheus {
    Prometheus { way: Way::Tunnel(String::new()), service: ServiceRef::new("monitoring", "prometheus-server", 80) }
}

/// Returns the epoch of the search that is asked for.
fn sought(effects: &[Effect]) -> Option<Epoch> {
    effects.iter().find_map(|effect| match effect {
        Effect::Metrics(MetricsEffect::Find { cluster, epoch, .. }) if cluster == "dev" => Some(*epoch),
        _ => None,
    })
}

/// Returns the measurement that is asked for.
fn asked(effects: &[Effect]) -> Option<(Epoch, Source, Subject)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Metrics(MetricsEffect::Measure { epoch, source, subject, .. }) => {
            Some((*epoch, source.clone(), subject.clone()))
        }
        _ => None,
    })
}

fn tell(model: &mut Model, epoch: Epoch, result: Result<Prometheus, NotFound>) -> Vec<Effect> {
    let cluster = "dev".to_owned();
    model.update(Event::Metrics(MetricsEvent::Found { cluster, epoch, result }))
}

fn measured(model: &mut Model, epoch: Epoch, result: Result<Vec<Reading>, Fault>) -> Vec<Effect> {
    let (cluster, subject) = ("dev".to_owned(), Subject::Cluster);
    model.update(Event::Metrics(MetricsEvent::Measured { cluster, epoch, subject, result }))
}

fn reading() -> Reading {
    Reading { measure: Measure::Cpu, now: 1.0, limit: Some(4.0), hour: None }
}

/// A model that connects, and the epoch of its search.
fn seeking() -> (Model, Epoch) {
    let mut model = model();
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::ConnectCluster);
    let epoch = sought(&on_dev(&mut model, answered())).expect("it is looked for");
    (model, epoch)
}

fn none() -> NotFound {
    NotFound { tried: "monitoring/prometheus-server:80 (tunnel): no answer within 2 s".to_owned(), refused: None }
}

/// Returns the logged messages about a Prometheus.
fn logged(model: &Model) -> Vec<&Message> {
    let of_us = |message: &&Message| matches!(message, Message::PrometheusFound | Message::NoPrometheus);
    model.screen.log.entries.iter().map(|entry| &entry.message).filter(of_us).collect()
}

#[test]
fn it_is_looked_for_once_and_kept() {
    let (mut model, epoch) = seeking();
    assert_eq!(sought(&on_dev(&mut model, answered())), None, "it is being looked for");
    let notice = model.screen.notice.clone();
    assert!(tell(&mut model, Epoch(epoch.0 + 1), Ok(found())).is_empty(), "another search's");
    let effects = tell(&mut model, epoch, Ok(found()));
    assert!(any!(effects, Effect::Store(StoreEffect::Prometheus { cluster, found: Some(_) }) if cluster == "dev"));
    assert_eq!(logged(&model), [&Message::PrometheusFound]);
    assert_eq!(model.screen.notice, notice, "nobody asked");
    assert_eq!(sought(&on_dev(&mut model, answered())), None);
    press(&mut model, Command::Restart);
    assert_eq!(sought(&on_dev(&mut model, answered())), None, "a new connection asks no more");
    assert_eq!(model.metrics.prometheus("dev"), Some(&found()));
}

#[test]
fn a_failure_is_one_line_and_a_key_looks_again() {
    let (mut model, epoch) = seeking();
    assert!(!any!(tell(&mut model, epoch, Err(none())), Effect::Store(_)), "there is nothing to forget");
    assert_eq!(logged(&model), [&Message::NoPrometheus]);
    assert!(model.screen.log.entries.back().unwrap().detail.contains("no answer within 2 s"));
    on_dev(&mut model, answered());
    assert_eq!(logged(&model).len(), 1);
    let again = sought(&press(&mut model, Command::FindPrometheus)).expect("a key looks again");
    tell(&mut model, again, Ok(found()));
    assert!(matches!(&model.screen.notice, Some((entry, _)) if entry.message == Message::PrometheusFound));
    let refused = Fault::new(What::Forbidden, "dev", "services is forbidden");
    let again = sought(&press(&mut model, Command::FindPrometheus)).unwrap();
    let effects = tell(&mut model, again, Err(NotFound { refused: Some(refused), ..none() }));
    assert!(any!(effects, Effect::Store(StoreEffect::Prometheus { found: None, .. })), "it is forgotten");
    assert!(matches!(&model.screen.notice, Some((entry, _)) if matches!(entry.message, Message::Failed(_))));
}

#[test]
fn the_config_decides() {
    for (choice, source) in [
        (PrometheusChoice::Off, Source::MetricsServer),
        (
            "http://prom.example".parse().unwrap(),
            Source::Prometheus(Prometheus { way: Way::Config("http://prom.example".parse().unwrap()), service: None }),
        ),
    ] {
        let (mut model, _) = seeking();
        let settings = ClusterSettings { prometheus: Some(choice.clone()), ..ClusterSettings::default() };
        model.config.settings_mut().clusters.insert("dev".to_owned(), settings);
        assert_eq!(sought(&on_dev(&mut model, answered())), None, "{choice:?}");
        assert_eq!(model.metrics.detection("dev"), &Detection::Known { source, fresh: true });
        assert_eq!(sought(&press(&mut model, Command::FindPrometheus)), None);
        // Auto again: it is looked for, as for a cluster that is new.
        model.config.settings_mut().clusters.clear();
        assert!(sought(&on_dev(&mut model, answered())).is_some());
    }
    let mut model = model();
    model.config.settings_mut().prometheus = PrometheusChoice::Off;
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::ConnectCluster);
    assert_eq!(sought(&on_dev(&mut model, answered())), None);
}

#[test]
fn one_of_an_earlier_run_is_asked_first_and_looked_for_if_it_is_gone() {
    let mut model = model();
    model.metrics.remember([("dev".to_owned(), found())].into());
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::ConnectCluster);
    assert_eq!(sought(&on_dev(&mut model, answered())), None);
    let (epoch, source, _) = asked(&at(&mut model, 1)).expect("it is measured");
    assert_eq!(source, Source::Prometheus(found()));
    let gone = || Err(Fault::new(What::Prometheus, "dev", "none of its pods is ready"));
    let again = sought(&measured(&mut model, epoch, gone())).expect("it is looked for");
    let effects = tell(&mut model, again, Ok(found()));
    let (epoch, ..) = asked(&effects).expect("what is found is asked at once");
    assert_eq!(sought(&measured(&mut model, epoch, gone())), None, "once");
    assert_eq!(model.metrics.of("dev", &Subject::Cluster).unwrap().fault.as_ref().unwrap().what, What::Prometheus);
}

/// Takes what is measured off the screen.
type Hide = fn(&mut Model);

#[test]
fn only_what_is_on_the_screen_is_measured_and_not_too_often() {
    let (mut model, epoch) = seeking();
    let (epoch, ..) = asked(&tell(&mut model, epoch, Ok(found()))).expect("the details are on the screen");
    assert_eq!(asked(&at(&mut model, 1)), None, "it is under way");
    measured(&mut model, epoch, Ok(vec![reading()]));
    assert_eq!(model.metrics.of("dev", &Subject::Cluster).unwrap().readings, [reading()]);
    assert_eq!(asked(&at(&mut model, 29)), None);
    let hidden: [(&str, Hide); 5] = [
        ("another pane", |model| model.screen.focus.pane = Pane::Targets),
        ("the log", |model| model.screen.focus.strip = Strip::Log),
        ("zoomed", |model| model.screen.focus.zoomed = true),
        ("a dialog", |model| _ = press(model, Command::Help)),
        ("another cluster", |model| model.screen.clusters.select(1)),
    ];
    for (what, hide) in hidden {
        let mut model = model.clone();
        hide(&mut model);
        assert_eq!(asked(&at(&mut model, 100)), None, "{what}");
    }
    let (epoch, ..) = asked(&at(&mut model, 31)).expect("it is time");
    measured(&mut model, epoch, Err(Fault::new(What::Prometheus, "dev", "busy")));
    let last = model.metrics.of("dev", &Subject::Cluster).unwrap();
    assert!(last.fault.is_some() && last.readings == [reading()], "what is known stays");
    // A connection that is gone is not asked.
    press(&mut model, Command::DisconnectCluster);
    assert_eq!(asked(&at(&mut model, 200)), None);
}

#[test]
fn without_either_nothing_is_asked_again() {
    let (mut model, epoch) = seeking();
    let (epoch, source, _) = asked(&tell(&mut model, epoch, Err(none()))).unwrap();
    assert_eq!(source, Source::MetricsServer);
    measured(&mut model, epoch, Err(Fault::new(What::KindMissing, "nodes.metrics.k8s.io", "")));
    assert_eq!(model.metrics.detection("dev"), &Detection::Nothing);
    assert_eq!(asked(&at(&mut model, 100)), None);
    on_dev(&mut model, answered());
    press(&mut model, Command::Restart);
    let effects = on_dev(&mut model, answered());
    assert_eq!((sought(&effects), asked(&at(&mut model, 300))), (None, None));
    assert!(sought(&press(&mut model, Command::FindPrometheus)).is_some(), "but by the key");
}

#[test]
fn a_missing_right_is_asked_for_once_and_other_measurements_go_on() {
    let (mut model, epoch) = seeking();
    let (epoch, ..) = asked(&tell(&mut model, epoch, Err(none()))).unwrap();
    measured(&mut model, epoch, Err(Fault::new(What::Forbidden, "dev", "nodes.metrics.k8s.io is forbidden")));
    assert_eq!(asked(&at(&mut model, 100)), None);
    // The numbers of a pod may be read.
    let pod = Subject::pod("team", "web-0").unwrap();
    let mut out = Vec::new();
    model.measure("dev", &pod, &mut out);
    let (epoch, _, subject) = asked(&out).expect("another right");
    assert_eq!(subject, pod);
    let result = Ok(vec![reading()]);
    model.update(Event::Metrics(MetricsEvent::Measured { cluster: "dev".to_owned(), epoch, subject, result }));
    assert_eq!(model.metrics.of("dev", &pod).unwrap().readings, [reading()]);
    assert_eq!(asked(&at(&mut model, 2_000)), None, "it is not forgotten");
    // The key asks anew.
    let again = sought(&press(&mut model, Command::FindPrometheus)).unwrap();
    assert!(asked(&tell(&mut model, again, Err(none()))).is_some());
}

#[test]
fn it_is_a_target() {
    let (mut model, epoch) = seeking();
    assert!(!model.is_enabled(Command::Forward));
    tell(&mut model, epoch, Ok(found()));
    assert!(model.is_enabled(Command::Forward));
    let effects = press(&mut model, Command::Forward);
    assert!(any!(effects, Effect::Forward(ForwardEffect::Open { spec, .. })
        if spec.target == "prometheus-dev" && spec.address.to_string() == "service/prometheus-server:80"
            && spec.selector.namespace == "monitoring"));
    assert!(model.targets.is_temporary("prometheus-dev") && model.screen.focus.pane == Pane::Targets);
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::Forward);
    assert_eq!(model.targets.all().iter().filter(|target| target.name.starts_with("prometheus")).count(), 1);
}

#[test]
fn the_pods_of_a_workload_are_measured_with_its_target() {
    let (mut model, epoch) = seeking();
    tell(&mut model, epoch, Ok(found()));
    let targets = [("web", "deploy/web:80"), ("front", "svc/front:80"), ("db", "10.0.0.9:3306")];
    model.targets.all_mut().clear();
    for (name, address) in targets {
        model.targets.all_mut().push(Target { address: address.parse().unwrap(), ..target(name, "dev") });
    }
    model.screen.focus.pane = Pane::Targets;
    model.screen.unarranged = true;
    model.arrange();
    let select = |model: &mut Model, name: &str| {
        let row = model.screen.targets.rows().iter().position(|row| row == name).unwrap();
        model.screen.targets.select(row);
    };
    select(&mut model, "web");
    let (_, source, subject) = asked(&at(&mut model, 1)).expect("the workload is measured");
    assert_eq!(source, Source::Prometheus(found()));
    assert_eq!(subject, Subject::of_workload("team", &"deploy/web:80".parse().unwrap()).unwrap());
    for other in ["front", "db"] {
        select(&mut model, other);
        assert_eq!(asked(&at(&mut model, 2)), None, "{other}: no pod of it is known");
    }
}
