//! Events about what clusters have: the browser's, the search's, those of an object's page.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::language::fault::Fault;
use crate::types::epoch::Epoch;
use crate::types::index::{Indexed, ObjectRef, ServedKind};
use crate::types::inventory::{Object, ObjectKey, SearchScope};
use crate::types::kinds::{TableColumn, TableRow};
use crate::types::node::ServicePort;
use crate::types::why::Check;
use crate::types::workload::Kind;

/// The results of browsing a cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum BrowseEvent {
    /// These are all kinds that are looked for.
    Kinds(BTreeSet<Kind>),
    /// These are all objects of a place.
    Listed {
        /// The place.
        scope: SearchScope,
        /// All of them that have ports.
        all: Vec<Object>,
    },
    /// An object is new or changed; without ports it counts as gone.
    Applied(Object),
    Gone(ObjectKey),
    /// A place cannot be looked into, or no longer.
    Missing {
        /// The place.
        scope: SearchScope,
        /// The reason.
        fault: Fault,
    },
}

/// News of the index of a cluster. Kinds go by their numbers in the list of them.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexEvent {
    /// These are all kinds.
    Kinds(Vec<Arc<ServedKind>>),
    /// The kinds are not known; they are asked for again.
    Unknown(Fault),
    /// A part of a list.
    Page {
        kind: usize,
        /// The namespace that is listed; `None`: all.
        namespace: Option<Arc<str>>,
        rows: Vec<Indexed>,
        /// True for the first part: nothing that was listed before counts any more.
        first: bool,
        /// True for the last part.
        last: bool,
    },
    /// An object is new or changed.
    Applied { kind: usize, row: Indexed },
    /// An object is gone.
    Gone { kind: usize, namespace: Arc<str>, name: Box<str> },
    /// A kind may not be listed in all namespaces; these many are listed one by one.
    Narrowed { kind: usize, fault: Fault, namespaces: usize },
    /// A kind cannot be listed in a namespace.
    Missing { kind: usize, fault: Fault },
}

/// News of the kinds of a cluster, and of the objects of one as the server prints them.
#[derive(Debug, Clone, PartialEq)]
pub enum KindEvent {
    /// These are all kinds.
    Served(Vec<Arc<ServedKind>>),
    /// The kinds are not known; they are asked for again.
    Unknown(Fault),
    /// A part of a list.
    Listed {
        /// The namespace that is listed; `None`: all.
        namespace: Option<String>,
        columns: Vec<TableColumn>,
        rows: Vec<TableRow>,
        /// True for the first part: nothing that was listed before counts any more.
        first: bool,
    },
    /// An object is new or changed.
    Applied(TableRow),
    /// An object is gone.
    Gone { namespace: String, name: String },
    /// Objects cannot be listed; it is tried again.
    Missing { fault: Fault },
}

/// Answers about objects.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectEvent {
    /// The steps that were taken.
    Steps {
        /// The epoch of the steps.
        epoch: Epoch,
        checks: Vec<Check>,
    },
    /// The ports of a cluster's nodes, as its services have them.
    NodePorts {
        /// The context.
        cluster: String,
        result: Result<Vec<ServicePort>, Fault>,
    },
    /// An object of the browser, whose page is to be opened.
    Found {
        /// The epoch of the browser.
        epoch: Epoch,
        result: Result<ObjectRef, Fault>,
    },
    /// The ports of an object that is to be forwarded.
    Ports {
        object: ObjectRef,
        /// The object as the browser has it.
        result: Result<Box<Object>, Fault>,
    },
}
