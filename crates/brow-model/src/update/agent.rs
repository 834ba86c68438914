//! Coding agents: what they ask for is done as far as the config lets them, and a person where it has to be asked.

use std::collections::BTreeSet;

use crate::language::effect::Effect;
use crate::language::event::AgentEvent;
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::agent::{
    AgentMark, AgentOperation, AgentOrder, AgentPlace, ApprovalRequest, Grant, MAX_AGENT_FORWARDS, Outcome, Refusal,
    SessionId,
};
use crate::types::forward::{Forward, ForwardId};
use crate::types::forward_settings::AgentAccess;
use crate::types::target::Target;
use crate::types::ttl::Ttl;
use crate::types::workload::Destination;
use crate::update::agent_question::ASK_AGAIN;
use crate::update::demand::span;
use crate::update::open::{OpenOptions, leads_to};

impl Model {
    pub(crate) fn on_agent(&mut self, event: AgentEvent, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        match event {
            AgentEvent::Began { session, client } => self.agents.begin(session, client),
            AgentEvent::Asked { session, number, order } => {
                let outcome = match order {
                    AgentOrder::Connect { target, ttl, on_demand } => {
                        self.approval(session, number, &target, (ttl, AgentOperation::Connect { on_demand }), out)
                    }
                    AgentOrder::Renew { forward, ttl } => {
                        self.request_renewal(session, number, ForwardId(forward), ttl, out)
                    }
                    AgentOrder::Stop { forward } => Some(self.stop_for_agent(session, ForwardId(forward), out)),
                    AgentOrder::Answer { question, consent } => {
                        Some(self.answer_by_client(session, question, consent, out))
                    }
                    AgentOrder::Withdraw { order } => {
                        self.withdraw_order(session, order, out);
                        None
                    }
                };
                self.note_outcome(session, number, outcome);
            }
            AgentEvent::Answered { question, consent } => self.answer_agent(question, consent, out),
            AgentEvent::Ended { session } => {
                if let Some(question) = self.agents.end(session).and_then(|ended| ended.question) {
                    self.close_question(None, question.approval.question);
                }
                for id in self.forwards.ids(|forward| is_of(forward, session)) {
                    self.stop_forward(id, out);
                }
            }
        }
    }

    pub(crate) fn note_outcome(&mut self, session: SessionId, number: u64, outcome: Option<Outcome>) {
        if let (Some(at), Some(outcome)) = (self.agents.get_mut(session), outcome) {
            at.note(number, outcome);
        }
    }

    /// Returns the access of agents to a target that is offered to them.
    pub fn agent_access(&self, target: &Target) -> Option<AgentAccess> {
        self.config.settings().agents.access(target.forward.agent, &target.tags)
    }

    /// Returns the consent that agents need for a target; `None` if it is not offered to them.
    pub(crate) fn needed_grant(&self, target: &Target) -> Option<Grant> {
        let access = self.agent_access(target)?;
        Some(match access {
            _ if self.is_production(&target.cluster) => Grant::Production,
            AgentAccess::Ask => Grant::Person,
            AgentAccess::Allowed | AgentAccess::Denied => Grant::Config,
        })
    }

    /// Grants a request, asks a person about it or refuses it. `None`: the outcome is not known yet.
    fn approval(
        &mut self,
        session: SessionId,
        number: u64,
        target: &str,
        (ttl, operation): (Option<Ttl>, AgentOperation),
        out: &mut Vec<Effect>,
    ) -> Option<Outcome> {
        let saved = self.target(target).filter(|target| !self.targets.is_temporary(&target.name));
        let Some(target) = saved.cloned() else { return Some(Outcome::Refused(Refusal::NoTarget)) };
        let Some(needed) = self.needed_grant(&target) else {
            return Some(self.refuse_once(session, &target.name, Refusal::NotOffered, out));
        };
        let question = self.next_number();
        let at = self.agents.get_mut(session)?;
        let approval = ApprovalRequest {
            session,
            instance: None,
            question,
            client: at.client.clone(),
            target: target.name.clone(),
            cluster: target.cluster.clone(),
            production: needed == Grant::Production,
            place: place_of(&target),
            ttl: ttl.unwrap_or(Ttl::QUARTER).min(self.config.settings().max_ttl),
            within: self.config.settings().agents.answer_timeout,
            operation,
        };
        // An earlier refusal no longer applies if the config now allows it: the config is a person's consent, too.
        if needed != Grant::Config && at.refused.contains(&target.name) {
            return Some(Outcome::Refused(Refusal::ByPerson));
        }
        let is_allowed = needed == Grant::Person && at.allowed.contains(&approval.place);
        if let (AgentOperation::Connect { .. }, Some(open)) = (operation, self.own_forwards(&target, session)) {
            return Some(Outcome::Open { forwards: open, opened: Vec::new() });
        }
        if needed == Grant::Config || is_allowed {
            return Some(self.grant(&approval, &target, needed, out));
        }
        self.put_question(approval, number, out)
    }

    /// Refuses something for a reason that a session may come by as often as it likes: the audit log has it once.
    pub(crate) fn refuse_once(
        &mut self,
        session: SessionId,
        target: &str,
        refusal: Refusal,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        if let Some(at) = self.agents.get_mut(session)
            && at.written.insert((target.to_owned(), refusal))
        {
            let client = at.client.clone();
            self.audit_agent("agent-refused", target, &client, out);
        }
        Outcome::Refused(refusal)
    }

    /// Returns the forwards of a session to all ports of a target, if it has them.
    fn own_forwards(&self, target: &Target, session: SessionId) -> Option<Vec<u64>> {
        let own = |address| self.open_at(target, address).filter(|forward| is_of(forward, session));
        target.address.singles().iter().map(|address| own(address).map(|forward| forward.spec.id.0)).collect()
    }

    /// Returns the forward of this instance to a port of a target.
    fn open_at(&self, target: &Target, address: &Destination) -> Option<&Forward> {
        self.forwards.all().values().find(|forward| leads_to(forward, target, address) && !forward.has_failed())
    }

    fn request_renewal(
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
        self.approval(session, number, &target, (ttl, AgentOperation::Renew(id)), out)
    }

    fn stop_for_agent(&mut self, session: SessionId, id: ForwardId, out: &mut Vec<Effect>) -> Outcome {
        let own = self.forwards.all().get(&id).filter(|forward| is_of(forward, session));
        if own.is_none() {
            return Outcome::Refused(Refusal::NotOwn);
        }
        self.end_forward_of_agent("agent-stop", id, out);
        Outcome::Stopped
    }

    /// Closes a forward that a person wants closed. An agent that was allowed it for its session has to ask again.
    pub(crate) fn stop_for_person(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        if let Some(forward) = self.forwards.all().get(&id)
            && let Some(mark) = &forward.agent
            && let Some(at) = self.agents.get_mut(mark.session)
        {
            at.allowed.retain(|(target, ..)| *target != forward.spec.target);
        }
        self.stop_forward(id, out);
    }

    /// Closes a forward of an agent, and writes why.
    fn end_forward_of_agent(&mut self, action: &'static str, id: ForwardId, out: &mut Vec<Effect>) {
        if let Some(forward) = self.forwards.all().get(&id)
            && let Some(mark) = &forward.agent
        {
            self.audit_agent(action, &forward.spec.target, &mark.client, out);
        }
        self.stop_forward(id, out);
    }

    /// Takes back an order that nobody waits for any more.
    fn withdraw_order(&mut self, session: SessionId, order: u64, out: &mut Vec<Effect>) {
        for asked in self.agents.take_questions(|asked| asked.approval.session == session && asked.number == order) {
            self.close_question(None, asked.approval.question);
            let now = self.now;
            if let Some(at) = self.agents.get_mut(session) {
                // A clock that was set back counts for nothing.
                at.withdrawn.retain(|_, since| *since <= now && *since + ASK_AGAIN > now);
                at.withdrawn.insert(asked.approval.target, now);
            }
        }
        let Some(at) = self.agents.all().get(&session) else { return };
        let opened =
            at.outcomes().iter().filter(|(number, _)| *number == order).filter_map(|(_, outcome)| match outcome {
                Outcome::Open { opened, .. } => Some(opened.clone()),
                _ => None,
            });
        for id in opened.flatten().collect::<Vec<_>>() {
            // It may be a person's by now.
            self.stop_for_agent(session, ForwardId(id), out);
        }
    }

    pub(crate) fn refuse(&mut self, approval: &ApprovalRequest, refusal: Refusal, out: &mut Vec<Effect>) -> Outcome {
        self.audit_agent("agent-refused", &approval.target, &approval.client, out);
        Outcome::Refused(refusal)
    }

    /// Does what an agent wishes.
    pub(crate) fn grant(
        &mut self,
        approval: &ApprovalRequest,
        target: &Target,
        grant: Grant,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        if self.agents.get_mut(approval.session).is_some_and(|at| !at.count_grant(self.now)) {
            return self.refuse_once(approval.session, &target.name, Refusal::TooOften, out);
        }
        let until = self.now + span(approval.ttl.duration());
        let mark = AgentMark { session: approval.session, client: approval.client.clone(), until, grant };
        let outcome = match approval.operation {
            AgentOperation::Connect { on_demand } => self.connect_for_agent(&mark, target, on_demand, out),
            AgentOperation::Renew(id) => self.renew_for_agent(id, (&mark, approval.ttl), out),
        };
        let action = match (&outcome, approval.operation) {
            (Outcome::Refused(_), _) => "agent-refused",
            (_, AgentOperation::Connect { .. }) => "agent-connect",
            (_, AgentOperation::Renew(_)) => "agent-renew",
        };
        self.audit_agent(action, &target.name, &approval.client, out);
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
        let singles = target.address.singles();
        let there = |address| {
            // One of a person that failed stays as it is, with its question or error.
            let is_there = |forward: &&Forward| {
                leads_to(forward, target, address) && (!forward.has_failed() || forward.agent.is_none())
            };
            let own = self.forwards.all().values().find(is_there).map(|forward| forward.spec.id);
            own.or_else(|| self.elsewhere(target, address).map(|(id, _)| id))
        };
        let there: Vec<Option<ForwardId>> = singles.iter().map(there).collect();
        let missing = there.iter().filter(|id| id.is_none()).count();
        let own = self.forwards.ids(|forward| is_of(forward, mark.session)).len();
        if missing > 0 && own + missing > MAX_AGENT_FORWARDS {
            return Outcome::Refused(Refusal::TooMany);
        }
        let (mut forwards, mut opened) = (Vec::new(), Vec::new());
        for (address, there) in singles.iter().zip(there) {
            if let Some(id) = there {
                forwards.push(id.0);
            } else if let Some(id) = self.open_for_agent(mark, (target, address), on_demand, out) {
                forwards.push(id.0);
                opened.push(id.0);
            }
        }
        if missing > 0 {
            self.note(Level::Info, Message::AgentConnected, &target.name, &mark.client);
        }
        Outcome::Open { forwards, opened }
    }

    fn open_for_agent(
        &mut self,
        mark: &AgentMark,
        (target, address): (&Target, &Destination),
        on_demand: bool,
        out: &mut Vec<Effect>,
    ) -> Option<ForwardId> {
        // Its pod is deleted with it, as that of any forward on demand.
        let manner = OpenOptions { on_demand: true, had: None, agent: Some(mark.clone()) };
        self.open_forward_to(target, address, manner, out);
        let forward = self.open_at(target, address)?;
        let (id, demand) = (forward.spec.id, forward.demand);
        if let Some(demand) = demand.filter(|_| !on_demand) {
            self.on_wanted(id, demand.round, out);
        }
        Some(id)
    }

    /// Begins the time of an agent's forward anew, and replaces its pod if that ends before.
    fn renew_for_agent(&mut self, id: ForwardId, (mark, ttl): (&AgentMark, Ttl), out: &mut Vec<Effect>) -> Outcome {
        let Some(forward) = self.forwards.get_mut(id).filter(|forward| is_of(forward, mark.session)) else {
            return Outcome::Refused(Refusal::NotOwn);
        };
        forward.agent = Some(mark.clone());
        // A person's pod stays as it is: when it ends, the next connection finds another.
        let key = forward.via().map(|via| via.pod.clone()).filter(|key| self.pods.agent_of(key).is_some());
        let pod = key.and_then(|key| self.pods.all().get(&key));
        let left = pod.and_then(|pod| Some((pod.key.clone(), pod.left(self.time_at(&pod.key.cluster))?)));
        if let Some((key, left)) = left
            && self.now + left < mark.until
        {
            self.renew(&key, Some(ttl), out);
        }
        Outcome::Renewed { until: mark.until }
    }

    /// Refuses the questions that nobody has answered, and closes forwards of agents whose time is up.
    pub(crate) fn check_agents(&mut self, out: &mut Vec<Effect>) {
        self.refuse_unanswered(out);
        let now = self.now;
        for id in self.forwards.ids(|forward| forward.agent.as_ref().is_some_and(|mark| mark.until <= now)) {
            self.end_forward_of_agent("agent-expired", id, out);
        }
    }

    /// Closes forwards of agents to targets that lead elsewhere now, are offered no longer, or need more consent than
    /// there was: agents have to ask again. So is consent for a session withdrawn.
    pub(crate) fn withdraw_from_agents(&mut self, before: &[Target], out: &mut Vec<Effect>) {
        let is_over = |forward: &Forward, mark: &AgentMark| {
            let is_its = |target: &&Target| target.name == forward.spec.target;
            let (was, now) = (before.iter().find(is_its), self.targets.all().iter().find(is_its));
            let moved = |now: &Target| was.is_some_and(|was| place_of(was) != place_of(now));
            let lets = |now: &Target| self.needed_grant(now).is_some_and(|needed| needed <= mark.grant);
            now.is_none_or(|now| moved(now) || !lets(now))
        };
        let ended = self.forwards.all().values().filter_map(|forward| {
            let mark = forward.agent.as_ref().filter(|mark| is_over(forward, mark))?;
            Some((forward.spec.id, forward.spec.target.clone(), mark.client.clone()))
        });
        for (id, target, client) in ended.collect::<Vec<_>>() {
            self.end_forward_of_agent("agent-withdrawn", id, out);
            self.note(Level::Warning, Message::AgentWithdrawn, target, client);
        }
        let can_count = |target: &&Target| self.needed_grant(target).is_some_and(|needed| needed <= Grant::Person);
        let places: BTreeSet<_> = self.targets.all().iter().filter(can_count).map(place_of).collect();
        self.agents.keep_consent(&places);
    }
}

/// Returns where a target leads.
pub(crate) fn place_of(target: &Target) -> AgentPlace {
    (target.name.clone(), target.cluster.clone(), target.namespace.clone(), target.address.to_string())
}

/// Returns true if a forward was opened by an agent in a session.
fn is_of(forward: &Forward, session: SessionId) -> bool {
    forward.agent.as_ref().is_some_and(|mark| mark.session == session)
}
