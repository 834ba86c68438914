//! Authorization: three users, each with its own token, and the reviews by which clients ask about themselves.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::response::Refusal;

/// A user of the practice cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// May do everything.
    Sailor,
    /// May do what `assets/rbac.yaml` grants, in the namespace `shop` alone.
    Team,
    /// May look at everything and change nothing.
    Viewer,
}

/// The attributes of a request that is authorized: a verb on a resource, or on a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    /// With its subresource: `pods/portforward`.
    pub resource: &'a str,
    pub namespace: &'a str,
}

/// A rule as Kubernetes writes it: verbs, groups, resources.
type Rule = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

const ANY: &[&str] = &["*"];
const READ_VERBS: &[&str] = &["get", "list", "watch"];

/// The rules of every user: ask about oneself (the role `system:basic-user`).
const BASIC: [Rule; 2] = [
    (&["create"], &["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    (&["create"], &["authentication.k8s.io"], &["selfsubjectreviews"]),
];

impl User {
    pub(super) const ALL: [Self; 3] = [Self::Sailor, Self::Team, Self::Viewer];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sailor => "sailor",
            Self::Team => "team",
            Self::Viewer => "viewer",
        }
    }

    /// The rules that hold in a namespace (none: in the whole cluster).
    fn rules(self, namespace: &str) -> Vec<Rule> {
        let own: &[Rule] = match self {
            Self::Sailor => &[(ANY, ANY, ANY)],
            Self::Viewer => &[(READ_VERBS, ANY, ANY)],
            Self::Team if namespace == "shop" => &[
                (&["get", "list", "watch", "create", "delete"], &[""], &["pods"]),
                (&["create"], &[""], &["pods/portforward", "pods/exec", "pods/attach"]),
                (&["patch"], &[""], &["pods/ephemeralcontainers"]),
                (&["get"], &[""], &["pods/log"]),
                (
                    READ_VERBS,
                    &["", "apps", "batch"],
                    &["events", "services", "deployments", "statefulsets", "daemonsets"],
                ),
            ],
            Self::Team => &[],
        };
        own.iter().chain(&BASIC).copied().collect()
    }

    pub(super) fn may(self, ask: &Access<'_>) -> bool {
        let has = |all: &[&str], one: &str| all.contains(&"*") || all.contains(&one);
        let rule = |(verbs, groups, resources): &Rule| {
            has(verbs, ask.verb) && has(groups, ask.group) && has(resources, ask.resource)
        };
        self.rules(ask.namespace).iter().any(rule)
    }

    /// Refuses what the user may not, in the words of the RBAC authorizer.
    pub(super) fn check(self, kind: &Kind, name: &str, ask: &Access<'_>) -> Result<(), Refusal> {
        if self.may(ask) {
            return Ok(());
        }
        let place = if ask.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", ask.namespace)
        };
        let why = format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            self.name(),
            ask.verb,
            ask.resource,
            ask.group
        );
        Err(Refusal::forbidden(kind, name, &why))
    }

    /// Answers a review that was posted; `None`: there is no such review.
    pub(super) fn review(self, plural: &str, mut review: Value) -> Option<Value> {
        let words = |at: &Value| at.as_str().unwrap_or_default().to_owned();
        match plural {
            "selfsubjectaccessreviews" => {
                let asked = &review["spec"]["resourceAttributes"];
                let (verb, group, namespace) =
                    (words(&asked["verb"]), words(&asked["group"]), words(&asked["namespace"]));
                let mut resource = words(&asked["resource"]);
                if let Some(sub) = asked["subresource"].as_str().filter(|sub| !sub.is_empty()) {
                    let _infallible = write!(resource, "/{sub}");
                }
                let path = words(&review["spec"]["nonResourceAttributes"]["path"]);
                let ask = Access { verb: &verb, group: &group, resource: &resource, namespace: &namespace };
                let allowed = if path.is_empty() { self.may(&ask) } else { open(&path) || self == Self::Sailor };
                review["status"] = json!({ "allowed": allowed });
            }
            "selfsubjectrulesreviews" => {
                let namespace = words(&review["spec"]["namespace"]);
                let rules = self.rules(&namespace).into_iter().map(
                    |(verbs, groups, resources)| json!({ "verbs": verbs, "apiGroups": groups, "resources": resources }),
                );
                review["status"] = json!({
                    "resourceRules": rules.collect::<Vec<_>>(),
                    "nonResourceRules": [{ "verbs": ["get"], "nonResourceURLs": ["/api", "/apis", "/healthz", "/version"] }],
                    "incomplete": false,
                });
            }
            "selfsubjectreviews" => {
                let info = json!({ "username": self.name(), "groups": ["system:authenticated"] });
                review["status"] = json!({ "userInfo": info });
            }
            _ => return None,
        }
        Some(review)
    }
}

/// Returns true if a path that is no resource is open to every authenticated user (the role `system:discovery`).
pub(super) fn open(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    ["api", "apis", "healthz", "livez", "readyz", "version", "openapi"].contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_by_namespace_and_refusals_name_them() {
        let ask = |verb, resource, namespace| Access { verb, group: "", resource, namespace };
        for (user, verb, resource, namespace, may) in [
            (User::Sailor, "create", "pods", "shop", true),
            (User::Sailor, "list", "pods", "", true),
            (User::Team, "create", "pods", "shop", true),
            (User::Team, "create", "pods", "harbor", false),
            (User::Team, "list", "pods", "", false),
            (User::Team, "create", "pods/portforward", "shop", true),
            (User::Viewer, "list", "pods", "", true),
            (User::Viewer, "create", "pods", "shop", false),
        ] {
            assert_eq!(user.may(&ask(verb, resource, namespace)), may, "{user:?} {verb} {resource} {namespace}");
        }
        let pods = Kind::find("", "pods").unwrap();
        let refusal = User::Viewer.check(pods, "", &ask("create", "pods", "shop")).unwrap_err().status();
        let words = "pods is forbidden: User \"viewer\" cannot create resource \"pods\" in API group \"\" in the \
            namespace \"shop\"";
        assert_eq!(refusal["message"], words);
        let refusal = User::Team.check(pods, "", &ask("list", "pods", "")).unwrap_err().status();
        assert!(refusal["message"].as_str().unwrap().ends_with("at the cluster scope"));
    }

    #[test]
    fn reviews_say_what_the_rules_say() {
        let attributes =
            json!({ "verb": "create", "resource": "pods", "subresource": "portforward", "namespace": "shop" });
        let review = json!({ "spec": { "resourceAttributes": attributes } });
        let allowed = |user: User| user.review("selfsubjectaccessreviews", review.clone()).unwrap()["status"].clone();
        assert_eq!(allowed(User::Team), json!({ "allowed": true }));
        assert_eq!(allowed(User::Viewer), json!({ "allowed": false }));
        let rules = User::Team.review("selfsubjectrulesreviews", json!({ "spec": { "namespace": "shop" } })).unwrap();
        assert_eq!(rules["status"]["resourceRules"][0]["resources"], json!(["pods"]));
    }
}
