//! The config as text: read into the model's types, and edited with a person's comments and order kept.

pub mod edit;
pub mod problem;
pub mod section;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml_edit::{Document, Item};

use brow_model::action::Command;
use brow_model::fault::Fault;
use brow_model::form::is_quantity;
use brow_model::keep::KeepSettings;
use brow_model::plan::{PortPlan, PortRange};
use brow_model::service::Service;
use brow_model::settings::{
    ClusterSettings, Colors, KeyOverride, Language, Notify, OnQuit, PodSettings, PullPolicy, Resources, Settings,
    Toleration,
};
use brow_model::strings::PLACEHOLDERS;
use brow_model::target::Target;
use brow_model::ttl::Ttl;
use brow_model::workload::{Kind, Where, Workload};

use problem::Problem;
use section::{Reader, Section, Spanned, kind, nearest};
pub use values::fields;

/// A config that makes sense.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// All but the targets.
    pub settings: Settings,
    /// The targets, in the file's order.
    pub targets: Vec<Target>,
}

/// The places a key can be given a meaning in.
const PLACES: [&str; 9] = ["anywhere", "clusters", "targets", "pods", "forwards", "log", "dialogs", "form", "browser"];

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
        notify: root
            .one_of(
                "notify",
                &[("off", Notify::Off), ("bell", Notify::Bell), ("osc9", Notify::Osc9), ("osc777", Notify::Osc777)],
            )
            .unwrap_or(base.notify),
        notify_quiet: root.parsed("notify_quiet").map_or(base.notify_quiet, |found| found.value),
        ..base
    };
    if let Some(section) = root.section("defaults") {
        defaults(section, &mut settings);
    }
    if let Some(section) = root.section("ports") {
        settings.ports = ports(section);
    }
    if let Some(section) = root.section("strings") {
        settings.strings = strings(section);
    }
    for (name, section) in root.named("cluster") {
        settings.clusters.insert(name.value, cluster(section));
    }
    if let Some(section) = root.section("keys") {
        settings.keys = keys(section);
    }
    let sections = root.list("target", false).unwrap_or_default();
    let mut names = BTreeSet::new();
    let targets = sections.into_iter().filter_map(|section| target(section, &mut names, settings.max_ttl)).collect();
    root.finish();
    Config { settings, targets }
}

fn defaults(mut section: Section<'_, '_>, settings: &mut Settings) {
    let (ttl, max) = (section.parsed::<Ttl>("ttl"), section.parsed::<Ttl>("max_ttl"));
    settings.max_ttl = max.map_or(settings.max_ttl, |found| found.value);
    if let Some(found) = &ttl {
        within(&section, found, settings.max_ttl);
    }
    // Who sets a ceiling below the built-in default means pods without a TTL too.
    settings.ttl = ttl.map_or(settings.ttl.min(settings.max_ttl), |found| found.value);
    settings.pod = pod(&mut section);
    settings.keep = keep(&mut section).over(&settings.keep);
    section.finish();
}

/// The port plan. Ranges may overlap: a port that is taken is passed over in each.
fn ports(mut section: Section<'_, '_>) -> PortPlan {
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

/// Templates of connection strings, by service.
fn strings(mut section: Section<'_, '_>) -> BTreeMap<String, BTreeMap<String, String>> {
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
                    let says = format!("must be a text in quotes, not {}", kind(item));
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

fn within(section: &Section<'_, '_>, ttl: &Spanned<Ttl>, max: Ttl) {
    if ttl.value > max {
        let says = format!("is {}, above the ceiling of {max} (`defaults.max_ttl`)", ttl.value);
        section.problem(&ttl.span, "ttl", says);
    }
}

fn cluster(mut section: Section<'_, '_>) -> ClusterSettings {
    let protocols = ["spdy", "spdy-websocket", "v4-websocket"].map(|name| (name, name));
    let settings = ClusterSettings {
        connect: section.boolean("connect").unwrap_or_default(),
        tunnel: section.one_of("tunnel", &protocols).map(str::to_owned),
        pod: pod(&mut section),
        keep: keep(&mut section),
    };
    section.finish();
    settings
}

fn pod(section: &mut Section<'_, '_>) -> PodSettings {
    let policies =
        [("Always", PullPolicy::Always), ("IfNotPresent", PullPolicy::IfNotPresent), ("Never", PullPolicy::Never)];
    PodSettings {
        image: section.word("image").map(|found| found.value),
        pull_policy: section.one_of("pull_policy", &policies),
        pull_secrets: section.texts("pull_secrets"),
        node_selector: section.map("node_selector"),
        tolerations: section.list("tolerations", true).map(|all| all.into_iter().map(toleration).collect()),
        resources: section.section("resources").map(resources).unwrap_or_default(),
        labels: section.map("labels"),
        annotations: section.map("annotations"),
    }
}

/// Reads the settings of forwards that the defaults, a cluster or a target can have.
fn keep(section: &mut Section<'_, '_>) -> KeepSettings {
    let mut time = |key| section.parsed::<Ttl>(key).map(|found| found.value);
    let (idle_timeout, create_timeout) = (time("idle_timeout"), time("create_timeout"));
    let (max_lifetime, probe_interval) = (time("max_lifetime"), time("probe_interval"));
    KeepSettings {
        on_demand: section.boolean("on_demand"),
        idle_timeout,
        create_timeout,
        auto_renew: section.boolean("auto_renew"),
        max_lifetime,
        probe_interval,
        ..KeepSettings::default()
    }
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

fn resources(mut section: Section<'_, '_>) -> Resources {
    let mut quantity = |key| {
        let found = section.text(key)?;
        if is_quantity(&found.value) {
            return Some(found.value);
        }
        let says = format!("is \"{}\": write a quantity such as 10m, 0.5 or 16Mi", found.value.escape_debug());
        section.problem(&found.span, key, says);
        None
    };
    let resources = Resources {
        cpu_request: quantity("cpu_request"),
        cpu_limit: quantity("cpu_limit"),
        memory_request: quantity("memory_request"),
        memory_limit: quantity("memory_limit"),
    };
    section.finish();
    resources
}

fn target(mut section: Section<'_, '_>, names: &mut BTreeSet<String>, max_ttl: Ttl) -> Option<Target> {
    let name = section.word("name");
    if let Some(name) = &name
        && !names.insert(name.value.clone())
    {
        section.problem(&name.span, "name", format!("is \"{}\", which another target has", name.value));
    }
    let cluster = section.word("cluster");
    let namespace = section.namespace("namespace").map(|found| found.value);
    let local_port = section.port("local_port").unwrap_or_default();
    let ttl = section.parsed("ttl");
    if let Some(ttl) = &ttl {
        within(&section, ttl, max_ttl);
    }
    let tags = section.texts("tags").unwrap_or_default();
    let pod = pod(&mut section);
    let keep = KeepSettings {
        probe: section.parsed("probe").map(|found| found.value),
        autostart: section.boolean("autostart").unwrap_or_default(),
        local_address: section.parsed("local_address").map(|found| found.value),
        ..keep(&mut section)
    };
    let address = place(&mut section);
    section.require(&["name", "cluster"]);
    section.finish();
    Some(Target {
        name: name?.value,
        cluster: cluster?.value,
        namespace,
        address: address?,
        local_port,
        ttl: ttl.map(|found| found.value),
        tags,
        pod,
        keep,
    })
}

/// Reads the destination of a target: exactly one of `address` and `workload`, with the keys of the latter.
fn place(section: &mut Section<'_, '_>) -> Option<Where> {
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
            section.problem(&span, "workload", "stands beside `address`: a target has one of the two");
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
    let workload = workload.map(|found| Where::Workload(Workload { wait, proxy, ..found.value }));
    workload.or_else(|| Some(Where::Address(address?.value)))
}

fn keys(mut section: Section<'_, '_>) -> Vec<KeyOverride> {
    let mut all = Vec::new();
    for place in PLACES {
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
