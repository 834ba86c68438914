//! Coding agents: programs that reach targets through `brow-tui mcp`, as far as the config and a person let them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::types::forward::ForwardId;
use crate::types::ttl::Ttl;

/// One connection of an agent to an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The mark of a forward that an agent opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentMark {
    /// The session that it ends with.
    pub session: SessionId,
    /// The name that the agent's program gives itself.
    pub client: String,
    /// The end of its time.
    pub until: DateTime<Utc>,
    /// The consent that it was opened with.
    pub grant: Grant,
}

impl AgentMark {
    /// Returns the time left to it, for a pod that is created now.
    pub(crate) fn left(&self, now: DateTime<Utc>) -> Option<Ttl> {
        Ttl::from_secs(u64::try_from((self.until - now).num_seconds()).unwrap_or_default().max(1))
    }
}

/// The consent that something needs or has, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// The config's consent alone.
    Config,
    /// A person's consent, outside production.
    Person,
    /// A person's consent, for a production cluster.
    Production,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum AgentOrder {
    /// Forward a saved target.
    Connect {
        target: String,
        /// The time until the forward ends; `None`: a quarter of an hour.
        ttl: Option<Ttl>,
        /// True if the first connection is to create the pod.
        on_demand: bool,
    },
    /// Begin the time of a forward of its own anew.
    Renew {
        /// The forward's number.
        forward: u64,
        /// The time; `None`: a quarter of an hour.
        ttl: Option<Ttl>,
    },
    /// Close a forward of its own.
    Stop {
        /// The forward's number.
        forward: u64,
    },
    /// Pass on what the person said whom the agent's program has asked.
    Answer {
        /// The number of the question.
        question: u64,
        consent: Consent,
    },
    /// Take an order back that nobody waits for any more: close its question, and what it opened.
    Withdraw {
        /// The order's number in the session.
        order: u64,
    },
}

/// The answer to an agent's question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// No, and not again in this session.
    Refused,
    /// This time.
    Once,
    /// As long as this session lasts, unless it is in production, where each time is asked.
    Session,
    /// Nobody answered.
    Unanswered,
    /// Nobody could be asked.
    Nobody,
}

/// A request of an agent that a person is asked to approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    #[serde(skip)]
    pub session: SessionId,
    /// The other instance that asks; `None`: this one.
    #[serde(skip)]
    pub instance: Option<String>,
    /// The number of the question, in its instance.
    pub question: u64,
    /// The name that the agent's program gives itself.
    pub client: String,
    pub target: String,
    /// The context.
    pub cluster: String,
    /// True if the config marks the cluster as production.
    pub production: bool,
    /// The place that the target leads to: an answer concerns nothing else.
    pub place: AgentPlace,
    /// The time for which it wants the forward.
    pub ttl: Ttl,
    /// The time after which the question counts as refused.
    pub within: Ttl,
    pub operation: AgentOperation,
}

/// The place that a target leads to: its name, context, namespace and address.
pub type AgentPlace = (String, String, Option<String>, String);

/// The operation that an approval is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentOperation {
    /// Open a forward.
    Connect {
        /// True if the first connection is to create the pod.
        on_demand: bool,
    },
    /// Begin the time of a forward anew.
    Renew(ForwardId),
}

/// The outcome of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The target has these forwards.
    Open {
        /// Their numbers.
        forwards: Vec<u64>,
        /// The numbers of those that were opened for this order.
        opened: Vec<u64>,
    },
    /// The forward lasts until then.
    Renewed { until: DateTime<Utc> },
    /// The forward is closed.
    Stopped,
    /// There is no screen: the agent's program has to ask its user, and to pass on the [answer](AgentOrder::Answer).
    Ask { approval: Box<ApprovalRequest> },
    /// It is not done.
    Refused(Refusal),
}

/// The reason why an order is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// No saved target has the name.
    NoTarget,
    /// The config does not offer the target to agents.
    NotOffered,
    /// A person refused.
    ByPerson,
    /// Nobody answered in time.
    Unanswered,
    /// Nobody could be asked.
    Nobody,
    /// A question of this session is still open.
    Busy,
    /// The session has withdrawn its question about the target a moment ago.
    Withdrawn,
    /// No forward of this session has the number.
    NotOwn,
    /// The session has [too many](MAX_AGENT_FORWARDS) forwards.
    TooMany,
    /// The session was granted [too many](MAX_AGENT_GRANTS) orders within a minute.
    TooOften,
    /// There is no such question any more.
    NoQuestion,
    /// The target was changed while a person was asked about it.
    Changed,
}

impl ApprovalRequest {
    /// Returns every text in it that a screen shows.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let (name, context, namespace, address) = &self.place;
        let given = [&self.client, &self.target, &self.cluster, name, context, address];
        given.into_iter().chain(namespace).map(String::as_str)
    }
}

/// The most forwards that a session has at a time.
pub const MAX_AGENT_FORWARDS: usize = 16;
/// The most orders that a session is granted within a minute: each is written to the audit log.
pub const MAX_AGENT_GRANTS: u32 = 60;
