//! Clusters: connected when needed, honest about every state.

use crate::tests::*;

#[test]
fn nothing_is_connected_until_it_is_needed() {
    let mut model = model();
    assert!(model.clusters.all().iter().all(|cluster| cluster.link == Link::Idle));
    let effects = press(&mut model, Command::Create);
    assert!(
        matches!(&effects[0], Effect::Cluster(ClusterEffect::Connect { cluster, namespaces, .. })
        if cluster == "prod" && namespaces.contains("team")),
        "{effects:?}"
    );
    assert_eq!(model.cluster("dev").unwrap().link, Link::Idle);
}

#[test]
fn the_config_can_wish_a_cluster_connected_from_the_start() {
    let mut model = Model::new(noon(), ME);
    let mut loaded = Loaded::default();
    loaded.settings.clusters.entry("dev".to_owned()).or_default().connect = true;
    loaded.settings.clusters.entry("gone".to_owned()).or_default().connect = true;
    model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    let effects = model.update(Event::Contexts(Ok(vec![context("dev"), context("prod")])));
    assert_eq!(effects.len(), 1);
    assert!(matches!(&effects[0], Effect::Cluster(ClusterEffect::Connect { cluster, .. }) if cluster == "dev"));
    assert!(model.screen.log.entries.is_empty(), "a wish for a context that is not here is no fault");
}

#[test]
fn states_follow_the_answers() {
    let mut model = model();
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::ConnectCluster);
    assert_eq!(model.cluster("dev").unwrap().link, Link::Connecting);
    for (link, what) in [
        (Link::Unauthorized, What::Unauthorized),
        (Link::Forbidden, What::Forbidden),
        (Link::Unreachable, What::Unreachable),
    ] {
        let fault = Fault::new(what, "dev", "says so");
        on_dev(&mut model, ClusterEvent::Failed { link, fault: fault.clone() });
        assert_eq!(model.cluster("dev").unwrap().link, link);
        assert_eq!(model.cluster("dev").unwrap().fault, Some(fault.clone()));
        let told = model.screen.log.entries.len();
        on_dev(&mut model, ClusterEvent::Failed { link, fault });
        assert_eq!(model.screen.log.entries.len(), told, "the same fault is told once");
    }
    on_dev(&mut model, answered());
    let dev = model.cluster("dev").unwrap();
    assert_eq!((dev.link, dev.version.as_deref(), &dev.fault), (Link::Ready, Some("v1.33.1"), &None));
}

#[test]
fn what_an_older_connection_says_is_dropped() {
    let mut model = connected();
    let old = model.cluster("dev").unwrap().epoch;
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::DisconnectCluster);
    let request = PodRequest { target: "mysql".into(), ..request_for_mysql() };
    let event = ClusterEvent::Applied(Box::new(pod(&request, 1, Phase::Ready)));
    model.update(Event::Cluster { cluster: "dev".to_owned(), epoch: old, event });
    assert!(model.pods.all().is_empty());
    assert_eq!(model.cluster("dev").unwrap().link, Link::Idle);
}

#[test]
fn a_narrower_watch_is_said_once() {
    let mut model = model();
    model.screen.focus.pane = Pane::Clusters;
    press(&mut model, Command::ConnectCluster);
    let refused = Some(Fault::new(What::Forbidden, "dev", "pods is forbidden"));
    for names in [vec!["team"], vec!["team", "other"]] {
        let scope = Scope::Namespaces(names.into_iter().map(str::to_owned).collect());
        on_dev(&mut model, ClusterEvent::Watching { scope, refused: refused.clone() });
    }
    assert_eq!(model.screen.log.entries.len(), 1);
}

#[test]
fn an_unknown_context_is_named() {
    let mut model = model();
    model.targets.all_mut()[0].cluster = "nowhere".to_owned();
    model.targets.all_mut().truncate(1);
    model.screen.unarranged = true;
    model.arrange();
    let effects = press(&mut model, Command::Create);
    assert!(requests(&effects).is_empty());
    let (entry, _) = model.screen.notice.as_ref().unwrap();
    assert_eq!(entry.thing, "nowhere");
}

fn request_for_mysql() -> PodRequest {
    let mut model = connected();
    model.screen.targets.select(1);
    requests(&press(&mut model, Command::Create)).remove(0)
}

#[test]
fn a_kubeconfig_that_is_read_again_leaves_what_is_the_same() {
    let mut model = connected();
    let effects = press(&mut model, Command::Reload);
    assert_eq!(effects, [Effect::Store(StoreEffect::Reload), Effect::Cluster(ClusterEffect::ReadKubeconfig)]);
    let effects = model.update(Event::Contexts(Ok(vec![context("new"), context("dev")])));
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!(model.clusters.all().iter().map(|at| at.name.as_str()).collect::<Vec<_>>(), ["new", "dev"]);
    assert_eq!(model.cluster("dev").unwrap().link, Link::Ready);
    on_dev(&mut model, answered());

    // Perhaps nothing but the token differs.
    let moved = Context { entries: 1, ..context("dev") };
    let effects = model.update(Event::Contexts(Ok(vec![moved])));
    assert!(
        matches!(&effects[..], [Effect::Cluster(ClusterEffect::Connect { cluster, .. })] if cluster == "dev"),
        "{effects:?}"
    );

    let effects = model.update(Event::Contexts(Ok(vec![context("new")])));
    assert!(
        matches!(&effects[..], [Effect::Cluster(ClusterEffect::Disconnect { cluster }), ..] if cluster == "dev"),
        "{effects:?}"
    );
    assert!(model.cluster("dev").is_none());

    model.update(Event::Contexts(Err(Fault::new(What::KubeconfigBroken, "~/.kube/config", ""))));
    assert_eq!(model.clusters.all().len(), 1, "what was read before stays in use");
}

#[test]
fn a_right_that_was_given_back_is_seen_by_the_list() {
    let mut model = connected();
    let fault = Fault::new(What::Forbidden, "dev", "");
    on_dev(&mut model, ClusterEvent::Failed { link: Link::Forbidden, fault });
    assert_eq!(model.cluster("dev").unwrap().link, Link::Forbidden);
    on_dev(&mut model, ClusterEvent::Listed { namespace: None, pods: Vec::new() });
    let cluster = model.cluster("dev").unwrap();
    assert_eq!((cluster.link, &cluster.fault), (Link::Ready, &None));
}

#[test]
fn a_context_that_the_kubeconfig_has_wrong_shows_that_and_is_tried_when_needed() {
    let mut model = connected();
    let fault = Fault::new(What::ContextBroken, "odd", "it names no cluster");
    let twice = Fault::new(What::EntryTwice, "user “ann”", "/a\n/b");
    let odd = Context { fault: Some(fault.clone()), twice: vec![twice.clone()], ..context("odd") };
    let other = Context { twice: vec![twice.clone()], ..context("other") };
    let told = |model: &Model| {
        let about = |entry: &&crate::language::log::Entry| {
            entry.message == crate::language::log::Message::Failed(Box::new(twice.clone()))
        };
        model.screen.log.entries.iter().filter(about).count()
    };
    for _ in 0..2 {
        model.update(Event::Contexts(Ok(vec![context("dev"), odd.clone(), other.clone()])));
        let cluster = model.cluster("odd").unwrap();
        assert_eq!((cluster.link, cluster.fault.as_ref()), (Link::Unreachable, Some(&fault)));
        assert_eq!(told(&model), 1, "it is told once, however many need it and however often it is read");
    }
    let mut out = Vec::new();
    assert!(model.ensure_connected("odd", &mut out));
    assert!(
        matches!(&out[..], [Effect::Cluster(ClusterEffect::Connect { cluster, .. })] if cluster == "odd"),
        "{out:?}"
    );
}
