//! The model: its parts and the screen.

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

use crate::language::command::Command;
use crate::language::log::Entry;
use crate::screen::batch::{Opening, Undo};
use crate::screen::dialog::Dialog;
use crate::screen::first_run::Welcome;
use crate::screen::focus::Focus;
use crate::screen::list::{ClusterColumn, ForwardColumn, List, PodColumn, TargetColumn};
use crate::screen::log::Log;
use crate::types::forward::ForwardId;
use crate::types::installation::Installation;
use crate::types::proxy::PodKey;

pub use agents::{Agents, ShownQuestion};
pub use clusters::Clusters;
pub use config::Config;
pub use forwards::Forwards;
pub use gateways::{GatewayRow, Gateways};
pub use index::Index;
pub use instances::Instances;
pub use metrics::{Detection, Measured, Metrics};
pub use pods::Pods;
pub use targets::Targets;

pub(crate) mod agents;
mod clusters;
mod config;
mod forwards;
mod gateways;
mod index;
mod instances;
mod metrics;
mod pods;
mod targets;

/// The kind of program that runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A screen with a person at it.
    Dashboard,
    /// A subcommand: it asks nothing, and does only what was requested.
    Subcommand,
}

/// The state of the screen: lists, dialogs, focus, log.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    /// The welcome of the first run, while it is shown.
    pub welcome: Option<Welcome>,
    /// The tips that were learned, by name; `None` until that was read.
    pub learned: Option<BTreeSet<String>>,
    /// The clusters pane.
    pub clusters: List<String, ClusterColumn>,
    /// The targets pane.
    pub targets: List<String, TargetColumn>,
    /// The proxy pods pane.
    pub pods: List<PodKey, PodColumn>,
    /// The forwards pane.
    pub forwards: List<ForwardId, ForwardColumn>,
    pub focus: Focus,
    /// Open dialogs; the last one has the keys.
    pub dialogs: Vec<Dialog>,
    /// The question of an agent that is the topmost of them.
    pub shown_question: Option<ShownQuestion>,
    /// The event log.
    pub log: Log,
    /// The entry shown in the bottom line until its time is up.
    pub notice: Option<(Entry, DateTime<Utc>)>,
    /// Rows in a page of what has the keys.
    pub page: usize,
    /// The largest scroll offset of the topmost dialog, as drawn last.
    pub max_scroll: usize,
    /// The descriptions of commands, which the palette searches.
    pub words: BTreeMap<Command, String>,
    /// Things that can be taken back, the last one last.
    pub undo: Vec<Undo>,
    /// Several forwards that are being opened at once.
    pub opening: Option<Opening>,
    /// True if the lists have to be arranged before the next frame.
    pub unarranged: bool,
}

/// Everything the program knows. One loop owns it; the view reads it.
#[derive(Debug, Clone)]
pub struct Model {
    /// The time, as of the last tick.
    pub now: DateTime<Utc>,
    /// Our owner name in clusters: `user@host`, the value of the `brow/owner` annotation.
    pub me: String,
    /// The installation whose pods ours are.
    pub installation: Installation,
    /// True with the practice cluster.
    pub practice: bool,
    /// The kind of program that runs the model.
    pub mode: Mode,
    /// The last number given to an epoch, a request or a forward.
    pub counter: u64,
    /// Kubeconfig contexts and what is known of them.
    pub clusters: Clusters,
    /// Saved targets and the edits of them.
    pub targets: Targets,
    /// Proxy pods, from asking for one to deleting it.
    pub pods: Pods,
    /// Forwards of this instance.
    pub forwards: Forwards,
    /// Gateways that the container engine has.
    pub gateways: Box<Gateways>,
    /// Other instances and their forwards.
    pub instances: Instances,
    /// Sessions of coding agents.
    pub agents: Agents,
    /// The config in use.
    pub config: Config,
    /// The index of connected clusters, which the search looks into.
    pub index: Index,
    /// Measurements of clusters and of what is in them.
    pub metrics: Metrics,
    /// The state of the screen: lists, dialogs, focus, log.
    pub screen: Screen,
}

impl Model {
    /// Returns true if there is no screen.
    pub(crate) fn unattended(&self) -> bool {
        self.mode == Mode::Subcommand
    }

    /// A model that knows nothing yet but the time and who we are.
    pub fn new(now: DateTime<Utc>, me: impl Into<String>) -> Self {
        Self {
            now,
            me: me.into(),
            installation: Installation::default(),
            practice: false,
            mode: Mode::Dashboard,
            counter: 0,
            clusters: Clusters::default(),
            targets: Targets::default(),
            pods: Pods::new(now),
            forwards: Forwards::default(),
            gateways: Box::default(),
            instances: Instances::default(),
            agents: Agents::default(),
            config: Config::default(),
            index: Index::default(),
            metrics: Metrics::default(),
            screen: Screen { page: 10, max_scroll: usize::MAX, unarranged: true, ..Screen::default() },
        }
    }
}
