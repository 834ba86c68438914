//! Forwards on demand: a listener that costs nothing until somebody connects, and nothing again some time after the
//! last use.

use chrono::{DateTime, TimeDelta, Utc};

use crate::types::forward::Forward;
use crate::types::traffic::Counts;

/// Where a forward on demand stands between two uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Tells the last rest from the earlier ones of the same opening.
    pub round: u64,
    /// What it does.
    pub stage: Stage,
    /// Whether a connection has asked for the way that is looked for: else one was lost, and another may come.
    pub wanted: bool,
}

/// What a forward on demand does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It listens, and nothing else.
    Resting,
    /// There is no way, but one may come until this time.
    Asked(DateTime<Utc>),
    /// There is a way. Without a connection it rests from this time on.
    Used(DateTime<Utc>),
}

impl Demand {
    /// A forward that was just opened.
    pub const FRESH: Self = Self { round: 0, stage: Stage::Resting, wanted: false };
}

impl Forward {
    /// Whether nothing is behind its listener until somebody connects.
    pub fn is_resting(&self) -> bool {
        self.demand.is_some_and(|demand| demand.stage == Stage::Resting)
    }

    /// For one on demand that has a way and no connection: what is left until it rests.
    pub fn idle_left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        match self.demand?.stage {
            Stage::Used(until) if self.traffic.counts.open == 0 => Some((until - now).max(TimeDelta::zero())),
            Stage::Used(_) | Stage::Resting | Stage::Asked(_) => None,
        }
    }

    /// Takes the counters of a new second; whether they tell of a use.
    pub(crate) fn sample(&mut self, counts: Counts, now: DateTime<Utc>) {
        let used = counts.open > 0 || counts.total != self.traffic.counts.total;
        if used {
            self.used = Some(now);
        }
        self.traffic.sample(counts);
    }

    /// Whether it is one on demand that had a way and, as far as is known, carries nothing: without the way it rests,
    /// and a connection that has just come asks by itself.
    pub(crate) fn is_idle(&self) -> bool {
        let used = self.demand.is_some_and(|demand| matches!(demand.stage, Stage::Used(_)));
        used && self.traffic.counts.open == 0
    }

    /// Whether connections wait for the way that is looked for.
    pub(crate) fn is_waited_for(&self) -> bool {
        let asked = self.demand.filter(|demand| matches!(demand.stage, Stage::Asked(_)));
        asked.is_some_and(|demand| demand.wanted || self.traffic.counts.open > 0)
    }
}

/// A configured time, as it is counted with.
pub(crate) fn span(time: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}
