//! A target as the TOML values that stand for it.

use std::collections::BTreeMap;

use toml_edit::{Array, InlineTable, Value};

use brow_model::keep::KeepSettings;
use brow_model::settings::{PodSettings, PullPolicy, Resources, Toleration};
use brow_model::target::Target;
use brow_model::ttl::Ttl;
use brow_model::workload::Where;

/// A target's keys in the order in which they are written, each with its value; `None`: not written.
pub fn fields(target: &Target) -> Vec<(&'static str, Option<Value>)> {
    let port = Some(target.local_port).filter(|port| *port != 0);
    let workload = target.address.workload();
    let address = match &target.address {
        Where::Address(address) => Some(address.to_string().into()),
        Where::Workload(_) => None,
    };
    let mut fields = vec![
        ("name", Some(target.name.as_str().into())),
        ("cluster", Some(target.cluster.as_str().into())),
        ("namespace", target.namespace.as_deref().map(Value::from)),
        ("address", address),
        ("workload", workload.map(|workload| workload.to_string().into())),
        ("via", workload.filter(|workload| workload.proxy).map(|_| "proxy".into())),
        ("wait", workload.and_then(|workload| workload.wait).map(|wait| wait.to_string().into())),
        ("local_port", port.map(|port| i64::from(port).into())),
        ("ttl", target.ttl.map(|ttl| ttl.to_string().into())),
        ("tags", Some(&target.tags).filter(|tags| !tags.is_empty()).map(|tags| list(tags))),
    ];
    fields.extend(keep(&target.keep));
    fields.extend(pod(&target.pod));
    fields
}

fn keep(keep: &KeepSettings) -> [(&'static str, Option<Value>); 9] {
    let time = |ttl: Option<Ttl>| ttl.map(|ttl| ttl.to_string().into());
    [
        ("on_demand", keep.on_demand.map(Value::from)),
        ("idle_timeout", time(keep.idle_timeout)),
        ("create_timeout", time(keep.create_timeout)),
        ("autostart", keep.autostart.then(|| true.into())),
        ("auto_renew", keep.auto_renew.map(Value::from)),
        ("max_lifetime", time(keep.max_lifetime)),
        ("probe", keep.probe.as_ref().map(|probe| probe.to_string().into())),
        ("probe_interval", time(keep.probe_interval)),
        ("local_address", keep.local_address.map(|ip| ip.to_string().into())),
    ]
}

fn pod(pod: &PodSettings) -> [(&'static str, Option<Value>); 8] {
    let policy = pod.pull_policy.map(|policy| match policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    });
    let tolerations = pod.tolerations.as_ref().map(|all| all.iter().map(toleration).collect::<Array>().into());
    [
        ("image", pod.image.as_deref().map(Value::from)),
        ("pull_policy", policy.map(Value::from)),
        ("pull_secrets", pod.pull_secrets.as_ref().map(|secrets| list(secrets))),
        ("node_selector", map(&pod.node_selector)),
        ("tolerations", tolerations),
        ("resources", resources(&pod.resources)),
        ("labels", map(&pod.labels)),
        ("annotations", map(&pod.annotations)),
    ]
}

fn list(texts: &[String]) -> Value {
    texts.iter().map(String::as_str).collect::<Array>().into()
}

fn map(map: &BTreeMap<String, String>) -> Option<Value> {
    let table: InlineTable = map.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    (!table.is_empty()).then(|| table.into())
}

fn some(pairs: [(&'static str, &Option<String>); 4]) -> InlineTable {
    let there = pairs.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?)));
    there.collect()
}

fn toleration(toleration: &Toleration) -> Value {
    some([
        ("key", &toleration.key),
        ("operator", &toleration.operator),
        ("value", &toleration.value),
        ("effect", &toleration.effect),
    ])
    .into()
}

fn resources(resources: &Resources) -> Option<Value> {
    let table = some([
        ("cpu_request", &resources.cpu_request),
        ("cpu_limit", &resources.cpu_limit),
        ("memory_request", &resources.memory_request),
        ("memory_limit", &resources.memory_limit),
    ]);
    (!table.is_empty()).then(|| table.into())
}
