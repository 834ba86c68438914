//! Attention: how urgently the row of a target, pod or forward needs to be seen.

use chrono::{DateTime, TimeDelta, Utc};

use crate::state::Model;
use crate::types::attention::Attention;
use crate::types::forward::{Forward, ForwardState};
use crate::types::proxy::{Phase, PodKey, PodSelector, ProxyPod};
use crate::types::target::Target;

impl Model {
    /// The attention that a target's row needs.
    pub fn attention_of(&self, target: &Target) -> Attention {
        if let Some(forward) = self.forward_of(&target.name) {
            return self.attention_of_forward(forward);
        }
        if self.targets.refusal(&target.name).is_some() {
            return Attention::Failed;
        }
        match self.pod_of(target) {
            Some(pod) => self.attention_of_pod(pod),
            None if self.pods.requests().values().any(|request| request.target == target.name) => Attention::Active,
            None => Attention::Idle,
        }
    }

    /// The attention that a forward's row needs.
    pub fn attention_of_forward(&self, forward: &Forward) -> Attention {
        match forward.state() {
            ForwardState::Failed | ForwardState::Broken => Attention::Failed,
            ForwardState::Reconnecting => Attention::Down,
            _ if forward.is_down() => Attention::Down,
            ForwardState::Resting => Attention::Listening,
            ForwardState::Opening | ForwardState::Waiting | ForwardState::Dialing | ForwardState::Live => {
                let ending = self.ending(forward).map(Attention::Ending);
                ending.unwrap_or(Attention::Active)
            }
        }
    }

    /// The attention that a pod's row needs.
    pub fn attention_of_pod(&self, pod: &ProxyPod) -> Attention {
        match self.phase_of(pod) {
            _ if !self.is_ours(pod) => Attention::Foreign,
            Phase::Failed => Attention::Failed,
            // It cannot start.
            phase if phase.is_coming() && pod.fault.is_some() => Attention::Down,
            Phase::Terminating | Phase::Expired | Phase::Succeeded => Attention::Idle,
            Phase::Creating | Phase::Pending | Phase::Pulling | Phase::Starting => Attention::Active,
            Phase::Ready => self.soon(pod).map_or(Attention::Active, Attention::Ending),
        }
    }

    /// The time at which a forward's pod ends, if that is soon and nothing renews it.
    pub fn ending(&self, forward: &Forward) -> Option<DateTime<Utc>> {
        let pod = self.pods.all().get(&forward.via()?.pod).filter(|_| !self.is_renewed(forward))?;
        self.soon(pod)
    }

    /// The time left of the ready pod that a target's forward goes through, else of the target's own pod.
    pub fn time_left(&self, target: &Target) -> Option<TimeDelta> {
        let through =
            self.forward_of(&target.name).and_then(Forward::via).and_then(|via| self.pods.all().get(&via.pod));
        let pod = through.or_else(|| self.pod_of(target)).filter(|pod| self.phase_of(pod) == Phase::Ready)?;
        pod.left(self.time_at(&pod.key.cluster))
    }

    fn soon(&self, pod: &ProxyPod) -> Option<DateTime<Utc>> {
        let now = self.time_at(&pod.key.cluster);
        pod.deadline().filter(|deadline| *deadline - now <= Attention::SOON)
    }

    /// The forward to a target: the one that needs the most attention, else one that is live before others.
    pub fn forward_of<'a>(&'a self, target: &'a str) -> Option<&'a Forward> {
        self.forwards_of(target)
            .min_by_key(|forward| (self.attention_of_forward(forward), forward.state() != ForwardState::Live))
    }

    /// Our own pod for a target that is the most use: ready before coming, and neither ended nor ending. Its pods lie
    /// side by side in the map because their names begin with the target's label, or with one that it had under another
    /// name: no need to go through all of them.
    pub fn pod_of<'a>(&'a self, target: &Target) -> Option<&'a ProxyPod> {
        let PodSelector { cluster, namespace, label } = self.selector_of(target);
        let pods = |label: &str| {
            let first =
                PodKey { cluster: cluster.clone(), namespace: namespace.clone(), name: format!("brow-{label}-") };
            let from = first.clone();
            let near = move |key: &PodKey| {
                key.cluster == first.cluster && key.namespace == first.namespace && key.name.starts_with(&first.name)
            };
            self.pods.all().range(from..).take_while(move |(key, _)| near(key)).map(|(_, pod)| pod)
        };
        let earlier = self.pods.renamed().iter().filter(|((at, _), name)| *at == cluster && **name == target.name);
        let labels = std::iter::once(&label).chain(earlier.map(|((_, label), _)| label));
        labels
            .flat_map(|label| pods(label))
            .filter(|pod| pod.target_label == label && self.is_ours(pod) && pod.phase <= Phase::Ready)
            .max_by_key(|pod| pod.phase)
    }
}
