//! One object of any kind: fetched, and described as the manifest that it is.

use std::fmt::Debug;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Api;
use kube::core::{ApiResource, DynamicResourceScope, GroupVersionKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::{Clusters, grant, object_fault};
use brow_model::fault::{Fault, What};
use brow_model::index::{ObjectRef, ServedKind};
use brow_model::page::ManagedFields;
use brow_model::sanitize;
use brow_model::workload::{is_dns_label, is_dns_name};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Stands for a value that is not shown.
const HIDDEN: &str = "••••••";

/// Fetches an object.
///
/// # Errors
/// The server's refusal.
pub(super) async fn get<K>(clusters: &Clusters, object: &ObjectRef) -> Result<K, Fault>
where
    K: kube::Resource<DynamicType = ApiResource, Scope = DynamicResourceScope> + Clone + Debug + DeserializeOwned,
{
    let ObjectRef { cluster, kind, namespace, name } = object;
    if !is_path(namespace, name) {
        return Err(Fault::new(What::Invalid, name, "this name cannot be part of a path"));
    }
    let client = clusters.client(cluster).await?;
    let resource = resource(kind);
    let (api, place): (Api<K>, _) = if kind.namespaced {
        (Api::namespaced_with(client, namespace, &resource), Some(namespace.as_str()))
    } else {
        (Api::all_with(client, &resource), None)
    };
    let words = || format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
    let answer = timeout(REQUEST_TIMEOUT, api.get(name)).await;
    let answer = answer.map_err(|_| Fault::new(What::TimedOut, cluster, words()))?;
    answer.map_err(|error| object_fault(cluster, name, &error, Some(grant("get", &kind.resource(), place))))
}

/// Returns true if a namespace, which may be empty, and a name may become parts of a path. Names of roles have colons.
pub(super) fn is_path(namespace: &str, name: &str) -> bool {
    is_dns_name(&name.replace(':', "-")) && (namespace.is_empty() || is_dns_label(namespace))
}

/// Returns the resource of a kind, as kube names it.
pub fn resource(kind: &ServedKind) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind), &kind.plural)
}

/// Returns an object as JSON, with its kind, which the items of a list lack.
///
/// # Errors
/// The object has what JSON has not.
pub(super) fn value(kind: &ServedKind, found: &impl Serialize) -> Result<Value, Fault> {
    let broken = |error: serde_json::Error| Fault::new(What::Server, kind.resource(), error.to_string());
    let mut value = serde_json::to_value(found).map_err(broken)?;
    let version = if kind.group.is_empty() { kind.version.clone() } else { format!("{}/{}", kind.group, kind.version) };
    (value["kind"], value["apiVersion"]) = (kind.kind.as_str().into(), version.into());
    Ok(value)
}

/// Takes the managed fields of an object out, leaving their name.
pub(super) fn fold(object: &mut Value) -> Option<ManagedFields> {
    let fields = object.get_mut("metadata")?.get_mut("managedFields")?.take();
    let mut lines = Vec::new();
    yaml(&fields, 2, &mut lines);
    let lines = lines.iter().map(|line| sanitize::line(line).into_owned()).collect();
    Some(ManagedFields { count: fields.as_array().map_or(0, Vec::len), lines })
}

/// Returns an object as lines of YAML, without managed fields and with the values of a Secret hidden.
pub(super) fn lines(mut object: Value) -> Vec<String> {
    redact(&mut object);
    written(&object)
}

/// Returns a Secret as lines of YAML, its values as the texts that they are, where they are some.
pub(super) fn plain_lines(mut object: Value) -> Vec<String> {
    let values = object["data"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut);
    for value in values {
        let bytes = value.as_str().and_then(|value| STANDARD.decode(value).ok());
        if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| is_plain(text)) {
            *value = text.into();
        }
    }
    drop_repeats(&mut object);
    written(&object)
}

/// Returns true for a text that a screen can show as it is.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r'))
}

fn written(object: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    yaml(object, 0, &mut lines);
    lines.into_iter().map(|line| sanitize::line(&line).into_owned()).collect()
}

/// Takes out what a person does not read, and what nobody is to see over their shoulder.
fn redact(object: &mut Value) {
    drop_repeats(object);
    let is_secret = object["kind"] == "Secret";
    for field in ["data", "stringData"].into_iter().filter(|_| is_secret) {
        for value in object[field].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
            *value = HIDDEN.into();
        }
    }
}

/// Takes out managed fields that are not folded, and the annotation that repeats the whole object.
fn drop_repeats(object: &mut Value) {
    if let Some(meta) = object["metadata"].as_object_mut() {
        if meta.get("managedFields").is_some_and(|fields| !fields.is_null()) {
            meta.remove("managedFields");
        }
        // It repeats the whole object, values of Secrets included.
        if let Some(notes) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            notes.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
}

/// Writes an object as lines of YAML, as kubectl does.
pub fn manifest(object: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    yaml(object, 0, &mut lines);
    lines
}

/// Returns true for a text that can be written line by line, as it is.
fn is_block(text: &str) -> bool {
    let odd = |c: char| c.is_control() && c != '\n' || c == '\u{feff}';
    let ends = text.trim_end_matches('\n');
    text.contains('\n')
        && !ends.is_empty()
        && !text.starts_with([' ', '\n'])
        && !text.ends_with("\n\n")
        && !text.contains(odd)
}

fn yaml(value: &Value, indent: usize, lines: &mut Vec<String>) {
    let space = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let key = scalar(key);
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        lines.push(format!("{space}{key}:"));
                        yaml(value, indent + 2, lines);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        lines.push(format!("{space}{key}:"));
                        yaml(value, indent, lines);
                    }
                    Value::String(text) if is_block(text) => {
                        lines.push(format!("{space}{key}: |{}", if text.ends_with('\n') { "" } else { "-" }));
                        lines.extend(text.lines().map(|line| format!("{space}  {line}")));
                    }
                    _ => lines.push(format!("{space}{key}: {}", leaf(value))),
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let first = lines.len();
                yaml(item, indent + 2, lines);
                if let Some(line) = lines.get_mut(first) {
                    line.replace_range(indent..=indent, "-");
                }
            }
        }
        _ => lines.push(format!("{space}{}", leaf(value))),
    }
}

/// A value without parts.
fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        _ => value.to_string(),
    }
}

/// A text, in quotes where it would be read as something else.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./ ()=@%+,;<>!$?~^".contains(c);
    let starts = text.starts_with(|c: char| c.is_alphabetic() || c == '/' || c == '_');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_word = word.contains(&text.to_ascii_lowercase().as_str());
    // A colon is plain where no space follows it.
    let fits = text.replace(": ", "\n").trim_end_matches(':').chars().all(|c| plain(c) || c == ':');
    if starts && fits && !text.ends_with([':', ' ']) && !is_word {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_reads_as_kubectl_writes_it() {
        let object = json!({
            "kind": "ConfigMap", "metadata": { "name": "web", "labels": {}, "annotations": { "a/b": "true", "c": "x: y" } },
            "data": { "conf": "one\n  two\n", "end": "a\nb", "number": "8080", "url": "http://web:80/" },
            "list": [{ "name": "http", "ports": [80, 443] }, "plain", [], null],
        });
        let mut lines = Vec::new();
        yaml(&object, 0, &mut lines);
        let expected = "\
data:
  conf: |
    one
      two
  end: |-
    a
    b
  number: \"8080\"
  url: http://web:80/
kind: ConfigMap
list:
- name: http
  ports:
  - 80
  - 443
- plain
- []
- null
metadata:
  annotations:
    a/b: \"true\"
    c: \"x: y\"
  labels: {}
  name: web";
        assert_eq!(lines.join("\n"), expected);
        assert_eq!(serde_saphyr::from_str::<Value>(expected).unwrap(), object);
    }

    #[test]
    fn managed_fields_leave_their_place() {
        let fields = json!([{ "manager": "kubectl", "fieldsV1": { "f:data": {} } }, { "manager": "helm" }]);
        let mut object = json!({ "kind": "ConfigMap", "metadata": { "managedFields": fields, "name": "web" } });
        let managed = fold(&mut object).unwrap();
        assert_eq!((managed.count, managed.lines[0].as_str()), (2, "  - fieldsV1:"));
        let lines = lines(object);
        assert_eq!(ManagedFields::place_in(&lines), Some(2), "{lines:?}");
        assert_eq!(fold(&mut json!({ "metadata": { "name": "web" } })), None);
        assert_eq!(fold(&mut json!({ "kind": "Odd" })), None);
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let mut secret = json!({
            "kind": "Secret", "data": { "password": "aHVudGVyMg==" }, "stringData": { "more": "hunter2" },
            "metadata": {
                "managedFields": [{ "manager": "kubectl" }],
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"aHVudGVyMg==\"}" },
            },
        });
        redact(&mut secret);
        let text = secret.to_string();
        assert!(!text.contains("aHVudGVyMg") && !text.contains("hunter2") && !text.contains("managedFields"), "{text}");
        assert!(text.contains("password"));
        let mut map = json!({ "kind": "ConfigMap", "data": { "a": "b" }, "metadata": {} });
        redact(&mut map);
        assert_eq!(map["data"]["a"], "b");
    }
}
