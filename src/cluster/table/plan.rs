//! Upgrade plans of K3s: the version, the nodes that are done of those that it selects, and the state.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::Value;

use super::own::{joined, list, text};
use crate::cluster::{fault, grant};
use brow_model::fault::Fault;
use brow_model::index::ServedKind;

/// The label of a node that a plan has upgraded, before the plan's name. Its value is the plan's hash.
const DONE: &str = "plan.upgrade.cattle.io/";

/// The labels of nodes; `None` where they are not known.
pub(super) type Nodes = Option<Vec<BTreeMap<String, String>>>;

/// Returns true for the kind of upgrade plans.
pub(super) fn is_plan(kind: &ServedKind) -> bool {
    kind.group == "upgrade.cattle.io" && kind.kind == "Plan"
}

/// Fetches the labels of all nodes.
///
/// # Errors
/// The server's refusal, with the right that is missing.
pub(super) async fn nodes(client: &Client, cluster: &str) -> Result<Nodes, Fault> {
    let api: Api<Node> = Api::all(client.clone());
    let found = api.list_metadata(&ListParams::default()).await;
    let found = found.map_err(|error| fault(cluster, &error, Some(grant("list", "nodes", None))).1)?;
    Ok(Some(found.items.into_iter().map(|node| node.metadata.labels.unwrap_or_default()).collect()))
}

pub(super) fn version(object: &Value, _: &Nodes) -> String {
    let latest = text(&object["status"]["latestVersion"]);
    let wanted = joined([text(&object["spec"]["version"]), text(&object["spec"]["channel"])].into_iter());
    if latest.is_empty() { wanted } else { latest }
}

/// The nodes that are done, of those that the plan selects.
pub(super) fn progress(object: &Value, nodes: &Nodes) -> String {
    let Some(nodes) = nodes else { return String::new() };
    let selected: Vec<_> = nodes.iter().filter(|labels| selects(&object["spec"]["nodeSelector"], labels)).collect();
    let (hash, label) = (text(&object["status"]["latestHash"]), format!("{DONE}{}", text(&object["metadata"]["name"])));
    let is_done = |labels: &&&BTreeMap<String, String>| !hash.is_empty() && labels.get(&label) == Some(&hash);
    format!("{}/{}", selected.iter().filter(is_done).count(), selected.len())
}

pub(super) fn applying(object: &Value, _: &Nodes) -> String {
    joined(list(&object["status"], "applying").map(text))
}

/// The reason of what went wrong, else how far it is.
pub(super) fn state(object: &Value, _: &Nodes) -> String {
    let conditions: Vec<&Value> = list(&object["status"], "conditions").collect();
    let is = |kind: &str, status: &str| {
        let found = conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == status);
        found.copied()
    };
    let failed = is("Validated", "False").or(is("LatestResolved", "False"));
    if let Some(condition) = failed {
        return joined([text(&condition["reason"]), text(&condition["message"])].into_iter());
    }
    let state = match (is("Complete", "True"), list(&object["status"], "applying").next()) {
        (_, Some(_)) => "Applying",
        (Some(_), None) => "Complete",
        (None, None) => "Pending",
    };
    state.to_owned()
}

/// Returns true if a label selector selects what has these labels.
fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
    let meets = |expression: &Value| {
        let own = labels.get(expression["key"].as_str().unwrap_or_default());
        let among = || list(expression, "values").any(|value| value.as_str() == own.map(String::as_str));
        match expression["operator"].as_str() {
            Some("In") => own.is_some() && among(),
            Some("NotIn") => own.is_none() || !among(),
            Some("Exists") => own.is_some(),
            Some("DoesNotExist") => own.is_none(),
            Some(_) | None => false,
        }
    };
    equal.all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && list(selector, "matchExpressions").all(meets)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_its_version_and_how_far_it_is() {
        let with = |status: Value| {
            let plan = json!({ "spec": { "channel": "stable" }, "status": status });
            [version, applying, state].map(|column| column(&plan, &None))
        };
        assert_eq!(with(json!({})), ["stable", "", "Pending"]);
        let applying = json!({ "latestVersion": "v1.30.1", "applying": ["one", "two"] });
        assert_eq!(with(applying), ["v1.30.1", "one, two", "Applying"]);
        let condition = |kind: &str, status: &str| json!([{ "type": kind, "status": status, "reason": "Why" }]);
        assert_eq!(with(json!({ "conditions": condition("Complete", "True") }))[2], "Complete");
        assert_eq!(with(json!({ "conditions": condition("Validated", "False") }))[2], "Why");
    }

    #[test]
    fn nodes_are_done_that_have_the_plans_newest_hash() {
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let done = "plan.upgrade.cattle.io/server";
        let nodes = Some(vec![
            labels(&[("role", "server"), (done, "new")]),
            labels(&[("role", "server"), (done, "old")]),
            labels(&[("role", "server")]),
            labels(&[("role", "agent"), (done, "new")]),
            labels(&[(done, "new")]),
        ]);
        let plan = |selector: Value, status: Value| json!({ "metadata": { "name": "server" }, "spec": { "nodeSelector": selector }, "status": status });
        let expression = |operator: &str, values: Value| json!({ "matchExpressions": [{ "key": "role", "operator": operator, "values": values }] });
        for (selector, shown) in [
            (json!({ "matchLabels": { "role": "server" } }), "1/3"),
            (expression("In", json!(["server", "agent"])), "2/4"),
            (expression("NotIn", json!(["server"])), "2/2"),
            (expression("Exists", Value::Null), "2/4"),
            (expression("DoesNotExist", Value::Null), "1/1"),
            (Value::Null, "3/5"),
        ] {
            assert_eq!(progress(&plan(selector, json!({ "latestHash": "new" })), &nodes), shown);
        }
        assert_eq!(progress(&plan(Value::Null, Value::Null), &nodes), "0/5", "no hash, nothing done");
        assert_eq!(progress(&plan(Value::Null, Value::Null), &None), "");
    }
}
