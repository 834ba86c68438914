//! Words as shells have them: what a person has typed so far, taken apart, and a name as it has to be typed.

/// The word under the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Last {
    /// The text without quotes.
    pub text: String,
    /// The quote that is open at its end.
    pub quote: Option<char>,
}

/// Takes a line of bash apart: its words, and the one under the cursor, which the line ends with.
pub(super) fn of_bash(line: &str) -> (Vec<String>, Last) {
    let (mut words, mut last, mut begun) = (Vec::new(), Last::default(), false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (last.quote, c) {
            (None, c) if c.is_ascii_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut last).text);
                }
                begun = false;
                continue;
            }
            (None, '\\') => last.text.extend(chars.next()),
            (None, '\'' | '"') => last.quote = Some(c),
            (Some(quote), c) if quote == c => last.quote = None,
            (Some('"'), '\\') => {
                let next = chars.next();
                // Before anything else it is itself (bash(1), QUOTING).
                if !next.is_some_and(|next| "$`\"\\".contains(next)) {
                    last.text.push('\\');
                }
                last.text.extend(next);
            }
            (_, c) => last.text.push(c),
        }
        begun = true;
    }
    (words, last)
}

/// A word of fish, without its quotes.
pub(super) fn of_fish(word: &str) -> String {
    let (mut text, mut quote) = (String::new(), None);
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\\') => text.extend(chars.next()),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            // Inside of quotes only these are meant by themselves (fish-doc, Quotes).
            (Some(open), '\\') if chars.peek().is_some_and(|next| *next == open || "\\$".contains(*next)) => {
                text.extend(chars.next());
            }
            (_, c) => text.push(c),
        }
    }
    text
}

/// A text as it has to stand in a line of bash, behind an open quote where there is one. Bash closes that itself.
pub(super) fn for_bash(text: &str, quote: Option<char>) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        match (quote, c) {
            (Some('\''), '\'') => quoted.push_str("'\\''"),
            // Nothing keeps an interactive bash from expanding history there, but to leave the quotes.
            (Some('"'), '!') => quoted.push_str("\"'!'\""),
            (Some('"'), '$' | '`' | '"' | '\\') => quoted.extend(['\\', c]),
            (None, c) if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-+=:,./@%".contains(c) => {
                quoted.extend(['\\', c]);
            }
            (_, c) => quoted.push(c),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_bash_says_what_its_words_are() {
        let last = |line: &str| of_bash(line).1;
        let is = |text: &str, quote| Last { text: text.into(), quote };
        assert_eq!(of_bash("brow-tui connect  'my db' a\\ b").0, ["brow-tui", "connect", "my db"]);
        assert_eq!(last("brow-tui connect  'my db' a\\ b"), is("a b", None));
        assert_eq!(last("brow-tui connect "), is("", None));
        assert_eq!(last("brow-tui connect 'it'\\''s o"), is("it's o", Some('\'')));
        assert_eq!(last("brow-tui connect \"a\\\"\\x $"), is("a\"\\x $", Some('"')));
        assert_eq!(last("brow-tui --cluster=arn:aws:e"), is("--cluster=arn:aws:e", None));
        assert_eq!(last("brow-tui connect 网"), is("网", None));
        assert_eq!(of_bash("x '' "), (vec!["x".into(), String::new()], Last::default()));
        assert_eq!(last("x \\"), is("", None));
    }

    #[test]
    fn a_word_of_fish_says_what_it_is() {
        for (word, text) in [
            ("my\\ db", "my db"),
            ("'it\\'s \\n", "it's \\n"),
            ("\"a\\$b\\\"", "a$b\""),
            ("网页", "网页"),
            ("a\\", "a"),
        ] {
            assert_eq!(of_fish(word), text, "{word}");
        }
    }

    #[test]
    fn what_bash_would_obey_is_quoted() {
        assert_eq!(for_bash("a b;$(x)'\"`*网~#!", None), "a\\ b\\;\\$\\(x\\)\\'\\\"\\`\\*网\\~\\#\\!");
        assert_eq!(for_bash("it's $x", Some('\'')), "it'\\''s $x");
        assert_eq!(for_bash("a\"$b`c\\d!", Some('"')), "a\\\"\\$b\\`c\\\\d\"'!'\"");
        // What it says comes out again.
        for name in ["a b", "it's", "$(touch x)", "a;b|c&d", "*?[x]", "网页 ～", "\"q\"", "!x", "-a", "~/x", "#c"] {
            for quote in [None, Some('\''), Some('"')] {
                let open = quote.map(String::from).unwrap_or_default();
                let line = format!("x {open}{}{open} ", for_bash(name, quote));
                assert_eq!(of_bash(&line).0[1], name, "{line}");
            }
        }
    }
}
