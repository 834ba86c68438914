//! Offers: targets that somebody may want, from a cluster or a file, and what becomes of them beside those that are
//! saved already.

use std::collections::BTreeSet;

use super::Model;
use super::dialog::Question;
use super::effect::{Effect, TargetEdit};
use super::log::{Grade, Happening};
use super::service::Group;
use super::target::Target;
use super::workload::{Port, Where, is_dns_label};
use crate::plain::is_line;

/// A target that somebody may want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The target. Without a local port it gets one by the port plan.
    pub target: Target,
    /// Names for it, the best first; the first that is free is taken.
    pub names: Vec<String>,
    /// What else its port is called, where that is known.
    pub also: Option<Port>,
    /// Which range its local port comes from.
    pub group: Option<Group>,
}

/// Something of a file that is not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which part: a line, a name.
    pub what: String,
    /// Why.
    pub why: Why,
}

macro_rules! whys {
    ($($(#[doc = $doc:literal])+ $variant:ident = $key:literal,)+) => {
        /// Why something is not taken over; a sentence each in the text tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Why { $($(#[doc = $doc])+ $variant,)+ }

        impl Why {
            /// Every reason, for tables that must name all.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its key in the text tables: `left-out.<key>`.
            pub fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }
        }
    };
}

whys! {
    /// It is of none of the forms that are known.
    Form = "form",
    /// It begins as JSON and is none.
    Json = "json",
    /// Its port is no port.
    Port = "port",
    /// It is UDP.
    Udp = "udp",
    /// Its kind is not known here.
    Kind = "kind",
    /// Its name, host or selector cannot be one.
    Name = "name",
    /// It names no context, and there is none to take.
    Context = "context",
    /// It would listen beyond loopback: taken over without that.
    Beyond = "beyond",
    /// It would listen on several addresses: the first is taken.
    Several = "several",
    /// A Mac needs an order first, to have its address.
    Alias = "alias",
    /// A quote in it is never closed.
    Quote = "quote",
    /// Only a shell can tell the value of a word in it.
    Open = "open",
    /// It has a flag that is not known: the next word may be its value.
    Flag = "flag",
    /// It decides what runs in the cluster, or what listens here.
    Guarded = "guarded",
}

/// What became of offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// New targets.
    pub added: usize,
    /// Targets that are there already and were left as they are.
    pub skipped: usize,
    /// Targets that were there already and are as offered now.
    pub replaced: usize,
}

/// What becomes of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// This saved target leads there already.
    Skipped(String),
    /// It is a target now.
    Added(Target),
    /// A target that leads there already takes it over.
    Replaced {
        /// The target before.
        was: Box<Target>,
        /// What it is now.
        target: Target,
    },
}

impl Fate {
    /// The change of the saved targets that it is.
    fn edit(&self) -> Option<TargetEdit> {
        match self {
            Self::Skipped(_) => None,
            Self::Added(target) => Some(TargetEdit::Import(target.clone())),
            Self::Replaced { was, target } => Some(TargetEdit::Replace { was: was.clone(), target: target.clone() }),
        }
    }
}

/// What is to become of offers that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clash {
    /// Leave what is there.
    Skip,
    /// Take the offer's place and local port; name, tags, TTL and how pods are made stay.
    Replace,
}

/// Whether what a file says of a target can be: it is somebody else's, and parts of it become parts of URLs.
///
/// # Errors
/// [`Why::Name`] for a name, a context or a namespace that cannot be one.
pub fn check(target: &Target) -> Result<(), Why> {
    let words = |text: &str| !text.is_empty() && text.len() <= 300 && text.trim() == text && is_line(text);
    let namespace = target.namespace.as_deref().is_none_or(is_dns_label);
    if words(&target.name) && words(&target.cluster) && namespace { Ok(()) } else { Err(Why::Name) }
}

impl Offer {
    /// An offer whose name is given.
    pub fn named(target: Target) -> Self {
        let group = super::found::group_of(&target);
        let names = vec![target.name.clone(), format!("{}@{}", target.name, target.cluster)];
        Self { target, names, also: None, group }
    }

    /// What its local port is found by: not by its name, which somebody may change.
    fn key(&self, namespace: &str) -> String {
        format!("{}/{namespace}/{}", self.target.cluster, self.target.address)
    }
}

impl Model {
    /// The saved target that leads to the same place as an offer.
    pub fn there(&self, offer: &Offer) -> Option<&Target> {
        let namespace = self.namespace_of(&offer.target);
        self.targets.iter().find(|target| {
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
    pub(super) fn consider(
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
    pub(super) fn take_offers(&mut self, offers: Vec<Offer>, clash: Clash, out: &mut Vec<Effect>) {
        let before = self.targets.clone();
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
            self.target_list.wanted = Some(name.clone());
        }
        if !edits.is_empty() {
            self.save(edits, out);
        }
        let clusters: Vec<String> = self.clusters.iter().map(|cluster| cluster.name.clone()).collect();
        for cluster in clusters {
            self.widen(&cluster, out);
        }
        self.follow_targets(&before, out);
    }

    /// What would become of offers, in their order.
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
                self.settings.ports.port(offer.group, &key, taken).unwrap_or(0)
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
                self.settings.ports.port(offer.group, &key, taken).unwrap_or(was.local_port)
            }
            port => port,
        };
        Target { namespace: offer.target.namespace.clone(), address, local_port, ..was.clone() }
    }
}
