//! The state of an instance as agents see it, in words.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Text;
use brow_model::Model;
use brow_model::agent::{Outcome, SessionId};
use brow_model::cluster::{Cluster, Link};
use brow_model::fault::Fault;
use brow_model::forward::{Forward, ForwardId, ForwardState, port_name};
use brow_model::forward_settings::AgentAccess;
use brow_model::instance::{RemoteForward, RemoteState};
use brow_model::proxy::ProxyPod;
use brow_model::target::Target;

/// The state of an instance as agents see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// The targets that are offered to agents.
    pub targets: Vec<TargetRow>,
    /// The names of the others.
    pub not_offered: Vec<String>,
    pub clusters: Vec<ClusterRow>,
    pub pods: Vec<PodRow>,
    pub forwards: Vec<ForwardRow>,
    /// The forwards that each session was given.
    #[serde(skip)]
    given: BTreeMap<u64, Vec<u64>>,
}

/// A saved target that is offered to agents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub struct TargetRow {
    pub name: String,
    /// The kubeconfig context.
    pub cluster: String,
    /// Its destination as the cluster sees it.
    pub address: String,
    pub tags: Vec<String>,
    /// True if a person is asked before it is connected.
    pub asks: bool,
    /// The numbers of its open forwards.
    pub forwards: Vec<u64>,
}

/// A kubeconfig context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub struct ClusterRow {
    pub name: String,
    /// One of idle (not connected yet), connecting, ready, unauthorized, forbidden, unreachable.
    pub state: String,
    /// True if the config marks it as production: connecting there always asks a person.
    pub production: bool,
    /// The reason why it does not work, and what a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A proxy pod of this installation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub struct PodRow {
    pub name: String,
    pub namespace: String,
    /// The kubeconfig context.
    pub cluster: String,
    /// The name of its target.
    pub target: String,
    /// One of creating, pending, pulling, starting, ready, terminating, expired, succeeded, failed.
    pub state: String,
    /// The time at which Kubernetes ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
}

/// A forward: a local address that leads to a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub struct ForwardRow {
    /// Its number, by which it is stopped and renewed.
    pub forward: u64,
    /// The name of its target, with the port where that is not the first of several.
    pub target: String,
    /// The kubeconfig context.
    pub cluster: String,
    /// The local address to connect to; without one the path of the socket. Empty where the session may not use it.
    pub address: String,
    /// The local port, unless it listens on a socket alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The path of its Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// One of opening, listening (the first connection creates the pod), waiting, connecting, live, reconnecting,
    /// broken, failed.
    pub state: String,
    /// The reason why it does not work, and what a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// True if this session opened it, so that it may stop and renew it.
    pub own: bool,
    /// The program of the agent that opened it; absent: a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The time at which a forward of an agent ends unless it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime<Utc>>,
    /// The session that opened it.
    #[serde(skip)]
    session: Option<u64>,
}

impl ForwardRow {
    /// Returns true if it is about to work, as far as is known.
    pub fn is_pending(&self) -> bool {
        ["opening", "waiting", "connecting", "reconnecting"].contains(&self.state.as_str())
    }

    /// Returns true if it can be used.
    pub fn is_usable(&self) -> bool {
        ["live", "listening"].contains(&self.state.as_str())
    }
}

impl Board {
    /// Returns the state of a model in words.
    pub fn new(model: &Model, text: &Text) -> Self {
        let (offered, others): (Vec<&Target>, Vec<&Target>) = model
            .targets
            .all()
            .iter()
            .filter(|target| !model.targets.is_temporary(&target.name))
            .partition(|target| model.agent_access(target).is_some());
        let own = model.forwards.all().values().map(|forward| own_row(model, text, forward));
        let elsewhere = model.instances.forwards().iter().map(|(id, other)| other_row(*id, other));
        let pods = model.pods.all().values().filter(|pod| model.is_ours(pod) && !model.is_duplicate(pod));
        let ids = || model.forwards.all().keys().chain(model.instances.forwards().keys()).map(|id| id.0);
        let given =
            model.agents.all().iter().map(|(session, at)| (session.0, ids().filter(|id| at.was_given(*id)).collect()));
        Self {
            given: given.collect(),
            targets: offered.into_iter().map(|target| target_row(model, target)).collect(),
            not_offered: others.into_iter().map(|target| target.name.clone()).collect(),
            clusters: model.clusters.all().iter().map(|cluster| cluster_row(model, text, cluster)).collect(),
            pods: pods.map(|pod| pod_row(model, pod)).collect(),
            forwards: own.chain(elsewhere).collect(),
        }
    }

    /// Returns the board as a session sees it.
    fn seen_by(&self, session: SessionId) -> Self {
        let mut board = self.clone();
        let free: Vec<u64> =
            self.targets.iter().filter(|target| !target.asks).flat_map(|target| target.forwards.clone()).collect();
        let given = self.given.get(&session.0);
        for forward in &mut board.forwards {
            forward.own = forward.session == Some(session.0);
            let is_given = given.is_some_and(|given| given.contains(&forward.forward));
            if !(forward.own || is_given || free.contains(&forward.forward)) {
                // The session learns the address by connecting the target.
                (forward.address, forward.port, forward.socket) = (String::new(), None, None);
                // It may name the destination.
                forward.fault = None;
            }
        }
        board
    }
}

/// The state that is published to agents.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Published {
    board: Board,
    /// The outcomes of each session's last orders.
    outcomes: BTreeMap<SessionId, Vec<(u64, Outcome)>>,
}

impl Published {
    /// Returns the state of a model. Without a session there is nobody to be told.
    pub(super) fn new(model: &Model, board: impl FnOnce() -> Board) -> Self {
        let sessions = model.agents.all();
        if sessions.is_empty() {
            return Self::default();
        }
        let outcomes = sessions.iter().map(|(id, session)| (*id, session.outcomes().iter().cloned().collect()));
        Self { board: board(), outcomes: outcomes.collect() }
    }

    /// Returns the state as a session sees it, if there is such a session.
    pub(super) fn seen_by(&self, session: SessionId) -> Option<View> {
        let outcomes = self.outcomes.get(&session)?.clone();
        Some(View { board: self.board.seen_by(session), outcomes })
    }
}

/// The state as one session sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    pub board: Board,
    /// The outcomes of its last orders, by their numbers.
    pub outcomes: Vec<(u64, Outcome)>,
}

fn in_words(text: &Text, fault: Option<&Fault>) -> Option<String> {
    fault.map(|fault| text.fault(fault).in_full())
}

fn target_row(model: &Model, target: &Target) -> TargetRow {
    let access = model.agent_access(target);
    let elsewhere = target.address.singles();
    let elsewhere = elsewhere.iter().filter_map(|address| Some(model.elsewhere(target, address)?.0.0));
    TargetRow {
        name: target.name.clone(),
        cluster: target.cluster.clone(),
        address: target.address.to_string(),
        tags: target.tags.clone(),
        asks: access == Some(AgentAccess::Ask) || model.is_production(&target.cluster),
        forwards: model.forwards_of(&target.name).map(|forward| forward.spec.id.0).chain(elsewhere).collect(),
    }
}

fn cluster_row(model: &Model, text: &Text, cluster: &Cluster) -> ClusterRow {
    let state = match cluster.link {
        Link::Idle => "idle",
        Link::Connecting => "connecting",
        Link::Ready => "ready",
        Link::Unauthorized => "unauthorized",
        Link::Forbidden => "forbidden",
        Link::Unreachable => "unreachable",
    };
    ClusterRow {
        name: cluster.name.clone(),
        state: state.to_owned(),
        production: model.is_production(&cluster.name),
        fault: in_words(text, cluster.fault.as_ref()),
    }
}

fn pod_row(model: &Model, pod: &ProxyPod) -> PodRow {
    let skew = model.cluster(&pod.key.cluster).map(|cluster| TimeDelta::seconds(cluster.skew.num_seconds()));
    PodRow {
        name: pod.key.name.clone(),
        namespace: pod.key.namespace.clone(),
        cluster: pod.key.cluster.clone(),
        target: pod.target.clone(),
        state: model.phase_of(pod).name().to_owned(),
        expires: pod.deadline().map(|deadline| deadline - skew.unwrap_or_default()),
    }
}

fn own_row(model: &Model, text: &Text, forward: &Forward) -> ForwardRow {
    let (spec, mark) = (&forward.spec, forward.agent.as_ref());
    let target = model.target(&spec.target);
    ForwardRow {
        forward: spec.id.0,
        target: target.map_or_else(|| spec.target.clone(), |target| port_name(target, &spec.address)),
        cluster: spec.selector.cluster.clone(),
        address: forward.local(),
        port: port_in(&forward.local()),
        socket: forward.socket.clone(),
        state: name_of(forward.state()).to_owned(),
        fault: in_words(text, model.trouble_of(forward)),
        own: false,
        agent: mark.map(|mark| mark.client.clone()),
        // Whole seconds are news enough.
        expires: mark.and_then(|mark| DateTime::from_timestamp(mark.until.timestamp(), 0)),
        session: mark.map(|mark| mark.session.0),
    }
}

fn other_row(id: ForwardId, other: &RemoteForward) -> ForwardRow {
    let forward = &other.forward;
    let state = match (forward.state, forward.shown()) {
        (RemoteState::Broken, _) => "broken",
        (_, shown) => name_of(shown),
    };
    ForwardRow {
        forward: id.0,
        target: forward.name.clone(),
        cluster: forward.cluster.clone(),
        address: forward.local.clone(),
        port: port_in(&forward.local),
        socket: forward.socket.clone(),
        state: state.to_owned(),
        fault: None,
        own: false,
        agent: forward.agent.clone(),
        expires: None,
        session: None,
    }
}

fn name_of(state: ForwardState) -> &'static str {
    match state {
        ForwardState::Opening => "opening",
        ForwardState::Resting => "listening",
        ForwardState::Waiting => "waiting",
        ForwardState::Dialing => "connecting",
        ForwardState::Live => "live",
        ForwardState::Reconnecting => "reconnecting",
        ForwardState::Broken => "broken",
        ForwardState::Failed => "failed",
    }
}

fn port_in(local: &str) -> Option<u16> {
    local.parse::<std::net::SocketAddr>().ok().map(|address| address.port())
}
