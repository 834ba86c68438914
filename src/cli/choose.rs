//! Chooses targets by name, by pattern or by tag.

use clap::Args;
use clap_complete::{ArgValueCandidates, ArgValueCompleter};

use super::complete;
use super::print::Failure;
use crate::text::Text;
use brow_model::Model;
use brow_model::address::{Address, is_url};
use brow_model::near::near;
use brow_model::target::Target;

/// Targets on the command line.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Choice {
    /// Names of targets, or patterns with * and ? (in quotes)
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::targets_and_places))]
    pub names: Vec<String>,
    /// Targets with this tag; may be given several times
    #[arg(long, value_name = "TAG", add = ArgValueCandidates::new(complete::tags))]
    pub tag: Vec<String>,
}

impl Choice {
    /// Returns true if nothing was chosen.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.tag.is_empty()
    }

    /// The targets that are meant, in the order of the names and then of the config, each once.
    ///
    /// # Errors
    /// A name, pattern or tag that no target has.
    pub(super) fn of(&self, model: &Model, text: &Text) -> Result<Vec<Target>, Failure> {
        let mut chosen: Vec<Target> = Vec::new();
        let mut take = |found: Vec<&Target>| {
            let any = !found.is_empty();
            for target in found {
                if !chosen.iter().any(|known| known.name == target.name) {
                    chosen.push(target.clone());
                }
            }
            any
        };
        let unknown = |key, name: &str| Failure::unknown(text.fill(key, &[("thing", name)]));
        for name in &self.names {
            // A target may be called like a pattern.
            let exact: Vec<&Target> = model.target(name).into_iter().collect();
            let like = || model.targets.all().iter().filter(|target| matches(name, &target.name)).collect();
            if !take(if exact.is_empty() { like() } else { exact }) {
                return Err(no_target(model, text, name));
            }
        }
        for tag in &self.tag {
            if !take(model.targets.all().iter().filter(|target| target.tags.contains(tag)).collect()) {
                return Err(unknown("cli.no-tag", tag));
            }
        }
        Ok(chosen)
    }
}

/// Says that no target has this name, and which one may be meant; of an address or a URL how it becomes one. A login in
/// it is not shown.
pub(super) fn no_target(model: &Model, text: &Text, name: &str) -> Failure {
    match name.parse::<Address>() {
        Ok(address) => return Failure::unknown(text.fill("cli.no-target-address", &[("thing", &address.to_string())])),
        Err(_) if is_url(name) => return Failure::unknown(text.get("cli.no-target-url").to_owned()),
        Err(_) => {}
    }
    let mut says = text.fill("cli.no-target", &[("thing", name)]);
    let near = near(name, model.targets.all().iter().map(|target| target.name.as_str()));
    if !near.is_empty() {
        says = format!("{says}\n{}", text.fill("fault.near-names", &[("detail", &near.join(", "))]));
    }
    Failure::unknown(says)
}

/// Returns true if a text matches a pattern: `*` is any number of characters, `?` one.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text) = (0, 0);
    // Where the last star was, and how much of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            Some(_) | None => {
                let Some((from, taken)) = star else { return false };
                star = Some((from, taken + 1));
                (at, in_text) = (from + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("db", "db", true),
            ("db", "db2", false),
            ("db*", "db-main", true),
            ("*-main", "db-main", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?页", "网页", true),
            ("*", "", true),
            ("", "x", false),
            ("**x", "aaax", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
