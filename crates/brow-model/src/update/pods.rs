//! Events of proxy pods.

use chrono::TimeDelta;
use std::collections::BTreeSet;

use crate::language::effect::{Effect, PodEffect, StoreEffect};
use crate::language::event::PodEvent;
use crate::language::fault::{Fault, What};
use crate::language::log::{Level, Message};
use crate::screen::dialog::Dialog;
use crate::state::Model;
use crate::types::cluster::Link;
use crate::types::forward::Forward;
use crate::types::proxy::{MAX_PODS, Phase, PodKey, PodRequestId, ProxyPod};

/// Lines of a pod's log kept in its dialog.
pub(crate) const LOG_LINES: usize = 5_000;

/// The longest time that a list of pods may be on its way.
const LIST_TAKES: TimeDelta = TimeDelta::seconds(10);

impl Model {
    pub(crate) fn on_pod(&mut self, event: PodEvent, out: &mut Vec<Effect>) {
        self.screen.unarranged = true;
        self.on_page_log(&event);
        match event {
            PodEvent::Created { request, result } => self.on_created(request, result, out),
            PodEvent::Deleted { key, result } => {
                let fault = result.as_ref().err().map(|fault| fault.what);
                if let Err(fault) = result {
                    let before = self.pods.revert_deletion(&key);
                    self.fail(fault);
                    // Forwards had left it; it is as good as before.
                    if before == Some(Phase::Ready) {
                        self.on_pod_ready(&key, out);
                    }
                } else {
                    self.note(Level::Info, Message::PodKilled, &key.name, &key.cluster);
                    self.pods.end_deletion(&key);
                }
                let agent = self.pods.agent_of(&key).cloned();
                self.audit_pod(("delete-pod", &key.name), (&key.cluster, &key.namespace), agent, fault, out);
            }
            PodEvent::Described { key, result } => {
                for dialog in &mut self.screen.dialogs {
                    if let Dialog::Describe { key: shown, text, .. } = dialog
                        && *shown == key
                    {
                        *text = Some(result.clone());
                    }
                }
            }
            PodEvent::Logged { key, epoch, lines: new } => {
                for dialog in &mut self.screen.dialogs {
                    if let Dialog::PodLog { key: shown, epoch: at, lines, back, ended } = dialog
                        && (&*shown, &*at) == (&key, &epoch)
                    {
                        // Whatever had cut it off is over.
                        *ended = None;
                        *back = if *back > 0 { *back + new.len() } else { 0 };
                        lines.extend(new.iter().cloned());
                        lines.drain(..lines.len().saturating_sub(LOG_LINES));
                        *back = (*back).min(lines.len().saturating_sub(1));
                    }
                }
            }
            PodEvent::LogEnded { key, epoch, fault } => {
                for dialog in &mut self.screen.dialogs {
                    if let Dialog::PodLog { key: shown, epoch: at, ended, .. } = dialog
                        && (&*shown, &*at) == (&key, &epoch)
                    {
                        *ended = Some(fault.clone());
                    }
                }
            }
        }
    }

    fn on_created(&mut self, id: PodRequestId, result: Result<Box<ProxyPod>, Fault>, out: &mut Vec<Effect>) {
        let Some(request) = self.pods.end_request(id) else { return };
        let location = (request.cluster.as_str(), request.namespace.as_str());
        match result {
            Ok(pod) => {
                self.pods.note_created(&pod, &request);
                self.record_pods_until(&request.cluster, request.ttl, out);
                self.audit_pod(("create-pod", &pod.key.name), location, request.agent.clone(), None, out);
                self.note(Level::Info, Message::PodCreated, &pod.key.name, &pod.key.cluster);
                if let Some(limit) = pod.cpu_limit.as_deref().filter(|_| request.settings.resources.cpu_limit.is_none())
                {
                    self.note(Level::Warning, Message::CpuLimited, &pod.key.name, limit);
                }
                if self.pods.is_ending() {
                    return out.push(Effect::Pod(PodEffect::Delete { key: pod.key.clone(), uid: pod.uid }));
                }
                // The watch may have been faster, and knows more by then.
                let watched = self.cluster(&pod.key.cluster).is_some_and(|at| at.link != Link::Idle);
                let key = pod.key.clone();
                if watched && !self.pods.all().contains_key(&pod.key) {
                    self.on_applied(*pod, out);
                }
                // Ready already, it was not known for ours.
                if self.pods.all().get(&key).is_some_and(|pod| pod.on_demand && pod.phase == Phase::Ready) {
                    self.on_pod_ready(&key, out);
                }
                self.on_renewal(id, Ok(&key), out);
                // Perhaps nobody waits for it any more.
                self.drain_idle_pods(&request.selector(), out);
            }
            Err(fault) => {
                let agent = request.agent.clone();
                self.audit_pod(("create-pod", &request.target), location, agent, Some(fault.what), out);
                if fault.what == What::TimedOut {
                    // It may have been made all the same.
                    self.record_pods_until(&request.cluster, request.ttl, out);
                    let until = self.now + TimeDelta::seconds(request.ttl.secs().into());
                    self.pods.note_unsure(request.clone(), until, self.now);
                }
                self.on_renewal(id, Err(&fault), out);
                out.extend(self.fail_waiting(&request, &fault));
                self.targets.refuse(&request.target, fault.clone());
                self.fail(fault);
            }
        }
    }

    /// Takes a full list of the pods in one namespace, or in all.
    pub(crate) fn on_listed(
        &mut self,
        cluster: &str,
        namespace: Option<&str>,
        pods: Vec<ProxyPod>,
        out: &mut Vec<Effect>,
    ) {
        // Of a list that was cut off nothing is known to be missing.
        let whole = pods.len() <= MAX_PODS;
        let listed: BTreeSet<(&PodKey, &str)> = pods.iter().map(|pod| (&pod.key, pod.uid.as_str())).collect();
        let gone: Vec<(PodKey, String)> = self
            .pods
            .all()
            .values()
            .filter(|pod| whole && pod.key.cluster == cluster && namespace.is_none_or(|name| pod.key.namespace == name))
            .filter(|pod| !listed.contains(&(&pod.key, pod.uid.as_str())))
            // A list may be older than the answer to what was ordered after it.
            .filter(|pod| {
                !self.pods.created().contains_key(&pod.key) || self.time_at(cluster) - pod.created > LIST_TAKES
            })
            .map(|pod| (pod.key.clone(), pod.uid.clone()))
            .collect();
        for (key, uid) in gone {
            self.on_gone(&key, &uid, out);
        }
        for pod in pods {
            self.on_applied(pod, out);
        }
    }

    /// Returns true if changes of a pod are logged: it is ours. A subcommand logs only those that it made or goes
    /// through, not what other runs do.
    fn is_told_of(&self, pod: &ProxyPod) -> bool {
        let through = |forward: &Forward| forward.is_through(&pod.key);
        self.is_ours(pod)
            && !self.is_duplicate(pod)
            && (!self.unattended()
                || self.pods.created().contains_key(&pod.key)
                || self.forwards.all().values().any(through))
    }

    /// Returns true if a fault of a pod is logged: as its changes, or because a forward waits for it.
    fn is_missed(&self, pod: &ProxyPod) -> bool {
        let waits = |forward: &Forward| forward.via().is_none() && self.is_at(pod, &forward.spec.selector);
        self.is_told_of(pod) || (!self.is_duplicate(pod) && self.forwards.all().values().any(waits))
    }

    /// Returns true if a pod is ours or known, or there is room for it. Logs once that there is none.
    fn has_room_for(&mut self, pod: &ProxyPod) -> bool {
        let cluster = pod.key.cluster.as_str();
        let few = self.pods.all().len() < MAX_PODS || self.pods.all().contains_key(&pod.key);
        if few || self.is_ours(pod) || self.pods.all().keys().filter(|at| at.cluster == cluster).count() < MAX_PODS {
            return true;
        }
        self.report_too_many(cluster, MAX_PODS);
        false
    }

    /// Tells that a cluster has more than is kept, unless that was the last thing told of it.
    pub(crate) fn report_too_many(&mut self, cluster: &str, kept: usize) {
        let what = Message::Failed(Box::new(Fault::new(What::TooMany, cluster, kept.to_string())));
        if !self.screen.log.entries.iter().any(|entry| entry.message == what) {
            self.note(Level::Warning, what, cluster, "");
        }
    }

    /// Takes a new or changed pod.
    pub(crate) fn on_applied(&mut self, mut pod: ProxyPod, out: &mut Vec<Effect>) {
        self.pods.apply_orders(&mut pod);
        self.read_label(&mut pod);
        self.recognise(&pod, out);
        if !self.has_room_for(&pod) {
            return;
        }
        let key = pod.key.clone();
        let (phase, mine, missed) = (pod.phase, self.is_told_of(&pod), self.is_missed(&pod));
        let fault = pod.fault.clone();
        let before = self.pods.insert(pod);
        let was = before.as_ref().map(|old| old.phase);
        let faulted = before.as_ref().and_then(|old| old.fault.as_ref()).map(|old| old.what);
        if mine && was.is_some() && was != Some(phase) {
            match phase {
                Phase::Ready => self.note(Level::Success, Message::PodReady, &key.name, &key.cluster),
                Phase::Expired => self.note(Level::Warning, Message::PodExpired, &key.name, &key.cluster),
                // What is over is cleaned away by whoever comes first.
                Phase::Terminating if !self.pods.is_deleting(&key) && !was.is_some_and(Phase::is_over) => {
                    self.note(Level::Warning, Message::PodGone, &key.name, &key.cluster);
                }
                Phase::Creating
                | Phase::Pending
                | Phase::Pulling
                | Phase::Starting
                | Phase::Terminating
                | Phase::Succeeded
                | Phase::Failed => {}
            }
        }
        if missed
            && phase != Phase::Expired
            && fault.as_ref().map(|fault| fault.what) != faulted
            && let Some(fault) = &fault
        {
            self.fail(fault.clone());
        }
        match phase {
            Phase::Ready => self.on_pod_ready(&key, out),
            Phase::Creating | Phase::Pending | Phase::Pulling | Phase::Starting => {
                self.show_on_waiting(&key, fault.as_ref());
            }
            Phase::Expired => {
                let fault = Fault::new(What::PodExpired, &key.name, "");
                self.leave_pod(&key, Some(&fault), out);
            }
            Phase::Terminating | Phase::Succeeded | Phase::Failed => {
                let fault = fault.unwrap_or_else(|| Fault::new(What::PodDeleted, &key.name, ""));
                self.leave_pod(&key, Some(&fault), out);
            }
        }
    }

    /// Takes the news that a pod is gone.
    pub(crate) fn on_gone(&mut self, key: &PodKey, uid: &str, out: &mut Vec<Effect>) {
        // Also one that was looked up and not kept.
        self.pods.ownership.forget(uid);
        let Some(pod) = self.pods.all().get(key).filter(|pod| pod.uid == uid) else { return };
        // While it still counts as created by this run.
        let (told, ours) = (self.is_told_of(pod), self.pods.is_deleting(key));
        let Some(pod) = self.pods.remove(key) else { return };
        // Through another context it may be seen still, for a moment; it is gone all the same.
        if self.pods.ownership.has(uid) {
            out.push(Effect::Store(StoreEffect::ForgetPod(uid.to_owned())));
        }
        if told && !ours && !pod.phase.is_over() && pod.phase != Phase::Terminating {
            self.note(Level::Warning, Message::PodGone, &key.name, &key.cluster);
        }
        let what = if pod.phase == Phase::Expired { What::PodExpired } else { What::PodDeleted };
        self.leave_pod(key, Some(&Fault::new(what, &key.name, "")), out);
    }
}
