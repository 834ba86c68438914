//! Effects and events of an object's page.

use crate::language::fault::Fault;
use crate::types::epoch::Epoch;
use crate::types::index::ObjectRef;
use crate::types::page::{EventRow, LogPod, ObjectDetails, RelationRow, SecretLines};
use crate::types::proxy::PodKey;

/// An order about the page in view. What comes of it echoes the epoch.
#[derive(Debug, Clone, PartialEq)]
pub enum PageEffect {
    /// Watch an object, and nothing for the page before.
    Show { object: ObjectRef, epoch: Epoch },
    /// Watch the events about it.
    Events { object: ObjectRef, uid: String, epoch: Epoch },
    /// Find the related objects, so many steps away. `fresh`: ask for everything anew.
    Relate { object: ObjectRef, epoch: Epoch, depth: usize, fresh: bool },
    /// Fetch it with the values that are hidden.
    Reveal { object: ObjectRef, epoch: Epoch },
    /// Find the pods behind it.
    FindPods { object: ObjectRef, epoch: Epoch },
    /// Follow the log of a container, or read that of its run before. The epoch is the log's.
    FollowLog { key: PodKey, container: String, previous: bool, epoch: Epoch },
    /// Stop all that was begun for pages, and forget what was found.
    Hide,
}

/// News for a page.
#[derive(Debug, Clone, PartialEq)]
pub enum PageEvent {
    /// The object, at first and after each change.
    Found(Box<ObjectDetails>),
    /// It does not exist any more.
    Gone,
    /// It cannot be read, or not be watched.
    Failed(Fault),
    Revealed(Result<SecretLines, Fault>),
    /// These are the events, the newest first.
    Events(Vec<EventRow>),
    EventsFailed(Fault),
    /// The related objects so far.
    Related(Box<Related>),
    Pods(Result<Vec<LogPod>, Fault>),
}

/// Related objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Related {
    pub rows: Vec<RelationRow>,
    /// True once all were found.
    pub done: bool,
    /// The reasons why some are not known.
    pub faults: Vec<Fault>,
}
