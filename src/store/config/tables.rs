//! The tables of settings that belong to no cluster and no target.

use std::collections::BTreeMap;

use super::section::{Section, kind};
use brow_model::connection_strings::PLACEHOLDERS;
use brow_model::forward_settings::{AgentAccess, AgentSettings};
use brow_model::port_plan::{PortPlan, PortRange};
use brow_model::service::Service;
use brow_model::ttl::Ttl;

/// The port plan. Ranges may overlap: a port that is taken is passed over in each.
pub(super) fn ports(mut section: Section<'_, '_>) -> PortPlan {
    let base = PortPlan::default();
    let mut range = |key, base| section.parsed::<PortRange>(key).map_or(base, |found| found.value);
    let plan = PortPlan {
        http: range("http", base.http),
        database: range("database", base.database),
        tcp: range("tcp", base.tcp),
    };
    section.finish();
    plan
}

/// Reads the settings of coding agents. A tag in both lists is asked about.
pub(super) fn agents(mut section: Section<'_, '_>) -> AgentSettings {
    let mut agents = AgentSettings::default();
    for (key, access) in [("allow_tags", AgentAccess::Allowed), ("ask_tags", AgentAccess::Ask)] {
        agents.tags.extend(section.texts(key).unwrap_or_default().into_iter().map(|tag| (tag, access)));
    }
    if let Some(found) = section.parsed::<Ttl>("answer_timeout") {
        if found.value > Ttl::MINUTE {
            section.problem(&found.span, "answer_timeout", format!("is {}, above the limit of 1m", found.value));
        }
        agents.answer_timeout = found.value;
    }
    section.finish();
    agents
}

/// Templates of connection strings, by service.
pub(super) fn strings(mut section: Section<'_, '_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    // What is recognised as nothing has strings too.
    for service in Service::ALL.iter().map(|service| service.name()).chain(["other"]) {
        if !section.has(service) {
            section.name(service);
            continue;
        }
        let Some(templates) = section.section(service) else { continue };
        let mut own = BTreeMap::new();
        for (name, item) in templates.free() {
            let span = item.span().unwrap_or_else(|| name.span.clone());
            match item.as_str() {
                None => {
                    let says = format!("must be a string in quotes, not {}", kind(item));
                    templates.problem(&span, name.value, says);
                }
                Some(template) => {
                    if let Some(wrong) = unknown_placeholder(template) {
                        let known = PLACEHOLDERS.map(|known| format!("{{{known}}}")).join(", ");
                        templates.problem(&span, name.value, format!("holds {{{wrong}}}; there are {known}"));
                    }
                    own.insert(name.value.to_owned(), template.to_owned());
                }
            }
        }
        all.insert(service.to_owned(), own);
    }
    section.finish();
    all
}

/// Returns the first name in braces that is not a known placeholder.
fn unknown_placeholder(template: &str) -> Option<&str> {
    let inside = template.split('{').skip(1).map(|rest| rest.split_once('}').map_or(rest, |(name, _)| name));
    inside.into_iter().find(|name| !PLACEHOLDERS.contains(name))
}
