//! The rows that a browser shows of what was found.

use super::*;

/// A pod that something of that kind controls.
fn owned(name: &str, owner: &str) -> Object {
    let kind = |name: &str| name.parse::<Kind>().unwrap();
    Object { owner: Some(kind(owner)), ..found("dev", "shop", Kind::Pod, name, &[":6379"]) }
}

#[test]
fn what_is_seen_with_its_owner_is_not_seen_twice() {
    let mut model = connected();
    press(&mut model, Command::Browse);
    let pods = vec![
        owned("web-1", "replicaset"),
        owned("clone-1", "cloneset.apps.kruise.io"),
        owned("etcd-node", "node"),
        found("dev", "shop", Kind::Pod, "alone", &[":6379"]),
    ];
    tell(&mut model, BrowseEvent::Listed { scope: all(Kind::Pod), all: pods });
    assert_eq!(rows(&model), ["shop/alone:6379"], "which kinds there are is not known yet");
    let done = |model: &Model| {
        let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else { panic!("no browser") };
        browser.is_done()
    };
    let clones = Kind::Custom("cloneset.apps.kruise.io".to_owned());
    let kinds = [Kind::Pod, Kind::ReplicaSet, clones.clone()].into();
    tell(&mut model, BrowseEvent::Kinds(kinds));
    assert_eq!(rows(&model), ["shop/alone:6379", "shop/etcd-node:6379"], "nobody looks for nodes");
    assert!(!done(&model));
    tell(&mut model, BrowseEvent::Listed { scope: all(clones), all: Vec::new() });
    assert!(!done(&model));
    // Where their owners may not be seen, the pods are all there is.
    let team = SearchScope { kind: Kind::ReplicaSet, namespace: Some("shop".into()) };
    let fault = Fault::new(What::Forbidden, "dev", "");
    tell(&mut model, BrowseEvent::Missing { scope: all(Kind::ReplicaSet), fault: fault.clone() });
    assert!(done(&model));
    assert_eq!(rows(&model), ["shop/alone:6379", "shop/etcd-node:6379", "shop/web-1:6379"]);
    tell(&mut model, BrowseEvent::Missing { scope: team.clone(), fault });
    assert_eq!(rows(&model).len(), 3);
    // But for those of a deployment that is seen, although the replica sets between are not.
    let mut deployment = found("dev", "shop", Kind::Deployment, "web", &[]);
    deployment.ports = vec![ObjectPort { number: 6379, name: None, service: None }];
    deployment.labels = [("app".to_owned(), "web-1".to_owned())].into();
    let key = deployment.key.clone();
    tell(&mut model, BrowseEvent::Applied(deployment));
    assert_eq!(rows(&model), ["shop/web:6379", "shop/alone:6379", "shop/etcd-node:6379"]);
    tell(&mut model, BrowseEvent::Gone(key));
    // All that is recognised is all that is seen.
    let effects = press(&mut model, Command::TakeKnown);
    let names: Vec<String> = saved(&effects).iter().map(|edit| name(edit).clone()).collect();
    assert_eq!(names, ["alone.shop", "etcd-node.shop", "web-1.shop"]);
    tell(&mut model, BrowseEvent::Listed { scope: team, all: Vec::new() });
    assert_eq!(rows(&model), ["shop/alone:6379", "shop/etcd-node:6379"]);
}

#[test]
fn a_custom_kind_is_known_by_its_short_name_too() {
    let mut model = browsing();
    let kind = Kind::Custom("rollout.argoproj.io".to_owned());
    let rollout = found("dev", "shop", kind, "pay", &["http:8080"]);
    tell(&mut model, BrowseEvent::Applied(rollout.clone()));
    assert_eq!(model.saved(&rollout, &rollout.ports[0]), None);
    let mut own = Target { address: "rollout/pay:http".parse().unwrap(), ..target("pay", "dev") };
    own.namespace = Some("shop".to_owned());
    model.targets.all_mut().push(own);
    assert_eq!(model.saved(&rollout, &rollout.ports[0]).map(|target| target.name.as_str()), Some("pay"));
    write(&mut model, "pay");
    let rows = rows(&model);
    assert_eq!(rows, ["shop/pay:8080"]);
}

#[test]
fn more_than_is_kept_is_told_once() {
    let mut model = browsing();
    let many = |from: usize, count: usize| {
        (from..from + count).map(|number| service("many", &format!("s-{number}"), &[":80"])).collect::<Vec<_>>()
    };
    let count = |model: &Model| {
        let Some(Dialog::Browser(browser)) = model.screen.dialogs.last() else { panic!("no browser") };
        let told = |what: &Message| matches!(what, Message::Failed(fault) if fault.what == What::TooMany);
        (browser.inventory.all.len(), model.screen.log.entries.iter().filter(|entry| told(&entry.message)).count())
    };
    tell(&mut model, BrowseEvent::Listed { scope: all(Kind::Service), all: many(0, MAX_OBJECTS) });
    assert_eq!(count(&model), (MAX_OBJECTS, 0));
    for more in many(MAX_OBJECTS, 2) {
        tell(&mut model, BrowseEvent::Applied(more));
    }
    assert_eq!(count(&model), (MAX_OBJECTS, 1));
    tell(&mut model, BrowseEvent::Listed { scope: all(Kind::Service), all: many(5, MAX_OBJECTS + 1) });
    assert_eq!(count(&model), (MAX_OBJECTS, 1));
}
