//! The house stays in order: who uses whom, that each file says what it is, and how long it is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that all may use.
const COMMON: [&str; 2] = ["plain", "contain"];

/// A room and the rooms it may use; the map in `src/lib.rs`, as a check.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    // Whatever takes text from others needs it.
    (COMMON[0], &[]),
    // Tasks of every kind are kept from taking others with them.
    (COMMON[1], &[]),
    ("text", &["model"]),
    ("keymap", &["model", "text"]),
    ("view", &["model", "text"]),
    ("cluster", &["model", "store"]),
    ("proxy", &["model", "cluster"]),
    ("tunnel", &[]),
    ("forward", &["model", "tunnel"]),
    ("store", &["model"]),
    ("instance", &["model"]),
    ("term", &[]),
    // The frames of the tunnel, from their other end.
    ("practice", &["tunnel"]),
    ("log", &["model", "text"]),
    ("effects", &["model", "cluster", "proxy", "tunnel", "forward", "store", "instance"]),
    // What a config makes of keys and themes is known only by making them.
    ("check", &["model", "cluster", "proxy", "tunnel", "store", "keymap", "view"]),
    ("app", &["model", "text", "view", "keymap", "term", "effects", "log"]),
    // Starting the loop means reading what it starts from.
    (
        "cli",
        &[
            "app", "model", "text", "view", "term", "effects", "store", "cluster", "proxy", "instance", "practice",
            "check", "log",
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
            let fine = other == room
                || COMMON.contains(&other.as_str())
                || !known.contains(&other.as_str())
                || may.contains(&other.as_str());
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
        for (at, line) in source.lines().enumerate() {
            // A row of a table cannot be wrapped.
            let comment = line.trim_start().starts_with("//") && !line.starts_with("//! |");
            let wide = comment && line.chars().count() > 120;
            assert!(!wide, "{}:{}: a comment is wider than 120 columns", path.display(), at + 1);
        }
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

/// The nodes of a KDL document, each with the number of braces that it stands in; braces are balanced, and quotes.
fn nodes(kdl: &str) -> Vec<(usize, String)> {
    let (mut nodes, mut depth) = (Vec::new(), 0_usize);
    for line in kdl.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
        if line == "}" {
            depth = depth.checked_sub(1).expect("a brace is closed that was open");
            continue;
        }
        nodes.push((depth, line.trim_end_matches('{').trim().to_owned()));
        depth += usize::from(line.ends_with('{'));
    }
    assert_eq!(depth, 0, "every brace is closed");
    nodes
}

#[test]
fn the_zellij_layout_makes_sense() {
    let text = include_str!("../assets/zellij.kdl");
    // What a layout may have, as far as this one needs it (zellij.dev, Creating a Layout; zellij-utils,
    // kdl/kdl_layout_parser.rs, is_a_valid_pane_property).
    let known = [
        ("layout", vec![]),
        ("pane", vec!["size", "borderless", "split_direction", "focus", "command"]),
        ("plugin", vec!["location"]),
        ("close_on_exit", vec!["true", "false"]),
    ];
    let nodes = nodes(text);
    for (depth, node) in &nodes {
        let mut words = node.split_whitespace();
        let name = words.next().unwrap();
        let (_, may) = known.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("node {name}"));
        for word in words {
            let key = word.split('=').next().unwrap();
            assert!(may.contains(&key), "{node}");
        }
        assert_eq!(*depth == 0, name == "layout", "{node}");
    }
    assert_eq!(nodes.iter().filter(|(_, node)| node.contains("command=\"brow-tui\"")).count(), 1);
}

#[test]
fn the_tmux_snippet_makes_sense() {
    let text = include_str!("../assets/tmux.conf");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(
            matches!(words[..], ["set", "-s" | "-g" | "-as", _, ..] | ["bind-key", "B", "split-window", ..]),
            "{line}"
        );
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
    }
    // tmux itself: a server of its own that reads nothing else, and ends.
    let socket = format!("brow-tidy-{}", std::process::id());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tmux.conf");
    let tmux =
        |args: &[&str]| std::process::Command::new("tmux").args(["-L", &socket, "-f", "/dev/null"]).args(args).output();
    let output =
        tmux(&["new-session", "-d", "sleep 60", ";", "source-file", path, ";", "show", "-sv", "set-clipboard"]);
    let output = output.expect("tmux is missing: install the package tmux");
    let _ended = tmux(&["kill-server"]);
    let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    assert_eq!(words, ["on".to_owned(), String::new()]);
}

/// The table of features claims only what a test shows.
#[test]
fn the_tests_that_the_readme_names_are_there() {
    let readme = include_str!("../README.md");
    let table = readme.split_once("## Beside other tools").unwrap().1.split_once("## License").unwrap().0;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let tests: String = all("tests").into_iter().map(|(_, text)| text).collect();
    assert!(rows.len() > 10, "the table is there");
    for row in &rows[2..] {
        let [.., ours, shown] = &row[..] else { panic!("{row:?}") };
        assert_eq!(row.len(), rows[0].len(), "{row:?}");
        if *ours == "no" {
            assert!(shown.is_empty(), "{row:?}");
            continue;
        }
        let name = shown.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap_or_else(|| panic!("{row:?}"));
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
}

/// What README promises about ends, a test shows.
#[test]
fn the_ends_that_the_readme_promises_have_their_tests() {
    let readme = include_str!("../README.md");
    let table = readme.split_once("What is guaranteed about ends").unwrap().1.split_once("\n## ").unwrap().0;
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 4, "the table is there");
    let tests: String = all("tests").into_iter().map(|(_, text)| text).collect();
    for row in rows {
        let name = row.trim_matches('|').rsplit('|').next().unwrap().trim().trim_matches('`');
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
}

/// The screen in README is one that the program draws today: its panes and columns are called so.
#[test]
fn the_readmes_screen_has_the_programs_heads() {
    let words: toml::Table = toml::from_str(include_str!("../assets/text/en.toml")).unwrap();
    let heads: Vec<&str> = words["column"].as_table().unwrap().values().map(|head| head.as_str().unwrap()).collect();
    let readme = include_str!("../README.md");
    let screen = readme.split_once("```text\n").unwrap().1.split_once("\n```").unwrap().0;
    let lines: Vec<&str> = screen.lines().filter(|line| line.contains('▲')).collect();
    assert_eq!(lines.len(), 3, "clusters and targets side by side, pods, forwards");
    for line in lines {
        for head in line.replace(['│', '▲'], "  ").split("  ").map(str::trim).filter(|head| !head.is_empty()) {
            assert!(heads.contains(&head), "{head} is no head of a column");
        }
    }
}
