//! The tools: each is a row with its name, its description and the call that it makes.

use std::borrow::Cow;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use rmcp::handler::server::common::{schema_for_input, schema_for_output};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use rmcp::schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::calls::{Answer, Call, Reply};
use super::schema::Nothing;
use brow_model::sanitize::short;

/// The most characters of an error in arguments.
const MAX_ERROR: usize = 200;

/// A tool: what clients are told of it, and what it does.
pub(super) struct Row {
    pub tool: Tool,
    pub run: Run,
}

impl Row {
    pub(super) fn changes_nothing(&self) -> bool {
        self.tool.annotations.as_ref().is_some_and(|hints| hints.read_only_hint == Some(true))
    }

    pub(super) fn contacts_clusters(&self) -> bool {
        self.tool.annotations.as_ref().is_some_and(|hints| hints.open_world_hint == Some(true))
    }
}

type Run = Box<dyn for<'a> Fn(Call<'a>, Option<JsonObject>) -> BoxFuture<'a, Answer> + Send + Sync>;

/// Returns all tools: a row each, whose arguments and result have their schemas by their types.
///
/// # Errors
/// Where arguments are no JSON object.
pub(super) fn all() -> Result<Vec<Row>, String> {
    let looks = ToolAnnotations::new().read_only(true).idempotent(true).open_world(false);
    let changes = ToolAnnotations::new().read_only(false).destructive(false).idempotent(true).open_world(false);
    Ok(vec![
        row(
            "list_targets",
            "List the saved targets (databases, services and other destinations inside Kubernetes) that may be connected to.",
            looks.clone(),
            |call, Nothing {}| call.list_targets().boxed(),
        )?,
        row(
            "list_forwards",
            "List the open forwards: local addresses that lead to targets.",
            looks.clone(),
            |call, Nothing {}| call.list_forwards().boxed(),
        )?,
        row(
            "list_pods",
            "List the proxy pods of brow-tui in the connected clusters.",
            looks.clone(),
            |call, Nothing {}| call.list_pods().boxed(),
        )?,
        row(
            "list_clusters",
            "List the clusters (kubeconfig contexts) and the state of the connection.",
            looks.clone(),
            |call, Nothing {}| call.list_clusters().boxed(),
        )?,
        row(
            "connect",
            "Open a local port that leads to a saved target, and wait until it works. The person may be asked first. It \
             ends with this session, or when its time is up.",
            changes.clone().open_world(true),
            |call, wanted| call.connect(wanted).boxed(),
        )?,
        row(
            "renew",
            "Let a forward that this session opened last longer: its time begins anew.",
            changes.clone(),
            |call, wanted| call.renew(wanted).boxed(),
        )?,
        row(
            "stop",
            "Close a forward that this session opened, and its connections.",
            changes.destructive(true),
            |call, wanted| call.stop(wanted).boxed(),
        )?,
        check(looks.clone())?,
        why(looks.clone())?,
        find(looks)?,
    ])
}

fn check(looks: ToolAnnotations) -> Result<Row, String> {
    row(
        "check",
        "Check kubeconfig, clusters, permissions and config, and say how to fix what is wrong. It contacts clusters \
         and changes nothing.",
        looks.open_world(true),
        |call, Nothing {}| call.check().boxed(),
    )
}

fn why(looks: ToolAnnotations) -> Result<Row, String> {
    row(
        "why",
        "Find out why a saved target cannot be reached: whether it exists, has the port, is ready, listens and is let \
         through by network policies, and what to do. It creates no pod and changes nothing.",
        looks.open_world(true),
        |call, wanted| call.why(wanted).boxed(),
    )
}

fn find(looks: ToolAnnotations) -> Result<Row, String> {
    row(
        "find",
        "Search the objects of the clusters (services, deployments, pods, custom kinds and so on) by name, kind, \
         namespace and label. It tells names, never contents, and changes nothing.",
        looks.open_world(true),
        |call, wanted| call.find(wanted).boxed(),
    )
}

fn row<A, R>(
    name: &'static str,
    description: &'static str,
    hints: ToolAnnotations,
    run: impl for<'a> Fn(Call<'a>, A) -> BoxFuture<'a, Result<Reply<R>, String>> + Send + Sync + 'static,
) -> Result<Row, String>
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    R: Serialize + JsonSchema + 'static,
{
    let mut tool = Tool::new(name, Cow::Borrowed(description), schema_for_input::<A>()?);
    tool.output_schema = Some(schema_for_output::<R>());
    tool.annotations = Some(hints);
    let run: Run = Box::new(move |call, arguments| match read(arguments) {
        Ok(arguments) => run(call, arguments).map(|reply| reply.and_then(Reply::into_response)).boxed(),
        Err(wrong) => ready(Err(wrong)).boxed(),
    });
    Ok(Row { tool, run })
}

fn read<A: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<A, String> {
    serde_json::from_value(Value::Object(arguments.unwrap_or_default()))
        // It may repeat what was given, which may be anything.
        .map_err(|error| format!("invalid arguments: {}", short(&error.to_string(), MAX_ERROR)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::mcp::find::Find;
    use crate::cli::mcp::schema::{Connect, Stop, Why};

    #[test]
    fn every_tool_has_schemas_and_hints() {
        let tools = all().unwrap();
        assert_eq!(tools.len(), 10);
        for Row { tool, .. } in tools {
            for schema in [&tool.input_schema, tool.output_schema.as_ref().unwrap()] {
                assert_eq!(schema["type"], "object", "{}", tool.name);
            }
            let hints = tool.annotations.unwrap();
            assert!(hints.read_only_hint.is_some() && hints.idempotent_hint == Some(true), "{}", tool.name);
            let contacts_clusters = ["connect", "check", "why", "find"].contains(&&*tool.name);
            assert_eq!(hints.open_world_hint, Some(contacts_clusters), "{}", tool.name);
        }
    }

    #[test]
    fn arguments_are_checked() {
        fn error<A: DeserializeOwned>(arguments: &Value) -> Option<String> {
            read::<A>(arguments.as_object().cloned()).err()
        }
        let wanted = Connect { target: "db".to_owned(), ttl: "1h".parse().ok(), on_demand: false };
        assert_eq!(read(json!({ "target": "db", "ttl": "1h" }).as_object().cloned()), Ok(wanted));
        for (error, wrong) in [
            (error::<Connect> as fn(&Value) -> Option<String>, json!({})),
            (error::<Connect>, json!({ "target": 7 })),
            (error::<Connect>, json!({ "target": "db", "ttl": "soon" })),
            (error::<Connect>, json!({ "target": "db", "image": "evil" })),
            (error::<Stop>, json!({ "forward": -1 })),
            (error::<Stop>, json!({ "forward": "1" })),
            (error::<Nothing>, json!({ "x": 1 })),
            (error::<Why>, json!({ "target": "db", "namespace": "kube-system" })),
            (error::<Find>, json!({})),
            (error::<Find>, json!({ "query": "web", "limit": -1 })),
            (error::<Find>, json!({ "query": "web", "context": "prod" })),
        ] {
            assert!(error(&wrong).unwrap().starts_with("invalid arguments: "), "{wrong}");
        }
        let long = "\u{1b}[2J".repeat(1_000);
        for wrong in [json!({ long.clone(): 1 }), json!({ "forward": long })] {
            let words = error::<Stop>(&wrong).unwrap();
            assert!(words.len() < 400 && !words.contains('\u{1b}'), "{words:?}");
        }
    }
}
