//! The endpoints of a service that selects no pods: `EndpointSlices`, or Endpoints where the server has no others.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use super::pods::MAX_PODS;
use super::query::ClusterAccess;
use super::report::BackendReporter;
use super::{object, selection};
use crate::cluster::Watch;
use brow_model::address::Address;
use brow_model::fault::{Fault, What};

/// The label with the service that a slice belongs to (`k8s.io/api/discovery/v1`, `LabelServiceName`).
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// An address, and whether it is ready.
type Endpoint = (Address, bool);

/// Follows the endpoints and reports the one to use. Never completes. `port` is the port's name, as in the service.
pub(super) async fn follow(access: &ClusterAccess, port: Option<&str>, reporter: &mut BackendReporter) {
    let (namespace, name) = (reporter.query.namespace.clone(), reporter.query.workload.name.clone());
    let slices: Api<EndpointSlice> = Api::namespaced(access.client(), &namespace);
    let config = watcher::Config::default().labels(&format!("{SERVICE_NAME_LABEL}={name}"));
    let stream = access.watch(&reporter.query, slices, config);
    watch(stream, "endpointslices.discovery.k8s.io", reporter, |slice| of_slice(slice, port)).await;
    // Servers before 1.21 have slices of this version not at all.
    let endpoints: Api<Endpoints> = Api::namespaced(access.client(), &namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let stream = access.watch(&reporter.query, endpoints, config);
    watch(stream, "endpoints", reporter, |endpoints| of_endpoints(endpoints, port)).await;
}

/// Watches objects that hold endpoints. Ends only where the server does not know them.
async fn watch<K>(
    mut stream: Watch<K>,
    resource: &str,
    reporter: &mut BackendReporter,
    addresses: impl Fn(&K) -> Vec<Endpoint>,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut known: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    let mut listing = BTreeMap::new();
    let mut now: Option<Address> = None;
    let mut until = Some(Instant::now() + reporter.query.workload.patience());
    loop {
        let next = tokio::select! {
            next = stream.next() => next,
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                until = None;
                let fault = Fault::new(What::NoPodRuns, reporter.query.workload.to_string(), "it has no endpoints");
                reporter.no_backend(fault).await;
                continue;
            }
        };
        match next {
            Ok(watcher::Event::Init) => listing.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                if listing.len() < MAX_PODS {
                    listing.insert(object.name_any(), addresses(&object));
                }
            }
            Ok(watcher::Event::InitDone) => known = std::mem::take(&mut listing),
            Ok(watcher::Event::Apply(object)) if known.len() >= MAX_PODS && !known.contains_key(&object.name_any()) => {
            }
            Ok(watcher::Event::Apply(object)) => {
                known.insert(object.name_any(), addresses(&object));
            }
            Ok(watcher::Event::Delete(object)) => {
                known.remove(&object.name_any());
            }
            Err(error) => {
                if is_unknown(&error) {
                    return;
                }
                if let Some(problem) = object::problem(&reporter.query, resource, &error) {
                    until = None;
                    reporter.problem(problem).await;
                }
                continue;
            }
        }
        if let Some(address) = choose(known.values().flatten(), now.as_ref()) {
            until = None;
            reporter.relay(address.clone()).await;
            now = Some(address);
        }
    }
}

/// Returns true if the server has no such kind.
fn is_unknown(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// Chooses an address: the current one, if none is better, else the first that is ready.
fn choose<'a>(known: impl Iterator<Item = &'a Endpoint>, now: Option<&Address>) -> Option<Address> {
    let best = known.min_by_key(|(address, ready)| (!*ready, now != Some(address), address.clone()));
    best.map(|(address, _)| address.clone())
}

fn of_slice(slice: &EndpointSlice, port: Option<&str>) -> Vec<Endpoint> {
    let ports = slice.ports.iter().flatten();
    let mut ports = ports.filter(|known| known.name.as_deref().unwrap_or_default() == port.unwrap_or_default());
    let Some(number) = ports.find_map(|port| u16::try_from(port.port?).ok()) else {
        return Vec::new();
    };
    let known = slice.endpoints.iter().flatten().flat_map(|endpoint| {
        // An unknown state counts as ready (`EndpointConditions` in `discovery/v1`).
        let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
        endpoint.addresses.iter().filter_map(move |ip| Some((selection::address(ip, number)?, ready)))
    });
    known.collect()
}

fn of_endpoints(endpoints: &Endpoints, port: Option<&str>) -> Vec<Endpoint> {
    let known = endpoints.subsets.iter().flatten().flat_map(|subset| {
        let ports = subset.ports.iter().flatten();
        let mut ports = ports.filter(|known| known.name.as_deref().unwrap_or_default() == port.unwrap_or_default());
        let number = ports.find_map(|port| u16::try_from(port.port).ok());
        let ready = subset.addresses.iter().flatten().map(|address| (&address.ip, true));
        let not = subset.not_ready_addresses.iter().flatten().map(|address| (&address.ip, false));
        ready.chain(not).filter_map(move |(ip, ready)| Some((selection::address(ip, number?)?, ready)))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(known: &[Endpoint]) -> Vec<String> {
        known.iter().map(|(address, ready)| format!("{address} {ready}")).collect()
    }

    #[test]
    fn slices_and_endpoints_say_the_same() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": { "name": "db-1" }, "addressType": "IPv4",
            "ports": [{ "name": "admin", "port": 81 }, { "name": "sql", "port": 5432 }],
            "endpoints": [
                { "addresses": ["10.0.0.1"], "conditions": { "ready": false } },
                { "addresses": ["10.0.0.2"] },
            ],
        }))
        .unwrap();
        assert_eq!(shown(&of_slice(&slice, Some("sql"))), ["10.0.0.1:5432 false", "10.0.0.2:5432 true"]);
        assert_eq!(shown(&of_slice(&slice, None)), Vec::<String>::new());
        let endpoints: Endpoints = serde_json::from_value(json!({
            "metadata": { "name": "db" },
            "subsets": [{
                "addresses": [{ "ip": "10.0.0.2" }], "notReadyAddresses": [{ "ip": "fd00::1" }],
                "ports": [{ "port": 5432 }],
            }],
        }))
        .unwrap();
        assert_eq!(shown(&of_endpoints(&endpoints, None)), ["10.0.0.2:5432 true", "[fd00::1]:5432 false"]);
        assert_eq!(shown(&of_endpoints(&endpoints, Some("sql"))), Vec::<String>::new());
    }

    #[test]
    fn an_endpoint_is_kept_while_it_is_as_good_as_any() {
        let at = |text: &str, ready| (text.parse::<Address>().unwrap(), ready);
        let (a, b) = (at("10.0.0.1:1", true), at("10.0.0.2:1", true));
        assert_eq!(choose([&b, &a].into_iter(), None), Some(a.0.clone()));
        assert_eq!(choose([&a, &b].into_iter(), Some(&b.0)), Some(b.0.clone()));
        assert_eq!(choose([&a, &at("10.0.0.2:1", false)].into_iter(), Some(&b.0)), Some(a.0));
        assert_eq!(choose([].into_iter(), Some(&b.0)), None);
    }
}
