//! An object of any kind, as far as its ports, its labels and its owner go. Read leniently: nobody says what a custom
//! kind writes where others have a pod's template.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::Deserialize;
use serde_json::Value;

use brow_model::inventory::ObjectPort;
use brow_model::proxy::MANAGED_BY;
use brow_model::service::{Signs, recognise};
use brow_model::workload::{Kind, is_dns_label, is_dns_name};

/// An object's ports, and its labels.
type Ports = (Vec<ObjectPort>, BTreeMap<String, String>);

#[derive(Debug, Clone, Deserialize)]
pub(super) struct RawObject {
    #[serde(default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl Resource for RawObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(api: &ApiResource) -> Cow<'_, str> {
        api.kind.as_str().into()
    }

    fn group(api: &ApiResource) -> Cow<'_, str> {
        api.group.as_str().into()
    }

    fn version(api: &ApiResource) -> Cow<'_, str> {
        api.version.as_str().into()
    }

    fn api_version(api: &ApiResource) -> Cow<'_, str> {
        api.api_version.as_str().into()
    }

    fn plural(api: &ApiResource) -> Cow<'_, str> {
        api.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The kind by its group and name; one that not every cluster has by both, as a person may write it.
pub(super) fn kind(group: &str, name: &str) -> Kind {
    match (group, name) {
        ("", "Service") => Kind::Service,
        ("", "Pod") => Kind::Pod,
        ("apps", "Deployment") => Kind::Deployment,
        ("apps", "StatefulSet") => Kind::StatefulSet,
        ("apps", "DaemonSet") => Kind::DaemonSet,
        ("apps", "ReplicaSet") => Kind::ReplicaSet,
        ("batch", "Job") => Kind::Job,
        ("", name) => Kind::Custom(name.to_ascii_lowercase()),
        (group, name) => Kind::Custom(format!("{}.{group}", name.to_ascii_lowercase())),
    }
}

impl RawObject {
    /// The kind of what controls it, if anything does.
    pub(super) fn owner(&self) -> Option<Kind> {
        let mut owners = self.metadata.owner_references.iter().flatten();
        let controls = |owner: &&OwnerReference| owner.controller == Some(true);
        let owner = owners.find(controls)?;
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        Some(kind(group, &owner.kind))
    }

    /// Its TCP ports; none of what has ended, of what is ours, and of what cannot be named in a path of the API.
    pub(super) fn ports(&self, kind: &Kind) -> Ports {
        let labels = self.metadata.labels.clone().unwrap_or_default();
        let ours = labels.get(MANAGED_BY.0).is_some_and(|by| by == MANAGED_BY.1);
        match kind {
            _ if ours || self.has_ended() || !self.is_named() => (Vec::new(), labels),
            Kind::Service => self.of_service(&labels),
            Kind::Pod => (self.of_pod(&self.spec, &labels), labels),
            Kind::Deployment
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::Custom(_)
            | Kind::ReplicaSet
            | Kind::Job
            | Kind::Selector => {
                let template = &self.spec["template"];
                let own = texts(&template["metadata"]["labels"]);
                let telling = own.clone().into_iter().chain(labels).collect();
                (self.of_pod(&template["spec"], &telling), own)
            }
        }
    }

    /// Returns true for a pod or a job that has completed, so that nothing listens there.
    fn has_ended(&self) -> bool {
        let conditions = self.status["conditions"].as_array().into_iter().flatten();
        let over = |condition: &Value| {
            matches!(condition["type"].as_str(), Some("Complete" | "Failed")) && condition["status"] == "True"
        };
        matches!(self.status["phase"].as_str(), Some("Succeeded" | "Failed")) || conditions.into_iter().any(over)
    }

    fn is_named(&self) -> bool {
        self.metadata.namespace.as_deref().is_some_and(is_dns_label) && is_dns_name(self.name())
    }

    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn of_service(&self, labels: &BTreeMap<String, String>) -> Ports {
        let ports = self.spec["ports"].as_array().into_iter().flatten().filter(|port| is_tcp(port));
        let port = |port: &Value| {
            let (name, protocol) = (port["name"].as_str(), port["appProtocol"].as_str());
            found(&port["port"], name.unwrap_or_default(), protocol.unwrap_or_default(), self.name(), labels)
        };
        (ports.filter_map(port).collect(), texts(&self.spec["selector"]))
    }

    /// The ports of the containers of a pod's spec, each once; native sidecars are containers too.
    fn of_pod(&self, spec: &Value, telling: &BTreeMap<String, String>) -> Vec<ObjectPort> {
        let of = |list: &str| spec[list].as_array().into_iter().flatten();
        let sidecars = of("initContainers").filter(|container| container["restartPolicy"] == "Always");
        let containers = of("containers").chain(sidecars);
        let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
        let mut all: Vec<ObjectPort> = Vec::new();
        for port in ports.filter(|port| is_tcp(port)) {
            let named = port["name"].as_str().unwrap_or_default();
            let known = |found: &ObjectPort| all.iter().any(|other| other.number == found.number);
            let found = found(&port["containerPort"], named, "", self.name(), telling);
            all.extend(found.filter(|found| !known(found)));
        }
        all
    }
}

/// An absent protocol is TCP (`ServicePort` and `ContainerPort` in `core/v1`).
fn is_tcp(port: &Value) -> bool {
    port["protocol"].as_str().unwrap_or("TCP") == "TCP"
}

fn texts(table: &Value) -> BTreeMap<String, String> {
    let pairs = table.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn found(
    number: &Value,
    name: &str,
    protocol: &str,
    object: &str,
    labels: &BTreeMap<String, String>,
) -> Option<ObjectPort> {
    let number = number.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0)?;
    let service = recognise(&Signs { port: number, name, protocol, object, labels });
    Some(ObjectPort { number, name: Some(name.to_owned()).filter(|name| !name.is_empty()), service })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(mut object: Value) -> RawObject {
        let metadata = &mut object["metadata"];
        for (key, value) in [("namespace", "team"), ("name", "x")] {
            if metadata[key].is_null() {
                metadata[key] = json!(value);
            }
        }
        serde_json::from_value(object).unwrap()
    }

    fn shown((ports, labels): &Ports) -> String {
        let port = |port: &ObjectPort| {
            let service = port.service.map_or("-", brow_model::service::Service::name);
            format!("{}/{}/{service}", port.number, port.name.as_deref().unwrap_or("-"))
        };
        format!("{} {labels:?}", ports.iter().map(port).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_service_is_its_tcp_ports() {
        let service = object(json!({
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
        }));
        let ports = service.ports(&Kind::Service);
        assert_eq!(shown(&ports), "3306/main/mysql 9104/metrics/http 7000/-/http {\"app\": \"db\"}");
        for odd in [json!({}), json!({ "spec": null }), json!({ "spec": { "ports": "none", "selector": "a=b" } })] {
            assert_eq!(shown(&object(odd).ports(&Kind::Service)), " {}");
        }
    }

    #[test]
    fn a_workload_is_the_ports_of_its_containers_each_once() {
        let pod = json!({ "containers": [
            { "name": "a", "ports": [{ "containerPort": 7001 }, { "containerPort": 7002, "protocol": "UDP" }] },
            { "name": "b", "ports": [{ "containerPort": 7001 }, { "containerPort": 9121, "name": "metrics" }] },
            { "name": "c" },
        ] });
        let template = json!({ "metadata": { "labels": { "app": "redis" } }, "spec": pod });
        let set = object(json!({ "metadata": { "name": "cache" }, "spec": { "selector": {}, "template": template } }));
        let rollout = Kind::Custom("rollout.argoproj.io".to_owned());
        for kind in [Kind::Deployment, Kind::ReplicaSet, Kind::Job, rollout] {
            assert_eq!(shown(&set.ports(&kind)), "7001/-/redis 9121/metrics/http {\"app\": \"redis\"}", "{kind}");
        }
        let labels = json!({ "name": "x", "labels": { "app": "redis" } });
        let alone = object(json!({ "metadata": labels, "spec": pod, "status": { "phase": "Running" } }));
        assert_eq!(shown(&alone.ports(&Kind::Pod)), "7001/-/redis 9121/metrics/http {\"app\": \"redis\"}");
        // Nobody says what a custom kind writes there.
        let odd = object(json!({ "spec": { "template": "a text" } }));
        assert_eq!(shown(&odd.ports(&Kind::Custom("odd".to_owned()))), " {}");
    }

    #[test]
    fn native_sidecars_ports_are_offered_behind_those_of_the_others() {
        let spec = json!({
            "initContainers": [
                { "name": "setup", "ports": [{ "containerPort": 1 }] },
                { "name": "proxy", "restartPolicy": "Always", "ports": [{ "containerPort": 15090, "name": "stats" }] },
            ],
            "containers": [{ "name": "main", "ports": [{ "containerPort": 7001 }] }],
        });
        let pod = object(json!({ "metadata": { "name": "x" }, "spec": spec }));
        let set = object(json!({ "metadata": { "name": "x" }, "spec": { "template": { "spec": spec } } }));
        for (object, kind) in [(pod, Kind::Pod), (set, Kind::Deployment)] {
            let numbers: Vec<u16> = object.ports(&kind).0.iter().map(|port| port.number).collect();
            assert_eq!(numbers, [7001, 15090], "{kind}");
        }
    }

    #[test]
    fn what_has_ended_and_what_is_ours_has_no_ports() {
        let spec = json!({ "containers": [{ "ports": [{ "containerPort": 80 }] }] });
        let pod = |labels: Value, status: Value| {
            let pod = object(json!({ "metadata": { "labels": labels }, "spec": spec, "status": status }));
            pod.ports(&Kind::Pod).0.len()
        };
        assert_eq!(pod(json!({}), json!({ "phase": "Pending" })), 1);
        assert_eq!(pod(json!({}), json!({ "phase": "Succeeded" })), 0);
        for odd in [json!({ "name": "../x" }), json!({ "namespace": "team/../x" })] {
            let ports = object(json!({ "metadata": odd, "spec": spec })).ports(&Kind::Pod);
            assert_eq!(ports.0.len(), 0, "{odd}");
        }
        assert_eq!(pod(json!({ MANAGED_BY.0: MANAGED_BY.1 }), json!({ "phase": "Running" })), 0);
        let job = object(json!({
            "spec": { "template": { "spec": spec } },
            "status": { "conditions": [{ "type": "Complete", "status": "True" }] },
        }));
        assert_eq!(job.ports(&Kind::Job).0.len(), 0);
    }

    #[test]
    fn what_controls_it_is_its_owner() {
        let owned = |api: &str, kind: &str, controller: bool| {
            let owner = json!({ "apiVersion": api, "kind": kind, "name": "x", "uid": "1", "controller": controller });
            object(json!({ "metadata": { "ownerReferences": [owner] } })).owner()
        };
        assert_eq!(owned("apps/v1", "ReplicaSet", true), Some(Kind::ReplicaSet));
        assert_eq!(owned("apps/v1", "ReplicaSet", false), None);
        assert_eq!(owned("v1", "Node", true), Some(Kind::Custom("node".to_owned())));
        let set = owned("apps.kruise.io/v1alpha1", "CloneSet", true);
        assert_eq!(set, Some(Kind::Custom("cloneset.apps.kruise.io".to_owned())));
        assert_eq!(object(json!({})).owner(), None);
    }
}
