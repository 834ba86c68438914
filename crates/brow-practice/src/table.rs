//! Objects as kubectl's table (`Table`, meta.k8s.io/v1): the server makes the columns, kubectl only prints them
//! (`pkg/printers/internalversion/printers.go`).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::world::words;

const COLUMNS: [(&str, &str); 5] =
    [("Name", "string"), ("Ready", "string"), ("Status", "string"), ("Restarts", "string"), ("Age", "string")];

/// A table of these objects, which may be pods, with the metadata of a list. Its rows have the objects whole, or their
/// metadata.
pub(super) fn of<'a>(objects: impl Iterator<Item = &'a Value>, (pods, whole): (bool, bool), meta: &Value) -> Value {
    // All that the server knows of other kinds here are the first and the last.
    let shown = COLUMNS.iter().enumerate().filter(|(at, _)| pods || *at == 0 || *at == COLUMNS.len() - 1);
    let columns = shown.map(|(_, (name, kind))| {
        let format = if *name == "Name" { "name" } else { "" };
        json!({ "name": name, "type": kind, "format": format, "description": "", "priority": 0 })
    });
    let columns: Vec<Value> = columns.collect();
    let rows: Vec<Value> = objects.map(|object| row(object, pods, whole)).collect();
    json!({ "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": columns, "rows": rows })
}

fn row(object: &Value, is_pod: bool, whole: bool) -> Value {
    let cells = if is_pod { pod_cells(object) } else { json!([object["metadata"]["name"], age(object)]) };
    let meta =
        || json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] });
    json!({ "cells": cells, "object": if whole { object.clone() } else { meta() } })
}

fn pod_cells(pod: &Value) -> Value {
    let all = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let states = pod["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = states.iter().filter(|state| state["ready"] == true).count();
    json!([pod["metadata"]["name"], format!("{ready}/{all}"), status(pod), "0", age(pod)])
}

/// The word for how a pod stands: that of what is nearest to its containers.
fn status(pod: &Value) -> &str {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating";
    }
    let status = &pod["status"];
    let waiting = &status["containerStatuses"][0]["state"]["waiting"]["reason"];
    [words(&status["reason"]), words(waiting), words(&status["phase"])]
        .into_iter()
        .find(|word| !word.is_empty())
        .unwrap_or("Unknown")
}

/// `apimachinery/pkg/util/duration`, `HumanDuration`, as far as practice goes.
fn age(pod: &Value) -> String {
    let made = DateTime::parse_from_rfc3339(words(&pod["metadata"]["creationTimestamp"])).ok();
    let seconds = made.map_or(0, |made| (Utc::now() - made.to_utc()).num_seconds().max(0));
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => format!("{}m{}s", seconds / 60, seconds % 60),
        600..10_800 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3_600),
    }
}
