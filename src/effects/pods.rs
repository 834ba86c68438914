//! Creates, deletes and describes proxy pods, and follows their logs. A new pod is recorded before it is requested, and
//! by its uid before anybody is told of it.

use std::collections::BTreeSet;

use tokio::task::spawn_blocking;

use super::{Effects, internal};
use crate::cluster::Clusters;
use crate::events::EventSender;
use crate::proxy::{self, NewPod};
use crate::store::PodLedger;
use brow_model::effect::PodEffect;
use brow_model::event::{Event, PodEvent, StoreEvent};
use brow_model::fault::{Fault, What};
use brow_model::installation::Identity;
use brow_model::proxy::{PodKey, PodRequest, ProxyPod};
use kube_tunnel::contain::contain;

impl Effects {
    /// Carries out an order about a pod.
    pub(super) fn on_pod(&mut self, effect: PodEffect) {
        match effect {
            PodEffect::Create(request) => self.create(*request),
            PodEffect::Delete { key, uid } => self.delete(key, uid),
            PodEffect::Describe(key) => self.describe(key),
            PodEffect::FollowLog { key, epoch } => {
                self.stop_log();
                let context = key.cluster.clone();
                let following =
                    proxy::follow_log(self.clusters.clone(), key.clone().into(), epoch, self.events.clone());
                let broken = move |fault| Event::Pod(PodEvent::LogEnded { key, epoch, fault: Some(fault) });
                self.log = Some(self.spawn_for(context, following, broken));
            }
            PodEffect::StopLog => self.stop_log(),
        }
    }

    pub(super) fn stop_log(&mut self) {
        if let Some(log) = self.log.take() {
            log.abort();
        }
    }

    fn create(&mut self, request: PodRequest) {
        let (clusters, me, events) = (self.clusters.clone(), self.me.clone(), self.events.clone());
        let ledger = self.ledger.clone();
        self.orders.spawn(async move {
            let creating = contain(create(&clusters, &request, &me, ledger)).await;
            let (result, trouble) = creating.unwrap_or_else(|words| (Err(internal(&request.cluster, words)), None));
            if let Some(fault) = trouble {
                events.send(Event::Store(StoreEvent::Trouble(fault))).await;
            }
            let result = result.map(Box::new);
            events.send(Event::Pod(PodEvent::Created { request: request.id, result })).await;
        });
    }

    fn describe(&mut self, key: PodKey) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.spawn(async move {
            let describing = contain(proxy::describe(&clusters, &key)).await;
            let result = describing.unwrap_or_else(|words| Err(internal(&key.cluster, words)));
            events.send(Event::Pod(PodEvent::Described { key, result })).await;
        });
    }

    fn delete(&mut self, key: PodKey, uid: String) {
        let (clusters, events) = (self.clusters.clone(), self.events.clone());
        self.orders.spawn(async move {
            let deleting = contain(proxy::delete(&clusters, &key, &uid)).await;
            let result = deleting.unwrap_or_else(|words| Err(internal(&key.cluster, words)));
            events.send(Event::Pod(PodEvent::Deleted { key, result })).await;
        });
    }
}

/// Creates the pod of a request. Also returns the error of recording it; such a pod is ours for this run only.
async fn create(
    clusters: &Clusters,
    request: &PodRequest,
    me: &Identity,
    ledger: PodLedger,
) -> (Result<ProxyPod, Fault>, Option<Fault>) {
    let new_pod = NewPod::new(request);
    let asked = {
        let (new_pod, namespace, ttl) = (new_pod.clone(), request.namespace.clone(), request.ttl);
        write(&ledger, move |ledger| ledger.asked(&new_pod.nonce, &namespace, &new_pod.name, ttl)).await
    };
    let result = proxy::create(clusters, request, me, &new_pod).await;
    let nonce = new_pod.nonce;
    let answered = match &result {
        Ok(pod) => {
            let uid = pod.uid.clone();
            write(&ledger, move |ledger| ledger.stored(&nonce, &uid)).await
        }
        // It may have been made all the same.
        Err(fault) if matches!(fault.what, What::TimedOut | What::Unreachable | What::Server) => Ok(()),
        Err(_) => write(&ledger, move |ledger| ledger.refused(&nonce)).await,
    };
    (result, asked.and(answered).err())
}

/// Writes on a blocking thread. A panic has been reported by the hook.
async fn write(
    ledger: &PodLedger,
    work: impl FnOnce(&PodLedger) -> Result<(), Fault> + Send + 'static,
) -> Result<(), Fault> {
    let ledger = ledger.clone();
    spawn_blocking(move || work(&ledger)).await.unwrap_or(Ok(()))
}

/// Reads the names of requested pods. An error is reported, and no name is returned.
pub(super) async fn asked(ledger: PodLedger, trouble: EventSender<StoreEvent>) -> BTreeSet<(String, String)> {
    match spawn_blocking(move || ledger.names()).await {
        Ok(Ok(names)) => return names,
        Ok(Err(fault)) => _ = trouble.send(StoreEvent::Trouble(fault)).await,
        // A panic has been reported by the hook.
        Err(_) => {}
    }
    BTreeSet::new()
}
