//! What all watches have in common: waiting for a client, and what a watch's error means.

use std::time::Duration;

use kube::Client;
use kube::runtime::watcher;
use tokio::time::sleep;

use super::{Clusters, fault, grant};
use crate::model::cluster::Link;
use crate::model::fault::{Fault, What};

/// Between two tries to get a client, at first.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Clusters {
    /// The client of a cluster, waited for: one that cannot be had yet is the probe's to report.
    pub async fn client_in_time(&self, context: &str) -> Client {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok(client) = self.client(context).await {
                return client;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// What a watch's error means, and how the cluster stands for it. What is watched is a `resource` as rights name it
/// (`deployments.apps`), in a namespace or in all.
pub fn watch_fault(cluster: &str, error: &watcher::Error, resource: &str, namespace: Option<&str>) -> (Link, Fault) {
    let of = |error: &kube::Error, verb| fault(cluster, error, Some(grant(verb, resource, namespace)));
    match error {
        watcher::Error::InitialListFailed(error) => of(error, "list"),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => of(error, "watch"),
        watcher::Error::WatchError(status) => of(&kube::Error::Api(status.clone()), "watch"),
        watcher::Error::NoResourceVersion => (Link::Ready, Fault::new(What::Server, cluster, error.to_string())),
    }
}
