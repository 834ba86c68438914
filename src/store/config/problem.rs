//! Errors in a config: every message names file, line, column and key.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use brow_model::fault::{Fault, What};
use brow_model::sanitize::is_unseen;

/// One error in a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Byte offset in the text.
    pub at: usize,
    /// The sentence; it names the key.
    pub says: String,
}

impl Problem {
    /// A problem at the beginning of `span`.
    pub fn new(span: &Range<usize>, says: impl Into<String>) -> Self {
        Self { at: span.start, says: says.into() }
    }

    /// The TOML parser's error, with the key of the line that it is in, if there is one.
    pub fn syntax(text: &str, error: &toml_edit::TomlError) -> Self {
        // The parser's span may begin at the line's end: the key is then still the one of that line.
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let line = text.get(line..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let message = error.message().trim().replace('\n', ", ");
        let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| !key.is_empty());
        let says = match key {
            Some(key) => format!("`{key}`: {message}"),
            None if line.trim().is_empty() => message,
            None => format!("`{}`: {message}", line.trim()),
        };
        Self { at, says }
    }
}

/// Line and column of a byte offset, both from 1; columns count characters.
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (line, before.get(start..).unwrap_or_default().chars().count() + 1)
}

/// The most problems that a fault names.
const MAX_TOLD: usize = 10;

/// The fault for problems: the first with its file, the others a line each.
pub fn fault(path: &Path, text: &str, first: &Problem, others: &[Problem]) -> Fault {
    let (line, column) = line_column(text, first.at);
    let place = format!("{}:{line}:{column}", path.display());
    let mut says = seen(&first.says);
    for problem in others.iter().take(MAX_TOLD - 1) {
        let (line, column) = line_column(text, problem.at);
        let _ = write!(says, "\n{line}:{column}: {}", seen(&problem.says));
    }
    let more = others.len().saturating_sub(MAX_TOLD - 1);
    if more > 0 {
        let _ = write!(says, "\n(and {more} more)");
    }
    Fault::new(What::ConfigBroken, place, says)
}

/// Escapes what cannot be seen: a file may hold anything, and its author is to find it.
fn seen(says: &str) -> String {
    says.chars().flat_map(|c| if is_unseen(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "a\n中文 = 1\n";
        assert_eq!(line_column(text, 0), (1, 1));
        assert_eq!(line_column(text, text.find('=').unwrap()), (2, 4));
        assert_eq!(line_column(text, 999), (3, 1));
    }
}
