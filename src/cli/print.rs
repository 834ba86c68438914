//! Lines for a terminal or a pipe: plain text without colors or control characters, or JSON.

use std::io::{ErrorKind, IsTerminal as _, Write as _, stderr, stdout};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::text::Text;
use brow_model::fault::Fault;
use brow_model::sanitize;

/// The exit code where something failed.
pub(super) const FAILED: u8 = 1;
/// The exit code for wrong usage, as the parser of the command line has it.
pub(super) const USAGE: u8 = 2;
/// The exit code where nothing has the name that was given.
pub(super) const UNKNOWN: u8 = 3;

/// The reason why a subcommand cannot begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The exit code.
    pub code: u8,
    /// The message.
    pub message: String,
}

impl Failure {
    pub(super) fn fault(text: &Text, fault: &Fault) -> Self {
        Self { code: FAILED, message: text.fault_once(fault).in_full() }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self { code: UNKNOWN, message: message.into() }
    }

    /// Prints the message and returns the exit code.
    pub(super) fn print(&self) -> ExitCode {
        err(&self.message);
        ExitCode::from(self.code)
    }
}

/// Prints a fault and returns the exit code.
pub(super) fn fault(text: &Text, fault: &Fault) -> ExitCode {
    Failure::fault(text, fault).print()
}

/// The error of a failed write to standard output.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Writes to standard output. A closed pipe (`head`) is no error; other errors are reported at the end, see
/// [`unwritten`].
pub(super) fn out(text: &str) {
    colored(&sanitize::lines(text));
}

/// Writes to standard output unchanged: our own colors and symbols, and text that [`plain`] has sanitised.
pub(super) fn colored(text: &str) {
    progress("");
    let mut out = stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        // The first says enough.
        let _told = UNWRITTEN.set(error.to_string());
    }
}

/// Returns the error if some output was lost.
pub(super) fn unwritten() -> Option<&'static str> {
    UNWRITTEN.get().map(String::as_str)
}

/// True while a line of progress is shown.
static PROGRESS: AtomicBool = AtomicBool::new(false);

/// Shows a line of progress in place of the last one, if standard error is a terminal. An empty one removes it, as does
/// whatever is printed next.
pub(super) fn progress(words: &str) {
    if (words.is_empty() && !PROGRESS.load(Ordering::Relaxed)) || !stderr().is_terminal() {
        return;
    }
    PROGRESS.store(!words.is_empty(), Ordering::Relaxed);
    let room = crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns)).saturating_sub(1);
    let words = sanitize::line(words);
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or_default();
        used <= room
    };
    let shown: String = words.chars().take_while(fits).collect();
    let mut out = stderr().lock();
    let _unread = write!(out, "\r{shown}\x1b[K").and_then(|()| out.flush());
}

/// Writes to standard error.
pub(super) fn err(text: &str) {
    progress("");
    let _unread = writeln!(stderr().lock(), "{}", sanitize::lines(text));
}

/// Writes JSON, indented; what a terminal would obey in it is escaped.
pub(super) fn json(value: &Value) {
    colored(&sanitize::json(&format!("{value:#}")));
}

/// A text in lines of so many columns, broken at spaces and beside wide characters; what is longer in one piece stands
/// over.
pub(super) fn fold(text: &str, room: usize) -> Vec<String> {
    let (mut lines, mut line, mut piece) = (Vec::new(), String::new(), String::new());
    let mut add = |piece: &mut String, line: &mut String| {
        if !line.is_empty() && line.width() + piece.trim_end().width() > room {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(&std::mem::take(piece));
    };
    for c in text.chars() {
        let wide = c.width().unwrap_or_default() > 1;
        // A line does not begin with what closes something.
        if wide && !"，。、；：？！）”".contains(c) {
            add(&mut piece, &mut line);
        }
        piece.push(c);
        if c == ' ' {
            add(&mut piece, &mut line);
        }
    }
    add(&mut piece, &mut line);
    lines.push(line);
    lines
}

/// A table: columns as wide as what is in them, two spaces apart.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| sanitize::line(cell).into_owned()).collect()).collect();
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
    use brow_model::sanitize::{HOSTILE, is_safe};

    #[test]
    fn lines_are_broken_at_words_and_beside_wide_characters() {
        assert_eq!(fold("one two three", 7), ["one two", "three"]);
        assert_eq!(fold("one-piece-of-it all", 7), ["one-piece-of-it", "all"]);
        assert_eq!(fold("把它改正，再保存", 10), ["把它改正，", "再保存"]);
        assert_eq!(fold("把它改正，再保存", 8), ["把它改", "正，再保", "存"]);
        assert_eq!(fold("", 7), [""]);
    }

    #[test]
    fn tables_hold_nothing_hostile() {
        for words in HOSTILE {
            let table = table(&["A", "B"], &[vec![(*words).to_owned(), "x".to_owned()]]);
            assert!(is_safe(&table, true) && table.lines().count() == 2, "{table:?}");
        }
    }

    #[test]
    fn columns_stand_under_their_heads_whatever_the_script() {
        let rows = [vec!["网页".to_owned(), "a".to_owned()], vec!["x\u{1b}[31m".to_owned(), String::new()]];
        assert_eq!(table(&["NAME", "B"], &rows), "NAME  B\n网页  a\nx");
        assert_eq!(table(&["NAME", "B"], &[]), "NAME  B");
    }
}
