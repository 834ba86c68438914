//! Health: what a probe through a forward finds, and when a person is told of it.

use crate::language::effect::{Effect, ForwardEffect, TerminalEffect};
use crate::language::fault::Fault;
use crate::language::log::{Entry, Level, Message};
use crate::state::Model;
use crate::types::forward::{Forward, ForwardId};
use crate::types::health::{Health, HealthReport, ProbePlan};
use crate::update::demand::span;

impl Model {
    /// Returns the fault of a forward, else of its cluster: while that does not answer, or refuses us, it is not known
    /// what becomes of the forward's pod.
    pub fn trouble_of<'a>(&'a self, forward: &'a Forward) -> Option<&'a Fault> {
        let of_cluster = || self.cluster(&forward.spec.selector.cluster)?.fault.as_ref();
        forward.trouble().or_else(|| of_cluster().filter(|_| forward.via().is_some()))
    }

    /// A probe was answered, or not.
    pub(crate) fn on_probed(&mut self, id: ForwardId, found: Health, out: &mut Vec<Effect>) {
        if let Some(forward) = self.forwards.get_mut(id).filter(|at| at.via().is_some() && at.spec.probe.is_some()) {
            forward.health = Some(found);
            self.report_health(id, out);
        }
    }

    /// Updates the probes of open forwards to the config: an earlier result says nothing about another probe.
    pub(crate) fn update_probes(&mut self, out: &mut Vec<Effect>) {
        let plan = |forward: &Forward| {
            let plan = self.probe_of(self.target(&forward.spec.target)?);
            (plan != forward.spec.probe).then_some((forward.spec.id, plan))
        };
        let turned: Vec<(ForwardId, Option<ProbePlan>)> = self.forwards.all().values().filter_map(plan).collect();
        for (id, plan) in turned {
            if let Some(forward) = self.forwards.get_mut(id) {
                let asked = |plan: &Option<ProbePlan>| plan.as_ref().map(|plan| plan.probe.clone());
                if asked(&plan) != asked(&forward.spec.probe) {
                    (forward.health, forward.told) = (None, None);
                }
                forward.spec.probe.clone_from(&plan);
                self.screen.unarranged = true;
                out.push(Effect::Forward(ForwardEffect::Probe { id, plan }));
            }
        }
    }

    /// Reports changes of health from the quiet time, once that is over, if they still hold.
    pub(crate) fn check_health(&mut self, out: &mut Vec<Effect>) {
        for id in self.forwards.ids(|forward| forward.health().is_some()) {
            self.report_health(id, out);
        }
    }

    /// Reports that a forward's target is up or down, if that is news and the quiet time is over.
    fn report_health(&mut self, id: ForwardId, out: &mut Vec<Effect>) {
        let Some(forward) = self.forwards.all().get(&id) else { return };
        let Some(down) = forward.health().map(|health| health.down.clone()) else { return };
        let told = self.report_health_of(forward.spec.target.clone(), forward.told, down, out);
        if let Some((forward, told)) = self.forwards.get_mut(id).zip(told) {
            forward.told = Some(told);
        }
    }

    /// Reports that something is up or down, if that is news and the quiet time is over. Returns the report, if one was
    /// made.
    pub(crate) fn report_health_of(
        &mut self,
        thing: String,
        told: Option<HealthReport>,
        down: Option<Fault>,
        out: &mut Vec<Effect>,
    ) -> Option<HealthReport> {
        let quiet = span(self.config.settings().notify_quiet.duration());
        let now = self.now;
        let up = down.is_none();
        // That it is up is no news before it was down.
        if told.map_or(up, |(told, at)| told == up || now - at < quiet) {
            return None;
        }
        let (level, message) = if up { (Level::Success, Message::WentUp) } else { (Level::Warning, Message::WentDown) };
        if let Some(fault) = down {
            self.fail(fault);
        }
        out.push(Effect::Terminal(TerminalEffect::Notify(Entry {
            at: now,
            level,
            message: message.clone(),
            thing: thing.clone(),
            detail: String::new(),
            words: String::new(),
        })));
        self.note(level, message, thing, "");
        Some((up, now))
    }
}
