//! What the writer knows between two orders, and how it carries one out.

use std::path::PathBuf;

use crate::model::effect::TargetEdit;
use crate::model::event::{Loaded, StoreEvent};
use crate::model::fault::Fault;
use crate::model::target::Target;

use super::config::edit::{Editor, Removed};
use super::disk::{self, Locked};
use super::writer::Order;
use super::{Paths, audit, config, interpret, legacy, state};

/// The config as it was when last looked at: its text (`None`: no file), or why it could not be had.
type Seen = Result<Option<String>, Fault>;

/// What the writer knows.
pub struct Desk {
    paths: Paths,
    /// What was last seen on disk: a change is what differs from it, so that our own writing is none.
    seen: Seen,
    /// The targets as last told: what edits start from.
    base: Vec<Target>,
    /// Targets that edits took out, to be put back as they stood.
    removed: Vec<Removed>,
    audit: audit::Audit,
    /// Whether trouble with the state or the audit log was told.
    told: bool,
}

impl Desk {
    /// A desk that has looked at nothing yet.
    pub fn new(paths: Paths) -> Self {
        let audit = audit::Audit::default();
        Self { paths, seen: Ok(None), base: Vec::new(), removed: Vec::new(), audit, told: false }
    }

    /// Where the files are.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Begins: cleans up after writers that were killed, looks at the config (which [`load`](super::load) has told
    /// already), and offers the older tool's targets, once.
    pub fn open(&mut self) -> Vec<StoreEvent> {
        if let Ok(file) = disk::resolve(&self.paths.config) {
            disk::sweep(&file);
        }
        state::sweep(&self.paths.state_dir);
        self.seen = disk::read(&self.paths.config);
        self.base = self.loaded().map(|loaded| loaded.targets).unwrap_or_default();
        match state::load(&self.paths.state_dir) {
            Ok(state) if state.legacy_offered => Vec::new(),
            Ok(_) => match legacy::offer(&self.paths.legacy) {
                Ok(offer) => offer.into_iter().collect(),
                Err(fault) => vec![StoreEvent::Trouble(fault)],
            },
            // Who cannot remember that it offered would offer at every start.
            Err(fault) => self.trouble(Err(fault)),
        }
    }

    /// The config, where it makes sense.
    fn loaded(&self) -> Result<Loaded, Fault> {
        interpret(&self.paths, self.seen.as_ref().map_err(Clone::clone)?.as_deref())
    }

    /// Looks whether the config differs from what was last seen.
    pub fn look(&mut self) -> Vec<StoreEvent> {
        let now = disk::read(&self.paths.config);
        if now == self.seen {
            return Vec::new();
        }
        self.seen = now;
        vec![self.tell()]
    }

    fn tell(&mut self) -> StoreEvent {
        match self.loaded() {
            Ok(loaded) => {
                self.base.clone_from(&loaded.targets);
                StoreEvent::Loaded(Box::new(loaded))
            }
            Err(fault) => StoreEvent::Broken(fault),
        }
    }

    /// Carries an order out.
    pub fn carry_out(&mut self, order: Order) -> Vec<StoreEvent> {
        match order {
            Order::Reload => {
                self.seen = disk::read(&self.paths.config);
                vec![self.tell()]
            }
            Order::Save(edits) => self.save(&edits),
            Order::Remember { target, port } => {
                let result = state::change(&self.paths.state_dir, |state| _ = state.ports.insert(target, port));
                self.trouble(result)
            }
            Order::LegacyOffered => {
                let result = state::change(&self.paths.state_dir, |state| state.legacy_offered = true);
                self.trouble(result)
            }
            Order::Audit(entry) => {
                let result = self.audit.write(&self.paths.state_dir, &entry);
                self.trouble(result)
            }
        }
    }

    /// Trouble with files that hold nothing a person wrote is told once.
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
            Ok(merged) => {
                // What another wrote meanwhile is news; our own edits are not.
                let told = self.tell();
                if merged { vec![told, StoreEvent::Saved] } else { vec![StoreEvent::Saved] }
            }
            Err(fault) => {
                self.seen = disk::read(&self.paths.config);
                let changed = self.seen != before;
                match self.loaded() {
                    // Whoever showed the edits already is brought back to what is.
                    Ok(_) => vec![self.tell(), StoreEvent::NotSaved(fault)],
                    Err(broken) if changed => vec![StoreEvent::Broken(broken), StoreEvent::NotSaved(fault)],
                    Err(_) => vec![StoreEvent::NotSaved(fault)],
                }
            }
        }
    }

    /// Writes edits on top of what is on disk, under the lock; whether what was on disk was news.
    fn write(&mut self, edits: &[TargetEdit]) -> Result<bool, Fault> {
        let file: PathBuf = disk::resolve(&self.paths.config)?;
        let locked = Locked::new(&file)?;
        let current = disk::read(&file)?;
        let text = current.clone().unwrap_or_default();
        // A file that does not make sense is a person's, half done: never written over.
        let config = config::read(&self.paths.config, &text)?;
        let mut removed = self.removed.clone();
        let mut editor = Editor::new(&text, &config, &self.base, &mut removed)?;
        for edit in edits {
            editor.apply(edit)?;
        }
        let edited = editor.text();
        // What we cannot read ourselves is not put in anybody's file.
        config::read(&self.paths.config, &edited)?;
        let merged = self.seen.as_ref() != Ok(&current);
        if edited == text {
            self.seen = Ok(current);
        } else {
            locked.write(&edited)?;
            self.seen = Ok(Some(edited));
        }
        self.removed = removed;
        Ok(merged)
    }
}
