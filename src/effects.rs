//! Effects become tasks: the one place that starts long-lived ones, owns their tokens, and joins them at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cluster::{self, Clusters};
use crate::forward;
use crate::model::effect::Effect;
use crate::model::event::{Epoch, Event, PodEvent, Sample};
use crate::model::forward::{ForwardId, ForwardSpec, Via};
use crate::model::proxy::{PodKey, PodRequest};
use crate::proxy;
use crate::store::{Order, Store};
use crate::tunnel::{Protocol, Tunnels};

mod route;

use route::Routes;

/// How long orders under way (deletions, closings, files) may take at the end.
const GRACE: Duration = Duration::from_secs(8);

/// What runs on behalf of the model.
pub struct Effects {
    clusters: Clusters,
    routes: Arc<Routes>,
    store: Store,
    me: String,
    events: mpsc::Sender<Event>,
    /// Ends everything.
    token: CancellationToken,
    /// Tasks that end by themselves or with the token.
    tasks: JoinSet<()>,
    /// Orders that are carried out even when the program is being left.
    orders: JoinSet<()>,
    connections: BTreeMap<String, Connection>,
    forwards: BTreeMap<ForwardId, Open>,
    log: Option<AbortHandle>,
}

/// A connection to a cluster: its probe and its watch.
struct Connection {
    token: CancellationToken,
    namespaces: watch::Sender<BTreeSet<String>>,
}

/// An open forward.
struct Open {
    epoch: Epoch,
    handle: forward::Handle,
    ended: CancellationToken,
}
