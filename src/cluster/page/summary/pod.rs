//! The containers of a pod, and its state in a word.

use serde_json::Value;

use super::super::refs::{items, kind_of, text};
use super::number;
use brow_model::page::{ContainerRow, Tone};
use brow_model::sanitize;

/// Returns the containers of a pod, those that run before the others last.
pub(super) fn containers(object: &Value) -> Vec<ContainerRow> {
    if kind_of(object) != ("", "Pod") {
        return Vec::new();
    }
    let of = |field: &str, statuses: &str, init: bool| {
        let known = &object["status"][statuses];
        let row = |container: &Value| {
            let status = items(known).find(|status| status["name"] == container["name"]).unwrap_or(&Value::Null);
            row(container, status, init)
        };
        items(&object["spec"][field]).map(row).collect::<Vec<_>>()
    };
    let mut all = of("containers", "containerStatuses", false);
    all.extend(of("initContainers", "initContainerStatuses", true));
    all.extend(of("ephemeralContainers", "ephemeralContainerStatuses", false));
    all
}

fn row(container: &Value, status: &Value, init: bool) -> ContainerRow {
    let field = |value: &Value| sanitize::line(text(value)).into_owned();
    let ready = status["ready"].as_bool().unwrap_or_default();
    let (state, last) = (state(&status["state"]), state_words(&status["lastState"]));
    let done = status["state"]["terminated"]["exitCode"] == 0;
    let tone = match state.as_str() {
        "Running" if ready || init => Tone::Good,
        "Running" | "ContainerCreating" | "PodInitializing" | "" => Tone::Warn,
        _ if done => Tone::Dim,
        _ => Tone::Bad,
    };
    ContainerRow {
        name: field(&container["name"]),
        image: field(&container["image"]),
        init,
        ready,
        restarts: number(&status["restartCount"]),
        state: if status["state"]["terminated"].is_object() { state_words(&status["state"]) } else { state },
        last,
        tone,
    }
}

/// Returns a container's state in a word.
fn state(state: &Value) -> String {
    if state["running"].is_object() {
        return "Running".to_owned();
    }
    let reason = [&state["waiting"]["reason"], &state["terminated"]["reason"]].map(text);
    let found = reason.into_iter().find(|reason| !reason.is_empty());
    sanitize::line(found.unwrap_or_default()).into_owned()
}

/// Returns the end of a run: its reason and exit code.
fn state_words(state: &Value) -> String {
    let ended = &state["terminated"];
    if !ended.is_object() {
        return String::new();
    }
    let code = match (ended["signal"].as_i64(), ended["exitCode"].as_i64()) {
        (Some(signal), _) if signal != 0 => format!("signal {signal}"),
        (_, Some(code)) => code.to_string(),
        (_, None) => String::new(),
    };
    format!("{} {code}", sanitize::line(text(&ended["reason"]))).trim().to_owned()
}

/// Returns a pod's state as kubectl prints it, its ready containers, and all its restarts.
pub(super) fn stands(pod: &Value) -> (String, (u64, u64), u64, Tone) {
    let status = &pod["status"];
    let all = items(&pod["spec"]["containers"]).count();
    let containers: Vec<&Value> = items(&status["containerStatuses"]).collect();
    let ready = containers.iter().filter(|state| state["ready"] == true).count();
    let restarts = containers.iter().map(|state| number(&state["restartCount"])).sum();
    let waits = |state: &&Value| state["state"]["waiting"]["reason"].as_str().map(str::to_owned);
    let init =
        items(&status["initContainerStatuses"]).find_map(|state| waits(&state).filter(|r| r != "PodInitializing"));
    let word = if pod["metadata"]["deletionTimestamp"].is_string() {
        "Terminating".to_owned()
    } else {
        let reason = status["reason"].as_str().map(str::to_owned);
        let waiting = containers.iter().find_map(waits);
        reason.or(init).or(waiting).unwrap_or_else(|| text(&status["phase"]).to_owned())
    };
    let tone = match word.as_str() {
        "Running" if ready == all => Tone::Good,
        "Succeeded" | "Completed" => Tone::Dim,
        "Running" | "Pending" | "ContainerCreating" | "PodInitializing" | "Terminating" => Tone::Warn,
        _ => Tone::Bad,
    };
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    (sanitize::line(&word).into_owned(), (count(ready), count(all)), restarts, tone)
}
