//! Custom resources, which may be created, changed and deleted: applies and replacements without managers of fields,
//! and their schema for those who begin a new one.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::response::Refusal;
use super::store::Key;
use super::workloads::keep;
use super::world::{World, words};

/// The parts of metadata that a client does not set.
const OF_SERVER: [&str; 4] = ["uid", "resourceVersion", "creationTimestamp", "generation"];

/// Creates an object, or shows what would be created.
pub(super) fn create(
    world: &World,
    kind: &Kind,
    namespace: &str,
    object: Value,
    keeps: bool,
) -> Result<Value, Refusal> {
    let name = words(&object["metadata"]["name"]).to_owned();
    check(kind, &name, &object)?;
    let key = Key::new(kind.plural, namespace, name.clone());
    if world.store.get(&key).is_some() {
        return Err(Refusal::exists(kind, &name));
    }
    if !keeps {
        return Ok(object);
    }
    keep(world, kind, namespace, &name, object);
    world.store.get(&key).map(|kept| Value::clone(&kept)).ok_or_else(|| Refusal::no_such(kind, &name))
}

/// Applies an object, or puts it in the place of what is there.
pub(super) fn change(
    world: &World,
    kind: &Kind,
    key: &Key,
    given: &Value,
    (replaces, keeps): (bool, bool),
) -> Result<Value, Refusal> {
    let stored = world.store.get(key).ok_or_else(|| Refusal::no_such(kind, &key.name))?;
    check(kind, &key.name, given)?;
    for field in ["uid", "resourceVersion"] {
        let wanted = &given["metadata"][field];
        if !wanted.is_null() && *wanted != stored["metadata"][field] {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Refusal::conflict(kind, &key.name, why));
        }
    }
    let mut after = if replaces { given.clone() } else { merged(&stored, given) };
    for field in OF_SERVER {
        after["metadata"][field] = stored["metadata"][field].clone();
    }
    if let Some(status) = stored.get("status") {
        after["status"] = status.clone();
    }
    if !keeps {
        return Ok(after);
    }
    let kept = world.store.update(key, |object| *object = after);
    kept.map(|kept| Value::clone(&kept)).ok_or_else(|| Refusal::no_such(kind, &key.name))
}

/// Deletes an object, if it has the uid that is asked for.
pub(super) fn delete(world: &World, kind: &Kind, key: &Key, options: &Value) -> Result<Arc<Value>, Refusal> {
    let stored = world.store.get(key).ok_or_else(|| Refusal::no_such(kind, &key.name))?;
    let uid = words(&stored["metadata"]["uid"]);
    let wanted = &options["preconditions"]["uid"];
    if !wanted.is_null() && wanted != uid {
        return Err(Refusal::conflict(kind, &key.name, "the UID in the precondition does not match"));
    }
    world.store.remove(key, uid).ok_or_else(|| Refusal::no_such(kind, &key.name))
}

/// Refuses what the schema does not have.
fn check(kind: &Kind, name: &str, object: &Value) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::invalid(kind, name, "metadata.name", "Required value: name or generateName is required"));
    }
    let (spec, known) = (&object["spec"], fields(kind));
    for field in spec.as_object().into_iter().flat_map(Map::keys) {
        if !known.is_empty() && !known.iter().any(|(name, ..)| name == field) {
            return Err(Refusal::bad(format!("strict decoding error: unknown field \"spec.{field}\"")));
        }
    }
    if kind.kind == "Plan" && spec.get("concurrency").is_some_and(|value| !value.is_number()) {
        let why = "Invalid value: \"string\": spec.concurrency in body must be of type integer";
        return Err(Refusal::invalid(kind, name, "spec.concurrency", why));
    }
    Ok(())
}

/// Puts what is given over what is stored; lists are taken as a whole.
fn merged(stored: &Value, given: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (stored, given) else { return given.clone() };
    let mut all = old.clone();
    for (name, value) in new {
        let value = old.get(name).map_or_else(|| value.clone(), |old| merged(old, value));
        all.insert(name.clone(), value);
    }
    Value::Object(all)
}

/// The fields of a kind's spec: name, type, description, and whether it is required. None: any field will do.
fn fields(kind: &Kind) -> &'static [(&'static str, &'static str, &'static str, bool)] {
    match kind.kind {
        "Plan" => &[
            ("channel", "string", "A URL whose redirect names the version.", false),
            ("concurrency", "integer", "The number of nodes that are upgraded at a time.", false),
            ("cordon", "boolean", "Cordon nodes before the upgrade.", false),
            ("drain", "object", "Drain nodes before the upgrade.", false),
            ("nodeSelector", "object", "The nodes that are upgraded.", true),
            ("serviceAccountName", "string", "The service account of the jobs.", false),
            ("upgrade", "object", "The container that upgrades a node.", true),
            ("version", "string", "The version to upgrade to.", false),
        ],
        _ => &[],
    }
}

/// Answers for the schemas of a group (`/openapi/v3`), as far as there are any.
pub(super) fn schemas(group: &str, version: &str) -> Option<Value> {
    let mut schemas = Map::new();
    for kind in super::kinds::KINDS.iter().filter(|kind| kind.group == group && kind.is_custom()) {
        let mut properties = Map::new();
        for (name, of, words, _) in fields(kind) {
            properties.insert((*name).to_owned(), json!({ "type": of, "description": words }));
        }
        let required: Vec<&str> = fields(kind).iter().filter(|field| field.3).map(|field| field.0).collect();
        let spec = json!({ "type": "object", "required": required, "properties": properties });
        let named = json!([{ "group": group, "version": version, "kind": kind.kind }]);
        let schema =
            json!({ "type": "object", "x-kubernetes-group-version-kind": named, "properties": { "spec": spec } });
        schemas.insert(format!("{group}.{version}.{}", kind.kind), schema);
    }
    (!schemas.is_empty()).then(|| json!({ "openapi": "3.0.0", "components": { "schemas": schemas } }))
}
