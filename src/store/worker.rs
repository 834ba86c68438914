//! Carries out the orders of the writer task, and keeps its state between them.

use std::collections::BTreeSet;

use brow_model::effect::{StoreEffect, TargetEdit};
use brow_model::event::{Loaded, StoreEvent};
use brow_model::fault::{Fault, What};
use brow_model::installation::Installation;
use brow_model::ownership::Claim;

use super::config::edit::Removed;
use super::disk::{self, Locked};
use super::prometheus::FoundPrometheus;
use super::{Paths, audit, config, exchange, imports, interpret, ledger, legacy, state};

/// The config as last read: its text (`None` without a file), or the error.
type ConfigText = Result<Option<String>, Fault>;

/// Carries out orders one by one.
pub struct Worker {
    paths: Paths,
    installation: Installation,
    /// The config as last read or written, so that our own writes do not count as changes.
    seen: ConfigText,
    /// Targets that edits took out, to be put back as they stood.
    removed: Vec<Removed>,
    audit: audit::Audit,
    /// True once an error of the state or the audit log was reported.
    told: bool,
}

impl Worker {
    /// Reads the config without reporting it, since the first frame has just done so; later changes are reported.
    pub fn new(paths: Paths, installation: Installation) -> Self {
        let (audit, seen) = (audit::Audit::default(), disk::read(&paths.config));
        Self { paths, installation, seen, removed: Vec::new(), audit, told: false }
    }

    /// The paths of the files.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Starts: removes temporary files of writers that were killed, reports changes since [`Worker::new`], and offers
    /// the older tool's targets, once.
    pub fn open(&mut self) -> Vec<StoreEvent> {
        if let Ok(file) = disk::resolve(&self.paths.config) {
            disk::sweep(&file, |file| Locked::from_afar(file, &self.paths.state_dir));
        }
        state::sweep(&self.paths.state_dir);
        let mut answers = self.look();
        answers.extend(match state::load(&self.paths.state_dir) {
            Ok(state) if state.legacy_offered => Vec::new(),
            Ok(_) => match legacy::offer(&self.paths.legacy) {
                Ok(offer) => offer.into_iter().collect(),
                Err(fault) => vec![StoreEvent::Trouble(fault)],
            },
            // Who cannot remember that it offered would offer at every start.
            Err(fault) => self.trouble(Err(fault)),
        });
        answers
    }

    /// Interprets the config as last read.
    fn loaded(&self) -> Result<Loaded, Fault> {
        interpret(&self.paths, self.seen.as_ref().map_err(Clone::clone)?.as_deref())
    }

    /// Reads the config again and reports it if it changed.
    pub fn look(&mut self) -> Vec<StoreEvent> {
        let now = disk::read(&self.paths.config);
        if now == self.seen {
            return Vec::new();
        }
        self.seen = now;
        let forgotten = self.forget_theme();
        [self.tell()].into_iter().chain(forgotten).collect()
    }

    fn tell(&self) -> StoreEvent {
        match self.loaded() {
            Ok(loaded) => StoreEvent::Loaded(Box::new(loaded)),
            Err(fault) => StoreEvent::Broken(fault),
        }
    }

    /// Carries out an order and returns the events that report its outcome.
    pub fn carry_out(&mut self, order: StoreEffect) -> Vec<StoreEvent> {
        let dir = &self.paths.state_dir;
        let result = match order {
            StoreEffect::Reload => {
                self.seen = disk::read(&self.paths.config);
                return vec![self.tell()];
            }
            StoreEffect::Follow(edits) => return self.remember(&edits),
            StoreEffect::Save(edits) => return self.save(&edits),
            StoreEffect::ReadOffers { text, cluster } => {
                return vec![imports::read(&text, &cluster).unwrap_or_else(StoreEvent::Trouble)];
            }
            StoreEffect::Export(targets) => {
                return vec![StoreEvent::Exported { count: targets.len(), text: exchange::targets_as_toml(&targets) }];
            }
            StoreEffect::Recognise(claim) => return self.recognise(&claim),
            StoreEffect::ClaimOpen { instance, running } => return self.claim_open(instance, &running),
            StoreEffect::RememberTheme(name) => return self.remember_theme(name),
            StoreEffect::RememberPort { target, port } => {
                state::change(dir, |state| _ = state.ports.insert(target, port))
            }
            StoreEffect::PodsUntil { cluster, until } => state::change(dir, |state| {
                let known = state.pods_until.entry(cluster).or_insert(until);
                *known = until.max(*known);
            }),
            StoreEffect::PodsGone { cluster, at } => state::change(dir, |state| {
                state.pods_until.retain(|name, until| *name != cluster || *until > at);
            }),
            StoreEffect::PodProxy { cluster, namespace, failure } => state::change(dir, |state| {
                state.pod_proxies.entry(cluster).or_default().insert(namespace, failure);
            }),
            StoreEffect::Prometheus { cluster, found } => state::change(dir, |state| {
                _ = match found {
                    Some(found) => state.prometheus.insert(cluster, FoundPrometheus::of(&found)),
                    None => state.prometheus.remove(&cluster),
                };
            }),
            StoreEffect::ForgetPod(uid) => ledger::forget(dir, &uid),
            StoreEffect::Learned(tip) => state::change(dir, |state| _ = state.learned.insert(tip.name().to_owned())),
            StoreEffect::RememberOpen { instance, open } => {
                let session = state::Session { config: self.paths.config.clone(), forwards: open };
                state::change(dir, |state| state.set_open(instance, session))
            }
            StoreEffect::LegacyOffered => state::change(dir, |state| state.legacy_offered = true),
            StoreEffect::Audit(entry) => self.audit.write(dir, &entry),
        };
        self.trouble(result)
    }

    fn recognise(&mut self, claim: &Claim) -> Vec<StoreEvent> {
        let result = ledger::recognise(&self.paths.state_dir, claim);
        let is_ours = result.as_ref().ok().copied();
        let mut answers = self.trouble(result.map(|_| ()));
        answers.push(StoreEvent::Recognised { uid: claim.uid.clone(), is_ours });
        answers
    }

    /// Takes over the open forwards of instances that do not run any more.
    fn claim_open(&mut self, instance: String, running: &BTreeSet<String>) -> Vec<StoreEvent> {
        let mut claimed = Vec::new();
        let result = state::change(&self.paths.state_dir, |state| {
            claimed = state.claim_open(&instance, running, &self.paths.config);
            let session = state::Session { config: self.paths.config.clone(), forwards: claimed.clone() };
            state.set_open(instance, session);
        });
        let mut answers = self.trouble(result);
        answers.push(StoreEvent::Claimed(claimed));
        answers
    }

    /// Reports an error of the state or the audit log, once.
    fn trouble(&mut self, result: Result<(), Fault>) -> Vec<StoreEvent> {
        match result {
            Err(fault) if !self.told => {
                self.told = true;
                vec![StoreEvent::Trouble(fault)]
            }
            Ok(()) | Err(_) => Vec::new(),
        }
    }

    fn save(&mut self, edits: &[TargetEdit]) -> Vec<StoreEvent> {
        let before = self.seen.clone();
        match self.write(edits) {
            Ok(Written { news, refused: None }) => {
                let trouble = self.remember(edits);
                // In this order: as long as an edit counts as under way, it is put on top of what is read.
                [StoreEvent::Saved].into_iter().chain(news.then(|| self.tell())).chain(trouble).collect()
            }
            // The refused edits are over: whoever has shown them already is brought back to what is.
            Ok(Written { refused: Some(fault), .. }) => {
                // Also where the file would make no sense with it: that will not change by trying again.
                let ends = fault.what.ends_an_edit();
                let fault = if ends { fault } else { Fault { what: What::EditConflict, ..fault } };
                vec![StoreEvent::NotSaved(fault), self.tell()]
            }
            Err(fault) => {
                self.seen = disk::read(&self.paths.config);
                let news = (self.seen != before).then(|| self.tell());
                [StoreEvent::NotSaved(fault)].into_iter().chain(news).collect()
            }
        }
    }

    /// Updates the state after targets were renamed or deleted.
    fn remember(&mut self, edits: &[TargetEdit]) -> Vec<StoreEvent> {
        let result = state::change(&self.paths.state_dir, |state| {
            for edit in edits {
                match edit {
                    TargetEdit::Replace { was, target } => state.replace(was, target, &self.installation),
                    TargetEdit::Remove(target) => state.forget(&target.name),
                    TargetEdit::Add(_) | TargetEdit::Import(_) | TargetEdit::Restore(_) => {}
                }
            }
        });
        self.trouble(result)
    }

    /// Forgets the chosen theme once the config asks for another than when it was chosen.
    fn forget_theme(&mut self) -> Vec<StoreEvent> {
        let Some(own) = self.own_theme() else { return Vec::new() };
        let result = state::change(&self.paths.state_dir, |state| {
            state.theme.take_if(|chosen| chosen.instead_of != own);
        });
        self.trouble(result)
    }

    /// The theme in the config; `None` if the config has errors.
    fn own_theme(&self) -> Option<String> {
        let text = self.seen.as_ref().ok()?.as_deref().unwrap_or_default();
        Some(config::read(&self.paths.config, text).ok()?.settings.theme)
    }

    /// Remembers a theme that replaces the config's until that one changes.
    fn remember_theme(&mut self, name: &str) -> Vec<StoreEvent> {
        let Some(own) = self.own_theme() else { return Vec::new() };
        let chosen = (name != own).then(|| state::Theme { name: name.to_owned(), instead_of: own });
        let result = state::change(&self.paths.state_dir, |state| state.theme = chosen);
        self.trouble(result)
    }

    /// Writes edits on top of what is on disk, under the lock. Each stands for itself: one that cannot be made keeps
    /// none of the others back.
    fn write(&mut self, edits: &[TargetEdit]) -> Result<Written, Fault> {
        let file = disk::resolve(&self.paths.config)?;
        let locked = Locked::from_afar(&file, &self.paths.state_dir)?;
        let current = disk::read(&file)?;
        let text = current.clone().unwrap_or_default();
        // A file that does not make sense is a person's, half done: never written over.
        config::read(&self.paths.config, &text)?;
        let mut removed = self.removed.clone();
        let (edited, refused) = config::edit::apply_all(&self.paths.config, &text, edits, &mut removed);
        let news = self.seen.as_ref() != Ok(&current);
        if edited == text {
            self.seen = Ok(current);
        } else {
            locked.write(&edited)?;
            self.seen = Ok(Some(edited));
        }
        self.removed = removed;
        Ok(Written { news, refused })
    }
}

/// The result of a save.
struct Written {
    /// True if the file also has changes that somebody else made since it was last read.
    news: bool,
    /// The first edit that could not be made.
    refused: Option<Fault>,
}
