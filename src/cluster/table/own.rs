//! Columns for kinds whose definitions have none, or not those that people look for: Traefik's, and K3s' plans. Read
//! leniently, as another version may write them in another way.

use serde_json::Value;

use super::plan::{self, Nodes};
use brow_model::index::ServedKind;
use brow_model::kinds::RouteService;
use brow_model::workload::{is_dns_label, is_dns_name};

/// A column that is read from the object.
pub(super) struct OwnColumn {
    pub name: &'static str,
    pub of: fn(&Value, &Nodes) -> String,
}

const ROUTE: [OwnColumn; 4] = [
    OwnColumn { name: "Entry points", of: entry_points },
    OwnColumn { name: "Match", of: matches },
    OwnColumn { name: "Services", of: named_services },
    OwnColumn { name: "TLS", of: tls },
];
const SPEC: [OwnColumn; 1] = [OwnColumn { name: "Settings", of: settings }];
const PLAN: [OwnColumn; 4] = [
    OwnColumn { name: "Version", of: plan::version },
    OwnColumn { name: "Nodes", of: plan::progress },
    OwnColumn { name: "Applying", of: plan::applying },
    OwnColumn { name: "State", of: plan::state },
];

/// Returns the columns of a kind that are read from its objects.
pub(super) fn columns(kind: &ServedKind) -> &'static [OwnColumn] {
    match (kind.group.as_str(), kind.kind.as_str()) {
        _ if is_route(kind) => &ROUTE,
        ("traefik.io" | "traefik.containo.us", _) => &SPEC,
        _ if plan::is_plan(kind) => &PLAN,
        _ => &[],
    }
}

fn is_route(kind: &ServedKind) -> bool {
    matches!(kind.group.as_str(), "traefik.io" | "traefik.containo.us") && kind.kind.starts_with("IngressRoute")
}

/// Returns the Services behind a route, each once.
pub(super) fn services(kind: &ServedKind, object: &Value) -> Vec<RouteService> {
    let mut all: Vec<RouteService> = Vec::new();
    let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
    for service in backends(object).filter(|_| is_route(kind)) {
        // The other kind is Traefik's own service, behind which there are more.
        if service["kind"].as_str().unwrap_or("Service") != "Service" {
            continue;
        }
        let namespace = service["namespace"].as_str().unwrap_or(own);
        let Some(name) = service["name"].as_str() else { continue };
        let port = text(&service["port"]);
        let port = Some(port).filter(|port| !port.is_empty());
        let found = RouteService { namespace: namespace.to_owned(), name: name.to_owned(), port };
        if is_dns_name(name) && is_dns_label(namespace) && !all.contains(&found) {
            all.push(found);
        }
    }
    all
}

pub(super) fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[field].as_array().into_iter().flatten()
}

fn backends(object: &Value) -> impl Iterator<Item = &Value> {
    list(&object["spec"], "routes").flat_map(|route| list(route, "services"))
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

pub(super) fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn entry_points(object: &Value, _: &Nodes) -> String {
    joined(list(&object["spec"], "entryPoints").map(text))
}

fn matches(object: &Value, _: &Nodes) -> String {
    joined(list(&object["spec"], "routes").map(|route| text(&route["match"])))
}

fn named_services(object: &Value, _: &Nodes) -> String {
    joined(backends(object).map(|service| {
        let (place, name, port) = (text(&service["namespace"]), text(&service["name"]), text(&service["port"]));
        let place = if place.is_empty() { place } else { format!("{place}/") };
        let port = if port.is_empty() { port } else { format!(":{port}") };
        let kind = service["kind"].as_str().filter(|kind| *kind != "Service");
        format!("{place}{name}{port}{}", kind.map(|kind| format!(" ({kind})")).unwrap_or_default())
    }))
}

fn tls(object: &Value, _: &Nodes) -> String {
    let tls = &object["spec"]["tls"];
    let resolver = tls["certResolver"].as_str();
    let passes = tls["passthrough"] == true;
    tls["secretName"].as_str().or(resolver).or(passes.then_some("passthrough")).unwrap_or_default().to_owned()
}

/// The names of what is set: a middleware's is its type.
fn settings(object: &Value, _: &Nodes) -> String {
    joined(object["spec"].as_object().into_iter().flat_map(serde_json::Map::keys).cloned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(group: &str, kind: &str) -> ServedKind {
        let (group, kind, version) = (group.to_owned(), kind.to_owned(), "v1".to_owned());
        let plural = format!("{}s", kind.to_lowercase());
        ServedKind { group, version, kind, plural, shorts: Vec::new(), namespaced: true }
    }

    fn shown(kind: &ServedKind, object: &Value) -> Vec<String> {
        columns(kind).iter().map(|column| (column.of)(object, &None)).collect()
    }

    #[test]
    fn a_route_is_its_entry_points_its_match_its_services_and_its_certificate() {
        let route = kind("traefik.io", "IngressRoute");
        let object = json!({ "metadata": { "namespace": "shop" }, "spec": {
            "entryPoints": ["web", "websecure"],
            "routes": [
                { "match": "Host(`a`)", "services": [
                    { "name": "round", "kind": "TraefikService" }, { "name": "web", "port": 80 },
                ] },
                { "match": "Path(`/x`)", "services": [{ "name": "x", "namespace": "ops", "port": "http" }] },
                { "services": [{ "name": "../up", "port": 1 }] },
            ],
            "tls": { "secretName": "cert" },
        } });
        let all =
            ["web, websecure", "Host(`a`), Path(`/x`)", "round (TraefikService), web:80, ops/x:http, ../up:1", "cert"];
        assert_eq!(shown(&route, &object), all);
        let found = services(&route, &object);
        let found: Vec<_> =
            found.iter().map(|at| (at.namespace.as_str(), at.name.as_str(), at.port.as_deref())).collect();
        assert_eq!(found, [("shop", "web", Some("80")), ("ops", "x", Some("http"))]);
        assert_eq!(shown(&route, &json!({ "spec": { "routes": "odd", "tls": {} } })), ["", "", "", ""]);
        assert!(services(&kind("example.com", "IngressRoute"), &object).is_empty());
        // Routes of streams and of datagrams have no kinds of services.
        for of in ["IngressRouteTCP", "IngressRouteUDP"] {
            let service = json!({ "name": "db", "port": 5432, "weight": 1 });
            let object =
                json!({ "metadata": { "namespace": "shop" }, "spec": { "routes": [{ "services": [service] }] } });
            let found = services(&kind("traefik.io", of), &object);
            assert_eq!(
                (found.len(), found[0].name.as_str(), found[0].port.as_deref()),
                (1, "db", Some("5432")),
                "{of}"
            );
        }
        assert_eq!(shown(&kind("traefik.io", "Middleware"), &json!({ "spec": { "compress": {} } })), ["compress"]);
    }
}
