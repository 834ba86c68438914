//! Every word a person sees, in English and simplified Chinese; the tables are in `assets/text`.

mod edit;
mod fault;
mod log;
mod question;
mod role;
mod states;
mod units;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use brow_model::command::{Command, Section};
use brow_model::settings::Language;

pub use fault::FaultWords;
pub use question::QuestionWords;

/// The words of one language.
#[derive(Debug, Clone)]
pub struct Text {
    /// By `table.key`.
    words: HashMap<String, String>,
    /// The keys of commands that `{key.<name>}` stands for.
    keys: HashMap<String, String>,
}

/// A key and what it does, as the bottom line and the help show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The keys, as they are written on keyboards.
    pub keys: String,
    /// The description of the command.
    pub label: String,
}

/// A part of the help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelpSection {
    /// The name of the mode in which the keys work.
    pub title: String,
    /// The keys, most important first.
    pub lines: Vec<Hint>,
}

impl Text {
    /// The words of a language.
    pub fn new(language: Language) -> Self {
        let table = match language {
            Language::En => include_str!("../../assets/text/en.toml"),
            Language::ZhCn => include_str!("../../assets/text/zh-CN.toml"),
        };
        Self { words: parse(table), keys: HashMap::new() }
    }

    /// Names the keys that sentences speak of, by the names of their commands.
    #[must_use]
    pub fn with_keys(self, keys: HashMap<String, String>) -> Self {
        Self { keys, ..self }
    }

    /// The language that a POSIX locale asks for: the value of `LC_ALL`, `LC_MESSAGES` or `LANG`, whichever is set
    /// first. Whoever reads traditional Chinese reads simplified sooner than English.
    pub fn locale(value: &str) -> Language {
        let language = value.split(['_', '-', '.', '@']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("zh") { Language::ZhCn } else { Language::En }
    }

    /// The words of a key such as `column.name`. A test makes sure that every key that is asked for is there.
    pub fn get(&self, key: &str) -> &str {
        self.words.get(key).map_or("?", String::as_str)
    }

    /// The description of a command in a section of the keys: `command.<name>-<section>`, else `command.<name>`.
    pub fn command(&self, section: Section, command: Command) -> &str {
        let name = command.name();
        let own = self.words.get(&format!("command.{name}-{}", section.name()));
        own.map_or_else(|| self.get(&format!("command.{name}")), String::as_str)
    }

    /// Returns true if the table has an optional key.
    fn has(&self, key: &str) -> bool {
        self.words.contains_key(key)
    }

    /// The words of a key with its `{name}` placeholders filled in. Where `count` is 1 and the key has a form of its
    /// own for that (`<key>-one`), it is used.
    pub fn fill(&self, key: &str, with: &[(&str, &str)]) -> String {
        let one = with.contains(&("count", "1")).then(|| self.words.get(&format!("{key}-one"))).flatten();
        let mut rest = one.map_or_else(|| self.get(key), String::as_str);
        let mut filled = String::with_capacity(rest.len() + 32);
        // In one pass: what is filled in may itself look like a placeholder.
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, behind)) = after.split_once('}') else {
                filled.push('{');
                rest = after;
                continue;
            };
            let key = name.strip_prefix("key.").and_then(|command| self.keys.get(command));
            let value = with.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            if let Some(value) = value.or(key.map(String::as_str)) {
                filled.push_str(value);
            } else {
                filled.push('{');
                filled.push_str(name);
                filled.push('}');
            }
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }
}

/// A table as a flat map. The tables are part of the program and tested, so one that cannot be read is an empty one.
fn parse(table: &str) -> HashMap<String, String> {
    let tables: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(table).unwrap_or_default();
    tables
        .into_iter()
        .flat_map(|(table, words)| words.into_iter().map(move |(key, words)| (format!("{table}.{key}"), words)))
        .collect()
}
