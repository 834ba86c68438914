//! The nodes on which a change of an object starts something.

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use serde_json::Value;

use brow_model::edit::{Reach, Rollout};
use brow_model::index::ServedKind;

/// Finds out what the object starts on nodes, unless `before` shows that it says the same as it did.
pub(super) async fn find(client: &Client, kind: &ServedKind, object: &Value, before: Option<&Value>) -> Option<Reach> {
    if before.is_some_and(|before| before["spec"] == object["spec"]) {
        return None;
    }
    let mut reach = of(kind, object)?;
    let named = object["spec"]["selector"]["names"].as_array().filter(|_| reach.action == Rollout::Images);
    reach.nodes = match named {
        Some(all) => Some(all.len()),
        None => count(client, &selector(reach.action, object)).await,
    };
    Some(reach)
}

/// Reads what an object starts, without counting the nodes.
fn of(kind: &ServedKind, object: &Value) -> Option<Reach> {
    let action = Rollout::of(kind)?;
    let spec = &object["spec"];
    let at_once = match action {
        Rollout::Upgrade => &spec["concurrency"],
        Rollout::Pods => &spec["updateStrategy"]["rollingUpdate"]["maxUnavailable"],
        Rollout::Jobs | Rollout::Images => &spec["parallelism"],
    };
    let drains = action == Rollout::Upgrade && !spec["drain"].is_null();
    // A node that is drained is cordoned first.
    let cordons = drains || action == Rollout::Upgrade && spec["cordon"] == true;
    Some(Reach { action, nodes: None, at_once: at_once.as_u64(), cordons, drains })
}

/// The label selector of the nodes.
fn selector(action: Rollout, object: &Value) -> String {
    let spec = &object["spec"];
    let (labels, expressions) = match action {
        Rollout::Upgrade => (&spec["nodeSelector"]["matchLabels"], &spec["nodeSelector"]["matchExpressions"]),
        Rollout::Pods | Rollout::Jobs => (&spec["template"]["spec"]["nodeSelector"], &Value::Null),
        Rollout::Images => (&spec["selector"]["matchLabels"], &spec["selector"]["matchExpressions"]),
    };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let equal = labels.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", word(value)));
    let listed = expressions.as_array().into_iter().flatten().map(|expression| {
        let key = word(&expression["key"]);
        let values: Vec<String> = expression["values"].as_array().into_iter().flatten().map(word).collect();
        match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            Some(_) | None => key,
        }
    });
    equal.chain(listed).collect::<Vec<_>>().join(",")
}

/// Counts nodes; `None` if they may not be listed, or the selector is none.
async fn count(client: &Client, selector: &str) -> Option<usize> {
    let api: Api<Node> = Api::all(client.clone());
    let list = api.list_metadata(&ListParams::default().labels(selector)).await.ok()?;
    Some(list.items.iter().filter(|node: &&PartialObjectMeta<Node>| node.metadata.deletion_timestamp.is_none()).count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(group: &str, kind: &str) -> ServedKind {
        let (group, kind, version) = (group.to_owned(), kind.to_owned(), "v1".to_owned());
        let plural = format!("{}s", kind.to_lowercase());
        ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true }
    }

    #[test]
    fn a_plan_runs_on_the_nodes_that_it_selects() {
        let plan = kind("upgrade.cattle.io", "Plan");
        let key = "node-role.kubernetes.io/control-plane";
        let expressions = json!([
            { "key": key, "operator": "In", "values": ["true", "yes"] }, { "key": "a", "operator": "Exists" },
            { "key": "b", "operator": "DoesNotExist" }, { "key": "c", "operator": "NotIn", "values": ["x"] },
        ]);
        let selects = json!({ "matchLabels": { "k3s": "yes" }, "matchExpressions": expressions });
        let object = json!({ "spec": { "concurrency": 2, "drain": { "force": true }, "nodeSelector": selects } });
        let wanted = format!("k3s=yes,{key} in (true,yes),a,!b,c notin (x)");
        assert_eq!(selector(Rollout::Upgrade, &object), wanted);
        let found = of(&plan, &object).unwrap();
        assert_eq!((found.at_once, found.cordons, found.drains), (Some(2), true, true));
        let cordons = of(&plan, &json!({ "spec": { "cordon": true } })).unwrap();
        assert_eq!((cordons.at_once, cordons.cordons, cordons.drains), (None, true, false));
    }

    #[test]
    fn kruises_kinds_that_run_on_every_node_say_so() {
        let object = json!({ "spec": { "template": { "spec": { "nodeSelector": { "disk": "ssd" } } } } });
        for (name, action) in [("DaemonSet", Rollout::Pods), ("BroadcastJob", Rollout::Jobs)] {
            assert_eq!(of(&kind("apps.kruise.io", name), &object).unwrap().action, action);
            assert_eq!(selector(action, &object), "disk=ssd");
        }
        assert_eq!(of(&kind("apps.kruise.io", "ImagePullJob"), &object).unwrap().action, Rollout::Images);
        assert!(of(&kind("apps.kruise.io", "CloneSet"), &object).is_none());
        assert!(of(&kind("example.com", "Plan"), &object).is_none());
    }
}
