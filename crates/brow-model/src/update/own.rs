//! Which pods are ours: those that this installation made, by their uids. Labels and annotations, which anybody can
//! write, only say which pods are worth a look.

use crate::language::effect::Effect;
use crate::state::Model;
use crate::types::own::Claim;
use crate::types::proxy::{PodKey, ProxyPod};

impl Model {
    /// Whether this installation made a pod. All others are foreign: shown, and nothing else without being asked.
    pub fn is_ours(&self, pod: &ProxyPod) -> bool {
        self.pods.own.has(&pod.uid)
    }

    /// Whether whose pods these are is still being looked up in a cluster.
    pub(crate) fn is_recognising(&self, cluster: &str) -> bool {
        !self.pods.own.open.is_empty()
            && self.pods.all.values().any(|pod| pod.key.cluster == cluster && self.pods.own.open.contains(&pod.uid))
    }

    /// Has a pod looked up that says that it is ours and is not known: another instance may have made it, or we, and
    /// the answer was lost. Each is looked up once, since what is written down comes before the pod.
    pub(crate) fn recognise(&mut self, pod: &ProxyPod, out: &mut Vec<Effect>) {
        let ours = !pod.installation.is_empty() && pod.installation == self.installation.id();
        if !ours || self.pods.own.has(&pod.uid) || !self.pods.own.asked.insert(pod.uid.clone()) {
            return;
        }
        self.pods.own.open.insert(pod.uid.clone());
        let PodKey { namespace, name, .. } = pod.key.clone();
        out.push(Effect::Recognise(Claim { namespace, name, uid: pod.uid.clone(), nonce: pod.nonce.clone() }));
    }

    /// A pod was looked up.
    pub(crate) fn on_recognised(&mut self, uid: &str, is_ours: bool, out: &mut Vec<Effect>) {
        self.pods.own.open.remove(uid);
        if is_ours {
            self.pods.own.extend([uid.to_owned()]);
            let now: Vec<ProxyPod> = self.pods.all.values().filter(|pod| pod.uid == uid).cloned().collect();
            for pod in now {
                self.on_applied(pod, out);
            }
        }
        let clusters: Vec<String> = self.clusters.all.iter().map(|cluster| cluster.name.clone()).collect();
        for cluster in clusters {
            self.settle_forwards(&cluster, out);
        }
    }

    /// A pod is gone; its uid will not come again.
    pub(crate) fn forget_own(&mut self, uid: &str, out: &mut Vec<Effect>) {
        self.pods.own.asked.remove(uid);
        self.pods.own.open.remove(uid);
        if self.pods.own.has(uid) {
            out.push(Effect::ForgetPod(uid.to_owned()));
        }
    }
}
