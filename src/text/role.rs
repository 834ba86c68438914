//! The role, and its binding, that grant a missing right.

use super::Text;
use brow_model::fault::Grant;
use brow_model::sanitize;

impl Text {
    /// The least Role (cluster-wide: `ClusterRole`) that grants a right, and its binding to `user`, ready for
    /// `kubectl apply -f -`. An empty `user` leaves a name to fill in.
    pub fn role(&self, grant: &Grant, user: &str) -> String {
        let resources: Vec<(&str, &str)> =
            grant.resource.split(',').map(|one| one.trim().split_once('.').unwrap_or((one.trim(), ""))).collect();
        let first = resources.first().map_or("", |(resource, _)| *resource);
        let more = if resources.len() > 1 { "-and-more" } else { "" };
        let word = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let name = format!("brow-tui-{}-{}{more}", word(&grant.verb), word(first));
        let kind = if grant.namespace.is_some() { "Role" } else { "ClusterRole" };
        let namespace = grant.namespace.as_ref().map(|name| format!("  namespace: {}\n", quoted(name)));
        let namespace = namespace.unwrap_or_default();
        // Whoever may list but not watch would see a picture that never changes.
        let verbs = match (grant.verb.as_str(), grant.resource.as_str()) {
            ("list", _) => r#""list", "watch""#.to_owned(),
            // The same right by two names: a SPDY upgrade is a POST, a WebSocket's a GET.
            ("create", "pods/portforward") => r#""create", "get""#.to_owned(),
            (verb, _) => quoted(verb),
        };
        let rule = |(resource, group): &(&str, &str)| {
            let (resource, group) = (quoted(resource), quoted(group));
            format!("  - apiGroups: [{group}]\n    resources: [{resource}]\n    verbs: [{verbs}]\n")
        };
        let rules: String = resources.iter().map(rule).collect();
        let subject = subject(user);
        let head = "apiVersion: rbac.authorization.k8s.io/v1";
        format!(
            "{head}\nkind: {kind}\nmetadata:\n  name: {name}\n{namespace}\
             rules:\n{rules}\
             ---\n\
             {head}\nkind: {kind}Binding\nmetadata:\n  name: {name}\n{namespace}\
             roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {name}\n\
             subjects:\n{subject}"
        )
    }

    /// The user that a refusal names (`pods is forbidden: User "anna" cannot list resource …`, the API server's own
    /// words); empty where it names none.
    pub fn refused_user(words: &str) -> &str {
        let named = words.split_once("User \"").and_then(|(_, rest)| rest.split_once('"'));
        named.map_or("", |(user, _)| user)
    }
}

fn subject(user: &str) -> String {
    let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    if let Some((namespace, name)) = account {
        let (namespace, name) = (quoted(namespace), quoted(name));
        return format!("  - kind: ServiceAccount\n    namespace: {namespace}\n    name: {name}\n");
    }
    // A name that is not seen as it is would grant the right to somebody else than it shows.
    let name = if user.is_empty() || !sanitize::is_line(user) || user.contains(char::REPLACEMENT_CHARACTER) {
        "YOUR-USER"
    } else {
        user
    };
    format!("  - apiGroup: rbac.authorization.k8s.io\n    kind: User\n    name: {}\n", quoted(name))
}

/// A YAML string: one of JSON is one of YAML, but for characters that YAML does not take as they are (5.1).
fn quoted(text: &str) -> String {
    serde_json::Value::from(sanitize::line(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use brow_model::fault::{Fault, Remedy, What};
    use brow_model::sanitize::{HOSTILE, is_safe};
    use brow_model::settings::Language;

    fn grant(verb: &str, resource: &str, namespace: Option<&str>) -> Grant {
        Grant { verb: verb.to_owned(), resource: resource.to_owned(), namespace: namespace.map(str::to_owned) }
    }

    #[test]
    fn a_role_grants_one_right_in_one_namespace() {
        let role = Text::new(Language::En).role(&grant("create", "pods/portforward", Some("dev")), "anna@corp");
        let wanted = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: brow-tui-create-pods-portforward
  namespace: \"dev\"
rules:
  - apiGroups: [\"\"]
    resources: [\"pods/portforward\"]
    verbs: [\"create\", \"get\"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: brow-tui-create-pods-portforward
  namespace: \"dev\"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: brow-tui-create-pods-portforward
subjects:
  - apiGroup: rbac.authorization.k8s.io
    kind: User
    name: \"anna@corp\"
";
        assert_eq!(role, wanted);
    }

    #[test]
    fn cluster_wide_rights_are_cluster_roles() {
        let role = Text::new(Language::En).role(&grant("list", "pods", None), "system:serviceaccount:ci:robot");
        assert!(role.contains("kind: ClusterRole\n") && role.contains("kind: ClusterRoleBinding\n"), "{role}");
        assert!(!role.contains("  namespace: \"dev\"") && role.contains(r#"verbs: ["list", "watch"]"#), "{role}");
        assert!(role.contains("kind: ServiceAccount\n    namespace: \"ci\"\n    name: \"robot\""), "{role}");
    }

    #[test]
    fn a_resource_of_a_group_is_granted_in_it() {
        let role = Text::new(Language::En).role(&grant("list", "deployments.apps", Some("dev")), "anna");
        let wanted = "apiGroups: [\"apps\"]\n    resources: [\"deployments\"]\n    verbs: [\"list\", \"watch\"]";
        assert!(role.contains(wanted) && role.contains("name: brow-tui-list-deployments\n"), "{role}");
    }

    #[test]
    fn several_kinds_are_one_role() {
        let role = Text::new(Language::En).role(&grant("list", "services, deployments.apps", Some("dev")), "anna");
        let wanted = "rules:\n  - apiGroups: [\"\"]\n    resources: [\"services\"]\n    verbs: [\"list\", \"watch\"]\n  \
                      - apiGroups: [\"apps\"]\n    resources: [\"deployments\"]\n    verbs: [\"list\", \"watch\"]\n";
        assert!(role.contains(wanted) && role.contains("name: brow-tui-list-services-and-more\n"), "{role}");
        assert_eq!(role.matches("kind: RoleBinding").count(), 1, "{role}");
    }

    #[test]
    fn what_a_server_says_adds_nothing_to_the_role() {
        let text = Text::new(Language::En);
        let wanted = grant("list", "pods", Some("team"));
        let plain = text.role(&wanted, "");
        for words in HOSTILE {
            let says =
                format!("pods is forbidden: User \"{words}\" cannot list resource \"pods\"\rkind: X\u{85}kind: Y");
            // As a watch makes it, and as one that came by another way might be.
            let made = Fault::new(What::Forbidden, *words, says.clone());
            let raw = Fault { detail: says, ..made.clone() };
            for fault in [made, raw] {
                let copied = text.to_copy(&fault.with(Remedy::Grant(wanted.clone())));
                assert!(is_safe(&copied, true), "{copied:?}");
                let yaml = copied.lines().filter(|line| !line.starts_with('#'));
                let named = |line: &&str| !line.starts_with("    name: \"");
                assert!(yaml.filter(named).eq(plain.lines().filter(named)), "{copied}");
            }
            let odd = text.role(&grant(words, words, Some(words)), words);
            assert!(is_safe(&odd, true) && odd.lines().count() == plain.lines().count(), "{odd:?}");
            assert!(odd.contains("YOUR-USER"), "{odd}");
        }
    }

    #[test]
    fn the_refusal_names_the_user() {
        let words =
            r#"pods is forbidden: User "anna" cannot list resource "pods" in API group "" at the cluster scope"#;
        assert_eq!(Text::refused_user(words), "anna");
        assert_eq!(Text::refused_user("no"), "");
        assert!(Text::new(Language::En).role(&grant("get", "pods/log", None), "").contains("YOUR-USER"));
    }
}
