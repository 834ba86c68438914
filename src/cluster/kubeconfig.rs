//! Reads kubeconfig files. Each entry is parsed on its own: a broken entry affects only the contexts that need it.
//!
//! Any value may be a secret, so a fault names the position of an error and never quotes the value.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::store::limited;
use brow_model::fault::{Fault, What};

/// The lists of a kubeconfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Context,
    Cluster,
    User,
}

impl Section {
    /// The name of the list, and of what an entry of it has beside its name.
    fn keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Context => ("contexts", "context"),
            Self::Cluster => ("clusters", "cluster"),
            Self::User => ("users", "user"),
        }
    }
}

/// The merged contents of kubeconfig files.
#[derive(Default)]
pub(super) struct MergedKubeconfig {
    /// All entries that can be read. A context that cannot be read stands among them by its name only.
    pub kubeconfig: Kubeconfig,
    /// The errors of entries that cannot be read.
    broken: BTreeMap<(Section, String), String>,
    /// Entries that are there more than once, not all alike.
    twice: BTreeMap<(Section, String), Fault>,
    /// The file of each entry.
    from: BTreeMap<(Section, String), PathBuf>,
}

/// The paths of the files, whether they exist or not.
pub(super) fn paths(explicit: Option<&Path>) -> Vec<PathBuf> {
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let paths: Vec<PathBuf> = match explicit {
        Some(path) => vec![path.to_owned()],
        None => std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect(),
    };
    if paths.is_empty() {
        return std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect();
    }
    paths
}

/// Reads and merges the files: `explicit`, else every one of `KUBECONFIG`, else `~/.kube/config`. As for kubectl, files
/// that `KUBECONFIG` lists need not all be there, and the first one to name an entry counts.
///
/// # Errors
/// [`What::NoKubeconfig`] where there is none, [`What::FileUnreadable`] where one can't be read,
/// [`What::KubeconfigBroken`] where one is no kubeconfig at all.
pub(super) fn read(explicit: Option<&Path>) -> Result<MergedKubeconfig, Fault> {
    let mut paths = paths(explicit);
    if paths.is_empty() {
        return Err(Fault::new(What::NoKubeconfig, "~/.kube/config", ""));
    }
    let all = paths.clone();
    if paths.len() > 1 {
        paths.retain(|path| path.exists());
    }
    if paths.is_empty() {
        let all = all.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(Fault::new(What::NoKubeconfig, all, ""));
    }
    let mut found = MergedKubeconfig::default();
    for path in paths {
        found.add(&path)?;
    }
    Ok(found)
}

impl MergedKubeconfig {
    /// Returns the error of a context, its cluster or its user.
    pub(super) fn broken(&self, context: &str) -> Option<String> {
        self.parts(context).into_iter().find_map(|key| self.broken.get(&key).cloned())
    }

    /// Returns faults for entries of a context that are defined more than once.
    pub(super) fn twice(&self, context: &str) -> Vec<Fault> {
        self.parts(context).into_iter().filter_map(|key| self.twice.get(&key).cloned()).collect()
    }

    fn parts(&self, context: &str) -> Vec<(Section, String)> {
        let named = self.kubeconfig.contexts.iter().find(|named| named.name == context);
        let says = named.and_then(|named| named.context.as_ref());
        let mut parts = vec![(Section::Context, context.to_owned())];
        if let Some(says) = says {
            parts.push((Section::Cluster, says.cluster.clone()));
            parts.extend(says.user.clone().map(|user| (Section::User, user)));
        }
        parts
    }

    fn add(&mut self, path: &Path) -> Result<(), Fault> {
        let text = limited::read(path).and_then(decoded).map_err(|error| unreadable(path, &error))?;
        let broken = |words: String| Fault::new(What::KubeconfigBroken, path.display().to_string(), words);
        let docs: Vec<Kubeconfig> = if let Ok(docs) = serde_saphyr::from_multiple(&text) {
            docs
        } else {
            let docs: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| broken(place(&error)))?;
            let docs = docs.into_iter().map(|doc| self.by_entry(doc));
            docs.collect::<Result<_, String>>().map_err(broken)?
        };
        let dir = path.parent().unwrap_or(Path::new(""));
        for mut doc in docs {
            absolute(&mut doc, dir);
            doc.contexts = self.first(Section::Context, doc.contexts, |named| &named.name, path);
            doc.clusters = self.first(Section::Cluster, doc.clusters, |named| &named.name, path);
            doc.auth_infos = self.first(Section::User, doc.auth_infos, |named| &named.name, path);
            let merged = std::mem::take(&mut self.kubeconfig);
            self.kubeconfig = merged.merge(doc).map_err(|error| broken(error.to_string()))?;
        }
        Ok(())
    }

    /// Returns the entries whose names are new. Others are recorded as duplicates if they differ from the first of
    /// their name.
    fn first<T: Serialize>(&mut self, kind: Section, entries: Vec<T>, name: fn(&T) -> &String, path: &Path) -> Vec<T> {
        let mut new: Vec<T> = Vec::new();
        for entry in entries {
            let key = (kind, name(&entry).clone());
            let before = new.iter().find(|other| name(other) == &key.1).map(as_json);
            let before = before.or_else(|| self.known(kind, &key.1));
            match self.from.entry(key.clone()) {
                Entry::Vacant(free) => {
                    free.insert(path.to_owned());
                    new.push(entry);
                }
                Entry::Occupied(first) => {
                    let (_, inner) = kind.keys();
                    if before.as_ref() != Some(&as_json(&entry)) {
                        let places = format!("{}\n{}", first.get().display(), path.display());
                        let fault = Fault::new(What::EntryTwice, format!("{inner} “{}”", key.1), places);
                        self.twice.entry(key).or_insert(fault);
                    }
                }
            }
        }
        new
    }

    fn known(&self, kind: Section, name: &str) -> Option<Value> {
        let all = &self.kubeconfig;
        match kind {
            Section::Context => all.contexts.iter().find(|named| named.name == name).map(as_json),
            Section::Cluster => all.clusters.iter().find(|named| named.name == name).map(as_json),
            Section::User => all.auth_infos.iter().find(|named| named.name == name).map(as_json),
        }
    }

    /// Parses a file entry by entry.
    fn by_entry(&mut self, doc: Value) -> Result<Kubeconfig, String> {
        let mut doc = match doc {
            Value::Object(doc) => doc,
            Value::Null => Map::new(),
            _ => return Err("it is no list of keys and values".to_owned()),
        };
        let mut word = |key: &str| doc.remove(key).as_ref().and_then(Value::as_str).map(str::to_owned);
        let (kind, api_version, current) = (word("kind"), word("apiVersion"), word("current-context"));
        let mut contexts: Vec<NamedContext> = self.list(Section::Context, &mut doc)?;
        let broken: Vec<String> = (self.broken.keys().filter(|(kind, _)| *kind == Section::Context))
            .map(|(_, name)| name.clone())
            .filter(|name| !contexts.iter().any(|named| named.name == *name))
            .collect();
        contexts.extend(broken.into_iter().map(|name| NamedContext { name, ..NamedContext::default() }));
        Ok(Kubeconfig {
            kind,
            api_version,
            current_context: current,
            contexts,
            clusters: self.list::<NamedCluster>(Section::Cluster, &mut doc)?,
            auth_infos: self.list::<NamedAuthInfo>(Section::User, &mut doc)?,
            ..Kubeconfig::default()
        })
    }

    /// Returns the valid entries of a list, and records the errors of the others.
    fn list<T: DeserializeOwned>(&mut self, kind: Section, doc: &mut Map<String, Value>) -> Result<Vec<T>, String> {
        let (list, inner) = kind.keys();
        let entries = match doc.remove(list) {
            Some(Value::Array(entries)) => entries,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err(format!("its {list} are no list")),
        };
        let mut good = Vec::new();
        for mut entry in entries {
            lenient(kind, &mut entry);
            // Without a name nobody can mean it.
            let Some(name) = entry.get("name").and_then(Value::as_str).map(str::to_owned) else { continue };
            match T::deserialize(&entry) {
                Ok(read) => good.push(read),
                Err(_) if self.from.contains_key(&(kind, name.clone())) => {}
                Err(_) => {
                    let culprit = culprit::<T>(kind, &entry);
                    let words = if culprit == "cluster" && kind == Section::Context {
                        "it names no cluster".to_owned()
                    } else {
                        format!("its {inner} entry “{name}” cannot be read: {culprit}")
                    };
                    self.broken.entry((kind, name)).or_insert(words);
                }
            }
        }
        Ok(good)
    }
}

fn as_json<T: Serialize>(entry: &T) -> Value {
    serde_json::to_value(entry).unwrap_or_default()
}

/// Normalizes an entry as kubectl does: numbers become texts where texts are expected, and an empty `interactiveMode`
/// is removed.
fn lenient(kind: Section, entry: &mut Value) {
    let (_, inner) = kind.keys();
    let text = |value: &mut Value| {
        if value.is_number() {
            *value = Value::String(value.to_string());
        }
    };
    let Some(entry) = entry.as_object_mut() else { return };
    entry.entry("name").and_modify(text);
    let Some(Value::Object(says)) = entry.get_mut(inner) else { return };
    says.values_mut().for_each(text);
    if let Some(Value::Object(exec)) = says.get_mut("exec")
        && exec.get("interactiveMode").is_some_and(|mode| mode.is_null() || mode == "")
    {
        exec.remove("interactiveMode");
    }
}

/// Finds the key that makes an entry invalid.
fn culprit<T: DeserializeOwned>(kind: Section, entry: &Value) -> String {
    let (_, inner) = kind.keys();
    let reads = |says: Value| T::deserialize(json!({ "name": "", inner: says })).is_ok();
    let Some(Value::Object(says)) = entry.get(inner) else { return inner.to_owned() };
    // A context is nothing without its cluster.
    let base = if kind == Section::Context { json!({ "cluster": "" }) } else { json!({}) };
    let with = |key: &String, value: &Value| {
        let mut base = base.clone();
        base[key] = value.clone();
        base
    };
    let Some((key, value)) = says.iter().find(|(key, value)| !reads(with(key, value))) else {
        return if kind == Section::Context { "cluster".to_owned() } else { inner.to_owned() };
    };
    let within = value.as_object().into_iter().flatten();
    let deeper = within.clone().find(|(under, value)| !reads(with(key, &json!({ under.as_str(): value }))));
    match deeper {
        Some((under, _)) if key == "exec" => format!("{key}.{under}"),
        _ => key.clone(),
    }
}

/// Makes paths absolute: they are relative to the kubeconfig's directory. A command counts as a path only if it
/// contains a slash.
fn absolute(doc: &mut Kubeconfig, dir: &Path) {
    let from_dir = |path: &mut Option<String>| {
        if let Some(path) = path.as_mut().filter(|path| !path.is_empty()) {
            *path = dir.join(&*path).display().to_string();
        }
    };
    for cluster in doc.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        from_dir(&mut cluster.certificate_authority);
    }
    for user in doc.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        from_dir(&mut user.client_certificate);
        from_dir(&mut user.client_key);
        from_dir(&mut user.token_file);
        if let Some(exec) = user.exec.as_mut().filter(|exec| exec.command.as_ref().is_some_and(|c| c.contains('/'))) {
            from_dir(&mut exec.command);
        }
    }
}

/// Decodes text by its byte order mark, else as UTF-8.
fn decoded(bytes: Vec<u8>) -> io::Result<String> {
    let wide = |bytes: &[u8], of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    let text = match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    };
    text.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not UTF-8 or UTF-16 text"))
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let path = path.display().to_string();
    match error.kind() {
        ErrorKind::NotFound => Fault::new(What::NoKubeconfig, path, ""),
        ErrorKind::InvalidData => Fault::new(What::KubeconfigBroken, path, error.to_string()),
        _ => Fault::new(What::FileUnreadable, path, error.to_string()),
    }
}

/// The position at which a parser stopped. Its message is not used, since it may quote a secret.
pub(super) fn place(error: &serde_saphyr::Error) -> String {
    let place = error.without_snippet().location();
    place.map_or_else(|| "not YAML".to_owned(), |at| format!("not YAML: line {}, column {}", at.line(), at.column()))
}

#[cfg(test)]
mod tests;
