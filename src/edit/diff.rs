//! Compares two texts by lines.

use brow_model::edit::DiffLine;

/// The lines of context around a change.
const CONTEXT: usize = 3;

/// The most pairs of lines that are compared; beyond, all lines between the first and the last change count as changed.
const MAX_PAIRS: usize = 4_000_000;

/// Compares texts. Long runs of lines that are the same are left out.
pub fn lines(before: &str, after: &str) -> Vec<DiffLine> {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let head = before.iter().zip(&after).take_while(same).count();
    let (old, new) = (&before[head..], &after[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let mut all: Vec<DiffLine> = before[..head].iter().map(|line| DiffLine::Same((*line).to_owned())).collect();
    between(old, new, &mut all);
    all.extend(before[before.len() - tail..].iter().map(|line| DiffLine::Same((*line).to_owned())));
    folded(all)
}

/// Compares the lines between the first change and the last, by their longest common subsequence.
fn between(old: &[&str], new: &[&str], all: &mut Vec<DiffLine>) {
    let removed = |line: &&str| DiffLine::Removed((*line).to_owned());
    let added = |line: &&str| DiffLine::Added((*line).to_owned());
    let wide = new.len() + 1;
    if old.len().saturating_mul(wide) > MAX_PAIRS {
        all.extend(old.iter().map(removed));
        all.extend(new.iter().map(added));
        return;
    }
    // The length of the longest common subsequence of what follows two places.
    let mut longest = vec![0_u32; (old.len() + 1) * wide];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * wide + j] = if old[i] == new[j] {
                longest[(i + 1) * wide + j + 1] + 1
            } else {
                longest[(i + 1) * wide + j].max(longest[i * wide + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            all.push(DiffLine::Same(old[i].to_owned()));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && longest[(i + 1) * wide + j] >= longest[i * wide + j + 1]) {
            all.extend(old.get(i).map(removed));
            i += 1;
        } else {
            all.extend(new.get(j).map(added));
            j += 1;
        }
    }
}

/// Leaves out what is far from any change.
fn folded(all: Vec<DiffLine>) -> Vec<DiffLine> {
    let is_change = |line: &DiffLine| matches!(line, DiffLine::Removed(_) | DiffLine::Added(_));
    let mut near = vec![false; all.len()];
    for (at, _) in all.iter().enumerate().filter(|(_, line)| is_change(line)) {
        let end = all.len().min(at + CONTEXT + 1);
        near[at.saturating_sub(CONTEXT)..end].fill(true);
    }
    let mut kept = Vec::new();
    for (line, near) in all.into_iter().zip(near) {
        match (near, kept.last_mut()) {
            (true, _) => kept.push(line),
            (false, Some(DiffLine::Skipped(count))) => *count += 1,
            (false, _) => kept.push(DiffLine::Skipped(1)),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        let show = |line: DiffLine| match line {
            DiffLine::Same(line) => format!(" {line}"),
            DiffLine::Removed(line) => format!("-{line}"),
            DiffLine::Added(line) => format!("+{line}"),
            DiffLine::Skipped(count) => format!("@{count}"),
        };
        lines(before, after).into_iter().map(show).collect()
    }

    #[test]
    fn changes_are_shown_with_what_stands_around_them() {
        assert_eq!(shown("a\nb\nc", "a\nx\nc"), [" a", "-b", "+x", " c"]);
        assert_eq!(shown("a\nb\nc\nd", "a\nc\nd\ne"), [" a", "-b", " c", " d", "+e"]);
        assert_eq!(shown("", "a\nb"), ["+a", "+b"]);
        let long: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let (before, after) = (long.join("\n"), long.join("\n").replace("\n9\n", "\nnine\n"));
        let wanted = ["@6", " 6", " 7", " 8", "-9", "+nine", " 10", " 11", " 12", "@7"];
        assert_eq!(shown(&before, &after), wanted);
        assert_eq!(shown("a", "a"), ["@1"]);
    }

    #[test]
    fn texts_that_have_nothing_in_common_are_replaced_whole() {
        let text = |word: &str| (0..2_100).map(|number| format!("{word}{number}")).collect::<Vec<_>>().join("\n");
        let all = lines(&text("a"), &text("b"));
        assert_eq!(all.len(), 4_200);
        assert!(matches!(all[0], DiffLine::Removed(_)) && matches!(all[4_199], DiffLine::Added(_)));
    }
}
