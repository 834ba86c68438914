//! Custom kinds, found in the server's discovery by any name that kubectl accepts.

use std::pin::pin;

use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResource, APIResourceList};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Error};

use super::aggregated;
use brow_model::index::ServedKind;
use brow_model::workload::{INSTALLERS, is_dns_label, is_dns_name};

/// The number of groups that are requested at a time.
const MAX_CONCURRENT: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cluster) struct DiscoveredKind {
    pub api: ApiResource,
    /// True if it has a scale subresource, which contains its selector.
    pub scale: bool,
}

impl DiscoveredKind {
    /// The resource as rights and messages name it: `deployments.apps`.
    pub(in crate::cluster) fn resource(&self) -> String {
        named(&self.api.plural, &self.api.group)
    }

    /// A subresource, by the same rule: `rollouts/scale.argoproj.io`.
    pub(super) fn subresource(&self, name: &str) -> String {
        named(&format!("{}/{name}", self.api.plural), &self.api.group)
    }
}

fn named(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// The built-in kinds that are indexed: those that people look for by name.
const INDEXED: [(&str, &str); 13] = [
    ("", "configmaps"),
    ("", "namespaces"),
    ("", "nodes"),
    ("", "persistentvolumeclaims"),
    ("", "pods"),
    ("", "secrets"),
    ("", "services"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
    ("networking.k8s.io", "ingresses"),
];

#[derive(PartialEq, Eq)]
struct GroupVersion {
    group: String,
    version: String,
}

/// Looks for a kind: `clonesets`, `cloneset`, `clone` (its short name), each alone or with the group behind it, and the
/// version between.
///
/// # Errors
/// Where the server cannot be asked. `Ok(Err(…))`: it has no such kind; these names are near.
pub(super) async fn find(client: &Client, name: &str) -> Result<Result<DiscoveredKind, Vec<String>>, Error> {
    let (resource, suffix) = name.split_once('.').unwrap_or((name, ""));
    let mut names = Vec::new();
    if suffix.is_empty() {
        let core = client.list_core_api_resources("v1").await?;
        if let Some(found) = among(&core, "", "v1", resource) {
            return Ok(Ok(found));
        }
        names.extend(names_of(&core));
    }
    let groups = client.list_api_groups().await?.groups;
    let versions: Vec<GroupVersion> = groups.iter().flat_map(|group| versions(group, suffix)).collect();
    let mut lists = pin!(lists(client, versions));
    while let Some((at, list)) = lists.next().await {
        if let Some(found) = among(&list, &at.group, &at.version, resource) {
            return Ok(Ok(found));
        }
        names.extend(names_of(&list));
    }
    names.sort();
    names.dedup();
    Ok(Err(near(resource, &names)))
}

/// The resources of groups, in the server's order of precedence. Groups that do not answer are skipped.
fn lists(client: &Client, versions: Vec<GroupVersion>) -> impl Stream<Item = (GroupVersion, APIResourceList)> {
    let asked = stream::iter(versions).map(async |at| {
        let list = client.list_api_group_resources(&format!("{}/{}", at.group, at.version)).await.ok();
        Some((at, list?))
    });
    asked.buffered(MAX_CONCURRENT).filter_map(async |list| list)
}

/// The custom kinds that stand for pods, as far as the server tells without being asked for each: those that can be
/// scaled, and those that are known to have a selector.
///
/// # Errors
/// Where the server cannot be asked.
pub(in crate::cluster) async fn workloads(client: &Client) -> Result<Vec<DiscoveredKind>, Error> {
    let core = client.list_core_api_resources("v1").await?;
    let mut all = scaled(&core, "", "v1");
    let groups = client.list_api_groups().await?.groups;
    // What old servers have twice, and what is looked for anyway.
    let groups = groups.iter().filter(|group| !["apps", "batch", "extensions"].contains(&group.name.as_str()));
    let versions = groups.flat_map(|group| versions(group, "")).collect();
    let mut lists = pin!(lists(client, versions));
    while let Some((at, list)) = lists.next().await {
        for found in scaled(&list, &at.group, &at.version) {
            let is_known = |known: &DiscoveredKind| known.resource() == found.resource();
            if !all.iter().any(is_known) {
                all.push(found);
            }
        }
    }
    Ok(all)
}

/// Every kind that can be listed and watched, in the version that the server prefers.
///
/// # Errors
/// Where the server cannot be asked.
pub(in crate::cluster) async fn served(client: &Client) -> Result<Vec<ServedKind>, Error> {
    let mut all: Vec<ServedKind> = Vec::new();
    if let Some(lists) = aggregated::lists(client).await? {
        for (group, version, list) in &lists {
            take_served(list, group, version, &mut all);
        }
        return Ok(all);
    }
    let core = client.list_core_api_resources("v1").await?;
    take_served(&core, "", "v1", &mut all);
    let groups = client.list_api_groups().await?.groups;
    let mut versions = Vec::new();
    for group in groups.iter().filter(|group| is_dns_name(&group.name)) {
        // A kind may exist in an older version alone.
        let preferred = group.preferred_version.iter().chain(&group.versions);
        for version in preferred.filter(|version| is_dns_label(&version.version)) {
            let at = GroupVersion { group: group.name.clone(), version: version.version.clone() };
            if !versions.contains(&at) {
                versions.push(at);
            }
        }
    }
    let mut lists = pin!(lists(client, versions));
    while let Some((at, list)) = lists.next().await {
        take_served(&list, &at.group, &at.version, &mut all);
    }
    Ok(all)
}

/// Returns names similar to `name`, else the first few.
pub(super) fn near(name: &str, known: &[String]) -> Vec<String> {
    let names = || known.iter().map(String::as_str);
    let near = brow_model::near::near(name, names());
    let near = if near.is_empty() { names().take(3).collect() } else { near };
    near.into_iter().map(str::to_owned).collect()
}

/// Returns true for a kind that people look for by name.
pub(in crate::cluster) fn is_indexed(kind: &ServedKind) -> bool {
    kind.is_custom() || INDEXED.contains(&(kind.group.as_str(), kind.plural.as_str()))
}

/// Adds the kinds of a list that are not there yet.
fn take_served(list: &APIResourceList, group: &str, version: &str, all: &mut Vec<ServedKind>) {
    for resource in &list.resources {
        let can = |verb: &str| resource.verbs.iter().any(|known| known == verb);
        let known = all.iter().any(|other| other.group == group && other.plural == resource.name);
        if !is_dns_label(&resource.name) || !can("list") || !can("watch") || known {
            continue;
        }
        all.push(ServedKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: resource.kind.clone(),
            plural: resource.name.clone(),
            shorts: resource.short_names.clone().unwrap_or_default(),
            namespaced: resource.namespaced,
        });
    }
}

/// The kinds of a group that stand for pods and may be watched.
fn scaled(list: &APIResourceList, group: &str, version: &str) -> Vec<DiscoveredKind> {
    let watched = |resource: &&APIResource| {
        let can = |verb: &str| resource.verbs.iter().any(|known| known == verb);
        resource.namespaced && !resource.name.contains('/') && can("list") && can("watch")
    };
    let of = |resource: &APIResource| {
        let found = among(list, group, version, &resource.name)?;
        let known = INSTALLERS.iter().any(|known| known.crd == found.resource());
        (found.scale || known).then_some(found)
    };
    list.resources.iter().filter(watched).filter_map(of).collect()
}

/// The versions of a group that are looked through: the one that is named, else all, the preferred one first. A kind
/// may exist in another one alone, as `OpenKruise`'s `CloneSet` does.
fn versions(group: &APIGroup, suffix: &str) -> Vec<GroupVersion> {
    let Some(first) = version(group, suffix) else { return Vec::new() };
    let is_named = !suffix.is_empty() && suffix != group.name;
    let is_other = |version: &&str| !is_named && *version != first.version && is_dns_label(version);
    let others = group.versions.iter().map(|known| known.version.as_str()).filter(is_other);
    let of = |version: &str| GroupVersion { group: group.name.clone(), version: version.to_owned() };
    let others: Vec<GroupVersion> = others.map(of).collect();
    std::iter::once(first).chain(others).collect()
}

/// The version of a group that is meant: the one that is named, else the preferred one. `None`: another group is meant.
fn version(group: &APIGroup, suffix: &str) -> Option<GroupVersion> {
    if !is_dns_name(&group.name) {
        return None;
    }
    let of = |version: &str| GroupVersion { group: group.name.clone(), version: version.to_owned() };
    if suffix.is_empty() || suffix == group.name {
        let known = group.preferred_version.as_ref().or(group.versions.first());
        return known.filter(|known| is_dns_label(&known.version)).map(|known| of(&known.version));
    }
    let named = suffix.strip_suffix(&format!(".{}", group.name)).filter(|named| is_dns_label(named))?;
    group.versions.iter().find(|known| known.version == named).map(|known| of(&known.version))
}

fn among(list: &APIResourceList, group: &str, version: &str, name: &str) -> Option<DiscoveredKind> {
    let is = |resource: &&APIResource| {
        resource.namespaced
            && is_dns_label(&resource.name)
            && (resource.name == name
                || resource.singular_name == name
                || resource.kind.to_ascii_lowercase() == name
                || resource.short_names.iter().flatten().any(|short| short == name))
    };
    let found = list.resources.iter().find(is)?;
    let scale = format!("{}/scale", found.name);
    let api = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, &found.kind), &found.name);
    Some(DiscoveredKind { api, scale: list.resources.iter().any(|resource| resource.name == scale) })
}

fn names_of(list: &APIResourceList) -> impl Iterator<Item = String> {
    let kinds = list.resources.iter().filter(|resource| resource.namespaced && !resource.name.contains('/'));
    kinds.map(|resource| resource.kind.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_goes_by_many_names() {
        let list: APIResourceList = serde_json::from_value(json!({
            "groupVersion": "apps.kruise.io/v1alpha1",
            "resources": [
                { "name": "clonesets/scale", "singularName": "", "namespaced": true, "kind": "Scale", "verbs": [] },
                { "name": "clonesets", "singularName": "cloneset", "namespaced": true, "kind": "CloneSet",
                  "shortNames": ["clone"], "verbs": [] },
                { "name": "nodeimages", "singularName": "nodeimage", "namespaced": false, "kind": "NodeImage",
                  "verbs": [] },
            ],
        }))
        .unwrap();
        let find = |name: &str| among(&list, "apps.kruise.io", "v1alpha1", name);
        for name in ["clonesets", "cloneset", "clone"] {
            let found = find(name).unwrap();
            assert_eq!((found.resource().as_str(), found.scale), ("clonesets.apps.kruise.io", true), "{name}");
            assert_eq!(found.subresource("scale"), "clonesets/scale.apps.kruise.io");
            assert_eq!(
                (found.api.api_version.as_str(), found.api.kind.as_str()),
                ("apps.kruise.io/v1alpha1", "CloneSet")
            );
        }
        assert_eq!(find("nodeimage"), None, "belongs to no namespace");
        assert_eq!(find("clonesets/scale"), None);
        let odd =
            |name: &str| json!({ "name": name, "singularName": "odd", "namespaced": true, "kind": "Odd", "verbs": [] });
        let odd: APIResourceList =
            serde_json::from_value(json!({ "groupVersion": "v1", "resources": [odd(".."), odd("a?b")] })).unwrap();
        assert_eq!(among(&odd, "", "v1", "odd"), None, "they become parts of paths");
        assert_eq!(names_of(&list).collect::<Vec<_>>(), ["cloneset"]);
    }

    #[test]
    fn what_can_be_scaled_stands_for_pods() {
        let can = json!(["get", "list", "watch"]);
        let kind = |plural: &str, kind: &str, verbs: &serde_json::Value| json!({ "name": plural, "singularName": "", "namespaced": true, "kind": kind, "verbs": verbs });
        let list: APIResourceList = serde_json::from_value(json!({
            "groupVersion": "apps.kruise.io/v1alpha1",
            "resources": [
                kind("clonesets", "CloneSet", &can), kind("clonesets/scale", "Scale", &json!([])),
                kind("sidecarsets", "SidecarSet", &can),
                // Known to have a selector.
                kind("daemonsets", "DaemonSet", &can),
                kind("writeonly", "WriteOnly", &json!(["create"])), kind("writeonly/scale", "Scale", &json!([])),
            ],
        }))
        .unwrap();
        let found = scaled(&list, "apps.kruise.io", "v1alpha1");
        let found: Vec<String> = found.iter().map(DiscoveredKind::resource).collect();
        assert_eq!(found, ["clonesets.apps.kruise.io", "daemonsets.apps.kruise.io"]);
    }

    #[test]
    fn group_and_version_may_be_named() {
        let group: APIGroup = serde_json::from_value(json!({
            "name": "argoproj.io",
            "versions": [{ "groupVersion": "argoproj.io/v1", "version": "v1" },
                         { "groupVersion": "argoproj.io/v1alpha1", "version": "v1alpha1" }],
            "preferredVersion": { "groupVersion": "argoproj.io/v1", "version": "v1" },
        }))
        .unwrap();
        let of = |suffix: &str| version(&group, suffix).map(|found| found.version);
        assert_eq!(of("").as_deref(), Some("v1"));
        assert_eq!(of("argoproj.io").as_deref(), Some("v1"));
        assert_eq!(of("v1alpha1.argoproj.io").as_deref(), Some("v1alpha1"));
        assert_eq!(of("v2.argoproj.io"), None);
        assert_eq!(of("apps.kruise.io"), None);
        let with = |group: &str, version: &str| {
            let known = json!({ "groupVersion": "", "version": version });
            let group = json!({ "name": group, "versions": [known.clone()], "preferredVersion": known });
            super::version(&serde_json::from_value(group).unwrap(), "").is_some()
        };
        assert!(with("a.io", "v1") && !with("../a", "v1") && !with("a.io", "../v1"));
    }
}
