//! The record of pods that this installation created: by name and nonce before the request, by uid once the pod exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use brow_model::fault::Fault;
use brow_model::ownership::Claim;
use brow_model::ttl::Ttl;

use super::state::{self, State};

/// The time after its TTL for which an ended pod may still be listed.
const RETENTION: TimeDelta = TimeDelta::days(7);

/// A pod that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRecord {
    pub namespace: String,
    pub name: String,
    /// Its uid, once it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The time from which the pod cannot exist any more.
    pub until: DateTime<Utc>,
}

/// The record of pods that are being created. Every change is on the disk when a call returns.
#[derive(Debug, Clone)]
pub struct PodLedger {
    dir: PathBuf,
}

impl PodLedger {
    /// The record in a state directory.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Writes down that a pod is about to be asked for.
    ///
    /// # Errors
    /// [`FileUnwritable`](brow_model::fault::What::FileUnwritable).
    pub fn asked(&self, nonce: &str, namespace: &str, name: &str, ttl: Ttl) -> Result<(), Fault> {
        let now = Utc::now();
        let until = now + TimeDelta::seconds(ttl.secs().into()) + RETENTION;
        let record = PodRecord { namespace: namespace.to_owned(), name: name.to_owned(), uid: None, until };
        state::change(&self.dir, |state| {
            state.pods.retain(|_, record| record.until > now);
            state.pods.insert(nonce.to_owned(), record);
        })
    }

    /// Returns the namespaces and names of the pods that were asked for and not refused.
    ///
    /// # Errors
    /// [`FileUnreadable`](brow_model::fault::What::FileUnreadable).
    pub fn names(&self) -> Result<BTreeSet<(String, String)>, Fault> {
        Ok(state::load(&self.dir)?.pods.into_values().map(|record| (record.namespace, record.name)).collect())
    }

    /// Writes down the uid under which a pod was stored.
    ///
    /// # Errors
    /// [`FileUnwritable`](brow_model::fault::What::FileUnwritable).
    pub fn stored(&self, nonce: &str, uid: &str) -> Result<(), Fault> {
        state::change(&self.dir, |state| {
            if let Some(record) = state.pods.get_mut(nonce) {
                record.uid = Some(uid.to_owned());
            }
        })
    }

    /// Writes down that a pod was refused, and is not there.
    ///
    /// # Errors
    /// [`FileUnwritable`](brow_model::fault::What::FileUnwritable).
    pub fn refused(&self, nonce: &str) -> Result<(), Fault> {
        state::change(&self.dir, |state| _ = state.pods.remove(nonce))
    }
}

/// Looks up whether this installation made a pod. One that was asked for and whose answer was lost is known by its
/// nonce and name, and by its uid from then on.
///
/// # Errors
/// [`FileUnreadable`](brow_model::fault::What::FileUnreadable) or
/// [`FileUnwritable`](brow_model::fault::What::FileUnwritable).
pub fn recognise(dir: &Path, claim: &Claim) -> Result<bool, Fault> {
    let mut ours = false;
    state::change(dir, |state| ours = is_ours(state, claim))?;
    Ok(ours)
}

fn is_ours(state: &mut State, claim: &Claim) -> bool {
    if claim.uid.is_empty() {
        return false;
    }
    let Some(record) = state.pods.get_mut(&claim.nonce) else { return false };
    if (&record.namespace, &record.name) != (&claim.namespace, &claim.name) {
        return false;
    }
    // The first of that name is it. Whoever copies the nonce into another, once that is gone, comes too late.
    record.uid.get_or_insert_with(|| claim.uid.clone()) == &claim.uid
}

/// Forgets a pod that is gone.
///
/// # Errors
/// [`FileUnwritable`](brow_model::fault::What::FileUnwritable).
pub fn forget(dir: &Path, uid: &str) -> Result<(), Fault> {
    state::change(dir, |state| state.pods.retain(|_, record| record.uid.as_deref() != Some(uid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str, uid: &str, nonce: &str) -> Claim {
        Claim { namespace: "team".into(), name: name.into(), uid: uid.into(), nonce: nonce.into() }
    }

    #[test]
    fn a_pod_is_ours_by_what_was_written_down_before_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = PodLedger::new(dir.path().to_owned());
        let ours = |claim: &Claim| recognise(dir.path(), claim).unwrap();
        assert!(!ours(&claim("a", "1", "n")), "nothing was asked for");
        ledger.asked("n", "team", "a", Ttl::DEFAULT).unwrap();
        for forged in [claim("a", "1", ""), claim("a", "1", "m"), claim("b", "1", "n"), claim("a", "", "n")] {
            assert!(!ours(&forged), "{forged:?}");
        }
        let elsewhere = Claim { namespace: "other".into(), ..claim("a", "1", "n") };
        assert!(!ours(&elsewhere));
        // The answer was lost: it is known when it is seen, and no other after it.
        assert!(ours(&claim("a", "1", "n")));
        assert!(!ours(&claim("a", "2", "n")), "a copy under the same name");
        assert!(ours(&claim("a", "1", "n")));

        ledger.asked("o", "team", "c", Ttl::DEFAULT).unwrap();
        ledger.stored("o", "3").unwrap();
        assert!(!ours(&claim("c", "4", "o")));
        assert!(ours(&claim("c", "3", "o")));
        assert_eq!(ledger.names().unwrap(), ["a", "c"].map(|name| ("team".to_owned(), name.to_owned())).into());
        forget(dir.path(), "3").unwrap();
        assert!(!ours(&claim("c", "3", "o")));
        ledger.asked("p", "team", "d", Ttl::DEFAULT).unwrap();
        ledger.refused("p").unwrap();
        assert!(!ours(&claim("d", "5", "p")));
    }

    #[test]
    fn what_is_long_over_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = PodLedger::new(dir.path().to_owned());
        ledger.asked("n", "team", "a", Ttl::DEFAULT).unwrap();
        state::change(dir.path(), |state| state.pods.get_mut("n").unwrap().until = Utc::now()).unwrap();
        ledger.asked("o", "team", "b", Ttl::DEFAULT).unwrap();
        assert_eq!(state::load(dir.path()).unwrap().pods.into_keys().collect::<Vec<_>>(), ["o"]);
    }
}
