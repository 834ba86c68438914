//! Making and unmaking proxy pods.

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
use super::{Birth, NONCE, project, spec};
use crate::cluster::{Clusters, fault, grant, retry_after};
use brow_model::fault::{Fault, What};
use brow_model::installation::Identity;
use brow_model::proxy::{PodKey, PodRequest, ProxyPod};
use kube_tunnel::Backoff;

/// The timeout of a request to the API server.
const PATIENCE: Duration = Duration::from_secs(15);
/// The timeout of the request that looks whether a pod was stored after all.
const LOOK: Duration = Duration::from_secs(5);
/// The pauses before a pod is asked for again where the server does not say how long.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(5));
/// The number of retries of a deletion that met a conflict.
const TRIES: u32 = 5;

/// Creates the pod that a request asks for, and returns it as stored.
///
/// # Errors
/// What the server says: no right (with the right that is missing), quota, Pod Security, another admission plugin, a
/// missing namespace, an invalid setting; or that it cannot be reached.
pub async fn create(
    clusters: &Clusters,
    request: &PodRequest,
    me: &Identity,
    birth: &Birth,
) -> Result<ProxyPod, Fault> {
    let client = clusters.client(&request.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client.clone(), &request.namespace);
    let mut pod = spec(request, me, birth, Utc::now());
    let place = format!("{}/{}", request.cluster, request.namespace);
    let mut asked = store(&client, &api, &pod, request).await?;
    if let Err(error) = &asked
        && asks_for_cpu_limit(error)
        && limit_cpu(&mut pod)
    {
        asked = store(&client, &api, &pod, request).await?;
    }
    let stored = asked.map_err(|error| {
        let (_, fault) = fault(&request.target, &error, Some(grant("create", "pods", Some(&request.namespace))));
        match fault.what {
            What::NamespaceMissing => Fault { thing: place.clone(), ..fault },
            What::Unauthorized
            | What::PluginFailed
            | What::Unreachable
            | What::TimedOut
            | What::Tls
            | What::ApiProxy => Fault { thing: request.cluster.clone(), ..fault },
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

/// A quota says `failed quota: compute: must specify limits.cpu,limits.memory`, newer servers name containers, too:
/// `must specify limits.cpu for: relay; limits.memory for: relay`. A limit range says `maximum cpu usage per Pod is 2,
/// but no limit is specified`.
fn demands_cpu_limit(message: &str) -> bool {
    let demanded = message.split_once("must specify ").map_or("", |(_, demanded)| demanded);
    let of_range = |clause: &str| clause.starts_with("cpu usage per ") && clause.contains("no limit is specified");
    demanded.split([',', ';', ' ']).any(|word| word == "limits.cpu") || message.split("maximum ").any(of_range)
}

/// Gives the relay a limit of CPU, unless it has one.
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

/// Has a pod stored, for as long as the request says: its name is used by nobody else, so it may be asked for again.
/// The pod as stored, or the server's last word.
///
/// # Errors
/// Where the server does not answer.
async fn store(client: &Client, api: &Api<Pod>, pod: &Pod, request: &PodRequest) -> Result<Result<Pod, Error>, Fault> {
    let until = Instant::now() + request.patience;
    let (mut backoff, mut again) = (PAUSES, false);
    loop {
        // Without an answer, or with one that only says that the server failed, it may have been made all the same:
        // then it is ours to use and to delete.
        let (status, after) = match within(&request.cluster, post(client, api, pod)).await {
            Ok(Ok(Ok(stored))) => return Ok(Ok(stored)),
            Ok(Ok(Err((status, after)))) => (status, after),
            Ok(Err(error)) => return Ok(look(api, pod).await.ok_or(error)),
            Err(slow) => return look(api, pod).await.map(Ok).ok_or(slow),
        };
        // That there is one of this name already is an earlier try's doing, or somebody else's.
        let exists = status.code == 409 && status.reason == "AlreadyExists";
        if (status.code >= 500 || (exists && again))
            && let Some(stored) = look(api, pod).await
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

/// Asks once for a pod to be stored.
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

/// A pod that was to be stored, if it was.
async fn look(api: &Api<Pod>, pod: &Pod) -> Option<Pod> {
    let name = pod.metadata.name.as_deref()?;
    let found = timeout(LOOK, api.get_opt(name)).await.ok()?.ok()??;
    let nonce = |pod: &Pod| pod.metadata.annotations.as_ref()?.get(NONCE).cloned();
    (nonce(&found) == nonce(pod)).then_some(found)
}

/// Returns the uid of the pod of this name as it is now, if there is one that is not being deleted. It is listed, not
/// got: whoever uses proxy pods may list them, or would see none.
///
/// # Errors
/// What the server says, or that it does not answer.
pub async fn uid_of(clusters: &Clusters, key: &PodKey) -> Result<Option<String>, Fault> {
    let client = clusters.client(&key.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client, &key.namespace);
    let params = ListParams::default().fields(&format!("metadata.name={}", key.name));
    let found = within(&key.cluster, api.list_metadata(&params)).await?;
    let found = found.map_err(|error| fault(&key.name, &error, Some(grant("list", "pods", Some(&key.namespace)))).1)?;
    let stays = found.items.into_iter().map(|pod| pod.metadata).find(|pod| pod.deletion_timestamp.is_none());
    Ok(stays.and_then(|pod| pod.uid))
}

/// Deletes a pod, if it still has this uid. One that is gone, or replaced by another of its name, counts as deleted.
///
/// # Errors
/// What the server says, after some tries where it met a conflict.
pub async fn delete(clusters: &Clusters, key: &PodKey, uid: &str) -> Result<(), Fault> {
    let client = clusters.client(&key.cluster).await?;
    let api: Api<Pod> = Api::namespaced(client, &key.namespace);
    let same = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(same), ..DeleteParams::default() }.grace_period(1);
    let (mut backoff, mut tries) = (PAUSES, 0);
    loop {
        tries += 1;
        let error = match timeout(PATIENCE, api.delete(&key.name, &params)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => return Err(slow(&key.cluster)),
        };
        match &error {
            Error::Api(status) if status.code == 404 => return Ok(()),
            Error::Api(status) if status.code == 409 => {
                // A failed precondition is a conflict too: then there is another pod of that name now.
                let now = api.get_metadata_opt(&key.name).await.ok().flatten();
                if now.is_none_or(|now| now.metadata.uid.as_deref() != Some(uid)) {
                    return Ok(());
                }
                if tries < TRIES {
                    sleep(backoff.next_pause()).await;
                    continue;
                }
            }
            _ => {}
        }
        return Err(fault(&key.name, &error, Some(grant("delete", "pods", Some(&key.namespace)))).1);
    }
}

/// Waits for an answer of the API server, but not for ever.
pub(super) async fn within<T>(cluster: &str, answer: impl Future<Output = T>) -> Result<T, Fault> {
    timeout(PATIENCE, answer).await.map_err(|_| slow(cluster))
}

fn slow(cluster: &str) -> Fault {
    Fault::new(What::TimedOut, cluster, format!("no answer within {} s", PATIENCE.as_secs()))
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
