//! An edit of a custom object: the text that a person writes, and what applying it would change.

use crate::types::index::{ObjectRef, ServedKind};

/// An object's text in a file of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The object; of a new one the name is empty until the text names it.
    pub object: ObjectRef,
    /// The file.
    pub path: String,
    /// The text that a new object began with: left as it is, nothing is created.
    pub skeleton: String,
    /// The object as it was when it was read; `None` for a new one.
    pub base: Option<Base>,
}

/// The stored object that a draft was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub uid: String,
    /// Its `resourceVersion`: a change that somebody else makes meanwhile is a conflict.
    pub version: String,
    /// The object as YAML, without what the server keeps for itself.
    pub yaml: String,
    /// The fields that we manage, as JSON in the notation of `fieldsV1`.
    pub owned: String,
}

/// The way in which the server is given a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Create the object.
    Create,
    /// Server-side apply; fields that others manage are a conflict.
    Apply,
    /// Server-side apply that takes over fields that others manage.
    TakeOver,
    /// Replace the object: an apply leaves fields that others manage as they are, even where the text has them no more.
    Replace,
}

/// A line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffLine {
    Same(String),
    Removed(String),
    Added(String),
    /// So many lines that are the same were left out.
    Skipped(usize),
}

/// A text that the server has tried, with what it would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub draft: Draft,
    /// The object as JSON, as it is sent.
    pub body: String,
    pub method: Method,
    pub diff: Vec<DiffLine>,
    /// Fields that others manage and that are taken over or removed, each with its manager where that is known.
    pub managed: Vec<String>,
    /// The consequence for the cluster's nodes.
    pub reach: Option<Reach>,
}

/// The nodes on which a change starts something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub action: Rollout,
    /// The number of nodes; `None`: they may not be listed.
    pub nodes: Option<usize>,
    /// The number of nodes on which it runs at a time.
    pub at_once: Option<u64>,
    /// The nodes are cordoned meanwhile.
    pub cordons: bool,
    /// The nodes are drained first.
    pub drains: bool,
}

/// The things that a change starts on nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// The jobs of an upgrade plan.
    Upgrade,
    /// A pod on each node is replaced.
    Pods,
    /// A job on each node.
    Jobs,
    /// Each node pulls an image.
    Images,
}

impl Rollout {
    /// Returns the thing that a change of an object of this kind starts on nodes, if it does.
    pub fn of(kind: &ServedKind) -> Option<Self> {
        match (kind.group.as_str(), kind.kind.as_str()) {
            ("upgrade.cattle.io", "Plan") => Some(Self::Upgrade),
            ("apps.kruise.io", "DaemonSet") => Some(Self::Pods),
            ("apps.kruise.io", "BroadcastJob") => Some(Self::Jobs),
            ("apps.kruise.io", "ImagePullJob" | "ImageListPullJob") => Some(Self::Images),
            _ => None,
        }
    }
}

/// The result of trying a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// It says what is there already.
    Unchanged,
    Proposed(Box<Proposal>),
}

/// A request to open an editor on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditSubject {
    Existing(ObjectRef),
    /// A new object of that kind, in that namespace; its name is empty.
    New(ObjectRef),
}

impl EditSubject {
    pub fn object(&self) -> &ObjectRef {
        match self {
            Self::Existing(object) | Self::New(object) => object,
        }
    }
}

impl ObjectRef {
    /// Returns kind and name as kubectl writes them: `plan/server`.
    pub fn short_name(&self) -> String {
        let kind = self.kind.kind.to_lowercase();
        if self.name.is_empty() { kind } else { format!("{kind}/{}", self.name) }
    }
}
