//! Words for what goes wrong in a copy, with the next step.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::Ordering;

use super::Way;
use crate::shell::copy::{Progress, Refusal, Rule, Trouble};
use crate::text::Text;
use brow_model::sanitize::shell_word;

/// Adds what has become of the place of the copy.
pub(super) fn with_place(text: &Text, words: &str, progress: &Progress) -> String {
    let is_placing = progress.is_placing.load(Ordering::Relaxed);
    format!("{words}\n{}", text.get(if is_placing { "cli.cp-partly" } else { "cli.cp-nothing" }))
}

/// Returns the message of a copy that failed in a container.
pub(super) fn of(text: &Text, trouble: &Trouble, thing: &str, way: Way<'_>, progress: &Progress) -> String {
    let words = words_of(text, trouble, thing, way);
    let is_open = matches!(trouble, Trouble::Lost(_) | Trouble::Killed(_));
    if is_open || progress.is_placing.load(Ordering::Relaxed) { with_place(text, &words, progress) } else { words }
}

fn words_of(text: &Text, trouble: &Trouble, thing: &str, way: Way<'_>) -> String {
    let place = way.place();
    let with = |key: &str, name: &str, detail: &str| {
        text.fill(key, &[("thing", thing), ("place", &shell_word(place)), ("name", name), ("detail", detail)])
    };
    let there = match way {
        Way::Out { from, .. } => from,
        Way::Into { to, .. } => to,
    };
    match trouble {
        Trouble::Fault(fault) => text.fault_once(fault).in_full(),
        Trouble::Lost(error) => with("cli.cp-lost", "", &error.to_string()),
        Trouble::NoProgram(name) => match way {
            Way::Out { from, .. } => with("cli.cp-no-program-out", name, &shell_word(from)),
            Way::Into { to, .. } => with("cli.cp-no-program-into", name, to),
        },
        Trouble::There(words) => {
            let said = text.fill("cli.cp-there", &[("thing", thing), ("detail", words)]);
            let folder = Path::new(there).parent().and_then(Path::to_str).filter(|folder| !folder.is_empty());
            let folder = shell_word(folder.unwrap_or("."));
            remedy(words).map_or_else(|| said.clone(), |key| format!("{said}\n{}", with(key, there, &folder)))
        }
        Trouble::Killed(signal) => with("cli.cp-killed", "", &signal.to_string()),
        Trouble::Refused(refusal) => refused(text, refusal, &with, there),
        Trouble::Here(path, error) => here(text, &path.to_string_lossy(), error),
        Trouble::InTheWay(path) => with("cli.cp-in-the-way", path, ""),
        Trouble::Differs(paths) => with("cli.cp-differs", paths, ""),
    }
}

/// Returns the next step where a program in the container says this.
fn remedy(words: &str) -> Option<&'static str> {
    let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    if says(&["No space left", "quota exceeded"]) {
        Some("cli.cp-no-space")
    } else if says(&["Read-only file system"]) {
        Some("cli.cp-read-only")
    } else if says(&["Permission denied", "not permitted"]) {
        Some("cli.cp-denied")
    } else if says(&["No such file", "can't cd", "Not a directory"]) {
        Some("cli.cp-missing")
    } else if says(&["file changed as we read it", "removed before we read it", "shrank by"]) {
        Some("cli.cp-changes")
    } else {
        None
    }
}

/// Returns the message about a container's archive that is not taken.
fn refused(text: &Text, refusal: &Refusal, with: &impl Fn(&str, &str, &str) -> String, from: &str) -> String {
    match refusal {
        Refusal::Entry(name, rule) => {
            let why = match rule {
                Rule::Outside => "cli.cp-outside",
                Rule::Behind => "cli.cp-behind",
                Rule::Twice => "cli.cp-twice",
                Rule::HardLink => "cli.cp-hard-link",
                Rule::Sparse => "cli.cp-sparse",
            };
            with("cli.cp-refused", name, text.get(why))
        }
        Refusal::IsLink(target) => with("cli.cp-is-link", from, target),
        Refusal::IsSpecial => with("cli.cp-is-special", from, ""),
        Refusal::TooMany(count) => with("cli.cp-too-many", from, &count.to_string()),
        Refusal::Broken(detail) => with("cli.cp-broken", from, detail),
        Refusal::Here(path, error) => here(text, &path.to_string_lossy(), error),
    }
}

/// Returns the message about a path of this machine.
fn here(text: &Text, path: &str, error: &io::Error) -> String {
    let key = match error.kind() {
        ErrorKind::NotFound => "cli.cp-here-missing",
        ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "cli.cp-here-in-the-way",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "cli.cp-here-full",
        ErrorKind::UnexpectedEof => "cli.cp-here-changes",
        _ => "cli.cp-here",
    };
    text.fill(key, &[("thing", path), ("detail", &error.to_string())])
}
