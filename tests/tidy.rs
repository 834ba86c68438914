//! The house stays in order: who uses whom, that each file says what it is, and how long it is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "demo/script.rs"]
mod demo;
#[path = "tidy/documents.rs"]
mod documents;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A module and the modules and crates of ours that it may use; the map in `src/lib.rs`, as a check.
const ROOMS: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("events", &[]),
    ("keymap", &["text"]),
    ("view", &["text"]),
    ("cluster", &["events", "store", "kube_tunnel"]),
    ("proxy", &["events", "cluster", "kube_tunnel", "brow_relay"]),
    ("forward", &["events", "kube_tunnel"]),
    ("store", &["events"]),
    ("instance", &["events", "text"]),
    ("term", &[]),
    ("edit", &["cluster", "store"]),
    ("shell", &["cluster", "term", "kube_tunnel"]),
    ("log", &["text"]),
    (
        "effects",
        &[
            "events",
            "cluster",
            "proxy",
            "kube_tunnel",
            "forward",
            "store",
            "instance",
            "why",
            "edit",
            "docker",
            "metrics",
        ],
    ),
    ("metrics", &["cluster", "kube_tunnel"]),
    ("why", &["cluster", "proxy", "store", "kube_tunnel"]),
    ("docker", &["forward"]),
    // What a config makes of keys and themes is known only by making them.
    ("check", &["cluster", "proxy", "kube_tunnel", "store", "keymap", "view", "term"]),
    ("app", &["text", "view", "keymap", "term", "effects", "shell", "log", "edit"]),
    // Starting the loop means reading what it starts from.
    (
        "cli",
        &[
            "events",
            "app",
            "text",
            "view",
            "term",
            "effects",
            "store",
            "cluster",
            "proxy",
            "instance",
            "shell",
            "docker",
            "kube_tunnel",
            "brow_practice",
            "check",
            "why",
            "log",
            "edit",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// The crates that stand apart: only some modules may use them.
const CRATES: [&str; 3] = ["kube_tunnel", "brow_practice", "brow_relay"];

/// Crates that the pure modules may not know.
const IMPURE: &[(&str, &[&str])] = &[
    ("view", &["kube", "k8s_openapi", "tokio", "hyper", "crossterm"]),
    ("text", &["kube", "k8s_openapi", "ratatui", "crossterm", "tokio"]),
];

/// The crates that the model uses.
const MODEL_MAY_USE: [&str; 7] = ["chrono", "nucleo-matcher", "ring", "serde", "strsim", "thiserror", "tui-input"];

/// The names in the standard library and in those crates that reach outside.
const OUTSIDE: [&str; 29] = [
    "fs",
    "env",
    "process",
    "thread",
    "std::io",
    "io::",
    "stdin",
    "print",
    "println",
    "eprint",
    "eprintln",
    "tokio",
    "kube",
    "elapsed",
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "Utc::now",
    "Local::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "to_socket_addrs",
    "SystemRandom",
    "RandomState",
    "Mutex",
    "RwLock",
];

/// The most lines of a file; tests are no exception.
const LINES: usize = 400;

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
        // Panics of every kind of task are contained.
        let beside = code.replace("kube_tunnel::contain", "");
        for other in CRATES.iter().filter(|other| names(&beside, &format!("{other}::"))) {
            assert!(may.contains(other), "{} uses {other}, which {room} may not", path.display());
        }
        for (pure, crates) in IMPURE {
            for name in crates.iter().filter(|_| *pure == room) {
                assert!(!names(code, &format!("{name}::")), "{} knows {name}", path.display());
            }
        }
    }
}

/// Returns true if code, comments aside, has this path, or one that begins with it.
fn names(code: &str, path: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| line.match_indices(path).map(move |(at, _)| line.split_at(at))).any(|(before, from)| {
        let after = &from[path.len()..];
        !before.ends_with(part) && (path.ends_with(':') || !after.starts_with(part))
    })
}

/// The model is a function of what it is told: its crate reaches no file, clock, task, client, terminal or chance.
#[test]
fn the_model_reaches_nothing_outside() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/brow-model/Cargo.toml"));
    let manifest: toml::Table = toml::from_str(&manifest.unwrap()).unwrap();
    let crates: Vec<&String> = manifest["dependencies"].as_table().unwrap().keys().collect();
    assert_eq!(crates, MODEL_MAY_USE, "each crate that the model may use is pure");
    assert!(!manifest.contains_key("target"), "a platform's dependencies would pass by this test");
    for (path, source) in all("crates/brow-model/src").into_iter().filter(|(path, _)| !is_test(path)) {
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        assert_eq!(reaches_outside(code), None, "{}", path.display());
    }
}

/// Returns the first name in code that reaches outside.
fn reaches_outside(code: &str) -> Option<&'static str> {
    OUTSIDE.into_iter().find(|word| names(code, word))
}

#[test]
fn the_wall_around_the_model_bites() {
    for line in [
        "let text = std::fs::read(path);",
        "use std::{env, fmt};",
        "let now = Instant::now();",
        "let since = UNIX_EPOCH.elapsed();",
        "let chance = RandomState::new().hash_one(0);",
        "let socket = TcpListener::bind(address);",
        "let found = \"localhost:80\".to_socket_addrs();",
        "use std::{io::stdin};",
        "println!(\"{text}\");",
        "static SHARED: Mutex<u8> = Mutex::new(0);",
        "tokio::spawn(task);",
        "kube::Client::try_default();",
        "chrono::Utc::now()",
    ] {
        assert!(reaches_outside(line).is_some(), "{line}");
    }
    for line in ["// println! would be seen", "let envelope = folios(&print_columns);", "use chrono::{DateTime, Utc};"]
    {
        assert_eq!(reaches_outside(line), None, "{line}");
    }
}

/// The protocol of tunnels is told the bytes and the time: it opens nothing, waits for nothing and reads no clock.
#[test]
fn the_protocol_of_tunnels_does_no_io() {
    let outside = ["tokio", "tokio_util", "tokio_tungstenite", "kube", "hyper", "hyper_util", "futures"];
    let beside = ["rand", "rustix", "socket2", "net", "fs", "env", "process", "thread"];
    let clocks = ["Instant::now", "SystemTime", "elapsed", "clock_gettime"];
    for (path, source) in all("crates/kube-tunnel/src/proto").into_iter().filter(|(path, _)| !is_test(path)) {
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for word in outside.into_iter().chain(beside).chain(clocks) {
            assert!(!names(code, word), "{} uses {word}", path.display());
        }
        for module in used(code) {
            assert!(!["io", "pool", "login", "meter"].contains(&&*module), "{} uses {module}", path.display());
        }
    }
}

/// Types are what the language speaks of, and transitions what changes them: no arrow goes back.
#[test]
fn the_types_of_the_model_know_neither_language_nor_transitions() {
    let above = ["action", "effect", "event", "log", "request"].map(|module| format!("crate::language::{module}"));
    let above = above.into_iter().chain(["crate::screen", "crate::state", "crate::update"].map(str::to_owned));
    let above: Vec<String> = above.collect();
    let types = all("crates/brow-model/src/types");
    assert!(types.len() > 10, "the types have moved: {} files", types.len());
    for (path, source) in types.into_iter().filter(|(path, _)| !is_test(path)) {
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for module in &above {
            assert!(!names(code, module), "{} uses {module}", path.display());
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
    for (path, source) in all("src").into_iter().chain(all("crates")).chain(all("tests")) {
        assert!(source.starts_with("//!"), "{} does not open with //!", path.display());
        for (at, line) in source.lines().enumerate() {
            // A row of a table cannot be wrapped.
            let comment = line.trim_start().starts_with("//") && !line.starts_with("//! |");
            let wide = comment && line.chars().count() > 120;
            assert!(!wide, "{}:{}: a comment is wider than 120 columns", path.display(), at + 1);
        }
        let lines = source.lines().count();
        assert!(lines <= LINES, "{}: {lines} lines", path.display());
    }
}

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    let riddles = ["What", "Whether", "Which", "How", "Who", "Whom", "Whose", "Why", "Where", "When", "Has", "Us"];
    let is_doc = |line: &str| line.starts_with("///") || line.starts_with("//!");
    let files = all("src").into_iter().chain(all("crates")).chain(all("tests"));
    for (path, source) in files {
        let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_doc(line)) {
            let first = line[3..].split_whitespace().next().unwrap_or_default();
            let opens = at == 0 || !is_doc(lines[at - 1]);
            // The help of a command's option.
            let item = lines[at..].iter().find(|line| !is_doc(line));
            let is_help = item.is_some_and(|item| item.starts_with("#[arg("));
            assert!(!opens || is_help || !riddles.contains(&first), "{}:{}: {line}", path.display(), at + 1);
        }
    }
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let home = ["/ro", "ot/"].concat();
    let work = ["/wo", "rk/"].concat();
    for (path, source) in all("src").into_iter().chain(all("crates")).chain(all("tests")) {
        for word in [&home, &work] {
            assert!(!source.contains(word.as_str()), "{} names {word}", path.display());
        }
    }
}

/// Runs the check of commit subjects on one commit: its success and its messages.
fn check_subject(subject: &str) -> (bool, String) {
    let mut check = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/subjects"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(format!("abc1234 {subject}\n").as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_check_of_commit_subjects_bites() {
    for fine in
        ["view: show the TTL", "kube-tunnel: bring the pool down to 4 files", "README: say “忙”", "view, text: show it"]
    {
        assert_eq!(check_subject(fine), (true, String::new()), "{fine}");
    }
    let longest = format!("view: {}", "ü".repeat(66));
    assert_eq!(check_subject(&longest), (true, String::new()), "characters are counted, not bytes");
    for (bad, why) in [
        (format!("{longest}u"), "has 73 characters"),
        ("show the TTL".into(), "is not of the form"),
        ("view:show the TTL".into(), "is not of the form"),
        ("view: showed the TTL".into(), "\"showed\" is not an imperative"),
        ("view: showing the TTL".into(), "\"showing\" is not an imperative"),
        ("view: the TTL is shown".into(), "\"the\" is not an imperative"),
    ] {
        let (passes, says) = check_subject(&bad);
        assert!(!passes && says.contains(why) && says.contains("abc1234"), "{bad}: {says}");
    }
}
