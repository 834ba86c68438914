//! The config as text: read into the model's types, and edited with a person's comments and order kept.

pub mod edit;
pub mod problem;
pub mod section;
mod shell;
mod tables;
mod target;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeSet;
use std::path::Path;

use toml_edit::{Document, Item};

use brow_model::action::Command;
use brow_model::address::UrlPart;
use brow_model::fault::Fault;
use brow_model::near::nearest;
use brow_model::settings::{
    ClusterColor, ClusterSettings, Colors, KeyOverride, Language, Notify, OnQuit, Restore, Settings,
};
use brow_model::target::Target;
use brow_model::ttl::Ttl;

use problem::Problem;
use section::{Reader, Section, Spanned, kind};
use target::{said, target};
pub use values::fields;

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

/// Reads a config.
///
/// # Errors
/// Every mistake of the text, with its line, column and key.
pub fn read(path: &Path, text: &str) -> Result<Config, Fault> {
    let document = document(path, text)?;
    let reader = Reader::new(text);
    let config = whole(reader.root(document.as_table()));
    let mut problems = reader.into_problems();
    problems.sort_by_key(|problem| problem.at);
    match problems.split_first() {
        Some((first, others)) => Err(problem::fault(path, text, first, others)),
        None => Ok(config),
    }
}

/// The text as TOML.
fn document<'t>(path: &Path, text: &'t str) -> Result<Document<&'t str>, Fault> {
    Document::parse(text).map_err(|error| {
        let problem = Problem::syntax(text, &error);
        problem::fault(path, text, &problem, &[])
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
        prometheus: root.parsed("prometheus").map_or(base.prometheus, |found| found.value),
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
    settings.shell = root.section("shell").map(shell::read).unwrap_or_default();
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
    let prometheus = section.parsed("prometheus").map(|found| found.value);
    let Target { pod, forward, .. } = said(&mut section, false, max_ttl);
    section.finish();
    ClusterSettings { connect, tunnel, alias, color, prometheus, production, pod, forward }
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
