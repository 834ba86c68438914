//! Creates pods. Each is recorded before it is requested, and by its uid before anybody is told of it.

use std::collections::BTreeSet;

use tokio::task::spawn_blocking;

use crate::cluster::Clusters;
use crate::events::EventSender;
use crate::proxy::{self, NewPod};
use crate::store::PodLedger;
use brow_model::event::StoreEvent;
use brow_model::fault::{Fault, What};
use brow_model::installation::Identity;
use brow_model::proxy::{PodRequest, ProxyPod};

/// Creates the pod of a request. Also returns the error of recording it; such a pod is ours for this run only.
pub(super) async fn create(
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
