//! Kubeconfigs that are read again, logins that hang.

use std::fmt::Write as _;

use super::*;

fn kubeconfig(names: &[&str]) -> String {
    let (mut clusters, mut contexts) = (String::new(), String::new());
    for name in names {
        writeln!(clusters, "- name: {name}\n  cluster: {{ server: 'https://{name}.invalid:6443' }}").unwrap();
        writeln!(contexts, "- name: {name}\n  context: {{ cluster: {name}, user: ann }}").unwrap();
    }
    let user = "- name: ann\n  user: { token: x }\n";
    format!("apiVersion: v1\nkind: Config\nclusters:\n{clusters}contexts:\n{contexts}users:\n{user}")
}

#[tokio::test]
async fn a_login_that_changed_is_used_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig(&["dev"])).unwrap();
    let (clusters, before) = Clusters::read(Some(&path)).unwrap();
    clusters.client("dev").await.unwrap();
    let same = clusters.read_again().unwrap();
    assert_eq!(same, before);
    let ours = || clusters.inner().slots["dev"].made();
    assert!(ours().lock().await.client.is_some());

    std::fs::write(&path, kubeconfig(&["dev"]).replace("token: x", "token: y")).unwrap();
    assert_ne!(clusters.read_again().unwrap(), before);
    assert!(ours().lock().await.client.is_none(), "the old token is not used any more");
}

#[tokio::test]
async fn whoever_begins_anew_does_not_wait_for_a_login_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig(&["dev"])).unwrap();
    let (clusters, _) = Clusters::read(Some(&path)).unwrap();
    let hanging = clusters.inner().slots["dev"].made();
    let _held = hanging.lock().await;
    clusters.forget("dev");
    clusters.client("dev").await.unwrap();
}

#[tokio::test]
async fn what_is_read_again_is_in_use_and_clients_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let clusters = Clusters::unread(Some(path.clone()));
    assert_eq!(clusters.read_again().unwrap_err().what, What::NoKubeconfig);
    std::fs::write(&path, kubeconfig(&["dev"])).unwrap();
    assert_eq!(clusters.read_again().unwrap().len(), 1);
    clusters.client("dev").await.unwrap();
    assert_eq!(clusters.client("new").await.err().unwrap().what, What::UnknownContext);

    std::fs::write(&path, kubeconfig(&["dev", "new"])).unwrap();
    let clone = clusters.clone();
    assert_eq!(clusters.read_again().unwrap().len(), 2);
    clone.client("new").await.unwrap();
    assert!(clone.inner().slots["dev"].made().lock().await.client.is_some(), "nobody has to log in again");

    std::fs::write(&path, "clusters: {").unwrap();
    assert_eq!(clusters.read_again().unwrap_err().what, What::KubeconfigBroken);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let fault = clusters.read_again().unwrap_err();
    assert_eq!((fault.what, fault.thing), (What::FileUnreadable, path.display().to_string()));
    clusters.client("new").await.unwrap();
}
