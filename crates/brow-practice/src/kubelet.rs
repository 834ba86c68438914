//! The life of a pod, as scheduler and kubelet would have it: scheduled, pulled, started, ready, and at its deadline
//! failed. The states and words are those of a real node (containerd).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::servers;
use super::store::Key;
use super::world::{NODE, RunningPod, World, hex, now, words};

/// The steps to a running pod: quicker than most clusters, slow enough to be seen.
const SCHEDULING_TIME: Duration = Duration::from_millis(250);
const SANDBOX_TIME: Duration = Duration::from_millis(250);
const PULL_TIME: Duration = Duration::from_millis(700);
const START_TIME: Duration = Duration::from_millis(250);
/// From a pull that failed to backing off, and to the next try.
const PULL_FAILURE_TIME: Duration = Duration::from_secs(3);
const PULL_BACKOFF: Duration = Duration::from_secs(10);

/// The longest time that containers take to end: they handle SIGTERM.
pub(super) const STOP_TIME: Duration = Duration::from_millis(400);

/// `pkg/kubelet/active_deadline.go`
const DEADLINE: &str = "Pod was active on the node longer than the specified deadline";

/// The name of a pod's first container: all of ours have one.
pub(super) fn container(pod: &Value) -> &str {
    words(&pod["spec"]["containers"][0]["name"])
}

/// Lives through a pod's life, until it fails or this is dropped. `at_once` leaves the waiting out.
pub(super) async fn live(world: Arc<World>, key: Key, run: RunningPod, at_once: bool) {
    let pause = async |time| {
        if !at_once {
            sleep(time).await;
        }
    };
    pause(SCHEDULING_TIME).await;
    if !schedule(&world, &key) {
        return;
    }
    pause(SANDBOX_TIME).await;
    let Some(pod) = world.store.update(&key, start) else { return };
    let begun = Instant::now();
    let life = async {
        if pull(&world, &key, &pod, at_once).await {
            let id = hex(64);
            world.store.update(&key, |pod| running(pod, &id, false));
            pause(START_TIME).await;
            world.store.update(&key, |pod| running(pod, &id, true));
            for line in servers::greeting(&pod) {
                run.log.write(line);
            }
        }
        std::future::pending::<()>().await;
    };
    let deadline = pod["spec"]["activeDeadlineSeconds"].as_u64();
    tokio::select! {
        () = life => {}
        () = sleep_until(begun + Duration::from_secs(deadline.unwrap_or_default())), if deadline.is_some() => {
            world.event(&pod, "Normal", "Killing", &format!("Stopping container {}", container(&pod)));
            world.event(&pod, "Normal", "DeadlineExceeded", DEADLINE);
            world.store.update(&key, expire);
            pause(STOP_TIME).await;
            world.store.update(&key, end);
            run.stopped.cancel();
        }
    }
}

/// Gives the pod its node, if there is one that fits; whether there was.
fn schedule(world: &World, key: &Key) -> bool {
    let Some(pod) = world.store.get(key) else { return false };
    let labels = world.store.get(&Key::new("nodes", "", NODE)).map(|node| node["metadata"]["labels"].clone());
    let labels = labels.unwrap_or_default();
    let mut wanted = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    if wanted.any(|(name, value)| labels[name] != *value) {
        let message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 \
            nodes are available: 1 Preemption is not helpful for scheduling.";
        world.event(&pod, "Warning", "FailedScheduling", message);
        world.store.update(key, |pod| {
            let mut scheduled = condition("PodScheduled", false);
            (scheduled["reason"], scheduled["message"]) = ("Unschedulable".into(), message.into());
            pod["status"]["conditions"] = json!([scheduled]);
        });
        return false;
    }
    let message = format!("Successfully assigned {}/{} to {NODE}", key.namespace, key.name);
    world.event(&pod, "Normal", "Scheduled", &message);
    world.store.update(key, |pod| {
        pod["spec"]["nodeName"] = NODE.into();
        pod["status"]["conditions"] = json!([condition("PodScheduled", true)]);
    });
    true
}

/// The kubelet has seen the pod.
fn start(pod: &mut Value) {
    let octet = || rand::random_range(2..250);
    let ip = format!("10.244.{}.{}", octet(), octet());
    let status = json!({
        "phase": "Pending", "qosClass": pod["status"]["qosClass"], "startTime": now(), "hostIP": "10.0.0.2",
        "hostIPs": [{ "ip": "10.0.0.2" }], "podIP": ip, "podIPs": [{ "ip": ip }],
        "conditions": conditions(pod, false),
        "containerStatuses": [waiting(pod, &json!({ "reason": "ContainerCreating" }))],
    });
    pod["status"] = status;
}

/// Pulls the image. Returns whether that worked. One that cannot be pulled is tried again, in vain.
async fn pull(world: &World, key: &Key, pod: &Value, at_once: bool) -> bool {
    let container = &pod["spec"]["containers"][0];
    let image = words(&container["image"]);
    let fails = unpullable(image);
    let present = world.images.lock().contains(image);
    if at_once || (present && container["imagePullPolicy"] != "Always") {
        let message = format!("Container image \"{image}\" already present on machine");
        world.event(pod, "Normal", "Pulled", &message);
    } else {
        while let Some(why) = &fails {
            world.event(pod, "Normal", "Pulling", &format!("Pulling image \"{image}\""));
            sleep(PULL_TIME).await;
            world.event(pod, "Warning", "Failed", &format!("Failed to pull image \"{image}\": {why}"));
            world.event(pod, "Warning", "Failed", "Error: ErrImagePull");
            wait(world, key, &json!({ "reason": "ErrImagePull", "message": why }));
            sleep(PULL_FAILURE_TIME).await;
            let message = format!("Back-off pulling image \"{image}\"");
            world.event(pod, "Normal", "BackOff", &message);
            world.event(pod, "Warning", "Failed", "Error: ImagePullBackOff");
            wait(
                world,
                key,
                &json!({ "reason": "ImagePullBackOff", "message": format!("{message}: ErrImagePull: {why}") }),
            );
            sleep(PULL_BACKOFF).await;
        }
        world.event(pod, "Normal", "Pulling", &format!("Pulling image \"{image}\""));
        let begun = Instant::now();
        sleep(PULL_TIME).await;
        let took = begun.elapsed().as_millis();
        let message = format!("Successfully pulled image \"{image}\" in {took}ms ({took}ms including waiting)");
        world.event(pod, "Normal", "Pulled", &message);
    }
    world.images.lock().insert(image.to_owned());
    let name = words(&container["name"]);
    world.event(pod, "Normal", "Created", &format!("Created container: {name}"));
    world.event(pod, "Normal", "Started", &format!("Started container {name}"));
    true
}

/// Returns the error of an image that cannot be pulled: its registry has an invalid name (RFC 6761, 6.4).
pub(super) fn unpullable(image: &str) -> Option<String> {
    let (registry, path) = image.split_once('/')?;
    let host = registry.split(':').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let (name, tag) = match last.split_once(':') {
        Some((_, tag)) => (path.strip_suffix(&format!(":{tag}")).unwrap_or(path), tag),
        None => (path, "latest"),
    };
    host.ends_with(".invalid").then(|| {
        format!(
            "rpc error: code = Unknown desc = failed to pull and unpack image \"{image}\": failed to resolve reference \
             \"{image}\": failed to do request: Head \"https://{registry}/v2/{name}/manifests/{tag}\": dial tcp: lookup \
             {host} on 10.0.0.2:53: no such host"
        )
    })
}

fn wait(world: &World, key: &Key, reason: &Value) {
    world.store.update(key, |pod| pod["status"]["containerStatuses"] = json!([waiting(pod, reason)]));
}

fn waiting(pod: &Value, reason: &Value) -> Value {
    json!({
        "name": container(pod), "image": pod["spec"]["containers"][0]["image"], "imageID": "", "lastState": {},
        "ready": false, "restartCount": 0, "started": false, "state": { "waiting": reason },
    })
}

fn running(pod: &mut Value, id: &str, ready: bool) {
    pod["status"]["phase"] = "Running".into();
    let begun = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"].clone();
    let begun = if begun.is_null() { now().into() } else { begun };
    let image = pod["spec"]["containers"][0]["image"].clone();
    pod["status"]["containerStatuses"] = json!([{
        "name": container(pod), "containerID": format!("containerd://{id}"), "image": image,
        "imageID": format!("sha256:{id}"), "lastState": {}, "ready": ready, "restartCount": 0, "started": true,
        "state": { "running": { "startedAt": begun } },
    }]);
    pod["status"]["conditions"] = conditions(pod, ready);
}

/// The deadline has passed.
fn expire(pod: &mut Value) {
    let status = &mut pod["status"];
    status["phase"] = "Failed".into();
    (status["reason"], status["message"]) = ("DeadlineExceeded".into(), DEADLINE.into());
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
            condition["status"] = "False".into();
            condition["reason"] = "PodFailed".into();
            condition["lastTransitionTime"] = now().into();
        }
    }
    for container in status["containerStatuses"].as_array_mut().into_iter().flatten() {
        container["ready"] = false.into();
    }
}

/// Its containers have noticed.
fn end(pod: &mut Value) {
    for container in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
        let begun = container["state"]["running"]["startedAt"].clone();
        if !begun.is_null() {
            container["started"] = false.into();
            let ended = json!({ "exitCode": 143, "reason": "Error", "startedAt": begun, "finishedAt": now() });
            container["state"] = json!({ "terminated": ended });
        }
    }
}

fn conditions(pod: &Value, ready: bool) -> Value {
    let ready = |kind| {
        let mut condition = condition(kind, ready);
        if !ready {
            condition["reason"] = "ContainersNotReady".into();
            condition["message"] = format!("containers with unready status: [{}]", container(pod)).into();
        }
        condition
    };
    json!([condition("Initialized", true), ready("Ready"), ready("ContainersReady"), condition("PodScheduled", true)])
}

fn condition(kind: &str, holds: bool) -> Value {
    let status = if holds { "True" } else { "False" };
    json!({ "type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": now() })
}
