//! The selector of a workload's pods and their port, read from the object.

use k8s_openapi::api::core::v1::{Container, ContainerPort, Pod, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::DynamicObject;
use serde_json::Value;

use brow_model::address::{Address, Host, Transport};
use brow_model::fault::{Fault, What};
use brow_model::workload::{Kind, Port, Workload};

/// The pods of a workload and the port in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    pub pods: PodSelector,
    pub port: Port,
}

/// The way in which pods are selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodSelector {
    Labels(String),
    Named(String),
}

/// The destination of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BackendSource {
    Pods(Selection),
    /// To an address, which a proxy pod reaches.
    Address(Address),
    /// To whatever its endpoints are: the port's name there.
    Endpoints(Option<String>),
}

/// Resolves a workload that is a selector itself.
pub(super) fn fixed(workload: &Workload) -> Option<BackendSource> {
    of_pods(workload).map(|pods| BackendSource::Pods(Selection { pods, port: workload.port.clone() }))
}

/// Returns the selector of a workload that is one itself.
pub(super) fn of_pods(workload: &Workload) -> Option<PodSelector> {
    Some(match workload.kind {
        Kind::Pod => PodSelector::Named(workload.name.clone()),
        Kind::Selector => PodSelector::Labels(workload.name.clone()),
        Kind::Service
        | Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::ReplicaSet
        | Kind::Job
        | Kind::Custom(_) => return None,
    })
}

/// Resolves an object of the cluster.
pub(super) fn of(workload: &Workload, namespace: &str, object: &DynamicObject) -> Result<BackendSource, Fault> {
    if workload.kind == Kind::Service {
        return of_service(workload, namespace, service(object));
    }
    of_labels(workload, labels_of(object))
}

/// Returns the label selector in an object's spec.
pub(super) fn labels_of(object: &DynamicObject) -> Option<String> {
    part(object, &["selector"]).and_then(|selector| written(&selector))
}

/// Resolves a label selector.
pub(super) fn of_labels(workload: &Workload, labels: Option<String>) -> Result<BackendSource, Fault> {
    let pods = by_labels(workload, labels)?;
    Ok(BackendSource::Pods(Selection { pods, port: workload.port.clone() }))
}

/// Checks a label selector: an empty one would take all pods.
pub(super) fn by_labels(workload: &Workload, labels: Option<String>) -> Result<PodSelector, Fault> {
    let labels = labels.filter(|labels| !labels.trim().is_empty());
    labels.map(PodSelector::Labels).ok_or_else(|| Fault::new(What::NoSelector, workload.to_string(), ""))
}

/// Converts a selector to a query, from any form that kinds use: a `LabelSelector`, a table of labels
/// (`ReplicationController`), or text.
fn written(selector: &Value) -> Option<String> {
    if let Some(text) = selector.as_str() {
        return Some(text.to_owned());
    }
    let table = selector.as_object()?;
    if table.values().all(Value::is_string) {
        let equal = table.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
        return Some(equal.collect::<Vec<_>>().join(","));
    }
    serde_json::from_value::<LabelSelector>(selector.clone()).ok().as_ref().map(labels)
}

fn of_service(workload: &Workload, namespace: &str, spec: ServiceSpec) -> Result<BackendSource, Fault> {
    let ports = spec.ports.unwrap_or_default();
    let found = ports.iter().find(|port| is_port(port, &workload.port));
    let missing = || {
        let known: Vec<String> = ports.iter().map(shown).collect();
        Fault::new(What::PortMissing, workload.to_string(), known.join(", "))
    };
    if spec.type_.as_deref() == Some("ExternalName") {
        // Only its name means anything in a cluster; a port need not be listed.
        let number = found.and_then(|port| u16::try_from(port.port).ok());
        let port = number.or(number_of(&workload.port)).ok_or_else(missing)?;
        return at(&spec.external_name.unwrap_or_default(), port, workload);
    }
    let port = found.ok_or_else(missing)?;
    if workload.proxy {
        let number = u16::try_from(port.port).map_err(|_| missing())?;
        return match spec.cluster_ip.filter(|ip| !ip.is_empty() && ip != "None") {
            Some(ip) => at(&ip, number, workload),
            // Of a headless service the name means its pods.
            None => at(&cluster_name(workload, namespace), target_number(port).unwrap_or(number), workload),
        };
    }
    let Some(selector) = spec.selector.filter(|selector| !selector.is_empty()) else {
        return Ok(BackendSource::Endpoints(port.name.clone()));
    };
    let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok(BackendSource::Pods(Selection {
        pods: PodSelector::Labels(labels.join(",")),
        port: target_port(port, workload)?,
    }))
}

/// Returns true if a port of a service is the one that is named.
pub(super) fn is_port(known: &ServicePort, port: &Port) -> bool {
    match port {
        Port::Number(number) => known.port == i32::from(*number),
        Port::Name(name) => known.name.as_ref() == Some(name),
    }
}

/// Reads the spec of a service.
pub(super) fn service(object: &DynamicObject) -> ServiceSpec {
    part(object, &[]).unwrap_or_default()
}

/// Resolves a service that may not be read: by its name, if the port is a number.
pub(super) fn by_name(workload: &Workload, namespace: &str) -> Option<BackendSource> {
    let port = number_of(&workload.port).filter(|_| workload.proxy)?;
    at(&cluster_name(workload, namespace), port, workload).ok()
}

/// The service's name in the cluster's DNS.
fn cluster_name(workload: &Workload, namespace: &str) -> String {
    format!("{}.{namespace}.svc", workload.name)
}

fn number_of(port: &Port) -> Option<u16> {
    match port {
        Port::Number(number) => Some(*number),
        Port::Name(_) => None,
    }
}

fn target_number(port: &ServicePort) -> Option<u16> {
    match port.target_port {
        Some(IntOrString::Int(number)) => u16::try_from(number).ok().filter(|number| *number != 0),
        Some(IntOrString::String(_)) | None => None,
    }
}

fn at(host: &str, port: u16, workload: &Workload) -> Result<BackendSource, Fault> {
    address(host, port)
        .map(BackendSource::Address)
        .ok_or_else(|| Fault::new(What::NoSelector, workload.to_string(), host))
}

/// Parses a host as Kubernetes objects write it: IPv6 without brackets.
pub(super) fn address(host: &str, port: u16) -> Option<Address> {
    let host = host.parse().map(Host::V6).ok().or_else(|| host.parse().ok())?;
    Some(Address { host, port, transport: Transport::Tcp })
}

/// `http (80)`, or `80` for a port without a name.
pub(super) fn shown(port: &ServicePort) -> String {
    let number = port.port;
    port.name.as_ref().map_or_else(|| number.to_string(), |name| format!("{name} ({number})"))
}

/// The port in the pods; absent, it is that of the service (`ServicePort` in `core/v1`).
pub(super) fn target_port(port: &ServicePort, workload: &Workload) -> Result<Port, Fault> {
    let number = |number: i32| u16::try_from(number).ok().filter(|number| *number != 0).map(Port::Number);
    let found = match &port.target_port {
        Some(IntOrString::String(name)) => Some(Port::Name(name.clone())),
        // 0 stands for an absent one.
        Some(IntOrString::Int(0)) | None => number(port.port),
        Some(IntOrString::Int(target)) => number(*target),
    };
    found.ok_or_else(|| Fault::new(What::PortMissing, workload.to_string(), shown(port)))
}

/// Reads a part of an object's spec.
fn part<T: serde::de::DeserializeOwned>(object: &DynamicObject, path: &[&str]) -> Option<T> {
    let spec = object.data.get("spec")?;
    let value = path.iter().try_fold(spec, |value, key| value.get(key))?;
    serde_json::from_value(value.clone()).ok()
}

/// Converts a label selector to a query (`k8s.io/apimachinery/pkg/apis/meta/v1/helpers.go`).
fn labels(selector: &LabelSelector) -> String {
    let equal = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let more = selector.match_expressions.iter().flatten().map(|wanted| {
        let (key, values) = (&wanted.key, wanted.values.as_deref().unwrap_or_default().join(","));
        match wanted.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        }
    });
    equal.chain(more).collect::<Vec<_>>().join(",")
}

/// A port's number in a pod; a name is looked up in the containers that run as long as it does.
///
/// # Errors
/// The names that it has, where that one is not among them.
pub(super) fn port_in(pod: &Pod, port: &Port) -> Result<u16, Vec<String>> {
    port_by(pod, port, Transport::Tcp)
}

/// Returns the number of a port in a pod; one that is named has to be of this transport.
pub(super) fn port_by(pod: &Pod, port: &Port, transport: Transport) -> Result<u16, Vec<String>> {
    let name = match port {
        Port::Number(number) => return Ok(*number),
        Port::Name(name) => name,
    };
    let sidecars = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars = sidecars.filter(|container| is_sidecar(container));
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).chain(sidecars);
    let ports: Vec<_> = containers.flat_map(|container| container.ports.iter().flatten()).collect();
    let is_meant =
        |port: &ContainerPort| port.name.as_ref() == Some(name) && is_by(port.protocol.as_deref(), transport);
    let found = ports.iter().find(|port| is_meant(port));
    let number = found.and_then(|port| u16::try_from(port.container_port).ok());
    number.ok_or_else(|| ports.iter().filter_map(|port| port.name.clone()).collect())
}

/// Returns true if a port's protocol, which may be absent, is that of a transport.
pub(super) fn is_by(protocol: Option<&str>, transport: Transport) -> bool {
    let wanted = match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    };
    protocol.unwrap_or("TCP") == wanted
}

/// Returns true if an init container is a native sidecar, which runs beside the others (KEP-753).
fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({ "metadata": { "name": "web" }, "spec": spec })).unwrap()
    }

    fn source(workload: &Workload, spec: &Value) -> Result<BackendSource, Fault> {
        of(workload, "team", &object(spec))
    }

    fn selection(workload: &str, spec: &Value) -> Result<(String, String), Fault> {
        let BackendSource::Pods(found) = source(&workload.parse().unwrap(), spec)? else { panic!("to pods") };
        let PodSelector::Labels(labels) = found.pods else { panic!("by labels") };
        Ok((labels, found.port.to_string()))
    }

    fn some(labels: &str, port: &str) -> (String, String) {
        (labels.to_owned(), port.to_owned())
    }

    #[test]
    fn selectors_become_queries() {
        let spec = json!({ "selector": {
            "matchLabels": { "app": "web", "tier": "front" },
            "matchExpressions": [
                { "key": "track", "operator": "In", "values": ["a", "b"] },
                { "key": "zone", "operator": "NotIn", "values": ["x"] },
                { "key": "old", "operator": "DoesNotExist" },
                { "key": "live", "operator": "Exists" },
            ],
        } });
        let wanted = "app=web,tier=front,track in (a,b),zone notin (x),!old,live";
        assert_eq!(selection("deployment/web:8080", &spec).unwrap(), some(wanted, "8080"));
        let table = json!({ "selector": { "app": "web", "tier": "front" } });
        assert_eq!(selection("replicationcontroller/web:http", &table).unwrap(), some("app=web,tier=front", "http"));
        let text = json!({ "selector": "app=web" });
        assert_eq!(selection("thing.example/web:http", &text).unwrap(), some("app=web", "http"));
        let none = selection("job/web:http", &json!({})).unwrap_err();
        assert_eq!((none.what, none.thing.as_str()), (What::NoSelector, "job/web:http"));
    }

    #[test]
    fn service_ports_lead_to_target_ports() {
        let spec = json!({ "selector": { "app": "web" }, "ports": [
            { "name": "http", "port": 80, "targetPort": "web" },
            { "name": "admin", "port": 81, "targetPort": 9090 },
            { "name": "same", "port": 82 },
        ] });
        for (port, target) in [("80", "web"), ("http", "web"), ("admin", "9090"), ("81", "9090"), ("same", "82")] {
            assert_eq!(selection(&format!("service/web:{port}"), &spec).unwrap(), some("app=web", target), "{port}");
        }
        for port in ["9090", "web"] {
            let fault = selection(&format!("service/web:{port}"), &spec).unwrap_err();
            assert_eq!(fault.what, What::PortMissing);
            assert_eq!(fault.detail, "http (80), admin (81), same (82)");
        }
    }

    #[test]
    fn what_has_no_pods_is_an_address() {
        let address = |workload: &Workload, spec: &Value| match source(workload, spec) {
            Ok(BackendSource::Address(address)) => address.to_string(),
            other => panic!("{other:?}"),
        };
        let external = json!({ "type": "ExternalName", "externalName": "db.corp.example" });
        assert_eq!(address(&"service/db:5432".parse().unwrap(), &external), "db.corp.example:5432");
        let fault = source(&"service/db:sql".parse().unwrap(), &external).unwrap_err();
        assert_eq!(fault.what, What::PortMissing, "a name needs a list of ports");

        let bare = json!({ "clusterIP": "10.96.0.7", "ports": [{ "name": "sql", "port": 5432 }] });
        let found = source(&"service/db:5432".parse().unwrap(), &bare).unwrap();
        assert_eq!(found, BackendSource::Endpoints(Some("sql".to_owned())));

        let proxied = |port: &str| Workload { proxy: true, ..format!("service/web:{port}").parse().unwrap() };
        let spec = |ip: &str| {
            let ports = json!([{ "name": "www", "port": 80, "targetPort": 8080 }]);
            json!({ "selector": { "app": "web" }, "clusterIP": ip, "ports": ports })
        };
        assert_eq!(address(&proxied("www"), &spec("10.96.0.7")), "10.96.0.7:80");
        assert_eq!(address(&proxied("www"), &spec("fd00::7")), "[fd00::7]:80");
        assert_eq!(address(&proxied("80"), &spec("None")), "web.team.svc:8080");
        let Some(BackendSource::Address(named)) = by_name(&proxied("80"), "team") else { panic!("no address") };
        assert_eq!(named.to_string(), "web.team.svc:80");
        assert_eq!(by_name(&proxied("www"), "team"), None);
        assert_eq!(by_name(&"service/web:80".parse().unwrap(), "team"), None);
    }

    #[test]
    fn named_ports_are_each_pods_own() {
        let pod = |number: u16| -> Pod {
            serde_json::from_value(json!({ "spec": { "containers": [
                { "name": "side", "ports": [{ "containerPort": 53, "name": "dns", "protocol": "UDP" }] },
                { "name": "main", "ports": [{ "containerPort": number, "name": "http" }] },
            ] } }))
            .unwrap()
        };
        let http = Port::Name("http".into());
        assert_eq!((port_in(&pod(8080), &http), port_in(&pod(8081), &http)), (Ok(8080), Ok(8081)));
        assert_eq!(port_in(&pod(8080), &Port::Number(7)), Ok(7), "a number needs no declaration");
        let known = vec!["dns".to_owned(), "http".to_owned()];
        assert_eq!(port_in(&pod(1), &Port::Name("dns".into())), Err(known.clone()));
        assert_eq!(port_by(&pod(1), &Port::Name("dns".into()), Transport::Udp), Ok(53));
        assert_eq!(port_by(&pod(1), &http, Transport::Udp), Err(known));
    }

    #[test]
    fn native_sidecars_have_ports_and_other_init_containers_have_none() {
        let pod: Pod = serde_json::from_value(json!({ "spec": {
            "initContainers": [
                { "name": "setup", "ports": [{ "containerPort": 1, "name": "setup" }] },
                { "name": "proxy", "restartPolicy": "Always", "ports": [{ "containerPort": 15090, "name": "stats" }] },
            ],
            "containers": [{ "name": "main", "ports": [{ "containerPort": 8080, "name": "http" }] }],
        } }))
        .unwrap();
        assert_eq!(port_in(&pod, &Port::Name("stats".into())), Ok(15090));
        let known = vec!["http".to_owned(), "stats".to_owned()];
        assert_eq!(port_in(&pod, &Port::Name("setup".into())), Err(known), "it has ended when the pod runs");
    }
}
