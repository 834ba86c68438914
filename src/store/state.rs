//! The state that is kept between runs: local ports of targets, renamed targets, clusters in which pods may have been
//! left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use brow_model::fault::Fault;
use brow_model::installation::Installation;
use brow_model::restore::OpenForward;
use brow_model::target::Target;

use super::disk::{self, Locked};
use super::ledger::PodRecord;
use super::prometheus::FoundPrometheus;

/// The state that is kept between runs. Unknown fields are preserved: a newer version may have written them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The local port that a target without one of its own had last.
    pub ports: BTreeMap<String, u16>,
    /// Clusters in which pods of ours may live, with when the last TTL is up.
    pub pods_until: BTreeMap<String, DateTime<Utc>>,
    /// The result of the pod proxy when it was tried last, by cluster and namespace: `null` if it worked, else the
    /// reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_proxies: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// The pods that this installation made, by their nonces.
    pub pods: BTreeMap<String, PodRecord>,
    /// Renamings whose pods may still live, oldest first.
    pub renamed: Vec<Renamed>,
    /// The forwards that dashboards have open, or had when they ended, by instance.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub open: BTreeMap<String, Session>,
    /// The Prometheuses that were found, by context.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prometheus: BTreeMap<String, FoundPrometheus>,
    /// The theme that was chosen by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<Theme>,
    /// The keys that need not be taught any more, by the tip's name.
    pub learned: BTreeSet<String>,
    /// True once the older tool's targets were offered.
    pub legacy_offered: bool,
    /// Fields of newer versions.
    #[serde(flatten)]
    pub others: BTreeMap<String, serde_json::Value>,
}

/// The forwards that a dashboard has open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The config that has their targets.
    pub config: PathBuf,
    pub forwards: Vec<OpenForward>,
}

/// A target's renaming, as its pods see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The context.
    pub cluster: String,
    /// The label that pods made before it carry.
    pub label: String,
    /// The target's current name.
    pub name: String,
}

/// A theme that was chosen by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Theme {
    pub name: String,
    /// The one that the config asked for then: it counts again once it asks for another.
    pub instead_of: String,
}

/// The number of renamings that are kept.
const MAX_RENAMED: usize = 100;

impl State {
    /// Moves the state of a target to the one that replaces it.
    pub fn replace(&mut self, was: &Target, target: &Target, installation: &Installation) {
        if was.name != target.name
            && let Some(port) = self.ports.remove(&was.name)
        {
            self.ports.insert(target.name.clone(), port);
        }
        for earlier in self.renamed.iter_mut().filter(|earlier| earlier.name == was.name) {
            earlier.name.clone_from(&target.name);
        }
        let (cluster, label) = (was.cluster.clone(), was.label(installation));
        if cluster == target.cluster && label != target.label(installation) {
            self.renamed.retain(|earlier| (&earlier.cluster, &earlier.label) != (&cluster, &label));
            self.renamed.push(Renamed { cluster, label, name: target.name.clone() });
            self.renamed.drain(..self.renamed.len().saturating_sub(MAX_RENAMED));
        }
    }

    /// Sets the forwards that an instance has open.
    pub fn set_open(&mut self, instance: String, session: Session) {
        if session.forwards.is_empty() {
            self.open.remove(&instance);
        } else {
            self.open.insert(instance, session);
        }
    }

    /// Removes the forwards of instances that are neither `own` nor running, and returns those with targets in
    /// `config`. Those of other configs are kept as long as these are there.
    pub fn claim_open(&mut self, own: &str, running: &BTreeSet<String>, config: &Path) -> Vec<OpenForward> {
        let ended = self.open.extract_if(.., |instance, session| {
            let is_used = session.config != config && session.config.exists();
            instance != own && !running.contains(instance) && !is_used
        });
        ended.filter(|(_, session)| session.config == config).flat_map(|(_, session)| session.forwards).collect()
    }

    /// Removes the state of a deleted target.
    pub fn forget(&mut self, name: &str) {
        self.ports.remove(name);
        self.renamed.retain(|earlier| earlier.name != name);
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

/// Loads the state. A file with errors counts as empty: nobody wrote it by hand, and the next change replaces it.
///
/// # Errors
/// [`FileUnreadable`](brow_model::fault::What::FileUnreadable).
pub fn load(dir: &Path) -> Result<State, Fault> {
    let text = disk::read(&file(dir))?.unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// Changes the state, on top of what other instances have written since.
///
/// # Errors
/// [`FileUnreadable`](brow_model::fault::What::FileUnreadable) or
/// [`FileUnwritable`](brow_model::fault::What::FileUnwritable).
pub fn change(dir: &Path, change: impl FnOnce(&mut State)) -> Result<(), Fault> {
    let path = file(dir);
    let locked = Locked::new(&path)?;
    let old = load(dir)?;
    let mut new = old.clone();
    change(&mut new);
    if new == old {
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&new).map_err(|error| disk::unwritable(&path, &error.into()))?;
    locked.write(&(text + "\n"))
}

/// Removes temporary files of writers that were killed.
pub fn sweep(dir: &Path) {
    disk::sweep(&file(dir), Locked::new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_remember_together() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("not/yet/there");
        assert_eq!(load(&dir), Ok(State::default()));
        std::thread::scope(|scope| {
            for writer in 0..4u16 {
                let dir = &dir;
                scope.spawn(move || {
                    for step in 0..10 {
                        let port = 1000 + writer * 100 + step;
                        change(dir, |state| _ = state.ports.insert(format!("t{port}"), port)).unwrap();
                    }
                });
            }
        });
        change(&dir, |state| state.legacy_offered = true).unwrap();
        let state = load(&dir).unwrap();
        assert_eq!((state.ports.len(), state.legacy_offered), (40, true));
    }

    #[test]
    fn a_newer_versions_fields_stay_and_nonsense_counts_as_empty() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), r#"{"ports":{"a":1},"newer":[1,2]}"#).unwrap();
        change(dir.path(), |state| _ = state.ports.insert("b".to_owned(), 2)).unwrap();
        let text = std::fs::read_to_string(file(dir.path())).unwrap();
        assert!(text.contains("newer") && text.contains("\"a\": 1"), "{text}");
        std::fs::write(file(dir.path()), "{").unwrap();
        assert_eq!(load(dir.path()), Ok(State::default()));
    }

    #[test]
    fn what_was_open_is_taken_over_once_and_from_nobody_who_runs() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            vec![OpenForward { target: name.to_owned(), name: name.to_owned(), port: 3306, on_demand: false }]
        };
        let (config, other) = (dir.path().join("config.toml"), dir.path().join("other.toml"));
        std::fs::write(&other, "").unwrap();
        let gone = dir.path().join("gone.toml");
        for (name, config) in [("1-a", &config), ("2-b", &config), ("3-c", &config), ("8-o", &other), ("9-g", &gone)] {
            let session = Session { config: config.clone(), forwards: open(name) };
            change(dir.path(), |state| state.set_open(name.to_owned(), session)).unwrap();
        }
        let claim = |own: &str, running: &[&str]| {
            let running = running.iter().map(|name| (*name).to_owned()).collect();
            let mut claimed = Vec::new();
            change(dir.path(), |state| claimed = state.claim_open(own, &running, &config)).unwrap();
            claimed
        };
        assert_eq!(claim("4-d", &["2-b"]), [open("1-a"), open("3-c")].concat());
        assert_eq!(claim("5-e", &["2-b", "4-d"]), [], "another has taken them over");
        assert_eq!(claim("2-b", &[]), [], "its own are its own");
        let left: Vec<String> = load(dir.path()).unwrap().open.into_keys().collect();
        assert_eq!(left, ["2-b", "8-o"], "those of another config are for its next start");
        change(dir.path(), |state| state.set_open("2-b".to_owned(), Session::default())).unwrap();
        assert!(!load(dir.path()).unwrap().open.contains_key("2-b"));
    }
}
