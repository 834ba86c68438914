//! The questions of coding agents to a person: at whatever dashboard there is, else through the agent's own program.

use chrono::TimeDelta;

use crate::language::effect::{Effect, ForwardEffect, TerminalEffect};
use crate::language::log::{Entry, Level, Message};
use crate::screen::dialog::{Dialog, Question};
use crate::state::Model;
use crate::state::agents::{AgentQuestion, ShownQuestion};
use crate::types::agent::{ApprovalRequest, Consent, Grant, Outcome, Refusal, SessionId};
use crate::update::agent::place_of;
use crate::update::demand::span;

/// The most questions of another instance that are asked at a time.
const MAX_QUESTIONS: usize = 16;
/// The time for which a question takes no answer once it is topmost. Ticks are a second apart: it is one at least.
const SETTLE: TimeDelta = TimeDelta::seconds(2);
/// The time for which a session may not ask again what it has withdrawn.
pub(crate) const ASK_AGAIN: TimeDelta = TimeDelta::seconds(10);

impl Model {
    /// Asks a person about a request. `None`: the outcome is not known yet.
    pub(crate) fn put_question(
        &mut self,
        approval: ApprovalRequest,
        number: u64,
        out: &mut Vec<Effect>,
    ) -> Option<Outcome> {
        let by_client = self.unattended() && !self.instances.has_dashboard();
        let at = self.agents.get_mut(approval.session)?;
        if at.question.is_some() {
            return Some(Outcome::Refused(Refusal::Busy));
        }
        if at.withdrawn.get(&approval.target).is_some_and(|since| *since <= self.now && *since + ASK_AGAIN > self.now) {
            return Some(Outcome::Refused(Refusal::Withdrawn));
        }
        let until = self.now + span(approval.within.duration());
        at.question = Some(AgentQuestion { approval: approval.clone(), number, until, by_client });
        if by_client {
            return Some(Outcome::Ask { approval: Box::new(approval) });
        }
        self.show_question(approval, out);
        None
    }

    /// Asks on this screen, if there is one.
    fn show_question(&mut self, approval: ApprovalRequest, out: &mut Vec<Effect>) {
        if self.unattended() {
            return;
        }
        let entry = Entry {
            at: self.now,
            level: Level::Warning,
            message: Message::AgentAsks,
            thing: approval.target.clone(),
            detail: approval.client.clone(),
            words: String::new(),
        };
        out.push(Effect::Terminal(TerminalEffect::Notify(entry)));
        self.note(Level::Warning, Message::AgentAsks, &approval.target, &approval.client);
        self.ask(Question::Agent(Box::new(approval)));
    }

    /// Takes in the questions that another instance has: asks the new ones, and closes the dialogs of those that are
    /// answered.
    pub(crate) fn hear_questions(&mut self, instance: &str, asks: &[ApprovalRequest], out: &mut Vec<Effect>) {
        let known = self.instances.all().get(instance).map(|at| at.asks.clone()).unwrap_or_default();
        for question in known.iter().filter(|known| asks.iter().all(|approval| approval.question != **known)) {
            self.close_question(Some(instance), *question);
        }
        for approval in asks.iter().filter(|approval| !known.contains(&approval.question)).take(MAX_QUESTIONS) {
            self.show_question(ApprovalRequest { instance: Some(instance.to_owned()), ..approval.clone() }, out);
        }
    }

    /// Hands the questions of a dashboard that has ended to the agents' programs.
    pub(crate) fn ask_without_dashboard(&mut self) {
        if !self.unattended() || self.instances.has_dashboard() {
            return;
        }
        for AgentQuestion { approval, number, .. } in self.agents.hand_to_clients() {
            let (session, approval) = (approval.session, Box::new(approval));
            self.note_outcome(session, number, Some(Outcome::Ask { approval }));
        }
    }

    /// Notes which question of an agent is topmost, and since when.
    pub(crate) fn note_shown_question(&mut self) {
        let Some(Dialog::Confirm { question: Question::Agent(approval), .. }) = self.screen.dialogs.last() else {
            self.screen.shown_question = None;
            return;
        };
        // The clock may be set back.
        let known = self.screen.shown_question.as_ref().is_some_and(|at| at.is(approval) && at.since <= self.now);
        if !known {
            let (instance, number) = (approval.instance.clone(), approval.question);
            self.screen.shown_question = Some(ShownQuestion { instance, number, since: self.now });
        }
    }

    /// Keeps a question unanswerable while somebody types what was meant for something else.
    pub(crate) fn unsettle_question(&mut self) {
        if let Some(shown) = &mut self.screen.shown_question {
            shown.since = self.now;
        }
    }

    /// Returns true if a question has been topmost for long enough to be read before it is answered.
    pub fn takes_answer(&self, approval: &ApprovalRequest) -> bool {
        self.screen.shown_question.as_ref().is_some_and(|at| at.is(approval) && at.since + SETTLE <= self.now)
    }

    /// Answers what a dialog has asked, here or in the instance that wants to know.
    pub(crate) fn answer_approval(&mut self, approval: ApprovalRequest, consent: Consent, out: &mut Vec<Effect>) {
        match approval.instance {
            None => self.answer_agent(approval.question, consent, out),
            Some(instance) => {
                let question = approval.question;
                out.push(Effect::Forward(ForwardEffect::AnswerElsewhere { instance, question, consent }));
            }
        }
    }

    /// Takes in the answer of a dashboard, this one or another.
    pub(crate) fn answer_agent(&mut self, question: u64, consent: Consent, out: &mut Vec<Effect>) {
        let is_it = |asked: &AgentQuestion| !asked.by_client && asked.approval.question == question;
        for asked in self.agents.take_questions(is_it) {
            self.close_question(None, question);
            let outcome = self.decide(&asked.approval, consent, out);
            self.note_outcome(asked.approval.session, asked.number, Some(outcome));
        }
    }

    /// Takes in the answer that the agent's program passes on. It answers only what it was to ask.
    pub(crate) fn answer_by_client(
        &mut self,
        session: SessionId,
        question: u64,
        consent: Consent,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let is_it = |asked: &AgentQuestion| {
            asked.by_client && asked.approval.session == session && asked.approval.question == question
        };
        if let Some(asked) = self.agents.take_questions(is_it).pop() {
            return self.decide(&asked.approval, consent, out);
        }
        let expired = self.agents.all().get(&session).is_some_and(|at| at.expired == Some(question));
        Outcome::Refused(if expired { Refusal::Unanswered } else { Refusal::NoQuestion })
    }

    /// Does what a person said.
    fn decide(&mut self, approval: &ApprovalRequest, consent: Consent, out: &mut Vec<Effect>) -> Outcome {
        let refusal = match consent {
            Consent::Refused => Refusal::ByPerson,
            Consent::Unanswered => Refusal::Unanswered,
            Consent::Nobody => Refusal::Nobody,
            Consent::Once | Consent::Session => {
                let grant = if approval.production { Grant::Production } else { Grant::Person };
                // The target may have been edited since the question.
                let target = self.target(&approval.target).filter(|target| {
                    place_of(target) == approval.place
                        && self.needed_grant(target).is_some_and(|needed| needed <= grant)
                });
                let Some(target) = target.cloned() else { return self.refuse(approval, Refusal::Changed, out) };
                if let Some(at) = self
                    .agents
                    .get_mut(approval.session)
                    .filter(|_| consent == Consent::Session && !approval.production)
                {
                    at.allowed.insert(approval.place.clone());
                }
                return self.grant(approval, &target, grant, out);
            }
        };
        if consent != Consent::Refused {
            // The agent's program says so, at once and again and again if it wants to.
            return self.refuse_once(approval.session, &approval.target, refusal, out);
        }
        if let Some(at) = self.agents.get_mut(approval.session) {
            at.refused.insert(approval.target.clone());
        }
        self.refuse(approval, refusal, out)
    }

    /// Refuses the questions that nobody has answered in time.
    pub(crate) fn refuse_unanswered(&mut self, out: &mut Vec<Effect>) {
        let now = self.now;
        for AgentQuestion { approval, number, .. } in self.agents.take_questions(|asked| asked.until <= now) {
            self.close_question(None, approval.question);
            if let Some(at) = self.agents.get_mut(approval.session) {
                at.expired = Some(approval.question);
            }
            let outcome = self.refuse(&approval, Refusal::Unanswered, out);
            self.note_outcome(approval.session, number, Some(outcome));
            self.note(Level::Info, Message::AgentUnanswered, approval.target, approval.client);
        }
    }

    /// Closes the dialog of a question that this instance asks, or another.
    pub(crate) fn close_question(&mut self, instance: Option<&str>, number: u64) {
        let asks = |dialog: &Dialog| match dialog {
            Dialog::Confirm { question: Question::Agent(approval), .. } => {
                approval.question == number && approval.instance.as_deref() == instance
            }
            _ => false,
        };
        self.screen.dialogs.retain(|dialog| !asks(dialog));
        self.screen.unarranged = true;
    }
}
