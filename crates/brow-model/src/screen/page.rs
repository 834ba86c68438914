//! An object's page: a dialog whose parts show the object, its events, what it is related to, and its logs.

use std::collections::VecDeque;

use crate::language::fault::Fault;
use crate::screen::text_field::Field;
use crate::types::epoch::Epoch;
use crate::types::index::ObjectRef;
use crate::types::page::{EventRow, LogPod, ObjectDetails, PagePart, RelationRow, SecretLines};

/// The number of steps that relations are followed at first, and at most.
pub(crate) const DEPTH: usize = 3;
pub(crate) const MAX_DEPTH: usize = 8;

/// The dialog. Each page that is opened from another stands above it.
#[derive(Debug, Clone)]
pub struct ObjectPage {
    pub object: ObjectRef,
    /// The epoch of what was asked for last.
    pub epoch: Epoch,
    pub part: PagePart,
    /// The object, once it is here.
    pub details: Option<Box<ObjectDetails>>,
    /// The reason why it is not, or may have changed.
    pub fault: Option<Fault>,
    /// True if the object was deleted.
    pub gone: bool,
    /// The YAML with the values that are hidden, while they are shown.
    pub revealed: Option<SecretLines>,
    /// True while the managed fields are unfolded.
    pub unfolded: bool,
    /// The events, once they are here.
    pub events: Option<Vec<EventRow>>,
    pub events_fault: Option<Fault>,
    pub relations: RelationTree,
    pub log: PageLog,
    /// Lines scrolled down in each part.
    pub scrolls: [usize; PagePart::ALL.len()],
    /// The parts that were asked for in this epoch.
    pub(crate) asked: Vec<PagePart>,
}

/// The tree of relations.
#[derive(Debug, Clone)]
pub struct RelationTree {
    pub rows: Vec<RelationRow>,
    /// The number of steps that are followed.
    pub depth: usize,
    pub done: bool,
    /// The reasons why some are not known, merged.
    pub fault: Option<Fault>,
    pub cursor: usize,
}

/// The logs of the pods behind the object.
#[derive(Debug, Clone, Default)]
pub struct PageLog {
    /// The pods, once they are known.
    pub pods: Option<Vec<LogPod>>,
    /// The pod and the container whose log is shown.
    pub choice: (usize, usize),
    /// True for the log of the run before.
    pub previous: bool,
    /// The epoch of the followed log.
    pub epoch: Epoch,
    pub lines: VecDeque<String>,
    /// Set once it has ended, with the fault if there was one.
    pub ended: Option<Option<Fault>>,
    /// Lines hidden below the last one shown: 0 follows the end.
    pub back: usize,
    pub filter: Field,
    /// True while the filter is typed.
    pub filtering: bool,
}

impl ObjectPage {
    pub(crate) fn new(object: ObjectRef, epoch: Epoch) -> Self {
        let relations = RelationTree { rows: Vec::new(), depth: DEPTH, done: false, fault: None, cursor: 0 };
        Self {
            object,
            epoch,
            part: PagePart::Summary,
            details: None,
            fault: None,
            gone: false,
            revealed: None,
            unfolded: false,
            events: None,
            events_fault: None,
            relations,
            log: PageLog::default(),
            scrolls: [0; PagePart::ALL.len()],
            asked: Vec::new(),
        }
    }

    /// Returns the object that commands are about: the selected one among the relations, else that of the page.
    pub fn subject(&self) -> &ObjectRef {
        let selected = self.relations.selected().filter(|_| self.part == PagePart::Relations);
        selected.map_or(&self.object, |row| &row.object)
    }

    /// Returns the uid of that object, if it is known.
    pub(crate) fn subject_uid(&self) -> Option<&str> {
        let selected = self.relations.selected().filter(|row| self.part == PagePart::Relations && row.depth > 0);
        let own = || self.details.as_ref().filter(|_| !self.gone).map(|details| details.uid.as_str());
        selected.map_or_else(own, |row| Some(row.uid.as_str())).filter(|uid| !uid.is_empty())
    }

    /// Returns the lines down by which the part in view is scrolled.
    pub fn scroll(&self) -> usize {
        self.scrolls[self.part as usize]
    }

    /// Returns the YAML, with hidden values while they are shown.
    pub fn yaml(&self) -> &[String] {
        let own = self.details.as_ref().map_or(&[][..], |details| &details.yaml);
        self.revealed.as_ref().map_or(own, |revealed| &revealed.0)
    }

    /// Returns true while the filter of the log is typed.
    pub fn is_filtering(&self) -> bool {
        self.part == PagePart::Logs && self.log.filtering
    }

    /// Returns the fault of the part in view.
    pub fn fault(&self) -> Option<&Fault> {
        let own = match self.part {
            PagePart::Summary | PagePart::Yaml => None,
            PagePart::Events => self.events_fault.as_ref(),
            PagePart::Relations => self.relations.fault.as_ref(),
            PagePart::Logs => self.log.ended.as_ref().and_then(Option::as_ref),
        };
        own.or(self.fault.as_ref())
    }
}

impl RelationTree {
    pub fn selected(&self) -> Option<&RelationRow> {
        self.rows.get(self.cursor)
    }

    /// Takes new rows; the selection stays on its object.
    pub(crate) fn take(&mut self, rows: Vec<RelationRow>) {
        let selected = self.selected().map(|row| row.object.clone());
        self.rows = rows;
        let at = selected.and_then(|object| self.rows.iter().position(|row| row.object == object));
        self.cursor = at.unwrap_or(self.cursor).min(self.rows.len().saturating_sub(1));
    }
}

impl PageLog {
    /// Returns the pod and the container whose log is shown.
    pub fn chosen(&self) -> Option<(&LogPod, &str)> {
        let pod = self.pods.as_ref()?.get(self.choice.0)?;
        Some((pod, pod.containers.get(self.choice.1)?))
    }

    /// Returns the lines that pass the filter: those that contain its text, in any case.
    pub fn shown(&self) -> Vec<&str> {
        let wanted = self.filter.text().to_lowercase();
        let passes = |line: &&str| wanted.is_empty() || line.to_lowercase().contains(&wanted);
        self.lines.iter().map(String::as_str).filter(passes).collect()
    }

    /// Returns the place of the chosen container among all, from 1 on, and their number.
    pub fn place(&self) -> (usize, usize) {
        let before = self.pods.iter().flatten().take(self.choice.0).map(|pod| pod.containers.len()).sum::<usize>();
        let all = self.pods.iter().flatten().map(|pod| pod.containers.len()).sum();
        (before + self.choice.1 + 1, all)
    }

    /// Moves on to another container: those of a pod first, then those of the next pod.
    pub(crate) fn step(&mut self, by: isize) {
        let all: Vec<(usize, usize)> = (self.pods.iter().flatten().enumerate())
            .flat_map(|(pod, at)| (0..at.containers.len()).map(move |container| (pod, container)))
            .collect();
        let now = all.iter().position(|choice| *choice == self.choice).unwrap_or_default().cast_signed();
        if !all.is_empty() {
            self.choice = all[(now + by).rem_euclid(all.len().cast_signed()).unsigned_abs()];
        }
    }
}
