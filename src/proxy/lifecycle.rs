//! Creation and deletion of proxy pods.

use std::time::Duration;

use chrono::Utc;
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use kube::client::Body;
use kube::core::Status;
use kube::{Api, Client, Error};
use tokio::time::{Instant, sleep, timeout};

use super::spec::CPU_LIMIT;
use super::{NONCE, NewPod, project, spec};
use crate::cluster::{Clusters, grant, object_fault, retry_after};
use brow_model::fault::{Fault, What};
use brow_model::installation::Identity;
use brow_model::proxy::{Phase, PodKey, PodRequest, ProxyPod};
use kube_tunnel::Backoff;

/// The timeout of a request to the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The timeout of the request that checks whether a pod was stored after all.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// The pauses before a pod is requested again if the server does not say how long.
const RETRY_BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
/// The longest wait for a pod to become ready.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// The interval at which it is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The number of tries of a deletion that meets a conflict.
const MAX_TRIES: u32 = 5;

/// Creates the pod that a request asks for, and returns it as stored.
///
/// # Errors
/// The server's refusal: a missing right (which is named), quota, Pod Security, another admission plugin, a missing
/// namespace, an invalid setting; or that it cannot be reached.
pub async fn create(
    clusters: &Clusters,
    request: &PodRequest,
    me: &Identity,
    new_pod: &NewPod,
) -> Result<ProxyPod, Fault> {
    let client = clusters.client(&request.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client.clone(), &request.namespace);
    let mut pod = spec(request, me, new_pod, Utc::now());
    let place = format!("{}/{}", request.cluster, request.namespace);
    let mut asked = store(&client, &api, &pod, request).await?;
    if let Err(error) = &asked
        && asks_for_cpu_limit(error)
        && limit_cpu(&mut pod)
    {
        asked = store(&client, &api, &pod, request).await?;
    }
    let stored = asked.map_err(|error| {
        let asked = grant("create", "pods", Some(&request.namespace));
        let fault = object_fault(&request.cluster, &request.target, &error, Some(asked));
        match fault.what {
            What::NamespaceMissing => Fault { thing: place.clone(), ..fault },
            // What decides is the namespace's.
            What::Quota | What::PodSecurity | What::Admission | What::Invalid => {
                Fault { thing: format!("{} ({place})", request.target), ..fault }
            }
            _ => fault,
        }
    })?;
    project(&request.cluster, &stored)
        .ok_or_else(|| Fault::new(What::Server, &request.target, "the stored pod lacks our labels"))
}

/// Returns true if a pod was refused because its namespace demands a CPU limit, and it had none.
fn asks_for_cpu_limit(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403 && demands_cpu_limit(&status.message))
}

/// Returns true if a refusal demands a CPU limit. A quota says `failed quota: compute: must specify
/// limits.cpu,limits.memory`; newer servers name containers, too: `must specify limits.cpu for: relay; limits.memory
/// for: relay`. A limit range says `maximum cpu usage per Pod is 2, but no limit is specified`.
fn demands_cpu_limit(message: &str) -> bool {
    let demanded = message.split_once("must specify ").map_or("", |(_, demanded)| demanded);
    let of_range = |clause: &str| clause.starts_with("cpu usage per ") && clause.contains("no limit is specified");
    demanded.split([',', ';', ' ']).any(|word| word == "limits.cpu") || message.split("maximum ").any(of_range)
}

/// Sets the relay's CPU limit. Returns false if it has one.
fn limit_cpu(pod: &mut Pod) -> bool {
    let container = pod.spec.as_mut().and_then(|spec| spec.containers.first_mut());
    let Some(resources) = container.and_then(|container| container.resources.as_mut()) else { return false };
    let limits = resources.limits.get_or_insert_default();
    let missing = !limits.contains_key("cpu");
    if missing {
        limits.insert("cpu".to_owned(), Quantity(CPU_LIMIT.to_owned()));
    }
    missing
}

/// Stores a pod, with retries for as long as the request allows. Its name is unique, so a retry is safe. Returns the
/// pod as stored, or the server's last refusal.
///
/// # Errors
/// The server does not answer.
async fn store(client: &Client, api: &Api<Pod>, pod: &Pod, request: &PodRequest) -> Result<Result<Pod, Error>, Fault> {
    let until = Instant::now() + request.patience;
    let (mut backoff, mut again) = (RETRY_BACKOFF, false);
    loop {
        // Without an answer, or with one that only says that the server failed, it may have been made all the same:
        // then it is ours to use and to delete.
        let (status, after) = match with_timeout(&request.cluster, post(client, api, pod)).await {
            Ok(Ok(Ok(stored))) => return Ok(Ok(stored)),
            Ok(Ok(Err((status, after)))) => (status, after),
            Ok(Err(error)) => return Ok(find_stored(api, pod).await.ok_or(error)),
            Err(timed_out) => return find_stored(api, pod).await.map(Ok).ok_or(timed_out),
        };
        // That there is one of this name already is an earlier try's doing, or somebody else's.
        let exists = status.code == 409 && status.reason == "AlreadyExists";
        if (status.code >= 500 || (exists && again))
            && let Some(stored) = find_stored(api, pod).await
        {
            return Ok(Ok(stored));
        }
        let wait = after.unwrap_or_else(|| backoff.next_pause());
        // 409 else: others count against the same quota at the same time.
        let passes = status.code == 429 || status.code >= 500 || (status.code == 409 && !exists);
        if !passes || Instant::now() + wait >= until {
            return Ok(Err(Error::Api(Box::new(status))));
        }
        sleep(wait).await;
        again = true;
    }
}

/// The server's refusal of a pod, with its `Retry-After`.
type Refusal = (Status, Option<Duration>);

/// Sends one request to store a pod.
async fn post(client: &Client, api: &Api<Pod>, pod: &Pod) -> Result<Result<Pod, Refusal>, Error> {
    let bytes = serde_json::to_vec(pod).map_err(Error::SerdeError)?;
    let asked = kube::core::Request::new(api.resource_url()).create(&PostParams::default(), bytes);
    let answer = client.send(asked.map_err(Error::BuildRequest)?.map(Body::from)).await?;
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await?.to_bytes();
    if head.status.is_success() {
        return serde_json::from_slice(&bytes).map(Ok).map_err(Error::SerdeError);
    }
    // A server that is busy, or a gateway, answers in plain text.
    let status = serde_json::from_slice(&bytes).unwrap_or_else(|_| Status {
        code: head.status.as_u16(),
        message: String::from_utf8_lossy(&bytes).trim().to_owned(),
        ..Status::default()
    });
    Ok(Err((status, retry_after(&head.headers))))
}

/// Returns the pod if it was stored.
async fn find_stored(api: &Api<Pod>, pod: &Pod) -> Option<Pod> {
    let name = pod.metadata.name.as_deref()?;
    let found = timeout(LOOKUP_TIMEOUT, api.get_opt(name)).await.ok()?.ok()??;
    let nonce = |pod: &Pod| pod.metadata.annotations.as_ref()?.get(NONCE).cloned();
    (nonce(&found) == nonce(pod)).then_some(found)
}

/// Waits until a pod is ready, and returns it as it is then.
///
/// # Errors
/// The reason why it will not be ready, or was not within a minute.
pub async fn until_ready(clusters: &Clusters, pod: &ProxyPod) -> Result<ProxyPod, Fault> {
    let client = clusters.client(&pod.key.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client, &pod.key.namespace);
    let end = Instant::now() + READY_TIMEOUT;
    let mut last = pod.clone();
    while Instant::now() < end {
        let now = with_timeout(&pod.key.cluster, api.get(&pod.key.name)).await?;
        let now = now.map_err(|error| object_fault(&pod.key.cluster, &pod.key.name, &error, None))?;
        last = project(&pod.key.cluster, &now).unwrap_or(last);
        match (&last.fault, last.phase) {
            (Some(fault), _) => return Err(fault.clone()),
            (None, Phase::Ready) => return Ok(last),
            (None, Phase::Terminating | Phase::Expired | Phase::Succeeded | Phase::Failed) => {
                return Err(Fault::new(What::PodFailed, &pod.key.name, ""));
            }
            (None, Phase::Creating | Phase::Pending | Phase::Pulling | Phase::Starting) => sleep(POLL_INTERVAL).await,
        }
    }
    Err(Fault::new(What::TimedOut, &pod.key.name, format!("not ready within {} s", READY_TIMEOUT.as_secs())))
}

/// Returns the uid of the current pod of this name, unless it is being deleted. It is listed, not fetched: users of
/// proxy pods may list them, or they would see none.
///
/// # Errors
/// The server's refusal, or that it does not answer.
pub async fn uid_of(clusters: &Clusters, key: &PodKey) -> Result<Option<String>, Fault> {
    find_uid(clusters, key, "").await
}

/// Returns whether the pod with this uid runs, and is not being deleted.
///
/// # Errors
/// As [`uid_of`].
pub async fn runs(clusters: &Clusters, key: &PodKey, uid: &str) -> Result<bool, Fault> {
    Ok(find_uid(clusters, key, ",status.phase=Running").await?.is_some_and(|found| found == uid))
}

async fn find_uid(clusters: &Clusters, key: &PodKey, more: &str) -> Result<Option<String>, Fault> {
    let client = clusters.client(&key.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client, &key.namespace);
    let params = ListParams::default().fields(&format!("metadata.name={}{more}", key.name));
    let found = with_timeout(&key.cluster, api.list_metadata(&params)).await?;
    let asked = || grant("list", "pods", Some(&key.namespace));
    let found = found.map_err(|error| object_fault(&key.cluster, &key.name, &error, Some(asked())))?;
    let stays = found.items.into_iter().map(|pod| pod.metadata).find(|pod| pod.deletion_timestamp.is_none());
    Ok(stays.and_then(|pod| pod.uid))
}

/// Deletes a pod, if it still has this uid. One that is gone, or replaced by another of its name, counts as deleted.
///
/// # Errors
/// The server's refusal, or that it cannot be reached, after some retries of a conflict, and one of a lost connection.
pub async fn delete(clusters: &Clusters, key: &PodKey, uid: &str) -> Result<(), Fault> {
    let client = clusters.client(&key.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client, &key.namespace);
    let same = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(same), ..DeleteParams::default() }.grace_period(1);
    let (mut backoff, mut tries) = (RETRY_BACKOFF, 0);
    loop {
        tries += 1;
        let error = match timeout(REQUEST_TIMEOUT, api.delete(&key.name, &params)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => return Err(timed_out(&key.cluster)),
        };
        match &error {
            Error::Api(status) if status.code == 404 => return Ok(()),
            Error::Api(status) if status.code == 409 => {
                // A failed precondition is a conflict too: then there is another pod of that name now.
                let now = api.get_metadata_opt(&key.name).await.ok().flatten();
                if now.is_none_or(|now| now.metadata.uid.as_deref() != Some(uid)) {
                    return Ok(());
                }
            }
            // If the answer was lost, the pod may be deleted already, and to ask again is safe.
            Error::HyperError(_) | Error::Service(_) if tries == 1 => {}
            _ => tries = MAX_TRIES,
        }
        if tries < MAX_TRIES {
            sleep(backoff.next_pause()).await;
            continue;
        }
        return Err(object_fault(&key.cluster, &key.name, &error, Some(grant("delete", "pods", Some(&key.namespace)))));
    }
}

/// Waits for an answer of the API server, up to [`REQUEST_TIMEOUT`].
pub(super) async fn with_timeout<T>(cluster: &str, answer: impl Future<Output = T>) -> Result<T, Fault> {
    timeout(REQUEST_TIMEOUT, answer).await.map_err(|_| timed_out(cluster))
}

fn timed_out(cluster: &str) -> Fault {
    Fault::new(What::TimedOut, cluster, format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_pod_that_is_being_deleted_has_no_uid() {
        let dir = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kubeconfig = dir.path().join("kubeconfig");
        let config = serde_json::json!({
            "clusters": [{ "name": "dev", "cluster": { "server": format!("http://{}", listener.local_addr().unwrap()) } }],
            "users": [{ "name": "ann", "user": {} }],
            "contexts": [{ "name": "dev", "context": { "cluster": "dev", "user": "ann" } }],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let (clusters, _) = Clusters::read(Some(&kubeconfig)).unwrap();
        let key = PodKey { cluster: "dev".to_owned(), namespace: "team".to_owned(), name: "p".to_owned() };
        for (deleted, uid) in [(None, Some("u".to_owned())), (Some("2026-01-02T12:00:00Z"), None)] {
            let list = serde_json::json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
                "items": [{ "metadata": { "name": "p", "uid": "u", "deletionTimestamp": deleted } }],
            })
            .to_string();
            let answering = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let length = list.len();
                let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{list}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let (found, ()) = tokio::join!(uid_of(&clusters, &key), answering);
            assert_eq!(found.unwrap(), uid);
        }
    }

    #[test]
    fn a_namespace_that_demands_a_limit_of_cpu_is_understood() {
        for message in [
            "pods \"a\" is forbidden: failed quota: compute: must specify limits.cpu",
            "pods \"a\" is forbidden: failed quota: compute: must specify limits.cpu,limits.memory",
            "failed quota: compute: must specify requests.cpu for: relay; limits.cpu for: relay",
            "pods \"a\" is forbidden: maximum cpu usage per Pod is 2, but no limit is specified",
        ] {
            assert!(demands_cpu_limit(message), "{message}");
        }
        for message in [
            "failed quota: q: must specify limits.memory",
            "exceeded quota: q, requested: limits.cpu=1, limited: limits.cpu=1",
            "maximum cpu usage per Container is 500m, but limit is 1",
            "maximum ephemeral-storage usage per Pod is 1Gi, but no limit is specified",
        ] {
            assert!(!demands_cpu_limit(message), "{message}");
        }
    }
}
