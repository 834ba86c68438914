//! Label selectors: as text for requests, and applied to labels.

use serde_json::Value;

use super::refs::{items, text};

/// Returns a selector as requests have it; empty if it selects everything.
pub(super) fn selector_text(selector: &Value) -> String {
    let labels = selector.get("matchLabels").unwrap_or(selector);
    let is_map = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_none();
    let pairs = labels.as_object().filter(|_| is_map).into_iter().flatten();
    let mut parts: Vec<String> = pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    for one in items(&selector["matchExpressions"]) {
        let (key, values) = (text(&one["key"]), items(&one["values"]).map(text).collect::<Vec<_>>().join(","));
        parts.push(match text(&one["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => continue,
        });
    }
    parts.join(",")
}

/// Returns true if a selector, one of labels alone or a full one, selects an object with these labels.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let is_full = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let pairs = if is_full { &selector["matchLabels"] } else { selector };
    let equal = |(key, value): (&String, &Value)| labels.get(key) == Some(value);
    let holds = |one: &Value| {
        let value = labels.get(text(&one["key"]));
        let among = || items(&one["values"]).any(|own| Some(own) == value);
        match text(&one["operator"]) {
            "In" => among(),
            "NotIn" => !among(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    };
    pairs.as_object().into_iter().flatten().all(equal) && items(&selector["matchExpressions"]).all(holds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_written_and_applied() {
        let labels = json!({ "app": "web", "tier": "front" });
        let full =
            |labels: Value, expressions: Value| json!({ "matchLabels": labels, "matchExpressions": expressions });
        let one = |operator: &str, values: Value| json!([{ "key": "app", "operator": operator, "values": values }]);
        for (selector, written, takes) in [
            (json!({ "app": "web" }), "app=web", true),
            (json!({ "app": "web", "tier": "back" }), "app=web,tier=back", false),
            (json!({}), "", true),
            (json!({ "matchLabels": { "app": "web" } }), "app=web", true),
            (json!({ "matchExpressions": one("In", json!(["a", "web"])) }), "app in (a,web)", true),
            (full(json!({ "tier": "front" }), one("NotIn", json!(["web"]))), "tier=front,app notin (web)", false),
            (full(json!({}), one("Exists", json!([]))), "app", true),
            (full(json!({}), one("DoesNotExist", json!([]))), "!app", false),
            (full(json!({}), one("Newer", json!([]))), "", false),
        ] {
            assert_eq!(
                (selector_text(&selector).as_str(), selects(&selector, &labels)),
                (written, takes),
                "{selector}"
            );
        }
    }
}
