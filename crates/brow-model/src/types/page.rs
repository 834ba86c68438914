//! An object's page: a summary of the object, its events, its logs, and the objects that it is related to.

use chrono::{DateTime, Utc};

use crate::types::index::ObjectRef;
use crate::types::proxy::PodKey;

/// A part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PagePart {
    Summary,
    Events,
    Relations,
    Yaml,
    Logs,
}

impl PagePart {
    /// All parts, in the order in which they are offered.
    pub const ALL: [Self; 5] = [Self::Summary, Self::Events, Self::Relations, Self::Yaml, Self::Logs];

    /// Returns the part's name in the text tables (`page.<name>`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Events => "events",
            Self::Relations => "relations",
            Self::Yaml => "yaml",
            Self::Logs => "logs",
        }
    }

    /// Returns the part that is so many places further on.
    pub(crate) fn step(self, by: isize) -> Self {
        let at = Self::ALL.iter().position(|part| *part == self).unwrap_or_default().cast_signed() + by;
        Self::ALL[at.rem_euclid(Self::ALL.len().cast_signed()).unsigned_abs()]
    }
}

/// The meaning of a value for the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    /// Under way, or in need of attention.
    Warn,
    Bad,
    /// Of little weight.
    Dim,
}

/// A row of the summary. `label` is a key of the text tables (`page.<label>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    pub label: &'static str,
    pub value: SummaryValue,
    pub tone: Tone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SummaryValue {
    /// One or more lines.
    Lines(Vec<String>),
    /// A time, shown as an age.
    Time(DateTime<Utc>),
}

/// The labels of all rows of summaries, for the test that each has its words.
pub const LABELS: [&str; 44] = [
    "access",
    "addresses",
    "age",
    "annotations",
    "bound",
    "capacity",
    "class",
    "cluster-ip",
    "completions",
    "concurrency",
    "data",
    "deleting",
    "external",
    "external-name",
    "finalizers",
    "hosts",
    "image",
    "kubelet",
    "labels",
    "last-run",
    "message",
    "min-available",
    "namespace",
    "node",
    "os",
    "owner",
    "phase",
    "pod-ip",
    "pods-ready",
    "ports",
    "qos",
    "reason",
    "replicas",
    "restarts",
    "runtime",
    "scaling",
    "schedule",
    "selector",
    "service-account",
    "strategy",
    "suspended",
    "taints",
    "type",
    "unschedulable",
];

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRow {
    pub name: String,
    pub image: String,
    /// True for one that runs before the others.
    pub init: bool,
    pub ready: bool,
    pub restarts: u64,
    /// As the kubelet names it: `Running`, `CrashLoopBackOff`.
    pub state: String,
    /// The end of the run before: its reason and exit code.
    pub last: String,
    pub tone: Tone,
}

/// A condition in an object's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionRow {
    pub name: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
    pub message: String,
    pub since: Option<DateTime<Utc>>,
    pub tone: Tone,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub rows: Vec<SummaryRow>,
    pub containers: Vec<ContainerRow>,
    pub conditions: Vec<ConditionRow>,
}

/// An object as its page shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectDetails {
    pub uid: String,
    pub summary: Summary,
    /// Lines ready to show, the values of a Secret hidden and the managed fields folded.
    pub yaml: Vec<String>,
    /// The managed fields, if it has some.
    pub managed: Option<ManagedFields>,
    /// True if values are hidden that can be shown.
    pub hidden: bool,
}

/// The part of an object's metadata in which the server keeps who set which field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManagedFields {
    /// The number of managers.
    pub count: usize,
    /// Lines of YAML.
    pub lines: Vec<String>,
}

impl ManagedFields {
    /// Returns the place of the folded line in an object's YAML.
    pub fn place_in(yaml: &[String]) -> Option<usize> {
        let meta = yaml.iter().position(|line| line == "metadata:")?;
        let within = yaml[meta..].iter().position(|line| line.starts_with("  managedFields:"))?;
        Some(meta + within)
    }
}

/// Lines with secrets in them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretLines(pub Vec<String>);

impl std::fmt::Debug for SecretLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lines", self.0.len())
    }
}

/// An event about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The last time that it happened.
    pub at: Option<DateTime<Utc>>,
    pub warning: bool,
    pub reason: String,
    pub message: String,
    /// The pod that it is about; empty for the object itself.
    pub pod: String,
    /// The component that reports it.
    pub source: String,
    pub count: u64,
}

/// The way in which an object is related to the one above it in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// The object of the page.
    Root,
    Owner,
    Owned,
    Selects,
    SelectedBy,
    Endpoints,
    RoutesTo,
    RoutedBy,
    RunsOn,
    Runs,
    Uses,
    UsedBy,
    Bound,
    Scales,
    ScaledBy,
    ProtectedBy,
    RestrictedBy,
}

impl Relation {
    pub const ALL: [Self; 17] = [
        Self::Root,
        Self::Owner,
        Self::Owned,
        Self::Selects,
        Self::SelectedBy,
        Self::Endpoints,
        Self::RoutesTo,
        Self::RoutedBy,
        Self::RunsOn,
        Self::Runs,
        Self::Uses,
        Self::UsedBy,
        Self::Bound,
        Self::Scales,
        Self::ScaledBy,
        Self::ProtectedBy,
        Self::RestrictedBy,
    ];

    /// Returns the relation's name in the text tables (`relation.<name>`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Owner => "owner",
            Self::Owned => "owned",
            Self::Selects => "selects",
            Self::SelectedBy => "selected-by",
            Self::Endpoints => "endpoints",
            Self::RoutesTo => "routes-to",
            Self::RoutedBy => "routed-by",
            Self::RunsOn => "runs-on",
            Self::Runs => "runs",
            Self::Uses => "uses",
            Self::UsedBy => "used-by",
            Self::Bound => "bound",
            Self::Scales => "scales",
            Self::ScaledBy => "scaled-by",
            Self::ProtectedBy => "protected-by",
            Self::RestrictedBy => "restricted-by",
        }
    }
}

/// The knowledge of a related object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelationState {
    /// It exists; a few words about its state.
    Found { status: String, tone: Tone },
    /// It is referred to and does not exist. `optional`: the reference says that it need not.
    Missing { optional: bool },
    /// It may not be read.
    Unknown,
    /// It stands elsewhere in the tree, with what belongs to it.
    Again,
}

/// A row of the tree of relations, whose rows stand in the order of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationRow {
    /// 0 for the object of the page.
    pub depth: usize,
    pub relation: Relation,
    pub object: ObjectRef,
    /// The place of the reference in the object above: `volume certs`.
    pub via: String,
    pub state: RelationState,
    /// Empty if it is not known.
    pub uid: String,
}

impl RelationRow {
    /// Returns true if the object is referred to, has to exist, and does not.
    pub fn is_broken(&self) -> bool {
        self.state == RelationState::Missing { optional: false }
    }
}

/// A pod whose logs can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPod {
    pub key: PodKey,
    /// Those that run first, and init containers last.
    pub containers: Vec<String>,
}
