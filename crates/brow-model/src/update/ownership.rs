//! Ownership of pods: ours are those that this installation created, by their uids. Labels and annotations, which
//! anybody can write, only select candidates.

use crate::language::effect::{Effect, StoreEffect};
use crate::state::Model;
use crate::types::ownership::Claim;
use crate::types::proxy::{PodKey, ProxyPod};

impl Model {
    /// Returns true if this installation made a pod. All others are foreign: shown, and nothing else without being
    /// asked.
    pub fn is_ours(&self, pod: &ProxyPod) -> bool {
        self.pods.ownership.has(&pod.uid)
    }

    /// Returns true while the ownership of pods in a cluster is being looked up.
    pub(crate) fn is_recognising(&self, cluster: &str) -> bool {
        let open = self.pods.ownership.pending();
        let kept = self.pods.all().values().filter(|pod| open.contains_key(&pod.uid));
        !open.is_empty() && open.values().chain(kept).any(|pod| pod.key.cluster == cluster)
    }

    /// Looks up a pod that says that it is ours and is not known: another instance may have made it, or we, and
    /// the answer was lost. Each is looked up once, since what is written down comes before the pod.
    pub(crate) fn recognise(&mut self, pod: &ProxyPod, out: &mut Vec<Effect>) {
        let ours = !pod.installation.is_empty() && pod.installation == self.installation.id();
        if !self.pods.ownership.see(pod, ours) {
            return;
        }
        let PodKey { namespace, name, .. } = pod.key.clone();
        out.push(Effect::Store(StoreEffect::Recognise(Claim {
            namespace,
            name,
            uid: pod.uid.clone(),
            nonce: pod.nonce.clone(),
        })));
    }

    /// A pod was looked up; one of which that failed is looked up again when it is next seen.
    pub(crate) fn on_recognised(&mut self, uid: &str, is_ours: Option<bool>, out: &mut Vec<Effect>) {
        let seen = self.pods.ownership.answer(uid, is_ours);
        if is_ours == Some(true) {
            let of_uid = self.pods.all().values().filter(|pod| pod.uid == uid).cloned();
            let not_kept = seen.filter(|pod| !self.pods.all().contains_key(&pod.key));
            for pod in of_uid.chain(not_kept).collect::<Vec<_>>() {
                self.on_applied(pod, out);
            }
        }
        for cluster in self.clusters.names() {
            self.route_forwards(&cluster, out);
        }
    }
}
