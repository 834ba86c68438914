//! Kubeconfig contexts, what is known of their clusters, and where pods of ours may live.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::language::fault::{Fault, What};
use crate::short::short_names;
use crate::types::cluster::{Cluster, Context, Link};
use crate::types::proxy::{PodKey, PodSelector};

/// Kubeconfig contexts and what is known of them.
#[derive(Debug, Clone, Default)]
pub struct Clusters {
    all: Vec<Cluster>,
    /// Short names of those contexts whose own is long.
    short: BTreeMap<String, String>,
    /// The fault if the kubeconfig cannot be read.
    fault: Option<Fault>,
    /// Clusters in which pods of ours may live, from this run or an earlier one, with the end of the last TTL.
    pods_until: BTreeMap<String, DateTime<Utc>>,
    /// The result of the pod proxy when it was tried last, from this run or an earlier one, by cluster and namespace:
    /// `None` if it worked, else the reason.
    pod_proxies: BTreeMap<(String, String), Option<String>>,
}

impl Clusters {
    /// Returns the contexts, in the kubeconfig's order.
    pub fn all(&self) -> &[Cluster] {
        &self.all
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.all.iter().map(|cluster| cluster.name.clone()).collect()
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Cluster> {
        self.all.iter_mut().find(|cluster| cluster.name == name)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Cluster> {
        self.all.iter_mut()
    }

    /// Returns the name of the kubeconfig's current context.
    pub(crate) fn current(&self) -> Option<String> {
        self.all.iter().find(|cluster| cluster.current).map(|cluster| cluster.name.clone())
    }

    /// Returns the fault of a kubeconfig that cannot be read.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Returns the reason for which a context is unknown.
    pub(crate) fn unknown(&self, name: &str) -> Fault {
        self.fault.clone().unwrap_or_else(|| Fault::new(What::UnknownContext, name, ""))
    }

    /// Keeps the contexts of a kubeconfig that cannot be read any more.
    pub(crate) fn keep_despite(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Replaces the contexts by those of the kubeconfig. What is known of unchanged ones stays. Returns the names of
    /// those to be connected anew: they have changed, or have come back while forwards were waiting for them.
    pub(crate) fn replace(&mut self, contexts: Vec<Context>, has_forwards: impl Fn(&str) -> bool) -> Vec<String> {
        self.fault = None;
        let mut before = std::mem::take(&mut self.all);
        let mut moved = Vec::new();
        for context in contexts {
            let mut new = Cluster::from(context);
            if let Some(at) = before.iter().position(|old| old.name == new.name) {
                let old = before.swap_remove(at);
                if old.entries == new.entries {
                    new = Cluster { current: new.current, twice: new.twice, ..old };
                } else if old.link != Link::Idle {
                    moved.push(new.name.clone());
                }
            } else if has_forwards(&new.name) {
                moved.push(new.name.clone());
            }
            self.all.push(new);
        }
        self.short = short_names(&self.all.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>());
        moved
    }

    /// Returns the short name of a context whose own is long.
    pub(crate) fn short(&self, name: &str) -> Option<&str> {
        self.short.get(name).map(String::as_str)
    }

    /// Returns the clusters in which pods of ours may live, with the end of the last TTL.
    pub fn pods_until(&self) -> &BTreeMap<String, DateTime<Utc>> {
        &self.pods_until
    }

    /// Notes that pods may live in a cluster until a time. Returns the latest such time.
    pub(crate) fn extend_pods(&mut self, cluster: String, until: DateTime<Utc>) -> DateTime<Utc> {
        let known = self.pods_until.entry(cluster).or_insert(until);
        *known = until.max(*known);
        *known
    }

    /// Takes the results of the pod proxy in earlier runs, where there is none of this run.
    pub(crate) fn remember_pod_proxies(&mut self, results: BTreeMap<(String, String), Option<String>>) {
        for (at, result) in results {
            self.pod_proxies.entry(at).or_insert(result);
        }
    }

    /// Notes a result of the pod proxy: `None` if it works, else the reason. Returns whether it differs from the last.
    pub(crate) fn note_pod_proxy(&mut self, pod: &PodKey, result: Option<&str>) -> bool {
        let at = (pod.cluster.clone(), pod.namespace.clone());
        self.pod_proxies.insert(at, result.map(str::to_owned)).is_none_or(|before| before.as_deref() != result)
    }

    /// Returns whether the pod proxy worked in a namespace when it was tried last.
    pub(crate) fn pod_proxy_works(&self, selector: &PodSelector) -> bool {
        let at = (selector.cluster.clone(), selector.namespace.clone());
        self.pod_proxies.get(&at).is_some_and(Option::is_none)
    }

    /// Notes that no pod of ours lives in a cluster any more.
    pub(crate) fn forget_pods(&mut self, cluster: &str) {
        self.pods_until.remove(cluster);
    }
}

/// Access for tests that put a part together by hand.
#[cfg(any(test, feature = "fixtures"))]
impl Clusters {
    pub fn all_mut(&mut self) -> &mut Vec<Cluster> {
        &mut self.all
    }

    pub fn shorten(&mut self) {
        self.short = short_names(&self.all.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>());
    }

    pub fn fault_mut(&mut self) -> &mut Option<Fault> {
        &mut self.fault
    }
}
