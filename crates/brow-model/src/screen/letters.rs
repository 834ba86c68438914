//! Letters that stand in a name in their order and close together.

/// More skipped bytes than a match can have; more can be added to it.
const NONE: usize = usize::MAX / 2;

/// Finds letters, all of them ASCII, in names.
pub(crate) struct Letters {
    text: Box<[u8]>,
    /// For each letter and each byte of the name: the fewest bytes that a match up to there skips.
    skips: Vec<usize>,
}

impl Letters {
    pub fn new(text: &str) -> Self {
        Self { text: text.as_bytes().into(), skips: Vec::new() }
    }

    /// Returns the fewest bytes that a match skips, where those before the beginning of a word do not count. `None` if
    /// they are more than half as many as the letters: so `bpd` finds `billing-prod-db` and `msql` finds `mysql`, but
    /// `down` does not find `development-network`.
    pub fn skips(&mut self, name: &str) -> Option<usize> {
        self.fill(name.as_bytes());
        let fewest = self.skips.rchunks(name.len().max(1)).next()?.iter().min().copied()?;
        (fewest <= self.text.len() / 2).then_some(fewest)
    }

    /// Returns the characters of a name that such a match finds.
    pub fn places(&mut self, name: &str) -> Vec<usize> {
        let (bytes, mut places) = (name.as_bytes(), Vec::new());
        let Some(mut left) = self.skips(name) else { return places };
        let mut next = None;
        for row in self.skips.rchunks(bytes.len()) {
            let is_next = |at: &usize| match next {
                Some(next) if !begins_word(bytes, next) => row[*at] + (next - at - 1) == left,
                Some(_) | None => row[*at] == left,
            };
            let Some(at) = (0..next.unwrap_or(bytes.len())).rev().find(is_next) else { break };
            places.push(name[..at].chars().count());
            (left, next) = (row[at], Some(at));
        }
        places
    }

    fn fill(&mut self, name: &[u8]) {
        self.skips.clear();
        self.skips.resize(self.text.len() * name.len(), NONE);
        let mut rows = self.skips.chunks_exact_mut(name.len().max(1)).zip(&self.text);
        let Some((mut before, first)) = rows.next() else { return };
        for (skips, byte) in before.iter_mut().zip(name) {
            *skips = if byte == first { 0 } else { NONE };
        }
        for (row, letter) in rows {
            // The fewest of the letter before, as they are and with the bytes since.
            let (mut fewest, mut near) = (NONE, NONE);
            for at in 0..name.len() {
                if name[at] == *letter {
                    row[at] = if begins_word(name, at) { fewest } else { near };
                }
                fewest = fewest.min(before[at]);
                near = (near + 1).min(before[at]);
            }
            before = row;
        }
    }
}

fn begins_word(name: &[u8], at: usize) -> bool {
    at == 0 || !name[at - 1].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_skips_are_found_with_their_places() {
        for (text, name, skips, places) in [
            ("down", "down", Some(0), &[0, 1, 2, 3][..]),
            ("msql", "mysql", Some(1), &[0, 2, 3, 4]),
            ("bpd", "billing-prod-db", Some(0), &[0, 8, 13]),
            ("wbfr", "web-frontend", Some(1), &[0, 2, 4, 5]),
            ("aab", "aaxaab", Some(0), &[3, 4, 5]),
            ("msql", "é-mysql", Some(1), &[2, 4, 5, 6]),
            ("down", "development-network", None, &[]),
            ("down", "demo-world", None, &[]),
            ("abc", "ab", None, &[]),
            ("abc", "", None, &[]),
        ] {
            let mut letters = Letters::new(text);
            assert_eq!(letters.skips(name), skips, "{text} in {name}");
            let mut found = letters.places(name);
            found.sort_unstable();
            assert_eq!(found, places, "{text} in {name}");
        }
    }
}
