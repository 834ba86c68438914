//! A pod whose ports each behave in one way, shared by the tests of one binary.

#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::process::{Command, Stdio};
use std::time::Duration;

use brow_tui::proxy::relay::{self, Secret};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{cluster, relayed};

/// The namespace of these tests.
pub const NAMESPACE: &str = "brow-tunnel-test";

/// The bytes that [`SOURCE`] sends.
pub const SOURCE_BYTES: u64 = 16 << 20;

/// Echoes.
pub const ECHO: u16 = 7;
/// Sends [`SOURCE_BYTES`] and closes.
pub const SOURCE: u16 = 9001;
/// Takes what it gets.
pub const DISCARD: u16 = 9;
/// Sends without end.
pub const ENDLESS: u16 = 9002;
/// Takes a byte, waits three seconds, answers `answer`, closes.
pub const SLOW: u16 = 9003;
/// Says `bye` and closes.
pub const BYE: u16 = 9004;
/// Takes a byte, then resets.
pub const RESET: u16 = 9005;
/// Takes a byte and never reads again.
pub const DEAF: u16 = 9006;
/// Takes a line, `wait NAME` or `go NAME`. After the first it reads nothing until somebody has sent the second; then it
/// takes [`GATED_BYTES`] and answers with their SHA-256.
pub const GATE: u16 = 9007;
/// The bytes that [`GATE`] takes.
pub const GATED_BYTES: usize = 64 << 20;
/// Takes a byte, answers `part1`, waits for 13 s, answers `part2`, closes.
pub const PAUSE: u16 = 9008;
/// Answers once it has read end-of-file.
pub const LAST: u16 = 9010;
/// A relay that knows no lanes, as other images may have.
pub const RELAY: u16 = 9000;
/// The relay of proxy pods.
pub const LANES: u16 = relay::PORT;
/// Nothing listens there.
pub const NOBODY: u16 = 81;

static SHARED: OnceCell<String> = OnceCell::const_new();

/// The name of the shared pod. It is created when it is first asked for, and deleted when this process ends.
#[expect(clippy::zombie_processes, reason = "it waits for this process to end")]
pub async fn shared(kubeconfig: &str) -> String {
    SHARED
        .get_or_init(|| async {
            let client = cluster::client(&cluster::config(kubeconfig, "brow-admin").await);
            let name = format!("tunnel-{}", std::process::id());
            create(&client, &name).await;
            let script = "while kill -0 \"$1\"; do sleep 1; done; \
                          kubectl --kubeconfig \"$2\" -n \"$3\" delete pod \"$4\" --wait=false --now";
            Command::new("sh")
                .args(["-c", script, "sh", &std::process::id().to_string(), kubeconfig, NAMESPACE, &name])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("a shell");
            name
        })
        .await
        .clone()
}

/// The secret of the relay of [`LANES`].
pub fn secret() -> Secret {
    relayed::secret(NAMESPACE)
}

/// The container of proxy pods, as the program makes it.
fn lanes() -> Value {
    let mut container = relayed::spec(NAMESPACE)["containers"][0].take();
    container["name"] = "lanes".into();
    container
}

fn socat(name: &str, port: u16, options: &str, to: &str) -> Value {
    json!({
        "name": name, "image": "alpine/socat:latest", "imagePullPolicy": "Never",
        "args": [format!("TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1,backlog=256{options}"), to],
    })
}

/// Creates such a pod and waits until it runs.
pub async fn create(client: &Client, name: &str) {
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).expect("valid");
    let _ = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await;
    let gate = format!(
        "SYSTEM:read -r verb name; if [ $verb = go ]; then touch /tmp/$name; else until [ -e /tmp/$name ]; do sleep 0.2; \
         done; head -c {GATED_BYTES} | sha256sum; fi,nofork"
    );
    let pause = "SYSTEM:head -c 1 >/dev/null; echo part1; sleep 13; echo part2,nofork";
    let source = format!("EXEC:head -c {SOURCE_BYTES} /dev/zero,nofork");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": 1800,
            "automountServiceAccountToken": false,
            "restartPolicy": "Never",
            "volumes": relayed::spec(NAMESPACE)["volumes"],
            "containers": [
                socat("echo", ECHO, "", "PIPE"),
                socat("source", SOURCE, "", &source),
                socat("discard", DISCARD, "", "EXEC:tail -f,nofork"),
                socat("endless", ENDLESS, "", "EXEC:cat /dev/zero,nofork"),
                socat("slow", SLOW, "", "SYSTEM:head -c 1 >/dev/null; sleep 3; echo answer,nofork"),
                socat("bye", BYE, "", "EXEC:echo bye,nofork"),
                socat("reset", RESET, ",linger=0,end-close", "SYSTEM:head -c 1 >/dev/null"),
                socat("deaf", DEAF, "", "SYSTEM:head -c 1 >/dev/null; sleep 300,nofork"),
                socat("gate", GATE, "", &gate),
                socat("pause", PAUSE, "", pause),
                socat("last", LAST, "", "SYSTEM:cat >/dev/null; echo answer,nofork"),
                lanes(),
                socat("relay", RELAY, "", "SYSTEM:IFS= read -r t && exec socat STDIO \"TCP:$t\",nofork"),
            ],
        },
    }))
    .expect("valid");
    let count = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    pods.create(&PostParams::default(), &pod).await.expect("created");
    let ready = async {
        loop {
            let pod = pods.get(name).await.expect("the pod");
            let containers = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
            if containers.len() == count && containers.iter().all(|container| container.ready) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(3), ready).await.expect("a ready pod");
}

/// Deletes a pod at once.
pub async fn delete(client: &Client, name: &str) {
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    Api::<Pod>::namespaced(client.clone(), NAMESPACE).delete(name, &now).await.expect("deleted");
}
