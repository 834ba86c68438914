//! Proxy pods, from requesting one to deleting it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::types::lifecycle::Lifecycle;
use crate::types::ownership::Ownership;
use crate::types::proxy::{Phase, PodKey, PodRequest, PodRequestId, ProxyPod};

/// Proxy pods, from requesting one to deleting it.
#[derive(Debug, Clone)]
pub struct Pods {
    /// Proxy pods of the connected clusters.
    all: BTreeMap<PodKey, ProxyPod>,
    pub(crate) ownership: Ownership,
    /// Requests without an answer.
    requests: BTreeMap<PodRequestId, PodRequest>,
    /// Pods that this run created, with their uids: they are known although their cluster may be disconnected.
    created: BTreeMap<PodKey, String>,
    /// Pods that this run created for agents, with the names of their programs.
    of_agents: BTreeMap<PodKey, String>,
    /// True while the program ends and deletes the pods of this run, also those that are still being created.
    ending: bool,
    /// Requests that timed out: pods may have been made of them, and each would be there until then.
    unsure: Vec<(DateTime<Utc>, PodRequest)>,
    /// Pods that are being deleted on our order, with the phase they had.
    deleting: BTreeMap<PodKey, Phase>,
    /// The current names of renamed targets, by cluster and the label that their pods still have.
    renamed: BTreeMap<(String, String), String>,
    /// In a box, since the model is moved about as a whole.
    pub(crate) lifecycle: Box<Lifecycle>,
    /// The time of the last cleanup of finished pods.
    cleaned: DateTime<Utc>,
}

impl Pods {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self {
            all: BTreeMap::new(),
            ownership: Ownership::default(),
            requests: BTreeMap::new(),
            created: BTreeMap::new(),
            of_agents: BTreeMap::new(),
            ending: false,
            unsure: Vec::new(),
            deleting: BTreeMap::new(),
            renamed: BTreeMap::new(),
            lifecycle: Box::default(),
            cleaned: now,
        }
    }

    /// Returns the proxy pods of the connected clusters.
    pub fn all(&self) -> &BTreeMap<PodKey, ProxyPod> {
        &self.all
    }

    /// Gives a pod the phase that our orders imply: one that is being deleted is terminating until it is over.
    pub(crate) fn apply_orders(&mut self, pod: &mut ProxyPod) {
        if let Some(before) = self.deleting.get_mut(&pod.key).filter(|_| !pod.phase.is_over()) {
            *before = std::mem::replace(&mut pod.phase, Phase::Terminating);
        }
    }

    /// Inserts a new or changed pod. Returns its former state, if it is the same pod.
    pub(crate) fn insert(&mut self, pod: ProxyPod) -> Option<ProxyPod> {
        let (key, uid) = (pod.key.clone(), pod.uid.clone());
        self.all.insert(key, pod).filter(|old| old.uid == uid)
    }

    /// Removes a pod that is gone, and all that is kept about it.
    pub(crate) fn remove(&mut self, key: &PodKey) -> Option<ProxyPod> {
        let pod = self.all.remove(key)?;
        self.created.remove(key);
        self.lifecycle.forget(key);
        Some(pod)
    }

    /// Removes the pods of a cluster that is disconnected, which live on.
    pub(crate) fn remove_cluster(&mut self, cluster: &str) {
        self.all.retain(|key, _| key.cluster != cluster);
    }

    /// Returns the requests without an answer.
    pub fn requests(&self) -> &BTreeMap<PodRequestId, PodRequest> {
        &self.requests
    }

    pub(crate) fn begin_request(&mut self, request: PodRequest) {
        self.requests.insert(request.id, request);
    }

    pub(crate) fn end_request(&mut self, id: PodRequestId) -> Option<PodRequest> {
        self.requests.remove(&id)
    }

    /// Notes that a request timed out: its pod may exist until then.
    pub(crate) fn note_unsure(&mut self, request: PodRequest, until: DateTime<Utc>, now: DateTime<Utc>) {
        self.unsure.retain(|(until, _)| *until > now);
        self.unsure.push((until, request));
    }

    /// Returns the requests whose pods exist or may: those without an answer, and those that timed out.
    pub(crate) fn possible(&self, now: DateTime<Utc>) -> impl Iterator<Item = &PodRequest> {
        let unsure = self.unsure.iter().filter(move |(until, _)| *until > now).map(|(_, request)| request);
        self.requests.values().chain(unsure)
    }

    /// Returns the pods that this run created, with their uids.
    pub fn created(&self) -> &BTreeMap<PodKey, String> {
        &self.created
    }

    /// Notes that this run created a pod.
    pub(crate) fn note_created(&mut self, pod: &ProxyPod, request: &PodRequest) {
        self.ownership.extend([pod.uid.clone()]);
        self.created.insert(pod.key.clone(), pod.uid.clone());
        self.of_agents.extend(request.agent.clone().map(|agent| (pod.key.clone(), agent)));
        if request.on_demand {
            self.lifecycle.add_on_demand(pod.key.clone(), request.selector());
        }
    }

    /// Returns the name of the agent's program that a pod was created for, also once the pod is gone.
    pub(crate) fn agent_of(&self, key: &PodKey) -> Option<&String> {
        self.of_agents.get(key)
    }

    /// Returns true if a pod is being deleted on our order.
    pub fn is_deleting(&self, key: &PodKey) -> bool {
        self.deleting.contains_key(key)
    }

    /// Marks a pod as terminating on our order. Returns its uid, unless it is terminating already.
    pub(crate) fn begin_deletion(&mut self, key: &PodKey) -> Option<String> {
        let pod = self.all.get_mut(key).filter(|pod| pod.phase != Phase::Terminating)?;
        self.deleting.insert(key.clone(), std::mem::replace(&mut pod.phase, Phase::Terminating));
        Some(pod.uid.clone())
    }

    /// Ends a deletion that the server confirmed. Without a watch the answer is all that is heard of it.
    pub(crate) fn end_deletion(&mut self, key: &PodKey) {
        self.deleting.remove(key);
        self.created.remove(key);
    }

    /// Ends a deletion that failed: the pod is as it was, and one on demand is still to go after its last use. Returns
    /// its phase.
    pub(crate) fn revert_deletion(&mut self, key: &PodKey) -> Option<Phase> {
        let before = self.deleting.remove(key);
        let pod = self.all.get_mut(key);
        if let Some(pod) = pod {
            if let (Phase::Terminating, Some(phase)) = (pod.phase, before) {
                pod.phase = phase;
            }
            if pod.on_demand && self.created.contains_key(key) {
                self.lifecycle.add_on_demand(key.clone(), pod.selector());
            }
        }
        before
    }

    /// Returns the current names of renamed targets, by cluster and the label that their pods still have.
    pub fn renamed(&self) -> &BTreeMap<(String, String), String> {
        &self.renamed
    }

    /// Adds the names of targets that earlier runs renamed.
    pub(crate) fn remember_renamed(&mut self, earlier: BTreeMap<(String, String), String>) {
        for (label, name) in earlier {
            self.renamed.entry(label).or_insert(name);
        }
    }

    /// Gives the requests of a renamed target its new name and label.
    pub(crate) fn rename(&mut self, name: &str, new: &str, label: &str) {
        for asked in self.requests.values_mut().filter(|asked| asked.target == name) {
            new.clone_into(&mut asked.target);
            label.clone_into(&mut asked.label);
        }
        for known in self.renamed.values_mut().filter(|known| *known == name) {
            new.clone_into(known);
        }
    }

    /// Counts the pods with a label in a cluster as those of a target that has another label now.
    pub(crate) fn relabel(&mut self, cluster: &str, old: &str, new: &str, target: &str) {
        self.lifecycle.relabel(cluster, old, new);
        self.renamed.insert((cluster.to_owned(), old.to_owned()), target.to_owned());
        let labelled = |pod: &&mut ProxyPod| pod.key.cluster == cluster && pod.target_label == old;
        for pod in self.all.values_mut().filter(labelled) {
            new.clone_into(&mut pod.target_label);
            if self.ownership.has(&pod.uid) {
                target.clone_into(&mut pod.target);
            }
        }
    }

    /// Returns true while the program ends and deletes the pods of this run.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// Ends all upkeep, since the program ends: from here on `delete` decides about the pods of this run, also about
    /// those that nobody waits for any more.
    pub(crate) fn end(&mut self, delete: bool) {
        self.ending = delete;
        self.requests.values_mut().for_each(|asked| asked.on_demand = false);
        *self.lifecycle = Lifecycle::default();
    }

    /// Returns true once an interval has passed since the last cleanup, and begins the next.
    pub(crate) fn begin_cleanup(&mut self, now: DateTime<Utc>, interval: TimeDelta) -> bool {
        let is_due = now - self.cleaned >= interval;
        if is_due {
            self.cleaned = now;
        }
        is_due
    }
}

/// Access for tests that put a part together by hand.
#[cfg(any(test, feature = "fixtures"))]
impl Pods {
    pub fn all_mut(&mut self) -> &mut BTreeMap<PodKey, ProxyPod> {
        &mut self.all
    }

    pub fn created_mut(&mut self) -> &mut BTreeMap<PodKey, String> {
        &mut self.created
    }

    pub fn mark_ours(&mut self, uids: impl IntoIterator<Item = String>) {
        self.ownership.extend(uids);
    }

    pub fn mark_cleaned(&mut self, now: DateTime<Utc>) {
        self.cleaned = now;
    }

    pub fn mark_deleting(&mut self, key: PodKey) {
        self.deleting.insert(key, Phase::Ready);
    }
}
