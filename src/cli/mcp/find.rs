//! The search of clusters, by `brow-tui find` in a process of its own: whoever cancels the call ends all of it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::cli::{Globals, detach};
use brow_model::find::MAX_SHOWN;
use brow_model::sanitize::short;

/// The longest query, in bytes.
const MAX_QUERY: usize = 256;
/// The longest text of a fault, in characters.
const MAX_FAULT: usize = 400;
/// The time in which clusters are read, as the command takes it; what was found until then counts.
const READ_LIMIT: &str = "30s";
/// The longest wait for the command, which also starts and ends.
const TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Find {
    /// Words of the name, and qualifiers: kind:deploy, ns:shop, cluster:dev, label:app=web
    pub query: String,
    /// The most results, from 1 to 50; 20 by default.
    #[schemars(range(min = 1, max = 50))]
    pub limit: Option<usize>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct FindResults {
    /// The objects, the best match first.
    pub results: Vec<ObjectRow>,
    /// The number of further matches.
    pub more: usize,
    /// Kinds that may not be listed, and clusters that cannot be reached: more may match there.
    pub missing: Vec<Missing>,
    /// Clusters that were not read to their end in time.
    pub late: Vec<String>,
}

/// An object of a cluster, by its name alone.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct ObjectRow {
    pub kind: String,
    /// The name by which kubectl knows the kind.
    pub resource: String,
    pub version: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The kubeconfig context.
    pub cluster: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Missing {
    /// The kubeconfig context.
    pub cluster: String,
    /// The kind of the fault.
    pub fault: String,
    /// The words of whoever refused.
    pub detail: String,
}

/// Searches the clusters of the config.
///
/// # Errors
/// A query that is empty or too long, or the words of the command.
pub(super) async fn find(globals: &Globals, wanted: &Find) -> Result<FindResults, String> {
    let limit = wanted.limit.unwrap_or(20);
    if wanted.query.trim().is_empty() || wanted.query.len() > MAX_QUERY {
        return Err(format!("invalid arguments: query must have 1 to {MAX_QUERY} bytes"));
    }
    if !(1..=MAX_SHOWN).contains(&limit) {
        return Err(format!("invalid arguments: limit must be from 1 to {MAX_SHOWN}"));
    }
    let mut command = detach::same_program(globals).map_err(|error| error.to_string())?;
    command.args(["find", "--json", "--timeout", READ_LIMIT, "--limit", &limit.to_string(), "--", &wanted.query]);
    // The practice cluster's state is not where the system keeps such.
    if let Some(state) = globals.paths.state_dir.parent().filter(|_| globals.practice) {
        command.env("XDG_STATE_HOME", state).env("XDG_RUNTIME_DIR", Path::new(""));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ran = timeout(TIMEOUT, command.output()).await.map_err(|_| "the search took too long")?;
    let ran = ran.map_err(|error| format!("the search could not be started: {error}"))?;
    let mut found: FindResults = serde_json::from_slice(&ran.stdout).map_err(|_| {
        let said = short(&String::from_utf8_lossy(&ran.stderr), MAX_FAULT);
        if said.is_empty() { "the search has failed".to_owned() } else { said }
    })?;
    for missing in &mut found.missing {
        missing.detail = short(&missing.detail, MAX_FAULT);
    }
    Ok(found)
}
