//! Connections for a look: to a container's port, and from a proxy pod to an address.

use std::io;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::policy::Labels;
use crate::cluster::workload::Query;
use crate::cluster::{Clusters, grant};
use crate::proxy::relay::{self, Dump, Dumped, RelayRequest, Secret};
use crate::proxy::{self, NewPod};
use crate::store;
use brow_model::address::{Address, Transport};
use brow_model::fault::{Fault, Remedy, What};
use brow_model::forward_settings::ForwardPolicy;
use brow_model::installation::Identity;
use brow_model::proxy::{PodRequest, PodRequestId, ProxyPod};
use brow_model::ttl::Ttl;
use brow_model::why::{Question, Verdict};
use brow_model::workload::Destination;
use kube_tunnel::{Error, LeaseOptions, Route, Tunnels};

/// The proxy pod's TTL: if we are stopped before it is deleted, Kubernetes ends it.
const TTL_SECONDS: u64 = 120;

/// The longest wait for a tunnel, and for a relay's answer; the relay gives a target 10 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest wait for an answer to a datagram, or for word that nothing takes it.
const DATAGRAM_TIMEOUT: Duration = Duration::from_secs(5);

/// The port of DNS, and a query for the name servers of the root, which its servers answer (RFC 1035, section 4.1).
const DNS: u16 = 53;
const DNS_QUERY: [u8; 17] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

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

/// Sends a datagram and returns the time until one came back. Some servers answer none that they do not understand.
async fn send_datagram<S>(stream: &mut S, address: &Address) -> io::Result<Result<Option<Duration>, Verdict>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let datagram = if address.port == DNS { &DNS_QUERY[..] } else { b"\n" };
    let began = Instant::now();
    stream.write_all(&relay::frame(datagram).unwrap_or_default()).await?;
    stream.flush().await?;
    let answered = async {
        let (mut dump, mut space, mut news) = (Dump::default(), vec![0; 1 << 12], None);
        while news.is_none() {
            let count = stream.read(&mut space).await?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            dump.take(&space[..count], |dumped| news = Some(dumped)).map_err(io::Error::other)?;
        }
        Ok(news)
    };
    Ok(match timeout(DATAGRAM_TIMEOUT, answered).await {
        Err(_) => {
            let words = format!("no answer within {} s", DATAGRAM_TIMEOUT.as_secs());
            Err(Verdict::Unknown(Fault::new(What::UdpSilent, address.to_string(), words)))
        }
        Ok(news) => match news? {
            Some(Dumped::Failed(What::Relay, words)) => Err(Verdict::Unknown(Fault::new(What::NoUdp, "", words))),
            Some(Dumped::Failed(what, words)) => Err(Verdict::Failed(Fault::new(what, address.to_string(), words))),
            Some(Dumped::Datagram(_)) | None => Ok(Some(began.elapsed())),
        },
    })
}

/// Returns the labels that a proxy pod of ours has.
pub(super) fn labels(question: &Question) -> Labels {
    let me = Identity { owner: proxy::owner(), installation: store::throwaway() };
    let Some(request) = request(question) else { return Labels::new() };
    proxy::spec(&request, &me, &NewPod::new(&request), Utc::now()).metadata.labels.unwrap_or_default()
}

fn request(question: &Question) -> Option<PodRequest> {
    Some(PodRequest {
        id: PodRequestId(0),
        target: "why".to_owned(),
        cluster: question.cluster.clone(),
        namespace: question.pod.namespace.clone(),
        label: "why".to_owned(),
        // The address is sent to the relay, and stands nowhere in the pod.
        address: Destination::Proxy,
        ttl: Ttl::from_secs(TTL_SECONDS)?.min(question.pod.max_ttl),
        on_demand: false,
        agent: None,
        patience: ForwardPolicy::BUILT_IN.create,
        settings: (*question.pod.settings).clone(),
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
    let request = request(question).ok_or_else(without)?;
    if !question.pod.creates || stop.is_cancelled() {
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
        let request = match address.transport {
            Transport::Tcp => RelayRequest::Diagnose(address),
            Transport::Udp => RelayRequest::Datagrams(address),
        };
        let asked = relay::request(&mut stream, &secret, request, Box::pin(confirm)).await;
        asked.map_err(|error| broken(error.to_string()))?;
        if address.is_udp() {
            return send_datagram(&mut stream, address).await.map_err(|error| broken(error.to_string()))?;
        }
        match relay::diagnosis(&mut stream).await {
            Ok(Ok(took)) => Ok(took),
            Ok(Err((what, words))) => Err(Verdict::Failed(Fault::new(what, address.to_string(), words))),
            Err(error) => Err(broken(error.to_string())),
        }
    };
    let slow = || Verdict::Unknown(Fault::new(What::TimedOut, &pod.key.name, late()));
    timeout(ANSWER_TIMEOUT, asking).await.unwrap_or_else(|_| Err(slow()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::settings::PodSettings;
    use brow_model::why::{CheckedDestination, Prober};

    #[test]
    fn the_pod_is_the_one_that_the_config_allows() {
        let labels = [("team".to_owned(), "shop".to_owned())].into();
        let settings = Box::new(PodSettings { labels, ..PodSettings::default() });
        for (max, wanted) in [("1m", "1m"), ("2m", "2m"), ("8h", "2m")] {
            let pod = Prober {
                namespace: "tools".to_owned(),
                settings: settings.clone(),
                max_ttl: max.parse().unwrap(),
                creates: false,
            };
            let destination = CheckedDestination::Address("10.0.0.1:80".parse().unwrap());
            let question = Question { cluster: "dev".to_owned(), namespace: "shop".to_owned(), destination, pod };
            let request = request(&question).unwrap();
            assert_eq!((request.ttl, request.namespace.as_str()), (wanted.parse().unwrap(), "tools"), "{max}");
            let labels = super::labels(&question);
            assert_eq!(labels.get("team").map(String::as_str), Some("shop"), "without a pod as with one");
            assert!(labels.contains_key("app.kubernetes.io/managed-by"), "{labels:?}");
        }
    }
}
