//! The first run: when it is one, whom it asks, and when it is over.

use crate::tests::*;
use crate::types::cluster::Rights;

fn first_run() -> (Model, Vec<Effect>) {
    let mut model = Model::new(noon(), ME);
    let loaded = Loaded { path: "/home/ann/.config/brow/config.toml".to_owned(), ..Loaded::default() };
    let mut effects = model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    effects.extend(model.update(Event::Contexts(Ok(vec![context("a-prod"), context("dev"), context("prod")]))));
    model.arrange();
    (model, effects)
}

fn connects(effects: &[Effect]) -> Vec<&str> {
    let name = |effect: &'_ Effect| matches!(effect, Effect::Cluster(ClusterEffect::Connect { .. })).then_some(());
    let connects = effects.iter().filter(|effect| name(effect).is_some());
    connects
        .map(
            |effect| {
                if let Effect::Cluster(ClusterEffect::Connect { cluster, .. }) = effect { cluster.as_str() } else { "" }
            },
        )
        .collect()
}

fn asks(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Cluster(ClusterEffect::AskRights { .. }))).count()
}

#[test]
fn the_current_context_is_asked_and_no_other() {
    let (mut model, effects) = first_run();
    assert!(model.screen.welcome.is_some());
    assert_eq!(model.screen.clusters.selected().map(String::as_str), Some("dev"), "the current one, not the first");
    assert_eq!((connects(&effects), asks(&effects)), (vec!["dev"], 0));
    let effects = on_dev(&mut model, answered());
    let asked = Effect::Cluster(ClusterEffect::AskRights {
        cluster: "dev".to_owned(),
        epoch: model.cluster("dev").unwrap().epoch,
        namespace: "team".to_owned(),
    });
    assert!(effects.contains(&asked), "{effects:?}");
    assert_eq!(model.cluster("dev").unwrap().rights, Rights::Asking);
    assert_eq!(asks(&on_dev(&mut model, answered())), 0, "once is enough");
    on_dev(&mut model, ClusterEvent::Rights(Ok([true, false, true])));
    assert_eq!(model.cluster("dev").unwrap().rights, Rights::Known([true, false, true]));
    assert_eq!(model.cluster("prod").unwrap().rights, Rights::NotAsked);
    assert_eq!(model.cluster("prod").unwrap().link, Link::Idle);

    // Whoever disconnects it is not overruled, and whoever connects it anew is told anew.
    press(&mut model, Command::DisconnectCluster);
    assert_eq!(model.cluster("dev").unwrap().rights, Rights::NotAsked);
    assert_eq!(connects(&at(&mut model, 1)), Vec::<&str>::new());
    press(&mut model, Command::ConnectCluster);
    assert_eq!(asks(&on_dev(&mut model, answered())), 1);
    let fault = Fault::new(What::TimedOut, "dev", "");
    on_dev(&mut model, ClusterEvent::Rights(Err(fault.clone())));
    assert_eq!(model.cluster("dev").unwrap().rights, Rights::Failed(fault));
}

#[test]
fn it_is_over_with_the_first_target_or_by_going_elsewhere() {
    for (command, pane) in [
        (Command::Cancel, Pane::Targets),
        (Command::Pods, Pane::Pods),
        (Command::Clusters, Pane::Clusters),
        (Command::Next, Pane::Targets),
    ] {
        let (mut model, _) = first_run();
        press(&mut model, command);
        assert_eq!((model.screen.welcome, model.screen.focus.pane), (None, pane), "{command:?}");
        assert_eq!(asks(&on_dev(&mut model, answered())), 0, "nobody looks at it any more");
    }
    let (mut model, _) = first_run();
    press(&mut model, Command::Down);
    assert!(model.screen.welcome.is_some());
    model.import(vec![target("mysql", "dev")], &mut Vec::new());
    at(&mut model, 1);
    assert_eq!((model.screen.welcome, model.screen.focus.pane), (None, Pane::Targets));
}

#[test]
fn whoever_has_a_config_is_not_welcomed() {
    let mut model = Model::new(noon(), ME);
    let loaded = Loaded { exists: true, ..Loaded::default() };
    let mut effects = model.update(Event::Store(StoreEvent::Loaded(Box::new(loaded))));
    effects.extend(model.update(Event::Contexts(Ok(vec![context("dev")]))));
    assert_eq!((model.screen.welcome, connects(&effects)), (None, Vec::new()));
}
