//! Offers: targets that somebody may want, from a cluster or a file, and what becomes of them beside those that are
//! saved already.

use std::collections::BTreeSet;

use crate::language::effect::{Effect, TargetEdit};
use crate::language::log::{Level, Message};
use crate::screen::dialog::Question;
use crate::state::Model;
use crate::types::forward_settings::AgentAccess;
use crate::types::offer::{LeftOut, LeftOutReason, Offer, OnConflict, Outcome, OutcomeCounts};
use crate::types::target::Target;
use crate::types::workload::Destination;

impl Outcome {
    /// The change of the saved targets that it is.
    pub(crate) fn edit(&self) -> Option<TargetEdit> {
        match self {
            Self::Skipped(_) | Self::Repeated { .. } => None,
            Self::Added(target) => Some(TargetEdit::Import(target.clone())),
            Self::Replaced { was, target } => Some(TargetEdit::Replace { was: was.clone(), target: target.clone() }),
        }
    }
}

impl Model {
    /// Returns the saved target with the destination of an offer.
    pub fn existing(&self, offer: &Offer) -> Option<&Target> {
        let namespace = self.namespace_of(&offer.target);
        self.targets.all().iter().find(|target| {
            let same = match (&target.address, &offer.target.address) {
                (Destination::Workload(own), Destination::Workload(other)) => {
                    let mut ports = std::iter::once(&own.port).chain(&own.more);
                    (&own.kind, &own.name) == (&other.kind, &other.name)
                        && ports.any(|port| *port == other.port || Some(port) == offer.also.as_ref())
                }
                (own, other) => own == other,
            };
            same && target.cluster == offer.target.cluster && self.namespace_of(target) == namespace
        })
    }

    /// Takes offers over; where some are there already, or somebody else wrote them, it is asked first.
    pub(crate) fn review_offers(
        &mut self,
        from: Option<String>,
        mut offers: Vec<Offer>,
        mut left_out: Vec<LeftOut>,
        out: &mut Vec<Effect>,
    ) {
        if from.is_some() {
            offers = self.review(offers, &mut left_out);
        }
        let there = offers.iter().filter(|offer| self.existing(offer).is_some()).count();
        if offers.is_empty() && left_out.is_empty() {
            return self.note(Level::Info, Message::NothingOffered, from.unwrap_or_default(), "");
        }
        if there == 0 && from.is_none() && left_out.is_empty() {
            self.import_offers(offers, OnConflict::Skip, out);
        } else {
            self.ask(Question::ImportOffers { from, there, offers, left_out });
        }
    }

    /// Gives the offers of a file the names under which they would be saved. Takes out those that lead where one before
    /// leads, and notes those whose context is missing.
    fn review(&self, offers: Vec<Offer>, left_out: &mut Vec<LeftOut>) -> Vec<Offer> {
        let outcomes = self.outcomes(&offers, OnConflict::Skip);
        let mut kept = Vec::new();
        for (mut offer, outcome) in offers.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Repeated { name, port } => {
                    let what = port.map_or_else(|| name.clone(), |port| format!("{name} :{port}"));
                    left_out.push(LeftOut { what, reason: LeftOutReason::Repeated });
                    continue;
                }
                Outcome::Added(target) => {
                    offer.names = vec![target.name.clone()];
                    offer.target.name = target.name;
                }
                Outcome::Skipped(_) | Outcome::Replaced { .. } => {}
            }
            let is_known = self.clusters.all().is_empty() || self.cluster(&offer.target.cluster).is_some();
            if !is_known {
                left_out.push(LeftOut { what: offer.target.name.clone(), reason: LeftOutReason::UnknownContext });
            }
            kept.push(offer);
        }
        kept
    }

    /// Makes targets of offers.
    pub(crate) fn import_offers(&mut self, offers: Vec<Offer>, on_conflict: OnConflict, out: &mut Vec<Effect>) {
        let before = self.targets.all().to_vec();
        let (mut tally, mut edits) = (OutcomeCounts::default(), Vec::new());
        let mut names = Vec::new();
        for outcome in self.resolve(offers, on_conflict) {
            match &outcome {
                Outcome::Skipped(_) | Outcome::Repeated { .. } => tally.skipped += 1,
                Outcome::Added(target) => {
                    tally.added += 1;
                    names.push(target.name.clone());
                }
                Outcome::Replaced { target, .. } => {
                    tally.replaced += 1;
                    names.push(target.name.clone());
                }
            }
            edits.extend(outcome.edit());
        }
        let level = if edits.is_empty() { Level::Info } else { Level::Success };
        self.note(level, Message::Taken(tally), "", names.join(", "));
        if let Some(name) = names.first() {
            self.screen.targets.wanted = Some(name.clone());
        }
        if !edits.is_empty() {
            self.save(edits, out);
        }
        for cluster in self.clusters.names() {
            self.widen(&cluster, out);
        }
        self.apply_target_edits(&before, out);
    }

    /// Computes the outcome of offers, in their order.
    pub fn outcomes(&self, offers: &[Offer], on_conflict: OnConflict) -> Vec<Outcome> {
        self.clone().resolve(offers.to_vec(), on_conflict)
    }

    /// Makes targets of offers, one after another: each meets those that came of the ones before.
    fn resolve(&mut self, offers: Vec<Offer>, on_conflict: OnConflict) -> Vec<Outcome> {
        let mut taken = self.taken_ports();
        let (mut outcomes, mut seen) = (Vec::new(), BTreeSet::new());
        for offer in offers {
            let outcome = match (self.existing(&offer).cloned(), on_conflict) {
                (Some(there), _) if seen.contains(&there.name) => {
                    let port = Some(offer.target.local_port).filter(|port| ![0, there.local_port].contains(port));
                    Outcome::Repeated { name: there.name, port }
                }
                (Some(there), OnConflict::Skip) => Outcome::Skipped(there.name),
                (Some(was), OnConflict::Replace) => {
                    taken.remove(&was.local_port);
                    let target = self.replacement_for(&was, &offer, &taken);
                    Outcome::Replaced { was: Box::new(was), target }
                }
                (None, _) => Outcome::Added(self.target_of_offer(offer, &taken)),
            };
            if let Some(edit) = outcome.edit() {
                self.apply(&edit);
            }
            if let Outcome::Added(target) | Outcome::Replaced { target, .. } = &outcome {
                taken.insert(target.local_port);
                seen.insert(target.name.clone());
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    /// The target that an offer becomes: under a name that is free, with a port that is.
    fn target_of_offer(&self, offer: Offer, taken: &BTreeSet<u16>) -> Target {
        let port = self.port_for(&offer, taken).unwrap_or(0);
        let free = |name: &&String| self.target(name).is_none();
        let name = offer.names.iter().find(free).cloned();
        let name = name.unwrap_or_else(|| self.free_name(&offer.target.name));
        let mut target = Target { name, local_port: port, ..offer.target };
        if target.forward.agent.is_none() && self.agent_access(&target).is_some() {
            // Its tags are somebody else's words.
            target.forward.agent = Some(AgentAccess::Denied);
        }
        target
    }

    /// Returns the local port of an offer, else one of the port plan that is free.
    fn port_for(&self, offer: &Offer, taken: &BTreeSet<u16>) -> Option<u16> {
        let own = Some(offer.target.local_port).filter(|port| *port != 0);
        let key = offer.key(&self.namespace_of(&offer.target));
        own.or_else(|| self.config.settings().ports.port(offer.group, &key, taken))
    }

    /// Returns a saved target with the destination and port of an offer.
    fn replacement_for(&self, was: &Target, offer: &Offer, taken: &BTreeSet<u16>) -> Target {
        let mut address = offer.target.address.clone();
        if let (Destination::Workload(new), Destination::Workload(old)) = (&mut address, &was.address) {
            (new.wait, new.proxy, new.spread) = (old.wait, old.proxy, old.spread);
            if !old.more.is_empty() {
                // Its other ports are somebody's too.
                *new = old.clone();
            }
        }
        let local_port = self.port_for(offer, taken).unwrap_or(was.local_port);
        Target { namespace: offer.target.namespace.clone(), address, local_port, ..was.clone() }
    }

    /// Local ports that belong to somebody already: those of saved targets, those that targets had last, and those that
    /// forwards listen on, of other instances too. What another program holds shows when a port is to be listened on.
    pub(crate) fn taken_ports(&self) -> BTreeSet<u16> {
        let targets = self.targets.all().iter().map(|target| target.local_port);
        let bound =
            self.forwards.all().values().flat_map(|forward| forward.bound.iter().map(std::net::SocketAddr::port));
        let asked = self.forwards.all().values().map(|forward| forward.spec.port);
        let local = |text: &str| text.rsplit(':').next().and_then(|port| port.parse().ok());
        let others = self.instances.forwards().values().filter_map(|other| local(&other.forward.local));
        targets
            .chain(self.targets.ports().values().copied())
            .chain(others)
            .chain(bound)
            .chain(asked)
            .filter(|port| *port != 0)
            .collect()
    }
}
