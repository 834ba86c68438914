//! The search: a dialog over everything that has a name, and the query that is typed into it.

use chrono::{DateTime, Utc};

use crate::language::command::Command;
use crate::screen::letters::Letters;
use crate::screen::text_field::Field;
use crate::types::forward::ForwardId;
use crate::types::index::ObjectRef;
use crate::types::proxy::PodKey;

/// The number of results that are shown.
pub const MAX_SHOWN: usize = 50;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hit {
    Target(String),
    Forward(ForwardId),
    /// A proxy pod.
    Pod(PodKey),
    Command(Command),
    /// An object of a cluster.
    Object(ObjectRef),
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    pub hit: Hit,
    /// The name that was matched.
    pub name: String,
    /// The characters of the name that match.
    pub marks: Vec<usize>,
    /// The time of creation of an object.
    pub created: Option<DateTime<Utc>>,
}

/// The results of a query, best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    pub rows: Vec<FoundRow>,
    /// The number of further results.
    pub more: usize,
}

/// The dialog.
#[derive(Debug, Clone, Default)]
pub struct Finder {
    pub field: Field,
    pub results: Results,
    /// The selected result.
    pub cursor: usize,
    /// True if the results have to be found again.
    pub stale: bool,
    /// True once the user has moved the selection: until then the best stays selected as results arrive.
    pub chosen: bool,
}

impl Finder {
    /// Returns the selected result.
    pub fn selected(&self) -> Option<&Hit> {
        self.results.rows.get(self.cursor).map(|row| &row.hit)
    }

    /// Takes new results. A selection that was made stays on its row.
    pub(crate) fn take(&mut self, results: Results) {
        let selected = self.selected().filter(|_| self.chosen).cloned();
        self.results = results;
        let at = selected.and_then(|hit| self.results.rows.iter().position(|row| row.hit == hit));
        let last = self.results.rows.len().saturating_sub(1);
        self.cursor = at.unwrap_or(if self.chosen { self.cursor.min(last) } else { 0 });
    }
}

/// The closeness of a name to a word, the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closeness {
    Exact,
    Prefix,
    /// One of its words begins with the text.
    Word,
    Within,
    /// Its letters are there in order, close together.
    Fuzzy,
}

/// A query: words, and what narrows it.
#[derive(Default)]
pub(crate) struct Query {
    words: Vec<Word>,
    /// Beginnings of a kind's, a namespace's and a cluster's name.
    pub kind: Option<String>,
    pub namespace: Option<String>,
    pub cluster: Option<String>,
    /// A label and perhaps its value.
    pub label: Option<(String, Option<String>)>,
}

struct Word {
    text: String,
    /// `None`: too short, or with characters that no name has.
    letters: Option<Letters>,
}

impl Query {
    /// Reads a query. Names in clusters are in lower case, and so is it.
    pub fn new(text: &str) -> Self {
        let mut query = Self::default();
        for part in text.to_lowercase().split_whitespace() {
            match part.split_once(':') {
                Some(("kind", value)) => query.kind = Some(value.to_owned()),
                Some(("ns" | "namespace", value)) => query.namespace = Some(value.to_owned()),
                Some(("cluster", value)) => query.cluster = Some(value.to_owned()),
                Some(("label", _)) => query.label = label(text),
                Some(_) | None => query.words.push(Word::new(part)),
            }
        }
        query
    }

    /// Returns true if nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.is_narrow()
    }

    /// Returns true if only objects of clusters are asked for.
    pub fn is_narrow(&self) -> bool {
        self.kind.is_some() || self.namespace.is_some() || self.cluster.is_some() || self.label.is_some()
    }

    /// Returns true if objects are asked for: from the second letter on.
    pub fn is_about_objects(&self) -> bool {
        self.is_narrow() || self.words.iter().map(|word| word.text.chars().count()).sum::<usize>() > 1
    }

    /// Returns how closely a name matches, and how many letters a match in order skips. Every word has to be in the
    /// name or begin one of `others`, at least one has to be in the name.
    pub fn rank(&mut self, name: &str, others: &[&str]) -> Option<(Closeness, usize)> {
        if self.words.is_empty() {
            return Some((Closeness::Word, 0));
        }
        let mut best: Option<(Closeness, usize)> = None;
        for word in &mut self.words {
            match word.rank(name) {
                Some((closeness, skips)) => {
                    let (worst, sum) = best.unwrap_or((Closeness::Exact, 0));
                    best = Some((worst.max(closeness), sum + skips));
                }
                None if others.iter().any(|other| other.starts_with(&word.text)) => {}
                None => return None,
            }
        }
        best
    }

    /// Returns the characters of a name that match.
    pub fn marks(&mut self, name: &str) -> Vec<usize> {
        let mut marks: Vec<usize> = self.words.iter_mut().flat_map(|word| word.marks(name)).collect();
        marks.sort_unstable();
        marks.dedup();
        marks
    }
}

/// Reads the label of a query, whose value may have capitals.
fn label(text: &str) -> Option<(String, Option<String>)> {
    let is_label = |part: &&str| part.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("label:"));
    let value = text.split_whitespace().rfind(is_label)?.get(6..)?;
    Some(match value.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (value.to_owned(), None),
    })
}

impl Word {
    fn new(text: &str) -> Self {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        let letters = (plain && text.len() > 2).then(|| Letters::new(text));
        Self { text: text.to_owned(), letters }
    }

    fn rank(&mut self, name: &str) -> Option<(Closeness, usize)> {
        let text = self.text.as_str();
        if !has_in_order(name, text) {
            return None;
        }
        let Some(at) = name.find(text) else {
            return Some((Closeness::Fuzzy, self.letters.as_mut()?.skips(name)?));
        };
        let begins = |at: usize| at == 0 || !name.as_bytes()[at - 1].is_ascii_alphanumeric();
        let closeness = match at {
            0 if name.len() == text.len() => Closeness::Exact,
            0 => Closeness::Prefix,
            _ if name.match_indices(text).any(|(at, _)| begins(at)) => Closeness::Word,
            _ => Closeness::Within,
        };
        Some((closeness, 0))
    }

    fn marks(&mut self, name: &str) -> Vec<usize> {
        if let Some(at) = name.find(&self.text) {
            let first = name[..at].chars().count();
            return (first..first + self.text.chars().count()).collect();
        }
        let found = has_in_order(name, &self.text);
        self.letters.as_mut().filter(|_| found).map_or_else(Vec::new, |letters| letters.places(name))
    }
}

/// Returns true if a name has the bytes of a text in their order: a look that spares most names a closer one.
fn has_in_order(name: &str, text: &str) -> bool {
    let mut bytes = name.bytes();
    text.bytes().all(|wanted| bytes.any(|byte| byte == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ranked_from_exact_to_fuzzy() {
        for (query, name, rank) in [
            ("web", "web", Some(Closeness::Exact)),
            ("web", "web-7d4f", Some(Closeness::Prefix)),
            ("web", "shop-web-1", Some(Closeness::Word)),
            ("web", "cobweb", Some(Closeness::Within)),
            ("msql", "mysql", Some(Closeness::Fuzzy)),
            ("web", "postgres", None),
            ("!web", "postgres", None),
            ("^web", "web", None),
            ("we", "w-e", None),
            ("web shop", "web", Some(Closeness::Exact)),
            ("shop", "web", None),
            ("web prod", "web", None),
        ] {
            let found = Query::new(query).rank(name, &["shop", "deployment"]).map(|(closeness, _)| closeness);
            assert_eq!(found, rank, "{query} in {name}");
        }
    }

    #[test]
    fn qualifiers_are_no_words() {
        let query = Query::new("Web kind:deploy ns:shop cluster:dev label:App=Web");
        assert_eq!(query.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), ["web"]);
        assert_eq!((query.kind.as_deref(), query.namespace.as_deref()), (Some("deploy"), Some("shop")));
        assert_eq!(query.cluster.as_deref(), Some("dev"));
        assert_eq!(query.label, Some(("App".to_owned(), Some("Web".to_owned()))));
        assert_eq!(Query::new("label:app").label, Some(("app".to_owned(), None)));
        assert!(Query::new(" ").is_empty() && !Query::new("kind:").is_empty());
    }

    #[test]
    fn objects_come_from_the_second_letter() {
        for (query, objects) in [("", false), ("w", false), ("we", true), ("w e", true), ("kind:po", true)] {
            assert_eq!(Query::new(query).is_about_objects(), objects, "{query}");
        }
    }

    #[test]
    fn the_letters_that_match_are_marked() {
        for (query, name, marks) in [
            ("web", "shop-web", &[5, 6, 7][..]),
            ("shop web", "shop-web", &[0, 1, 2, 3, 5, 6, 7]),
            ("msql", "mysql", &[0, 2, 3, 4]),
            ("x", "mysql", &[]),
        ] {
            assert_eq!(Query::new(query).marks(name), marks, "{query} in {name}");
        }
    }
}
