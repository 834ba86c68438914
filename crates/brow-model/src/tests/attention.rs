//! The order of rows by the attention that they need.

use crate::tests::demand::{only, second, select};
use crate::tests::renew::forwarded;
use crate::tests::*;
use crate::types::attention::Attention;
use crate::types::health::Health;
use crate::types::route::{Route, Tunnel};

/// The names of the targets in the order of their rows.
fn rows(model: &mut Model) -> Vec<String> {
    model.arrange();
    model.screen.targets.rows().to_vec()
}

#[test]
fn a_forward_is_as_urgent_as_its_route_and_its_time() {
    let (model, pod) = forwarded();
    let (now, ends) = (noon(), noon() + TimeDelta::minutes(30));
    let live = Route::Through(pod.via(), Tunnel::Up);
    let down = Health { down: Some(Fault::new(What::ProbeFailed, "mysql", "404")), latency: None };
    for (route, health, left, wanted) in [
        (Route::Failed, None, 30, Attention::Failed),
        (Route::Unreachable, None, 30, Attention::Failed),
        (Route::Through(pod.via(), Tunnel::Lost), None, 30, Attention::Down),
        (live.clone(), Some(down), 30, Attention::Down),
        (live.clone(), None, 5, Attention::Ending(ends)),
        (live.clone(), None, 6, Attention::Active),
        (Route::Waiting, None, 30, Attention::Active),
        (Route::Resting, None, 30, Attention::Listening),
    ] {
        let mut model = model.clone();
        model.now = ends - TimeDelta::minutes(left);
        let forward = model.forwards.all_mut().values_mut().next().unwrap();
        forward.health = health;
        forward.route = route.clone();
        assert_eq!(model.attention_of_forward(only(&model)), wanted, "{route:?}, {left} min");
    }
    assert!(now < ends, "a pod of half an hour");
}

#[test]
fn what_is_renewed_does_not_end_soon_and_what_is_not_used_does() {
    let (mut model, _) = forwarded();
    model.config.settings_mut().forward.auto_renew = Some(true);
    second(&mut model, 1_560, 1, 1);
    assert!(model.is_renewed(only(&model)), "it carries a connection");
    assert_eq!(model.ending(only(&model)), None);
    model.config.settings_mut().forward.max_lifetime = "30m".parse().ok();
    assert!(!model.is_renewed(only(&model)), "its lifetime is up");
    assert_eq!(model.ending(only(&model)), Some(noon() + TimeDelta::minutes(30)));
    let (mut idle, _) = forwarded();
    idle.config.settings_mut().forward.auto_renew = Some(true);
    second(&mut idle, 1_560, 0, 0);
    assert!(!idle.is_renewed(only(&idle)), "nobody uses it");
}

#[test]
fn rows_move_up_when_their_time_comes_and_can_be_turned_round() {
    let (mut model, _) = forwarded();
    model.screen.focus.pane = Pane::Targets;
    select(&mut model, "mysql");
    assert_eq!(rows(&mut model), ["mysql", "far", "redis"], "in use before those that are not");
    let far = model.targets.all().iter().find(|target| target.name == "far").unwrap().clone();
    model.targets.refuse("redis", Fault::new(What::Quota, "redis", ""));
    at(&mut model, 1);
    model.screen.unarranged = true;
    assert_eq!(rows(&mut model), ["redis", "mysql", "far"], "what failed first");
    assert_eq!(model.attention_of(&far), Attention::Idle);
    press(&mut model, Command::SortReverse);
    assert_eq!(rows(&mut model), ["far", "mysql", "redis"]);
    // Five minutes before its end the order is made anew without any other event.
    model.arrange();
    at(&mut model, 1_499);
    assert!(!model.screen.unarranged);
    at(&mut model, 1_500);
    assert!(model.screen.unarranged);
}

#[test]
fn a_pod_that_cannot_start_is_seen_before_those_that_do_and_foreign_ones_last() {
    let (model, own) = forwarded();
    let pulling = ProxyPod { phase: Phase::Pulling, ..own.clone() };
    let stuck = ProxyPod { fault: Some(Fault::new(What::ImagePull, "image", "")), ..pulling.clone() };
    let foreign = ProxyPod { uid: "nobody's".to_owned(), ..own.clone() };
    let failed = ProxyPod { phase: Phase::Failed, ..own.clone() };
    let order = [&failed, &stuck, &own, &foreign].map(|pod| model.attention_of_pod(pod));
    assert_eq!(order, [Attention::Failed, Attention::Down, Attention::Active, Attention::Foreign]);
    assert!(order.is_sorted());
    assert_eq!(model.attention_of_pod(&pulling), Attention::Active);
}
