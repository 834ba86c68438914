//! The panes' filter: fuzzy, but not so loose that letters scattered over a row let it through.

use nucleo_matcher::pattern::{Atom, AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// A fuzzy filter; an empty text lets everything through.
pub struct Filter {
    pattern: Pattern,
    matcher: Matcher,
    buffer: Vec<char>,
    found: Vec<u32>,
}

impl Filter {
    pub fn new(text: &str) -> Self {
        Self {
            pattern: Pattern::parse(text.trim(), CaseMatching::Smart, Normalization::Smart),
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
            found: Vec::new(),
        }
    }

    /// The score of a row's fields; `None` if they don't match. Every word has to be in one of the fields, a negated
    /// one in none.
    pub fn score(&mut self, fields: &[&str]) -> Option<u32> {
        let Self { pattern, matcher, buffer, found } = self;
        let mut sum = 0;
        for atom in &pattern.atoms {
            let mut scores = fields.iter().map(|field| tight(atom, field, matcher, buffer, found));
            sum +=
                if atom.negative { scores.all(|score| score.is_some()).then_some(0) } else { scores.flatten().max() }?;
        }
        Some(sum)
    }
}

/// The score of a match whose letters stand together: what is skipped on the way to letters that don't begin a word is
/// at most half of what was typed. So `bpd` finds `billing-prod-db` and `msql` finds `mysql`, but `down` does not find
/// `development-network`.
fn tight(atom: &Atom, field: &str, matcher: &mut Matcher, buffer: &mut Vec<char>, found: &mut Vec<u32>) -> Option<u32> {
    found.clear();
    let text = Utf32Str::new(field, buffer);
    let score = atom.indices(text, matcher, found)?;
    if atom.kind == AtomKind::Fuzzy {
        let begins_word = |at: u32| at == 0 || !text.get(at - 1).is_alphanumeric();
        let skips = found.windows(2).filter(|pair| !begins_word(pair[1])).map(|pair| pair[1] - pair[0] - 1);
        if skips.sum::<u32>() as usize > atom.needle_text().len() / 2 {
            return None;
        }
    }
    Some(score.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_to_stand_together_in_one_field() {
        for (text, fields, passes) in [
            ("down", &["shutdown", "dev"][..], true),
            ("down", &["dev", "own"], false),
            ("down", &["development-network", "dev"], false),
            ("down", &["demo-world", "10.0.0.1:80"], false),
            ("msql", &["mysql"], true),
            ("bpd", &["billing-prod-db"], true),
            ("my dev", &["mysql", "dev"], true),
            ("my prod", &["mysql", "dev"], false),
            ("my !dev", &["mysql", "dev"], false),
            ("my !dev", &["mysql", "prod"], true),
            ("^sql", &["mysql"], false),
            ("3306", &["mysql", "10.0.0.1:3306"], true),
            ("", &["anything"], true),
        ] {
            assert_eq!(Filter::new(text).score(fields).is_some(), passes, "{text} in {fields:?}");
        }
    }

    #[test]
    fn what_begins_with_the_text_is_better() {
        let mut filter = Filter::new("down");
        assert!(filter.score(&["down"]) > filter.score(&["xdoxwn"]));
        assert!(filter.score(&["a-down"]) > filter.score(&["shutdown"]));
    }
}
