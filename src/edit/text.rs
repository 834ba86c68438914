//! An object as a person's text and back: without what the server keeps for itself, and with what was changed in it.

use serde_json::{Map, Value, json};

use crate::cluster::manifest;
use brow_model::edit::Draft;
use brow_model::fault::{Fault, What};
use brow_model::workload::{is_dns_label, is_dns_name};

/// The annotation in which kubectl keeps the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The parts of an object's metadata that only the server writes.
const OF_SERVER: [&str; 6] =
    ["managedFields", "creationTimestamp", "generation", "selfLink", "uid", "deletionGracePeriodSeconds"];

/// Returns an object without what only the server writes.
pub(super) fn cleaned(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.retain(|field, _| !OF_SERVER.contains(&field.as_str()) && field != "resourceVersion");
        if let Some(notes) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            notes.remove(LAST_APPLIED);
            if notes.is_empty() {
                meta.remove("annotations");
            }
        }
    }
    object
}

/// Writes an object as YAML that reads as the same object.
///
/// # Errors
/// [`What::Internal`] if it would not.
pub(super) fn written(object: &Value, name: &str) -> Result<String, Fault> {
    let text = manifest(object).join("\n") + "\n";
    match serde_saphyr::from_str::<Value>(&text) {
        Ok(read) if read == *object => Ok(text),
        // JSON is YAML, too.
        Ok(_) | Err(_) => serde_json::to_string_pretty(object)
            .map(|text| text + "\n")
            .map_err(|error| Fault::new(What::Internal, name, error.to_string())),
    }
}

/// Reads a text; `None` if there is nothing in it but comments.
///
/// # Errors
/// [`What::TextInvalid`] if it is no manifest of the draft's object.
pub(super) fn read(text: &str, draft: &Draft) -> Result<Option<Value>, Fault> {
    let object = &draft.object;
    let wrong = |why: String| Fault::new(What::TextInvalid, object.short_name(), why);
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(None);
    }
    let value: Value = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if !value.is_object() {
        return Err(wrong("it has no fields".to_owned()));
    }
    let kind = &object.kind;
    let api = if kind.group.is_empty() { kind.version.clone() } else { format!("{}/{}", kind.group, kind.version) };
    let is = |field: &str, wanted: &str| match value[field].as_str() {
        Some(is) if is == wanted => Ok(()),
        is => Err(wrong(format!("{field} is {}, not {wanted}", is.unwrap_or("missing")))),
    };
    is("apiVersion", &api)?;
    is("kind", &kind.kind)?;
    let mut value = cleaned(value);
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    let meta = &mut value["metadata"];
    let place = meta["namespace"].as_str().unwrap_or_default().to_owned();
    if !kind.namespaced && !place.is_empty() {
        return Err(wrong(format!("a {} has no namespace", kind.kind)));
    }
    if kind.namespaced && place.is_empty() {
        meta["namespace"] = object.namespace.as_str().into();
    } else if draft.base.is_some() && place != object.namespace {
        return Err(wrong(format!("metadata.namespace is {place}, not {}", object.namespace)));
    }
    let name = meta["name"].as_str().unwrap_or_default();
    if draft.base.is_some() && name != object.name {
        return Err(wrong(format!("metadata.name is {name:?}, not {}: the name cannot be changed", object.name)));
    }
    let place = meta["namespace"].as_str().unwrap_or_default();
    if !is_dns_name(&name.replace(':', "-")) || !(place.is_empty() || is_dns_label(place)) {
        return Err(wrong("metadata.name or metadata.namespace is missing, or no name".to_owned()));
    }
    Ok(Some(value))
}

/// Returns the parts of a text that are applied: what differs from the stored object, and what is ours there already
/// (`owned`, in the notation of `fieldsV1`), which an apply without it would take away. So other managers keep what a
/// person did not touch.
pub(super) fn claim(text: &Value, base: &Value, owned: &Value) -> Value {
    let mut part = differing(text, base, owned).unwrap_or_else(|| json!({}));
    for field in ["apiVersion", "kind"] {
        part[field] = text[field].clone();
    }
    for field in ["name", "namespace"] {
        if let Some(value) = text["metadata"].get(field) {
            part["metadata"][field] = value.clone();
        }
    }
    part
}

fn differing(text: &Value, base: &Value, owned: &Value) -> Option<Value> {
    let (fields, old) = (text.as_object()?, base.as_object()?);
    let mut part = Map::new();
    for (name, value) in fields {
        let own = owned.get(format!("f:{name}"));
        let before = old.get(name);
        let is_whole = own.is_some_and(|own| own.as_object().is_none_or(Map::is_empty) || !value.is_object());
        let inner = before.filter(|before| before.is_object() && value.is_object());
        let taken = match inner {
            _ if is_whole => Some(value.clone()),
            Some(inner) if value != inner || own.is_some() => differing(value, inner, own.unwrap_or(&Value::Null)),
            None if before != Some(value) => Some(value.clone()),
            Some(_) | None => None,
        };
        part.extend(taken.map(|taken| (name.clone(), taken)));
    }
    (!part.is_empty()).then_some(Value::Object(part))
}

/// Returns true if an object says all that a text says; it may say more, such as defaults.
pub(super) fn says(object: &Value, text: &Value) -> bool {
    match (object, text) {
        (Value::Object(own), Value::Object(fields)) => fields.iter().all(|(name, value)| {
            // An empty part may be left out.
            own.get(name).map_or_else(|| is_empty(value), |own| says(own, value))
        }),
        (Value::Array(own), Value::Array(items)) => {
            own.len() == items.len() && own.iter().zip(items).all(|(own, item)| says(own, item))
        }
        (own, value) => own == value,
    }
}

/// Returns the paths of a text that are not in an object.
pub(super) fn dropped(object: &Value, text: &Value) -> Vec<String> {
    let mut found = Vec::new();
    absent(object, text, "", &mut found);
    found
}

fn absent(object: &Value, text: &Value, path: &str, found: &mut Vec<String>) {
    match (object, text) {
        (Value::Object(own), Value::Object(fields)) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match own.get(name) {
                    Some(own) => absent(own, value, &path, found),
                    None if is_empty(value) => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(own), Value::Array(items)) if own.len() == items.len() => {
            for (at, (own, item)) in own.iter().zip(items).enumerate() {
                absent(own, item, &format!("{path}[{at}]"), found);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Returns the paths of what a person took out of a text, and what is still in the object.
pub(super) fn leftovers(base: &Value, text: &Value, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    remaining(base, text, object, "", &mut found);
    found
}

fn remaining(base: &Value, text: &Value, object: &Value, path: &str, found: &mut Vec<String>) {
    match (base, text, object) {
        (Value::Object(old), Value::Object(new), Value::Object(own)) => {
            for (name, before) in old {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match (new.get(name), own.get(name)) {
                    (None, Some(own)) if !is_empty(own) => found.push(path),
                    (Some(new), Some(own)) => remaining(before, new, own, &path, found),
                    (_, None) | (None, Some(_)) => {}
                }
            }
        }
        (Value::Array(old), Value::Array(new), Value::Array(own)) => {
            if old.len() > new.len() && own.len() > new.len() {
                found.push(path.to_owned());
            } else if old.len() == new.len() && new.len() == own.len() {
                for (at, ((old, new), own)) in old.iter().zip(new).zip(own).enumerate() {
                    remaining(old, new, own, &format!("{path}[{at}]"), found);
                }
            }
        }
        (
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_),
            ..,
        ) => {}
    }
}

/// Returns the fields of an object that are ours, in the notation of `fieldsV1`.
pub(super) fn owned(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut ours = entries.filter(|entry| {
        entry["manager"] == super::FIELD_MANAGER && entry["operation"] == "Apply" && entry["subresource"].is_null()
    });
    ours.next().map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

/// Returns a text as it replaces the stored object: with what the text leaves out as the server's own.
pub(super) fn replacement(text: &Value, stored: &Value) -> Value {
    let mut whole = text.clone();
    if let Some(status) = stored.get("status") {
        whole["status"] = status.clone();
    }
    if let Some(last) = stored["metadata"]["annotations"].get(LAST_APPLIED) {
        whole["metadata"]["annotations"][LAST_APPLIED] = last.clone();
    }
    whole
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
