//! The API server's storage: objects and recent changes.
//!
//! Every change has a version above all earlier ones (`resourceVersion`), and watches receive changes, not states: so a
//! watch that starts at the version of a list misses nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

/// Changes that are remembered for watches that start in the past.
const MAX_CHANGES: usize = 4_096;

/// The key of an object: its resource (`pods`), namespace (empty if it has none) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub resource: &'static str,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub(super) fn new(resource: &'static str, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { resource, namespace: namespace.into(), name: name.into() }
    }
}

/// One change: what was and what is, one of which may be nothing.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub version: u64,
    pub key: Key,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
}

/// A version is so old that the changes since are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expired {
    /// The oldest version that changes are known since.
    pub oldest: u64,
}

#[derive(Debug, Default)]
struct Contents {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    changes: VecDeque<Change>,
    /// The version of the last change that was forgotten.
    forgotten: u64,
}

/// All objects.
#[derive(Debug)]
pub(super) struct Store {
    contents: Mutex<Contents>,
    changed: watch::Sender<u64>,
}

impl Default for Store {
    fn default() -> Self {
        Self { contents: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Store {
    /// The objects of a resource, of one namespace or all, by namespace and name; and the version that they stand for.
    pub(super) fn list(&self, resource: &'static str, namespace: Option<&str>) -> (Vec<Arc<Value>>, u64) {
        let contents = self.contents.lock();
        let from = Key::new(resource, namespace.unwrap_or_default(), "");
        let ours = |key: &Key| key.resource == resource && namespace.is_none_or(|name| key.namespace == name);
        let objects = contents.objects.range(from..).take_while(|(key, _)| ours(key));
        (objects.map(|(_, object)| Arc::clone(object)).collect(), contents.version)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.contents.lock().objects.get(key).cloned()
    }

    /// Keeps a new object; gives it back where there is one of that name.
    pub(super) fn insert(&self, key: Key, object: Value) -> Result<Arc<Value>, Value> {
        let mut contents = self.contents.lock();
        if contents.objects.contains_key(&key) {
            Err(object)
        } else {
            Ok(self.change(&mut contents, key, None, object))
        }
    }

    /// Changes an object. Where `edit` leaves it as it was, nothing has happened.
    pub(super) fn update(&self, key: &Key, edit: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
        let mut contents = self.contents.lock();
        let before = Arc::clone(contents.objects.get(key)?);
        let mut after = Value::clone(&before);
        edit(&mut after);
        if after == *before { Some(before) } else { Some(self.change(&mut contents, key.clone(), Some(before), after)) }
    }

    /// Removes an object if it still has this uid; what it was, with the version of its end.
    pub(super) fn remove(&self, key: &Key, uid: &str) -> Option<Arc<Value>> {
        let mut contents = self.contents.lock();
        if contents.objects.get(key)?["metadata"]["uid"] != uid {
            return None;
        }
        let mut last = Value::clone(&*contents.objects.remove(key)?);
        contents.version += 1;
        last["metadata"]["resourceVersion"] = contents.version.to_string().into();
        let last = Arc::new(last);
        let change =
            Change { version: contents.version, key: key.clone(), before: Some(Arc::clone(&last)), after: None };
        self.tell(&mut contents, change);
        Some(last)
    }

    /// The changes of a resource after a version, and the version that they lead to.
    pub(super) fn since(&self, resource: &str, version: u64) -> Result<(Vec<Change>, u64), Expired> {
        let contents = self.contents.lock();
        if version < contents.forgotten {
            return Err(Expired { oldest: contents.forgotten });
        }
        let new = contents.changes.iter().filter(|change| change.version > version && change.key.resource == resource);
        Ok((new.cloned().collect(), contents.version))
    }

    /// Is told the version of each change.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn change(&self, contents: &mut Contents, key: Key, before: Option<Arc<Value>>, mut after: Value) -> Arc<Value> {
        contents.version += 1;
        after["metadata"]["resourceVersion"] = contents.version.to_string().into();
        let after = Arc::new(after);
        contents.objects.insert(key.clone(), Arc::clone(&after));
        let change = Change { version: contents.version, key, before, after: Some(Arc::clone(&after)) };
        self.tell(contents, change);
        after
    }

    fn tell(&self, contents: &mut Contents, change: Change) {
        contents.changes.push_back(change);
        if contents.changes.len() > MAX_CHANGES
            && let Some(oldest) = contents.changes.pop_front()
        {
            contents.forgotten = oldest.version;
        }
        self.changed.send_replace(contents.version);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str) -> (Key, Value) {
        (Key::new("pods", "a", name), json!({ "metadata": { "name": name, "uid": name } }))
    }

    #[test]
    fn changes_have_rising_versions_and_nothing_is_no_change() {
        let store = Store::default();
        let (key, value) = object("one");
        let first = store.insert(key.clone(), value.clone()).unwrap();
        assert_eq!(first["metadata"]["resourceVersion"], "1");
        assert!(store.insert(key.clone(), value).is_err());
        assert_eq!(store.update(&key, |_| ()).unwrap(), first);
        let second = store.update(&key, |pod| pod["status"] = "x".into()).unwrap();
        assert_eq!(second["metadata"]["resourceVersion"], "2");
        assert!(store.remove(&key, "another").is_none());
        assert_eq!(store.remove(&key, "one").unwrap()["metadata"]["resourceVersion"], "3");
        assert_eq!(store.list("pods", None), (Vec::new(), 3));
        let (changes, version) = store.since("pods", 1).unwrap();
        assert_eq!((changes.len(), version), (2, 3));
        assert_eq!(store.since("services", 0).unwrap().0.len(), 0);
    }

    #[test]
    fn what_is_forgotten_is_said_to_be() {
        let store = Store::default();
        let (key, value) = object("one");
        store.insert(key.clone(), value).unwrap();
        for turn in 0..MAX_CHANGES {
            store.update(&key, |pod| pod["turn"] = turn.into());
        }
        assert_eq!(store.since("pods", 0).unwrap_err(), Expired { oldest: 1 });
        assert_eq!(store.since("pods", 1).unwrap().0.len(), MAX_CHANGES);
    }

    #[test]
    fn a_list_is_of_its_namespace_alone() {
        let store = Store::default();
        for (namespace, name) in [("a", "x"), ("ab", "y"), ("b", "z")] {
            store.insert(Key::new("pods", namespace, name), json!({ "metadata": {} })).unwrap();
        }
        store.insert(Key::new("services", "a", "x"), json!({ "metadata": {} })).unwrap();
        assert_eq!(store.list("pods", Some("a")).0.len(), 1);
        assert_eq!(store.list("pods", None).0.len(), 3);
        assert_eq!(store.list("pods", Some("c")).0.len(), 0);
    }
}
