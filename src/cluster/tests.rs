//! Kubeconfigs that are read again, logins that hang.

use std::fmt::Write as _;
use std::time::Duration;

use super::*;
use futures::FutureExt as _;
use kube::Client;

use brow_model::cluster::Link;

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
    let mut logins = clusters.subscribe("dev").await.unwrap();
    let first = logins.borrow_and_update().generation;
    let same = clusters.reload().unwrap();
    assert_eq!(same, before);
    assert_eq!(clusters.login("dev").await.unwrap().generation, first);

    std::fs::write(&path, kubeconfig(&["dev"]).replace("token: x", "token: y")).unwrap();
    assert_ne!(clusters.reload().unwrap(), before);
    assert!(clusters.login("dev").await.unwrap().generation > first, "the old token is not used any more");
    assert!(logins.has_changed().unwrap(), "whoever holds the old one is told");
}

#[tokio::test]
async fn a_token_file_that_changed_is_a_new_login() {
    let dir = tempfile::tempdir().unwrap();
    let (path, token) = (dir.path().join("kubeconfig"), dir.path().join("token"));
    std::fs::write(&path, kubeconfig(&["dev"]).replace("token: x", "tokenFile: token")).unwrap();
    std::fs::write(&token, "x\n").unwrap();
    let (clusters, before) = Clusters::read(Some(&path)).unwrap();
    let first = clusters.login("dev").await.unwrap().generation;
    assert!(clusters.files().contains(&token));
    std::fs::write(&token, "y\n").unwrap();
    assert_ne!(clusters.reload().unwrap(), before);
    assert!(clusters.login("dev").await.unwrap().generation > first);
}

#[test]
fn what_is_read_again_unchanged_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    // Each reading has the keys of a plugin's variables in another order.
    let exec = "exec: { apiVersion: client.authentication.k8s.io/v1, command: helper, interactiveMode: Never, \
                env: [{ name: A, value: x }, { name: B, value: y }, { name: C, value: z }] }";
    std::fs::write(&path, kubeconfig(&["dev"]).replace("token: x", exec)).unwrap();
    let (clusters, before) = Clusters::read(Some(&path)).unwrap();
    assert_eq!(before[0].fault, None);
    for _ in 0..20 {
        assert_eq!(clusters.reload().unwrap(), before);
    }
}

#[tokio::test]
async fn what_cannot_be_sent_as_a_token_is_that_contexts_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let text = kubeconfig(&["dev"]).replace("token: x", "token: \"x\\ny\"");
    std::fs::write(&path, text).unwrap();
    let (clusters, _) = Clusters::read(Some(&path)).unwrap();
    let fault = clusters.login("dev").await.err().unwrap();
    assert_eq!((fault.what, fault.thing.as_str()), (What::ContextBroken, "dev"));
    assert!(fault.detail.contains("cannot be sent") && !fault.detail.contains('y'), "{}", fault.detail);
}

#[tokio::test]
async fn a_namespace_that_is_no_name_is_that_contexts_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    for odd in ["../../x", "team/pods/x", "Team", "a%2fb", "-a"] {
        let context = "cluster: dev, user: ann";
        let text = kubeconfig(&["dev", "prod"]).replace(context, &format!("{context}, namespace: '{odd}'"));
        std::fs::write(&path, text).unwrap();
        let (clusters, contexts) = Clusters::read(Some(&path)).unwrap();
        assert_eq!(contexts[0].namespace, "default", "{odd} is a part of no path");
        let fault = clusters.login("dev").await.err().unwrap();
        assert_eq!((fault.what, fault.thing.as_str()), (What::ContextBroken, "dev"), "{odd}");
        assert!(fault.detail.contains("namespace"), "{}", fault.detail);
        assert!(clusters.login("prod").await.is_ok());
    }
}

/// A kubeconfig whose user logs in with a script.
fn with_plugin(dir: &Path, script: &str) -> PathBuf {
    let plugin = dir.join("plugin");
    std::fs::write(&plugin, script).unwrap();
    let exec = format!(
        "exec: {{ apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: ['{}'] }}",
        plugin.display()
    );
    let path = dir.join("kubeconfig");
    std::fs::write(&path, kubeconfig(&["dev"]).replace("token: x", &exec)).unwrap();
    path
}

/// A script that writes down each run and prints a token that runs out at that time.
fn prints(dir: &Path, expires: chrono::DateTime<chrono::Utc>) -> String {
    let answer = serde_json::json!({ "status": { "token": "x", "expirationTimestamp": expires } });
    format!("echo x >> '{}/runs'\necho '{answer}'\n", dir.display())
}

fn runs(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("runs")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn a_login_is_renewed_before_it_runs_out_and_used_until_then() {
    let dir = tempfile::tempdir().unwrap();
    let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(50);
    let path = with_plugin(dir.path(), &prints(dir.path(), soon));
    let (clusters, contexts) = Clusters::read(Some(&path)).unwrap();
    assert_eq!(contexts[0].plugin, Some(format!("sh {}/plugin", dir.path().display())));
    let first = clusters.login("dev").await.unwrap().generation;
    clusters.login("dev").await.unwrap();
    assert_eq!(runs(dir.path()), 1, "whatever the plugin gives is used for a while");
    rest().await;
    // Now it fails: what there is does for as long as it lasts.
    std::fs::write(dir.path().join("plugin"), "exit 1").unwrap();
    assert_eq!(clusters.login("dev").await.unwrap().generation, first);
    std::fs::write(dir.path().join("plugin"), prints(dir.path(), soon)).unwrap();
    while clusters.login("dev").await.unwrap().generation == first {
        rest().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(runs(dir.path()), 2);
}

/// Lets the time go by after which a plugin is run again.
async fn rest() {
    tokio::time::pause();
    tokio::time::advance(login::PLUGIN_COOLDOWN).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_plugin_that_takes_its_time_is_neither_waited_for_needlessly_nor_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let (soon, go) = (chrono::Utc::now() + chrono::TimeDelta::seconds(50), dir.path().join("go"));
    let wait = format!("\nwhile [ ! -e '{}' ]; do sleep 0.02; done\n", go.display());
    let path = with_plugin(dir.path(), &prints(dir.path(), soon).replacen('\n', &wait, 1));
    let (clusters, _) = Clusters::read(Some(&path)).unwrap();
    let started = async {
        while runs(dir.path()) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // The first to ask does not wait for it.
    tokio::select! {
        _ = clusters.login("dev") => panic!("it does not answer yet"),
        () = started => {}
    }
    std::fs::write(&go, "").unwrap();
    let mut logins = clusters.subscribe("dev").await.unwrap();
    let first = logins.borrow_and_update().generation;
    assert_eq!(runs(dir.path()), 1);

    // While another is made, this one does.
    std::fs::remove_file(&go).unwrap();
    rest().await;
    for _ in 0..2 {
        let login = clusters.login("dev").now_or_never().expect("nobody waits").unwrap();
        assert_eq!(login.generation, first);
    }
    std::fs::write(&go, "").unwrap();
    logins.changed().await.unwrap();
    assert!(logins.borrow().generation > first);
    assert_eq!(runs(dir.path()), 2);
}

#[tokio::test]
async fn a_login_that_is_refused_is_had_anew_but_not_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let late = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let path = with_plugin(dir.path(), &prints(dir.path(), late));
    let (clusters, _) = Clusters::read(Some(&path)).unwrap();
    let first = clusters.login("dev").await.unwrap().generation;
    clusters.refused("dev", first);
    assert_eq!(clusters.login("dev").await.unwrap().generation, first, "it was made just now");
    rest().await;
    let second = clusters.login("dev").await.unwrap().generation;
    assert!(second > first);
    clusters.refused("dev", first);
    assert_eq!(clusters.login("dev").await.unwrap().generation, second, "that was another one");
    assert_eq!(runs(dir.path()), 2);
}

#[tokio::test]
async fn whoever_begins_anew_does_not_wait_for_a_login_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let path = with_plugin(dir.path(), "exec sleep 1000");
    let (clusters, _) = Clusters::read(Some(&path)).unwrap();
    let hanging = clusters.clone();
    let hanging = tokio::spawn(async move { hanging.login("dev").await.map(|login| login.generation) });
    let late = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    tokio::task::yield_now().await;
    std::fs::write(dir.path().join("plugin"), prints(dir.path(), late)).unwrap();
    clusters.forget("dev");
    let login = clusters.login("dev").await.unwrap();
    assert_eq!(hanging.await.unwrap().unwrap(), login.generation, "it ends, and that one counts");
}

#[tokio::test]
async fn what_is_read_again_is_in_use_and_clients_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let clusters = Clusters::empty(Some(path.clone()));
    assert_eq!(clusters.reload().unwrap_err().what, What::NoKubeconfig);
    std::fs::write(&path, kubeconfig(&["dev"])).unwrap();
    assert_eq!(clusters.reload().unwrap().len(), 1);
    let first = clusters.login("dev").await.unwrap().generation;
    assert_eq!(clusters.client("new").await.err().unwrap().what, What::UnknownContext);

    std::fs::write(&path, kubeconfig(&["dev", "new"])).unwrap();
    let clone = clusters.clone();
    assert_eq!(clusters.reload().unwrap().len(), 2);
    clone.client("new").await.unwrap();
    assert_eq!(clone.login("dev").await.unwrap().generation, first, "nobody has to log in again");

    std::fs::write(&path, "clusters: {").unwrap();
    assert_eq!(clusters.reload().unwrap_err().what, What::KubeconfigBroken);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let fault = clusters.reload().unwrap_err();
    assert_eq!((fault.what, fault.thing), (What::FileUnreadable, path.display().to_string()));
    clusters.client("new").await.unwrap();
}

/// A server that answers every connection with a head and then without end, until the other side has had enough.
/// Gives its address and a counter of what it could send.
async fn hostile(head: &'static str, piece: &'static [u8]) -> (String, Arc<std::sync::atomic::AtomicU64>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let sent = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                if stream.read(&mut request).await.is_err() || stream.write_all(head.as_bytes()).await.is_err() {
                    return;
                }
                while stream.write_all(piece).await.is_ok() {
                    counter.fetch_add(piece.len() as u64, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    (address, sent)
}

async fn of(server: &str) -> (Client, Clusters, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    std::fs::write(&path, kubeconfig(&["dev"]).replace("https://dev.invalid:6443", server)).unwrap();
    let (clusters, _) = Clusters::read(Some(&path)).unwrap();
    (clusters.client("dev").await.unwrap(), clusters, dir)
}

const ENDLESS: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"kind\":\"";
const FAILS: &str = "HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n";
const ANNOUNCED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 629145600\r\n\r\n";
/// The most bytes that the sockets in between may hold beside those that were taken.
const SLACK: u64 = 16 << 20;

#[tokio::test]
async fn no_server_fills_the_memory() {
    use futures::StreamExt as _;
    use k8s_openapi::api::core::v1::Pod;
    use kube::api::{Api, ListParams};
    static PIECE: [u8; 65_536] = [b'a'; 65_536];
    for (head, bound) in [(ENDLESS, 32 << 20), (FAILS, 256 << 10), (ANNOUNCED, 0)] {
        let (address, sent) = hostile(head, &PIECE).await;
        let (client, clusters, _dir) = of(&format!("http://{address}")).await;
        let (_, fault) = probe(&clusters, "dev").await.unwrap_err();
        assert_eq!(fault.what, What::AnswerTooLarge, "{head}");
        let api: Api<Pod> = Api::all(client);
        let (_, listed) = super::fault("dev", &api.list(&ListParams::default()).await.unwrap_err(), None);
        assert_eq!(listed.what, What::AnswerTooLarge, "{head}");
        let sent = sent.load(std::sync::atomic::Ordering::Relaxed);
        assert!(sent < bound + 2 * SLACK, "{head}: {sent}");
    }
    let (address, sent) = hostile(ENDLESS, &PIECE).await;
    let (client, ..) = of(&format!("http://{address}")).await;
    let api: Api<Pod> = Api::all(client);
    let mut watch = std::pin::pin!(api.watch(&kube::api::WatchParams::default(), "0").await.unwrap());
    let (_, fault) = super::fault("dev", &watch.next().await.unwrap().unwrap_err(), None);
    assert_eq!(fault.what, What::AnswerTooLarge);
    assert!(fault.detail.contains("a line above 8192 KiB"), "{}", fault.detail);
    assert!(sent.load(std::sync::atomic::Ordering::Relaxed) < (8 << 20) + SLACK);
}

#[tokio::test]
async fn plain_http_gets_no_token_and_learns_who_we_are() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let answer = "HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n";
        let body = "{\"kind\":\"Status\",\"code\":401,\"message\":\"\"}";
        let answer = answer.replace("40", &body.len().to_string());
        stream.write_all(format!("{answer}{body}").as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap().to_lowercase()
    });
    let (_, clusters, _dir) = of(&format!("http://{address}")).await;
    let (link, fault) = probe(&clusters, "dev").await.unwrap_err();
    assert_eq!((link, fault.what), (Link::Unauthorized, What::LoginWithheld));
    let request = serving.await.unwrap();
    assert!(!request.contains("authorization"), "{request}");
    assert!(request.contains(&format!("user-agent: brow-tui/{} (", env!("CARGO_PKG_VERSION"))), "{request}");
}
