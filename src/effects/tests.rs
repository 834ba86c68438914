//! A panic in a task of a context is reported as a fault of that context.

use std::collections::BTreeSet;
use std::path::Path;

use tokio::sync::mpsc::Receiver;

use super::*;
use brow_model::effect::{ClusterEffect, PageEffect, PodEffect};
use brow_model::epoch::Epoch;
use brow_model::event::{BrowseEvent, ClusterEvent, ObjectEvent, PageEvent, PodEvent};
use brow_model::index::{ObjectRef, ServedKind};
use brow_model::proxy::PodKey;
use kube_tunnel::contain::is_contained;

/// Effects on behalf of nobody, with a home of their own.
fn begin(home: &Path, clusters: Clusters) -> (Effects, Receiver<Event>) {
    let at = |name| home.join(name);
    let paths = Paths { config: at("config.toml"), state_dir: at("state"), legacy: at("config.json") };
    let me = Identity { owner: "ann@ship".to_owned(), installation: store::throwaway() };
    let (sender, events) = crate::events::EventSender::channel(8);
    (Effects::start(clusters, paths, me, sender), events)
}

#[tokio::test]
async fn a_panic_of_a_contexts_task_is_told_as_its_fault() {
    let home = tempfile::tempdir().unwrap();
    let (mut effects, mut events) = begin(home.path(), Clusters::default());
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

/// A context to whose server no request can be made without a panic of kube's: the two URLs are none together.
fn broken(home: &Path) -> Clusters {
    let path = home.join("kubeconfig");
    let server = format!("http://127.0.0.1:1/{}", "a".repeat(65_510));
    let text = serde_json::json!({
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "users": [{ "name": "ann", "user": {} }],
        "contexts": [{ "name": "dev", "context": { "cluster": "c", "user": "ann" } }],
    });
    std::fs::write(&path, text.to_string()).unwrap();
    Clusters::read(Some(&path)).unwrap().0
}

#[tokio::test]
async fn whatever_panics_for_a_context_tells_of_it_and_ends_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let (mut effects, mut events) = begin(home.path(), broken(home.path()));
    let cluster = || "dev".to_owned();
    let key = PodKey { cluster: cluster(), namespace: "team".to_owned(), name: "relay".to_owned() };
    let (epoch, none) = (Epoch::default(), BTreeSet::new);
    let kind = ServedKind {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
        shorts: Vec::new(),
        namespaced: true,
    };
    let object =
        ObjectRef { cluster: cluster(), kind: Arc::new(kind), namespace: "team".to_owned(), name: "web".to_owned() };
    for (effect, what) in [
        (Effect::Cluster(ClusterEffect::Browse { cluster: cluster(), epoch, namespaces: none() }), "the browser"),
        (Effect::Cluster(ClusterEffect::Page(PageEffect::Show { object: object.clone(), epoch })), "an object"),
        (Effect::Cluster(ClusterEffect::ReadPorts(object)), "an object's ports"),
        (Effect::Pod(PodEffect::FollowLog { key: key.clone(), epoch }), "a pod's log"),
        (Effect::Cluster(ClusterEffect::Connect { cluster: cluster(), epoch, namespaces: none() }), "probe and watch"),
        (
            Effect::Cluster(ClusterEffect::AskRights { cluster: cluster(), epoch, namespace: "team".into() }),
            "the rights",
        ),
        (Effect::Pod(PodEffect::Describe(key.clone())), "a description"),
        (Effect::Pod(PodEffect::Delete { key, uid: "1".to_owned() }), "a deletion"),
    ] {
        assert_eq!(effects.run(effect), None, "not the terminal's");
        let fault = loop {
            match events.recv().await.expect(what) {
                Event::Browse { event: BrowseEvent::Missing { fault, .. }, .. }
                | Event::Page { event: PageEvent::Failed(fault), .. }
                | Event::Object(ObjectEvent::Ports { result: Err(fault), .. })
                | Event::Pod(
                    PodEvent::LogEnded { fault: Some(fault), .. }
                    | PodEvent::Described { result: Err(fault), .. }
                    | PodEvent::Deleted { result: Err(fault), .. },
                )
                | Event::Cluster {
                    event: ClusterEvent::Failed { fault, .. } | ClusterEvent::Rights(Err(fault)), ..
                } => break fault,
                _ => {}
            }
        };
        assert_eq!((fault.what, fault.thing.as_str()), (What::Internal, "dev"), "{what}: {fault:?}");
        assert!(fault.detail.contains("Valid Uri"), "{what}: {}", fault.detail);
    }
    effects.finish().await;
    effects.write_files().await;
}
