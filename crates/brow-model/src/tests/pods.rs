//! Proxy pods: asked for, watched, counted down, killed, cleaned.

use crate::language::effect::TargetEdit;
use crate::language::log::Message;
use crate::screen::dialog::Dialog;
use crate::screen::dialog::Question;
use crate::tests::*;
use crate::types::proxy::MAX_PODS;
use crate::types::settings::ClusterSettings;

#[test]
fn marked_targets_get_a_pod_each() {
    let mut model = connected();
    press(&mut model, Command::MarkAll);
    let effects = press(&mut model, Command::Create);
    let asked = requests(&effects);
    assert_eq!(asked.iter().map(|r| r.target.as_str()).collect::<Vec<_>>(), ["far", "mysql", "redis"]);
    assert!(asked.iter().all(|r| r.ttl == Ttl::DEFAULT && r.namespace == "team"));
    assert!(model.screen.targets.marks.is_empty());
}

#[test]
fn a_ttl_can_be_given_for_one_creation_and_has_a_ceiling() {
    let mut model = connected();
    press(&mut model, Command::CreateWithTtl);
    for wrong in ["25h", "0s", "abc", ""] {
        set_field(&mut model, wrong);
        assert!(requests(&press(&mut model, Command::Accept)).is_empty(), "{wrong}");
    }
    set_field(&mut model, "90s");
    let asked = requests(&press(&mut model, Command::Accept));
    assert_eq!(asked[0].ttl.secs(), 90);
    assert!(model.screen.dialogs.is_empty());

    model.targets.all_mut().iter_mut().for_each(|target| target.ttl = Ttl::from_secs(100_000));
    assert!(requests(&press(&mut model, Command::Create)).is_empty());
    assert!(matches!(&model.screen.log.entries.back().unwrap().message,
        crate::language::log::Message::Failed(fault) if fault.what == What::TtlTooLong));
}

fn set_field(model: &mut Model, text: &str) {
    let Some(Dialog::AskTtl { field, .. } | Dialog::Rename { field, .. }) = model.screen.dialogs.last_mut() else {
        panic!("no field")
    };
    *field = crate::screen::text_field::Field::new(text);
}

#[test]
fn a_pod_counts_down_by_the_clusters_clock() {
    let mut model = connected();
    let asked = requests(&press(&mut model, Command::Create));
    let asked = PodRequest { cluster: "dev".into(), ..asked[0].clone() };
    let pod = ready(&pod(&asked, 1, Phase::Pending));
    assert_eq!(pod.left(noon() + TimeDelta::seconds(60)), Some(TimeDelta::seconds(1_740)));
    assert!(!pod.is_over(noon() + TimeDelta::seconds(1_799)));
    assert!(pod.is_over(noon() + TimeDelta::seconds(1_800)));
    assert_eq!(pod.left(noon() + TimeDelta::seconds(9_999)), Some(TimeDelta::zero()));
}

#[test]
fn killing_asks_and_shows_at_once() {
    let mut model = with_pod();
    model.screen.focus.pane = Pane::Pods;
    let key = model.screen.pods.selected().unwrap().clone();
    press(&mut model, Command::Kill);
    assert!(matches!(
        model.screen.dialogs.last(),
        Some(Dialog::Confirm { question: Question::KillPods(_), button: 0 })
    ));
    assert!(press(&mut model, Command::Accept).is_empty(), "the first button is the harmless one");
    press(&mut model, Command::Kill);
    press(&mut model, Command::Right);
    let effects = press(&mut model, Command::Accept);
    assert!(effects.contains(&Effect::Pod(PodEffect::Delete { key: key.clone(), uid: "uid-1".into() })));
    assert_eq!(model.pods.all()[&key].phase, Phase::Terminating);
    assert!(press(&mut model, Command::KillNow).is_empty(), "once is enough");

    let refused = Err(Fault::new(What::Forbidden, &key.name, ""));
    model.update(Event::Pod(PodEvent::Deleted { key: key.clone(), result: refused }));
    assert_eq!(model.pods.all()[&key].phase, Phase::Ready, "a refused deletion leaves the pod as it was");
}

#[test]
fn only_our_own_finished_pods_are_cleaned_unless_asked_for_all() {
    let mut model = with_pod();
    let mine = model.pods.all().values().next().unwrap().clone();
    let mut theirs = ProxyPod { uid: "forged".into(), ..mine.clone() };
    theirs.key.name = "brow-x-000002".into();
    for pod in [&mine, &theirs] {
        applied(&mut model, ProxyPod { phase: Phase::Expired, ..pod.clone() });
    }
    let deleted = |effects: &[Effect]| {
        effects
            .iter()
            .filter_map(|e| match e {
                Effect::Pod(PodEffect::Delete { key, .. }) => Some(key.name.clone()),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let effects = at(&mut model, 60);
    assert_eq!(deleted(&effects), std::slice::from_ref(&mine.key.name), "every minute, without being asked");
    assert!(deleted(&press(&mut model, Command::Clean)).is_empty());
    press(&mut model, Command::CleanAll);
    press(&mut model, Command::Right);
    assert_eq!(deleted(&press(&mut model, Command::Accept)), [theirs.key.name]);
}

#[test]
fn pods_left_by_an_earlier_run_are_cleaned_when_they_are_listed() {
    let mut model = connected();
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let request = PodRequest { cluster: "dev".into(), ..request };
    let over = ProxyPod { phase: Phase::Failed, ..pod(&request, 7, Phase::Ready) };
    let effects = on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: vec![over.clone()] });
    assert!(effects.contains(&Effect::Pod(PodEffect::Delete { key: over.key, uid: over.uid })));
}

#[test]
fn a_list_replaces_what_was_known_of_its_namespace_only() {
    let mut model = with_pod();
    let mut other = model.pods.all().values().next().unwrap().clone();
    other.key.namespace = "elsewhere".into();
    applied(&mut model, other.clone());
    let listed = || ClusterEvent::Listed { namespace: Some("team".into()), pods: Vec::new() };
    on_dev(&mut model, listed());
    assert_eq!(model.pods.all().len(), 2, "the list may be older than the pod that was just created");
    model.update(Event::Tick { now: noon() + TimeDelta::seconds(11), samples: Vec::new() });
    on_dev(&mut model, listed());
    assert_eq!(model.pods.all().keys().collect::<Vec<_>>(), [&other.key]);
}

#[test]
fn a_pod_of_the_same_name_is_another_pod() {
    let mut model = with_pod();
    let pod = model.pods.all().values().next().unwrap().clone();
    on_dev(&mut model, ClusterEvent::Gone { key: pod.key.clone(), uid: "older".into() });
    assert!(model.pods.all().contains_key(&pod.key));
    on_dev(&mut model, ClusterEvent::Gone { key: pod.key.clone(), uid: pod.uid });
    assert!(model.pods.all().is_empty());
}

#[test]
fn quitting_asks_once_and_deletes_only_what_this_run_created() {
    let mut model = with_pod();
    let theirs = {
        let mut pod = model.pods.all().values().next().unwrap().clone();
        pod.key.name = "brow-old-000009".into();
        pod
    };
    applied(&mut model, theirs);
    assert!(press(&mut model, Command::Quit).is_empty());
    assert!(matches!(
        model.screen.dialogs.last(),
        Some(Dialog::Confirm { question: Question::Quit { forwards: 0, pods: 1, unsaved: 0 }, .. })
    ));
    press(&mut model, Command::Right);
    press(&mut model, Command::Right);
    let effects = press(&mut model, Command::Accept);
    let deleted = effects.iter().filter(|e| matches!(e, Effect::Pod(PodEffect::Delete { .. }))).count();
    assert_eq!((deleted, effects.last()), (1, Some(&Effect::Terminal(TerminalEffect::Quit))));

    let mut model = with_pod();
    press(&mut model, Command::Quit);
    assert_eq!(press(&mut model, Command::Quit), [Effect::Terminal(TerminalEffect::Quit)], "twice means it");
    assert_eq!(with_pod().update(Event::Terminate), [Effect::Terminal(TerminalEffect::Quit)], "a signal is not asked");
}

/// A connected model whose `mysql` has a ready pod that this run created.
fn with_pod() -> Model {
    let mut model = connected();
    model.screen.targets.select(1);
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let pod = created(&mut model, &request, 1);
    applied(&mut model, ready(&pod));
    model
}

#[test]
fn the_key_that_kills_at_once_asks_first_in_production() {
    for production in [false, true] {
        let mut model = with_pod();
        let cluster = ClusterSettings { production, ..ClusterSettings::default() };
        model.config.settings_mut().clusters.insert("dev".to_owned(), cluster);
        model.screen.focus.pane = Pane::Pods;
        let deletes =
            |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Pod(PodEffect::Delete { .. })));
        assert_eq!(deletes(&press(&mut model, Command::KillNow)), !production);
        assert_eq!(!model.screen.dialogs.is_empty(), production);
        if production {
            press(&mut model, Command::Right);
            assert!(deletes(&press(&mut model, Command::Accept)), "it is only asked");
        }
    }
}

#[test]
fn a_pod_seen_through_two_contexts_has_one_row() {
    let mut model = with_pod();
    model.screen.focus.pane = Pane::Clusters;
    model.screen.clusters.select(1);
    press(&mut model, Command::ConnectCluster);
    let epoch = model.cluster("prod").unwrap().epoch;
    let mut twin = model.pods.all().values().next().unwrap().clone();
    let own = twin.key.clone();
    twin.key.cluster = "prod".into();
    let told = model.screen.log.entries.len();
    let event = ClusterEvent::Listed { namespace: None, pods: vec![twin.clone()] };
    model.update(Event::Cluster { cluster: "prod".into(), epoch, event });
    let event = ClusterEvent::Applied(Box::new(ProxyPod { phase: Phase::Expired, ..twin.clone() }));
    model.update(Event::Cluster { cluster: "prod".into(), epoch, event });
    model.arrange();
    assert_eq!(
        (model.pods.all().len(), model.screen.pods.rows()),
        (2, &[own.clone()][..]),
        "the target's context wins"
    );
    assert_eq!(model.screen.log.entries.len(), told);
    applied(&mut model, ProxyPod { phase: Phase::Expired, key: own.clone(), ..twin });
    let effects = at(&mut model, 60);
    let deleted = |e: &Effect| matches!(e, Effect::Pod(PodEffect::Delete { key, .. }) if *key == own);
    assert_eq!(effects.iter().filter(|e| deleted(e)).count(), 1);
}

fn select(model: &mut Model, name: &str) {
    model.screen.targets.wanted = Some(name.to_owned());
    model.screen.unarranged = true;
    model.arrange();
    assert_eq!(model.screen.targets.selected().map(String::as_str), Some(name));
}

/// Gives `mysql` the name `db`, from the keyboard.
fn rename(model: &mut Model) {
    model.screen.focus.pane = Pane::Targets;
    select(model, "mysql");
    press(model, Command::Rename);
    set_field(model, "db");
    press(model, Command::Accept);
    assert!(model.target("db").is_some() && model.target("mysql").is_none());
}

#[test]
fn a_renamed_target_keeps_its_pods_and_forwards() {
    for in_file in [false, true] {
        let mut model = connected();
        select(&mut model, "mysql");
        let request = requests(&press(&mut model, Command::Forward)).remove(0);
        let pod = ready(&created(&mut model, &request, 1));
        if in_file {
            let targets = vec![target("db", "dev"), target("redis", "dev"), target("far", "prod")];
            let loaded = Loaded { targets, path: "c".into(), exists: true, ..Loaded::default() };
            model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
        } else {
            rename(&mut model);
        }
        // Made under the old name, ready under the new one; the label stays as the cluster has it.
        let effects = applied(&mut model, pod.clone());
        assert!(matches!(effects[..], [Effect::Forward(ForwardEffect::Point { via: Some(_), .. })]), "{effects:?}");
        assert!(model.is_live("db"));
        assert_eq!(model.target_of_pod(&model.pods.all()[&pod.key]).unwrap().name, "db");
        model.screen.focus.pane = Pane::Targets;
        select(&mut model, "db");
        assert!(requests(&press(&mut model, Command::Create)).iter().all(|asked| asked.target == "db"));
        assert!(requests(&press(&mut model, Command::Forward)).is_empty(), "it is forwarded already");
        // A new target of the old name does not lose its own pods to the renamed one.
        let edit = TargetEdit::Add(target("mysql", "dev"));
        model.apply(&edit);
        applied(&mut model, ProxyPod { uid: "other".into(), ..pod.clone() });
        assert_eq!(model.target_of_pod(&model.pods.all()[&pod.key]).unwrap().name, "mysql");
    }
}

#[test]
fn what_an_earlier_run_renamed_still_has_its_pods() {
    let mut model = connected();
    let renamed = [(("dev".to_owned(), "mysql".to_owned()), "db".to_owned())].into();
    let loaded = Loaded { targets: vec![target("db", "dev")], renamed, path: "c".into(), ..Loaded::default() };
    let mut first = Model::new(noon(), ME);
    first.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    select(&mut model, "mysql");
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let pod = ready(&pod(&request, 1, Phase::Pending));
    first.on_applied(pod.clone(), &mut Vec::new());
    assert_eq!(first.target_of_pod(&first.pods.all()[&pod.key]).unwrap().name, "db");
}

#[test]
fn pods_from_before_labels_were_salted_are_still_the_targets() {
    let mut model = connected();
    let named = Target { name: "数据库".to_owned(), ..target("mysql", "dev") };
    model.apply(&TargetEdit::Add(named.clone()));
    model.arrange();
    select(&mut model, "数据库");
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    assert_eq!(request.label, named.label(&model.installation));
    assert_ne!(request.label, named.unsalted_label());
    let made = ProxyPod { target_label: named.unsalted_label(), ..ready(&pod(&request, 1, Phase::Pending)) };
    applied(&mut model, made.clone());
    assert_eq!(model.target_of_pod(&model.pods.all()[&made.key]).unwrap().name, "数据库");
    assert_eq!(model.pods_at(&model.selector_of(&named)).count(), 1);
    // Whoever is not us can make such a label, too.
    let forged = ProxyPod { uid: "forged".to_owned(), ..made };
    applied(&mut model, forged.clone());
    assert_eq!(model.target_of_pod(&model.pods.all()[&forged.key]), None);
}

#[test]
fn more_pods_than_are_kept_are_told_once() {
    let mut model = connected();
    select(&mut model, "mysql");
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let pods = |from: usize, count: usize| {
        (from..from + count).map(|number| pod(&request, number.try_into().unwrap(), Phase::Ready)).collect::<Vec<_>>()
    };
    let told = |model: &Model| {
        let too_many = |what: &Message| matches!(what, Message::Failed(fault) if fault.what == What::TooMany);
        model.screen.log.entries.iter().filter(|entry| too_many(&entry.message)).count()
    };
    on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: pods(0, MAX_PODS) });
    assert_eq!((model.pods.all().len(), told(&model)), (MAX_PODS, 0));
    for more in pods(MAX_PODS, 3) {
        applied(&mut model, more);
    }
    assert_eq!((model.pods.all().len(), told(&model)), (MAX_PODS, 1));
    // Those that are known go on.
    applied(&mut model, ProxyPod { phase: Phase::Expired, ..pods(0, 1).remove(0) });
    assert!(model.pods.all().values().any(|pod| pod.phase == Phase::Expired));
    on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: pods(1, MAX_PODS + 1) });
    assert_eq!((model.pods.all().len(), told(&model)), (MAX_PODS, 1));
}

#[test]
fn a_start_looks_where_pods_may_have_been_left_until_none_is() {
    let mut model = connected();
    select(&mut model, "mysql");
    let request = requests(&press(&mut model, Command::Create)).remove(0);
    let result = Ok(Box::new(pod(&request, 1, Phase::Pending)));
    let effects = model.update(Event::Pod(PodEvent::Created { request: request.id, result }));
    let until = noon() + TimeDelta::seconds(Ttl::DEFAULT.secs().into());
    assert!(
        effects.contains(&Effect::Store(StoreEffect::PodsUntil { cluster: "dev".to_owned(), until })),
        "{effects:?}"
    );

    // The next start, long after.
    let later = until + TimeDelta::hours(1);
    let mut model = Model::new(later, ME);
    let left = [("dev", until), ("unknown", until), ("prod", until - TimeDelta::days(30))];
    let pods_until = left.map(|(name, until)| (name.to_owned(), until)).into();
    let own = ["uid-1".to_owned()].into();
    let loaded =
        Loaded { targets: vec![target("mysql", "dev")], pods_until, own, path: "c".into(), ..Loaded::default() };
    let effects = model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded.clone()))));
    assert_eq!(effects, [Effect::Store(StoreEffect::PodsGone { cluster: "prod".to_owned(), at: later })]);
    let effects = model.update(Event::Contexts(Ok(vec![context("dev"), context("prod")])));
    assert!(
        matches!(&effects[..], [Effect::Cluster(ClusterEffect::Connect { cluster, .. })] if cluster == "dev"),
        "{effects:?}"
    );
    let expired = ProxyPod { phase: Phase::Expired, started: Some(noon()), ..pod(&request, 1, Phase::Pending) };
    let effects = on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: vec![expired.clone()] });
    assert!(matches!(&effects[..], [Effect::Pod(PodEffect::Delete { .. })]), "{effects:?}");
    on_dev(&mut model, ClusterEvent::Gone { key: expired.key.clone(), uid: expired.uid.clone() });
    let effects = model.update(Event::Tick { now: later + TimeDelta::seconds(61), samples: Vec::new() });
    let gone = Effect::Store(StoreEffect::PodsGone { cluster: "dev".to_owned(), at: later + TimeDelta::seconds(61) });
    assert!(effects.contains(&gone), "{effects:?}");

    // Who let the cluster go is not connected again by a change of the config.
    model.screen.focus.pane = Pane::Clusters;
    model.arrange();
    press(&mut model, Command::DisconnectCluster);
    let effects = model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    assert!(!any!(effects, Effect::Cluster(ClusterEffect::Connect { .. })), "{effects:?}");
}

#[test]
fn the_pod_that_ends_first_is_ours_and_lives() {
    let mut model = connected();
    assert!(model.ends_first().is_none());
    let effects = press(&mut model, Command::Create);
    let request = requests(&effects).remove(0);
    let first = created(&mut model, &request, 1);
    applied(&mut model, ready(&first));
    let mut others = ready(&pod(&request, 2, Phase::Ready));
    (others.uid, others.ttl) = ("forged".to_owned(), Ttl::from_secs(60));
    applied(&mut model, others);
    let mut later = ready(&pod(&request, 3, Phase::Ready));
    later.ttl = Ttl::from_secs(7_200);
    applied(&mut model, later);
    let (ends, left) = model.ends_first().unwrap();
    assert_eq!((ends.key.clone(), left), (first.key.clone(), TimeDelta::minutes(30)));
    at(&mut model, 1_800);
    assert_eq!(model.ends_first().unwrap().1, TimeDelta::minutes(90), "what has run out is no more");
}
