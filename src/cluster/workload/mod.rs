//! From a workload to the pods behind it: watched, never asked again and again.
//!
//! Two watches: one on the workload itself, for the selector of its pods and, of a service, its ports; one on those
//! pods, or on the endpoints of a service that selects none. A pod or a selector needs the second only. What runs is
//! told the moment it changes; what stands in the way (a name, a port) is told with what to do about it, and watched
//! further. A watch that is refused or fails says nothing of the pods: that is told as what it is.

pub(super) mod discovery;
mod endpoints;
mod object;
mod pods;
mod selection;

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

use selection::{Aim, Pods, Selection};

/// Whose pods are wanted.
#[derive(Debug, Clone)]
pub struct Query {
    /// The kubeconfig context.
    pub cluster: String,
    pub namespace: String,
    pub workload: Workload,
}

/// Watches the running pods of a workload and tells of every change, until it is dropped.
pub async fn follow(clusters: Clusters, query: Query, events: EventSender<ForwardEvent>) {
    let cluster = query.cluster.clone();
    let mut state = (clusters.clone(), Teller { query, events, told: None, had: false });
    let following = clusters.with_logins(&cluster, &mut state, |(clusters, teller), login| {
        let following = async move {
            match login {
                Ok(login) => follow_as(&Reach { clusters: clusters.clone(), login }, teller).await,
                Err(fault) => {
                    teller.unknown(fault).await;
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
async fn follow_as(reach: &Reach, teller: &mut Teller) {
    let (out, found) = watch::channel(Sight::Nothing);
    if let Some(fixed) = selection::fixed(&teller.query.workload) {
        out.send_replace(Sight::Aim(fixed));
        pods::follow(reach, found, teller).await;
    } else {
        let watching = object::follow(reach, teller.query.clone(), out);
        tokio::join!(watching, pods::follow(reach, found, teller));
    }
}

/// How the cluster is reached.
struct Reach {
    clusters: Clusters,
    login: Login,
}

impl Reach {
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

/// What is known of the workload itself.
#[derive(Debug, Clone, PartialEq)]
enum Sight {
    /// Nothing yet.
    Nothing,
    /// Where it leads.
    Aim(Aim),
    /// It leads nowhere.
    Wrong(Fault),
    /// It may not be looked at, or cannot be; where it led before, it may lead still.
    Unknown(Fault),
}

/// What a watch's error says, as far as a forward is to be told; an outage is the cluster's probe's to report.
enum Trouble {
    /// Waiting will not mend it.
    Wrong(Fault),
    /// It is not known how things stand.
    Unknown(Fault),
}

/// Reports to the loop, nothing twice.
struct Teller {
    query: Query,
    events: EventSender<ForwardEvent>,
    told: Option<ForwardEvent>,
    /// Whether there were running pods when that was told last.
    had: bool,
}

impl Teller {
    async fn pods(&mut self, mut backends: Vec<Backend>) {
        self.had = !backends.is_empty();
        rank(&mut backends);
        self.tell(ForwardEvent::Backends(backends)).await;
    }

    async fn relay(&mut self, address: Address) {
        self.tell(ForwardEvent::Relay(address)).await;
    }

    async fn nothing(&mut self, fault: Fault) {
        self.had = false;
        self.tell(ForwardEvent::NoBackend(fault)).await;
    }

    async fn unknown(&mut self, fault: Fault) {
        self.tell(ForwardEvent::LookupFailed(fault)).await;
    }

    async fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Wrong(fault) => self.nothing(fault).await,
            Trouble::Unknown(fault) => self.unknown(fault).await,
        }
    }

    async fn tell(&mut self, event: ForwardEvent) {
        if self.told.as_ref() == Some(&event) {
            return;
        }
        self.told = Some(event.clone());
        self.events.send(event).await;
    }
}

/// Names that are near to `name`; else some of those that there are.
fn near(name: &str, known: &[String]) -> Vec<String> {
    let names = || known.iter().map(String::as_str);
    let near = brow_model::near::near(name, names());
    let near = if near.is_empty() { names().take(3).collect() } else { near };
    near.into_iter().map(str::to_owned).collect()
}
