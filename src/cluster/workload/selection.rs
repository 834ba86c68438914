//! Which pods a workload means, and which port of them, read from the object itself.

use k8s_openapi::api::core::v1::{Pod, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::DynamicObject;

use crate::model::fault::{Fault, What};
use crate::model::workload::{Kind, Port, Workload};

/// The pods of a workload and the port in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    pub pods: Pods,
    pub port: Port,
}

/// How pods are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pods {
    /// By a label selector.
    Labels(String),
    /// The one of that name.
    Named(String),
}

/// The selection of a workload that is one itself.
pub(super) fn fixed(workload: &Workload) -> Option<Selection> {
    let pods = match workload.kind {
        Kind::Pod => Pods::Named(workload.name.clone()),
        Kind::Selector => Pods::Labels(workload.name.clone()),
        Kind::Service | Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::Job => {
            return None;
        }
    };
    Some(Selection { pods, port: workload.port.clone() })
}

/// The selection that an object of the cluster stands for.
pub(super) fn of(workload: &Workload, object: &DynamicObject) -> Result<Selection, Fault> {
    if workload.kind == Kind::Service {
        return of_service(workload, object);
    }
    let selector: Option<LabelSelector> = part(object, "selector");
    let labels = selector.as_ref().map(labels).filter(|labels| !labels.is_empty());
    let labels = labels.ok_or_else(|| Fault::new(What::NoSelector, workload.to_string(), ""))?;
    Ok(Selection { pods: Pods::Labels(labels), port: workload.port.clone() })
}

fn of_service(workload: &Workload, object: &DynamicObject) -> Result<Selection, Fault> {
    let spec = object.data.get("spec").and_then(|spec| serde_json::from_value::<ServiceSpec>(spec.clone()).ok());
    let spec = spec.unwrap_or_default();
    let selector = spec.selector.filter(|selector| !selector.is_empty());
    let Some(selector) = selector.filter(|_| spec.type_.as_deref() != Some("ExternalName")) else {
        return Err(Fault::new(What::NoSelector, workload.to_string(), ""));
    };
    let ports = spec.ports.unwrap_or_default();
    let found = ports.iter().find(|port| match &workload.port {
        Port::Number(number) => port.port == i32::from(*number),
        Port::Name(name) => port.name.as_ref() == Some(name),
    });
    let port = found.ok_or_else(|| {
        let known: Vec<String> = ports.iter().map(shown).collect();
        Fault::new(What::PortMissing, workload.to_string(), known.join(", "))
    })?;
    let labels: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok(Selection { pods: Pods::Labels(labels.join(",")), port: target_port(port, workload)? })
}

/// `http (80)`, or `80` for a port without a name.
fn shown(port: &ServicePort) -> String {
    let number = port.port;
    port.name.as_ref().map_or_else(|| number.to_string(), |name| format!("{name} ({number})"))
}

/// The port in the pods; absent, it is that of the service (`ServicePort` in `core/v1`).
fn target_port(port: &ServicePort, workload: &Workload) -> Result<Port, Fault> {
    let number = |number: i32| u16::try_from(number).ok().filter(|number| *number != 0).map(Port::Number);
    let found = match &port.target_port {
        Some(IntOrString::String(name)) => Some(Port::Name(name.clone())),
        // 0 stands for an absent one.
        Some(IntOrString::Int(0)) | None => number(port.port),
        Some(IntOrString::Int(target)) => number(*target),
    };
    found.ok_or_else(|| Fault::new(What::PortMissing, workload.to_string(), shown(port)))
}

fn part<T: serde::de::DeserializeOwned>(object: &DynamicObject, key: &str) -> Option<T> {
    serde_json::from_value(object.data.get("spec")?.get(key)?.clone()).ok()
}

/// A label selector as a query has it (`k8s.io/apimachinery/pkg/apis/meta/v1/helpers.go`).
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

/// A port's number in a pod; a name is looked up in its containers.
///
/// # Errors
/// The names that it has, where that one is not among them.
pub(super) fn port_in(pod: &Pod, port: &Port) -> Result<u16, Vec<String>> {
    let name = match port {
        Port::Number(number) => return Ok(*number),
        Port::Name(name) => name,
    };
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports: Vec<_> = containers.flat_map(|container| container.ports.iter().flatten()).collect();
    let is_tcp = |protocol: &Option<String>| protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
    let found = ports.iter().find(|port| port.name.as_ref() == Some(name) && is_tcp(&port.protocol));
    let number = found.and_then(|port| u16::try_from(port.container_port).ok());
    number.ok_or_else(|| ports.iter().filter_map(|port| port.name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({ "metadata": { "name": "web" }, "spec": spec })).unwrap()
    }

    fn selection(workload: &str, spec: &Value) -> Result<(String, String), Fault> {
        let found = of(&workload.parse().unwrap(), &object(spec))?;
        let Pods::Labels(labels) = found.pods else { panic!("by labels") };
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
        assert_eq!(port_in(&pod(1), &Port::Name("dns".into())), Err(known));
    }
}
