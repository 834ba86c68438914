//! Reading one table of the config. Asking for a key is what makes it known: the list of known keys, which unknown
//! ones are compared with and which the sample config must name, cannot differ from what is read.

use std::cell::RefCell;
use std::collections::BTreeMap;
#[cfg(test)]
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use toml_edit::{Item, TableLike, Value};

use super::problem::{Problem, line_column};
use brow_model::address::is_url;
use brow_model::forward_settings::AgentAccess;
use brow_model::near::nearest;
use brow_model::workload::is_dns_label;

/// The text that is read and what was found wrong with it so far.
#[derive(Debug)]
pub struct Reader<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    /// Keys that were asked for, and those of them that were there.
    #[cfg(test)]
    pub keys: RefCell<(BTreeSet<String>, BTreeSet<String>)>,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    pub value: T,
    /// Its bytes in the text.
    pub span: Range<usize>,
}

/// One table of the config, while it is read.
pub struct Section<'r, 't> {
    reader: &'r Reader<'t>,
    table: &'t dyn TableLike,
    /// The table's name in messages: `target`, `cluster.dev`.
    name: String,
    /// The keys asked for.
    known: Vec<&'static str>,
    /// The position of the table's head.
    pub span: Range<usize>,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: RefCell::default(),
            #[cfg(test)]
            keys: RefCell::default(),
        }
    }

    /// The section for the whole file.
    pub fn root<'r>(&'r self, table: &'t dyn TableLike) -> Section<'r, 't> {
        Section { reader: self, table, name: String::new(), known: Vec::new(), span: 0..0 }
    }

    /// Notes that something is wrong.
    pub fn problem(&self, span: &Range<usize>, says: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::new(span, says));
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, at: usize) -> usize {
        line_column(self.text, at).0
    }

    /// Returns the errors that were found.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

impl<'r, 't> Section<'r, 't> {
    /// The key as messages name it.
    pub fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Notes that something is wrong with a key of this table.
    pub fn problem(&self, span: &Range<usize>, key: &str, says: impl Display) {
        self.reader.problem(span, format!("`{}` {says}", self.path(key)));
    }

    /// The reader, for what is not about one key.
    pub fn reader(&self) -> &'r Reader<'t> {
        self.reader
    }

    fn item(&mut self, key: &'static str) -> Option<Spanned<&'t Item>> {
        self.known.push(key);
        let found = self.table.get_key_value(key).filter(|(_, item)| !item.is_none());
        #[cfg(test)]
        {
            // Whose resources or which cluster it is makes no difference to what may stand there.
            let last = self.name.rsplit('.').next().unwrap_or_default();
            let group = match self.name.split_once('.') {
                Some(_) if ["resources", "tolerations"].contains(&last) => last,
                Some(("cluster", _)) => "cluster",
                Some(_) | None => &self.name,
            };
            let mut keys = self.reader.keys.borrow_mut();
            keys.0.insert(format!("{group}.{key}"));
            if found.is_some() {
                keys.1.insert(format!("{group}.{key}"));
            }
        }
        let (name, item) = found?;
        let span = item.span().or_else(|| name.span()).unwrap_or_else(|| self.span.clone());
        Some(Spanned { value: item, span })
    }

    fn must_be<T>(&self, key: &str, wanted: &str, found: &Spanned<&Item>) -> Option<T> {
        self.problem(&found.span, key, format!("must be {wanted}, not {}", kind(found.value)));
        None
    }

    pub fn text(&mut self, key: &'static str) -> Option<Spanned<String>> {
        let found = self.item(key)?;
        match found.value.as_str() {
            Some(text) => Some(Spanned { value: text.to_owned(), span: found.span }),
            None => self.must_be(key, "a string in quotes", &found),
        }
    }

    /// A text with something in it, and nothing that would upset a terminal.
    pub fn word(&mut self, key: &'static str) -> Option<Spanned<String>> {
        let found = self.text(key)?;
        if found.value.trim().is_empty() {
            self.problem(&found.span, key, "is empty");
            return None;
        }
        if found.value.trim() != found.value || found.value.chars().any(char::is_control) {
            self.problem(&found.span, key, "must not begin or end with spaces nor contain invisible characters");
            return None;
        }
        Some(found)
    }

    pub fn namespace(&mut self, key: &'static str) -> Option<Spanned<String>> {
        let found = self.word(key)?;
        if is_dns_label(&found.value) {
            return Some(found);
        }
        let says = format!("is \"{}\": a namespace has lower-case letters, digits and '-' only", found.value);
        self.problem(&found.span, key, says);
        None
    }

    /// A text that is read as something else, whose error says what is wrong.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let found = self.text(key)?;
        match found.value.parse() {
            Ok(value) => Some(Spanned { value, span: found.span }),
            Err(error) => {
                // A login may stand in it.
                let shown = if is_url(&found.value) { "a URL" } else { &found.value };
                self.problem(&found.span, key, format!("is \"{}\": {error}", shown.escape_debug()));
                None
            }
        }
    }

    /// One of a few words.
    pub fn one_of<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let found = self.text(key)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == found.value) {
            return Some(*value);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let near = nearest(&found.value, choices.iter().map(|(word, _)| *word)).unwrap_or_default();
        let given = found.value.escape_debug();
        self.problem(
            &found.span,
            key,
            format!("must be {}, not \"{given}\"; the nearest is \"{near}\"", words.join(" or ")),
        );
        None
    }

    /// `true`, `false` or a word, with their values.
    pub fn boolean_or<T: Copy>(
        &mut self,
        key: &'static str,
        (yes, no): (T, T),
        (word, instead): (&str, T),
    ) -> Option<T> {
        let found = self.item(key)?;
        match (found.value.as_bool(), found.value.as_str()) {
            (Some(true), _) => Some(yes),
            (Some(false), _) => Some(no),
            (None, Some(text)) if text == word => Some(instead),
            (None, _) => self.must_be(key, &format!("\"{word}\", true or false"), &found),
        }
    }

    /// The access of agents: `true`, `false` or `ask`.
    pub fn access(&mut self, key: &'static str) -> Option<AgentAccess> {
        let ask = (AgentAccess::Ask.name(), AgentAccess::Ask);
        self.boolean_or(key, (AgentAccess::Allowed, AgentAccess::Denied), ask)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let found = self.item(key)?;
        found.value.as_bool().or_else(|| self.must_be(key, "true or false", &found))
    }

    pub fn port(&mut self, key: &'static str) -> Option<u16> {
        const WANTED: &str = "a whole number from 0 to 65535";
        let found = self.item(key)?;
        let Some(number) = found.value.as_integer() else { return self.must_be(key, WANTED, &found) };
        let port = u16::try_from(number).ok();
        if port.is_none() {
            self.problem(&found.span, key, format!("must be {WANTED}, not {number}"));
        }
        port
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let found = self.item(key)?;
        let Some(array) = found.value.as_array() else {
            return self.must_be(key, "a list of strings such as [\"a\", \"b\"]", &found);
        };
        let mut texts = Vec::new();
        for value in array {
            if let Some(text) = value.as_str() {
                texts.push(text.to_owned());
            } else {
                let span = value.span().unwrap_or_else(|| found.span.clone());
                self.problem(&span, key, format!("must be strings in quotes, not {}", value_kind(value)));
            }
        }
        Some(texts)
    }

    /// A table of texts by free names.
    pub fn map(&mut self, key: &'static str) -> BTreeMap<String, String> {
        let Some(found) = self.item(key) else { return BTreeMap::new() };
        let Some(table) = found.value.as_table_like() else {
            return self.must_be(key, "a table such as { name = \"text\" }", &found).unwrap_or_default();
        };
        let mut map = BTreeMap::new();
        for (name, item) in table.iter() {
            if let Some(text) = item.as_str() {
                map.insert(name.to_owned(), text.to_owned());
            } else {
                let span = item.span().unwrap_or_else(|| found.span.clone());
                let says = format!("must be strings in quotes, not {} at `{name}`", kind(item));
                self.problem(&span, key, says);
            }
        }
        map
    }

    /// A table of its own keys.
    pub fn section(&mut self, key: &'static str) -> Option<Section<'r, 't>> {
        let found = self.item(key)?;
        self.open(key, &found)
    }

    fn open(&self, key: &str, found: &Spanned<&'t Item>) -> Option<Section<'r, 't>> {
        let Some(table) = found.value.as_table_like() else {
            return self.must_be(key, "a table", found);
        };
        let (reader, name) = (self.reader, self.path(key));
        Some(Section { reader, table, name, known: Vec::new(), span: found.span.clone() })
    }

    /// A table of tables by free names (`[cluster.dev]`).
    pub fn named(&mut self, key: &'static str) -> Vec<(Spanned<String>, Section<'r, 't>)> {
        let Some(all) = self.section(key) else { return Vec::new() };
        let mut sections = Vec::new();
        for (name, _) in all.table.iter() {
            let Some((key, item)) = all.table.get_key_value(name) else { continue };
            let at = key.span().unwrap_or_else(|| all.span.clone());
            let span = item.span().unwrap_or_else(|| at.clone());
            if let Some(section) = all.open(name, &Spanned { value: item, span }) {
                sections.push((Spanned { value: name.to_owned(), span: at }, section));
            }
        }
        sections
    }

    /// A list of tables: `[[target]]`, or where `inline` lets it, `[{ … }, { … }]`.
    pub fn list(&mut self, key: &'static str, inline: bool) -> Option<Vec<Section<'r, 't>>> {
        let found = self.item(key)?;
        let name = self.path(key);
        let tables: Vec<(&'t dyn TableLike, Option<Range<usize>>)> = match found.value {
            Item::ArrayOfTables(tables) => tables.iter().map(|t| (t as &dyn TableLike, t.span())).collect(),
            Item::Value(Value::Array(array)) if inline => {
                let tables = array.iter().map(|value| match value {
                    Value::InlineTable(table) => Some((table as &dyn TableLike, table.span())),
                    _ => None,
                });
                match tables.collect() {
                    Some(tables) => tables,
                    None => return self.must_be(key, "a list of tables", &found),
                }
            }
            _ => return self.must_be(key, &format!("written as [[{name}]] tables"), &found),
        };
        let section = |(table, span): (&'t dyn TableLike, Option<Range<usize>>)| Section {
            reader: self.reader,
            table,
            name: name.clone(),
            known: Vec::new(),
            span: span.unwrap_or_else(|| found.span.clone()),
        };
        Some(tables.into_iter().map(section).collect())
    }

    /// Every key of this table with its item, for tables whose keys are not ours to list.
    pub fn free(&self) -> Vec<(Spanned<&'t str>, &'t Item)> {
        let entries = self.table.iter().map(|(name, item)| {
            let span = self.table.key(name).and_then(toml_edit::Key::span);
            (Spanned { value: name, span: span.unwrap_or_else(|| self.span.clone()) }, item)
        });
        entries.collect()
    }

    /// Makes a key known that is not there.
    pub fn name(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// The position of a key, or of the table if the key is absent.
    pub fn key_span(&self, key: &str) -> Range<usize> {
        self.table.key(key).and_then(toml_edit::Key::span).unwrap_or_else(|| self.span.clone())
    }

    /// Returns true if a key is present, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes which of these keys are not there.
    pub fn require(&self, keys: &[&str]) {
        for key in keys.iter().filter(|key| !self.table.contains_key(key) && !self.means(key)) {
            self.problem(&self.span, key, "is missing");
        }
    }

    /// Returns true if a key seems to be present but misspelled, which is reported instead of a missing key.
    pub fn means(&self, key: &str) -> bool {
        let unknown = self.free().into_iter().filter(|(found, _)| !self.known.contains(&found.value));
        let mut meant = unknown.filter_map(|(found, _)| nearest(found.value, self.known.iter().copied()));
        meant.any(|near| near == key)
    }

    /// Notes every key that nobody asked for, with the nearest that somebody did.
    pub fn finish(self) {
        for (found, _) in self.free() {
            if !self.known.contains(&found.value) {
                let near = nearest(found.value, self.known.iter().copied()).unwrap_or_default();
                self.problem(&found.span, found.value, format!("is not a known key; the nearest is `{near}`"));
            }
        }
    }
}

/// Names the type of an item.
pub fn kind(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Value(value) => value_kind(value),
        Item::Table(_) => "a table",
        Item::ArrayOfTables(_) => "a list of tables",
    }
}

fn value_kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a table",
    }
}
