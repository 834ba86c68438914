//! Aggregated discovery: everything that a server has in two requests, in place of one for each group.

use http::{Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList};
use kube::{Client, Error};
use serde_json::Value;

use brow_model::workload::{is_dns_label, is_dns_name};

/// The forms in which it comes, the newest first; a server that knows none answers in its plain form.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// Returns the resources of every group in every version, the preferred one first. `None`: the server does not have it.
///
/// # Errors
/// Where the server cannot be asked.
pub(super) async fn lists(client: &Client) -> Result<Option<Vec<(String, String, APIResourceList)>>, Error> {
    let mut all = Vec::new();
    // Groups come first: a server without it is asked only once.
    for path in ["/apis", "/api"] {
        let request = Request::get(path).header(header::ACCEPT, ACCEPT).body(Vec::new()).map_err(Error::HttpError)?;
        let found: Value = client.request(request).await?;
        if found["kind"] != "APIGroupDiscoveryList" {
            return Ok(None);
        }
        all.extend(of(&found));
    }
    Ok(Some(all))
}

fn of(found: &Value) -> Vec<(String, String, APIResourceList)> {
    let mut all = Vec::new();
    for group in list(found, "items") {
        let name = text(&group["metadata"]["name"]);
        for version in list(group, "versions") {
            let at = text(&version["version"]);
            if (name.is_empty() || is_dns_name(&name)) && is_dns_label(&at) {
                let resources = list(version, "resources").map(resource).collect();
                all.push((name.clone(), at, APIResourceList { resources, ..APIResourceList::default() }));
            }
        }
    }
    all
}

fn resource(found: &Value) -> APIResource {
    let texts = |field: &str| list(found, field).map(text).collect::<Vec<_>>();
    APIResource {
        name: text(&found["resource"]),
        kind: text(&found["responseKind"]["kind"]),
        singular_name: text(&found["singularResource"]),
        namespaced: found["scope"] == "Namespaced",
        verbs: texts("verbs"),
        short_names: Some(texts("shortNames")).filter(|names| !names.is_empty()),
        ..APIResource::default()
    }
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[field].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_resource_of_every_version_is_read() {
        let resource = |name: &str, kind: &str, scope: &str| {
            json!({
                "resource": name, "responseKind": { "group": "", "version": "", "kind": kind }, "scope": scope,
                "singularResource": "", "verbs": ["list", "watch"], "shortNames": ["x"],
                "subresources": [{ "subresource": "scale", "responseKind": { "kind": "Scale" }, "verbs": ["get"] }],
            })
        };
        let version =
            |name: &str, resources: Value| json!({ "version": name, "resources": resources, "freshness": "Current" });
        let found = json!({ "kind": "APIGroupDiscoveryList", "items": [
            { "metadata": { "name": "apps.kruise.io" }, "versions": [
                version("v1beta1", json!([resource("statefulsets", "StatefulSet", "Namespaced")])),
                version("v1alpha1", json!([resource("nodeimages", "NodeImage", "Cluster")])),
            ] },
            { "metadata": { "name": "../odd" }, "versions": [version("v1", json!([]))] },
            { "metadata": { "name": "late.example.com" }, "versions": [json!({ "version": "v1", "freshness": "Stale" })] },
        ] });
        let all = of(&found);
        let shown: Vec<_> = all
            .iter()
            .map(|(group, version, list)| {
                let names = list.resources.iter().map(|r| format!("{}/{}/{}", r.name, r.kind, r.namespaced));
                format!("{group}/{version}: {}", names.collect::<Vec<_>>().join(" "))
            })
            .collect();
        let wanted = [
            "apps.kruise.io/v1beta1: statefulsets/StatefulSet/true",
            "apps.kruise.io/v1alpha1: nodeimages/NodeImage/false",
            "late.example.com/v1: ",
        ];
        assert_eq!(shown, wanted);
        assert_eq!(all[0].2.resources[0].short_names, Some(vec!["x".to_owned()]));
    }
}
