//! From a workload to the pods behind it, by watches and without polling.
//!
//! There are two watches: one on the workload itself, for the selector of its pods and the ports of a service; one on
//! those pods, or on the endpoints of a service without a selector. Pods and selectors need the second only. Running
//! pods are reported the moment they change. A wrong name or port is reported with a suggestion, and watched further. A
//! watch that is refused or fails says nothing about the pods, and is reported as such.

mod aggregated;
pub(super) mod discovery;
mod endpoints;
mod object;
mod pick;
mod pods;
mod selection;
mod survey;

use std::fmt::Debug;

use futures::FutureExt as _;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{Clusters, Watch};
use crate::events::EventSender;
use brow_model::address::Address;
use brow_model::backend::{Backend, rank};
use brow_model::event::ForwardEvent;
use brow_model::fault::Fault;
use brow_model::workload::Workload;
use kube_tunnel::Login;

pub use object::find_object;
pub use pick::pick;
use selection::{BackendSource, PodSelector, Selection};
pub use survey::{
    Behind, Survey, is_missing, is_ready, is_running, none_ready, port_by, port_in, service_port, service_port_by,
    survey, thing,
};

/// The workload whose pods are watched.
#[derive(Debug, Clone)]
pub struct Query {
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    pub workload: Workload,
}

/// Watches the running pods of a workload and reports every change, until it is dropped.
pub async fn follow(clusters: Clusters, query: Query, events: EventSender<ForwardEvent>) {
    let cluster = query.cluster.clone();
    let mut state = (clusters.clone(), BackendReporter { query, events, reported: None, had: false });
    let following = clusters.with_logins(&cluster, &mut state, |(clusters, reporter), login| {
        let following = async move {
            match login {
                Ok(login) => follow_as(&ClusterAccess { clusters: clusters.clone(), login }, reporter).await,
                Err(fault) => {
                    reporter.unknown(fault).await;
                    return false;
                }
            }
            true
        };
        following.boxed()
    });
    following.await;
}

/// Watches with one login.
async fn follow_as(access: &ClusterAccess, reporter: &mut BackendReporter) {
    let (out, found) = watch::channel(SourceState::Pending);
    if let Some(fixed) = selection::fixed(&reporter.query.workload) {
        out.send_replace(SourceState::Known(fixed));
        pods::follow(access, found, reporter).await;
    } else {
        let watching = object::follow(access, reporter.query.clone(), out);
        tokio::join!(watching, pods::follow(access, found, reporter));
    }
}

struct ClusterAccess {
    clusters: Clusters,
    login: Login,
}

impl ClusterAccess {
    fn client(&self) -> Client {
        self.login.client.clone()
    }

    fn watch<K>(&self, query: &Query, api: Api<K>, config: watcher::Config) -> Watch<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        Watch::new(&self.clusters, &query.cluster, &self.login, api, config)
    }
}

/// The state of the watch on the workload itself.
#[derive(Debug, Clone, PartialEq)]
enum SourceState {
    /// The server has not answered yet.
    Pending,
    /// The workload has this source of backends.
    Known(BackendSource),
    /// The workload cannot have backends as it is.
    Invalid(Fault),
    /// The watch was refused or has failed. A source that was known before stays in use.
    Unknown(Fault),
}

/// A watch's error that concerns the forward. Outages are reported by the cluster's probe.
enum WatchProblem {
    /// It stays until somebody changes the workload.
    Permanent(Fault),
    /// The state of the workload is unknown.
    Unknown(Fault),
}

/// Reports to the loop, each state once.
struct BackendReporter {
    query: Query,
    events: EventSender<ForwardEvent>,
    reported: Option<ForwardEvent>,
    /// True if the last report contained running pods.
    had: bool,
}

impl BackendReporter {
    async fn pods(&mut self, mut backends: Vec<Backend>) {
        self.had = !backends.is_empty();
        rank(&mut backends);
        self.tell(ForwardEvent::Backends(backends)).await;
    }

    async fn relay(&mut self, address: Address) {
        self.tell(ForwardEvent::Relay(address)).await;
    }

    async fn no_backend(&mut self, fault: Fault) {
        self.had = false;
        self.tell(ForwardEvent::NoBackend(fault)).await;
    }

    async fn unknown(&mut self, fault: Fault) {
        self.tell(ForwardEvent::LookupFailed(fault)).await;
    }

    async fn problem(&mut self, problem: WatchProblem) {
        match problem {
            WatchProblem::Permanent(fault) => self.no_backend(fault).await,
            WatchProblem::Unknown(fault) => self.unknown(fault).await,
        }
    }

    async fn tell(&mut self, event: ForwardEvent) {
        if self.reported.as_ref() == Some(&event) {
            return;
        }
        self.reported = Some(event.clone());
        self.events.send(event).await;
    }
}

/// Returns names similar to `name`, else the first few.
fn near(name: &str, known: &[String]) -> Vec<String> {
    let names = || known.iter().map(String::as_str);
    let near = brow_model::near::near(name, names());
    let near = if near.is_empty() { names().take(3).collect() } else { near };
    near.into_iter().map(str::to_owned).collect()
}
