//! A text to begin a new object with: what its kind requires, and as comments what it offers besides.

use kube::Client;
use serde_json::{Value, json};

use brow_model::index::ObjectRef;
use brow_model::sanitize;

/// The field in which a schema names its kind.
const NAMED: &str = "x-kubernetes-group-version-kind";

/// The depth of what is written out.
const MAX_DEPTH: usize = 6;

/// The most fields that are offered as comments, at one place.
const MAX_OFFERED: usize = 60;

/// The longest description of a field.
const MAX_WORDS: usize = 70;

/// Makes the text, with the schema of the kind: the one that the server publishes (`/openapi/v3`), which all may read,
/// else that of its definition, where that may be read.
pub(super) async fn make(client: &Client, object: &ObjectRef) -> String {
    let kind = &object.kind;
    // A server publishes the schema of a new kind a moment late, and none of one that has no structural schema.
    let schema = match fetch(client, object).await.filter(|all| of_kind(all, object).is_some()) {
        Some(schema) => Some(schema),
        None => of_definition(client, object).await,
    };
    let mut text =
        format!("apiVersion: {}/{}\nkind: {}\nmetadata:\n  name: \"\"\n", kind.group, kind.version, kind.kind);
    if kind.namespaced {
        text.extend(["  namespace: ", &object.namespace, "\n"]);
    }
    if let Some((all, own)) = schema.as_ref().and_then(|all| Some((all, of_kind(all, object)?))) {
        let fields = own["properties"].as_object().into_iter().flatten();
        for (name, field) in
            fields.filter(|(name, _)| !["apiVersion", "kind", "metadata", "status"].contains(&name.as_str()))
        {
            let mut lines = Vec::new();
            Writer { all, lines: &mut lines }.field(name, field, 0);
            text.extend(lines.iter().map(|line| format!("{line}\n")));
        }
    } else {
        text.push_str("spec: {}\n");
    }
    text
}

async fn fetch(client: &Client, object: &ObjectRef) -> Option<Value> {
    let path = format!("/openapi/v3/apis/{}/{}", object.kind.group, object.kind.version);
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    client.request::<Value>(request).await.ok()
}

/// Fetches the schema from the kind's definition, in the form in which the server publishes it.
async fn of_definition(client: &Client, object: &ObjectRef) -> Option<Value> {
    let kind = &object.kind;
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{}.{}", kind.plural, kind.group);
    let definition = client.request::<Value>(http::Request::get(path).body(Vec::new()).ok()?).await.ok()?;
    let mut versions = definition["spec"]["versions"].as_array()?.iter();
    let own = versions.find(|version| version["name"] == kind.version.as_str())?;
    let mut schema = own["schema"]["openAPIV3Schema"].clone();
    let named = json!([{ "group": kind.group, "version": kind.version, "kind": kind.kind }]);
    schema.as_object_mut()?.insert(NAMED.to_owned(), named);
    Some(json!({ "components": { "schemas": { "own": schema } } }))
}

/// Returns the schema of a kind among all of its group.
fn of_kind<'a>(all: &'a Value, object: &ObjectRef) -> Option<&'a Value> {
    let kind = &object.kind;
    let is = |named: &Value| {
        named["group"] == kind.group.as_str()
            && named["version"] == kind.version.as_str()
            && named["kind"] == kind.kind.as_str()
    };
    let named = |schema: &Value| schema[NAMED].as_array().is_some_and(|all| all.iter().any(is));
    all["components"]["schemas"].as_object()?.values().find(|schema| named(schema))
}

struct Writer<'a> {
    all: &'a Value,
    lines: &'a mut Vec<String>,
}

impl Writer<'_> {
    /// Returns the schema that is meant, where it is only referred to.
    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        let name = reference.and_then(|path| path.strip_prefix("#/components/schemas/"));
        name.map_or(schema, |name| &self.all["components"]["schemas"][name])
    }

    /// Writes a field that is required, or the whole of `spec`.
    fn field(&mut self, name: &str, schema: &Value, depth: usize) {
        let (pad, schema) = ("  ".repeat(depth), self.resolved(schema).clone());
        let fields = schema["properties"].as_object().filter(|fields| !fields.is_empty() && depth < MAX_DEPTH);
        let Some(fields) = fields else {
            self.lines.push(format!("{pad}{}: {}{}", key(name), example(&schema), remark(&schema)));
            return;
        };
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if required.is_empty() && depth > 0 {
            self.lines.push(format!("{pad}{}: {{}}{}", key(name), remark(&schema)));
        } else if required.is_empty() {
            self.lines.push(format!("{pad}{}: {{}}", key(name)));
        } else {
            self.lines.push(format!("{pad}{}:", key(name)));
        }
        for (name, field) in fields.iter().filter(|(name, _)| required.contains(&name.as_str())) {
            self.field(name, field, depth + 1);
        }
        if depth == 0 {
            let offered = fields.iter().filter(|(name, _)| !required.contains(&name.as_str()));
            for (name, field) in offered.take(MAX_OFFERED) {
                let field = self.resolved(field);
                let line = format!("#  {}: {}{}", key(name), example(field), remark(field));
                self.lines.push(line);
            }
        }
    }
}

/// A name of a field, in quotes where YAML wants them.
fn key(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { Value::from(name).to_string() }
}

/// A value of the right type: the default, else the first that is allowed, else an empty one.
fn example(schema: &Value) -> String {
    let set = [&schema["default"], &schema["enum"][0]].into_iter().find(|value| !value.is_null());
    if let Some(value) = set {
        return value.to_string();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => schema["minimum"].as_i64().unwrap_or(0).to_string(),
        Some("boolean") => "false".to_owned(),
        Some("array") => "[]".to_owned(),
        Some("object") => "{}".to_owned(),
        Some(_) | None if schema["x-kubernetes-int-or-string"] == true => "0".to_owned(),
        Some("string") => "\"\"".to_owned(),
        Some(_) | None => "{}".to_owned(),
    }
}

/// The first words of a field's description, and what is allowed, as a comment.
fn remark(schema: &Value) -> String {
    let words = schema["description"].as_str().unwrap_or_default();
    let first = words.split(['\n', '.']).next().unwrap_or_default().trim();
    let first: String = sanitize::line(first).chars().take(MAX_WORDS).collect();
    let allowed: Vec<String> = schema["enum"].as_array().into_iter().flatten().map(Value::to_string).collect();
    let parts: Vec<String> = [first, allowed.join(" | ")].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { String::new() } else { format!("  # {}", parts.join("; ")) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use kube::client::Body;
    use parking_lot::Mutex;

    use super::*;
    use brow_model::index::ServedKind;

    /// The schema of a plan, whose `spec` is written out or, as the server may publish it, referred to.
    fn schema(spec: &Value) -> Value {
        json!({
            "type": "object", "required": ["spec"],
            "properties": {
                "apiVersion": { "type": "string" }, "kind": { "type": "string" },
                "metadata": { "allOf": [{ "$ref": "#/components/schemas/io.k8s.meta.v1.ObjectMeta" }], "default": {} },
                "spec": spec, "status": { "type": "object", "properties": { "hash": { "type": "string" } } },
            },
        })
    }

    fn spec() -> Value {
        json!({
            "type": "object", "required": ["upgrade"],
            "properties": {
                "concurrency": { "type": "integer", "minimum": 1, "description": "Nodes at a time. More." },
                "upgrade": { "type": "object", "required": ["image"], "properties": {
                    "image": { "type": "string" }, "args": { "type": "array" },
                } },
            },
        })
    }

    /// The answer of `/openapi/v3/apis/upgrade.cattle.io/v1`: the kind, the list of it, and the types of both.
    fn published() -> Value {
        let mut plan = schema(&json!({ "allOf": [{ "$ref": "#/components/schemas/io.cattle.upgrade.v1.PlanSpec" }] }));
        plan[NAMED] = json!([{ "group": "upgrade.cattle.io", "kind": "Plan", "version": "v1" }]);
        let list =
            json!({ "type": "object", NAMED: [{ "group": "upgrade.cattle.io", "kind": "PlanList", "version": "v1" }] });
        json!({ "openapi": "3.0.0", "info": { "title": "Kubernetes" }, "components": { "schemas": {
            "io.cattle.upgrade.v1.PlanList": list, "io.cattle.upgrade.v1.Plan": plan,
            "io.cattle.upgrade.v1.PlanSpec": spec(), "io.k8s.meta.v1.ObjectMeta": { "type": "object" },
        } } })
    }

    /// Makes the text with a server that answers these paths alone. Returns it with the paths that were requested.
    async fn made(answers: Vec<(&'static str, Value)>) -> (String, Vec<String>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let path = request.uri().path().to_owned();
            let answer = answers.iter().find(|(known, _)| *known == path).map(|(_, answer)| answer.clone());
            let missing = json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404 });
            let status = if answer.is_some() { 200 } else { 404 };
            let body = Body::from(answer.unwrap_or(missing).to_string().into_bytes());
            seen.lock().push(path);
            let response = http::Response::builder().status(status).body(body).unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        let [group, version, kind, plural] = ["upgrade.cattle.io", "v1", "Plan", "plans"].map(str::to_owned);
        let kind = ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true };
        let object = ObjectRef {
            cluster: "dev".to_owned(),
            kind: Arc::new(kind),
            namespace: "system-upgrade".to_owned(),
            name: String::new(),
        };
        let text = make(&Client::new(service, "default"), &object).await;
        let asked = asked.lock().clone();
        (text, asked)
    }

    const PUBLISHED: &str = "/openapi/v3/apis/upgrade.cattle.io/v1";
    const DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/plans.upgrade.cattle.io";

    #[tokio::test]
    async fn the_schema_is_the_published_one_else_that_of_the_definition() {
        let head =
            "apiVersion: upgrade.cattle.io/v1\nkind: Plan\nmetadata:\n  name: \"\"\n  namespace: system-upgrade\n";
        let whole = format!("{head}spec:\n  upgrade:\n    image: \"\"\n#  concurrency: 1  # Nodes at a time\n");
        assert_eq!(made(vec![(PUBLISHED, published())]).await, (whole.clone(), vec![PUBLISHED.to_owned()]));
        let other = json!({ "name": "v1alpha1", "schema": { "openAPIV3Schema": { "type": "object" } } });
        let version = json!({ "name": "v1", "schema": { "openAPIV3Schema": schema(&spec()) } });
        let definition = json!({ "spec": { "versions": [other, version] } });
        let both = vec![PUBLISHED.to_owned(), DEFINITION.to_owned()];
        assert_eq!(made(vec![(DEFINITION, definition.clone())]).await, (whole.clone(), both.clone()));
        // The group is published without the kind.
        let empty = json!({ "components": { "schemas": {} } });
        assert_eq!(made(vec![(PUBLISHED, empty.clone()), (DEFINITION, definition)]).await, (whole, both.clone()));
        // Neither may be read.
        assert_eq!(made(Vec::new()).await, (format!("{head}spec: {{}}\n"), both));
        assert_eq!(made(vec![(PUBLISHED, empty)]).await.0, format!("{head}spec: {{}}\n"));
    }
}
