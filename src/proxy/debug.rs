//! The debug container of a shell in a pod whose containers have none: an ephemeral container (Kubernetes 1.25), which
//! sees the processes of the container that it is for.

use k8s_openapi::api::core::v1::{
    Capabilities, ContainerState, EphemeralContainer, Pod, PodSecurityContext, SeccompProfile, SecurityContext,
};
use serde_json::{Value, json};

use super::project::waiting_fault;
use super::spec::{NOBODY, random};
use brow_model::fault::{Fault, What};
use brow_model::sanitize;

/// Waits for a connection to its standard input, at most two minutes, and ends with it. The node ends all else in the
/// container then. A terminal would not do: with one, containerd leaves standard input open when a connection ends
/// (`internal/cri/io/container_io.go`, `Attach`). Its output stays open, or the node would end its input.
pub(super) const HOLD: [&str; 3] = ["sh", "-c", HOLD_SCRIPT];
const HOLD_SCRIPT: &str = "if command -v timeout >/dev/null 2>&1; then timeout 120 sh -c 'read -r go' || exit; fi; \
                           exec cat";

/// The rights of a debug container, as kubectl debug has them (`pkg/cmd/debug/profiles.go`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DebugProfile {
    /// May trace processes (`SYS_PTRACE`)
    #[default]
    General,
    /// Nothing besides what the image has
    Baseline,
    /// No root, no capabilities: fits the Pod Security level restricted
    Restricted,
    /// May change the pod's network (`NET_ADMIN`, `NET_RAW`)
    Netadmin,
    /// Privileged
    Sysadmin,
}

/// A debug container that is to be added to a pod.
#[derive(Debug, Clone)]
pub struct DebugContainer<'a> {
    pub name: &'a str,
    /// An image with sh.
    pub image: &'a str,
    pub profile: DebugProfile,
    /// The container whose processes it sees.
    pub target: &'a str,
}

/// The state of a container that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DebugState {
    Waiting,
    Running,
    /// It cannot start, or has ended.
    Over(Fault),
}

/// Returns a random name for a debug container.
pub fn debug_name() -> String {
    format!("brow-debug-{}", random())
}

/// Builds the strategic merge patch of `pods/ephemeralcontainers` that adds the container to the pod.
pub fn debug_patch(debug: &DebugContainer<'_>, pod: &Pod) -> Value {
    let container = EphemeralContainer {
        name: debug.name.to_owned(),
        image: Some(debug.image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(HOLD.map(str::to_owned).to_vec()),
        stdin: Some(true),
        stdin_once: Some(true),
        target_container_name: Some(debug.target.to_owned()),
        security_context: security_context(debug, pod),
        ..EphemeralContainer::default()
    };
    json!({ "spec": { "ephemeralContainers": [container] } })
}

/// Returns true if the pod has a debug container of that name: a server that does not know them answers without it.
pub fn has_debug(pod: &Pod, name: &str) -> bool {
    let all = pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.as_ref());
    all.into_iter().flatten().any(|container| container.name == name)
}

fn security_context(debug: &DebugContainer<'_>, pod: &Pod) -> Option<SecurityContext> {
    let adds = |names: &[&str]| Capabilities {
        add: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..Capabilities::default()
    };
    Some(match debug.profile {
        DebugProfile::Baseline => return None,
        DebugProfile::General => {
            SecurityContext { capabilities: Some(adds(&["SYS_PTRACE"])), ..SecurityContext::default() }
        }
        DebugProfile::Netadmin => {
            SecurityContext { capabilities: Some(adds(&["NET_ADMIN", "NET_RAW"])), ..SecurityContext::default() }
        }
        DebugProfile::Sysadmin => SecurityContext { privileged: Some(true), ..SecurityContext::default() },
        DebugProfile::Restricted => SecurityContext {
            run_as_non_root: Some(true),
            // kubectl names none, and an image whose user is root does not start then.
            run_as_user: Some(user_of(pod, debug.target)),
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..SecurityContext::default()
        },
    })
}

/// Returns the user of a container, whose files it may read, as far as the pod names one that is not root.
fn user_of(pod: &Pod, container: &str) -> i64 {
    let spec = pod.spec.as_ref();
    let found = spec.and_then(|spec| spec.containers.iter().find(|one| one.name == container));
    let own = found.and_then(|found| found.security_context.as_ref()?.run_as_user);
    let of_pod = |context: &PodSecurityContext| context.run_as_user;
    let user = own.or_else(|| spec.and_then(|spec| spec.security_context.as_ref()).and_then(of_pod));
    user.filter(|user| *user != 0).unwrap_or(NOBODY)
}

/// Returns the state of a debug container.
pub fn debug_state(pod: &Pod, name: &str) -> DebugState {
    let statuses = pod.status.as_ref().and_then(|status| status.ephemeral_container_statuses.as_ref());
    let status = statuses.into_iter().flatten().find(|status| status.name == name);
    let Some(status) = status else { return DebugState::Waiting };
    if let Some((what, words)) = waiting_fault(status) {
        return DebugState::Over(Fault::new(what, name, sanitize::line(&words)));
    }
    match &status.state {
        Some(ContainerState { running: Some(_), .. }) => DebugState::Running,
        Some(ContainerState { terminated: Some(end), .. }) => {
            let reason = end.reason.as_deref().unwrap_or("ended");
            let words =
                format!("{reason} (exit code {}) {}", end.exit_code, end.message.as_deref().unwrap_or_default());
            DebugState::Over(Fault::new(What::PodFailed, name, sanitize::line(words.trim_end())))
        }
        Some(_) | None => DebugState::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &Value, state: &Value) -> Pod {
        let status =
            json!({ "name": "debug", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state });
        let pod = json!({
            "metadata": { "name": "web-0" }, "spec": spec, "status": { "ephemeralContainerStatuses": [status] },
        });
        serde_json::from_value(pod).unwrap()
    }

    fn context(profile: DebugProfile, spec: &Value) -> Value {
        let debug = DebugContainer { name: "debug", image: "busybox", profile, target: "app" };
        let patch = debug_patch(&debug, &pod(spec, &json!({})));
        let container = &patch["spec"]["ephemeralContainers"][0];
        // The node ends it with its standard input, which a terminal would keep open.
        for (field, value) in [
            ("stdin", json!(true)),
            ("stdinOnce", json!(true)),
            ("tty", Value::Null),
            ("targetContainerName", json!("app")),
            ("image", json!("busybox")),
        ] {
            assert_eq!(container[field], value, "{field}");
        }
        container["securityContext"].clone()
    }

    #[test]
    fn profiles_are_those_of_kubectl() {
        let spec = json!({ "containers": [{ "name": "app" }] });
        for (profile, wanted) in [
            (DebugProfile::General, json!({ "capabilities": { "add": ["SYS_PTRACE"] } })),
            (DebugProfile::Baseline, Value::Null),
            (DebugProfile::Netadmin, json!({ "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] } })),
            (DebugProfile::Sysadmin, json!({ "privileged": true })),
        ] {
            assert_eq!(context(profile, &spec), wanted, "{profile:?}");
        }
        let restricted = |user: i64| {
            json!({
                "runAsNonRoot": true, "runAsUser": user, "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
            })
        };
        let user = |user: i64| json!({ "runAsUser": user });
        for (container, of_pod, wanted) in
            [(json!({}), json!({}), NOBODY), (json!({}), user(7), 7), (user(8), user(7), 8), (user(0), user(7), NOBODY)]
        {
            let spec =
                json!({ "containers": [{ "name": "app", "securityContext": container }], "securityContext": of_pod });
            assert_eq!(context(DebugProfile::Restricted, &spec), restricted(wanted), "{spec}");
        }
    }

    #[test]
    fn it_is_told_what_keeps_a_debug_container_from_running() {
        let now = |state: &Value| debug_state(&pod(&json!({ "containers": [] }), state), "debug");
        let state = |state: &Value| match now(state) {
            DebugState::Over(fault) => Some((fault.what, fault.detail)),
            DebugState::Waiting | DebugState::Running => None,
        };
        assert_eq!(now(&json!({ "running": {} })), DebugState::Running);
        let waiting = |reason: &str| json!({ "waiting": { "reason": reason, "message": "no\u{1b} such" } });
        assert_eq!(now(&json!({})), DebugState::Waiting);
        assert_eq!(now(&waiting("ContainerCreating")), DebugState::Waiting);
        let told = |words: &str| format!("{words}: no\u{fffd} such");
        assert_eq!(state(&waiting("ErrImagePull")), Some((What::ImagePull, told("ErrImagePull"))));
        let config = "CreateContainerConfigError";
        assert_eq!(state(&waiting(config)), Some((What::ContainerConfig, told(config))));
        let ended = json!({ "terminated": { "exitCode": 127, "reason": "Error" } });
        assert_eq!(state(&ended), Some((What::PodFailed, "Error (exit code 127)".to_owned())));
    }
}
