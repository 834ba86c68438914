//! Pods that nobody asked for by hand: each goes when it is of no use any more, and none before.

use crate::language::event::ForwardEvent;
use crate::language::event::InstanceEvent;
use crate::language::log::Message;
use crate::tests::demand::deleted;
use crate::tests::demand::only;
use crate::tests::demand::rests;
use crate::tests::demand::second;
use crate::tests::demand::tell;
use crate::tests::demand::used;
use crate::tests::demand::wanted;
use crate::tests::renew::forwarded;
use crate::tests::*;
use crate::types::instance::ForwardReport;
use crate::types::instance::RemoteState;
use crate::types::instance::Report;
use crate::types::instance::Role;
use crate::types::proxy::PodRequestId;
use crate::types::route::Route;

fn renewed(model: &mut Model, old: &ProxyPod) -> PodRequest {
    model.screen.focus.pane = Pane::Pods;
    let at = model.screen.pods.rows().iter().position(|key| *key == old.key).unwrap();
    model.screen.pods.select(at);
    let [request] = requests(&press(model, Command::Renew)).try_into().unwrap();
    request
}

fn answer(model: &mut Model, id: PodRequestId, pod: &ProxyPod) -> Vec<Effect> {
    model.update(Event::Pod(PodEvent::Created { request: id, result: Ok(Box::new(pod.clone())) }))
}

fn disconnect(model: &mut Model) {
    model.screen.focus.pane = Pane::Clusters;
    let effects = press(model, Command::DisconnectCluster);
    assert!(any!(effects, Effect::Cluster(ClusterEffect::Disconnect { .. })), "{effects:?}");
    assert!(model.pods.all().is_empty());
}

#[test]
fn a_pod_goes_although_its_cluster_was_let_go_of() {
    // Unused, the forward rests; or somebody stops it.
    let (mut model, pod) = used();
    disconnect(&mut model);
    assert_eq!(rests(&second(&mut model, 700, 0, 0)), [None]);
    assert_eq!(deleted(&tell(&mut model, ForwardEvent::Drained(pod.via()))), std::slice::from_ref(&pod.key.name));
    assert!(model.pods.lifecycle.on_demand().is_empty());

    let (mut model, pod) = used();
    disconnect(&mut model);
    model.screen.focus.pane = Pane::Forwards;
    assert_eq!(deleted(&press(&mut model, Command::Stop)), [pod.key.name]);

    // It was still being made.
    let (mut model, request) = wanted();
    disconnect(&mut model);
    assert_eq!(rests(&at(&mut model, 30)), [Some(What::PodLate)]);
    let late = crate::tests::pod(&request, 9, Phase::Pending);
    assert_eq!(deleted(&answer(&mut model, request.id, &late)), [late.key.name]);
}

#[test]
fn a_pod_that_was_left_before_goes_at_once() {
    let (mut model, first) = used();
    // It moves to another, made by hand, and what it carried through the first has ended.
    let other = ProxyPod {
        key: PodKey { name: "brow-mysql-000007".to_owned(), ..first.key.clone() },
        uid: "uid-7".to_owned(),
        on_demand: false,
        ..first.clone()
    };
    applied(&mut model, other.clone());
    model.set_route(only(&model).spec.id, Route::through(other.via()), None, &mut Vec::new());
    assert!(deleted(&tell(&mut model, ForwardEvent::Drained(first.via()))).is_empty(), "it may be of use again");
    let effects = second(&mut model, 700, 0, 0);
    assert_eq!((rests(&effects), deleted(&effects)), (vec![None], vec![first.key.name]));
    assert!(deleted(&tell(&mut model, ForwardEvent::Drained(other.via()))).is_empty(), "somebody else's");
}

#[test]
fn news_of_an_earlier_stay_at_a_pod_does_not_end_it() {
    let (mut model, pod) = used();
    assert!(deleted(&tell(&mut model, ForwardEvent::Drained(pod.via()))).is_empty());
    let effects = second(&mut model, 700, 0, 0);
    assert_eq!((rests(&effects), deleted(&effects)), (vec![None], Vec::<String>::new()), "it is held still");
    assert_eq!(deleted(&tell(&mut model, ForwardEvent::Drained(pod.via()))), [pod.key.name]);
}

#[test]
fn a_pod_that_cannot_be_deleted_is_tried_again() {
    let (mut model, pod) = used();
    second(&mut model, 700, 0, 0);
    tell(&mut model, ForwardEvent::Drained(pod.via()));
    let result = Err(Fault::new(What::Unreachable, "dev", ""));
    model.update(Event::Pod(PodEvent::Deleted { key: pod.key.clone(), result }));
    assert_eq!(deleted(&second(&mut model, 760, 0, 0)), [pod.key.name]);
}

#[test]
fn what_takes_over_from_a_pod_that_goes_goes_too() {
    // The forward rests before the request is answered, and before or after the old pod is gone.
    for gone in [false, true] {
        let (mut model, old) = used();
        let request = renewed(&mut model, &old);
        assert_eq!(rests(&second(&mut model, 700, 0, 0)), [None]);
        assert_eq!(deleted(&tell(&mut model, ForwardEvent::Drained(old.via()))), std::slice::from_ref(&old.key.name));
        if gone {
            on_dev(&mut model, ClusterEvent::Gone { key: old.key.clone(), uid: old.uid.clone() });
        }
        let new = pod(&request, 2, Phase::Pending);
        assert_eq!(deleted(&answer(&mut model, request.id, &new)), [new.key.name], "{gone}");
    }
    // After.
    let (mut model, old) = used();
    let request = renewed(&mut model, &old);
    let new = created(&mut model, &request, 2);
    assert_eq!(deleted(&second(&mut model, 700, 0, 0)), [new.key.name]);
    assert_eq!(deleted(&tell(&mut model, ForwardEvent::Drained(old.via()))), [old.key.name]);
}

#[test]
fn what_takes_over_from_a_pod_that_another_forward_uses_stays() {
    let (mut model, old) = used();
    let target = model.target("mysql").unwrap().clone();
    let first = only(&model).spec.id;
    model.forwards.all_mut().get_mut(&first).unwrap().route = Route::Waiting;
    model.open_forward_via(&target, &old.key, &mut Vec::new());
    model.forwards.all_mut().get_mut(&first).unwrap().route = Route::through(old.via());
    let request = renewed(&mut model, &old);
    let new = created(&mut model, &request, 2);
    // The one on demand is not used any more, the other one is.
    let effects = second(&mut model, 700, 0, 0);
    assert_eq!((rests(&effects), deleted(&effects)), (vec![None], Vec::<String>::new()));
    applied(&mut model, ready(&new));
    let second = model.forwards.all().keys().copied().find(|id| *id != first).unwrap();
    assert!(model.forwards.all()[&second].is_through(&new.key));
}

#[test]
fn a_renewal_that_is_answered_while_the_old_pod_dies_serves_those_who_wait() {
    let (mut model, old) = used();
    second(&mut model, 1, 1, 1);
    let request = renewed(&mut model, &old);
    on_dev(&mut model, ClusterEvent::Gone { key: old.key.clone(), uid: old.uid });
    let new = ready(&pod(&request, 2, Phase::Pending));
    let effects = answer(&mut model, request.id, &new);
    assert!(deleted(&effects).is_empty(), "{effects:?}");
    assert!(only(&model).is_through(&new.key));
    // And it is one on demand as the old one was.
    assert_eq!(rests(&second(&mut model, 700, 0, 1)), [None]);
    assert_eq!(deleted(&tell(&mut model, ForwardEvent::Drained(new.via()))), [new.key.name]);
}

fn hear(model: &mut Model, pod: Option<&PodKey>, draining: Vec<String>) -> Vec<Effect> {
    let forward = ForwardReport {
        socket: None,
        id: 1,
        agent: None,
        name: "mysql".into(),
        cluster: "same-cluster-by-another-name".into(),
        namespace: "team".into(),
        server: "https://dev.example:6443".into(),
        destination: "10.0.0.1:3306".into(),
        local: "127.0.0.1:9".into(),
        state: RemoteState::Live,
        detail: None,
        ends: None,
        pod: pod.map(|pod| pod.name.clone()),
        draining,
    };
    let report = Report {
        pid: 42,
        role: Role::Dashboard,
        forwards: vec![forward],
        leaving: false,
        ended: Vec::new(),
        wants: Vec::new(),
        asks: Vec::new(),
        shells: Vec::new(),
    };
    model.update(Event::Instance(InstanceEvent::Heard { instance: "42-0".into(), report }))
}

#[test]
fn a_renewed_pod_stays_while_another_instance_goes_through_it() {
    let (mut model, old) = forwarded();
    hear(&mut model, Some(&old.key), Vec::new());
    let request = renewed(&mut model, &old);
    let new = created(&mut model, &request, 2);
    applied(&mut model, ready(&new));
    assert!(deleted(&tell(&mut model, ForwardEvent::Drained(old.via()))).is_empty());
    let told = |model: &Model| {
        let told = |entry: &&crate::language::log::Entry| entry.message == Message::PodUsedElsewhere;
        model.screen.log.entries.iter().filter(told).count()
    };
    assert_eq!(told(&model), 1);
    assert!(deleted(&hear(&mut model, Some(&new.key), vec![old.key.name.clone()])).is_empty(), "connections stay");
    assert_eq!(told(&model), 1, "once");
    let mut other = model.clone();
    assert_eq!(deleted(&hear(&mut model, Some(&new.key), Vec::new())), std::slice::from_ref(&old.key.name));
    let gone = other.update(Event::Instance(InstanceEvent::Gone { instance: "42-0".into() }));
    assert_eq!(deleted(&gone), [old.key.name]);
}

#[test]
fn others_are_told_of_pods_that_only_old_connections_go_through() {
    let (mut model, old) = forwarded();
    let request = renewed(&mut model, &old);
    let new = created(&mut model, &request, 2);
    applied(&mut model, ready(&new));
    let [told] = model.report(1, Role::Dashboard).forwards.try_into().unwrap();
    assert_eq!((told.pod, told.draining), (Some(new.key.name), vec![old.key.name.clone()]));
    tell(&mut model, ForwardEvent::Drained(old.via()));
    assert!(model.report(1, Role::Dashboard).forwards[0].draining.is_empty());
}

#[test]
fn a_forward_that_cannot_listen_keeps_no_pod() {
    let (mut model, pod) = used();
    let other = model.target("mysql").unwrap().clone();
    let first = only(&model).spec.id;
    model.forwards.all_mut().get_mut(&first).unwrap().route = Route::Waiting;
    model.open_forward_via(&other, &pod.key, &mut Vec::new());
    model.forwards.all_mut().get_mut(&first).unwrap().route = Route::through(pod.via());
    let (id, epoch) =
        model.forwards.all().values().map(|at| (at.spec.id, at.spec.epoch)).find(|at| at.0 != first).unwrap();
    let event = ForwardEvent::NotBound(Fault::new(What::PortInUse, "3306", ""));
    assert!(deleted(&model.update(Event::Forward { id, epoch, event })).is_empty());
    assert_eq!(rests(&second(&mut model, 700, 0, 0)), [None]);
    assert_eq!(deleted(&tell(&mut model, ForwardEvent::Drained(pod.via()))), [pod.key.name]);
}
