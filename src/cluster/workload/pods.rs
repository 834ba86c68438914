//! The watch on a workload's pods: which of them run, and which port they have.

use std::collections::BTreeMap;

use chrono::DateTime;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, Pod};
use kube::Api;
use kube::api::ListParams;
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::endpoints;
use super::object::{self, SourceState};
use super::query::{ClusterAccess, Query};
use super::report::BackendReporter;
use super::selection::{self, BackendSource, PodSelector, Selection};
use brow_model::backend::Backend;
use brow_model::fault::{Fault, What};
use brow_model::proxy::PodKey;
use brow_model::route::Via;
use brow_model::sanitize;
use brow_model::workload::is_dns_name;

/// The number of pods that don't run which a fault names.
const MAX_REPORTED: usize = 3;
/// The most pods that are tracked: more than a forward ever uses.
pub(super) const MAX_PODS: usize = 5_000;

/// Follows the current source of backends. Never completes.
pub(super) async fn follow(
    access: &ClusterAccess,
    mut states: watch::Receiver<SourceState>,
    reporter: &mut BackendReporter,
) {
    loop {
        let state = states.borrow_and_update().clone();
        let watching = async {
            match state {
                SourceState::Known(BackendSource::Pods(selection)) => watch_pods(access, &selection, reporter).await,
                SourceState::Known(BackendSource::Address(address)) => reporter.relay(address).await,
                SourceState::Known(BackendSource::Endpoints(port)) => {
                    endpoints::follow(access, port.as_deref(), reporter).await;
                }
                SourceState::Invalid(fault) => reporter.no_backend(fault).await,
                SourceState::Unknown(fault) => reporter.unknown(fault).await,
                SourceState::Pending => report_silence(reporter).await,
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = watching => {}
            changed = states.changed() => if changed.is_err() {
                // Nothing will change any more.
                return std::future::pending().await;
            },
        }
    }
}

/// Reports a timeout if the server does not answer for as long as pods are waited for.
async fn report_silence(reporter: &mut BackendReporter) {
    let workload = reporter.query.workload.clone();
    sleep_until(Instant::now() + workload.patience()).await;
    let cluster = reporter.query.cluster.clone();
    let fault = Fault::new(What::TimedOut, cluster, "");
    reporter.unknown(fault).await;
}

/// A pod of a selection.
struct Known {
    backend: Result<Backend, Unusable>,
}

/// The reason why a pod cannot be used.
enum Unusable {
    /// It does not run; its state in a few words.
    NotRunning(String),
    /// It has no port of that name; the names that it has.
    NoPort(Vec<String>),
}

/// The pods of a selection, as a watch reports them.
#[derive(Default)]
struct PodList {
    pods: BTreeMap<String, Known>,
    /// The pods of a list that has begun.
    next: BTreeMap<String, Known>,
    /// True once a list was received to its end.
    is_whole: bool,
}

impl PodList {
    /// Takes up an event; returns true if the pods may have changed.
    fn take(&mut self, event: watcher::Event<Pod>, known: impl Fn(&Pod) -> Known) -> bool {
        match event {
            watcher::Event::Init => {
                self.next.clear();
                return false;
            }
            watcher::Event::InitApply(pod) => {
                if self.next.len() < MAX_PODS {
                    self.next.insert(name(&pod), known(&pod));
                }
                return false;
            }
            watcher::Event::InitDone => {
                self.is_whole = true;
                self.pods = std::mem::take(&mut self.next);
            }
            watcher::Event::Apply(pod) if self.pods.len() >= MAX_PODS && !self.pods.contains_key(&name(&pod)) => {
                return false;
            }
            watcher::Event::Apply(pod) => {
                self.pods.insert(name(&pod), known(&pod));
            }
            watcher::Event::Delete(pod) => {
                self.pods.remove(&name(&pod));
            }
        }
        true
    }
}

async fn watch_pods(access: &ClusterAccess, selection: &Selection, reporter: &mut BackendReporter) {
    let query = reporter.query.clone();
    let api: Api<Pod> = Api::namespaced(access.client(), &query.namespace);
    let config = match &selection.pods {
        PodSelector::Labels(labels) => watcher::Config::default().labels(labels),
        PodSelector::Named(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
    };
    let mut stream = access.watch(&query, api.clone(), config);
    let mut list = PodList::default();
    let mut until = Some(Instant::now() + query.workload.patience());
    let (mut had_backend, mut lapsed) = (reporter.had, false);
    loop {
        let next = tokio::select! {
            next = stream.next() => next,
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                (until, lapsed) = (None, true);
                if list.is_whole {
                    reporter.no_backend(no_pod_runs(&query, &list.pods)).await;
                } else {
                    reporter.unknown(Fault::new(What::TimedOut, &query.cluster, "")).await;
                }
                continue;
            }
        };
        let event = match next {
            Ok(event) => event,
            Err(error) => {
                if let Some(problem) = object::problem(&query, "pods", &error) {
                    until = None;
                    reporter.problem(problem).await;
                }
                continue;
            }
        };
        if !list.take(event, |pod| known(&query, selection, pod)) {
            continue;
        }
        let pods = &list.pods;
        let running: Vec<Backend> = pods.values().filter_map(|known| known.backend.as_ref().ok().cloned()).collect();
        if !running.is_empty() {
            (until, had_backend, lapsed) = (None, true, false);
            reporter.pods(running).await;
        } else if let Some(fault) = permanent_fault(&api, &query, selection, pods, had_backend).await {
            until = None;
            reporter.no_backend(fault).await;
        } else if had_backend || (until.is_none() && !lapsed) {
            // There was one, or a reason that is gone: now another one is waited for.
            (until, had_backend) = (Some(Instant::now() + query.workload.patience()), false);
            reporter.pods(Vec::new()).await;
        }
    }
}

/// Returns a fault that waiting cannot resolve: a port that no pod has, or the name of a pod that never existed.
async fn permanent_fault(
    api: &Api<Pod>,
    query: &Query,
    selection: &Selection,
    pods: &BTreeMap<String, Known>,
    had_backend: bool,
) -> Option<Fault> {
    let ports = pods.values().find_map(|known| match &known.backend {
        Err(Unusable::NoPort(ports)) => Some(ports.join(", ")),
        Err(Unusable::NotRunning(_)) | Ok(_) => None,
    });
    if let Some(ports) = ports {
        return Some(Fault::new(What::PortMissing, query.workload.to_string(), ports));
    }
    if had_backend || !pods.is_empty() || !matches!(selection.pods, PodSelector::Named(_)) {
        return None;
    }
    let listed = api.list_metadata(&ListParams::default().limit(500)).await.ok()?;
    let names: Vec<String> = listed.items.into_iter().filter_map(|pod| pod.metadata.name).collect();
    Some(object::not_found(query, &names))
}

/// Returns the fault if no pod runs after the wait.
fn no_pod_runs(query: &Query, pods: &BTreeMap<String, Known>) -> Fault {
    let idle = pods.iter().filter_map(|(name, known)| match &known.backend {
        Err(Unusable::NotRunning(words)) => Some(format!("{name}: {words}")),
        Err(Unusable::NoPort(_)) | Ok(_) => None,
    });
    let words: Vec<String> = idle.take(MAX_REPORTED).collect();
    Fault::new(What::NoPodRuns, query.workload.to_string(), words.join("; "))
}

/// Returns the fault if none of a workload's pods runs.
pub(super) fn none_runs(query: &Query, pods: &[Pod]) -> Fault {
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let words =
        pods.iter().take(MAX_REPORTED).map(|pod| format!("{}: {}", name(pod), describe_state(&phase(pod), pod)));
    Fault::new(What::NoPodRuns, query.workload.to_string(), words.collect::<Vec<_>>().join("; "))
}

/// Returns whether a pod is ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(super) fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

fn known(query: &Query, selection: &Selection, pod: &Pod) -> Known {
    Known { backend: backend(query, selection, pod) }
}

fn backend(query: &Query, selection: &Selection, pod: &Pod) -> Result<Backend, Unusable> {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    // Requests about it have it in their paths.
    if !is_dns_name(&name(pod)) {
        return Err(Unusable::NotRunning("its name cannot be one".to_owned()));
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return Err(Unusable::NotRunning("Terminating".to_owned()));
    }
    if phase != "Running" {
        return Err(Unusable::NotRunning(describe_state(phase, pod)));
    }
    let port = selection::port_in(pod, &selection.port).map_err(Unusable::NoPort)?;
    let created = pod.metadata.creation_timestamp.as_ref();
    Ok(Backend {
        via: Via {
            pod: PodKey { cluster: query.cluster.clone(), namespace: query.namespace.clone(), name: name(pod) },
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            port,
            to: None,
            node: None,
        },
        ready: is_ready(pod),
        created: created.and_then(|time| DateTime::from_timestamp(time.0.as_second(), 0)).unwrap_or_default(),
    })
}

/// Describes a pod that does not run, such as `Pending (ImagePullBackOff: …)` or `Failed (Evicted: …)`: the phase, and
/// the reason of the pod, else of a container that waits or has ended.
fn describe_state(phase: &str, pod: &Pod) -> String {
    let Some(status) = &pod.status else {
        return phase.to_owned();
    };
    let said = |reason: Option<&String>, message: Option<&String>| {
        let words = [reason, message].into_iter().flatten().filter(|words| !words.is_empty());
        let words: Vec<&str> = words.map(String::as_str).collect();
        (!words.is_empty()).then(|| words.join(": "))
    };
    let ended = |end: &ContainerStateTerminated| {
        let code = format!("{} (exit code {})", end.reason.as_deref().unwrap_or("ended"), end.exit_code);
        said(Some(&code), end.message.as_ref()).filter(|_| end.exit_code != 0)
    };
    let of_container = |state: &ContainerState| match (&state.waiting, &state.terminated) {
        // One that waits for others says nothing.
        (Some(waiting), _) if waiting.reason.as_deref() == Some("PodInitializing") => None,
        (Some(waiting), _) => said(waiting.reason.as_ref(), waiting.message.as_ref()),
        (None, Some(end)) => ended(end),
        (None, None) => None,
    };
    let inits = status.init_container_statuses.iter().flatten();
    let mut containers = inits.chain(status.container_statuses.iter().flatten());
    let reason = said(status.reason.as_ref(), status.message.as_ref())
        .or_else(|| containers.find_map(|container| of_container(container.state.as_ref()?)));
    reason.map_or_else(|| phase.to_owned(), |reason| format!("{phase} ({})", sanitize::line(&reason)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use brow_model::workload::Port;

    fn query() -> Query {
        Query { cluster: "dev".into(), namespace: "default".into(), workload: "deployment/web:http".parse().unwrap() }
    }

    fn found(status: &Value, deleted: bool) -> Result<Backend, String> {
        let mut pod = json!({
            "metadata": { "name": "web-1", "uid": "u1", "creationTimestamp": "2026-01-02T03:04:05Z" },
            "spec": { "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": 8080 }] }] },
            "status": status,
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:05:05Z");
        }
        let selection = Selection { pods: PodSelector::Labels("app=web".into()), port: Port::Name("http".into()) };
        backend(&query(), &selection, &serde_json::from_value(pod).unwrap()).map_err(|idle| match idle {
            Unusable::NotRunning(words) => words,
            Unusable::NoPort(ports) => ports.join(","),
        })
    }

    #[test]
    fn running_pods_are_gone_through_and_others_say_why_not() {
        let ready = |status: &str| json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": status }] });
        let backend = found(&ready("True"), false).unwrap();
        assert!(backend.ready);
        assert_eq!((backend.via.port, backend.created.timestamp()), (8080, 1_767_323_045));
        assert!(!found(&ready("False"), false).unwrap().ready);
        assert!(!found(&json!({ "phase": "Running" }), false).unwrap().ready);
        let selection = Selection { pods: PodSelector::Named("web-1".into()), port: Port::Number(80) };
        let odd = json!({ "metadata": { "name": "../web-1" }, "status": ready("True") });
        assert!(super::backend(&query(), &selection, &serde_json::from_value(odd).unwrap()).is_err());
        assert_eq!(found(&ready("True"), true).unwrap_err(), "Terminating");
        assert_eq!(found(&json!({ "phase": "Succeeded" }), false).unwrap_err(), "Succeeded");
        assert_eq!(found(&json!({}), false).unwrap_err(), "Pending");
        let pulling = json!({ "phase": "Pending", "containerStatuses": [{
            "name": "c", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no\u{1b} such image" } },
        }] });
        assert_eq!(found(&pulling, false).unwrap_err(), "Pending (ImagePullBackOff: no\u{fffd} such image)");
    }

    #[test]
    fn a_pod_that_failed_says_why() {
        let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on\u{1b} memory." });
        assert_eq!(found(&evicted, false).unwrap_err(), "Failed (Evicted: The node was low on\u{fffd} memory.)");
        let container = |state: &Value| json!({ "name": "c", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state });
        let waits = container(&json!({ "waiting": { "reason": "PodInitializing" } }));
        let ended = container(&json!({ "terminated": { "reason": "Error", "exitCode": 3, "message": "no config" } }));
        let fails = container(&json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } }));
        let failed = json!({ "phase": "Failed", "containerStatuses": [ended] });
        assert_eq!(found(&failed, false).unwrap_err(), "Failed (Error (exit code 3): no config)");
        let init = json!({ "phase": "Pending", "initContainerStatuses": [fails], "containerStatuses": [waits] });
        assert_eq!(found(&init, false).unwrap_err(), "Pending (CrashLoopBackOff: back-off)");
        let starts = json!({ "phase": "Pending", "containerStatuses": [waits] });
        assert_eq!(found(&starts, false).unwrap_err(), "Pending");
    }
}
