//! The pods that are ours: ours are those that this installation made, whatever others write into theirs.

use crate::language::log::Message;
use crate::screen::dialog::Dialog;
use crate::screen::dialog::Question;
use crate::state::Mode;
use crate::tests::*;
use crate::types::ownership::Claim;
use crate::types::proxy::MAX_PODS;

/// A pod with all that ours have, and the latest deadline.
fn forged(of: &ProxyPod) -> ProxyPod {
    let key = PodKey { name: "brow-mysql-forged".to_owned(), ..of.key.clone() };
    let (ttl, installation) = (Ttl::from_secs(8 * 3_600), "0badcafe".to_owned());
    ProxyPod { key, uid: "forged".to_owned(), ttl, installation, nonce: "copied".to_owned(), ..of.clone() }
}

fn claims(effects: &[Effect]) -> Vec<Claim> {
    let claim = |effect: &Effect| match effect {
        Effect::Store(StoreEffect::Recognise(claim)) => Some(claim.clone()),
        _ => None,
    };
    effects.iter().filter_map(claim).collect()
}

fn recognised(model: &mut Model, uid: &str, is_ours: bool) -> Vec<Effect> {
    model.update(Event::Store(StoreEvent::Recognised { uid: uid.to_owned(), is_ours: Some(is_ours) }))
}

fn vias(model: &Model) -> Vec<Option<String>> {
    model.forwards.all().values().map(|forward| forward.via().map(|via| via.pod.name.clone())).collect()
}

#[test]
fn a_forged_pod_is_never_used_whatever_becomes_of_ours() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Connect)).remove(0);
    let lure = forged(&pod(&request, 1, Phase::Ready));
    applied(&mut model, lure.clone());
    assert_eq!(vias(&model), [None], "while ours is asked for");
    let own = ready(&created(&mut model, &request, 1));
    applied(&mut model, own.clone());
    assert_eq!(vias(&model), [Some(own.key.name.clone())]);
    recognised(&mut model, "forged", false);
    // Ours is deleted under the forward.
    on_dev(&mut model, ClusterEvent::Gone { key: own.key.clone(), uid: own.uid });
    applied(&mut model, ProxyPod { port: 4_321, ..lure.clone() });
    assert_eq!(vias(&model), [None]);
    let listed = ClusterEvent::Listed { namespace: None, pods: vec![lure.clone()] };
    on_dev(&mut model, listed);
    assert_eq!(vias(&model), [None]);
    // Nor is it counted down, renewed or cleaned up.
    assert_eq!(model.ends_first(), None);
    assert_eq!(model.pods_at(&lure.selector()).count(), 0);
    let over = ProxyPod { phase: Phase::Failed, ..lure };
    let effects = applied(&mut model, over);
    assert!(!any!(effects, Effect::Pod(PodEffect::Delete { .. })), "{effects:?}");
    let effects = at(&mut model, 61);
    assert!(!any!(effects, Effect::Pod(PodEffect::Delete { .. })), "{effects:?}");
}

#[test]
fn a_pod_that_another_instance_made_is_looked_up_once() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Connect)).remove(0);
    let other = forged(&pod(&request, 1, Phase::Ready));
    let asked = claims(&applied(&mut model, other.clone()));
    let claim = Claim {
        namespace: "team".to_owned(),
        name: other.key.name.clone(),
        uid: "forged".to_owned(),
        nonce: "copied".to_owned(),
    };
    assert_eq!(asked, [claim]);
    assert!(!model.has_listed_pods("dev"), "not before it is known whose it is");
    assert!(claims(&applied(&mut model, other.clone())).is_empty(), "once");
    let unreadable = StoreEvent::Recognised { uid: "forged".to_owned(), is_ours: None };
    model.update(Event::Store(unreadable));
    assert_eq!(claims(&applied(&mut model, other.clone())).len(), 1, "unless nobody could tell");
    recognised(&mut model, "forged", true);
    assert!(model.has_listed_pods("dev"));
    assert_eq!(vias(&model), [Some(other.key.name.clone())], "it serves as soon as that is known");
    // Its uid is forgotten with it.
    let effects = on_dev(&mut model, ClusterEvent::Gone { key: other.key, uid: other.uid });
    assert!(effects.contains(&Effect::Store(StoreEffect::ForgetPod("forged".to_owned()))));

    // What does not say that it is ours is not even looked up.
    let stranger =
        ProxyPod { installation: "other".to_owned(), uid: "stranger".to_owned(), ..pod(&request, 2, Phase::Ready) };
    assert!(claims(&applied(&mut model, stranger)).is_empty());
    let older = ProxyPod { uid: "older".to_owned(), ..pod(&request, 3, Phase::Ready) };
    assert!(claims(&applied(&mut model, older)).is_empty());
}

#[test]
fn our_pods_are_kept_however_many_others_make() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Connect)).remove(0);
    let own = ready(&created(&mut model, &request, 1));
    applied(&mut model, own.clone());
    at(&mut model, 60);
    // A list comes by name: these are before ours, and it was cut off after them.
    let flood = |number: usize| {
        let key = PodKey { name: format!("aaa-{number:06}"), ..own.key.clone() };
        ProxyPod { key, uid: format!("flood-{number}"), phase: Phase::Pending, ..own.clone() }
    };
    let listed = ClusterEvent::Listed { namespace: None, pods: (0..=MAX_PODS).map(flood).collect() };
    let effects = on_dev(&mut model, listed);
    assert_eq!(vias(&model), [Some(own.key.name.clone())]);
    assert!(!any!(effects, Effect::Store(StoreEffect::ForgetPod(_))), "{effects:?}");

    // What this instance makes now has room, too.
    let more = requests(&press(&mut model, Command::Create)).remove(0);
    let next = ready(&created(&mut model, &more, 2_000));
    applied(&mut model, next.clone());
    assert!(model.pods.all().contains_key(&next.key));

    // And what another one of ours made, as soon as it is known whose it is.
    let other = forged(&own);
    assert_eq!(claims(&applied(&mut model, other.clone())).len(), 1);
    assert!(!model.pods.all().contains_key(&other.key) && !model.has_listed_pods("dev"));
    let later = ProxyPod { port: 4_321, ..other.clone() };
    applied(&mut model, later.clone());
    recognised(&mut model, "forged", true);
    assert_eq!(model.pods.all().get(&other.key).map(|pod| pod.port), Some(later.port), "as it was last seen");
    assert!(model.has_listed_pods("dev"));

    // One that goes before that is known is not brought back.
    let gone = ProxyPod { uid: "gone".to_owned(), key: PodKey { name: "gone".to_owned(), ..other.key }, ..later };
    applied(&mut model, gone.clone());
    on_dev(&mut model, ClusterEvent::Gone { key: gone.key.clone(), uid: gone.uid });
    recognised(&mut model, "gone", true);
    assert!(!model.pods.all().contains_key(&gone.key));
}

#[test]
fn while_a_pod_is_looked_up_no_other_is_asked_for() {
    let mut model = connected();
    let request = PodRequest { target: "mysql".to_owned(), ..requests(&press(&mut model, Command::Create)).remove(0) };
    let request = PodRequest { cluster: "dev".to_owned(), ..request };
    model.pods.end_request(request.id);
    applied(&mut model, forged(&pod(&request, 1, Phase::Ready)));
    model.screen.targets.select(1);
    assert!(requests(&press(&mut model, Command::Connect)).is_empty());
    let effects = recognised(&mut model, "forged", false);
    assert_eq!(requests(&effects).len(), 1, "it was not ours");
}

#[test]
fn a_verb_tells_of_its_own_pods_and_not_of_other_runs() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Connect)).remove(0);
    let own = created(&mut model, &request, 1);
    model.mode = Mode::Subcommand;
    let of_another = ProxyPod { target_label: "redis".to_owned(), ..pod(&request, 2, Phase::Pending) };
    applied(&mut model, of_another.clone());
    for (pod, told) in [(&of_another, false), (&own, true)] {
        for phase in [Phase::Ready, Phase::Expired] {
            model.screen.log.entries.clear();
            applied(&mut model, ProxyPod { phase, ..pod.clone() });
            assert_eq!(model.screen.log.entries.iter().any(|entry| entry.thing == pod.key.name), told, "{phase:?}");
        }
    }
}

#[test]
fn a_foreign_pod_is_never_used_and_killed_only_after_a_question() {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let own = ready(&created(&mut model, &request, 1));
    applied(&mut model, own.clone());
    let foreign = ProxyPod { installation: String::new(), ..forged(&own) };
    applied(&mut model, foreign.clone());
    model.screen.focus.pane = Pane::Pods;
    let row = model.screen.pods.rows().iter().position(|key| *key == foreign.key).unwrap();
    model.screen.pods.select(row);
    for command in [Command::Forward, Command::Connect, Command::Accept] {
        let effects = press(&mut model, command);
        assert!(!any!(effects, Effect::Forward(ForwardEffect::Open { .. })), "{command:?}: {effects:?}");
        assert!(model.forwards.all().is_empty() && model.screen.dialogs.is_empty());
        let Some(Message::Failed(fault)) = model.screen.log.entries.back().map(|entry| &entry.message) else {
            panic!("{command:?} says why: {:?}", model.screen.log)
        };
        assert_eq!((fault.what, fault.thing.as_str(), fault.detail.as_str()), (What::Relay, &*foreign.key.name, ME));
    }
    for command in [Command::Kill, Command::KillNow] {
        let effects = press(&mut model, command);
        assert!(!any!(effects, Effect::Pod(PodEffect::Delete { .. })), "{command:?}: {effects:?}");
        let asked = matches!(
            model.screen.dialogs.last(),
            Some(Dialog::Confirm { question: Question::KillForeign { .. }, button: 0 })
        );
        assert!(asked, "{command:?}");
        press(&mut model, Command::Cancel);
    }
}
