//! The documents and snippets that come with the program say what is true.

use std::fs;
use std::path::{Path, PathBuf};

use super::all;
use super::demo::{SCRIPT, Step, mark, steps};

/// The documents and their texts.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages =
        fs::read_dir(root.join("docs")).unwrap().map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    let pages = pages.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let tops =
        ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "crates/README.md"].map(PathBuf::from);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root.join(&path)).unwrap();
        (path, text)
    };
    pages.chain(tops).map(read).collect()
}

/// The documents name only paths that exist.
#[test]
fn the_paths_that_the_documents_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tops = ["src/", "crates/", "assets/", "tests/", "docs/", ".ci/"];
    let documents = documents();
    // Of the comparison the sources are those of other tools.
    for (document, text) in documents.iter().filter(|(path, _)| !path.ends_with("comparison.md")) {
        let named = text.split('`').skip(1).step_by(2).filter(|name| tops.iter().any(|top| name.starts_with(top)));
        for name in named {
            assert!(root.join(name).exists(), "{} names {name}", document.display());
        }
    }
    for (document, text) in &documents {
        let links = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = root.join(document).parent().unwrap().join(file);
            let target = if file.is_empty() { root.join(document) } else { path };
            assert!(target.exists(), "{} links to {link}", document.display());
            let is_there =
                || fs::read_to_string(&target).unwrap().lines().any(|line| anchor(line) == Some(heading.into()));
            assert!(heading.is_empty() || is_there(), "{} links to {link}", document.display());
        }
    }
}

/// The anchor of a heading.
fn anchor(line: &str) -> Option<String> {
    let words = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
    Some(words.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect::<String>().replace(' ', "-"))
}

/// The first page is short, and a newcomer needs two commands: one that runs the program and one that tests it.
#[test]
fn the_readme_is_short_and_needs_two_commands() {
    for readme in [include_str!("../../README.md"), include_str!("../../README.zh-CN.md")] {
        assert!(readme.lines().count() <= 120, "{} lines", readme.lines().count());
        let blocks: Vec<&str> = readme.split("\n```\n").skip(1).step_by(2).collect();
        assert_eq!(blocks, ["cargo run --release", "cargo test"]);
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
    let text = include_str!("../../assets/zellij.kdl");
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
    let text = include_str!("../../assets/tmux.conf");
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

/// The comparison claims of ours only what a test shows.
#[test]
fn the_tests_that_the_comparison_names_are_there() {
    let page = include_str!("../../docs/comparison.md");
    let table = page.split_once("## Port-forward tools").unwrap().1.split_once("\n## ").unwrap().0;
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

/// Every promise about the ends of connections is shown by a test.
#[test]
fn the_ends_that_are_promised_have_their_tests() {
    let page = include_str!("../../docs/how-it-works.md");
    let table = page.split_once("## Connection close semantics").unwrap().1;
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 4, "the table is there");
    let tests: String = all("tests").into_iter().map(|(_, text)| text).collect();
    for row in rows {
        let name = row.trim_matches('|').rsplit('|').next().unwrap().trim().trim_matches('`');
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
}

/// The screen in the guide is one that the program draws today: its panes and columns are called so.
#[test]
fn the_guides_screen_has_the_programs_heads() {
    let words: toml::Table = toml::from_str(include_str!("../../assets/text/en.toml")).unwrap();
    let heads: Vec<&str> = words["column"].as_table().unwrap().values().map(|head| head.as_str().unwrap()).collect();
    let guide = include_str!("../../docs/guide.md");
    let screen = guide.split_once("```text\n").unwrap().1.split_once("\n```").unwrap().0;
    let lines: Vec<&str> = screen.lines().filter(|line| line.starts_with("│   NAME ")).collect();
    assert_eq!(lines.len(), 1, "the pane that has the focus");
    for line in lines {
        for head in line.replace('│', "  ").split("  ").map(str::trim).filter(|head| !head.is_empty()) {
            assert!(heads.contains(&head), "{head} is no head of a column");
        }
    }
}

/// The recorded pictures are of this script and of the keys that its commands have.
#[test]
fn the_pictures_are_of_todays_script() {
    let steps = steps(SCRIPT).unwrap_or_else(|line| panic!("assets/demo/script: {line}"));
    let mark = format!("; script {} -->", mark(&steps));
    let stills = steps.iter().filter_map(|step| if let Step::Still(name) = step { Some(name.as_str()) } else { None });
    for name in stills.chain(["demo"]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/demo/{name}.svg"));
        let picture = fs::read_to_string(&path).unwrap();
        assert!(picture.contains(&mark), "{} is out of date: assets/demo/record makes it anew", path.display());
        assert!(picture.len() < 2_000_000, "{}: {} bytes", path.display(), picture.len());
    }
}

/// The version stands in one place, which the changes and the packages follow.
#[test]
fn one_version_is_everywhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(manifest["workspace"]["dependencies"]["kube-tunnel"]["version"].as_str(), Some(version));
    let changes = read("CHANGELOG.md");
    let newest = changes.lines().filter_map(|line| line.strip_prefix("## [")).nth(1).unwrap();
    assert!(newest.starts_with(&format!("{version}] - ")), "CHANGELOG.md: {newest}");
    // The build replaces the placeholders of the templates.
    let build = read("assets/package/build");
    for entry in fs::read_dir(root.join("assets/package/templates")).unwrap() {
        let (path, text) = (entry.as_ref().unwrap().path(), fs::read_to_string(entry.unwrap().path()).unwrap());
        assert!(text.contains("@VERSION@") && !text.contains(version), "{} has a version", path.display());
        for open in text.split('@').skip(1).step_by(2).filter(|open| !open.starts_with("SHA256:")) {
            assert!(build.contains(&format!("@{open}@")), "{}: @{open}@", path.display());
        }
    }
}
