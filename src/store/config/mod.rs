//! The config as text: read into the model's types, and edited with a person's comments and order kept.

pub mod edit;
pub mod problem;
pub mod section;
mod tables;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use toml_edit::{Document, Item};

use brow_model::action::Command;
use brow_model::address::{Address, AddressError, UrlPart};
use brow_model::fault::Fault;
use brow_model::field::{Scope, Slot, TargetField, is_quantity, is_socket_path};
use brow_model::forward_settings::LocalUsers;
use brow_model::near::nearest;
use brow_model::settings::{
    Carrier, ClusterColor, ClusterSettings, Colors, KeyOverride, Language, Notify, OnQuit, PullPolicy, Relay, Restore,
    Settings, Toleration,
};
use brow_model::target::Target;
use brow_model::ttl::Ttl;
use brow_model::workload::{Destination, Kind, Workload};

use problem::Problem;
use section::{Reader, Section, Spanned, kind};
pub use values::fields;

/// Hints at the form of a quantity, and of the path of a socket.
const QUANTITY: &str = "write a quantity such as 10m, 0.5 or 16Mi";
const SOCKET_PATH: &str = "a path begins with /, ~/ or $XDG_RUNTIME_DIR/";

/// A config that makes sense.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// All but the targets.
    pub settings: Settings,
    /// The targets, in the file's order.
    pub targets: Vec<Target>,
    /// The targets whose address is a URL that says more, and the parts that are left out of it.
    pub urls: Vec<(String, Vec<UrlPart>)>,
}

/// An address as it is written.
struct Written(Address, Vec<UrlPart>);

impl FromStr for Written {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Ok(Self(text.parse()?, UrlPart::of(text)))
    }
}

/// Reads a config.
///
/// # Errors
/// What is wrong first, with file, line, column and key.
pub fn read(path: &Path, text: &str) -> Result<Config, Fault> {
    let document = document(path, text)?;
    let reader = Reader::new(text);
    let config = whole(reader.root(document.as_table()));
    let problems = reader.into_problems();
    match problems.iter().min_by_key(|problem| problem.at) {
        Some(first) => Err(problem::fault(path, text, first, problems.len() - 1)),
        None => Ok(config),
    }
}

/// The text as TOML.
fn document<'t>(path: &Path, text: &'t str) -> Result<Document<&'t str>, Fault> {
    Document::parse(text).map_err(|error| {
        let problem = Problem::syntax(text, &error);
        problem::fault(path, text, &problem, 0)
    })
}

fn whole(mut root: Section<'_, '_>) -> Config {
    let base = Settings::default();
    let mut settings = Settings {
        language: root.one_of("language", &[("en", Language::En), ("zh-CN", Language::ZhCn)]),
        theme: root.word("theme").map_or(base.theme, |found| found.value),
        colors: root
            .one_of(
                "colors",
                &[
                    ("auto", Colors::Auto),
                    ("truecolor", Colors::Truecolor),
                    ("256", Colors::Ansi256),
                    ("16", Colors::Ansi16),
                    ("none", Colors::None),
                ],
            )
            .unwrap_or(base.colors),
        mouse: root.boolean("mouse").unwrap_or(base.mouse),
        title: root.boolean("title").unwrap_or(base.title),
        tips: root.boolean("tips").unwrap_or(base.tips),
        on_quit: root
            .one_of("on_quit", &[("ask", OnQuit::Ask), ("leave", OnQuit::Leave), ("delete", OnQuit::Delete)])
            .unwrap_or(base.on_quit),
        restore: root
            .boolean_or("restore", (Restore::Always, Restore::Never), ("ask", Restore::Ask))
            .unwrap_or(base.restore),
        notify: notify(&mut root).unwrap_or(base.notify),
        notify_quiet: root.parsed("notify_quiet").map_or(base.notify_quiet, |found| found.value),
        ..base
    };
    if let Some(section) = root.section("defaults") {
        defaults(section, &mut settings);
    }
    if let Some(section) = root.section("ports") {
        settings.ports = tables::ports(section);
    }
    if let Some(section) = root.section("strings") {
        settings.connection_strings = tables::strings(section);
    }
    if let Some(section) = root.section("agents") {
        settings.agents = tables::agents(section);
    }
    let mut aliases = BTreeSet::new();
    for (name, section) in root.named("cluster") {
        settings.clusters.insert(name.value, cluster(section, &mut aliases, settings.max_ttl));
    }
    if let Some(section) = root.section("keys") {
        settings.keys = keys(section);
    }
    let sections = root.list("target", false).unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut urls = Vec::new();
    let mut read = |section| target(section, &mut names, settings.max_ttl, &mut urls);
    let targets = sections.into_iter().filter_map(&mut read).collect();
    root.finish();
    Config { settings, targets, urls }
}

fn notify(root: &mut Section<'_, '_>) -> Option<Notify> {
    root.one_of(
        "notify",
        &[
            ("off", Notify::Off),
            ("bell", Notify::Bell),
            ("terminal", Notify::Terminal),
            ("osc9", Notify::Osc9),
            ("osc99", Notify::Osc99),
            ("osc777", Notify::Osc777),
        ],
    )
}

fn defaults(mut section: Section<'_, '_>, settings: &mut Settings) {
    let (ttl, max) = (section.parsed::<Ttl>("ttl"), section.parsed::<Ttl>("max_ttl"));
    settings.max_ttl = max.map_or(settings.max_ttl, |found| found.value);
    if let Some(found) = &ttl {
        within(&section, found, settings.max_ttl);
    }
    // Who sets a ceiling below the built-in default means pods without a TTL too.
    settings.ttl = ttl.map_or(settings.ttl.min(settings.max_ttl), |found| found.value);
    let said = said(&mut section, false, settings.max_ttl);
    settings.pod = said.pod;
    settings.forward = said.forward.over(&settings.forward);
    section.finish();
}

fn within(section: &Section<'_, '_>, ttl: &Spanned<Ttl>, max: Ttl) {
    if ttl.value > max {
        let says = format!("is {}, above the limit of {max} (`defaults.max_ttl`)", ttl.value);
        section.problem(&ttl.span, "ttl", says);
    }
}

fn cluster(mut section: Section<'_, '_>, aliases: &mut BTreeSet<String>, max_ttl: Ttl) -> ClusterSettings {
    let protocols = ["spdy", "spdy-websocket", "v4-websocket"].map(|name| (name, name));
    let connect = section.boolean("connect").unwrap_or_default();
    let tunnel = section.one_of("tunnel", &protocols).map(str::to_owned);
    let alias = section.word("alias");
    if let Some(alias) = &alias
        && !aliases.insert(alias.value.clone())
    {
        section.problem(&alias.span, "alias", format!("is \"{}\", which another cluster has", alias.value));
    }
    let alias = alias.map(|found| found.value);
    let color = section.one_of("color", &ClusterColor::ALL);
    let production = section.boolean("production").unwrap_or_default();
    let Target { pod, forward, .. } = said(&mut section, false, max_ttl);
    section.finish();
    ClusterSettings { connect, tunnel, alias, color, production, pod, forward }
}

/// Reads the fields that may stand anywhere and, with `of_target`, those of a target.
fn said(section: &mut Section<'_, '_>, of_target: bool, max_ttl: Ttl) -> Target {
    let mut target = Target::blank();
    let mut resources = section.section("resources");
    let fits = |field: &TargetField| field.scope() == Scope::Any || of_target && field.scope() == Scope::Target;
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
fn checked(section: &mut Section<'_, '_>, key: &'static str, holds: fn(&str) -> bool, says: &str) -> Option<String> {
    let found = section.text(key)?;
    if holds(&found.value) {
        return Some(found.value);
    }
    section.problem(&found.span, key, format!("is \"{}\": {says}", found.value.escape_debug()));
    None
}

fn target(
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
    section.require(&["name", "cluster"]);
    section.finish();
    if let (Some(name), Some(beside)) = (&name, beside.filter(|beside| !beside.is_empty())) {
        urls.push((name.value.clone(), beside));
    }
    Some(Target { name: name?.value, cluster: cluster?.value, address: address?, ..said })
}

/// Reads the destination of a target: exactly one of `address` and `workload`, with the keys of the latter.
fn place(section: &mut Section<'_, '_>) -> Option<(Destination, Vec<UrlPart>)> {
    let address = section.parsed("address");
    let workload = section.parsed::<Workload>("workload");
    let proxy = section.one_of("via", &[("direct", false), ("proxy", true)]).unwrap_or_default();
    let wait = section.parsed::<Ttl>("wait");
    if proxy && workload.as_ref().is_some_and(|found| found.value.kind != Kind::Service) {
        section.problem(&section.key_span("via"), "via", "is \"proxy\", which only a service has an address for");
    }
    match (section.has("address"), section.has("workload")) {
        (true, true) => {
            let span = workload.as_ref().map_or_else(|| section.span.clone(), |found| found.span.clone());
            section.problem(&span, "workload", "cannot be combined with `address`");
        }
        (false, false) if section.means("workload") => {}
        (false, false) => section.require(&["address"]),
        (true, false) => {
            for key in ["via", "wait"].into_iter().filter(|key| section.has(key)) {
                section.problem(&section.key_span(key), key, "is for a `workload`, not for an `address`");
            }
        }
        (false, true) => {}
    }
    let wait = wait.map(|found| found.value);
    let workload = workload.map(|found| Destination::Workload(Workload { wait, proxy, ..found.value }));
    if let Some(workload) = workload {
        return Some((workload, Vec::new()));
    }
    let Written(address, beside) = address?.value;
    Some((Destination::Address(address), beside))
}

fn keys(mut section: Section<'_, '_>) -> Vec<KeyOverride> {
    let mut all = Vec::new();
    for place in brow_model::command::Section::ALL.iter().map(|section| section.name()) {
        let Some(commands) = section.section(place) else { continue };
        for (command, item) in commands.free() {
            if Command::named(command.value).is_none() {
                let near = nearest(command.value, Command::ALL.iter().map(|known| known.name())).unwrap_or_default();
                let says = format!("is not a known command; the nearest is `{near}`");
                commands.problem(&command.span, command.value, says);
            }
            let chords = match item {
                Item::Value(value) if value.is_str() => Some(value.as_str().into_iter().map(str::to_owned).collect()),
                Item::Value(value) => value
                    .as_array()
                    .and_then(|list| list.iter().map(|chord| chord.as_str().map(str::to_owned)).collect()),
                Item::None | Item::Table(_) | Item::ArrayOfTables(_) => None,
            };
            let Some(keys) = chords else {
                let span = item.span().unwrap_or_else(|| command.span.clone());
                let says = format!("must be a key such as \"c\" or a list of them, not {}", kind(item));
                commands.problem(&span, command.value, says);
                continue;
            };
            let line = commands.reader().line(command.span.start);
            all.push(KeyOverride { place: place.to_owned(), command: command.value.to_owned(), keys, line });
        }
    }
    section.finish();
    // In the file's order, so that of two that clash the later one is named.
    all.sort_by_key(|key| key.line);
    all
}
