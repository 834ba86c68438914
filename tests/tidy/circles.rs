//! Circles between modules, which are what one has to know all at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{all, is_test};

/// The most modules that may use one another in a circle.
const MOST: usize = 3;

/// The code of modules by their paths.
type Modules = BTreeMap<String, String>;

/// Modules by path, each with those that it uses, by paths that begin with `crate`, `self`, `super`, the name of a
/// child or a name that it imports. A re-export (`pub use`) alone is no arrow: whoever uses the name uses the module
/// that defines it.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The paths in the code of modules.
#[derive(Default)]
struct Paths {
    /// Modules, each with a path that it uses.
    used: Vec<(String, String)>,
    /// Imported names, as paths of the modules that import them, and what they stand for.
    imported: BTreeMap<String, String>,
}

fn join(from: &str, word: &str) -> String {
    format!("{from}::{word}").trim_start_matches(':').to_owned()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Adds the paths that begin with a text's first word, seen from a module, each with the name that an import gives it.
/// Returns the rest of the text.
fn read<'a>(from: &str, text: &'a str, found: &mut Vec<(String, String)>) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.is_empty() && !rest.starts_with('}') {
            let after = read(from, rest.trim_start(), found);
            let end = after.find([',', '}']).unwrap_or(after.len());
            rest = after[end..].trim_start_matches([',', ' ', '\n']);
        }
        return rest.get(1..).unwrap_or_default();
    }
    let first = |text: &'a str| text.split_at(text.find(|c: char| !is_word(c)).unwrap_or(text.len()));
    let (word, rest) = first(text);
    let path = match word {
        "crate" => String::new(),
        "self" => from.to_owned(),
        "super" => from.rsplit_once("::").map(|(parent, _)| parent.to_owned()).unwrap_or_default(),
        _ => join(from, word),
    };
    if let Some(rest) = rest.strip_prefix("::") {
        return read(&path, rest, found);
    }
    let name = rest.strip_prefix(" as ").map(|alias| first(alias).0).or(path.rsplit("::").next());
    found.push((name.unwrap_or_default().to_owned(), path));
    rest
}

/// Returns the module in which a path ends, by way of what the modules on it import.
fn home(path: &str, modules: &Modules, imported: &BTreeMap<String, String>) -> Option<String> {
    let mut known = path;
    loop {
        if modules.contains_key(known) {
            return Some(known.to_owned());
        }
        if let Some(from) = imported.get(known) {
            return home(&format!("{from}{}", &path[known.len()..]), modules, imported);
        }
        known = known.rsplit_once("::")?.0;
    }
}

/// Returns true if a module that re-exports a name uses it, too. Modules are named more than once without that.
fn is_used(name: &str, code: &str) -> bool {
    let is_type = name.starts_with(|c: char| c.is_uppercase());
    is_type && code.split(|c| !is_word(c)).filter(|word| *word == name).count() > 1
}

fn paths(modules: &Modules) -> Paths {
    let mut all = Paths::default();
    for (module, code) in modules {
        let mut rest = code.as_str();
        while let Some(at) = rest.find("::") {
            let (before, path) = rest.split_at(rest[..at].trim_end_matches(is_word).len());
            let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
            let mut found = Vec::new();
            rest = read(module, path, &mut found);
            for (name, path) in found {
                let is_import = line.ends_with("use ");
                // Names of other crates look like names of this module.
                if is_import && home(&path, modules, &BTreeMap::new()).is_some_and(|other| other != *module) {
                    all.imported.insert(join(module, &name), path.clone());
                }
                // A re-export is no use of its own, nor is the module in `pub(in …)`.
                let reexported = is_import && line.starts_with("pub");
                if !(reexported && !is_used(&name, code) || line.ends_with("(in ")) {
                    all.used.push((module.clone(), path));
                }
            }
        }
    }
    all
}

fn arrows(modules: &Modules) -> Arrows {
    let Paths { used, imported } = paths(modules);
    let mut arrows: Arrows = modules.keys().map(|module| (module.clone(), BTreeSet::new())).collect();
    for (module, path) in used {
        let other = home(&path, modules, &imported).filter(|other| *other != module);
        arrows.entry(module).or_default().extend(other);
    }
    arrows
}

/// Returns the modules to which one leads, perhaps by way of others.
fn reach<'a>(from: &'a str, arrows: &'a Arrows) -> BTreeSet<&'a str> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        next.extend(arrows[module].iter().map(String::as_str).filter(|other| found.insert(*other)));
    }
    found
}

/// Returns the modules that use one another in a circle of more than [`MOST`].
fn large_circles(arrows: &Arrows) -> BTreeSet<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|module| (module.as_str(), reach(module, arrows))).collect();
    let circle = |(module, others): (&&str, &BTreeSet<&'_ str>)| -> Vec<&str> {
        reached.keys().copied().filter(|other| others.contains(other) && reached[other].contains(module)).collect()
    };
    reached.iter().map(circle).filter(|circle| circle.len() > MOST).collect()
}

#[test]
fn no_circle_of_modules_is_large() {
    for part in ["src", "crates/brow-model/src", "crates/brow-practice/src", "crates/kube-tunnel/src"] {
        let name = |path: &std::path::Path| {
            let path = path.strip_prefix(part).unwrap().with_extension("").to_str().unwrap().replace('/', "::");
            if path == "lib" { String::new() } else { path.trim_end_matches("::mod").to_owned() }
        };
        let code = |source: &str| {
            let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let mut is_inner = false;
            let line = |line: &str| {
                is_inner = if is_inner { line != "}" } else { line.starts_with("mod ") && line.ends_with('{') };
                // In a module within the file `super` is the file.
                if is_inner { line.replacen("super::", "self::", 1) } else { line.to_owned() }
            };
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//")).map(line);
            lines.collect::<Vec<_>>().join("\n")
        };
        let files = all(part).into_iter().filter(|(path, _)| !is_test(path));
        let arrows = arrows(&files.map(|(path, source)| (name(&path), code(&source))).collect());
        assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > 10, "{part}: hardly any arrow was found");
        assert_eq!(large_circles(&arrows), BTreeSet::new(), "{part}");
    }
}

#[test]
fn a_large_circle_is_found_through_every_way_to_name_a_module() {
    let modules = [
        ("a", "use crate::b::{self, Part};\nuse crate::z;"),
        ("b", "fn f() { crate::c::d::g() }"),
        ("c::d", "use super::e;"),
        ("c::e", "use other::{e, f::One}; use crate::{f::Part as Other, z};"),
        ("f", "mod h;\nmod z;\nfn f() { h::g() }"),
        ("f::h", "pub use i::One;\ntype Two = One;"),
        ("f::h::i", "use self::j::{k::Part};"),
        ("f::h::i::j::k", "fn f() { crate::l::Name::new() }"),
        ("l", "pub use m::Part as Name;"),
        ("l::m", "use crate::l::n::*;"),
        ("l::n", "use crate::a as first;\nfn f() { first::One::new() }"),
        // In no circle: a child that is only declared, one named like a part of another crate, and a visibility.
        ("f::z", "use super::f;"),
        ("c::e::f", "use crate::a;"),
        ("z", "pub(in crate::a) struct One;"),
    ];
    let circle = ["a", "b", "c::d", "c::e", "f", "f::h", "f::h::i", "f::h::i::j::k", "l::m", "l::n"];
    let own = |(name, code): &(&str, &str)| ((*name).to_owned(), (*code).to_owned());
    let found = arrows(&modules.iter().map(own).collect());
    assert_eq!(large_circles(&found).into_iter().collect::<Vec<_>>(), [circle]);
    for without in circle.into_iter().chain(["l"]) {
        let opened = arrows(&modules.iter().filter(|(name, _)| *name != without).map(own).collect());
        assert_eq!(large_circles(&opened), BTreeSet::new(), "without {without}");
    }
}
