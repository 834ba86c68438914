//! Proxy pods: short-lived pods of ours, as the watch reports them.

use chrono::TimeDelta;

use crate::language::effect::{Effect, PodEffect};
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::proxy::{CleanupScope, Phase, PodKey, PodRequest, PodRequestId, PodSelector, ProxyPod};
use crate::types::settings::PodSettings;
use crate::types::target::Target;
use crate::types::ttl::Ttl;

#[derive(Debug, Default)]
pub(crate) struct PodOrder {
    /// Its TTL, unless it is that of the target.
    pub ttl: Option<Ttl>,
    pub on_demand: bool,
    /// The name of the agent's program that it is for.
    pub agent: Option<String>,
}

impl Model {
    /// Asks for a proxy pod for a target; `None` where that cannot even be asked, which is then told.
    pub(crate) fn request_pod(
        &mut self,
        target: &Target,
        order: PodOrder,
        out: &mut Vec<Effect>,
    ) -> Option<PodRequestId> {
        let PodOrder { ttl, on_demand, agent } = order;
        if !self.ensure_connected_for(target, out) {
            return None;
        }
        let ttl = ttl.or(target.ttl).unwrap_or(self.config.settings().ttl);
        if ttl > self.config.settings().max_ttl {
            let ceiling = self.config.settings().max_ttl.to_string();
            let fault = Fault::new(What::TtlTooLong, &target.name, ceiling);
            self.targets.refuse(&target.name, fault.clone());
            self.fail(fault);
            return None;
        }
        let request = PodRequest {
            id: PodRequestId(self.next_number()),
            target: target.name.clone(),
            cluster: target.cluster.clone(),
            namespace: self.namespace_of(target),
            label: target.label(&self.installation),
            address: target.address.clone(),
            ttl,
            settings: self.pod_settings_of(target),
            on_demand,
            agent,
            patience: self.forward_policy(&target.name).create,
        };
        let location = format!("{}/{}", request.cluster, request.namespace);
        self.note(Level::Info, Message::PodAsked, &target.name, location);
        self.targets.clear_refusal(&target.name);
        let id = request.id;
        self.pods.begin_request(request.clone());
        out.push(Effect::Pod(PodEffect::Create(Box::new(request))));
        Some(id)
    }

    pub(crate) fn pod_settings_of(&self, target: &Target) -> PodSettings {
        self.config.settings().pod_for(&target.cluster, &target.pod)
    }

    /// The namespace a target's pods live in.
    pub fn namespace_of(&self, target: &Target) -> String {
        let own = || self.cluster(&target.cluster).map(|cluster| cluster.namespace.clone());
        target.namespace.clone().or_else(own).unwrap_or_else(|| "default".to_owned())
    }

    /// The pod of ours that Kubernetes ends first, and how long it has left.
    pub fn ends_first(&self) -> Option<(&ProxyPod, TimeDelta)> {
        let ours = self.pods.all().values().filter(|pod| self.is_ours(pod) && self.phase_of(pod) <= Phase::Ready);
        let left = |pod: &ProxyPod| pod.left(self.time_at(&pod.key.cluster)).filter(|left| *left > TimeDelta::zero());
        ours.filter_map(|pod| Some((pod, left(pod)?))).min_by_key(|(_, left)| *left)
    }

    /// The phase to show: what we ordered and what the clock says come before what the watch has told so far.
    pub fn phase_of(&self, pod: &ProxyPod) -> Phase {
        if pod.phase.is_over() {
            pod.phase
        } else if self.pods.is_deleting(&pod.key) {
            Phase::Terminating
        } else if pod.is_over(self.time_at(&pod.key.cluster)) {
            Phase::Expired
        } else {
            pod.phase
        }
    }

    /// Returns the best ready pod of ours for a selector: the one with the most time left.
    pub(crate) fn ready_pod<'a>(&'a self, at: &'a PodSelector) -> Option<&'a ProxyPod> {
        let now = self.time_at(&at.cluster);
        let ready = |pod: &&ProxyPod| pod.phase == Phase::Ready && !pod.is_over(now) && self.may_use(pod);
        self.pods_at(at).filter(ready).max_by_key(|pod| (pod.deadline(), pod.created))
    }

    /// Returns true if a pod of ours for a selector is requested or starting.
    pub(crate) fn pod_coming(&self, at: &PodSelector) -> bool {
        self.pods_at(at).any(|pod| pod.phase.is_coming() && self.may_use(pod))
            || self.pods.requests().values().any(|asked| asked.selector() == *at)
    }

    /// Returns true if a pod can be used: it was not created on demand by another run, which will delete it.
    pub(crate) fn may_use(&self, pod: &ProxyPod) -> bool {
        !pod.on_demand || self.pods.created().contains_key(&pod.key)
    }

    pub fn pods_at<'a>(&'a self, at: &'a PodSelector) -> impl Iterator<Item = &'a ProxyPod> {
        self.pods.all().values().filter(move |pod| self.is_at(pod, at))
    }

    /// Returns true if a pod is ours and matches a selector.
    pub(crate) fn is_at(&self, pod: &ProxyPod, at: &PodSelector) -> bool {
        pod.target_label == at.label
            && pod.key.cluster == at.cluster
            && pod.key.namespace == at.namespace
            && self.is_ours(pod)
    }

    /// The cluster, namespace and label of a target's pods.
    pub fn selector_of(&self, target: &Target) -> PodSelector {
        let label = target.label(&self.installation);
        PodSelector { cluster: target.cluster.clone(), namespace: self.namespace_of(target), label }
    }

    /// Returns true for the duplicate of a pod that another context of the same cluster shows: the same uid, shown in
    /// the context of its target (else in the first context).
    pub fn is_duplicate(&self, pod: &ProxyPod) -> bool {
        let mut same = self.clusters.all().iter().filter(|at| at.name != pod.key.cluster).filter_map(|at| {
            let key = PodKey { cluster: at.name.clone(), ..pod.key.clone() };
            self.pods.all().get(&key).filter(|other| other.uid == pod.uid)
        });
        let rank = |pod: &ProxyPod| {
            let position = self.clusters.all().iter().position(|at| at.name == pod.key.cluster);
            (self.target_of_pod(pod).is_none(), position)
        };
        same.any(|other| rank(other) < rank(pod))
    }

    /// Deletes a pod, which shows as terminating from now on.
    pub(crate) fn kill(&mut self, key: &PodKey, out: &mut Vec<Effect>) -> bool {
        let is_over = self.pods.all().get(key).is_some_and(|pod| pod.is_over(self.time_at(&key.cluster)));
        let Some(uid) = self.pods.begin_deletion(key) else { return false };
        out.push(Effect::Pod(PodEffect::Delete { key: key.clone(), uid }));
        self.screen.unarranged = true;
        // The watch may not have told yet that it has expired.
        let expired = is_over.then(|| Fault::new(What::PodExpired, &key.name, ""));
        self.leave_pod(key, expired.as_ref(), out);
        true
    }

    /// Deletes finished and expired pods in all clusters; how many.
    pub(crate) fn clean(&mut self, whose: CleanupScope, out: &mut Vec<Effect>) -> usize {
        let clusters: Vec<String> = self.clusters.names();
        clusters.iter().map(|cluster| self.clean_in(cluster, whose, out)).sum()
    }

    /// Deletes finished and expired pods in one cluster; how many.
    pub(crate) fn clean_in(&mut self, cluster: &str, whose: CleanupScope, out: &mut Vec<Effect>) -> usize {
        let over = self.finished_pods(cluster, whose);
        for key in &over {
            self.kill(key, out);
        }
        if !over.is_empty() {
            self.note(Level::Info, Message::PodsCleaned, over.len().to_string(), cluster);
        }
        over.len()
    }

    /// Finished and expired pods in one cluster that are not being deleted yet.
    pub fn finished_pods(&self, cluster: &str, whose: CleanupScope) -> Vec<PodKey> {
        let now = self.time_at(cluster);
        self.pods
            .all()
            .values()
            .filter(|pod| pod.key.cluster == cluster && pod.phase != Phase::Terminating && pod.is_over(now))
            .filter(|pod| whose == CleanupScope::All || self.is_ours(pod))
            .filter(|pod| !self.is_duplicate(pod))
            .map(|pod| pod.key.clone())
            .collect()
    }
}
