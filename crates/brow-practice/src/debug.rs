//! Ephemeral containers: added to a pod, run beside its container, and never removed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::kinds::Kind;
use super::kubelet::unpullable;
use super::response::Refusal;
use super::store::Key;
use super::world::{World, hex, now, words};

/// The time from a container's entry to its start.
const START_TIME: Duration = Duration::from_millis(500);

/// Adds what a patch names to a pod.
pub(super) fn patch(world: &Arc<World>, kind: &Kind, key: &Key, patch: &Value) -> Result<Arc<Value>, Refusal> {
    let pod = world.store.get(key).ok_or_else(|| Refusal::no_such(kind, &key.name))?;
    let new = patch["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    let field = "spec.ephemeralContainers";
    for container in &new {
        let name = words(&container["name"]);
        if containers(&pod).any(|one| one["name"] == name) {
            return Err(Refusal::invalid(
                kind,
                &key.name,
                field,
                "Forbidden: existing ephemeral containers may not be changed",
            ));
        }
        if words(&container["image"]).is_empty() {
            return Err(Refusal::invalid(kind, &key.name, &format!("{field}[0].image"), "Required value"));
        }
    }
    let changed = world.store.update(key, |pod| {
        let mut all = pod["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
        all.extend(new.iter().cloned());
        pod["spec"]["ephemeralContainers"] = all.into();
    });
    for container in new {
        let (own, key) = (Arc::clone(world), key.clone());
        world.spawn(async move { start(&own, &key, &container).await });
    }
    changed.ok_or_else(|| Refusal::no_such(kind, &key.name))
}

/// Returns the containers of a pod, the ephemeral ones too.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let spec = &pod["spec"];
    let of = |field: &str| spec[field].as_array().into_iter().flatten();
    of("containers").chain(of("ephemeralContainers"))
}

async fn start(world: &World, key: &Key, container: &Value) {
    let (name, image) = (words(&container["name"]), words(&container["image"]));
    tell(world, key, name, image, &json!({ "waiting": { "reason": "ContainerCreating" } }));
    sleep(START_TIME).await;
    let state = match unpullable(image) {
        Some(why) => json!({ "waiting": { "reason": "ErrImagePull", "message": why } }),
        None => json!({ "running": { "startedAt": now() } }),
    };
    tell(world, key, name, image, &state);
}

/// Sets the state of an ephemeral container.
fn tell(world: &World, key: &Key, name: &str, image: &str, state: &Value) {
    let status = json!({
        "name": name, "image": image, "imageID": "", "containerID": format!("containerd://{}", hex(64)), "lastState": {},
        "ready": false, "restartCount": 0, "state": state,
    });
    world.store.update(key, |pod| {
        let all = pod["status"]["ephemeralContainerStatuses"].as_array().cloned().unwrap_or_default();
        let others = all.into_iter().filter(|one| one["name"] != name);
        pod["status"]["ephemeralContainerStatuses"] = others.chain([status]).collect();
    });
}

/// The connection to a container's standard input: the container ends with it.
pub(super) struct Attached {
    pub world: Arc<World>,
    pub key: Key,
    pub container: String,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let ended = json!({ "terminated": { "exitCode": 0, "reason": "Completed", "finishedAt": now() } });
        tell(&self.world, &self.key, &self.container, "", &ended);
    }
}
