//! The tables in `docs/config.md`, which are made of the table of fields and of `config.example.toml`.

use std::fmt::Write as _;

use super::EXAMPLE;
use brow_model::field::{Scope, Slot, TargetField};
use brow_model::target::Target;

/// Keys of the sample that share a comment.
struct Group {
    section: &'static str,
    comment: String,
    /// Keys with their values; `false` for those that are commented out, which have no default.
    keys: Vec<(&'static str, &'static str, bool)>,
}

/// Returns the groups of the sample, but those of `[keys.…]`.
fn groups() -> Vec<Group> {
    let mut groups = Vec::<Group>::new();
    let (mut section, mut heading, mut comment) = ("", String::new(), String::new());
    let mut in_group = false;
    for line in EXAMPLE.lines() {
        let code = line.strip_prefix('#').unwrap_or(line);
        if code.is_empty() || code.starts_with(' ') {
            if in_group || line.is_empty() {
                comment.clear();
                in_group = false;
            }
            let space = if comment.is_empty() { "" } else { " " };
            comment.extend([space, code.trim_start()].into_iter().filter(|_| !line.is_empty()));
        } else if code.starts_with('[') {
            section = code;
            heading = std::mem::take(&mut comment);
            in_group = false;
        } else if let Some((key, value)) = code.split_once(" = ") {
            if !in_group {
                let comment = if comment.is_empty() { &heading } else { &comment };
                groups.push(Group { section, comment: comment.clone(), keys: Vec::new() });
            }
            in_group = true;
            groups.last_mut().unwrap().keys.push((key, value, code == line));
        }
    }
    groups.retain(|group| !group.section.starts_with("[keys."));
    groups
}

/// Returns the comment about a key of a target.
fn comment_on(key: &str, groups: &[Group]) -> String {
    let has = |group: &&Group| group.keys.iter().any(|(name, ..)| *name == key);
    let sections = ["[[target]]", "[defaults]"];
    let found = sections.iter().filter_map(|section| {
        groups.iter().filter(has).find(|group| group.section == *section && !group.comment.starts_with("As under"))
    });
    found.map(|group| group.comment.clone()).next().unwrap_or_else(|| panic!("the sample says nothing of {key}"))
}

fn targets() -> String {
    let (groups, chinese) = (groups(), include_str!("meanings.zh-CN.toml").parse::<toml::Table>().unwrap());
    let mut table = "| key | where | meaning | 作用 |\n|---|---|---|---|\n".to_owned();
    let mut above = String::new();
    for field in TargetField::ALL {
        let key = field.config_key();
        let place = match field.scope() {
            Scope::Any => "everywhere",
            Scope::Target => "target",
            Scope::Workload => "workload target",
            Scope::Proxy => "proxy target",
            Scope::Node => "node target",
        };
        let (shown, of) = match field.slot(&mut Target::blank()) {
            Some(Slot::Quantity(_)) => (format!("`resources.{key}`"), "resources"),
            Some(Slot::Destination(_)) => ("`address`, `workload` or `node`".to_owned(), "address"),
            _ => (format!("`{key}`"), key),
        };
        let comment = comment_on(of, &groups);
        let (meaning, translated) = if comment == above {
            ("″", "″")
        } else {
            let translated = chinese.get(of).and_then(toml::Value::as_str);
            (comment.as_str(), translated.unwrap_or_else(|| panic!("meanings.zh-CN.toml says nothing of {of}")))
        };
        writeln!(table, "| {shown} | {place} | {meaning} | {translated} |").unwrap();
        above = comment;
    }
    table
}

fn settings() -> String {
    let mut table = "| section | key | default | meaning |\n|---|---|---|---|\n".to_owned();
    let is_targets = |group: &Group| {
        let fields = TargetField::ALL.map(TargetField::config_key);
        group.section == "[[target]]" || group.keys.iter().all(|(key, ..)| fields.contains(key) || *key == "resources")
    };
    for group in groups().iter().filter(|group| group.section == "[defaults]" || !is_targets(group)) {
        for (at, (key, value, is_default)) in group.keys.iter().enumerate() {
            let (form, value) = if *is_default { ("", value) } else { ("–, ", value) };
            let section = group.section.trim_matches(['[', ']']);
            let comment = if at == 0 { &group.comment } else { "″" };
            writeln!(table, "| {section} | `{key}` | {form}`{value}` | {comment} |").unwrap();
        }
    }
    table
}

/// Returns the page with the tables between its marks made anew.
fn page(written: &str) -> String {
    let mut page = written.to_owned();
    for (mark, table) in [("<!-- targets -->\n", targets()), ("<!-- settings -->\n", settings())] {
        let (before, after) = page.split_once(mark).expect(mark);
        let (_, after) = after.split_once("<!-- end -->").expect("the end of a table");
        page = [before, mark, &table, "<!-- end -->", after].concat();
    }
    page
}

#[test]
fn the_page_of_the_config_says_what_the_tables_say() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let page = page(&written);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    } else {
        let hint = "docs/config.md is out of date: UPDATE_DOCS=1 cargo test --lib store::config:: writes it";
        assert!(written == page, "{hint}");
    }
}
