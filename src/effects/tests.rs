//! A panic in a task of a context is reported as a fault of that context.

use super::*;
use kube_tunnel::contain::is_contained;

#[tokio::test]
async fn a_panic_of_a_contexts_task_is_told_as_its_fault() {
    let home = tempfile::tempdir().unwrap();
    let at = |name| home.path().join(name);
    let paths = Paths { config: at("config.toml"), state_dir: at("state"), legacy: at("config.json") };
    let me = Identity { owner: "ann@ship".to_owned(), installation: store::throwaway() };
    let (sender, mut events) = crate::events::EventSender::channel(8);
    let mut effects = Effects::start(Clusters::default(), paths, me, sender);
    let broken = |fault| Event::Contexts(Err(fault));
    effects.spawn_for("dev".to_owned(), async { assert!(!is_contained(), "something broke") }, broken);
    let fault = loop {
        match events.recv().await {
            Some(Event::Contexts(Err(fault))) => break fault,
            Some(_) => {}
            None => panic!("not told"),
        }
    };
    assert_eq!(fault, Fault::new(What::Internal, "dev", "something broke"));
    let found = kubeconfig::read(|| panic!("so did this")).await;
    assert_eq!(found, Err(Fault::new(What::Internal, kubeconfig::NAME, "so did this")));
    effects.finish().await;
    effects.write_files().await;
}
