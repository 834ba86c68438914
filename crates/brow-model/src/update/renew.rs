//! Renewal: Kubernetes cannot extend a running pod's deadline, so another pod replaces it. New connections go there;
//! the old pod is deleted once it has drained.

use chrono::TimeDelta;

use crate::language::effect::Effect;
use crate::language::fault::Fault;
use crate::language::log::{Level, Message};
use crate::state::Model;
use crate::types::forward::{Forward, ForwardId};
use crate::types::lifecycle::Renewal;
use crate::types::proxy::{Phase, PodKey, PodRequestId, ProxyPod};
use crate::types::route::Route;
use crate::types::ttl::Ttl;
use crate::update::demand::span;
use crate::update::proxy::PodOrder;

/// The time between a failed renewal and the next automatic one.
const AGAIN: TimeDelta = TimeDelta::seconds(60);

/// The time beyond its creation that a pod which takes over should have.
const SPARE: TimeDelta = TimeDelta::seconds(10);

impl Model {
    /// Renews pods, on a person's order.
    pub(crate) fn renew_pods(&mut self, keys: &[PodKey], out: &mut Vec<Effect>) {
        for key in keys {
            if !self.renew(key, None, out) {
                self.note(Level::Info, Message::NotRenewable, &key.name, "");
            }
        }
        if keys.is_empty() {
            self.nothing_selected();
        }
    }

    /// Requests a replacement of a pod, with its TTL or another. Returns false if there can be none.
    pub(crate) fn renew(&mut self, key: &PodKey, ttl: Option<Ttl>, out: &mut Vec<Effect>) -> bool {
        let ready = |pod: &&ProxyPod| self.is_ours(pod) && self.phase_of(pod) == Phase::Ready;
        let Some(pod) = self.pods.all().get(key).filter(ready) else { return false };
        let Some(target) = self.target_of_pod(pod).cloned() else { return false };
        if self.pods.lifecycle.renewal(key).is_some_and(Renewal::is_under_way) {
            return true;
        }
        let ttl = ttl.or(pod.ttl).map(|ttl| ttl.min(self.config.settings().max_ttl));
        let agent = self.pods.agent_of(key).cloned();
        let order = PodOrder { ttl, on_demand: self.pods.lifecycle.is_on_demand(key), agent };
        let request = self.request_pod(&target, order, out);
        if request.is_some() {
            self.note(Level::Info, Message::RenewalAsked, &key.name, "");
        }
        self.pods.lifecycle.begin_renewal(key.clone(), self.now, request);
        true
    }

    /// A request was answered that may have been for a pod that takes over.
    pub(crate) fn on_renewal(&mut self, request: PodRequestId, result: Result<&PodKey, &Fault>, out: &mut Vec<Effect>) {
        let old = self.pods.lifecycle.answer_renewal(request, result.ok());
        let (Some(old), Ok(new)) = (old, result) else { return };
        let first = self.pods.lifecycle.first_created(&old);
        if let Some(first) = first.or_else(|| self.pods.all().get(&old).map(|pod| pod.created)) {
            self.pods.lifecycle.set_first_created(new, first);
        }
        // The watch may have been faster.
        if self.pods.all().get(new).is_some_and(|pod| pod.phase == Phase::Ready) {
            self.hand_over(new, out);
        }
    }

    /// Sends new connections through a ready pod that replaces another.
    pub(crate) fn hand_over(&mut self, new: &PodKey, out: &mut Vec<Effect>) {
        let Some(old) = self.pods.lifecycle.replaced_by(new).next().cloned() else { return };
        let Some(via) = self.pods.all().get(new).map(ProxyPod::via) else { return };
        self.pods.lifecycle.end_renewal(&old);
        for id in self.forwards.ids(|forward| forward.is_through(&old)) {
            self.set_route(id, Route::through(via.clone()), None, out);
        }
        self.note(Level::Success, Message::Renewed, &old.name, &new.name);
        self.drain_pod(&old, out);
    }

    /// Renews pods whose TTL is nearly up, if their forwards are in use and configured so.
    pub(crate) fn check_renewals(&mut self, out: &mut Vec<Effect>) {
        let due: Vec<(PodKey, Ttl)> = self.forwards.all().keys().filter_map(|id| self.due(*id)).collect();
        for (key, ttl) in due {
            self.renew(&key, Some(ttl), out);
        }
    }

    /// Returns true if the pod that a forward goes through is replaced before its end, as things stand.
    pub fn is_renewed(&self, forward: &Forward) -> bool {
        let pod = forward.via().and_then(|via| self.pods.all().get(&via.pod)).filter(|pod| self.is_ours(pod));
        let rest = pod.and_then(|pod| Some((self.renewable(forward, pod)?, pod.left(self.time_at(&pod.key.cluster))?)));
        rest.is_some_and(|(rest, left)| rest > left)
    }

    /// The time until which a forward's pod may be renewed, from now on; `None` where it is not: by the config, or
    /// since nobody has used the forward for its idle timeout.
    fn renewable(&self, forward: &Forward, pod: &ProxyPod) -> Option<TimeDelta> {
        let policy = self.forward_policy(&forward.spec.target);
        let used = forward.used.is_some_and(|used| self.now - used < span(policy.idle));
        if !policy.auto_renew || !(used || forward.traffic.counts.open > 0) {
            return None;
        }
        let first = self.pods.lifecycle.first_created(&pod.key).unwrap_or(pod.created);
        let rest = first + span(policy.max_lifetime) - self.time_at(&pod.key.cluster);
        // An agent's pod does not outlive what it was given.
        Some(forward.agent.as_ref().map_or(rest, |mark| rest.min(mark.until - self.now)))
    }

    /// The pod of a forward that is to be renewed now, and how long the one that takes over may live.
    fn due(&self, id: ForwardId) -> Option<(PodKey, Ttl)> {
        let forward = self.forwards.all().get(&id)?;
        let pod = self.pods.all().get(&forward.via()?.pod).filter(|pod| self.is_ours(pod))?;
        let now = self.time_at(&pod.key.cluster);
        let (ttl, left) = (pod.ttl?, pod.deadline()? - now);
        let whole = span(ttl.duration());
        if left > whole / 2 {
            return None;
        }
        let policy = self.forward_policy(&forward.spec.target);
        let lead = (whole / 5).max(span(policy.create) + SPARE).min(whole / 2);
        // Not for less than there is anyway.
        let rest = self.renewable(forward, pod).filter(|rest| left <= lead && *rest > left)?;
        let tried = self.pods.lifecycle.renewal(&pod.key);
        if tried.is_some_and(|tried| tried.is_under_way() || self.now - tried.asked < AGAIN) {
            return None;
        }
        let ttl = Ttl::from_secs(u64::try_from(rest.num_seconds()).ok()?).map_or(ttl, |rest| rest.min(ttl));
        Some((pod.key.clone(), ttl))
    }
}
