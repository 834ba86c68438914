//! The objects that an object names in its spec.

use serde_json::Value;

use super::{Reference, items, kind_of, text};
use brow_model::page::Relation;

/// Collects references from one object.
struct Names<'a> {
    namespace: &'a str,
    found: Vec<Reference>,
}

/// A group and a kind.
type Kind<'a> = (&'a str, &'a str);

const SECRET: Kind<'_> = ("", "Secret");
const CONFIG_MAP: Kind<'_> = ("", "ConfigMap");
const SERVICE: Kind<'_> = ("", "Service");
const ACCOUNT: Kind<'_> = ("", "ServiceAccount");
const STORAGE_CLASS: Kind<'_> = ("storage.k8s.io", "StorageClass");

impl Names<'_> {
    /// Adds an object of this namespace, once.
    fn add(&mut self, relation: Relation, kind: Kind<'_>, name: &Value, via: impl Into<String>) -> &mut Self {
        self.add_in(relation, kind, (&Value::Null, name), via, false)
    }

    /// Adds an object of a namespace, by default this one; of a name that is empty, nothing.
    fn add_in(
        &mut self,
        relation: Relation,
        (group, kind): Kind<'_>,
        (namespace, name): (&Value, &Value),
        via: impl Into<String>,
        optional: bool,
    ) -> &mut Self {
        let namespace = namespace.as_str().filter(|own| !own.is_empty()).unwrap_or(self.namespace);
        let name = text(name);
        let same = |known: &&mut Reference| {
            (known.kind.as_str(), known.group.as_str(), known.name.as_str(), known.namespace.as_str())
                == (kind, group, name, namespace)
        };
        if name.is_empty() {
            return self;
        }
        if let Some(known) = self.found.iter_mut().find(same) {
            // Of several references one that does not go without decides.
            known.optional &= optional;
            return self;
        }
        self.found.push(Reference {
            relation,
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: None,
            via: via.into(),
            optional,
        });
        self
    }

    /// Adds an object that a reference names by kind, apiVersion (or group) and name.
    fn add_ref(&mut self, relation: Relation, at: &Value, default: Kind<'_>, via: impl Into<String>) {
        let kind = at["kind"].as_str().unwrap_or(default.1);
        let group = match (at["apiVersion"].as_str(), at["group"].as_str(), at["apiGroup"].as_str()) {
            (Some(version), ..) => version.split_once('/').map_or("", |(group, _)| group),
            (None, Some(group), _) | (None, None, Some(group)) => group,
            (None, None, None) => default.0,
        };
        self.add_in(relation, (group, kind), (&at["namespace"], &at["name"]), via, false);
    }

    /// Adds a Secret or config map that may be optional.
    fn add_source(&mut self, kind: Kind<'_>, at: &Value, name: &str, via: impl Into<String>) {
        let optional = at["optional"].as_bool().unwrap_or_default();
        self.add_in(Relation::Uses, kind, (&at["namespace"], &at[name]), via, optional);
    }

    /// Adds what a pod needs to run.
    fn of_pod(&mut self, spec: &Value) {
        self.add(Relation::RunsOn, ("", "Node"), &spec["nodeName"], "");
        self.add(Relation::Uses, ACCOUNT, &spec["serviceAccountName"], "");
        self.add(Relation::Uses, ("scheduling.k8s.io", "PriorityClass"), &spec["priorityClassName"], "");
        for volume in items(&spec["volumes"]) {
            self.of_volume(volume);
        }
        for containers in ["initContainers", "containers", "ephemeralContainers"] {
            for container in items(&spec[containers]) {
                self.of_container(container);
            }
        }
        for secret in items(&spec["imagePullSecrets"]) {
            // The kubelet goes on without one that does not exist.
            self.add_in(Relation::Uses, SECRET, (&Value::Null, &secret["name"]), "imagePullSecrets", true);
        }
    }

    fn of_volume(&mut self, volume: &Value) {
        let via = format!("volume {}", text(&volume["name"]));
        self.add(Relation::Uses, ("", "PersistentVolumeClaim"), &volume["persistentVolumeClaim"]["claimName"], &via);
        self.add_source(SECRET, &volume["secret"], "secretName", &via);
        self.add_source(CONFIG_MAP, &volume["configMap"], "name", &via);
        for source in items(&volume["projected"]["sources"]) {
            self.add_source(SECRET, &source["secret"], "name", &via);
            self.add_source(CONFIG_MAP, &source["configMap"], "name", &via);
        }
    }

    fn of_container(&mut self, container: &Value) {
        for variable in items(&container["env"]) {
            let (from, via) = (&variable["valueFrom"], format!("env {}", text(&variable["name"])));
            self.add_source(SECRET, &from["secretKeyRef"], "name", &via);
            self.add_source(CONFIG_MAP, &from["configMapKeyRef"], "name", &via);
        }
        for from in items(&container["envFrom"]) {
            self.add_source(SECRET, &from["secretRef"], "name", "envFrom");
            self.add_source(CONFIG_MAP, &from["configMapRef"], "name", "envFrom");
        }
    }

    fn of_ingress(&mut self, spec: &Value) {
        let mut backend = |at: &Value, via: String| {
            self.add(Relation::RoutesTo, SERVICE, &at["service"]["name"], &via);
            // Before networking.k8s.io/v1.
            self.add(Relation::RoutesTo, SERVICE, &at["serviceName"], &via);
            if at["resource"].is_object() {
                self.add_ref(Relation::RoutesTo, &at["resource"], ("", ""), via);
            }
        };
        backend(&spec["defaultBackend"], "default".to_owned());
        for rule in items(&spec["rules"]) {
            for path in items(&rule["http"]["paths"]) {
                backend(&path["backend"], format!("{}{}", text(&rule["host"]), text(&path["path"])));
            }
        }
        for tls in items(&spec["tls"]) {
            self.add(Relation::Uses, SECRET, &tls["secretName"], "tls");
        }
        self.add(Relation::Uses, ("networking.k8s.io", "IngressClass"), &spec["ingressClassName"], "");
    }

    /// Adds what a route of the Gateway API names.
    fn of_gateway_route(&mut self, spec: &Value) {
        for rule in items(&spec["rules"]) {
            for backend in items(&rule["backendRefs"]) {
                self.add_ref(Relation::RoutesTo, backend, SERVICE, "backendRefs");
            }
        }
        for parent in items(&spec["parentRefs"]) {
            self.add_ref(Relation::Uses, parent, ("gateway.networking.k8s.io", "Gateway"), "parentRefs");
        }
    }

    /// Adds what one of Traefik's routes names. Names with an `@` are of other providers than Kubernetes.
    fn of_traefik(&mut self, (group, kind): Kind<'_>, spec: &Value) {
        let own = |name: &Value| !text(name).contains('@');
        let middleware = if kind == "IngressRouteTCP" { "MiddlewareTCP" } else { "Middleware" };
        for route in items(&spec["routes"]) {
            let via = text(&route["match"]);
            for service in items(&route["services"]).filter(|service| own(&service["name"])) {
                let traefik = service["kind"] == "TraefikService";
                let kind = if traefik { (group, "TraefikService") } else { SERVICE };
                self.add_in(Relation::RoutesTo, kind, (&service["namespace"], &service["name"]), via, false);
            }
            for at in items(&route["middlewares"]).filter(|at| own(&at["name"])) {
                self.add_in(Relation::Uses, (group, middleware), (&at["namespace"], &at["name"]), "", false);
            }
        }
        let mirroring = &spec["mirroring"];
        let weighted = items(&spec["weighted"]["services"]).chain(items(&mirroring["mirrors"]));
        for service in weighted.chain(mirroring.is_object().then_some(mirroring)) {
            let kind = if service["kind"] == "TraefikService" { (group, "TraefikService") } else { SERVICE };
            self.add_in(Relation::RoutesTo, kind, (&service["namespace"], &service["name"]), "", false);
        }
        self.add(Relation::Uses, SECRET, &spec["tls"]["secretName"], "tls");
        let options = &spec["tls"]["options"];
        if own(&options["name"]) {
            self.add_in(Relation::Uses, (group, "TLSOption"), (&options["namespace"], &options["name"]), "tls", false);
        }
    }

    /// Adds what custom kinds name in the manner of Kubernetes, wherever it stands.
    fn of_custom(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (field, inner) in fields {
                    match field.as_str() {
                        "secretRef" | "secretKeyRef" => self.add_source(SECRET, inner, "name", field),
                        "configMapRef" | "configMapKeyRef" => self.add_source(CONFIG_MAP, inner, "name", field),
                        "scaleTargetRef" => self.add_ref(Relation::Scales, inner, ("apps", "Deployment"), field),
                        _ => self.of_custom(inner),
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|inner| self.of_custom(inner)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Adds what a kind of the core group names.
    fn of_core(&mut self, kind: &str, object: &Value) {
        let spec = &object["spec"];
        match kind {
            "Pod" => self.of_pod(spec),
            "Endpoints" => {
                for subset in items(&object["subsets"]) {
                    for address in items(&subset["addresses"]).chain(items(&subset["notReadyAddresses"])) {
                        self.add_ref(Relation::Endpoints, &address["targetRef"], ("", "Pod"), "");
                    }
                }
            }
            "PersistentVolumeClaim" => {
                self.add(Relation::Bound, ("", "PersistentVolume"), &spec["volumeName"], "");
                self.add(Relation::Uses, STORAGE_CLASS, &spec["storageClassName"], "");
            }
            "PersistentVolume" => {
                self.add_ref(Relation::Bound, &spec["claimRef"], ("", "PersistentVolumeClaim"), "");
                self.add(Relation::Uses, STORAGE_CLASS, &spec["storageClassName"], "");
            }
            "ServiceAccount" => {
                for secret in items(&object["secrets"]).chain(items(&object["imagePullSecrets"])) {
                    self.add(Relation::Uses, SECRET, &secret["name"], "");
                }
            }
            _ => {}
        }
    }
}

/// Returns the objects that an object names, each once.
pub(super) fn references(object: &Value) -> Vec<Reference> {
    let mut names = Names { namespace: text(&object["metadata"]["namespace"]), found: Vec::new() };
    let (spec, kind) = (&object["spec"], kind_of(object));
    match kind {
        ("", kind) => names.of_core(kind, object),
        ("batch", "CronJob") => names.of_pod(&spec["jobTemplate"]["spec"]["template"]["spec"]),
        ("apps" | "batch", _) => {
            names.of_pod(&spec["template"]["spec"]);
            names.add(Relation::Uses, SERVICE, &spec["serviceName"], "");
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            for endpoint in items(&object["endpoints"]) {
                names.add_ref(Relation::Endpoints, &endpoint["targetRef"], ("", "Pod"), "");
            }
        }
        ("networking.k8s.io" | "extensions", "Ingress") => names.of_ingress(spec),
        ("gateway.networking.k8s.io", "Gateway") => {
            names.add(Relation::Uses, ("gateway.networking.k8s.io", "GatewayClass"), &spec["gatewayClassName"], "");
            for listener in items(&spec["listeners"]) {
                for secret in items(&listener["tls"]["certificateRefs"]) {
                    names.add_ref(Relation::Uses, secret, SECRET, "tls");
                }
            }
        }
        ("gateway.networking.k8s.io", _) => names.of_gateway_route(spec),
        ("traefik.io" | "traefik.containo.us", _) => names.of_traefik(kind, spec),
        ("autoscaling", _) => names.add_ref(Relation::Scales, &spec["scaleTargetRef"], ("apps", "Deployment"), ""),
        ("rbac.authorization.k8s.io", _) => {
            names.add_ref(Relation::Uses, &object["roleRef"], ("rbac.authorization.k8s.io", "Role"), "roleRef");
            for account in items(&object["subjects"]).filter(|at| at["kind"] == "ServiceAccount") {
                names.add_in(Relation::Uses, ACCOUNT, (&account["namespace"], &account["name"]), "subjects", false);
            }
        }
        ("admissionregistration.k8s.io", _) => {
            for webhook in items(&object["webhooks"]) {
                names.add_ref(Relation::Uses, &webhook["clientConfig"]["service"], SERVICE, text(&webhook["name"]));
            }
        }
        ("apiregistration.k8s.io", _) => names.add_ref(Relation::Uses, &spec["service"], SERVICE, ""),
        ("policy" | "networking.k8s.io" | "discovery.k8s.io", _) => {}
        _ => {
            names.of_pod(&spec["template"]["spec"]);
            names.of_custom(spec);
        }
    }
    names.found
}
