//! Making and unmaking pods: what the API server checks, fills in and says.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::kinds::Kind;
use super::kubelet;
use super::response::Refusal;
use super::store::Key;
use super::world::{World, hex, now, time, uid, words};

/// The namespace whose quota is used up.
pub(super) const FULL_NAMESPACE: &str = "full";

/// The message about an invalid name (`apimachinery/pkg/util/validation`, `IsDNS1123Subdomain`).
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Creates the pod that a request's body describes; `keep` is false for a dry run.
pub(super) fn create(
    world: &Arc<World>,
    kind: &Kind,
    namespace: &str,
    mut pod: Value,
    keep: bool,
) -> Result<Arc<Value>, Refusal> {
    if pod["kind"] != "Pod" || pod["apiVersion"] != "v1" {
        return Err(Refusal::bad("the object provided is unrecognized (must be of type Pod)"));
    }
    serde_json::from_value::<Pod>(pod.clone())
        .map_err(|error| Refusal::bad(format!("Pod in version \"v1\" cannot be handled as a Pod: {error}")))?;
    match pod["metadata"]["namespace"].as_str() {
        Some(own) if own != namespace => {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Refusal::bad(message));
        }
        Some(_) | None => pod["metadata"]["namespace"] = namespace.into(),
    }
    if world.store.get(&Key::new("namespaces", "", namespace)).is_none() {
        return Err(Kind::find("", "namespaces")
            .map_or_else(Refusal::nowhere, |namespaces| Refusal::no_such(namespaces, namespace)));
    }
    if let (None, Some(prefix)) = (pod["metadata"]["name"].as_str(), pod["metadata"]["generateName"].as_str()) {
        let name = format!("{prefix}{}", hex(5));
        pod["metadata"]["name"] = name.into();
    }
    check(kind, &pod)?;
    let name = words(&pod["metadata"]["name"]).to_owned();
    if namespace == FULL_NAMESPACE {
        let why = "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1";
        return Err(Refusal::forbidden(kind, &name, why));
    }
    if keep {
        admit(world, pod, false).map_err(|()| Refusal::exists(kind, &name))
    } else {
        complete(&mut pod);
        Ok(Arc::new(pod))
    }
}

fn check(kind: &Kind, pod: &Value) -> Result<(), Refusal> {
    let (name, spec) = (words(&pod["metadata"]["name"]), &pod["spec"]);
    let invalid = |field: &str, why: &str| Err(Refusal::invalid(kind, name, field, why));
    if name.is_empty() {
        return invalid("metadata.name", "Required value: name or generateName is required");
    }
    let label = |part: &str| {
        let ends = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.bytes().next().is_some_and(ends)
            && part.bytes().next_back().is_some_and(ends)
            && part.bytes().all(|c| ends(c) || c == b'-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return invalid("metadata.name", &format!("Invalid value: \"{name}\": {SUBDOMAIN}"));
    }
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        return invalid("spec.containers", "Required value");
    }
    for (at, container) in spec["containers"].as_array().into_iter().flatten().enumerate() {
        if words(&container["image"]).is_empty() {
            return invalid(&format!("spec.containers[{at}].image"), "Required value");
        }
    }
    match spec["activeDeadlineSeconds"].as_i64() {
        Some(seconds) if seconds < 1 => invalid(
            "spec.activeDeadlineSeconds",
            &format!("Invalid value: {seconds}: must be between 1 and 2147483647, inclusive"),
        ),
        Some(_) | None => Ok(()),
    }
}

/// Keeps a pod and has it run; fails where there is one of that name. `at_once`: it has been running all along.
pub(super) fn admit(world: &Arc<World>, mut pod: Value, at_once: bool) -> Result<Arc<Value>, ()> {
    complete(&mut pod);
    let meta = &pod["metadata"];
    let key = Key::new("pods", words(&meta["namespace"]), words(&meta["name"]));
    let uid = words(&meta["uid"]).to_owned();
    let kept = world.store.insert(key.clone(), pod).map_err(|_| ())?;
    let run = world.run(&uid);
    let task = kubelet::live(Arc::clone(world), key, run.clone(), at_once);
    world.spawn(async move {
        run.stopped.run_until_cancelled(task).await;
    });
    Ok(kept)
}

/// Fills in what the API server does: identity, defaults, the first status.
fn complete(pod: &mut Value) {
    let meta = &mut pod["metadata"];
    meta["uid"] = uid().into();
    meta["creationTimestamp"] = now().into();
    if let Some(meta) = meta.as_object_mut() {
        meta.remove("resourceVersion");
        meta.retain(|_, value| !value.is_null());
    }
    let spec = &mut pod["spec"];
    let tolerates = |key: &str| {
        let key = format!("node.kubernetes.io/{key}");
        json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 })
    };
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    tolerations.extend(["not-ready", "unreachable"].map(tolerates));
    spec["tolerations"] = tolerations.into();
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("enableServiceLinks", json!(true)),
        ("securityContext", json!({})),
        ("serviceAccountName", json!("default")),
        ("serviceAccount", json!("default")),
        ("priority", json!(0)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
    ] {
        default(spec, field, value);
    }
    let mut set = (0, 0);
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        let image = words(&container["image"]);
        let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
        let policy = if tag.is_none_or(|tag| tag == "latest") { "Always" } else { "IfNotPresent" };
        default(container, "imagePullPolicy", policy.into());
        default(container, "terminationMessagePath", "/dev/termination-log".into());
        default(container, "terminationMessagePolicy", "File".into());
        default(container, "resources", json!({}));
        let resources = &container["resources"];
        set.0 += usize::from(resources["requests"].is_object() || resources["limits"].is_object());
        set.1 += usize::from(resources["limits"].is_object() && resources["requests"] == resources["limits"]);
    }
    let class = match set {
        (0, _) => "BestEffort",
        (all, guaranteed) if all == guaranteed => "Guaranteed",
        _ => "Burstable",
    };
    pod["status"] = json!({ "phase": "Pending", "qosClass": class });
}

fn default(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}

/// Deletes a pod as `DeleteOptions` ask for: at once, or marked and ended within its grace period.
pub(super) fn delete(
    world: &Arc<World>,
    kind: &Kind,
    key: &Key,
    options: &Value,
    grace: Option<i64>,
) -> Result<Arc<Value>, Refusal> {
    let pod = world.store.get(key).ok_or_else(|| Refusal::no_such(kind, &key.name))?;
    let meta = &pod["metadata"];
    // `apiserver/pkg/registry/rest/delete.go`
    for (field, name, end) in
        [("uid", "UID", "deleted and then recreated"), ("resourceVersion", "ResourceVersion", "modified")]
    {
        let wanted = &options["preconditions"][field];
        if !wanted.is_null() && *wanted != meta[field] {
            let (wanted, is) = (words(wanted), words(&meta[field]));
            let why = format!(
                "the {name} in the precondition ({wanted}) does not match the {name} in record ({is}). The object might \
                 have been {end}"
            );
            return Err(Refusal::conflict(kind, &key.name, &why));
        }
    }
    let finished = matches!(words(&pod["status"]["phase"]), "Failed" | "Succeeded");
    let wished = options["gracePeriodSeconds"].as_i64().or(grace);
    let grace = wished.or(pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0);
    let pod_uid = words(&meta["uid"]).to_owned();
    if grace == 0 || finished || pod["spec"]["nodeName"].is_null() {
        world.end_run(&pod_uid);
        return world.store.remove(key, &pod_uid).ok_or_else(|| Refusal::no_such(kind, &key.name));
    }
    if !meta["deletionTimestamp"].is_null() {
        return Ok(pod);
    }
    let marked = world.store.update(key, |pod| {
        pod["metadata"]["deletionTimestamp"] = time(Utc::now() + TimeDelta::seconds(grace)).into();
        pod["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    });
    world.event(&pod, "Normal", "Killing", &format!("Stopping container {}", kubelet::container(&pod)));
    let (at, key) = (Arc::clone(world), key.clone());
    world.spawn(async move {
        sleep(kubelet::STOP_TIME.min(Duration::from_secs(grace.unsigned_abs()))).await;
        at.end_run(&pod_uid);
        at.store.remove(&key, &pod_uid);
    });
    Ok(marked.unwrap_or(pod))
}
