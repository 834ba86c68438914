//! The only state: plain data, no locks, no IO, no clock. [`Model::update`] is a function of (state, event) and
//! returns effects, which are data too.
#![deny(clippy::disallowed_methods)]

pub mod action;
pub mod address;
pub mod cluster;
pub mod dialog;
pub mod effect;
pub mod event;
pub mod fault;
pub mod focus;
pub mod forward;
pub mod list;
pub mod log;
pub mod proxy;
pub mod settings;
pub mod target;
pub mod ttl;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use cluster::Cluster;
use dialog::Dialog;
use focus::Focus;
use forward::{Forward, ForwardId};
use list::{ClusterColumn, ForwardColumn, List, PodColumn, TargetColumn};
use log::{Entry, Log};
use proxy::{PodKey, PodRequest, ProxyPod, RequestId};
use settings::Settings;
use target::Target;

/// Everything the program knows. One loop owns it; the view reads it.
#[derive(Debug, Clone)]
pub struct Model {
    /// The time, as of the last tick.
    pub now: DateTime<Utc>,
    /// Who we are to the clusters: `user@host`, the value of the `brow/owner` annotation.
    pub me: String,
    /// What the config says.
    pub settings: Settings,
    /// Where the config is.
    pub config_path: String,
    /// Kubeconfig contexts, in the kubeconfig's order.
    pub clusters: Vec<Cluster>,
    /// Saved targets, in the file's order.
    pub targets: Vec<Target>,
    /// Proxy pods of the connected clusters.
    pub pods: BTreeMap<PodKey, ProxyPod>,
    /// Pods asked for and not yet answered.
    pub requests: BTreeMap<RequestId, PodRequest>,
    /// Forwards, in the order of opening.
    pub forwards: BTreeMap<ForwardId, Forward>,
    /// Ports that targets without one of their own had last.
    pub ports: BTreeMap<String, u16>,
    /// The clusters pane.
    pub cluster_list: List<String, ClusterColumn>,
    /// The targets pane.
    pub target_list: List<String, TargetColumn>,
    /// The proxy pods pane.
    pub pod_list: List<PodKey, PodColumn>,
    /// The forwards pane.
    pub forward_list: List<ForwardId, ForwardColumn>,
    /// Where the keys go.
    pub focus: Focus,
    /// Open dialogs; the last one has the keys.
    pub dialogs: Vec<Dialog>,
    /// The event log.
    pub log: Log,
    /// The entry shown in the bottom line until its time is up.
    pub notice: Option<(Entry, DateTime<Utc>)>,
}
