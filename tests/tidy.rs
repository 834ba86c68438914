//! The house stays in order: who uses whom, that each file says what it is, and how long it is.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

/// A room and the rooms it may use; the map in `src/lib.rs`, as a check.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("text", &["model"]),
    ("keymap", &["model", "text"]),
    ("view", &["model", "text"]),
    ("cluster", &["model"]),
    ("proxy", &["model", "cluster"]),
    ("tunnel", &[]),
    ("forward", &["model", "tunnel"]),
    ("store", &["model"]),
    ("instance", &["model"]),
    ("term", &[]),
    // The frames of the tunnel, from their other end.
    ("practice", &["tunnel"]),
    ("effects", &["model", "cluster", "proxy", "tunnel", "forward", "store", "instance"]),
    // What a config makes of keys and themes is known only by making them.
    ("check", &["model", "cluster", "proxy", "tunnel", "store", "keymap", "view"]),
    ("app", &["model", "text", "view", "keymap", "term", "effects"]),
    // Starting the loop means reading what it starts from.
    (
        "cli",
        &[
            "app", "model", "text", "view", "term", "effects", "store", "cluster", "proxy", "instance", "practice",
            "check",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// Crates that the pure rooms may not know.
const IMPURE: &[(&str, &[&str])] = &[
    ("model", &["kube", "k8s_openapi", "ratatui", "crossterm", "tokio", "hyper"]),
    ("view", &["kube", "k8s_openapi", "tokio", "hyper", "crossterm"]),
    ("text", &["kube", "k8s_openapi", "ratatui", "crossterm", "tokio"]),
];

/// More lines than this ask to be two rooms. Tables and tests may be longer.
const LINES: usize = 620;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn all(dir: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join(dir), &mut found);
    assert!(!found.is_empty(), "{dir} has sources");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root).unwrap().to_owned(), text)
    };
    found.into_iter().map(read).collect()
}

fn room(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

/// The rooms that a source names by `crate::room`, also within braces.
fn used(source: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for after in code.split("crate::").skip(1) {
        let inside = after.strip_prefix('{').and_then(|rest| rest.split('}').next());
        for part in inside.unwrap_or(after).split(',') {
            let name: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            rooms.push(name);
            if inside.is_none() {
                break;
            }
        }
    }
    rooms
}

#[test]
fn rooms_use_only_whom_they_may() {
    let known: Vec<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    for (path, source) in all("src") {
        let room = room(&path);
        let (_, may) = ROOMS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("{room} is no room"));
        if is_test(&path) {
            continue;
        }
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for other in used(code) {
            let fine = other == room || !known.contains(&other.as_str()) || may.contains(&other.as_str());
            assert!(fine, "{} uses {other}, which {room} may not", path.display());
        }
        for (pure, crates) in IMPURE {
            for name in crates.iter().filter(|_| *pure == room) {
                let hit = code.lines().find(|line| line.trim_start().starts_with(&format!("use {name}::")));
                assert!(hit.is_none(), "{} knows {name}", path.display());
            }
        }
    }
}

#[test]
fn the_map_in_the_library_names_every_room() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (name, may) in ROOMS.iter().filter(|(name, _)| !matches!(*name, "lib" | "main")) {
        let row = map.lines().find(|line| line.contains(&format!("[`{name}`]")));
        let row = row.unwrap_or_else(|| panic!("the map has no row for {name}"));
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        for other in *may {
            assert!(last.contains(&format!("`{other}`")), "the map hides that {name} uses {other}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_is_not_too_long() {
    for (path, source) in all("src").into_iter().chain(all("tests")) {
        assert!(source.starts_with("//!"), "{} does not open with //!", path.display());
        let lines = source.lines().count();
        assert!(is_test(&path) || path.starts_with("tests") || lines <= LINES, "{}: {lines} lines", path.display());
    }
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let home = ["/ro", "ot/"].concat();
    let work = ["/wo", "rk/"].concat();
    for (path, source) in all("src").into_iter().chain(all("tests")) {
        for word in [&home, &work] {
            assert!(!source.contains(word.as_str()), "{} names {word}", path.display());
        }
    }
}
