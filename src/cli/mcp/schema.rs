//! The arguments and results of the tools, but for those of `find`; clients are told their schemas.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instance::{ClusterRow, ForwardRow, PodRow, TargetRow};
use brow_model::ttl::Ttl;

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

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// The name of a saved target, as `list_targets` has it.
    pub target: String,
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

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Steps {
    /// True if a step has failed.
    pub failed: bool,
    /// The steps on the way to the target, each with its state (passed, failed, unknown), and with what to do about it.
    pub steps: Vec<BTreeMap<String, Value>>,
}
