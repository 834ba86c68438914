//! Converts Kubernetes' pods to the model's rows, once, where they arrive.

use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{INSTALLATION, MANAGED_BY, NONCE, ON_DEMAND, OWNER, TARGET, relay};
use brow_model::fault::{Fault, What};
use brow_model::proxy::{Phase, PodKey, ProxyPod};
use brow_model::sanitize;
use brow_model::ttl::Ttl;
use brow_model::workload::{is_dns_label, is_dns_name};

/// The longest part of a label or annotation that is kept, in bytes; ours are shorter.
const MAX_ANNOTATION: usize = 512;
/// The longest part of a message about a pod that is kept, in bytes.
const MAX_MESSAGE: usize = 4_096;

/// Converts a pod to a row; `None` if it is not one of ours.
pub fn project(cluster: &str, pod: &Pod) -> Option<ProxyPod> {
    let meta = &pod.metadata;
    let label = |name: &str| meta.labels.as_ref().and_then(|all| all.get(name)).map(String::as_str);
    let note = |name: &str| meta.annotations.as_ref().and_then(|all| all.get(name)).map(String::as_str);
    if label(MANAGED_BY.0) != Some(MANAGED_BY.1) {
        return None;
    }
    // Requests about it have both in their paths.
    let name = meta.name.clone().filter(|name| is_dns_name(name))?;
    let namespace = meta.namespace.clone().filter(|namespace| is_dns_label(namespace))?;
    let shown = |text| sanitize::line(clipped(text, MAX_ANNOTATION)).into_owned();
    let spec = pod.spec.as_ref();
    let container = spec.and_then(|spec| spec.containers.first());
    let port = container.and_then(|container| container.ports.as_ref()?.first()).map(|port| port.container_port);
    let target_label = clipped(label(TARGET).unwrap_or_default(), MAX_ANNOTATION).to_owned();
    let deleted = meta.deletion_timestamp.is_some();
    let (phase, fault) =
        pod.status.as_ref().map_or((Phase::Pending, None), |status| phase_and_fault(&name, status, deleted));
    Some(ProxyPod {
        uid: clipped(meta.uid.as_deref().unwrap_or_default(), MAX_ANNOTATION).to_owned(),
        target: note(TARGET).map_or_else(|| target_label.clone(), shown),
        target_label,
        owner: note(OWNER).map_or_else(|| "?".to_owned(), shown),
        installation: note(INSTALLATION).map(shown).unwrap_or_default(),
        nonce: note(NONCE).map(shown).unwrap_or_default(),
        phase,
        fault,
        created: meta.creation_timestamp.as_ref().map_or_else(Utc::now, time),
        started: pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(time),
        ttl: spec
            .and_then(|spec| spec.active_deadline_seconds)
            .and_then(|secs| Ttl::from_secs(u64::try_from(secs).ok()?)),
        port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(relay::PORT),
        node: spec.and_then(|spec| spec.node_name.as_deref()).map(shown),
        image: container.and_then(|container| container.image.as_deref()).map(shown).unwrap_or_default(),
        cpu_limit: container
            .and_then(|container| container.resources.as_ref()?.limits.as_ref()?.get("cpu"))
            .map(|limit| shown(&limit.0)),
        on_demand: note(ON_DEMAND) == Some("true"),
        key: PodKey { cluster: cluster.to_owned(), namespace, name },
    })
}

/// Cuts a text at `longest` bytes.
fn clipped(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

fn time(time: &Time) -> DateTime<Utc> {
    DateTime::from_timestamp(time.0.as_second(), 0).unwrap_or_default()
}

fn phase_and_fault(name: &str, status: &PodStatus, deleted: bool) -> (Phase, Option<Fault>) {
    let fault = |what, words: String| Some(Fault::new(what, name, clipped(&words, MAX_MESSAGE)));
    let reason = status.reason.as_deref().unwrap_or_default();
    let message = status.message.clone().unwrap_or_default();
    // Whatever else it says while it is being deleted is how the deletion looks from within.
    if deleted {
        return (Phase::Terminating, None);
    }
    match status.phase.as_deref() {
        // pkg/kubelet/active_deadline.go
        Some("Failed") if reason == "DeadlineExceeded" => return (Phase::Expired, fault(What::PodExpired, message)),
        Some("Failed") if reason == "Evicted" => return (Phase::Failed, fault(What::Evicted, message)),
        Some("Failed") => {
            let ended = ended(status);
            let words: Vec<&str> = [reason, &message, &ended].into_iter().filter(|words| !words.is_empty()).collect();
            return (Phase::Failed, fault(What::PodFailed, words.join(": ")));
        }
        Some("Succeeded") => return (Phase::Succeeded, None),
        Some(_) | None => {}
    }
    let relay = status.container_statuses.as_ref().and_then(|all| all.first());
    if let Some((what, words)) = relay.and_then(waiting_fault) {
        return (Phase::Pulling, fault(what, words));
    }
    if let Some(words) = unschedulable(status) {
        return (Phase::Pending, fault(What::Unschedulable, words));
    }
    let running = relay.and_then(|relay| relay.state.as_ref()).is_some_and(|state| state.running.is_some());
    let phase = if running {
        if is_true(status, "Ready") { Phase::Ready } else { Phase::Starting }
    } else if is_true(status, "PodScheduled") {
        Phase::Pulling
    } else {
        Phase::Pending
    };
    (phase, None)
}

/// Returns the reason why a container waits, if that is an error (`pkg/kubelet/images/types.go`,
/// `pkg/kubelet/kuberuntime/kuberuntime_container.go`).
pub(super) fn waiting_fault(relay: &ContainerStatus) -> Option<(What, String)> {
    let waiting = relay.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let what = match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable" => What::ImagePull,
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => What::ContainerConfig,
        "ContainerCreating" | "PodInitializing" => return None,
        _ => What::PodFailed,
    };
    let words = waiting.message.as_deref().map_or_else(|| reason.to_owned(), |message| format!("{reason}: {message}"));
    Some((what, words))
}

/// Returns the scheduler's message if no node takes the pod.
fn unschedulable(status: &PodStatus) -> Option<String> {
    let scheduled = condition(status, "PodScheduled")?;
    let no = scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable");
    no.then(|| scheduled.message.clone().unwrap_or_default())
}

/// Describes the end of the container.
fn ended(status: &PodStatus) -> String {
    let state = status.container_statuses.as_ref().and_then(|all| all.first()?.state.as_ref());
    let Some(ContainerState { terminated: Some(end), .. }) = state else {
        return String::new();
    };
    let reason = end.reason.as_deref().unwrap_or("ended");
    let words = end.message.as_deref().unwrap_or_default();
    format!("{reason} (exit code {}) {words}", end.exit_code).trim_end().to_owned()
}

fn is_true(status: &PodStatus, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition.status == "True")
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Option<ProxyPod> {
        named("team", "brow-x-bcdfgh", status)
    }

    fn named(namespace: &str, name: &str, status: &Value) -> Option<ProxyPod> {
        let pod = json!({
            "metadata": {
                "name": name, "namespace": namespace, "uid": "u",
                "labels": {MANAGED_BY.0: MANAGED_BY.1, TARGET: "x"},
                "annotations": {OWNER: "ann\u{1b}@laptop", TARGET: "x y"},
                "creationTimestamp": "2026-01-02T12:00:00Z",
            },
            "spec": {
                "activeDeadlineSeconds": 60,
                "containers": [{"name": "relay", "image": "i", "ports": [{"containerPort": 10800}]}],
            },
            "status": status,
        });
        project("dev", &serde_json::from_value(pod).unwrap())
    }

    fn waiting(reason: &str) -> Value {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}],
               "containerStatuses": [{"name": "relay", "image": "", "imageID": "", "ready": false, "restartCount": 0,
               "state": {"waiting": {"reason": reason, "message": "says so"}}}]})
    }

    #[test]
    fn phases_and_reasons() {
        let running = |ready: &str| {
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}],
                   "containerStatuses": [{"name": "relay", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                   "state": {"running": {}}}]})
        };
        let unschedulable = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                                   "reason": "Unschedulable", "message": "0/1 nodes"}]});
        for (status, phase, what) in [
            (json!({"phase": "Pending"}), Phase::Pending, None),
            (unschedulable, Phase::Pending, Some(What::Unschedulable)),
            (waiting("ContainerCreating"), Phase::Pulling, None),
            (waiting("ErrImagePull"), Phase::Pulling, Some(What::ImagePull)),
            (waiting("ImagePullBackOff"), Phase::Pulling, Some(What::ImagePull)),
            (waiting("CreateContainerConfigError"), Phase::Pulling, Some(What::ContainerConfig)),
            (running("False"), Phase::Starting, None),
            (running("True"), Phase::Ready, None),
            (json!({"phase": "Failed", "reason": "DeadlineExceeded"}), Phase::Expired, Some(What::PodExpired)),
            (json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}), Phase::Failed, Some(What::Evicted)),
            (json!({"phase": "Failed"}), Phase::Failed, Some(What::PodFailed)),
            (json!({"phase": "Succeeded"}), Phase::Succeeded, None),
        ] {
            let row = pod(&status).unwrap();
            assert_eq!((row.phase, row.fault.map(|fault| fault.what)), (phase, what), "{status}");
        }
    }

    #[test]
    fn a_pod_whose_name_is_none_is_no_pod() {
        let status = json!({"phase": "Pending"});
        assert!(named("team", "brow-x", &status).is_some());
        for (namespace, name) in [("..", "brow-x"), ("team/pods/x", "brow-x"), ("team", "../brow-x"), ("team", "a?b")] {
            assert_eq!(named(namespace, name, &status), None, "{namespace} {name}");
        }
    }

    #[test]
    fn no_pod_is_larger_than_a_row() {
        let long = "数".repeat(1 << 20);
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "brow-x", "namespace": "team", "labels": { MANAGED_BY.0: MANAGED_BY.1, TARGET: long } },
            "spec": { "nodeName": long, "containers": [{ "name": "relay", "image": long }] },
            "status": { "phase": "Failed", "reason": long, "message": long },
        }))
        .unwrap();
        let notes = [TARGET, OWNER, INSTALLATION, NONCE].map(|name| (name.to_owned(), long.clone()));
        pod.metadata.annotations = Some(notes.into());
        pod.metadata.uid = Some(long);
        let row = format!("{:?}", project("dev", &pod).unwrap());
        assert!(row.len() < 16 << 10, "{} bytes", row.len());
    }

    #[test]
    fn what_others_wrote_is_shown_without_escapes() {
        let row = pod(&json!({"phase": "Pending", "startTime": "2026-01-02T12:00:01Z"})).unwrap();
        assert_eq!((row.owner.as_str(), row.target.as_str(), row.port), ("ann\u{fffd}@laptop", "x y", 10_800));
        assert_eq!(row.deadline().unwrap().to_rfc3339(), "2026-01-02T12:01:01+00:00");
    }
}
