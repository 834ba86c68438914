//! An index of what a cluster has: kind, namespace, name and labels of each object, and nothing else of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::language::fault::{Fault, Remedy};
use crate::sanitize::shell_word;

/// A kind that a cluster serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServedKind {
    pub group: String,
    pub version: String,
    /// As in manifests: `Deployment`.
    pub kind: String,
    /// As in paths: `deployments`.
    pub plural: String,
    /// The short names that kubectl takes.
    pub shorts: Vec<String>,
    /// False for a kind whose objects belong to no namespace.
    pub namespaced: bool,
}

/// The groups that Kubernetes itself brings; all others are custom.
const BUILT_IN_GROUPS: [&str; 24] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

impl ServedKind {
    /// Returns the kind of Services, which every cluster serves.
    pub fn service() -> Self {
        Self {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "Service".to_owned(),
            plural: "services".to_owned(),
            shorts: Vec::new(),
            namespaced: true,
        }
    }

    /// Returns true for a kind that something else than Kubernetes brings.
    pub fn is_custom(&self) -> bool {
        !BUILT_IN_GROUPS.contains(&self.group.as_str())
    }

    /// Returns the resource as rights and kubectl name it: `deployments.apps`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Returns the shortest name that kubectl takes for it.
    pub fn short(&self) -> String {
        self.shorts.first().cloned().unwrap_or_else(|| self.kind.to_lowercase())
    }

    /// Returns true if `word`, in lower case, is one of its names or begins its kind or resource.
    pub fn goes_by(&self, word: &str) -> bool {
        self.kind.to_lowercase().starts_with(word)
            || self.resource().starts_with(word)
            || self.shorts.iter().any(|short| short == word)
    }
}

/// Names one object of any kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The context.
    pub cluster: String,
    pub kind: Arc<ServedKind>,
    /// Empty if the kind has none.
    pub namespace: String,
    pub name: String,
}

impl ObjectRef {
    /// Returns the kubectl command that prints it, for a shell of POSIX.
    pub fn kubectl(&self) -> String {
        let mut words = vec!["kubectl".to_owned(), "--context".to_owned(), shell_word(&self.cluster)];
        if !self.namespace.is_empty() {
            words.extend(["-n".to_owned(), shell_word(&self.namespace)]);
        }
        words.extend(["get".to_owned(), shell_word(&format!("{}/{}", self.kind.resource(), self.name))]);
        words.extend(["-o".to_owned(), "yaml".to_owned()]);
        words.join(" ")
    }
}

/// An object as it comes to the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Shared by all objects of a namespace.
    pub namespace: Arc<str>,
    pub name: Box<str>,
    pub entry: Entry,
}

/// The rest of what the index keeps of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `key=value`, one on each line.
    pub labels: Box<str>,
    /// Seconds since the epoch.
    created: i64,
}

impl Entry {
    /// Makes an entry of an object's labels and the time of its creation, in seconds since the epoch.
    pub fn new(labels: &BTreeMap<String, String>, created: i64) -> Self {
        let lines: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Self { labels: lines.join("\n").into(), created }
    }

    /// Returns the time at which the object was created.
    pub fn created(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.created, 0)
    }

    /// Returns true if it has a label, of that value where one is given.
    pub fn has_label(&self, key: &str, value: Option<&str>) -> bool {
        let pairs = self.labels.lines().filter_map(|line| line.split_once('='));
        pairs.into_iter().any(|(own, is)| own == key && value.is_none_or(|value| value == is))
    }
}

/// All objects of one kind.
#[derive(Debug, Clone)]
pub struct KindIndex {
    pub kind: Arc<ServedKind>,
    /// By namespace and name.
    pub rows: BTreeMap<(Arc<str>, Box<str>), Entry>,
    /// Lists that are still awaited.
    pub(crate) awaited: usize,
    /// The reason why not all is seen.
    pub fault: Option<Fault>,
}

#[derive(Debug, Clone, Default)]
pub struct ClusterIndex {
    /// By the numbers that events give them; empty until they are known.
    pub kinds: Vec<KindIndex>,
    /// The reason why the kinds are not known.
    pub fault: Option<Fault>,
}

impl KindIndex {
    /// Returns an index that awaits one list.
    pub(crate) fn new(kind: Arc<ServedKind>) -> Self {
        Self { kind, rows: BTreeMap::new(), awaited: 1, fault: None }
    }
}

impl ClusterIndex {
    /// Returns the number of kinds that were listed or refused, and of all.
    pub fn progress(&self) -> (usize, usize) {
        (self.kinds.iter().filter(|at| at.awaited == 0).count(), self.kinds.len())
    }

    /// Returns true if every kind was listed or refused.
    pub fn is_done(&self) -> bool {
        !self.kinds.is_empty() && self.kinds.iter().all(|at| at.awaited == 0)
    }

    /// Returns the reason why not all is seen.
    pub fn reason(&self) -> Option<Fault> {
        self.fault.clone().or_else(|| self.missing())
    }

    /// Returns one fault for all kinds that may not be listed, which asks for all these rights.
    pub fn missing(&self) -> Option<Fault> {
        let faults = || self.kinds.iter().filter_map(|at| at.fault.as_ref());
        let is_dark = |fault: &&Fault| matches!(&fault.remedy, Remedy::Grant(grant) if grant.namespace.is_some());
        Fault::merged(faults().filter(is_dark)).or_else(|| Fault::merged(faults()))
    }

    /// Returns the number of objects.
    pub fn count(&self) -> usize {
        self.kinds.iter().map(|at| at.rows.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(group: &str, kind: &str, plural: &str, shorts: &[&str]) -> ServedKind {
        let [group, kind, plural] = [group, kind, plural].map(str::to_owned);
        let shorts = shorts.iter().map(|short| (*short).to_owned()).collect();
        ServedKind { group, version: "v1".to_owned(), kind, plural, shorts, namespaced: true }
    }

    #[test]
    fn a_kind_goes_by_the_names_that_kubectl_takes() {
        let deployment = kind("apps", "Deployment", "deployments", &["deploy"]);
        for (word, is) in
            [("deploy", true), ("dep", true), ("deployments.apps", true), ("deployments", true), ("pod", false)]
        {
            assert_eq!(deployment.goes_by(word), is, "{word}");
        }
        assert!(kind("", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"]).goes_by("pvc"));
        assert_eq!((deployment.resource().as_str(), deployment.short().as_str()), ("deployments.apps", "deploy"));
    }

    #[test]
    fn the_kubectl_command_quotes_what_a_shell_would_read() {
        let at = |cluster: &str| ObjectRef {
            cluster: cluster.to_owned(),
            kind: Arc::new(kind("apps", "Deployment", "deployments", &[])),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        };
        assert_eq!(at("dev").kubectl(), "kubectl --context dev -n shop get deployments.apps/web -o yaml");
        assert!(at("a b; rm -rf '$HOME'").kubectl().contains(r"--context 'a b; rm -rf '\''$HOME'\''' -n"));
        let node = ObjectRef { namespace: String::new(), kind: Arc::new(kind("", "Node", "nodes", &[])), ..at("dev") };
        assert_eq!(node.kubectl(), "kubectl --context dev get nodes/web -o yaml");
    }

    #[test]
    fn labels_are_found_whole() {
        let labels = [("app", "web"), ("app.kubernetes.io/name", "shop")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let entry = Entry::new(&labels.into(), 0);
        assert!(entry.has_label("app", None) && entry.has_label("app", Some("web")));
        assert!(!entry.has_label("app", Some("we")) && !entry.has_label("ap", None) && !entry.has_label("web", None));
        assert_eq!(entry.created(), Some(DateTime::UNIX_EPOCH));
    }
}
