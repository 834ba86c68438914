//! What a cluster has that a target could be: services and workloads with their ports. Watched, never asked again and
//! again: in every namespace where that is allowed, else in each that matters by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PodTemplateSpec, Service};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Clusters, fault, grant};
use crate::model::event::{Epoch, Event};
use crate::model::fault::{Fault, What};
use crate::model::found::{Found, FoundEvent, FoundKey, FoundPort, Place};
use crate::model::service::{Signs, recognise};
use crate::model::workload::Kind;

/// Between two tries to get a client.
const PAUSE: Duration = Duration::from_secs(2);
/// Between two tries to look into a place that was refused: rights are granted while people wait for them.
const REFUSED: Duration = Duration::from_secs(15);

/// Looks for everything that has ports, and goes on looking until it is dropped. `namespaces` are those to look into
/// where not all may be looked into at once.
pub async fn browse(
    clusters: Clusters,
    cluster: String,
    epoch: Epoch,
    namespaces: BTreeSet<String>,
    events: mpsc::Sender<Event>,
) {
    // A cluster that does not answer is the probe's to report.
    let client = loop {
        match clusters.client(&cluster).await {
            Ok(client) => break client,
            Err(_) => sleep(PAUSE).await,
        }
    };
    let looker = Looker { client, cluster, epoch, namespaces, events };
    tokio::join!(
        looker.look(Kind::Service, "services", of_service),
        looker
            .look(Kind::Deployment, "deployments.apps", |found: &Deployment| { of_pods(found, &found.spec.template) }),
        looker.look(Kind::StatefulSet, "statefulsets.apps", |found: &StatefulSet| {
            of_pods(found, &found.spec.template)
        }),
        looker.look(Kind::DaemonSet, "daemonsets.apps", |found: &DaemonSet| { of_pods(found, &found.spec.template) }),
    );
}

/// What an object says of its ports, and the labels that go with it.
type Ports = (Vec<FoundPort>, BTreeMap<String, String>);

struct Looker {
    client: Client,
    cluster: String,
    epoch: Epoch,
    namespaces: BTreeSet<String>,
    events: mpsc::Sender<Event>,
}

impl Looker {
    /// Looks for one kind of object.
    async fn look<K>(&self, kind: Kind, resource: &str, ports: impl Fn(&K) -> Ports)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let everywhere = Place { kind: kind.clone(), namespace: None };
        let refused = self.follow(Api::all(self.client.clone()), &everywhere, resource, &ports).await;
        self.tell(FoundEvent::Missing { place: everywhere, fault: refused }).await;
        let looking = self.namespaces.iter().map(|name| {
            let place = Place { kind: kind.clone(), namespace: Some(name.clone()) };
            let ports = &ports;
            async move {
                loop {
                    let api = Api::namespaced(self.client.clone(), name);
                    let refused = self.follow(api, &place, resource, ports).await;
                    self.tell(FoundEvent::Missing { place: place.clone(), fault: refused }).await;
                    sleep(REFUSED).await;
                }
            }
        });
        join_all(looking).await;
    }

    /// Follows a place until it is refused. What fails otherwise is tried again.
    async fn follow<K>(&self, api: Api<K>, place: &Place, resource: &str, ports: &impl Fn(&K) -> Ports) -> Fault
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let mut stream = watcher(api, watcher::Config::default()).default_backoff().boxed();
        let mut listing = Vec::new();
        let found = |object: &K| {
            let (ports, labels) = ports(object);
            Found { key: self.key(&place.kind, object), ports, labels }
        };
        while let Some(next) = stream.next().await {
            let event = match next {
                Ok(watcher::Event::Init) => {
                    listing.clear();
                    continue;
                }
                Ok(watcher::Event::InitApply(object)) => {
                    listing.extend(Some(found(&object)).filter(|found| !found.ports.is_empty()));
                    continue;
                }
                Ok(watcher::Event::InitDone) => {
                    FoundEvent::Listed { place: place.clone(), all: std::mem::take(&mut listing) }
                }
                Ok(watcher::Event::Apply(object)) => FoundEvent::Applied(found(&object)),
                Ok(watcher::Event::Delete(object)) => FoundEvent::Gone(self.key(&place.kind, &object)),
                Err(error) => match self.refusal(&error, place, resource) {
                    Some(fault) => return fault,
                    None => continue,
                },
            };
            self.tell(event).await;
        }
        // Such a stream has no end.
        Fault::new(What::Server, &self.cluster, "")
    }

    /// What stands in the way for as long as nobody grants a right; `None`: it may pass by itself.
    fn refusal(&self, error: &watcher::Error, place: &Place, resource: &str) -> Option<Fault> {
        let of = |error: &kube::Error, verb| {
            fault(&self.cluster, error, Some(grant(verb, resource, place.namespace.as_deref()))).1
        };
        let fault = match error {
            watcher::Error::InitialListFailed(error) => of(error, "list"),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => of(error, "watch"),
            watcher::Error::WatchError(status) => of(&kube::Error::Api(status.clone()), "watch"),
            watcher::Error::NoResourceVersion => return None,
        };
        (fault.what == What::Forbidden).then_some(fault)
    }

    fn key(&self, kind: &Kind, object: &impl Resource<DynamicType = ()>) -> FoundKey {
        FoundKey {
            cluster: self.cluster.clone(),
            namespace: object.namespace().unwrap_or_default(),
            kind: kind.clone(),
            name: object.name_any(),
        }
    }

    async fn tell(&self, event: FoundEvent) {
        let event = Event::Found { cluster: self.cluster.clone(), epoch: self.epoch, event };
        // A loop that has ended wants no news.
        let _ended = self.events.send(event).await;
    }
}

fn of_service(service: &Service) -> Ports {
    let object = service.name_any();
    let spec = service.spec.as_ref();
    let ports = spec.and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
    // An absent protocol is TCP (`ServicePort` in `core/v1`).
    let tcp = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    let port = |port: &k8s_openapi::api::core::v1::ServicePort| {
        let name = port.name.as_deref().unwrap_or_default();
        let protocol = port.app_protocol.as_deref().unwrap_or_default();
        found(port.port, name, protocol, &object, service.labels())
    };
    let selector = spec.and_then(|spec| spec.selector.clone()).unwrap_or_default();
    (tcp.filter_map(port).collect(), selector)
}

fn of_pods(object: &impl Resource<DynamicType = ()>, template: &PodTemplateSpec) -> Ports {
    let name = object.name_any();
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    let telling: BTreeMap<String, String> =
        labels.iter().chain(object.labels()).map(|(key, value)| (key.clone(), value.clone())).collect();
    let containers = template.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let tcp = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    let mut all: Vec<FoundPort> = Vec::new();
    for port in tcp {
        let named = port.name.as_deref().unwrap_or_default();
        let known = |found: &FoundPort| all.iter().any(|other| other.number == found.number);
        if let Some(found) = found(port.container_port, named, "", &name, &telling).filter(|found| !known(found)) {
            all.push(found);
        }
    }
    (all, labels)
}

fn found(
    number: i32,
    name: &str,
    protocol: &str,
    object: &str,
    labels: &BTreeMap<String, String>,
) -> Option<FoundPort> {
    let number = u16::try_from(number).ok().filter(|number| *number != 0)?;
    let service = recognise(&Signs { port: number, name, protocol, object, labels });
    Some(FoundPort { number, name: Some(name.to_owned()).filter(|name| !name.is_empty()), service })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown((ports, labels): &Ports) -> String {
        let port = |port: &FoundPort| {
            let service = port.service.map_or("-", crate::model::service::Service::name);
            format!("{}/{}/{service}", port.number, port.name.as_deref().unwrap_or("-"))
        };
        format!("{} {labels:?}", ports.iter().map(port).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_service_is_its_tcp_ports() {
        let service: Service = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "shop-db", "labels": { "app.kubernetes.io/name": "mysql" } },
            "spec": {
                "selector": { "app": "db" },
                "ports": [
                    { "port": 3306, "name": "main" },
                    { "port": 53, "name": "dns", "protocol": "UDP" },
                    { "port": 9104, "name": "metrics", "protocol": "TCP" },
                    { "port": 7000, "appProtocol": "kubernetes.io/h2c" },
                ],
            },
        }))
        .unwrap();
        assert_eq!(shown(&of_service(&service)), "3306/main/mysql 9104/metrics/http 7000/-/http {\"app\": \"db\"}");
        assert_eq!(shown(&of_service(&Service::default())), " {}");
    }

    #[test]
    fn a_workload_is_the_ports_of_its_containers_each_once() {
        let set: StatefulSet = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "cache" },
            "spec": {
                "selector": {}, "serviceName": "cache",
                "template": {
                    "metadata": { "labels": { "app": "redis" } },
                    "spec": { "containers": [
                        { "name": "a", "ports": [{ "containerPort": 7001 }, { "containerPort": 7002, "protocol": "UDP" }] },
                        { "name": "b", "ports": [{ "containerPort": 7001 }, { "containerPort": 9121, "name": "metrics" }] },
                        { "name": "c" },
                    ] },
                },
            },
        }))
        .unwrap();
        let ports = of_pods(&set, &set.spec.template);
        assert_eq!(shown(&ports), "7001/-/redis 9121/metrics/http {\"app\": \"redis\"}");
        let none = Deployment::default();
        assert_eq!(shown(&of_pods(&none, &none.spec.template)), " {}");
    }
}
