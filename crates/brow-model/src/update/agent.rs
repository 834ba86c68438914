//! Coding agents: what they ask for is done as far as the config lets them, and a person where it has to be asked.

use chrono::TimeDelta;

use crate::language::effect::{Effect, TerminalEffect};
use crate::language::event::AgentEvent;
use crate::language::log::{Entry, Level, Message};
use crate::screen::dialog::{Dialog, Question};
use crate::state::Model;
use crate::state::agents::AgentQuestion;
use crate::types::agent::{
    AgentMark, AgentOrder, AgentPlace, AgentWish, Consent, Deed, MAX_AGENT_FORWARDS, Outcome, Refusal, SessionId,
};
use crate::types::forward::{Forward, ForwardId};
use crate::types::forward_settings::AgentAccess;
use crate::types::target::Target;
use crate::types::ttl::Ttl;
use crate::update::demand::span;

/// The time after which a question that nobody has answered counts as refused.
const QUESTION_TIMEOUT: TimeDelta = TimeDelta::seconds(60);

impl Model {
    pub(crate) fn on_agent(&mut self, event: AgentEvent, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match event {
            AgentEvent::Began { session, client } => self.agents.begin(session, client),
            AgentEvent::Asked { session, number, order } => {
                let outcome = match order {
                    AgentOrder::Connect { target, ttl, on_demand } => {
                        self.wish(session, number, &target, (ttl, Deed::Connect { on_demand }), out)
                    }
                    AgentOrder::Renew { forward, ttl } => {
                        self.wish_renewal(session, number, ForwardId(forward), ttl, out)
                    }
                    AgentOrder::Stop { forward } => Some(self.stop_for_agent(session, ForwardId(forward), out)),
                    AgentOrder::Answer { question, consent } => {
                        let answered =
                            self.unattended() && self.answer_agent((session, question), consent, Some(number), out);
                        (!answered).then_some(Outcome::Refused(Refusal::NoQuestion))
                    }
                };
                self.note_outcome(session, number, outcome);
            }
            AgentEvent::Ended { session } => {
                if let Some(question) = self.agents.end(session).and_then(|ended| ended.question) {
                    self.close_question(question.wish.question);
                }
                for id in self.forwards.ids(|forward| is_of(forward, session)) {
                    self.stop_forward(id, out);
                }
            }
        }
    }

    fn note_outcome(&mut self, session: SessionId, number: u64, outcome: Option<Outcome>) {
        if let (Some(at), Some(outcome)) = (self.agents.get_mut(session), outcome) {
            at.note(number, outcome);
        }
    }

    /// Grants a wish, asks a person about it or refuses it. `None`: the outcome is not known yet.
    fn wish(
        &mut self,
        session: SessionId,
        number: u64,
        target: &str,
        (ttl, deed): (Option<Ttl>, Deed),
        out: &mut Vec<Effect>,
    ) -> Option<Outcome> {
        let saved = self.target(target).filter(|target| !self.targets.is_temporary(&target.name));
        let Some(target) = saved.cloned() else { return Some(Outcome::Refused(Refusal::NoTarget)) };
        let Some(access) = target.forward.agent else { return Some(Outcome::Refused(Refusal::NotOffered)) };
        let (question, production) = (self.next_number(), self.is_production(&target.cluster));
        let at = self.agents.get_mut(session)?;
        let wish = AgentWish {
            session,
            question,
            client: at.client.clone(),
            target: target.name.clone(),
            cluster: target.cluster.clone(),
            production,
            place: place_of(&target),
            ttl: ttl.unwrap_or(Ttl::QUARTER).min(self.config.settings().max_ttl),
            deed,
        };
        if at.refused.contains(&target.name) {
            return Some(Outcome::Refused(Refusal::ByPerson));
        }
        let needs_no_answer = access == AgentAccess::Allowed || at.allowed.contains(&wish.place);
        let is_open = |at: &Forward| at.spec.target == target.name && is_of(at, session) && !at.has_failed();
        let open = self.forwards.ids(is_open);
        if matches!(deed, Deed::Connect { .. }) && !open.is_empty() {
            return Some(Outcome::Open { forwards: open.into_iter().map(|id| id.0).collect() });
        }
        if needs_no_answer && !production {
            return Some(self.grant(&wish, &target, out));
        }
        let at = self.agents.get_mut(session)?;
        if at.question.is_some() {
            return Some(Outcome::Refused(Refusal::Busy));
        }
        at.question = Some(AgentQuestion { wish: wish.clone(), number, until: self.now + QUESTION_TIMEOUT });
        if self.unattended() {
            return Some(Outcome::Ask { question, ttl: wish.ttl, production });
        }
        let entry = Entry {
            at: self.now,
            level: Level::Warning,
            message: Message::AgentAsks,
            thing: wish.target.clone(),
            detail: wish.client.clone(),
            words: String::new(),
        };
        out.push(Effect::Terminal(TerminalEffect::Notify(entry)));
        self.note(Level::Warning, Message::AgentAsks, &wish.target, &wish.client);
        self.ask(Question::Agent(Box::new(wish)));
        None
    }

    fn wish_renewal(
        &mut self,
        session: SessionId,
        number: u64,
        id: ForwardId,
        ttl: Option<Ttl>,
        out: &mut Vec<Effect>,
    ) -> Option<Outcome> {
        let own = self.forwards.all().get(&id).filter(|forward| is_of(forward, session));
        let Some(target) = own.map(|forward| forward.spec.target.clone()) else {
            return Some(Outcome::Refused(Refusal::NotOwn));
        };
        self.wish(session, number, &target, (ttl, Deed::Renew(id)), out)
    }

    fn stop_for_agent(&mut self, session: SessionId, id: ForwardId, out: &mut Vec<Effect>) -> Outcome {
        let own = self.forwards.all().get(&id).filter(|forward| is_of(forward, session));
        let Some((target, mark)) = own.and_then(|forward| Some((forward.spec.target.clone(), forward.agent.clone()?)))
        else {
            return Outcome::Refused(Refusal::NotOwn);
        };
        self.audit_agent("agent-stop", &target, &mark.client, out);
        self.stop_forward(id, out);
        Outcome::Stopped
    }

    /// Takes in the answer to a question. Its outcome is that of the order that waits for it, or of `number`. Returns
    /// false if the question is not open any more.
    pub(crate) fn answer_agent(
        &mut self,
        (session, question): (SessionId, u64),
        consent: Consent,
        number: Option<u64>,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(AgentQuestion { wish, number: asked, .. }) = self.agents.take_question(session, question) else {
            return false;
        };
        // The target may have been edited since the question.
        let target = self.target(&wish.target).cloned();
        let is_same = target.as_ref().is_some_and(|target| {
            let production = self.is_production(&target.cluster);
            place_of(target) == wish.place && target.forward.agent.is_some() && production == wish.production
        });
        let refusal = match consent {
            Consent::Once | Consent::Session if !is_same => Some(Refusal::NoQuestion),
            Consent::Refused => Some(Refusal::ByPerson),
            Consent::Nobody => Some(Refusal::Nobody),
            Consent::Once | Consent::Session => None,
        };
        if let Some(at) = self.agents.get_mut(wish.session) {
            match consent {
                Consent::Refused => drop(at.refused.insert(wish.target.clone())),
                Consent::Session if is_same => drop(at.allowed.insert(wish.place.clone())),
                Consent::Session | Consent::Once | Consent::Nobody => {}
            }
        }
        let outcome = match (refusal, target) {
            (Some(refusal), _) => self.refuse(&wish, refusal, out),
            (None, Some(target)) => self.grant(&wish, &target, out),
            (None, None) => Outcome::Refused(Refusal::NoTarget),
        };
        self.note_outcome(wish.session, number.unwrap_or(asked), Some(outcome));
        true
    }

    fn refuse(&mut self, wish: &AgentWish, refusal: Refusal, out: &mut Vec<Effect>) -> Outcome {
        self.audit_agent("agent-refused", &wish.target, &wish.client, out);
        Outcome::Refused(refusal)
    }

    /// Does what an agent wishes.
    fn grant(&mut self, wish: &AgentWish, target: &Target, out: &mut Vec<Effect>) -> Outcome {
        let until = self.now + span(wish.ttl.duration());
        let mark = AgentMark { session: wish.session, client: wish.client.clone(), until };
        let outcome = match wish.deed {
            Deed::Connect { on_demand } => self.connect_for_agent(&mark, target, on_demand, out),
            Deed::Renew(id) => self.renew_for_agent(id, &mark, out),
        };
        let action = match (&outcome, wish.deed) {
            (Outcome::Refused(_), _) => "agent-refused",
            (_, Deed::Connect { .. }) => "agent-connect",
            (_, Deed::Renew(_)) => "agent-renew",
        };
        self.audit_agent(action, &target.name, &wish.client, out);
        outcome
    }

    /// Opens forwards that end with the agent's session. What is open already is used, and stays its owner's.
    fn connect_for_agent(
        &mut self,
        mark: &AgentMark,
        target: &Target,
        on_demand: bool,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let has = |model: &Self| model.forwards.ids(|at| at.spec.target == target.name && !at.has_failed());
        let mut open = has(self);
        let singles = target.address.singles();
        open.extend(singles.iter().filter_map(|address| Some(self.elsewhere(target, address)?.0)));
        if open.is_empty() {
            if self.forwards.ids(|forward| is_of(forward, mark.session)).len() >= MAX_AGENT_FORWARDS {
                return Outcome::Refused(Refusal::TooMany);
            }
            // Its pod is deleted with it, as that of any forward on demand.
            self.open_forward_as(target, true, out);
            open = has(self);
            for id in &open {
                if let Some(forward) = self.forwards.get_mut(*id) {
                    forward.agent = Some(mark.clone());
                    if let Some(demand) = forward.demand.filter(|_| !on_demand) {
                        self.on_wanted(*id, demand.round, out);
                    }
                }
            }
            self.note(Level::Info, Message::AgentConnected, &target.name, &mark.client);
        }
        Outcome::Open { forwards: open.into_iter().map(|id| id.0).collect() }
    }

    /// Begins the time of an agent's forward anew, and replaces its pod if that ends before.
    fn renew_for_agent(&mut self, id: ForwardId, mark: &AgentMark, out: &mut Vec<Effect>) -> Outcome {
        let Some(forward) = self.forwards.get_mut(id).filter(|forward| is_of(forward, mark.session)) else {
            return Outcome::Refused(Refusal::NotOwn);
        };
        forward.agent = Some(mark.clone());
        let key = forward.via().map(|via| via.pod.clone());
        let pod = key.and_then(|key| self.pods.all().get(&key));
        let left = pod.and_then(|pod| Some((pod.key.clone(), pod.left(self.time_at(&pod.key.cluster))?)));
        if let Some((key, left)) = left
            && self.now + left < mark.until
        {
            self.renew(&key, None, out);
        }
        Outcome::Renewed { until: mark.until }
    }

    /// Refuses the questions that nobody has answered, and closes forwards of agents whose time is up.
    pub(crate) fn check_agents(&mut self, out: &mut Vec<Effect>) {
        for AgentQuestion { wish, number, .. } in self.agents.take_unanswered(self.now) {
            self.close_question(wish.question);
            let outcome = self.refuse(&wish, Refusal::Unanswered, out);
            self.note_outcome(wish.session, number, Some(outcome));
            self.note(Level::Info, Message::AgentUnanswered, wish.target, wish.client);
        }
        let now = self.now;
        for id in self.forwards.ids(|forward| forward.agent.as_ref().is_some_and(|mark| mark.until <= now)) {
            self.stop_forward(id, out);
        }
    }

    /// Closes the dialog of a question.
    fn close_question(&mut self, number: u64) {
        let asks = |dialog: &Dialog| match dialog {
            Dialog::Confirm { question: Question::Agent(wish), .. } => wish.question == number,
            _ => false,
        };
        self.screen.dialogs.retain(|dialog| !asks(dialog));
        self.screen.unarranged = true;
    }
}

/// Returns where a target leads.
fn place_of(target: &Target) -> AgentPlace {
    (target.name.clone(), target.cluster.clone(), target.namespace.clone(), target.address.to_string())
}

/// Returns true if a forward was opened by an agent in a session.
fn is_of(forward: &Forward, session: SessionId) -> bool {
    forward.agent.as_ref().is_some_and(|mark| mark.session == session)
}
