//! The practice cluster held against the real one: the same requests to both, and their answers side by side. Where
//! they differ, the practice cluster is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

mod common;
#[path = "cluster/relayed.rs"]
mod relayed;

use std::collections::BTreeSet;
use std::time::Duration;

use brow_model::address::Address;
use brow_model::installation::Installation;
use brow_practice::Practice;
use brow_tui::effects::ask_relay;
use brow_tui::proxy::relay::{self, Mux, RelayRequest, Secret};
use bytes::Bytes;
use common::TIMEOUT;
use common::kube::{Namespace, kubeconfig};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams, Preconditions, WatchEvent, WatchParams};
use kube::{Api, Client, Error};
use kube_tunnel::{Lease, LeaseOptions, Route, Stream, Tunnels};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A cluster and the namespace to work in.
struct Place {
    client: Client,
    namespace: String,
}

impl Place {
    async fn new(kubeconfig: &std::path::Path, context: &str, namespace: &str) -> Self {
        let (clusters, _) = brow_tui::cluster::Clusters::read(Some(kubeconfig)).unwrap();
        Self { client: clusters.client(context).await.unwrap(), namespace: namespace.to_owned() }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A refusal: code, reason, message with what differs taken out, and details.
    fn refusal<T: std::fmt::Debug>(&self, answer: Result<T, Error>) -> (u16, String, String, Value) {
        let Err(Error::Api(status)) = answer else { panic!("no refusal: {answer:?}") };
        let uid = status
            .message
            .split_once("in record (")
            .and_then(|(_, rest)| rest.split(')').next())
            .unwrap_or("no uid")
            .to_owned();
        let message = status.message.replace(&self.namespace, "NS").replace(&uid, "UID");
        let details = serde_json::to_value(&status.details).unwrap();
        (status.code, status.reason.clone(), message, json!([details["name"], details["kind"]]))
    }

    /// The states of a pod until it is as it should be.
    async fn until(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Vec<Value> {
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let watching = async {
            let mut seen = Vec::new();
            let mut events = self.pods().watch(&params, "0").await.unwrap().boxed();
            while let Some(event) = events.try_next().await.unwrap() {
                if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event {
                    seen.push(serde_json::to_value(pod).unwrap());
                    if holds(seen.last().unwrap()) {
                        return seen;
                    }
                }
            }
            panic!("the watch ended");
        };
        tokio::time::timeout(TIMEOUT, watching).await.expect("the state that was waited for")
    }
}

fn pod(name: &str, image: &str, seconds: i64) -> Pod {
    let script = "SYSTEM:'IFS= read -r t && exec socat STDIO \"TCP:$t\"',nofork";
    let amounts = json!({ "cpu": "5m", "memory": "16Mi" });
    let container = json!({
        "name": "relay", "image": image, "imagePullPolicy": "IfNotPresent",
        "args": ["TCP-LISTEN:10800,fork,bind=127.0.0.1", script],
        "ports": [{ "containerPort": 10800, "protocol": "TCP", "name": "relay" }],
        "resources": { "requests": amounts, "limits": amounts },
    });
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "restartPolicy": "Never", "activeDeadlineSeconds": seconds, "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false, "enableServiceLinks": false, "containers": [container],
        },
    }))
    .unwrap()
}

/// Collects the paths in an object, without numbers and without what only some clusters have.
fn paths(object: &Value, at: &str, found: &mut BTreeSet<String>) {
    match object {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "managedFields") {
                paths(value, &format!("{at}.{name}"), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{at}[]"), found)),
        Value::Null => {}
        _ => _ = found.insert(at.to_owned()),
    }
}

/// Fails if the real object has paths that the practice one lacks.
#[track_caller]
fn assert_has_all(what: &str, real: &Value, practice: &Value) {
    let [real, practice] = [real, practice].map(|object| {
        let mut found = BTreeSet::new();
        paths(object, "", &mut found);
        found
    });
    let missing: Vec<_> = real.difference(&practice).collect();
    assert!(missing.is_empty(), "{what}: the practice cluster lacks {missing:?}");
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn waits(pod: &Value, reason: &str) -> bool {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
}

const IMAGE: &str = "alpine/socat:latest";

/// The address of what both serve.
const ADDRESSES: [&str; 2] = ["10.99.0.10", "10.0.0.1"];

/// A namespace of the real cluster, and one of the practice cluster.
async fn both(namespace: &Namespace, practice: &Practice) -> [Place; 2] {
    [
        Place::new(&kubeconfig(), "brow-admin", &namespace.0).await,
        Place::new(&practice.kubeconfig(), "practice", "shop").await,
    ]
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn both_refuse_in_the_same_words() {
    let namespace = Namespace::new("same");
    let practice = Practice::start().await.unwrap();
    let places = both(&namespace, &practice).await;
    let mut heard = Vec::new();
    for place in &places {
        let (pods, post) = (place.pods(), PostParams::default());
        let nowhere: Api<Pod> = Api::namespaced(place.client.clone(), "no-such-namespace");
        pods.create(&post, &pod("x", IMAGE, 600)).await.unwrap();
        let other = Preconditions { uid: Some("other".into()), resource_version: None };
        let other = DeleteParams { preconditions: Some(other), ..DeleteParams::default() };
        let mut unnamed = pod("x", IMAGE, 600);
        unnamed.metadata.name = None;
        let mut elsewhere = pod("y", IMAGE, 600);
        elsewhere.metadata.namespace = Some("elsewhere".into());
        let mut empty = pod("y", IMAGE, 600);
        empty.spec.as_mut().unwrap().containers.clear();
        heard.push([
            ("a name that is taken", place.refusal(pods.create(&post, &pod("x", IMAGE, 600)).await)),
            ("a namespace that is not there", place.refusal(nowhere.create(&post, &pod("x", IMAGE, 600)).await)),
            ("a bad name", place.refusal(pods.create(&post, &pod("X_y", IMAGE, 600)).await)),
            ("no deadline", place.refusal(pods.create(&post, &pod("y", IMAGE, 0)).await)),
            ("no name", place.refusal(pods.create(&post, &unnamed).await)),
            ("another namespace", place.refusal(pods.create(&post, &elsewhere).await)),
            ("no containers", place.refusal(pods.create(&post, &empty).await)),
            ("no such pod", place.refusal(pods.get("none").await)),
            ("nothing to delete", place.refusal(pods.delete("none", &DeleteParams::default()).await)),
            ("another uid", place.refusal(pods.delete("x", &other).await)),
            ("the log of nothing", place.refusal(pods.logs("none", &LogParams::default()).await)),
        ]);
    }
    let [real, practised] = heard.try_into().unwrap();
    for (real, practised) in real.iter().zip(&practised) {
        assert_eq!(practised, real, "practice and real: {}", real.0);
    }
    practice.end().await.unwrap();
}

#[tokio::test]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn a_pod_looks_the_same_on_both() {
    let namespace = Namespace::new("same");
    let practice = Practice::start().await.unwrap();
    let places = both(&namespace, &practice).await;
    let mut looks = Vec::new();
    for place in &places {
        let pods = place.pods();
        let made = pods.create(&PostParams::default(), &pod("one", IMAGE, 20)).await.unwrap();
        pods.create(&PostParams::default(), &pod("bad", "registry.invalid/team/none:1", 600)).await.unwrap();
        let running = place.until("one", ready).await.pop().unwrap();
        let pulling = place.until("bad", |pod| waits(pod, "ErrImagePull")).await.pop().unwrap();
        let failed = place.until("one", |pod| pod["status"]["phase"] == "Failed").await.pop().unwrap();
        let reason = failed["status"]["reason"].clone();
        let marked = pods.delete("bad", &DeleteParams::default().grace_period(1)).await.unwrap().left().unwrap();
        let events: Api<Event> = Api::namespaced(place.client.clone(), &place.namespace);
        let about = ListParams::default().fields("involvedObject.name=one");
        let wanted = ["Scheduled", "Created", "Started", "Killing", "DeadlineExceeded"];
        // A real node reports its events late.
        let told = async {
            loop {
                let events = events.list(&about).await.unwrap();
                let has = |reason: &&str| events.iter().any(|event| event.reason.as_deref() == Some(*reason));
                if wanted.iter().all(has) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, told).await.expect("the events");
        let gone = async {
            while pods.get_opt("bad").await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        // A real node that is busy takes more than a minute over it.
        tokio::time::timeout(TIMEOUT * 4, gone).await.expect("the end of a deleted pod");
        let words =
            pulling["status"]["containerStatuses"][0]["state"]["waiting"]["message"].as_str().unwrap().to_owned();
        // The resolver's own address aside.
        let words = words.split_once(" on ").map(|(words, _)| words.to_owned()).unwrap();
        let json = |pod: &Pod| serde_json::to_value(pod).unwrap();
        looks.push(([json(&made), running, pulling, failed, json(&marked)], (reason, words)));
    }
    let [(real, told), (practised, also_told)] = looks.try_into().unwrap();
    for (at, what) in ["created", "running", "pulling", "failed", "marked"].iter().enumerate() {
        assert_has_all(what, &real[at], &practised[at]);
    }
    assert_eq!(also_told, told);
    practice.end().await.unwrap();
}

/// Asks a relay for a lane: the stream that keeps it, and its port. `None` while the relay does not listen yet.
async fn ask_lane(relay: &Lease, secret: &Secret, address: &Address, word: &Bytes) -> Option<(Stream, u16)> {
    let mut stream = ask_relay(relay, secret, RelayRequest::Lane(address, word), async { Ok(()) }).await.ok()?;
    let mut said = Vec::new();
    loop {
        if let Some(port) = relay::read_lane(&said) {
            return Some((stream, port));
        }
        let read = stream.read_buf(&mut said).await.ok()?;
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&said));
    }
}

/// Waits until nobody listens on a lane's port.
async fn closed(lane: &Lease, word: &Bytes) {
    loop {
        let Ok(mut stream) = lane.open().await else { return };
        // Whether it listens is told by the first byte, or by none.
        let _late = stream.write_all(&[word, b"000000ab".as_slice(), b"over"].concat()).await;
        if stream.read(&mut [0; 8]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the echo of a question that was half-closed, or the failure, of an address by our own relay.
async fn asked(relay: &Mux, address: &str) -> String {
    let mut stream = relay.open(&address.parse().unwrap()).unwrap();
    if stream.connected().await.is_err() {
        return format!("{:?}", stream.failure().get().expect("a reason").0);
    }
    stream.write_all(b"question").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn relays_run_our_program_on_both() {
    let namespace = Namespace::new("same");
    let practice = Practice::start().await.unwrap();
    let places = both(&namespace, &practice).await.into_iter().zip(ADDRESSES);
    for (place, host) in places {
        let pod = json!({ "metadata": { "name": "ours" }, "spec": relayed::spec(&place.namespace) });
        place.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        place.until("ours", ready).await;
        let route = Route { namespace: place.namespace.clone(), pod: "ours".into(), port: relay::PORT };
        let (lease, secret) = (
            Tunnels::new(place.client.clone(), None).lease(route, LeaseOptions::default()),
            relayed::secret(&place.namespace),
        );
        let starting = async {
            loop {
                // A real relay that has just started may not listen yet.
                match ask_relay(&lease, &secret, RelayRequest::Start, async { Ok(()) }).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        let mut stream = tokio::time::timeout(TIMEOUT, starting).await.expect("a relay");
        relay::load::<_, kube_tunnel::Error>(&mut stream).await.unwrap();
        let forwarded = Mux::start(stream, &secret.key()).await.unwrap();
        // Past the node, once it listens.
        let port = relay::POD_PROXY_PORT;
        let route = Route { namespace: place.namespace.clone(), pod: "ours".into(), port };
        let tunnels = Tunnels::new(place.client.clone(), None);
        let refused = tunnels.pod_proxy(&route, relay::UPGRADE).await.err().expect("nobody listens");
        let kube_tunnel::Error::NoUpgrade { status: 500, text } = refused else { panic!("{refused}") };
        assert!(text.ends_with(":10250: connect: connection refused"), "{text}");
        let mut stream = ask_relay(&lease, &secret, RelayRequest::Listen, async { Ok(()) }).await.unwrap();
        assert_eq!(relay::listen::<_, kube_tunnel::Error>(&mut stream).await.unwrap(), port);
        let proxied = tunnels.pod_proxy(&route, relay::UPGRADE).await.unwrap();
        let proxied = Mux::start(proxied, &secret.key()).await.unwrap();
        for relay in [&forwarded, &proxied] {
            let asked = async |address: String| tokio::time::timeout(TIMEOUT, asked(relay, &address)).await.unwrap();
            assert_eq!(asked(format!("{host}:7")).await, "question", "{host}");
            assert_eq!(asked(format!("{host}:81")).await, "TargetRefused", "{host}");
            assert_eq!(asked("no-such-host.invalid:7".to_owned()).await, "TargetUnresolved", "{host}");
        }
    }
    practice.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(cluster), ignore = "needs a cluster: set BROW_TEST_KUBECONFIG")]
async fn relays_open_lanes_on_both() {
    let namespace = Namespace::new("same");
    let practice = Practice::start().await.unwrap();
    let places = both(&namespace, &practice).await.into_iter().zip(ADDRESSES);
    let mut seen = Vec::new();
    for (place, host) in places {
        let mut pod = pod("lanes", IMAGE, 600);
        let (secret, word) = (Secret::new(&Installation::default(), &place.namespace, "lanes"), relay::new_word());
        let container = &mut pod.spec.as_mut().unwrap().containers[0];
        container.args = Some(relay::args());
        let variable = |(name, value): (&str, String)| json!({ "name": name, "value": value });
        let env: Vec<Value> = relay::env(&secret, false).into_iter().map(variable).collect();
        container.env = Some(serde_json::from_value(env.into()).unwrap());
        place.pods().create(&PostParams::default(), &pod).await.unwrap();
        place.until("lanes", ready).await;
        let tunnels = Tunnels::new(place.client.clone(), None);
        let lease = |port| {
            let route = Route { namespace: place.namespace.clone(), pod: "lanes".into(), port };
            tunnels.lease(route, LeaseOptions::default())
        };
        let (relay, mut of_place) = (lease(relay::PORT), Vec::new());
        // A server that answers, and one that refuses.
        for port in [7, 81] {
            let address: Address = format!("{host}:{port}").parse().unwrap();
            let asking = async {
                loop {
                    if let Some(lane) = ask_lane(&relay, &secret, &address, &word).await {
                        return lane;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let (asked, port) = tokio::time::timeout(TIMEOUT, asking).await.expect("a lane");
            let lane = lease(port);
            let mut heard = Vec::new();
            let stranger = Bytes::from(vec![b'0'; word.len()]);
            for word in [&word, &word, &stranger] {
                let mut stream = lane.open().await.unwrap();
                stream.write_all(&[word, b"000000ab".as_slice(), b"over"].concat()).await.unwrap();
                heard.push(stream.read(&mut [0; 8]).await.unwrap_or_default());
            }
            // It is gone with the stream that asked.
            drop(asked);
            tokio::time::timeout(TIMEOUT, closed(&lane, &word)).await.expect("the lane goes");
            of_place.push(heard);
        }
        seen.push(of_place);
    }
    assert_eq!(seen[0], [vec![4, 4, 0], vec![0, 0, 0]], "the real one");
    assert_eq!(seen[1], seen[0], "the practice one");
    practice.end().await.unwrap();
}
