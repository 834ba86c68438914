//! Making a pod: it is written down before it is asked for, and again by its uid before anybody is told of it.

use std::collections::BTreeSet;

use tokio::task::spawn_blocking;

use crate::cluster::Clusters;
use crate::events::EventSender;
use crate::proxy::{self, Birth};
use crate::store::PodLedger;
use brow_model::event::StoreEvent;
use brow_model::fault::{Fault, What};
use brow_model::installation::Identity;
use brow_model::proxy::{PodRequest, ProxyPod};

/// Creates the pod that a request asks for; besides, what was in the way of writing it down. Such a pod is ours for
/// this run alone.
pub(super) async fn create(
    clusters: &Clusters,
    request: &PodRequest,
    me: &Identity,
    ledger: PodLedger,
) -> (Result<ProxyPod, Fault>, Option<Fault>) {
    let birth = Birth::new(request);
    let asked = {
        let (birth, namespace, ttl) = (birth.clone(), request.namespace.clone(), request.ttl);
        write(&ledger, move |ledger| ledger.asked(&birth.nonce, &namespace, &birth.name, ttl)).await
    };
    let result = proxy::create(clusters, request, me, &birth).await;
    let nonce = birth.nonce;
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

/// Writes where waiting for a disk holds nobody up. A panic has been reported by the hook.
async fn write(
    ledger: &PodLedger,
    work: impl FnOnce(&PodLedger) -> Result<(), Fault> + Send + 'static,
) -> Result<(), Fault> {
    let ledger = ledger.clone();
    spawn_blocking(move || work(&ledger)).await.unwrap_or(Ok(()))
}

/// Reads under which names pods were asked for. Where that fails it is reported, and none is known.
pub(super) async fn asked(ledger: PodLedger, trouble: EventSender<StoreEvent>) -> BTreeSet<(String, String)> {
    match spawn_blocking(move || ledger.names()).await {
        Ok(Ok(names)) => return names,
        Ok(Err(fault)) => _ = trouble.send(StoreEvent::Trouble(fault)).await,
        // A panic has been reported by the hook.
        Err(_) => {}
    }
    BTreeSet::new()
}
