//! The program's own log messages: every event but keys and ticks, and the entries that the user sees.

use std::sync::LazyLock;

use tracing::{Level, debug, enabled, error, info, warn};

use crate::text::Text;
use brow_model::Model;
use brow_model::effect::Effect;
use brow_model::event::InstanceEvent;
use brow_model::event::{ClusterEvent, EditEvent, Event, ForwardEvent, PodEvent, StoreEvent};
use brow_model::fault::{Fault, What};
use brow_model::log::{self, Entry, Message};
use brow_model::proxy::{PodKey, ProxyPod};
use brow_model::route::Via;
use brow_model::settings::Language;

/// Updates the model; what it is about and what a person is told of it goes to the log.
pub fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    if enabled!(Level::DEBUG) {
        tell(&event);
    }
    let before = model.screen.log.total;
    let effects = model.update(event);
    let fresh = model.screen.log.total - before;
    for entry in model.screen.log.entries.iter().rev().take(fresh).rev() {
        told(entry);
    }
    effects
}

/// Logs an entry that the user saw, in English, for those who read the log.
fn told(entry: &Entry) {
    static ENGLISH: LazyLock<Text> = LazyLock::new(|| Text::new(Language::En));
    if !enabled!(Level::ERROR) {
        return;
    }
    let words = match &entry.message {
        // A code to log in with, a connection string: nobody else's.
        Message::PluginSaid | Message::Copied => return,
        Message::Failed(fault) => ENGLISH.fault_once(fault).in_full(),
        _ => ENGLISH.entry(entry),
    };
    match entry.level {
        log::Level::Error => error!("{words}"),
        log::Level::Warning => warn!("{words}"),
        log::Level::Success | log::Level::Info => info!("{words}"),
    }
}

/// Formats a fault with the original error message; a login plugin's may hold a code to log in with.
fn why(fault: &Fault) -> String {
    if matches!(fault.what, What::PluginFailed | What::PluginMissing) {
        return format!("{:?} of {}: {} bytes", fault.what, fault.thing, fault.detail.len());
    }
    format!("{:?} of {}: {}", fault.what, fault.thing, fault.detail)
}

fn pod(key: &PodKey) -> String {
    format!("{} of {} in {}", key.name, key.namespace, key.cluster)
}

fn through(via: &Via) -> String {
    let relayed = if via.to.is_some() { ", a relay" } else { "" };
    format!("port {} of {}{relayed}", via.port, pod(&via.pod))
}

fn tell(event: &Event) {
    match event {
        Event::Cluster { cluster, epoch, event } => tell_cluster(cluster, epoch.0, event),
        Event::Pod(event) => tell_pod(event),
        Event::Forward { id, epoch, event } => tell_forward(id.0, epoch.0, event),
        Event::Instance(event) => tell_instance(event),
        Event::Gateway(event) => debug!("the engine: {event:?}"),
        Event::Store(event) => tell_store(event),
        Event::Agent(event) => debug!("an agent: {event:?}"),
        Event::Shell(event) => debug!("a session in a container: {event:?}"),
        Event::Contexts(Ok(contexts)) => debug!(contexts = contexts.len(), "the kubeconfig was read"),
        Event::Contexts(Err(fault)) => debug!("the kubeconfig was not read: {}", why(fault)),
        Event::Edit { epoch, event } => tell_edit(epoch.0, event),
        Event::ObjectDeleted { object, result } => {
            debug!(cluster = object.cluster, "deleted {}: {:?}", object.short_name(), result.as_ref().err().map(why));
        }
        Event::Terminate => debug!("asked to end"),
        // Their outcome is told.
        Event::Act(_)
        | Event::Clipped { .. }
        | Event::Request(_)
        | Event::Tick { .. }
        | Event::Browse { .. }
        | Event::Index { .. }
        | Event::Kinds { .. }
        | Event::Metrics(_)
        | Event::Page { .. }
        | Event::Object(_) => {}
    }
}

/// Tells how an edit goes; never what is in the object.
fn tell_edit(epoch: u64, event: &EditEvent) {
    let outcome = |what, fault: Option<&Fault>| debug!(epoch, "an edit {what}: {:?}", fault.map(|fault| fault.what));
    match event {
        EditEvent::Opened(result) => outcome("was opened", result.as_ref().err()),
        EditEvent::Left(result) => outcome("left the editor", result.as_ref().err()),
        EditEvent::Tried { result, .. } => outcome("was tried", result.as_ref().err()),
        EditEvent::Applied(result) => outcome("was applied", result.as_ref().err()),
    }
}

fn tell_cluster(cluster: &str, epoch: u64, event: &ClusterEvent) {
    match event {
        ClusterEvent::Answered { version, rtt, skew } => {
            debug!(cluster, epoch, version, ?rtt, skew = skew.num_seconds(), "answers");
        }
        ClusterEvent::Failed { link, fault } => debug!(cluster, epoch, ?link, "fails: {}", why(fault)),
        ClusterEvent::Watching { scope, refused } => {
            debug!(cluster, epoch, ?scope, "is watched; refused: {:?}", refused.as_ref().map(why));
        }
        ClusterEvent::Denied(denied) => debug!(cluster, epoch, namespaces = ?denied.keys(), "may not be listed"),
        ClusterEvent::Listed { namespace, pods } => debug!(cluster, epoch, ?namespace, pods = pods.len(), "listed"),
        ClusterEvent::Applied(of) => {
            let ProxyPod { key, phase, fault, node, .. } = &**of;
            debug!(epoch, ?phase, ?node, "pod {}: {:?}", pod(key), fault.as_ref().map(why));
        }
        ClusterEvent::Gone { key, .. } => debug!(epoch, "pod {} is gone", pod(key)),
        ClusterEvent::Rights(rights) => debug!(cluster, epoch, "rights: {:?}", rights.as_ref().map_err(why)),
        ClusterEvent::PluginSaid(words) => debug!(cluster, epoch, bytes = words.len(), "its login plugin wrote"),
    }
}

fn tell_pod(event: &PodEvent) {
    let outcome = |what, key: &PodKey, fault: Option<&Fault>| debug!("pod {} {what}: {:?}", pod(key), fault.map(why));
    match event {
        PodEvent::Created { request, result: Ok(of) } => debug!(?request, "pod {} was created", pod(&of.key)),
        PodEvent::Created { request, result: Err(fault) } => debug!(?request, "no pod was created: {}", why(fault)),
        PodEvent::Deleted { key, result } => outcome("is to be deleted", key, result.as_ref().err()),
        PodEvent::Described { key, result } => outcome("was described", key, result.as_ref().err()),
        PodEvent::LogEnded { key, fault, .. } => outcome("has logged", key, fault.as_ref()),
        PodEvent::Logged { .. } => {}
    }
}

fn tell_forward(forward: u64, epoch: u64, event: &ForwardEvent) {
    match event {
        ForwardEvent::BoundSocket(path) => debug!(forward, epoch, path, "listens on a socket"),
        ForwardEvent::Bound(at) => debug!(forward, epoch, ?at, "listens"),
        ForwardEvent::NotBound(fault) => debug!(forward, epoch, "does not listen: {}", why(fault)),
        ForwardEvent::Up(via) => debug!(forward, epoch, "a tunnel is open to {}", through(via)),
        ForwardEvent::Down(fault) => debug!(forward, epoch, "its tunnel is down: {}", why(fault)),
        ForwardEvent::Backends(all) => debug!(forward, epoch, pods = all.len(), "its pods are known"),
        ForwardEvent::NoBackend(fault) => debug!(forward, epoch, "has no pods: {}", why(fault)),
        ForwardEvent::LookupFailed(fault) => debug!(forward, epoch, "its pods cannot be seen: {}", why(fault)),
        ForwardEvent::Relay(_) => debug!(forward, epoch, "needs a proxy pod"),
        ForwardEvent::Refused(via) => debug!(forward, epoch, "refused by {}", through(via)),
        ForwardEvent::ByPodProxy(via) => debug!(forward, epoch, "through the pod proxy to {}", through(via)),
        ForwardEvent::NotByPodProxy { via, why, .. } => {
            debug!(forward, epoch, "not through the pod proxy to {}: {why}", through(via));
        }
        ForwardEvent::WithoutRelay(via, why) => debug!(forward, epoch, "goes by socat in {}: {why}", through(via)),
        ForwardEvent::Wanted(round) => debug!(forward, epoch, round, "is wanted"),
        ForwardEvent::Drained(via) => debug!(forward, epoch, "has left {}", through(via)),
        ForwardEvent::Probed(health) => debug!(forward, epoch, ?health, "was probed"),
        ForwardEvent::ConnectionFailed(fault) => debug!(forward, epoch, "a connection failed: {}", why(fault)),
        ForwardEvent::NotAllowed(_) => debug!(forward, epoch, "refused a destination"),
        ForwardEvent::UserRefused { uid, .. } => debug!(forward, epoch, uid, "refused another local user"),
        ForwardEvent::UsersUntold => debug!(forward, epoch, "the system does not tell whose connections are"),
        ForwardEvent::Connections(list) => debug!(forward, epoch, connections = list.len(), "were listed"),
        ForwardEvent::Closed => debug!(forward, epoch, "is closed"),
    }
}

fn tell_instance(event: &InstanceEvent) {
    match event {
        InstanceEvent::Heard { instance, .. } => debug!(instance, "another instance was heard"),
        InstanceEvent::Gone { instance } => debug!(instance, "another instance has ended"),
        InstanceEvent::Unheard { instance, pid } => debug!(instance, pid, "another instance does not answer"),
        InstanceEvent::Known => debug!("all other instances are known"),
        InstanceEvent::Silent(fault) => debug!("another instance does not do as asked: {}", why(fault)),
    }
}

fn tell_store(event: &StoreEvent) {
    match event {
        StoreEvent::Loaded(loaded) => debug!(targets = loaded.targets.len(), exists = loaded.exists, "config read"),
        StoreEvent::Broken(fault) => debug!("the config is not used: {}", why(fault)),
        StoreEvent::NotSaved(fault) => debug!("edits were not saved: {}", why(fault)),
        StoreEvent::Trouble(fault) => debug!("a file failed: {}", why(fault)),
        StoreEvent::Recognised { uid, is_ours } => debug!(uid, ?is_ours, "a pod was looked up"),
        StoreEvent::Claimed(open) => debug!(forwards = open.len(), "forwards of earlier runs are known"),
        StoreEvent::Saved => debug!("edits were saved"),
        StoreEvent::Legacy { .. } | StoreEvent::Offers { .. } | StoreEvent::Exported { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_says_is_not_logged() {
        for what in [What::PluginFailed, What::PluginMissing] {
            let told = why(&Fault::new(what, "dev", "enter the code ABCD"));
            assert!(told.contains("dev") && !told.contains("ABCD"), "{told}");
        }
        assert!(why(&Fault::new(What::Unreachable, "dev", "refused")).contains("refused"));
    }
}
