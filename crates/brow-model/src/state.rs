//! The model itself: what it holds.

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::language::effect::TargetEdit;
use crate::language::fault::Fault;
use crate::language::log::{Entry, Log};
use crate::screen::dialog::Dialog;
use crate::screen::focus::Focus;
use crate::screen::list::{ClusterColumn, ForwardColumn, List, PodColumn, TargetColumn};
use crate::screen::welcome::Welcome;
use crate::types::cluster::Cluster;
use crate::types::forward::{Forward, ForwardId};
use crate::types::installation::Installation;
use crate::types::instance::{RemoteForward, RemoteInstance};
use crate::types::lifecycle::Lifecycle;
use crate::types::ownership::Ownership;
use crate::types::proxy::{Phase, PodKey, PodRequest, PodRequestId, ProxyPod};
use crate::types::settings::Settings;
use crate::types::target::Target;

/// The kind of program that runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A screen with a person at it.
    Dashboard,
    /// A subcommand: nothing is asked, and nothing is done but what is wished for.
    Subcommand,
}

/// Kubeconfig contexts and what is known of them.
#[derive(Debug, Clone)]
pub struct Clusters {
    /// Kubeconfig contexts, in the kubeconfig's order.
    pub all: Vec<Cluster>,
    /// The fault if the kubeconfig cannot be read.
    pub fault: Option<Fault>,
    /// Clusters in which pods of ours may live, from this run or an earlier one, with when the last TTL is up.
    pub pods_until: BTreeMap<String, DateTime<Utc>>,
}

/// Saved targets and the edits of them.
#[derive(Debug, Clone)]
pub struct Targets {
    /// Saved targets, in the file's order.
    pub all: Vec<Target>,
    /// Targets deleted in this run, last one last.
    pub deleted: Vec<Vec<Target>>,
    /// Edits on their way to the file, oldest first.
    pub saving: VecDeque<Vec<TargetEdit>>,
    /// Edits that could not be written; they are tried again when the config is read again.
    pub unsaved: Vec<TargetEdit>,
    /// The fault of the last refused pod by target, until the next request.
    pub refused: BTreeMap<String, Fault>,
    /// Ports that targets without one of their own had last.
    pub ports: BTreeMap<String, u16>,
    /// The targets that a verb was asked to forward.
    pub wants: BTreeSet<String>,
    /// Names of targets that are reachable now, as of the last arrangement.
    pub live: BTreeSet<String>,
}

/// Proxy pods, from asking for one to deleting it.
#[derive(Debug, Clone)]
pub struct Pods {
    /// Proxy pods of the connected clusters.
    pub all: BTreeMap<PodKey, ProxyPod>,
    /// Which of them are ours.
    pub ownership: Ownership,
    /// Pods asked for and not yet answered.
    pub requests: BTreeMap<PodRequestId, PodRequest>,
    /// Pods that this run created, with their uids: they are known although their cluster may be let go of.
    pub created: BTreeMap<PodKey, String>,
    /// The program is ending, and the pods of this run with it: also those that are still being created.
    pub ending: bool,
    /// Requests to which nobody answered: pods may have been made of them, and each would be there until then.
    pub unsure: Vec<(DateTime<Utc>, PodRequest)>,
    /// Pods that are being deleted on our order, with the phase they had.
    pub killing: BTreeMap<PodKey, Phase>,
    /// The current names of renamed targets, by cluster and the label that their pods still have.
    pub renamed: BTreeMap<(String, String), String>,
    /// Pods that come and go without a person's asking for each. In a box, since the model is moved about as a whole.
    pub lifecycle: Box<Lifecycle>,
    /// The time of the last cleanup of finished pods.
    pub cleaned: DateTime<Utc>,
}

/// Forwards of this instance.
#[derive(Debug, Clone)]
pub struct Forwards {
    /// Forwards, in the order of opening.
    pub all: BTreeMap<ForwardId, Forward>,
    /// Forwards that somebody stopped in another instance: the instance, and the forward's name there.
    pub stopped: BTreeSet<(String, String)>,
    /// Once the program ends: the numbers of the forwards that end with it.
    pub left: Option<Vec<u64>>,
}

/// Other instances and their forwards.
#[derive(Debug, Clone)]
pub struct Instances {
    /// Every other instance, by its name.
    pub all: BTreeMap<String, RemoteInstance>,
    /// Forwards of other instances, by the row that each has here.
    pub forwards: BTreeMap<ForwardId, RemoteForward>,
}

/// The config in use.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings in the config.
    pub settings: Settings,
    /// The path of the config.
    pub path: String,
    /// The fault that keeps the config on disk from being used.
    pub fault: Option<Fault>,
    /// The targets in whose address a login stands, as was told.
    pub logins: Vec<String>,
    /// The environment variable that was passed over, and why.
    pub ignored: Option<Fault>,
}

/// The state of the screen: lists, dialogs, focus, log.
#[derive(Debug, Clone)]
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
    /// The event log.
    pub log: Log,
    /// The entry shown in the bottom line until its time is up.
    pub notice: Option<(Entry, DateTime<Utc>)>,
    /// Rows in a page of what has the keys.
    pub page: usize,
    /// The largest scroll offset of the topmost dialog, as drawn last.
    pub max_scroll: usize,
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
    /// Other instances and their forwards.
    pub instances: Instances,
    /// The config in use.
    pub config: Config,
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
            clusters: Clusters { all: Vec::new(), fault: None, pods_until: BTreeMap::new() },
            targets: Targets {
                all: Vec::new(),
                deleted: Vec::new(),
                saving: VecDeque::new(),
                unsaved: Vec::new(),
                refused: BTreeMap::new(),
                ports: BTreeMap::new(),
                wants: BTreeSet::new(),
                live: BTreeSet::new(),
            },
            pods: Pods {
                all: BTreeMap::new(),
                ownership: Ownership::default(),
                requests: BTreeMap::new(),
                created: BTreeMap::new(),
                ending: false,
                unsure: Vec::new(),
                killing: BTreeMap::new(),
                renamed: BTreeMap::new(),
                lifecycle: Box::default(),
                cleaned: now,
            },
            forwards: Forwards { all: BTreeMap::new(), stopped: BTreeSet::new(), left: None },
            instances: Instances { all: BTreeMap::new(), forwards: BTreeMap::new() },
            config: Config {
                settings: Settings::default(),
                path: String::new(),
                fault: None,
                logins: Vec::new(),
                ignored: None,
            },
            screen: Screen {
                welcome: None,
                learned: None,
                clusters: List::default(),
                targets: List::default(),
                pods: List::default(),
                forwards: List::default(),
                focus: Focus::default(),
                dialogs: Vec::new(),
                log: Log::default(),
                notice: None,
                page: 10,
                max_scroll: usize::MAX,
                unarranged: true,
            },
        }
    }
}
