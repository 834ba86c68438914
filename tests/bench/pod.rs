//! The pod at the far end: an echo, sources, a sink, a web server, the relay, and a plain socat to the private echo.

use std::time::Duration;

use brow_tui::proxy::relay::{self, Secret};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::relayed;

/// The namespace of the bench.
pub const NAMESPACE: &str = "brow-bench";
/// The pod of the bench.
pub const POD: &str = "bench";

/// The bytes of the large transfers.
pub const LARGE: u64 = 256 << 20;
/// Echoes.
pub const ECHO: u16 = 7;
/// Sends [`LARGE`] bytes.
pub const DOWN: u16 = 9001;
/// Takes [`LARGE`] bytes, then answers with a line.
pub const UP: u16 = 9002;
/// Sends without end.
pub const ENDLESS: u16 = 9003;
/// Begins to read after [`LATE_FOR`], takes [`LATE_BYTES`], and answers with their SHA-256.
pub const LATE: u16 = 9005;
/// The time that it waits, in seconds.
pub const LATE_FOR: u64 = 30;
/// The bytes that it takes.
pub const LATE_BYTES: usize = 64 << 20;
/// HTTP.
pub const WEB: u16 = 8080;
/// The relay of proxy pods.
pub const RELAY: u16 = relay::PORT;
/// A plain socat to the private network's echo.
pub const PLAIN: u16 = 9007;
/// A plain socat to [`DOWN`].
pub const PLAIN_DOWN: u16 = 9008;

/// The secret of the pod's relay.
pub fn secret() -> Secret {
    relayed::secret(NAMESPACE)
}

/// A server that costs the machine as little as can be, for the machine is the tunnel's, too: large buffers, and no
/// program started for a connection where a fork will do.
fn socat(name: &str, options: &[&str], port: u16, to: &str) -> Value {
    let listen = format!("TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1,backlog=128");
    let args = [&["-b", "262144"], options, &[listen.as_str(), to]].concat();
    json!({ "name": name, "image": "alpine/socat:latest", "imagePullPolicy": "Never", "args": args })
}

/// Creates the pod and waits until it runs.
pub async fn create(client: &Client) {
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).expect("valid");
    let _ = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await;
    let up =
        format!("SYSTEM:dd of=/dev/null bs=262144 iflag=fullblock count={} 2>/dev/null; echo done,nofork", LARGE >> 18);
    let late = format!("SYSTEM:sleep {LATE_FOR}; head -c {LATE_BYTES} | sha256sum,nofork");
    // As soon as more connect at once than a server's queue holds, the system lets one wait for a second: httpd of
    // busybox holds nine.
    let mut web = socat("web", &[], WEB, "OPEN:/tmp/answer!!OPEN:/dev/null");
    let answer = r"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";
    web["command"] = json!(["sh", "-c", format!("printf '{answer}' > /tmp/answer; exec socat \"$@\""), "sh"]);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": POD },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "volumes": relayed::spec(NAMESPACE)["volumes"],
            "containers": [
                socat("echo", &[], ECHO, "PIPE"),
                socat("down", &["-U"], DOWN, &format!("OPEN:/dev/zero,readbytes={LARGE}")),
                socat("up", &[], UP, &up),
                socat("endless", &["-U"], ENDLESS, "OPEN:/dev/zero"),
                socat("late", &[], LATE, &late),
                relayed::spec(NAMESPACE)["containers"][0],
                socat("plain", &[], PLAIN, "TCP:10.99.0.10:7"),
                socat("plain-down", &[], PLAIN_DOWN, &format!("TCP:127.0.0.1:{DOWN}")),
                web,
            ],
        },
    }))
    .expect("valid");
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    if pods.get_opt(POD).await.expect("an answer").is_none() {
        pods.create(&PostParams::default(), &pod).await.expect("created");
    }
    loop {
        let pod = pods.get(POD).await.expect("the pod");
        let ready = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        if ready.is_some_and(|all| all.len() == 9 && all.iter().all(|container| container.ready)) {
            return;
        }
        assert!(pod.metadata.deletion_timestamp.is_none(), "{} is being deleted", pod.name_any());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Deletes what [`create`] made.
pub async fn delete(client: &Client) {
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    let _ = Api::<Pod>::namespaced(client.clone(), NAMESPACE).delete(POD, &now).await;
    let _ = Api::<Namespace>::all(client.clone()).delete(NAMESPACE, &now).await;
}
