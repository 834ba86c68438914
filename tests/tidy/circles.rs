//! Circles between modules, which are what one has to know all at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{all, is_test};

/// The most modules that may use one another in a circle.
const MOST: usize = 3;

/// Modules by path, each with those that it uses by `crate::` or `super::`. The parts of a module that it names without
/// these are its own, and no arrow.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Adds the paths that begin with a text's first word, seen from a module, and returns the rest of the text.
fn read<'a>(from: &str, text: &'a str, found: &mut Vec<String>) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.is_empty() && !rest.starts_with('}') {
            let after = read(from, rest.trim_start(), found);
            let end = after.find([',', '}']).unwrap_or(after.len());
            rest = after[end..].trim_start_matches([',', ' ', '\n']);
        }
        return rest.get(1..).unwrap_or_default();
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path = match word {
        "crate" => String::new(),
        "super" => from.rsplit_once("::").map(|(parent, _)| parent.to_owned()).unwrap_or_default(),
        _ => format!("{from}::{word}").trim_start_matches(':').to_owned(),
    };
    if let Some(rest) = rest.strip_prefix("::") {
        return read(&path, rest, found);
    }
    found.push(path);
    rest
}

/// Returns the arrows of modules that are given with their code.
fn arrows(modules: &BTreeMap<String, String>) -> Arrows {
    let known = |mut path: &str| {
        while !modules.contains_key(path) {
            path = path.rsplit_once("::")?.0;
        }
        Some(path.to_owned())
    };
    let uses = |(module, code): (&String, &String)| {
        let mut found = Vec::new();
        for start in ["crate::", "super::"] {
            for (at, _) in code.match_indices(start) {
                if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                    read(module, &code[at..], &mut found);
                }
            }
        }
        let used = found.iter().filter_map(|path| known(path)).filter(|other| other != module).collect();
        (module.clone(), used)
    };
    modules.iter().map(uses).collect()
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
            let path = path.strip_prefix(part).unwrap().with_extension("");
            path.to_str().unwrap().replace('/', "::").trim_end_matches("::mod").to_owned()
        };
        let code = |source: &str| {
            let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
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
        ("a", "use crate::b::{self, Part};"),
        ("b", "fn f() { crate::c::d::g() }"),
        ("c::d", "use super::e;"),
        ("c::e", "use crate::{b::Part as Other, z, a::One};"),
        ("z", "use crate::a; // one way"),
    ];
    let own = |(name, code): &(&str, &str)| ((*name).to_owned(), (*code).to_owned());
    let found = arrows(&modules.iter().map(own).collect());
    assert_eq!(large_circles(&found).into_iter().collect::<Vec<_>>(), [["a", "b", "c::d", "c::e", "z"]]);
    let opened = arrows(&modules.iter().filter(|(name, _)| *name != "c::e").map(own).collect());
    assert_eq!(large_circles(&opened), BTreeSet::new());
}
