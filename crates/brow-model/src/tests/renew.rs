//! Pods that are renewed, by table.

use std::time::Duration;

use crate::language::event::ForwardEvent;
use crate::language::log::Message;
use crate::tests::demand::deleted;
use crate::tests::demand::only;
use crate::tests::demand::second;
use crate::tests::demand::select;
use crate::tests::demand::tell;
use crate::tests::*;
use crate::types::forward::ForwardId;

/// An ordinary forward through a ready pod.
pub(super) fn forwarded() -> (Model, ProxyPod) {
    let mut model = connected();
    select(&mut model, "mysql");
    let [request] = requests(&press(&mut model, Command::Forward)).try_into().unwrap();
    tell(&mut model, ForwardEvent::Bound(vec!["127.0.0.1:40001".parse().unwrap()]));
    let pod = ready(&created(&mut model, &request, 1));
    applied(&mut model, pod.clone());
    model.screen.focus.pane = Pane::Pods;
    (model, pod)
}

fn through(model: &Model, id: ForwardId) -> Option<String> {
    model.forwards.all()[&id].via().map(|via| via.pod.name.clone())
}

#[test]
fn a_renewed_pod_goes_once_nothing_uses_it() {
    let (mut model, old) = forwarded();
    let id = only(&model).spec.id;
    let [request] = requests(&press(&mut model, Command::Renew)).try_into().unwrap();
    assert_eq!(Some(request.ttl), old.ttl);
    assert!(requests(&press(&mut model, Command::Renew)).is_empty(), "one is under way");
    let new = created(&mut model, &request, 2);
    assert_eq!(through(&model, id), Some(old.key.name.clone()));
    let effects = applied(&mut model, ready(&new));
    assert_eq!(through(&model, id), Some(new.key.name.clone()));
    assert!(deleted(&effects).is_empty(), "connections may still go through it");
    assert_eq!(deleted(&tell(&mut model, ForwardEvent::Drained(old.via()))), [old.key.name]);
}

#[test]
fn a_renewal_that_fails_changes_nothing() {
    let (mut model, old) = forwarded();
    let id = only(&model).spec.id;
    let [request] = requests(&press(&mut model, Command::Renew)).try_into().unwrap();
    let result = Err(Fault::new(What::Quota, "mysql", ""));
    model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    assert_eq!(through(&model, id), Some(old.key.name));
    assert_eq!(requests(&press(&mut model, Command::Renew)).len(), 1, "it can be tried again");
}

#[test]
fn what_is_not_ours_or_not_ready_is_not_renewed() {
    let (mut model, pod) = forwarded();
    for other in [
        ProxyPod { uid: "forged".to_owned(), ..pod.clone() },
        ProxyPod { phase: Phase::Starting, ..pod.clone() },
        ProxyPod { target_label: "nobody".to_owned(), ..pod.clone() },
    ] {
        model.pods.all_mut().insert(pod.key.clone(), other.clone());
        assert!(requests(&press(&mut model, Command::Renew)).is_empty(), "{other:?}");
        assert_eq!(model.screen.log.entries.back().map(|entry| &entry.message), Some(&Message::NotRenewable));
    }
}

#[test]
fn pods_are_renewed_by_themselves_while_they_are_used_and_not_for_ever() {
    let (mut model, old) = forwarded();
    model.config.settings_mut().forward.auto_renew = Some(true);
    model.config.settings_mut().forward.max_lifetime = "40m".parse().ok();
    assert!(requests(&second(&mut model, 1_000, 1, 1)).is_empty(), "there is time");
    let [request] = requests(&second(&mut model, 1_440, 1, 1)).try_into().unwrap();
    assert_eq!(Duration::from_mins(16), request.ttl.duration(), "what max_lifetime leaves");
    assert!(requests(&second(&mut model, 1_441, 1, 1)).is_empty(), "once");
    let new = ready(&created(&mut model, &request, 2));
    let new = ProxyPod { started: Some(noon() + TimeDelta::seconds(1_445)), ..new };
    applied(&mut model, new);
    assert_eq!(deleted(&tell(&mut model, ForwardEvent::Drained(old.via()))), [old.key.name]);
    assert!(requests(&second(&mut model, 2_390, 1, 1)).is_empty(), "its lifetime is up");

    let (mut model, _) = forwarded();
    model.config.settings_mut().forward.auto_renew = Some(true);
    assert!(requests(&second(&mut model, 1_500, 0, 0)).is_empty(), "nobody uses it");
    assert_eq!(requests(&second(&mut model, 1_501, 0, 1)).len(), 1);
    let request = model.pods.requests().keys().copied().next().unwrap();
    let result = Err(Fault::new(What::Quota, "mysql", ""));
    model.update(Event::Pod(PodEvent::Created { request, result }));
    assert!(requests(&second(&mut model, 1_502, 1, 2)).is_empty(), "not again at once");
    assert_eq!(requests(&second(&mut model, 1_562, 1, 2)).len(), 1);
}
