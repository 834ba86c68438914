//! Making a pod: it is written down before it is asked for, and again by its uid before anybody is told of it.

use tokio::task::spawn_blocking;

use crate::cluster::Clusters;
use crate::proxy::{self, Birth};
use crate::store::Book;
use brow_model::fault::{Fault, What};
use brow_model::installation::Identity;
use brow_model::proxy::{PodRequest, ProxyPod};

/// Creates the pod that a request asks for; besides, what was in the way of writing it down. Such a pod is ours for
/// this run alone.
pub(super) async fn create(
    clusters: &Clusters,
    request: &PodRequest,
    me: &Identity,
    book: Book,
) -> (Result<ProxyPod, Fault>, Option<Fault>) {
    let birth = Birth::new(request);
    let asked = {
        let (birth, namespace, ttl) = (birth.clone(), request.namespace.clone(), request.ttl);
        write(&book, move |book| book.asked(&birth.nonce, &namespace, &birth.name, ttl)).await
    };
    let result = proxy::create(clusters, request, me, &birth).await;
    let nonce = birth.nonce;
    let answered = match &result {
        Ok(pod) => {
            let uid = pod.uid.clone();
            write(&book, move |book| book.stored(&nonce, &uid)).await
        }
        // It may have been made all the same.
        Err(fault) if matches!(fault.what, What::TimedOut | What::Unreachable | What::Server) => Ok(()),
        Err(_) => write(&book, move |book| book.refused(&nonce)).await,
    };
    (result, asked.and(answered).err())
}

/// Writes where waiting for a disk holds nobody up. A panic has been reported by the hook.
async fn write(book: &Book, work: impl FnOnce(&Book) -> Result<(), Fault> + Send + 'static) -> Result<(), Fault> {
    let book = book.clone();
    spawn_blocking(move || work(&book)).await.unwrap_or(Ok(()))
}
