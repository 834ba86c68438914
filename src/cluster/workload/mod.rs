//! From a workload to the pods behind it: watched, never asked again and again.
//!
//! Two watches: one on the workload itself, for the selector of its pods and, of a service, its ports; one on those
//! pods, or on the endpoints of a service that selects none. A pod or a selector needs the second only. What runs is told the moment it changes; what stands in the way (a
//! right, a name, a port) is told with what to do about it, and watched further.

pub(super) mod discovery;
mod endpoints;
mod object;
mod pods;
mod selection;

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::Clusters;
use crate::model::address::Address;
use crate::model::backend::{Backend, rank};
use crate::model::event::{Epoch, Event, ForwardEvent};
use crate::model::fault::Fault;
use crate::model::forward::ForwardId;
use crate::model::workload::Workload;

use selection::{Aim, Pods, Selection};

/// Between two tries to get a client.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whose pods are wanted, and who wants them.
#[derive(Debug, Clone)]
pub struct Query {
    /// The forward that asks.
    pub id: ForwardId,
    /// Which opening of it.
    pub epoch: Epoch,
    /// The kubeconfig context.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The workload.
    pub workload: Workload,
}

/// Watches the running pods of a workload and tells of every change, until it is dropped.
pub async fn follow(clusters: Clusters, query: Query, events: mpsc::Sender<Event>) {
    let mut teller = Teller { query: query.clone(), events, told: None };
    let mut pause = FIRST_PAUSE;
    let client = loop {
        match clusters.client(&query.cluster).await {
            Ok(client) => break client,
            Err(fault) => teller.nothing(fault).await,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    let (out, found) = watch::channel(None);
    if let Some(fixed) = selection::fixed(&query.workload) {
        out.send_replace(Some(Ok(fixed)));
        pods::follow(client, found, teller).await;
    } else {
        let watching = object::follow(client.clone(), query, out);
        tokio::join!(watching, pods::follow(client, found, teller));
    }
}

/// Where the workload itself says that it leads; nothing yet, or what is wrong with it.
type Sight = Option<Result<Aim, Fault>>;

/// Reports to the loop, nothing twice.
struct Teller {
    query: Query,
    events: mpsc::Sender<Event>,
    told: Option<ForwardEvent>,
}

impl Teller {
    async fn pods(&mut self, mut backends: Vec<Backend>) {
        rank(&mut backends);
        self.tell(ForwardEvent::Backends(backends)).await;
    }

    async fn relay(&mut self, address: Address) {
        self.tell(ForwardEvent::Relay(address)).await;
    }

    async fn nothing(&mut self, fault: Fault) {
        self.tell(ForwardEvent::NoBackend(fault)).await;
    }

    async fn tell(&mut self, event: ForwardEvent) {
        if self.told.as_ref() == Some(&event) {
            return;
        }
        self.told = Some(event.clone());
        let event = Event::Forward { id: self.query.id, epoch: self.query.epoch, event };
        // A loop that has ended wants no news.
        let _ended = self.events.send(event).await;
    }
}

/// Names that are near to `name`, the nearest first; else some of those that there are.
fn near(name: &str, known: &[String]) -> Vec<String> {
    let mut ranked: Vec<(usize, &String)> = known
        .iter()
        .map(|other| {
            let within = other.contains(name) || name.contains(other.as_str());
            (if within { 1 } else { strsim::damerau_levenshtein(name, other) }, other)
        })
        .collect();
    ranked.sort();
    let close = name.chars().count().div_ceil(2);
    let some = ranked.iter().any(|(distance, _)| *distance <= close);
    ranked.into_iter().filter(|(distance, _)| !some || *distance <= close).take(3).map(|(_, n)| n.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first() {
        let known: Vec<String> = ["web", "web-admin", "payments", "redis"].map(str::to_owned).into();
        assert_eq!(near("wbe", &known), ["web"]);
        assert_eq!(near("paymens", &known), ["payments"]);
        assert_eq!(near("admin", &known), ["web-admin"]);
        assert_eq!(near("zzzzzz", &known).len(), 3, "better some than none");
        assert_eq!(near("x", &[]), Vec::<String>::new());
    }
}
