//! Label and field selectors, as the API server reads them (apimachinery's `labels` and `fields`).

use serde_json::Value;

/// One condition on a label or a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// The objects that a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

/// The fields that a selector may name, by resource (`pkg/apis/core/v1/conversion.go`).
fn fields(resource: &str) -> &'static [&'static str] {
    match resource {
        "pods" => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "events" => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &["metadata.name", "metadata.namespace"],
    }
}

impl Selector {
    /// Reads the query's `labelSelector` and `fieldSelector`; else why not, in the server's words.
    pub(super) fn read(resource: &str, labels: &str, fields_wanted: &str) -> Result<Self, String> {
        let needs = |text: &str| -> Result<Vec<Requirement>, String> {
            parts(text).into_iter().map(|part| need(part).ok_or(part)).collect::<Result<_, _>>().map_err(|part| {
                format!("unable to parse requirement: found '{part}', expected: a label selector requirement")
            })
        };
        let selector = Self { labels: needs(labels)?, fields: needs(fields_wanted)? };
        for need in &selector.fields {
            let (Requirement::In(name, _)
            | Requirement::NotIn(name, _)
            | Requirement::Exists(name)
            | Requirement::Absent(name)) = need;
            if !fields(resource).contains(&name.as_str()) {
                return Err(format!("field label not supported: {name}"));
            }
        }
        Ok(selector)
    }

    /// Returns true if an object matches the selector.
    pub(super) fn takes(&self, object: &Value) -> bool {
        let label = |name: &str| object["metadata"]["labels"].get(name).and_then(Value::as_str).map(str::to_owned);
        let field = |name: &str| {
            let at = name.split('.').fold(object, |at, part| &at[part]);
            // A field that is not set counts as empty.
            Some(at.as_str().map_or_else(|| if at.is_null() { String::new() } else { at.to_string() }, str::to_owned))
        };
        self.labels.iter().all(|need| need.holds(label)) && self.fields.iter().all(|need| need.holds(field))
    }
}

impl Requirement {
    fn holds(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::In(name, values) => value(name).is_some_and(|value| values.contains(&value)),
            Self::NotIn(name, values) => value(name).is_none_or(|value| !values.contains(&value)),
            Self::Exists(name) => value(name).is_some(),
            Self::Absent(name) => value(name).is_none(),
        }
    }
}

/// The parts between commas that no bracket holds together.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let split = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    split.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn need(part: &str) -> Option<Requirement> {
    let one = |(name, value): (&str, &str)| (name.trim().to_owned(), vec![value.trim().to_owned()]);
    if let Some((name, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let (name, how) = name.trim().rsplit_once(char::is_whitespace)?;
        let name = name.trim().to_owned();
        return match how {
            "in" => Some(Requirement::In(name, values)),
            "notin" => Some(Requirement::NotIn(name, values)),
            _ => None,
        };
    }
    if let Some(pair) = part.split_once("!=") {
        let (name, values) = one(pair);
        return Some(Requirement::NotIn(name, values));
    }
    if let Some(pair) = part.split_once("==").or_else(|| part.split_once('=')) {
        let (name, values) = one(pair);
        return Some(Requirement::In(name, values));
    }
    let (absent, name) = part.strip_prefix('!').map_or((false, part), |name| (true, name.trim()));
    let fine = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    fine.then(|| if absent { Requirement::Absent(name.to_owned()) } else { Requirement::Exists(name.to_owned()) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_select() {
        let pod = json!({
            "metadata": { "name": "web-1", "labels": { "app": "web", "tier": "front" } },
            "spec": { "nodeName": "n" },
            "status": { "phase": "Running" },
        });
        for (labels, fields, takes) in [
            ("", "", true),
            ("app=web", "", true),
            ("app==web,tier!=back", "", true),
            ("app=db", "", false),
            ("app in (db, web),tier", "", true),
            ("app notin (web)", "", false),
            ("!app", "", false),
            ("!owner", "", true),
            ("other!=x", "", true),
            ("", "metadata.name=web-1", true),
            ("", "status.phase!=Running", false),
            ("", "spec.nodeName=", false),
            ("app=web", "metadata.name=web-2", false),
        ] {
            assert_eq!(Selector::read("pods", labels, fields).unwrap().takes(&pod), takes, "{labels} {fields}");
        }
        assert_eq!(Selector::read("pods", "", "spec.color=x").unwrap_err(), "field label not supported: spec.color");
        assert!(Selector::read("pods", "a b c", "").is_err());
    }
}
