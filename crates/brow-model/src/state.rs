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
use crate::types::instance::{Known, Other};
use crate::types::own::Own;
use crate::types::proxy::{Phase, PodKey, PodRequest, ProxyPod, RequestId};
use crate::types::settings::Settings;
use crate::types::target::Target;
use crate::types::upkeep::Upkeep;

/// What stands before the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// A screen with a person at it.
    Screen,
    /// A subcommand: nothing is asked, and nothing is done but what is wished for.
    Verb,
}

/// Everything the program knows. One loop owns it; the view reads it.
#[derive(Debug, Clone)]
pub struct Model {
    /// The time, as of the last tick.
    pub now: DateTime<Utc>,
    /// Who we are to the clusters: `user@host`, the value of the `brow/owner` annotation.
    pub me: String,
    /// The installation whose pods ours are.
    pub installation: Installation,
    /// Whether all this is the practice cluster's.
    pub practice: bool,
    /// What stands before it.
    pub front: Front,
    /// The welcome of the first run, while it is shown.
    pub welcome: Option<Welcome>,
    /// The lessons that were learned, by name; `None` until that was read.
    pub learned: Option<BTreeSet<String>>,
    /// What the config says.
    pub settings: Settings,
    /// Where the config is.
    pub config_path: String,
    /// Why the config on disk is not the one in use.
    pub config_fault: Option<Fault>,
    /// The environment variable that was passed over, and why.
    pub ignored: Option<Fault>,
    /// Edits on their way to the file, oldest first.
    pub saving: VecDeque<Vec<TargetEdit>>,
    /// Edits that could not be written; they are tried again when the config is read again.
    pub unsaved: Vec<TargetEdit>,
    /// Kubeconfig contexts, in the kubeconfig's order.
    pub clusters: Vec<Cluster>,
    /// Why there are none.
    pub kubeconfig_fault: Option<Fault>,
    /// Saved targets, in the file's order.
    pub targets: Vec<Target>,
    /// Names of targets that are reachable now, as of the last arrangement.
    pub live: BTreeSet<String>,
    /// What pods of renamed targets still carry: the target's name now, by cluster and label.
    pub renamed: BTreeMap<(String, String), String>,
    /// Targets deleted in this run, last one last.
    pub deleted: Vec<Vec<Target>>,
    /// Proxy pods of the connected clusters.
    pub pods: BTreeMap<PodKey, ProxyPod>,
    /// Which of them are ours.
    pub own: Own,
    /// Pods asked for and not yet answered.
    pub requests: BTreeMap<RequestId, PodRequest>,
    /// Why the last pod asked for was refused, by target, until the next is asked for.
    pub refused: BTreeMap<String, Fault>,
    /// Pods that this run created, with their uids: they are known although their cluster may be let go of.
    pub created: BTreeMap<PodKey, String>,
    /// The program is ending, and the pods of this run with it: also those that are still being created.
    pub ending_pods: bool,
    /// Requests to which nobody answered: pods may have been made of them, and each would be there until then.
    pub unsure: Vec<(DateTime<Utc>, PodRequest)>,
    /// Once the program ends: the numbers of the forwards that end with it.
    pub left: Option<Vec<u64>>,
    /// The targets that a verb was asked to forward.
    pub wants: BTreeSet<String>,
    /// Forwards that somebody stopped in another instance: the instance, and the forward's name there.
    pub stopped: BTreeSet<(String, String)>,
    /// Clusters in which pods of ours may live, from this run or an earlier one, with when the last TTL is up.
    pub pods_until: BTreeMap<String, DateTime<Utc>>,
    /// Pods that come and go without a person's asking for each. In a box, since the model is moved about as a whole.
    pub upkeep: Box<Upkeep>,
    /// Pods that are being deleted on our order, with the phase they had.
    pub killing: BTreeMap<PodKey, Phase>,
    /// Forwards, in the order of opening.
    pub forwards: BTreeMap<ForwardId, Forward>,
    /// Forwards of other instances, by the row that each has here.
    pub others: BTreeMap<ForwardId, Other>,
    /// Every other instance, by its name.
    pub instances: BTreeMap<String, Known>,
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
    /// Rows in a page of what has the keys.
    pub page: usize,
    /// How far the topmost dialog's text can be scrolled, as drawn last.
    pub reach: usize,
    /// When finished pods were last looked for.
    pub cleaned: DateTime<Utc>,
    /// The last number given to an epoch, a request or a forward.
    pub counter: u64,
    /// Whether the lists have to be arranged before the next frame.
    pub unarranged: bool,
}

impl Model {
    /// Whether nobody is at a screen.
    pub(crate) fn unattended(&self) -> bool {
        self.front == Front::Verb
    }

    /// A model that knows nothing yet but the time and who we are.
    pub fn new(now: DateTime<Utc>, me: impl Into<String>) -> Self {
        Self {
            now,
            me: me.into(),
            installation: Installation::default(),
            practice: false,
            front: Front::Screen,
            welcome: None,
            learned: None,
            settings: Settings::default(),
            config_path: String::new(),
            config_fault: None,
            ignored: None,
            saving: VecDeque::new(),
            unsaved: Vec::new(),
            clusters: Vec::new(),
            kubeconfig_fault: None,
            targets: Vec::new(),
            live: BTreeSet::new(),
            renamed: BTreeMap::new(),
            deleted: Vec::new(),
            pods: BTreeMap::new(),
            own: Own::default(),
            requests: BTreeMap::new(),
            refused: BTreeMap::new(),
            created: BTreeMap::new(),
            ending_pods: false,
            unsure: Vec::new(),
            left: None,
            wants: BTreeSet::new(),
            stopped: BTreeSet::new(),
            pods_until: BTreeMap::new(),
            upkeep: Box::default(),
            killing: BTreeMap::new(),
            forwards: BTreeMap::new(),
            others: BTreeMap::new(),
            instances: BTreeMap::new(),
            ports: BTreeMap::new(),
            cluster_list: List::default(),
            target_list: List::default(),
            pod_list: List::default(),
            forward_list: List::default(),
            focus: Focus::default(),
            dialogs: Vec::new(),
            log: Log::default(),
            notice: None,
            page: 10,
            reach: usize::MAX,
            cleaned: now,
            counter: 0,
            unarranged: true,
        }
    }
}
