//! Reading a target, and the settings that clusters and defaults have as well.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::section::Section;
use super::within;
use brow_model::address::{AddressError, UrlPart};
use brow_model::allow::AllowList;
use brow_model::field::{Scope, Slot, TargetField, is_quantity, is_socket_path};
use brow_model::forward_settings::LocalUsers;
use brow_model::node::NodePorts;
use brow_model::settings::{Carrier, PullPolicy, Relay, Toleration};
use brow_model::target::Target;
use brow_model::ttl::Ttl;
use brow_model::workload::{Destination, Kind, Workload};

/// Hints at the form of a quantity, and of the path of a socket.
const QUANTITY: &str = "write a quantity such as 10m, 0.5 or 16Mi";
const SOCKET_PATH: &str = "a path begins with /, ~/ or $XDG_RUNTIME_DIR/";

/// An address as it is written.
struct Written(Destination, Vec<UrlPart>);

impl FromStr for Written {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(Destination::Proxy) = text.parse() {
            return Ok(Self(Destination::Proxy, Vec::new()));
        }
        Ok(Self(Destination::Address(text.parse()?), UrlPart::of(text)))
    }
}

/// Reads the fields that may stand anywhere and, with `of_target`, those of a target.
pub(super) fn said(section: &mut Section<'_, '_>, of_target: bool, max_ttl: Ttl) -> Target {
    let mut target = Target::blank();
    let mut resources = section.section("resources");
    let fits = |field: &TargetField| match field.scope() {
        Scope::Any => true,
        Scope::Target | Scope::Proxy | Scope::Node => of_target,
        Scope::Workload => false,
    };
    for field in TargetField::ALL.into_iter().filter(fits) {
        let key = field.config_key();
        match field.slot(&mut target) {
            // What has to be there, and what depends on it.
            None | Some(Slot::Word(_) | Slot::Destination(_) | Slot::Proxy(_)) => {}
            Some(Slot::Namespace(at)) => *at = section.namespace(key).map(|found| found.value),
            Some(Slot::Image(at)) => *at = section.word(key).map(|found| found.value),
            Some(Slot::Quantity(at)) => *at = resources.as_mut().and_then(|of| checked(of, key, is_quantity, QUANTITY)),
            Some(Slot::Port(at)) => *at = section.port(key).unwrap_or_default(),
            Some(Slot::Ttl(at)) => {
                let found = section.parsed(key);
                if let Some(found) = &found {
                    within(section, found, max_ttl);
                }
                *at = found.map(|found| found.value);
            }
            Some(Slot::Time(at)) => *at = section.parsed(key).map(|found| found.value),
            Some(Slot::Flag(at)) => *at = section.boolean(key),
            Some(Slot::On(at)) => *at = section.boolean(key).unwrap_or_default(),
            Some(Slot::Relay(at)) => *at = section.one_of(key, &Relay::ALL.map(|relay| (relay.name(), relay))),
            Some(Slot::Carrier(at)) => *at = section.one_of(key, &Carrier::ALL.map(|one| (one.name(), one))),
            Some(Slot::Policy(at)) => *at = section.one_of(key, &PullPolicy::ALL.map(|policy| (policy.name(), policy))),
            Some(Slot::Probe(at)) => *at = section.parsed(key).map(|found| found.value),
            Some(Slot::Ip(at)) => *at = section.parsed(key).map(|found| found.value),
            Some(Slot::Path(at)) => *at = checked(section, key, is_socket_path, SOCKET_PATH),
            Some(Slot::Users(at)) => *at = section.one_of(key, &LocalUsers::ALL),
            Some(Slot::Agent(at)) => *at = section.access(key),
            Some(Slot::Allow(at)) => *at = allow(section, key),
            Some(Slot::Words(at)) => *at = section.texts(key).unwrap_or_default(),
            Some(Slot::Names(at)) => *at = section.texts(key),
            Some(Slot::Labels(at) | Slot::Annotations(at)) => *at = section.map(key),
            Some(Slot::Tolerations(at)) => {
                *at = section.list(key, true).map(|all| all.into_iter().map(toleration).collect());
            }
        }
    }
    resources.into_iter().for_each(Section::finish);
    target
}

/// Reads the rules of a proxy target.
fn allow(section: &mut Section<'_, '_>, key: &'static str) -> AllowList {
    let mut rules = Vec::new();
    let texts = section.texts(key);
    if texts.as_ref().is_some_and(Vec::is_empty) {
        let says = "is empty, which would allow everything: write [\"*\"] for that, or remove it";
        section.problem(&section.key_span(key), key, says.to_owned());
    }
    for text in texts.unwrap_or_default() {
        match text.parse() {
            Ok(rule) => rules.push(rule),
            Err(error) => {
                let says = format!("has \"{}\": {error}", text.escape_debug());
                section.problem(&section.key_span(key), key, says);
            }
        }
    }
    AllowList(rules)
}

fn toleration(mut section: Section<'_, '_>) -> Toleration {
    let same = |word: &'static str| (word, word);
    let toleration = Toleration {
        key: section.text("key").map(|found| found.value),
        operator: section.one_of("operator", &["Exists", "Equal"].map(same)).map(str::to_owned),
        value: section.text("value").map(|found| found.value),
        effect: section.one_of("effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"].map(same)).map(str::to_owned),
    };
    section.finish();
    toleration
}

/// A text that a condition holds for; else `says` how to write it.
pub(super) fn checked(
    section: &mut Section<'_, '_>,
    key: &'static str,
    holds: fn(&str) -> bool,
    says: &str,
) -> Option<String> {
    let found = section.text(key)?;
    if holds(&found.value) {
        return Some(found.value);
    }
    section.problem(&found.span, key, format!("is \"{}\": {says}", found.value.escape_debug()));
    None
}

/// Reads a target. Of an address that is a URL `urls` gets what it says besides.
pub(super) fn target(
    mut section: Section<'_, '_>,
    names: &mut BTreeSet<String>,
    max_ttl: Ttl,
    urls: &mut Vec<(String, Vec<UrlPart>)>,
) -> Option<Target> {
    let name = section.word("name");
    if let Some(name) = &name
        && !names.insert(name.value.clone())
    {
        section.problem(&name.span, "name", format!("is \"{}\", which another target has", name.value));
    }
    let cluster = section.word("cluster");
    let said = said(&mut section, true, max_ttl);
    let (address, beside) = place(&mut section).unzip();
    if section.has("allow") && address.as_ref().is_some_and(|address: &Destination| !address.is_proxy()) {
        section.problem(&section.key_span("allow"), "allow", "is for a proxy (`address = \"proxy\"`)");
    }
    if section.has("persist") && address.as_ref().is_some_and(|address| !matches!(address, Destination::Node(_))) {
        section.problem(&section.key_span("persist"), "persist", "is for ports of nodes (`node = \"30999\"`)");
    }
    section.require(&["name", "cluster"]);
    section.finish();
    if let (Some(name), Some(beside)) = (&name, beside.filter(|beside| !beside.is_empty())) {
        urls.push((name.value.clone(), beside));
    }
    Some(Target { name: name?.value, cluster: cluster?.value, address: address?, ..said })
}

/// Reads the destination of a target: exactly one of `address`, `workload` and `node`, with the keys of the
/// second.
fn place(section: &mut Section<'_, '_>) -> Option<(Destination, Vec<UrlPart>)> {
    let address = section.parsed("address");
    let workload = section.parsed::<Workload>("workload");
    let node = section.parsed::<NodePorts>("node");
    let proxy = section.one_of("via", &[("direct", false), ("proxy", true)]).unwrap_or_default();
    let spread = section.boolean("spread").unwrap_or_default();
    let wait = section.parsed::<Ttl>("wait");
    if proxy && workload.as_ref().is_some_and(|found| found.value.kind != Kind::Service) {
        section.problem(&section.key_span("via"), "via", "is \"proxy\", which only a service has an address for");
    }
    let given: Vec<&str> = ["address", "workload", "node"].into_iter().filter(|key| section.has(key)).collect();
    match given[..] {
        [first, second, ..] => {
            let of_workload = workload.as_ref().filter(|_| second == "workload").map(|found| found.span.clone());
            let of_node = node.as_ref().filter(|_| second == "node").map(|found| found.span.clone());
            let span = of_workload.or(of_node).unwrap_or_else(|| section.span.clone());
            section.problem(&span, second, format!("cannot be combined with `{first}`"));
        }
        [] if section.means("workload") => {}
        [] => section.require(&["address"]),
        ["workload"] => {}
        [other] => {
            let article = if other == "address" { "an" } else { "a" };
            for key in ["via", "spread", "wait"].into_iter().filter(|key| section.has(key)) {
                section.problem(
                    &section.key_span(key),
                    key,
                    format!("is for a `workload`, not for {article} `{other}`"),
                );
            }
        }
    }
    let wait = wait.map(|found| found.value);
    let workload = workload.map(|found| Destination::Workload(Workload { wait, proxy, spread, ..found.value }));
    let node = node.map(|found| Destination::Node(found.value));
    if let Some(workload) = workload.or(node) {
        return Some((workload, Vec::new()));
    }
    let Written(address, beside) = address?.value;
    Some((address, beside))
}
