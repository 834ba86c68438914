//! Finds a cluster's Prometheus: by services that look like one, all of which are tried at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ListParams, ObjectList};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::candidate::{self, Candidate, NAMES, NAMESPACES, SELECTORS};
use super::response;
use super::server::Server;
use crate::cluster::{self, Clusters, grant};
use brow_model::fault::{Fault, What};
use brow_model::measuring::NotFound;
use brow_model::metrics::{Prometheus, ServiceRef, Way};
use kube_tunnel::Tunnels;

/// The longest search.
const FIND_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest wait for a candidate's answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The most services that are tried.
const MAX_CANDIDATES: usize = 16;

/// The most objects of an answer.
const MAX_OBJECTS: u32 = 500;

/// The most bytes of the list of what was tried.
const MAX_TRIED: usize = 600;

/// The path by which all compatible servers tell what they are.
const BUILD_INFO: &str = "/api/v1/status/buildinfo";

/// Finds a cluster's Prometheus.
///
/// # Errors
/// Nothing that looks like one answers as one.
pub async fn find(clusters: &Clusters, cluster: &str, namespaces: &BTreeSet<String>) -> Result<Prometheus, NotFound> {
    let late = |_| {
        let tried = format!("no answer within {} s", FIND_TIMEOUT.as_secs());
        Err(NotFound { tried, refused: None })
    };
    timeout(FIND_TIMEOUT, search(clusters, cluster, namespaces)).await.unwrap_or_else(late)
}

async fn search(clusters: &Clusters, cluster: &str, namespaces: &BTreeSet<String>) -> Result<Prometheus, NotFound> {
    let not_found = |fault: Fault| NotFound { tried: fault.detail.clone(), refused: Some(fault) };
    let client = clusters.client(cluster).await.map_err(not_found)?;
    let (services, refused) = services(&client, cluster, namespaces).await;
    let mut found: Vec<(Candidate, Service)> =
        services.into_values().filter_map(|service| Some((candidate::candidate(&service)?, service))).collect();
    found.sort_by(|(one, _), (other, _)| (one.rank, &one.service).cmp(&(other.rank, &other.service)));
    found.truncate(MAX_CANDIDATES);
    let tunnels = Tunnels::new(client.clone(), None);
    let ways = ways(&client, &found).await;
    let probes = ways.iter().map(|(candidate, way)| probe(clusters, cluster, &tunnels, candidate, way));
    let outcomes = join_all(probes).await;
    let tried = || ways.iter().zip(&outcomes);
    let best =
        tried().filter(|(_, outcome)| outcome.is_ok()).min_by_key(|((candidate, way), _)| (way.rank(), candidate.rank));
    if let Some(((candidate, way), _)) = best {
        return Ok(Prometheus { way: way.clone(), service: Some(candidate.service.clone()) });
    }
    let told = tried().filter_map(|((candidate, way), outcome)| Some((candidate, way, outcome.as_ref().err()?)));
    let told: Vec<String> = told.map(|(candidate, way, why)| line(&candidate.service, way, why)).collect();
    let tls = found.iter().filter(|(candidate, _)| candidate.tls && ways.iter().all(|(other, _)| *other != candidate));
    let told = told.into_iter().chain(tls.map(|(candidate, _)| format!("{}: it expects TLS", candidate.service)));
    let mut tried = told.collect::<Vec<_>>().join("; ");
    if tried.is_empty() {
        tried = refused.as_ref().map(|fault| fault.detail.clone()).unwrap_or_default();
    }
    tried.truncate(tried.floor_char_boundary(MAX_TRIED));
    Err(NotFound { tried, refused })
}

fn line(service: &ServiceRef, way: &Way, why: &str) -> String {
    let at = way.endpoint().map(|at| format!(" {at}")).unwrap_or_default();
    format!("{service} ({}{at}): {why}", way.name())
}

/// Services by namespace and name.
type Services = BTreeMap<(String, String), Service>;

/// Lists the services that may be a Prometheus: by labels and names in all namespaces, or where that is not allowed all
/// of some namespaces.
async fn services(client: &Client, cluster: &str, namespaces: &BTreeSet<String>) -> (Services, Option<Fault>) {
    let all: Api<Service> = Api::all(client.clone());
    let labels = SELECTORS.iter().map(|selector| ListParams::default().labels(selector));
    let names = NAMES.iter().map(|name| ListParams::default().fields(&format!("metadata.name={name}")));
    let asked: Vec<ListParams> = labels.chain(names).map(|params| params.limit(MAX_OBJECTS)).collect();
    let listed = join_all(asked.iter().map(|params| all.list(params))).await;
    let mut found = Services::new();
    let mut refused = keep(&mut found, cluster, listed);
    if refused.as_ref().is_some_and(|fault| fault.what == What::Forbidden) && found.is_empty() {
        let known = namespaces.iter().map(String::as_str).chain(NAMESPACES);
        let params = ListParams::default().limit(MAX_OBJECTS);
        let known = known.collect::<BTreeSet<_>>().into_iter().map(|namespace| {
            let one: Api<Service> = Api::namespaced(client.clone(), namespace);
            let params = params.clone();
            async move { one.list(&params).await }
        });
        // A person who asks for a right asks for that on all namespaces.
        let _narrower = keep(&mut found, cluster, join_all(known).await);
        refused = refused.filter(|_| found.is_empty());
    }
    (found, refused)
}

/// Keeps what was listed. Returns the first refusal.
fn keep(found: &mut Services, cluster: &str, listed: Vec<Result<ObjectList<Service>, kube::Error>>) -> Option<Fault> {
    let mut refused = None;
    for list in listed {
        match list {
            Ok(list) => {
                for service in list.items {
                    let meta = &service.metadata;
                    let key = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
                    found.insert(key, service);
                }
            }
            Err(error) => {
                let right = grant("list", "services", None);
                refused.get_or_insert_with(|| cluster::fault(cluster, &error, Some(right)).1);
            }
        }
    }
    refused
}

/// Returns all ways to the candidates. What may not be listed is left out.
async fn ways<'a>(client: &Client, found: &'a [(Candidate, Service)]) -> Vec<(&'a Candidate, Way)> {
    let has_node_port = |(candidate, service): &(Candidate, Service)| {
        let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
        ports.into_iter().any(|port| port.port == i32::from(candidate.service.port) && port.node_port.is_some())
    };
    let nodes = async {
        if !found.iter().any(has_node_port) {
            return Vec::new();
        }
        let nodes: Api<Node> = Api::all(client.clone());
        nodes.list(&ListParams::default().limit(5)).await.map(|list| list.items).unwrap_or_default()
    };
    let places: BTreeSet<&str> = found.iter().map(|(candidate, _)| candidate.service.namespace.as_str()).collect();
    let ingresses = join_all(places.into_iter().map(|namespace| objects::<Ingress>(client, namespace)));
    let (nodes, ingresses) = tokio::join!(nodes, ingresses);
    let ingresses: Vec<Ingress> = ingresses.into_iter().flatten().collect();
    let of_one = |(candidate, service): &'a (Candidate, Service)| {
        let through = ingresses.iter().filter_map(|ingress| candidate::through(candidate, ingress));
        let ways: Vec<Way> = through.chain(candidate::ways(candidate, service, &nodes)).collect();
        ways.into_iter().map(move |way| (candidate, way))
    };
    found.iter().flat_map(of_one).collect()
}

/// Lists the objects of a kind in a namespace, if that is allowed.
async fn objects<K>(client: &Client, namespace: &str) -> Vec<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.list(&ListParams::default().limit(MAX_OBJECTS)).await.map(|list| list.items).unwrap_or_default()
}

/// Asks a candidate what it is.
async fn probe(
    clusters: &Clusters,
    cluster: &str,
    tunnels: &Tunnels,
    candidate: &Candidate,
    way: &Way,
) -> Result<(), String> {
    let server = match way {
        Way::Tunnel(path) => Server::tunnel(clusters, cluster, tunnels, &candidate.service, path).await?,
        Way::Config(_) | Way::LoadBalancer(_) | Way::Ingress(_) | Way::NodePort(_) => {
            Server::open(clusters, cluster, &Prometheus { way: way.clone(), service: None }).await?
        }
    };
    let body = server.get_within(BUILD_INFO, PROBE_TIMEOUT).await?;
    if response::is_build(&body) { Ok(()) } else { Err("it is no Prometheus".to_owned()) }
}
