//! Lines for a terminal or a pipe: plain text without colors or control characters, or JSON.

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::model::fault::Fault;
use crate::text::Text;

/// The exit code where something failed.
pub(super) const FAILED: u8 = 1;
/// The exit code for wrong usage, as the parser of the command line has it.
pub(super) const USAGE: u8 = 2;
/// The exit code where nothing has the name that was given.
pub(super) const UNKNOWN: u8 = 3;

/// Why a verb cannot even begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stop {
    /// The exit code.
    pub code: u8,
    /// What to say.
    pub says: String,
}

impl Stop {
    pub(super) fn fault(text: &Text, fault: &Fault) -> Self {
        Self { code: FAILED, says: text.fault_once(fault).in_full() }
    }

    pub(super) fn usage(says: impl Into<String>) -> Self {
        Self { code: USAGE, says: says.into() }
    }

    pub(super) fn unknown(says: impl Into<String>) -> Self {
        Self { code: UNKNOWN, says: says.into() }
    }

    /// Says why.
    pub(super) fn tell(&self) -> ExitCode {
        err(&self.says);
        ExitCode::from(self.code)
    }
}

/// Says what is wrong.
pub(super) fn fault(text: &Text, fault: &Fault) -> ExitCode {
    Stop::fault(text, fault).tell()
}

/// Writes to standard output. Whoever has stopped reading (`head`) has seen enough.
pub(super) fn out(text: &str) {
    let mut out = stdout().lock();
    let _unread = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes to standard error.
pub(super) fn err(text: &str) {
    let _unread = writeln!(stderr().lock(), "{}", plain(text));
}

/// Writes JSON, indented.
pub(super) fn json(value: &Value) {
    out(&format!("{value:#}"));
}

/// A text from elsewhere, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A table: columns as wide as what is in them, two spaces apart.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0).max(head.width())
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 2));
        }
        line.truncate(line.trim_end().len());
        line
    };
    let head = line(&mut heads.iter().copied());
    let rows = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_heads_whatever_the_script() {
        let rows = [vec!["网页".to_owned(), "a".to_owned()], vec!["x\u{1b}[31m".to_owned(), String::new()]];
        assert_eq!(table(&["NAME", "B"], &rows), "NAME    B\n网页    a\nx\u{fffd}[31m");
        assert_eq!(table(&["NAME", "B"], &[]), "NAME  B");
    }
}
