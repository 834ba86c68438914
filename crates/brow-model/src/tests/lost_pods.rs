//! Forwards whose pod expired or was taken away by others, by table.

use std::collections::BTreeMap;

use crate::language::event::ForwardEvent;
use crate::language::log::Message;
use crate::tests::demand::{only, rests, second, select, tell};
use crate::tests::renew::forwarded;
use crate::tests::*;
use crate::types::forward::{Forward, ForwardState};
use crate::types::route::Via;

/// A connection comes to the forward that rests.
fn connection(model: &mut Model) -> Vec<Effect> {
    let round = only(model).demand.unwrap().round;
    tell(model, ForwardEvent::Wanted(round))
}

/// The pod that new connections go through, if a forward is an ordinary one.
fn through(forward: &Forward) -> Option<&PodKey> {
    forward.via().filter(|_| forward.demand.is_none()).map(|via| &via.pod)
}

/// An ordinary forward whose pod has expired.
fn expired() -> Model {
    let (mut model, pod) = forwarded();
    applied(&mut model, ProxyPod { phase: Phase::Expired, ..pod });
    model
}

/// The end of a pod, as its watch tells it.
type End = fn(ProxyPod, Fault) -> ClusterEvent;

#[test]
fn whoever_ends_a_pod_but_us_leaves_the_forward_listening() {
    let evicted = Fault::new(What::Evicted, "brow-mysql-000001", "");
    let ends: [(&str, End); 4] = [
        ("expired", |pod, _| ClusterEvent::Applied(Box::new(ProxyPod { phase: Phase::Expired, ..pod }))),
        ("evicted", |pod, fault| {
            ClusterEvent::Applied(Box::new(ProxyPod { phase: Phase::Failed, fault: Some(fault), ..pod }))
        }),
        ("being deleted", |pod, _| ClusterEvent::Applied(Box::new(ProxyPod { phase: Phase::Terminating, ..pod }))),
        ("deleted", |pod, _| ClusterEvent::Gone { key: pod.key, uid: pod.uid }),
    ];
    for (how, end) in ends {
        let (mut model, pod) = forwarded();
        let effects = on_dev(&mut model, end(pod, evicted.clone()));
        assert_eq!(rests(&effects), [None], "{how}");
        let trouble = (how == "evicted").then_some(What::Evicted);
        let fault = only(&model).fault.as_ref().map(|fault| fault.what);
        assert_eq!((only(&model).state(), fault), (ForwardState::Resting, trouble), "{how}");
        let told = model.screen.log.entries.iter().filter(|entry| entry.message == Message::ForwardListens).count();
        assert_eq!(told, 1, "{how}");
        assert_eq!(requests(&connection(&mut model)).len(), 1, "{how}");
    }
}

#[test]
fn the_cleanup_may_be_faster_than_the_watch() {
    let (mut model, pod) = forwarded();
    let effects = at(&mut model, 1_800 + 60);
    assert_eq!(crate::tests::demand::deleted(&effects), [pod.key.name]);
    assert_eq!((rests(&effects), only(&model).state()), (vec![None], ForwardState::Resting));
}

#[test]
fn what_we_delete_ourselves_is_not_brought_back_by_a_connection() {
    let (mut model, _) = forwarded();
    let effects = press(&mut model, Command::KillNow);
    assert!(rests(&effects).is_empty());
    assert_eq!(only(&model).state(), ForwardState::Broken);
}

#[test]
fn the_next_connection_gets_an_ordinary_pod_and_the_forward_is_as_before() {
    let mut model = expired();
    assert!(!any!(at(&mut model, 2_000), Effect::Pod(PodEffect::Create(_))), "nobody needs one yet");
    let [request] = requests(&connection(&mut model)).try_into().unwrap();
    assert!(!request.on_demand, "it lives as long as its TTL says");
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    let new = ProxyPod { started: Some(model.now), ..ready(&created(&mut model, &request, 2)) };
    applied(&mut model, new.clone());
    assert_eq!(through(only(&model)), Some(&new.key));
    assert!(rests(&second(&mut model, 3_700, 0, 1)).is_empty(), "it has no idle timeout");
    // And so the next time.
    let effects = applied(&mut model, ProxyPod { phase: Phase::Expired, ..new });
    assert_eq!(rests(&effects), [None]);
    assert_eq!(requests(&connection(&mut model)).len(), 1);
}

#[test]
fn a_refusal_and_a_pod_that_is_late_fail_the_connections_and_a_later_one_tries_afresh() {
    let mut model = expired();
    let [request] = requests(&connection(&mut model)).try_into().unwrap();
    let result = Err(Fault::new(What::Forbidden, "mysql", "no right to create pods"));
    let effects = model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert_eq!(rests(&effects), [Some(What::Forbidden)]);
    assert_eq!(only(&model).fault.as_ref().map(|fault| fault.what), Some(What::Forbidden), "the row says why");
    assert_eq!(rests(&connection(&mut model)), [Some(What::Forbidden)], "not asked again at once");
    at(&mut model, 1);
    let [request] = requests(&connection(&mut model)).try_into().unwrap();
    created(&mut model, &request, 2);
    assert_eq!(rests(&at(&mut model, 32)), [Some(What::PodLate)]);
    // It comes at last, and is of use without another connection.
    let late = pod(&request, 2, Phase::Ready);
    applied(&mut model, late.clone());
    assert_eq!(through(only(&model)), Some(&late.key));
}

#[test]
fn the_pause_after_failures_doubles_up_to_a_minute_until_something_changes() {
    let mut model = expired();
    let mut time = 0;
    for pause in [0, 1, 2, 4, 8, 16, 32, 60, 60] {
        if pause > 0 {
            at(&mut model, time + pause - 1);
            assert!(requests(&connection(&mut model)).is_empty(), "{pause} s are not over");
        }
        time += pause;
        at(&mut model, time);
        let [request] = requests(&connection(&mut model)).try_into().unwrap();
        let result = Err(Fault::new(What::Quota, "mysql", "exceeded quota"));
        model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    }
    // The config is read: what was wrong may be mended.
    let loaded = Loaded { targets: model.targets.all().to_vec(), exists: true, ..Loaded::default() };
    model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    assert_eq!(requests(&connection(&mut model)).len(), 1);
}

#[test]
fn a_pause_keeps_nobody_from_a_pod_that_is_there_or_coming() {
    let failed = || {
        let mut model = expired();
        let [request] = requests(&connection(&mut model)).try_into().unwrap();
        let result = Err(Fault::new(What::Quota, "mysql", "exceeded quota"));
        model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
        assert_eq!(rests(&connection(&mut model)), [Some(What::Quota)]);
        (model, request)
    };
    for phase in [Phase::Pending, Phase::Ready] {
        let (mut model, request) = failed();
        let theirs = pod(&request, 7, phase);
        model.forwards.iter_mut().for_each(|forward| forward.spec.on_demand = true);
        applied(&mut model, theirs);
        let effects = connection(&mut model);
        assert!(rests(&effects).is_empty() && requests(&effects).is_empty(), "{phase:?}: {effects:?}");
    }
}

#[test]
fn a_cluster_that_is_down_fails_the_connection_in_time() {
    let mut model = expired();
    let fault = Fault::new(What::Unreachable, "dev", "");
    on_dev(&mut model, ClusterEvent::Failed { link: Link::Unreachable, fault });
    // A pod is asked for all the same where the pods are known; the answer never comes.
    connection(&mut model);
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    assert_eq!(rests(&at(&mut model, 31)).len(), 1);
    assert_eq!(only(&model).state(), ForwardState::Resting);
}

#[test]
fn a_pod_that_is_coming_is_waited_for_and_missed_without_harm() {
    let (mut model, old) = forwarded();
    let [request] = requests(&press(&mut model, Command::Renew)).try_into().unwrap();
    let coming = created(&mut model, &request, 2);
    let effects = applied(&mut model, ProxyPod { phase: Phase::Expired, ..old });
    assert!(rests(&effects).is_empty());
    assert_eq!(only(&model).state(), ForwardState::Waiting);
    let effects = on_dev(&mut model, ClusterEvent::Gone { key: coming.key, uid: coming.uid });
    assert_eq!(rests(&effects).len(), 1);
    assert_eq!(requests(&connection(&mut model)).len(), 1);
}

#[test]
fn every_key_that_asks_for_a_pod_brings_one() {
    for (pane, command) in [
        (Pane::Targets, Command::Connect),
        (Pane::Targets, Command::Create),
        (Pane::Targets, Command::Forward),
        (Pane::Forwards, Command::Restart),
    ] {
        let mut model = expired();
        model.screen.focus.pane = pane;
        select(&mut model, "mysql");
        let [request] = requests(&press(&mut model, command)).try_into().unwrap();
        tell(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]));
        let new = ready(&created(&mut model, &request, 2));
        applied(&mut model, new.clone());
        assert_eq!(through(only(&model)), Some(&new.key), "{command:?}");
    }
}

#[test]
fn the_key_makes_it_one_on_demand() {
    let mut model = expired();
    model.screen.focus.pane = Pane::Targets;
    select(&mut model, "mysql");
    press(&mut model, Command::OnDemand);
    assert!(only(&model).spec.on_demand && only(&model).is_resting());
    let [request] = requests(&connection(&mut model)).try_into().unwrap();
    assert!(request.on_demand);
}

#[test]
fn a_target_can_have_it_otherwise() {
    for (level, pod_is_asked_for) in [("target", false), ("cluster", false), ("other cluster", true)] {
        let (mut model, pod) = forwarded();
        let off = ForwardSettings { recreate: Some(false), ..ForwardSettings::default() };
        match level {
            "target" => model.targets.all_mut()[0].forward = off,
            level => {
                let name = if level == "cluster" { "dev" } else { "prod" };
                let settings = model.config.settings_mut().clusters.entry(name.to_owned()).or_default();
                settings.forward = off;
            }
        }
        let effects = applied(&mut model, ProxyPod { phase: Phase::Expired, ..pod });
        assert_eq!(!rests(&effects).is_empty(), pod_is_asked_for, "{level}");
        let state = if pod_is_asked_for { ForwardState::Resting } else { ForwardState::Broken };
        assert_eq!(only(&model).state(), state, "{level}");
    }
}

#[test]
fn the_reason_against_the_pod_proxy_is_shown_until_it_works_and_told_once() {
    let (mut model, _) = forwarded();
    let via = only(&model).via().unwrap().clone();
    let told = |model: &Model| model.screen.log.entries.iter().filter(|it| it.message == Message::NoPodProxy).count();
    for news in [true, false] {
        tell(&mut model, ForwardEvent::NotByPodProxy { via: via.clone(), why: "forbidden".to_owned(), news });
        assert_eq!((only(&model).no_pod_proxy(), told(&model)), (Some("forbidden"), 1));
    }
    // It is not shown as a fault.
    assert_eq!(only(&model).fault, None);
    let former = Via { uid: "former".to_owned(), ..via.clone() };
    tell(&mut model, ForwardEvent::ByPodProxy(former));
    assert!(only(&model).no_pod_proxy.is_some(), "news of a former pod");
    tell(&mut model, ForwardEvent::ByPodProxy(via));
    assert_eq!(only(&model).no_pod_proxy, None);
}

#[test]
fn the_result_of_the_pod_proxy_is_remembered_and_told_again_only_when_it_changes() {
    let (mut model, _) = forwarded();
    let via = only(&model).via().unwrap().clone();
    let told = |model: &Model| model.screen.log.entries.iter().filter(|it| it.message == Message::NoPodProxy).count();
    let remembered = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Store(StoreEffect::PodProxy { cluster, namespace, failure }) => {
                assert_eq!((cluster, namespace), (via.pod.cluster.clone(), via.pod.namespace.clone()));
                Some(failure)
            }
            _ => None,
        })
    };
    let fails = || ForwardEvent::NotByPodProxy { via: via.clone(), why: "forbidden".to_owned(), news: true };
    let works = || ForwardEvent::ByPodProxy(via.clone());
    let at = (via.pod.cluster.clone(), via.pod.namespace.clone());
    let earlier = BTreeMap::from([(at, Some("forbidden".to_owned()))]);
    model.clusters.remember_pod_proxies(earlier);
    assert_eq!((remembered(tell(&mut model, fails())), told(&model)), (None, 0), "an earlier run has told it");
    assert!(!model.clusters.pod_proxy_works(&only(&model).spec.selector));
    assert_eq!(remembered(tell(&mut model, works())), Some(None));
    assert!(model.clusters.pod_proxy_works(&only(&model).spec.selector));
    assert_eq!(remembered(tell(&mut model, works())), None);
    assert_eq!((remembered(tell(&mut model, fails())), told(&model)), (Some(Some("forbidden".to_owned())), 1));
}
