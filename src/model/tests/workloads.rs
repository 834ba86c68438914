//! Workload targets: straight to pods, which the forward's own watch finds.

use super::*;
use crate::model::backend::Backend;
use crate::model::event::ForwardEvent;
use crate::model::forward::{Forward, ForwardState, Via};
use crate::model::log::Happening;

fn web(model: &mut Model) {
    let web = Target { address: "service/web:http".parse().unwrap(), ..target("web", "dev") };
    model.targets.push(web);
    model.target_list.wanted = Some("web".to_owned());
    model.unarranged = true;
    model.arrange();
}

fn only(model: &Model) -> &Forward {
    let mut all = model.forwards.values();
    let forward = all.next().unwrap();
    assert!(all.next().is_none());
    forward
}

fn happens(model: &mut Model, event: ForwardEvent) -> Vec<Effect> {
    let spec = &only(model).spec;
    let (id, epoch) = (spec.id, spec.epoch);
    model.update(Event::Forward { id, epoch, event })
}

fn backend(name: &str, ready: bool, second: i64) -> Backend {
    let pod = PodKey { cluster: "dev".to_owned(), namespace: "team".to_owned(), name: name.to_owned() };
    let created = noon() + TimeDelta::seconds(second);
    Backend { via: Via { pod, port: 8080 }, uid: name.to_owned(), ready, created }
}

fn pods(model: &mut Model, all: &[Backend]) -> Vec<Effect> {
    happens(model, ForwardEvent::Backends(all.to_vec()))
}

fn pointed(effects: &[Effect]) -> Option<(Option<&str>, bool)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Point { via, waiting, .. } => Some((via.as_ref().map(|via| via.pod.name.as_str()), *waiting)),
        _ => None,
    })
}

/// A forward of the workload, open and listening.
fn open() -> Model {
    let mut model = connected();
    web(&mut model);
    let effects = press(&mut model, Command::Connect);
    assert!(matches!(&effects[..], [Effect::Audit(_), Effect::OpenForward { via: None, .. }]), "{effects:?}");
    happens(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:4000".parse().unwrap()]));
    assert_eq!(only(&model).state, ForwardState::Waiting);
    model
}

#[test]
fn no_proxy_pod_is_made_for_a_workload() {
    let mut model = connected();
    web(&mut model);
    let effects = press(&mut model, Command::Create);
    assert_eq!(requests(&effects), []);
    assert_eq!(model.log.entries.back().map(|entry| &entry.what), Some(&Happening::NeedsNoPod));
    let mut model = open();
    let effects = on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: Vec::new() });
    assert_eq!((requests(&effects), only(&model).state), (Vec::new(), ForwardState::Waiting));
}

#[test]
fn it_goes_through_the_best_pod_and_moves_when_that_goes() {
    let mut model = open();
    let (a, b) = (backend("a", true, 9), backend("b", true, 1));
    assert_eq!(pointed(&pods(&mut model, &[a.clone(), b.clone()])), Some((Some("a"), false)));
    assert_eq!(only(&model).state, ForwardState::Live);
    // A newer pod is no reason to leave one that is ready.
    assert_eq!(pointed(&pods(&mut model, &[backend("c", true, 20), a.clone(), b.clone()])), None);
    // One that is not ready any more is.
    let unready = Backend { ready: false, ..a };
    assert_eq!(pointed(&pods(&mut model, &[b, unready.clone()])), Some((Some("b"), false)));
    // Better one that is not ready than none.
    assert_eq!(pointed(&pods(&mut model, &[unready])), Some((Some("a"), false)));
    assert_eq!(pointed(&pods(&mut model, &[])), Some((None, true)));
    assert_eq!(only(&model).state, ForwardState::Waiting);
}

#[test]
fn a_pod_that_refuses_is_left_for_one_that_is_ready() {
    let mut model = open();
    let (a, b) = (backend("a", true, 9), backend("b", true, 1));
    pods(&mut model, &[a.clone(), b.clone()]);
    let refused = |model: &mut Model, by: &Backend| {
        let effects = happens(model, ForwardEvent::Refused(by.via.clone()));
        pointed(&effects).and_then(|(via, _)| via.map(str::to_owned))
    };
    assert_eq!(refused(&mut model, &b), None, "nobody goes there");
    assert_eq!(refused(&mut model, &a).as_deref(), Some("b"));
    assert_eq!(refused(&mut model, &a), None, "late news");
    assert_eq!(refused(&mut model, &b).as_deref(), Some("a"));
    pods(&mut model, std::slice::from_ref(&a));
    assert_eq!(refused(&mut model, &a), None, "there is no other");
}

#[test]
fn what_stands_in_the_way_is_told_and_heals() {
    let mut model = open();
    let missing = Fault::new(What::WorkloadMissing, "service/web (dev/team)", "web-2");
    assert_eq!(pointed(&happens(&mut model, ForwardEvent::NoBackend(missing.clone()))), Some((None, false)));
    assert_eq!((only(&model).state, only(&model).fault.as_ref()), (ForwardState::Broken, Some(&missing)));
    // A connection that finds no pod does not hide the reason.
    happens(&mut model, ForwardEvent::ConnectionFailed(Fault::new(What::NoPod, "web", "")));
    assert_eq!(only(&model).fault.as_ref(), Some(&missing));
    // Forwarding again looks again.
    let effects = press(&mut model, Command::Forward);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::OpenForward { .. })), "{effects:?}");
    happens(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:4000".parse().unwrap()]));
    assert_eq!(only(&model).state, ForwardState::Waiting);
    pods(&mut model, &[backend("a", true, 9)]);
    assert_eq!((only(&model).state, &only(&model).fault), (ForwardState::Live, &None));
}

#[test]
fn proxy_pods_are_none_of_its_business() {
    let mut model = open();
    let request = PodRequest {
        id: crate::model::proxy::RequestId(1),
        target: "web".to_owned(),
        cluster: "dev".to_owned(),
        namespace: "team".to_owned(),
        address: "service/web:http".parse().unwrap(),
        ttl: Ttl::DEFAULT,
        settings: PodSettings::default(),
    };
    let effects = applied(&mut model, pod(&request, 1, Phase::Ready));
    assert_eq!((pointed(&effects), &only(&model).via), (None, &None));
}
