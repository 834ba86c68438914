//! The practice cluster through kube's client, as the program uses it: what it answers is what a real one answers.
#![allow(clippy::disallowed_methods, reason = "tests read what was written")]

mod streams;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod, Service};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams, Preconditions, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Error, ResourceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{Practice, Runtime};
use kube_tunnel::{Lease, LeaseOptions, Protocol, Route, Tunnels};

const TIMEOUT: Duration = Duration::from_secs(30);

async fn client(practice: &Practice, context: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(practice.kubeconfig()).unwrap();
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    // What the address says of the user is for the client to send, as kubectl does and kube does not.
    let address = config.cluster_url.to_string();
    if let Some((login, host)) = address.trim_start_matches("http://").rsplit_once('@') {
        let (user, password) = login.split_once(':').unwrap();
        config.auth_info.username = Some(user.to_owned());
        config.auth_info.password = Some(password.to_owned().into());
        config.cluster_url = format!("http://{host}").parse().unwrap();
    }
    Client::try_from(config).unwrap()
}

fn relay(name: &str, more: &Value) -> Pod {
    let args = ["TCP-LISTEN:10800,fork", "EXEC:'sh -fc \"IFS=; eval $RELAY\"',nofork"];
    let env = json!([{ "name": "HASH", "value": streams::sha256(streams::SECRET) }]);
    let mut pod = json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "restartPolicy": "Never", "activeDeadlineSeconds": 600, "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "relay", "image": "alpine/socat:1", "args": args, "env": env }],
        },
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        if field == "image" {
            pod["spec"]["containers"][0]["image"] = value.clone();
        } else {
            pod["spec"][field] = value.clone();
        }
    }
    serde_json::from_value(pod).unwrap()
}

/// Watches one pod until it is as it should be; the states on the way.
async fn until(pods: &Api<Pod>, name: &str, holds: impl Fn(&Pod) -> bool) -> Vec<Pod> {
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut seen = Vec::new();
    let watching = async {
        let mut events = pods.watch(&params, "0").await.unwrap().boxed();
        while let Some(event) = events.try_next().await.unwrap() {
            if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event {
                let done = holds(&pod);
                seen.push(pod);
                if done {
                    return;
                }
            }
        }
        panic!("the watch ended");
    };
    timeout(TIMEOUT, watching).await.unwrap_or_else(|_| panic!("{name} never came so far"));
    seen
}

fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn waits(pod: &Pod, reason: &str) -> bool {
    let state = |pod: &Pod| pod.status.as_ref()?.container_statuses.as_ref()?.first()?.state.clone();
    state(pod).and_then(|state| state.waiting).is_some_and(|waiting| waiting.reason.as_deref() == Some(reason))
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String, String) {
    match result {
        Err(Error::Api(status)) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("no refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_pod_lives_from_scheduled_to_its_deadline() {
    let practice = Practice::start().await.unwrap();
    let client = client(&practice, "practice").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let made =
        pods.create(&PostParams::default(), &relay("one", &json!({ "activeDeadlineSeconds": 4 }))).await.unwrap();
    assert!(made.uid().is_some_and(|uid| uid.len() == 36) && made.creation_timestamp().is_some());
    let seen = until(&pods, "one", |pod| {
        pod.status.as_ref().and_then(|status| status.reason.as_deref()) == Some("DeadlineExceeded")
    })
    .await;
    let steps: Vec<&str> = seen
        .iter()
        .map(|pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
            match phase {
                "Pending" if waits(pod, "ContainerCreating") => "pulling",
                "Pending" if pod.spec.as_ref().unwrap().node_name.is_some() => "scheduled",
                "Running" if ready(pod) => "ready",
                "Running" => "started",
                phase => phase,
            }
        })
        .collect();
    assert_eq!(steps, ["Pending", "scheduled", "pulling", "started", "ready", "Failed"]);
    let events: Api<Event> = Api::namespaced(client, "shop");
    let params = ListParams::default().fields("involvedObject.name=one");
    let events = events.list(&params).await.unwrap();
    let reasons: Vec<&str> = events.iter().filter_map(|event| event.reason.as_deref()).collect();
    assert_eq!(reasons, ["Scheduled", "Pulling", "Pulled", "Created", "Started", "Killing", "DeadlineExceeded"]);
    practice.end().await.unwrap();
}

#[tokio::test]
async fn refusals_are_in_the_servers_words() {
    let practice = Practice::start().await.unwrap();
    let admin = client(&practice, "practice").await;
    let viewer = client(&practice, "practice-viewer").await;
    let team = client(&practice, "practice-team").await;
    let create = async |client: &Client, namespace: &str, pod: &Pod| {
        Api::<Pod>::namespaced(client.clone(), namespace).create(&PostParams::default(), pod).await
    };
    let pod = relay("x", &json!({}));
    let forbidden = "pods is forbidden: User \"viewer\" cannot create resource \"pods\" in API group \"\" in the \
        namespace \"shop\"";
    assert_eq!(refused(create(&viewer, "shop", &pod).await), (403, "Forbidden".into(), forbidden.into()));
    let listed = Api::<Pod>::all(team.clone()).list(&ListParams::default()).await;
    assert!(refused(listed).2.ends_with("at the cluster scope"));
    Api::<Pod>::namespaced(team, "shop").list(&ListParams::default()).await.unwrap();
    let missing = (404, "NotFound".into(), "namespaces \"nowhere\" not found".into());
    assert_eq!(refused(create(&admin, "nowhere", &pod).await), missing);
    assert!(refused(create(&admin, "full", &pod).await).2.contains("exceeded quota: small"));
    let (code, _, words) = refused(create(&admin, "shop", &relay("X_y", &json!({}))).await);
    assert_eq!((code, words.starts_with("Pod \"X_y\" is invalid: metadata.name: Invalid value")), (422, true));
    let late = relay("late", &json!({ "activeDeadlineSeconds": 0 }));
    assert_eq!(refused(create(&admin, "shop", &late).await).0, 422);
    create(&admin, "shop", &pod).await.unwrap();
    assert_eq!(refused(create(&admin, "shop", &pod).await).2, "pods \"x\" already exists");
    let pods: Api<Pod> = Api::namespaced(admin, "shop");
    assert_eq!(refused(pods.get("none").await).2, "pods \"none\" not found");
    let fields = ListParams::default().fields("spec.color=red");
    assert_eq!(refused(pods.list(&fields).await).0, 400);
    let other = Preconditions { uid: Some("other".into()), resource_version: None };
    let params = DeleteParams { preconditions: Some(other), ..DeleteParams::default() };
    let (code, _, words) = refused(pods.delete("x", &params).await);
    assert_eq!((code, words.contains("UID in the precondition (other) does not match")), (409, true));
    let down = client(&practice, "practice-down").await;
    assert!(down.apiserver_version().await.is_err());
    practice.end().await.unwrap();
}

#[tokio::test]
async fn who_has_no_token_gets_nothing() {
    let practice = Practice::start().await.unwrap();
    let mut config = Config::new(client_url(&practice).parse().unwrap());
    for token in [None, Some("wrong")] {
        config.auth_info.token = token.map(Into::into);
        let answer = Client::try_from(config.clone()).unwrap().apiserver_version().await;
        assert_eq!(refused(answer), (401, "Unauthorized".into(), "Unauthorized".into()));
    }
    practice.end().await.unwrap();
}

fn client_url(practice: &Practice) -> String {
    let kubeconfig = Kubeconfig::read_from(practice.kubeconfig()).unwrap();
    let server = kubeconfig.clusters[0].cluster.as_ref().unwrap().server.clone().unwrap();
    format!("http://{}", server.rsplit_once('@').unwrap().1)
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let practice = Practice::start().await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client(&practice, "practice").await, "shop");
    let bad = relay("bad", &json!({ "image": "registry.invalid/team/none:1" }));
    let lost = relay("lost", &json!({ "nodeSelector": { "pool": "none" } }));
    for pod in [&bad, &lost] {
        pods.create(&PostParams::default(), pod).await.unwrap();
    }
    until(&pods, "bad", |pod| waits(pod, "ErrImagePull")).await;
    let seen = until(&pods, "bad", |pod| waits(pod, "ImagePullBackOff")).await;
    let words = serde_json::to_string(seen.last().unwrap()).unwrap();
    assert!(words.contains("https://registry.invalid/v2/team/none/manifests/1"), "{words}");
    assert_eq!(refused(pods.logs("bad", &LogParams::default()).await).0, 400);
    let unschedulable = |pod: &Pod| serde_json::to_string(pod).unwrap().contains("\"Unschedulable\"");
    until(&pods, "lost", unschedulable).await;
    // Nothing runs that would have to end first.
    assert!(pods.delete("lost", &DeleteParams::default()).await.is_ok());
    assert_eq!(refused(pods.get("lost").await).0, 404);
    practice.end().await.unwrap();
}

#[tokio::test]
async fn a_watch_goes_on_where_a_list_ended() {
    let practice = Practice::start().await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client(&practice, "practice").await, "harbor");
    let version = pods.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    pods.create(&PostParams::default(), &relay("one", &json!({}))).await.unwrap();
    until(&pods, "one", ready).await;
    let marked = pods.delete("one", &DeleteParams::default().grace_period(1)).await.unwrap().left().unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    // It ends with a bookmark when its time is up.
    let params = WatchParams::default().labels("app=one").timeout(3);
    let events: Vec<_> = pods.watch(&params, &version).await.unwrap().try_collect().await.unwrap();
    let word = |event: &WatchEvent<Pod>| match event {
        WatchEvent::Added(_) => 'A',
        WatchEvent::Modified(_) => 'M',
        WatchEvent::Deleted(_) => 'D',
        WatchEvent::Bookmark(_) => 'B',
        WatchEvent::Error(_) => 'E',
    };
    assert_eq!(events.iter().map(word).collect::<String>(), "AMMMMMDB");
    let versions = |event: &WatchEvent<Pod>| match event {
        WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod) => {
            pod.resource_version().unwrap().parse::<u64>().unwrap()
        }
        WatchEvent::Bookmark(mark) => mark.metadata.resource_version.parse().unwrap(),
        WatchEvent::Error(_) => 0,
    };
    assert!(events.windows(2).all(|pair| versions(&pair[0]) <= versions(&pair[1])));
    practice.end().await.unwrap();
}

#[tokio::test]
async fn lists_come_whole_by_pages_and_as_metadata() {
    let practice = Practice::start().await.unwrap();
    let client = client(&practice, "practice").await;
    let pods: Api<Pod> = Api::all(client.clone());
    let all = pods.list(&ListParams::default()).await.unwrap();
    assert!(all.items.len() >= 6 && all.iter().all(|pod| pod.namespace().is_some()));
    let mut paged = Vec::new();
    let mut params = ListParams::default().limit(2);
    loop {
        let page = pods.list(&params).await.unwrap();
        assert!(page.items.len() <= 2);
        paged.extend(page.items.iter().map(kube::ResourceExt::name_any));
        let Some(token) = page.metadata.continue_.filter(|token| !token.is_empty()) else { break };
        params = params.continue_token(&token);
    }
    assert_eq!(paged, all.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>());
    let meta = pods.list_metadata(&ListParams::default().labels("app in (web),!none")).await.unwrap();
    assert_eq!(meta.items.len(), 2);
    assert_eq!(
        Api::<Service>::namespaced(client.clone(), "shop").list(&ListParams::default()).await.unwrap().items.len(),
        2
    );
    assert!(Api::<Namespace>::all(client.clone()).get("shop").await.is_ok());
    assert_eq!(Api::<Node>::all(client.clone()).list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert!(client.apiserver_version().await.unwrap().git_version.contains("practice"));
    let groups = client.list_api_groups().await.unwrap();
    assert!(groups.groups.iter().any(|group| group.name == "apps"));
    assert!(
        client.list_core_api_resources("v1").await.unwrap().resources.iter().any(|it| it.name == "pods/portforward")
    );
    practice.end().await.unwrap();
}

#[tokio::test]
async fn a_deployment_replaces_its_pods_and_rolls_out() {
    let practice = Practice::start().await.unwrap();
    let client = client(&practice, "practice").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
    let web = ListParams::default().labels("app=web");
    let names = async || -> Vec<String> {
        let list = pods.list(&web).await.unwrap();
        let mut names: Vec<_> = list
            .iter()
            .filter(|pod| ready(pod) && pod.metadata.deletion_timestamp.is_none())
            .map(kube::ResourceExt::name_any)
            .collect();
        names.sort();
        names
    };
    let settle = async |differs: Vec<String>| {
        let settled = async {
            loop {
                let now = names().await;
                if now.len() == 2 && now.iter().all(|name| !differs.contains(name)) {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(TIMEOUT, settled).await.expect("two other pods")
    };
    let first = settle(Vec::new()).await;
    pods.delete(&first[0], &DeleteParams::default().grace_period(1)).await.unwrap();
    let second = settle(vec![first[0].clone()]).await;
    assert!(second.contains(&first[1]));
    let deployments: Api<Deployment> = Api::namespaced(client, "shop");
    deployments.restart("web").await.unwrap();
    settle(second).await;
    practice.end().await.unwrap();
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let practice = Practice::start().await.unwrap();
    let (kubeconfig, url) = (practice.kubeconfig(), client_url(&practice));
    let dir = kubeconfig.parent().unwrap().to_owned();
    for (path, mode) in [(&dir, 0o700), (&kubeconfig, 0o600), (&practice.config(), 0o600)] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    practice.end().await.unwrap();
    assert!(!dir.exists());
    let address = url.trim_start_matches("http://").to_owned();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
