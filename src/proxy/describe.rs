//! The description of a pod: spec, status and events.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::ListParams;

use super::lifecycle::with_timeout;
use crate::cluster::{Clusters, grant, object_fault};
use brow_model::fault::Fault;
use brow_model::proxy::{DescriptionLine, PodKey};
use brow_model::sanitize;

/// Fetches a pod and its events. If events are forbidden, a line says so.
///
/// # Errors
/// The server's refusal of the pod.
pub async fn describe(clusters: &Clusters, key: &PodKey) -> Result<Vec<DescriptionLine>, Fault> {
    let client = clusters.client(&key.cluster).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &key.namespace);
    let asked = grant("get", "pods", Some(&key.namespace));
    let pod = with_timeout(&key.cluster, pods.get(&key.name))
        .await?
        .map_err(|error| object_fault(&key.cluster, &key.name, &error, Some(asked)))?;
    let mut lines = summary(key, &pod);
    lines.push(DescriptionLine::Text(String::new()));
    let events: Api<Event> = Api::namespaced(client, &key.namespace);
    let fields = format!("involvedObject.name={},involvedObject.namespace={}", key.name, key.namespace);
    match with_timeout(&key.cluster, events.list(&ListParams::default().fields(&fields))).await? {
        Ok(list) if list.items.is_empty() => lines.push(DescriptionLine::Row("no-events", String::new())),
        Ok(mut list) => {
            lines.push(DescriptionLine::Row("events", String::new()));
            list.items.sort_by_key(when);
            lines.extend(list.items.iter().map(event).map(DescriptionLine::Text));
        }
        Err(error) => {
            lines.push(DescriptionLine::Row("events", object_fault(&key.cluster, &key.name, &error, None).detail));
        }
    }
    Ok(lines.into_iter().map(sanitized).collect())
}

fn sanitized(line: DescriptionLine) -> DescriptionLine {
    let safe = |text: String| sanitize::line(&text).into_owned();
    match line {
        DescriptionLine::Row(label, value) => DescriptionLine::Row(label, safe(value)),
        DescriptionLine::More(value) => DescriptionLine::More(safe(value)),
        DescriptionLine::Text(text) => DescriptionLine::Text(safe(text)),
    }
}

fn summary(key: &PodKey, pod: &Pod) -> Vec<DescriptionLine> {
    let mut lines = Vec::new();
    let mut row = |label: &'static str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(if label.is_empty() {
                DescriptionLine::More(value)
            } else {
                DescriptionLine::Row(label, value)
            });
        }
    };
    let (meta, spec, status) = (&pod.metadata, pod.spec.as_ref(), pod.status.as_ref());
    row("name", meta.name.clone());
    row("namespace", meta.namespace.clone());
    row("cluster", Some(key.cluster.clone()));
    row("created", meta.creation_timestamp.as_ref().map(|time| time.0.to_string()));
    row("node", spec.and_then(|spec| spec.node_name.clone()));
    row("ip", status.and_then(|status| status.pod_ip.clone()));
    row("phase", status.and_then(|status| status.phase.clone()));
    row("reason", status.and_then(|status| status.reason.clone()));
    row("message", status.and_then(|status| status.message.clone()));
    row("deadline", spec.and_then(|spec| spec.active_deadline_seconds).map(|secs| secs.to_string()));
    for (name, map) in [("labels", &meta.labels), ("annotations", &meta.annotations)] {
        for (at, (key, value)) in map.iter().flatten().enumerate() {
            row(if at == 0 { name } else { "" }, Some(format!("{key}={value}")));
        }
    }
    for container in spec.map(|spec| spec.containers.as_slice()).unwrap_or_default() {
        row("image", container.image.clone());
        let resources = container.resources.as_ref();
        let amounts = |map: Option<&std::collections::BTreeMap<String, _>>| {
            let amount = |(name, amount): (&String, &k8s_openapi::apimachinery::pkg::api::resource::Quantity)| {
                format!("{name} {}", amount.0)
            };
            map.map(|map| map.iter().map(amount).collect::<Vec<_>>().join(", "))
        };
        row("requests", amounts(resources.and_then(|resources| resources.requests.as_ref())));
        row("limits", amounts(resources.and_then(|resources| resources.limits.as_ref())));
    }
    for state in status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default() {
        row("restarts", Some(state.restart_count.to_string()));
        let waiting = state.state.as_ref().and_then(|state| state.waiting.as_ref());
        row(
            "waiting",
            waiting.map(|w| [w.reason.clone(), w.message.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ")),
        );
    }
    lines.push(DescriptionLine::Text(String::new()));
    lines.push(DescriptionLine::Row("conditions", String::new()));
    for condition in status.and_then(|status| status.conditions.as_deref()).unwrap_or_default() {
        let why =
            [condition.reason.clone(), condition.message.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let line = format!("  {:<28} {:<6} {why}", condition.type_, condition.status);
        lines.push(DescriptionLine::Text(line.trim_end().to_owned()));
    }
    lines
}

/// The time of the last occurrence, in RFC 3339 to the second. Events have it in one of two fields.
fn when(event: &Event) -> String {
    let time = event.last_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0));
    let time = time.map(|time| time.to_string()).unwrap_or_default();
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time,
    }
}

fn event(event: &Event) -> String {
    let when = when(event);
    let count = event.count.filter(|count| *count > 1).map(|count| format!(" (×{count})")).unwrap_or_default();
    let (reason, message) = (event.reason.as_deref().unwrap_or(""), event.message.as_deref().unwrap_or(""));
    format!("  {when:<21} {:<8} {reason}: {message}{count}", event.type_.as_deref().unwrap_or(""))
}
