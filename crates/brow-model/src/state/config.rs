//! The config in use, and the faults of it that were shown.

use crate::language::fault::Fault;
use crate::types::settings::{Settings, THEMES};

/// The config in use.
#[derive(Debug, Clone, Default)]
pub struct Config {
    settings: Settings,
    path: String,
    /// The fault that keeps the config on disk from being used.
    fault: Option<Fault>,
    /// The targets with a login in their address, as was logged.
    logins: Vec<String>,
    /// The environment variable that was ignored, and why.
    ignored: Option<Fault>,
}

impl Config {
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the path of the config; empty before it was read.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the fault that keeps the config on disk from being used.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    pub(crate) fn is_loaded(&self) -> bool {
        !self.path.is_empty()
    }

    /// Replaces the config by the one on disk. Returns the fault that this mends.
    pub(crate) fn replace(&mut self, path: String, settings: Settings) -> Option<Fault> {
        (self.path, self.settings) = (path, settings);
        self.fault.take()
    }

    /// Keeps the config in spite of a fault of the one on disk.
    pub(crate) fn keep_despite(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Notes the targets with a login in their address. Returns true if there are such and they are news.
    pub(crate) fn note_logins(&mut self, logins: Vec<String>) -> bool {
        let news = !logins.is_empty() && logins != self.logins;
        self.logins = logins;
        news
    }

    /// Notes the environment variable that is ignored. Returns true if there is one and it is news.
    pub(crate) fn note_ignored(&mut self, ignored: Option<Fault>) -> bool {
        let news = ignored.is_some() && ignored != self.ignored;
        self.ignored = ignored;
        news
    }

    /// Goes on to the next theme; an unknown one is followed by the first.
    pub(crate) fn next_theme(&mut self) -> &'static str {
        let at = THEMES.iter().position(|name| *name == self.settings.theme);
        let next = THEMES[at.map_or(0, |at| (at + 1) % THEMES.len())];
        next.clone_into(&mut self.settings.theme);
        next
    }
}

/// Access for tests that put a part together by hand.
#[cfg(any(test, feature = "fixtures"))]
impl Config {
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    pub fn fault_mut(&mut self) -> &mut Option<Fault> {
        &mut self.fault
    }
}
