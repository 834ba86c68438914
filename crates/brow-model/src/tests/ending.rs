//! Warnings before pods end, by table.

use crate::language::log::Message;
use crate::tests::demand::{only, second};
use crate::tests::renew::forwarded;
use crate::tests::*;

/// The warnings among effects: target and time left.
fn warnings(effects: &[Effect]) -> Vec<(String, String)> {
    let warning = |effect: &Effect| match effect {
        Effect::Terminal(TerminalEffect::Notify(entry)) if entry.message == Message::PodEnds => {
            Some((entry.thing.clone(), entry.detail.clone()))
        }
        _ => None,
    };
    effects.iter().filter_map(warning).collect()
}

fn warned(left: &str) -> Vec<(String, String)> {
    vec![("mysql".to_owned(), left.to_owned())]
}

/// Takes in the pod with another TTL.
fn with_ttl(ttl: &str) -> (Model, ProxyPod) {
    let (mut model, pod) = forwarded();
    let pod = ProxyPod { ttl: ttl.parse().ok(), ..pod };
    applied(&mut model, pod.clone());
    (model, pod)
}

#[test]
fn a_person_is_warned_once_five_minutes_before_or_less_of_a_short_life() {
    for (ttl, lives, warns_at, left) in [
        ("24h", 86_400, 86_100, "5m"),
        ("30m", 1_800, 1_500, "5m"),
        ("10m", 600, 480, "2m"),
        ("5m", 300, 240, "1m"),
        ("1m", 60, 48, "12s"),
        ("5s", 5, 4, "1s"),
    ] {
        let (mut model, _) = with_ttl(ttl);
        assert!(warnings(&second(&mut model, warns_at - 1, 1, 1)).is_empty(), "{ttl}");
        assert!(!model.loses_pod_soon(only(&model)), "{ttl}");
        assert_eq!(warnings(&second(&mut model, warns_at, 1, 1)), warned(left), "{ttl}");
        assert!(model.loses_pod_soon(only(&model)), "{ttl}");
        assert_eq!(model.screen.log.entries.back().unwrap().message, Message::PodEnds, "{ttl}");
        for later in warns_at + 1..=(warns_at + 3).min(lives) {
            assert!(warnings(&second(&mut model, later, 1, 1)).is_empty(), "{ttl}: once");
        }
        second(&mut model, lives, 1, 1);
        assert!(!model.loses_pod_soon(only(&model)), "{ttl}: it is over");
    }
}

#[test]
fn another_connection_to_the_cluster_is_no_reason_to_repeat_it() {
    let (mut model, pod) = forwarded();
    assert_eq!(warnings(&second(&mut model, 1_600, 1, 1)), warned("3m20s"), "also later, after a sleep");
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::DisconnectCluster);
    press(&mut model, Command::ConnectCluster);
    on_dev(&mut model, ClusterEvent::Watching { scope: Scope::All, refused: None });
    on_dev(&mut model, answered());
    on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: vec![pod] });
    assert!(model.loses_pod_soon(only(&model)));
    assert!(warnings(&second(&mut model, 1_601, 1, 1)).is_empty());
}

#[test]
fn what_renews_by_itself_or_is_being_renewed_ends_for_nobody() {
    let (mut model, _) = forwarded();
    model.config.settings_mut().forward.auto_renew = Some(true);
    assert!(warnings(&second(&mut model, 1_500, 1, 1)).is_empty());
    // Unused for so long that it is not renewed any more.
    model.config.settings_mut().forward.idle_timeout = "1m".parse().ok();
    let request = model.pods.requests().keys().copied().next().unwrap();
    let result = Err(Fault::new(What::Quota, "mysql", ""));
    model.update(Event::Pod(PodEvent::Created { request, result }));
    assert_eq!(warnings(&second(&mut model, 1_600, 0, 1)), warned("3m20s"));

    let (mut model, old) = forwarded();
    let [request] = requests(&press(&mut model, Command::Renew)).try_into().unwrap();
    assert!(warnings(&second(&mut model, 1_500, 1, 1)).is_empty(), "another is to take over");
    let new = ProxyPod { started: Some(model.now), ..ready(&created(&mut model, &request, 2)) };
    applied(&mut model, new);
    assert!(model.pods.all().contains_key(&old.key));
    assert!(warnings(&second(&mut model, 1_600, 1, 1)).is_empty(), "the old one serves what is open");
    assert_eq!(warnings(&second(&mut model, 3_000, 1, 1)), warned("5m"), "and so the new one");
}

#[test]
fn other_peoples_and_other_instances_pods_are_theirs_to_warn_of() {
    let (mut model, pod) = forwarded();
    let theirs = ProxyPod { uid: "forged".to_owned(), ..pod.clone() };
    let other_run = ProxyPod {
        key: PodKey { name: "brow-mysql-000009".to_owned(), ..pod.key.clone() },
        uid: "uid-9".to_owned(),
        ..pod.clone()
    };
    model.pods.all_mut().insert(theirs.key.clone(), theirs);
    model.pods.all_mut().insert(other_run.key.clone(), other_run.clone());
    assert!(warnings(&second(&mut model, 1_500, 1, 1)).is_empty());
    assert!(model.ends_soon(&other_run).is_some(), "though its row shows it");
    model.pods.created_mut().insert(other_run.key.clone(), other_run.uid);
    assert_eq!(warnings(&second(&mut model, 1_501, 1, 1)), warned("4m59s"), "one of this run, used or not");
}

#[test]
fn a_subcommand_has_nobody_to_press_a_key() {
    let (mut model, _) = forwarded();
    model.mode = crate::state::Mode::Subcommand;
    assert!(warnings(&second(&mut model, 1_500, 1, 1)).is_empty());
}
