//! Text of others, made fit to be shown, written and copied.
//!
//! Names and messages come from clusters, other instances, processes and files, and may hold anything: sequences that
//! a terminal obeys, line ends where there is one line, marks that turn the direction of writing round, characters that
//! nobody sees. This is the one place that takes them out. It is used where text comes in (faults, watches, probes,
//! process names) and again where it goes out (screen, title, notifications, clipboard, standard output, JSON, files).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// The substitute for characters that are not shown.
const INSTEAD: char = '\u{fffd}';

/// Returns true if a character is invisible or changes the direction of its neighbours: two names that differ in
/// nothing else look the same. These are the control characters (C0, C1, DEL) and the default-ignorable and
/// bidirectional ones of Unicode (`DerivedCoreProperties.txt`, UAX 9), but for joiners of letters and emoji.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// Returns true if a character has no shape of its own and selects that of the one before it: scripts and emoji need
/// them, and between Latin letters they only hide.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}')
}

/// Returns true if a character begins a new line, at least in some reader: YAML takes a lone carriage return for a line
/// end.
fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Returns true if [`line()`] leaves a text unchanged.
pub fn is_line(text: &str) -> bool {
    matches!(line(text), Cow::Borrowed(_))
}

/// The text as one line: line ends and tabs become a space, colors go, and other characters that cannot be seen become
/// a `�`, so that two names that differ do not look the same.
pub fn line(text: &str) -> Cow<'_, str> {
    cleaned(text, |c| (is_break(c) || c == '\t').then_some(' '))
}

/// The beginning of the text as one line, without white space around it: at most `most` characters.
pub fn short(text: &str, most: usize) -> String {
    line(text.trim()).chars().take(most).collect()
}

/// The text with its lines, each as [`line()`] has it; every kind of line end becomes a `\n`. Tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    cleaned(text, |c| match c {
        '\n' | '\t' => Some(c),
        c => is_break(c).then_some('\n'),
    })
}

/// The text as one word of a shell command: a POSIX shell takes it literally (2.2.2, single quotes).
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The text without what cannot be shown. `white` says what a line end or a tab becomes.
fn cleaned(text: &str, white: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let last = shown.chars().next_back();
        if c == '\r' && chars.peek() == Some(&'\n') {
            continue;
        }
        if let Some(white) = white(c) {
            shown.push(white);
        } else if c == '\u{1b}' && chars.peek() == Some(&'[') {
            skip_sequence(&mut chars);
        } else if is_unseen(c) || is_joiner(c) && !joins(last, c, chars.peek().copied()) {
            // Any number of them looks like one.
            if last != Some(INSTEAD) {
                shown.push(INSTEAD);
            }
        } else {
            shown.push(c);
        }
    }
    if shown == text { Cow::Borrowed(text) } else { Cow::Owned(shown) }
}

/// Returns true if a joiner has neighbours to join, or one whose shape it selects.
fn joins(last: Option<char>, joiner: char, next: Option<char>) -> bool {
    let wide = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && c != INSTEAD);
    wide(last) && (!matches!(joiner, '\u{200c}' | '\u{200d}') || wide(next))
}

/// Passes over a control sequence from its `[` to its final byte (ECMA-48, 5.4): colors in a log or a plugin's words.
fn skip_sequence(chars: &mut Peekable<Chars<'_>>) {
    chars.next();
    while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    let _final = chars.next_if(|c| ('@'..='~').contains(c));
}

/// JSON whose texts hold nothing that a terminal obeys or nobody sees: such characters are written as `\u` and four
/// digits, which is the same JSON. Those below U+0020 every writer of JSON escapes by itself.
pub fn json(written: &str) -> Cow<'_, str> {
    let hides = |c: char| c > '~' && (is_unseen(c) || is_joiner(c));
    if !written.contains(hides) {
        return Cow::Borrowed(written);
    }
    let mut json = String::with_capacity(written.len());
    for c in written.chars() {
        if hides(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A String takes whatever is written.
                let _always = write!(json, "\\u{unit:04x}");
            }
        } else {
            json.push(c);
        }
    }
    Cow::Owned(json)
}

/// Texts that a hostile server, process or file may send, for the tests of every way out.
pub const HOSTILE: &[&str] = &[
    "a\rb",
    "a\r\nkind: ClusterRole\nb",
    "a\tb",
    "a\u{85}b\u{2028}c\u{2029}d\u{b}e",
    "\u{1b}]0;title\u{7}",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]52;c;ZXZpbA==\u{1b}\\",
    "a\u{9b}31mb\u{9d}0;t\u{9c}",
    "a\u{7f}\u{0}\u{8}b",
    "abc\u{202e}fdp.exe\u{202c}",
    "a\u{2066}b\u{2069}\u{61c}\u{200f}",
    "pay\u{200b}pal\u{feff}",
    "pay\u{200d}pal",
    "a\u{e0041}\u{e0042}b",
    "a\u{ad}b\u{3164}",
];

/// Returns whether a terminal obeys and hides nothing of a text, which may have line breaks and tabs with `breaks`.
pub fn is_safe(text: &str, breaks: bool) -> bool {
    text.split(['\n', '\t']).all(is_line) && (breaks || !text.contains(['\n', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hold_nothing_that_is_obeyed_or_hidden() {
        for (text, one, many) in [
            ("", "", ""),
            ("web-0", "web-0", "web-0"),
            ("网页 – à", "网页 – à", "网页 – à"),
            ("a\nb", "a b", "a\nb"),
            ("a\r\nb\rc", "a b c", "a\nb\nc"),
            ("a\tb", "a b", "a\tb"),
            ("a\u{85}b\u{2028}c", "a b c", "a\nb\nc"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red", "red"),
            ("\u{1b}]0;t\u{7}x", "\u{fffd}]0;t\u{fffd}x", "\u{fffd}]0;t\u{fffd}x"),
            ("\u{1b}", "\u{fffd}", "\u{fffd}"),
            ("\u{1b}[", "", ""),
            ("\u{1b}[\u{1b}[mx", "x", "x"),
            ("a\u{9b}31m", "a\u{fffd}31m", "a\u{fffd}31m"),
            ("a\u{202e}b", "a\u{fffd}b", "a\u{fffd}b"),
            ("a\u{200b}\u{200b}\u{200b}b", "a\u{fffd}b", "a\u{fffd}b"),
            ("pay\u{200d}pal", "pay\u{fffd}pal", "pay\u{fffd}pal"),
            ("a\u{fe0f}", "a\u{fffd}", "a\u{fffd}"),
            // Persian, a family and a name with a variant sign are written with joiners.
            ("می\u{200c}خواهم", "می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("👩\u{200d}👧", "👩\u{200d}👧", "👩\u{200d}👧"),
            ("葛\u{e0100}", "葛\u{e0100}", "葛\u{e0100}"),
        ] {
            assert_eq!((line(text), lines(text)), (one.into(), many.into()), "{text:?}");
            assert_eq!(is_line(text), text == one, "{text:?}");
        }
        for text in HOSTILE {
            assert!(is_safe(&line(text), false) && is_safe(&lines(text), true), "{text:?}");
            assert!(!is_line(text), "{text:?}");
        }
    }

    #[test]
    fn json_says_the_same_in_characters_that_are_seen() {
        for text in HOSTILE.iter().copied().chain(["网页", "a\"\\b", "👩\u{200d}👧"]) {
            let written = serde_json::json!({ "a": [text], text: 1 });
            let shown = json(&format!("{written:#}")).into_owned();
            assert!(is_safe(&shown, true), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), written, "{shown}");
        }
        assert!(matches!(json("{\n  \"网页\": 1\n}"), Cow::Borrowed(_)));
    }
}
