//! The endpoints of services: a slice for each, with the pods that its selector selects.

use serde_json::{Value, json};

use super::kinds::Kind;
use super::store::Key;
use super::world::{World, now, uid, words};

/// Brings the slices of all services up to date.
pub(super) fn reconcile(world: &World) {
    let Some(kind) = Kind::find("discovery.k8s.io", "endpointslices") else { return };
    for service in world.store.list("services", None).0 {
        let meta = &service["metadata"];
        let (namespace, name) = (words(&meta["namespace"]), words(&meta["name"]));
        let key = Key::new(kind.plural, namespace, format!("{name}-practice"));
        let owner = json!([{
            "kind": "Service", "apiVersion": "v1", "name": name, "uid": meta["uid"],
            "controller": true, "blockOwnerDeletion": true,
        }]);
        let labels = json!({ "kubernetes.io/service-name": name });
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let ports: Vec<Value> = ports
            .map(|port| json!({ "name": port["name"], "port": port["targetPort"], "protocol": port["protocol"] }))
            .collect();
        let (pods, _) = world.store.list("pods", Some(namespace));
        let wanted = service["spec"]["selector"].as_object();
        let fits = |pod: &Value| {
            let own = &pod["metadata"]["labels"];
            wanted.is_some_and(|wanted| !wanted.is_empty() && wanted.iter().all(|(name, value)| own[name] == *value))
        };
        let endpoint = |pod: &Value| {
            let (ready, meta) = (pod["status"]["containerStatuses"][0]["ready"] == true, &pod["metadata"]);
            let target = json!({ "kind": "Pod", "namespace": namespace, "name": meta["name"], "uid": meta["uid"] });
            json!({
                "addresses": [pod["status"]["podIP"]], "conditions": { "ready": ready, "serving": ready },
                "nodeName": pod["spec"]["nodeName"], "targetRef": target,
            })
        };
        let behind = pods.iter().filter(|pod| fits(pod) && pod["status"]["podIP"].is_string());
        let endpoints: Vec<Value> = behind.map(|pod| endpoint(pod)).collect();
        if world.store.get(&key).is_none() {
            let slice = json!({
                "kind": kind.kind, "apiVersion": kind.api_version(), "addressType": "IPv4",
                "metadata": {
                    "name": key.name, "namespace": namespace, "uid": uid(), "creationTimestamp": now(),
                    "labels": labels, "ownerReferences": owner,
                },
                "endpoints": [], "ports": ports,
            });
            // An existing slice stays, and is updated below.
            let _kept = world.store.insert(key.clone(), slice);
        }
        world.store.update(&key, |slice| slice["endpoints"] = endpoints.into());
    }
}
