//! Offers: targets that somebody may want, from a cluster or a file, and what becomes of them beside those that are
//! saved already.

use std::collections::BTreeSet;

use crate::language::effect::Effect;
use crate::language::effect::TargetEdit;
use crate::language::log::{Grade, Happening};
use crate::screen::dialog::Question;
use crate::state::Model;
use crate::types::offer::{Clash, Fate, LeftOut, Offer, Tally};
use crate::types::target::Target;
use crate::types::workload::Where;

impl Fate {
    /// The change of the saved targets that it is.
    pub(crate) fn edit(&self) -> Option<TargetEdit> {
        match self {
            Self::Skipped(_) => None,
            Self::Added(target) => Some(TargetEdit::Import(target.clone())),
            Self::Replaced { was, target } => Some(TargetEdit::Replace { was: was.clone(), target: target.clone() }),
        }
    }
}

impl Model {
    /// The saved target that leads to the same place as an offer.
    pub fn there(&self, offer: &Offer) -> Option<&Target> {
        let namespace = self.namespace_of(&offer.target);
        self.targets.all.iter().find(|target| {
            let same = match (&target.address, &offer.target.address) {
                (Where::Workload(own), Where::Workload(other)) => {
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
    pub(crate) fn consider(
        &mut self,
        from: Option<String>,
        offers: Vec<Offer>,
        left_out: Vec<LeftOut>,
        out: &mut Vec<Effect>,
    ) {
        let there = offers.iter().filter(|offer| self.there(offer).is_some()).count();
        if offers.is_empty() && left_out.is_empty() {
            return self.note(Grade::Info, Happening::NothingOffered, from.unwrap_or_default(), "");
        }
        if there == 0 && from.is_none() && left_out.is_empty() {
            self.take_offers(offers, Clash::Skip, out);
        } else {
            self.ask(Question::Take { from, there, offers, left_out });
        }
    }

    /// Makes targets of offers.
    pub(crate) fn take_offers(&mut self, offers: Vec<Offer>, clash: Clash, out: &mut Vec<Effect>) {
        let before = self.targets.all.clone();
        let (mut tally, mut edits) = (Tally::default(), Vec::new());
        let mut names = Vec::new();
        for fate in self.decide(offers, clash) {
            match &fate {
                Fate::Skipped(_) => tally.skipped += 1,
                Fate::Added(target) => {
                    tally.added += 1;
                    names.push(target.name.clone());
                }
                Fate::Replaced { target, .. } => {
                    tally.replaced += 1;
                    names.push(target.name.clone());
                }
            }
            edits.extend(fate.edit());
        }
        let grade = if edits.is_empty() { Grade::Info } else { Grade::Good };
        self.note(grade, Happening::Taken(tally), "", names.join(", "));
        if let Some(name) = names.first() {
            self.screen.targets.wanted = Some(name.clone());
        }
        if !edits.is_empty() {
            self.save(edits, out);
        }
        let clusters: Vec<String> = self.clusters.all.iter().map(|cluster| cluster.name.clone()).collect();
        for cluster in clusters {
            self.widen(&cluster, out);
        }
        self.follow_targets(&before, out);
    }

    /// Computes the outcome of offers, in their order.
    pub fn fates(&self, offers: &[Offer], clash: Clash) -> Vec<Fate> {
        self.clone().decide(offers.to_vec(), clash)
    }

    /// Makes targets of offers, one after another: each meets those that came of the ones before.
    fn decide(&mut self, offers: Vec<Offer>, clash: Clash) -> Vec<Fate> {
        let mut taken = self.taken_ports();
        let mut fates = Vec::new();
        for offer in offers {
            let fate = match (self.there(&offer).cloned(), clash) {
                (Some(there), Clash::Skip) => Fate::Skipped(there.name),
                (Some(was), Clash::Replace) => {
                    taken.remove(&was.local_port);
                    let target = self.in_place_of(&was, &offer, &taken);
                    Fate::Replaced { was: Box::new(was), target }
                }
                (None, _) => Fate::Added(self.new_of(offer, &taken)),
            };
            if let Some(edit) = fate.edit() {
                self.apply(&edit);
            }
            if let Fate::Added(target) | Fate::Replaced { target, .. } = &fate {
                taken.insert(target.local_port);
            }
            fates.push(fate);
        }
        fates
    }

    /// The target that an offer becomes: under a name that is free, with a port that is.
    fn new_of(&self, offer: Offer, taken: &BTreeSet<u16>) -> Target {
        let port = match offer.target.local_port {
            0 => {
                let key = offer.key(&self.namespace_of(&offer.target));
                self.config.settings.ports.port(offer.group, &key, taken).unwrap_or(0)
            }
            port => port,
        };
        let free = |name: &&String| self.target(name).is_none();
        let name = offer.names.iter().find(free).cloned();
        let name = name.unwrap_or_else(|| self.free_name(&offer.target.name));
        Target { name, local_port: port, ..offer.target }
    }

    /// A saved target that takes an offer's place and port over.
    fn in_place_of(&self, was: &Target, offer: &Offer, taken: &BTreeSet<u16>) -> Target {
        let mut address = offer.target.address.clone();
        if let (Where::Workload(new), Where::Workload(old)) = (&mut address, &was.address) {
            (new.wait, new.proxy) = (old.wait, old.proxy);
            if !old.more.is_empty() {
                // Its other ports are somebody's too.
                *new = old.clone();
            }
        }
        let local_port = match offer.target.local_port {
            0 => {
                let key = offer.key(&self.namespace_of(&offer.target));
                self.config.settings.ports.port(offer.group, &key, taken).unwrap_or(was.local_port)
            }
            port => port,
        };
        Target { namespace: offer.target.namespace.clone(), address, local_port, ..was.clone() }
    }
}
