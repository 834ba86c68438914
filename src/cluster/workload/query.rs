//! The workload whose pods are looked for, and the access to its cluster.

use std::fmt::Debug;

use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::cluster::{Clusters, Watch};
use brow_model::workload::Workload;
use kube_tunnel::Login;

/// The workload whose pods are watched.
#[derive(Debug, Clone)]
pub struct Query {
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    pub workload: Workload,
}

/// The clusters, and the login by which one of them is asked.
pub(super) struct ClusterAccess {
    pub clusters: Clusters,
    pub login: Login,
}

impl ClusterAccess {
    pub(super) fn client(&self) -> Client {
        self.login.client.clone()
    }

    pub(super) fn watch<K>(&self, query: &Query, api: Api<K>, config: watcher::Config) -> Watch<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        Watch::new(&self.clusters, &query.cluster, &self.login, api, config)
    }
}
