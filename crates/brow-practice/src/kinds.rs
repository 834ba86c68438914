//! The resources that the practice cluster has, and discovery, which tells of them.

use serde_json::{Value, json};

use super::response::{Response, json as answer};

/// The version that the practice cluster claims to have, marked as what it is.
pub(super) const VERSION: &str = "v1.35.0+practice";

/// A resource.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "that is what Kubernetes calls it")]
pub(super) struct Kind {
    pub group: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub short: &'static [&'static str],
    pub namespaced: bool,
}

const fn kind(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
) -> Kind {
    Kind { group, plural, kind, short, namespaced }
}

/// Every resource; each group has one version.
pub(super) const KINDS: [Kind; 18] = [
    kind("", "configmaps", "ConfigMap", &["cm"], true),
    kind("", "events", "Event", &["ev"], true),
    kind("", "namespaces", "Namespace", &["ns"], false),
    kind("", "nodes", "Node", &["no"], false),
    kind("", "pods", "Pod", &["po"], true),
    kind("", "secrets", "Secret", &[], true),
    kind("", "services", "Service", &["svc"], true),
    kind("apps", "daemonsets", "DaemonSet", &["ds"], true),
    kind("apps", "deployments", "Deployment", &["deploy"], true),
    kind("apps", "replicasets", "ReplicaSet", &["rs"], true),
    kind("apps", "statefulsets", "StatefulSet", &["sts"], true),
    kind("batch", "jobs", "Job", &[], true),
    kind("discovery.k8s.io", "endpointslices", "EndpointSlice", &[], true),
    kind("networking.k8s.io", "ingresses", "Ingress", &["ing"], true),
    kind("networking.k8s.io", "networkpolicies", "NetworkPolicy", &["netpol"], true),
    kind("traefik.io", "ingressroutes", "IngressRoute", &[], true),
    kind("traefik.io", "middlewares", "Middleware", &[], true),
    kind("upgrade.cattle.io", "plans", "Plan", &[], true),
];

/// Resources that are only posted to.
const REVIEWS: [(&str, &str, &str); 3] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
];

const GROUPS: [&str; 8] = [
    "apps",
    "batch",
    "discovery.k8s.io",
    "authorization.k8s.io",
    "authentication.k8s.io",
    "networking.k8s.io",
    "traefik.io",
    "upgrade.cattle.io",
];

pub(super) fn version(group: &str) -> &'static str {
    if group == "traefik.io" { "v1alpha1" } else { "v1" }
}

impl Kind {
    pub(super) fn find(group: &str, plural: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.group == group && kind.plural == plural)
    }

    /// Returns true for a kind that is none of Kubernetes' own.
    pub(super) fn is_custom(&self) -> bool {
        matches!(self.group, "traefik.io" | "upgrade.cattle.io")
    }

    /// `v1` or `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        group_version(self.group)
    }

    /// `pods` or `deployments.apps`, as error messages write it.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    fn verbs(&self) -> &'static [&'static str] {
        match self.plural {
            "pods" => &["create", "delete", "deletecollection", "get", "list", "watch"],
            _ if self.is_custom() => &["create", "delete", "get", "list", "patch", "update", "watch"],
            _ => &["get", "list", "watch"],
        }
    }
}

/// A group with its version; the core group has no name.
fn group_version(group: &str) -> String {
    if group.is_empty() { "v1".to_owned() } else { format!("{group}/{}", version(group)) }
}

/// Answers a discovery path, if it is one.
pub(super) fn discover(path: &[&str]) -> Option<Response> {
    let group = |name: &str| {
        let version = json!({ "groupVersion": group_version(name), "version": version(name) });
        json!({ "name": name, "versions": [version], "preferredVersion": version })
    };
    let body = match path {
        ["version"] => {
            json!({
                "major": "1", "minor": "35", "emulationMajor": "1", "emulationMinor": "35",
                "minCompatibilityMajor": "1", "minCompatibilityMinor": "34", "gitVersion": VERSION,
                "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
                "compiler": "", "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
            })
        }
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }),
        ["apis"] => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": GROUPS.map(group) }),
        ["apis", name] if GROUPS.contains(name) => {
            let mut body = group(name);
            (body["kind"], body["apiVersion"]) = ("APIGroup".into(), "v1".into());
            body
        }
        ["api", "v1"] => resources(""),
        ["apis", name, at] if GROUPS.contains(name) && *at == version(name) => resources(name),
        _ => return None,
    };
    Some(answer(200, &body))
}

fn resources(group: &str) -> Value {
    let mut all = Vec::new();
    for kind in KINDS.iter().filter(|kind| kind.group == group) {
        all.push(json!({
            "name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": kind.verbs(), "shortNames": kind.short,
            "categories": if matches!(kind.plural, "events" | "namespaces" | "nodes") { json!([]) } else { json!(["all"]) },
        }));
        if kind.plural == "pods" {
            let sub = |name, kind, verbs: &[&str]| {
                let name = format!("pods/{name}");
                json!({ "name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": verbs })
            };
            all.push(sub("attach", "PodAttachOptions", &["create", "get"]));
            all.push(sub("ephemeralcontainers", "Pod", &["get", "patch", "update"]));
            all.push(sub("exec", "PodExecOptions", &["create", "get"]));
            all.push(sub("log", "Pod", &["get"]));
            all.push(sub("portforward", "PodPortForwardOptions", &["create", "get"]));
            all.push(sub("proxy", "PodProxyOptions", &["create", "get"]));
        }
    }
    for (_, plural, kind) in REVIEWS.iter().filter(|(of, ..)| *of == group) {
        all.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind,
            "verbs": ["create"],
        }));
    }
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version(group), "resources": all })
}
