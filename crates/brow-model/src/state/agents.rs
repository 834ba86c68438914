//! Sessions of coding agents.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};

use crate::types::agent::{AgentPlace, AgentWish, Outcome, SessionId};

/// The outcomes that a session keeps. It waits for fewer at a time.
const MAX_OUTCOMES: usize = 64;

/// Sessions of coding agents.
#[derive(Debug, Clone, Default)]
pub struct Agents {
    all: BTreeMap<SessionId, AgentSession>,
}

/// One session.
#[derive(Debug, Clone, Default)]
pub struct AgentSession {
    /// The name that the agent's program gives itself.
    pub(crate) client: String,
    /// The targets that a person has allowed for as long as it lasts, as they were then.
    pub(crate) allowed: BTreeSet<AgentPlace>,
    /// The targets that a person has refused.
    pub(crate) refused: BTreeSet<String>,
    /// The question that is open.
    pub(crate) question: Option<AgentQuestion>,
    /// The forwards that it was given.
    given: BTreeSet<u64>,
    /// The outcomes of its last orders, by their numbers.
    outcomes: VecDeque<(u64, Outcome)>,
}

/// An open question.
#[derive(Debug, Clone)]
pub(crate) struct AgentQuestion {
    pub wish: AgentWish,
    /// The order that waits for the answer.
    pub number: u64,
    /// The time at which it counts as refused.
    pub until: DateTime<Utc>,
}

impl Agents {
    /// Returns the sessions.
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

    /// Takes the question of a number, if the session has it.
    pub(crate) fn take_question(&mut self, session: SessionId, number: u64) -> Option<AgentQuestion> {
        self.all.get_mut(&session)?.question.take_if(|question| question.wish.question == number)
    }

    /// Takes the questions that nobody has answered in time.
    pub(crate) fn take_unanswered(&mut self, now: DateTime<Utc>) -> Vec<AgentQuestion> {
        let questions = self.all.values_mut().map(|session| &mut session.question);
        questions.filter_map(|question| question.take_if(|question| question.until <= now)).collect()
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

    pub(crate) fn note(&mut self, number: u64, outcome: Outcome) {
        if let Outcome::Open { forwards } = &outcome {
            self.given.extend(forwards);
        }
        if self.outcomes.len() == MAX_OUTCOMES {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((number, outcome));
    }
}
