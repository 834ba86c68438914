//! Connections for a look: to a container's port, and from a proxy pod to an address.

use std::time::Duration;

use chrono::Utc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::policy::Labels;
use crate::cluster::workload::Query;
use crate::cluster::{Clusters, grant};
use crate::proxy::relay::{self, RelayRequest, Secret};
use crate::proxy::{self, NewPod};
use crate::store;
use brow_model::address::Address;
use brow_model::fault::{Fault, Remedy, What};
use brow_model::forward_settings::ForwardPolicy;
use brow_model::installation::Identity;
use brow_model::proxy::{PodRequest, PodRequestId, ProxyPod};
use brow_model::settings::PodSettings;
use brow_model::ttl::Ttl;
use brow_model::why::{Question, Verdict};
use brow_model::workload::Destination;
use kube_tunnel::{Error, LeaseOptions, Route, Tunnels};

/// The proxy pod's TTL: if we are stopped before it is deleted, Kubernetes ends it.
const TTL_SECONDS: u64 = 120;

/// The longest wait for a tunnel, and for a relay's answer; the relay gives a target 10 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The time in which a pod refuses a connection. A server that then waits for us has accepted it.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(3);

/// Judges whether something in a pod accepts connections on a port, by a port-forward. No policy applies to that.
pub(super) async fn listens(clusters: &Clusters, query: &Query, pod: &str, port: u16) -> Verdict {
    let client = match clusters.client(&query.cluster).await {
        Ok(client) => client,
        Err(fault) => return Verdict::Unknown(fault),
    };
    let route = Route { namespace: query.namespace.clone(), pod: pod.to_owned(), port };
    let lease = Tunnels::new(client, None).lease(route, LeaseOptions::default());
    let probing = async {
        let mut stream = lease.open().await?;
        stream.shutdown().await.map_err(Error::from_io)?;
        let ended = async {
            let mut scrap = [0; 64];
            while stream.read(&mut scrap).await.map_err(Error::from_io)? > 0 {}
            Ok(())
        };
        timeout(REFUSAL_TIMEOUT, ended).await.unwrap_or(Ok(()))
    };
    match timeout(ANSWER_TIMEOUT, probing).await {
        // One that cuts the connection has accepted it.
        Ok(Ok(()) | Err(Error::Reset)) => Verdict::Passed,
        Ok(Err(Error::Refused { text })) => {
            Verdict::Failed(Fault::new(What::NotListening, format!("{pod}:{port}"), text))
        }
        Ok(Err(Error::Forbidden { text })) => Verdict::Unknown(forbidden(query, text)),
        Ok(Err(error)) => Verdict::Unknown(Fault::new(What::Tunnel, pod, error.to_string())),
        Err(_) => Verdict::Unknown(Fault::new(What::TimedOut, &query.cluster, late())),
    }
}

fn forbidden(query: &Query, text: String) -> Fault {
    let right = grant("create", "pods/portforward", Some(&query.namespace));
    Fault::new(What::Forbidden, &query.cluster, text).with(Remedy::Grant(right))
}

fn late() -> String {
    format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())
}

/// Returns the labels that a proxy pod of ours has.
pub(super) fn labels(question: &Question) -> Labels {
    let settings = question.pod.as_deref().cloned().unwrap_or_default();
    let me = Identity { owner: proxy::owner(), installation: store::throwaway() };
    let Some(request) = request(question, settings) else { return Labels::new() };
    proxy::spec(&request, &me, &NewPod::new(&request), Utc::now()).metadata.labels.unwrap_or_default()
}

fn request(question: &Question, settings: PodSettings) -> Option<PodRequest> {
    Some(PodRequest {
        id: PodRequestId(0),
        target: "why".to_owned(),
        cluster: question.cluster.clone(),
        namespace: question.namespace.clone(),
        label: "why".to_owned(),
        // The address is sent to the relay, and stands nowhere in the pod.
        address: Destination::Proxy,
        ttl: Ttl::from_secs(TTL_SECONDS)?,
        on_demand: false,
        agent: None,
        patience: ForwardPolicy::BUILT_IN.create,
        settings,
    })
}

/// Connects to an address from a proxy pod, which is created for it and deleted at once. Returns the time that it took,
/// if the relay tells.
///
/// # Errors
/// The connection failed, or there is no pod to try it from.
pub(super) async fn connect(
    clusters: &Clusters,
    question: &Question,
    address: &Address,
    stop: &CancellationToken,
) -> Result<Option<Duration>, Verdict> {
    let without = || Verdict::Unknown(Fault::new(What::NeedsPod, address.to_string(), ""));
    let settings = question.pod.as_deref().cloned().ok_or_else(without)?;
    let request = request(question, settings).ok_or_else(without)?;
    if stop.is_cancelled() {
        return Err(without());
    }
    // The pod is deleted before this returns, so that no installation has to recognise it later.
    let me = Identity { owner: proxy::owner(), installation: store::throwaway() };
    let pod = proxy::create(clusters, &request, &me, &NewPod::new(&request)).await.map_err(Verdict::Unknown)?;
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => Err(without()),
        outcome = ask(clusters, &me, &pod, address) => outcome,
    };
    match (proxy::delete(clusters, &pod.key, &pod.uid).await, outcome) {
        // It ends by itself, and what was found out counts.
        (Err(fault), Ok(_)) => Err(Verdict::Unknown(fault)),
        (_, outcome) => outcome,
    }
}

/// Asks a pod's relay to connect.
async fn ask(
    clusters: &Clusters,
    me: &Identity,
    pod: &ProxyPod,
    address: &Address,
) -> Result<Option<Duration>, Verdict> {
    let pod = proxy::until_ready(clusters, pod).await.map_err(Verdict::Unknown)?;
    let client = clusters.client(&pod.key.cluster).await.map_err(Verdict::Unknown)?;
    let route = Route { namespace: pod.key.namespace.clone(), pod: pod.key.name.clone(), port: pod.port };
    let lease = Tunnels::new(client, None).lease(route, LeaseOptions::default());
    let secret = Secret::new(&me.installation, &pod.key.namespace, &pod.key.name);
    let asking = async {
        let broken = |words: String| Verdict::Unknown(Fault::new(What::Tunnel, &pod.key.name, words));
        let mut stream = lease.open().await.map_err(|error| broken(error.to_string()))?;
        // Only the pod that was created may receive its secret.
        let confirm = async {
            match proxy::uid_of(clusters, &pod.key).await {
                Ok(Some(uid)) if uid == pod.uid => Ok(()),
                Ok(_) => Err("another pod has its name now".to_owned()),
                Err(fault) => Err(fault.detail),
            }
        };
        let asked = relay::request(&mut stream, &secret, RelayRequest::Diagnose(address), Box::pin(confirm)).await;
        asked.map_err(|error| broken(error.to_string()))?;
        match relay::diagnosis(&mut stream).await {
            Ok(Ok(took)) => Ok(took),
            Ok(Err((what, words))) => Err(Verdict::Failed(Fault::new(what, address.to_string(), words))),
            Err(error) => Err(broken(error.to_string())),
        }
    };
    let slow = || Verdict::Unknown(Fault::new(What::TimedOut, &pod.key.name, late()));
    timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| Err(slow()))
}
