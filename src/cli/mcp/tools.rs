//! The tools: their names, arguments and results.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rmcp::handler::server::common::{schema_for_input, schema_for_output};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instance::{ClusterRow, ForwardRow, PodRow, TargetRow};
use brow_model::ttl::Ttl;

/// A call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Targets,
    Forwards,
    Pods,
    Clusters,
    Connect(Connect),
    Renew(Renew),
    Stop(Stop),
    Check,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars", inline)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Connect {
    /// The name of a saved target, as `list_targets` has it.
    pub target: String,
    /// The time until the forward ends, such as 15m (which is the default) or 1h.
    #[schemars(with = "Option<String>")]
    pub ttl: Option<Ttl>,
    /// True to return at once and have the first connection create the pod.
    #[serde(default)]
    pub on_demand: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Renew {
    /// The number of a forward that this session opened.
    pub forward: u64,
    /// The time from now until it ends, such as 15m (which is the default) or 1h.
    #[schemars(with = "Option<String>")]
    pub ttl: Option<Ttl>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    /// The number of a forward that this session opened.
    pub forward: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct TargetList {
    pub targets: Vec<TargetRow>,
    /// The names of saved targets that agents may not connect to.
    pub not_offered: Vec<String>,
    /// The way in which the person can offer one of them to agents.
    pub to_offer: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Forwards {
    pub forwards: Vec<ForwardRow>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Pods {
    pub pods: Vec<PodRow>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Clusters {
    pub clusters: Vec<ClusterRow>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Connected {
    /// The forwards of the target, one for each of its ports.
    pub forwards: Vec<ForwardRow>,
    /// The address of the first of them, as environment variables for the programs that use it.
    pub environment: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Renewed {
    /// The number of the forward.
    pub forward: u64,
    /// The time at which it ends.
    pub expires: DateTime<Utc>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Stopped {
    /// The number of the forward.
    pub stopped: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Checked {
    /// True if nothing has failed.
    pub well: bool,
    /// The findings, each with its state, and with what to do about it.
    pub findings: Vec<BTreeMap<String, Value>>,
}

impl Call {
    /// Returns the call of that name with these arguments; `None` where no tool has the name.
    ///
    /// # Errors
    /// The words for what is wrong with the arguments.
    pub(super) fn new(name: &str, arguments: Option<JsonObject>) -> Option<Result<Self, String>> {
        fn read<T: for<'a> Deserialize<'a>>(arguments: Option<JsonObject>) -> Result<T, String> {
            serde_json::from_value(Value::Object(arguments.unwrap_or_default()))
                .map_err(|error| format!("invalid arguments: {error}"))
        }
        let none = |call: Self, arguments| read::<Nothing>(arguments).map(|_| call);
        Some(match name {
            "list_targets" => none(Self::Targets, arguments),
            "list_forwards" => none(Self::Forwards, arguments),
            "list_pods" => none(Self::Pods, arguments),
            "list_clusters" => none(Self::Clusters, arguments),
            "connect" => read(arguments).map(Self::Connect),
            "renew" => read(arguments).map(Self::Renew),
            "stop" => read(arguments).map(Self::Stop),
            "check" => none(Self::Check, arguments),
            _ => return None,
        })
    }
}

/// Returns all tools.
///
/// # Errors
/// Where arguments are no JSON object.
pub(super) fn all() -> Result<Vec<Tool>, String> {
    Ok(vec![
        looks::<TargetList>(
            "list_targets",
            "List the saved targets (databases, services and other destinations inside Kubernetes) that may be connected to.",
        )?,
        looks::<Forwards>("list_forwards", "List the open forwards: local addresses that lead to targets.")?,
        looks::<Pods>("list_pods", "List the proxy pods of brow-tui in the connected clusters.")?,
        looks::<Clusters>("list_clusters", "List the clusters (kubeconfig contexts) and the state of the connection.")?,
        tool::<Connect, Connected>(
            "connect",
            "Open a local port that leads to a saved target, and wait until it works. The person may be asked first. It \
             ends with this session, or when its time is up.",
            ToolAnnotations::new().read_only(false).destructive(false).idempotent(true).open_world(true),
        )?,
        tool::<Renew, Renewed>(
            "renew",
            "Let a forward that this session opened last longer: its time begins anew.",
            ToolAnnotations::new().read_only(false).destructive(false).idempotent(true).open_world(false),
        )?,
        tool::<Stop, Stopped>(
            "stop",
            "Close a forward that this session opened, and its connections.",
            ToolAnnotations::new().read_only(false).destructive(true).idempotent(true).open_world(false),
        )?,
        looks::<Checked>(
            "check",
            "Check kubeconfig, clusters, permissions and config, and say how to fix what is wrong. It contacts clusters \
             and changes nothing.",
        )?,
    ])
}

/// Returns a tool that changes nothing and takes no arguments.
fn looks<R: JsonSchema + 'static>(name: &'static str, description: &'static str) -> Result<Tool, String> {
    let hints = ToolAnnotations::new().read_only(true).idempotent(true).open_world(false);
    tool::<Nothing, R>(name, description, hints)
}

fn tool<A: JsonSchema + 'static, R: JsonSchema + 'static>(
    name: &'static str,
    description: &'static str,
    hints: ToolAnnotations,
) -> Result<Tool, String> {
    let mut tool = Tool::new(name, Cow::Borrowed(description), schema_for_input::<A>()?);
    tool.output_schema = Some(schema_for_output::<R>());
    tool.annotations = Some(hints);
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_tool_has_schemas_and_hints_and_can_be_called() {
        let tools = all().unwrap();
        assert_eq!(tools.len(), 8);
        for tool in tools {
            for schema in [&tool.input_schema, tool.output_schema.as_ref().unwrap()] {
                assert_eq!(schema["type"], "object", "{}", tool.name);
            }
            let hints = tool.annotations.unwrap();
            assert!(hints.read_only_hint.is_some() && hints.idempotent_hint == Some(true), "{}", tool.name);
            assert!(Call::new(&tool.name, None).is_some(), "{}", tool.name);
        }
    }

    #[test]
    fn arguments_are_checked() {
        let call = |name, arguments: Value| Call::new(name, arguments.as_object().cloned());
        let wanted = Connect { target: "db".to_owned(), ttl: "1h".parse().ok(), on_demand: false };
        assert_eq!(call("connect", json!({ "target": "db", "ttl": "1h" })), Some(Ok(Call::Connect(wanted))));
        assert_eq!(call("fly", json!({})), None);
        for (name, wrong) in [
            ("connect", json!({})),
            ("connect", json!({ "target": 7 })),
            ("connect", json!({ "target": "db", "ttl": "soon" })),
            ("connect", json!({ "target": "db", "image": "evil" })),
            ("stop", json!({ "forward": -1 })),
            ("stop", json!({ "forward": "1" })),
            ("list_targets", json!({ "x": 1 })),
        ] {
            assert!(call(name, wrong.clone()).unwrap().unwrap_err().starts_with("invalid arguments: "), "{wrong}");
        }
    }
}
