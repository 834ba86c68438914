//! Sessions of coding agents.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::types::agent::{AgentPlace, ApprovalRequest, MAX_AGENT_GRANTS, Outcome, Refusal, SessionId};

/// The outcomes that a session keeps. It waits for fewer at a time.
const MAX_OUTCOMES: usize = 64;

/// Sessions of coding agents.
#[derive(Debug, Clone, Default)]
pub struct Agents {
    all: BTreeMap<SessionId, AgentSession>,
}

#[derive(Debug, Clone, Default)]
pub struct AgentSession {
    /// The name that the agent's program gives itself.
    pub(crate) client: String,
    /// The targets that a person has allowed for as long as it lasts, as they were then.
    pub(crate) allowed: BTreeSet<AgentPlace>,
    /// The targets that a person has refused.
    pub(crate) refused: BTreeSet<String>,
    /// The refusals that are written to the audit log once, with their targets.
    pub(crate) written: BTreeSet<(String, Refusal)>,
    /// The question that is open.
    pub(crate) question: Option<AgentQuestion>,
    /// The targets whose questions it has withdrawn of late, and when.
    pub(crate) withdrawn: BTreeMap<String, DateTime<Utc>>,
    /// The number of the last question that nobody answered in time.
    pub(crate) expired: Option<u64>,
    /// The beginning of the minute in which orders are counted, and those that were granted since.
    grants: (DateTime<Utc>, u32),
    /// The forwards that it was given.
    given: BTreeSet<u64>,
    /// The outcomes of its last orders, by their numbers.
    outcomes: VecDeque<(u64, Outcome)>,
}

/// An open question.
#[derive(Debug, Clone)]
pub(crate) struct AgentQuestion {
    pub approval: ApprovalRequest,
    /// The order that waits for the answer.
    pub number: u64,
    /// The time at which it counts as refused.
    pub until: DateTime<Utc>,
    /// True if the agent's program asks, since there is no dashboard.
    pub by_client: bool,
}

/// The question of an agent that is topmost on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownQuestion {
    /// The other instance that asks; `None`: this one.
    pub instance: Option<String>,
    /// Its number there.
    pub number: u64,
    /// The time since which it is topmost, as of the tick before.
    pub since: DateTime<Utc>,
}

impl ShownQuestion {
    pub(crate) fn is(&self, approval: &ApprovalRequest) -> bool {
        (self.instance.as_ref(), self.number) == (approval.instance.as_ref(), approval.question)
    }
}

impl Agents {
    pub fn all(&self) -> &BTreeMap<SessionId, AgentSession> {
        &self.all
    }

    pub(crate) fn begin(&mut self, session: SessionId, client: String) {
        self.all.insert(session, AgentSession { client, ..AgentSession::default() });
    }

    pub(crate) fn end(&mut self, session: SessionId) -> Option<AgentSession> {
        self.all.remove(&session)
    }

    pub(crate) fn get_mut(&mut self, session: SessionId) -> Option<&mut AgentSession> {
        self.all.get_mut(&session)
    }

    /// Forgets consent for a session to all but these.
    pub(crate) fn keep_consent(&mut self, places: &BTreeSet<AgentPlace>) {
        for session in self.all.values_mut() {
            session.allowed.retain(|place| places.contains(place));
        }
    }

    /// Returns the open questions.
    pub(crate) fn questions(&self) -> impl Iterator<Item = &AgentQuestion> {
        self.all.values().filter_map(|session| session.question.as_ref())
    }

    pub(crate) fn take_questions(&mut self, is_such: impl Fn(&AgentQuestion) -> bool) -> Vec<AgentQuestion> {
        let questions = self.all.values_mut().map(|session| &mut session.question);
        questions.filter_map(|question| question.take_if(|question| is_such(question))).collect()
    }

    /// Hands the questions of a lost dashboard to the agents' programs and returns them.
    pub(crate) fn hand_to_clients(&mut self) -> Vec<AgentQuestion> {
        let questions = self.all.values_mut().filter_map(|session| session.question.as_mut());
        let handed = questions
            .filter_map(|question| (!std::mem::replace(&mut question.by_client, true)).then(|| question.clone()));
        handed.collect()
    }
}

impl AgentSession {
    /// Returns the outcomes of its last orders, by their numbers.
    pub fn outcomes(&self) -> &VecDeque<(u64, Outcome)> {
        &self.outcomes
    }

    /// Returns true if it was given the address of a forward.
    pub fn was_given(&self, forward: u64) -> bool {
        self.given.contains(&forward)
    }

    /// Counts an order that is about to be granted. Returns false if it is one too many within a minute.
    pub(crate) fn count_grant(&mut self, now: DateTime<Utc>) -> bool {
        let (since, count) = self.grants;
        // The clock may be set back.
        let is_over = now < since || now - since >= TimeDelta::minutes(1);
        self.grants = if is_over { (now, 1) } else { (since, count.saturating_add(1)) };
        self.grants.1 <= MAX_AGENT_GRANTS
    }

    pub(crate) fn note(&mut self, number: u64, outcome: Outcome) {
        if let Outcome::Open { forwards, .. } = &outcome {
            self.given.extend(forwards);
        }
        if self.outcomes.len() == MAX_OUTCOMES {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((number, outcome));
    }
}
