//! The summary of an object: what a person wants to know of its kind, read from its JSON.

mod kinds;
mod pod;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::refs::{items, text};
use brow_model::page::{ConditionRow, Summary, SummaryRow, SummaryValue, Tone};
use brow_model::sanitize;

pub(super) use kinds::status;

/// The labels, annotations and other lines that are shown of one thing.
const MAX_LINES: usize = 40;

/// Makes the summary of an object.
pub(super) fn of(object: &Value) -> Summary {
    let mut rows = Rows::default();
    let meta = &object["metadata"];
    rows.text("namespace", &meta["namespace"]);
    rows.time("age", &meta["creationTimestamp"]);
    rows.time("deleting", &meta["deletionTimestamp"]);
    rows.tone_of_last("deleting", Tone::Warn);
    if !meta["deletionTimestamp"].is_null() {
        // It is what keeps the object there.
        rows.lines("finalizers", items(&meta["finalizers"]).map(text));
    }
    let owners = items(&meta["ownerReferences"]);
    rows.lines("owner", owners.map(|owner| format!("{} {}", text(&owner["kind"]), text(&owner["name"]))));
    kinds::add(object, &mut rows);
    rows.pairs("labels", &meta["labels"]);
    rows.lines("annotations", meta["annotations"].as_object().into_iter().flat_map(Map::keys));
    let containers = pod::containers(object);
    Summary { rows: rows.0, containers, conditions: conditions(object) }
}

/// The rows so far. What is empty makes none.
#[derive(Default)]
pub(super) struct Rows(Vec<SummaryRow>);

impl Rows {
    fn add(&mut self, label: &'static str, value: impl AsRef<str>, tone: Tone) {
        let value = sanitize::line(value.as_ref()).into_owned();
        if !value.is_empty() {
            self.0.push(SummaryRow { label, value: SummaryValue::Lines(vec![value]), tone });
        }
    }

    /// Adds a text, a number or a bool.
    fn text(&mut self, label: &'static str, value: &Value) {
        match value {
            Value::String(value) => self.add(label, value, Tone::Plain),
            Value::Number(_) | Value::Bool(_) => self.add(label, value.to_string(), Tone::Plain),
            Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
    }

    fn time(&mut self, label: &'static str, value: &Value) {
        if let Some(at) = time(value) {
            self.0.push(SummaryRow { label, value: SummaryValue::Time(at), tone: Tone::Plain });
        }
    }

    fn lines(&mut self, label: &'static str, lines: impl IntoIterator<Item = impl AsRef<str>>) {
        let line = |line: &str| sanitize::line(line).into_owned();
        let lines: Vec<String> = lines.into_iter().take(MAX_LINES).map(|own| line(own.as_ref())).collect();
        if !lines.is_empty() {
            self.0.push(SummaryRow { label, value: SummaryValue::Lines(lines), tone: Tone::Plain });
        }
    }

    fn pairs(&mut self, label: &'static str, map: &Value) {
        let pairs = map.as_object().into_iter().flatten();
        self.lines(label, pairs.map(|(key, value)| format!("{key}={}", text(value))));
    }

    /// Adds how many of so many are there: all is good, none is bad.
    fn share(&mut self, label: &'static str, have: u64, of: u64) {
        self.add(label, format!("{have}/{of}"), share_tone(have, of));
    }

    fn tone_of_last(&mut self, label: &str, tone: Tone) {
        if let Some(row) = self.0.last_mut().filter(|row| row.label == label) {
            row.tone = tone;
        }
    }
}

fn share_tone(have: u64, of: u64) -> Tone {
    match have {
        _ if have >= of && of > 0 => Tone::Good,
        0 if of > 0 => Tone::Bad,
        _ if of == 0 => Tone::Dim,
        _ => Tone::Warn,
    }
}

pub(super) fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|at| at.to_utc())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// The conditions that are good while they are false, by the end of their names.
const GOOD_IF_FALSE: [&str; 9] = [
    "Pressure",
    "Unavailable",
    "Failed",
    "FailureTarget",
    "ReplicaFailure",
    "Degraded",
    "Stalled",
    "Suspended",
    "DisruptionTarget",
];

fn conditions(object: &Value) -> Vec<ConditionRow> {
    let row = |condition: &Value| {
        let field = |name: &str| sanitize::line(text(&condition[name])).into_owned();
        let (name, status) = (field("type"), field("status"));
        let wanted = if GOOD_IF_FALSE.iter().any(|end| name.ends_with(end)) { "False" } else { "True" };
        let tone = match status.as_str() {
            _ if status == wanted => Tone::Good,
            "Unknown" => Tone::Warn,
            // A pod that has ended is no longer ready.
            _ if condition["reason"] == "PodCompleted" => Tone::Dim,
            _ => Tone::Bad,
        };
        let since = ["lastTransitionTime", "lastUpdateTime"].iter().find_map(|field| time(&condition[*field]));
        ConditionRow { name, status, reason: field("reason"), message: field("message"), since, tone }
    };
    items(&object["status"]["conditions"]).filter(|condition| condition.is_object()).map(row).collect()
}

#[cfg(test)]
mod tests;
