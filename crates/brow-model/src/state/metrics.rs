//! The sources of the measurements of clusters, and the last ones.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::language::fault::{Fault, What};
use crate::types::epoch::Epoch;
use crate::types::metrics::{Prometheus, PrometheusChoice, Reading, Source, Subject};

/// The least time between two measurements of a thing.
const EVERY: TimeDelta = TimeDelta::seconds(30);

/// The longest wait for one: its answer may have been lost with a connection.
const ANSWER_TIMEOUT: TimeDelta = TimeDelta::seconds(60);

/// Measurements that nobody has looked at for so long are forgotten.
const KEPT: TimeDelta = TimeDelta::minutes(10);

/// The measurements of all clusters.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    clusters: BTreeMap<String, ClusterMetrics>,
    /// The Prometheuses that earlier runs found, by context.
    remembered: BTreeMap<String, Prometheus>,
}

/// The search for a cluster's source of measurements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Detection {
    #[default]
    NotYet,
    /// A Prometheus is being looked for; `asked`: by a key.
    Looking { epoch: Epoch, asked: bool },
    /// `fresh` once this run has found it: one that was remembered may be gone.
    Known { source: Source, fresh: bool },
    /// There is none, and nothing more is asked.
    Nothing,
}

#[derive(Debug, Clone, Default)]
struct ClusterMetrics {
    detection: Detection,
    /// The setting that it was made by.
    choice: PrometheusChoice,
    /// The reason why there is no Prometheus, where one may be had by a right.
    refused: Option<Fault>,
    measured: BTreeMap<Subject, Measured>,
}

/// The last measurement of something.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub readings: Vec<Reading>,
    /// The reason why the last one failed.
    pub fault: Option<Fault>,
    asked: DateTime<Utc>,
    /// The measurement under way.
    waiting: Option<Epoch>,
}

impl Measured {
    /// Returns true if a right is missing: nothing changes that while the program runs but a person, who has a key.
    fn is_refused(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.what == What::Forbidden)
    }
}

impl Metrics {
    /// Returns the last measurement of something in a cluster.
    pub fn of(&self, cluster: &str, subject: &Subject) -> Option<&Measured> {
        self.clusters.get(cluster)?.measured.get(subject)
    }

    /// Returns how far the search for a cluster's source is.
    pub fn detection(&self, cluster: &str) -> &Detection {
        self.clusters.get(cluster).map_or(&Detection::NotYet, |at| &at.detection)
    }

    /// Returns a cluster's Prometheus.
    pub fn prometheus(&self, cluster: &str) -> Option<&Prometheus> {
        match self.detection(cluster) {
            Detection::Known { source: Source::Prometheus(found), .. } => Some(found),
            Detection::Known { source: Source::MetricsServer, .. }
            | Detection::NotYet
            | Detection::Looking { .. }
            | Detection::Nothing => None,
        }
    }

    /// Returns the refusal that kept a cluster's Prometheus from being found.
    pub fn refused(&self, cluster: &str) -> Option<&Fault> {
        self.clusters.get(cluster)?.refused.as_ref()
    }

    pub(crate) fn remember(&mut self, found: BTreeMap<String, Prometheus>) {
        for (cluster, prometheus) in found {
            self.remembered.entry(cluster).or_insert(prometheus);
        }
    }

    pub(crate) fn remembered(&self, cluster: &str) -> Option<&Prometheus> {
        self.remembered.get(cluster)
    }

    /// Keeps what was found for later connections, or forgets what is gone. Returns true if that is news.
    pub(crate) fn keep(&mut self, cluster: &str, found: Option<&Prometheus>) -> bool {
        let before = match found {
            Some(found) => self.remembered.insert(cluster.to_owned(), found.clone()),
            None => self.remembered.remove(cluster),
        };
        before.as_ref() != found
    }

    /// Returns true if nobody has looked for a source yet, or by another setting.
    pub(crate) fn is_new(&self, cluster: &str, choice: &PrometheusChoice) -> bool {
        self.clusters.get(cluster).is_none_or(|at| at.detection == Detection::NotYet || at.choice != *choice)
    }

    /// Sets how far the search is. What was measured by another source is forgotten.
    pub(crate) fn set(
        &mut self,
        cluster: &str,
        choice: PrometheusChoice,
        detection: Detection,
        refused: Option<Fault>,
    ) {
        let at = self.clusters.entry(cluster.to_owned()).or_default();
        if !matches!(detection, Detection::Looking { .. }) {
            at.measured.clear();
        }
        (at.choice, at.detection, at.refused) = (choice, detection, refused);
    }

    /// Begins a measurement if it is time for one, there is a source, and none is under way. Returns the source.
    pub(crate) fn begin(
        &mut self,
        cluster: &str,
        subject: &Subject,
        now: DateTime<Utc>,
        epoch: Epoch,
    ) -> Option<Source> {
        let at = self.clusters.get_mut(cluster)?;
        let Detection::Known { source, .. } = &at.detection else { return None };
        let due = |last: &Measured| {
            !last.is_refused() && now - last.asked >= if last.waiting.is_some() { ANSWER_TIMEOUT } else { EVERY }
        };
        if !at.measured.get(subject).is_none_or(due) {
            return None;
        }
        at.measured.retain(|_, last| last.is_refused() || now - last.asked < KEPT);
        let new = || Measured { readings: Vec::new(), fault: None, asked: now, waiting: None };
        let last = at.measured.entry(subject.clone()).or_insert_with(new);
        (last.asked, last.waiting) = (now, Some(epoch));
        Some(source.clone())
    }

    /// Ends a measurement, if it is the one under way. Returns true if so.
    pub(crate) fn end(
        &mut self,
        cluster: &str,
        subject: &Subject,
        epoch: Epoch,
        result: Result<Vec<Reading>, Fault>,
    ) -> bool {
        let known = self.clusters.get_mut(cluster).and_then(|at| at.measured.get_mut(subject));
        let Some(last) = known.filter(|last| last.waiting == Some(epoch)) else { return false };
        last.waiting = None;
        match result {
            Ok(readings) => (last.readings, last.fault) = (readings, None),
            Err(fault) => last.fault = Some(fault),
        }
        true
    }
}

/// Access for tests that put a part together by hand.
#[cfg(any(test, feature = "fixtures"))]
impl Metrics {
    pub fn put(&mut self, cluster: &str, source: Source, subject: Subject, readings: Vec<Reading>) {
        let at = self.clusters.entry(cluster.to_owned()).or_default();
        at.detection = Detection::Known { source, fresh: true };
        let asked = DateTime::<Utc>::MAX_UTC;
        at.measured.insert(subject, Measured { readings, fault: None, asked, waiting: None });
    }
}
