//! Workload targets: straight to pods, which the forward's own watch finds.

use crate::language::event::ForwardEvent;
use crate::language::log::Message;
use crate::tests::*;
use crate::types::backend::Backend;
use crate::types::forward::Forward;
use crate::types::forward::ForwardState;
use crate::types::route::Via;

fn web(model: &mut Model) {
    let web = Target { address: "service/web:http".parse().unwrap(), ..target("web", "dev") };
    model.targets.all_mut().push(web);
    model.screen.targets.wanted = Some("web".to_owned());
    model.screen.unarranged = true;
    model.arrange();
}

fn only(model: &Model) -> &Forward {
    let mut all = model.forwards.all().values();
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
    Backend { via: Via { pod, uid: name.to_owned(), port: 8080, to: None, node: None }, ready, created }
}

fn pods(model: &mut Model, all: &[Backend]) -> Vec<Effect> {
    happens(model, ForwardEvent::Backends(all.to_vec()))
}

fn pointed(effects: &[Effect]) -> Option<(Option<&str>, bool)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Forward(ForwardEffect::Point { via, waiting, .. }) => {
            Some((via.as_ref().map(|via| via.pod.name.as_str()), *waiting))
        }
        _ => None,
    })
}

/// A forward of the workload, open and listening.
fn open() -> Model {
    let mut model = connected();
    web(&mut model);
    let effects = press(&mut model, Command::Connect);
    assert!(
        matches!(
            &effects[..],
            [Effect::Store(StoreEffect::Audit(_)), Effect::Forward(ForwardEffect::Open { via: None, .. })]
        ),
        "{effects:?}"
    );
    happens(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:4000".parse().unwrap()]));
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    model
}

#[test]
fn no_proxy_pod_is_made_for_a_workload() {
    let mut model = connected();
    web(&mut model);
    let effects = press(&mut model, Command::Create);
    assert_eq!(requests(&effects), []);
    assert_eq!(model.screen.log.entries.back().map(|entry| &entry.message), Some(&Message::NeedsNoPod));
    let mut model = open();
    let effects = on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: Vec::new() });
    assert_eq!((requests(&effects), only(&model).state()), (Vec::new(), ForwardState::Waiting));
}

#[test]
fn it_goes_through_the_best_pod_and_moves_when_that_goes() {
    let mut model = open();
    let (a, b) = (backend("a", true, 9), backend("b", true, 1));
    assert_eq!(pointed(&pods(&mut model, &[a.clone(), b.clone()])), Some((Some("a"), false)));
    assert_eq!(only(&model).state(), ForwardState::Dialing);
    // A newer pod is no reason to leave one that is ready.
    assert_eq!(pointed(&pods(&mut model, &[backend("c", true, 20), a.clone(), b.clone()])), None);
    // One that is not ready any more is.
    let unready = Backend { ready: false, ..a };
    assert_eq!(pointed(&pods(&mut model, &[b, unready.clone()])), Some((Some("b"), false)));
    // Better one that is not ready than none.
    assert_eq!(pointed(&pods(&mut model, &[unready])), Some((Some("a"), false)));
    assert_eq!(pointed(&pods(&mut model, &[])), Some((None, true)));
    assert_eq!(only(&model).state(), ForwardState::Waiting);
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
fn each_of_several_ports_is_forwarded() {
    let mut model = connected();
    web(&mut model);
    let last = model.targets.all_mut().last_mut().unwrap();
    (last.address, last.local_port) = ("service/web:http,admin".parse().unwrap(), 4000);
    let specs = |effects: Vec<Effect>| -> Vec<crate::types::forward::ForwardSpec> {
        let spec = |effect| match effect {
            Effect::Forward(ForwardEffect::Open { spec, .. }) => Some(*spec),
            _ => None,
        };
        effects.into_iter().filter_map(spec).collect()
    };
    let opened = specs(press(&mut model, Command::Forward));
    let shown: Vec<_> = opened.iter().map(|spec| (spec.address.to_string(), spec.port, spec.any_port)).collect();
    let wanted = [("service/web:http".to_owned(), 4000, false), ("service/web:admin".to_owned(), 0, true)];
    assert_eq!(shown, wanted);
    let [first, second] = &opened[..] else { panic!("two") };
    for (spec, local) in [(first, "127.0.0.1:4000"), (second, "127.0.0.1:4567")] {
        let event = ForwardEvent::Bound(vec![local.parse().unwrap()]);
        model.update(Event::Forward { id: spec.id, epoch: spec.epoch, event });
    }
    assert_eq!(model.targets.ports().get("web:admin"), Some(&4567), "remembered beside the first");
    // One of them is closed: forwarding again opens that one only, where it was.
    model.stop_forward(second.id, &mut Vec::new());
    model.screen.focus.pane = Pane::Targets;
    let opened = specs(press(&mut model, Command::Forward));
    let shown: Vec<_> = opened.iter().map(|spec| (spec.address.to_string(), spec.port)).collect();
    assert_eq!(shown, [("service/web:admin".to_owned(), 4567)]);
}

#[test]
fn a_person_takes_another_pod() {
    let mut model = open();
    let (a, b) = (backend("a", true, 9), backend("b", false, 1));
    pods(&mut model, &[a.clone(), b.clone()]);
    model.arrange();
    model.screen.focus.pane = Pane::Forwards;
    assert_eq!(pointed(&press(&mut model, Command::NextPod)), Some((Some("b"), false)));
    assert_eq!(pointed(&press(&mut model, Command::NextPod)), Some((Some("a"), false)), "round");
    pods(&mut model, std::slice::from_ref(&a));
    assert_eq!(pointed(&press(&mut model, Command::NextPod)), None);
    assert_eq!(model.screen.log.entries.back().map(|entry| &entry.message), Some(&Message::NoOtherPod));
}

#[test]
fn connections_are_spread_over_the_pods_that_are_ready_and_no_key_moves_them() {
    let spread = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Forward(ForwardEffect::Spread { pods, .. }) => {
                Some(pods.iter().map(|via| via.pod.name.clone()).collect::<Vec<_>>().join(","))
            }
            _ => None,
        })
    };
    let all = [backend("a", true, 9), backend("b", false, 5), backend("c", true, 1)];
    let mut model = open();
    assert_eq!(spread(&pods(&mut model, &all)), None, "one that does not want it");
    if let crate::types::workload::Destination::Workload(workload) =
        &mut model.forwards.iter_mut().next().unwrap().spec.address
    {
        workload.spread = true;
    }
    assert_eq!(spread(&pods(&mut model, &all)).as_deref(), Some("a,c"), "the same pod, but others beside it");
    let told = model.screen.log.entries.len();
    assert_eq!(spread(&pods(&mut model, &all[2..])).as_deref(), Some("c"));
    assert_eq!(model.screen.log.entries.len(), told, "none is moved");
    model.arrange();
    model.screen.focus.pane = Pane::Forwards;
    press(&mut model, Command::NextPod);
    assert_eq!(model.screen.log.entries.back().map(|entry| &entry.message), Some(&Message::Spreads));
    let missing = Fault::new(What::WorkloadMissing, "service/web (dev/team)", "");
    assert_eq!(spread(&happens(&mut model, ForwardEvent::NoBackend(missing))).as_deref(), Some(""));
}

#[test]
fn what_stands_in_the_way_is_told_and_heals() {
    let mut model = open();
    let missing = Fault::new(What::WorkloadMissing, "service/web (dev/team)", "web-2");
    assert_eq!(pointed(&happens(&mut model, ForwardEvent::NoBackend(missing.clone()))), Some((None, false)));
    assert_eq!((only(&model).state(), only(&model).fault.as_ref()), (ForwardState::Broken, Some(&missing)));
    // A connection that finds no pod does not hide the reason.
    happens(&mut model, ForwardEvent::ConnectionFailed(Fault::new(What::NoPod, "web", "")));
    assert_eq!(only(&model).fault.as_ref(), Some(&missing));
    // Forwarding again looks again.
    let effects = press(&mut model, Command::Forward);
    assert!(any!(effects, Effect::Forward(ForwardEffect::Open { .. })), "{effects:?}");
    happens(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:4000".parse().unwrap()]));
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    pods(&mut model, &[backend("a", true, 9)]);
    assert_eq!((only(&model).state(), &only(&model).fault), (ForwardState::Dialing, &None));
}

/// The proxy pod that was asked for, ready.
fn proxy_pod(model: &mut Model, effects: &[Effect]) -> ProxyPod {
    let [request] = &requests(effects)[..] else { panic!("{effects:?}") };
    let pod = created(model, request, 1);
    ready(&pod)
}

fn shown(forward: &Forward) -> Option<String> {
    let via = forward.via()?;
    Some(via.to.as_ref().map_or_else(|| via.pod.name.clone(), ToString::to_string))
}

#[test]
fn what_has_no_pods_goes_through_a_proxy_pod() {
    let mut model = open();
    let address: crate::types::address::Address = "10.0.0.9:5432".parse().unwrap();
    let effects = happens(&mut model, ForwardEvent::Relay(address));
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    let pod = proxy_pod(&mut model, &effects);
    assert_eq!(pod.key.name, "brow-web-000001", "the service's name is no secret");
    applied(&mut model, pod.clone());
    assert_eq!(shown(only(&model)).as_deref(), Some("10.0.0.9:5432"));
    assert_eq!(only(&model).state(), ForwardState::Dialing);
    // Its endpoint moves: the same pod reaches that too.
    let effects = happens(&mut model, ForwardEvent::Relay("10.0.0.8:5432".parse().unwrap()));
    assert_eq!(requests(&effects), []);
    assert_eq!(shown(only(&model)).as_deref(), Some("10.0.0.8:5432"));
    // The pod goes: like any other forward it listens until somebody connects.
    on_dev(&mut model, ClusterEvent::Gone { key: pod.key, uid: pod.uid });
    assert_eq!(only(&model).state(), ForwardState::Resting);
    let round = only(&model).demand.unwrap().round;
    happens(&mut model, ForwardEvent::Wanted(round));
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    // It has pods of its own now: straight there.
    pods(&mut model, &[backend("a", true, 9)]);
    assert_eq!(shown(only(&model)).as_deref(), Some("a"));
}

#[test]
fn a_service_by_its_address_gets_a_proxy_pod_when_asked() {
    let mut model = connected();
    web(&mut model);
    let address = match model.targets.all().last().map(|target| target.address.clone()) {
        Some(crate::types::workload::Destination::Workload(workload)) => {
            crate::types::workload::Destination::Workload(crate::types::workload::Workload { proxy: true, ..workload })
        }
        other => panic!("{other:?}"),
    };
    model.targets.all_mut().last_mut().unwrap().address = address;
    let effects = press(&mut model, Command::Create);
    assert_eq!(requests(&effects).len(), 1);
    let pod = proxy_pod(&mut model, &effects);
    applied(&mut model, pod);
    // A pod alone is no way: where it is to connect to must be known first.
    press(&mut model, Command::Forward);
    happens(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:4000".parse().unwrap()]));
    assert_eq!((only(&model).state(), only(&model).via()), (ForwardState::Waiting, None));
    let effects = happens(&mut model, ForwardEvent::Relay("10.96.0.7:80".parse().unwrap()));
    assert_eq!(requests(&effects), [], "there is one");
    assert_eq!(shown(only(&model)).as_deref(), Some("10.96.0.7:80"));
}

#[test]
fn proxy_pods_are_none_of_its_business() {
    let mut model = open();
    let request = PodRequest {
        id: crate::types::proxy::PodRequestId(1),
        target: "web".to_owned(),
        cluster: "dev".to_owned(),
        namespace: "team".to_owned(),
        label: "web".to_owned(),
        address: "service/web:http".parse().unwrap(),
        ttl: Ttl::DEFAULT,
        settings: PodSettings::default(),
        on_demand: false,
        agent: None,
        patience: std::time::Duration::ZERO,
    };
    let effects = applied(&mut model, pod(&request, 1, Phase::Ready));
    assert_eq!((pointed(&effects), only(&model).via()), (None, None));
}

#[test]
fn a_pod_that_follows_one_of_its_name_is_another_and_gets_tunnels_of_its_own() {
    let mut model = open();
    pods(&mut model, &[backend("web-0", true, 1)]);
    assert_eq!(pointed(&pods(&mut model, &[backend("web-0", true, 1)])), None, "the same pod");
    let mut next = backend("web-0", true, 9);
    next.via.uid = "another".to_owned();
    let effects = pods(&mut model, &[next]);
    let points: Vec<Option<&str>> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Forward(ForwardEffect::Point { via, .. }) => Some(via.as_ref().map(|via| via.uid.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(points, [Some("another")], "the old way is left, though the new one has its name");
}
