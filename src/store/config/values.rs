//! A target as the TOML values that stand for it.

use std::collections::BTreeMap;

use toml_edit::{Array, InlineTable, Value};

use brow_model::allow::AllowList;
use brow_model::field::{Slot, TargetField};
use brow_model::forward_settings::AgentAccess;
use brow_model::settings::Toleration;
use brow_model::target::Target;
use brow_model::workload::Destination;

/// A target's keys in the order in which they are written, each with its value; `None`: not written.
pub fn fields(target: &Target) -> Vec<(&'static str, Option<Value>)> {
    let mut target = target.clone();
    let mut all: Vec<(&'static str, Option<Value>)> = Vec::new();
    let mut fields = TargetField::ALL;
    // What belongs to a destination stands behind it.
    fields.sort_by_key(|field| match field {
        TargetField::Name | TargetField::Cluster | TargetField::Namespace | TargetField::Address => 0,
        TargetField::Via | TargetField::Spread | TargetField::Wait | TargetField::Persist => 1,
        _ => 2,
    });
    for field in fields {
        let key = field.config_key();
        match field.slot(&mut target) {
            Some(Slot::Destination(place)) => {
                let (own, text) = match place {
                    Destination::Address(_) | Destination::Proxy => ("address", place.to_string()),
                    Destination::Workload(_) => ("workload", place.to_string()),
                    Destination::Node(ports) => ("node", ports.ports()),
                };
                let keys = ["address", "workload", "node"];
                all.extend(keys.map(|key| (key, (key == own).then(|| text.as_str().into()))));
            }
            Some(Slot::Quantity(quantity)) => {
                if all.last().is_none_or(|(last, _)| *last != "resources") {
                    all.push(("resources", None));
                }
                if let (Some(quantity), Some((_, resources))) = (quantity, all.last_mut()) {
                    let table = resources.get_or_insert_with(|| InlineTable::new().into());
                    table.as_inline_table_mut().map(|table| table.insert(key, quantity.as_str().into()));
                }
            }
            slot => all.push((key, slot.and_then(value))),
        }
    }
    all
}

fn value(slot: Slot<'_>) -> Option<Value> {
    match slot {
        Slot::Port(port) => Some(i64::from(*port)).filter(|port| *port != 0).map(Value::from),
        Slot::Flag(flag) => flag.map(Value::from),
        Slot::On(on) => on.then(|| true.into()),
        Slot::Agent(access) => access.map(|access| match access {
            AgentAccess::Allowed => true.into(),
            AgentAccess::Ask => access.name().into(),
            AgentAccess::Denied => false.into(),
        }),
        Slot::Allow(AllowList(rules)) => {
            let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
            (!rules.is_empty()).then(|| list(&rules))
        }
        Slot::Words(words) => (!words.is_empty()).then(|| list(words)),
        Slot::Names(names) => names.as_deref().map(list),
        Slot::Labels(table) | Slot::Annotations(table) => map(table),
        Slot::Tolerations(all) => all.as_ref().map(|all| all.iter().map(toleration).collect::<Array>().into()),
        Slot::Word(_)
        | Slot::Namespace(_)
        | Slot::Image(_)
        | Slot::Quantity(_)
        | Slot::Destination(_)
        | Slot::Ttl(_)
        | Slot::Time(_)
        | Slot::Proxy(_)
        | Slot::Relay(_)
        | Slot::Carrier(_)
        | Slot::Policy(_)
        | Slot::Probe(_)
        | Slot::Ip(_)
        | Slot::Path(_)
        | Slot::Users(_) => Some(slot.text()).filter(|text| !text.is_empty()).map(Value::from),
    }
}

fn list(texts: &[String]) -> Value {
    texts.iter().map(String::as_str).collect::<Array>().into()
}

fn map(map: &BTreeMap<String, String>) -> Option<Value> {
    let table: InlineTable = map.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    (!table.is_empty()).then(|| table.into())
}

fn toleration(toleration: &Toleration) -> Value {
    let Toleration { key, operator, value, effect } = toleration;
    let pairs = [("key", key), ("operator", operator), ("value", value), ("effect", effect)];
    pairs.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?))).collect::<InlineTable>().into()
}
