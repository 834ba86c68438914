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
mod query;
mod report;
mod selection;
mod survey;

use futures::FutureExt as _;
use tokio::sync::watch;

use super::Clusters;
use crate::events::EventSender;
use brow_model::event::ForwardEvent;

use object::SourceState;
pub use object::find_object;
pub use pick::pick;
use query::ClusterAccess;
pub use query::Query;
use report::BackendReporter;
pub use survey::{
    Behind, Survey, is_missing, is_ready, is_running, none_ready, port_by, port_in, service_port, service_port_by,
    survey, thing,
};

/// Watches the running pods of a workload and reports every change, until it is dropped.
pub async fn follow(clusters: Clusters, query: Query, events: EventSender<ForwardEvent>) {
    let cluster = query.cluster.clone();
    let mut state = (clusters.clone(), BackendReporter::new(query, events));
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
