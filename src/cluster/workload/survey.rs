//! A workload, and what is behind it, looked up once.

use k8s_openapi::api::core::v1::{Endpoints, Pod, ServicePort, ServiceSpec};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};

use super::discovery::DiscoveredKind;
use super::query::Query;
use super::selection::{self, PodSelector};
use super::{pick, pods};
use crate::cluster::{Clusters, fault, grant};
use brow_model::address::Transport;
use brow_model::fault::{Fault, What};
use brow_model::workload::{Kind, Port};

/// A workload as it is now.
#[derive(Debug, Clone)]
pub struct Survey {
    pub service: Option<ServiceSpec>,
    pub behind: Result<Behind, Fault>,
}

/// The destinations behind a workload.
#[derive(Debug, Clone)]
pub enum Behind {
    Pods(Vec<Pod>),
    /// The endpoints of a service that selects no pods.
    Addresses {
        ready: usize,
        all: usize,
    },
    /// A name outside the cluster.
    External(String),
}

/// Looks a workload up. Its port means nothing here.
///
/// # Errors
/// Nothing of that name, a missing right to read it, or no answer.
pub async fn survey(clusters: &Clusters, query: &Query) -> Result<Survey, Fault> {
    let client = clusters.client(&query.cluster).await?;
    if let Some(selector) = selection::of_pods(&query.workload) {
        let found = pods_of(&client, query, &selector).await?;
        if found.is_empty() && query.workload.kind == Kind::Pod {
            let api: Api<Pod> = Api::namespaced(client, &query.namespace);
            return Err(pick::missing(&api, query).await);
        }
        return Ok(Survey { service: None, behind: Ok(Behind::Pods(found)) });
    }
    let (found, api, object) = pick::object(&client, query).await?;
    if query.workload.kind == Kind::Service {
        let service = selection::service(&object);
        return Ok(Survey { behind: behind_service(&client, query, &service).await, service: Some(service) });
    }
    Ok(Survey { service: None, behind: behind_object(&client, query, &found, &api, &object).await })
}

async fn behind_object(
    client: &Client,
    query: &Query,
    found: &DiscoveredKind,
    api: &Api<DynamicObject>,
    object: &DynamicObject,
) -> Result<Behind, Fault> {
    let selector = pick::selector_of(query, found, api, object).await?;
    pods_of(client, query, &selector).await.map(Behind::Pods)
}

async fn behind_service(client: &Client, query: &Query, service: &ServiceSpec) -> Result<Behind, Fault> {
    if service.type_.as_deref() == Some("ExternalName") {
        return Ok(Behind::External(service.external_name.clone().unwrap_or_default()));
    }
    let labels: Vec<String> = service.selector.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    if !labels.is_empty() {
        return pods_of(client, query, &PodSelector::Labels(labels.join(","))).await.map(Behind::Pods);
    }
    let api: Api<Endpoints> = Api::namespaced(client.clone(), &query.namespace);
    let named = ListParams::default().fields(&format!("metadata.name={}", query.workload.name));
    let listed = api.list(&named).await.map_err(|error| refused(query, "endpoints", &error))?;
    let subsets = || listed.items.iter().flat_map(|at| at.subsets.iter().flatten());
    let ready = subsets().map(|subset| subset.addresses.iter().flatten().count()).sum();
    let waiting: usize = subsets().map(|subset| subset.not_ready_addresses.iter().flatten().count()).sum();
    Ok(Behind::Addresses { ready, all: ready + waiting })
}

/// Lists the pods that a selector finds: whoever may list them need not have the right to get one.
async fn pods_of(client: &Client, query: &Query, selector: &PodSelector) -> Result<Vec<Pod>, Fault> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &query.namespace);
    let params = match selector {
        PodSelector::Labels(labels) => ListParams::default().labels(labels),
        PodSelector::Named(name) => ListParams::default().fields(&format!("metadata.name={name}")),
    };
    let listed = api.list(&params.limit(pick::MAX_PODS)).await;
    Ok(listed.map_err(|error| refused(query, "pods", &error))?.items)
}

fn refused(query: &Query, resource: &str, error: &kube::Error) -> Fault {
    fault(&query.cluster, error, Some(grant("list", resource, Some(&query.namespace)))).1
}

/// Returns true if a pod runs and is not about to end.
pub fn is_running(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

/// Returns true if a pod runs and is ready.
pub fn is_ready(pod: &Pod) -> bool {
    is_running(pod) && pods::is_ready(pod)
}

/// Returns the fault if no pod of a workload is ready: why none runs, or that those that run are not ready.
pub fn none_ready(query: &Query, found: &[Pod]) -> Fault {
    let unready: Vec<String> = found.iter().filter(|pod| is_running(pod)).map(pods::name).collect();
    if unready.is_empty() {
        return pods::none_runs(query, found);
    }
    Fault::new(What::NotReady, thing(query), unready.join(", "))
}

/// Returns the name of a workload for messages, without a port.
pub fn thing(query: &Query) -> String {
    format!("{}/{}", query.workload.kind, query.workload.name)
}

/// Returns the number of a port in a pod; without a port that of the first that a container declares.
///
/// # Errors
/// The names of the pod's ports, if that one is not among them.
pub fn port_in(pod: &Pod, port: Option<&Port>) -> Result<u16, Vec<String>> {
    port_by(pod, port, Transport::Tcp)
}

/// Returns the number of a port in a pod, as [`port_in`], by a transport.
///
/// # Errors
/// As [`port_in`].
pub fn port_by(pod: &Pod, port: Option<&Port>, transport: Transport) -> Result<u16, Vec<String>> {
    if let Some(port) = port {
        return selection::port_by(pod, port, transport);
    }
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut declared = containers.flat_map(|container| container.ports.iter().flatten());
    declared.find_map(|port| u16::try_from(port.container_port).ok()).ok_or_else(Vec::new)
}

/// Returns a service's port, without one its first, as the number in the service and the port in its pods.
///
/// # Errors
/// The ports that it has, if that one is not among them.
pub fn service_port(query: &Query, service: &ServiceSpec, port: Option<&Port>) -> Result<(u16, Port), Fault> {
    port_of_service(query, service, port, |_| true)
}

/// Returns a service's port, as [`service_port`], by a transport.
///
/// # Errors
/// As [`service_port`].
pub fn service_port_by(
    query: &Query,
    service: &ServiceSpec,
    port: Option<&Port>,
    transport: Transport,
) -> Result<(u16, Port), Fault> {
    port_of_service(query, service, port, |known| selection::is_by(known.protocol.as_deref(), transport))
}

fn port_of_service(
    query: &Query,
    service: &ServiceSpec,
    port: Option<&Port>,
    is_meant: impl Fn(&ServicePort) -> bool,
) -> Result<(u16, Port), Fault> {
    let ports = service.ports.as_deref().unwrap_or_default();
    let wanted = |known: &&ServicePort| is_meant(known) && port.is_none_or(|port| selection::is_port(known, port));
    let found = ports.iter().find(wanted).ok_or_else(|| {
        let known: Vec<String> = ports.iter().map(selection::shown).collect();
        Fault::new(
            What::PortMissing,
            port.map_or_else(|| thing(query), |port| format!("{}:{port}", thing(query))),
            known.join(", "),
        )
    })?;
    let number = u16::try_from(found.port).unwrap_or_default();
    Ok((number, selection::target_port(found, &query.workload)?))
}

/// Returns true if a fault says that there is no such workload.
pub fn is_missing(fault: &Fault) -> bool {
    matches!(fault.what, What::WorkloadMissing | What::KindMissing | What::NamespaceMissing)
}
