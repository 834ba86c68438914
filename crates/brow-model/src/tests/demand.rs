//! Forwards on demand, by table.

use crate::language::event::ForwardEvent;
use crate::language::event::InstanceEvent;
use crate::language::event::Sample;
use crate::language::log::Message;
use crate::tests::renew::forwarded;
use crate::tests::*;
use crate::types::forward::Forward;
use crate::types::forward::ForwardState;
use crate::types::route::Route;
use crate::types::traffic::Counts;

/// The only forward.
pub(super) fn only(model: &Model) -> &Forward {
    model.forwards.all().values().next().unwrap()
}

pub(super) fn tell(model: &mut Model, event: ForwardEvent) -> Vec<Effect> {
    let (id, epoch) = (only(model).spec.id, only(model).spec.epoch);
    let effects = model.update(Event::Forward { id, epoch, event });
    model.arrange();
    effects
}

/// A target on demand whose forward listens; nothing is connected.
pub(super) fn resting() -> Model {
    let mut model = model();
    model.targets.all_mut()[0].forward.on_demand = Some(true);
    model.arrange();
    model.screen.focus.pane = Pane::Targets;
    select(&mut model, "mysql");
    let effects = press(&mut model, Command::Forward);
    assert!(any!(effects, Effect::Forward(ForwardEffect::Open { spec, via: None }) if spec.on_demand));
    tell(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]));
    model
}

pub(super) fn select(model: &mut Model, name: &str) {
    let at = model.screen.targets.rows().iter().position(|other| other == name).unwrap();
    model.screen.targets.select(at);
}

/// The same, wanted by a connection, its cluster answering; the request for the pod.
pub(super) fn wanted() -> (Model, PodRequest) {
    let mut model = resting();
    let round = only(&model).demand.unwrap().round;
    let effects = tell(&mut model, ForwardEvent::Wanted(round));
    assert!(any!(effects, Effect::Cluster(ClusterEffect::Connect { .. })), "the first use connects the cluster");
    on_dev(&mut model, answered());
    let effects = on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: Vec::new() });
    let [request] = requests(&effects).try_into().unwrap();
    (model, request)
}

/// The same with the pod ready.
pub(super) fn used() -> (Model, ProxyPod) {
    let (mut model, request) = wanted();
    let pod = ready(&created(&mut model, &request, 1));
    applied(&mut model, pod.clone());
    (model, pod)
}

pub(super) fn second(model: &mut Model, second: i64, open: u64, total: u64) -> Vec<Effect> {
    let counts = Counts { open, total, ..Counts::default() };
    let samples = vec![Sample { id: only(model).spec.id, counts, first_byte: None, tunnel: None, spread: Vec::new() }];
    model.update(Event::Tick { now: noon() + TimeDelta::seconds(second), samples })
}

pub(super) fn rests(effects: &[Effect]) -> Vec<Option<What>> {
    let failed = |effect: &Effect| match effect {
        Effect::Forward(ForwardEffect::Rest { failed, .. }) => Some(failed.as_ref().map(|fault| fault.what)),
        _ => None,
    };
    effects.iter().filter_map(failed).collect()
}

pub(super) fn deleted(effects: &[Effect]) -> Vec<String> {
    let name = |effect: &Effect| match effect {
        Effect::Pod(PodEffect::Delete { key, .. }) => Some(key.name.clone()),
        _ => None,
    };
    effects.iter().filter_map(name).collect()
}

#[test]
fn a_listener_costs_nothing_until_somebody_connects() {
    let mut model = resting();
    assert_eq!(only(&model).state(), ForwardState::Resting);
    assert!(model.clusters.all().iter().all(|cluster| cluster.link == Link::Idle), "no cluster is connected for it");
    at(&mut model, 10);
    assert!(!model.changes_with_time(), "nothing of it moves");
    let effects = press(&mut model, Command::Quit);
    assert!(effects.contains(&Effect::Terminal(TerminalEffect::Quit)), "there is nothing to ask about");
}

#[test]
fn the_first_connection_makes_one_pod_and_others_none() {
    let (mut model, request) = wanted();
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    let effects = tell(&mut model, ForwardEvent::Wanted(0));
    assert!(effects.is_empty(), "{effects:?}");
    let pod = ready(&created(&mut model, &request, 1));
    let effects = applied(&mut model, pod.clone());
    assert!(any!(effects, Effect::Forward(ForwardEffect::Point { via: Some(via), .. }) if via.pod == pod.key));
    assert_eq!(only(&model).state(), ForwardState::Dialing);
}

#[test]
fn a_watch_that_is_faster_than_the_answer_loses_nothing() {
    let (mut model, request) = wanted();
    let pod = pod(&request, 1, Phase::Ready);
    applied(&mut model, pod.clone());
    let effects =
        model.update(Event::Pod(PodEvent::Created { request: request.id, result: Ok(Box::new(pod.clone())) }));
    assert!(deleted(&effects).is_empty(), "{effects:?}");
    assert_eq!(only(&model).via().map(|via| &via.pod), Some(&pod.key));
}

#[test]
fn a_pod_that_is_there_is_taken() {
    let mut model = connected();
    model.targets.all_mut()[0].forward.on_demand = Some(true);
    select(&mut model, "mysql");
    press(&mut model, Command::Forward);
    tell(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]));
    select(&mut model, "mysql");
    model.screen.focus.pane = Pane::Targets;
    let [request] = requests(&press(&mut model, Command::Create)).try_into().unwrap();
    let pod = ready(&created(&mut model, &request, 1));
    let effects = applied(&mut model, pod.clone());
    assert!(!any!(effects, Effect::Forward(ForwardEffect::Point { .. })), "a pod alone wakes nobody");
    let effects = tell(&mut model, ForwardEvent::Wanted(0));
    assert!(requests(&effects).is_empty());
    assert_eq!(only(&model).via().map(|via| &via.pod), Some(&pod.key));
    // Somebody asked for that pod: it stays.
    let effects = second(&mut model, 700, 0, 1);
    assert!(rests(&effects).is_empty(), "{effects:?}");
    let effects = second(&mut model, 1_400, 0, 1);
    assert_eq!(rests(&effects), [None]);
    let effects = tell(&mut model, ForwardEvent::Drained(pod.via()));
    assert!(deleted(&effects).is_empty());
}

#[test]
fn unused_for_long_enough_it_rests_and_its_pod_goes() {
    let (mut model, pod) = used();
    second(&mut model, 1, 1, 1);
    second(&mut model, 900, 1, 1);
    assert_eq!(only(&model).idle_left(model.now), None, "in use");
    second(&mut model, 901, 0, 1);
    assert_eq!(only(&model).idle_left(model.now), Some(TimeDelta::seconds(599)));
    assert!(rests(&second(&mut model, 1_499, 0, 1)).is_empty());
    let effects = second(&mut model, 1_500, 0, 1);
    assert_eq!(
        (rests(&effects), deleted(&effects)),
        (vec![None], Vec::<String>::new()),
        "it may still carry something"
    );
    assert_eq!((only(&model).state(), only(&model).via()), (ForwardState::Resting, None));
    let effects = tell(&mut model, ForwardEvent::Drained(pod.via()));
    assert_eq!(deleted(&effects), std::slice::from_ref(&pod.key.name));
    // The next use is like the first.
    let round = only(&model).demand.unwrap().round;
    assert!(tell(&mut model, ForwardEvent::Wanted(round - 1)).is_empty(), "an older rest's news");
    let effects = tell(&mut model, ForwardEvent::Wanted(round));
    assert_eq!(requests(&effects).len(), 1);
}

#[test]
fn a_pod_that_another_forward_uses_stays() {
    let (mut model, pod) = used();
    model.screen.focus.pane = Pane::Pods;
    let at = model.screen.pods.rows().iter().position(|key| *key == pod.key).unwrap();
    model.screen.pods.select(at);
    press(&mut model, Command::Forward);
    assert_eq!(model.forwards.all().len(), 1, "it is the same forward");
    let mut out = Vec::new();
    let target = model.target("mysql").unwrap().clone();
    model.forwards.all_mut().values_mut().next().unwrap().route = Route::Waiting;
    model.open_forward_via(&target, &pod.key, &mut out);
    model.forwards.all_mut().values_mut().next().unwrap().route = Route::through(pod.via());
    assert_eq!(model.forwards.all().len(), 2);
    let effects = second(&mut model, 1_500, 0, 0);
    assert_eq!(rests(&effects), [None]);
    assert!(deleted(&tell(&mut model, ForwardEvent::Drained(pod.via()))).is_empty());
}

#[test]
fn a_pod_that_another_run_made_on_demand_is_not_ours_to_use() {
    let (mut model, request) = wanted();
    let theirs = ProxyPod { on_demand: true, ..pod(&request, 7, Phase::Ready) };
    let effects = applied(&mut model, theirs.clone());
    assert!(!any!(effects, Effect::Forward(ForwardEffect::Point { via: Some(_), .. })), "{effects:?}");
    assert!(request.on_demand, "others can tell ours too");
    let ours = ready(&created(&mut model, &request, 1));
    applied(&mut model, ours.clone());
    assert_eq!(only(&model).via().map(|via| &via.pod), Some(&ours.key));
    let (mut model, old) = forwarded();
    model.pods.created_mut().clear();
    let [request] = requests(&press(&mut model, Command::Renew)).try_into().unwrap();
    let new = ready(&created(&mut model, &request, 2));
    applied(&mut model, new);
    assert!(
        deleted(&tell(&mut model, ForwardEvent::Drained(old.via()))).is_empty(),
        "another run's is left to its TTL"
    );
}

#[test]
fn a_refusal_fails_the_connection_and_a_later_one_tries_afresh() {
    let (mut model, request) = wanted();
    let result = Err(Fault::new(What::Quota, "mysql", "exceeded quota"));
    let effects = model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert_eq!(rests(&effects), [Some(What::Quota)]);
    assert_eq!(only(&model).state(), ForwardState::Resting);
    assert_eq!(only(&model).fault.as_ref().map(|fault| fault.what), Some(What::Quota));
    at(&mut model, 1);
    let round = only(&model).demand.unwrap().round;
    let effects = tell(&mut model, ForwardEvent::Wanted(round));
    assert_eq!(requests(&effects).len(), 1);
}

#[test]
fn a_pod_that_takes_too_long_is_given_up() {
    let (mut model, request) = wanted();
    let pod = created(&mut model, &request, 1);
    assert!(rests(&at(&mut model, 29)).is_empty());
    let effects = at(&mut model, 30);
    assert_eq!((rests(&effects), deleted(&effects)), (vec![Some(What::PodLate)], vec![pod.key.name]));

    // Its own reason says more; and one that the server has not even stored yet goes as soon as it is there.
    let (mut model, request) = wanted();
    assert_eq!(rests(&at(&mut model, 30)), [Some(What::PodLate)]);
    let late = pod_of(&request);
    let result = Ok(Box::new(late.clone()));
    let effects = model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert_eq!(deleted(&effects), [late.key.name]);

    let (mut model, request) = wanted();
    let pod = created(&mut model, &request, 1);
    let pulling = Fault::new(What::ImagePull, &pod.key.name, "not found");
    applied(&mut model, ProxyPod { phase: Phase::Pulling, fault: Some(pulling), ..pod });
    assert_eq!(rests(&at(&mut model, 30)), [Some(What::ImagePull)]);
}

fn pod_of(request: &PodRequest) -> ProxyPod {
    pod(request, 9, Phase::Pending)
}

#[test]
fn a_pod_that_is_lost_is_asked_for_again_by_the_next_connection() {
    let (mut model, pod) = used();
    let effects = on_dev(&mut model, ClusterEvent::Gone { key: pod.key.clone(), uid: pod.uid });
    assert_eq!(rests(&effects), [None], "nobody's connection fails for it");
    assert_eq!(only(&model).state(), ForwardState::Resting);
}

#[test]
fn a_cluster_that_nobody_knows_fails_the_connection() {
    let mut model = resting();
    model.clusters.all_mut().clear();
    assert_eq!(rests(&tell(&mut model, ForwardEvent::Wanted(0))), [Some(What::UnknownContext)]);
}

#[test]
fn the_key_turns_a_forward_over_and_back() {
    let mut model = connected();
    select(&mut model, "mysql");
    press(&mut model, Command::OnDemand);
    tell(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]));
    assert_eq!(only(&model).state(), ForwardState::Resting);
    let [request] = requests(&press(&mut model, Command::OnDemand)).try_into().unwrap();
    assert_eq!((only(&model).state(), only(&model).demand), (ForwardState::Waiting, None));
    let pod = ready(&created(&mut model, &request, 1));
    applied(&mut model, pod.clone());
    let effects = press(&mut model, Command::OnDemand);
    assert!(rests(&effects).is_empty(), "what it carries goes on");
    assert!(only(&model).demand.is_some() && only(&model).via().is_some());
    assert_eq!(rests(&second(&mut model, 700, 0, 0)), [None]);
    assert!(deleted(&tell(&mut model, ForwardEvent::Drained(pod.via()))).is_empty(), "a person asked for it");
}

#[test]
fn stopping_takes_the_pod_along_that_came_on_demand() {
    let (mut model, pod) = used();
    model.screen.focus.pane = Pane::Forwards;
    assert_eq!(deleted(&press(&mut model, Command::Stop)), [pod.key.name]);
}

#[test]
fn leaving_leaves_pods_as_the_settings_say() {
    let (mut model, _) = used();
    let mut out = Vec::new();
    model.quit(false, &mut out);
    assert!(deleted(&out).is_empty(), "{out:?}");
    // Also one that is still being made.
    let (mut model, request) = wanted();
    model.quit(false, &mut out);
    let result = Ok(Box::new(pod_of(&request)));
    let effects = model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert!(deleted(&effects).is_empty(), "{effects:?}");
}

#[test]
fn a_workload_is_watched_only_while_it_is_used() {
    let mut model = connected();
    model.targets.all_mut()[0].address = "service/web:http".parse().unwrap();
    model.targets.all_mut()[0].forward.on_demand = Some(true);
    select(&mut model, "mysql");
    press(&mut model, Command::Forward);
    tell(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]));
    let effects = tell(&mut model, ForwardEvent::Backends(Vec::new()));
    assert!(effects.is_empty(), "an ended watch's news");
    let effects = tell(&mut model, ForwardEvent::Wanted(0));
    assert!(
        matches!(effects[..], [Effect::Forward(ForwardEffect::Point { via: None, waiting: true, .. })]),
        "{effects:?}"
    );
    let fault = Fault::new(What::NoPodRuns, "service/web", "");
    assert_eq!(rests(&tell(&mut model, ForwardEvent::NoBackend(fault))), [Some(What::NoPodRuns)]);
}

#[test]
fn targets_that_start_by_themselves_connect_nothing_on_demand() {
    let mut model = Model::new(noon(), ME);
    let targets: Vec<Target> = (0..100)
        .map(|n| {
            let mut target = target(&format!("t{n:03}"), "dev");
            (target.forward.autostart, target.forward.on_demand) = (true, Some(true));
            target
        })
        .collect();
    let loaded = Loaded { targets, path: "/c".to_owned(), exists: true, ..Loaded::default() };
    model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded.clone()))));
    assert!(model.update(Event::Contexts(Ok(vec![context("dev")]))).is_empty(), "others may have opened them");
    let effects = model.update(Event::Instance(InstanceEvent::Known));
    let opened = effects.iter().filter(|e| matches!(e, Effect::Forward(ForwardEffect::Open { .. }))).count();
    assert_eq!((opened, model.forwards.all().len()), (100, 100));
    assert!(!any!(effects, Effect::Cluster(ClusterEffect::Connect { .. }) | Effect::Pod(PodEffect::Create(_))));
    let again = model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    assert!(!any!(again, Effect::Forward(ForwardEffect::Open { .. })), "once");
    // Nobody pressed a key: nobody is asked about a port.
    let fault = Fault::new(What::PortInUse, "3306", "").with(crate::language::fault::Remedy::OtherPort(3307));
    tell(&mut model, ForwardEvent::NotBound(fault));
    assert!(model.screen.dialogs.is_empty());
}

#[test]
fn a_way_that_is_lost_while_nobody_uses_it_is_no_news() {
    // Another pod is on its way, but for nobody.
    let lost = |open: u64| {
        let (mut model, old) = used();
        second(&mut model, 1, open, 1);
        model.screen.focus.pane = Pane::Pods;
        let at = model.screen.pods.rows().iter().position(|key| *key == old.key).unwrap();
        model.screen.pods.select(at);
        let [request] = requests(&press(&mut model, Command::Renew)).try_into().unwrap();
        let coming = created(&mut model, &request, 2);
        let effects = on_dev(&mut model, ClusterEvent::Gone { key: old.key, uid: old.uid });
        (model, coming, effects)
    };
    let told = |model: &Model| model.screen.log.entries.iter().any(|entry| matches!(entry.message, Message::Failed(_)));
    let (model, coming, effects) = lost(0);
    assert_eq!((rests(&effects), deleted(&effects)), (vec![None], vec![coming.key.name]));
    assert_eq!(only(&model).state(), ForwardState::Resting);
    assert!(!told(&model));

    // What was open then has ended, and nothing came: that is late for nobody.
    let (mut model, coming, effects) = lost(1);
    assert!(rests(&effects).is_empty());
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    second(&mut model, 2, 0, 1);
    let effects = second(&mut model, 31, 0, 1);
    assert_eq!((rests(&effects), deleted(&effects)), (vec![None], vec![coming.key.name]));
    assert!(!told(&model));

    // What is open still may be a connection that waits: it is failed, with the reason.
    let (mut model, _, _) = lost(1);
    assert_eq!(rests(&second(&mut model, 31, 1, 1)), [Some(What::PodDeleted)]);
}

#[test]
fn who_waits_knows_who_sets_the_limit() {
    let waits = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Forward(ForwardEffect::Point { via: None, waiting: true, on_demand, .. }) => Some(*on_demand),
            _ => None,
        })
    };
    let (mut model, _) = wanted();
    model.screen.focus.pane = Pane::Targets;
    select(&mut model, "mysql");
    assert_eq!(waits(&press(&mut model, Command::OnDemand)), Some(false), "no longer on demand");
    assert!(rests(&at(&mut model, 100)).is_empty());
    assert_eq!(waits(&press(&mut model, Command::OnDemand)), Some(true));
    assert_eq!(rests(&at(&mut model, 129)), []);
    assert_eq!(only(&model).state(), ForwardState::Waiting);
}
